"""What the pipeline counts is what the generator says is truly in the exports."""

import csv
import gzip
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conftest import CUSTOMERS, EMPLOYEES, PROJECT, SOCIAL, Once, Place, new_place, sha256

from pipelines.samples import klantcontact

MARTS = {
    (CUSTOMERS, "channel_rating"): "channel_rating",
    (CUSTOMERS, "recommendation"): "nps_by_sector",
    (CUSTOMERS, "complaint_handling"): "complaint_handling",
    (EMPLOYEES, "employee_satisfaction"): "employee_satisfaction",
    (SOCIAL, "social_sentiment"): "social_sentiment",
}
COUNTS = {"kcm-2011-n", "kcm-2011q13-n"}  # figures that say how many ratings there were

Cells = Counter[tuple[Any, ...]]


@pytest.fixture(scope="session")
def default_sample(once: Once) -> Path:
    """What the generator writes at the published size, with its ledger."""
    return once("default_sample", klantcontact.write)


@pytest.fixture(scope="session")
def shipped(once: Once, default_sample: Path) -> Place:
    """A place with the release of the exports that the project ships, and the ledger beside them."""

    def make(folder: Path) -> None:
        place = new_place(folder, PROJECT / "raw")
        shutil.rmtree(place.raw / ".ledger", ignore_errors=True)
        shutil.copytree(default_sample / ".ledger", place.raw / ".ledger")
        place.refresh()

    return Place(once("shipped", make))


@pytest.fixture(params=["built", pytest.param("shipped", marks=pytest.mark.full)])
def release(request: pytest.FixtureRequest) -> Place:
    """A release of each size."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


def ledger(place: Place, name: str) -> list[dict[str, str]]:
    path = place.raw / ".ledger" / name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(text.decode().splitlines()))


def booked(place: Place, *, by_delivery: bool) -> Cells:
    """The cells of the ledger. What was not asked is no answer: the receipts alone count it."""
    cells: Cells = Counter()
    for row in ledger(place, "cells.csv.gz"):
        if row["missing_reason"] == "not_asked":
            continue
        key = (
            row["source_code"], row["delivery"] if by_delivery else None, row["time_cell"],
            row["organisation_code"], row["audience_code"], row["channel_code"], row["measure_code"],
            int(row["value"]) if row["value"] else None, row["missing_reason"] or None,
        )  # fmt: skip
        cells[key] += int(row["n"])
    return cells


def assert_same(found: Cells, true: Cells) -> None:
    missing, extra = true - found, found - true
    assert not missing and not extra, f"missing {missing.most_common(5)}, too many {extra.most_common(5)}"
    assert found == true


def test_the_cube_is_the_ledger(release: Place) -> None:
    rows = release.query(
        "SELECT source_code, NULL, time_cell_code, organisation_code, audience_code, channel_code, "
        "measure_code, value, missing_reason, sum(n)::BIGINT FROM cube.score_counts GROUP BY ALL"
    )
    assert_same(Counter({tuple(key): n for *key, n in rows}), booked(release, by_delivery=False))


def test_the_answers_of_every_delivery_are_the_ledger(release: Place) -> None:
    rows = release.query(
        "SELECT a.source_code, d.file_name, strftime(a.answered_on, '%Y-%m'), a.organisation_code, "
        "a.audience_code, a.channel_code, a.measure_code, a.value, a.missing_reason, count(*) "
        "FROM core.fct_answer AS a JOIN meta.delivery AS d USING (delivery_id) GROUP BY ALL"
    )
    assert_same(Counter({tuple(key): n for *key, n in rows}), booked(release, by_delivery=True))


def test_the_receipts_are_the_ledger(release: Place) -> None:
    receipts = ledger(release, "receipts.csv")
    true = [tuple(int(v) if v.isdigit() else v for v in receipt.values()) for receipt in receipts]
    columns = ", ".join(receipts[0]).replace("delivery,", "file_name,")
    assert sorted(release.query(f"SELECT {columns} FROM meta.delivery", "benchmark.duckdb")) == sorted(true)


def test_people_are_counted_once(release: Place) -> None:
    counted = ledger(release, "respondents.csv")
    assert {(row["source_code"], row["measure_code"]) for row in counted} == set(MARTS)
    for row in counted:
        mart = MARTS[row["source_code"], row["measure_code"]]
        found = release.query(
            f"SELECT n_answers, n_respondents FROM mart.{mart} WHERE monitor_code = 'klantcontact_monitor' "
            "AND period_code = '2011' AND sector_code = 'all' AND channel_code = 'all'",
            "benchmark.duckdb",
        )
        assert found == [(int(row["n_answers"]), int(row["n_respondents"]))], mart
        assert int(row["n_respondents"]) < int(row["n_answers"]), "nobody returns, so nothing is shown"


def test_the_published_figures_come_out(release: Place, built: Place) -> None:
    rows = release.query(
        "SELECT figure_id, is_reproduced, value >= accept_from AND coalesce(value < accept_below, true) "
        "FROM mart.published_comparison WHERE monitor_code = 'klantcontact_monitor'",
        "benchmark.duckdb",
    )
    assert len(rows) == 15
    expected = {figure: figure not in COUNTS or release.root != built.root for figure, _, _ in rows}
    assert {figure: reproduced for figure, reproduced, _ in rows} == expected
    assert {figure: inside for figure, _, inside in rows} == expected


@pytest.mark.full
def test_the_shipped_exports_are_what_the_generator_writes(default_sample: Path) -> None:
    for source in (CUSTOMERS, EMPLOYEES, SOCIAL):
        files = [f for f in (PROJECT / "raw" / source).iterdir() if f.name != "contract.yml"]
        shipped = {f.name: sha256(f) for f in files}
        written = {f.name: sha256(f) for f in (default_sample / source).iterdir()}
        assert shipped == written
