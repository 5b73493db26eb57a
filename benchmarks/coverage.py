"""How often the 95 % interval holds the true value: the shipped SQL on simulated organisations.

Every run is a monitor of its own in one cube of score counts, so that one pass through the models computes
thousands of surveys. Grades are a normal variable cut to whole grades 1 to 10; organisations differ in level
(sd 0.5) and in size (lognormal), the two being independent, so every true value is known exactly.
"""

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from scipy.special import ndtr, stdtrit

from benchmarks import cubes

CENTRE, BETWEEN, WITHIN = 7.0, 0.5, 1.5  # mean, sd of organisations, sd of respondents within one
RESPONDENTS = 40  # of the median organisation
BUYERS, SUPPLIERS, OWN, LEFT = 40, 5, 1.0, 1.0  # every buyer rates each supplier; sd of buyers, and of what is left
SEED = 20110930
QUANTILES = {"p10": 0.1, "p50": 0.5, "p90": 0.9}


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
    quantiles: list[float]  # ci_low to ci_high of each of QUANTILES
    flagged: float  # share of the rows that carry obs_status u
    effective: float  # mean effective number of organisations


DESIGNS = [Design(m, log_sd) for log_sd in (0.0, 0.3, 1.0, 1.5) for m in (10, 20, 60)]
AGAINST_PEERS = [Design(m, log_sd) for log_sd in (0.0, 0.3, 1.0, 1.5) for m in (5, 10, 21)]

# --- the simulated surveys -----------------------------------------------------------------------


def below(level: Any = CENTRE, sd: float = float(np.hypot(BETWEEN, WITHIN))) -> np.ndarray:
    """Share of the answers up to each of the grades 1 to 10, in the last axis, around a level."""
    upto = ndtr((np.arange(1.5, 10.0) - np.asarray(level)[..., None]) / sd)
    return np.concatenate([upto, np.ones((*upto.shape[:-1], 1))], axis=-1)


def mean_grade(share_below: np.ndarray) -> Any:
    return 10 - share_below[..., :-1].sum(axis=-1)


def graded(level: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.rint(level + rng.normal(0, sd, level.shape)), 1, 10).astype(int)


def counted(cell: np.ndarray, grade: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Answers by run, organisation and grade; `cell` is the place of run and organisation."""
    return np.bincount(cell * 10 + grade - 1, minlength=shape[0] * shape[1] * 10).reshape(*shape, 10)


def surveys(design: Design, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """The level of every organisation of every run, and its answers by grade."""
    rng = np.random.default_rng([SEED, design.organisations, int(design.log_sd * 100)])
    shape = (runs, design.organisations)
    sizes = np.maximum(5, np.rint(RESPONDENTS * np.exp(rng.normal(0, design.log_sd, shape)))).astype(int)
    level = rng.normal(CENTRE, BETWEEN, shape)
    cell = np.repeat(np.arange(sizes.size), sizes.ravel())
    return level, counted(cell, graded(level.ravel()[cell], WITHIN, rng), shape)


def same(value: object, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), rows)


def key(run: np.ndarray, organisation: np.ndarray) -> dict[str, pa.Array]:
    """What the tables of the cube have in common: one wave of each run, one question."""
    return {
        "source_code": pa.array([f"run_{k}" for k in run]),
        "wave_code": same("wave-1", len(run)),
        "time_cell_code": same("wave-1", len(run)),
        "organisation_code": pa.array([f"o{k:03}" for k in organisation]),
        "sector_code": same("one", len(run)),
        "segment_code": same(None, len(run)),
        "audience_code": same("customer", len(run)),
        "channel_code": same("not_applicable", len(run)),
        "measure_code": same("grade", len(run)),
    }


def cube(counts: np.ndarray) -> pa.Table:
    """cube.score_counts: a row for every run, organisation and grade that was given."""
    run, organisation, grade = counts.nonzero()
    n = counts[run, organisation, grade]
    return pa.table(
        {
            **key(run, organisation),
            "country_code": same("NL", len(n)),
            "question_version": pa.repeat(pa.scalar(1, pa.int32()), len(n)),
            "value": pa.array(grade + 1, pa.int32()),
            "missing_reason": same(None, len(n)),
            "n": pa.array(n, pa.int64()),
            "sum_w": pa.array(n * 1_000_000, pa.int64()),
            "sum_w2": pa.array(n * 1_000_000_000, pa.int64()),
            "sum_w2_rest": pa.array(np.zeros(len(n), int), pa.int64()),
        }
    )


def again(grades: np.ndarray) -> pa.Table:
    """cube.repeat_answer: a row an answer, from grades by run, buyer and supplier."""
    run, buyer, supplier = (index.ravel() for index in np.indices(grades.shape))
    return pa.table(
        {
            **key(run, supplier),
            "delivery_id": same("one", grades.size),
            "respondent_id": pa.array([f"b{k:03}" for k in buyer]),
            "value": pa.array(grades.ravel(), pa.int32()),
            "weight": pa.repeat(pa.scalar(1_000_000, pa.int64()), grades.size),
            "n": pa.repeat(pa.scalar(1, pa.int64()), grades.size),
        }
    )


def dimensions(runs: int, organisations: int) -> dict[str, list[dict[str, object]]]:
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
        "core.dim_organisation": [
            {"organisation_code": f"o{k:03}", "valid_from": dt.date(2000, 1, 1)} for k in range(organisations)
        ],
        "core.dim_measure": [{"measure_code": "grade", "statistic": "mean", "unit": "grade", "decimals": 0}],
        "core.dim_period": [
            {"period_code": "wave-1", "period_type": "wave", "period_start": first, "period_end": last}
        ],
        "core.dim_sector": [{"sector_code": code, "is_leaf": code == "one"} for code in ("all", "one")],
        "core.bridge_sector": [{"sector_code": a, "ancestor_code": b} for a, b in sectors],
    }


@contextmanager
def made(counts: np.ndarray, repeats: pa.Table | None = None) -> Iterator[Any]:
    """Make models of the surveys: gives what queries them, `{0}` being the model that it names."""
    tables = {"cube.score_counts": cube(counts)} | ({"cube.repeat_answer": repeats} if repeats is not None else {})
    with tempfile.TemporaryDirectory() as temporary, duckdb.connect() as con:
        files = cubes.write(Path(temporary), {**tables, **dimensions(*counts.shape[:2])})

        def ask(model: str, query: str) -> np.ndarray:
            path = cubes.make(Path(temporary), model, files)
            rows = con.execute(query.format(f"read_parquet('{path}')")).fetchall()
            return np.array([[float(cell or 0) for cell in row] for row in rows]).T

        yield ask


def share(holds: np.ndarray) -> float:
    return float(100 * holds.mean())


# --- what holds ----------------------------------------------------------------------------------


def covered(design: Design, runs: int) -> Covered:
    _, counts = surveys(design, runs)
    true = mean_grade(below())
    with made(counts) as ask:
        value, se, df, se_cr2, df_cr2, low, high, simple, flagged, effective = ask(
            "estimate.domain",
            "SELECT value, se, df, se_cr2, df_cr2, ci_low, ci_high, sqrt(se ** 2 / design_effect), "
            "obs_status = 'u', n_organisations_effective FROM {0} "
            "WHERE sector_code = 'all' AND channel_code = 'all' ORDER BY monitor_code",
        )
        quantiles = []
        for code, p in QUANTILES.items():
            q = 1 + int((below() < p).sum())
            least, most = ask(
                "mart.score_quantile",
                "SELECT ci_low, ci_high FROM {0} WHERE sector_code = 'all' AND channel_code = 'all' "
                f"AND quantile_code = '{code}'",
            )
            assert len(least) == runs
            quantiles.append(share((least <= q) & (q <= most)))
    assert len(value) == runs
    off = abs(value - true)
    return Covered(
        runs,
        naive=share(off <= 1.959963984540054 * simple),
        plain=share(off <= stdtrit(df, 0.975) * se),
        corrected=share(off <= stdtrit(df_cr2, 0.975) * se_cr2),
        published=share((low <= true) & (true <= high)),
        quantiles=quantiles,
        flagged=share(flagged > 0),
        effective=float(effective.mean()),
    )


def against_peers(design: Design, runs: int) -> tuple[float, float, float]:
    """Of the gap of the first organisation to its peers: percent that hold with plain errors, as published; flagged."""
    level, counts = surveys(design, runs)
    true = mean_grade(below(level[:, 0], WITHIN)) - mean_grade(below())
    with made(counts) as ask:
        gap, se, df, low, high, flagged = ask(
            "mart.organisation_benchmark",
            "SELECT gap, se, df, gap_ci_low, gap_ci_high, obs_status = 'u' FROM {0} "
            "WHERE organisation_code = 'o000' AND channel_code = 'all' AND peer_group_type = 'all' "
            "ORDER BY CAST(replace(monitor_code, 'run_', '') AS INTEGER)",
        )
    assert len(gap) == runs
    w, t = counts[:, 1:].sum(axis=2), counts[:, 1:] @ np.arange(1, 11)
    k, total = w.shape[1], w.sum(axis=1)
    moves = (t - (t.sum(axis=1) / total)[:, None] * w) / total[:, None]
    peers = k / (k - 1) * (moves**2).sum(axis=1)
    given = se > 0  # where its respondents are all of one mind there is no interval
    gap, true, se, df, peers = gap[given], true[given], se[given], df[given], peers[given]
    plain_df = (se**2 + peers) ** 2 / (se**4 / df + peers**2 / (k - 1))
    plain = abs(gap - true) <= stdtrit(plain_df, 0.975) * np.sqrt(se**2 + peers)
    return share(plain), share((low[given] <= true) & (true <= high[given])), share(flagged > 0)


def of_participants(runs: int) -> tuple[float, float]:
    """Buyers who each rate the same suppliers, these being fixed: percent with answers as independent; as published."""
    rng = np.random.default_rng([SEED, BUYERS, SUPPLIERS])
    level = rng.normal(CENTRE, BETWEEN, (runs, 1, SUPPLIERS))
    grades = graded(level + rng.normal(0, OWN, (runs, BUYERS, 1)), LEFT, rng)
    cell = np.broadcast_to(np.arange(runs * SUPPLIERS).reshape(runs, 1, SUPPLIERS), grades.shape)
    counts = counted(cell.ravel(), grades.ravel(), (runs, SUPPLIERS))
    true = mean_grade(below(level[:, 0], float(np.hypot(OWN, LEFT)))).mean(axis=1)
    with made(counts, again(grades)) as ask:
        value, low, high = ask(
            "estimate.domain",
            "SELECT value, ci_low_participants, ci_high_participants FROM {0} "
            "WHERE sector_code = 'all' AND channel_code = 'all' "
            "ORDER BY CAST(replace(monitor_code, 'run_', '') AS INTEGER)",
        )
    apart = np.sqrt((grades.var(axis=1, ddof=1) / BUYERS).sum(axis=1)) / SUPPLIERS
    reach = stdtrit(BUYERS * SUPPLIERS - SUPPLIERS, 0.975) * apart
    return share(abs(value - true) <= reach), share((low <= true) & (true <= high))


# --- as tables -----------------------------------------------------------------------------------


def run(runs: int) -> str:
    """Markdown: percent of runs whose 95 % interval holds the truth; of means and quantiles, gaps, participants."""
    lines = [
        "| log-sd of sizes | organisations | effective | naive | t | CR2 | published | flagged u | p10 | p50 | p90 |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for d in DESIGNS:
        c = covered(d, runs)
        lines.append(
            f"| {d.log_sd} | {d.organisations} | {c.effective:.1f} | {c.naive:.1f} | {c.plain:.1f} | {c.corrected:.1f} "
            f"| {c.published:.1f} | {c.flagged:.0f} | " + " | ".join(f"{q:.1f}" for q in c.quantiles) + " |"
        )
    lines += ["", "| log-sd of sizes | peers | t | published | flagged u |", "|---:|---:|---:|---:|---:|"]
    for d in AGAINST_PEERS:
        plain, published, flagged = against_peers(d, runs)
        lines.append(f"| {d.log_sd} | {d.organisations - 1} | {plain:.1f} | {published:.1f} | {flagged:.0f} |")
    independent, published = of_participants(runs)
    lines += [
        "",
        f"{BUYERS} buyers who each rate {SUPPLIERS} suppliers, the interval for these very ones: {independent:.1f} "
        f"with answers as independent, {published:.1f} as published.",
    ]
    return "\n".join(lines)
