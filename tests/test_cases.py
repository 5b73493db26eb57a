"""The estimates against R's package survey, stored: each case goes through the whole pipeline as a user's own source.

Every case is a monitor of its own, so that one refresh answers all. How the expected values were made is told in
`tests/cases/README.md`; the live comparison with R is in `test_oracle.py`.
"""

import csv
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Once, Place
from designs import Design, Organisation, write_raw

CASES = Path(__file__).with_name("cases")
NAMES = sorted(path.stem for path in CASES.glob("*.json") if not path.stem.endswith("_expected"))
CASE1 = json.loads((CASES / "case1_expected.json").read_text())
KEY = ("sector_code", "channel_code", "measure_code")
BOUNDS = ("value", "ci_low", "ci_high")
TOLERANCE = 1e-9  # relative


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def expected(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    return case


def stored(name: str) -> Design:
    contract, rows = expected(name)["contract"], read(CASES / f"{name}.csv")
    return Design(
        name,
        [Organisation(*seen) for seen in {(r["organisation"], r["sector"], r["size"]) for r in rows}],
        rows,
        contract["questions"],
        contract["sampling_unit"],
        contract["strata"],
        contract["sampled_from"],
        named=tuple(contract["columns"]),
    )


def case1() -> list[Design]:
    """Case 1 as four designs: as it is, by sector with and without the lonely organisation, and of forty."""
    rows = [
        {"response": r["respondent_id"], "organisation": r["org_id"].lower()}
        | {c: r[c] for c in ("sector", "channel", "grade", "weight")}
        for r in read(CASES / "case1_grades.csv")
    ]
    plain = Design(
        "case1",
        [Organisation(*seen) for seen in {(r["organisation"], r["sector"]) for r in rows}],
        rows,
        {"grade": "grade"},
        named=("response", "organisation", "channel", "weight"),
    )
    return [
        plain,
        replace(plain, name="case1_strata", strata="sector"),
        replace(plain, name="case1_without", strata="sector", rows=[r for r in rows if r["sector"] != "insurer"]),
        replace(plain, name="case1_finite", sampled_from={"all": 40}),
    ]


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of all cases. Only to look at."""

    def make(folder: Path) -> None:
        write_raw(folder / "raw", [*map(stored, NAMES), *case1()])
        Place(folder).refresh_here()

    return Place(once("cases", make))


Rows = dict[tuple[str, ...], dict[str, Any]]


def published(place: Place, monitor: str) -> Rows:
    """The rows of a monitor by sector, channel and measure, with their quantiles."""
    found = place.mart("measure_score", f"monitor_code = '{monitor}'")
    quantiles = place.mart("score_quantile", f"monitor_code = '{monitor}'")
    rows = {tuple(row[k] for k in KEY): row for row in found}
    assert len(rows) == len(found) > 0
    for row in quantiles:
        rows[tuple(row[k] for k in KEY)].setdefault("quantiles", {})[row["quantile_code"]] = row
    return rows


def near(value: float) -> Any:
    return pytest.approx(value, rel=TOLERANCE, abs=0)


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The columns in which a row is not as R has it. Quantiles and their bounds are answers: they agree exactly."""
    for column, value in theirs.items():
        exact = value is None or isinstance(value, str) or ("cumulative_share" in theirs and column in BOUNDS)
        zero = 1e-11 if column == "se_cumulative_share" else 0  # where all organisations are alike, R has its last bit
        if not (ours[column] == value if exact else ours[column] == pytest.approx(value, rel=TOLERANCE, abs=zero)):
            yield column, ours[column], value


@pytest.mark.parametrize("name", NAMES)
def test_a_case(place: Place, name: str) -> None:
    rows, case = published(place, name), expected(name)
    assert case["made_with"]["survey"]
    wrong = []
    for row in case["expected"]:
        key, ours = tuple(row[k] for k in KEY), rows[tuple(row[k] for k in KEY)]
        wrong += [(key, *found) for found in differing(ours, {c: v for c, v in row.items() if c != "quantiles"})]
        for code, quantile in row.get("quantiles", {}).items():
            wrong += [(key, code, *found) for found in differing(ours["quantiles"][code], quantile)]
    assert not wrong, "key, column, ours, R's:\n" + "\n".join(map(str, wrong))


@pytest.mark.oracle
@pytest.mark.parametrize("name", ("case1", "case3"))
def test_r_gives_the_stored_values_anew(tmp_path: Path, name: str) -> None:
    shutil.copytree(CASES, tmp_path / "cases")
    subprocess.run(["Rscript", f"{name}.R"], cwd=tmp_path / "cases", check=True, capture_output=True, timeout=300)

    # the versions, what is nothing but rounding, and R's error of a single organisation
    left_out = ("made_with", "max_rel_diff_rake_vs_calibrate", "insurer")

    def flat(values: dict[str, Any], prefix: str = "") -> dict[str, float]:
        found: dict[str, float] = {}
        for key in values.keys() - set(left_out):
            value = values[key]
            found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return found

    stored, anew = (
        flat(json.loads((folder / f"{name}_expected.json").read_text())) for folder in (CASES, tmp_path / "cases")
    )
    assert stored.keys() == anew.keys()
    assert anew == pytest.approx(stored, rel=TOLERANCE, abs=0)


# --- case 1 --------------------------------------------------------------------------------------


def agrees(row: dict[str, Any], expected: dict[str, Any], target: str = "") -> None:
    """Estimate, error, degrees of freedom and interval, of this target."""
    names = {"est": "value", "se": "se", "df": "df", "lo": "ci_low", "hi": "ci_high"}
    for key, column in names.items():
        if target == "_participants" and key == "est":
            assert row["value"] == near(expected["est"])
        elif target == "_organisations_equal" and key == "df":
            assert expected["df"] == row["n_organisations"] - 1
        else:
            assert row[column + target] == near(expected[key]), column
    for key, column in {"n": "n_answers", "n_org": "n_organisations", "n_eff_kish": "n_kish"}.items():
        if key in expected:
            assert row[column] == near(expected[key]), column


def test_only_the_respondents_are_random(place: Place) -> None:
    rows = published(place, "case1")
    agrees(rows["all", "all", "grade"], CASE1["participants_only"], "_participants")
    for channel, expected in CASE1["participants_only_by_channel"].items():
        agrees(rows["all", channel, "grade"], expected, "_participants")


def test_every_organisation_counts_once(place: Place) -> None:
    agrees(published(place, "case1")["all", "all", "grade"], CASE1["mean_of_org_means"], "_organisations_equal")


def test_design_effect_and_kish(place: Place) -> None:
    row = published(place, "case1")["all", "all", "grade"]
    assert row["design_effect"] == near(CASE1["deff_replace"])
    assert row["n_kish"] == near(CASE1["kish"]["n_eff"])
    assert row["n_answers"] / row["n_kish"] == near(CASE1["kish"]["deff_w"])
    assert row["se"] ** 2 / row["design_effect"] * row["n_answers"] == near(CASE1["wtd_variance_svyvar"])


def test_a_stratum_of_one_organisation(place: Place) -> None:
    """It is centred at the grand mean, as R's "adjust" does; "remove" and "average" are other conventions."""
    agrees(published(place, "case1_strata")["all", "all", "grade"], CASE1["stratified_total_lonely_adjust"])


@pytest.mark.parametrize("monitor", ("case1_strata", "case1_without"))
def test_sectors_as_strata(place: Place, monitor: str) -> None:
    """A sector that is a stratum does not depend on the others."""
    rows = published(place, monitor)
    for sector, expected in CASE1["by_sector_stratified"].items():
        agrees(rows[sector, "all", "grade"], expected)


def test_strata_without_the_lonely_organisation(place: Place) -> None:
    rows = published(place, "case1_without")
    agrees(rows["all", "all", "grade"], CASE1["stratified_total_without_insurer"])
    for channel, expected in CASE1["by_channel_stratified_without_insurer"].items():
        agrees(rows["all", channel, "grade"], expected)


def test_fourteen_of_forty_organisations(place: Place) -> None:
    agrees(published(place, "case1_finite")["all", "all", "grade"], CASE1["clustered_weighted_fpc40"])
