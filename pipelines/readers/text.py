"""What every reader hands over, and how bytes get into the engine without touching the disk."""

import codecs
import gzip
import io
import os
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import DeliveryRefused


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
    well, and else gives the rows that never became rows.
    """

    columns: list[str]
    relation: str
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


class Feed(threading.Thread):
    """Pushes text into a pipe that the engine reads as a file, so nothing unpacked lies on a disk."""

    def __init__(self, text: io.TextIOWrapper, path: Path, encoding: str) -> None:
        super().__init__(daemon=True)
        self.text, self.path, self.encoding = text, path, encoding
        self.read_end, self.write_end = os.pipe()
        self.error: DeliveryRefused | None = None

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
                while chunk := self.text.read(1 << 20):
                    if "\0" in chunk:
                        raise DeliveryRefused(f"{self.path.name} holds NUL bytes, so it is not a text file.")
                    unsent = memoryview(chunk.encode())
                    while unsent:
                        unsent = unsent[pipe.write(unsent) :]
        except DeliveryRefused as refused:
            self.error = refused

    def close(self) -> None:
        os.close(self.read_end)
        self.join()
        self.text.close()


@contextmanager
def feeding(text: io.TextIOWrapper, path: Path, encoding: str) -> Iterator[Feed]:
    """Run a feed while the body reads from it; what went wrong in the feed wins over what followed."""
    feed = Feed(text, path, encoding)
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
