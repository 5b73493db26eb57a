"""What nobody can compute about the dataset: its title, who publishes it, and under which terms.

A raw folder declares it in `reference/dataset.yml`. One without it gets neutral words and no licence: the shipped
file is about the sample, and nobody's figures may be published under its terms unasked.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from pipelines.errors import MeetlatError

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s<>\"]+$")]
Mail = Annotated[str, StringConstraints(pattern=r"^[^@\s<>\"]+@[^@\s<>\"]+$")]
# the data themes and the frequencies of the European vocabularies
Theme = Literal["AGRI", "ECON", "EDUC", "ENER", "ENVI", "GOVE", "HEAL", "INTR", "JUST", "REGI", "SOCI", "TECH", "TRAN"]
Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "ANNUAL_2", "ANNUAL", "IRREG", "UNKNOWN"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Strict):
    """The same in English and in Dutch."""

    en: Line
    nl: Line


class Party(_Strict):
    """An organisation or a person. Without a name nothing is said of it."""

    name: Line
    url: Address | None = None
    email: Mail | None = None


class Contact(Party):
    """Whom to ask; by mail or on a page."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> "Contact":
        if not (self.email or self.url):
            raise ValueError("needs an email or a url")
        return self


class Licence(_Strict):
    """Terms of use. `code` is that of the SPDX list, or a name of your own if none there fits."""

    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")]
    title: Line
    url: Address | None = None


class Declared(_Strict):
    """`reference/dataset.yml`."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")] = "customer-experience-benchmarks"
    title: Text = Text(en="Customer-experience benchmarks", nl="Benchmarks van klantbeleving")
    description: Text = Text(
        en="Customer-experience benchmarks by sector and period, computed from survey exports.",
        nl="Benchmarks van klantbeleving per sector en periode, berekend uit exports van onderzoeken.",
    )
    publisher: Party | None = None
    contact: Contact | None = None
    creators: tuple[Party, ...] = ()  # whom to cite; the publisher if there are none
    licence: Licence | None = None  # of public/
    house_licence: Licence | None = None  # of benchmark.duckdb and what stands beside it
    page: Address | None = None  # where public/ is put, so that its metadata can be read elsewhere
    keywords: tuple[Line, ...] = ("customer experience", "benchmark")
    themes: tuple[Theme, ...] = Field(default=("ECON",), min_length=1)
    frequency: Frequency = "UNKNOWN"


def load(raw: Path) -> Declared:
    """Read what a raw folder declares. Raises MeetlatError that names every key that is not in order."""
    path = raw / "reference" / "dataset.yml"
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Declared()
    except (yaml.YAMLError, UnicodeDecodeError):
        raise MeetlatError(f"{path} is no YAML in UTF-8; compare it with the shipped one.") from None
    try:
        return Declared.model_validate({} if document is None else document)
    except ValidationError as error:
        faults = "\n".join(f"  {'.'.join(map(str, e['loc'])) or 'the file'}: {_fault(e)}" for e in error.errors())
        raise MeetlatError(f"{path} cannot describe the dataset:\n{faults}") from None


def _fault(error: Any) -> str:
    plain = {
        "extra_forbidden": "no such key; check its spelling, or remove it",
        "missing": "is missing",
        "model_type": "must be keys with values, as in the shipped file",
    }
    if error["type"] == "string_pattern_mismatch":
        pattern = error["ctx"]["pattern"]
        wanted = "a web address" if "http" in pattern else "a mail address" if "@" in pattern else f"like {pattern}"
        return f"'{error['input']}' is not {wanted}"
    return plain.get(error["type"]) or re.sub("^Value error, ", "", str(error["msg"]))
