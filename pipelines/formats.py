"""How a delivery is written: the `format:` of a contract, one class per family of files.

What the columns mean is in `contracts.py`; the code that reads a format is in `readers/`.
"""

import codecs
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Packed(Strict):
    """What every format has: any file may come inside .gz or .zip."""

    member: str | None = None  # which file of a .zip, as a pattern with * and ?; None: it holds one only


# --- tables of text ------------------------------------------------------------------------------

Heading = Literal[
    "name",  # the id of the column
    "label",  # a text for people, read past
    "import_id",  # {"ImportId": "QID1"} as Qualtrics writes it; the ImportId is the id
    "group",  # a text that stands at the first column of a group only; the id is `group | name`
    "skip",  # anything else, read past
]


class Headed(Packed):
    """The rows above the data, from top to bottom. None: the columns are called `column 1`, `column 2`, ..."""

    headings: Annotated[list[Heading], Field(max_length=3)] = ["name"]

    @model_validator(mode="after")
    def _one_id(self) -> "Headed":
        for role in ("name", "import_id", "group"):
            if self.headings.count(role) > 1:
                raise ValueError(f"headings: only one row can be `{role}`")
        if self.headings and not {"name", "import_id", "group"} & set(self.headings):
            raise ValueError(
                "headings: one row must be `name`, `import_id` or `group`; write [] if there is no heading"
            )
        return self


class Delimited(Headed):
    """Delimited text of any dialect. A byte order mark wins over `encoding`; every kind of line end is read."""

    kind: Literal["csv"]
    encoding: Literal[
        "utf-8",
        "windows-1252",
        "iso-8859-1",
        "iso-8859-15",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "mac-roman",
    ]
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)]
    quote: Literal["none"] | Annotated[str, StringConstraints(pattern=r"^[!-~]$")] = '"'

    @model_validator(mode="after")
    def _distinct(self) -> "Delimited":
        if self.delimiter in "\r\n\0":
            raise ValueError("delimiter: a line end cannot separate cells")
        if self.delimiter == self.quote:
            raise ValueError("delimiter and quote: choose two different characters")
        return self


class Qualtrics(Packed):
    """A CSV or TSV export of Qualtrics: names, texts and ImportIds above the data; the ImportId is the id."""

    kind: Literal["qualtrics"]
    delimiter: Literal[",", ";", "\t"] = ","
    legacy: bool = False  # the dialect with two heading rows: V1, V2, ... and below them the names

    @property
    def delimited(self) -> Delimited:
        headings: list[Heading] = ["skip", "name"] if self.legacy else ["name", "label", "import_id"]
        return Delimited(kind="csv", encoding="utf-8", delimiter=self.delimiter, headings=headings, member=self.member)


class Sheet(Headed):
    """One sheet of an XLSX workbook. Empty rows do not count; the headings are the first rows that are not empty."""

    kind: Literal["xlsx"]
    sheet: str | None = None  # None: the workbook has one sheet
    first_row: Annotated[int, Field(ge=1)] | None = None  # number of the first heading row, if something stands above


# --- JSON ----------------------------------------------------------------------------------------


class Objects(Packed):
    """JSON objects, a row each, UTF-8. The columns are the keys; a list or an object is a cell with its JSON."""

    flatten: bool = False  # an object inside an object becomes columns `outer.inner`
    absent: Literal["refuse", "blank"] = "refuse"  # what a column of the contract is that no object has


class JsonLines(Objects):
    """One JSON object a line."""

    kind: Literal["jsonl"]


class Json(Objects):
    """One document with one array of objects."""

    kind: Literal["json"]
    rows: str | None = None  # the key of the outermost object under which the array stands; None: it is outermost


class QualtricsJson(Packed):
    """The JSON or NDJSON export of Qualtrics: `responseId` and the keys of `values`. Several choices: joined with ;"""

    kind: Literal["qualtrics_json"]
    labels: bool = False  # the texts of the choices instead of their codes


class SurveyMonkeyJson(Packed):
    """What the API of SurveyMonkey gives as responses/bulk.

    Columns are the keys of the response (`id`, `response_status`, `metadata.contact...`), and per question its id,
    followed by `.row` and `.column` in a grid and by `.other` for what was written in. Cells are choice ids (several:
    joined with ;) or the text written: what an id means stands in the survey definition and goes into the contract.
    """

    kind: Literal["surveymonkey_json"]


# --- files of statistics programs, columnar files ------------------------------------------------


class Statistical(Packed):
    encoding: str | None = None  # of its texts, if the file says it wrongly
    labels: bool = False  # the label of a value instead of its code, where it has one

    @model_validator(mode="after")
    def _known(self) -> "Statistical":
        try:
            codecs.lookup(self.encoding or "utf-8")
        except LookupError:
            raise ValueError(f"encoding: '{self.encoding}' is not known; write one like windows-1252") from None
        return self


class Spss(Statistical):
    """SPSS .sav or .zsav. User-missing codes stay codes: the contract says what each means."""

    kind: Literal["spss"]


class Stata(Statistical):
    """Stata .dta. Tagged missing values stay apart, as `.a` to `.z`."""

    kind: Literal["stata"]


class Parquet(Packed):
    """Parquet with plain columns: no lists, structs or maps."""

    kind: Literal["parquet"]


Format = Annotated[
    Delimited | Qualtrics | Sheet | JsonLines | Json | QualtricsJson | SurveyMonkeyJson | Spss | Stata | Parquet,
    Field(discriminator="kind"),
]
