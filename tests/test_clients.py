"""Real clients on the files of a release: what a BI developer connects must open them and show the same.

`clients` needs what `tests/clients/install.py python` installs, `clients_full` what `node` and `superset` do, and
Chromium. A client that is chosen and not there is a failure, never a test that was left out.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT, Place

HERE = PROJECT / "tests" / "clients"
CLIENTS = Path(sys.prefix) / "clients"
ENGINES = (HERE / "engines.txt").read_text().split()
DATABASES = ("benchmark.duckdb", "public/benchmark.duckdb", "restricted/warehouse.duckdb")
PHONE = (
    "SELECT round(value,1) FROM mart.channel_rating WHERE monitor_code='klantcontact_monitor' "
    "AND period_code='2011' AND sector_code='all' AND channel_code='phone'"
)


def installed(name: str, kind: str) -> Path:
    """The folder of a client."""
    if not (CLIENTS / f"{name}.made").is_file():
        pytest.fail(
            f"{name} is not there: run `python tests/clients/install.py {kind}` with this environment's Python."
        )
    return CLIENTS / name


def program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name):
            return found
    pytest.fail(f"{' or '.join(names)} is not there; on Debian: apt-get install {names[0]}.")


def told(*command: str | Path, paths: tuple[Path, ...] = (), seconds: int = 300) -> Any:
    """What a client prints as its last line, from a process of its own that finds `paths` first."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    if paths:
        env["PYTHONPATH"] = os.pathsep.join(str(path) for path in paths)
    ran = subprocess.run([str(c) for c in command], env=env, capture_output=True, text=True, timeout=seconds)
    assert ran.returncode == 0, f"{command[:2]}\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"
    return json.loads(ran.stdout.splitlines()[-1])


def parquet(place: Place) -> list[Path]:
    files = sorted([*(place.current / "parquet").iterdir(), *(place.current / "public" / "parquet").iterdir()])
    assert len(files) > 40
    return files


def sizes(file: Path) -> dict[str, int]:
    with duckdb.connect(str(file), read_only=True) as con:
        names = con.execute("SELECT table_schema || '.' || table_name FROM information_schema.tables").fetchall()
        return {name: con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0] for (name,) in names}


def true_frames(files: list[Path]) -> dict[str, list[Any]]:
    """Columns, rows and the sum of `value` of every file, as a client must find them."""
    found = {}
    for file in files:
        table = pq.read_table(file)
        values = table.column("value").to_pylist() if "value" in table.column_names else []
        found[str(file)] = [table.column_names, table.num_rows, sum(v for v in values if v is not None)]
    return found


def assert_frames(found: dict[str, list[Any]], files: list[Path]) -> None:
    true = true_frames(files)
    assert set(found) == set(true)
    for file, (columns, rows, total) in true.items():
        assert found[file][1] == rows, file
        assert found[file][0] == columns or rows == 0, file
        assert found[file][2] == pytest.approx(total, abs=0.01, nan_ok=True), file
    assert sum(rows for _, rows, _ in true.values()) > 10_000


# --- from Python wheels --------------------------------------------------------------------------


@pytest.fixture(scope="session")
def today(every_built: Place) -> Any:
    """What the installed engine finds in the three files."""
    files = [every_built.current / name for name in DATABASES]
    return told(sys.executable, HERE / "read_duckdb.py", *files)


@pytest.mark.clients
@pytest.mark.parametrize("version", ENGINES)
def test_every_engine_reads_every_table(every_built: Place, today: Any, version: str) -> None:
    """Rows, values, types and comments, of all three files, as today's engine finds them."""
    folder = installed(f"duckdb-{version}", "python")
    files = [every_built.current / name for name in DATABASES]
    found = told(sys.executable, HERE / "read_duckdb.py", *files, paths=(folder,))
    assert found["engine"] == version != today["engine"]
    for file in map(str, files):
        assert len(found[file]["tables"]) > 15
        assert all(comment for *_, comment in found[file]["columns"])
        assert found[file] == today[file]


@pytest.mark.clients
def test_sqlalchemy_reflects_with_comments(every_built: Place) -> None:
    paths = (installed("duckdb-1.5.6", "python"), installed("python", "python"))
    found = told(
        sys.executable, HERE / "sqlalchemy_reflects.py", every_built.current / "benchmark.duckdb", PHONE, paths=paths
    )
    with duckdb.connect(str(every_built.current / "benchmark.duckdb"), read_only=True) as con:
        columns = con.execute(
            "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'channel_rating' "
            "ORDER BY column_index"
        ).fetchall()
        (text,) = con.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'channel_rating'").fetchall()[0]
    assert [(name, comment) for name, _, comment in found["columns"]] == columns
    assert found["comment"] == text
    assert {"channel_rating", "nps_by_sector", "trend"} <= set(found["tables"])
    assert "v_channel_rating" in found["views"]
    assert found["phone"] == 7.5 and found["refused"]


@pytest.mark.clients
@pytest.mark.parametrize("version", ["1.5.6", duckdb.__version__])
def test_adbc_reads_to_arrow(every_built: Place, version: str) -> None:
    paths = (installed("python", "python"),)
    if version in ENGINES:
        paths = (installed(f"duckdb-{version}", "python"), *paths)
    file = every_built.current / "benchmark.duckdb"
    found = told(sys.executable, HERE / "adbc_reads.py", file, paths=paths)
    assert found["engine"] == f"v{version}" and found["refused"]
    assert set(found["tables"]) == set(sizes(file))
    assert found["rows"] == sizes(file)["mart.channel_rating"] and "value" in found["columns"]


@pytest.mark.clients
@pytest.mark.parametrize("library", ["pandas", "polars", "datafusion", "fastparquet"])
def test_every_parquet_file_is_read(every_built: Place, library: str) -> None:
    files = parquet(every_built)
    found = told(sys.executable, HERE / "read_parquet.py", library, *files, paths=(installed("python", "python"),))
    assert_frames(found, files)


@pytest.mark.clients
@pytest.mark.parametrize("folder", [".", "public"])
def test_mlcroissant_validates_and_streams(every_built: Place, folder: str) -> None:
    """It would like a date of publication, which is a clock, and a licence, which these exports do not declare."""
    top = every_built.current / folder
    tables = ["mart.complaint_handling", "core.dim_sector"]
    found = told(
        sys.executable,
        HERE / "stream_croissant.py",
        top / "croissant.json",
        *tables,
        paths=(installed("python", "python"),),
    )
    assert found["errors"] == []
    wishes = {w.split('"')[1].rsplit("/")[-1] for w in found["warnings"]}
    assert wishes == {"datePublished", "license"}
    real = sizes(top / "benchmark.duckdb")
    assert found["records"] == {table: real[table] for table in tables}
    assert set(found["sets"]) == {name for name in real if ".v_" not in name}


# --- from npm, Chromium, and Superset ------------------------------------------------------------


@pytest.mark.clients_full
def test_node_reads_the_file_and_hyparquet_the_parquet(every_built: Place) -> None:
    file, files = every_built.current / "benchmark.duckdb", parquet(every_built)
    found = told(program("node", "nodejs"), HERE / "node_reads.mjs", installed("node", "node"), file, *files)
    assert found["engine"].startswith("v1.5.") and found["uncommented"] == 0
    assert found["tables"] == sizes(file)
    assert_frames(found["files"], files)


@pytest.mark.clients_full
@pytest.mark.parametrize("folder", [".", "public"])
def test_a_browser_attaches_the_file_and_shows_the_codebook(every_built: Place, folder: str) -> None:
    """duckdb-wasm from our own machine: nothing is asked of any other."""
    top = every_built.current / folder
    found = told(
        program("node", "nodejs"),
        HERE / "browser_reads.mjs",
        installed("node", "node"),
        program("chromium", "chromium-browser", "google-chrome"),
        top / "benchmark.duckdb",
        top / "codebook.html",
        PHONE,
    )
    assert found["errors"] == [] and found["elsewhere"] == []
    assert found["found"]["tables"] == sizes(top / "benchmark.duckdb")
    assert found["found"]["rows"] == [["7.5"]]
    assert found["shown"]["language"] == "en" and found["shown"]["tables"] > 10 and not found["shown"]["wide"]


@pytest.mark.clients_full
def test_superset_draws_a_chart(every_built: Place, tmp_path: Path) -> None:
    folder, file = installed("superset", "superset"), every_built.current / "benchmark.duckdb"
    found = told(folder / "bin" / "python", HERE / "superset_charts.py", file, tmp_path, seconds=900)
    assert {name for name in sizes(file) if name.startswith("mart.")} == {f"mart.{name}" for name in found["tables"]}
    assert found["tables"]["channel_rating"] == "table" and found["tables"]["v_channel_rating"] == "view"
    with duckdb.connect(str(file), read_only=True) as con:
        comments = dict(
            con.execute(
                "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'channel_rating'"
            ).fetchall()
        )
        grades = dict(
            con.execute(
                "SELECT channel_code, value FROM mart.channel_rating WHERE monitor_code = 'klantcontact_monitor' "
                "AND period_code = '2011' AND sector_code = 'all' AND value IS NOT NULL"
            ).fetchall()
        )
    assert found["comments"] == comments
    assert set(found["dates"]) == {"period_start", "period_end"}
    shown = {channel: grade for channel, grade in found["chart"].items() if grade is not None}
    assert shown == pytest.approx(grades) and round(shown["phone"], 1) == 7.5
