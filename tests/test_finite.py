"""Samples drawn from a known number of organisations, some of which move to another stratum: by hand, from the rows.

Size classes are the strata, and `sampled_from` says how many organisations each has. Between the years and again in the
summer of 2024 some organisations move. All answers of 2024 are of its first quarter, so that year and quarter hold the
same answers, and differ in the strata of their last day.
"""

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Once, Place
from designs import CHANNELS, Design, Organisation, write_raw

DRAWN_FROM = {"small": 9, "medium": 30, "large": 14}
SECTORS = ("cities", "schools", "shops")
SIZES = ("small", "medium", "large")
QUARTERS = {"2023-Q4": ("2023-10", "2023-11"), "2024-Q1": ("2024-01", "2024-02", "2024-03")}
LAST_DAY = {"2023-Q4": date(2023, 12, 31), "2023": date(2023, 12, 31), "2024-Q1": date(2024, 3, 31)}
LAST_DAY |= {"2024": date(2024, 12, 31), "2024-01": date(2024, 1, 31), "2024-02": date(2024, 2, 29)}
# organisation: the day on which it moves, and to which size
MOVES = {
    3: (date(2024, 1, 1), "medium"), 7: (date(2024, 1, 1), "large"), 1: (date(2024, 7, 1), "large"),
    5: (date(2024, 7, 1), "small"), 9: (date(2024, 7, 1), "medium"),
}  # fmt: skip
ONLY = {0: "2023", 2: "2024", 11: "2023", 13: "2024"}  # who took part in one year only
FRACTIONS = pytest.mark.parametrize("name", ("drawn", "pooled"))

Answer = dict[str, Any]


def code(i: int) -> str:
    return f"o{i:02}"


def stratum(name: str, i: int, period: str) -> str:
    if name == "pooled":
        return "all"
    day, size = MOVES.get(i, (date.max, ""))
    return size if day <= LAST_DAY[period] else SIZES[i % 3]


def answers() -> list[Answer]:
    rng = np.random.default_rng(20240101)
    made = []
    for i in range(17):
        level = rng.normal(7, 0.8)
        for month in (m for months in QUARTERS.values() for m in months if m.startswith(ONLY.get(i, "20"))):
            for _ in range(int(rng.integers(2, 7))):
                grade = float(np.clip(np.round(2 * rng.normal(level, 1.4)) / 2, 1, 10))
                made.append(
                    {"i": i, "sector": SECTORS[i % 5 % 3], "month": month, "channel": str(rng.choice(CHANNELS[:2]))}
                    | {"w": round(float(rng.uniform(0.3, 3)), 3), "y": grade}
                )
    return made


def surveys() -> list[Design]:
    rows = [
        {"response": f"r{k}", "organisation": code(a["i"]), "channel": a["channel"], "day": f"{a['month']}-02"}
        | {"weight": f"{a['w']:.3f}", "grade": f"{a['y']:g}"}
        for k, a in enumerate(answers())
    ]
    organisations = [Organisation(code(i), SECTORS[i % 5 % 3], SIZES[i % 3]) for i in range(17)]
    named = ("response", "organisation", "channel", "day", "weight")
    return [
        Design("drawn", organisations, rows, {"grade": "grade"}, "organisation", "size_class", DRAWN_FROM, named=named),
        Design("pooled", organisations, rows, {"grade": "grade"}, "organisation", None, {"all": 40}, named=named),
    ]


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of both. Only to look at."""

    def make(folder: Path) -> None:
        write_raw(folder / "raw", surveys())
        with (folder / "raw" / "reference" / "organisations.csv").open("a", newline="") as file:
            for i, (day, size) in MOVES.items():
                moved = (code(i), code(i), code(i), SECTORS[i % 5 % 3], size, "NL", day.isoformat())
                csv.writer(file, lineterminator="\n").writerow(moved)
        Place(folder).refresh_here()

    return Place(once("finite", make))


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


# --- by hand -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Domain:
    period: str
    sector: str = "all"
    channel: str = "all"

    def inside(self) -> Callable[[Answer], bool]:
        above = {"public": ("cities", "schools"), "all": SECTORS}.get(self.sector, (self.sector,))
        return lambda a: in_period(a, self.period) and a["sector"] in above and self.channel in ("all", a["channel"])


def in_period(a: Answer, period: str) -> bool:
    return a["month"] in QUARTERS.get(period, ()) or a["month"].startswith(period)


def linearised(chosen: list[Answer], score: Callable[[float], float] = float) -> tuple[float, dict[int, float]]:
    """R, and z_i of the organisations that have one."""
    total = math.fsum(a["w"] for a in chosen)
    r = math.fsum(a["w"] * score(a["y"]) for a in chosen) / total
    z: dict[int, float] = {}
    for a in chosen:
        z[a["i"]] = z.get(a["i"], 0.0) + a["w"] * (score(a["y"]) - r) / total
    return r, z


def error(name: str, periods: Iterable[str], d: dict[int, float]) -> float:
    """Of what organisations add up to: strata of the last of the periods that an organisation took part in."""
    strata: dict[str, list[float]] = {}
    latest = {a["i"]: period for period in periods for a in answers() if in_period(a, period)}
    for i, period in latest.items():
        strata.setdefault(stratum(name, i, period), []).append(d.get(i, 0.0))
    variance = 0.0
    for code_, each in strata.items():
        m, drawn_from = len(each), 40 if name == "pooled" else DRAWN_FROM[code_]
        assert 1 < m <= drawn_from
        variance += (1 - m / drawn_from) * m / (m - 1) * math.fsum((x - math.fsum(each) / m) ** 2 for x in each)
    return math.sqrt(variance)


def difference(name: str, a: Domain, b: Domain, *, rest: bool = False) -> tuple[float, float]:
    """A less B, or less what B has beside A, with its error."""
    in_a, in_b = a.inside(), b.inside()
    r, z = linearised([x for x in answers() if in_a(x)])
    q, v = linearised([x for x in answers() if in_b(x) and not (rest and in_a(x))])
    d = {i: z.get(i, 0.0) - v.get(i, 0.0) for i in z.keys() | v.keys()}
    return r - q, error(name, dict.fromkeys((b.period, a.period)), d)


# --- strata of the last day ----------------------------------------------------------------------


def test_organisations_move_between_the_quarter_and_the_end_of_its_year() -> None:
    took_part = {a["i"] for a in answers() if in_period(a, "2024")}
    assert took_part == {a["i"] for a in answers() if in_period(a, "2024-Q1")}
    moved = [i for i in took_part if stratum("drawn", i, "2024") != stratum("drawn", i, "2024-Q1")]
    assert len(moved) == 3


@FRACTIONS
@pytest.mark.parametrize("period", ("2023", "2023-Q4", "2024-01", "2024-Q1", "2024"))
def test_a_period_has_the_strata_of_its_last_day(place: Place, name: str, period: str) -> None:
    """Also where another period holds the same answers and ends on another day."""
    found = place.mart(
        "measure_score",
        f"monitor_code = '{name}' AND period_code = '{period}' AND measure_code = 'grade'",
    )
    assert len(found) >= 10
    for row in found:
        domain = Domain(period, row["sector_code"], row["channel_code"])
        inside = domain.inside()
        r, z = linearised([a for a in answers() if inside(a)])
        assert row["value"] == near(r)
        if row["se"] is not None:
            assert row["se"] == near(error(name, [period], z)), domain


@FRACTIONS
@pytest.mark.parametrize("period", ("2024-Q1", "2024"))
def test_a_quantile_has_them_too(place: Place, name: str, period: str) -> None:
    inside = Domain(period).inside()
    found = place.mart(
        "score_quantile",
        f"monitor_code = '{name}' AND period_code = '{period}' AND sector_code = 'all' AND channel_code = 'all'",
    )
    assert len(found) == 5
    for row in found:
        q = row["value"]
        share, z = linearised([a for a in answers() if inside(a)], lambda y, q=q: 100.0 * (y <= q))  # type: ignore[misc]
        assert row["cumulative_share"] == near(share)
        assert row["se_cumulative_share"] == near(error(name, [period], z))


# --- differences ---------------------------------------------------------------------------------


@FRACTIONS
@pytest.mark.parametrize("period", ("2024-Q1", "2024", "2024-02"))
def test_periods(place: Place, name: str, period: str) -> None:
    """The sample is that of both; an organisation is in its stratum of the later, and was drawn from that."""
    before = {"2024-Q1": "2023-Q4", "2024": "2023", "2024-02": "2024-01"}[period]
    found = place.mart(
        "trend",
        f"monitor_code = '{name}' AND period_code = '{period}' "
        f"AND compare_to_period_code = '{before}' AND measure_code = 'grade'",
    )
    assert len(found) >= 10
    for row in found:
        place_ = (row["sector_code"], row["channel_code"])
        a, b = Domain(period, *place_), Domain(before, *place_)
        diff, se = difference(name, a, b)
        assert row["diff"] == near(diff)
        assert row["se"] == near(se), place_
        in_a, in_b = a.inside(), b.inside()
        both = {x["i"] for x in answers() if in_a(x)} & {x["i"] for x in answers() if in_b(x)}
        r, z = linearised([x for x in answers() if in_a(x) and x["i"] in both])
        q, v = linearised([x for x in answers() if in_b(x) and x["i"] in both])
        assert row["diff_matched"] == near(r - q)
        if row["se_matched"] is not None:
            d = {i: z[i] - v[i] for i in both}
            assert row["se_matched"] == near(error(name, (before, period), d)), place_


@FRACTIONS
@pytest.mark.parametrize("period", ("2024-Q1", "2024"))
def test_sectors(place: Place, name: str, period: str) -> None:
    found = place.mart(
        "sector_comparison",
        f"monitor_code = '{name}' AND period_code = '{period}' AND measure_code = 'grade'",
    )
    assert len(found) >= 20 and {row["comparison"] for row in found} == {"rest", "total"}
    for row in found:
        a, b = Domain(period, row["sector_code"], row["channel_code"]), Domain(period, "all", row["channel_code"])
        diff, se = difference(name, a, b, rest=row["comparison"] == "rest")
        assert row["diff"] == near(diff)
        if row["se"] is not None:
            assert row["se"] == near(se), (a, row["comparison"])


@FRACTIONS
@pytest.mark.parametrize("period", ("2024-Q1", "2024"))
def test_channels(place: Place, name: str, period: str) -> None:
    found = place.mart(
        "channel_comparison",
        f"monitor_code = '{name}' AND period_code = '{period}' AND measure_code = 'grade'",
    )
    assert len(found) >= 4
    for row in found:
        a = Domain(period, row["sector_code"], row["channel_code"])
        b = Domain(period, row["sector_code"], row["compare_to_channel_code"])
        diff, se = difference(name, a, b)
        assert (row["diff"], row["se"]) == (near(diff), near(se)), a
