"""What commands cost as something grows that should not matter, or should matter in proportion.

sources        5, 50 and 500 of them, ten deliveries each
deliveries     10 to 5,000 of one source
organisations  100 to 100,000 in 400,000 answers
history        400,000 to 20 million answers in 24 deliveries; the night brings the last one
delivery       40,000 to 4 million answers in the one delivery that comes after three of 40,000

Everywhere four commands run, each a process of its own, starting it included: `meetlat check`; the first `meetlat
refresh`, of all but the last delivery; one with nothing new; and one with the last delivery new. All but the first
refresh, which takes longest, can be repeated: each time with the warehouse as that left it.
"""

import csv
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks import exports, measure, nightly
from benchmarks.measure import Measured
from pipelines.settings import PROJECT

SIZES = {
    "sources": [5, 50, 500],
    "deliveries": [10, 100, 1_000, 5_000],
    "organisations": [100, 1_000, 10_000, 100_000],
    "history": [400_000, 4_000_000, 20_000_000],
    "delivery": [40_000, 400_000, 4_000_000],
}
STEPS = {"check": "check", "first": "first refresh", "nothing": "nothing new", "one": "one new delivery"}
ROWS = 20  # of a delivery where the number of deliveries matters, not their size


@dataclass(frozen=True)
class Grown:
    of: str
    size: int
    steps: dict[str, list[Measured]]


def run(cache: Path, wanted: dict[str, list[int]], steps: Sequence[str], repeats: int) -> list[Grown]:
    """Every size of what grows; `steps` may leave out the first refresh and all that needs it."""
    every = [Grown(of, size, {}) for of, sizes in wanted.items() for size in sizes]
    for grown in every:
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            last = _place(cache, Path(folder), grown.of, grown.size)
            for name, one in _steps(Path(folder), last, steps, repeats):
                grown.steps.setdefault(name, []).append(one)
                print(f"{grown.of} {grown.size:,}, {name}: {one.wall:.1f} s", file=sys.stderr)
    return every


def start(repeats: int = 5) -> Measured:
    """`meetlat --help`, the median."""
    with tempfile.TemporaryDirectory() as folder:
        return measure.median([_command(Path(folder), "--help") for _ in range(repeats)])


def _steps(place: Path, last: Path, steps: Sequence[str], repeats: int) -> Iterator[tuple[str, Measured]]:
    aside = place / last.name
    last.rename(aside)
    if set(steps) - {"check"}:
        yield "first", _command(place, "refresh")
        _copy(place, place / "kept")
    for turn in range(repeats):
        if "check" in steps:
            yield "check", _command(place, "check")
        if set(steps) - {"check"}:
            if turn:
                last.rename(aside)
                _copy(place / "kept", place)
            yield "nothing", _command(place, "refresh")
            aside.rename(last)
            yield "one", _command(place, "refresh")


def _copy(place: Path, to: Path) -> None:
    """Warehouse and state as they are: files of a warehouse are never changed, so a second name is enough."""
    for name, copy in (("warehouse", os.link), ("state", shutil.copy2)):
        shutil.rmtree(to / name, ignore_errors=True)
        shutil.copytree(place / name, to / name, symlinks=True, copy_function=copy)


def _command(place: Path, name: str) -> Measured:
    own = {f"MEETLAT_{n.upper()}": str(place / n) for n in ("raw", "warehouse", "state")}
    command = [sys.executable, "-m", "pipelines.cli", name]
    return measure.whole(command, measure.environment() | own, place / f"{name.strip('-')}.txt")


# --- what is refreshed ---------------------------------------------------------------------------


def _place(cache: Path, place: Path, of: str, size: int) -> Path:
    """Make the raw folder; gives the delivery that comes last."""
    if of in ("sources", "deliveries"):
        sources, deliveries = (size, 10) if of == "sources" else (1, size)
        names = [f"{exports.SOURCE}_{n:04}" for n in range(sources)]
        return _small(cache, place, names, deliveries)
    rows = round((400_000 if of == "organisations" else size) / exports.ANSWERS)
    if of == "delivery":
        before = round(160_000 / exports.ANSWERS)
        *small, like = exports.write(cache, before, 4)
        large = exports.following(cache, like, before, rows)
        return exports.raw_folder(place, [*small, large]) / exports.SOURCE / large.name
    codes = None
    if of == "organisations":
        codes = [f"organisation_{n:06}" for n in range(size)]
    files = exports.write(cache, rows, nightly.DELIVERIES if of == "history" else 4, codes=codes)
    raw = exports.raw_folder(place, files)
    if codes is not None:
        _participants(raw, codes)
    return raw / exports.SOURCE / files[-1].name


def _small(cache: Path, place: Path, names: list[str], deliveries: int) -> Path:
    """Sources with deliveries of a few rows, which are some of one export, one after the other."""
    (export,) = exports.write(cache, ROWS * len(names) * deliveries)
    contract = (PROJECT / "raw" / exports.SOURCE / "contract.yml").read_text(encoding="utf-8")
    for now, then in (("*.csv.gz", "*.csv"), ("windows-1252", "utf-8"), (r"(\d{4}-Q[1-4])", r"_(\d{4})")):
        contract = contract.replace(now, then)
    (place / "state").mkdir()
    before = time.time() - 3_600  # files that nobody writes any more
    with export.open(encoding="utf-8") as lines:
        head = next(lines)
        for name in names:
            folder = place / "raw" / name
            folder.mkdir(parents=True)
            (folder / "contract.yml").write_text(contract, encoding="utf-8")
            for number in range(deliveries):
                file = folder / f"klantcontact_klanten_{number:04}.csv"
                file.write_text(head + "".join(islice(lines, ROWS)), encoding="utf-8")
                os.utime(file, (before, before))
    return file


def _participants(raw: Path, codes: list[str]) -> None:
    """A list of organisations with these codes, in the sectors of the shipped one."""
    with (PROJECT / "raw" / "reference" / "organisations.csv").open(encoding="utf-8") as file:
        known = list(csv.DictReader(file))
    (raw / "reference").mkdir()
    with (raw / "reference" / "organisations.csv").open("w", encoding="utf-8", newline="") as file:
        written = csv.DictWriter(file, known[0])
        written.writeheader()
        for number, code in enumerate(codes):
            written.writerow(known[number % len(known)] | {"organisation_code": code})


def table(done: list[Grown]) -> str:
    """The medians of the seconds on the clock and of the processor as Markdown, and the most memory."""
    names = [name for name in STEPS if any(name in one.steps for one in done)]
    lines = [
        "| | size | " + " | ".join(f"{STEPS[name]}, s | CPU s" for name in names) + " | memory MiB |",
        "|---|--:|" + "--:|--:|" * len(names) + "--:|",
    ]
    for one in done:
        middle = {name: measure.median(done) for name, done in one.steps.items()}
        cells = [f"{s.wall:.1f} | {s.cpu:.1f}" if (s := middle.get(name)) else " | " for name in names]
        memory = max(step.memory for step in middle.values()) / (1 << 20)
        lines.append(f"| {one.of} | {one.size:,} | {' | '.join(cells)} | {memory:,.0f} |")
    return "\n".join(lines)
