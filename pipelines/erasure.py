"""The register of erased persons, and what an erasure asks of the releases that are kept.

The register holds hashes under a key of its own, so neither it nor a release tells who was erased. It lies in the
state folder. Staging leaves out the rows of those who stand in it, also of a file that arrives later.

Nothing ever goes out of it: what a person says is renamed or gone only rests, and holds again where it comes back. So
a release made before an erasure is always told from one made after it.
"""

import json
import shutil
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipelines import history, privacy
from pipelines.contracts import Contract
from pipelines.errors import MeetlatError
from pipelines.parts import digest, failpoint, flush, flush_tree, link
from pipelines.settings import Settings

KINDS = ("respondent", "response")
KEY = "erasure.key"
REGISTER = "erased.json"


@dataclass(frozen=True)
class Erased:
    """Those who were erased from one source: by kind of id, hashes, and what stands before an id when it is hashed."""

    hashes: Mapping[str, list[str]] = field(default_factory=dict)
    prefixes: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Differs whenever a person is added. Tells two registers apart without telling who is in one."""
        return digest(self.hashes) if self.hashes else ""


@dataclass(frozen=True)
class _Register:
    """Hashes by source and kind of id; and of these the kinds that a person said can no longer be found anywhere."""

    erased: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    gone: dict[str, list[str]] = field(default_factory=dict)


def load(settings: Settings, contracts: Mapping[str, Contract]) -> dict[str, Erased]:
    """The register by source; sources from which nobody was erased are not in it.

    Raises MeetlatError if people in it can no longer be found by their ids, and no person said that this is meant.
    """
    register = _read(settings)
    if not register.erased:
        return {}
    key = _key(settings, make=False)
    for source, kinds in register.erased.items():
        lost = {k: hashes for k, hashes in kinds.items() if not _finds(contracts.get(source), k)}
        for kind in register.gone.get(source, []):
            lost.pop(kind, None)
        if lost:
            raise MeetlatError(_lost(settings, source, lost, source in contracts))
    return {
        source: Erased(kinds, {kind: _prefix(key, kind) for kind in kinds}) for source, kinds in register.erased.items()
    }


def _finds(contract: Contract | None, kind: str) -> bool:
    """Whether a contract maps ids of this kind, in every version of it."""
    if contract is None:
        return False
    return all(each.one(kind) for each in contract.in_turn)


def _lost(settings: Settings, source: str, lost: Mapping[str, list[str]], is_there: bool) -> str:
    """The sentences for people in the register whom no refresh would keep out any more."""
    people = max(map(len, lost.values()))
    n = f"{people:,} erased {'person' if people == 1 else 'people'}"
    if not is_there:
        return (
            f"{settings.state / REGISTER} names {n} of the source {source}, and {settings.raw} has no such folder. If "
            f"it has another name now, run `meetlat erase {source} --renamed NEW`, or they come back under that name; "
            f"if the source is gone for good, run `meetlat erase {source} --gone`."
        )
    kinds = " and ".join(lost)
    return (
        f"{settings.raw / source / 'contract.yml'} does not map the {kinds} id, or not in every version, but {n} can "
        f"be kept out by nothing else. Map it again (role: {kinds}); or run `meetlat erase {source} --gone` if the "
        "exports hold nothing of them any more."
    )


def digests(settings: Settings) -> dict[str, str]:
    """By source, what a release made of the register as it is now says of it (`erasures` in its manifest)."""
    return {source: Erased(kinds).digest for source, kinds in _read(settings).erased.items()}


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
    prefix = _prefix(_key(settings, make=not register.erased), kind)
    hashes = {privacy.hashed(prefix, id) for id in named}
    before = set(register.erased.get(source, {}).get(kind, []))
    register.erased.setdefault(source, {})[kind] = sorted(before | hashes)
    if _finds(contract, kind) and kind in register.gone.get(source, []):
        register.gone[source].remove(kind)  # it was back, and now others depend on it
    _write(settings, register)
    return len(named), len(hashes - before)


def rename(settings: Settings, old: str, new: str) -> str:
    """Keep out of the source `new` whom the register names for `old`; gives the sentence to print. Under the lock."""
    register = _read(settings)
    if (settings.raw / old).is_dir():
        raise MeetlatError(f"{settings.raw / old} is still there, so {old} has no other name.")
    for kind, hashes in _of(settings, register, old).items():
        kinds = register.erased.setdefault(new, {})
        kinds[kind] = sorted({*kinds.get(kind, []), *hashes})
    register.gone.pop(new, None)
    register.gone[old] = sorted(register.erased[old])
    _write(settings, register)
    return (
        f"Who was erased from {old} is kept out of {new} from the next `meetlat refresh` on. Releases of the time "
        "before can then no longer be gone back to, as after an erasure."
    )


def give_up(settings: Settings, source: str, contract: Contract | None) -> str:
    """Note that people can no longer be found by some ids of a source, and need not be. Only under the lock.

    Gives the sentence to print. Raises MeetlatError if they can be found.
    """
    register = _read(settings)
    gone = sorted(kind for kind in _of(settings, register, source) if not _finds(contract, kind))
    if not gone:
        raise MeetlatError(
            f"{source} is in {settings.raw}, and its contract maps the ids of those who were erased from it; nothing "
            "of it is gone."
        )
    register.gone[source] = sorted({*register.gone.get(source, []), *gone})
    _write(settings, register)
    return (
        f"Refreshes no longer ask for the {' and '.join(gone)} ids of {source}. Should they come back under that name, "
        "those who were erased are kept out again."
    )


def _of(settings: Settings, register: _Register, source: str) -> dict[str, list[str]]:
    if source not in register.erased:
        raise MeetlatError(f"{settings.state / REGISTER} names nobody of a source {source}.")
    return register.erased[source]


def _read(settings: Settings) -> _Register:
    try:
        return _Register(**json.loads((settings.state / REGISTER).read_text()))
    except FileNotFoundError:
        return _Register()
    except (ValueError, TypeError):
        raise MeetlatError(
            f"{settings.state / REGISTER} cannot be read, so those who were erased cannot be kept out. Restore it "
            "from a backup of the state folder."
        ) from None


def _write(settings: Settings, register: _Register) -> None:
    text = json.dumps(vars(register), indent=1, sort_keys=True)
    history.write_aside(settings.state / REGISTER, text, 0o600)


def _key(settings: Settings, make: bool) -> bytes:
    """The key of the register. Raises MeetlatError if there is a register, but its key is gone."""
    if not make and not (settings.state / KEY).exists():
        raise MeetlatError(
            f"{settings.state / KEY} is gone, so those in {REGISTER} can no longer be kept out. Restore it from a "
            "backup of the state folder."
        )
    return privacy.load_key_file(settings.state / KEY)


def _prefix(key: bytes, kind: str) -> str:
    """What stands before an id. Nothing that may be edited, such as a contract or the name of a folder."""
    return privacy.prefix(key, f"erased {kind}")


def reissue(settings: Settings) -> list[str]:
    """Take what tells of single respondents out of every release made before the last erasure. Only under the lock.

    Those releases keep their tables of groups; they are not served again. Gives their names. The one that is served is
    left alone: see `still_served`.
    """
    done = []
    for release in history.before_erasure(settings):
        if release.is_current:
            continue
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
        flush_tree(aside)
        whole = history.reissued_aside(release.folder)  # `history.mend` puts it in place if it is killed from here on
        aside.rename(whole)
        flush(releases)
        failpoint("reissue-rename-before")
        release.folder.rename(gone)
        failpoint("reissue-rename-after")
        whole.rename(release.folder)
        flush(releases)
        shutil.rmtree(gone)
        failpoint("reissue-after")
        done.append(release.id)
    return done


def still_served(settings: Settings) -> list[str]:
    """That the release that is served still holds erased persons, as sentences: so where one is pinned."""
    return [
        f"Release {release.id} is served and still holds people who were erased since it was made: publish one without "
        "them by `meetlat refresh`, after `meetlat rollback --lift` if it is pinned; then it loses them too."
        for release in history.before_erasure(settings)
        if release.is_current
    ]
