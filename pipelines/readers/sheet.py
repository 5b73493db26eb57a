"""One sheet of an XLSX workbook. Cells keep their meaning: numbers, dates and texts become text once."""

import datetime as dt
import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines.errors import DeliveryRefused, listed
from pipelines.formats import Sheet
from pipelines.readers import headings
from pipelines.readers.archive import DAMAGED, Limit, seekable
from pipelines.readers.text import BLOCK, Tally, Text, feeding, parsed, rows_as_text, said_plainly
from pipelines.readers.values import moment, number, span

MOST_CELLS = 30_000_000  # between the first and the last cell of a sheet, which is held in memory as a whole
PLACE = re.compile(rb'\br="([A-Z]{1,3})([0-9]{1,7})"')

Cell = Any  # what the library gives: text, number, truth value, date, time, moment or span


@contextmanager
def open_text(path: Path, form: Sheet, decimal: str) -> Iterator[Text]:
    with said_plainly(path), seekable(path, form.member) as file:
        _check(path, file)
        name, sheet = _opened(path, file, form)
        if sheet.start is None:
            raise DeliveryRefused(f"{path.name}: sheet '{name}' is empty.")
        above = max(0, (form.first_row or 1) - 1 - sheet.start[0])
        timed, filled = set[int](), set[int]()
        for row in _filled_rows(sheet, above):
            for place, value in enumerate(row):
                if value != "":
                    filled.add(place)
                    # a column of moments may hold midnights, which the library takes for plain dates
                    if _has_time(value):
                        timed.add(place)
        width = max(filled, default=-1) + 1
        headings.check_width(path.name, width)
        rows = _texts(_filled_rows(sheet, above), timed, decimal, width)
        first = list(islice(rows, len(form.headings)))
        if len(first) < len(form.headings):
            raise DeliveryRefused(f"{path.name}: sheet '{name}' ends within its {len(form.headings)} heading rows.")
        columns = headings.ids(path.name, first, form.headings, width)
        with feeding(rows_as_text(path, rows), Tally('"'), path) as feed:
            yield Text(columns, parsed(feed.file, width), feed.tally.total)


def _opened(path: Path, file: io.BufferedIOBase, form: Sheet) -> tuple[str, Any]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(file)
        names = book.sheet_names
        if form.sheet is None and len(names) > 1:
            raise DeliveryRefused(f"{path.name} has the sheets {listed(names)}; name the one to read with `sheet:`.")
        name = form.sheet or names[0]
        if name not in names:
            raise DeliveryRefused(f"{path.name} has no sheet '{name}'; it has {listed(names)}.")
        return name, book.get_sheet_by_name(name)
    except (CalamineError, OSError, IndexError, ValueError):
        raise _unreadable(path) from None


def _unreadable(path: Path) -> DeliveryRefused:
    return DeliveryRefused(f"{path.name} is not a readable XLSX workbook; have it exported again.")


def _check(path: Path, file: io.BufferedIOBase) -> None:
    """Unpack the workbook once past a limit, and measure its sheets, before it is held in memory."""
    if file.read(4) == b"\xd0\xcf\x11\xe0":
        raise DeliveryRefused(f"{path.name} is protected by a password, or an old .xls; save it as XLSX without one.")
    limit = Limit(path, whole=True)
    try:
        with zipfile.ZipFile(file) as book:
            for part in book.infolist():
                columns, rows = {b"A"}, {b"1"}
                held = b""
                with book.open(part) as unpacked:
                    while chunk := unpacked.read(BLOCK):
                        limit.add(len(chunk))
                        if "/worksheets/" in part.filename:
                            chunk = held + chunk
                            for column, row in PLACE.findall(chunk):
                                columns.add(column)
                                rows.add(row)
                            held = chunk[-16:]
                if len(rows) > 1 and _area(columns, rows) > MOST_CELLS:
                    raise DeliveryRefused(
                        f"{path.name}: a sheet spans more than {MOST_CELLS:,} cells; remove what stands far from the "
                        "data, or deliver it as CSV."
                    )
    except (*DAMAGED, OSError):
        raise _unreadable(path) from None
    file.seek(0)


def _area(columns: Iterable[bytes], rows: Iterable[bytes]) -> int:
    widest = 0
    for column in columns:
        place = 0
        for letter in column:
            place = place * 26 + letter - 64
        widest = max(widest, place)
    return widest * max(map(int, rows))


def _filled_rows(sheet: Any, above: int) -> Iterator[list[Cell]]:
    """The rows from `above` on that hold something: a single cell far away makes a million that do not."""
    return (row for row in islice(sheet.iter_rows(), above, None) if row.count("") < len(row))


def _texts(rows: Iterable[list[Cell]], timed: set[int], decimal: str, width: int) -> Iterator[list[str]]:
    """The rows that are not empty, every cell as text."""
    for row in rows:
        texts = [cell(value, decimal, i in timed) for i, value in enumerate(row[:width])]
        if any(texts):
            yield texts


def cell(value: Cell, decimal: str, timed: bool = False) -> str:
    """The text of a cell. `timed`: a date is a moment at midnight."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value, decimal)
    if isinstance(value, dt.datetime):
        text = moment(value)
        return text if timed else text.removesuffix(" 00:00:00")
    if isinstance(value, dt.date):
        return f"{value.isoformat()} 00:00:00" if timed else value.isoformat()
    if isinstance(value, dt.timedelta):
        return span(value.total_seconds())
    if isinstance(value, dt.time):
        return value.isoformat("seconds")
    return str(value)


def _has_time(value: Cell) -> bool:
    return isinstance(value, dt.datetime) and not moment(value).endswith(" 00:00:00")
