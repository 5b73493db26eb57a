"""Which published cells differ between two releases, found by the engine on their Parquet files.

A cell is one column of one row of a table; a row is known by its grain. A row that came or went is one entry, with the
column `*`. What stands in `meta` describes a release and is not compared, nor is the name of a release in a table.
"""

import filecmp
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines.disclosure.cells import Key
from pipelines.engine import quoted
from pipelines.parts import JSON

HOUSE, PUBLIC = "house", "public"
KEYS = Key._fields
SIDES = tuple(f"compare_to_{k}" for k in ("period_code", "sector_code", "channel_code"))
NAMES_A_RELEASE = ("as_of_release",)
WHOLE = "*"  # in the place of a column or a key: all of it


@dataclass(frozen=True)
class Release:
    """One of the two: its folder, what it says about itself, and where the parts are that it was made of."""

    folder: Path
    manifest: dict[str, JSON]
    parts: Path

    @property
    def id(self) -> str:
        return str(self.manifest["release_id"])

    def part(self, model: str) -> Path | None:
        """The file of a table before anything was hidden in it; None if it is not kept."""
        hashes = self.manifest["parts"].get(model, [])
        file = self.parts / model / hashes[0] / "data.parquet" if len(hashes) == 1 else None
        return file if file is not None and file.is_file() else None

    def tables(self, output: str) -> dict[str, Path]:
        """The published tables that are compared, with their files."""
        folder = self.folder / ("public/parquet" if output == PUBLIC else "parquet")
        files = sorted(folder.glob("*.parquet"))
        named = {f.stem if output == HOUSE else _public_name(f.stem): f for f in files}
        return {name: file for name, file in named.items() if not name.startswith("meta.")}

    def grain(self, output: str, table: str) -> list[str]:
        if output == PUBLIC and table.startswith("mart.") and table != "mart.published_comparison":
            return [*KEYS, "compare_to_period_code"] if table == "mart.trend" else list(KEYS)
        return list(self.manifest["models"].get(table, {}).get("grain", []))


def _public_name(stem: str) -> str:
    return f"core.{stem}" if stem.startswith("dim_") else f"mart.{stem}"


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """The tables that `find` fills: rows with what they are about, and their cells."""
    about = ", ".join(f"{k} VARCHAR" for k in (*KEYS, *SIDES))
    con.execute("CREATE SEQUENCE row_ids")
    con.execute(
        f"CREATE TABLE differs (id BIGINT, output VARCHAR, table_name VARCHAR, row_key VARCHAR, kind VARCHAR, {about}, "
        "keys MAP(VARCHAR, VARCHAR), pair INTEGER DEFAULT 0, stands_on_same BOOLEAN DEFAULT false)"
    )
    con.execute("CREATE TABLE cell (id BIGINT, column_name VARCHAR, old VARCHAR, new VARCHAR, difference DOUBLE)")


def find(con: duckdb.DuckDBPyConnection, before: Release, after: Release, output: str, only: str | None = None) -> None:
    """Add every row and cell of one output that differs."""
    old, new = before.tables(output), after.tables(output)
    for table in sorted({*old, *new}):
        if only is not None and table != only:
            continue
        a, b = old.get(table), new.get(table)
        if a is not None and b is not None and same(a, b):
            continue
        grain = after.grain(output, table) or before.grain(output, table)
        columns = [_columns(con, f) for f in (a, b) if f is not None]
        if len(columns) < 2 or not all(set(grain) <= set(each) for each in columns):
            _whole(con, output, table, "added" if a is None else "removed" if b is None else "changed", WHOLE)
            continue
        assert a is not None and b is not None
        _rows(con, output, table, grain, a, b, columns[0], columns[1])


def same(a: Path, b: Path) -> bool:
    """Whether two files hold the same bytes; hard links of one file are not read."""
    return a.samefile(b) or filecmp.cmp(a, b, shallow=False)


def _columns(con: duckdb.DuckDBPyConnection, file: Path) -> dict[str, str]:
    return {n: t for n, t, *_ in con.execute(f"DESCRIBE FROM read_parquet({quoted(str(file))})").fetchall()}


def _whole(con: duckdb.DuckDBPyConnection, output: str, table: str, kind: str, column: str) -> None:
    """A table or a column that only one of the two releases has."""
    con.execute(
        "INSERT INTO differs (id, output, table_name, row_key, kind, keys) VALUES (nextval('row_ids'), $1, $2, $3, $4, "
        "map([]::VARCHAR[], []::VARCHAR[]))",
        [output, table, WHOLE, kind],
    )
    con.execute("INSERT INTO cell SELECT max(id), $1, NULL, NULL, NULL FROM differs", [column])


def row_key(grain: Sequence[str]) -> str:
    """The key of a row in SQL: the values of its grain."""
    return "concat_ws('/', " + ", ".join(f"coalesce({g}::VARCHAR, '')" for g in grain) + ")"


def _rows(
    con: duckdb.DuckDBPyConnection,
    output: str,
    table: str,
    grain: Sequence[str],
    a: Path,
    b: Path,
    old: dict[str, str],
    new: dict[str, str],
) -> None:
    for column in sorted(old.keys() ^ new.keys()):
        _whole(con, output, table, "added" if column in new else "removed", column)
    common = [c for c in new if c in old]
    values = [c for c in common if c not in grain and c not in NAMES_A_RELEASE]
    joined = " AND ".join(f"a.{g} IS NOT DISTINCT FROM b.{g}" for g in grain)
    differ = " OR ".join(f"a.{c} IS DISTINCT FROM b.{c}" for c in values) or "false"
    picked = ", ".join(common)
    con.execute(
        "CREATE OR REPLACE TEMP TABLE pair AS SELECT nextval('row_ids') AS id, a, b, "
        "CASE WHEN a.is_there IS NULL THEN 'added' WHEN b.is_there IS NULL THEN 'removed' ELSE 'changed' END AS kind "
        f"FROM (SELECT {picked}, true AS is_there FROM read_parquet({quoted(str(a))})) AS a "
        f"FULL JOIN (SELECT {picked}, true AS is_there FROM read_parquet({quoted(str(b))})) AS b ON {joined} "
        f"WHERE a.is_there IS NULL OR b.is_there IS NULL OR {differ}"
    )

    def either(column: str) -> str:
        return f"coalesce(b.{column}, a.{column})::VARCHAR" if column in common else "NULL"

    names = ", ".join(quoted(g) for g in grain)
    texts = ", ".join(either(g) for g in grain)
    key = row_key([either(g) for g in grain])
    about = ", ".join(f"{either(k)} AS {k}" for k in (*KEYS, *SIDES))
    con.execute(
        f"INSERT INTO differs SELECT id, {quoted(output)}, {quoted(table)}, {key}, kind, {about}, "
        f"map([{names}], [{texts}]), 0, false FROM pair"
    )
    con.execute("INSERT INTO cell SELECT id, $1, NULL, NULL, NULL FROM pair WHERE kind <> 'changed'", [WHOLE])
    if values:
        listed = ", ".join(_struct(c, old[c], new[c]) for c in values)
        con.execute(
            "INSERT INTO cell SELECT id, c.column_name, c.old, c.new, c.difference FROM ("
            f"SELECT id, unnest([{listed}]) AS c FROM pair WHERE kind = 'changed') WHERE c.old IS DISTINCT FROM c.new"
        )
    con.execute("DROP TABLE pair")


NUMBERS = ("DOUBLE", "BIGINT", "INTEGER")


def _struct(column: str, old: str, new: str) -> str:
    difference = f"b.{column}::DOUBLE - a.{column}::DOUBLE" if {old, new} <= set(NUMBERS) else "NULL::DOUBLE"
    return (
        f"{{'column_name': {quoted(column)}, 'old': a.{column}::VARCHAR, 'new': b.{column}::VARCHAR, "
        f"'difference': {difference}}}"
    )
