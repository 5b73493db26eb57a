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


class Date(Strict):
    """The day (or moment) of the answer; decides the month. A moment is turned to `time_zone` first."""

    role: Literal["date"]
    format: str = "%Y-%m-%d"  # strptime pattern, or `iso` for a moment with its offset


class Weight(Strict):
    """The weight of the response: above 0 and below 100, kept to six decimals."""

    role: Literal["weight"]


class Status(Strict):
    """Says which rows count. Any value under neither `keep` nor `exclude` refuses the row."""

    role: Literal["status"]
    keep: Annotated[list[str], Field(min_length=1)]
    exclude: dict[str, Code] = {}  # value → reason, such as test_row


class Question(Strict):
    """A graded question: its measure, and which cells are no answer and why."""

    role: Literal["question"]
    measure: Code
    channel: Code = "not_applicable"  # a channel's code, or `row`: the channel column of the same row
    scale: tuple[float, float] | None = None  # None: the scale of the measure
    dont_know: list[str] = []
    refused: list[str] = []
    not_asked: list[str] = []
    version: Annotated[int, Field(ge=1)] = 1  # raised when the wording or the scale changed


Column = Annotated[Identifier | Organisation | Coded | Date | Weight | Status | Question, Field(discriminator="role")]


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


class OwnCodes(Strict):
    channels: list[Code_] = []
    sectors: list[Code_] = []


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
    wave: Wave | None = None
    files: str  # pattern of the deliveries' names, such as "*.csv.gz"
    format: Format
    decimal: Literal[".", ","] = "."
    time_zone: str = "Europe/Amsterdam"
    delivery: Delivery
    columns: dict[str, Column]
    discard: list[str] = []  # read past, never stored
    gate: Gate = Gate()
    codes: OwnCodes = OwnCodes()

    @model_validator(mode="after")
    def _whole(self) -> "Contract":
        for role in ("response", "respondent", "organisation", "channel", "sector", "mode", "date", "weight"):
            names = self.named(role)
            if len(names) > 1:
                raise ValueError(f"columns: {names} all have the role {role}; only one column may")
        if twice := sorted(set(self.columns) & set(self.discard)):
            raise ValueError(f"{twice} stand both under columns and under discard; choose one")
        if not self.questions:
            raise ValueError("columns: none has the role question, so there is nothing to publish")
        if not self.named("response"):
            raise ValueError("columns: one must have the role response, or repeated rows cannot be found")
        if not self.named("date") and not self.wave:
            raise ValueError("columns: give one the role date, or say which wave this is with `wave:`")
        if self.sampling_unit == "organisation" and not self.named("organisation"):
            raise ValueError("columns: one must have the role organisation, as that is the sampling unit")
        for name, question in self.questions.items():
            if question.channel == "row" and not self.named("channel"):
                raise ValueError(f"columns.{name}: channel is `row`, but no column has the role channel")
            known = [t.strip().lower() for t in question.dont_know + question.refused + question.not_asked]
            if repeated := sorted({t for t in known if known.count(t) > 1}):
                raise ValueError(f"columns.{name}: {repeated} stand under two reasons for a missing answer")
        return self

    @property
    def questions(self) -> dict[str, Question]:
        return {n: c for n, c in self.columns.items() if isinstance(c, Question)}

    def named(self, role: str) -> list[str]:
        return [name for name, column in self.columns.items() if column.role == role]

    def one(self, role: str) -> str | None:
        """The name of the only column with this role, or None."""
        return next(iter(self.named(role)), None)


def load(source: Path) -> Contract:
    """Read `source/contract.yml`. Raises MeetlatError naming the file, the place and the fault."""
    path = source / "contract.yml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Contract.model_validate(document)
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
    return str(error["msg"]).removeprefix("Value error, ")
