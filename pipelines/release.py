"""A release: one immutable, complete set of outputs, put in place by swapping one link.

Everything is written aside in `releases/`, verified, renamed, and only then named by `current`.
Nothing here computes a figure; the tables come from parts.
"""

import datetime as dt
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from pipelines import database, engine, history, plan, privacy
from pipelines.changes import kept, record
from pipelines.database import STORAGE_VERSION, Table, is_headline, view_of
from pipelines.disclosure.columns import LOST
from pipelines.errors import MeetlatError, writing
from pipelines.models import Column, Model
from pipelines.parts import JSON, Part, digest, failpoint, flush, link
from pipelines.plan import Build

if TYPE_CHECKING:
    from pipelines.audit import Finding, Place
    from pipelines.dataset import carried
    from pipelines.disclosure.outputs import Disclosed

FLUSHES = 16  # files that are brought to the disk at once
RESTRICTED = Path("restricted") / "warehouse.duckdb"
PUBLIC = "public"
LEDGER = "published_figures.parquet"  # in restricted/: what the next refresh must know of public/ and participants/

META = {
    "meta.release": (
        "What this release is made of: one row.",
        "release_id",
        [
            Column("release_id", "VARCHAR", "Hash of everything that went in; the same inputs give the same release."),
            Column("version", "VARCHAR", "Last day of the answers, and the release: what citation and packages name."),
            Column("inputs_id", "VARCHAR", "Hash of the inputs alone; another one than release_id if figures stand."),
            Column("data_through", "DATE", "Last day of the answers in it."),
            Column("deliveries", "BIGINT", "Deliveries that it stands on."),
            Column("deliveries_refused", "BIGINT", "Deliveries that were refused."),
            Column("sources_stale", "BIGINT", "Sources that keep earlier deliveries until a person accepts a change."),
            Column("answers", "BIGINT", "Valid answers in it."),
            Column("key_fingerprint", "VARCHAR", "Tells keys apart: which one the pseudonyms were made with."),
            Column("meetlat_version", "VARCHAR", "Version of Meetlat."),
            Column("code_digest", "VARCHAR", "Digest of the code that made the tables."),
            Column("libraries", "VARCHAR", "Versions of the libraries that decide the bytes."),
            Column("storage_version", "VARCHAR", "Oldest storage version that opens the DuckDB files."),
        ],
    ),
    "meta.table": (
        "Every table and view of the release.",
        "table_name",
        [
            Column("table_name", "VARCHAR", "Schema and name."),
            Column("kind", "VARCHAR", "table or view."),
            Column("is_restricted", "BOOLEAN", "Whether it stands in restricted/ only."),
            Column("grain", "VARCHAR", "The columns of which every combination stands there once."),
            Column("description", "VARCHAR", "What it holds."),
        ],
    ),
    "meta.column": (
        "Every column of every table of the release.",
        "table_name, column_name",
        [
            Column("table_name", "VARCHAR", "Schema and name of the table."),
            Column("column_name", "VARCHAR", "Name of the column."),
            Column("place", "INTEGER", "Its place in the table, from 1."),
            Column("type", "VARCHAR", "Its type."),
            Column("description", "VARCHAR", "What it means, its unit and how it is computed."),
        ],
    ),
    "meta.gate": (
        "What the gate of the next refresh compares with: no source may lose more answers than it allows.",
        "source_code",
        [
            Column("source_code", "VARCHAR", "Source."),
            Column("answers", "BIGINT", "Valid answers in this release."),
            Column("max_drop", "DOUBLE", "Share that may vanish without a person looking."),
        ],
    ),
    "meta.disclosure": (
        "What hiding costs in public/, by family of cells that add up to each other.",
        "monitor_code, audience_code, measure_code",
        LOST,
    ),
    **kept.TABLES,
}  # fmt: skip


class AuditFailed(MeetlatError):
    """What was to leave the house tells more than it may."""


@dataclass(frozen=True)
class Published:
    """Where a release went, how long its steps took (seconds), and whether readers get it: not behind a pin."""

    id: str
    folder: Path
    seconds: dict[str, float]
    served: bool


def publish(build: Build) -> Published:
    """Publish, see `_publish`; a full disk or a missing permission ends in a sentence too."""
    with writing(build.settings.warehouse):
        return _publish(build)


def _publish(build: Build) -> Published:
    """Assemble the release of these inputs, verify it, pass the gate and swap it in.

    Raises MeetlatError, leaving the current release served, if the gate or the audit stops it; the
    candidate then stays in `candidates/`.
    """
    with ThreadPoolExecutor(1) as pool:  # what may be shown is decided on one core
        restricted = pool.submit(_restricted, build)
        try:
            return _published(build, restricted)
        finally:
            with suppress(Exception):  # whoever needed the file has told of its fault
                shutil.rmtree(restricted.result()[0].parent)


def _published(build: Build, restricted: Future[plan.Begun]) -> Published:
    """The same while the tables go into the restricted file."""
    settings = build.settings
    clock = time.perf_counter()
    releases = settings.warehouse / "releases"
    disclosed = _disclose(build)
    id = _id(build, disclosed)
    final = releases / id
    seconds = {"hide": time.perf_counter() - clock}
    gate = _gate(build, id)
    if not final.exists() or _stopped(gate):
        aside = releases / f".aside-{id}-{uuid.uuid4().hex[:8]}"
        try:
            failpoint("release-write-before")
            id, gate, findings = _make(build, id, disclosed, gate, restricted, aside, seconds)
            final = releases / id
            failpoint("release-write-after")
            if stopped := _stopped(gate):
                raise MeetlatError(_drops(stopped, _keep_candidate(build, id, aside)))
            if findings:
                raise AuditFailed(_leaks(findings, _keep_candidate(build, id, aside)))
            failpoint("release-rename-before")
            if not final.exists():
                aside.rename(final)
            else:
                _write_publication(gate, final)
            flush(releases)
            failpoint("release-rename-after")
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    else:  # a return to earlier inputs
        if build.full:
            _verify(final)
            if findings := _attack(build, final).findings:
                raise AuditFailed(_leaks(findings, final))
        _write_publication(gate, final)
    clock = time.perf_counter()
    served = history.serve(settings, final)
    seconds["swap"] = time.perf_counter() - clock
    return Published(id, final, seconds, served)


def _id(build: Build, disclosed: "Disclosed") -> str:
    """What the release is called: by its inputs, and by the figures that stand, as those come from the one before."""
    inputs_id = build.inputs.release_id
    return digest([inputs_id, disclosed.held])[:16] if disclosed.held else inputs_id


def _make(
    build: Build,
    id: str,
    disclosed: "Disclosed",
    gate: list[dict[str, JSON]],
    restricted: Future[plan.Begun],
    aside: Path,
    seconds: dict[str, float],
) -> "tuple[str, list[dict[str, JSON]], Sequence[Finding]]":
    """Fill `aside` with the release, attack what leaves the house, verify and seal it.

    Gives the id (another one if figures were kept as they were), the gate, and what the attack found that is not
    remedied.
    """
    releases = aside.parent
    if (releases / id).exists():  # as it was published before; only the gate has another opinion now
        shutil.copytree(releases / id, aside, copy_function=link)
        _write_publication(gate, aside)
        return id, gate, ()
    clock = time.perf_counter()
    aside.mkdir(parents=True, mode=0o750)
    files = _lay_out_house(build, aside)
    remedy, unremedied, seconds["audit"] = _Remedy(), disclosed, 0.0
    while True:
        outputs = _write_outputs(build, id, disclosed, aside)
        with ThreadPoolExecutor(1) as pool:  # one core writes programs, the other one compares with the release before
            attack = pool.submit(_attack, build, aside)
            laid = _describe(build, id, disclosed, gate, outputs, files, aside)
            waited = time.perf_counter()
            said = attack.result()
            seconds["audit"] += time.perf_counter() - waited
        if (more := _remedy(said, remedy)) == remedy:
            break
        remedy, disclosed = more, _as_remedied(build, unremedied, more)
        id = _id(build, disclosed)
        gate = _gate(build, id)
        _clear_outputs(aside)
    _complete(build, laid, restricted, aside)
    if remedy != _Remedy() or said.known:
        _note(aside, remedy, said.known)
    _verify(aside)
    _seal(aside)
    seconds["assemble"] = time.perf_counter() - clock - seconds["audit"]
    return id, gate, said.findings


# --- the gate ------------------------------------------------------------------------------------


def _gate(build: Build, id: str) -> list[dict[str, JSON]]:
    """Compare the valid answers of every source with the current release."""
    before = plan.manifest(build.settings).get("sources", {})
    now = _answers(build)
    accepted = plan.accepted(build.settings)
    rows = []
    for name in sorted({*before, *now}):
        had, has = before.get(name, {}).get("answers"), now.get(name, 0)
        source = build.inputs.sources.get(name)
        max_drop = source.contract.gate.max_drop if source else 1.0
        outcome = "passed"
        if had and has < had * (1 - max_drop):
            confirmed = id in accepted.get(name, {}).get("candidates", [])
            outcome = "accepted" if confirmed else "stopped"
        rows.append(
            {
                "source_code": name,
                "answers_before": had,
                "answers": has,
                "max_drop": max_drop,
                "outcome": outcome,
            }
        )
    return rows


def _stopped(gate: list[dict[str, JSON]]) -> list[dict[str, JSON]]:
    return [g for g in gate if g["outcome"] == "stopped"]


def _data_through(build: Build) -> dt.date:
    """The last day on which anybody answered."""
    files = [str(p.file()) for p in build.parts("core.fct_answer")]
    with duckdb.connect() as con:
        # each file says so itself, without being read
        (through,) = con.execute(
            "SELECT max(stats_max_value)::DATE FROM parquet_metadata($1) WHERE path_in_schema = 'answered_on'", [files]
        ).fetchall()[0]
    return through or dt.date(1900, 1, 1)


def _answers(build: Build) -> dict[str, int]:
    (part,) = build.parts("meta.delivery")
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT source_code, sum(cells_answer)::BIGINT FROM read_parquet($1) GROUP BY ALL",
            [str(part.file())],
        ).fetchall()
    return dict(rows)


def _keep_candidate(build: Build, id: str, aside: Path) -> Path:
    """Put a release that may not be published where a person can look at it."""
    candidate = build.settings.warehouse / "candidates" / id
    shutil.rmtree(candidate, ignore_errors=True)
    candidate.parent.mkdir(exist_ok=True, mode=0o750)
    aside.rename(candidate)
    return candidate


def _drops(stopped: list[dict[str, JSON]], candidate: Path) -> str:
    sentences = [
        f"  {g['source_code']}: {g['answers']:,} valid answers where there were {g['answers_before']:,}; more than "
        f"{g['max_drop']:.0%} may not vanish unseen. Look at {candidate}, then `meetlat accept {g['source_code']}` "
        "if this is right."
        for g in stopped
    ]
    return "\n".join(["The gate stopped the release; the current one stays.", *sentences])


@dataclass(frozen=True)
class _Remedy:
    """What is not shown as it would be now: families of an output that show nothing, or what they showed before."""

    withheld: "frozenset[Place]" = frozenset()
    kept: "frozenset[Place]" = frozenset()


@dataclass(frozen=True)
class _Said:
    """What the audit says: what must not leave the house so, and what earlier releases gave away already."""

    findings: "Sequence[Finding]"
    known: "Sequence[Finding]"
    has_before: bool  # whether the release before was published under the same rules


def _attack(build: Build, folder: Path) -> _Said:
    """Try to recover what `public/` and `participants/` hide, with earlier ones at hand; tell what is new."""
    from pipelines import audit

    threads = build.settings.threads
    earlier = audit.under_the_same_rules(audit.retained(folder.parent, folder), folder)
    file = build.settings.state / "audited.json"
    made_by = digest([plan.code("audit"), plan.versions(plan.RELEASE_LIBRARIES)])
    report = audit.audit(folder, earlier, threads, () if build.full else _passed(file, made_by))
    history.write_aside(file, json.dumps({"made_by": made_by, "passed": sorted(report.passed)}, indent=1), 0o600)
    has_before = history.latest(build.settings).resolve() in [release.resolve() for release in earlier]
    own = [f for f in report.findings if f.output != PUBLIC]  # rest on no other release
    public = [f for f in report.findings if f.output == PUBLIC]
    alone, news = public, []
    if public and earlier:
        again = audit.audit(folder, threads=threads, only=audit.concerned(public))
        alone = [f for f in again.findings if f.output == PUBLIC]
        news = [f for f in audit.news(public, earlier, threads) if f not in alone]
    findings = [*own, *alone, *news]
    return _Said(findings, [f for f in public if f not in findings], has_before)


def _remedy(said: _Said, tried: _Remedy) -> _Remedy:
    """What is tried next: better the figures of the release before than a leak, better none than one all the same."""
    found = frozenset(f.place for f in said.findings if f.place is not None)
    kept = found - tried.kept - tried.withheld if said.has_before else frozenset()
    withheld = tried.withheld | (found - kept)
    return _Remedy(withheld, (tried.kept | kept) - withheld)


def _passed(file: Path, made_by: str) -> frozenset[str]:
    """What the last audit found nothing in, if it was of the same code. A file that cannot be read costs time only."""
    try:
        told = json.loads(file.read_text())
        return frozenset(told["passed"]) if told["made_by"] == made_by else frozenset()
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def _note(folder: Path, remedy: _Remedy, known: "Sequence[Finding]") -> None:
    """Add to `publication.json` what is withheld or kept, and which cells earlier releases gave away."""
    file = folder / "publication.json"
    told = {
        "withheld": sorted([output, *family] for output, family in remedy.withheld),
        "kept": sorted([output, *family] for output, family in remedy.kept),
        "known_before": sorted({f"{f.attacker}: {f.what} of {f.cell}" for f in known if f.cell is not None}),
    }
    history.write_aside(file, json.dumps(json.loads(file.read_text()) | {"disclosure": told}, indent=1), 0o440)


def _leaks(findings: "Sequence[Finding]", candidate: Path) -> str:
    """The first findings of an audit as sentences, and what to do."""
    sentences = [f"  {finding}" for finding in findings[:20]]
    remedy = (
        f"`meetlat audit {candidate}` lists all {len(findings):,}. Publish fewer `periods` in "
        "reference/disclosure.yml, or report what you see here: hiding should have prevented it."
    )
    return "\n".join(["The disclosure audit stopped the release; the current one stays.", *sentences, remedy])


# --- assembling ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Laid:
    """The tables of a release by name, all in Parquet: those of the restricted file, of the house and of `public/`."""

    restricted: dict[str, Table]
    house: dict[str, Table]
    public: dict[str, Table]
    facts: dict[str, JSON]  # the row of meta.release


def _lay_out_house(build: Build, folder: Path) -> dict[str, dict[str, Path]]:
    """Put the Parquet of the house into the folder, by hard link from the parts; gives the files of each table."""
    models = _of_a_release(build)
    files = {
        m.name: _linked(_placed(build, m), folder / ("restricted/parquet" if m.restricted else "parquet"))
        for m in models
    }
    _hide_employees(build, models, files, folder)
    return files


def _describe(
    build: Build,
    id: str,
    disclosed: "Disclosed",
    gate: list[dict[str, JSON]],
    outputs: dict[str, tuple[str, list[Column], Path]],
    files: dict[str, dict[str, Path]],
    folder: Path,
) -> _Laid:
    """Add the tables that describe the release and its changes, and the manifest."""
    models = _of_a_release(build)
    meta = _meta_rows(build, id, disclosed, models, gate)
    tables = {m.name: _table(build, m) for m in models}
    for name, (text, _, columns) in META.items():
        files[name] = {"": folder / "parquet" / f"{name}.parquet"}
        tables[name] = Table(text, columns, files[name], {"": None})
        if name not in kept.TABLES:
            _write_rows(files[name][""], columns, meta[name])
    kept_in = {m.name for m in models if m.restricted}
    house = {
        name: replace(table, files=files[name], made_of=dict.fromkeys(files[name]))
        for name, table in tables.items()
        if name not in kept_in
    }
    public = {n: Table(text, columns, {"": file}, {"": None}) for n, (text, columns, file) in outputs.items()}
    (facts,) = meta["meta.release"]
    _write_manifest(build, id, gate, facts, tables, folder)
    kept.keep(build.settings, folder)
    return _Laid(tables, house, public, facts)


def _complete(build: Build, laid: _Laid, restricted: Future[plan.Begun], folder: Path) -> None:
    """Add what is made of the Parquet: DuckDB files, CSV, workbooks and what describes them."""
    from pipelines.dataset import handout

    models = _of_a_release(build)

    def write_restricted() -> None:
        file, holds = restricted.result()
        database.complete(build.settings, file, laid.restricted, models, holds)
        file.rename(folder / RESTRICTED)

    datasets = [
        handout.of(build, "house", laid.facts, _carried(build, models, laid.house), folder),
        handout.of(build, "public", laid.facts, _carried(build, [], laid.public), folder / "public"),
    ]
    jobs: list[Callable[[], None]] = [
        write_restricted,
        partial(database.write, build.settings, folder / "benchmark.duckdb", laid.house, models),
        partial(database.write, build.settings, folder / "public" / "benchmark.duckdb", laid.public, []),
        *(partial(handout.write_tables, each) for each in datasets),
    ]
    engine.side_by_side(build.settings, lambda job: job(), jobs)
    earlier = plan.manifest(build.settings)
    for each in datasets:
        handout.describe(each, "\n".join(kept.changelog(folder, each.kind)) if earlier else "")


def begin(build: Build) -> plan.Begun:
    """Begin the restricted file with the tables made per delivery, aside, while the others are still made.

    Gives the file and what it holds.
    """
    tables = {m.name: _table(build, m) for m in _of_a_release(build) if m.per_delivery}
    earlier = plan.manifest(build.settings)
    # a copy would hold what was erased, or may not be kept any longer, in blocks that are not used any more
    renews = (
        bool(earlier)
        and not build.full
        and earlier.get("erasures", {}) == build.inputs.erasures
        and not _keeps_too_long(build, earlier)
    )
    file = build.store.aside("restricted") / "warehouse.duckdb"
    before = history.latest(build.settings) if renews else None
    return file, database.begin(build.settings, file, tables, before)


def _keeps_too_long(build: Build, earlier: Mapping[str, JSON]) -> bool:
    """Whether an earlier release holds rows of a source of which the time is over."""
    past = tuple(f"{source.name}/" for source in build.inputs.sources.values() if source.is_past_retention)
    tables = earlier.get("tables", {}).values()
    return any(key.startswith(past) for table in tables for key in table["made_of"])


def _restricted(build: Build) -> plan.Begun:
    """The same with the tables of all models: what is known before it is decided what may be shown."""
    file, holds = build.begun(lambda: begin(build))
    tables = {m.name: _table(build, m) for m in _of_a_release(build)}
    return file, database.add(build.settings, file, tables, holds)


def _of_a_release(build: Build) -> list[Model]:
    """The models of which the tables stand in a release."""
    return [m for m in build.inputs.models.values() if not m.working]


def _table(build: Build, model: Model) -> Table:
    """A table as its parts hold it, with nothing hidden."""
    parts = {key: part for key, (part, _) in _placed(build, model).items()}
    files = {key: part.file() for key, part in parts.items()}
    return Table(model.text, model.columns, files, {key: part.hash for key, part in parts.items()})


def _placed(build: Build, model: Model) -> dict[str, tuple[Part, str]]:
    """The parts of a table that stand in a release, and the file of each: by source and delivery, or all in one."""
    parts = build.parts(model.name)
    if not model.per_delivery:
        return {"": (parts[0], f"{model.name}.parquet")}
    of = [(source, delivery) for source in build.inputs.sources.values() for delivery, _ in build.accepted(source)]
    return {
        f"{s.name}/{d.id}": (part, f"{model.name}/{s.name}/{_plain(d.order)}-{d.id[:8]}.parquet")
        for (s, d), part in zip(of, parts, strict=True)
        if not s.is_past_retention
    }


def _carried(build: Build, models: list[Model], tables: Mapping[str, Table]) -> dict[str, "carried.Table"]:
    """Tables as `dataset/` wants them, and the views of those of `models` that have one."""
    from pipelines.dataset import carried

    every = build.inputs.models
    found = {}
    for name, table in tables.items():
        grain = every[name].grain if name in every else META[name][1].split(", ")
        found[name] = carried.Table(name, table.text, grain, table.columns, table.files.get(""))
    for model in models:
        if is_headline(model) and model.name in tables:
            name, text, columns = view_of(model)
            found[name] = carried.Table(name, text, model.grain, columns, None, view_of=model.name)
    return found


def _disclose(build: Build, withheld: "frozenset[Place]" = frozenset()) -> "Disclosed":
    """What may be shown, in the light of what the release before shows; nothing of what is withheld."""
    from pipelines.disclosure import outputs

    (cells,), (own,) = build.parts("disclosure.cell"), build.parts("disclosure.own_cell")
    earlier = outputs.read_ledger(history.latest(build.settings) / "restricted" / LEDGER)
    with duckdb.connect() as con:
        return outputs.disclose(
            con, cells.file(), own.file(), _parents(build), build.inputs.rules, earlier, _data_through(build), withheld,
            build.settings.threads,
        )  # fmt: skip


def _as_remedied(build: Build, disclosed: "Disclosed", remedy: _Remedy) -> "Disclosed":
    """The same with nothing of what is withheld, and what is kept as the release before shows it."""
    from pipelines.disclosure import outputs

    before = history.latest(build.settings)
    if remedy.withheld:
        disclosed = _disclose(build, remedy.withheld)
    return outputs.keep(disclosed, remedy.kept, before, before / "restricted" / LEDGER) if remedy.kept else disclosed


def _parents(build: Build) -> dict[str, str | None]:
    """The sector that each sector is part of."""
    return {row["sector_code"]: row["parent_code"] or None for row in build.inputs.lists["sectors"]}


def _hide_employees(build: Build, models: list[Model], files: Mapping[str, Mapping[str, Path]], folder: Path) -> None:
    """Write anew the tables of the house that show few employees; `files` then names these."""
    from pipelines.disclosure import house

    (cells,) = build.parts("disclosure.cell")
    rules = build.inputs.rules
    with duckdb.connect() as con:
        house.load(con, house.hidden(con, cells.file(), _parents(build), rules, build.settings.threads))
        for model in models:
            if not model.restricted and house.touches(model):
                made = files[model.name][""]
                aside = made.with_name(f".{made.name}")
                if house.write(con, model, made, rules, aside):
                    made.unlink()
                    aside.rename(made)


def _write_outputs(
    build: Build, id: str, disclosed: "Disclosed", folder: Path
) -> dict[str, tuple[str, list[Column], Path]]:
    """Fill `public/` and `participants/`, and keep the ledger of what they show. Gives the tables of `public/`."""
    from pipelines.disclosure import outputs, participants

    models = _of_a_release(build)
    files = {m.name: build.parts(m.name)[0].file() for m in models if not m.restricted}
    headline = {
        m.name: m.text
        for m in models
        if is_headline(m) and not m.restricted and {"value", "se"} <= {c.name for c in m.columns}
    }
    headline.pop("mart.measure_score", None)  # the long table itself
    described = {m.name: (m.text, m.columns) for m in models}
    dimensions = {name: described[name] for name in outputs.DIMENSIONS}
    (folder / "public").mkdir(mode=0o750)
    outputs.write_ledger(disclosed, id, folder / "restricted" / LEDGER)
    with duckdb.connect() as con:
        made = outputs.write_public(con, disclosed, id, files, headline, dimensions, folder / "public")
        (benchmark,) = build.parts("mart.organisation_benchmark")
        *_, long = made["mart.measure_score"]
        participants.write(
            con, disclosed.participants, disclosed.rules, id, long, benchmark.file(), folder / "participants"
        )
    return made


def _clear_outputs(folder: Path) -> None:
    """Remove what leaves the house, so that it can be written anew."""
    for written in (folder / PUBLIC, folder / "participants"):
        shutil.rmtree(written, ignore_errors=True)
    (folder / "restricted" / LEDGER).unlink()


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in text) or "delivery"


def _linked(placed: Mapping[str, tuple[Part, str]], base: Path) -> dict[str, Path]:
    """The files of a table, in the release by another name."""
    files = {key: base / name for key, (_, name) in placed.items()}
    for parent in {file.parent for file in files.values()}:
        parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    for key, (part, _) in placed.items():
        link(part.file(), files[key])
    return files


def _meta_rows(
    build: Build, id: str, disclosed: "Disclosed", models: list[Model], gate: list[dict[str, JSON]]
) -> dict[str, list[dict[str, JSON]]]:
    from pipelines.dataset.carried import version_of

    inputs = build.inputs
    all_deliveries = [(s, d) for s in inputs.sources.values() for d in s.deliveries]
    release = {
        "release_id": id,
        "version": version_of(disclosed.data_through, id),
        "inputs_id": inputs.release_id,
        "data_through": disclosed.data_through,
        "deliveries": len(all_deliveries) - len(build.refused),
        "deliveries_refused": len(build.refused),
        "sources_stale": sum(1 for s in inputs.sources.values() if s.stopped),
        "answers": sum(g["answers"] for g in gate),
        "key_fingerprint": privacy.fingerprint(inputs.key),
        "meetlat_version": plan.meetlat_version(),
        "code_digest": plan.code(*plan.RELEASE_CODE),
        "libraries": ", ".join(f"{n} {v}" for n, v in sorted(plan.versions(plan.RELEASE_LIBRARIES).items())),
        "storage_version": STORAGE_VERSION,
    }
    tables: list[dict[str, JSON]] = []
    columns: list[dict[str, JSON]] = []

    def describe(name: str, kind: str, restricted: bool, grain: str, text: str, listed: list[Column]) -> None:
        tables.append(
            {
                "table_name": name,
                "kind": kind,
                "is_restricted": restricted,
                "grain": grain,
                "description": text,
            }
        )
        for place, c in enumerate(listed, start=1):
            columns.append(
                {
                    "table_name": name,
                    "column_name": c.name,
                    "place": place,
                    "type": c.type,
                    "description": c.text,
                }
            )

    for m in models:
        describe(m.name, "table", m.restricted, ", ".join(m.grain), m.text, m.columns)
        if is_headline(m):
            name, text, listed = view_of(m)
            describe(name, "view", m.restricted, ", ".join(m.grain), text, listed)
    for name, (text, grain, listed) in META.items():
        describe(name, "table", False, grain, text, listed)
    compared = [{k: g[k] for k in ("source_code", "answers", "max_drop")} for g in gate]
    return {
        "meta.release": [release],
        "meta.table": tables,
        "meta.column": columns,
        "meta.gate": compared,
        "meta.disclosure": disclosed.lost,
    }


def _write_rows(file: Path, columns: list[Column], rows: list[dict[str, JSON]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with duckdb.connect() as con:
        engine.load_rows(con, "listed", {c.name: c.type for c in columns}, rows)
        engine.write_parquet(con, "FROM listed ORDER BY ALL", file)


# --- finishing -----------------------------------------------------------------------------------


def _write_manifest(
    build: Build,
    id: str,
    gate: list[dict[str, JSON]],
    release: dict[str, JSON],
    tables: Mapping[str, Table],
    folder: Path,
) -> None:
    """`manifest.json` is what the next refresh compares with; `publication.json` holds the clock."""
    answers = {g["source_code"]: g["answers"] for g in gate}
    sources = {
        s.name: {
            "answers": answers.get(s.name, 0),
            "stopped": s.stopped,
            "deliveries": [
                {
                    "file": d.path.name,
                    "sha256": d.sha256,
                    "order": d.order,
                    "refused": build.refused.get(d.path),
                    "staged": None if (part := build.staged(s, d)) is None else part.hash,
                }
                for d in s.deliveries
            ],
        }
        for s in build.inputs.sources.values()
    }
    manifest = {
        "release_id": id,
        "inputs_id": build.inputs.release_id,
        "content_id": build.inputs.content_id,
        "key_fingerprint": release["key_fingerprint"],
        "erasures": build.inputs.erasures,
        "sources": sources,
        "parts": build.named(),
        "tables": {name: table.record for name, table in tables.items()},
        **record.record(build.inputs),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    _write_publication(gate, folder)


def _write_publication(gate: list[dict[str, JSON]], folder: Path) -> None:
    """When the release was last published: a return to earlier inputs publishes it again, with what was noted of it."""
    file = folder / "publication.json"
    told = json.loads(file.read_text()) if file.exists() else {}
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    history.write_aside(file, json.dumps(told | {"published_at": now, "gate": gate}, indent=1), 0o440)


def _verify(folder: Path) -> None:
    """Open both files as a reader would before anybody else can."""
    for file, table in (
        ("benchmark.duckdb", "meta.release"),
        ("restricted/warehouse.duckdb", "meta.release"),
        ("public/benchmark.duckdb", "mart.measure_score"),
    ):
        with duckdb.connect(str(folder / file), read_only=True) as con:
            con.execute(f"SELECT * FROM {table}").fetchall()
        if (folder / f"{file}.wal").exists():
            raise MeetlatError(f"{file} was left with a write-ahead log, so it is not whole; refresh again.")


def _seal(folder: Path) -> None:
    """Readable by owner and group, writable by nobody, and on the disk. Of parts that are linked so, that was done."""
    files, folders = [], []
    for root, _, names in os.walk(folder, topdown=False):
        folders.append(Path(root))
        files += [path for name in names if not _is_sealed(path := Path(root) / name)]
    for path in files:
        path.chmod(0o440)
    for path in folders:
        path.chmod(0o750)
    with ThreadPoolExecutor(FLUSHES) as pool:  # a disk takes many at once in the time of a few
        for _ in (*pool.map(flush, files), *pool.map(flush, folders)):
            pass


def _is_sealed(file: Path) -> bool:
    """Whether it is a second name of a file of a part, which is flushed before it is named."""
    stat = file.stat()
    return stat.st_nlink > 1 and stat.st_mode & 0o777 == 0o440
