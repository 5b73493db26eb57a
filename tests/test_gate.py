"""What vanishes from raw/ is not believed until a person says so."""

import gzip
import json
import shutil

import pytest
from conftest import CUSTOMERS, MESSAGES, QUARTER, SOCIAL, Place, lines, read_quarter, write_quarter

SECOND = QUARTER.format(2)
FIGURES = (
    "SELECT figure_id, value, n_answers FROM mart.published_comparison "
    "WHERE audience_code = 'customer' ORDER BY figure_id"
)


def more_messages(place: Place) -> str:
    """Something new of another source: forty messages of the next year; gives the file's name."""
    name = MESSAGES.replace("2011", "2012")
    rows = gzip.decompress(place.delivery(SOCIAL, MESSAGES).read_bytes()).decode().splitlines()[:40]
    new = [json.loads(row) for row in rows]
    for i, message in enumerate(new):
        message |= {"id": f"B12-{i:07}", "placed_at": message["placed_at"].replace("2011", "2012")}
    text = "".join(json.dumps(message) + "\n" for message in new)
    place.delivery(SOCIAL, name).write_bytes(gzip.compress(text.encode()))
    return name


def set_aside(place: Place, name: str = SECOND) -> None:
    place.delivery(CUSTOMERS, name).rename(place.root / name)


def bring_back(place: Place, name: str = SECOND) -> None:
    (place.root / name).rename(place.delivery(CUSTOMERS, name))


def test_a_vanished_delivery_stops_its_source(published: Place) -> None:
    before = published.release_id()
    set_aside(published)
    said = "\n".join(lines(published.refresh(status=1)))
    assert SECOND in said and f"meetlat accept {CUSTOMERS}" in said
    assert published.release_id() == before
    bring_back(published)
    assert "Nothing new" in published.refresh().stdout
    assert published.release_id() == before


def test_the_way_of_a_vanished_delivery(published: Place, built: Place) -> None:
    """Stale beside something new, back again, gone again, accepted, kept at the gate, accepted again."""
    set_aside(published)
    new = more_messages(published)

    (sentence,) = lines(published.refresh(status=3))
    assert SECOND in sentence and CUSTOMERS in sentence
    stale = published.release_id()
    assert stale != built.release_id()
    deliveries = dict(published.query("SELECT file_name, is_stale FROM meta.delivery", "benchmark.duckdb"))
    assert len(deliveries) == 7 and new in deliveries
    assert deliveries == {name: name.startswith("klantcontact_klanten") for name in deliveries}
    assert published.query("SELECT sources_stale FROM meta.release", "benchmark.duckdb") == [(1,)]
    assert published.query(FIGURES) == built.query(FIGURES)
    assert lines(published.refresh(status=3)) == [sentence]  # and nothing new

    bring_back(published)
    assert not lines(published.refresh())
    assert published.query("SELECT sources_stale, deliveries FROM meta.release", "benchmark.duckdb") == [(0, 7)]
    assert published.query(FIGURES) == built.query(FIGURES)
    whole = published.release_id()
    assert whole != stale

    set_aside(published)
    assert lines(published.refresh(status=1))
    accepted = published.meetlat("accept", CUSTOMERS)
    assert accepted.returncode == 0 and SECOND in accepted.stdout
    said = "\n".join(lines(published.refresh(status=1)))
    assert "gate" in said and CUSTOMERS in said
    assert published.release_id() == whole
    (candidate,) = (published.warehouse / "candidates").iterdir()
    assert (candidate / "benchmark.duckdb").is_file()

    assert candidate.name in published.meetlat("accept", CUSTOMERS).stdout
    assert not lines(published.refresh())
    assert published.release_id() == candidate.name
    deliveries = dict(published.query("SELECT file_name, is_stale FROM meta.delivery", "benchmark.duckdb"))
    assert SECOND not in deliveries and not any(deliveries.values())
    gate = json.loads((published.current / "publication.json").read_text())["gate"]
    outcomes = {row["source_code"]: row["outcome"] for row in gate}
    assert outcomes[CUSTOMERS] == "accepted" and outcomes[SOCIAL] == "passed"
    assert published.query(FIGURES) != built.query(FIGURES)
    candidates = published.warehouse / "candidates"
    assert not candidates.exists() or not list(candidates.iterdir())
    assert published.meetlat("accept", CUSTOMERS).returncode == 1


def test_other_bytes_under_the_same_name_stop_the_source(published: Place) -> None:
    before = published.release_id()
    kept = published.delivery(CUSTOMERS, SECOND).read_bytes()
    write_quarter(published.raw, 2, read_quarter(published.raw, 2)[:-1])
    said = "\n".join(lines(published.refresh(status=1)))
    assert SECOND in said and "other bytes" in said
    assert published.release_id() == before
    published.delivery(CUSTOMERS, SECOND).write_bytes(kept)
    assert "Nothing new" in published.refresh().stdout


def test_a_renamed_delivery_is_the_same_delivery(published: Place, built: Place) -> None:
    """The bytes are there, so nothing vanished."""
    old = published.delivery(CUSTOMERS, SECOND)
    old.rename(old.with_name("klantcontact_klanten_van_2011-Q2.csv.gz"))
    assert not lines(published.refresh())
    assert published.query(FIGURES) == built.query(FIGURES)


def test_a_vanished_source_stops_everything(published: Place) -> None:
    before = published.release_id()
    shutil.rmtree(published.raw / SOCIAL)
    said = "\n".join(lines(published.refresh(status=1)))
    assert SOCIAL in said and "meetlat accept" in said
    assert published.release_id() == before


@pytest.mark.parametrize("name", [".klantcontact_klanten_2012-Q1.csv.gz", "klantcontact_klanten_2012-Q1.csv.gz.part"])
def test_half_a_delivery_has_not_arrived(published: Place, name: str) -> None:
    before = published.release_id()
    published.delivery(CUSTOMERS, name).write_bytes(b"half")
    ran = published.refresh()
    assert "Nothing new" in ran.stdout and not lines(ran)
    assert published.release_id() == before
