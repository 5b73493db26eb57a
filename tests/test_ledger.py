"""What the pipeline counts is what the generator says is truly in the exports, of every source."""

from collections import Counter
from pathlib import Path

import pytest
from conftest import (
    CUSTOMERS,
    EMPLOYEES,
    PROJECT,
    SOCIAL,
    Place,
    answers_by_delivery,
    assert_receipts,
    assert_same,
    booked,
    ledger,
    sha256,
)

MARTS = {
    (CUSTOMERS, "channel_rating"): "channel_rating",
    (CUSTOMERS, "recommendation"): "nps_by_sector",
    (CUSTOMERS, "complaint_handling"): "complaint_handling",
    (EMPLOYEES, "employee_satisfaction"): "employee_satisfaction",
    (SOCIAL, "social_sentiment"): "social_sentiment",
    ("rackspace_it_decision_makers", "satisfaction"): "satisfaction",
    ("rackspace_employees", "hours_lost_per_year"): "statement_share",
}
ANY_SHARE, TWO_YEARS = "statement_share", "integron_cx"
RETURNING = {CUSTOMERS, EMPLOYEES, SOCIAL, TWO_YEARS}  # sources with respondents who come more than once
COUNTS = {"kcm-2011-n", "kcm-2011q13-n"}  # figures that say how many ratings there were


@pytest.fixture(params=["every_built", pytest.param("shipped", marks=pytest.mark.full)])
def release(request: pytest.FixtureRequest) -> Place:
    """A release of each size."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Place)
    return found


def test_the_cube_is_the_ledger(release: Place) -> None:
    rows = release.query(
        "SELECT source_code, NULL, time_cell_code, organisation_code, audience_code, channel_code, "
        "measure_code, value, missing_reason, sum(n)::BIGINT FROM cube.score_counts GROUP BY ALL"
    )
    assert_same(Counter({tuple(key): n for *key, n in rows}), booked(release, by_delivery=False))


def test_the_answers_of_every_delivery_are_the_ledger(release: Place) -> None:
    assert_same(answers_by_delivery(release), booked(release, by_delivery=True))


def test_the_receipts_are_the_ledger(release: Place) -> None:
    assert_receipts(release)


def test_people_are_counted_once(release: Place) -> None:
    counted = {(row["source_code"], row["measure_code"]): row for row in ledger(release, "respondents.csv")}
    found = release.query(
        "SELECT source_code, measure_code, count(*), count(DISTINCT respondent_id) FROM core.fct_answer "
        "WHERE value IS NOT NULL GROUP BY ALL"
    )
    true = {key: (int(row["n_answers"]), int(row["n_respondents"])) for key, row in counted.items()}
    assert {(source, measure): tuple(n) for source, measure, *n in found} == true
    for source, measure in true:
        answers, respondents = true[source, measure]
        assert (respondents < answers) == (source in RETURNING), "nobody returns, so nothing is shown"


def test_the_marts_count_people_once_too(release: Place) -> None:
    for row in ledger(release, "respondents.csv"):
        source, measure = row["source_code"], row["measure_code"]
        if source == TWO_YEARS:  # the ledger counts over both years, a mart over one
            continue
        for mart in {MARTS.get((source, measure), ANY_SHARE), "measure_score"}:
            found = release.query(
                f"SELECT n_answers, n_respondents FROM mart.{mart} JOIN core.dim_source AS s "
                f"USING (monitor_code, audience_code) WHERE s.source_code = '{source}' AND period_type = 'year' "
                f"AND sector_code = 'all' AND channel_code = 'all' AND measure_code = '{measure}'",
                "benchmark.duckdb",
            )
            assert found == [(int(row["n_answers"]), int(row["n_respondents"]))], (mart, source, measure)


def test_the_published_figures_come_out(release: Place, every_built: Place) -> None:
    rows = release.query(
        "SELECT figure_id, is_reproduced, value >= accept_from AND coalesce(value < accept_below, true) "
        "FROM mart.published_comparison",
        "benchmark.duckdb",
    )
    assert len(rows) == 36
    expected = {figure: figure not in COUNTS or release.root != every_built.root for figure, _, _ in rows}
    assert {figure: reproduced for figure, reproduced, _ in rows} == expected
    assert {figure: inside for figure, _, inside in rows} == expected


@pytest.mark.full
def test_the_shipped_exports_are_what_the_generator_writes(default_sample: Path) -> None:
    sources = {contract.parent.name for contract in (PROJECT / "raw").glob("*/contract.yml")}
    assert len(sources) == 12
    assert {folder.name for folder in default_sample.iterdir()} == {*sources, ".ledger"}
    for source in sorted(sources):
        shipped = {f.name: sha256(f) for f in (PROJECT / "raw" / source).iterdir() if f.name != "contract.yml"}
        assert shipped == {f.name: sha256(f) for f in (default_sample / source).iterdir()}, source
