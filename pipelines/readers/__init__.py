"""From the bytes of a delivery to a table of text, one module per family of formats.

A reader decodes as the contract declares, never guesses, and types nothing: every column reaches
`staging.py` as VARCHAR, in file order. What the columns mean is not its business.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import duckdb

from pipelines.contracts import Contract
from pipelines.formats import Delimited, Parquet, Qualtrics, Sheet, Spss, Stata
from pipelines.readers.text import Pieces, Text


@contextmanager
def open_text(con: duckdb.DuckDBPyConnection, path: Path, contract: Contract) -> Iterator[Text]:
    """Open one delivery for one reading. Raises DeliveryRefused with a sentence if it is not as declared."""
    form = contract.format
    if isinstance(form, Delimited | Qualtrics):
        from pipelines.readers import delimited

        with delimited.open_text(con, path, form.delimited if isinstance(form, Qualtrics) else form) as text:
            yield text
    elif isinstance(form, Sheet):
        from pipelines.readers import sheet

        with sheet.open_text(path, form, contract.decimal) as text:
            yield text
    elif isinstance(form, Spss | Stata):
        from pipelines.readers import statistical

        with statistical.open_text(path, form, contract.decimal) as text:
            yield text
    elif isinstance(form, Parquet):
        from pipelines.readers import columnar

        with columnar.open_text(con, path, form, contract.decimal) as text:
            yield text
    else:
        from pipelines.readers import jsonlines

        with jsonlines.open_text(path, form, contract) as text:
            yield text


@contextmanager
def open_pieces(con: duckdb.DuckDBPyConnection, path: Path, contract: Contract) -> Iterator[Pieces]:
    """The same in pieces that can be read side by side, if the format allows it; else in one."""
    form = contract.format
    if isinstance(form, Delimited | Qualtrics):
        from pipelines.readers import delimited

        with delimited.open_pieces(path, form.delimited if isinstance(form, Qualtrics) else form) as pieces:
            yield pieces
    else:
        with open_text(con, path, contract) as text:
            yield Pieces(text.columns, iter([lambda _: nullcontext(text)]), text.count)
