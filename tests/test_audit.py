"""The audit: planted leaks are found, what is safe passes, and it never claims to know something false.

Nothing here runs the pipeline: small truths are made by hand and the files of a release are written from them, so
that what is hidden is decided by the test alone.
"""

import datetime as dt
import itertools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Place

from pipelines import audit as auditing
from pipelines.audit import Report, outputs
from pipelines.audit.attack import Attack, hidden, newcomers, rests
from pipelines.audit.family import families
from pipelines.audit.system import System
from pipelines.errors import MeetlatError

RULES = {
    "respondents": 10, "organisations": 5, "largest_share": 0.5, "p_percent": 10, "base_rounding": 5,
    "detail_from": 30, "mean_width": 0.1111111, "answers_changed": 10,
}  # fmt: skip
MEASURES = {
    "mean": {"statistic": "mean", "low": 1, "high": 10, "decimals": 1},
    "nps": {"statistic": "nps", "low": -100, "high": 100, "decimals": 0},
    "share": {"statistic": "share", "low": 0, "high": 100, "decimals": 0},
}
SECTORS = {"all": None, "north": "all", "south": "all", "n1": "north", "n2": "north", "s1": "south", "s2": "south"}
QUARTERS = {f"Q{q + 1}": (dt.date(2011, 3 * q + 1, 1), dt.date(2011, 3 * q + 3, 30)) for q in range(4)}
YEAR = {"2011": (dt.date(2011, 1, 1), dt.date(2011, 12, 30))}
ONLY = {"2011": YEAR["2011"]}
FEW, LONE, SECOND = ("C", "respondents"), ("C", "organisations"), ("D", "secondary")

Key = tuple[str, str, str]  # sector, channel, period
Status = tuple[str, str]


@dataclass(frozen=True)
class Answers:
    """Answers of one organisation by one channel in one quarter (or the year, where there are no quarters)."""

    sector: str
    channel: str
    period: str
    grades: tuple[int, ...]  # mean: 1..10; nps: -1, 0 or 1; share: 0 or 1
    organisation: str = "x"
    weight: float = 1.0


@dataclass
class Outputs:
    """What is handed out of a truth, and what is hidden of it."""

    truth: list[Answers]
    hide: Mapping[Key, Status] = field(default_factory=dict)
    own_hide: Mapping[tuple[str, str, str], Status] = field(default_factory=dict)  # organisation, channel, period
    periods: Mapping[str, tuple[dt.date, dt.date]] = field(default_factory=lambda: ONLY)
    statistic: str = "mean"
    rules: Mapping[str, float] = field(default_factory=dict)
    audience: str = "customer"
    participants: tuple[str, ...] = ()
    weighted: bool = False
    release: str = "r1"
    as_of: dt.date = dt.date(2011, 12, 31)
    stands: Mapping[Key, dict[str, Any]] = field(default_factory=dict)  # rows of an earlier release that stand
    repeats: int = 1  # answers a person

    def inside(self, answers: Answers, key: Key) -> bool:
        at: str | None = answers.sector
        while at not in (key[0], None):
            at = SECTORS[at]
        start, end = self.periods[key[2]]
        first, last = (QUARTERS | YEAR)[answers.period]
        return at == key[0] and key[1] in ("all", answers.channel) and start <= first and last <= end

    def cells(self, truth: Iterable[Answers]) -> dict[Key, list[Answers]]:
        keys = itertools.product(SECTORS, ["all", *sorted({a.channel for a in self.truth})], self.periods)
        cells = {key: [a for a in truth if self.inside(a, key)] for key in keys}
        return {key: inside for key, inside in cells.items() if inside}

    def row(self, key: Key, inside: list[Answers], status: Status | None) -> dict[str, Any]:
        grades = [grade for a in inside for grade in a.grades]
        step = int({**RULES, **self.rules}["base_rounding"])
        scale = {"mean": 1, "nps": 100, "share": 100}[self.statistic]
        decimals = int(MEASURES[self.statistic]["decimals"])  # type: ignore[call-overload]
        row: dict[str, Any] = {
            "monitor_code": "monitor", "period_code": key[2], "audience_code": self.audience, "sector_code": key[0],
            "channel_code": key[1], "measure_code": self.statistic, "period_type": "year",
            "period_start": self.periods[key[2]][0], "period_end": self.periods[key[2]][1],
            "is_total": False, "statistic": self.statistic, "unit": "grade",
            "value": None, "n_answers": None, "n_respondents": None, "n_organisations_band": None,
            "ci_low": None, "ci_high": None, "promoters_pct": None, "detractors_pct": None, "obs_status": "A",
            "conf_status": status[0] if status else "F", "suppression_reason": status[1] if status else None,
            "as_of": self.as_of, "as_of_release": self.release, "provenance": "real",
        }  # fmt: skip
        if status is None:
            row["value"] = round(scale * weighted_mean(inside), decimals)
            row["n_answers"] = rounded(len(grades), step)
            row["n_respondents"] = rounded(len(grades) // self.repeats, step)
            if self.statistic == "nps" and len(grades) >= max(40, self.rules.get("detail_from", 0)):
                row["promoters_pct"] = float(round(100 * grades.count(1) / len(grades)))
                row["detractors_pct"] = float(round(100 * grades.count(-1) / len(grades)))
        return row

    def rows(self) -> list[dict[str, Any]]:
        made = {key: self.row(key, inside, self.hide.get(key)) for key, inside in self.cells(self.truth).items()}
        return list((made | dict(self.stands)).values())

    def write(self, folder: Path, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
        """Write the files of the release; `change` may spoil rows of the public table."""
        told = {
            "release_id": self.release, "rules": {**RULES, **self.rules}, "measures": MEASURES, "sectors": SECTORS,
            "weighted": [["monitor", self.audience]] if self.weighted else [], "data_through": str(self.as_of),
        }  # fmt: skip
        (folder / "public" / "parquet").mkdir(parents=True)
        (folder / "public" / "disclosure.json").write_text(json.dumps(told))
        rows = self.rows()
        for row in rows if change else ():
            change(row)  # type: ignore[misc]
        write_rows(folder / "public" / "parquet" / "measure_score.parquet", rows)
        for name in self.participants:
            mine = [a for a in self.truth if a.organisation == name]
            cells = {key: inside for key, inside in self.cells(mine).items() if key[0] == mine[0].sector}
            own = [self.row(key, inside, self.own_hide.get((name, *key[1:]))) for key, inside in cells.items()]
            write_rows(folder / "participants" / name / "own.parquet", own)
        return folder


INTEGERS = ("n_answers", "n_respondents")
DOUBLES = ("value", "ci_low", "ci_high", "promoters_pct", "detractors_pct")
DATES = ("period_start", "period_end", "as_of")


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    kinds = dict.fromkeys(INTEGERS, pa.int64()) | dict.fromkeys(DOUBLES, pa.float64())
    kinds |= dict.fromkeys(DATES, pa.date32()) | {"is_total": pa.bool_()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]])
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)


def weighted_mean(inside: list[Answers]) -> float:
    return sum(a.weight * sum(a.grades) for a in inside) / sum(a.weight * len(a.grades) for a in inside)


def rounded(number: int, step: int) -> int:
    return step * math.floor(number / step + 0.5) if step > 1 else number


def grades(n: int, mean: float = 7, spread: int = 2) -> tuple[int, ...]:
    """So many grades around a mean, always the same."""
    return tuple(int(min(10, max(1, round(mean + spread * math.sin(2.3 * i))))) for i in range(n))


def about(report: Report, **wanted: str) -> list[str]:
    """The findings on a cell, as sentences."""
    return [
        str(f) for f in report.findings
        if f.cell is not None and all(getattr(f.cell, f"{name}_code") == code for name, code in wanted.items())
    ]  # fmt: skip


EXACT = {"base_rounding": 1}


# --- planted leaks -------------------------------------------------------------------------------


def square(sizes: Mapping[tuple[str, str], int], period: str = "2011") -> list[Answers]:
    """Sectors by channels, so many answers in each."""
    return [
        Answers(s, c, period, grades(n, 5 + i % 4)) for i, ((s, c), n) in enumerate(sizes.items()) if n
    ]  # fmt: skip


def full(hole: Mapping[tuple[str, str], int], n: int = 60) -> list[Answers]:
    """A table with 60 answers in each cell but some."""
    sizes = {(s, c): n for s in ("n1", "n2", "s1", "s2") for c in ("email", "phone", "web")}
    return square(sizes | dict(hole))


def test_a_lone_hidden_cell_is_the_total_less_the_others(tmp_path: Path) -> None:
    """One uncovered cell, exact totals: its number and its mean are known."""
    made = Outputs(full({("n1", "email"): 4}), {("n1", "email", "2011"): FEW}, rules=EXACT)
    report = auditing.audit(made.write(tmp_path))
    assert report.failed and report.hidden == 1 and report.held_by_rounding == 1
    (said,) = about(report, sector="n1", channel="email")
    assert "the number of answers of mean of n1 by email in 2011 (monitor, customer) lies between 4 and 4" in said


def test_a_partner_that_is_known_through_the_other_dimension_protects_nothing(tmp_path: Path) -> None:
    made = Outputs(
        full({("n1", "email"): 4}),
        {("n1", "email", "2011"): FEW, ("n1", "phone", "2011"): SECOND},
        rules=EXACT,
    )
    report = auditing.audit(made.write(tmp_path))
    assert about(report, sector="n1", channel="email")
    assert report.recovered_secondary == 1


def test_a_rectangle_of_four_is_safe(tmp_path: Path) -> None:
    hide = {("n1", "email", "2011"): FEW, ("n1", "phone", "2011"): SECOND}
    hide |= {("n2", "email", "2011"): SECOND, ("n2", "phone", "2011"): SECOND}
    report = auditing.audit(Outputs(full({("n1", "email"): 4}), hide, rules=EXACT).write(tmp_path))
    assert not report.failed, report.findings
    assert (report.hidden, report.held_by_rounding, report.recovered_secondary) == (4, 0, 0)
    assert report.checked == 1


def test_a_rectangle_without_enough_in_it_is_not(tmp_path: Path) -> None:
    """All four of one answer: together they are four, so each is at most four."""
    sizes = {(s, c): 1 for s in ("n1", "n2") for c in ("email", "phone")}
    hide = {(s, c, "2011"): FEW for s, c in sizes}
    report = auditing.audit(Outputs(full(sizes), hide, rules=EXACT).write(tmp_path))
    for s, c in sizes:
        assert "the number of answers" in "".join(about(report, sector=s, channel=c))


def test_rounding_covers_a_tiny_cell_beside_two_large_ones(tmp_path: Path) -> None:
    """Bases to 5 and grades to 0.1: the total less its parts says next to nothing of four answers."""
    truth = [Answers("n1", "email", "2011", grades(4))]
    truth += [Answers(s, "email", "2011", grades(4000, m)) for s, m in (("n2", 6), ("s1", 7), ("s2", 8))]
    hide = {("n1", c, "2011"): FEW for c in ("email", "all")}
    report = auditing.audit(Outputs(truth, hide).write(tmp_path))
    assert not report.failed, report.findings
    assert report.held_by_rounding == 2


def test_rounding_does_not_cover_a_large_cell_beside_small_ones(tmp_path: Path) -> None:
    """One dominant organisation of 4,000 beside two visible sectors of 40: known to less than 10 %."""
    truth = [Answers("n1", "email", "2011", grades(4000))]
    truth += [Answers(s, "email", "2011", grades(40, m)) for s, m in (("n2", 6), ("s1", 7))]
    hide = {("n1", c, "2011"): LONE for c in ("email", "all")}
    report = auditing.audit(Outputs(truth, hide).write(tmp_path))
    assert len(about(report, sector="n1")) == 2


@pytest.mark.parametrize("name", ["n_answers", "value", "n_respondents", "ci_low", "promoters_pct"])
def test_a_leftover_in_a_hidden_row_is_a_leak(tmp_path: Path, name: str) -> None:
    def spoil(row: dict[str, Any]) -> None:
        if row["conf_status"] == "C":
            row[name] = 5

    truth = [Answers("n1", "email", "2011", grades(4)), Answers("n2", "email", "2011", grades(4000))]
    made = Outputs(truth, {("n1", c, "2011"): FEW for c in ("email", "all")})
    report = auditing.audit(made.write(tmp_path, spoil))
    assert [name in said for said in about(report, sector="n1", channel="email")] == [True]


def test_a_mean_leaks_through_all_channels(tmp_path: Path) -> None:
    """The cell is hidden, and what all channels say of the same sector is not, with one channel only."""
    truth = [Answers("n1", "email", "2011", grades(30)), *full({})[3:]]
    report = auditing.audit(Outputs(truth, {("n1", "email", "2011"): LONE}).write(tmp_path))
    assert about(report, sector="n1", channel="email")


def test_the_mean_leaks_where_the_number_does_not(tmp_path: Path) -> None:
    """Weights: bases say nothing of values, but a mean of one part is the mean of the whole."""
    truth = [Answers("n1", "email", "2011", grades(30)), *full({})[3:]]
    made = Outputs(truth, {("n1", "email", "2011"): FEW}, weighted=True, repeats=3)
    (said,) = about(auditing.audit(made.write(tmp_path)), sector="n1", channel="email")
    assert "the mean of mean of n1" in said or "number of answers" in said


def test_a_year_less_three_quarters(tmp_path: Path) -> None:
    truth = [replace(a, period=q) for q in QUARTERS for a in full({("n1", "email"): 4 if q == "Q2" else 60})]
    hide = {("n1", "email", "Q2"): FEW}
    hide |= {(s, c, "Q2"): SECOND for s in ("n1", "n2") for c in ("email", "phone")} | hide
    made = Outputs(truth, hide, periods=YEAR | QUARTERS, rules=EXACT)
    assert about(auditing.audit(made.write(tmp_path / "a")), sector="n1", channel="email", period="Q2")
    hide |= {(s, c, "Q3"): SECOND for s in ("n1", "n2") for c in ("email", "phone")}
    report = auditing.audit(replace(made, hide=hide).write(tmp_path / "b"))
    assert not report.failed, report.findings


def two_members() -> Outputs:
    """n1 holds two organisations by e-mail and only the larger by phone; n2 hardly anybody by phone."""
    truth = [
        Answers("n1", "email", "2011", grades(300), "big"),
        Answers("n1", "phone", "2011", grades(500, 6), "big"),
        Answers("n1", "email", "2011", grades(200, 8), "small"),
        Answers("n2", "email", "2011", grades(900, 5), "many"),
        Answers("n2", "phone", "2011", grades(20, 7), "many"),
    ]
    hide = {(s, c, "2011"): LONE for s in ("n1", "n2") for c in ("email", "phone")}
    return Outputs(truth, hide, participants=("big",))


def test_a_participant_subtracts_itself_from_a_cell_of_two(tmp_path: Path) -> None:
    """An outsider does not know how n1 divides over e-mail and phone; the one who is all of phone does."""
    made = two_members()
    report = auditing.audit(replace(made, participants=()).write(tmp_path / "a"))
    assert not report.failed, report.findings
    report = auditing.audit(made.write(tmp_path / "b"))
    said = about(report, sector="n1", channel="email")
    assert said and all("big sees" in s and "the others" in s for s in said)


def test_two_participants_put_theirs_together_in_employee_data(tmp_path: Path) -> None:
    """The larger organisation of before is two: neither alone knows enough, together they do."""
    made = two_members()
    parts = [
        replace(a, organisation=name, grades=a.grades[i::2]) for a in made.truth for i, name in ((0, "one"), (1, "two"))
        if a.organisation == "big"
    ]  # fmt: skip
    truth = [*parts, *(a for a in made.truth if a.organisation != "big")]
    made = replace(made, truth=truth, participants=("one", "two"), audience="employee")
    said = about(auditing.audit(made.write(tmp_path / "a")), sector="n1", channel="email")
    assert said and all("one with two" in s for s in said)
    assert not auditing.audit(replace(made, audience="customer").write(tmp_path / "b")).failed


def test_a_participant_alone_in_a_cell_learns_of_nobody(tmp_path: Path) -> None:
    """A cell of one organisation: what it knows of it are its own figures."""
    truth = [Answers("n1", "email", "2011", grades(50), "alone"), *full({})[1:]]
    hide = {("n1", "email", "2011"): LONE, ("n1", "phone", "2011"): SECOND}
    hide |= {("n2", "email", "2011"): SECOND, ("n2", "phone", "2011"): SECOND}
    made = Outputs(truth, hide, participants=("alone",), rules=EXACT)
    report = auditing.audit(made.write(tmp_path))
    assert not about(report, sector="n1"), report.findings


def test_a_participant_may_not_recover_its_own_hidden_cells(tmp_path: Path) -> None:
    """What its own people answered is hidden from it too."""
    truth = [Answers("n1", c, "2011", grades(n), "me") for c, n in (("email", 4), ("phone", 60), ("web", 60))]
    truth += [replace(a, organisation="other") for a in full({})]
    made = Outputs(truth, own_hide={("me", "email", "2011"): FEW}, participants=("me",), rules=EXACT)
    report = auditing.audit(made.write(tmp_path))
    assert [f.output for f in report.findings] == ["participants/me"]


def test_a_newcomer_between_two_releases(tmp_path: Path) -> None:
    """Five answers more in a row of twelve, exact bases: their mean is known to half a grade."""
    small = full({("n1", "email"): 12})
    before = Outputs(small, rules=EXACT)
    came = Answers("n1", "email", "2011", (1, 2, 1, 2, 1))
    after = replace(before, truth=[*small, came], release="r2", as_of=dt.date(2012, 1, 1))
    old, new = before.write(tmp_path / "r1"), after.write(tmp_path / "r2")
    assert not auditing.audit(new).failed
    report = auditing.audit(new, [old])
    assert any("newcomers" in said for said in about(report, sector="n1", channel="email"))
    assert any(f.what.endswith("newcomers") for f in auditing.news(report.findings, [old]))
    # once both are out, a third that says the same tells no news
    stands = {(r["sector_code"], r["channel_code"], r["period_code"]): r for r in after.rows()}
    third = replace(after, stands=stands, release="r3", as_of=dt.date(2012, 1, 2)).write(tmp_path / "r3")
    report = auditing.audit(third, [old, new])
    assert any("newcomers" in said for said in about(report, sector="n1", channel="email"))
    assert not auditing.news(report.findings, [old, new])


def test_a_cell_hidden_after_it_was_shown_is_no_news_but_its_neighbour_is(tmp_path: Path) -> None:
    """What stood in a release cannot be taken back; what its figures give away together with those of now can."""
    shown = Outputs(full({}), rules=EXACT).write(tmp_path / "shown")
    hide = {(s, "email", "2011"): LONE for s in ("n1", "n2")}
    later = {"release": "r2", "as_of": dt.date(2012, 1, 1)}
    both = Outputs(full({}), hide, rules=EXACT, **later).write(tmp_path / "both")  # type: ignore[arg-type]
    report = auditing.audit(both, [shown])
    assert about(report, sector="n1", channel="email") and not auditing.news(report.findings, [shown])
    # a small cell that was hidden from the first, each time between other neighbours: together they show it
    rectangles = [
        {(s, c, "2011"): SECOND for s in ("n1", "n2") for c in ("email", other)} | {("n1", "email", "2011"): FEW}
        for other in ("phone", "web")
    ]
    before = Outputs(full({("n1", "email"): 4}), rectangles[0], rules=EXACT)
    first = before.write(tmp_path / "first")
    second = replace(before, hide=rectangles[1], **later).write(tmp_path / "second")  # type: ignore[arg-type]
    assert not auditing.audit(first).failed and not auditing.audit(second).failed
    report = auditing.audit(second, [first])
    assert {(f.cell.sector_code, f.cell.channel_code) for f in auditing.news(report.findings, [first]) if f.cell} == {
        ("n1", "email")
    }


def test_a_row_that_stands_tells_nothing_of_newcomers(tmp_path: Path) -> None:
    """Twelve came to one cell, bases to 5: the rows that hold them say so, the others stand."""
    before = Outputs(full({}))
    old = before.write(tmp_path / "r1")
    came = Answers("n1", "email", "2011", grades(12, 4))
    after = replace(before, truth=[*full({}), came], release="r2", as_of=dt.date(2012, 1, 1))
    stood = {(r["sector_code"], r["channel_code"], r["period_code"]): r for r in before.rows()}
    after = replace(after, stands={key: row for key, row in stood.items() if not after.inside(came, key)})
    report = auditing.audit(after.write(tmp_path / "r2"), [old])
    assert not report.failed, report.findings
    assert report.checked


def test_what_passed_is_not_attacked_again_and_a_leak_beside_it_is_found(tmp_path: Path) -> None:
    """Two quarters that no period connects: one stands as it was, the other gives a hidden cell away in the end."""
    apart = {name: QUARTERS[name] for name in ("Q1", "Q3")}

    def hidden_in(period: str, channels: tuple[str, ...]) -> dict[Key, Status]:
        beside = {(s, c, period): SECOND for s in ("n1", "n2") for c in channels}
        return beside | {("n1", "email", period): FEW}

    def quarter(period: str) -> list[Answers]:
        return [replace(a, period=period, organisation=f"o{i}") for i, a in enumerate(full({("n1", "email"): 4}))]

    hide = hidden_in("Q1", ("email", "phone")) | hidden_in("Q3", ("email", "phone"))
    made = Outputs([*quarter("Q1"), *quarter("Q3")], hide, periods=apart, participants=("o3",), rules=EXACT)
    old = made.write(tmp_path / "old")
    first = auditing.audit(old)
    assert not first.failed and len(first.passed) == 2 and first.checked

    stands = {(r["sector_code"], r["channel_code"], r["period_code"]): r for r in made.rows()}
    same = replace(made, stands=stands, release="r2").write(tmp_path / "same")
    first = auditing.audit(same, [old], passed=first.passed)  # where participants have news
    assert not first.failed and len(first.passed) == 2 and first.checked
    still = replace(made, stands=stands, release="r2").write(tmp_path / "still")
    again = auditing.audit(still, [old, same], passed=first.passed)
    assert again.passed == first.passed and not again.checked
    nobody = replace(made, participants=()).write(tmp_path / "nobody")
    night = replace(made, participants=(), stands=stands, release="r2").write(tmp_path / "night")
    assert not auditing.audit(night, [nobody], passed=auditing.audit(nobody).passed).checked
    assert auditing.audit(still, [old, same]).checked == first.checked

    in_q1 = {key: row for key, row in stands.items() if key[2] == "Q1"}
    bare = replace(made, hide=hidden_in("Q1", ("email", "phone")) | {("n1", "email", "Q3"): FEW}, stands=in_q1)
    news = replace(bare, release="r2").write(tmp_path / "news")
    report = auditing.audit(news, passed=first.passed)
    assert about(report, sector="n1", channel="email", period="Q3") and not about(report, period="Q1")
    assert len(report.passed) == 1 and set(report.passed) < set(first.passed)
    everything = auditing.audit(news)
    assert {str(f) for f in everything.findings} == {str(f) for f in report.findings}

    richer = [
        replace(a, grades=(*a.grades, 9)) if (a.organisation, a.period) == ("o3", "Q1") else a for a in made.truth
    ]
    own = replace(made, truth=richer, stands=stands, release="r2").write(tmp_path / "own")
    report = auditing.audit(own, passed=first.passed)  # of all rows, only what o3 has of its own is otherwise
    assert report.checked and len(report.passed) == 2 and len({*report.passed, *first.passed}) == 3


def test_answers_taken_back_are_a_note_and_no_finding(tmp_path: Path) -> None:
    hide = {(s, c, "2011"): SECOND for s in ("n1", "n2") for c in ("email", "phone")} | {("n1", "email", "2011"): FEW}
    before = Outputs(full({("n1", "email"): 4}), hide, rules=EXACT)
    after = replace(
        before, truth=full({("n1", "email"): 4, ("s2", "web"): 40}), release="r2", as_of=dt.date(2012, 1, 1)
    )
    report = auditing.audit(after.write(tmp_path / "r2"), [before.write(tmp_path / "r1")])
    assert not report.failed, report.findings
    assert "taken back" in report.notes[0]


@pytest.mark.parametrize("leaks", [False, True])
def test_answers_taken_back_while_other_figures_stand(tmp_path: Path, leaks: bool) -> None:
    """Five went from every cell of the south: these stand, their sums do not. What is hidden elsewhere is attacked."""
    hide = {("n1", "email", "2011"): FEW}
    if not leaks:
        hide |= {(s, c, "2011"): SECOND for s in ("n1", "n2") for c in ("email", "phone") if (s, c) != ("n1", "email")}
    before = Outputs(full({("n1", "email"): 4}), hide, rules=EXACT)
    fewer = [replace(a, grades=a.grades[5:]) if a.sector in ("s1", "s2") else a for a in before.truth]
    stood = {(r["sector_code"], r["channel_code"], r["period_code"]): r for r in before.rows()}
    stands = {key: row for key, row in stood.items() if key[0] in ("s1", "s2") and key[1] != "all"}
    after = replace(before, truth=fewer, release="r2", stands=stands)
    old = before.write(tmp_path / "r1")
    new = after.write(tmp_path / "r2")
    for earlier in ([], [old]):
        report = auditing.audit(new, earlier)
        assert {f.cell.sector_code if f.cell else f.what for f in report.findings} == ({"n1"} if leaks else set())
        assert "taken back" in report.notes[0]


# --- plain leaks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_answers": 61}, "n_answers is not rounded to 5"),
        ({"value": 7.12}, "value has more than 1 decimals"),
        ({"n_respondents": 5}, "at most 7 people answered"),
        ({"n_respondents": 25, "ci_low": 6.0}, "ci_low is shown for at most 27 people"),
        ({"n_organisations_band": "2-4"}, "as few as 2 organisations"),
        ({"conf_status": "C", "suppression_reason": "respondents"}, "value stands in the hidden row"),
        ({"value": None}, "value is missing and no reason is given"),
    ],
)
def test_rows_that_break_the_rules(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    def spoil(row: dict[str, Any]) -> None:
        if (row["sector_code"], row["channel_code"]) == ("n1", "email"):
            row.update(change)

    report = auditing.audit(Outputs(full({})).write(tmp_path, spoil))
    assert any(said in finding for finding in about(report, sector="n1", channel="email"))


@pytest.mark.parametrize(("width", "told"), [(0.0, True), (0.2, False)])
def test_an_interval_without_width_tells_of_a_hidden_part(tmp_path: Path, width: float, told: bool) -> None:
    """Where all organisations say the same, so does the one that is hidden."""

    def spoil(row: dict[str, Any]) -> None:
        row["n_organisations_band"] = "5-9" if row["conf_status"] == "F" else None
        if row["sector_code"] == "all" and row["conf_status"] == "F":
            row["ci_low"], row["ci_high"] = row["value"] - width, row["value"] + width

    truth = [Answers(s, "email", "2011", grades(15)) for s in ("n1", "n2")]
    hidden = {(s, c, "2011"): ("C", "organisations") for s in ("n1", "n2") for c in ("email", "all")}
    report = auditing.audit(Outputs(truth, hidden).write(tmp_path, spoil))
    assert any("so narrow" in finding for finding in about(report, sector="n1", channel="email")) is told


def test_figures_that_contradict_each_other_are_a_finding(tmp_path: Path) -> None:
    def spoil(row: dict[str, Any]) -> None:
        if (row["sector_code"], row["channel_code"]) == ("all", "all"):
            row["n_answers"] = row["n_respondents"] = 50

    report = auditing.audit(Outputs(full({}), {("n1", "email", "2011"): LONE}).write(tmp_path, spoil))
    assert "contradict each other" in str(report.findings[0])


def test_a_release_without_outputs_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(MeetlatError, match="has no public/ folder"):
        auditing.audit(tmp_path)


# --- what is claimed is true ---------------------------------------------------------------------


def bounded(folder: Path) -> tuple[System, Attack]:
    release = outputs.read(folder)
    told = (release.rules, release.measures, release.weighted, release.parents)
    (family,) = families("public", *told, [release.public])
    system = System(family)
    attack = Attack(system, list(hidden(system, "an outsider")))
    assert attack.is_possible
    for target in attack.targets:
        attack.exactly(target)
    return system, attack


def random_outputs(rng: np.random.Generator, statistic: str) -> Outputs:
    """A random truth; what is small is hidden, and some that is not."""
    possible = {"mean": np.arange(1, 11), "nps": np.array([-1, 0, 1]), "share": np.array([0, 1])}[statistic]
    truth = [
        Answers(s, c, q, tuple(int(g) for g in rng.choice(possible, n)))
        for s in ("n1", "n2", "s1", "s2")
        for c in ("email", "phone", "web")
        for q in QUARTERS
        if (n := int(rng.lognormal(2.5, 1.5)))
    ]
    made = Outputs(
        truth, periods=YEAR | QUARTERS, statistic=statistic, rules={"base_rounding": int(rng.choice([1, 5]))},
        repeats=int(rng.choice([1, 2])),
    )  # fmt: skip
    hide = {}
    for key, inside in made.cells(truth).items():
        n = sum(len(a.grades) for a in inside)
        if n // made.repeats < 10:
            hide[key] = FEW
        elif rng.random() < 0.1:
            hide[key] = SECOND if rng.random() < 0.7 else LONE
    made.hide = hide
    return made


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("statistic", ["mean", "nps", "share"])
@pytest.mark.parametrize("seed", range(3))
def test_the_truth_lies_in_every_interval(tmp_path: Path, statistic: str, seed: int, weighted: bool) -> None:
    rng = np.random.default_rng([seed, len(statistic)])
    made = random_outputs(rng, statistic)
    if weighted:
        truth = [replace(a, weight=float(rng.lognormal(0, 1))) for a in made.truth]
        made = replace(made, truth=truth, weighted=True, rules={**made.rules, "detail_from": 10**6})
    _, attack = bounded(made.write(tmp_path))
    cells = made.cells(made.truth)
    scale = 1 if statistic == "mean" else 100
    assert attack.targets
    for target in attack.targets:
        cell = target.row.cell
        inside = cells[cell.sector_code, cell.channel_code, cell.period_code]
        assert target.n.low <= sum(len(a.grades) for a in inside) <= target.n.high, cell
        assert target.mean.low <= scale * weighted_mean(inside) <= target.mean.high, cell


def random_chain(rng: np.random.Generator, folder: Path, nights: int = 3) -> tuple[list[Path], list[Outputs]]:
    """Releases that each add some answers and keep the rule on time; two organisations see their own figures."""
    truth = [
        Answers(s, c, q, tuple(int(g) for g in rng.integers(1, 11, n)), f"{o}-{s}")
        for s in ("n1", "n2", "s1")
        for c in ("email", "phone")
        for q in ("Q1", "Q2")
        for o in ("x", "y", "z")
        if (n := int(rng.lognormal(2, 1.2)))
    ]
    step = int(rng.choice([1, 5]))
    before: dict[Key, tuple[int, dict[str, Any]]] = {}
    folders, made = [], []
    for night in range(nights):
        if night:
            more = rng.choice(len(truth), int(rng.integers(2, 6)), replace=False)
            for i in more:
                came = tuple(int(g) for g in rng.integers(1, 11, int(rng.integers(1, 15))))
                truth[i] = replace(truth[i], grades=truth[i].grades + came)
        one = Outputs(
            list(truth), periods=YEAR | QUARTERS, rules={"base_rounding": step}, release=f"r{night}",
            as_of=dt.date(2011, 12, 1) + dt.timedelta(night), participants=("x-n1", "y-n1"),
        )  # fmt: skip
        sizes = {key: sum(len(a.grades) for a in inside) for key, inside in one.cells(truth).items()}
        hide = {key: FEW if n < 10 else LONE for key, n in sizes.items() if n < 10 or rng.random() < 0.2}
        stands = {
            key: row for key, (n, row) in before.items()
            if key not in hide and row["conf_status"] == "F" and sizes[key] - n < 10
        }  # fmt: skip
        own = {}
        for name in one.participants:
            mine = [a for a in truth if a.organisation == name]
            counts = {key: sum(len(a.grades) for a in inside) for key, inside in one.cells(mine).items()}
            own |= {(name, *key[1:]): FEW for key, n in counts.items() if n < 10 and key[0] == mine[0].sector}
        one = replace(one, hide=hide, stands=stands, own_hide=own)
        for row in one.rows():
            key = row["sector_code"], row["channel_code"], row["period_code"]
            if key not in stands:
                before[key] = sizes[key], row
        folders.append(one.write(folder / one.release))
        made.append(one)
    return folders, made


@pytest.mark.parametrize(("seed", "nights"), [(0, 3), (1, 3), (2, 3), (3, 5), (4, 5), (5, 5)])
def test_the_truth_lies_in_every_interval_of_a_chain(tmp_path: Path, seed: int, nights: int) -> None:
    """Over several releases, as an outsider and as two participants alone and together."""
    folders, made = random_chain(np.random.default_rng(seed), tmp_path, nights)
    releases = [outputs.read(folder) for folder in folders]
    now = releases[-1]
    told = (now.rules, now.measures, now.weighted, now.parents)
    tables = [r.public for r in releases]
    (family,) = families("public", *told, tables, [r for rows in now.participants.values() for r in rows])
    assert len(family.epochs) == 3

    def grades_of(at: int, row: outputs.Row, without: tuple[str, ...] = ()) -> list[int]:
        cell = row.cell
        inside = made[at].cells(made[at].truth)[cell.sector_code, cell.channel_code, cell.period_code]
        return [g for a in inside if a.organisation not in without for g in a.grades]

    found: set[str] = set()
    for who in ((), ("x-n1",), ("x-n1", "y-n1")):
        own = tuple(tuple(now.participants[name]) for name in who)
        system = System(family, own)
        targets = [*hidden(system, "a"), *newcomers(system, "a"), *(rests(system, own, "a") if own else ())]
        attack = Attack(system, targets)
        assert attack.is_possible
        for target in attack.targets:
            attack.exactly(target)
            inside = grades_of(-1, target.row, who if target.what == "the others" else ())
            if target.what == "newcomers":
                since, until = target.epochs
                names = [int(name[1:]) for name in family.epochs]
                inside = grades_of(names[until], target.row)
                old = grades_of(names[since], target.row)
                n, total = len(inside) - len(old), sum(inside) - sum(old)
            else:
                n, total = len(inside), sum(inside)
            found.add(target.what)
            assert target.n.low <= n <= target.n.high, target
            if n:
                assert target.mean.low <= total / n <= target.mean.high, target
    assert found == {"cell", "newcomers", "the others"}


@pytest.mark.parametrize("seed", range(6))
def test_nothing_that_can_be_lies_outside(tmp_path: Path, seed: int) -> None:
    """Tables of whole answers that would be published the same, by enumeration."""
    rng = np.random.default_rng(seed)
    sizes = {(s, c): int(rng.integers(2, 5)) for s in ("n1", "s1") for c in ("email", "phone")}
    sizes["n1", "phone"], sizes["s1", "email"] = 5 - sizes["n1", "email"] + 1, 3
    sizes["n1", "email"], sizes["s1", "phone"] = max(sizes["n1", "email"], 2), 4
    truth = [Answers(s, c, "2011", tuple(int(g) for g in rng.integers(1, 4, n))) for (s, c), n in sizes.items()]
    hide = {(s, c, "2011"): FEW for s, c in sizes} | {("north", c, "2011"): FEW for c in ("email", "phone")}
    hide |= {("south", c, "2011"): FEW for c in ("email", "phone")}
    made = Outputs(truth, hide, rules={"base_rounding": 2, "respondents": 5, "mean_width": 0.2})
    shown = {k: v for k, v in made.cells(truth).items() if k not in hide}
    _, attack = bounded(made.write(tmp_path))
    published = {k: made.row(k, v, None) for k, v in shown.items()}
    possible = [(n, t) for n in range(1, 5) for t in range(n, 10 * n + 1)]
    where = list(sizes)
    found: dict[tuple[str, str], list[tuple[int, int]]] = {key: [] for key in where}
    for rows in _fitting(where, possible, published):
        for key, pair in zip(where, rows, strict=True):
            found[key].append(pair)
    for target in attack.targets:
        key = (target.row.cell.sector_code, target.row.cell.channel_code)
        if key not in found:
            continue
        assert found[key]
        assert target.n.low <= min(n for n, _ in found[key]) and max(n for n, _ in found[key]) <= target.n.high
        assert target.mean.low <= min(t / n for n, t in found[key])
        assert max(t / n for n, t in found[key]) <= target.mean.high


def _fitting(
    where: list[tuple[str, str]], possible: list[tuple[int, int]], published: dict[Key, dict[str, Any]]
) -> Iterable[tuple[tuple[int, int], ...]]:
    """All tables of four cells whose shown sums come out as published; the first two are one sector."""

    def fits(pairs: Iterable[tuple[int, int]], key: Key) -> bool:
        if key not in published:
            return True
        n, total = map(sum, zip(*pairs, strict=True))
        row = published[key]
        return n >= 5 and abs(n - row["n_answers"]) <= 1 and abs(total / n - row["value"]) <= 0.05 + 1e-9

    halves = {}
    for sector, top in (("n1", "north"), ("s1", "south")):
        pairs = itertools.product(possible, possible)
        halves[sector] = [p for p in pairs if fits(p, (sector, "all", "2011")) and fits(p, (top, "all", "2011"))]
    rng = np.random.default_rng(0)
    for sector in halves:  # a random part of them, in fixed order, keeps it short
        if len(halves[sector]) > 1200:
            halves[sector] = [halves[sector][i] for i in sorted(rng.choice(len(halves[sector]), 1200, replace=False))]
    assert where == [("n1", "email"), ("n1", "phone"), ("s1", "email"), ("s1", "phone")]
    for north in halves["n1"]:
        for south in halves["s1"]:
            whole = (*north, *south)
            if (
                fits(whole, ("all", "all", "2011"))
                and fits((north[0], south[0]), ("all", "email", "2011"))
                and fits((north[1], south[1]), ("all", "phone", "2011"))
            ):
                yield whole


def test_it_shares_no_code_with_what_it_audits() -> None:
    """Of Meetlat it imports its own modules and the errors."""
    code = "import sys, pipelines.audit; print(*sorted(m for m in sys.modules if m.startswith('pipelines.')))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = [m for m in ran.stdout.split() if m != "pipelines.errors" and not m.startswith("pipelines.audit")]
    assert others == []


# --- the command ---------------------------------------------------------------------------------


def test_the_command_says_what_it_found(place: Place, tmp_path: Path) -> None:
    ran = place.meetlat("audit")
    assert ran.returncode == 1 and "no release" in ran.stderr
    hide = {("n1", "email", "2011"): FEW}
    leaking = Outputs(full({("n1", "email"): 4}), hide, rules=EXACT).write(tmp_path / "leaking")
    ran = place.meetlat("audit", str(leaking))
    assert ran.returncode == 1 and "the number of answers of mean of n1 by email" in ran.stdout
    releases = place.warehouse / "releases"
    hide |= {("n1", "phone", "2011"): SECOND, ("n2", "email", "2011"): SECOND, ("n2", "phone", "2011"): SECOND}
    Outputs(full({("n1", "email"): 4}), hide, rules=EXACT).write(releases / "safe")
    (releases / "empty").mkdir()
    for name in ("safe", "empty"):
        (releases / name / "publication.json").write_text('{"published_at": "2011-12-31T04:15:00+00:00"}')
    for name in ("safe", "sa"):
        ran = place.meetlat("audit", name)
        assert ran.returncode == 0 and "Nothing hidden can be known too well." in ran.stdout
    ran = place.meetlat("audit", "empty")
    assert ran.returncode == 1 and "has no public/ folder" in ran.stderr
    ran = place.meetlat("audit", "nowhere")
    assert ran.returncode == 1 and "There is no release nowhere" in ran.stderr
