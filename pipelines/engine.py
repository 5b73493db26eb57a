"""One way to open the engine: bounded, offline, in memory, spilling only beside the part being made."""

from pathlib import Path

import duckdb

from pipelines.settings import Settings


def connect(settings: Settings, spill: Path) -> duckdb.DuckDBPyConnection:
    """An empty in-memory database. `spill` is a folder that goes when the part is done."""
    con = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(spill / ".spill"),
        }
    )
    if settings.threads:
        con.execute(f"SET threads = {settings.threads}")
    if settings.memory:
        con.execute("SET memory_limit = $1", [settings.memory])
    con.execute("SET TimeZone = 'UTC'")
    # DuckDB 2.0.0 pushes TRY_CAST into the CSV reader as a hard cast and loses rows (upstream 23818).
    con.execute("SET disabled_optimizers = 'type_pushdown'")
    return con


def quoted(text: str) -> str:
    """A string literal in SQL."""
    return "'" + text.replace("'", "''") + "'"


def write_parquet(con: duckdb.DuckDBPyConnection, query: str, file: Path) -> int:
    """Write a query with a total order to Parquet; gives the number of rows."""
    (rows,) = con.execute(
        f"COPY ({query}) TO {quoted(str(file))} (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v1)"
    ).fetchall()
    return int(rows[0])
