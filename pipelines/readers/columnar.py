"""Parquet: the engine reads it by itself, and every column becomes text."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj

import duckdb
import pyarrow as pa
from pyarrow import parquet

from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused, listed
from pipelines.formats import Parquet
from pipelines.readers import headings
from pipelines.readers.archive import FREE, RATIO, is_packed, open_bytes
from pipelines.readers.text import Text, said_plainly

NESTED = ("STRUCT", "MAP", "UNION", "VARIANT", "JSON", "GEOMETRY", "BLOB")


@contextmanager
def open_text(con: duckdb.DuckDBPyConnection, path: Path, form: Parquet, decimal: str) -> Iterator[Text]:
    with said_plainly(path), _file(path, form) as file:
        try:
            rows = parquet.read_metadata(file).num_rows
            relation = f"read_parquet({quoted(file)}, binary_as_string = true, hive_partitioning = false)"
            described = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        except (pa.ArrowException, OSError, UnicodeError, duckdb.Error):
            raise DeliveryRefused(f"{path.name} is not a whole Parquet file; have it exported again.") from None
        if rows > max(FREE, RATIO * path.stat().st_size):
            raise DeliveryRefused(f"{path.name} claims {rows:,} rows, which its size cannot hold.")
        headings.check_width(path.name, len(described))
        names, types = [row[0] for row in described], [row[1] for row in described]
        columns = headings.unique([headings.cleaned(name) for name in names])
        nested = [n for n, t in zip(columns, types, strict=True) if t.startswith(NESTED) or t.endswith("]")]
        if nested:
            raise DeliveryRefused(
                f"{path.name}: the columns {listed(nested)} hold more than one value a cell; export them flat."
            )
        raw = ", ".join(f"r{i}" for i in range(len(names)))
        cells = ", ".join(f"{_cell(f'r{i}', t, decimal)} AS c{i}" for i, t in enumerate(types))
        yield Text(columns, f"(SELECT {cells}, NULL::VARCHAR AS fault FROM {relation} AS t({raw}))", lambda: rows)


@contextmanager
def _file(path: Path, form: Parquet) -> Iterator[str]:
    """The name under which the engine finds the file; what is packed is unpacked in memory."""
    if not is_packed(path):
        yield str(path)
        return
    if not hasattr(os, "memfd_create"):
        raise DeliveryRefused(f"{path.name}: unpack it first; packed Parquet can be read on Linux only.")
    with open_bytes(path, form.member, whole=True) as packed, os.fdopen(os.memfd_create("delivery"), "wb") as memory:
        copyfileobj(packed, memory, 1 << 20)
        memory.flush()
        yield f"/proc/self/fd/{memory.fileno()}"


def _cell(column: str, type: str, decimal: str) -> str:
    """SQL for the text of a cell: whole numbers without decimals, others with the contract's decimal mark."""
    text = f"{column}::VARCHAR"
    if type in ("DOUBLE", "FLOAT") or type.startswith("DECIMAL"):
        text = f"regexp_replace({text}, '\\.0+$', '')"
        return f"replace({text}, '.', {quoted(decimal)})"
    if type.startswith("TIMESTAMP") and "ZONE" not in type:
        return f"strftime({column}::TIMESTAMP, '%Y-%m-%d %H:%M:%S')"
    return text
