"""Delimited text with one heading row.

Python reads the heading and decodes the rest into a pipe; DuckDB parses the pipe, all columns as
text. A row with too many or too few cells is refused alone; an open quote refuses the delivery,
because nobody knows where the row that holds it ends.
"""

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.errors import DeliveryRefused
from pipelines.formats import Delimited
from pipelines.readers.text import RefusedRow, Tally, Text, chunks_of, decoded, feeding, parsed, said_plainly

CELL_COUNT = {"TOO MANY COLUMNS": "too_many_cells", "MISSING COLUMNS": "too_few_cells"}


@contextmanager
def open_text(con: duckdb.DuckDBPyConnection, path: Path, form: Delimited) -> Iterator[Text]:
    with said_plainly(path, form.encoding):
        text = decoded(path, form.encoding)
        try:
            heading = next(csv.reader(text, delimiter=form.delimiter, quotechar=form.quote, strict=True), [])
        except csv.Error as error:
            raise DeliveryRefused(f"{path.name}: the heading cannot be read ({error}).") from None
    columns = [name.strip() for name in heading]
    if not any(columns):
        raise DeliveryRefused(f"{path.name} has no heading: its first row is empty.")
    if len(columns) == 1:
        raise DeliveryRefused(
            f"{path.name}: the heading has one column only; is the delimiter really '{form.delimiter}'?"
        )
    with feeding(chunks_of(text), Tally(form.quote), path, form.encoding) as feed:
        relation = parsed(feed.file, len(columns), form.delimiter, form.quote)
        yield Text(columns, relation, feed.tally.total, lambda: _refused_rows(con, path))


def _refused_rows(con: duckdb.DuckDBPyConnection, path: Path) -> list[RefusedRow]:
    found = con.execute(
        "SELECT line, min(error_type::VARCHAR) FROM reject_errors GROUP BY line ORDER BY line"
    ).fetchall()
    for line, kind in found:
        if kind not in CELL_COUNT:
            fault = "a quote that is never closed" if "QUOTE" in kind else re.sub("_", " ", kind).lower()
            raise DeliveryRefused(f"{path.name}, line {line + 1}: {fault}; have it exported again.")
    return [RefusedRow(None, CELL_COUNT[kind]) for _, kind in found]
