"""One refresh from beginning to end: the lock, the plan, the Dagster job in process, the outcome.

`meetlat refresh` calls `run`; a run started in the Dagster UI uses the lock and the clean-up of this
module and goes its own way through the same assets.
"""

import datetime as dt
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipelines import deliveries, plan, release
from pipelines.errors import MeetlatError
from pipelines.parts import JSON, Store, digest
from pipelines.plan import Build, Report
from pipelines.settings import Settings

WELL, NOTHING_PUBLISHED, WRONG_USE, WITHOUT_SOME = 0, 1, 2, 3  # exit statuses


@dataclass
class Outcome:
    """How a refresh ended. `seconds` per stage; `trouble` holds the sentences of refused and stopped."""

    status: int
    release: str | None = None
    is_new: bool = False
    trouble: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def run(settings: Settings, report: Report, full: bool = False) -> Outcome:
    """Refresh: publish a release if anything is new. Raises MeetlatError if nothing could be published."""
    clock = time.perf_counter()
    with locked(settings):
        prepare(settings)
        inputs = plan.look(settings)
        current = plan.manifest(settings)
        stopped = [s.stopped for s in inputs.sources.values() if s.stopped]
        if not full and current.get("inputs_id") == inputs.release_id:
            trouble = stopped + _refusals(current)
            status = WITHOUT_SOME if trouble else WELL
            return Outcome(status, current["release_id"], False, trouble, {"look": time.perf_counter() - clock})
        if not full and stopped and current.get("content_id") == inputs.content_id:
            raise MeetlatError("Nothing is published.\n" + "\n".join(stopped))
        build = Build(inputs, report)
        looked = time.perf_counter()
        stale = None if full else set(plan.stale(inputs))
        with build.ahead():
            _run_job(build, stale)
        ended = time.perf_counter()
        shutil.rmtree(settings.warehouse / "candidates", ignore_errors=True)
    trouble = troubles(build)
    seconds = {"look": looked - clock, **build.stages()}
    seconds["orchestrate"] = ended - clock - sum(seconds.values())
    assert build.published is not None
    return Outcome(WITHOUT_SOME if trouble else WELL, build.published.id, True, trouble, seconds)


def make(settings: Settings, table: str, report: Report) -> Build:
    """Make the parts of one table and of what it reads; publish nothing."""
    with locked(settings):
        prepare(settings)
        inputs = plan.look(settings)
        if table not in inputs.models:
            raise MeetlatError(f"There is no table {table}; the tables are {', '.join(inputs.models)}.")
        build = Build(inputs, report)
        build.parts(table)
    return build


def _run_job(build: Build, stale: set[str] | None) -> None:
    """Run the nightly job for the stale assets, in this process. `None`: all of them."""
    import warnings

    import dagster as dg

    os.environ["DAGSTER_HOME"] = str(dagster_home(build.settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        from pipelines import assets
        from pipelines.definitions import define

        selection = None
        if stale is not None:
            models = build.inputs.models
            names = [assets.source_key(s) for s in sorted(stale) if s not in models]
            names += [assets.table_key(s) for s in sorted(stale) if s in models and not models[s].working]
            selection = [*names, assets.RELEASE]
        contracts = {name: source.contract for name, source in build.inputs.sources.items()}
        defs = define(build.inputs.models, contracts, build)
        with _history_held_open(), dg.DagsterInstance.get() as instance:
            result = defs.resolve_job_def("nightly_refresh").execute_in_process(
                instance=instance,
                asset_selection=selection,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
    if build.failure is not None:
        raise build.failure
    if not result.success:
        errors = [e.event_specific_data.error for e in result.all_events if e.is_step_failure]  # type: ignore[union-attr]
        raise RuntimeError("\n".join(e.to_string() for e in errors if e))


@contextmanager
def _history_held_open() -> Iterator[None]:
    """Spare Dagster's SQLite history a new engine, a new connection and a flush to the disk at every event.

    Dagster makes all three anew for each of some five hundred events, which took half of a small
    refresh. Here they are kept until the run ends. In write-ahead mode nothing can be corrupted so;
    a power cut may cost the last events of the history. A Dagster that is built otherwise is left alone.
    """
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from sqlalchemy import Engine, create_engine, event
    from sqlalchemy.pool import QueuePool

    history: Any = sqlite_event_log
    kept: dict[str, Engine] = {}

    def keep(url: str, **_: object) -> Engine:
        if url not in kept:
            engine = create_engine(url, poolclass=QueuePool, connect_args={"timeout": 60, "check_same_thread": False})
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
            engine.dispose = lambda close=True: None  # type: ignore[method-assign]
            kept[url] = engine
        return kept[url]

    ordinary = getattr(history, "create_engine", None)
    if ordinary is not None:
        history.create_engine = keep
    try:
        yield
    finally:
        if ordinary is not None:
            history.create_engine = ordinary
        for engine in kept.values():
            Engine.dispose(engine)


def troubles(build: Build) -> list[str]:
    """Every delivery and source that this refresh went on without, as sentences."""
    return [s.stopped for s in build.inputs.sources.values() if s.stopped] + list(build.refused.values())


def _refusals(current: dict[str, JSON]) -> list[str]:
    return [d["refused"] for s in current["sources"].values() for d in s["deliveries"] if d["refused"]]


# --- one at a time -------------------------------------------------------------------------------


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the lock of the warehouse. Raises MeetlatError naming who holds it."""
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(settings.state / "refresh.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise MeetlatError(holder(settings) or "Another refresh has just ended; try again.") from None
    try:
        since = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        text = f"A refresh is running since {since} (process {os.getpid()} on {socket.gethostname()})."
        (settings.state / "refresh.holder").write_text(text)
        yield
    finally:
        (settings.state / "refresh.holder").unlink(missing_ok=True)
        lock.release()


def holder(settings: Settings) -> str | None:
    """Who is refreshing now, as a sentence; None if nobody is."""
    if not (settings.state / "refresh.lock").exists():
        return None
    lock = FileLock(settings.state / "refresh.lock")
    try:
        with lock.acquire(timeout=0):
            return None
    except Timeout:
        try:
            return (settings.state / "refresh.holder").read_text()
        except FileNotFoundError:
            return "A refresh is running."


def prepare(settings: Settings) -> None:
    """Make the folders and remove what a killed refresh left. Only under the lock."""
    try:
        for folder in (settings.warehouse, settings.warehouse / "parts", settings.warehouse / "releases"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        dagster_home(settings)
        Store(settings.warehouse / "parts").clean()
        release.clean(settings.warehouse)
    except OSError as error:
        raise MeetlatError(f"{error.filename} cannot be written ({error.strerror}).") from None


def dagster_home(settings: Settings) -> Path:
    home = settings.state / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        shutil.copyfile(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
    return home


def listing(settings: Settings) -> str:
    """Digest of the names, sizes and times of what lies in raw/: cheap enough for a sensor."""
    found = []
    for folder in deliveries.sources(settings.raw):
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and not path.name.endswith(".part"):
                stat = path.stat()
                found.append([folder.name, path.name, stat.st_size, stat.st_mtime_ns])
    return digest(found)


# --- telling people ------------------------------------------------------------------------------


def conclude(settings: Settings, status: int, sentences: list[str]) -> str | None:
    """Keep how the refresh ended for `meetlat status`, and tell MEETLAT_NOTIFY if it did not end well.

    The result is a sentence if nobody could be told; a refresh never fails over that.
    """
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
    document = {"ended_at": now, "status": status, "sentences": sentences}
    aside = settings.state / f".last_refresh-{os.getpid()}"
    aside.write_text(json.dumps(document, indent=1))
    aside.replace(settings.state / "last_refresh.json")
    titles = {NOTHING_PUBLISHED: "nothing published", WITHOUT_SOME: "published without some deliveries"}
    return notify(settings, f"Meetlat: {titles[status]}", "\n".join(sentences)) if status in titles else None


def notify(settings: Settings, title: str, text: str) -> str | None:
    """Tell MEETLAT_NOTIFY. Gives a sentence if that did not work; a refresh never fails over it."""
    if settings.notify is None:
        return None
    import apprise

    told = apprise.Apprise()
    if not told.add(settings.notify):
        return "MEETLAT_NOTIFY is not an address that Apprise knows, so nobody was told."
    return None if told.notify(title=title, body=text or title) else "MEETLAT_NOTIFY could not be reached."
