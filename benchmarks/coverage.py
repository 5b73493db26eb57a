"""How often the 95 % interval holds the true value: the shipped SQL on simulated organisations.

Every run is a monitor of its own in one cube of score counts, so that one pass through the models of
`sql/estimate/` computes thousands of surveys. Grades are a normal variable cut to whole grades 1 to
10; organisations differ in level (sd 0.5) and in size (lognormal), the two being independent, so the
true mean is known exactly.
"""

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from scipy.special import ndtr

from benchmarks import cubes

CENTRE, BETWEEN, WITHIN = 7.0, 0.5, 1.5  # mean, sd of organisations, sd of respondents within one
RESPONDENTS = 40  # of the median organisation
SEED = 20110930


@dataclass(frozen=True)
class Design:
    """So many organisations, with a log-sd of their sizes."""

    organisations: int
    log_sd: float


@dataclass(frozen=True)
class Covered:
    """Share of the runs whose interval holds the true mean, in percent."""

    runs: int
    naive: float  # respondents as a simple random sample, 1.96
    plain: float  # t with Taylor's standard error
    corrected: float  # CR2 with Satterthwaite's degrees of freedom
    published: float  # ci_low to ci_high: whichever of the two ci_method names
    flagged: float  # share of the rows that carry obs_status u
    effective: float  # mean effective number of organisations


DESIGNS = [Design(m, log_sd) for log_sd in (0.0, 0.3, 1.0, 1.5) for m in (10, 20, 60)]


def truth() -> float:
    """The mean grade of everybody: sizes do not depend on levels."""
    cuts = np.concatenate([[-np.inf], np.arange(1.5, 10.0), [np.inf]])
    below = ndtr((cuts - CENTRE) / np.hypot(BETWEEN, WITHIN))
    return float(np.diff(below) @ np.arange(1, 11))


def cube(design: Design, runs: int, rng: np.random.Generator) -> pa.Table:
    """cube.score_counts of `runs` monitors: a row per organisation and grade."""
    shape = (runs, design.organisations)
    sizes = np.maximum(5, np.rint(RESPONDENTS * np.exp(rng.normal(0, design.log_sd, shape)))).astype(int)
    level = np.repeat(rng.normal(CENTRE, BETWEEN, shape).ravel(), sizes.ravel())
    grade = np.clip(np.rint(level + rng.normal(0, WITHIN, len(level))), 1, 10).astype(int)
    cell = np.repeat(np.arange(sizes.size), sizes.ravel()) * 10 + grade - 1
    counts = np.bincount(cell, minlength=sizes.size * 10)
    (given,) = counts.nonzero()
    n = pa.array(counts[given], pa.int64())
    organisation = given // 10
    rows = len(given)

    def same(value: str | None) -> pa.Array:
        return pa.repeat(pa.scalar(value, pa.string()), rows)

    return pa.table(
        {
            "source_code": pa.array([f"run_{k}" for k in organisation // design.organisations]),
            "wave_code": same("wave-1"),
            "time_cell_code": same("wave-1"),
            "country_code": same("NL"),
            "organisation_code": pa.array([f"o{k:03}" for k in organisation % design.organisations]),
            "sector_code": same("one"),
            "segment_code": same(None),
            "audience_code": same("customer"),
            "channel_code": same("not_applicable"),
            "measure_code": same("grade"),
            "question_version": pa.repeat(pa.scalar(1, pa.int32()), rows),
            "value": pa.array(given % 10 + 1, pa.int32()),
            "missing_reason": same(None),
            "n": n,
            "sum_w": pa.array(counts[given] * 1_000_000, pa.int64()),
            "sum_w2": pa.array(counts[given] * 1_000_000_000, pa.int64()),
            "sum_w2_rest": pa.array(np.zeros(rows, int), pa.int64()),
        }
    )


def dimensions(runs: int) -> dict[str, list[dict[str, object]]]:
    """The rows of the dimensions that the estimates read; columns that they do not read stay empty."""
    first, last = dt.date(2024, 1, 1), dt.date(2024, 12, 31)
    sources = [
        {"source_code": f"run_{k}", "monitor_code": f"run_{k}", "audience_code": "customer",
         "sampling_unit": "organisation", "provenance": "synthetic"}
        for k in range(runs)
    ]  # fmt: skip
    sectors = [("all", "all"), ("one", "one"), ("one", "all")]
    return {
        "core.dim_source": list(sources),
        "core.dim_measure": [{"measure_code": "grade", "statistic": "mean", "unit": "grade", "decimals": 0}],
        "core.dim_period": [
            {"period_code": "wave-1", "period_type": "wave", "period_start": first, "period_end": last}
        ],
        "core.dim_sector": [{"sector_code": code, "is_leaf": code == "one"} for code in ("all", "one")],
        "core.bridge_sector": [{"sector_code": a, "ancestor_code": b} for a, b in sectors],
    }


def estimated(counts: pa.Table, runs: int) -> list[tuple[float | None, ...]]:
    """What the models make of the cube: one row a run."""
    with tempfile.TemporaryDirectory() as temporary:
        files = cubes.write(Path(temporary), {"cube.score_counts": counts, **dimensions(runs)})
        domain = cubes.make(Path(temporary), "estimate.domain", files)
        with duckdb.connect() as con:
            return con.execute(
                "SELECT value, se, df, se_cr2, df_cr2, ci_low, ci_high, sqrt(se ** 2 / design_effect), "
                "obs_status = 'u', n_organisations_effective FROM read_parquet($1) "
                "WHERE sector_code = 'all' AND channel_code = 'all' ORDER BY monitor_code",
                [str(domain)],
            ).fetchall()


def covered(design: Design, runs: int) -> Covered:
    from scipy.special import stdtrit

    rng = np.random.default_rng([SEED, design.organisations, int(design.log_sd * 100)])
    rows = np.array([[float(cell or 0) for cell in row] for row in estimated(cube(design, runs, rng), runs)])
    assert len(rows) == runs
    value, se, df, se_cr2, df_cr2, low, high, simple, flagged, effective = rows.T
    off = abs(value - truth())

    def share(holds: np.ndarray) -> float:
        return float(100 * holds.mean())

    return Covered(
        runs,
        naive=share(off <= 1.959963984540054 * simple),
        plain=share(off <= stdtrit(df, 0.975) * se),
        corrected=share(off <= stdtrit(df_cr2, 0.975) * se_cr2),
        published=share((low <= truth()) & (truth() <= high)),
        flagged=share(flagged > 0),
        effective=float(effective.mean()),
    )


def run(runs: int) -> dict[Design, Covered]:
    return {design: covered(design, runs) for design in DESIGNS}


def table(results: dict[Design, Covered]) -> str:
    """Markdown: percent of runs whose 95 % interval holds the truth."""
    head = (
        "| log-sd of sizes | organisations | effective | naive | t | CR2 | published | flagged u |\n"
        "|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    return "\n".join(
        [head]
        + [
            f"| {d.log_sd} | {d.organisations} | {c.effective:.1f} | {c.naive:.1f} | {c.plain:.1f} | {c.corrected:.1f} "
            f"| {c.published:.1f} | {c.flagged:.0f} |"
            for d, c in results.items()
        ]
    )
