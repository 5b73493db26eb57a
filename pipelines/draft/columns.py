"""The first rows of an export, column by column, read as a refresh would read them.

What the columns look like is in `clues.py`.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from pydantic import TypeAdapter

from pipelines.contracts import Contract
from pipelines.draft.recognise import Export
from pipelines.draft.vocabulary import EMAIL, words
from pipelines.engine import quoted
from pipelines.errors import MeetlatError
from pipelines.formats import Format
from pipelines.readers import open_text
from pipelines.readers.headings import cleaned

ROWS = 5_000  # read at most
FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "iso", "%d-%m-%Y", "%d-%m-%Y %H:%M", "%d-%m-%Y %H:%M:%S",
    "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p",
    "%m/%d/%y", "%m/%d/%y %H:%M", "%d/%m/%y", "%d/%m/%y %H:%M", "%d-%m-%y", "%d-%m-%y %H:%M", "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %I:%M:%S %p", "%Y%m%d",
)  # fmt: skip


@dataclass
class Column:
    """A column of the rows read: its id, its text for people, and its values with how often each stands there."""

    id: str
    rows: int
    counts: Counter[str]
    label: str = ""
    labels: dict[str, str] = field(default_factory=dict)  # code → label, where the file has them
    dates: list[str] = field(default_factory=list)  # the date formats that fit (nearly) all values, best first

    @property
    def filled(self) -> int:
        return self.counts.total()

    @property
    def name(self) -> str:
        """Its id in plain words."""
        return words(self.id)

    @property
    def words(self) -> str:
        """Its id and its text in plain words."""
        return words(f"{self.id} {self.label}")

    @property
    def unique(self) -> bool:
        return self.filled == self.rows > 0 and len(self.counts) == self.filled

    @property
    def is_short(self) -> bool:
        """Whether its id is a name and not a whole question."""
        return len(self.name.split()) <= 5

    def label_of(self, value: str) -> str:
        return self.labels.get(value, value)


def read(con: duckdb.DuckDBPyConnection, path: Path, export: Export) -> list[Column]:
    """The columns of the first rows. Headings that are somebody's answers are refused."""
    form: Any = TypeAdapter(Format).validate_python(export.form)
    contract = Contract.model_construct(format=form, decimal=".", columns={}, discard=[])
    with open_text(con, path, contract) as text:
        names = list(text.columns)
        cells = ", ".join(f"nullif(trim(c{i}, ' ' || chr(9) || chr(160)), '')" for i in range(len(names)))
        query = f"SELECT {cells} FROM {text.relation} WHERE fault IS NULL LIMIT {ROWS}"
        try:
            rows = con.execute(query).fetchall()
        except duckdb.Error as error:  # its text may quote a row
            raise MeetlatError(f"{path.name} cannot be parsed as {export.tool} ({type(error).__name__}).") from None
    _refuse_headless(path, export, names)
    labels, says = [cleaned(label) for label in export.labels], export.dictionary
    columns = []
    for place, name in enumerate(names):
        counts = Counter(row[place] for row in rows if row[place] is not None)
        label = says.texts.get(name) or (labels[place] if place < len(labels) else "")
        columns.append(
            Column(name, len(rows), counts, label, says.codes.get(name, {}), _dates(con, list(counts)[:500]))
        )
    return columns


def _refuse_headless(path: Path, export: Export, names: list[str]) -> None:
    """Headings that are somebody's answers must not end up in a contract."""
    table = export.form["kind"] in ("csv", "xlsx")  # elsewhere an id may be a number
    data = table * sum(bool(re.fullmatch(r"[\d.,:;/ -]+|.*\S@\S+\.\S+.*", name)) for name in names)
    if any("@" in name and EMAIL.search(name) for name in names) or data > len(names) / 2:
        raise MeetlatError(
            f"{path.name}: its first row looks like answers, not like headings; have it exported with headings."
        )


def _dates(con: duckdb.DuckDBPyConnection, values: list[str]) -> list[str]:
    """The date formats that fit (nearly) all of these values, best first."""
    if not values or not all(6 <= len(v) <= 40 for v in values[:20]) or not re.search(r"\d", values[0]):
        return []
    tried = []
    for form in FORMATS:
        moment = f"try_strptime(v, {quoted(form)})"
        if form == "iso":
            moment = "CASE WHEN regexp_matches(v, '^[0-9]{4}-[0-9]{2}-[0-9]{2}') THEN try_cast(v AS TIMESTAMPTZ) END"
        tried.append(f"count(*) FILTER (year({moment}) BETWEEN 1970 AND 2100)")
    found = con.execute(f"SELECT {', '.join(tried)} FROM (SELECT unnest($1) AS v)", [values]).fetchone() or ()
    best = max(found, default=0)
    return [form for form, n in zip(FORMATS, found, strict=True) if n == best >= 0.9 * len(values)]


def decimal_mark(export: Export, columns: Sequence[Column]) -> str:
    """The decimal mark: the one that more columns are written with. Real numbers have a point."""
    if export.form["kind"] != "csv":
        return "."
    marks = Counter(mark for column in columns if (mark := _mark(column)))
    if marks[","] == marks["."]:
        return "," if export.form["delimiter"] == ";" else "."
    return "," if marks[","] > marks["."] else "."


def _mark(column: Column) -> str | None:
    """The decimal mark of a column of small numbers, if it has one."""
    for mark in (",", "."):
        numbers = [v for v in column.counts if re.fullmatch(rf"-?\d{{1,3}}(\{mark}\d{{1,4}})?", v)]
        if numbers and any(mark in v for v in numbers) and len(numbers) >= 0.7 * len(column.counts):
            return mark
    return None
