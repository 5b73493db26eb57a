"""No invented person of the sample is found in anything that is written or printed."""

import gzip
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import openpyxl
import pytest
from conftest import (
    CUSTOMERS,
    EMPLOYEES,
    MESSAGES,
    QUARTER,
    SOCIAL,
    WORKBOOK,
    Once,
    Place,
    as_csv,
    new_place,
    read_quarter,
    write_quarter,
)

GRAM = 7  # bytes: no personal value is shorter
IN_A_GRADE = "iemand.in.een.cijfer@klant-voorbeeld.invalid"
IN_A_COLUMN = "iemand.in.een.kolom{}@klant-voorbeeld.invalid"
ALIKE = "aaaaaa.aa.aaa.aaaaaa@aaa"  # what may be shown of the first


def secrets(raw: Path) -> set[str]:
    """Everything that tells who somebody is: personal values, and ids as they stand in the exports."""
    found = set((raw / ".ledger" / "personal.txt").read_text(encoding="utf-8").splitlines())
    for quarter in range(1, 5):
        for row in read_quarter(raw, quarter)[1:]:
            found |= set(row[:2])
    messages = gzip.decompress((raw / SOCIAL / MESSAGES).read_bytes()).decode()
    for line in messages.splitlines():
        found |= {json.loads(line)["id"], json.loads(line)["author"]}
    for form, person, *_ in openpyxl.load_workbook(raw / EMPLOYEES / WORKBOOK)["Medewerkers"].values:
        found |= {str(form), str(person)}
    found |= {IN_A_GRADE, *(IN_A_COLUMN.format(i) for i in range(3))}
    return found - {"", "None", "Formulier", "Medewerker"}


# --- reading everything --------------------------------------------------------------------------


def texts(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file under the folder but the key: its name, its bytes, and what they hold when decoded."""
    seen = set()
    for path in sorted(folder.rglob("*")):
        yield path, path.name.encode()
        if not path.is_file() or path.name == "key" or path.stat().st_ino in seen:
            continue
        seen.add(path.stat().st_ino)
        yield path, path.read_bytes()
        with path.open("rb") as file:
            start = file.read(16)
        if start.startswith(b"PAR1"):
            with duckdb.connect() as con:
                yield path, values(con, f"FROM read_parquet('{path}', hive_partitioning = false)")
                yield path, values(con, f"FROM parquet_kv_metadata('{path}')")
        elif start[8:12] == b"DUCK":
            with duckdb.connect(str(path), read_only=True) as con:
                yield path, values(con, "FROM duckdb_columns()")
                for schema, table in con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
                    yield path, values(con, f'FROM "{schema}"."{table}"')
        elif start.startswith(b"SQLite format 3"):
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as lite:
                lite.text_factory = bytes
                tables = lite.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                for (table,) in tables:
                    rows = lite.execute(f'SELECT * FROM "{table.decode()}"').fetchall()
                    yield path, b"\n".join(v if isinstance(v, bytes) else str(v).encode() for r in rows for v in r)


def values(con: duckdb.DuckDBPyConnection, query: str) -> bytes:
    return "\n".join({str(value) for row in con.execute(query).fetchall() for value in row}).encode()


def found_in(folder: Path, needles: set[str]) -> set[tuple[str, str]]:
    """The needles that stand anywhere under the folder, each with the file."""
    starts: dict[bytes, list[bytes]] = {}
    first = np.zeros(1 << 24, dtype=bool)  # by the first three bytes: most of a file is ruled out at once
    for needle in (n.encode() for n in needles):
        assert len(needle) >= GRAM, needle
        starts.setdefault(needle[:GRAM], []).append(needle)
        first[int.from_bytes(needle[:3], "big")] = True
    found = set()
    for path, text in texts(folder):
        letters = np.frombuffer(text, dtype=np.uint8).astype(np.uint32)
        if len(letters) < GRAM:
            continue
        threes = (letters[:-2] << 16) | (letters[1:-1] << 8) | letters[2:]
        for place in np.flatnonzero(first[threes]).tolist():
            for needle in starts.get(text[place : place + GRAM], ()):
                if text.startswith(needle, place):
                    found.add((needle.decode(), path.name))
    return found


# --- the releases that are searched --------------------------------------------------------------


@pytest.fixture(scope="session")
def told(once: Once, sample: Path) -> Place:
    """Deliveries with addresses where none belong; whatever the commands print is kept beside the outputs."""

    def make(folder: Path) -> None:
        place = new_place(folder, sample)
        heading, *rows = read_quarter(place.raw, 1)
        rows[10][heading.index("Cijfer contact")] = IN_A_GRADE
        write_quarter(place.raw, 1, [heading, *rows])
        extra = [[*row, IN_A_COLUMN.format(i)] for i, row in enumerate(read_quarter(place.raw, 2)[1:4])]
        refused = as_csv([[*heading, "E-mail partner"], *extra])
        place.delivery(CUSTOMERS, "klantcontact_klanten_2012-Q1.csv.gz").write_bytes(refused)
        broken = gzip.decompress(as_csv(read_quarter(place.raw, 3)[:50])).replace(b"\n", b'\n"', 20)
        place.delivery(CUSTOMERS, "klantcontact_klanten_2012-Q2.csv.gz").write_bytes(gzip.compress(broken))
        headless = as_csv([row for row in read_quarter(place.raw, 3)[1:] if row[heading.index("Naam")]])
        place.delivery(CUSTOMERS, "klantcontact_klanten_2012-Q3.csv.gz").write_bytes(headless)
        bad = b'{"id": "' + IN_A_COLUMN.format(1).encode()
        place.delivery(SOCIAL, "klantcontact_berichten_2012.jsonl.gz").write_bytes(gzip.compress(bad))
        printed = folder / "state" / "printed.txt"
        for args in (
            ("refresh",), ("refresh",), ("refresh", "--explain"), ("status",), ("quarantine",),
            ("show", "core.fct_answer"), ("query", "FROM core.fct_answer", "--csv"),
            ("query", "FROM meta.quarantine", "--csv"), ("accept", CUSTOMERS), ("refresh",),
        ):  # fmt: skip
            if args[0] == "accept":  # the refresh behind it comes to a candidate that the gate keeps
                place.delivery(CUSTOMERS, QUARTER.format(4)).rename(folder / "Q4")
            ran = place.run(*args)
            with printed.open("a", encoding="utf-8") as file:
                file.write(ran.stdout + ran.stderr)

    return Place(once("told", make))


def test_nobody_is_found(told: Place, built: Place) -> None:
    assert (told.current / "restricted" / "warehouse.duckdb").is_file()
    assert list((told.warehouse / "candidates").glob("*/restricted/warehouse.duckdb"))
    needles = secrets(built.raw)
    assert len(needles) > 5000
    assert found_in(told.warehouse, needles) == set()
    assert found_in(told.state, needles) == set()


def test_an_address_in_a_grade_is_shown_as_its_shape_only(told: Place) -> None:
    rows = told.query(
        "SELECT q.reason, q.shown, q.question FROM meta.quarantine AS q JOIN meta.delivery AS d USING (delivery_id) "
        f"WHERE d.file_name = '{QUARTER.format(1)}' AND q.shown LIKE '%@%'"
    )
    assert rows == [("not_a_number", ALIKE, "Cijfer contact")]
    assert ALIKE in (told.state / "printed.txt").read_text(encoding="utf-8")


# --- the search itself ---------------------------------------------------------------------------


def test_planted_values_are_found(tmp_path: Path, built: Place) -> None:
    """One value in a Parquet file, a DuckDB file, a Dagster event file and a log."""
    needles = secrets(built.raw)
    names = sorted(needle for needle in needles if " " in needle and needle.isascii())
    person = names[len(names) // 2]
    parquet = built.current / "parquet" / "core.dim_source.parquet"
    with duckdb.connect() as con:
        planted = f"SELECT *, 'x{person}y' AS planted FROM read_parquet('{parquet}')"
        con.execute(f"COPY ({planted}) TO '{tmp_path / parquet.name}' (FORMAT parquet, COMPRESSION zstd)")
    shutil.copyfile(built.current / "benchmark.duckdb", tmp_path / "planted.duckdb")
    with duckdb.connect(str(tmp_path / "planted.duckdb")) as con:
        con.execute(f"CREATE TABLE core.planted AS SELECT [{{'who': '{person}'}}] AS nested FROM range(3000)")
    events = next(iter((built.state / "dagster" / "history").rglob("runs.db")))
    shutil.copyfile(events, tmp_path / "planted.db")
    with closing(sqlite3.connect(tmp_path / "planted.db")) as lite, lite:
        lite.execute("CREATE TABLE planted (event TEXT)")
        lite.execute("INSERT INTO planted VALUES (?)", [json.dumps({"message": person})])
    (tmp_path / "planted.log").write_text(f"refused: {person}\n")
    files = {parquet.name, "planted.duckdb", "planted.db", "planted.log"}
    assert found_in(tmp_path, needles) == {(person, file) for file in files}
