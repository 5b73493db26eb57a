"""The same inputs give the same bytes: however many threads, in whatever order, however often."""

import pytest
from conftest import Place, sha256


def everything(place: Place) -> dict[str, tuple[int, int, str]]:
    """Every file of every release and part: inode, time and bytes."""
    files = [f for top in ("releases", "parts") for f in (place.warehouse / top).rglob("*") if f.is_file()]
    assert files
    return {str(f): (f.stat().st_ino, f.stat().st_mtime_ns, sha256(f)) for f in files}


def test_one_thread_or_two_does_not_show(place: Place, built: Place) -> None:
    place.refresh(MEETLAT_THREADS="1")
    assert place.release_id() == built.release_id()
    assert place.parquet() == built.parquet()


@pytest.mark.long
def test_neither_the_order_of_arrival_nor_eight_threads_show(in_two_nights: Place, built: Place) -> None:
    """Nor does the release before, but for public/, where figures stand until enough answers changed.

    Only then the id is another one, and so is the table that names it.
    """
    first, second = in_two_nights.parquet(), built.parquet()
    id = in_two_nights.release_id()
    if id != built.release_id():
        ledger = in_two_nights.current / "restricted" / "published_figures.parquet"
        stand = f"SELECT count(*) FROM read_parquet('{ledger}') WHERE as_of_release <> '{id}'"
        assert in_two_nights.query(stand)[0][0] > 0
        for each in (first, second):
            del each["parquet/meta.release.parquet"]
            del each["parquet/meta.disclosure.parquet"]
    assert first == second


def test_nothing_new_changes_no_file(published: Place) -> None:
    before, link = everything(published), published.current.lstat().st_ino
    assert "Nothing new" in published.refresh().stdout
    assert everything(published) == before
    assert published.current.lstat().st_ino == link
