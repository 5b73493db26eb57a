"""One way to open the engine: bounded, offline, in memory, spilling only beside the part being made.

What is made per delivery runs on one thread a query: a single thread keeps the order of the rows and
the bytes of the file without a sort. Several deliveries run at once, and a large one in several queries.
All else is sorted; two or more tables are made at once and share the cores.
"""

import itertools
import json
import os
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from pipelines.settings import Settings

In = TypeVar("In")
Out = TypeVar("Out")


WORTHWHILE = 8 << 20  # bytes read, from which on a second thread is worth its while


@dataclass
class _Kept:
    """An engine, to how many it is lent, how many of them have much to read, and the threads that it has."""

    con: duckdb.DuckDBPyConnection
    borrowers: int = 0
    large: int = 0
    threads: int = 1

    def lend(self, more: int, is_large: bool, cores: int) -> None:
        """Count one borrower more or less. Cores that nobody borrows for help those who have much to read."""
        before = self.threads
        self.borrowers += more
        self.large += more * is_large
        self.threads = max(1, cores + 1 - self.borrowers) if self.large else 1
        if self.threads != before:
            self.con.execute(f"SET threads = {self.threads}")


_kept: dict[Any, _Kept] = {}
_numbers = itertools.count(1)
_keeping = threading.Lock()


def connect(settings: Settings, spill: Path, alone: bool = False, most: int | None = None) -> duckdb.DuckDBPyConnection:
    """An engine with an empty database. `spill` is a folder that goes when the work is done.

    `alone`: on one thread, beside others that do the same, each with its share of the memory, and
    no more than `most` bytes of it unless MEETLAT_MEMORY is set.
    """
    return _opened(settings, spill, 1 if alone else settings.threads, workers(settings) if alone else 1, most)


@contextmanager
def borrowed(
    settings: Settings, spill: Path, alone: bool = False, size: int = 0
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in an engine that this process keeps: to open an engine takes as long as a small table.

    Those who borrow at the same time share the memory, and the cores: whoever waits for a query works at it too.
    `size`: the bytes that will be read. `spill` is a folder that all parts have in common.
    """
    key, cores = (alone, settings.threads, settings.memory, spill), workers(settings)
    is_large = size >= WORTHWHILE and not alone
    with _keeping:
        if key not in _kept:
            _kept[key] = _Kept(_opened(settings, spill, 1, 1))
        kept = _kept[key]
        name = f"borrowed_{next(_numbers)}"
        con = kept.con.cursor()
        kept.lend(1, is_large, cores)
    con.execute(f"ATTACH ':memory:' AS {name}")
    try:
        con.execute(f"USE {name}")
        con.execute("SET TimeZone = 'UTC'")
        yield con
    finally:
        con.execute("USE memory")
        con.execute(f"DETACH {name}")
        con.close()
        with _keeping:
            kept.lend(-1, is_large, cores)


def _opened(
    settings: Settings, spill: Path, threads: int | None, sharers: int, most: int | None = None
) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(spill / f".spill-{uuid.uuid4().hex[:8]}"),  # machines may share the folder
        }
    )
    if threads:
        con.execute(f"SET threads = {threads}")
    if settings.memory:
        con.execute("SET memory_limit = $1", [settings.memory])
    if sharers > 1 or most:
        ((limit,),) = con.execute("SELECT current_setting('memory_limit')").fetchall()
        number, unit = limit.split()
        share = float(number) * 1024 ** ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit) / sharers
        con.execute(f"SET memory_limit = '{share if settings.memory else min(share, most or share):.0f} bytes'")
    con.execute("SET TimeZone = 'UTC'")
    # DuckDB 2.0.0 pushes TRY_CAST into the CSV reader as a hard cast and loses rows (upstream 23818).
    con.execute("SET disabled_optimizers = 'type_pushdown'")
    return con


def workers(settings: Settings) -> int:
    return settings.threads or os.cpu_count() or 1


def side_by_side(settings: Settings, work: Callable[[In], Out], items: Iterable[In]) -> list[Out]:
    """Do the same work for every item, as many at once as there are cores; the results in order."""
    with ThreadPoolExecutor(workers(settings)) as pool:
        return list(pool.map(work, items))


def as_ready(
    settings: Settings,
    upstreams: Mapping[str, Iterable[str]],
    work: Mapping[str, int],
    make: Callable[[str], object],
    until: threading.Event,
) -> None:
    """Make everything that is named, as many at once as there are cores, each when what it is made of is made.

    `upstreams` says what that is, and `work`, in whatever unit, about how much there is to do: what has the longest
    chain of work behind it comes first. Raises the first fault; after it, and when `until` is set, nothing more begins.
    """
    waiting = {name: set(above) & set(upstreams) for name, above in upstreams.items()}
    chain: dict[str, int] = {}

    def longest(name: str) -> int:
        if name not in chain:
            behind = (longest(other) for other, above in upstreams.items() if name in above)
            chain[name] = work[name] + max(behind, default=0)
        return chain[name]

    ranked = sorted(waiting, key=longest, reverse=True)
    running: dict[Future[object], str] = {}
    cores = workers(settings)
    with ThreadPoolExecutor(cores) as pool:
        while (waiting or running) and not until.is_set():
            ready = [name for name in ranked if name in waiting and not waiting[name]]
            for name in ready[: cores - len(running)]:
                del waiting[name]
                running[pool.submit(make, name)] = name
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                made = running.pop(future)
                for above in waiting.values():
                    above.discard(made)


def in_turn(threads: int, work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """The same for items that are large: none is taken before there is a thread for it."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[Out]] = deque()
        for item in items:
            ahead.append(pool.submit(work, item))
            if len(ahead) >= threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


_sharing, _lock = 0, threading.Lock()


@contextmanager
def share(settings: Settings) -> Iterator[int]:
    """How many threads a delivery may use: those that the others leave. What comes out must not depend on it."""
    global _sharing
    with _lock:
        _sharing += 1
        threads = max(1, workers(settings) // _sharing)
    try:
        yield threads
    finally:
        with _lock:
            _sharing -= 1


def quoted(text: str) -> str:
    """A string literal in SQL."""
    return "'" + text.replace("'", "''") + "'"


def enumeration(*texts: str) -> str:
    """A type in SQL: one of these texts, each of which may be given more than once."""
    return f"ENUM({', '.join(quoted(text) for text in dict.fromkeys(texts))})"


def uncompressed() -> bool:
    """Whether files are to be written so that their bytes can be searched: for the tests only."""
    return bool(os.environ.get("MEETLAT_UNCOMPRESSED"))


def write_parquet(con: duckdb.DuckDBPyConnection, query: str, file: Path, ours: bool = False) -> int:
    """Write a query to Parquet; gives the number of rows. It needs a total order, or a single thread.

    Of zstd the first level: on answers it is faster than the third, the default, and the files are smaller.
    What nobody but us reads (`ours`) has the encodings of version 2, which not every tool knows, and no dictionary of
    texts that hardly come twice: faster to write, faster to read, and smaller.
    """
    version = "PARQUET_VERSION v2, DICTIONARY_SIZE_LIMIT 4096" if ours else "PARQUET_VERSION v1"
    packed = "COMPRESSION uncompressed" if uncompressed() else "COMPRESSION zstd, COMPRESSION_LEVEL 1"
    (rows,) = con.execute(f"COPY ({query}) TO {quoted(str(file))} (FORMAT parquet, {packed}, {version})").fetchall()
    return int(rows[0])


def add_function(
    con: duckdb.DuckDBPyConnection, name: str, function: Any, parameters: list[str], result: str, **options: Any
) -> None:
    """Give the engine a function of ours, unless it has it from an earlier borrower."""
    with suppress(duckdb.CatalogException):
        con.create_function(name, function, parameters, result, **options)  # type: ignore[arg-type]


def load_rows(con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Iterable[Any]) -> None:
    """Make a small table of rows that Python holds: dicts, with the SQL type of every column."""
    types = json.dumps([dict(columns)])
    text = json.dumps(list(rows), default=str)
    con.execute(f"CREATE TABLE {table} AS SELECT unnest(from_json($1, {quoted(types)}), recursive := true)", [text])
