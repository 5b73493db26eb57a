"""A night with one new delivery of 24, beside a build from nothing, and beside the same with a short history.

full    the first refresh, of all 24 deliveries
night   23 deliveries are published already, the last one arrived

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
from collections.abc import Callable
from pathlib import Path

from benchmarks import exports, measure
from benchmarks.measure import Measured
from pipelines.settings import PROJECT

DELIVERIES = 24
ANSWERS = 2.013  # a row of the export
SOURCE = "klantcontact_customers"


def run(cache: Path, sizes: list[int], repeats: int, years: int, last_has: int | None = None) -> str:
    """The table as Markdown, for histories of so many answers, in six years or in one."""
    lines = [
        "| answers | | wall s | CPU s | memory MiB | bytes, CPU s | of a full one | of the first night |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    first = 0.0
    for size in sizes:
        rows = round(size / ANSWERS)
        files = exports.write(cache, rows, DELIVERIES, by_quarter=years > 1)
        if last_has is not None:
            files[-1] = exports.following(cache, files[-1], rows, round(last_has / ANSWERS))
        done: dict[str, list[Measured]] = {"full": [], "night": []}
        bytes_ = []
        for _ in range(repeats):
            with tempfile.TemporaryDirectory(dir=cache) as place:
                raw = raw_folder(Path(place), files)
                done["full"].append(measure.apart("benchmarks.nightly", place))
                shutil.rmtree(Path(place) / "warehouse")
                last = sorted((raw / SOURCE).glob("*.csv"))[-1]
                aside = Path(place) / last.name
                last.rename(aside)
                measure.apart("benchmarks.nightly", place)
                aside.rename(last)
                done["night"].append(measure.apart("benchmarks.nightly", place))
                bytes_.append(_bytes(Path(place) / "warehouse" / "current"))
        full, night = (measure.median(each) for each in done.values())
        first = first or night.cpu - min(bytes_)
        apart = min(bytes_)
        for name, one in (("full", full), ("night", night)):
            ratios = " | | |"
            if name == "night":
                ratios = f"{apart:.1f} | {(one.cpu - apart) / full.cpu:.2f} | {(one.cpu - apart) / first:.2f} |"
            numbers = f"{one.wall:.1f} | {one.cpu:.1f} | {one.memory / (1 << 20):,.0f}"
            lines.append(f"| {one.rows:,} | {name} | {numbers} | {ratios}")
    return "\n".join(lines)


def raw_folder(place: Path, files: list[Path]) -> Path:
    """A raw folder with these deliveries; links, as they are only read."""
    folder = place / "raw" / SOURCE
    folder.mkdir(parents=True)
    contract = (PROJECT / "raw" / SOURCE / "contract.yml").read_text(encoding="utf-8")
    contract = contract.replace("*.csv.gz", "*.csv").replace("windows-1252", "utf-8")
    (folder / "contract.yml").write_text(contract, encoding="utf-8")
    for file in files:
        os.link(file, folder / file.name)
    (place / "state").mkdir()
    return place / "raw"


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
