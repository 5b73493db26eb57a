"""Staging beside a bare COPY of the same file.

bare     a typed COPY with the same pseudonyms, one row an answer, on all cores
one      one delivery with all rows, staged as every night
bare-1   the COPY on one thread
one-1    the delivery with MEETLAT_THREADS=1
four     the same rows in four deliveries, staged side by side as every night

python -m benchmarks.staging NAME EXPORTS      one of them, here; used by `python -m benchmarks`
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks import exports, measure
from benchmarks.measure import Measured

NAMES = {
    "bare": "bare COPY",
    "one": "Meetlat, one delivery",
    "bare-1": "bare COPY, one thread",
    "one-1": "Meetlat, one delivery, one thread",
    "four": "Meetlat, four deliveries side by side",
}
AGAINST = {"one": "bare", "one-1": "bare-1", "four": "bare"}  # what each is compared with: as many cores


@dataclass(frozen=True)
class Exports:
    """Which files are staged. They are made once and kept in `cache`."""

    cache: Path
    rows: int
    encoding: str = "utf-8"
    packed: bool = False

    def files(self, parts: int = 1) -> list[Path]:
        return exports.write(self.cache, self.rows, parts, self.encoding, self.packed)

    def __str__(self) -> str:
        packed = ", gzip" if self.packed else ""
        return f"{self.rows:,} rows, {self.text_size / 1e6:,.0f} MB, {self.encoding}{packed}"

    @property
    def text_size(self) -> int:
        """Bytes, unpacked."""
        return sum(file.stat().st_size for file in replace(self, packed=False).files())

    @property
    def args(self) -> list[str]:
        return [str(value) for value in asdict(self).values()]


def run(of: Exports, repeats: int, names: Sequence[str]) -> dict[str, list[Measured]]:
    """Every variant `repeats` times, interleaved, each in its own process."""
    for parts in {4 if name == "four" else 1 for name in names}:
        of.files(parts)
    results: dict[str, list[Measured]] = {name: [] for name in names}
    for repeat in range(repeats):
        for name, done in results.items():
            done.append(measure.apart("benchmarks.staging", name, *of.args))
            print(f"{repeat + 1}/{repeats} {name}: {done[-1].wall:.2f} s", file=sys.stderr)
    return results


def table(results: dict[str, list[Measured]], size: int) -> str:
    """The medians as Markdown."""
    lines = [
        "| | wall s | CPU s | MB/s | memory MiB | answers | wall, ratio | CPU, ratio | compared with |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    middle = {name: measure.median(done) for name, done in results.items()}
    for name, one in middle.items():
        ratio = " |  | "
        if bare := middle.get(AGAINST.get(name, "")):
            ratio = f"{one.wall / bare.wall:.2f} | {one.cpu / bare.cpu:.2f} | {NAMES[AGAINST[name]]}"
        lines.append(
            f"| {NAMES[name]} | {one.wall:.2f} | {one.cpu:.2f} | {size / one.wall / 1e6:.0f} | "
            f"{one.memory / (1 << 20):,.0f} | {one.rows:,} | {ratio} |"
        )
    return "\n".join(lines)


def _bare(export: Path, out: Path, threads: int | None, encoding: str) -> Callable[[], int]:
    from benchmarks.baselines import bare_copy

    return lambda: bare_copy.copy(export, out, threads, "utf-8" if encoding == "utf-8" else "latin-1")


def _staged(files: list[Path], out: Path, encoding: str, threads: int | None = None) -> Callable[[], int]:
    import duckdb

    from pipelines import contracts, deliveries, engine, reference, settings, staging
    from pipelines.readers import delimited  # noqa: F401 - imported on first use otherwise

    present = replace(settings.load(), threads=threads)
    known = contracts.load(present.raw / exports.SOURCE)
    form = {"kind": "csv", "encoding": encoding, "delimiter": ";"}
    contract = contracts.Contract.model_validate(known.model_dump(by_alias=True) | {"format": form})
    lists = reference.load(present.raw, {exports.SOURCE: contract})
    measures = {code: reference.measure(lists, code, exports.SOURCE) for code in contract.measures}
    arrived = [
        deliveries.Delivery(exports.SOURCE, file, deliveries.digest(file) or "", f"2011-Q{place}")
        for place, file in enumerate(files, 1)
    ]
    for delivery in arrived:
        (out / delivery.order).mkdir()

    def stage(delivery: deliveries.Delivery) -> None:
        staging.stage(present, delivery, contract, measures, b"0f" * 32, out / delivery.order)

    def work() -> int:
        engine.side_by_side(present, stage, arrived)
        answers = f"SELECT count(*) FROM '{out}/*/answer.parquet' WHERE missing_reason IS NULL"
        return int(duckdb.execute(answers).fetchall()[0][0])

    return work


def _here(name: str, of: Exports) -> Measured:
    with tempfile.TemporaryDirectory(dir=of.cache) as folder:
        out, files = Path(folder), of.files(4 if name == "four" else 1)
        threads = 1 if name.endswith("-1") else None
        if name.startswith("bare"):
            return measure.here(_bare(files[0], out / "bare.parquet", threads, of.encoding))
        return measure.here(_staged(files, out, of.encoding, threads))


if __name__ == "__main__":
    name, cache, rows, encoding, packed = sys.argv[1:]
    measure.tell(_here(name, Exports(Path(cache), int(rows), encoding, packed == "True")))
