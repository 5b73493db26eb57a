"""The estimates against R: a case with known answers goes through the whole pipeline as a user's own source.

Six sources hold the same grades, each as a monitor of its own, so that one refresh answers every
question: with weights, without, with respondents as the sampling unit, with every respondent twice,
with every weight three times as large, and with nearly all weight in one organisation. What the keys
of the expected values are is told in `tests/cases/README.md`.
"""

import csv
import json
import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from conftest import PROJECT, Once, Place

CASES = Path(__file__).with_name("cases")
EXPECTED = json.loads((CASES / "case1_expected.json").read_text())
WAVE = {"code": "wave-case-1", "start": "2024-03-01", "end": "2024-03-31"}
SECTORS = ("gov", "housing", "utility", "insurer")
CHANNELS = ("email", "phone", "physical")
TOLERANCE = 1e-9  # relative

Rows = list[dict[str, Any]]


def case_rows() -> Rows:
    with (CASES / "case1_grades.csv").open(newline="") as file:
        return list(csv.DictReader(file))


# --- the raw folder ------------------------------------------------------------------------------


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([list(columns), *rows])


def write_reference(raw: Path, monitors: Iterable[str]) -> None:
    folder = raw / "reference"
    write_csv(
        folder / "monitors.csv",
        ("monitor_code", "label_en", "label_nl", "publisher"),
        [(name, name, name, "nobody") for name in monitors],
    )
    write_csv(
        folder / "sectors.csv",
        ("sector_code", "parent_code", "label_en", "label_nl", "sbi_code", "sbi_version", "sort_order"),
        [
            ("all", "", "All", "Alle", "", "", 0),
            *((code, "all", code, code, "", "", 10 * i) for i, code in enumerate(SECTORS, start=1)),
            ("not_applicable", "all", "None", "Geen", "", "", 99),
        ],
    )
    write_csv(
        folder / "organisations.csv",
        ("organisation_code", "name_en", "name_nl", "sector_code", "size_class", "country_code", "valid_from"),
        [
            (code, code, code, sector, "small", "NL", "2000-01-01")
            for code, sector in sorted({(r["org_id"].lower(), r["sector"]) for r in case_rows()})
        ],
    )
    with (PROJECT / "raw" / "reference" / "published_figures.csv").open() as shipped:
        write_csv(folder / "published_figures.csv", next(csv.reader(shipped)), [])  # nobody published a figure


def write_source(raw: Path, name: str, rows: Rows, *, unit: str = "organisation", weighted: bool = True) -> None:
    contract: dict[str, Any] = {
        "title": f"Case 1, {name}",
        "monitor": name,
        "audience": "customer",
        "country": "NL",
        "provenance": "synthetic",
        "controller": "Meetlat tests",
        "purpose": "comparison with R",
        "licence": "MIT",
        "sampling_unit": unit,
        "wave": WAVE,
        "files": "*.csv",
        "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ","},
        "delivery": {"mode": "append", "order": r"case(\d)"},
        "columns": {
            "respondent_id": {"role": "response"},
            "org_id": {"role": "organisation", "values": {r["org_id"]: r["org_id"].lower() for r in rows}},
            "channel": {"role": "channel", "values": {c: c for c in CHANNELS}},
            "grade": {"role": "question", "measure": "channel_rating", "channel": "row"},
        },
        "discard": ["sector"],  # it comes from reference/organisations.csv
    }
    if weighted:
        contract["columns"]["weight"] = {"role": "weight"}
    else:
        contract["discard"].append("weight")
    write_csv(raw / name / "case1.csv", rows[0], [row.values() for row in rows])
    (raw / name / "contract.yml").write_text(yaml.safe_dump(contract, sort_keys=False))


def twice(rows: Rows) -> Rows:
    return [row | {"respondent_id": f"{row['respondent_id']}{copy}"} for row in rows for copy in "ab"]


def heavier(rows: Rows) -> Rows:
    return [row | {"weight": f"{3 * float(row['weight']):.3f}"} for row in rows]


def lopsided(rows: Rows) -> Rows:
    """As uneven as a contract allows: weights lie between 0.000001 and 99.999."""
    return [row | {"weight": "99.999" if row["org_id"] == "O01" else "0.000001"} for row in rows]


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of the six sources. Only to look at."""

    def make(folder: Path) -> None:
        raw, rows = folder / "raw", case_rows()
        write_reference(raw, ("weighted", "unweighted", "respondents", "twice", "heavier", "lopsided"))
        write_source(raw, "weighted", rows)
        write_source(raw, "unweighted", rows, weighted=False)
        write_source(raw, "respondents", rows, unit="respondent")
        write_source(raw, "twice", twice(rows))
        write_source(raw, "heavier", heavier(rows))
        write_source(raw, "lopsided", lopsided(rows))
        Place(folder).refresh_here()

    return Place(once("case1", make))


def ratings(place: Place, monitor: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the wave in mart.channel_rating, by sector and channel."""
    with duckdb.connect(str(place.current / "benchmark.duckdb"), read_only=True) as con:
        result = con.execute(
            "SELECT * FROM mart.channel_rating WHERE monitor_code = $1 AND period_code = $2",
            [monitor, WAVE["code"]],
        )
        names = [column[0] for column in result.description]
        found = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    rows = {(row["sector_code"], row["channel_code"]): row for row in found}
    assert len(rows) == len(found)
    return rows


def near(value: float) -> Any:
    return pytest.approx(value, rel=TOLERANCE, abs=0)


# --- against R -----------------------------------------------------------------------------------

NAMES = {
    "est": "value", "se": "se", "df": "df", "lo": "ci_low", "hi": "ci_high", "n": "n_answers",
    "n_org": "n_organisations", "sum_w": "sum_w",
}  # fmt: skip


def agrees(row: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, column in NAMES.items():
        if key in expected:
            assert row[column] == near(expected[key]), column


def test_all_with_weights(place: Place) -> None:
    row = ratings(place, "weighted")["all", "all"]
    agrees(row, EXPECTED["clustered_weighted"])
    assert row["n_answers"] == row["n_respondents"] == EXPECTED["n_valid"]
    assert row["n_blank"] == EXPECTED["n_rows"] - EXPECTED["n_valid"]
    assert row["n_organisations"] == 14
    assert row["sum_w"] == near(EXPECTED["kish"]["sum_w"])
    assert row["sum_wy"] / row["sum_w"] == near(row["value"])


def test_nearly_all_weight_in_one_organisation(place: Place) -> None:
    """The degrees of freedom of Bell and McCaffrey, by hand in fractions: the q of one drowns those of the others."""
    held: dict[str, Fraction] = {}
    for row in lopsided(case_rows()):
        if row["grade"]:
            held[row["org_id"]] = held.get(row["org_id"], Fraction(0)) + Fraction(row["weight"])
    shares = [w / sum(held.values()) for w in held.values()]
    assert max(shares) > 1 - Fraction(1, 10**6)
    q = [h * h / (1 - h) for h in shares]
    df = 1 / (sum(h * h for h in shares) + sum(q) ** 2 - sum(each * each for each in q))
    found = ratings(place, "lopsided")["all", "all"]
    assert found["df_cr2"] == near(float(df))
    assert found["ci_method"] == "t_cr2" and found["ci_low"] < found["value"] < found["ci_high"]


def test_all_without_weights(place: Place) -> None:
    row = ratings(place, "unweighted")["all", "all"]
    agrees(row, EXPECTED["clustered_unweighted"])
    assert row["sum_w"] == row["n_answers"] == EXPECTED["n_valid"]


@pytest.mark.parametrize("sector", ("gov", "housing", "utility"))
def test_a_sector_is_a_domain_of_all_organisations(place: Place, sector: str) -> None:
    row = ratings(place, "weighted")[sector, "all"]
    agrees(row, EXPECTED["by_sector_no_strata"][sector])
    agrees(row, EXPECTED["by_sector_no_strata_all"][sector])


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_is_a_domain_of_all_organisations(place: Place, channel: str) -> None:
    """One organisation has no e-mail: it counts in the design, but not in the degrees of freedom."""
    agrees(ratings(place, "weighted")["all", channel], EXPECTED["by_channel_no_strata"][channel])


def test_one_organisation_has_no_error(place: Place) -> None:
    """R gives a standard error of 4e-16 here; an error that cannot be known must be missing."""
    rows = ratings(place, "weighted")
    expected = EXPECTED["by_sector_no_strata_all"]["insurer"]
    for channel in ("all", *CHANNELS):
        row = rows["insurer", channel]
        assert row["n_organisations"] == 1
        assert row["value"] is not None
        assert [row[c] for c in ("se", "df", "ci_low", "ci_high")] == [None] * 4
    agrees(rows["insurer", "all"], {k: expected[k] for k in ("est", "n", "n_org", "sum_w")})


# --- by hand -------------------------------------------------------------------------------------


def test_respondents_as_the_sampling_unit(place: Place) -> None:
    """R counts blank rows as units in its standard error (n = 372), and so differs by a known factor."""
    rows = ratings(place, "respondents")
    everybody = EXPECTED["n_valid"]  # a channel is a domain of this sample, as in R
    for channel in ("all", *CHANNELS):
        chosen = [r for r in case_rows() if r["grade"] and channel in ("all", r["channel"])]
        pairs = [(float(r["weight"]), float(r["grade"])) for r in chosen]
        n, total = len(pairs), math.fsum(w for w, _ in pairs)
        mean = math.fsum(w * y for w, y in pairs) / total
        se = math.sqrt(everybody / (everybody - 1) * math.fsum((w * (y - mean) / total) ** 2 for w, y in pairs))
        row = rows["all", channel]
        agrees(row, {"est": mean, "se": se, "df": n - 1, "n": n, "sum_w": total})
        assert row["ci_high"] - row["value"] == pytest.approx(row["value"] - row["ci_low"])
        assert {row[c] for c in row if "organisation" in c} == {None}
        assert row["se_participants"] == row["se"]
    expected = EXPECTED["unclustered_weighted"]
    agrees(rows["all", "all"], {k: expected[k] for k in ("est", "df")})
    n, units = EXPECTED["n_valid"], EXPECTED["n_rows"]
    assert rows["all", "all"]["se"] == near(expected["se"] * math.sqrt(n / (n - 1) / (units / (units - 1))))


def test_concentration_of_organisations(place: Place) -> None:
    weights: dict[str, float] = {}
    for row in case_rows():
        if row["grade"]:
            weights[row["org_id"]] = weights.get(row["org_id"], 0.0) + float(row["weight"])
    total = math.fsum(weights.values())
    row = ratings(place, "weighted")["all", "all"]
    assert row["n_organisations_effective"] == near(total**2 / math.fsum(w * w for w in weights.values()))
    assert row["largest_organisation_share"] == near(max(weights.values()) / total)


# --- what must not matter ------------------------------------------------------------------------


def compare(place: Place, monitor: str, factors: dict[str, int], without: tuple[str, ...] = ()) -> None:
    """Every column of every row of `monitor` is that of `weighted`, some of them so many times."""
    plain, other = ratings(place, "weighted"), ratings(place, monitor)
    assert plain.keys() == other.keys()
    assert len(plain) == (1 + len(SECTORS)) * (1 + len(CHANNELS))
    for key, row in plain.items():
        for column, value in row.items():
            if column == "monitor_code" or column.endswith(without):
                continue
            if isinstance(value, int | float) and not isinstance(value, bool):
                value = pytest.approx(value * factors.get(column, 1), rel=1e-12, abs=0)
            assert other[key][column] == value, (key, column)


def test_every_respondent_twice(place: Place) -> None:
    """More respondents of the same organisations say no more about the sector: value, error, interval stay."""
    doubled = ("n_answers", "n_respondents", "n_blank", "n_kish", "sum_w", "sum_wy")
    compare(place, "twice", dict.fromkeys(doubled, 2), without=("_participants", "design_effect"))
    plain, other = ratings(place, "weighted")["all", "all"], ratings(place, "twice")["all", "all"]
    assert other["se_participants"] == pytest.approx(plain["se_participants"] / math.sqrt(2), rel=0.05)


def test_every_weight_three_times(place: Place) -> None:
    """Only the sums of weights show the unit in which weights are given."""
    compare(place, "heavier", {"sum_w": 3, "sum_wy": 3})


# --- receipts ------------------------------------------------------------------------------------


def test_sources_that_hold_the_same_bytes_have_a_receipt_each(place: Place) -> None:
    """Three sources read the very same file, each by a contract of its own."""
    receipts = place.query(
        "SELECT source_code, rows_read, rows_accepted, cells_answer, cells_blank FROM meta.delivery ORDER BY ALL",
        "benchmark.duckdb",
    )
    n, valid = EXPECTED["n_rows"], EXPECTED["n_valid"]
    times = {"heavier": 1, "lopsided": 1, "respondents": 1, "twice": 2, "unweighted": 1, "weighted": 1}
    assert receipts == [(name, k * n, k * n, k * valid, k * (n - valid)) for name, k in times.items()]
