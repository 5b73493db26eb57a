"""Every model after the cube: seconds, CPU seconds and memory, of the shipped exports or of a cube of any size.

The cube is made first, or made up, and is not counted. Then one new process makes the models as a refresh does, as many
at once as there are cores: contract, checks and Parquet files included. Of one model there are seconds on the clock
only, as others are made beside it.

python -m benchmarks.marts FOLDER [MEMORY]      on the tables in FOLDER, here; used by `python -m benchmarks`
"""

import datetime as dt
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import cubes, measure
from benchmarks.measure import Measured
from pipelines import engine, models, plan, refresh, settings
from pipelines.plan import Build

FIRST, MONTHS = dt.date(2023, 1, 1), 24
CHANNELS = ("app", "chat", "email", "letter", "phone", "physical", "social_media", "website")
SECTORS = {"public": ("cities", "provinces"), "market": ("banks", "insurers", "retail", "telecom")}
SEED = 20110930
SHAPES = {  # measures, each with the answers that are given to it
    "monitor": {"recommend": range(11), "satisfaction": range(10, 101), "ease": range(1, 6)},
    "organisations": {"grade": range(1, 11)},
}
MEASURES: dict[str, dict[str, object]] = {
    "recommend": {"statistic": "nps", "unit": "points", "decimals": 0, "scale_min": 0, "scale_max": 10},
    "satisfaction": {"statistic": "mean", "unit": "grade", "decimals": 1, "scale_min": 1, "scale_max": 10},
    "ease": {"statistic": "mean", "unit": "grade", "decimals": 0, "scale_min": 1, "scale_max": 5},
    "grade": {"statistic": "mean", "unit": "grade", "decimals": 0, "scale_min": 1, "scale_max": 10},
}

Results = dict[str, Measured]  # by model, and for all of them together under ALL
ALL = "all models"


@contextmanager
def shipped(cache: Path) -> Iterator[Path]:
    """The tables of the shipped exports; made in MEETLAT_WAREHOUSE or else in the cache, where they are kept."""
    given = settings.load()
    if given.warehouse == settings.PROJECT / "warehouse":
        given = replace(given, warehouse=cache / "warehouse", state=cache / "state")
    with refresh.locked(given):
        refresh.prepare(given)
        build = Build(plan.look(given))
        after = cubes.after_the_cube(build.inputs.models)
        read = {upstream for model in after for upstream in model.upstreams} - {model.name for model in after}
        files = {name: [file for _, file in build.files(name)] for name in sorted(read)}
    with _told(files) as folder:
        yield folder


@contextmanager
def made_up(cells: int, shape: str = "monitor") -> Iterator[Path]:
    """The tables around a cube of about so many cells: organisations in sectors, each in every month and channel.

    The shape says how many measures and answers there are, and with that how many organisations: of 8 million cells
    389 in the shape of a monitor, 4,166 in the other.
    """
    answers = sum(len(values) for values in SHAPES[shape].values())
    organisations = max(1, cells // (MONTHS * len(CHANNELS) * answers))
    with tempfile.TemporaryDirectory() as temporary:
        rows = {"cube.score_counts": cube(organisations, shape), **dimensions(organisations, shape)}
        with _told(cubes.write(Path(temporary), rows)) as folder:
            yield folder


@contextmanager
def _told(files: dict[str, list[Path]]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        (Path(temporary) / "files.json").write_text(json.dumps(files, default=str))
        yield Path(temporary)


def months() -> list[dt.date]:
    """The first day of each month."""
    return [dt.date(FIRST.year + month // 12, month % 12 + 1, 1) for month in range(MONTHS)]


def cube(organisations: int, shape: str = "monitor") -> pa.Table:
    """cube.score_counts: every organisation, month, channel, measure and answer."""
    rng = np.random.default_rng(SEED)
    measures = list(SHAPES[shape])
    values = np.concatenate([SHAPES[shape][measure] for measure in measures])
    measure = np.repeat(np.arange(len(measures)), [len(SHAPES[shape][each]) for each in measures])
    rows = organisations * MONTHS * len(CHANNELS) * len(values)
    cell, place = np.divmod(np.arange(rows), len(values))

    def code(names: list[str], index: np.ndarray) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(index, pa.int32()), pa.array(names, pa.string()))

    def same(value: str | None) -> pa.Array:
        return pa.repeat(pa.scalar(value, pa.string()), rows)

    n = rng.integers(1, 20, rows)
    return pa.table(
        {
            "source_code": same("survey"),
            "wave_code": same(None),
            "time_cell_code": code([f"{month:%Y-%m}" for month in months()], cell // len(CHANNELS) % MONTHS),
            "country_code": same("NL"),
            "organisation_code": code([f"o{k:06}" for k in range(organisations)], cell // (len(CHANNELS) * MONTHS)),
            "sector_code": same(None),
            "segment_code": same(None),
            "audience_code": same("customer"),
            "channel_code": code(list(CHANNELS), cell % len(CHANNELS)),
            "measure_code": code(measures, measure[place]),
            "question_version": pa.repeat(pa.scalar(1, pa.int32()), rows),
            "value": pa.array(values[place], pa.int32()),
            "missing_reason": same(None),
            "n": pa.array(n, pa.int64()),
            "sum_w": pa.array(n * 1_000_000, pa.int64()),
            "sum_w2": pa.array(n * 1_000_000_000, pa.int64()),
            "sum_w2_rest": pa.array(np.zeros(rows, int), pa.int64()),
        }
    )


def dimensions(organisations: int, shape: str = "monitor") -> dict[str, list[dict[str, object]]]:
    """The rows of the dimensions that the models read; columns that they do not read stay empty."""
    leaves = [leaf for group in SECTORS.values() for leaf in group]
    return {
        "core.dim_source": [
            {"source_code": "survey", "monitor_code": "monitor", "audience_code": "customer",
             "sampling_unit": "organisation", "provenance": "synthetic"},
        ],
        "core.dim_measure": [
            {"measure_code": measure, "direction": "higher_is_better", **MEASURES[measure]} for measure in SHAPES[shape]
        ],
        "core.dim_monitor": [{"monitor_code": "monitor"}],
        "core.dim_audience": [{"audience_code": "customer"}],
        "core.dim_channel": [{"channel_code": channel} for channel in ("all", *CHANNELS)],
        "core.dim_organisation": [
            {"organisation_code": f"o{k:06}", "sector_code": leaves[k % len(leaves)], "valid_from": FIRST,
             "size_class": ("small", "medium", "large")[k % 3]}
            for k in range(organisations)
        ],
        "core.dim_period": list(periods()),
        "core.dim_sector": [
            {"sector_code": "all", "is_leaf": False, "level": 0},
            *({"sector_code": group, "parent_code": "all", "is_leaf": False, "level": 1} for group in SECTORS),
            *(
                {"sector_code": leaf, "parent_code": group, "is_leaf": True, "level": 2}
                for group, inside in SECTORS.items() for leaf in inside
            ),
        ],
        "core.bridge_sector": [
            {"sector_code": sector, "ancestor_code": above}
            for group, inside in SECTORS.items()
            for sector, line in [(group, (group, "all")), *((leaf, (leaf, group, "all")) for leaf in inside)]
            for above in line
        ],
    }  # fmt: skip


def periods() -> Iterator[dict[str, object]]:
    """As core.dim_period makes them."""

    def period(code: str, type_: str, first: int, after: int) -> dict[str, object]:
        starts = [*months(), dt.date(FIRST.year + MONTHS // 12, 1, 1)]
        end = starts[after] - dt.timedelta(days=1)
        return {"period_code": code, "period_type": type_, "period_start": starts[first], "period_end": end}

    for month, start in enumerate(months()):
        year, before = start.year, month - month % 12
        yield period(f"{start:%Y-%m}", "month", month, month + 1)
        if month >= 11:
            yield period(f"{start:%Y-%m}-R12", "r12", month - 11, month + 1)
        if month % 3 == 2:
            yield period(f"{year}-Q{month % 12 // 3 + 1}", "quarter", month - 2, month + 1)
            yield period(f"{year}-YTD-Q{month % 12 // 3 + 1}", "ytd", before, month + 1)
        if month % 12 == 11:
            yield period(f"{year}", "year", before, month + 1)


def run(folder: Path, memory: str | None = None) -> Results:
    """Every model after the cube, in a process of its own; `memory` as MEETLAT_MEMORY."""
    told = measure.told("benchmarks.marts", str(folder), *([memory] if memory else []))
    return {name: Measured(**measured) for name, measured in told.items()}


def here(folder: Path, memory: str | None = None) -> Results:
    given = replace(settings.load(), memory=memory)
    files = {
        name: [Path(file) for file in each] for name, each in json.loads((folder / "files.json").read_text()).items()
    }
    after = {model.name: model for model in cubes.after_the_cube(models.load(given.sql))}
    import scipy.special  # noqa: F401  # importing is not counted

    results: Results = {}
    with tempfile.TemporaryDirectory(dir=folder) as temporary:

        def make(name: str) -> int:
            made = Path(temporary) / name
            made.mkdir()
            facts = models.run(given, after[name], {u: files[u] for u in after[name].upstreams}, made)
            files[name] = [made / "data.parquet"]
            return int(facts["rows"])

        def timed(name: str) -> None:
            began = time.perf_counter()
            rows = make(name)
            results[name] = Measured(time.perf_counter() - began, 0, 0, rows)

        def every() -> int:
            upstreams = {name: model.upstreams for name, model in after.items()}
            work = {name: model.work for name, model in after.items()}
            engine.as_ready(given, upstreams, work, timed, threading.Event())
            return sum(measured.rows for measured in results.values())

        results[ALL] = measure.here(every)
    return results


def table(done: list[Results], most: int = 12) -> str:
    """Markdown: all models together, and those that took most, each the median of the runs by seconds."""
    middle = {name: sorted((one[name] for one in done), key=lambda m: m.wall)[len(done) // 2] for name in done[0]}
    every = middle.pop(ALL)
    ranked = sorted(middle, key=lambda name: -middle[name].wall)
    memory = f"{every.memory / 2**20:,.0f}"
    lines = [
        "| | wall s | CPU s | memory MiB | rows |\n|---|--:|--:|--:|--:|",
        f"| {ALL} | {every.wall:.1f} | {every.cpu:.1f} | {memory} | {every.rows:,} |",
        *(f"| {name} | {middle[name].wall:.2f} | | | {middle[name].rows:,} |" for name in ranked[:most]),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps({name: asdict(measured) for name, measured in here(Path(sys.argv[1]), *sys.argv[2:]).items()}))
