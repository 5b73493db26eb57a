"""The same inputs give the same bytes: however many threads, in whatever order, however often."""

from pathlib import Path

import pytest
from conftest import Place, new_place, sha256

GATE = "parquet/meta.gate.parquet"


def everything(place: Place) -> dict[str, tuple[int, int, str]]:
    """Every file of every release and part: inode, time and bytes."""
    files = [f for top in ("releases", "parts") for f in (place.warehouse / top).rglob("*") if f.is_file()]
    assert files
    return {str(f): (f.stat().st_ino, f.stat().st_mtime_ns, sha256(f)) for f in files}


@pytest.mark.parametrize("threads", ["1", "2", "8"])
def test_threads_do_not_show(tmp_path: Path, sample: Path, built: Place, threads: str) -> None:
    place = new_place(tmp_path / "place", sample)
    place.refresh(MEETLAT_THREADS=threads)
    assert place.release_id() == built.release_id()
    assert place.parquet() == built.parquet()


def test_the_order_of_arrival_does_not_show(in_two_nights: Place, built: Place) -> None:
    assert in_two_nights.release_id() == built.release_id()
    one, other = in_two_nights.parquet(), built.parquet()
    assert {f: d for f, d in one.items() if f != GATE} == {f: d for f, d in other.items() if f != GATE}


def test_the_same_release_id_is_the_same_bytes(in_two_nights: Place, built: Place) -> None:
    """Also where the release before was another one, as the id says nothing of it."""
    assert in_two_nights.release_id() == built.release_id()
    assert in_two_nights.parquet()[GATE] == built.parquet()[GATE]


def test_nothing_new_changes_no_file(published: Place) -> None:
    before, link = everything(published), published.current.lstat().st_ino
    assert "Nothing new" in published.refresh().stdout
    assert everything(published) == before
    assert published.current.lstat().st_ino == link


def test_full_changes_no_file_either(published: Place) -> None:
    """Every step is run again, and finds that its part exists."""
    before = everything(published)
    published.refresh("--full")
    assert everything(published) == before
