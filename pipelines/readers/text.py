"""What every reader hands over, and how bytes get into the engine without touching the disk."""

import codecs
import gzip
import io
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused

LONGEST_LINE = 16 << 20  # bytes; a longer line means a lost quote, not an answer


@dataclass(frozen=True)
class RefusedRow:
    """A row that could not be read. `row` counts data rows where known, else None."""

    row: int | None
    reason: str


@dataclass(frozen=True)
class Text:
    """A delivery opened for one reading.

    `relation` is a FROM item with the VARCHAR columns c0, c1, ... (the same order as `columns`)
    and `fault`, which is NULL or the reason why the row cannot be used.
    `finish` is called after the rows are read: it raises DeliveryRefused if reading did not end
    well, and else gives the rows that never became rows. `count` then tells how many rows stand in
    the text, counted without the engine.
    """

    columns: list[str]
    relation: str
    count: Callable[[], int]
    finish: Callable[[], list[RefusedRow]] = field(default=lambda: [])


def open_bytes(path: Path) -> io.BufferedIOBase:
    """The bytes of a delivery, unpacked if its name ends in .gz."""
    if path.stat().st_size == 0:
        raise DeliveryRefused(f"{path.name} is empty (0 bytes); have it exported again.")
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    return path.open("rb")


@contextmanager
def said_plainly(path: Path, encoding: str) -> Iterator[None]:
    """Turn what goes wrong while reading bytes into a sentence."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DeliveryRefused(
            f"{path.name} is not a whole gzip file ({error}); the transfer was probably cut, send it again."
        ) from None
    except UnicodeError as error:
        at = f" at byte {error.start} of a block" if isinstance(error, UnicodeDecodeError) else ""
        raise DeliveryRefused(
            f"{path.name} is not {encoding}{at} ({getattr(error, 'reason', error)}); correct `encoding` in the "
            "contract, or have it exported again."
        ) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DeliveryRefused(f"{path.name} cannot be read ({error.strerror or error}).") from None


def decoded(path: Path, encoding: str) -> io.TextIOWrapper:
    """The text of a delivery. A UTF-8 byte order mark wins over the declared encoding."""
    stream = io.BufferedReader(open_bytes(path))
    marked = stream.peek(3)[:3] == codecs.BOM_UTF8
    return io.TextIOWrapper(stream, encoding="utf-8-sig" if marked else encoding, newline="")


class Tally:
    """Counts the records of a text that goes by in chunks: lines outside quotes that are not blank."""

    def __init__(self, quote: str | None, spaces: str = "\r") -> None:
        self.quote, self.spaces = quote, spaces
        self.blank = re.compile(rf"\n[{spaces}]*(?=\n)")
        self.records, self.quoted, self.line = 0, False, ""  # line: "x" once the present one holds something

    def add(self, chunk: str) -> None:
        for place, part in enumerate(chunk.split(self.quote) if self.quote else [chunk]):
            if place:
                self.quoted, self.line = not self.quoted, "x"
            if part and not self.quoted:
                text = f"\n{self.line}{part}"
                self.records += part.count("\n") - len(self.blank.findall(text))
                self.line = "x" if text[text.rfind("\n") + 1 :].strip(self.spaces) else ""

    def total(self) -> int:
        return self.records + len(self.line)


class Feed(threading.Thread):
    """Pushes text into a pipe that the engine reads as a file, so nothing unpacked lies on a disk."""

    def __init__(self, chunks: Iterator[str], tally: Tally, path: Path, encoding: str) -> None:
        super().__init__(daemon=True)
        self.chunks, self.tally, self.path, self.encoding = chunks, tally, path, encoding
        self.read_end, self.write_end = os.pipe()
        self.error: Exception | None = None

    @property
    def file(self) -> str:
        return f"/dev/fd/{self.read_end}"

    def run(self) -> None:
        try:
            with (
                suppress(BrokenPipeError),  # the engine stopped reading, and says why itself
                os.fdopen(self.write_end, "wb", buffering=0) as pipe,
                said_plainly(self.path, self.encoding),
            ):
                for chunk in self.chunks:
                    if "\0" in chunk:
                        raise DeliveryRefused(f"{self.path.name} holds NUL bytes, so it is not a text file.")
                    self.tally.add(chunk)
                    unsent = memoryview(chunk.encode())
                    while unsent:
                        unsent = unsent[pipe.write(unsent) :]
        except Exception as error:
            self.error = error

    def close(self) -> None:
        os.close(self.read_end)
        self.join()


@contextmanager
def feeding(chunks: Iterator[str], tally: Tally, path: Path, encoding: str) -> Iterator[Feed]:
    """Run a feed while the body reads from it; what went wrong in the feed wins over what followed."""
    feed = Feed(chunks, tally, path, encoding)
    feed.start()
    try:
        yield feed
    except Exception:
        feed.close()
        if feed.error is not None:
            raise feed.error from None
        raise
    feed.close()
    if feed.error is not None:
        raise feed.error


def chunks_of(text: io.TextIOWrapper) -> Iterator[str]:
    """What is left of a text, a megabyte at a time."""
    with text:
        while chunk := text.read(1 << 20):
            yield chunk


def parsed(file: str, columns: int, delimiter: str, quote: str) -> str:
    """A FROM item: delimited text without heading, every cell as text, with `fault` NULL."""
    types = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(columns))
    return (
        f"(SELECT *, NULL::VARCHAR AS fault FROM read_csv({quoted(file)}, auto_detect = false, header = false, "
        f"columns = {{{types}}}, delim = {quoted(delimiter)}, quote = {quoted(quote)}, escape = {quoted(quote)}, "
        f"max_line_size = {LONGEST_LINE}, store_rejects = true))"
    )
