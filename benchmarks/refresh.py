"""A first refresh of the customers' exports, beside programs that make the same figures from the same files.

meetlat   `meetlat refresh`, from nothing to a published release
engine    one script of SQL on the bare engine: three marts
models    every query of `sql/` on the bare engine, and nothing around them
dbt, pandas, polars, spark

What each of them makes, and what it leaves out, stands at its top in `baselines/`. Every command is measured from
beginning to end, starting and imports included. They run in turn; and none is timed whose figures are not those of the
release that Meetlat made in the same turn (`figures.py`).
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

import duckdb

from benchmarks import exports, figures, measure
from benchmarks.measure import Measured
from pipelines.settings import PROJECT

BASELINES = PROJECT / "benchmarks" / "baselines"
KEY = "0f" * 32
NAMES = {
    "meetlat": "Meetlat, first refresh",
    "engine": "bare engine: three marts, by a script of SQL",
    "models": "bare engine: every table, by the same queries",
    "dbt": "dbt-core with dbt-duckdb",
    "pandas": "pandas",
    "polars": "polars",
    "spark": "PySpark, local",
}
PROGRAMS = {
    "engine": "bare_engine",
    "models": "bare_models",
    "dbt": "with_dbt",
    "pandas": "with_pandas",
    "polars": "with_polars",
    "spark": "with_spark",
}

Results = dict[str, list[Measured]]


def run(
    cache: Path, sizes: Sequence[int], repeats: int, names: Sequence[str], deliveries: int, memory: str | None = None
) -> dict[int, Results]:
    """By number of answers, every measurement of Meetlat, with so much memory, and the baselines that are named."""
    names = ["meetlat", *(name for name in names if name != "meetlat")]
    pythons = {name: python(cache, name) for name in names}
    every: dict[int, Results] = {}
    for size in sizes:
        files = exports.write(cache, round(size / exports.ANSWERS), deliveries)
        every[size] = {name: [] for name in names}
        for turn in range(repeats):
            with tempfile.TemporaryDirectory(dir=cache) as place:
                exports.raw_folder(Path(place), files)
                for name in names:
                    every[size][name].append(once(name, Path(place), pythons[name], memory))
                    done = every[size][name][-1]
                    told = _stages(Path(place) / f"{name}.txt")
                    print(f"{size:,}, {turn + 1}/{repeats} {name}: {done.wall:.1f} s{told}", file=sys.stderr)
    return every


def once(name: str, place: Path, python: Path, memory: str | None) -> Measured:
    """One of them on the raw folder in `place`; the figures of a baseline are compared with the release there."""
    if name == "meetlat":
        own = {f"MEETLAT_{n.upper()}": str(place / n) for n in ("raw", "warehouse", "state")} | {"MEETLAT_KEY": KEY}
        own |= {"MEETLAT_MEMORY": memory} if memory else {}
        done = measure.whole(
            [str(python), "-m", "pipelines.cli", "refresh"], measure.environment() | own, place / "meetlat.txt"
        )
    else:
        out = place / name
        out.mkdir()
        done = measure.whole(
            [str(python), "-m", f"benchmarks.baselines.{PROGRAMS[name]}"]
            + [str(folder) for folder in (place / "raw", PROJECT / "raw" / "reference", out)],
            measure.environment() | {"BENCHMARK_KEY": KEY},
            place / f"{name}.txt",
        )
        if faults := figures.differences((place / "warehouse" / "current").resolve(), out):
            raise SystemExit(f"{name} has other figures than Meetlat, so it is not timed:\n" + "\n".join(faults))
        shutil.rmtree(out)
    release = place / "warehouse" / "current" / "parquet" / "meta.release.parquet"
    (rows,) = duckdb.execute("SELECT answers FROM read_parquet($1)", [str(release)]).fetchall()[0]
    return Measured(done.wall, done.cpu, done.memory, int(rows))


def _stages(printed: Path) -> str:
    """What a program printed of the seconds that its stages took; empty if it did not."""
    lines = [line.split(maxsplit=1)[1] for line in printed.read_text().splitlines() if line.startswith("  seconds ")]
    return f" ({lines[-1].strip()})" if lines else ""


def python(cache: Path, name: str) -> Path:
    """The interpreter that a baseline runs in: this one, or one of its own with the libraries of its list."""
    libraries = BASELINES / f"{name}.txt"
    if not libraries.exists():
        return Path(sys.executable)
    folder = cache / f"venv-{name}-{hashlib.sha256(libraries.read_bytes()).hexdigest()[:8]}"
    if not (folder / "made").exists():
        print(f"installing {name}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        quiet = ["-qq", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", *quiet, "-r", libraries], check=True)
        (folder / "made").touch()
    return folder / "bin" / "python"


def table(every: dict[int, Results]) -> str:
    """The medians as Markdown, and how many times as much Meetlat took."""
    lines = [
        "| answers | | wall s | CPU s | memory MiB | Meetlat takes, wall | CPU |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    for results in every.values():
        middle = {name: measure.median(done) for name, done in results.items()}
        meetlat = middle["meetlat"]
        for name, one in middle.items():
            ratio = " |  |"
            if name != "meetlat":
                ratio = f"{meetlat.wall / one.wall:.2f} × | {meetlat.cpu / one.cpu:.2f} × |"
            numbers = f"{one.wall:.1f} | {one.cpu:.1f} | {one.memory / (1 << 20):,.0f}"
            lines.append(f"| {one.rows:,} | {NAMES[name]} | {numbers} | {ratio}")
    return "\n".join(lines)
