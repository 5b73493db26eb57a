"""What lies in `raw/`: the sources, their deliveries in order, and the digest of each.

Decides which files have arrived. What is inside them is for `readers/` and `staging.py`.
"""

import hashlib
import os
import re
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pipelines.contracts import Contract
from pipelines.errors import MeetlatError, reading, there

BESIDE = ("contract.yml", "corrections.yml", "README.md")  # files in a source's folder that are no delivery
SETTLED = 3.0  # seconds after which a file is taken to be complete without a second look


@dataclass(frozen=True)
class Delivery:
    """One file as it arrived. `refused` is a sentence if it cannot even be looked into."""

    source: str
    path: Path
    sha256: str
    order: str
    refused: str | None = None

    @property
    def id(self) -> str:
        return self.sha256[:16]


def sources(raw: Path) -> list[Path]:
    """The folders under `raw/` that are sources, by name.

    Raises MeetlatError for a folder without a contract: a source must not be skipped silently.
    """
    with reading(raw):
        if not raw.is_dir():
            raise MeetlatError(f"{raw} is not a folder; set MEETLAT_RAW to the folder with the sources.")
        with os.scandir(raw) as entries:  # these know a folder also where nobody may look into it
            named = [e.name for e in entries if e.name != "reference" and not e.name.startswith(".") and e.is_dir()]
    folders = [raw / name for name in sorted(named)]
    for folder in folders:
        if not there(folder / "contract.yml"):
            raise MeetlatError(
                f"{folder} has no contract.yml; write one (see docs/contracts.md), or move the folder out of raw/."
            )
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", folder.name):
            raise MeetlatError(f"{folder}: name a source with lower-case letters, digits and _ only.")
    return folders


Digests = dict[str, list[object]]  # path → size, time, inode and SHA-256 of a file that was read before


def arrived(source: Path, contract: Contract, known: Digests | None = None) -> list[Delivery]:
    """The deliveries of one source in their declared order, oldest first.

    A file that is as it was when its digest was found is not read again; `known` gets the digests that are found.

    Dotfiles, `*.part` and files that are still changing have not arrived yet. A name that does not
    fit the contract, a tie in the order and a second copy of the same bytes are refused deliveries.
    """
    found: list[Delivery] = []
    for path in sorted(source.iterdir()):
        if path.name.startswith(".") or path.name.endswith(".part") or path.name in BESIDE:
            continue
        fault, sha256, key = None, hashlib.sha256(path.name.encode()).hexdigest(), ""
        match = re.search(contract.delivery.order, path.name)
        if path.is_dir():
            fault = "is a folder; deliver files, not folders."
        elif not fnmatch(path.name, contract.files):
            fault = f"does not fit `files: {contract.files}` of the contract; rename it, or mend the contract."
            if path.suffix in (".gz", ".zip") and fnmatch(path.stem, contract.files):
                fault = (
                    f"is packed, and `files: {contract.files}` of the contract names unpacked files; write "
                    f'`files: "{contract.files}{path.suffix}"`, or "{contract.files}*" for both.'
                )
        elif match is None:
            fault = f"has no order key in its name (`order: {contract.delivery.order}`); rename it."
        else:
            try:
                settled = _known(path, {} if known is None else known)
            except OSError as error:
                fault = f"cannot be read ({error.strerror})."
            else:
                if settled is None:
                    continue
                sha256, key = settled, match.group(1)
        found.append(Delivery(source.name, path, sha256, key, fault and f"{path.name} {fault}"))
    return _in_order(found)


def _in_order(found: list[Delivery]) -> list[Delivery]:
    ordered: list[Delivery] = []
    by_bytes: dict[str, str] = {}  # names of those that are not refused
    by_order: dict[str, str] = {}
    for delivery in sorted(found, key=lambda d: (d.order, d.path.name)):
        fault, name = delivery.refused, delivery.path.name
        if fault is None and delivery.sha256 in by_bytes:
            fault = f"{name} holds the same bytes as {by_bytes[delivery.sha256]}; remove one of them."
        elif fault is None and delivery.order in by_order:
            fault = (
                f"{name} has the same order key '{delivery.order}' as {by_order[delivery.order]}, so it "
                "is unknown which is newer; rename one of them."
            )
        elif fault is None:
            by_bytes[delivery.sha256] = by_order[delivery.order] = name
        ordered.append(Delivery(delivery.source, delivery.path, delivery.sha256, delivery.order, fault))
    return ordered


def _known(path: Path, known: Digests) -> str | None:
    """The digest of a file, without reading it where size, time and inode are those of when it was read."""
    stat = path.stat()
    state: list[object] = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
    before = known.get(str(path))
    if before is not None and before[:3] == state:
        return str(before[3])
    found = digest(path)
    if found is not None and time.time() - stat.st_mtime > SETTLED:  # else it may change within the clock's grain
        known[str(path)] = [*state, found]
    return found


def digest(path: Path) -> str | None:
    """SHA-256 of the file's bytes, or None if the file is still changing."""
    before = path.stat()
    if time.time() - before.st_mtime < SETTLED:
        time.sleep(0.1)
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return sha256 if same(before, path.stat()) else None


def same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ino) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ino,
    )
