"""A refresh killed at any named place leaves a whole release served, and the next one makes it good."""

import re
import shutil
import signal
from pathlib import Path

import pytest
from conftest import CUSTOMERS, PROJECT, QUARTER, Place, new_place

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
    return [p for p in place.warehouse.rglob(".*") if p.name.startswith((".aside", ".current-", ".spill"))]


def assert_whole(place: Place, built: Place) -> None:
    """Nothing tells this place from the one where nobody was killed."""
    assert_served(place, built.release_id())
    assert place.parquet() == built.parquet()
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


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_new_delivery_killed(tmp_path: Path, three_quarters: Place, built: Place, failpoint: str) -> None:
    """To save time the place has every part already, but for the last layers and the new delivery itself."""
    place = three_quarters.copy(tmp_path / "place")
    before = place.release_id()
    shutil.copy2(built.delivery(CUSTOMERS, QUARTER.format(4)), place.delivery(CUSTOMERS, QUARTER.format(4)))
    parts = place.warehouse / "parts"
    own = {part.relative_to(parts) for part in parts.glob("*/*")}
    for part in (built.warehouse / "parts").glob("*/*"):
        name = part.relative_to(built.warehouse / "parts")
        if name not in own and not name.parts[0].startswith(("staged.klant", "superseded", "mart", "meta")):
            shutil.copytree(part, parts / name)
    kill(place, failpoint)
    assert_served(place, built.release_id() if failpoint == SWAPPED else before)
    place.refresh()
    assert_whole(place, built)


def test_a_killed_refresh_lets_go_of_the_lock(tmp_path: Path, sample: Path, built: Place) -> None:
    place = new_place(tmp_path / "place", sample)
    kill(place, "part-write-before")
    assert place.meetlat("refresh", "--select", "core.dim_channel").returncode == 0
    assert leftovers(place) == []
