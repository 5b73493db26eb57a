"""Weighting to a population, and results per segment: against R, by hand, and what must stop a refresh.

Case 3 goes through the whole pipeline as a user's own sources, each a monitor of its own: raked to three margins,
post-stratified by one, with every weight three times as large, with respondents as the sampling unit, and with
organisations as what the population counts. See `tests/cases/README.md`.
"""

import csv
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from conftest import PROJECT, Once, Place, lines
from scipy.special import stdtrit

from pipelines import weighting

CASES = Path(__file__).with_name("cases")
EXPECTED = json.loads((CASES / "case3_expected.json").read_text())
WAVE = {"code": "wave-case-3", "start": "2024-03-01", "end": "2024-03-31"}
SECTORS = ("gov", "housing", "utility")
CHANNELS = ("email", "phone", "physical")
AGES = {"18-34": "young", "35-54": "middle", "55+": "old"}
MEASURES = {"channel_rating": "mean_grade", "recommendation": "nps"}
LISTED = (
    "weighting_code", "monitor_code", "audience_code", "period_code", "margin", "level", "population", "unit",
    "source", "source_date",
)  # fmt: skip

Rows = list[dict[str, Any]]
Population = list[tuple[Any, ...]]


def read(name: str) -> Rows:
    with (CASES / name).open(newline="") as file:
        return list(csv.DictReader(file))


def case_rows() -> Rows:
    return read("case3_grades.csv")


def near(value: float, rel: float = 1e-9) -> Any:
    return pytest.approx(value, rel=rel, abs=0)


# --- the raw folder ------------------------------------------------------------------------------


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([list(columns), *rows])


def sizes(rows: Rows) -> dict[str, str]:
    """Every other organisation is large."""
    return {org: ("small", "large")[i % 2] for i, org in enumerate(sorted({r["org_id"].lower() for r in rows}))}


def write_reference(raw: Path, monitors: Iterable[str], rows: Rows, population: Population) -> None:
    folder = raw / "reference"
    labels = ("label_en", "label_nl")
    write_csv(folder / "monitors.csv", ("monitor_code", *labels, "publisher"), [(m, m, m, "nobody") for m in monitors])
    write_csv(
        folder / "sectors.csv",
        ("sector_code", "parent_code", *labels, "sbi_code", "sbi_version", "sort_order"),
        [
            ("all", "", "All", "Alle", "", "", 0),
            ("services", "all", "Services", "Diensten", "", "", 1),
            ("gov", "all", "Government", "Overheid", "", "", 2),
            ("housing", "services", "Housing", "Wonen", "", "", 3),
            ("utility", "services", "Utilities", "Nutsbedrijven", "", "", 4),
            ("not_applicable", "all", "None", "Geen", "", "", 99),
        ],
    )
    sectors = {r["org_id"].lower(): r["sector"] for r in rows}
    write_csv(
        folder / "organisations.csv",
        ("organisation_code", "name_en", "name_nl", "sector_code", "size_class", "country_code", "valid_from"),
        [(org, org, org, sectors[org], size, "NL", "2000-01-01") for org, size in sizes(rows).items()],
    )
    with (PROJECT / "raw" / "reference" / "published_figures.csv").open() as shipped:
        write_csv(folder / "published_figures.csv", next(csv.reader(shipped)), [])  # nobody published a figure
    write_csv(folder / "population.csv", LISTED, population)


def contract_of(name: str, rows: Rows, unit: str) -> dict[str, Any]:
    return {
        "title": f"Case 3, {name}",
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
            "person": {"role": "respondent"},
            "org_id": {"role": "organisation", "values": {r["org_id"]: r["org_id"].lower() for r in rows}},
            "channel": {"role": "channel", "values": {c: c for c in CHANNELS}},
            "age": {"role": "segment", "segment": "age", "values": AGES},
            "grade": {"role": "question", "measure": "channel_rating", "channel": "row"},
            "nps_raw": {"role": "question", "measure": "recommendation", "channel": "row"},
            "base_weight": {"role": "weight"},
        },
        "discard": ["sector"],  # it comes from reference/organisations.csv
        "codes": {
            "segments": [
                {"segment": "age", "code": code, "label_en": label, "label_nl": label} for label, code in AGES.items()
            ]
        },
    }


def write_source(
    raw: Path,
    name: str,
    rows: Rows,
    unit: str = "organisation",
    change: Callable[[dict[str, Any]], Any] = lambda contract: None,
) -> None:
    rows = [{"person": r["respondent_id"]} | r for r in rows]
    contract = contract_of(name, rows, unit)
    change(contract)
    write_csv(raw / name / "case3.csv", rows[0], [row.values() for row in rows])
    (raw / name / "contract.yml").write_text(yaml.safe_dump(contract, sort_keys=False))


def margins(monitor: str, *names: str, unit: str = "customers") -> Population:
    """The margins of the case, as rows of population.csv."""
    return [
        (
            "case", monitor, "customer", WAVE["code"], "segment:age" if row["variable"] == "age" else row["variable"],
            AGES.get(row["level"], row["level"]), row["population"], unit, "made up", "2024-01-01",
        )
        for row in read("case3_margins.csv")
        if row["variable"] in names
    ]  # fmt: skip


def cells(monitor: str, margin: str, levels: dict[str, int], unit: str = "customers") -> Population:
    return [
        ("case", monitor, "customer", WAVE["code"], margin, level, n, unit, "made up", "2024-01-01")
        for level, n in levels.items()
    ]


ALL = ("sector", "channel", "age")
BY_SIZE = {"gov*small": 30, "gov*large": 20, "services*small": 25, "services*large": 60}


def heavier(rows: Rows) -> Rows:
    return [row | {"base_weight": f"{3 * float(row['base_weight']):.3f}"} for row in rows]


def returning(rows: Rows) -> Rows:
    """The same, but every third answer is of somebody who gave several, about more than one organisation."""
    return [row | {"person": f"P{i % 40}" if i % 3 == 0 else f"Q{i}"} for i, row in enumerate(rows)]


def incomplete(rows: Rows) -> Rows:
    """The same with some ages and answers left blank, and a don't-know."""
    return [
        row
        | {"age": row["age"] if i % 11 else "", "nps_raw": row["nps_raw"] if i % 7 else ""}
        | {"grade": row["grade"] if i % 13 else "99"}
        for i, row in enumerate(rows)
    ]


def grouped(contract: dict[str, Any]) -> None:
    """What is rated as a segment too: its groups are the channels then, of which the estimates are known."""
    columns = contract["columns"]
    columns["channel"] = [
        columns["channel"],
        {"role": "segment", "segment": "rated", "values": {c: c for c in CHANNELS}},
    ]
    columns["grade"]["dont_know"] = ["99"]
    contract["codes"]["segments"] += [
        {"segment": "rated", "code": code, "label_en": f"{code} (en)", "label_nl": f"{code} (nl)"} for code in CHANNELS
    ]


def grouped_drawn(contract: dict[str, Any]) -> None:
    """The same of a sample that is most of those it was drawn from."""
    grouped(contract)
    contract["sampled_from"] = {"all": 16}


def grouped_strata(contract: dict[str, Any]) -> None:
    grouped(contract)
    contract |= {"strata": "sector", "sampled_from": {"gov": 7, "housing": 4, "utility": 40}}


def uneven(rows: Rows) -> Rows:
    """All answers of two organisations and every fourth of the others: few are effective."""
    return [row for i, row in enumerate(rows) if row["org_id"] in ("O05", "O10") or i % 4 == 0]


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of all sources. Only to look at."""

    def make(folder: Path) -> None:
        raw, rows = folder / "raw", case_rows()
        names = (
            "raked", "stratified", "heavier", "people", "returning", "counted", "plain", "grouped", "grouped_people",
            "grouped_drawn", "grouped_strata",
        )  # fmt: skip
        population = [
            *margins("raked", *ALL), *margins("heavier", *ALL), *margins("people", *ALL), *margins("returning", *ALL),
            *margins("stratified", "sector"), *cells("counted", "sector*size_class", BY_SIZE, "organisations"),
            ("later", "plain", "customer", "2031", "sector", "all", 100, "customers", "made up", "2031-01-01"),
        ]  # fmt: skip
        write_reference(raw, names, rows, population)
        for name in ("raked", "stratified", "counted", "plain"):
            write_source(raw, name, rows)
        write_source(raw, "heavier", heavier(rows))
        write_source(raw, "people", rows, "respondent")
        write_source(raw, "returning", returning(rows), "respondent")
        write_source(raw, "grouped", returning(incomplete(rows)), change=grouped)
        write_source(raw, "grouped_people", returning(incomplete(rows)), "respondent", grouped)
        write_source(raw, "grouped_drawn", uneven(returning(incomplete(rows))), change=grouped_drawn)
        write_source(raw, "grouped_strata", returning(incomplete(rows)), change=grouped_strata)
        Place(folder).refresh_here()

    return Place(once("case3", make))


def part(place: Place, table: str) -> str:
    """The file of a working table, which stands in no release."""
    (file,) = (place.warehouse / "parts" / table).glob("*/data.parquet")
    return str(file)


def records(sql: str, database: Path | None = None) -> Rows:
    with duckdb.connect(str(database or ":memory:"), read_only=database is not None) as con:
        result = con.execute(sql)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def weighted(place: Place, monitor: str, measure: str = "channel_rating") -> dict[tuple[str, str], dict[str, Any]]:
    """The weighted estimates of the wave, by sector and channel."""
    rows = records(
        f"SELECT * FROM '{part(place, 'estimate.weighted_domain')}' WHERE monitor_code = '{monitor}' "
        f"AND measure_code = '{measure}' AND period_code = '{WAVE['code']}'"
    )
    return {(row["sector_code"], row["channel_code"]): row for row in rows}


def diagnostics(place: Place) -> dict[tuple[str, str | None], dict[str, Any]]:
    rows = records("SELECT * FROM meta.weighting", place.current / "benchmark.duckdb")
    return {(row["monitor_code"], row["measure_code"]): row for row in rows}


# --- against R -----------------------------------------------------------------------------------


def agrees(row: dict[str, Any], expected: dict[str, Any]) -> None:
    names = {"est": "value", "se": "se", "df": "df", "lo": "ci_low", "hi": "ci_high"}
    for key in expected:
        assert row[f"{names[key]}_weighted"] == near(expected[key]), key


@pytest.mark.parametrize("measure", MEASURES)
def test_raked_to_three_margins(place: Place, measure: str) -> None:
    expected = EXPECTED["calibrated_raking_distance"]
    row = weighted(place, "raked", measure)["all", "all"]
    agrees(row, expected[MEASURES[measure]])
    assert row["se_weighted"] < 0.7 * expected[f"{MEASURES[measure]}_se_weights_taken_as_fixed"]


@pytest.mark.parametrize("measure", MEASURES)
def test_post_stratified_by_one_margin(place: Place, measure: str) -> None:
    agrees(
        weighted(place, "stratified", measure)["all", "all"],
        EXPECTED["post_stratified_by_sector"][MEASURES[measure]],
    )


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_channel_of_the_raked_sample(place: Place, channel: str) -> None:
    agrees(weighted(place, "raked")["all", channel], EXPECTED["calibrated_by_channel"][channel])


@pytest.mark.parametrize("measure", MEASURES)
def test_the_headline_stays_unweighted(place: Place, measure: str) -> None:
    expected = EXPECTED["base"][MEASURES[measure]]
    (row,) = records(
        "SELECT * FROM mart.measure_score WHERE monitor_code = 'raked' AND sector_code = 'all' "
        f"AND channel_code = 'all' AND measure_code = '{measure}' AND period_type = 'wave'",
        place.current / "benchmark.duckdb",
    )
    assert (row["value"], row["se"], row["df"]) == (near(expected["est"]), near(expected["se"]), 12)


@pytest.mark.parametrize(
    ("monitor", "key"), [("raked", "calibrated_raking_distance"), ("stratified", "post_stratified_by_sector")]
)
def test_what_the_weights_are_like(place: Place, monitor: str, key: str) -> None:
    expected = EXPECTED[key]
    row = diagnostics(place)[monitor, "channel_rating"]
    assert row["status"] == "used"
    assert (row["n_answers"], row["population"]) == (349, 100_000)
    assert row["margins"] == ("channel, sector, segment:age" if monitor == "raked" else "sector")
    assert row["n_cells"] == len({tuple(r[m] for m in ALL[: len(row["margins"].split(","))]) for r in case_rows()})
    for column, name in (
        ("min_weight", "min_w"), ("max_weight", "max_w"), ("n_kish", "kish_n_eff"), ("deff_w", "kish_deff"),
    ):  # fmt: skip
        assert row[column] == near(expected[name]), column
    weights = [f for f in weights_of_r(key)]
    assert row["median_weight"] == near(float(np.median(weights)))
    assert row["max_to_median"] == near(max(weights) / float(np.median(weights)))
    assert row["error_before"] > 0.01 and row["error_after"] < 1e-12
    assert row["sweeps"] == (1 if monitor == "stratified" else row["sweeps"]) and 1 <= row["sweeps"] <= 20
    assert (row["is_uneven"], row["is_extreme"]) == (False, False)


def weights_of_r(key: str) -> list[float]:
    """The weights by hand: the factor of each respondent by raking respondents, not cells."""
    names = ALL if key.startswith("calibrated") else ("sector",)
    w = np.array([float(r["base_weight"]) for r in case_rows()])
    return [float(x) for x in raked_by_hand(w, names)]


def raked_by_hand(w: Any, names: Iterable[str]) -> Any:
    rows = case_rows()
    for _ in range(200):
        for name in names:
            for m in read("case3_margins.csv"):
                if m["variable"] == name:
                    there = np.array([r[name] == m["level"] for r in rows])
                    w = np.where(there, w * float(m["population"]) / w[there].sum(), w)
    return w


# --- by hand -------------------------------------------------------------------------------------


def linearised(base: Any, w: Any, y: Any, inside: Any, dummies: Any) -> tuple[float, Any]:
    """The estimate of a domain, and what every answer adds to its error, by a regression over answers."""
    r = float((w * y)[inside].sum() / w[inside].sum())
    u = np.where(inside, y - r, 0.0)
    root = np.sqrt(base)
    beta = np.linalg.lstsq(dummies * root[:, None], u * root, rcond=None)[0]
    return r, w * (u - dummies @ beta) / w[inside].sum()


def dummies_of(names: Iterable[str]) -> Any:
    rows = case_rows()
    return np.array([[float(r[n] == level) for n in names for level in sorted({q[n] for q in rows})] for r in rows])


@pytest.mark.parametrize("monitor", ["people", "returning"])
@pytest.mark.parametrize("measure", MEASURES)
def test_respondents_as_the_sampling_unit(place: Place, monitor: str, measure: str) -> None:
    rows = case_rows()
    base = np.array([float(r["base_weight"]) for r in rows])
    if measure == "channel_rating":
        y = np.array([float(r["grade"]) for r in rows])
    else:
        y = np.array([100.0 * ((int(r["nps_raw"]) >= 9) - (int(r["nps_raw"]) <= 6)) for r in rows])
    people = [r.get("person", r["respondent_id"]) for r in (rows if monitor == "people" else returning(rows))]
    found = weighted(place, monitor, measure)
    for sector, channel in (("all", "all"), ("gov", "all"), ("services", "all"), ("all", "email"), ("gov", "phone")):
        inside = np.array([
            sector in ("all", r["sector"]) or (sector == "services" and r["sector"] != "gov") for r in rows
        ]) & np.array([channel in ("all", r["channel"]) for r in rows])  # fmt: skip
        value, z = linearised(base, raked_by_hand(base, ALL), y, inside, dummies_of(ALL))
        clusters = {person: 0.0 for person in people}
        for person, one in zip(people, z, strict=True):
            clusters[person] += float(one)
        each = np.array(list(clusters.values()))
        n = len(each)
        se = math.sqrt(n / (n - 1) * float(((each - each.mean()) ** 2).sum()))
        df = len({p for p, there in zip(people, inside, strict=True) if there}) - 1
        agrees(found[sector, channel], {"est": value, "se": se, "df": df})


def test_the_population_counts_organisations(place: Place) -> None:
    """Cells of sector and size, the sectors at two levels of the tree; every organisation enters with weight 1."""
    rows = case_rows()
    size = sizes(rows)
    orgs = sorted(size)
    of = {r["org_id"].lower(): "gov" if r["sector"] == "gov" else "services" for r in rows}
    w = {o: sum(float(r["base_weight"]) for r in rows if r["org_id"].lower() == o) for o in orgs}
    t = {o: sum(float(r["base_weight"]) * float(r["grade"]) for r in rows if r["org_id"].lower() == o) for o in orgs}
    cell = {o: f"{of[o]}*{size[o]}" for o in orgs}
    assert set(cell.values()) == set(BY_SIZE)
    factor = {c: BY_SIZE[c] / sum(1 for o in orgs if cell[o] == c) for c in BY_SIZE}
    mean = {o: t[o] / w[o] for o in orgs}
    total = sum(BY_SIZE.values())
    value = sum(factor[cell[o]] * mean[o] for o in orgs) / total
    within = {c: np.mean([mean[o] for o in orgs if cell[o] == c]) for c in BY_SIZE}
    z = np.array([factor[cell[o]] * (mean[o] - within[cell[o]]) / total for o in orgs])
    m = len(orgs)
    se = math.sqrt(m / (m - 1) * float(((z - z.mean()) ** 2).sum()))
    agrees(weighted(place, "counted")["all", "all"], {"est": value, "se": se, "df": m - 1})

    weights = [factor[cell[o]] for o in orgs]
    row = diagnostics(place)["counted", "channel_rating"]
    assert (row["unit"], row["population"], row["sweeps"], row["n_cells"]) == ("organisations", total, 1, 4)
    assert row["min_weight"] == near(min(weights)) and row["max_weight"] == near(max(weights))
    assert row["median_weight"] == near(float(np.median(weights)))
    assert row["n_kish"] == near(sum(weights) ** 2 / sum(f * f for f in weights))
    assert row["deff_w"] == near(m / row["n_kish"])


def test_a_period_without_data_is_told_and_nothing_more(place: Place) -> None:
    row = diagnostics(place)["plain", None]
    assert (row["status"], row["period_code"], row["source"]) == ("no_data", "2031", "made up")
    assert row["min_weight"] is row["sweeps"] is None
    assert weighted(place, "plain") == {}


def test_every_weight_three_times(place: Place) -> None:
    for measure in MEASURES:
        plain, other = weighted(place, "raked", measure), weighted(place, "heavier", measure)
        assert plain.keys() == other.keys() and len(plain) == 5 * 4
        for key, row in plain.items():
            for column, value in row.items():
                if isinstance(value, float):
                    assert other[key][column] == near(value, 1e-11), (key, column)
                elif column != "monitor_code":
                    assert other[key][column] == value
    one, three = diagnostics(place)["raked", "recommendation"], diagnostics(place)["heavier", "recommendation"]
    for column in ("min_weight", "median_weight", "max_weight", "n_kish", "deff_w", "error_before"):
        assert three[column] == near(one[column], 1e-11)


# --- what stops a refresh ------------------------------------------------------------------------


def refused(tmp_path: Path, population: Population, rows: Rows | None = None, **more: Any) -> str:
    place, rows = Place(tmp_path), rows or case_rows()
    write_reference(place.raw, ("raked",), case_rows(), population)
    write_source(place.raw, "raked", rows, **more)
    said = "\n".join(lines(place.refresh("--select", "estimate.weighting_cell", status=1)))
    assert "reference/population.csv, weighting 'case'" in said
    return said


def without(population: Population, level: str) -> Population:
    return [row for row in population if row[5] != level]


def replaced(population: Population, level: str, *cells: Any) -> Population:
    """The list with other cells, from the level on, in the row of a level."""
    return [(*row[:5], *cells, *row[5 + len(cells) :]) if row[5] == level else row for row in population]


def test_an_empty_cell_with_people(tmp_path: Path) -> None:
    rows = [r for r in case_rows() if r["sector"] != "gov" or r["channel"] != "email"]
    population = cells(
        "raked",
        "channel*sector",
        {f"{c}*{s}": 10 for c in CHANNELS for s in SECTORS},
    )
    said = refused(tmp_path, population, rows)
    assert "margin 'channel*sector', level 'email*gov'" in said and "no valid answer" in said
    assert "channel_rating" in said


def test_a_weighting_that_fails_publishes_nothing(tmp_path: Path) -> None:
    place, rows = Place(tmp_path), [r for r in case_rows() if r["sector"] != "gov"]
    write_reference(place.raw, ("raked", "plain"), case_rows(), margins("raked", "sector"))
    for name in ("raked", "plain"):
        write_source(place.raw, name, rows)
    said = "\n".join(lines(place.refresh(status=1)))
    assert "reference/population.csv, weighting 'case', margin 'sector', level 'gov': counts 42,000" in said
    assert ".sql" not in said and "Error" not in said
    assert not place.current.exists()


def test_an_empty_cell_without_people_is_fine(tmp_path: Path) -> None:
    rows = [r for r in case_rows() if r["sector"] != "gov" or r["channel"] != "email"]
    population = cells(
        "raked", "channel*sector", {f"{c}*{s}": 10 * ((c, s) != ("email", "gov")) for c in CHANNELS for s in SECTORS}
    )
    place = Place(tmp_path)
    write_reference(place.raw, ("raked",), case_rows(), population)
    write_source(place.raw, "raked", rows)
    place.refresh("--select", "estimate.weighting_cell")
    assert len(records(f"FROM '{part(place, 'estimate.weighting_cell')}'")) == 2 * 8


def test_a_level_that_the_list_lacks(tmp_path: Path) -> None:
    population = replaced(without(margins("raked", "sector"), "utility"), "gov", "gov", 67000)
    said = refused(tmp_path, population)
    assert "margin 'sector', level 'utility'" in said and "the list does not" in said


def test_a_level_that_counts_nobody_but_answers(tmp_path: Path) -> None:
    said = refused(
        tmp_path, replaced(replaced(margins("raked", "sector"), "gov", "gov", 0), "housing", "housing", 75000)
    )
    assert "margin 'sector', level 'gov'" in said and "counts nobody" in said


def test_margins_with_different_totals(tmp_path: Path) -> None:
    said = refused(tmp_path, replaced(margins("raked", *ALL), "young", "young", 30001))
    assert "margin 'segment:age'" in said and "100,001" in said and "100,000" in said


def test_an_answer_without_a_level(tmp_path: Path) -> None:
    rows = case_rows()
    rows[7] = rows[7] | {"age": ""}
    said = refused(tmp_path, margins("raked", *ALL), rows)
    assert "margin 'segment:age'" in said and "have no segment:age" in said


def test_a_blank_may_be_a_level_of_its_own(tmp_path: Path) -> None:
    """What the sentence of the test above asks for."""
    rows = [r | {"age": r["age"] if i % 5 else ""} for i, r in enumerate(case_rows())]
    place = Place(tmp_path)
    population = cells("raked", "segment:age", {"young": 30, "middle": 30, "old": 30, "unknown": 10})
    write_reference(place.raw, ("raked",), rows, population)

    def change(contract: dict[str, Any]) -> None:
        contract["columns"]["age"]["values"] = AGES | {"": "unknown"}
        contract["codes"]["segments"].append(
            {"segment": "age", "code": "unknown", "label_en": "Unknown", "label_nl": "Onbekend"}
        )

    write_source(place.raw, "raked", rows, change=change)
    place.refresh("--select", "estimate.weighting_cell")
    found = records(f"FROM '{part(place, 'estimate.weighting_cell')}' WHERE measure_code = 'channel_rating'")
    assert {row["cell_code"]: row["n_answers"] for row in found}["unknown"] == 70
    assert {row["cell_code"]: round(row["base_weight"] * row["factor"], 9) for row in found} == {
        "young": 30, "middle": 30, "old": 30, "unknown": 10,
    }  # fmt: skip


def test_margins_that_cannot_be_met_together(tmp_path: Path) -> None:
    """E-mail is rated in government only, but counts more people than government has."""
    rows = [r for r in case_rows() if (r["channel"] == "email") == (r["sector"] == "gov")]
    population = cells("raked", "sector", {"gov": 10, "housing": 45, "utility": 45})
    population += cells("raked", "channel", {"email": 60, "phone": 20, "physical": 20})
    said = refused(tmp_path, population, rows)
    assert "500 sweeps" in said and "margin '" in said and "level '" in said


def test_weights_above_zero_only() -> None:
    """An answer that weighs nothing is refused with its row, so this must be shown to the function itself."""
    cell = [{"levels": ["a"], "weight": 0.0}, {"levels": ["b"], "weight": 1.0}]
    target = [{"margin": 1, "level": level, "population": 5} for level in "ab"]
    raked = weighting.rake("case", ["sector"], cell, target)
    assert raked["factors"] is None
    assert "weighting 'case', margin 'sector', level 'a'" in raked["fault"] and "above 0" in raked["fault"]


def test_organisations_that_are_counted_must_be_named(tmp_path: Path) -> None:
    def nameless(contract: dict[str, Any]) -> None:
        del contract["columns"]["org_id"]
        contract["discard"] = ["org_id"]
        contract["columns"]["sector"] = {"role": "sector", "values": {s: s for s in SECTORS}}

    said = refused(tmp_path, margins("raked", "sector", unit="organisations"), unit="respondent", change=nameless)
    assert "counts organisations" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: replaced(p, "gov", "goverment"), "'goverment' is no code of sector"),
        (lambda p: replaced(p, "gov", "gov*small"), "has 1 codes"),
        (lambda p: replaced(p, "gov", "gov", "4e4"), "'4e4' is not a whole number"),
        (lambda p: replaced(p, "gov", "gov", 42000, "voters"), "unit 'voters'"),
        (lambda p: replaced(p, "gov", "gov", 42000, "respondents"), "the unit is customers and respondents"),
        (lambda p: replaced(p, "gov", "gov", 42000, "customers", ""), "source is blank"),
        (lambda p: replaced(p, "gov", "gov", 42000, "customers", "made up", "1-1-2024"), "source_date"),
        (lambda p: [*p, p[0]], "more than once"),
        (lambda p: [(*row[:4], "region", *row[5:]) for row in p], "'region' is nothing"),
        (lambda p: [(*row[:4], "segment:region", *row[5:]) for row in p], "'segment:region' is nothing"),
        (lambda p: [*p, *[("case", *r[1:4], "sector*sector", "gov*gov", *r[6:]) for r in p[:1]]], "same thing twice"),
        (lambda p: [*p, *[("other", *row[1:]) for row in p]], "is weighted by 'case' already"),
        (lambda p: [(*row[:6], 0, *row[7:]) for row in p], "adds up to nothing"),
    ],
)
def test_a_list_that_is_not_in_order(tmp_path: Path, change: Callable[[Population], Population], said: str) -> None:
    place = Place(tmp_path)
    write_reference(place.raw, ("raked",), case_rows(), change(margins("raked", "sector")))
    write_source(place.raw, "raked", case_rows())
    ran = place.meetlat("check")
    assert ran.returncode == 1
    assert "reference/population.csv, weighting '" in ran.stderr and said in ran.stderr.replace("\n", " ")


# --- segments ------------------------------------------------------------------------------------


@pytest.mark.parametrize("monitor", ["grouped", "grouped_people", "grouped_drawn", "grouped_strata"])
def test_a_group_is_estimated_like_any_domain(place: Place, monitor: str) -> None:
    """The groups of `rated` are the channels: every figure is that of the channel itself."""
    release = place.current / "benchmark.duckdb"
    rows = records(
        f"SELECT * FROM mart.segment_score WHERE monitor_code = '{monitor}' AND segment_type = 'rated' "
        "AND channel_code = 'all'",
        release,
    )
    scores = records(
        f"SELECT * FROM mart.measure_score WHERE monitor_code = '{monitor}' AND channel_code <> 'all'", release
    )
    keys = ("period_code", "sector_code", "measure_code")
    known = {(*(score[key] for key in keys), score["channel_code"]): score for score in scores}
    assert len(rows) == len(known) >= 5 * 3 * 2
    same = (
        "value", "n_answers", "n_respondents", "n_organisations", "n_dont_know", "n_blank", "se", "df", "ci_low",
        "ci_high", "ci_method", "obs_status", "sum_w", "sum_wy", "statistic", "unit", "period_type", "provenance",
        "se_cr2", "df_cr2", "n_kish", "n_organisations_effective", "largest_organisation_share", "promoter_share",
        "passive_share", "detractor_share",
    )  # fmt: skip
    for row in rows:
        for column in same:
            expected = known[*(row[key] for key in keys), row["segment_code"]][column]
            assert row[column] == (near(expected, 1e-12) if isinstance(expected, float) else expected), column
    assert {row["segment_label_en"] for row in rows} == {f"{c} (en)" for c in CHANNELS}
    assert any(row["ci_method"] == "t_cr2" for row in rows) or monitor != "grouped_drawn"
    assert max(row["n_answers"] - row["n_respondents"] for row in rows) > (0 if monitor == "grouped_drawn" else 5)
    assert sum(row["n_dont_know"] for row in rows) > 0 and sum(row["n_blank"] for row in rows) > 0


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("age", AGES)
def test_an_age_class_by_hand(place: Place, age: str, measure: str) -> None:
    """From the answers: the value, both errors with what respondents of several organisations add, and the bases."""
    cell = {"channel_rating": "grade", "recommendation": "nps_raw"}[measure]
    sample = [r for r in returning(incomplete(case_rows())) if r[cell] not in ("", "99")]
    rows = [r for r in sample if r["age"] == age]
    w = np.array([float(r["base_weight"]) for r in rows])
    y = np.array([float(r[cell]) for r in rows])
    shares = {}
    if measure == "recommendation":
        y = np.where(y >= 9, 100.0, np.where(y <= 6, -100.0, 0.0))
        shares = {100.0: "promoter_share", 0.0: "passive_share", -100.0: "detractor_share"}
    r = float((w * y).sum() / w.sum())

    def by(*keys: str) -> tuple[Any, Any, float]:
        """z and share of the weight of every cluster of the group, and g / (g - 1) of those of the sample."""
        cluster = [tuple(row[k] for k in keys) for row in rows]
        inside = [np.array([c == one for c in cluster]) for one in sorted(set(cluster))]
        g = len({tuple(row[k] for k in keys) for row in sample})
        z, h = (np.array([float((x * i).sum() / w.sum()) for i in inside]) for x in (w * (y - r), w))
        return z, h, g / (g - 1)

    (z, h, factor), person, pair = by("org_id"), by("person"), by("person", "org_id")
    q = h**2 / (1 - h)
    shared = 0.0  # where nobody of the group rated two organisations
    if len(pair[0]) > len(person[0]):
        shared = person[2] * (person[0] ** 2).sum() - pair[2] * (pair[0] ** 2).sum()
    expected = {
        "value": r, "se": math.sqrt(factor * (z**2).sum() + shared), "df": len(z) - 1,
        "se_cr2": math.sqrt((z**2 / (1 - h)).sum() + shared),
        "df_cr2": 1 / ((h**2).sum() + q.sum() ** 2 - (q**2).sum()),
        "n_kish": w.sum() ** 2 / (w**2).sum(), "n_organisations_effective": 1 / (h**2).sum(),
        "largest_organisation_share": h.max(),
        **{column: 100 * w[y == score].sum() / w.sum() for score, column in shares.items()},
    }  # fmt: skip
    (row,) = records(
        f"SELECT * FROM mart.segment_score WHERE monitor_code = 'grouped' AND segment_code = '{AGES[age]}' "
        f"AND sector_code = 'all' AND channel_code = 'all' AND measure_code = '{measure}' AND period_type = 'wave'",
        place.current / "benchmark.duckdb",
    )
    assert (row["n_answers"], row["n_respondents"]) == (len(rows), len({r["person"] for r in rows}))
    for column, value in expected.items():
        assert row[column] == near(float(value)), column
    if not shares:
        assert [row[c] for c in ("promoter_share", "passive_share", "detractor_share")] == [None] * 3
    assert (row["segment_type"], row["segment_label_nl"]) == ("age", age)


def test_the_interval_of_a_group_is_made_of_what_is_published(place: Place) -> None:
    """With se_cr2 and df_cr2 where ci_method says so."""
    rows = records(
        "SELECT * FROM mart.segment_score WHERE ci_method LIKE 't%'", place.current / "benchmark.duckdb"
    )  # grades and scores; no case asks for a share
    corrected = [row for row in rows if row["ci_method"] == "t_cr2"]
    assert 0 < len(corrected) < len(rows)
    for row in rows:
        cr2 = "_cr2" if row["ci_method"] == "t_cr2" else ""
        half = float(stdtrit(float(row[f"df{cr2}"]), 0.975)) * row[f"se{cr2}"]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((row["value"] - half, row["value"] + half), rel=1e-9)


def test_segments_of_a_response(place: Place) -> None:
    """Joined in the order of their names; a blank is no group, and a survey without segments has none."""
    found = place.query(
        "SELECT DISTINCT segment_code FROM core.fct_answer WHERE source_code = 'grouped' ORDER BY 1 NULLS FIRST"
    )
    every = [f"age={age}|rated={channel}" for age in AGES.values() for channel in CHANNELS]
    assert {code for (code,) in found} == {*every, *(f"rated={channel}" for channel in CHANNELS)}
    assert place.query(
        "SELECT segment_type, segment_code, label_en FROM core.dim_segment WHERE segment_type = 'age' "
        "ORDER BY sort_order"
    ) == [("age", code, label) for label, code in AGES.items()]


def test_without_segments_there_is_no_group(built: Place) -> None:
    assert built.query("SELECT count(*) FROM mart.segment_score", "benchmark.duckdb") == [(0,)]
    assert built.query("SELECT DISTINCT segment_code FROM cube.score_counts") == [(None,)]


def test_an_unknown_group_refuses_its_row(tmp_path: Path) -> None:
    place, rows = Place(tmp_path), case_rows()
    rows[3] = rows[3] | {"age": "about 30"}
    rows[4] = rows[4] | {"age": " 18-34 "}
    write_reference(place.raw, ("raked",), rows, [])
    write_source(place.raw, "raked", rows)
    place.refresh_here()
    assert place.query("SELECT rows_accepted, rows_refused FROM meta.delivery") == [(len(rows) - 1, 1)]
    assert place.query("SELECT DISTINCT reason FROM meta.quarantine") == [("unknown_segment",)]
    assert "`values` of the segment column" in place.meetlat("quarantine", "raked").stdout.replace("\n", " ")


def two_at_once(contract: dict[str, Any]) -> None:
    contract["columns"]["channel"] = [
        contract["columns"]["channel"], {"role": "segment", "segment": "age", "values": {"email": "young"}}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (two_at_once, "the segments ['age'] stand at more than one column each"),
        (lambda c: c["columns"]["age"]["values"].update({"16": "teen"}), "the age 'teen' has no labels; add it to"),
        (lambda c: c["columns"]["age"].pop("segment"), "age.segment.segment: is missing"),
        (lambda c: c["columns"]["age"].update(values={"18-34": "a=b"}), "age.segment.values.18-34"),
        (lambda c: c["codes"]["segments"][0].update(label_en="Youth"), "other labels than another contract"),
    ],
)
def test_segments_that_are_not_in_order(tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    place = Place(tmp_path)
    write_reference(place.raw, ("raked", "another"), case_rows(), [])
    write_source(place.raw, "another", case_rows())
    write_source(place.raw, "raked", case_rows(), change=change)
    ran = place.meetlat("check")
    assert ran.returncode == 1
    assert said in " ".join(ran.stderr.split())


def test_who_is_in_a_sector_with_sectors_below_it_would_be_in_none_of_these(tmp_path: Path) -> None:
    place = Place(tmp_path)
    write_reference(place.raw, ("raked",), case_rows(), [])
    write_source(place.raw, "raked", case_rows())
    assert place.meetlat("check").returncode == 0
    file = place.raw / "reference" / "organisations.csv"
    lines = file.read_text().splitlines()
    first = lines[1].split(",")
    column = lines[0].split(",").index("sector_code")
    file.write_text("\n".join([lines[0], ",".join([*first[:column], "all", *first[column + 1 :]]), *lines[2:], ""]))
    ran = place.meetlat("check")
    assert ran.returncode == 1
    assert (
        f"reference/organisations.csv, {first[0]}: sector_code 'all' has sectors below it in reference/sectors.csv; "
        "name one of these" in " ".join(ran.stderr.split())
    )
