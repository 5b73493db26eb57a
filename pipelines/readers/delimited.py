"""Delimited text with any number of heading rows.

Python reads the headings and turns the rest into UTF-8 on its way into a pipe; DuckDB parses the pipe,
all columns as text. A row with too many or too few cells is refused alone; an open quote refuses the
delivery, because nobody knows where the row that holds it ends.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import duckdb

from pipelines.errors import DeliveryRefused
from pipelines.formats import Delimited
from pipelines.readers import headings
from pipelines.readers.archive import open_bytes
from pipelines.readers.text import (
    Counted,
    Lines,
    Pieces,
    RefusedRow,
    Tally,
    Text,
    cut,
    feeding,
    parsed,
    said_plainly,
    utf8,
)

LONG = 1 << 20  # bytes of a piece of which most cells come many times
MOST_ABOVE = 10_000  # lines that the heading may take, the empty ones above it included
CELL_COUNT = {"TOO MANY COLUMNS": "too_many_cells", "MISSING COLUMNS": "too_few_cells"}


@dataclass(frozen=True)
class _Opened:
    columns: list[str]
    body: Iterator[bytes]  # what stands below the headings
    above: int  # lines of the headings
    delimiter: str
    quote: str | None

    def tally(self) -> Tally:
        return Tally(self.quote, self.delimiter, len(self.columns))

    def relation(self, file: str) -> str:
        return parsed(file, len(self.columns), self.delimiter, self.quote)


@contextmanager
def open_text(con: duckdb.DuckDBPyConnection, path: Path, form: Delimited) -> Iterator[Text]:
    with _opened(path, form) as opened:
        tally = opened.tally()
        with feeding(opened.body, tally, path) as feed:
            finish = partial(_refused_rows, con, path, opened.above)
            yield Text(opened.columns, opened.relation(feed.file), tally.total, finish)


@contextmanager
def open_pieces(path: Path, form: Delimited) -> Iterator[Pieces]:
    """The same in pieces to be parsed side by side, as the engine reads a pipe on one thread."""
    with _opened(path, form) as opened:
        tally = opened.tally()

        @contextmanager
        def piece(lines: int, chunks: list[bytes], con: duckdb.DuckDBPyConnection) -> Iterator[Text]:
            with feeding(iter(chunks), Counted(), path) as feed:
                finish = partial(_refused_rows, con, path, opened.above + lines)
                long = sum(map(len, chunks)) >= LONG
                yield Text(opened.columns, opened.relation(feed.file), tally.total, finish, long)

        each = (partial(piece, lines, chunks) for lines, chunks in cut(path, opened.body, tally))
        yield Pieces(opened.columns, each, tally.total)


@contextmanager
def _opened(path: Path, form: Delimited) -> Iterator[_Opened]:
    quote = None if form.quote == "none" else form.quote
    with said_plainly(path), open_bytes(path, form.member) as file:
        lines = Lines(path, utf8(path, file, form.encoding))
        first, read = _first_rows(lines, form, quote)
        width = max((len(row) for row in first), default=0)
        if width == 1:
            raise DeliveryRefused(
                f"{path.name}: the heading has one column only; is the delimiter really '{form.delimiter}'?"
            )
        columns = headings.ids(path.name, first if form.headings else [], form.headings, width)
        body = lines.rest() if form.headings else chain([read], lines.rest())
        yield _Opened(columns, body, read.count(b"\n") if form.headings else 0, form.delimiter, quote)


def _first_rows(lines: Lines, form: Delimited, quote: str | None) -> tuple[list[list[str]], bytes]:
    """The heading rows, or the first row if there are none, and the bytes they were read from."""
    read: list[bytes] = []

    def texts() -> Iterator[str]:
        while line := lines.line():
            read.append(line)
            if len(read) > MOST_ABOVE:
                raise DeliveryRefused(f"{lines.path.name} has no heading in its first {MOST_ABOVE:,} lines.")
            yield line.decode()

    style: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    reader = csv.reader(texts(), delimiter=form.delimiter, quotechar=quote, quoting=style, strict=True)
    rows: list[list[str]] = []
    try:
        while len(rows) < max(1, len(form.headings)):
            row = next(reader)
            if row:
                rows.append(row)
    except csv.Error as error:
        raise DeliveryRefused(f"{lines.path.name}: the heading cannot be read ({error}).") from None
    except StopIteration:
        what = f"ends within its {len(form.headings)} heading rows" if rows else "has no heading: it holds no text"
        raise DeliveryRefused(f"{lines.path.name} {what}; have it exported again.") from None
    return rows, b"".join(read)


def _refused_rows(con: duckdb.DuckDBPyConnection, path: Path, above: int) -> list[RefusedRow]:
    found = con.execute(
        "SELECT line, max(error_type::VARCHAR), bool_or(contains(rtrim(csv_line, chr(10) || chr(13)), chr(10))) "
        "FROM reject_errors GROUP BY line ORDER BY line"
    ).fetchall()
    for line, kind, several in found:
        # a refused row over several lines has lost a quote somewhere: it may have swallowed good rows
        if several or kind not in CELL_COUNT:
            quote = several or "QUOTE" in kind
            fault = "a quote that is not closed where it should be" if quote else re.sub("_", " ", kind).lower()
            raise DeliveryRefused(f"{path.name}, line {line + above}: {fault}; have it exported again.")
    return [RefusedRow(None, CELL_COUNT[kind]) for _, kind, _ in found]
