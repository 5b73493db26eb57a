"""A night with one new delivery of 24, beside a build from nothing, and beside the same with a short history.

full    the first refresh, of all 24 deliveries
night   23 deliveries are published already, the last one arrived

and, if they are asked for, programs of `refresh.py` that make the figures of all 24 deliveries anew: what a night costs
those who do not keep what they made. These are measured with starting and imports, the first two without.

The deliveries are the quarters of six years, or all of one year, and equally large, or the last one has as many
answers as are asked for.

python -m benchmarks.nightly FOLDER       one of them, here; used by `python -m benchmarks`
"""

import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import exports, measure, refresh
from benchmarks.measure import Measured

DELIVERIES = 24


@dataclass
class History:
    """What was measured of histories with so many answers."""

    answers: int
    runs: dict[str, list[Measured]] = field(default_factory=dict)  # full, night, and the programs beside them
    bytes_cpu: list[float] = field(default_factory=list)  # of the night's CPU seconds, those that copy and sum up bytes


def run(
    cache: Path, sizes: Sequence[int], repeats: int, years: int, last_has: int | None = None, beside: Sequence[str] = ()
) -> list[History]:
    """Histories of so many answers, in six years or in one, with programs of `refresh.py` beside them, all in turn."""
    pythons = {name: refresh.python(cache, name) for name in beside}
    histories = [History(size) for size in sizes]
    for turn in range(repeats):
        for history in histories:
            rows = round(history.answers / exports.ANSWERS)
            files = exports.write(cache, rows, DELIVERIES, by_quarter=years > 1)
            if last_has is not None:
                files[-1] = exports.following(cache, files[-1], rows, round(last_has / exports.ANSWERS))
            with tempfile.TemporaryDirectory(dir=cache) as place:
                done = _once(Path(place), files) | {
                    name: refresh.once(name, Path(place), python, None) for name, python in pythons.items()
                }
                history.bytes_cpu.append(_bytes(Path(place) / "warehouse" / "current"))
            for name, one in done.items():
                history.runs.setdefault(name, []).append(one)
                print(f"{history.answers:,}, {turn + 1}/{repeats} {name}: {one.wall:.1f} s", file=sys.stderr)
    return histories


def _once(place: Path, files: list[Path]) -> dict[str, Measured]:
    """A refresh of all these deliveries, and one of the last of them; the release of the latter stays in `place`."""
    raw = exports.raw_folder(place, files)
    key = place / "state" / "key"
    key.touch(0o600)
    key.write_text(refresh.KEY)  # that of the programs beside it, whose pseudonyms are compared
    full = measure.apart("benchmarks.nightly", str(place))
    shutil.rmtree(place / "warehouse")
    last = sorted((raw / exports.SOURCE).glob("*.csv"))[-1]
    aside = place / last.name
    last.rename(aside)
    measure.apart("benchmarks.nightly", str(place))
    aside.rename(last)
    return {"full": full, "night": measure.apart("benchmarks.nightly", str(place))}


def table(histories: list[History]) -> str:
    """The medians as Markdown; the ratios of CPU are of a night without copying and summing up bytes."""
    lines = [
        "| answers | | wall s | CPU s | memory MiB | bytes, CPU s | of a full one | of first night | night, wall |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    first = 0.0
    for history in histories:
        middle = {name: measure.median(done) for name, done in history.runs.items()}
        night, apart = middle["night"], min(history.bytes_cpu)
        first = first or night.cpu - apart
        for name, one in middle.items():
            ratios = f" | | | {night.wall / one.wall:.2f} × |"
            if name == "night":
                cpu = night.cpu - apart
                ratios = f"{apart:.1f} | {cpu / middle['full'].cpu:.2f} | {cpu / first:.2f} | |"
            numbers = f"{one.wall:.1f} | {one.cpu:.1f} | {one.memory / (1 << 20):,.0f}"
            lines.append(f"| {one.rows:,} | {refresh.NAMES.get(name, name)} | {numbers} | {ratios}")
    return "\n".join(lines)


def _bytes(release: Path) -> float:
    """Seconds of the processor for copying the restricted file, and for the sums of what is handed out."""
    before = time.process_time()
    copy = release.resolve().parent / ".aside-copy"
    shutil.copyfile(release / "restricted" / "warehouse.duckdb", copy)
    copy.unlink()
    for line in (release / "SHA256SUMS").read_text().splitlines():
        with (release / line.split("  ", 1)[1]).open("rb") as file:
            hashlib.file_digest(file, "sha256")
    return time.process_time() - before


def _refresh(place: Path) -> Callable[[], int]:
    """A refresh, imports done."""
    os.environ |= {f"MEETLAT_{n.upper()}": str(place / n) for n in ("raw", "warehouse", "state")}
    from pipelines import assets, audit, definitions, refresh, settings, staging  # noqa: F401
    from pipelines.disclosure import outputs  # noqa: F401

    def work() -> int:
        import duckdb

        outcome = refresh.run(settings.load(), lambda _: None)
        print(", ".join(f"{stage} {took:.1f}" for stage, took in outcome.seconds.items()), file=sys.stderr)
        file = place / "warehouse" / "current" / "parquet" / "meta.release.parquet"
        return int(duckdb.execute("SELECT answers FROM read_parquet($1)", [str(file)]).fetchall()[0][0])

    return work


if __name__ == "__main__":
    measure.tell(measure.here(_refresh(Path(sys.argv[1]))))
