"""Differences, their errors and their tests: trend, sector_comparison and channel_comparison.

The same rows are the exports of four monitors, which differ in their contract only: organisations were sampled;
the same by strata; respondents were sampled; organisations were sampled and their respondents rated several. R's
package survey computes all four from the rows (`cases/comparison.R`). The values that it gave are kept in
`cases/comparison_expected.json`; tests marked `oracle` ask it again, about rows drawn anew.
"""

import csv
import json
import math
import os
import random
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PROJECT, Once, Place

CASES = Path(__file__).with_name("cases")
SEED = int(os.environ.get("MEETLAT_TEST_SEED", "1"))  # read before the fixtures clean the environment
TOLERANCE = 1e-9  # relative
CHANNELS = ("email", "phone", "physical")
SECTORS = ("gov", "housing", "insurer", "utility")
COMPARED = {
    "trend": "compare_to_period_code",
    "sector_comparison": "compare_to_sector_code",
    "channel_comparison": "compare_to_channel_code",
}
WAVES = {
    "1": {"code": "wave-1", "start": "2023-03-01", "end": "2023-03-31"},
    "2": {"code": "wave-2", "start": "2024-03-01", "end": "2024-03-31"},
}

Rows = list[dict[str, Any]]
Found = dict[tuple[str, ...], dict[str, Any]]


# --- made-up surveys -----------------------------------------------------------------------------


def drawn(seed: int) -> Rows:
    """Two waves of a survey of 20 organisations: some come, some go, one is alone in its sector.

    A person may come back in the other wave, rate by another channel, and rate another organisation.
    """
    rng = random.Random(seed)
    organisations = [
        {"org": f"org_{i:02}", "sector": "insurer" if i == 0 else rng.choice(("gov", "housing", "utility"))}
        | {"size": ("small", "large")[i % 2], "waves": {0: (1, 2), 1: (1,), 2: (2,)}.get(i % 5, (1, 2))}
        for i in range(20)
    ]
    level = {o["org"]: rng.gauss(0, 0.7) for o in organisations}
    rows: Rows = []
    for wave in (1, 2):
        for o in organisations:
            for _ in range(rng.randint(4, 30) if wave in o["waves"] else 0):
                grade = 7 + level[o["org"]] + 0.3 * wave + rng.gauss(0, 1.3)
                rows.append(
                    {
                        "response": f"r{len(rows):04}",
                        "wave": wave,
                        "person": f"p{rng.randrange(260):03}",
                        "org": o["org"],
                        "sector": o["sector"],
                        "size": o["size"],
                        "channel": rng.choice(CHANNELS),
                        "grade": "" if rng.random() < 0.05 else min(max(round(grade), 1), 10),
                        "recommend": "" if rng.random() < 0.1 else min(max(round(grade + rng.gauss(0.5, 1)), 0), 10),
                        "weight": f"{rng.uniform(0.4, 2.5):.3f}",
                    }
                )
    return rows


def write_csv(path: Path, rows: Iterable[dict[str, Any]], columns: Iterable[str] | None = None) -> None:
    rows = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns or rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_reference(raw: Path, rows: Rows, monitors: Iterable[str]) -> None:
    folder = raw / "reference"
    write_csv(
        folder / "monitors.csv",
        [{"monitor_code": m, "label_en": m, "label_nl": m, "publisher": "nobody"} for m in monitors],
    )
    blank = {"sbi_code": "", "sbi_version": ""}
    sectors = [("all", ""), *((s, "all") for s in SECTORS), ("not_applicable", "all")]
    write_csv(
        folder / "sectors.csv",
        [
            {"sector_code": s, "parent_code": p, "label_en": s, "label_nl": s, **blank, "sort_order": i}
            for i, (s, p) in enumerate(sectors)
        ],
    )
    write_csv(
        folder / "organisations.csv",
        [
            {"organisation_code": o, "name_en": o, "name_nl": o, "sector_code": s, "size_class": z}
            | {"country_code": "NL", "valid_from": "2000-01-01"}
            for o, s, z in sorted({(r["org"], r["sector"], r["size"]) for r in rows})
        ],
    )
    with (PROJECT / "raw" / "reference" / "published_figures.csv").open() as shipped:
        write_csv(folder / "published_figures.csv", [], next(csv.reader(shipped)))  # nobody published a figure


def contract(monitor: str, rows: Rows, **changes: Any) -> dict[str, Any]:
    return {
        "title": monitor,
        "monitor": monitor,
        "audience": "customer",
        "country": "NL",
        "provenance": "synthetic",
        "controller": "Meetlat tests",
        "purpose": "comparison with R",
        "licence": "MIT",
        "sampling_unit": "organisation",
        "waves": WAVES,
        "files": "*.csv",
        "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ","},
        "delivery": {"mode": "append", "order": r"wave(\d)"},
        "columns": {
            "response": {"role": "response"},
            "org": {"role": "organisation"},
            "channel": {"role": "channel", "values": {c: c for c in CHANNELS}},
            "grade": {"role": "question", "measure": "channel_rating", "channel": "row"},
            "recommend": {"role": "question", "measure": "recommendation"},
            "weight": {"role": "weight"},
        },
        "discard": ["wave", "sector", "size", "person"],
    } | changes


def write_source(raw: Path, name: str, rows: Rows, declared: dict[str, Any], *, persons: bool = False) -> None:
    if persons:
        declared["columns"]["person"] = {"role": "respondent"}
        declared["discard"].remove("person")
    for wave in sorted({r["wave"] for r in rows}):
        write_csv(raw / name / f"wave{wave}.csv", [r for r in rows if r["wave"] == wave])
    (raw / name / "contract.yml").write_text(yaml.safe_dump(declared, sort_keys=False))


def write_four(raw: Path, rows: Rows) -> None:
    """The rows as the exports of four monitors."""
    write_reference(raw, rows, ("plain", "stratified", "respondents", "two_way"))
    write_source(raw, "plain", rows, contract("plain", rows))
    write_source(raw, "stratified", rows, contract("stratified", rows, strata="size_class"))
    write_source(raw, "respondents", rows, contract("respondents", rows, sampling_unit="respondent"), persons=True)
    write_source(raw, "two_way", rows, contract("two_way", rows), persons=True)


def stored_rows() -> Rows:
    with (CASES / "comparison_grades.csv").open(newline="") as file:
        return [row | {"wave": int(row["wave"])} for row in csv.DictReader(file)]


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of the four monitors with the stored rows. Only to look at."""

    def make(folder: Path) -> None:
        write_four(folder / "raw", stored_rows())
        Place(folder).refresh_here()

    return Place(once("comparisons", make))


def by_key(place: Place, monitor: str) -> Found:
    """The rows of waves of all three marts, by the key that the script for R gives them."""
    found: Found = {}
    for name, compared in COMPARED.items():
        for row in place.mart(name, f"monitor_code = '{monitor}' AND period_type = 'wave'"):
            if row["channel_code"] == "not_applicable":
                continue  # the same as all
            key = [row[c] for c in ("comparison", "measure_code", "period_code", "sector_code", "channel_code")]
            assert (*key, row[compared]) not in found
            found[(*key, row[compared])] = row
    return found


def near(value: float, *, scale: float = 0.0) -> Any:
    return pytest.approx(value, rel=TOLERANCE, abs=1e-12 * scale)


# --- against R -----------------------------------------------------------------------------------


def agree(place: Place, expected: Rows) -> dict[str, int]:
    """Every difference of every monitor is the one that R gives; gives how many have an error."""
    tested = {}
    for monitor in ("plain", "stratified", "respondents", "two_way"):
        found = by_key(place, monitor)
        assert sorted(found) == sorted(tuple(e["key"].split("|")) for e in expected)
        tested[monitor] = 0
        for e in expected:
            row = found[tuple(e["key"].split("|"))]
            assert row["diff"] == near(e["diff"], scale=abs(row["value"])), (monitor, e["key"])
            assert row["diff"] == row["value"] - row["value_compared"]
            se, df = e[monitor]
            if e["least_person" if monitor == "respondents" else "least"] < 2 or df < 1:
                assert [row[c] for c in ("se", "df", "ci_low", "p_value", "q_value")] == [None] * 5, e["key"]
                continue
            tested[monitor] += 1
            assert row["se"] == near(se), (monitor, e["key"])
            assert row["df"] == df, (monitor, e["key"])
            if monitor == "plain" and "n_matched" in e:
                assert row["n_organisations_matched"] == e["n_matched"]
                if "matched" in e:
                    diff, se, df = e["matched"]
                    assert row["diff_matched"] == near(diff, scale=abs(row["value"]))
                    assert (row["se_matched"], row["df_matched"]) == (near(se), df)
    return tested


def test_every_difference_is_that_of_r(place: Place) -> None:
    tested = agree(place, json.loads((CASES / "comparison_expected.json").read_text()))
    assert min(tested.values()) > 50, tested


@pytest.mark.oracle
@pytest.mark.parametrize("number", range(8))  # of four designs each
def test_r_says_the_same_of_rows_drawn_anew(tmp_path: Path, number: int) -> None:
    rows = drawn(100 * SEED + number)
    place = Place(tmp_path)
    write_four(place.raw, rows)
    write_csv(tmp_path / "grades.csv", rows)
    command = ["Rscript", str(CASES / "comparison.R"), str(tmp_path / "grades.csv"), str(tmp_path / "expected.json")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    place.refresh_here()
    tested = agree(place, json.loads((tmp_path / "expected.json").read_text()))
    assert min(tested.values()) > 50, tested


# --- by hand -------------------------------------------------------------------------------------


def test_a_panel_by_hand(place: Place) -> None:
    """Respondents of both waves: what they hold in one is set against what they hold in the other."""
    parts: list[tuple[float, dict[str, float]]] = []
    for wave in (2, 1):
        chosen = [
            (r["person"], float(r["weight"]), float(r["grade"]))
            for r in stored_rows()
            if r["wave"] == wave and r["grade"]
        ]
        total = math.fsum(w for _, w, _ in chosen)
        mean = math.fsum(w * y for _, w, y in chosen) / total
        z: dict[str, float] = {}
        for person, w, y in chosen:
            z[person] = z.get(person, 0.0) + w * (y - mean) / total
        parts.append((mean, z))
    (later, a), (earlier, b) = parts
    people = sorted(a.keys() | b.keys())
    assert 50 < len(a.keys() & b.keys()) < len(people)
    squares = math.fsum((a.get(k, 0.0) - b.get(k, 0.0)) ** 2 for k in people)
    row = by_key(place, "respondents")["previous_wave", "channel_rating", "wave-2", "all", "all", "wave-1"]
    assert row["diff"] == near(later - earlier, scale=10)
    assert row["se"] == near(math.sqrt(len(people) / (len(people) - 1) * squares))
    assert row["df"] == len(people) - 1
    assert row["n_organisations"] is row["diff_matched"] is row["n_organisations_matched"] is None
    assert row["sampling_unit"] == "respondent"


def test_interval_and_p_value(place: Place) -> None:
    from scipy import stats

    seen = 0
    for name in COMPARED:
        for row in place.mart(name, "se IS NOT NULL"):
            margin = stats.t.ppf(0.975, row["df"]) * row["se"]
            assert row["ci_low"] == near(row["diff"] - margin, scale=100)
            assert row["ci_high"] == near(row["diff"] + margin, scale=100)
            assert row["p_value"] == near(2 * stats.t.sf(abs(row["diff"]) / row["se"], row["df"]), scale=1)
            seen += 1
    assert seen > 500


def test_matched_organisations_have_a_mark_of_their_own(place: Place) -> None:
    """Sixteen organisations a wave, of which twelve are in both: enough of the ones, and not of the others."""
    weights: dict[str, dict[str, float]] = {"1": {}, "2": {}}
    for row in stored_rows():
        if row["grade"]:
            held = weights[str(row["wave"])]
            held[row["org"]] = held.get(row["org"], 0) + float(row["weight"])
    matched = set.intersection(*map(set, weights.values()))

    def effective(held: dict[str, float], among: Iterable[str]) -> float:
        return sum(held[o] for o in among) ** 2 / sum(held[o] ** 2 for o in among)

    (row,) = place.mart(
        "trend",
        "monitor_code = 'plain' AND period_type = 'wave' AND sector_code = 'all' AND channel_code = 'all' "
        "AND statistic = 'mean'",
    )
    assert min(effective(held, held) for held in weights.values()) > 10 > row["n_organisations_matched"] * 0.5
    assert row["obs_status"] is None
    few = min(effective(held, matched) for held in weights.values()) < 10
    assert row["obs_status_matched"] == ("u" if few else None)
    assert few and row["n_organisations_matched"] == len(matched) == 12
    assert {r["obs_status_matched"] for r in place.mart("trend") if r["diff_matched"] is None} == {None}


@pytest.mark.parametrize("suffix", ("", "_matched"))
def test_q_values_by_hand(place: Place, suffix: str) -> None:
    """Benjamini-Hochberg by its definition, family by family: q of rank j is the least N p(l) / l of ranks l >= j."""
    sizes = set()
    for name in COMPARED if not suffix else ["trend"]:
        families: dict[tuple[Any, ...], Rows] = {}
        for row in place.mart(name):
            families.setdefault(
                (row["comparison"], row["monitor_code"], row["period_type"], row["channel_code"] == "all"), []
            ).append(row)
        assert len({row["family_code"] for rows in families.values() for row in rows}) == len(families)
        for rows in families.values():
            assert len({row["family_code"] for row in rows}) == 1
            tests = sorted((r for r in rows if r[f"p_value{suffix}"] is not None), key=lambda r: r[f"p_value{suffix}"])
            ps = [row[f"p_value{suffix}"] for row in tests]
            assert {row[f"family_size{suffix}"] for row in rows} == {len(ps)}
            for j, row in enumerate(tests):
                q = min(len(ps) * ps[place] / (place + 1) for place in range(j, len(ps)))
                assert row[f"q_value{suffix}"] == near(q)
            assert all(r[f"q_value{suffix}"] is None for r in rows if r[f"p_value{suffix}"] is None)
            sizes.add(len(ps))
    assert max(sizes) > 10


def test_the_total_is_the_sector_and_the_rest(place: Place) -> None:
    """R - R(total) = share of the rest x (R - R(rest)): what the rows of a pair must have in common."""
    rows = place.mart("sector_comparison")
    rests = {
        tuple(r[c] for c in ("monitor_code", "period_code", "sector_code", "channel_code", "measure_code")): r
        for r in rows
        if r["compare_to_sector_code"] == "rest"
    }
    totals = [r for r in rows if r["compare_to_sector_code"] == "all"]
    assert len(totals) == len(rests) > 100
    for total in totals:
        key = tuple(total[c] for c in ("monitor_code", "period_code", "sector_code", "channel_code", "measure_code"))
        rest = rests[key]
        assert rest["value"] == total["value"]
        assert rest["n_answers"] == total["n_answers"]
        assert rest["n_answers"] + rest["n_answers_compared"] == total["n_answers_compared"]
        lowest, highest = sorted((rest["value"], rest["value_compared"]))
        assert lowest - 1e-9 <= total["value_compared"] <= highest + 1e-9


# --- what counts as a change ---------------------------------------------------------------------


def steady(monitor: str, levels: tuple[float, float], **columns: tuple[str, str]) -> Rows:
    """Two waves of twelve organisations with hardly any noise, so that any difference of levels is found."""
    rows: Rows = []
    for wave in (1, 2):
        for i in range(12):
            for k in range(10):
                # one answer of ten moves an organisation a little against the others
                tenths = round(10 * levels[wave - 1]) + k % 3 - 1 + ((i + wave) % 3 - 1 if k == 0 else 0)
                rows.append(
                    {"response": f"{monitor}{len(rows)}", "wave": wave, "org": f"org_{i:02}", "channel": "phone"}
                    | {"grade": f"{tenths / 10:.1f}", "sector": SECTORS[i % 4], "size": "small"}
                    | {name: both[wave - 1] for name, both in columns.items()}
                )
    return rows


def steady_contract(monitor: str, **changes: Any) -> dict[str, Any]:
    declared = contract(monitor, [], **changes)
    for column in ("recommend", "weight"):
        del declared["columns"][column]
    declared["discard"] = ["wave", "sector", "size"]
    return declared


@pytest.fixture(scope="session")
def broken(once: Once) -> Place:
    """Monitors in which something changed between the waves besides the grades. Only to look at."""

    def make(folder: Path) -> None:
        raw = folder / "raw"
        monitors = ("risen", "fallen", "stirred", "question", "mode", "source", "both")
        rows = steady("x", (7, 8))
        write_reference(raw, rows, monitors)
        write_source(raw, "risen", rows, steady_contract("risen"))
        write_source(raw, "fallen", steady("x", (8, 7)), steady_contract("fallen"))
        write_source(raw, "stirred", steady("x", (7, 7.1)), steady_contract("stirred"))
        reworded = {"grade": {"role": "question", "measure": "channel_rating", "channel": "row", "version": 2}}
        write_source(raw, "question", rows, steady_contract("question", versions=[{"from": "2", "columns": reworded}]))
        interview = {"how": {"role": "mode", "values": {"web": "web", "paper": "paper"}}}
        for name, versions in (("mode", []), ("both", [{"from": "2", "columns": reworded}])):
            declared = steady_contract(name, versions=versions)
            declared["columns"] |= interview
            write_source(raw, name, steady("x", (7, 8), how=("web", "paper")), declared)
        # the second wave comes by an export of its own
        write_source(raw, "source", [r for r in rows if r["wave"] == 1], steady_contract("source"))
        write_source(raw, "source_new", [r for r in rows if r["wave"] == 2], steady_contract("source"))
        Place(folder).refresh_here()

    return Place(once("broken", make))


def waves(place: Place, monitor: str) -> Rows:
    rows = place.mart("trend", f"monitor_code = '{monitor}' AND comparison = 'previous_wave'")
    assert {(r["period_code"], r["compare_to_period_code"]) for r in rows} == {("wave-2", "wave-1")}
    assert len(rows) == 2 * (1 + len(SECTORS))  # phone and all channels
    return rows


@pytest.mark.parametrize(("monitor", "changed"), (("risen", "up"), ("fallen", "down"), ("stirred", "none")))
def test_a_change_is_found_and_large_enough(broken: Place, monitor: str, changed: str) -> None:
    """A tenth of a grade is significant here, but channel_rating declares 0.2 as the smallest change."""
    for row in waves(broken, monitor):
        assert row["q_value"] < 0.05
        assert row["smallest_change"] == 0.2
        assert row["diff"] == pytest.approx({"up": 1, "down": -1, "none": 0.1}[changed])
        assert row["changed"] == row["changed_matched"] == changed
        assert row["diff_matched"] == pytest.approx(row["diff"])  # everybody is in both
        assert (row["is_break"], row["break_reason"]) == (False, None)


@pytest.mark.parametrize(
    ("monitor", "reason"),
    (("question", "question"), ("mode", "mode"), ("source", "source"), ("both", "question, mode")),
)
def test_a_break_is_marked_and_not_tested(broken: Place, monitor: str, reason: str) -> None:
    for row in waves(broken, monitor):
        assert (row["is_break"], row["break_reason"], row["obs_status"]) == (True, reason, "b")
        assert row["diff"] == pytest.approx(1)
        assert row["se"] is not None  # how large the step is may be asked; whether customers changed may not
        assert [row[c] for c in ("p_value", "q_value", "p_value_matched", "q_value_matched")] == [None] * 4
        assert row["changed"] == row["changed_matched"] == "untested"
        assert row["family_size"] == row["family_size_matched"] == 0


def test_a_year_is_compared_with_the_year_before(broken: Place) -> None:
    """Waves have no months, but lie in a year; there is no wave, month or quarter right before."""
    rows = broken.mart("trend", "monitor_code = 'risen' AND period_type <> 'wave'")
    found = {(r["comparison"], r["period_code"], r["compare_to_period_code"]) for r in rows}
    assert found == {
        ("previous_year", "2024", "2023"),
        ("year_earlier", "2024-YTD-Q1", "2023-YTD-Q1"),
    }


# --- what must not matter ------------------------------------------------------------------------


@pytest.mark.long
def test_order_of_rows_and_threads_change_no_byte(tmp_path: Path, place: Place) -> None:
    rows = stored_rows()
    random.Random(5).shuffle(rows)
    shuffled = Place(tmp_path)
    write_four(shuffled.raw, rows)
    shuffled.refresh_here(threads=1)
    before, after = place.parquet(), shuffled.parquet()
    names = [f"parquet/mart.{name}.parquet" for name in COMPARED]
    assert [after[name] for name in names] == [before[name] for name in names]
