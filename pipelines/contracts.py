"""The contract of a source: `raw/<source>/contract.yml` as a checked object.

Says what a contract may say and refuses the rest. Reading files is in `readers/`, applying the
contract to rows is in `staging.py`, codes and their labels are in `reference.py`.
"""

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from pipelines.errors import MeetlatError
from pipelines.formats import Format, Strict

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where there is one: seven times as fast

Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=63)]


# --- what each column means --------------------------------------------------------------------


class Identifier(Strict):
    """A response or respondent id: becomes a pseudonym, is never written as it is."""

    role: Literal["response", "respondent"]


class Organisation(Strict):
    """The code of the organisation rated, as in reference/organisations.csv."""

    role: Literal["organisation"]
    values: dict[str, Code] = {}  # what the export writes → our code; empty: it writes our codes


class Coded(Strict):
    """A column of codes: the channel of the contact, the sector as stated, the mode of interview."""

    role: Literal["channel", "sector", "mode"]
    values: dict[str, Code]


class Segment(Strict):
    """A column that puts the respondent into a group: an age class, a region. Results are given per group."""

    role: Literal["segment"]
    segment: Code  # what is grouped by, such as age; with the group it stands in `codes.segments`
    values: Annotated[dict[str, Code], Field(min_length=1)]  # what the export writes → our code; `""` is a blank cell


class Date(Strict):
    """The day (or moment) of the answer; decides the month. A moment is turned to `time_zone` first."""

    role: Literal["date"]
    format: str = "%Y-%m-%d"  # strptime pattern, or `iso` for a moment with its offset


class Weight(Strict):
    """The weight of the response: above 0 and below 100, kept to six decimals."""

    role: Literal["weight"]


class FreeText(Strict):
    """Text that people wrote, kept for analysts: addresses, numbers and e-mail are masked, names are not."""

    role: Literal["text"]
    keep: Literal["text"]  # says it in so many words: free text is discarded unless somebody decides otherwise


class Status(Strict):
    """Says which rows count. A value under neither `keep` nor `exclude` refuses the row; `""` is a blank cell."""

    role: Literal["status"]
    keep: Annotated[list[str], Field(min_length=1)] | Literal["any"]  # any: all that are not excluded
    exclude: dict[str, Code] = {}  # value → reason, such as test_row


class Asked(Strict):
    """What every kind of question says."""

    channel: Code = "not_applicable"  # a channel's code, or `row`: the channel column of the same row
    dont_know: list[str] = []
    refused: list[str] = []
    not_asked: list[str] = []
    version: Annotated[int, Field(ge=1)] = 1  # raised when the wording or the scale changed


class Question(Asked):
    """A graded question, or one whose labels stand for values: its measure, and which cells are no answer."""

    role: Literal["question"]
    measure: Code
    scale: tuple[float, float] | None = None  # None: the scale of the measure
    values: dict[str, float] = {}  # label or code → value; if given, no other answer is one


class Choice(Asked):
    """One column of a question with several answers, one column a choice: ticked, or empty."""

    role: Literal["choice"]
    group: Code  # the question that the choice belongs to
    measure: Code | None = None  # None: the choice only counts towards the base
    unticked: list[str] = []  # what an unticked choice holds if not nothing, such as 0
    base: Literal["answered", "asked"] = "answered"  # answered: who ticked at least one choice of the group


class Options(Asked):
    """Several answers as codes or texts: joined in one cell, or one a cell in the columns of a group."""

    role: Literal["options"]
    separator: str = ""  # what stands between answers that are joined in one cell
    group: Code | None = None  # or: the question to which this column, and others of the group, hold one answer each
    options: dict[str, Code | None] = {}  # every option → its measure, or null; of a group, on one of its columns
    base: Literal["answered", "asked"] = "answered"  # answered: who chose at least one

    @model_validator(mode="after")
    def _joined_or_apart(self) -> "Options":
        if bool(self.separator) == bool(self.group):
            raise ValueError(
                "give `separator` if a cell holds several answers, or `group` if each stands in a column of its own"
            )
        if self.separator and not self.options:
            raise ValueError("options: list every option, with its measure or null")
        return self


Column = Annotated[
    Identifier | Organisation | Coded | Segment | Date | Weight | FreeText | Status | Question | Choice | Options,
    Field(discriminator="role"),
]
AnyQuestion = Question | Choice | Options


# --- the whole ---------------------------------------------------------------------------------


class Delivery(Strict):
    """How deliveries of the source follow each other."""

    mode: Literal["append", "snapshot"]  # a repeated response replaces the earlier | the newest file is all
    order: str  # pattern over the file name; its first group is the key, compared as text

    @model_validator(mode="after")
    def _order_has_a_group(self) -> "Delivery":
        try:
            groups = re.compile(self.order).groups
        except re.error as error:
            raise ValueError(f"order: '{self.order}' is not a valid pattern ({error})") from None
        if groups != 1:
            raise ValueError(f"order: '{self.order}' needs exactly one group in parentheses, the order key")
        return self


class Gate(Strict):
    """What may happen between two releases without a person looking."""

    max_drop: Annotated[float, Field(ge=0, le=1)] = 0.1  # share of the source's answers that may vanish


class Wave(Strict):
    """A wave of fieldwork: its code and its first and last day."""

    code: Annotated[str, StringConstraints(pattern=r"^wave-[a-z0-9-]+$", max_length=63)]
    start: dt.date
    end: dt.date


class Code_(Strict):
    """A code that this source brings along, with its labels."""

    code: Code
    label_en: str
    label_nl: str


class SegmentCode(Code_):
    """A group of a segment, with its labels."""

    segment: Code


class OwnCodes(Strict):
    channels: list[Code_] = []
    sectors: list[Code_] = []
    segments: list[SegmentCode] = []  # in the order in which the groups are to be listed


class Version(Strict):
    """What is otherwise from a delivery on: a renamed question, another scale or wording."""

    from_: str = Field(alias="from")  # order key of the first delivery that it holds for
    columns: dict[str, Column | Annotated[list[Column], Field(min_length=1)]] = {}  # new ones, or replaced
    remove: list[str] = []  # columns and discards that are gone
    discard: list[str] = []  # new ones


class Correction(Strict):
    """A known error of the provider, from corrections.yml: data, not code."""

    match: Annotated[dict[str, str], Field(min_length=1)]  # column → value; all must be so
    set: dict[str, str] = {}  # column → the value that is right
    exclude: bool = False  # or: the row does not count
    reason: Annotated[str, StringConstraints(min_length=1)]
    provider: str | None = None  # who was told, and when
    status: Literal["open", "confirmed", "resolved"] = "open"

    @model_validator(mode="after")
    def _one_action(self) -> "Correction":
        if bool(self.set) == self.exclude:
            raise ValueError("give either `set` or `exclude: true`")
        return self


class Contract(Strict):
    """Everything that cannot be inferred safely about the exports of one source."""

    title: str
    monitor: Code
    audience: Code
    country: Annotated[str, StringConstraints(pattern=r"^([A-Z]{2}|global)$")]
    provenance: Literal["synthetic", "survey"]
    controller: str  # who answers for the personal data
    purpose: str
    licence: str
    retain_until: dt.date | None = None
    sampling_unit: Literal["organisation", "respondent"]
    strata: Literal["sector", "size_class"] | None = None  # what organisations were drawn by, if they were
    sampled_from: dict[Code, Annotated[int, Field(ge=1)]] = {}  # stratum (or `all`) → organisations there are
    sector: Code | None = None  # where all responses are about one sector
    wave: Wave | None = None
    waves: dict[str, Wave] = {}  # order key of a delivery → its wave
    files: str  # pattern of the deliveries' names, such as "*.csv.gz"
    format: Format
    decimal: Literal[".", ","] = "."
    time_zone: str = "Europe/Amsterdam"
    every_row_is_a_response: bool = False  # the export has no id: repeated rows cannot be found
    delivery: Delivery
    columns: dict[str, Column | Annotated[list[Column], Field(min_length=1)]]
    discard: list[str] = []  # read past, never stored
    gate: Gate = Gate()
    codes: OwnCodes = OwnCodes()
    versions: list[Version] = []
    corrections: list[Correction] = []  # stand in corrections.yml beside the contract

    @model_validator(mode="after")
    def _whole(self) -> "Contract":
        for role in ("response", "respondent", "organisation", "channel", "sector", "mode", "date", "weight"):
            names = self.named(role)
            if len(names) > 1:
                raise ValueError(f"columns: {names} all have the role {role}; only one column may")
        segments = [spec.segment for _, spec in self.segments]
        if double := sorted({s for s in segments if segments.count(s) > 1}):
            raise ValueError(f"columns: the segments {double} stand at more than one column each")
        if twice := sorted(set(self.columns) & set(self.discard)):
            raise ValueError(f"{twice} stand both under columns and under discard; choose one")
        if not self.questions:
            raise ValueError("columns: none has the role question, so there is nothing to publish")
        if bool(self.named("response")) == self.every_row_is_a_response:
            raise ValueError(
                "columns: one must have the role response, or repeated rows cannot be found; if the export has no id "
                "at all, say `every_row_is_a_response: true` instead"
            )
        if not self.named("date") and not self.wave and not self.waves:
            raise ValueError("columns: give one the role date, or say which wave this is with `wave:`")
        if self.wave and self.waves:
            raise ValueError("wave and waves exclude each other: the wave is one, or depends on the delivery")
        if self.sector and self.named("sector"):
            raise ValueError("sector is given once for all, and by a column too; choose one")
        if self.sampling_unit == "organisation" and not self.named("organisation"):
            raise ValueError("columns: one must have the role organisation, as that is the sampling unit")
        if (self.strata or self.sampled_from) and self.sampling_unit != "organisation":
            raise ValueError(
                "strata and sampled_from are about samples of organisations; sampling_unit says respondent"
            )
        if self.sampled_from and (set(self.sampled_from) == {"all"}) == bool(self.strata):
            raise ValueError(
                "sampled_from: without strata it names only `all`, with strata every stratum and not `all`"
            )
        for name, question in self.questions:
            if question.channel == "row" and not self.named("channel"):
                raise ValueError(f"columns.{name}: channel is `row`, but no column has the role channel")
            known = [t.strip().lower() for t in question.dont_know + question.refused + question.not_asked]
            if repeated := sorted({t for t in known if known.count(t) > 1}):
                raise ValueError(f"columns.{name}: {repeated} stand under two reasons for a missing answer")
            if isinstance(question, Options):
                self._check_options(name, question, known)
        asked = [(n, m) for n, q in self.questions for m in measures_of(q)]
        if not asked:
            raise ValueError("columns: no question has a measure, so there is nothing to publish")
        if repeated_ := sorted({f"{n}: {m}" for n, m in asked if asked.count((n, m)) > 1}):
            raise ValueError(f"columns: {repeated_} ask the same measure twice of one column")
        for number, correction in enumerate(self.corrections, start=1):
            mapped = {*self.columns, *(n for v in self.versions for n in v.columns)}
            if unknown := sorted({*correction.match, *correction.set} - mapped):
                raise ValueError(f"corrections, number {number}: {unknown} are no mapped columns")
        if [v.from_ for v in self.versions] != sorted({v.from_ for v in self.versions}):
            raise ValueError("versions: put them in the order of `from`, each key once")
        return self

    def _check_options(self, name: str, question: Options, missing: list[str]) -> None:
        """What is under `options` is an answer, and of a group one column lists them for all."""
        if both := [option for option in question.options if option.strip().lower() in missing]:
            raise ValueError(f"columns.{name}: {both} are options, and stand under a reason for a missing answer too")
        if question.group is None:
            return
        listing = [n for n, q in self.questions if isinstance(q, Options) and q.group == question.group and q.options]
        if len(listing) != 1:
            raise ValueError(
                f"columns.{name}: one column of the group {question.group} lists its options, for all of them; "
                f"{listing or 'none'} of its columns do"
            )
        if not question.options and question != Options(role="options", group=question.group):
            raise ValueError(f"columns.{name}: only `role` and `group`; {listing[0]} says the rest for the whole group")

    @property
    def specs(self) -> list[tuple[str, Column]]:
        """Every role with its column; a column may have several."""
        return [
            (name, spec)
            for name, found in self.columns.items()
            for spec in (found if isinstance(found, list) else [found])
        ]

    @property
    def questions(self) -> list[tuple[str, AnyQuestion]]:
        return [(n, c) for n, c in self.specs if isinstance(c, AnyQuestion)]

    @property
    def segments(self) -> list[tuple[str, Segment]]:
        """The columns with the role segment, by the name of the segment."""
        found = [(name, spec) for name, spec in self.specs if isinstance(spec, Segment)]
        return sorted(found, key=lambda each: each[1].segment)

    @property
    def measures(self) -> list[str]:
        """The measures that a response is asked, in the order of the columns, in every version."""
        every = [m for contract in self.in_turn for _, q in contract.questions for m in measures_of(q)]
        return list(dict.fromkeys(every))

    def group(self, question: Choice | Options) -> list[tuple[str, Choice | Options]]:
        """The columns that belong to the same question, each with what holds for it."""
        if isinstance(question, Choice):
            return [(n, q) for n, q in self.questions if isinstance(q, Choice) and q.group == question.group]
        return [(n, question) for n, q in self.questions if isinstance(q, Options) and q.group == question.group]

    def named(self, role: str) -> list[str]:
        return [name for name, spec in self.specs if spec.role == role]

    def one(self, role: str) -> str | None:
        """The name of the only column with this role, or None."""
        return next(iter(self.named(role)), None)

    def spec(self, role: str) -> Column | None:
        """What stands under the only column with this role, or None."""
        return next((spec for _, spec in self.specs if spec.role == role), None)

    def at(self, order: str) -> "Contract":
        """The contract as it holds for the delivery with this order key, its wave among it."""
        contract = self
        for version in self.versions:
            if version.from_ <= order:
                contract = contract._with(version)
        if self.waves:
            contract = contract.model_copy(update={"wave": self.waves.get(order), "waves": {}})
        return contract

    @property
    def in_turn(self) -> list["Contract"]:
        """The contract as it was agreed first, and as it holds from each of its versions on."""
        return [self, *(self.at(version.from_) for version in self.versions)]

    def _with(self, version: Version) -> "Contract":
        columns = {n: c for n, c in self.columns.items() if n not in version.remove} | version.columns
        discard = [n for n in self.discard if n not in (*version.remove, *version.columns)] + version.discard
        changes = {"columns": columns, "discard": discard, "versions": [], "corrections": []}
        merged = Contract.model_validate(self.model_dump(by_alias=True) | changes)
        return merged.model_copy(update={"corrections": self.corrections})


def measures_of(question: AnyQuestion) -> list[str]:
    """The measures of one question: one with several answers may have several."""
    if isinstance(question, Options):
        return [m for m in question.options.values() if m]
    return [question.measure] if question.measure else []


def _definition(contract: Contract, question: AnyQuestion) -> dict[str, Any]:
    """What decides which cells are answers to a question and what they are worth, by the key that says it."""
    status = [
        (spec.keep if spec.keep == "any" else sorted(spec.keep), sorted(spec.exclude))
        for _, spec in contract.specs
        if isinstance(spec, Status)
    ]
    said: dict[str, Any] = {"role": question.role, "status": sorted(map(repr, status))}
    for key in ("dont_know", "refused", "not_asked", "unticked"):
        said[key] = sorted({token.strip().lower() for token in getattr(question, key, [])})
    for key in ("values", "options"):
        said[key] = sorted(map(repr, getattr(question, key, {}).items()))
    if isinstance(question, Question):
        said["scale"] = question.scale
    else:
        said["base"] = question.base
    if isinstance(question, Choice) or (isinstance(question, Options) and question.group):
        said["group"] = sorted(repr(measures_of(choice)) for _, choice in contract.group(question))
    return said


def silent_changes(contract: Contract) -> list[str]:
    """Where `versions` asks a measure otherwise under a `version` that it had before, so that no series would break."""
    known: dict[Any, tuple[str, dict[str, list[str]]]] = {}
    found: dict[tuple[str, str, str], list[str]] = {}
    for since, one in (("", contract), *((v.from_, contract.at(v.from_)) for v in contract.versions)):
        asked: dict[tuple[str, str], list[AnyQuestion]] = {}
        for _, question in one.questions:
            for measure in measures_of(question):
                asked.setdefault((measure, question.channel), []).append(question)
        for (measure, channel), questions in asked.items():
            definitions = [_definition(one, question) for question in questions]
            keys = sorted({key for definition in definitions for key in definition})
            now = {key: sorted(repr(definition.get(key)) for definition in definitions) for key in keys}
            numbers = frozenset(question.version for question in questions)
            before, then = known.setdefault((measure, channel, numbers), (since, now))
            if changed := [f"`{key}`" for key in sorted({*now, *then}) if now.get(key) != then.get(key)]:
                found.setdefault((since, before, ", ".join(changed)), []).append(measure)
    return [
        f"versions, from {since}: {', '.join(dict.fromkeys(measures))} with another {changed} than "
        f"{f'from {before}' if before else 'at first'}, under the same `version`; raise the `version` of the question, "
        "or answers that do not mean the same are compared"
        for (since, before, changed), measures in found.items()
    ]


def load(source: Path) -> Contract:
    """Read `source/contract.yml`. Raises MeetlatError naming the file, the place and the fault."""
    path = source / "contract.yml"
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), LOADER)
        if isinstance(document, dict) and "corrections" in document:
            raise MeetlatError(f"{path}: put corrections into corrections.yml beside the contract.")
        known = source / "corrections.yml"
        if isinstance(document, dict) and known.exists():
            path = known
            document["corrections"] = yaml.load(known.read_text(encoding="utf-8"), LOADER) or []
        contract = Contract.model_validate(document)
        for version in contract.versions:
            contract.at(version.from_)  # every version must be a whole contract too
        if contract.versions and (silent := silent_changes(contract)):
            raise MeetlatError(f"{path} is not a valid contract:\n" + "\n".join(f"  {change}" for change in silent))
        return contract
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise MeetlatError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}.") from None
    except UnicodeDecodeError:
        raise MeetlatError(f"{path}: save it as UTF-8.") from None
    except ValidationError as error:
        faults = "\n".join(f"  {_place(e)}: {_fault(e)}" for e in error.errors())
        raise MeetlatError(f"{path} is not a valid contract:\n{faults}") from None


def _place(error: Any) -> str:
    steps = [str(step) for step in error["loc"]]
    if steps[:1] == ["columns"] and len(steps) > 2:
        steps.pop(2)  # pydantic names the role that it took the column for
    elif steps[:1] == ["format"] and len(steps) > 1:
        steps.pop(1)
    return ".".join(steps) or "the contract"


def _fault(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "no such key; check its spelling, or remove it"
    if error["type"] == "missing":
        return "is missing"
    if error["input"] is None:
        return "is not answered yet; fill it in"
    return str(error["msg"]).removeprefix("Value error, ")
