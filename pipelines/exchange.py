"""Files between machines that share no folder, through any storage that fsspec knows: an object store, for example.

The driver brings what the executors read, an executor brings the parts that it made, and the driver fetches these.
Of a part `part.json` comes last: a part is whole where that is. An object is seen as a whole or not at all, so nothing
has to be renamed there.

All of it lies in a folder of one refresh, which goes when that ends, or else when the next one begins.
"""

import errno
import functools
import json
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines.deliveries import Delivery
from pipelines.errors import MeetlatError
from pipelines.parts import JSON, Part, Store

RUN = re.compile(r"meetlat-[0-9a-f]{32}")  # the folder of one refresh
AT_ONCE = 16  # files on their way: most of the time is spent on waiting for an answer
MARK = "part.json"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Exchange:
    """The folder of one refresh; names are relative to it. Raises MeetlatError where the storage cannot be used."""

    url: str

    @functools.cached_property
    def _opened(self) -> tuple[Any, str]:
        return _opened(self.url)

    def has(self, name: str) -> bool:
        fs, root = self._opened
        with _told(self.url):
            return bool(fs.exists(f"{root}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        fs, root = self._opened
        with _told(self.url):
            _make_folder(fs, root)
            fs.pipe_file(f"{root}/{name}", content)

    def read(self, name: str) -> bytes:
        fs, root = self._opened
        with _told(self.url):
            content: bytes = fs.cat_file(f"{root}/{name}")
            return content

    def bring(self, file: Path, name: str) -> None:
        fs, root = self._opened
        with _told(self.url):
            _make_folder(fs, f"{root}/{name}".rpartition("/")[0])
            fs.put_file(str(file), f"{root}/{name}")

    def fetch(self, name: str, file: Path) -> None:
        fs, root = self._opened
        with _told(self.url):
            fs.get_file(f"{root}/{name}", str(file))

    def names(self, folder: str) -> list[str]:
        """Of every file in this folder and in those below it."""
        fs, root = self._opened
        with _told(self.url):
            return sorted(file.lstrip("/").removeprefix(f"{root}/".lstrip("/")) for file in fs.find(f"{root}/{folder}"))

    def each(self, work: Callable[[Any], object], items: Iterable[Any]) -> None:
        """Bring or fetch many things; several at once where the library can."""
        fs, _ = self._opened
        with ThreadPoolExecutor(AT_ONCE if fs.async_impl else 1) as pool:
            list(pool.map(work, items))

    def bring_delivery(self, delivery: Delivery) -> None:
        if not self.has(name := f"raw/{delivery.sha256}"):
            self.bring(delivery.path, name)

    def fetch_delivery(self, delivery: Delivery, folder: Path) -> Path:
        """A copy in `folder`; each has the same time, by which machines tell that they read the same file."""
        file = folder / delivery.path.name
        self.fetch(f"raw/{delivery.sha256}", file)
        os.utime(file, (0, 0))
        return file

    def bring_part(self, part: Part) -> None:
        """Two may bring the same part at once: they bring the same bytes."""
        place = f"parts/{part.name}/{part.hash}"
        if not self.has(f"{place}/{MARK}"):
            for file in sorted(part.folder.iterdir(), key=lambda file: file.name == MARK):
                self.bring(file, f"{place}/{file.name}")

    def fetch_part(self, store: Store, name: str, hash: str) -> Part:
        """The part in a store of this machine."""

        def write(folder: Path) -> dict[str, JSON]:
            for file in self.names(f"parts/{name}/{hash}"):
                self.fetch(file, folder / file.rpartition("/")[2])
            facts: dict[str, JSON] = json.loads((folder / MARK).read_text())
            return facts

        return store.make(name, hash, write)

    def parts(self) -> list[tuple[str, str]]:
        """Name and hash of every part that is whole."""
        found = [name.split("/") for name in self.names("parts")]
        return [(name, hash) for _, name, hash, file in found if file == MARK]


class Mirror(Store):
    """A store whose parts come from the exchange and go there."""

    def __init__(self, folder: Path, exchange: Exchange) -> None:
        super().__init__(folder)
        self.here = Store(folder)
        self.exchange = exchange

    def find(self, name: str, hash: str) -> Part | None:
        part = self.here.find(name, hash)
        if part is None and self.exchange.has(f"parts/{name}/{hash}/{MARK}"):
            part = self.exchange.fetch_part(self.here, name, hash)
        return part

    def make(self, name: str, hash: str, write: Callable[[Path], dict[str, JSON]]) -> Part:
        if (part := self.find(name, hash)) is None:
            part = self.here.make(name, hash, write)
            self.exchange.bring_part(part)
        return part


# --- the driver ----------------------------------------------------------------------------------


@contextmanager
def begun(url: str) -> Iterator[Exchange]:
    """A folder below MEETLAT_EXCHANGE for one refresh. What refreshes left there that were killed is removed first."""
    if "://" not in url or "@" in urlsplit(url).netloc:
        raise MeetlatError(
            "MEETLAT_EXCHANGE must be an address such as s3://bucket/folder, without a user and a password; give these "
            "in the configuration of fsspec, or in the variables that its library for the storage reads."
        )
    fs, root = _opened(url)
    with _told(url):
        _make_folder(fs, root)
        with suppress(FileNotFoundError):  # an object store knows no empty folder
            for left in fs.ls(root, detail=False):
                if RUN.fullmatch(left.rstrip("/").rpartition("/")[2]):
                    fs.rm(left, recursive=True)
    exchange = Exchange(f"{url.rstrip('/')}/meetlat-{uuid.uuid4().hex}")
    try:
        yield exchange
    finally:
        with suppress(Exception):  # what stays goes when the next one begins
            fs.rm(f"{root}/{exchange.url.rpartition('/')[2]}", recursive=True)


def _opened(url: str) -> tuple[Any, str]:
    with _told(url):
        from fsspec.core import url_to_fs

        fs, root = url_to_fs(url, use_listings_cache=False)  # others write there
        return fs, root.rstrip("/")


def _make_folder(fs: Any, folder: str) -> None:
    """Only where there are folders: an object store might make a bucket instead."""
    if not fs.async_impl:
        fs.makedirs(folder, exist_ok=True)


@contextmanager
def _told(url: str) -> Iterator[None]:
    """Say in a sentence what keeps the storage from being used; its own text may hold a password."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:  # a disk of this machine
            raise
        raise MeetlatError(
            f"{url} cannot be used ({type(error).__name__}). MEETLAT_EXCHANGE must be storage that the driver and all "
            "machines of Spark can read and write, and each needs the library of fsspec for it (s3fs for s3://)."
        ) from None


# --- an executor ---------------------------------------------------------------------------------


@functools.cache
def room() -> Path:
    """A folder of this process's own. What those left there that are gone is removed."""
    all_ = Path(tempfile.gettempdir()) / f"meetlat-{os.geteuid()}"
    all_.mkdir(mode=0o700, exist_ok=True)
    if all_.stat().st_uid != os.geteuid():
        raise MeetlatError(f"{all_} belongs to another user; remove it, or set TMPDIR of the executors.")
    own = all_ / str(os.getpid())
    for left in all_.iterdir():
        try:
            os.kill(int(left.name), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(own, ignore_errors=True)  # of one that had the same number
    own.mkdir()
    return own
