"""A refresh killed at any named place leaves a whole release served, and the next one makes it good."""

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from conftest import PROJECT, Place, new_place, second_half_arrives
from small import FEW, MESSAGES, PANEL, Small, files_that_differ

FAILPOINTS = [
    name
    for file in sorted((PROJECT / "pipelines").rglob("*.py"))
    for name in re.findall(r'failpoint\("([a-z-]+)"\)', file.read_text(encoding="utf-8"))
]
# From the swap on the new release is the one that is served, and a next refresh finds nothing new.
SWAPPED = ("swap-after", "retire-before", "retire-after")
STEPS = ["part", "release", "swap", "retire-before", "retire-after"]  # those of an erasure are tested apart


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
    found = [*warehouse.glob(".current-*"), *warehouse.glob("releases/.*"), *warehouse.glob("parts/.aside/*")]
    return [*found, *warehouse.glob("parts/.gone-*"), *warehouse.rglob(".spill*")]


def assert_whole(place: Place, undisturbed: Place) -> None:
    """Nothing tells this place from the one where nobody was killed."""
    assert_served(place, undisturbed.release_id())
    assert place.parquet() == undisturbed.parquet()
    assert leftovers(place) == []


def test_every_write_rename_and_swap_has_its_two_failpoints() -> None:
    assert len(FAILPOINTS) == len(set(FAILPOINTS)) >= 10
    assert set(SWAPPED) <= set(FAILPOINTS)
    stems = {name.rsplit("-", 1)[0] for name in FAILPOINTS}
    assert {f"{stem}-{when}" for stem in stems for when in ("before", "after")} == set(FAILPOINTS)


def without_the_last_parts(warehouse: Path, to: Path) -> None:
    """To save time a place may have every part already, but for the last few."""
    for part in (warehouse / "parts").glob("*/*"):
        name = part.relative_to(warehouse)
        if not part.parent.name.startswith("mart.") and not (to / name).exists():
            shutil.copytree(part, to / name)


def killed_in_turn(place: Place, step: str, before: str | None, after: str) -> None:
    """Kill at every place of a step; each run goes on from what the one killed before it left behind."""
    for failpoint in FAILPOINTS:
        if not failpoint.startswith(step):
            continue
        kill(place, failpoint)
        if failpoint in SWAPPED:
            assert_served(place, after)
        elif before is None:
            assert not place.current.is_symlink(), failpoint
        else:
            assert_served(place, before)


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
def test_a_first_build_killed(place: Place, built: Place, step: str) -> None:
    if step != "part":
        without_the_last_parts(built.warehouse, place.warehouse)
    killed_in_turn(place, step, None, built.release_id())
    place.refresh()
    assert_whole(place, built)


@pytest.mark.long
@pytest.mark.parametrize("step", STEPS)
def test_new_deliveries_killed(tmp_path: Path, half_year: Place, in_two_nights: Place, sample: Path, step: str) -> None:
    place = half_year.copy(tmp_path / "place")
    second_half_arrives(place, sample)
    without_the_last_parts(in_two_nights.warehouse, place.warehouse)
    killed_in_turn(place, step, half_year.release_id(), in_two_nights.release_id())
    place.refresh()
    assert_whole(place, in_two_nights)


FORKS = multiprocessing.get_context("forkserver")  # processes that have imported everything, with no engine yet
FORKS.set_forkserver_preload(["small"])


def ran(small: Small, seconds: float | None = None, failpoint: str = "") -> int | None:
    """Refresh in a process of its own that is killed after so many seconds or at a failpoint; gives how it ended."""
    process = FORKS.Process(target=refresh_until, args=(small, failpoint))
    process.start()
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode


def refresh_until(small: Small, failpoint: str) -> None:
    """Refresh, and die at a failpoint; of none if it is empty."""
    os.environ["MEETLAT_FAILPOINT"] = failpoint
    small.refresh()


@dataclass
class Night:
    """A small project as it stands before a refresh, and where nobody kills that."""

    undisturbed: Small
    beginning: Path  # its warehouse and state before
    before: str | None  # the release that is served then
    seconds: float  # that the refresh took

    @property
    def after(self) -> str:
        return self.undisturbed.place.release_id()

    def begin(self, small: Small) -> None:
        shutil.rmtree(small.place.root, ignore_errors=True)
        shutil.copytree(self.beginning, small.place.root, symlinks=True)

    def assert_undisturbed(self, small: Small) -> None:
        """The next refresh gives what it gave where nobody was killed."""
        assert ran(small) == 0
        assert_served(small.place, self.after)
        assert files_that_differ(small.place.current, self.undisturbed.place.current) == []
        assert leftovers(small.place) == []


def night(root: Path, later: bool, random: Random) -> Night:
    """Of a first build, or of new deliveries and corrections."""
    months = ["2011-01", "2011-02"]
    undisturbed = Small(root / "undisturbed", FEW)
    for source in (MESSAGES, PANEL):
        first = undisturbed.rows(150, months, random)
        undisturbed.deliver(source, "2000", first)
    if later:
        assert ran(undisturbed) == 0
        for source in (MESSAGES, PANEL):
            undisturbed.deliver(source, "3000", [*undisturbed.rows(40, months, random), *first[:5]])
    before = undisturbed.place.release_id() if later else None
    beginning = root / "beginning"
    beginning.mkdir()
    for folder in (undisturbed.here.warehouse, undisturbed.here.state):
        if folder.exists():
            shutil.copytree(folder, beginning / folder.name, symlinks=True)
    began = time.monotonic()
    assert ran(undisturbed) == 0
    return Night(undisturbed, beginning, before, time.monotonic() - began)


def test_killed_at_every_failpoint(tmp_path: Path) -> None:
    made = night(tmp_path, True, Random(10))
    small = Small.beside(made.undisturbed, tmp_path / "killed")
    made.begin(small)
    until_swap = [f for step in ("part", "release", "swap-before") for f in FAILPOINTS if f.startswith(step)]
    for failpoint in until_swap:  # each goes on from what the one killed before it left behind
        assert ran(small, failpoint=failpoint) == -signal.SIGKILL, failpoint
        assert_served(small.place, str(made.before))
    nearly = replace(made, beginning=tmp_path / "nearly")
    shutil.copytree(small.place.root, nearly.beginning, symlinks=True)
    made.assert_undisturbed(small)
    for failpoint in SWAPPED:
        nearly.begin(small)
        assert ran(small, failpoint=failpoint) == -signal.SIGKILL, failpoint
        assert_served(small.place, made.after)
        made.assert_undisturbed(small)
    small.erase(MESSAGES, ["p1"])  # once it is published without the person, two earlier releases are reissued
    reissued = [f for f in FAILPOINTS if f.startswith("reissue")]
    for failpoint in reissued:
        assert ran(small, failpoint=failpoint) == -signal.SIGKILL, failpoint
        erased = small.place.release_id()
        assert_served(small.place, erased)
        assert erased not in (made.before, made.after)
        for earlier in (made.before, made.after):  # with the person or without, but never served again
            refused = small.place.meetlat("rollback", str(earlier))
            assert refused.returncode == 1 and "served again" in refused.stderr, failpoint
        assert_served(small.place, erased)
    assert ran(small) == 0 and small.place.release_id() == erased
    assert leftovers(small.place) == []
    kept = {folder.name for folder in small.here.warehouse.glob("releases/*")}
    assert kept == {made.before, made.after, erased}
    with_respondents = small.here.warehouse.glob("releases/*/restricted/warehouse.duckdb")
    assert [file.parents[1].name for file in with_respondents] == [erased]
    assert {*until_swap, *SWAPPED, *reissued} == set(FAILPOINTS)


@pytest.mark.parametrize("later", [False, True])
def test_ten_kills_at_random_moments(tmp_path: Path, later: bool) -> None:
    """Of a first build or of a later one of a small project. Where one ends before it is killed, all begins again."""
    random = Random(11 + later)
    made = night(tmp_path, later, random)
    small = Small.beside(made.undisturbed, tmp_path / "killed")
    ended: int | None = 0
    killed = 0
    while killed < 10:
        if ended == 0:
            made.begin(small)
        ended = ran(small, random.uniform(0, made.seconds))
        assert ended in (0, -signal.SIGKILL)
        killed += ended != 0
        if small.place.current.is_symlink():
            assert small.place.release_id() in (made.before, made.after)
            assert_served(small.place, small.place.release_id())
        else:
            assert made.before is None
    made.assert_undisturbed(small)


FULL = bool(os.environ.get("MEETLAT_TEST_FULL"))
CHAINS, KILLS = (60 if FULL else 4), 5


@pytest.mark.long
@pytest.mark.parametrize("seed", range(CHAINS))
def test_killed_at_random(
    tmp_path: Path, sample: Path, built: Place, half_year: Place, in_two_nights: Place, seed: int
) -> None:
    """Five kills at random moments, of a first build or of a later one: whatever was served opens after each."""
    random = Random(seed)
    later = seed % 2 == 1
    if later:
        place, undisturbed = half_year.copy(tmp_path / "place"), in_two_nights
        second_half_arrives(place, sample)
    else:
        place, undisturbed = new_place(tmp_path / "place", sample), built
    before = place.release_id() if later else None
    killed = 0
    while killed < KILLS:
        began = time.monotonic()
        refresh = subprocess.Popen(
            [sys.executable, "-m", "pipelines.cli", "refresh"], env=place.environment, cwd=PROJECT,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            refresh.wait(random.uniform(0.5, 6))
        except subprocess.TimeoutExpired:
            refresh.kill()
        assert refresh.wait() in (0, -signal.SIGKILL), f"after {time.monotonic() - began:.1f} s"
        killed += 1
        if place.current.is_symlink():
            assert place.release_id() in (before, undisturbed.release_id())
            assert_served(place, place.release_id())
        else:
            assert before is None
    place.refresh()
    assert_whole(place, undisturbed)
