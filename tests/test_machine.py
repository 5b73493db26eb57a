"""A full disk and a read-only folder end in one sentence, with the old release served and nothing half-made.

They need a small file system of their own, so they stand behind the marker `small_disk`, which `.ci/full` runs.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT, Place, lines, second_half_arrives

pytestmark = pytest.mark.small_disk

# in a mount namespace, the rights of root are enough to mount, and nobody else sees what is mounted
SCRIPT = """
set -e
mkdir -p "$1"
mount -t tmpfs -o size="$2" none "$1"
cp -a "$3/." "$1"
if [ "$2" = 512m ]; then mount -o remount,ro "$1"; fi
set +e
"$4" -m pipelines.cli refresh
status=$?
echo "status $status" >&2
find "$5/releases" -name '.aside*' >&2
"$4" -m pipelines.cli status > /dev/null || echo "no status" >&2
"""


def refreshed(place: Place, size: str, tmp_path: Path, variable: str = "MEETLAT_WAREHOUSE") -> list[str]:
    """What a refresh says whose warehouse or state lies on a file system of that size; 512m is read-only."""
    assert shutil.which("unshare"), "install util-linux: these tests mount a file system of their own"
    here = tmp_path / "mounted"
    env = place.environment | {variable: str(here)}
    was, warehouse = place.environment[variable], env["MEETLAT_WAREHOUSE"]
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "-", str(here), size]
    ran = subprocess.run(
        [*command, was, sys.executable, warehouse], env=env, cwd=PROJECT, capture_output=True, text=True
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return lines(ran)  # type: ignore[arg-type]


@pytest.mark.parametrize("room", [1, 6, 14])
def test_a_full_disk(half_year: Place, sample: Path, tmp_path: Path, room: int) -> None:
    """It is full while parts are made, or while the release is."""
    place = half_year.copy(tmp_path / "place")
    second_half_arrives(place, sample)
    used = sum(f.stat().st_blocks * 512 for f in {f.stat().st_ino: f for f in place.warehouse.rglob("*")}.values())
    sentence, status = refreshed(place, f"{used // 1_000_000 + room}m", tmp_path)
    assert "disk is full" in sentence and "free some space" in sentence
    assert status == "status 1"  # nothing is left aside, and the release before can be looked at


def test_a_read_only_warehouse(half_year: Place, sample: Path, tmp_path: Path) -> None:
    place = half_year.copy(tmp_path / "place")
    second_half_arrives(place, sample)
    sentence, status = refreshed(place, "512m", tmp_path)
    assert "read-only" in sentence
    assert status == "status 1"


@pytest.mark.parametrize("is_full", [False, True])
def test_a_read_only_or_full_state_folder(half_year: Place, sample: Path, tmp_path: Path, is_full: bool) -> None:
    """The run history cannot be opened, or does not fit."""
    place = half_year.copy(tmp_path / "place")
    second_half_arrives(place, sample)
    size = "512m"
    if is_full:
        used = sum(f.stat().st_size for f in place.state.rglob("*") if f.is_file())
        size = f"{used // 1024 + 64}k"
    sentence, status = refreshed(place, size, tmp_path, "MEETLAT_STATE")
    assert f"{tmp_path / 'mounted'} cannot be written: " in sentence
    assert ("disk is full" if is_full else "mounted writable") in sentence
    assert status == "status 1"
