"""One sheet of an XLSX workbook. Cells keep their meaning: numbers, dates and texts become text once."""

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb

from pipelines.contracts import Sheet
from pipelines.errors import DeliveryRefused
from pipelines.readers.text import Text, open_bytes, said_plainly


def open_text(con: duckdb.DuckDBPyConnection, path: Path, form: Sheet, decimal: str) -> Text:
    import pyarrow as pa
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
    body = [[cell(value, decimal) for value in row] for row in rows[1:]]
    body = [row for row in body if any(row)]
    table = pa.table({f"c{i}": pa.array([row[i] for row in body], pa.string()) for i in range(len(columns))})
    con.register("sheet", table)
    return Text(columns, "(SELECT *, NULL::VARCHAR AS fault FROM sheet)")


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
