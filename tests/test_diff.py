"""Every cell that differs between two releases, with its true cause: a scripted history of releases.

Which cells differ is found here by pandas, and why is known from the script: every night notes which answers it touched
and by what. A small sample of two sources of our own: messages and a panel of employees.
"""

import dataclasses
import gzip
import json
import random
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from conftest import KEY, PROJECT, Once, Place, lines

from pipelines import models, plan, refresh, release, settings
from pipelines.changes import kept

pytestmark = pytest.mark.long

MESSAGES, PANEL = "messages", "panel"
AUDIENCE = {MESSAGES: "message_author", PANEL: "employee"}
SECTORS = {
    **{f"municipality_0{i}": ("municipalities", "government", "all") for i in range(1, 7)},
    **{f"housing_association_0{i}": ("housing_associations", "all") for i in range(1, 7)},
    **{f"insurer_0{i}": ("insurers", "all") for i in range(1, 7)},
}
MOVED, TO = "insurer_06", ("housing_associations", "all")
CONTRACT = """
title: {source} of the test
monitor: klantcontact_monitor
audience: {audience}
country: NL
provenance: synthetic
controller: test
purpose: test
licence: MIT
sampling_unit: organisation
files: "*.jsonl.gz"
format: {{kind: jsonl}}
delivery: {{mode: append, order: '(\\d{{4}}-\\d{{2}})'}}
columns:
  id: {{role: response}}
  author: {{role: respondent}}
  organisation: {{role: organisation}}
  placed_at: {{role: date, format: iso}}
  sentiment: {{role: question, measure: social_sentiment, channel: social}}
  kind: {{role: status, keep: [normal, pilot], exclude: {{test: test_row}}}}
"""
POPULATION = (
    "weighting_code,monitor_code,audience_code,period_code,margin,level,population,unit,source,source_date\n"
    "w,klantcontact_monitor,message_author,2011,sector,municipalities,{n},organisations,test,2011-12-31\n"
    "w,klantcontact_monitor,message_author,2011,sector,housing_associations,80,organisations,test,2011-12-31\n"
    "w,klantcontact_monitor,message_author,2011,sector,insurers,40,organisations,test,2011-12-31\n"
)
# answers of their own cell alone decide these
OWN = ("value", "n_answers", "sum_w", "sum_wy")
WEIGHTED = (
    "weighting_code", "value_weighted", "se_weighted", "df_weighted", "ci_low_weighted", "ci_high_weighted",
    "n_effective_weighted", "obs_status_weighted",
)  # fmt: skip

Touched = dict[str, list[tuple[str, str, str]]]  # cause → audience, month, organisation of the answers


@dataclasses.dataclass
class Night:
    """One release of the history: what was served before, and what the script did."""

    name: str
    before: str
    after: str
    touched: Touched


class Script:
    """Writes exports, lists and contracts, refreshes, and notes the truth."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder)
        self.place.state.mkdir(parents=True, mode=0o700)
        (self.place.state / "key").write_text(KEY)
        (self.place.state / "key").chmod(0o600)
        self.sql = folder / "sql"
        shutil.copytree(PROJECT / "sql", self.sql)
        self.here = settings.Settings(
            raw=self.place.raw, warehouse=self.place.warehouse, state=self.place.state, sql=self.sql, threads=2,
            memory=None, notify=None, keep=30, keep_days=30,
        )  # fmt: skip
        self.random = random.Random(11)
        self.nights: list[Night] = []
        self.touched: Touched = {}
        self.number = 0
        (self.place.raw / "reference").mkdir(parents=True)
        for source in AUDIENCE:
            (self.place.raw / source).mkdir()
            self.contract(source)

    def contract(self, source: str, was: str = "", now: str = "") -> None:
        text = CONTRACT.format(source=source, audience=AUDIENCE[source])
        assert was in text
        (self.place.raw / source / "contract.yml").write_text(text.replace(was, now) if was else text)

    def reference(self, name: str, text: str) -> None:
        (self.place.raw / "reference" / name).write_text(text)

    def rows(self, n: int, months: list[str], organisations: Iterable[str] = SECTORS) -> list[dict[str, Any]]:
        """New responses, each of a person of its own."""
        made = []
        for _ in range(n):
            self.number += 1
            made.append(
                {
                    "id": f"r{self.number}",
                    "author": f"p{self.number}",
                    "organisation": self.random.choice(list(organisations)),
                    "placed_at": f"{self.random.choice(months)}-{self.random.randint(1, 28):02}T12:00:00+01:00",
                    "sentiment": self.random.choice([1, 2, 2, 3]),
                    "kind": "pilot" if self.number % 20 == 0 else "normal",
                }
            )
        return made

    def deliver(self, source: str, order: str, rows: list[dict[str, Any]], cause: str = "new_delivery") -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.place.raw / source / f"{source}_{order}.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        self.touch(source, cause, rows)

    def touch(self, source: str, cause: str, rows: list[dict[str, Any]]) -> None:
        noted = self.touched.setdefault(cause, [])
        noted += [(AUDIENCE[source], row["placed_at"][:7], row["organisation"]) for row in rows]

    def refresh(self, name: str) -> None:
        """What `meetlat refresh` does, without the books that Dagster keeps of it."""
        with refresh.locked(self.here):
            refresh.prepare(self.here)
            release.publish(plan.Build(plan.look(self.here)))
        self.note(name)

    def note(self, name: str) -> None:
        """What was done since the last release has become one."""
        before = self.nights[-1].after if self.nights else ""
        self.nights.append(Night(name, before, self.place.release_id(), self.touched))
        self.touched = {}


def play(folder: Path) -> None:
    """The history. Each night does one thing or two, and says which answers they touch."""
    script = Script(folder)
    rules = "periods: [year]\nrespondents: {}\n"
    months = [f"2011-{m:02}" for m in (1, 2, 11, 12)]
    organisations = (PROJECT / "raw" / "reference" / "organisations.csv").read_text()
    script.reference("organisations.csv", organisations)
    script.reference("population.csv", POPULATION.format(n=160))
    script.reference("disclosure.yml", rules.format(10))
    first = script.rows(900, months)
    script.deliver(MESSAGES, "2011-12", first)
    panel = script.rows(500, months)
    script.deliver(PANEL, "2011-12", panel)
    script.refresh("first")

    script.deliver(MESSAGES, "2012-01", script.rows(120, ["2012-01"]))
    script.refresh("new delivery")

    wrong = [row for row in first if row["organisation"] == "municipality_02" and row["placed_at"] < "2011-04"]
    script.deliver(MESSAGES, "2012-02", [row | {"sentiment": 4 - row["sentiment"]} for row in wrong], "correction")
    script.refresh("correction")

    was = next(line for line in organisations.splitlines() if line.startswith(MOVED))
    script.reference("organisations.csv", organisations.replace(was, was.replace("insurers", "housing_associations")))
    script.refresh("sector moved")

    script.reference("population.csv", POPULATION.format(n=170))
    script.refresh("margin")

    script.contract(PANEL, "keep: [normal, pilot], exclude: {", "keep: [normal], exclude: {pilot: test_row, ")
    script.touch(PANEL, "contract", [row for row in panel if row["kind"] == "pilot"])
    script.refresh("contract")

    script.reference("disclosure.yml", rules.format(60))
    script.refresh("rules")

    query = script.sql / "mart" / "social_sentiment.sql"
    text = query.read_text()
    was = "SELECT * EXCLUDE (n_promoters, n_passives, n_detractors)"
    assert was in text
    query.write_text(text.replace(was, was + " REPLACE (n_kish + 1 AS n_kish)"))
    script.refresh("query")

    domain = script.sql / "estimate" / "domain.sql"
    domain.write_text(domain.read_text() + "\n-- a remark\n")
    contract = script.place.raw / PANEL / "contract.yml"
    contract.write_text(contract.read_text() + "# a remark\n")
    script.refresh("remark")

    query.write_text(text)
    script.refresh("query back")

    script.deliver(PANEL, "2012-02", [row for row in script.rows(60, ["2012-02"]) if row["kind"] == "normal"])
    wrong = [row for row in first if row["organisation"] == "insurer_02"]
    script.deliver(MESSAGES, "2012-03", [row | {"sentiment": 3} for row in wrong], "correction")
    script.refresh("two sources")

    script.deliver(MESSAGES, "2012-05", script.rows(80, ["2012-05"]))
    wrong = [r for r in first if r["organisation"] == "housing_association_03" and r["placed_at"][:7] == "2011-12"]
    corrections = [{"match": {"id": row["id"]}, "set": {"sentiment": "1"}, "reason": "test"} for row in wrong]
    (script.place.raw / MESSAGES / "corrections.yml").write_text(json.dumps(corrections))
    script.touch(MESSAGES, "correction", wrong)
    script.refresh("one source")

    few = script.rows(4, ["2011-11"], ["municipality_01"])
    script.deliver(MESSAGES, "2012-06", few)
    script.refresh("few")
    wrong = [row for row in first if row["organisation"] == "municipality_01" and row["sentiment"] == 1][:9]
    assert len(wrong) == 9
    script.deliver(MESSAGES, "2012-07", [row | {"sentiment": 3} for row in wrong], "correction")
    script.refresh("few more")

    erased = [row for row in first if row["organisation"] == "municipality_03"][:12]
    script.touch(MESSAGES, "erasure", erased)
    refresh.erase(script.here, MESSAGES, "respondent", [row["author"] for row in erased], lambda _: None)
    script.note("erasure")
    (folder / "nights.json").write_text(json.dumps([dataclasses.asdict(night) for night in script.nights]))


@pytest.fixture(scope="module")
def history(once: Once) -> tuple[Place, dict[str, Night]]:
    folder = once("history", play)
    nights = [Night(**night) for night in json.loads((folder / "nights.json").read_text())]
    return Place(folder), {night.name: night for night in nights}


# --- which cells differ, by pandas ---------------------------------------------------------------

Cell = tuple[str, str, str, str]  # output, table, row, column
GRAINS = {m.name: m.grain for m in models.load(PROJECT / "sql").values()}


def tables(folder: Path) -> dict[tuple[str, str], pd.DataFrame]:
    found = {}
    for output, top in (("house", "parquet"), ("public", "public/parquet")):
        for file in sorted((folder / top).glob("*.parquet")):
            name = file.stem
            if output == "public":
                name = f"core.{name}" if name.startswith("dim_") else f"mart.{name}"
            if not name.startswith("meta."):
                table = pd.read_parquet(file).drop(columns="as_of_release", errors="ignore")
                keys = table[GRAINS[name]].astype(object)
                table.index = pd.Index(["/".join("" if v is None else str(v) for v in row) for row in keys.to_numpy()])
                found[output, name] = table.drop(columns=GRAINS[name])
    return found


def differences(before: Path, after: Path) -> set[Cell]:
    old, new = tables(before), tables(after)
    assert old.keys() == new.keys()
    found: set[Cell] = set()
    for (output, name), a in old.items():
        b = new[output, name]
        found |= {(output, name, row, "*") for row in a.index.symmetric_difference(b.index)}
        both = a.index.intersection(b.index)
        a, b = a.loc[both].astype(object), b.loc[both].astype(object)
        differ = ~((a == b) | (a.isna() & b.isna()))
        found |= {(output, name, both[i], str(a.columns[j])) for i, j in zip(*differ.to_numpy().nonzero(), strict=True)}
    return found


def changes(place: Place, night: Night) -> dict[Cell, set[str]]:
    """What the release says of itself."""
    file = place.warehouse / "releases" / night.after / "benchmark.duckdb"
    with duckdb.connect(str(file), read_only=True) as con:
        rows = con.execute("SELECT output, table_name, row_key, column_name, causes FROM meta.change").fetchall()
        ((named,),) = con.execute("SELECT list(DISTINCT compared_with) FROM meta.change_count").fetchall()
    found = {row[:4]: set(row[4].split(", ")) for row in rows}
    assert len(found) == len(rows)
    assert not rows or named == [night.before]
    return found


# --- why, by the script --------------------------------------------------------------------------


def months_of(period: str) -> set[str]:
    """The months of a period."""
    if period.endswith("-R12"):
        end = int(period[:4]) * 12 + int(period[5:7]) - 1
        return {f"{m // 12}-{m % 12 + 1:02}" for m in range(end - 11, end + 1)}
    year, _, rest = period.partition("-")
    first, last = 1, 12
    if rest.startswith("Q"):
        first, last = 3 * int(rest[1]) - 2, 3 * int(rest[1])
    elif rest.startswith("YTD"):
        last = 3 * int(rest[-1])
    elif rest:
        first = last = int(rest)
    return {f"{year}-{m:02}" for m in range(first, last + 1)}


def true_causes(night: Night, row: str) -> set[str]:
    """The causes whose answers are counted in the cell of a row at the headline grain."""
    _, period, audience, sector, *_ = row.split("/")
    chains = SECTORS | {MOVED: TO}
    return {
        cause
        for cause, answers in night.touched.items()
        if any(a == audience and month in months_of(period) and sector in chains[o] for a, month, o in answers)
    }


def checked(history: tuple[Place, dict[str, Night]], name: str) -> tuple[Night, dict[Cell, set[str]]]:
    """The changes of a night, which are those that pandas finds."""
    place, nights = history
    night = nights[name]
    folder = place.warehouse / "releases"
    found = changes(place, night)
    true = differences(folder / night.before, folder / night.after)
    assert not true - found.keys(), sorted(true - found.keys())[:5]
    assert not found.keys() - true, sorted(found.keys() - true)[:5]
    return night, found


def of(found: dict[Cell, set[str]], output: str, *columns: str) -> Iterator[tuple[str, str, set[str]]]:
    """Table, row and causes of cells of an output, of these columns only."""
    for (place, table, row, column), causes in found.items():
        if place == output and (not columns or column in columns):
            yield table, row, causes


SINGLE = {
    "new delivery": "new_delivery", "correction": "correction", "sector moved": "reference", "margin": "weighting",
    "contract": "contract", "rules": "disclosure", "query": "method",
    "erasure": "erasure",
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_a_night_with_one_cause(history: tuple[Place, dict[str, Night]], name: str) -> None:
    """Every cell has that cause, but for public ones that others made hide or show: their own figure is the same."""
    _, found = checked(history, name)
    assert found
    cause = SINGLE[name]
    assert {frozenset(causes) for causes in found.values()} <= {frozenset({cause}), frozenset({"disclosure"})}
    assert any(causes == {cause} for causes in found.values())
    for (output, table, row, column), causes in found.items():
        if output == "house" and table.startswith("mart.") and AUDIENCE[PANEL] not in row:
            assert causes == {cause}, (table, row, column)
    if cause == "weighting":
        assert {column for *_, column in found} <= set(WEIGHTED)
    if cause == "disclosure":
        assert {output for output, *_ in found} == {"public"} or all(
            AUDIENCE[PANEL] in row for output, _, row, _ in found if output == "house"
        )
    if cause == "method":
        assert {(output, table, column) for output, table, _, column in found} == {
            ("house", "mart.social_sentiment", "n_kish")
        }


def test_a_remark_changes_nothing(history: tuple[Place, dict[str, Night]]) -> None:
    place, nights = history
    night = nights["remark"]
    assert night.after == night.before == nights["query"].after
    ran = place.meetlat("diff", night.before, night.after)
    assert ran.returncode == 0 and "No differences" in ran.stdout


def test_earlier_inputs_give_the_earlier_release(history: tuple[Place, dict[str, Night]]) -> None:
    """It stays as it was made: it still says what it was compared with then."""
    place, nights = history
    back = nights["query back"]
    assert back.after == nights["rules"].after != back.before
    assert changes(place, nights["rules"])
    ran = place.meetlat("diff", back.before, back.after, "--json")
    document = json.loads(ran.stdout)
    assert {(c["table_name"], c["column_name"], c["causes"]) for c in document["changes"]} == {
        ("mart.social_sentiment", "n_kish", "method")
    }
    for change in document["changes"]:
        assert change["difference"] == float(change["new"]) - float(change["old"]) == pytest.approx(-1)


def test_two_sources_on_one_night(history: tuple[Place, dict[str, Night]]) -> None:
    """Each cell has the cause of its own source."""
    _, found = checked(history, "two sources")
    seen = set()
    for (_, table, row, column), causes in found.items():
        if table.startswith("mart.") and column != "as_of":
            is_message = AUDIENCE[MESSAGES] in row or row == "kcm-2011-sentiment"
            cause = "correction" if is_message else "new_delivery"
            assert causes <= {cause, "disclosure"} and len(causes) == 1, (table, row, column, causes)
            seen |= causes
    assert {"correction", "new_delivery"} <= seen


def test_two_causes_in_one_source(history: tuple[Place, dict[str, Night]]) -> None:
    """A figure has the causes whose answers it counts; what depends on more answers may have both."""
    night, found = checked(history, "one source")
    seen = set()
    for table, row, causes in of(found, "house", *OWN):
        if table in ("mart.measure_score", "mart.social_sentiment"):
            assert causes == true_causes(night, row), (table, row)
            seen.add(frozenset(causes))
    assert len(seen) == 2 or len(seen) == 3  # correction, and both in a rolling year
    for table, row, causes in of(found, "house", "*"):
        if GRAINS[table] == GRAINS["mart.measure_score"]:
            assert causes == true_causes(night, row), (table, row)
    for causes in found.values():
        assert causes <= {"new_delivery", "correction", "disclosure"}


def test_a_figure_that_stood(history: tuple[Place, dict[str, Night]]) -> None:
    """Four answers move nothing in public; with nine more the figure moves, for both reasons."""
    _, few = checked(history, "few")
    key = "klantcontact_monitor/2011/message_author/government/social/social_sentiment"
    assert not [row for _, row, _ in of(few, "public", "value", "n_answers") if row == key]
    assert next(causes for _, row, causes in of(few, "house", "value") if row == key) == {"new_delivery"}
    _, more = checked(history, "few more")
    causes = [causes for _, row, causes in of(more, "public", "value", "n_answers", "ci_low", "as_of") if row == key]
    assert causes and all(c == {"new_delivery", "correction"} for c in causes)
    assert {frozenset(c) for _, row, c in of(more, "house", "value") if row == key} == {frozenset({"correction"})}


def test_an_erasure_leaves_no_value_before(history: tuple[Place, dict[str, Night]]) -> None:
    """In the release the old value of what it changed is not told; with older releases it is known by source only."""
    place, nights = history
    assert place.query("SELECT count(old), count(difference), count(new) > 0 FROM meta.change") == [(0, 0, True)]
    ran = place.meetlat("diff", nights["one source"].after, nights["erasure"].after, "--json")
    changed = json.loads(ran.stdout)["changes"]
    named = {cause for change in changed for cause in change["causes"].split(", ")}
    assert "erasure" in named and named <= {"new_delivery", "correction", "erasure", "disclosure"}


def test_the_first_release_and_its_changelog(history: tuple[Place, dict[str, Night]]) -> None:
    place, nights = history
    assert changes(place, nights["first"]) == {}
    folder = place.warehouse / "releases"
    assert kept.changelog(folder / nights["first"].after) == ["No published cell differs from the release before."]
    told = "\n".join(kept.changelog(folder / nights["new delivery"].after, "public"))
    assert nights["first"].after in told and "| mart.measure_score | new_delivery |" in told and "house" not in told


def test_the_command(history: tuple[Place, dict[str, Night]]) -> None:
    place, nights = history
    ran = place.meetlat("diff", "--rows", "3")
    assert ran.returncode == 0 and "erasure" in ran.stdout and "more cells" in ran.stdout
    assert nights["erasure"].before in ran.stdout and nights["erasure"].after in ran.stdout
    (said,) = lines(place.meetlat("diff", "nothing"))
    assert "There is no release nothing" in said
    (said,) = lines(place.meetlat("diff", "--table", "mart.nothing"))
    assert "mart.nothing is not a table that is compared" in said
    (said,) = lines(place.meetlat("diff", "--output", "nowhere"))
    assert "house and public" in said
