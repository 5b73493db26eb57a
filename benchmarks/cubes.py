"""Cubes that nobody answered, and what the models make of them.

The models after the cube read a few tables only. Those that are given stand as Parquet files in a
folder; all others that a model reads are there too, without rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import models, plan, settings
from pipelines.engine import quoted
from pipelines.models import Model

Rows = Sequence[Mapping[str, object]]
AFTER = ("estimate", "mart")  # the layers that are made of the cube alone


def after_the_cube(every: Mapping[str, Model]) -> list[Model]:
    """The models that are made of the cube, in the order in which they are made."""
    return [model for model in every.values() if model.layer in AFTER or model.name == "meta.weighting"]


def write(folder: Path, given: Mapping[str, pa.Table | Rows]) -> dict[str, list[Path]]:
    """Every table that the models after the cube read and do not make: given, or empty."""
    every = models.load(settings.load().sql)
    after = after_the_cube(every)
    read = {upstream for model in after for upstream in model.upstreams} - {model.name for model in after}
    files = {}
    for name in sorted(read | set(given)):
        files[name] = [folder / f"{name}.parquet"]
        rows = given.get(name, [])
        if isinstance(rows, pa.Table):
            pq.write_table(rows, files[name][0])
        else:
            columns = (
                ", ".join(f"{c.name} {c.type}" for c in every[name].columns)
                if name in every
                else plan.bare_tables()[name]
            )
            _write_rows(files[name][0], columns, rows)
    return files


def _write_rows(file: Path, columns: str, rows: Rows) -> None:
    """Columns that a row does not name stay empty."""
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE filled ({columns})")
        for row in rows:
            con.execute(f"INSERT INTO filled ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
        con.execute(f"COPY filled TO {quoted(str(file))} (FORMAT parquet)")


def make(folder: Path, name: str, files: dict[str, list[Path]]) -> Path:
    """Make a table and those on the way to it; `files` gets each of them."""
    every = models.load(settings.load().sql)

    def visit(name: str) -> None:
        if name not in files:
            for upstream in every[name].upstreams:
                visit(upstream)
            (folder / name).mkdir()
            models.run(settings.load(), every[name], {u: files[u] for u in every[name].upstreams}, folder / name)
            files[name] = [folder / name / "data.parquet"]

    visit(name)
    return files[name][0]
