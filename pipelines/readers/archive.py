"""The bytes of a delivery, unpacked while they are read: .gz, .zip, or as they are.

Nothing unpacked touches a disk, and nothing is unpacked beyond the limits below. What the bytes
mean is for the other readers.
"""

import gzip
import io
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pipelines.errors import DeliveryRefused

MOST = 20 << 30  # bytes that one delivery may unpack to
IN_MEMORY = 1 << 30  # the same where a format has to be held in memory as a whole
FREE, RATIO = 100 << 20, 1000  # beyond so many bytes, no more than so many times the packed size
TEXT_RATIO = 250  # the same for text, which has no wide blank fields
DAMAGED = (  # what the libraries raise for an archive that is not whole, beside OSError
    EOFError,
    ValueError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
PACKED = (".zip", ".gz", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz", ".zst")


class Limit:
    """Counts what is unpacked, and refuses the delivery when it cannot be an export any more."""

    def __init__(self, path: Path, whole: bool = False, text: bool = False) -> None:
        self.name, self.packed, self.seen = path.name, path.stat().st_size, 0
        self.most, self.ratio = IN_MEMORY if whole else MOST, TEXT_RATIO if text else RATIO

    def add(self, size: int) -> None:
        self.seen += size
        if self.seen > self.most:
            raise DeliveryRefused(
                f"{self.name} unpacks to more than {self.most / (1 << 30):.0f} GiB; deliver it in smaller parts"
                f"{', or as CSV' if self.most < MOST else ''}."
            )
        if self.seen > max(FREE, self.ratio * self.packed):
            raise DeliveryRefused(
                f"{self.name} unpacks to over {self.ratio} times its size, as no real export does; if this is one, "
                "deliver it unpacked."
            )


class Unpacked(io.RawIOBase):
    """A stream that keeps the limit and says in words what is wrong with the packing."""

    def __init__(self, file: Any, limit: Limit, packing: str) -> None:
        self.file, self.limit, self.packing = file, limit, packing

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.file.read(len(buffer))
        except (*DAMAGED, OSError) as error:
            if isinstance(error, OSError) and error.errno:  # the disk, not the packing
                raise
            raise broken(self.limit.name, self.packing, error) from None
        self.limit.add(len(data))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def broken(name: str, packing: str, error: Exception) -> DeliveryRefused:
    """Of the library's words only those that cannot quote the file."""
    why = "it ends too early" if isinstance(error, EOFError) else "its bytes are damaged"
    return DeliveryRefused(
        f"{name} is not a whole {packing} file ({why}); the transfer was probably cut, send it again."
    )


def open_bytes(path: Path, member: str | None = None, whole: bool = False) -> io.BufferedReader:
    """The bytes of a delivery, unpacked if its name ends in .gz or .zip; `whole` if they are no text."""
    if path.stat().st_size == 0:
        raise DeliveryRefused(f"{path.name} is empty (0 bytes); have it exported again.")
    suffix = path.suffix.lower()
    if suffix not in (".gz", ".zip"):
        file = path.open("rb")
        if file.peek(2)[:2] == b"\x1f\x8b":
            file.close()
            raise DeliveryRefused(
                f"{path.name} is packed with gzip, but its name does not say so; let it end in .gz, and `files` of the "
                "contract with it."
            )
        return file
    limit = Limit(path, whole, text=not whole)
    if suffix == ".gz":
        refuse_nested(path, path.stem)
        return io.BufferedReader(Unpacked(gzip.open(path, "rb"), limit, "gzip"), 1 << 20)
    return io.BufferedReader(Unpacked(_member(path, member), limit, "zip"), 1 << 20)


def seekable(path: Path, member: str | None = None) -> io.BufferedIOBase:
    """The same for formats that are read back and forth: what is packed is unpacked in memory."""
    with open_bytes(path, member, whole=True) as file:
        if not is_packed(path):
            return path.open("rb")
        return io.BytesIO(file.read())


def is_packed(path: Path) -> bool:
    return path.suffix.lower() in (".gz", ".zip")


def refuse_nested(path: Path, name: str) -> None:
    if name.lower().endswith(PACKED):
        raise DeliveryRefused(f"{path.name} holds an archive inside an archive; unpack the outer one first.")


def _member(path: Path, pattern: str | None) -> Any:
    """The one usable file in a zip, opened."""
    try:
        archive = zipfile.ZipFile(path)
    except (*DAMAGED, OSError) as error:
        raise broken(path.name, "zip", error) from None
    if any(_leaves(info.filename) for info in archive.infolist()):
        raise DeliveryRefused(
            f"{path.name} has a file whose path leaves the archive; do not trust it, ask who sent it."
        )
    usable = [i for i in archive.infolist() if _usable(i) and (pattern is None or fnmatch(i.filename, pattern))]
    if len(usable) != 1:
        fitting = f" that fit `member: {pattern}`" if pattern else ""
        remedy = "say which with `member:` in the contract's format" if usable else "have it exported again"
        raise DeliveryRefused(f"{path.name} holds {len(usable)} files{fitting}, not one; {remedy}.")
    (info,) = usable
    refuse_nested(path, info.filename)
    if info.flag_bits & 0x1:
        raise DeliveryRefused(f"{path.name} is protected by a password; have it sent without one, over a safe way.")
    return _opened(path, lambda: archive.open(info))


def _opened(path: Path, open: Callable[[], Any]) -> Any:
    try:
        return open()
    except NotImplementedError:
        raise DeliveryRefused(f"{path.name} is packed in a way that cannot be read; pack it as plain zip.") from None
    except (*DAMAGED, OSError) as error:
        raise broken(path.name, "zip", error) from None


def _leaves(name: str) -> bool:
    steps = re.split(r"[/\\]", name)
    return ".." in steps or steps[0] == "" or re.match("[A-Za-z]:", name) is not None


def _usable(info: zipfile.ZipInfo) -> bool:
    """Not a folder, nor what operating systems leave behind."""
    steps = info.filename.split("/")
    left_behind = steps[-1].startswith(".") or steps[-1].lower() in ("thumbs.db", "desktop.ini")
    return not (info.is_dir() or steps[0] == "__MACOSX" or left_behind)
