"""The DuckDB files of a release: written from Parquet, or made of those of the release before.

Every file holds its tables whole, without constraints, which old readers refuse, and with a comment on everything.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from pipelines import engine
from pipelines.engine import quoted, uncompressed
from pipelines.models import HEADLINE, Column, Model
from pipelines.parts import JSON, digest
from pipelines.settings import Settings

STORAGE_VERSION = "v1.0.0"  # what DuckDB 1.0 and later open; the default of 2.0 is read by no 1.x
WORTHWHILE = 0.5  # share of the bytes of the tables that may be otherwise for a copy to be cheaper
LOOSE = 0.3  # share of a file that may lie empty before it is written anew

# Sentences are a fifth as large with FSST. Of codes and pseudonyms it saves nothing, and takes a quarter of the time.
SENTENCES = ("core.fct_text",)

# labels that the view of a headline mart adds: prefix, dimension, key
LABELS = (
    ("monitor", "core.dim_monitor", "monitor_code"),
    ("audience", "core.dim_audience", "audience_code"),
    ("sector", "core.dim_sector", "sector_code"),
    ("channel", "core.dim_channel", "channel_code"),
    ("measure", "core.dim_measure", "measure_code"),
)


Record = dict[str, dict[str, JSON]]  # what a file holds: `Table.record` by the name of the table


@dataclass(frozen=True)
class Table:
    """A table of a file: what it says of itself, and the Parquet files that its rows come from.

    `files` by what they hold: source and delivery of a table made per delivery, else "". `made_of`: for each of them a
    hash of what is in it, None if it is to be read again in any case.
    """

    text: str
    columns: list[Column]
    files: Mapping[str, Path]
    made_of: Mapping[str, str | None]

    @property
    def shape(self) -> str:
        return digest([(c.name, c.type) for c in self.columns])

    @property
    def words(self) -> str:
        return digest([self.text, [c.text for c in self.columns]])

    @property
    def record(self) -> dict[str, JSON]:
        """What the next release has to know to go on from the file."""
        return {"shape": self.shape, "words": self.words, "made_of": dict(self.made_of)}


def is_headline(model: Model) -> bool:
    return tuple(model.grain) == HEADLINE and not model.working


def view_of(model: Model) -> tuple[str, str, list[Column]]:
    """Name, description and columns of the view that joins the labels to a headline mart."""
    layer, _, name = model.name.partition(".")
    labels = [
        Column(f"{prefix}_label_{language}", "VARCHAR", f"Label of {key} in {spoken}.")
        for prefix, _, key in LABELS
        for language, spoken in (("en", "English"), ("nl", "Dutch"))
    ]
    orders = [
        Column(f"{prefix}_sort_order", "INTEGER", f"Place of {key} in a list.")
        for prefix, _, key in LABELS
        if prefix in ("audience", "sector", "channel")
    ]
    text = f"{model.text} With labels, years only and without totals, so that rows may be added up."
    return f"{layer}.v_{name}", text, [*model.columns, *labels, *orders]


def _view_query(model: Model) -> str:
    labels = [f"{p}.label_{language} AS {p}_label_{language}" for p, _, _ in LABELS for language in ("en", "nl")]
    orders = [f"{p}.sort_order AS {p}_sort_order" for p in ("audience", "sector", "channel")]
    joins = " ".join(f"JOIN {table} AS {p} ON {p}.{key} = m.{key}" for p, table, key in LABELS)
    return (
        f"SELECT m.*, {', '.join(labels + orders)} FROM {model.name} AS m {joins} "
        "WHERE m.period_type = 'year' AND NOT m.is_total"
    )


def write(settings: Settings, file: Path, tables: Mapping[str, Table], models: list[Model]) -> None:
    """Write a file from nothing; `models`: those of which headline marts get a view with labels."""
    complete(settings, file, tables, models, {})


def begin(settings: Settings, file: Path, tables: Mapping[str, Table], earlier: Path | None) -> Record:
    """Write the tables that are made per delivery; gives what the file holds then, for `complete`.

    Where that is cheaper, the file is a copy of that of an `earlier` release, without the deliveries that went and with
    those that came. Rows of these tables have no order, so several threads write them.
    """
    before: Record = {}
    if earlier is not None:
        old = earlier / "restricted" / file.name
        record = _record(earlier, old)
        if record is not None and _worthwhile(tables, record) and not _is_loose(old):
            shutil.copyfile(old, file)
            before = record
    with _changing(settings, file) as con:
        con.execute(f"SET threads = {engine.workers(settings)}")
        con.execute("SET preserve_insertion_order = false")
        _fill(con, tables, before)
    return {**before, **{name: table.record for name, table in tables.items()}}


def add(settings: Settings, file: Path, tables: Mapping[str, Table], before: Record) -> Record:
    """Bring a file that holds what `before` says to these tables; gives what it holds then, for `complete`."""
    with _changing(settings, file) as con:
        _drop_views(con)
        _fill(con, tables, before)
    return {**before, **{name: table.record for name, table in tables.items()}}


def complete(settings: Settings, file: Path, tables: Mapping[str, Table], models: list[Model], before: Record) -> None:
    """Bring a file that holds what `before` says to all these tables, in one transaction."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with _changing(settings, file) as con:
        _drop_views(con)
        for name in before.keys() - tables.keys():
            con.execute(f"DROP TABLE {name}")
        _fill(con, tables, before)
        for model in models:
            if is_headline(model) and model.name in tables:
                name, text, columns = view_of(model)
                con.execute(f"CREATE VIEW {name} AS {_view_query(model)}")
                _comment(con, "VIEW", name, text, columns)


def _record(release: Path, file: Path) -> Record | None:
    """What the restricted file of an earlier release was made of; None if there is none to go on from."""
    try:
        record: Record | None = json.loads((release / "manifest.json").read_text()).get("tables")
    except FileNotFoundError:
        return None
    return record if file.exists() else None


def _is_loose(file: Path) -> bool:
    """Whether so much of a file lies empty that it is better written anew."""
    with duckdb.connect(str(file), read_only=True) as con:
        ((blocks, free),) = con.execute("SELECT total_blocks, free_blocks FROM pragma_database_size()").fetchall()
    return bool(free > LOOSE * blocks)


def _worthwhile(tables: Mapping[str, Table], before: Record) -> bool:
    every = otherwise = 0
    for name, table in tables.items():
        known = before.get(name, {}).get("made_of", {})
        for key, file in table.files.items():
            size = file.stat().st_size
            every += size
            otherwise += size * (table.made_of[key] is None or known.get(key) != table.made_of[key])
    return otherwise <= WORTHWHILE * every


@contextmanager
def _changing(settings: Settings, file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that works in a file, in one transaction; afterwards the file is whole, without a write-ahead log."""
    with engine.connect(settings, settings.warehouse / "parts" / ".aside") as con:
        con.execute(f"ATTACH {quoted(str(file))} AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
        con.execute("SET threads = 1")  # rows in file order: half the size and half the work of two threads
        if uncompressed():
            con.execute("SET force_compression = 'uncompressed'")
        con.execute("USE published")
        con.execute("BEGIN")
        yield con
        con.execute("COMMIT")
        con.execute("USE memory")
        con.execute("CHECKPOINT published")
        con.execute("DETACH published")


def _drop_views(con: duckdb.DuckDBPyConnection) -> None:
    views = "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal AND database_name = $1"
    for (view,) in con.execute(views, ["published"]).fetchall():
        con.execute(f"DROP VIEW {view}")


def _fill(con: duckdb.DuckDBPyConnection, tables: Mapping[str, Table], before: Record) -> None:
    """Bring tables of a file to what they are to be; `before` says what they are."""
    for name, table in tables.items():
        known = before.get(name, {})
        made_of = dict(known.get("made_of", {}))
        again = "" in table.made_of and (made_of != table.made_of or table.made_of[""] is None)
        if again or known.get("shape") != table.shape:
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}")
            con.execute(f"DROP TABLE IF EXISTS {name}")
            con.execute(f"CREATE TABLE {name} ({', '.join(f'{c.name} {c.type}' for c in table.columns)})")
            known, made_of = {}, {}
        for key in [key for key, hash in made_of.items() if table.made_of.get(key) != hash]:
            con.execute(f"DELETE FROM {name} WHERE source_code = $1 AND delivery_id = $2", key.split("/"))
        came = [quoted(str(f)) for k, f in table.files.items() if k not in made_of or made_of[k] != table.made_of[k]]
        if came:
            con.execute(f"SET disabled_compression_methods = '{'' if name in SENTENCES else 'fsst'}'")
            picked = ", ".join(c.name for c in table.columns)
            con.execute(f"INSERT INTO {name} SELECT {picked} FROM read_parquet([{', '.join(came)}])")
        if known.get("words") != table.words:
            _comment(con, "TABLE", name, table.text, table.columns)
    con.execute("SET disabled_compression_methods = ''")


def _comment(con: duckdb.DuckDBPyConnection, kind: str, name: str, text: str, columns: list[Column]) -> None:
    con.execute(f"COMMENT ON {kind} {name} IS {quoted(text)}")
    for c in columns:
        con.execute(f"COMMENT ON COLUMN {name}.{c.name} IS {quoted(c.text)}")
