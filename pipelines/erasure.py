"""The register of erased persons, and what an erasure asks of the releases that are kept.

The register holds hashes under a key of its own, so neither it nor a release tells who was erased. It lies in the
state folder. Staging leaves out the rows of those who stand in it, also of a file that arrives later.
"""

import json
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipelines import history, privacy
from pipelines.contracts import Contract
from pipelines.errors import MeetlatError
from pipelines.parts import digest, failpoint, flush, link
from pipelines.settings import Settings

KINDS = ("respondent", "response")
KEY = "erasure.key"


@dataclass(frozen=True)
class Erased:
    """Those who were erased from one source: by kind of id, hashes, and what stands before an id when it is hashed."""

    hashes: Mapping[str, list[str]] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Differs whenever a person is added. Tells two registers apart without telling who is in one."""
        return digest(self.hashes) if self.hashes else ""


def load(settings: Settings, contracts: Mapping[str, Contract]) -> dict[str, Erased]:
    """The register by source; sources from which nobody was erased are not in it."""
    register = _read(settings)
    if not register:
        return {}
    key = _key(settings, make=False)
    return {
        source: Erased(kinds, {kind: _prefix(key, contracts[source], source, kind) for kind in kinds})
        for source, kinds in register.items()
        if source in contracts
    }


def add(settings: Settings, source: str, contract: Contract, kind: str | None, ids: Iterable[str]) -> tuple[int, int]:
    """Enter persons; gives how many were named and how many of them are new. Only under the lock.

    `kind` says whether the ids are those of respondents or of responses; by default of respondents if the source
    has ids of them. Raises MeetlatError if the source has no such ids, or nobody is named.
    """
    known = [k for k in KINDS if contract.one(k)]
    if not known:
        raise MeetlatError(
            f"{source} has neither a respondent nor a response id, so nobody can be found in it; a row goes by a "
            "correction with `exclude` in corrections.yml."
        )
    kind = kind or known[0]
    if kind not in known:
        raise MeetlatError(f"{source} has no {kind} id in its contract; it has: {', '.join(known)}.")
    named = {text for id in ids if (text := id.strip(" \t\r\n\xa0"))}
    if not named:
        raise MeetlatError("Nobody is named: give the ids in a file or on standard input, one a line.")
    register = _read(settings)
    # a new key would let everybody back in who was entered under the old one
    prefix = _prefix(_key(settings, make=not register), contract, source, kind)
    hashes = {privacy.hashed(prefix, id) for id in named}
    before = set(register.get(source, {}).get(kind, []))
    register.setdefault(source, {})[kind] = sorted(before | hashes)
    history.write_aside(settings.state / "erased.json", json.dumps(register, indent=1, sort_keys=True), 0o600)
    return len(named), len(hashes - before)


def _read(settings: Settings) -> dict[str, dict[str, list[str]]]:
    try:
        register: dict[str, dict[str, list[str]]] = json.loads((settings.state / "erased.json").read_text())
        return register
    except FileNotFoundError:
        return {}


def _key(settings: Settings, make: bool) -> bytes:
    """The key of the register. Raises MeetlatError if there is a register, but its key is gone."""
    if not make and not (settings.state / KEY).exists():
        raise MeetlatError(
            f"{settings.state / KEY} is gone, so those in erased.json can no longer be kept out. Restore it from a "
            "backup of the state folder."
        )
    return privacy.load_key_file(settings.state / KEY)


def _prefix(key: bytes, contract: Contract, source: str, kind: str) -> str:
    return privacy.prefix(key, contract.controller, source, f"erased {kind}")


def reissue(settings: Settings) -> list[str]:
    """Take what tells of single respondents out of every release made before the last erasure. Only under the lock.

    Those releases keep their tables of groups; they are not served again. Gives their names.
    """
    done = []
    for release in history.before_erasure(settings):
        failpoint("reissue-before")
        releases = release.folder.parent
        aside, gone = (releases / f".aside-{release.id}-{uuid.uuid4().hex[:8]}" for _ in range(2))
        shutil.copytree(release.folder, aside, copy_function=link)
        ledger = "published_figures.parquet"  # of groups: what is public
        for path in (aside / "restricted").iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ledger:
                path.unlink()
        manifest = json.loads((aside / "manifest.json").read_text()) | {"parts": {}}
        history.write_aside(aside / "manifest.json", json.dumps(manifest, indent=1, sort_keys=True), 0o440)
        publication = json.loads((aside / "publication.json").read_text()) | {"reissued_at": history.now()}
        history.write_aside(aside / "publication.json", json.dumps(publication, indent=1), 0o440)
        release.folder.rename(gone)
        aside.rename(release.folder)
        flush(releases)
        shutil.rmtree(gone)
        failpoint("reissue-after")
        done.append(release.id)
    return done
