"""The estimates against R's package survey, live: thirty surveys drawn at random, every estimate of every domain.

It needs `Rscript` with the packages survey and MASS (Debian: r-base-core, r-cran-mass, r-cran-survey) and fails
without. It is no part of a plain run of the tests; run it with `python -m pytest -m oracle`. MEETLAT_TEST_SEED draws
other surveys.
"""

import csv
import os
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Once, Place
from designs import MONTHS, WAVE, Design, draw, write_csv, write_raw

pytestmark = pytest.mark.oracle

SEED = int(os.environ.get("MEETLAT_TEST_SEED", "1"))  # read before the fixtures clean the environment
DESIGNS = 30
SCRIPT = Path(__file__).with_name("oracle.R")
KEY = ("monitor_code", "period_code", "sector_code", "channel_code", "measure_code")
QUANTILES = ("p10", "p25", "p50", "p75", "p90")
OF_QUANTILES = ("value", "cumulative_share", "se_cumulative_share", "df", "ci_low", "ci_high", "ci_method")
PERIODS = [str(WAVE["code"]), *MONTHS, *MONTHS.values()]

Rows = dict[tuple[str, ...], dict[str, Any]]


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of all designs, and beside its exports what R makes of the same answers."""

    def make(folder: Path) -> None:
        raw = folder / "raw"
        designs = [draw(SEED, number) for number in range(DESIGNS)]
        write_raw(raw, designs)
        answers = [answer for design in designs for answer in design.answers()]
        write_csv(raw / "answers.csv", answers[0], (answer.values() for answer in answers))
        table = [(d.name, d.unit, "yes" if d.strata else "no") for d in designs]
        write_csv(raw / "designs.csv", ("design", "unit", "strata"), table)
        ran = subprocess.run(["Rscript", str(SCRIPT), str(raw)], capture_output=True, text=True, timeout=900)
        assert ran.returncode == 0, ran.stderr
        Place(folder).refresh_here()

    return Place(once(f"oracle-{SEED}", make))


@cache
def expected(path: Path) -> Rows:
    with path.open(newline="") as file:
        return {tuple(row[k] for k in KEY): row for row in csv.DictReader(file)}


@cache
def published(path: Path) -> tuple[Rows, Rows]:
    with duckdb.connect(str(path), read_only=True) as con:
        result = con.execute(
            "SELECT * FROM mart.measure_score WHERE n_answers > 0 AND period_code IN (SELECT unnest($1))", [PERIODS]
        )
        names = [column[0] for column in result.description]
        found = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        columns = ", ".join(OF_QUANTILES)
        quantiles = con.execute(
            f"SELECT {', '.join(KEY)}, quantile_code, {columns} FROM mart.score_quantile"
        ).fetchall()
    by_quantile = {
        tuple(row[: len(KEY) + 1]): dict(zip(OF_QUANTILES, row[len(KEY) + 1 :], strict=True)) for row in quantiles
    }
    return {tuple(row[k] for k in KEY): row for row in found}, by_quantile


def same(column: str, ours: Any, theirs: str, relative: float) -> bool:
    if ours is None or theirs == "":
        return ours is None and theirs == ""
    if isinstance(ours, str):
        return ours == theirs
    if isinstance(ours, int):
        return ours == int(theirs)
    # 1e-9 relative. What may cancel to zero, by itself or in R, is compared on the scale of the answers
    zero = 0 if column.startswith(("n_", "sum_w", "df", "largest")) else 1e-11
    return bool(ours == pytest.approx(float(theirs), rel=relative, abs=zero))


def test_the_designs_are_of_every_kind() -> None:
    """A comparison of like with like proves little: every kind is there, several times."""
    designs = [draw(SEED, number) for number in range(DESIGNS)]
    kinds = Counter(kind for design in designs for kind in kinds_of(design))
    rare = {kind: n for kind, n in kinds.items() if n < 2}
    assert len(kinds) == 19 and not rare, kinds


def kinds_of(design: Design) -> list[str]:
    kinds = {
        f"unit {design.unit}": True,
        f"strata {design.strata}": design.unit == "organisation",
        "finite population": bool(design.sampled_from),
        "weights": "weight" in design.named,
        "no weights": "weight" not in design.named,
        "months": "day" in design.named,
        "sector as stated": "sector" in design.named,
        "two columns of one measure": any("_" in column for column in design.questions),
        "several deliveries": design.files > 1,
        "post-stratified": len({margin for margin, _ in design.population}) == 1,
        "raked": len({margin for margin, _ in design.population}) == 2,
        "nothing varies": {row[c] for row in design.rows for c in row if c.startswith("grade")} <= {"8", "", "?"},
        "recommendation": "recommendation" in design.questions.values(),
        "shares": "agrees" in design.questions.values(),
    }
    organisations: dict[str, set[str]] = {}
    for row in design.rows:
        organisations.setdefault(row["respondent"], set()).add(row["organisation"])
    kinds["respondents of several organisations"] = any(len(o) > 1 for o in organisations.values())
    kinds["several answers a respondent"] = "respondent" in design.named
    return [kind for kind, holds in kinds.items() if holds]


@pytest.mark.parametrize("number", range(DESIGNS))
def test_every_estimate_of_a_design(place: Place, number: int) -> None:
    name = draw(SEED, number).name
    theirs = {k: v for k, v in expected(place.raw / "expected.csv").items() if k[0] == name}
    ours = {k: v for k, v in published(place.current / "benchmark.duckdb")[0].items() if k[0] == name}
    assert theirs.keys() == ours.keys()
    columns = [c for c in next(iter(theirs.values())) if c not in KEY and not c.startswith(QUANTILES)]
    wrong = [
        (key, column, ours[key][column], row[column])
        for key, row in theirs.items()
        for column in columns
        if not same(column, ours[key][column], row[column], 1e-9)
    ]
    assert not wrong, f"{len(wrong)} of {len(theirs) * len(columns)}; key, column, ours, R's:\n" + "\n".join(
        map(str, wrong[:20])
    )


@pytest.mark.parametrize("number", range(DESIGNS))
def test_every_quantile_of_a_design(place: Place, number: int) -> None:
    """Quantiles and the ends of their intervals are answers: they agree exactly."""
    name = draw(SEED, number).name
    ours = {k: v for k, v in published(place.current / "benchmark.duckdb")[1].items() if k[0] == name}
    theirs = {
        (*key, code): {column: row[f"{code}.{column}"] for column in OF_QUANTILES}
        for key, row in expected(place.raw / "expected.csv").items()
        if key[0] == name and key[-1] == "grade"
        for code in QUANTILES
    }
    assert theirs
    relative = {"value": 0, "ci_low": 0, "ci_high": 0}
    wrong = [
        (key, column, ours[key][column], value)
        for key, row in theirs.items()
        for column, value in row.items()
        if not same(column, ours[key][column], value, relative.get(column, 1e-9))
    ]
    assert not wrong, f"{len(wrong)}; key, column, ours, R's:\n" + "\n".join(map(str, wrong[:20]))
