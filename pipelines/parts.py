"""The store of parts: small immutable folders named by the hash of what they were made from.

If a part exists it is right, so it is never made twice. A part is written aside and renamed into
place: a kill at any moment leaves either no part or a whole one. What a part contains, and what
its name is hashed from, is decided by `plan.py`; this module only names, keeps and finds.
"""

import errno
import hashlib
import json
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JSON = Any


def digest(value: JSON) -> str:
    """128 bits in hexadecimal of a JSON value, independent of key order and white space."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def failpoint(name: str) -> None:
    """Die here if MEETLAT_FAILPOINT says so: lets the tests kill a refresh at every named place."""
    if os.environ.get("MEETLAT_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Part:
    """A finished part: its folder, and what its maker wrote down about it (row counts, checks)."""

    name: str
    hash: str
    folder: Path
    facts: dict[str, JSON]

    def file(self, stem: str = "data") -> Path:
        return self.folder / f"{stem}.parquet"


class Store:
    """`parts/<name>/<hash>/`, with `part.json` beside the Parquet files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str, hash: str) -> Part | None:
        folder = self.folder.joinpath(name, hash)
        try:
            facts = json.loads((folder / "part.json").read_text())
        except FileNotFoundError:
            return None
        return Part(name, hash, folder, facts)

    def make(self, name: str, hash: str, write: Callable[[Path], dict[str, JSON]]) -> Part:
        """Return the part, letting `write` fill its folder if it is not there yet.

        `write` gets an empty folder and returns what is to stand in `part.json`. If it raises,
        nothing is kept.
        """
        if (part := self.find(name, hash)) is not None:
            return part
        final = self.folder / name / hash
        aside = self.aside(f"{name}-{hash}")
        try:
            failpoint("part-write-before")
            facts = write(aside)
            (aside / "part.json").write_text(json.dumps(facts, indent=1, sort_keys=True, default=str))
            for file in aside.iterdir():
                file.chmod(0o440)
                flush(file)
            failpoint("part-write-after")
            final.parent.mkdir(parents=True, exist_ok=True)
            flush(aside)
            failpoint("part-rename-before")
            try:
                aside.rename(final)
            except OSError:
                if not (final / "part.json").exists():
                    raise
                # another process made it meanwhile: the same part
            flush(final.parent)
            failpoint("part-rename-after")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        part = self.find(name, hash)
        assert part is not None
        return part

    def aside(self, name: str) -> Path:
        """A new empty folder; what a killed refresh leaves in it, the next one removes."""
        folder = self.folder / ".aside" / f"{name}-{uuid.uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def keep(self, named: Set[tuple[str, str]]) -> None:
        """Remove every part but those named. Only while no refresh runs."""
        for kind in self.folder.glob("[!.]*"):
            for part in kind.iterdir():
                if (kind.name, part.name) not in named:
                    aside = self.folder / ".aside" / f"{kind.name}-{part.name}-gone"
                    aside.parent.mkdir(exist_ok=True)
                    part.rename(aside)  # a part is whole or not there
                    shutil.rmtree(aside)
            if not any(kind.iterdir()):
                kind.rmdir()

    def clean(self) -> None:
        """Remove what a killed refresh left half-made. Only while no other refresh runs.

        What a process on another machine still writes there is moved away first, so that it can never be renamed.
        """
        aside = self.folder / ".aside"
        if aside.exists():
            aside.rename(self.folder / f".gone-{uuid.uuid4().hex[:8]}")
        for gone in self.folder.glob(".gone-*"):
            shutil.rmtree(gone, ignore_errors=True)


def flush(path: Path) -> None:
    """Have the file or folder on the disk before anything names it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_tree(folder: Path) -> None:
    """The same of all that is in a folder, and of the folder itself."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(root) / name)
        flush(Path(root))


def link(source: Path | str, target: Path | str) -> None:
    """Give a file a second name; copy it where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            raise
        shutil.copyfile(source, target)
