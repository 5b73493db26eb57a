"""Readers in a loop while `current` goes from release to release: no error, no mixture, and always the newest."""

import itertools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Place
from small import FEW, MESSAGES, PANEL, Small

from pipelines import history

SWAPS, NIGHTS = (1_000, 100) if os.environ.get("MEETLAT_TEST_FULL") else (100, 10)
READER = """
import json, os, sys, time
from pathlib import Path
import duckdb

current, stop, view, keeps = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4] == "keeps"
held, seen, opened = [], set(), 0
os.nice(10)  # who makes releases comes first
while not stop.exists():
    before = os.lstat(current).st_ctime_ns, os.readlink(current)
    con = duckdb.connect(str(current / "benchmark.duckdb"), read_only=True)
    after = os.lstat(current).st_ctime_ns, os.readlink(current)
    ids = {con.execute("SELECT release_id FROM meta.release").fetchall()[0][0] for _ in range(2)}
    assert len(ids) == 1, f"a mixture of {ids}"
    (id,) = ids
    if before == after:  # nobody swapped meanwhile
        assert id == Path(after[1]).name, f"{id} was read while {after} was served"
    assert con.execute(f"SELECT count(*) FROM {view}").fetchall()[0][0] > 0
    same = "SELECT (SELECT answers FROM meta.release) = (SELECT sum(cells_answer) FROM meta.delivery)"
    assert con.execute(same).fetchall()[0][0], "tables of two releases"
    folder = current.resolve()  # who reads Parquet finds the release once
    parquet = duckdb.execute(f"SELECT release_id FROM '{folder}/parquet/meta.release.parquet'").fetchall()[0][0]
    assert parquet == folder.name
    seen.add(id)
    opened += 1
    stop.with_name(f"seen-{id}-{os.getpid()}").touch()
    if keeps:
        held.append((con, id))
        for old, which in held:  # what was opened stays as it was
            assert old.execute("SELECT release_id FROM meta.release").fetchall() == [(which,)]
        if len(held) > 5:
            held.pop(0)[0].close()
    else:
        con.close()
print(json.dumps({"seen": sorted(seen), "opened": opened}))
"""


@contextmanager
def four_readers(place: Place, view: str, stop: Path) -> Iterator[list[set[str]]]:
    """Two that keep connections open and two that do not; afterwards the releases that each has seen."""
    command = [sys.executable, "-c", READER, str(place.current), str(stop), view]
    readers = [
        subprocess.Popen([*command, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for kind in ("keeps", "keeps", "closes", "closes")
    ]
    seen: list[set[str]] = []
    try:
        time.sleep(1)
        yield seen
    finally:
        stop.touch()
        ended = [(*reader.communicate(timeout=60), reader.returncode) for reader in readers]
    for out, err, status in ended:
        assert status == 0, err
        told = json.loads(out.splitlines()[-1])  # under `python -c` the engine tells of slow queries
        assert told["opened"] > 3
        seen.append(set(told["seen"]))


def test_readers_in_a_loop(three_releases: tuple[Place, list[str]], tmp_path: Path) -> None:
    place, ids = three_releases[0].copy(tmp_path / "place"), three_releases[1]
    deadline = time.monotonic() + 120  # on a machine that has much to do
    with four_readers(place, "mart.v_channel_rating", tmp_path / "stop") as seen:
        for number in itertools.count():
            history.swap(place.current, place.warehouse / "releases" / ids[number % len(ids)])
            time.sleep(0.03)
            everything = len(list(tmp_path.glob("seen-*"))) == 4 * len(set(ids))
            if (number >= SWAPS and everything) or time.monotonic() > deadline:
                break
    assert number >= SWAPS and seen == [set(ids)] * 4


@pytest.mark.long
def test_readers_while_many_releases_are_made(tmp_path: Path) -> None:
    """Every night a delivery arrives, and the oldest release goes while others may still have it open."""
    by = random.Random(100)
    small = Small(tmp_path / "small", FEW)
    for source in (MESSAGES, PANEL):
        small.deliver(source, "1000", small.rows(150, ["2011-01", "2011-02"], by))
    small.refresh()
    ids = [small.place.release_id()]
    with four_readers(small.place, "mart.v_social_sentiment", tmp_path / "stop") as seen:
        for night in range(NIGHTS):
            small.deliver(MESSAGES, f"{1001 + night}", small.rows(5, ["2011-03"], by))
            small.refresh()
            ids.append(small.place.release_id())
        time.sleep(1)
    assert len(set(ids)) == NIGHTS + 1
    assert set.union(*seen) == set(ids)


def test_of_two_refreshes_at_once_one_works_and_one_says_who_is_working(published: Place) -> None:
    contract = published.raw / "klantcontact_social" / "contract.yml"
    contract.write_text(contract.read_text().replace("title:", "title: Twice "))
    command = [sys.executable, "-m", "pipelines.cli", "refresh"]
    root = Path(__file__).parents[1]
    both = [
        subprocess.Popen(command, env=published.environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    ended = [(*each.communicate(timeout=300), each.returncode, each.pid) for each in both]
    (worked,) = [e for e in ended if e[2] == 0]
    (refused,) = [e for e in ended if e[2] == 1]
    assert f"process {worked[3]}".encode() in refused[1] and b"since" in refused[1]


def test_current_moves_with_the_warehouse(published: Place, tmp_path: Path) -> None:
    """A container mounts the warehouse somewhere else."""
    elsewhere = published.warehouse.rename(tmp_path / "mounted")
    assert not (elsewhere / "current").readlink().is_absolute()
    assert (elsewhere / "current" / "benchmark.duckdb").is_file()
