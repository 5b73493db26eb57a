"""Readers in a loop while `current` goes from release to release: no error, no mixture, and always the newest."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from conftest import Place

from pipelines import history

SWAPS = 1_000 if os.environ.get("MEETLAT_TEST_FULL") else 100
READER = """
import json, os, sys, time
from pathlib import Path
import duckdb

current, stop, keeps = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "keeps"
held, seen, opened = [], set(), 0
while not stop.exists():
    before = os.lstat(current).st_ctime_ns, os.readlink(current)
    con = duckdb.connect(str(current / "benchmark.duckdb"), read_only=True)
    after = os.lstat(current).st_ctime_ns, os.readlink(current)
    ids = {con.execute("SELECT release_id FROM meta.release").fetchall()[0][0] for _ in range(2)}
    assert len(ids) == 1, f"a mixture of {ids}"
    (id,) = ids
    if before == after:  # nobody swapped meanwhile
        assert id == Path(after[1]).name, f"{id} was read while {after} was served"
    assert con.execute("SELECT count(*) FROM mart.v_channel_rating").fetchall()[0][0] > 0
    folder = current.resolve()  # who reads Parquet finds the release once
    parquet = duckdb.execute(f"SELECT release_id FROM '{folder}/parquet/meta.release.parquet'").fetchall()[0][0]
    assert parquet == folder.name
    seen.add(id)
    opened += 1
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


def test_readers_in_a_loop(three_releases: tuple[Place, list[str]], tmp_path: Path) -> None:
    place, ids = three_releases[0].copy(tmp_path / "place"), three_releases[1]
    stop = tmp_path / "stop"
    command = [sys.executable, "-c", READER, str(place.current), str(stop)]
    readers = [
        subprocess.Popen([*command, kind], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for kind in ("keeps", "keeps", "closes", "closes")
    ]
    time.sleep(1)
    for number in range(SWAPS):
        history.swap(place.current, place.warehouse / "releases" / ids[number % len(ids)])
        time.sleep(0.03)
    stop.touch()
    for reader in readers:
        out, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
        told = json.loads(out)
        assert told["seen"] == sorted(ids) and told["opened"] > 3


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
