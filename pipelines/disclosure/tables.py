"""Rows that Python holds, as Parquet."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from pipelines.models import Column
from pipelines.parts import JSON

ARROW = {
    "VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(), "DATE": pa.date32(),
}  # fmt: skip


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([(c.name, ARROW[c.type]) for c in columns])


def of(rows: Iterable[Mapping[str, JSON]], columns: Sequence[Column]) -> pa.Table:
    """Rows as a table, in the order given."""
    return pa.Table.from_pylist(list(rows), schema=schema_of(columns))


def write(table: pa.Table, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    pyarrow.parquet.write_table(table, file, compression="zstd", version="1.0")
