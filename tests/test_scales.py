"""Scales: what a measure declares may be read on 1 to 10, beside the native figure; nothing else is."""

import csv
import math
from pathlib import Path

import duckdb
import pytest
import yaml
from conftest import PROJECT, Place

GRADES = [(5, 1), (4, 2), (4, 4), (1, 7), (3, 3), (2, 6)]
MEASURES = {
    "ease": {"scale_min": "1", "scale_max": "5", "direction": "higher_is_better", "scale_conversion": "linear_1_10"},
    "effort": {"scale_min": "1", "scale_max": "7", "direction": "lower_is_better", "scale_conversion": "linear_1_10"},
    "mood": {"scale_min": "1", "scale_max": "5", "direction": "higher_is_better", "scale_conversion": ""},
}


@pytest.fixture
def own(tmp_path: Path) -> Place:
    """One source with three measures of its own."""
    place = Place(tmp_path)
    source, reference = place.raw / "ease", place.raw / "reference"
    source.mkdir(parents=True)
    reference.mkdir()
    with (PROJECT / "raw" / "reference" / "measures.csv").open() as shipped:
        known = list(csv.DictReader(shipped))
    with (reference / "measures.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, known[0], restval="")
        writer.writeheader()
        writer.writerows(known)
        for code, own in MEASURES.items():
            common = {"statistic": "mean", "frame": "relation", "decimals": "0", "unit": "score"}
            writer.writerow({"measure_code": code, "label_en": code, "label_nl": code} | common | own)
    lines = [f"{k},{ease},{effort},{ease}" for k, (ease, effort) in enumerate(GRADES)]
    (source / "ease-2024.csv").write_text("\n".join(["id,ease,effort,mood", *lines]) + "\n")
    contract = {
        "title": "Ease",
        "monitor": "ntt_global_cx",
        "audience": "customer",
        "country": "NL",
        "provenance": "synthetic",
        "controller": "Meetlat tests",
        "purpose": "scales",
        "licence": "MIT",
        "sampling_unit": "respondent",
        "wave": {"code": "wave-2024", "start": "2024-01-01", "end": "2024-12-31"},
        "files": "*.csv",
        "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ","},
        "delivery": {"mode": "append", "order": r"(\d+)"},
        "columns": {"id": {"role": "response"}} | {m: {"role": "question", "measure": m} for m in MEASURES},
    }
    (source / "contract.yml").write_text(yaml.safe_dump(contract, sort_keys=False))
    return place


def test_a_mean_is_read_on_1_to_10_only_where_declared(own: Place) -> None:
    own.refresh_here()
    with duckdb.connect(str(own.current / "benchmark.duckdb"), read_only=True) as con:
        rows = con.execute(
            "SELECT measure_code, value, se, value_1_10, se_1_10 FROM mart.measure_score "
            "WHERE sector_code = 'all' AND channel_code = 'not_applicable'"
        ).fetchall()
    found = {measure: numbers for measure, *numbers in rows}
    ease, effort = ([grade[k] for grade in GRADES] for k in (0, 1))
    # as if every respondent had answered on the other scale: 1-5 is 1, 3.25, 5.5, 7.75, 10, and effort is reversed
    on_ten = {"ease": [1 + 2.25 * (y - 1) for y in ease], "effort": [10 - 1.5 * (y - 1) for y in effort]}
    for measure, given in (("ease", ease), ("effort", effort)):
        value, se, value_on_ten, se_on_ten = found[measure]
        assert value == pytest.approx(sum(given) / 6)
        mean = sum(on_ten[measure]) / 6
        spread = math.sqrt(sum((y - mean) ** 2 for y in on_ten[measure]) / 5 / 6)
        assert (value_on_ten, se_on_ten) == pytest.approx((mean, spread))
        assert se_on_ten != se
    assert found["mood"][0] == found["ease"][0]
    assert found["mood"][2:] == [None, None]


@pytest.mark.parametrize(
    ("measure", "change"),
    [("recommendation", {"scale_conversion": "linear_1_10"}), ("ease", {"scale_conversion": "times_two"})],
)
def test_no_other_conversion_can_be_declared(own: Place, measure: str, change: dict[str, str]) -> None:
    path = own.raw / "reference" / "measures.csv"
    with path.open() as file:
        rows = [row | (change if row["measure_code"] == measure else {}) for row in csv.DictReader(file)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert "convertible: only means" in own.refresh(status=1).stderr
