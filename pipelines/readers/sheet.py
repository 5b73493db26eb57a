"""One sheet of an XLSX workbook. Cells keep their meaning: numbers, dates and texts become text once."""

import csv
import datetime as dt
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import DeliveryRefused
from pipelines.formats import Sheet
from pipelines.readers.text import Tally, Text, feeding, open_bytes, parsed, said_plainly


@contextmanager
def open_text(path: Path, form: Sheet, decimal: str) -> Iterator[Text]:
    from python_calamine import CalamineError, CalamineWorkbook

    with said_plainly(path, "an XLSX workbook"), open_bytes(path) as file:
        try:
            book = CalamineWorkbook.from_filelike(file)
            name = form.sheet or book.sheet_names[0]
            if form.sheet is None and len(book.sheet_names) > 1:
                raise DeliveryRefused(
                    f"{path.name} has the sheets {book.sheet_names}; name the one to read with `sheet:`."
                )
            if name not in book.sheet_names:
                raise DeliveryRefused(f"{path.name} has no sheet '{name}'; it has {book.sheet_names}.")
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=True)
        except (CalamineError, IndexError) as error:
            raise DeliveryRefused(f"{path.name} is not a readable XLSX workbook ({error}).") from None
    if not rows:
        raise DeliveryRefused(f"{path.name}: sheet '{name}' is empty.")
    columns = [cell(value, decimal).strip() for value in rows[0]]
    with feeding(_delimited(rows[1:], decimal), Tally('"'), path, "an XLSX workbook") as feed:
        yield Text(columns, parsed(feed.file, len(columns), ",", '"'), feed.tally.total)


def _delimited(rows: list[list[Any]], decimal: str) -> Iterator[str]:
    """The rows that are not empty, as delimited text."""
    for start in range(0, len(rows), 1000):
        chunk = io.StringIO()
        writer = csv.writer(chunk, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows(row for row in ([cell(v, decimal) for v in r] for r in rows[start : start + 1000]) if any(row))
        yield chunk.getvalue()


def cell(value: Any, decimal: str) -> str:
    """The text of a cell: whole numbers without decimals, others with the contract's decimal mark."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value).replace(".", decimal)
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)
