"""How a delivery is written: the `format:` of a contract, one class per family of files.

What the columns mean is in `contracts.py`; the code that reads a format is in `readers/`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Delimited(Strict):
    """Delimited text. The heading is one row of names."""

    kind: Literal["csv"]
    encoding: Literal["utf-8", "windows-1252", "iso-8859-1", "iso-8859-15", "utf-16"]
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)]
    quote: Annotated[str, StringConstraints(min_length=1, max_length=1)] = '"'


class Sheet(Strict):
    """One sheet of an XLSX workbook; the first row that is not empty is the heading."""

    kind: Literal["xlsx"]
    sheet: str | None = None  # None: the workbook has one sheet


class JsonLines(Strict):
    """One JSON object a line; the columns are the keys of the objects."""

    kind: Literal["jsonl"]


Format = Annotated[Delimited | Sheet | JsonLines, Field(discriminator="kind")]
