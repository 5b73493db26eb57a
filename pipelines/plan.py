"""What there is, what is new, and which part each table is made of.

`Inputs` is everything a release depends on, looked up once. `Build` names the part of every delivery
and table by the hash of what it is made from, and makes those that are missing. Nothing here knows
Dagster; `assets.py` calls `Build` one asset at a time.
"""

import ast
import datetime as dt
import functools
import hashlib
import importlib.metadata
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock

from pipelines import contracts, deliveries, engine, erasure, history, models, privacy, reference
from pipelines.contracts import Contract
from pipelines.dataset import declared as dataset_declared
from pipelines.dataset.declared import Declared
from pipelines.deliveries import Delivery
from pipelines.disclosure import rules as disclosure_rules
from pipelines.disclosure.rules import Rules
from pipelines.engine import as_ready, side_by_side
from pipelines.erasure import Erased
from pipelines.errors import DeliveryRefused, MeetlatError, there, writing
from pipelines.judging import cells
from pipelines.models import Model
from pipelines.parts import JSON, Part, Store, digest
from pipelines.reference import Measure, Rows
from pipelines.settings import Settings
from pipelines.supersession import LISTS

if TYPE_CHECKING:
    from pipelines.release import Published

Report = Callable[[str], None]
Made = TypeVar("Made")
MANY = 1_000  # files of a table: where there are more, small ones are read together
Task = tuple[Any, ...]  # a Source and a Delivery, of a share also its number and how many there are
Begun = tuple[Path, dict[str, dict[str, JSON]]]
BEGUN = "restricted file"
Item = TypeVar("Item")

# columns of the tables that no model makes; the rest of reference.* is text
STAGED = {
    "staged.answer": "source_code VARCHAR, delivery_id VARCHAR, row_number BIGINT, response_id VARCHAR, "
    "respondent_id VARCHAR, country_code VARCHAR, organisation_code VARCHAR, sector_code VARCHAR, "
    "segment_code VARCHAR, audience_code VARCHAR, wave_code VARCHAR, answered_on DATE, mode_code VARCHAR, "
    "channel_code VARCHAR, measure_code VARCHAR, question VARCHAR, question_version INTEGER, value INTEGER, "
    "weight BIGINT, missing_reason VARCHAR",
    "staged.response": "source_code VARCHAR, delivery_id VARCHAR, row_number BIGINT, response_id VARCHAR, "
    "respondent_id VARCHAR, n_not_asked INTEGER",
    "staged.quarantine": "source_code VARCHAR, delivery_id VARCHAR, row_number BIGINT, question VARCHAR, "
    "measure_code VARCHAR, reason VARCHAR, shown VARCHAR",
    "staged.text": "source_code VARCHAR, delivery_id VARCHAR, row_number BIGINT, response_id VARCHAR, "
    "question VARCHAR, text VARCHAR",
    "staged.receipt": "source_code VARCHAR, delivery_id VARCHAR, kind VARCHAR, state VARCHAR, reason VARCHAR, n BIGINT",
    "staged.superseded": "source_code VARCHAR, delivery_id VARCHAR, response_id VARCHAR, n_not_asked INTEGER",
    "staged.repeat_respondent": "source_code VARCHAR, delivery_id VARCHAR, respondent_id VARCHAR",
    "staged.delivery": "source_code VARCHAR, delivery_id VARCHAR, file_name VARCHAR, order_key VARCHAR, "
    "sha256 VARCHAR, status VARCHAR, message VARCHAR, is_stale BOOLEAN, questions BIGINT",
}
REFERENCE = {
    **reference.LISTS,
    "sources": ("source_code", "title", "monitor_code", "audience_code", "country_code", "sampling_unit", "strata",
                "provenance", "controller", "purpose", "licence"),
    "published_periods": ("period_type",),
    "sampled_from": ("monitor_code", "audience_code", "stratum_code", "organisations"),
    "questions": ("source_code", "measure_code", "question_version", "base"),
    "segments": ("segment_type", "segment_code", "label_en", "label_nl", "sort_order"),
    "waves": ("wave_code", "period_start", "period_end"),
}  # fmt: skip
STAGING_CODE = ("staging", "judging", "privacy", "erasure", "engine", "formats", "readers")
MODEL_CODE = ("models", "estimates", "weighting", "engine")
RELEASE_CODE = (
    *STAGING_CODE,
    *MODEL_CODE,
    "supersession",
    "plan",
    "release",
    "database",
    "disclosure",
    "audit",
    "changes",
    "dataset",
)
PART_LIBRARIES = ("duckdb", "pyarrow", "scipy", "numpy", "python-calamine")
RELEASE_LIBRARIES = (*PART_LIBRARIES, "highspy", "xlsxwriter")


def bare_tables() -> dict[str, str]:
    """The tables that no model makes, with their columns as SQL."""
    lists = {f"reference.{n}": ", ".join(f"{c} VARCHAR" for c in cs) for n, cs in REFERENCE.items()}
    return STAGED | lists


@functools.cache
def code(*modules: str) -> str:
    """Digest of the code of some modules of this package; comments and layout do not count."""
    root = Path(__file__).parent
    files = [f for m in modules for f in (sorted((root / m).glob("*.py")) or [root / f"{m}.py"])]
    return hashlib.sha256("\n".join(map(_tree, files)).encode()).hexdigest()[:32]


@functools.cache
def _tree(file: Path) -> str:
    return ast.dump(ast.parse(file.read_bytes()))


@functools.cache
def versions(libraries: tuple[str, ...] = PART_LIBRARIES) -> dict[str, str]:
    """Versions of the libraries that decide what bytes come out."""
    return {name: importlib.metadata.version(name) for name in libraries}


def meetlat_version() -> str:
    return importlib.metadata.version("meetlat")


# --- what there is -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A source as this refresh sees it. `stopped` says why it keeps the deliveries it had."""

    name: str
    contract: Contract
    measures: dict[str, Measure]
    deliveries: list[Delivery]
    stopped: str | None = None

    @property
    def is_past_retention(self) -> bool:
        """Whether the rows of its respondents may no longer stand in a release."""
        until = self.contract.retain_until
        return until is not None and dt.date.today() > until

    @functools.cached_property
    def digest(self) -> str:
        """Hash of the contract and of what it takes from the measures."""
        return digest([self.contract.model_dump(mode="json"), {k: vars(m) for k, m in self.measures.items()}])


@dataclass(frozen=True)
class Inputs:
    settings: Settings
    sources: dict[str, Source]
    lists: dict[str, Rows]
    models: dict[str, Model]
    key: bytes
    rules: Rules
    declared: Declared
    erased: dict[str, Erased]

    @property
    def release_id(self) -> str:
        """Hash of everything that goes into a release: the same inputs, the same release.

        Where published figures stand as they were (`disclosure/standing.py`) these go into its name too, see
        `release.publish`.
        """
        return digest([self.content_id, sorted(s.name for s in self.sources.values() if s.stopped)])[:16]

    @functools.cached_property
    def content_id(self) -> str:
        """The same without the marks on sources that are stopped."""
        return digest(
            {
                "deliveries": [
                    [s.name, d.path.name, d.sha256, d.order, d.refused]
                    for s in self.sources.values()
                    for d in s.deliveries
                ],
                "contracts": {s.name: s.digest for s in self.sources.values()},
                "past retention": [s.name for s in self.sources.values() if s.is_past_retention],
                "lists": self.lists,
                "disclosure": self.rules.model_dump(mode="json"),
                "dataset": self.declared.model_dump(mode="json"),
                "models": {m.name: [m.canonical, m.documented] for m in self.models.values()},
                "code": code(*RELEASE_CODE),
                "versions": versions(RELEASE_LIBRARIES),
                "key": privacy.fingerprint(self.key),
                "erasures": self.erasures,
            }
        )[:16]

    @property
    def erasures(self) -> dict[str, str]:
        """By source, what tells one register of the erased from another."""
        return {source: erased.digest for source, erased in sorted(self.erased.items())}

    @property
    def stopped(self) -> list[str]:
        """Why sources keep the deliveries that they had."""
        return [source.stopped for source in self.sources.values() if source.stopped]

    def stand(self, current: Mapping[str, JSON]) -> bool:
        """Whether the release with this manifest was made of them."""
        return bool(current.get("inputs_id") == self.release_id)

    def are_stopped(self, current: Mapping[str, JSON]) -> bool:
        """Whether nothing is new beside it but that a person is to look at a source."""
        return bool(self.stopped) and bool(current.get("content_id") == self.content_id)


def manifest(settings: Settings, release: Path | None = None) -> dict[str, JSON]:
    """What the latest release (or the one given) says about itself; empty if there is none."""
    try:
        document: dict[str, JSON] = json.loads(((release or history.latest(settings)) / "manifest.json").read_text())
        return document
    except FileNotFoundError:
        return {}


def look(settings: Settings, make_key: bool = True, full: bool = False) -> Inputs:
    """Look up everything a release depends on. Raises MeetlatError if something is not in order.

    `full`: read every delivery, also those that look as they did when they were read before.
    """
    current = manifest(settings)
    key = privacy.load_key(settings.state, make_key)
    if current and current["key_fingerprint"] != privacy.fingerprint(key):
        raise MeetlatError(
            "The key is another one than the current release was made with, so returning respondents would no "
            f"longer be recognised. Restore the key ({settings.state / 'key'} or MEETLAT_KEY). If it is lost, "
            f"move {settings.warehouse} aside and build anew: every pseudonym changes."
        )
    folders = deliveries.sources(settings.raw)
    agreed = {folder.name: contracts.load(folder) for folder in folders}
    lists = reference.load(settings.raw, agreed)
    if faults := reference.faults(lists, agreed):
        raise MeetlatError("\n".join(faults))
    sources = {}
    digests = {} if full else _digests(settings)
    before = dict(digests)
    for folder in folders:
        contract = agreed[folder.name]
        measures = {m: reference.measure(lists, m, folder.name) for m in contract.measures}
        source = Source(folder.name, contract, measures, deliveries.arrived(folder, contract, digests))
        sources[folder.name] = _unless_vanished(settings, source, current)
    if digests != before and make_key:
        with suppress(OSError):  # they save time only
            kept = {path: state for path, state in digests.items() if Path(path).exists()}
            history.write_aside(settings.state / "digests.json", json.dumps(kept), 0o600)
    for name in sorted(set(current.get("sources", {})) - set(sources)):
        if not _accepted(settings, name, _published(current, name)):
            raise MeetlatError(
                f"The source {name} of the current release is gone from {settings.raw}. Bring its folder back, or "
                f"run `meetlat accept {name}` if it is meant to go."
            )
    erased = erasure.load(settings, agreed)
    if lost := sorted({source for source, digest in current.get("erasures", {}).items() if digest} - set(erased)):
        raise MeetlatError(
            f"{settings.state / erasure.REGISTER} does not name those who were erased from {', '.join(lost)}, whom the "
            "current release leaves out. Restore it from a backup of the state folder."
        )
    rules = disclosure_rules.load(settings.raw)
    lists["published_periods"] = [{"period_type": each} for each in rules.periods]
    return Inputs(
        settings,
        sources,
        lists,
        models.load(settings.sql),
        key,
        rules,
        dataset_declared.load(settings.raw),
        erased,
    )


def _digests(settings: Settings) -> deliveries.Digests:
    """The digests that were found before. A file that cannot be read costs time only."""
    try:
        known: deliveries.Digests = json.loads((settings.state / "digests.json").read_text())
        return known
    except (OSError, ValueError):
        return {}


def _unless_vanished(settings: Settings, source: Source, current: Mapping[str, JSON]) -> Source:
    """Stop a source of which a published delivery is gone or has other bytes under the same name."""
    published = _published(current, source.name)
    now = {d.path.name: d.sha256 for d in source.deliveries}
    gone = [p for p in published if p["file"] not in now and p["sha256"] not in now.values()]
    changed = [p for p in published if p["file"] in now and now[p["file"]] != p["sha256"]]
    if not (gone or changed) or _accepted(settings, source.name, gone + changed):
        return source
    refused = {d.path.name: d.refused.rstrip(".") for d in source.deliveries if d.refused}
    parts = [
        f"{len(gone)} gone ({gone[0]['file']}, ...)" if len(gone) > 1 else f"{g['file']} is gone" for g in gone[:1]
    ]
    parts += [refused.get(c["file"], f"{c['file']} has other bytes than before") for c in changed[:3]]
    sentence = (
        f"{source.name}: {'; '.join(parts)}. The source keeps its published deliveries until they are back or "
        f"`meetlat accept {source.name}` says that this is meant."
    )
    folder = settings.raw / source.name
    kept = [Delivery(source.name, folder / p["file"], p["sha256"], p["order"]) for p in published]
    return Source(source.name, source.contract, source.measures, kept, sentence)


def _published(current: Mapping[str, JSON], source: str) -> list[JSON]:
    """The deliveries of a source that the current release stands on; refused ones are nobody's loss."""
    deliveries = current.get("sources", {}).get(source, {}).get("deliveries", [])
    return [d for d in deliveries if not d["refused"]]


def accepted(settings: Settings) -> dict[str, JSON]:
    """By source, the deliveries and the candidates that a person accepted. Raises MeetlatError if nobody can tell."""
    file = accepted_file(settings)
    known: JSON = None
    try:
        known = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except ValueError:
        pass
    if not isinstance(known, dict) or not all(isinstance(entry, dict) for entry in known.values()):
        raise MeetlatError(
            f"{file} cannot be read, so what was accepted is not known; restore it, or remove it and accept again."
        )
    return known


def accepted_file(settings: Settings) -> Path:
    return settings.state / "accepted.json"


def _accepted(settings: Settings, source: str, missing: list[JSON]) -> bool:
    known = accepted(settings).get(source, {}).get("deliveries", [])
    return all(p["sha256"] in known for p in missing)


def accept(settings: Settings, source: str) -> str:
    """Note that a person accepts what stopped a source. The result says what was accepted.

    Accepts published deliveries that are gone or changed, and the drop of a candidate that the gate
    stopped. Raises MeetlatError if there is nothing to accept.
    """
    current = manifest(settings)
    published = _published(current, source)
    folder = settings.raw / source
    now: set[str] = set()
    if there(folder / "contract.yml"):
        now = {d.sha256 for d in deliveries.arrived(folder, contracts.load(folder))}
    missing = [p for p in published if p["sha256"] not in now]
    candidates = sorted(p.name for p in (settings.warehouse / "candidates").glob("*"))
    stopped = [
        c
        for c in candidates
        for gate in json.loads((settings.warehouse / "candidates" / c / "publication.json").read_text())["gate"]
        if gate["source_code"] == source and gate["outcome"] == "stopped"
    ]
    if not missing and not stopped:
        raise MeetlatError(f"Nothing of the source {source} waits to be accepted; `meetlat status` shows what is.")
    file = accepted_file(settings)
    with writing(settings.state):
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(file.with_name(".accepted.lock"), mode=0o600):  # else one of two at the same time is forgotten
            known = accepted(settings)
            entry = known.setdefault(source, {})
            entry["deliveries"] = sorted({*entry.get("deliveries", []), *(p["sha256"] for p in missing)})
            entry["candidates"] = sorted({*entry.get("candidates", []), *stopped})
            history.write_aside(file, json.dumps(known, indent=1), 0o600)
    what = [f"{p['file']} is gone or changed" for p in missing] + [f"the drop in candidate {c}" for c in stopped]
    return f"Accepted for {source}: {'; '.join(what)}. Run `meetlat refresh`."


# --- what each table is made of ------------------------------------------------------------------


class Missing(Exception):
    """A dry build came to a part that does not exist."""

    def __init__(self, name: str, why: str = "") -> None:
        super().__init__(name)
        self.name, self.why = name, why


class Build:
    """Names and makes the parts of one set of inputs.

    A dry one makes nothing and raises Missing. In a full one nothing is made of what the release before has.
    """

    def __init__(
        self,
        inputs: Inputs,
        report: Report = lambda _: None,
        dry: bool = False,
        full: bool = False,
        superseded: Mapping[str, Part | None] | None = None,
        store: Store | None = None,
    ) -> None:
        self.inputs = inputs
        self.settings = inputs.settings
        self.store = store or Store(inputs.settings.warehouse / "parts")
        self.report = report
        self.dry = dry
        self.full = full
        self.refused: dict[Path, str] = {}  # deliveries that staging refused, with the sentence
        self.made: list[tuple[str, float, float]] = []  # parts that did not exist yet: began, ended
        self.failure: MeetlatError | None = None  # what stopped the run, for who started it
        self.published: Published | None = None
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, ...], Future[Any]] = {}  # what anybody asked for: made, or being made
        self._parts: dict[tuple[str, str], Part] = {}
        self._known = superseded or {}  # lists that were made before, by source
        self._named: dict[tuple[str, str, str], Part] = {}  # found by name, source and delivery: naming takes longer
        self._works_ahead = False

    def take(self, looked: "Build") -> None:
        """Take over what a dry build of the same inputs found, so that nothing is looked up twice."""
        self.refused |= looked.refused
        self._parts |= looked._parts
        self._named |= looked._named
        self._asked |= {key: asked for key, asked in looked._asked.items() if asked.exception() is None}

    def _once(self, key: tuple[str, ...], make: Callable[[], Made]) -> Made:
        """What `make` gives. Who asks first makes it, on whatever thread; all others wait for it, and for its fault."""
        with self._lock:
            is_first = key not in self._asked
            asked: Future[Made] = self._asked.setdefault(key, Future())
        if is_first:
            try:
                asked.set_result(make())
            except BaseException as error:
                asked.set_exception(error)
        return asked.result()

    def _each(self, work: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
        """The same for every item: side by side, but one after the other where parts are only looked up."""
        return [work(item) for item in items] if self.dry else side_by_side(self.settings, work, items)

    # staged deliveries

    def staged_hash(self, source: Source, delivery: Delivery) -> str:
        return digest(
            {
                "delivery": delivery.sha256,
                "source": source.name,
                "contract": source.digest,
                "order": delivery.order if source.contract.versions or source.contract.waves else None,
                "key": privacy.fingerprint(self.inputs.key),
                "erased": self.inputs.erasures.get(source.name),
                "code": code(*STAGING_CODE),
                "versions": versions(),
            }
        )

    def staged(self, source: Source, delivery: Delivery) -> Part | None:
        """The staged part of a delivery, made if need be; None if the delivery is refused."""
        if delivery.refused is not None:
            self.refused[delivery.path] = delivery.refused
        if delivery.path in self.refused:
            return None
        named = ("staged", source.name, delivery.sha256)
        if named in self._named:
            return self._named[named]
        from pipelines import staging

        def write(folder: Path) -> dict[str, JSON]:
            self.report(f"staging {delivery.source}/{delivery.path.name}")
            of = staging.n_shares(delivery, source.contract)
            found = [self.store.find(*self._share(source, delivery, first, of)) for first in range(of if of > 1 else 0)]
            shares = [share for share in found if share is not None]
            return self._staging(staging.stage, source, delivery, folder, shares=shares if len(shares) == of else ())

        try:
            why = f"{delivery.path.name} is not staged yet"
            part = self._make(f"staged.{source.name}", self.staged_hash(source, delivery), write, why)
            return self._named.setdefault(named, part)
        except FileNotFoundError:
            self.refused[delivery.path] = (
                f"{delivery.path.name} is gone and was never staged under the present contract."
            )
        except DeliveryRefused as refused:
            self.refused[delivery.path] = str(refused)
        return None

    def judged(self, source: Source, delivery: Delivery, first: int, of: int) -> None:
        """Judge a share of a large delivery, for `staged` to find. No release stands on it, so the next one removes it.

        A delivery that is refused is left to `staged`, which says so.
        """
        if delivery.path in self.refused:
            return
        from pipelines import staging

        def write(folder: Path) -> dict[str, JSON]:
            return self._staging(staging.judge_share, source, delivery, folder, first=first, of=of)

        try:
            self._make(*self._share(source, delivery, first, of), write)
        except (FileNotFoundError, DeliveryRefused) as refused:
            self.refused[delivery.path] = str(refused)

    def _staging(
        self, do: Callable[..., dict[str, JSON]], source: Source, delivery: Delivery, folder: Path, **more: Any
    ) -> dict[str, JSON]:
        """Call a function of `staging` for a delivery."""
        from pipelines import staging

        erased = self.inputs.erased.get(source.name, staging.NOBODY)
        key = self.inputs.key
        return do(self.settings, delivery, source.contract, source.measures, key, folder, erased, **more)

    def _share(self, source: Source, delivery: Delivery, first: int, of: int) -> tuple[str, str]:
        """Name and hash of the part."""
        return f"judged.{source.name}", digest([self.staged_hash(source, delivery), first, of])

    def accepted(self, source: Source) -> list[tuple[Delivery, Part]]:
        """The deliveries of a source that could be staged, in delivery order."""

        def make() -> list[tuple[Delivery, Part]]:
            if self._works_ahead:
                self._stage_all()
            parts = self._each(lambda d: self.staged(source, d), source.deliveries)
            return [(d, part) for d, part in zip(source.deliveries, parts, strict=True) if part is not None]

        return self._once(("accepted", source.name), make)

    def _stage_all(self) -> None:
        """All deliveries at once, not source by source."""

        def make() -> list[Part | None]:
            every = [(s, d) for s in self.inputs.sources.values() for d in s.deliveries]
            return self._each(lambda each: self.staged(*each), every)

        self._once(("staged",), make)

    def superseded(self, source: Source) -> Part | None:
        """The part with the two lists of every delivery of the source; None if it has no deliveries."""
        if source.name in self._known:
            return self._known[source.name]
        return self._once(("superseded", source.name), lambda: self._supersede(source))

    def _supersede(self, source: Source) -> Part | None:
        accepted = self.accepted(source)
        if not accepted:
            return None
        mode = source.contract.delivery.mode
        name = f"superseded.{source.name}"

        def hash(staged: list[tuple[Delivery, Part]]) -> str:
            made_of = [part.hash for _, part in staged]
            return digest([source.name, mode, made_of, code("supersession", "engine"), versions()])

        def write(folder: Path) -> dict[str, JSON]:
            self.report(f"comparing the deliveries of {source.name}")
            from pipelines import supersession

            before = self.store.find(name, hash(accepted[:-1])) if accepted[:-1] and not self.full else None
            listed = [(d.id, p) for d, p in accepted]
            return supersession.supersede(self.settings, source.name, mode, listed, folder, before)

        return self._make(name, hash(accepted), write)

    # tables

    def parts(self, table: str) -> list[Part]:
        """The parts of a table, made if need be: one a delivery for the map, one for all else."""
        model = self.inputs.models[table]

        def make() -> list[Part]:
            if model.per_delivery:
                return self._map(model)
            return [self._run(model, {u: self.files(u) for u in model.upstreams})]

        return self._once(("table", table), make)

    def _map(self, model: Model) -> list[Part]:
        for upstream in model.upstreams:  # of all deliveries first: side by side, not one by one on the way
            if upstream in self.inputs.models:
                self.parts(upstream)
        keys = self.delivered(model)
        return self._each(lambda key: self._run_for(model, *key), keys)

    def delivered(self, model: Model) -> list[tuple[Source, Delivery]]:
        """The deliveries of which a map model is made, once all is there that several of them read."""
        keys = [(s, d) for s in self.inputs.sources.values() for d, _ in self.accepted(s)]
        if not keys:
            faults = "".join(f"\n  {sentence}" for sentence in self.refused.values())
            raise MeetlatError(f"There is no delivery that can be read, so nothing is published.{faults}")
        for source in self.inputs.sources.values():
            self.superseded(source)
            for upstream in model.upstreams:
                if upstream.startswith("reference."):
                    self._reference(upstream, source)
        return keys

    def of_delivery(self, source: Source, delivery: Delivery) -> None:
        """Make what all map models make of one delivery, one after the other."""
        for model in self.inputs.models.values():
            if model.per_delivery:
                self._run_for(model, source, delivery)

    def unmade(
        self,
        keys: Iterable[Task],
        make: Callable[..., object],
        superseded: Mapping[str, Part | None],
    ) -> list[Task]:
        """Those of these deliveries, or shares, of which `make`, a method of Build, would make what is not there."""
        dry = Build(self.inputs, dry=True, superseded=superseded)
        dry.refused = dict(self.refused)
        missing = []
        for key in keys:
            try:
                make(dry, *key)
            except Missing:
                missing.append(key)
        return missing

    @contextmanager
    def ahead(self, begin: Callable[[], Begun]) -> Iterator[None]:
        """Make everything on other threads meanwhile: who asks for a part finds it, or waits for it.

        Dagster keeps one core busy with its own books; the engine need not wait for that. A fault
        is left for whoever asks next, who can tell of it. `begin` is called when the tables of deliveries are made.
        """
        ended = threading.Event()

        def make() -> None:
            with suppress(Exception):
                self._stage_all()
                upstreams = {name: model.upstreams for name, model in self.inputs.models.items()}
                upstreams[BEGUN] = [name for name, model in self.inputs.models.items() if model.per_delivery]
                work = {name: model.work for name, model in self.inputs.models.items()} | {BEGUN: 0}

                def one(name: str) -> object:
                    return self.begun(begin) if name == BEGUN else self.parts(name)

                as_ready(self.settings, upstreams, work, one, ended)

        self._works_ahead = True
        thread = threading.Thread(target=make, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def begun(self, begin: Callable[[], Begun]) -> Begun:
        """The file of a release that is begun before all tables are made, and what it holds."""
        return self._once((BEGUN,), begin)

    def _run(self, model: Model, inputs: Mapping[str, list[tuple[str, Path]]]) -> Part:
        made_of = {
            "model": model.canonical,
            "inputs": {u: [hash for hash, _ in files] for u, files in inputs.items()},
            "code": code(*MODEL_CODE),
            "versions": versions(),
        }

        def write(folder: Path) -> dict[str, JSON]:
            self.report(f"making {model.name}")
            files = {u: [file for _, file in found] for u, found in inputs.items()}
            return models.run(self.settings, model, files, folder)

        return self._make(model.name, digest(made_of), write)

    def _run_for(self, model: Model, source: Source, delivery: Delivery) -> Part:
        """The part that a map model makes of one delivery."""
        named = (model.name, source.name, delivery.sha256)
        if named not in self._named:
            self._named[named] = self._run(model, self._of_delivery(model, source, delivery))
        return self._named[named]

    def _of_delivery(self, model: Model, source: Source, delivery: Delivery) -> dict[str, list[tuple[str, Path]]]:
        """The files that a map model reads for one delivery, each with the hash of its content."""
        found = {}
        for upstream in model.upstreams:
            layer, name = upstream.split(".")
            if layer == "staged" and name != "delivery":
                found[upstream] = [self._staged_file(source, delivery, name)]
            elif layer == "reference":
                part = self._reference(upstream, source)
                found[upstream] = [(part.hash, part.file())]
            elif layer != "staged" and self.inputs.models[upstream].per_delivery:
                above = self.inputs.models[upstream]
                part = self._run_for(above, source, delivery)
                found[upstream] = [(part.hash, part.file())]
            else:
                raise MeetlatError(
                    f"{model.path}: made per delivery, but reads {upstream}, which is not; a table made per delivery "
                    "may read staged tables, reference lists and other tables made per delivery."
                )
        return found

    def _staged_file(self, source: Source, delivery: Delivery, name: str) -> tuple[str, Path]:
        if name in LISTS:
            lists = self.superseded(source)
            assert lists is not None
            return lists.facts[delivery.id][name]["digest"], lists.file(f"{delivery.id}.{name}")
        part = self.staged(source, delivery)
        assert part is not None
        return f"{part.hash}/{name}", part.file(name)

    def files(self, table: str) -> list[tuple[str, Path]]:
        """The files, each with the hash of its content, of everything a reduce model reads of one table."""
        layer, name = table.split(".")
        if table == "staged.delivery":
            part = self._list("staged.delivery", self._delivery_rows(), STAGED[table])
        elif layer == "reference":
            part = self._reference(table)
        elif layer == "staged":
            found = [
                self._staged_file(source, delivery, name)
                for source in self.inputs.sources.values()
                for delivery, _ in self.accepted(source)
            ]
            return self._bundled(table, found)
        else:
            return self._bundled(table, [(part.hash, part.file()) for part in self.parts(table)])
        return [(part.hash, part.file())]

    def _bundled(self, table: str, files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """Where deliveries are many, files that each hold several of them: to open one takes as long as to read it.

        Which delivery stands in which file follows from its hash, so that a new one makes one file anew.
        """
        if len(files) <= MANY:
            return files
        bundles: dict[str, list[tuple[str, Path]]] = {}
        for hash, file in sorted(files):
            bundles.setdefault(hash[:2], []).append((hash, file))

        def bundle(inside: list[tuple[str, Path]]) -> tuple[str, Path]:
            def write(folder: Path) -> dict[str, JSON]:
                listed = ", ".join(engine.quoted(str(file)) for _, file in inside)
                with engine.borrowed(self.settings, folder.parent) as con:
                    query = f"FROM read_parquet([{listed}])"
                    return {"rows": engine.write_parquet(con, query, folder / "data.parquet", ours=True)}

            hashes = [hash for hash, _ in inside]
            part = self._make(f"bundle.{table}", digest([table, hashes, versions()]), write, f"{table} is read anew")
            return part.hash, part.file()

        return self._each(bundle, bundles.values())

    def _reference(self, table: str, source: Source | None = None) -> Part:
        """A reference list. For one source: of a list by source its own rows, so that others leave it as it is."""
        named = (table, source.name if source else "", "")
        if named not in self._named:
            name = table.split(".")[1]
            rows = self.inputs.lists[name]
            if source is not None:
                rows = [row for row in rows if row.get("source_code", source.name) == source.name]
            self._named[named] = self._list(table, rows, ", ".join(f"{c} VARCHAR" for c in REFERENCE[name]))
        return self._named[named]

    def _delivery_rows(self) -> list[dict[str, JSON]]:
        rows = []
        for source in self.inputs.sources.values():
            self.accepted(source)
            for d in source.deliveries:
                fault = self.refused.get(d.path)
                rows.append(
                    {
                        "source_code": source.name,
                        "delivery_id": d.id,
                        "file_name": d.path.name,
                        "order_key": d.order,
                        "sha256": d.sha256,
                        "status": "refused" if fault else "accepted",
                        "message": fault or source.stopped or "",
                        "is_stale": source.stopped is not None,
                        "questions": len(cells(source.contract.at(d.order))),
                    }
                )
        return rows

    def _list(self, name: str, rows: list[dict[str, JSON]], columns: str) -> Part:
        """A small table of rows that Python holds."""

        def write(folder: Path) -> dict[str, JSON]:
            types = dict(c.split() for c in columns.split(", "))
            with engine.borrowed(self.settings, folder.parent) as con:
                engine.load_rows(con, "listed", types, rows)
                return {"rows": engine.write_parquet(con, "FROM listed ORDER BY ALL", folder / "data.parquet")}

        return self._make(name, digest([rows, columns, versions()]), write)

    def named(self) -> dict[str, list[str]]:
        """Every part that the release stands on, also those that are no table of it, by name."""
        named: dict[str, list[str]] = {m: [p.hash for p in self.parts(m)] for m in self.inputs.models}
        for name, hash in sorted(self._parts):
            if name not in self.inputs.models:
                named.setdefault(name, []).append(hash)
        return named

    def stages(self) -> dict[str, float]:
        """Seconds on the clock per stage: staging, each layer of tables, and the release."""
        seconds: dict[str, float] = {}
        until = 0.0
        for name, began, ended in sorted(self.made, key=lambda m: m[1]):
            layer = name.split(".")[0]
            layer = {"staged": "stage", "superseded": "stage", "reference": "core"}.get(layer, layer)
            seconds[layer] = seconds.get(layer, 0.0) + max(0.0, ended - max(began, until))
            until = max(until, ended)
        if self.published:
            seconds |= self.published.seconds
        return seconds

    def _make(self, name: str, hash: str, write: Callable[[Path], dict[str, JSON]], why: str = "") -> Part:
        def make() -> Part:
            part = self.store.find(name, hash)
            if part is None and self.dry:
                raise Missing(name, why)
            if part is None:
                clock = time.perf_counter()
                with writing(self.store.folder):
                    part = self.store.make(name, hash, write)
                self.made.append((name, clock, time.perf_counter()))
            self._parts[name, hash] = part
            return part

        return self._once(("part", name, hash), make)


# --- what is stale -------------------------------------------------------------------------------


def stale(inputs: Inputs, build: Build | None = None) -> dict[str, str]:
    """Assets that have to run, with the reason: sources by name, tables by `layer.name`.

    Behind a delivery that is not staged yet everything that might change is stale; whether its parts
    really change is seen when it runs. `build` gets what was found.
    """
    dry = Build(inputs, dry=True)
    reasons = {}
    for source in inputs.sources.values():
        try:
            dry.superseded(source)
        except Missing as missing:
            reasons[source.name] = missing.why or "its deliveries are others than were compared with each other"
    for name in inputs.models:
        try:
            dry.parts(name)
        except Missing as missing:
            read = missing.name.removeprefix("bundle.")
            reasons[name] = "was not made of these inputs yet" if missing.name == name else f"reads {read}"
    if build is not None:
        build.take(dry)
    return reasons
