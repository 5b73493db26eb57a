"""The releases that are kept: which there are, which one is served, and which may go.

`current` names the release that is served. A rollback pins it: `pinned.json` then names the release to be
served and the newest one, which refreshes go on from, and nothing but lifting the pin moves `current` forward.
"""

import datetime as dt
import json
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import MeetlatError
from pipelines.parts import JSON, Store, failpoint, flush
from pipelines.settings import Settings

REISSUED = ".reissued-"


@dataclass(frozen=True)
class Retained:
    """A release that is still there. `reissued`: respondent-level tables were taken out after an erasure."""

    id: str
    folder: Path
    published_at: dt.datetime
    is_current: bool
    reissued: bool


def releases(settings: Settings) -> list[Retained]:
    """The releases that are kept, in the order in which they were last published."""
    served = _served(settings)
    found = []
    for folder in (settings.warehouse / "releases").glob("*"):
        if not folder.name.startswith("."):
            publication = json.loads((folder / "publication.json").read_text())
            at = dt.datetime.fromisoformat(publication["published_at"])
            reissued = "reissued_at" in publication
            found.append(Retained(folder.name, folder, at, folder.name == served, reissued))
    return sorted(found, key=lambda r: (r.published_at, r.id))


def find(settings: Settings, name: str) -> Retained:
    """The release of that name, or whose name begins so. Raises MeetlatError if there is none, or several."""
    known = releases(settings)
    exact = [r for r in known if r.id == name]
    found = exact or [r for r in known if r.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise MeetlatError(f"Several releases begin with {name}: {', '.join(r.id for r in found)}.")
    listed = ", ".join(r.id for r in known) or "none yet"
    raise MeetlatError(f"There is no release {name} in {settings.warehouse}; there are: {listed}.")


def _served(settings: Settings) -> str | None:
    try:
        return settings.current.readlink().name
    except OSError:
        return None


def latest(settings: Settings) -> Path:
    """The release that the next one goes on from: the one that is served, or the newest behind a pin."""
    pin = pinned(settings)
    return settings.warehouse / "releases" / pin["newest"] if pin else settings.current


# --- serving -------------------------------------------------------------------------------------


def serve(settings: Settings, release: Path) -> bool:
    """Have readers get this release; behind a pin, have it be what they get when the pin is lifted."""
    if pin := pinned(settings):
        _pin(settings, pin | {"newest": release.name})
        return False
    swap(settings.current, release)
    return True


def swap(current: Path, release: Path) -> None:
    """Have `current` name the release: one atomic rename of a relative link."""
    aside = current.with_name(f".current-{uuid.uuid4().hex[:8]}")
    aside.symlink_to(os.path.relpath(release, current.parent))
    try:
        failpoint("swap-before")
        aside.replace(current)
        flush(current.parent)
        failpoint("swap-after")
    finally:
        aside.unlink(missing_ok=True)


def pinned(settings: Settings) -> dict[str, str] | None:
    """The release that a person went back to, since when, and the newest one behind it; None without a pin."""
    try:
        pin: dict[str, str] = json.loads((settings.warehouse / "pinned.json").read_text())
        return pin
    except FileNotFoundError:
        return None


def _pin(settings: Settings, pin: dict[str, str]) -> None:
    write_aside(settings.warehouse / "pinned.json", json.dumps(pin, indent=1))


def write_aside(file: Path, text: str, mode: int = 0o640) -> None:
    """Replace a small file as a whole: nobody ever reads half of it, also after a power cut."""
    aside = file.with_name(f".{file.name}-{uuid.uuid4().hex[:8]}")
    try:
        aside.write_text(text)
        aside.chmod(mode)
        flush(aside)
        aside.replace(file)
        flush(file.parent)
    finally:
        aside.unlink(missing_ok=True)


def rollback(settings: Settings, name: str | None) -> str:
    """Serve an earlier release and pin it; by default the one published before. Gives the sentence to print.

    Raises MeetlatError if there is none, or if persons were erased since it was made. Only under the lock.
    """
    known = releases(settings)
    served = next((i for i, r in enumerate(known) if r.is_current), None)
    if served is None:
        raise MeetlatError(f"There is no release in {settings.warehouse} yet; run `meetlat refresh`.")
    if name is None and served == 0:
        raise MeetlatError(f"There is no release before {known[served].id}; `meetlat releases` lists what is kept.")
    chosen = known[served - 1] if name is None else find(settings, name)
    if chosen.reissued:
        raise MeetlatError(
            f"Release {chosen.id} was made before an erasure and has lost its restricted tables since; it stays for "
            "comparison, but is not served again."
        )
    if chosen.id in {release.id for release in before_erasure(settings)}:
        raise MeetlatError(
            f"Release {chosen.id} still holds people who were erased since it was made, so it is not served again; "
            "run `meetlat refresh`, which completes the erasure."
        )
    newest = latest(settings).resolve().name
    _pin(settings, {"release": chosen.id, "since": now(), "newest": newest})
    swap(settings.current, chosen.folder)
    return (
        f"Release {chosen.id} of {chosen.published_at:%Y-%m-%d %H:%M} is served, and stays so: refreshes make "
        "releases, but do not serve them until `meetlat rollback --lift`."
    )


def lift(settings: Settings) -> str:
    """Take the pin away and serve the newest release. Raises MeetlatError without a pin. Only under the lock."""
    pin = pinned(settings)
    if pin is None:
        raise MeetlatError("No release is pinned, so there is nothing to lift.")
    swap(settings.current, settings.warehouse / "releases" / pin["newest"])
    (settings.warehouse / "pinned.json").unlink()
    return f"Release {pin['newest']} is served; the next refresh goes on as usual."


def mend(settings: Settings) -> None:
    """Bring `current` and the pin together where a kill came between them; remove what was left half-made."""
    warehouse = settings.warehouse
    for whole in (warehouse / "releases").glob(f"{REISSUED}*"):
        folder = whole.with_name(whole.name.removeprefix(REISSUED))
        if folder.exists():  # nothing was moved yet, so it is begun anew
            shutil.rmtree(whole)
        else:
            whole.rename(folder)
            flush(folder.parent)
    leftovers = [*warehouse.glob(".current-*"), *warehouse.glob(".pinned.json-*")]
    leftovers += warehouse.glob("releases/*/.publication.json-*")
    for leftover in [*leftovers, *(warehouse / "releases").glob(".aside-*")]:
        shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
    pin = pinned(settings)
    if pin and pin["release"] != _served(settings):
        swap(settings.current, warehouse / "releases" / pin["release"])


# --- retention -----------------------------------------------------------------------------------


def retire(settings: Settings) -> None:
    """Remove the releases that need not be kept, and the parts that no release names. Only under the lock.

    Kept are the newest `settings.keep`, those younger than `settings.keep_days`, the one that is served, and the
    one that the next goes on from.
    """
    known = releases(settings)
    young = dt.datetime.now(dt.UTC) - dt.timedelta(days=settings.keep_days)
    newest = {r.id for r in known[-settings.keep :]} | {latest(settings).resolve().name}
    failpoint("retire-before")
    for release in known:
        if not (release.is_current or release.id in newest or release.published_at > young):
            # under another name first: nobody finds half of it
            gone = release.folder.with_name(f".aside-{release.id}-gone")
            release.folder.rename(gone)
            shutil.rmtree(gone)
    remove_unnamed(settings)
    failpoint("retire-after")


def before_erasure(settings: Settings) -> list[Retained]:
    """The releases that still hold persons who were erased since: that lack an erasure that is in the register."""
    from pipelines import erasure  # which is built on this module

    now = erasure.digests(settings).items()

    def lacks_some(release: Path) -> bool:
        erasures = json.loads((release / "manifest.json").read_text()).get("erasures", {})
        return any(erasures.get(source) != digest for source, digest in now)

    return [r for r in releases(settings) if not r.reissued and lacks_some(r.folder)] if now else []


def reissued_aside(release: Path) -> Path:
    """Where a release without its respondents lies, whole, until it takes the place of the one with them."""
    return release.with_name(f"{REISSUED}{release.name}")


def remove_unnamed(settings: Settings) -> None:
    """Remove the parts that no release and no candidate names, but for releases made before an erasure."""
    gone = {release.folder for release in before_erasure(settings)}
    named: set[tuple[str, str]] = set()
    for folder in [*settings.warehouse.glob("releases/[!.]*"), *settings.warehouse.glob("candidates/*")]:
        if folder in gone:
            continue
        document: dict[str, JSON] = json.loads((folder / "manifest.json").read_text())
        named |= {(name, hash) for name, hashes in document["parts"].items() for hash in hashes}
    Store(settings.warehouse / "parts").keep(named)


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
