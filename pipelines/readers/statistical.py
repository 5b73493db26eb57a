"""SPSS and Stata files. Values are codes; what was missing for a reason keeps the code of that reason.

The library crashes on some damaged files, so it runs in a process of its own: this module, run as a program.
The file is read some rows at a time. Dates are counted by us: the library fails on a date that Python
does not know. Texts are decoded by us: the library ends a text at the first byte that it cannot decode,
without a word, so it is told that every byte is a character.
"""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.errors import DeliveryRefused
from pipelines.formats import Spss, Stata
from pipelines.readers import aside, headings
from pipelines.readers.archive import Limit, is_packed, seekable
from pipelines.readers.text import Tally, Text, feeding, parsed, rows_as_text, said_plainly
from pipelines.readers.values import moment, number, span

HELD = 32 << 20  # bytes of values that are held at once
MOST_ROWS = 1_000_000  # the same in rows
BYTES = "ISO-8859-1"  # every byte is a character

# SPSS counts seconds from the start of the Gregorian calendar, Stata days or milliseconds from 1960
SPSS_START, STATA_START = dt.datetime(1582, 10, 14), dt.datetime(1960, 1, 1)
SPSS_DATES = ("DATE", "ADATE", "EDATE", "SDATE", "JDATE", "QYR", "MOYR", "WKYR")
SPSS_MOMENTS, SPSS_TIMES = ("DATETIME", "YMDHMS"), ("TIME", "MTIME", "DTIME")

Value = float | str | None
Decode = Callable[[str], str]
Write = Callable[[Value], str | None]  # from a value to its text


@contextmanager
def open_text(path: Path, form: Spss | Stata, decimal: str) -> Iterator[Text]:
    request = {"path": str(path), "form": form.model_dump(), "decimal": decimal, "rows": MOST_ROWS}
    with aside.asking("pipelines.readers.statistical", request, path) as answer:
        columns = json.loads(next(answer))
        with feeding(answer, Tally('"'), path) as feed:
            yield Text(columns, parsed(feed.file, len(columns)), feed.tally.total)


def _answer(request: dict[str, Any]) -> Iterator[bytes]:
    """The columns as JSON, then the rows as text."""
    path, decimal = Path(request["path"]), request["decimal"]
    form = (Spss if request["form"]["kind"] == "spss" else Stata)(**request["form"])
    encoding = form.encoding or _read(path, form, metadataonly=True)[1].file_encoding or "utf-8"
    decode = _decoder(path, encoding)
    meta = _read(path, form, BYTES, metadataonly=True)[1]
    headings.check_width(path.name, len(meta.column_names))
    if not meta.column_names:
        raise DeliveryRefused(f"{path.name} has no variables; have it exported again.")
    if len(set(meta.column_names)) < len(meta.column_names):
        raise DeliveryRefused(f"{path.name} has two variables with the same name; rename one of them.")
    yield json.dumps(headings.unique([headings.cleaned(decode(name)) for name in meta.column_names])).encode()
    writers = [(name, _writer(name, form, meta, decimal, decode)) for name in meta.column_names]
    yield from rows_as_text(path, _rows(path, form, meta, writers, request["rows"]))


def _rows(
    path: Path, form: Spss | Stata, meta: Any, writers: list[tuple[str, Write]], most: int
) -> Iterator[list[str | None]]:
    width = sum(max(8, size) for size in meta.variable_storage_width.values())
    step, limit, start = max(1, min(most, HELD // width)), Limit(path), 0
    while True:
        table, _ = _read(path, form, BYTES, row_offset=start, row_limit=step)
        cells = [list(map(write, table[name])) for name, write in writers]
        size = len(cells[0])
        limit.add(size * width)
        yield from map(list, zip(*cells, strict=True))
        start += size
        if size < step or start == meta.number_rows:
            return


def _decoder(path: Path, encoding: str) -> Decode:
    def decode(text: str) -> str:
        if text is None:  # the library gives no name where the file is damaged
            raise DeliveryRefused(f"{path.name} is damaged: a name of a variable is missing; have it exported again.")
        if text.isascii():
            return text
        try:
            return text.encode(BYTES).decode(encoding)
        except (UnicodeError, LookupError):
            raise DeliveryRefused(
                f"{path.name} has texts that are not {encoding}; set `encoding` in the contract's format."
            ) from None

    return decode


def _read(path: Path, form: Spss | Stata, encoding: str | None = None, **options: Any) -> Any:
    import pyreadstat

    read, file = (pyreadstat.read_sav, "an SPSS") if isinstance(form, Spss) else (pyreadstat.read_dta, "a Stata")
    with said_plainly(path), seekable(path, form.member) as packed:
        try:
            return read(
                packed if is_packed(path) else str(path),
                encoding=encoding,
                user_missing=True,
                disable_datetime_conversion=True,
                output_format="dict",
                **options,
            )
        except (OSError, MemoryError):
            raise
        except Exception:  # of many kinds, and none tells more
            raise DeliveryRefused(f"{path.name} is not {file} file that can be read; have it exported again.") from None


def _writer(name: str, form: Spss | Stata, meta: Any, decimal: str, decode: Decode) -> Write:
    """How the values of one variable are written."""

    def text(value: Value) -> str:
        return decode(str(value or "")).strip()

    plain: Write = text if meta.readstat_variable_types[name] == "string" else _numeric(name, form, meta, decimal)
    labels = {value: text(label) for value, label in meta.variable_value_labels.get(name, {}).items()}
    if not form.labels or not labels:
        return plain
    return lambda value: labels[value] if value in labels else plain(value)


def _numeric(name: str, form: Spss | Stata, meta: Any, decimal: str) -> Write:
    shown = str(meta.original_variable_types[name])
    timed = _spss_time(shown) if isinstance(form, Spss) else _stata_time(shown)
    codes = [(code["lo"], code["hi"]) for code in meta.missing_ranges.get(name, [])]

    def write(value: Value) -> str | None:
        if value is None or value != value:  # system-missing
            return None
        if isinstance(value, str):  # Stata's .a to .z
            return f".{value}"
        if timed is None or any(low <= value <= high for low, high in codes if not isinstance(low, str)):
            return number(float(value), decimal)
        try:
            return timed(float(value))
        except (OverflowError, ValueError):  # no day that a calendar knows: left for the contract to refuse
            return number(float(value), decimal)

    return write


def _spss_time(shown: str) -> Callable[[float], str] | None:
    kind = shown.rstrip("0123456789.").upper()
    if kind in SPSS_MOMENTS:
        return lambda seconds: moment(SPSS_START + dt.timedelta(seconds=seconds))
    if kind in SPSS_DATES:
        return lambda seconds: (SPSS_START + dt.timedelta(seconds=seconds)).date().isoformat()
    return span if kind in SPSS_TIMES else None


def _stata_time(shown: str) -> Callable[[float], str] | None:
    if shown.startswith(("%tc", "%-tc", "%tC", "%-tC")):
        return lambda ms: moment(STATA_START + dt.timedelta(milliseconds=ms))
    if shown.startswith(("%td", "%-td", "%d", "%-d")):
        return lambda days: (STATA_START + dt.timedelta(days=days)).date().isoformat()
    return None


if __name__ == "__main__":
    aside.answer(_answer)
