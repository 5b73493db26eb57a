"""A table must be what its header says, and what the engine is taught adds up the same in any order."""

import dataclasses
import math
import random
import threading
from pathlib import Path

import duckdb
import pytest

from pipelines import engine, estimates, models, settings
from pipelines.errors import MeetlatError
from pipelines.models import CheckFailed, Model

HEADER = """-- Numbers.
--
-- @grain  k
-- @column k INTEGER | Key.
-- @column v DOUBLE  | Value.
-- @check  positive: v > 0 | values lie above 0
"""


def made(folder: Path, query: str) -> list[models.JSON]:
    """The outcome of every check of a table with that header."""
    (folder / "mart").mkdir()
    (folder / "mart" / "numbers.sql").write_text(HEADER + "\n" + query)
    model: Model = models.load(folder)["mart.numbers"]
    (folder / "made").mkdir()
    checks: list[models.JSON] = models.run(settings.load(), model, {}, folder / "made")["checks"]
    return checks


def test_a_table_that_keeps_its_contract(tmp_path: Path) -> None:
    checks = made(tmp_path, "SELECT unnest([2, 1, NULL]) AS k, 1.5 AS v")
    assert [(c["name"], c["passed"]) for c in checks] == [("grain", True), ("positive", True)]
    rows = duckdb.sql(f"SELECT * FROM '{tmp_path}/made/data.parquet'").fetchall()
    assert rows == [(1, 1.5), (2, 1.5), (None, 1.5)]


@pytest.mark.parametrize("keys, twice", [("[1, 2, 2]", 1), ("[1, 1, 2, 2, 3]", 2), ("[NULL, NULL]", 1)])
def test_keys_that_stand_more_than_once_are_counted(tmp_path: Path, keys: str, twice: int) -> None:
    with pytest.raises(CheckFailed, match=f"{twice} keys stand more than once"):
        made(tmp_path, f"SELECT unnest({keys}) AS k, 1 AS v")


def test_a_check_counts_its_rows(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="values lie above 0; 2 rows are not so"):
        made(tmp_path, "SELECT unnest([1, 2, 3]) AS k, unnest([1, -1, NULL]) AS v")


@pytest.mark.parametrize(
    "query, sentence",
    [
        ("SELECT 1 AS k, 1 AS v, 2 AS w", r"gives \['w'\] undeclared and lacks \[\]"),
        ("SELECT 1 AS k", r"gives \[\] undeclared and lacks \['v'\]"),
        ("SELECT 1 AS k, 2 AS w", r"gives \['w'\] undeclared and lacks \['v'\]"),
        ("SELECT 1 AS k, nobody AS v", "nobody"),
    ],
)
def test_a_header_that_disagrees_with_its_query(tmp_path: Path, query: str, sentence: str) -> None:
    with pytest.raises(MeetlatError, match=sentence):
        made(tmp_path, query)


@pytest.mark.parametrize("size", [1.0, 1e-9, 1e12])
def test_fractions_add_up_the_same_in_any_order(size: float) -> None:
    """To the last bit, and as near to the true sum as a double can be, though their sizes differ by 10^8."""
    random.seed(20110930)
    xs = [size * random.uniform(-1, 1) * 10 ** random.uniform(-8, 0) for _ in range(20_000)]
    sums = set()
    for threads in (1, 4):
        random.shuffle(xs)
        with duckdb.connect() as con:
            con.execute(f"SET threads = {threads}")
            estimates.register(con, "exact_sum")
            con.execute("CREATE TABLE t AS SELECT unnest($1::DOUBLE[]) AS x", [xs])
            sums |= {con.execute(f"SELECT exact_sum(x, {1000 * size}::DOUBLE) FROM t").fetchall()[0][0]}
    (sum,) = sums
    assert sum == pytest.approx(math.fsum(xs), rel=1e-14)


@pytest.mark.parametrize("cores", [1, 2])
def test_what_most_work_waits_for_is_made_first(cores: int) -> None:
    upstreams = {"late": ["middle"], "alone": [], "first": [], "middle": ["first"]}
    work = {"late": 10, "alone": 11, "first": 1, "middle": 2}
    given = dataclasses.replace(settings.load(), threads=cores)
    begun: list[str] = []
    engine.as_ready(given, upstreams, work, begun.append, threading.Event())
    assert begun.index("first") < begun.index("middle") < begun.index("late")
    assert begun[0] == "first" and (cores > 1 or begun == ["first", "middle", "alone", "late"])
