"""What every reader hands over, and how text gets into the engine without touching the disk."""

import codecs
import csv
import fcntl
import io
import os
import select
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import duckdb
import numpy as np
from numpy.typing import NDArray

from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused

PIECE = 32 << 20  # bytes of text that are parsed at a time, side by side with others
LONGEST_LINE = 16 << 20  # bytes; a longer line means a lost quote, not an answer
BLOCK = 1 << 20
MOST_HELD = 256 << 20  # bytes, roughly, that the engine may hold of rows with faults
FAULT = 1_000  # of them for each cell that is missing, twice as many for one too many, and its row with each
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
NUL, LINE_END, SPACE = 0, ord("\n"), ord(" ")  # NUL stands in no text that is read

Bits: TypeAlias = NDArray[np.bool_]
Places: TypeAlias = NDArray[np.int64]
NOWHERE: Places = np.empty(0, np.int64)


@dataclass(frozen=True)
class RefusedRow:
    """A row that could not be read. `row` counts data rows where known, else None."""

    row: int | None
    reason: str


@dataclass(frozen=True)
class Text:
    """A delivery opened for one reading.

    `columns` are the stable ids of the columns, each once. `relation` is a FROM item with the VARCHAR
    columns c0, c1, ... in the same order and `fault`, which is NULL or the reason why the row cannot be used.
    `finish` is called after the rows are read: it raises DeliveryRefused if reading did not end
    well, and else gives the rows that never became rows. `count` then tells how many rows stand in
    the text, counted without the engine. A `long` text is one of which most cells come many times.
    """

    columns: list[str]
    relation: str
    count: Callable[[], int]
    finish: Callable[[], list[RefusedRow]] = field(default=lambda: [])
    long: bool = False


@dataclass(frozen=True)
class Pieces:
    """A delivery as texts one after the other, each to be opened once, on whatever connection reads it.

    They are opened in order, but may be read side by side. `count` is for all, once all are read.
    """

    columns: list[str]
    each: Iterator[Callable[[duckdb.DuckDBPyConnection], AbstractContextManager[Text]]]
    count: Callable[[], int]


# --- bytes to UTF-8 ------------------------------------------------------------------------------


@contextmanager
def said_plainly(path: Path) -> Iterator[None]:
    """Turn what goes wrong while reading a file into a sentence."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DeliveryRefused(f"{path.name} cannot be read ({error.strerror or 'input error'}).") from None


def utf8(path: Path, file: io.BufferedReader, encoding: str) -> Iterator[bytes]:
    """The text of a file as UTF-8 with LF as its only line end. A byte order mark wins over the encoding."""
    head = file.peek(4)
    mark = next((mark for mark in MARKS if head.startswith(mark)), b"")
    encoding = MARKS.get(mark, encoding)
    file.read(len(mark))
    decoder = codecs.getincrementaldecoder(encoding)()
    passed, held = len(mark), b""
    while True:
        block = file.read(BLOCK)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            at = passed + (error.start if isinstance(error, UnicodeDecodeError) else 0)
            raise DeliveryRefused(
                f"{path.name} is not {encoding} (near byte {at:,}); correct `encoding` in the contract, or have it "
                "exported again."
            ) from None
        passed += len(block)
        chunk = held + (block if encoding == "utf-8" else text.encode())
        if b"\0" in chunk:
            raise DeliveryRefused(
                f"{path.name} holds NUL bytes, so it is not text in the encoding of the contract; correct `encoding`, "
                "or have it exported again."
            )
        held = b"\r" if block and chunk.endswith(b"\r") else b""  # its LF may come with the next block
        chunk = chunk.removesuffix(held)
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        yield chunk
        if not block:
            return


def too_long(path: Path, rows: int | None = None) -> DeliveryRefused:
    where = "" if rows is None else f" after row {rows:,}"
    return DeliveryRefused(
        f"{path.name}: a line{where} is longer than 16 MiB; a quote is probably missing. Have it exported again."
    )


class Lines:
    """Chunks of text of which the first lines are wanted one by one."""

    def __init__(self, path: Path, chunks: Iterator[bytes]) -> None:
        self.path, self.chunks, self.kept, self.at = path, chunks, b"", 0

    def line(self) -> bytes:
        """The next line with its end; empty at the end of the text."""
        searched = self.at
        while (end := self.kept.find(b"\n", searched)) < 0:
            self.kept, self.at = self.kept[self.at :], 0
            searched = len(self.kept)
            if searched > LONGEST_LINE:
                raise too_long(self.path)
            if (chunk := next(self.chunks, None)) is None:
                end = searched
                break
            self.kept += chunk
        start, self.at = self.at, end + 1
        return self.kept[start : self.at]

    def rest(self) -> Iterator[bytes]:
        yield self.kept[self.at :]
        yield from self.chunks


def rows_as_text(path: Path, rows: Iterable[Sequence[str | None]]) -> Iterator[bytes]:
    """Rows as comma-separated text, every cell quoted."""
    chunk = io.StringIO()
    writer = csv.writer(chunk, quoting=csv.QUOTE_ALL, lineterminator="\n")

    def taken() -> bytes:
        text = chunk.getvalue()
        chunk.seek(0)
        chunk.truncate()
        if "\0" in text:
            raise DeliveryRefused(f"{path.name} has a cell with a NUL character; have it exported again.")
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise DeliveryRefused(f"{path.name} has a cell with half a character; have it exported again.") from None

    for row in rows:
        writer.writerow(row)
        if chunk.tell() > BLOCK:
            yield taken()
    yield taken()


# --- UTF-8 to the engine -------------------------------------------------------------------------


class Tally:
    """Counts the records of a text that goes by in chunks: lines outside quotes that are not empty.

    With a delimiter and a width also their faults: cells too many or too few, and quotes that end amid a cell.
    """

    def __init__(self, quote: str | None, delimiter: str | None = None, width: int = 0) -> None:
        self.quote, self.delimiter = (ord(mark) if mark and mark.isascii() else NUL for mark in (quote, delimiter))
        self.width = width if self.delimiter else 0  # one of several bytes is rare: left to the engine alone
        self.after_quote = np.zeros(256, np.bool_)
        self.after_quote[[self.quote, self.delimiter, LINE_END, SPACE]] = True
        self.records, self.faults, self.held = 0, 0, 0  # held: by the engine, because of the faults
        self.inside, self.length, self.cut = False, 0, 0  # a quote; length and delimiters of the present record

    def add(self, chunk: bytes) -> None:
        if not chunk:
            return
        data = np.frombuffer(chunk, np.uint8)
        quotes = np.flatnonzero(data == self.quote) if self.quote else NOWHERE
        ended = data == LINE_END
        if len(quotes) or self.inside:
            ends = np.flatnonzero(ended)
            ended[ends[self._inside(quotes, ends)]] = False
        whole = len(data) - int(ended[::-1].argmax()) if ended.any() else 0  # up to the end of the last record
        if whole:
            records = int(np.count_nonzero(ended[1:] > ended[:-1])) + int(ended[0] and self.length > 0)
            self.records += records
        if self.width:
            closing = quotes[0 if self.inside else 1 :: 2] + 1
            misplaced = int(np.count_nonzero(~self.after_quote[data[closing[closing < len(data)]]]))
            self.faults += misplaced
            self.held += misplaced * FAULT
            parted = data == self.delimiter
            # only where the sum is another one every record is looked at
            if whole and np.count_nonzero(parted[:whole]) + self.cut != records * (self.width - 1):
                parts = np.flatnonzero(parted[:whole])
                if len(parts) - self._quoted(quotes, parts) + self.cut != records * (self.width - 1):
                    self._add_faults(quotes, np.flatnonzero(ended), parts)
            last = np.flatnonzero(parted[whole:]) + whole
            self.cut = int(np.count_nonzero(~self._inside(quotes, last))) + (0 if whole else self.cut)
        self.length = len(data) - whole + (0 if whole else self.length)
        self.inside ^= len(quotes) % 2 == 1

    def _inside(self, quotes: Places, places: Places) -> Bits:
        """Which of these places lie inside quotes."""
        inside: Bits = (np.searchsorted(quotes, places) + self.inside) % 2 == 1
        return inside

    def _quoted(self, quotes: Places, places: Places) -> int:
        """How many of these places lie inside quotes: fast where there are fewer quotes than places."""
        bounds = np.searchsorted(places, quotes)
        if self.inside:
            bounds = np.insert(bounds, 0, 0)
        if len(bounds) % 2:
            bounds = np.append(bounds, len(places))
        return int((bounds[1::2] - bounds[::2]).sum())

    def _add_faults(self, quotes: Places, ends: Places, parts: Places) -> None:
        """Count the cells that are too many or too few in the records that end here."""
        parts = parts[~self._inside(quotes, parts)]
        length = np.diff(ends, prepend=-1) - 1
        cuts = np.diff(np.searchsorted(parts, ends), prepend=0)
        length[0] += self.length
        cuts[0] += self.cut
        more = (cuts - (self.width - 1)) * (length > 0)
        self.faults += int(np.abs(more).sum())
        self.held += int((np.abs(more) * (np.where(more > 0, 2, 1) * FAULT + 3 * length)).sum())

    def total(self) -> int:
        return self.records + (self.length > 0)


class Counted(Tally):
    """Stands in for the tally of a text that was counted before."""

    def __init__(self) -> None:
        super().__init__(None)

    def add(self, chunk: bytes) -> None:
        pass


def cut(path: Path, chunks: Iterator[bytes], tally: Tally) -> Iterator[tuple[int, list[bytes]]]:
    """A text in pieces that end where a record ends, each with the number of lines before it."""
    kept: list[bytes] = []
    size = before = lines = 0
    for chunk in chunks:
        tally.add(chunk)
        refuse_early(path, tally)
        end = len(chunk) - tally.length  # of the last record that ends in this chunk
        if size + end >= PIECE and end > 0:
            lines += chunk.count(b"\n", 0, end)
            yield before, [*kept, chunk[:end]]
            before, chunk = lines, chunk[end:]
            kept, size = [], 0
        kept.append(chunk)
        size += len(chunk)
        lines += chunk.count(b"\n")
    yield before, kept


def refuse_early(path: Path, tally: Tally) -> None:
    """Refuse at once what the engine would hold a great deal of before it does."""
    if tally.length > LONGEST_LINE:
        raise too_long(path, tally.records)
    if tally.held > MOST_HELD:
        raise DeliveryRefused(
            f"{path.name} has {tally.faults:,} cells too many or too few in its first {tally.records:,} rows; "
            "compare its delimiter and quotes with the contract."
        )


class Feed(threading.Thread):
    """Pushes text into a pipe that the engine reads as a file, so nothing unpacked lies on a disk.

    It always ends: when the text does, on a fault, or when `close` is called, even if somebody
    still holds the other end of the pipe without reading from it.
    """

    def __init__(self, chunks: Iterator[bytes], tally: Tally, path: Path) -> None:
        super().__init__(daemon=True)
        self.chunks, self.tally, self.path = chunks, tally, path
        self.read_end, self.write_end = os.pipe()
        os.set_blocking(self.write_end, False)
        with suppress(AttributeError, OSError):  # a longer pipe has fewer changes of thread; Linux only
            fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, BLOCK)
        self.stopped = False
        self.error: Exception | None = None

    @property
    def file(self) -> str:
        return f"/dev/fd/{self.read_end}"

    def run(self) -> None:
        try:
            with suppress(BrokenPipeError), said_plainly(self.path):  # the engine stopped reading, and says why itself
                for chunk in self.chunks:
                    self.tally.add(chunk)
                    refuse_early(self.path, self.tally)
                    self._send(chunk)
        except Exception as error:
            self.error = error
        finally:
            os.close(self.write_end)

    def _send(self, chunk: bytes) -> None:
        room = select.poll()
        room.register(self.write_end, select.POLLOUT)
        unsent = memoryview(chunk)
        while unsent:
            if self.stopped:
                raise BrokenPipeError
            try:
                unsent = unsent[os.write(self.write_end, unsent) :]
            except BlockingIOError:
                room.poll(100)

    def close(self) -> None:
        self.stopped = True
        os.close(self.read_end)
        self.join()


@contextmanager
def feeding(chunks: Iterator[bytes], tally: Tally, path: Path) -> Generator[Feed]:
    """Run a feed while the body reads from it; what went wrong in the feed wins over what followed."""
    feed = Feed(chunks, tally, path)
    feed.start()
    try:
        yield feed
    except BaseException as error:
        feed.close()
        if isinstance(error, Exception) and feed.error is not None:
            raise feed.error from None
        raise
    feed.close()
    if feed.error is not None:
        raise feed.error


def parsed(file: str, columns: int, delimiter: str = ",", quote: str | None = '"', with_fault: bool = False) -> str:
    """A FROM item: delimited text without heading, every cell as text.

    `fault` is the last cell of every row if the text brings it along, and else NULL.
    """
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(columns)) + (", 'fault': 'VARCHAR'" if with_fault else "")
    mark = quoted(quote or "")
    return (
        f"(SELECT *{'' if with_fault else ', NULL::VARCHAR AS fault'} "
        f"FROM read_csv({quoted(file)}, auto_detect = false, header = false, "
        f"columns = {{{types}}}, delim = {quoted(delimiter)}, quote = {mark}, escape = {mark}, new_line = '\\n', "
        f"max_line_size = {LONGEST_LINE}, buffer_size = {2 * LONGEST_LINE}, store_rejects = true))"
    )
