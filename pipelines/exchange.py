"""Files between machines that share no folder, through any storage that fsspec knows: an object store, for example.

The driver brings what the executors read, an executor brings the parts that it made, and the driver fetches these.
Of a part `part.json` comes last: a part is whole where that is. An object is seen as a whole or not at all, so nothing
has to be renamed there.

All of it lies in a folder of one refresh, which goes when that ends. A note in the state folder says which one is
there, so that a later refresh removes it where this one could not.
"""

import errno
import fcntl
import functools
import json
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipelines import history
from pipelines.deliveries import Delivery
from pipelines.errors import MeetlatError, reading, writing
from pipelines.parts import JSON, Part, Store
from pipelines.settings import Settings

AT_ONCE = 4  # things on their way: libraries hold a good deal of each in memory
MARK = "part.json"
OF_A_REFRESH = re.compile(r"[a-z0-9+.-]+://.+/meetlat-[0-9a-f]{32}")
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
        with reading(file):  # else it would be the storage that is to blame
            file.open("rb").close()
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
            self.each(
                lambda file: self.bring(file, f"{place}/{file.name}"),
                [file for file in part.folder.iterdir() if file.name != MARK],
            )
            self.bring(part.folder / MARK, f"{place}/{MARK}")

    def fetch_part(self, store: Store, name: str, hash: str, of: str = "") -> Part:
        """The part in a store of this machine; only the files whose names begin with `of`."""

        def write(folder: Path) -> dict[str, JSON]:
            files = {file.rpartition("/")[2]: file for file in self.names(f"parts/{name}/{hash}")}
            for file, there in files.items():
                if file.startswith((of, MARK)):
                    self.fetch(there, folder / file)
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
def begun(settings: Settings) -> Iterator[Exchange]:
    """A folder below MEETLAT_EXCHANGE for one refresh. Raises MeetlatError if it cannot be used."""
    url = settings.exchange or ""
    if not _is_address(url):
        raise MeetlatError(
            "MEETLAT_EXCHANGE must be an address such as s3://bucket/folder, without a password; give that in the "
            "configuration of fsspec, or in the variables that its library for the storage reads."
        )
    if sentences := left(settings):  # the note has room for one
        raise MeetlatError(sentences[0])
    exchange = Exchange(f"{url.rstrip('/')}/meetlat-{uuid.uuid4().hex}")
    with writing(settings.state):
        history.write_aside(_note(settings), exchange.url, 0o600)
    try:
        yield exchange
    finally:
        left(settings)  # what cannot be removed now, is tried again when the refresh ends


def left(settings: Settings) -> list[str]:
    """Remove what a refresh left in an exchange; a sentence if that cannot be done."""
    try:
        url = _note(settings).read_text()
    except FileNotFoundError:
        return []
    try:
        if not OF_A_REFRESH.fullmatch(url):  # nobody knows what would be removed
            raise MeetlatError(url)
        fs, root = _opened(url)
        with _told(url), suppress(FileNotFoundError):
            fs.rm(root, recursive=True)
    except (MeetlatError, OSError):
        return [
            f"{url} may still hold exports that Spark was given, and cannot be reached or emptied. Give this machine "
            f"the right to it; or remove that folder there, and then the file {_note(settings)}."
        ]
    _note(settings).unlink()
    return []


def _note(settings: Settings) -> Path:
    return settings.state / "exchange"


def _is_address(url: str) -> bool:
    try:
        asked = urlsplit(url)
        return "://" in url and bool(asked.netloc + asked.path.strip("/")) and asked.password is None
    except ValueError:
        return False


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
    """A folder of this process's own, locked as long as it lives. What processes left that are gone is removed."""
    all_ = Path(tempfile.gettempdir()) / f"meetlat-{os.geteuid()}"
    all_.mkdir(mode=0o700, exist_ok=True)
    found = all_.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise MeetlatError(f"{all_} is another user's, or no folder; remove it, or set TMPDIR of the executors.")
    for lock in all_.glob("*/lock"):
        with suppress(OSError), lock.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    own = Path(tempfile.mkdtemp(dir=all_))
    fcntl.flock(os.open(own / ".lock", os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)  # as long as the process lives
    (own / ".lock").rename(own / "lock")  # seen by others only now
    return own
