"""The rules of `raw/reference/disclosure.yml`, with floors below which nobody can set them."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.errors import MeetlatError
from pipelines.reference import SHIPPED

Period = Literal["month", "quarter", "year", "ytd", "r12", "wave"]

# A value may be told no closer than a grade on a scale from 1 to 10: a ninth of the scale's length.
CLOSEST = 1 / 9


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Employees(_Strict):
    """Respondents whose employer reads along."""

    audiences: tuple[str, ...] = ("employee", "cx_employee")
    respondents: int = Field(default=10, ge=10)


class Rules(_Strict):
    """Thresholds are numbers of different people, of organisations or of answers; shares lie from 0 to 1."""

    respondents: int = Field(default=10, ge=5)
    organisations: int = Field(default=5, ge=3)
    largest_share: float = Field(default=0.5, gt=0, le=0.5)
    p_percent: float = Field(default=10, ge=5, le=50)
    base_rounding: int = Field(default=5, ge=5)
    detail_from: int = Field(default=30, ge=30)
    most_decimals: int = Field(default=1, ge=0, le=1)
    percentiles_from: int = Field(default=10, ge=10)
    answers_changed: int = Field(default=10, ge=5)
    employees: Employees = Employees()
    periods: tuple[Period, ...] = ("year", "quarter", "ytd", "wave")

    def least(self, audience: str) -> int:
        """The fewest people of this audience that a figure may stand on."""
        extra = self.employees.respondents if audience in self.employees.audiences else 0
        return max(self.respondents, extra)


def load(raw: Path) -> Rules:
    """Read the rules of a raw folder, or the shipped ones. Raises MeetlatError naming what is wrong."""
    path = raw / "reference" / "disclosure.yml"
    if not path.is_file():
        path = SHIPPED / "disclosure.yml"
    try:
        return Rules.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, UnicodeDecodeError):
        raise MeetlatError(f"{path} is no YAML in UTF-8; compare it with the shipped one.") from None
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise MeetlatError(f"{path}: {'; '.join(faults)}.") from None
