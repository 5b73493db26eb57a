"""A refresh killed at any named place leaves a whole release served, and the next one makes it good."""

import re
import shutil
import signal
from pathlib import Path

import pytest
from conftest import PROJECT, Once, Place, second_half_arrives

FAILPOINTS = [
    name
    for file in sorted((PROJECT / "pipelines").rglob("*.py"))
    for name in re.findall(r'failpoint\("([a-z-]+)"\)', file.read_text(encoding="utf-8"))
]
SWAPPED = "swap-after"  # from here on the new release is the one that is served


def kill(place: Place, failpoint: str) -> None:
    ran = place.run("refresh", MEETLAT_FAILPOINT=failpoint)
    assert ran.returncode == -signal.SIGKILL, f"never came to {failpoint}: {ran.stderr}"


def assert_served(place: Place, release: str) -> None:
    """The release is the current one, and both files open and say so."""
    assert place.release_id() == release
    for file in ("benchmark.duckdb", "restricted/warehouse.duckdb"):
        assert place.query("SELECT release_id FROM meta.release", file) == [(release,)]


def leftovers(place: Place) -> list[Path]:
    warehouse = place.warehouse
    found = [*warehouse.glob(".current-*"), *warehouse.glob("releases/.aside-*"), *warehouse.glob("parts/.aside/*")]
    return [*found, *warehouse.rglob(".spill")]


def assert_whole(place: Place, undisturbed: Place) -> None:
    """Nothing tells this place from the one where nobody was killed."""
    assert_served(place, undisturbed.release_id())
    assert place.parquet() == undisturbed.parquet()
    assert leftovers(place) == []


def test_every_write_rename_and_swap_has_its_two_failpoints() -> None:
    assert len(FAILPOINTS) == len(set(FAILPOINTS)) >= 10
    assert SWAPPED in FAILPOINTS
    stems = {name.rsplit("-", 1)[0] for name in FAILPOINTS}
    assert {f"{stem}-{when}" for stem in stems for when in ("before", "after")} == set(FAILPOINTS)


def test_a_first_build_killed_at_every_place_in_turn(place: Place, built: Place) -> None:
    """Each run goes on from what the one before left behind when it was killed."""
    for failpoint in FAILPOINTS:
        kill(place, failpoint)
        if failpoint == SWAPPED:
            assert_served(place, built.release_id())
        else:
            assert not place.current.is_symlink(), failpoint
    place.refresh()
    assert_whole(place, built)


@pytest.fixture(scope="session")
def last_steps_ahead(once: Once, half_year: Place, in_two_nights: Place, sample: Path) -> Place:
    """The second half of the year has arrived, and to save time all but the last parts are there already."""

    def make(folder: Path) -> None:
        place = half_year.copy(folder)
        second_half_arrives(place, sample)
        parts = place.warehouse / "parts"
        for part in (in_two_nights.warehouse / "parts").glob("*/*"):
            name = part.relative_to(in_two_nights.warehouse / "parts")
            if not (parts / name).exists() and not name.parts[0].startswith("mart."):
                shutil.copytree(part, parts / name)

    return Place(once("last_steps_ahead", make))


@pytest.mark.parametrize("stem", sorted({name.split("-")[0] for name in FAILPOINTS}))
def test_new_deliveries_killed(tmp_path: Path, last_steps_ahead: Place, in_two_nights: Place, stem: str) -> None:
    """Killed at every place of the parts, of the release, or of the swap, each time a little further on."""
    place = last_steps_ahead.copy(tmp_path / "place")
    before, after = place.release_id(), in_two_nights.release_id()
    for failpoint in FAILPOINTS:
        if failpoint.split("-")[0] == stem:
            kill(place, failpoint)
            assert_served(place, after if failpoint == SWAPPED else before)
    place.refresh()
    assert_whole(place, in_two_nights)
