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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipelines import contracts, deliveries, erasure, exchange, history, plan
from pipelines.errors import MeetlatError, writing
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
    served: bool = True
    trouble: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    reissued: list[str] = field(default_factory=list)


def run(settings: Settings, report: Report, full: bool = False, on_spark: bool = False) -> Outcome:
    """Refresh: publish a release if anything is new. Raises MeetlatError if nothing could be published.

    `on_spark`: what is made per delivery is made by the executors of MEETLAT_SPARK.
    """
    with locked(settings):
        prepare(settings)
        return _run(settings, report, full, on_spark)


def _run(settings: Settings, report: Report, full: bool, on_spark: bool = False) -> Outcome:
    clock = time.perf_counter()
    inputs = plan.look(settings, full=full)
    current = plan.manifest(settings)
    if not full and inputs.stand(current):
        reissued = tidy(settings) if history.before_erasure(settings) else []  # what a kill kept from being done
        trouble = inputs.stopped + _refusals(current) + erasure.still_served(settings) + exchange.left(settings)
        status = WITHOUT_SOME if trouble else WELL
        seconds = {"look": time.perf_counter() - clock}
        return Outcome(status, current["release_id"], trouble=trouble, seconds=seconds, reissued=reissued)
    if not full and inputs.are_stopped(current):
        raise MeetlatError("\n".join(["Nothing is published.", *inputs.stopped]))
    build = Build(inputs, report, full=full)
    looked = time.perf_counter()
    stale = None if full else set(plan.stale(inputs, build))
    if on_spark:
        from pipelines import spark

        spark.make(build)
    from pipelines import release

    try:
        with build.ahead(lambda: release.begin(build)):
            _run_job(build, stale)
    finally:
        build.store.clean()  # of a file that was begun for nothing
    ended = time.perf_counter()
    reissued = tidy(settings)
    trouble = troubles(build) + erasure.still_served(settings) + exchange.left(settings)
    seconds = {"look": looked - clock, **build.stages()}
    seconds["orchestrate"] = ended - clock - sum(seconds.values())
    assert build.published is not None
    return Outcome(
        WITHOUT_SOME if trouble else WELL,
        build.published.id,
        is_new=True,
        served=build.published.served,
        trouble=trouble,
        seconds=seconds,
        reissued=reissued,
    )


def tidy(settings: Settings) -> list[str]:
    """After a release was published: remove the candidate of a refresh before, and what need not or may not be kept.

    Gives the releases that lost their rows of respondents, as somebody was erased since.
    """
    shutil.rmtree(settings.warehouse / "candidates", ignore_errors=True)
    with writing(settings.warehouse):
        history.retire(settings)
        return erasure.reissue(settings)


def rollback(settings: Settings, release: str | None, lift: bool) -> str:
    """Serve an earlier release and pin it, or lift the pin; gives the sentence to print."""
    with locked(settings):
        prepare(settings)
        with writing(settings.warehouse):
            return history.lift(settings) if lift else history.rollback(settings, release)


def erase(settings: Settings, source: str, kind: str | None, ids: Iterable[str], report: Report) -> list[str]:
    """Erase persons from one source: enter them in the register, then publish a release without them.

    Gives the sentences to print. Raises MeetlatError before anything is changed if nobody can be found so, or after
    the register was written if no release could be published: then the next refresh completes it.
    """
    with locked(settings):
        prepare(settings)
        folder = settings.raw / source
        if folder not in deliveries.sources(settings.raw):
            raise MeetlatError(f"There is no source {source} in {settings.raw}.")
        _unless_pinned(settings)
        with writing(settings.state):
            named, new = erasure.add(settings, source, contracts.load(folder), kind, ids)
        try:
            outcome = _run(settings, report, False)
        except MeetlatError as error:
            raise MeetlatError(
                f"Those who were named are in the register, but the current release still holds them: {error}\n"
                "Mend this, then run `meetlat refresh`: it completes the erasure."
            ) from None
    sentences = [f"{named:,} named, {new:,} of them new in the register; release {outcome.release} is without them."]
    if outcome.reissued:
        n = len(outcome.reissued)
        releases = "1 earlier release" if n == 1 else f"{n} earlier releases"
        sentences.append(
            f"Taken out of {releases}: all tables of single respondents, so that nobody can go back to "
            f"{'it' if n == 1 else 'these'}."
        )
    return [*sentences, *_still_holding(settings, source), *outcome.trouble]


def resettle(settings: Settings, source: str, new: str | None) -> str:
    """Say that a source with erased persons has the name `new` now, or that it, or its ids, are gone for good.

    Gives the sentence to print. The next refresh goes by it.
    """
    with locked(settings):
        prepare(settings)
        folders = {folder.name: folder for folder in deliveries.sources(settings.raw)}
        _unless_pinned(settings)
        if new is not None and new not in folders:
            raise MeetlatError(f"There is no source {new} in {settings.raw}, so {source} cannot be renamed to it.")
        with writing(settings.state):
            if new is not None:
                return erasure.rename(settings, source, new)
            contract = contracts.load(folders[source]) if source in folders else None
            return erasure.give_up(settings, source, contract)


def _unless_pinned(settings: Settings) -> None:
    if pin := history.pinned(settings):
        raise MeetlatError(
            f"Release {pin['release']} is pinned and would go on to be served with those who are to be erased; "
            "run `meetlat rollback --lift` first."
        )


def _still_holding(settings: Settings, source: str) -> list[str]:
    """The exports in which erased persons still stand, as sentences."""
    import duckdb

    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT file_name, rows_erased FROM read_parquet($1) "
            "WHERE source_code = $2 AND rows_erased > 0 ORDER BY ALL",
            [str(history.latest(settings) / "parquet" / "meta.delivery.parquet"), source],
        ).fetchall()
    return [
        f"{settings.raw / source / name} still holds them ({n:,} rows): have it exported again without them, or remove "
        "the rows; until then the register keeps them out."
        for name, n in rows
    ] or [f"No export of {source} that is in {settings.raw} holds them."]


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
            selection = [*names, assets.DELIVERIES, assets.RELEASE]
        contracts = {name: source.contract for name, source in build.inputs.sources.items()}
        defs = define(build.inputs.models, contracts, build)
        with writing(build.settings.state), _history_held_open(), dg.DagsterInstance.get() as instance:
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
        with writing(build.settings.warehouse):
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
    with writing(settings.warehouse):
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.warehouse.mkdir(parents=True, exist_ok=True, mode=0o750)
        lock = _lock(settings)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise MeetlatError(holder(settings) or "Another refresh has just ended; try again.") from None
    try:
        since = dt.datetime.now().astimezone().isoformat(timespec="seconds")
        text = f"A refresh is running since {since} (process {os.getpid()} on {socket.gethostname()})."
        with writing(settings.warehouse):
            _holder_file(settings).write_text(text)
        yield
    finally:
        _holder_file(settings).unlink(missing_ok=True)
        lock.release()


def _lock(settings: Settings) -> FileLock:
    """The lock of the warehouse. The system lets go of it when the process that holds it ends, however it ends."""
    return FileLock(settings.warehouse / ".refresh.lock", mode=0o660)


def _holder_file(settings: Settings) -> Path:
    return settings.warehouse / ".refresh.holder"


def holder(settings: Settings) -> str | None:
    """Who is refreshing now, as a sentence; None if nobody is."""
    if not (settings.warehouse / ".refresh.lock").exists():
        return None
    try:
        with _lock(settings).acquire(timeout=0):
            return None
    except Timeout:
        try:
            return _holder_file(settings).read_text()
        except FileNotFoundError:
            return "A refresh is running."


def prepare(settings: Settings) -> None:
    """Make the folders and remove what a killed refresh left. Only under the lock."""
    with writing(settings.warehouse):
        for folder in (settings.warehouse, settings.warehouse / "parts", settings.warehouse / "releases"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        dagster_home(settings)
        Store(settings.warehouse / "parts").clean()
        history.mend(settings)


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
    now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
    document = {"ended_at": now, "status": status, "sentences": sentences}
    with suppress(OSError):  # the disk may be full: that is what is to be told
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        history.write_aside(settings.state / "last_refresh.json", json.dumps(document, indent=1), 0o600)
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
