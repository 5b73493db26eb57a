"""What a release keeps of its changes: `meta.change`, `meta.change_count` and the changelog.

They say what is otherwise than in the release that was served when this one was made. So they depend on history, like
`publication.json`, and are the only tables that the same inputs do not give byte for byte.
"""

from pathlib import Path

from pipelines import engine, history
from pipelines.changes import compare
from pipelines.changes.cells import PUBLIC
from pipelines.changes.reach import CAUSES
from pipelines.engine import quoted
from pipelines.models import Column
from pipelines.settings import Settings

LISTED = 200_000  # cells that meta.change holds at most: 3 MB of Parquet, 8 MB in each DuckDB file

CHANGE = [
    Column("output", "VARCHAR", "house (parquet/, benchmark.duckdb) or public."),
    Column("table_name", "VARCHAR", "Schema and name of the table."),
    Column("row_key", "VARCHAR", "The row: the values of the table's grain with / in between; * is the whole table."),
    Column("column_name", "VARCHAR", "The column; * is the whole row, which came or went."),
    Column("kind", "VARCHAR", "changed, added or removed."),
    Column("old", "VARCHAR", "What stood in the release before. NULL for whole rows and after an erasure."),
    Column("new", "VARCHAR", "What stands in this release. NULL for whole rows."),
    Column("difference", "DOUBLE", "new less old, of numbers. NULL after an erasure."),
    Column("causes", "VARCHAR", f"Why: {', '.join(CAUSES[:-1])}. Several cannot be told apart."),
    Column("origins", "VARCHAR", "Where the causes lie: sources, lists, models."),
    Column("compared_with", "VARCHAR", "The release before: that which was served when this one was made."),
]  # fmt: skip
COUNT = [
    Column("output", "VARCHAR", "house or public."),
    Column("table_name", "VARCHAR", "Schema and name of the table."),
    Column("causes", "VARCHAR", "Why, as in meta.change."),
    Column("origins", "VARCHAR", "Where the causes lie."),
    Column("cells", "BIGINT", "Changed cells; a row that came or went counts once."),
    Column("rows_added", "BIGINT", "Rows among them that came."),
    Column("rows_removed", "BIGINT", "Rows among them that went."),
    Column("listed", "BIGINT", f"How many of the cells stand in meta.change, which holds {LISTED:,} at most."),
    Column("compared_with", "VARCHAR", "The release before."),
]  # fmt: skip
TABLES = {
    "meta.change": (
        "What is otherwise than in the release that was served when this one was made, cell by cell, and why.",
        "output, table_name, row_key, column_name",
        CHANGE,
    ),
    "meta.change_count": (
        "The changes of meta.change by table and cause: all of them, also where meta.change does not list every one.",
        "output, table_name, causes, origins",
        COUNT,
    ),
}


def keep(settings: Settings, folder: Path) -> None:
    """Write both tables of a release that is being made. Its manifest stands there already."""
    after = compare.release(folder, settings.warehouse)
    before = compare.release(history.latest(settings).resolve(), settings.warehouse)
    assert after is not None
    with engine.connect(settings, settings.warehouse / "parts" / ".aside") as con:
        if before is not None and before.id != after.id:
            compare.compare(con, before, after)
        else:
            columns = ", ".join(f"{c.name} {c.type}" for c in CHANGE if c.name != "compared_with")
            con.execute(f"CREATE TABLE change ({columns})")
        with_id = f"{quoted(before.id if before else '')} AS compared_with"
        con.execute(
            "CREATE TABLE numbered AS "
            f"SELECT *, row_number() OVER (ORDER BY {compare.FIRST}) <= {LISTED} AS is_listed FROM change"
        )
        erased = "list_contains(string_split(causes, ', '), 'erasure')"
        engine.write_parquet(
            con,
            f"SELECT * EXCLUDE (is_listed) REPLACE (CASE WHEN NOT {erased} THEN old END AS old, "
            f"CASE WHEN NOT {erased} THEN difference END AS difference), {with_id} FROM numbered WHERE is_listed "
            "ORDER BY output, table_name, row_key, column_name",
            folder / "parquet" / "meta.change.parquet",
        )
        engine.write_parquet(
            con,
            "SELECT output, table_name, causes, origins, count(*) AS cells, "
            "count(*) FILTER (kind = 'added') AS rows_added, count(*) FILTER (kind = 'removed') AS rows_removed, "
            f"count(*) FILTER (is_listed) AS listed, {with_id} FROM numbered GROUP BY ALL "
            "ORDER BY output, table_name, causes, origins",
            folder / "parquet" / "meta.change_count.parquet",
        )


def changelog(folder: Path, output: str | None = None) -> list[str]:
    """The changes of a release by table and cause, as lines of Markdown; of one output if it is given."""
    import duckdb

    file = str(folder / "parquet" / "meta.change_count.parquet")
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT output, table_name, causes, sum(cells)::BIGINT, sum(rows_added)::BIGINT, "
            "sum(rows_removed)::BIGINT, max(compared_with) FROM read_parquet($1) "
            "WHERE $2 IS NULL OR output = $2 GROUP BY ALL ORDER BY ALL",
            [file, output],
        ).fetchall()
    if not rows:
        return ["No published cell differs from the release before."]
    lines = [f"Compared with release {rows[0][6]}. A row that came or went counts as one cell.", ""]
    first = "" if output == PUBLIC else "| output "
    lines += [
        f"{first}| table | cause | cells | rows added | rows removed |",
        f"{first and '|---'}|---|---|--:|--:|--:|",
    ]
    for place, table, causes, *numbers, _ in rows:
        named = f"| {place} " if first else ""
        lines.append(f"{named}| {table} | {causes} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    return lines
