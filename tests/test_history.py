"""Which releases are kept, which one is served, and how a person goes back."""

import dataclasses
import json
import random
import shutil
from pathlib import Path

import pytest
from conftest import CUSTOMERS, QUARTER, Place, publish, second_half_arrives
from small import FEW, MESSAGES, Small

from pipelines import history as releases
from pipelines import settings


def named_parts(place: Place) -> set[str]:
    manifests = place.warehouse.glob("releases/*/manifest.json")
    parts = [json.loads(manifest.read_text())["parts"] for manifest in manifests]
    return {f"{name}/{hash}" for each in parts for name, hashes in each.items() for hash in hashes}


def kept_parts(place: Place) -> set[str]:
    return {str(p.relative_to(place.warehouse / "parts")) for p in (place.warehouse / "parts").glob("*/*")}


def test_releases_are_listed_in_order_and_the_served_one_is_marked(three_releases: tuple[Place, list[str]]) -> None:
    place, ids = three_releases
    listed = place.meetlat("releases").stdout
    assert [listed.index(id) for id in ids] == sorted(listed.index(id) for id in ids)
    (served,) = [line for line in listed.splitlines() if "served" in line]
    assert ids[-1] in served


def test_every_part_that_a_release_stands_on_is_kept_and_no_other(three_releases: tuple[Place, list[str]]) -> None:
    place, _ = three_releases
    assert kept_parts(place) == named_parts(place)


def test_a_rollback_stays_until_it_is_lifted(three_releases: tuple[Place, list[str]], tmp_path: Path) -> None:
    place, ids = three_releases[0].copy(tmp_path / "place"), three_releases[1]
    assert ids[1] in place.meetlat("rollback").stdout
    assert place.release_id() == ids[1]
    assert ids[0] in place.meetlat("rollback", ids[0][:6]).stdout
    assert "Nothing new" in place.refresh().stdout  # the newest one stands on these inputs already
    newest = publish(place, "Fourth", MEETLAT_KEEP="1", MEETLAT_KEEP_DAYS="0")
    assert place.release_id() == ids[0] != newest
    assert "pinned" in place.meetlat("status").stdout

    # what need not be kept went, but neither the release that is served nor the one behind the pin
    assert {r.name for r in (place.warehouse / "releases").iterdir()} == {ids[0], newest}
    assert kept_parts(place) == named_parts(place)
    assert newest in place.meetlat("rollback", "--lift").stdout
    assert place.release_id() == newest
    assert place.query("SELECT count(*) > 0 FROM core.fct_answer") == [(True,)]
    assert "Nothing new" in place.refresh().stdout
    refused = place.meetlat("rollback", "--lift")
    assert refused.returncode == 1 and "nothing to lift" in refused.stderr


def test_a_kill_between_pin_and_swap_is_mended(three_releases: tuple[Place, list[str]], tmp_path: Path) -> None:
    place, ids = three_releases[0].copy(tmp_path / "place"), three_releases[1]
    assert place.run("rollback", ids[1], MEETLAT_FAILPOINT="swap-before").returncode < 0
    assert place.release_id() == ids[-1]
    place.refresh()
    assert place.release_id() == ids[1]
    assert not [*place.warehouse.glob(".current-*")]


def test_what_cannot_be_gone_back_to_is_said(three_releases: tuple[Place, list[str]]) -> None:
    place, ids = three_releases
    unknown = place.meetlat("rollback", "feedbeef")
    assert unknown.returncode == 1 and "feedbeef" in unknown.stderr and ids[0] in unknown.stderr
    assert place.meetlat("rollback", ids[0], "--lift").returncode == 1
    assert place.release_id() == ids[-1]


@pytest.mark.parametrize(("keep", "days", "kept"), [(1, 0, 1), (2, 0, 2), (1, 1, 3)])
def test_the_newest_and_the_young_stay(
    three_releases: tuple[Place, list[str]], tmp_path: Path, keep: int, days: int, kept: int
) -> None:
    place, ids = three_releases[0].copy(tmp_path / "place"), three_releases[1]
    here = dataclasses.replace(settings.load(), warehouse=place.warehouse, keep=keep, keep_days=days)
    releases.retire(here)
    assert {r.name for r in (place.warehouse / "releases").iterdir()} == {*ids[-kept:]}
    assert kept_parts(place) == named_parts(place)


@pytest.mark.long
def test_a_return_to_earlier_inputs_serves_the_release_that_is_there(
    half_year: Place, tmp_path: Path, sample: Path
) -> None:
    place = half_year.copy(tmp_path / "place")
    first = place.release_id()
    second_half_arrives(place, sample)
    place.refresh()
    for quarter in (3, 4):
        place.delivery(CUSTOMERS, QUARTER.format(quarter)).unlink()
    place.meetlat("accept", CUSTOMERS)
    assert "candidates" in place.refresh(status=1).stderr  # the gate asks, though this release was published before
    place.meetlat("accept", CUSTOMERS)
    place.refresh()
    # public figures may stand as they were in between, and then it is another release
    assert place.release_id() == first or place.query(
        f"SELECT count(*) > 0 FROM read_parquet('{place.current}/restricted/published_figures.parquet') "
        f"WHERE as_of_release <> '{place.release_id()}'"
    ) == [(True,)]
    assert "served" in next(
        line for line in place.meetlat("releases").stdout.splitlines() if place.release_id() in line
    )


def test_one_lock_a_warehouse(published: Place, tmp_path: Path) -> None:
    """Two users with a state folder of their own work on one warehouse one after the other."""
    from filelock import FileLock

    state = tmp_path / "another"
    shutil.copytree(published.state, state)
    with FileLock(published.warehouse / ".refresh.lock"):
        (published.warehouse / ".refresh.holder").write_text("A refresh is running since noon (process 1 on there).")
        refused = published.meetlat("refresh", MEETLAT_STATE=str(state))
    assert refused.returncode == 1 and "process 1 on there" in refused.stderr
    assert "Nothing new" in published.meetlat("refresh", MEETLAT_STATE=str(state)).stdout


def test_full_attacks_the_release_that_is_there_and_keeps_what_was_noted_of_it(tmp_path: Path) -> None:
    small = Small(tmp_path / "small", FEW)
    small.deliver(MESSAGES, "2000", small.rows(200, ["2011-01"], random.Random(3)))
    small.refresh()
    audited, file = small.here.state / "audited.json", small.place.current / "publication.json"
    told = json.loads(file.read_text())
    noted = {"withheld": [["a", "b", "c"]], "kept": [], "known_before": []}
    releases.write_aside(file, json.dumps(told | {"disclosure": noted}), 0o440)
    audited.unlink()
    assert small.refresh(full=True).published.folder == small.place.current.resolve()
    assert audited.exists()
    again = json.loads(file.read_text())
    assert again["disclosure"] == noted and again["published_at"] > told["published_at"]
