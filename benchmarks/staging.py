"""Staging beside a bare COPY of the same file.

bare-1   a typed COPY with the same pseudonyms, on one thread
bare     the same on all cores
one      one delivery with all rows, staged as every night: on one thread
four     the same rows in four deliveries, staged side by side as every night

python -m benchmarks.staging NAME ROWS ENCODING CACHE      one of them, here; used by `python -m benchmarks`
"""

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import exports, measure
from benchmarks.measure import Measured

NAMES = {
    "bare-1": "bare COPY, one thread",
    "bare": "bare COPY, all cores",
    "one": "Meetlat, one delivery",
    "four": "Meetlat, four deliveries side by side",
}
AGAINST = {"one": "bare-1", "four": "bare"}  # what each is compared with: the same number of cores
SOURCE = "klantcontact_customers"


def run(rows: int, repeats: int, cache: Path, encoding: str) -> dict[str, list[Measured]]:
    """Every variant `repeats` times, interleaved, each in its own process."""
    for parts in (1, 4):
        exports.write(cache, rows, parts, encoding)
    results: dict[str, list[Measured]] = {name: [] for name in NAMES}
    for repeat in range(repeats):
        for name, done in results.items():
            measured = measure.apart("benchmarks.staging", name, str(rows), encoding, str(cache))
            if measured.rows != rows:
                raise SystemExit(f"{name} handled {measured.rows:,} rows, not {rows:,}")
            done.append(measured)
            print(f"{repeat + 1}/{repeats} {name}: {measured.wall:.2f} s", file=sys.stderr)
    return results


def table(results: dict[str, list[Measured]], size: int) -> str:
    """The medians as Markdown."""
    lines = [
        "| | wall s | CPU s | MB/s | memory MiB | wall, ratio | CPU, ratio | compared with |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    middle = {name: _median(done) for name, done in results.items()}
    for name, one in middle.items():
        ratio = " |  | "
        if name in AGAINST:
            bare = middle[AGAINST[name]]
            ratio = f"{one.wall / bare.wall:.2f} | {one.cpu / bare.cpu:.2f} | {NAMES[AGAINST[name]]}"
        lines.append(
            f"| {NAMES[name]} | {one.wall:.2f} | {one.cpu:.2f} | {size / one.wall / 1e6:.0f} | "
            f"{one.memory / (1 << 20):,.0f} | {ratio} |"
        )
    return "\n".join(lines)


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def _median(done: list[Measured]) -> Measured:
    """Of each number its own median; for an even count the lower one."""
    middle = (len(done) - 1) // 2
    return Measured(
        sorted(one.wall for one in done)[middle],
        sorted(one.cpu for one in done)[middle],
        sorted(one.memory for one in done)[middle],
        done[0].rows,
    )


# --- in the process that is measured -------------------------------------------------------------


def _bare(export: Path, out: Path, threads: int | None, encoding: str) -> Callable[[], int]:
    from benchmarks.baselines import bare_copy

    return lambda: bare_copy.copy(export, out, threads, "utf-8" if encoding == "utf-8" else "latin-1")


def _staged(files: list[Path], out: Path, encoding: str) -> Callable[[], int]:
    import duckdb

    from pipelines import contracts, deliveries, engine, reference, settings, staging
    from pipelines.readers import delimited  # noqa: F401 - imported on first use otherwise

    present = settings.load()
    known = contracts.load(present.raw / SOURCE)
    form = {"kind": "csv", "encoding": encoding, "delimiter": ";"}
    contract = contracts.Contract.model_validate(known.model_dump(by_alias=True) | {"format": form})
    lists = reference.load(present.raw, {SOURCE: contract})
    measures = {code: reference.measure(lists, code, SOURCE) for code in contract.measures}
    arrived = [
        deliveries.Delivery(SOURCE, file, deliveries.digest(file) or "", f"2011-Q{place}")
        for place, file in enumerate(files, 1)
    ]
    for delivery in arrived:
        (out / delivery.order).mkdir()

    def stage(delivery: deliveries.Delivery) -> None:
        staging.stage(present, delivery, contract, measures, b"0f" * 32, out / delivery.order)

    def work() -> int:
        engine.side_by_side(present, stage, arrived)
        receipts = f"SELECT sum(n)::BIGINT FROM '{out}/*/receipt.parquet' WHERE kind = 'row'"
        return int(duckdb.execute(receipts).fetchall()[0][0])

    return work


def _here(name: str, rows: int, encoding: str, cache: Path) -> Measured:
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        out = Path(folder)
        files = exports.write(cache, rows, 4 if name == "four" else 1, encoding)
        if name in ("one", "four"):
            return measure.here(_staged(files, out, encoding))
        return measure.here(_bare(files[0], out / "bare.parquet", 1 if name == "bare-1" else None, encoding))


if __name__ == "__main__":
    measure.tell(_here(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
