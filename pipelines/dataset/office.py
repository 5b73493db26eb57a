"""The tables for those without any tool: CSV of every mart and dimension, and one workbook."""

import datetime as dt
from collections.abc import Iterable, Sequence

import duckdb
import xlsxwriter

from pipelines.dataset.carried import Dataset, Table
from pipelines.engine import quoted
from pipelines.parts import JSON

IN_EXCEL = ("mart.measure_score", "mart.trend", "mart.published_comparison")  # figures with intervals; the rest has CSV
# The house has months and rolling years too: three times the rows, which take longer to write than all CSV together.
NOT_IN_EXCEL = ("month", "r12")
ROWS = 1_048_576  # of a sheet, its header included


def write_csv(dataset: Dataset) -> None:
    """`csv/`: UTF-8 without a mark, commas, decimal points, ISO dates, nothing for NULL. Excel has the workbook."""
    (dataset.folder / "csv").mkdir(mode=0o750)
    with duckdb.connect() as con:
        con.execute("SET threads = 1")  # rows in file order, beside others that work
        for table in dataset.tables.values():
            if table.for_people:
                made, to = quoted(str(table.parquet)), quoted(str(dataset.csv_of(table)))
                con.execute(f"COPY (FROM read_parquet({made})) TO {to} (FORMAT csv, HEADER)")


def write_workbook(dataset: Dataset) -> None:
    """`benchmark.xlsx`: what it is, the codebook, the codes, and the long tables; headers that stay, and filters."""
    options = {"constant_memory": True, "strings_to_urls": False, "strings_to_formulas": False}
    with xlsxwriter.Workbook(str(dataset.workbook), options) as book:
        book.set_properties({"title": dataset.title[0], "created": dt.datetime(2000, 1, 1)})  # no clock in the data
        sheets = _Sheets(book)
        sheets.write("about", ("what", "is"), _about(dataset), (18, 110))
        tables = [dataset.tables[name] for name in IN_EXCEL]
        meanings = [(t.short, c.name, c.type, c.text) for t in tables for c in t.columns]
        sheets.write("codebook", ("table", "column", "type", "meaning"), meanings, (22, 30, 10, 110))
        codes = [(name.split("_", 1)[1], c.code, c.en, c.nl) for name, each in dataset.codes.items() for c in each]
        sheets.write("codes", ("dimension", "code", "English", "Nederlands"), codes, (14, 34, 50, 50))
        for table in tables:
            rows = _rows(table)
            if len(rows) < ROWS:
                sheets.write(table.short, [c.name for c in table.columns], rows)
            else:
                sentence = (
                    f"{len(rows):,} rows are too many for a sheet: {dataset.relative(dataset.csv_of(table))} has them."
                )
                sheets.write(table.short, ("note",), [(sentence,)], (100,))


def _about(dataset: Dataset) -> list[tuple[str, str]]:
    licence = dataset.licence
    rows = [
        ("title", dataset.title[0]),
        ("titel", dataset.title[1]),
        ("description", dataset.description[0]),
        ("beschrijving", dataset.description[1]),
        ("release", dataset.release.id),
        ("version", dataset.release.version),
        ("publisher", dataset.publisher),
        ("licence", licence.title if licence else "none is declared"),
    ]
    if dataset.kind == "house":
        rows.append(("periods", "Months and rolling years are left out of these sheets; csv/ has them."))
    return rows


def _rows(table: Table) -> list[tuple[JSON, ...]]:
    has_periods = "period_type" in {c.name for c in table.columns}
    left_out = ", ".join(quoted(each) for each in NOT_IN_EXCEL)
    condition = f"period_type NOT IN ({left_out})" if has_periods else "true"
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        return con.execute(f"FROM read_parquet($1) WHERE {condition}", [str(table.parquet)]).fetchall()


class _Sheets:
    def __init__(self, book: xlsxwriter.Workbook) -> None:
        self.book = book
        self.bold = book.add_format({"bold": True, "bottom": 1})
        self.day = book.add_format({"num_format": "yyyy-mm-dd"})

    def write(
        self, name: str, header: Sequence[str], rows: Iterable[Sequence[JSON]], widths: Sequence[int] = ()
    ) -> None:
        page = self.book.add_worksheet(name)
        page.freeze_panes(1, 0)
        for column in range(len(header)):
            page.set_column(column, column, widths[column] if widths else 16)
        page.write_row(0, 0, header, self.bold)
        place = 0
        for place, row in enumerate(rows, start=1):
            for column, value in enumerate(row):
                if value is None:
                    continue
                if isinstance(value, str):
                    page.write_string(place, column, value)
                elif isinstance(value, bool):
                    page.write_boolean(place, column, value)
                elif isinstance(value, int | float):
                    page.write_number(place, column, value)
                else:
                    page.write_datetime(place, column, dt.datetime.combine(value, dt.time()), self.day)
        page.autofilter(0, 0, max(place, 1), len(header) - 1)
