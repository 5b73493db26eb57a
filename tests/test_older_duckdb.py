"""What is published opens in the DuckDB that a BI tool brings along, and in the one of today."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Once, Place

OLD = "1.1.3"
ALLOWED = {"BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP"}
FILES = pytest.mark.parametrize("file", ["benchmark.duckdb", "restricted/warehouse.duckdb"])
PHONE = (
    "SELECT round(value,1) FROM mart.channel_rating WHERE monitor_code='klantcontact_monitor' "
    "AND period_code='2011' AND sector_code='all' AND channel_code='phone'"
)
ASK = """
import json, sys, duckdb
with duckdb.connect(sys.argv[1], read_only=True) as con:
    answers = [con.execute(query).fetchall() for query in sys.argv[2:]]
print(json.dumps([duckdb.__version__, *answers], default=str))
"""


@pytest.fixture(scope="session")
def old_engine(once: Once) -> Path:
    """A folder with the old engine in it, beside and not instead of the installed one."""
    if sys.version_info >= (3, 14):
        pytest.skip(f"DuckDB {OLD} has no wheel for this Python")

    def make(folder: Path) -> None:
        install = ["install", "--quiet", "--no-deps", "--only-binary=:all:", "--target", str(folder)]
        subprocess.run([sys.executable, "-m", "pip", *install, f"duckdb=={OLD}"], check=True)

    return once("old_engine", make)


@pytest.fixture(params=["old", "current"])
def engine(request: pytest.FixtureRequest) -> Path | None:
    """Where the engine is imported from: None is the installed one."""
    return request.getfixturevalue("old_engine") if request.param == "old" else None  # type: ignore[no-any-return]


def ask(engine: Path | None, file: Path, *queries: str) -> list[Any]:
    env = os.environ | ({"PYTHONPATH": str(engine)} if engine else {})
    command = [sys.executable, "-c", ASK, str(file), *queries]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    version, *answers = json.loads(ran.stdout)
    assert (version == OLD) == (engine is not None)
    return answers


@FILES
def test_the_file_opens_and_phone_scores_seven_and_a_half(built: Place, engine: Path | None, file: str) -> None:
    (rows,) = ask(engine, built.current / file, PHONE)
    assert rows == [[7.5]]


@FILES
def test_every_table_view_and_column_is_explained(built: Place, engine: Path | None, file: str) -> None:
    tables, views, columns = ask(
        engine,
        built.current / file,
        "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables()",
        "SELECT schema_name || '.' || view_name, comment FROM duckdb_views() WHERE NOT internal",
        "SELECT schema_name || '.' || table_name, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE NOT internal",
    )
    assert len(tables) > 15 and len(views) >= 5
    assert [name for name, comment in tables + views if not comment] == []
    assert {name for name, *_ in columns} == {name for name, _ in tables + views}
    assert [(name, column) for name, column, _, comment in columns if not comment] == []
    assert {kind for *_, kind, _ in columns} <= ALLOWED


@FILES
def test_every_row_can_be_read(built: Place, engine: Path | None, file: str) -> None:
    """A view that an old engine cannot bind, or a column that it cannot unpack, would fail here."""
    names = [row[0] for row in built.query("SELECT table_name FROM meta.table ORDER BY ALL", file)]
    if file == "benchmark.duckdb":
        restricted = built.query("SELECT table_name FROM meta.table WHERE is_restricted", file)
        names = [name for name in names if (name,) not in restricted]
    queries = [f"SELECT count(*), count(COLUMNS(*)) FROM {name}" for name in names]
    counts = ask(engine, built.current / file, *queries)
    empty = {name for name, ((n, *_),) in zip(names, counts, strict=True) if n == 0}
    # this monitor asks no such questions, keeps no texts, lacks nothing suddenly, and has neither segments nor margins
    assert {name.split(".v_")[-1].split(".")[-1] for name in empty} <= {
        "satisfaction",
        "statement_share",
        "fct_text",
        "warning",
        "dim_segment",
        "segment_score",
        "weighting",
        "change",  # nothing was published before
        "change_count",
    }
