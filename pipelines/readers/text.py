"""What every reader hands over, and how text gets into the engine without touching the disk."""

import codecs
import csv
import io
import os
import select
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused

LONGEST_LINE = 16 << 20  # bytes; a longer line means a lost quote, not an answer
BLOCK = 1 << 20
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


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
    the text, counted without the engine.
    """

    columns: list[str]
    relation: str
    count: Callable[[], int]
    finish: Callable[[], list[RefusedRow]] = field(default=lambda: [])


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
    """Counts the records of a text that goes by in chunks: lines outside quotes that are not empty."""

    def __init__(self, quote: str | None) -> None:
        self.quote = ord(quote) if quote else None
        self.records, self.quotes, self.length = 0, 0, 0  # quotes so far, length of the present record

    def add(self, chunk: bytes) -> None:
        data = np.frombuffer(chunk, np.uint8)
        ended = data == 10
        if self.quote is not None:
            quotes = np.flatnonzero(data == self.quote)
            if len(quotes) or self.quotes % 2:
                ends = np.flatnonzero(ended)
                ended[ends[(np.searchsorted(quotes, ends) + self.quotes) % 2 == 1]] = False
            self.quotes += len(quotes)
        if ended.any():
            self.records += int(np.count_nonzero(ended[1:] > ended[:-1])) + int(ended[0] and self.length > 0)
            self.length = int(ended[::-1].argmax())
        else:
            self.length += len(data)

    def total(self) -> int:
        return self.records + (self.length > 0)


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
                    if self.tally.length > LONGEST_LINE:  # the engine would hold all of it first
                        raise too_long(self.path, self.tally.records)
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
        f"max_line_size = {LONGEST_LINE}, store_rejects = true))"
    )
