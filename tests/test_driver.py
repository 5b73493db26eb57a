"""Mart `driver` against R's survey package and against plain Python, from respondent rows to the published table.

One case is kept in `tests/cases/`: the same responses go through as several sources, each a monitor of its own,
that differ in what was sampled and in whether respondents are recognised.
"""

import csv
import json
import math
import random
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT, Once, Place

CASES = Path(__file__).with_name("cases")
SECTORS = ("gov", "housing", "utility")
QUESTIONS = ("phone", "email", "complaint", "recommendation")
DRIVERS = {
    "phone": ("channel_rating", "phone"),
    "email": ("channel_rating", "email"),
    "complaint": ("complaint_handling", "not_applicable"),
}
WAVE = {"code": "wave-driver", "start": "2024-03-01", "end": "2024-03-31"}
HEADING = ("response", "respondent", "org", "sector", *QUESTIONS, "weight")
# the sources: what was sampled, whether respondents are recognised, and the design that R has for it
DESIGNS = {
    "organisation": ("organisation", False),
    "stratified": ("organisation", False),
    "finite": ("organisation", False),
    "shared": ("organisation", True),
    "response": ("respondent", False),
    "respondent": ("respondent", True),
}

DRAWN_FROM = {"gov": 5, "housing": 8, "utility": 30}  # of the design finite: of one sector all took part

Rows = list[dict[str, str]]


# --- the raw folder ------------------------------------------------------------------------------


def invented(seed: int) -> Rows:
    """Responses of 16 organisations of uneven size, some of respondents who rate several."""
    rng = random.Random(seed)
    rows: Rows = []
    for org in range(16):
        level = rng.gauss(7, 0.6)
        for _ in range(6 + int(rng.lognormvariate(2, 0.8))):
            mood = rng.gauss(level, 1.2)
            grade = {q: min(10, max(1, round(2 * rng.gauss(mood, 1.3)) / 2)) for q in QUESTIONS[:3]}
            grade["complaint"] = round(grade["complaint"])
            grade["recommendation"] = min(10, max(0, round(0.5 * grade["phone"] + 0.2 * mood + rng.gauss(2, 1.5))))
            back = rows and rng.random() < 0.2
            row = {
                "response": f"r{len(rows):04}",
                "respondent": rng.choice(rows)["respondent"] if back else f"k{len(rows):04}",
                "org": f"o{org:02}",
                "sector": SECTORS[org % 3 if org else 2],
                **{q: "" if rng.random() < 0.05 else f"{g:g}" for q, g in grade.items()},
                "weight": f"{rng.lognormvariate(0, 0.4):.3f}",
            }
            if org == 15:
                row["recommendation"] = ""  # an organisation of the design that is in no regression
            rows.append(row)
    return rows


def write_csv(path: Path, rows: Rows, heading: tuple[str, ...] = HEADING) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, heading, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def write_reference(
    raw: Path, monitors: list[str], organisations: dict[str, str], drivers: list[tuple[str, ...]]
) -> None:
    folder = raw / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    sectors = [("all", "", "All", "Alle", "", "", 0), ("not_applicable", "all", "None", "Geen", "", "", 99)]
    sectors += [(code, "all", code, code, "", "", 10) for code in sorted(set(organisations.values()))]
    lists: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
        "monitors": ("monitor_code,label_en,label_nl,publisher", [(m, m, m, "nobody") for m in monitors]),
        "sectors": ("sector_code,parent_code,label_en,label_nl,sbi_code,sbi_version,sort_order", sectors),
        "organisations": (
            "organisation_code,name_en,name_nl,sector_code,size_class,country_code,valid_from",
            [(o, o, o, sector, "small", "NL", "2000-01-01") for o, sector in sorted(organisations.items())],
        ),
        "published_figures": ((PROJECT / "raw/reference/published_figures.csv").read_text().splitlines()[0], []),
        "drivers": ((PROJECT / "raw/reference/drivers.csv").read_text().splitlines()[0], drivers),
    }
    for name, (heading, rows) in lists.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([heading.split(","), *rows])


def grid_set(monitor: str) -> list[tuple[str, ...]]:
    outcome = ("recommendation", "not_applicable")
    return [(monitor, monitor, "customer", *outcome, *driver) for driver in DRIVERS.values()]


def contract(monitor: str, unit: str, columns: dict[str, Any], discard: list[str], **more: Any) -> dict[str, Any]:
    return {
        "title": f"Drivers, {monitor}",
        "monitor": monitor,
        "audience": "customer",
        "country": "NL",
        "provenance": "synthetic",
        "controller": "Meetlat tests",
        "purpose": "comparison with R",
        "licence": "MIT",
        "sampling_unit": unit,
        **more,
        "wave": WAVE,
        "files": "*.csv",
        "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ","},
        "delivery": {"mode": "append", "order": r"part(\d)"},
        "columns": columns,
        "discard": discard,
    }


def write_contract(raw: Path, source: str, document: dict[str, Any]) -> None:
    (raw / source).mkdir(parents=True, exist_ok=True)
    (raw / source / "contract.yml").write_text(yaml.safe_dump(document, sort_keys=False))


def write_source(raw: Path, design: str, rows: Rows, pieces: int, **more: dict[str, str]) -> None:
    unit, recognised = DESIGNS[design]
    columns: dict[str, Any] = {
        "response": {"role": "response"},
        "org": {"role": "organisation"},
        **{q: {"role": "question", "measure": m, "channel": c} for q, (m, c) in DRIVERS.items()},
        "recommendation": {"role": "question", "measure": "recommendation"},
        "weight": {"role": "weight"},
        **more,
    }
    columns["complaint"].pop("channel")
    if recognised:
        columns["respondent"] = {"role": "respondent"}
    said: dict[str, Any] = {"strata": "sector"} if design in ("stratified", "finite") else {}
    if design == "finite":
        said["sampled_from"] = DRAWN_FROM
    discard = ["sector"] if recognised else ["respondent", "sector"]
    document = contract(design, unit, columns, discard, **said)
    if more:
        document.pop("wave")
    write_contract(raw, design, document)
    for piece in range(pieces):
        write_csv(raw / design / f"part{piece + 1}.csv", rows[piece::pieces], (*HEADING, *more))


def write_designs(raw: Path, rows: Rows, pieces: int = 1, **more: dict[str, str]) -> None:
    """One source a design. `more` are further columns."""
    write_reference(
        raw,
        list(DESIGNS),
        {row["org"]: row["sector"] for row in rows},
        [row for name in DESIGNS for row in grid_set(name)],
    )
    for name in DESIGNS:
        write_source(raw, name, rows, pieces, **more)


def case_rows() -> Rows:
    with (CASES / "driver_responses.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of the kept case under every design. Only to look at."""

    def make(folder: Path) -> None:
        write_designs(folder / "raw", case_rows())
        Place(folder).refresh_here()

    return Place(once("driver", make))


def found(place: Place, driver_set: str, period: str = WAVE["code"]) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of a set in mart.driver, by measure and channel of the driver."""
    columns = [name for (name,) in place.query("SELECT column_name FROM (DESCRIBE mart.driver)", "benchmark.duckdb")]
    where = f"driver_set_code = '{driver_set}' AND period_code = '{period}'"
    rows = place.query(f"SELECT {', '.join(columns)} FROM mart.driver WHERE {where}", "benchmark.duckdb")
    listed = [dict(zip(columns, row, strict=True)) for row in rows]
    return {(row["driver_measure_code"], row["driver_channel_code"]): row for row in listed}


def near(value: float) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-12)


def agrees(place: Place, driver_set: str, expected: dict[str, dict[str, float]], period: str = WAVE["code"]) -> None:
    rows = found(place, driver_set, period)
    assert rows.keys() == set(DRIVERS.values())
    for driver, values in expected.items():
        for column, value in values.items():
            assert rows[DRIVERS[driver]][column] == near(value), (driver_set, driver, column)


# --- against R -----------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
def test_as_r_has_it(place: Place, design: str) -> None:
    agrees(place, design, json.loads((CASES / "driver_expected.json").read_text())[design])


@pytest.mark.oracle
def test_random_designs_as_r_has_them(tmp_path: Path) -> None:
    """Six sets of invented responses, each in a year of its own, under six designs."""
    place, years = Place(tmp_path / "place"), range(2001, 2007)
    rows: Rows = []
    for year in years:
        ours = invented(year)
        write_csv(tmp_path / f"{year}.csv", ours)
        rows += [
            row | {k: f"{year}{row[k]}" for k in ("response", "respondent")} | {"day": f"{year}-03-01"} for row in ours
        ]
    write_designs(place.raw, rows, day={"role": "date", "format": "iso"})
    place.refresh_here()
    for year in years:
        command = ["Rscript", str(CASES / "driver.R"), str(tmp_path / f"{year}.csv")]
        expected = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for design in DESIGNS:
            agrees(place, design, expected[design], str(year))


# --- by hand, from the rows ----------------------------------------------------------------------


def test_by_hand(place: Place) -> None:
    """Coefficients, two-way errors and those of a known number by matrices of all complete responses."""
    rows = [row for row in case_rows() if all(row[q] for q in QUESTIONS)]
    w = np.array([float(row["weight"]) for row in rows])
    values = np.array([[float(row[q]) for q in QUESTIONS] for row in rows])
    centred = values - w @ values / w.sum()
    z = centred / np.sqrt(w @ centred**2 / w.sum())
    x, y = z[:, :3], z[:, 3]
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    beta = bread @ (x.T @ (w * y))
    d = (bread @ (x * (w * (y - x @ beta))[:, None]).T).T

    def spread(*keys: str) -> np.ndarray:
        cluster = [tuple(row[k] for k in keys) for row in rows]
        return sum(d[[c == one for c in cluster]].sum(axis=0) ** 2 for one in set(cluster))

    strata: dict[str, set[str]] = {}
    for row in case_rows():
        if any(row[q] for q in QUESTIONS):
            strata.setdefault(row["sector"], set()).add(row["org"])
    finite = np.zeros(3)
    for sector, took_part in strata.items():
        each = np.array([d[[r["org"] == org for r in rows]].sum(axis=0) for org in sorted(took_part)])
        n = len(each)
        finite += (1 - n / DRAWN_FROM[sector]) * n / (n - 1) * ((each - each.mean(axis=0)) ** 2).sum(axis=0)
    m = sum(map(len, strata.values()))
    variance = m / (m - 1) * spread("org") + spread("respondent") - spread("org", "respondent")
    for i, driver in enumerate(("phone", "email", "complaint")):
        row = found(place, "shared")[DRIVERS[driver]]
        assert row["beta"] == near(beta[i])
        assert row["se"] == near(math.sqrt(variance[i]))
        assert found(place, "finite")[DRIVERS[driver]]["se"] == near(math.sqrt(finite[i]))
        assert row["r"] == near((w * x[:, i] * y).sum() / w.sum())
        assert row["n_responses"] == len(rows) < len(case_rows())  # listwise
        assert row["n_respondents"] == len({r["respondent"] for r in rows}) < len(rows)
        assert row["n_organisations"] == m - 1  # one is in the design only
        assert row["n_organisations"] - 1 - len(DRIVERS) == row["df"]
        size = [sum(w[[r["org"] == org for r in rows]]) for org in {r["org"] for r in rows}]
        assert row["n_organisations_effective"] == near(sum(size) ** 2 / sum(s * s for s in size))
    assert math.isclose(row["r_squared"], 1 - (w * (y - x @ beta) ** 2).sum() / (w * y * y).sum(), rel_tol=1e-9)


def test_who_is_a_cluster_changes_the_error_and_nothing_else(place: Place) -> None:
    rows = [found(place, design)["channel_rating", "phone"] for design in DESIGNS]
    assert len({row["beta"] for row in rows}) == len({row["r"] for row in rows}) == 1
    assert len({row["se"] for row in rows}) == len(rows)
    assert {row["sampling_unit"] for row in rows[:4]} == {"organisation"}
    assert [row["n_organisations"] is None for row in rows] == [False] * 4 + [True] * 2
    assert {row["provenance"] for row in rows} == {"synthetic"}
    assert all("generator" in row["note"] for row in rows)


def test_a_wave_is_in_its_year(place: Place) -> None:
    wave, year = (found(place, "shared", period)["channel_rating", "email"] for period in (WAVE["code"], "2024"))
    keys = ("period_code", "period_type", "period_start", "period_end")
    assert {k: v for k, v in wave.items() if k not in keys} == {k: v for k, v in year.items() if k not in keys}


# --- what is refused -----------------------------------------------------------------------------


def test_refusals(tmp_path: Path) -> None:
    """Each monitor is short of something; the row says what, and holds no estimate that would need it."""
    place, heading = Place(tmp_path), ("response", "org", "x", "y")
    rng = random.Random(7)

    def responses(orgs: int, each: int, x: Any, y: Any) -> Rows:
        return [
            {"response": f"r{i}_{k}", "org": f"o{i:02}", "x": f"{(g := x()):g}", "y": f"{y(g):g}"}
            for i in range(orgs)
            for k in range(each)
        ]

    def any_grade() -> int:
        return rng.randint(3, 9)

    def noisy(g: int) -> int:
        return max(1, min(10, g + rng.randint(-2, 2)))

    cases = {
        "too_few_respondents": responses(29, 1, any_grade, noisy),
        "too_few_organisations": responses(9, 8, any_grade, noisy),
        "no_variation": responses(12, 4, lambda: 7, lambda _: rng.randint(1, 10)),
        "collinear": responses(12, 4, any_grade, noisy),
        "perfect_fit": responses(12, 4, any_grade, lambda g: g + 1),
        "enough": responses(10, 3, any_grade, noisy),
    }
    sets = []
    for name, rows in cases.items():
        grade = {"role": "question", "measure": "satisfaction"}
        twice = [grade, {"role": "question", "measure": "complaint_handling"}]  # one column, two measures
        columns: dict[str, Any] = {
            "response": {"role": "response"},
            "org": {"role": "organisation"},
            "x": twice if name == "collinear" else grade,
            "y": {"role": "question", "measure": "recommendation"},
        }
        write_contract(place.raw, name, contract(name, "organisation", columns, []))
        write_csv(place.raw / name / "part1.csv", rows, heading)
        for driver in ("satisfaction", "complaint_handling")[: 1 + (name == "collinear")]:
            sets.append((name, name, "customer", "recommendation", "not_applicable", driver, "not_applicable"))
    write_reference(place.raw, list(cases), {f"o{i:02}": "gov" for i in range(29)}, sets)
    place.refresh_here()
    for name in cases:
        for row in found(place, name).values():
            known = [
                c
                for c in ("beta", "se", "df", "ci_low", "ci_high", "p_value", "r", "vif", "r_squared")
                if row[c] is not None
            ]
            assert row["reason"] == (None if name == "enough" else name)
            assert known == {
                "enough": ["beta", "se", "df", "ci_low", "ci_high", "p_value", "r", "vif", "r_squared"],
                "perfect_fit": ["beta", "r", "vif", "r_squared"],
                "collinear": ["r"],
            }.get(name, [])
            assert row["obs_status"] == {"enough": None, "perfect_fit": None}.get(name, "m")
    assert len(found(place, "collinear")) == 2
    assert found(place, "perfect_fit")["satisfaction", "not_applicable"]["beta"] == near(1)
    assert found(place, "enough")["satisfaction", "not_applicable"]["vif"] == 1


def test_channel_all_is_the_channel_rated(tmp_path: Path) -> None:
    """With one channel a row, `all` takes every row; with a grid, only rows that rate one channel of it."""
    place, rng = Place(tmp_path), random.Random(11)
    rows = [
        {
            "response": f"r{i}",
            "org": f"o{i % 12:02}",
            "channel": rng.choice(("phone", "email")),
            "grade": str(rng.randint(1, 10)),
            "y": str(rng.randint(0, 10)),
        }
        for i in range(120)
    ]
    by_row: dict[str, Any] = {
        "response": {"role": "response"},
        "org": {"role": "organisation"},
        "channel": {"role": "channel", "values": {"phone": "phone", "email": "email"}},
        "grade": {"role": "question", "measure": "channel_rating", "channel": "row"},
        "y": {"role": "question", "measure": "recommendation"},
    }
    write_contract(place.raw, "rows", contract("rows", "organisation", by_row, []))
    write_csv(place.raw / "rows" / "part1.csv", rows, ("response", "org", "channel", "grade", "y"))
    # the same in a grid; every fifth response rates the other channel too
    grid = [
        {"response": r["response"], "org": r["org"], r["channel"]: r["grade"], "y": r["y"]}
        | ({"email" if r["channel"] == "phone" else "phone": "5"} if i % 5 == 0 else {})
        for i, r in enumerate(rows)
    ]
    columns = {k: v for k, v in by_row.items() if k not in ("channel", "grade")}
    columns |= {c: {"role": "question", "measure": "channel_rating", "channel": c} for c in ("phone", "email")}
    write_contract(place.raw, "grid", contract("grid", "organisation", columns, []))
    write_csv(place.raw / "grid" / "part1.csv", grid, ("response", "org", "phone", "email", "y"))
    outcome = ("recommendation", "not_applicable")
    sets = [(name, name, "customer", *outcome, "channel_rating", "all") for name in ("rows", "grid")]
    sets += [("phone", "rows", "customer", *outcome, "channel_rating", "phone")]
    write_reference(place.raw, ["rows", "grid"], {f"o{i:02}": "gov" for i in range(12)}, sets)
    place.refresh_here()

    def r(chosen: Rows) -> float:
        return float(np.corrcoef([int(row["grade"]) for row in chosen], [int(row["y"]) for row in chosen])[0, 1])

    for name, channel, chosen in (
        ("rows", "all", rows),
        ("grid", "all", [row for i, row in enumerate(rows) if i % 5]),
        ("phone", "phone", [row for row in rows if row["channel"] == "phone"]),
    ):
        row = found(place, name)["channel_rating", channel]
        assert row["n_responses"] == len(chosen)
        assert row["r"] == near(r(chosen))


# --- what must not matter, and what must ---------------------------------------------------------


@pytest.mark.long
def test_split_deliveries_and_threads_change_no_byte(place: Place, tmp_path: Path) -> None:
    whole = place.parquet()
    other = Place(tmp_path / "split")
    write_designs(other.raw, case_rows(), pieces=3)
    (other.state).mkdir(mode=0o700)
    (other.state / "key").write_bytes((place.state / "key").read_bytes())
    (other.state / "key").chmod(0o600)
    other.refresh_here(threads=1)
    split = other.parquet()
    names = [name for name in whole if "driver" in name or "cross_product" in name]
    assert len(names) >= 2
    assert {name: split[name] for name in names} == {name: whole[name] for name in names}


@pytest.mark.long
def test_another_set_restages_nothing(place: Place, tmp_path: Path) -> None:
    """A change of reference/drivers.csv makes the sums over the sets anew, and no delivery."""
    mine = place.copy(tmp_path / "mine")

    def parts(pattern: str) -> set[str]:
        return {p.name for p in (mine.warehouse / "parts").glob(pattern)}

    staged, counted, summed = parts("staged.*/*"), parts("cube.delivery_counts/*"), parts("cube.complete_answer/*")
    assert staged and counted and summed
    list_of_sets = mine.raw / "reference" / "drivers.csv"
    list_of_sets.write_text(
        list_of_sets.read_text()
        + "phone_only,organisation,customer,recommendation,not_applicable,channel_rating,phone\n"
    )
    mine.refresh_here()
    assert (parts("staged.*/*"), parts("cube.delivery_counts/*")) == (staged, counted)
    assert parts("cube.complete_answer/*") > summed
    row = found(mine, "phone_only")["channel_rating", "phone"]
    assert row["beta"] == near(row["r"])
    # another title of one contract leaves the sums of the other sources as they are
    summed = parts("cube.complete_answer/*")
    path = mine.raw / "shared" / "contract.yml"
    path.write_text(path.read_text().replace("Drivers, shared", "Drivers, shared by buyers"))
    mine.refresh_here()
    assert len(parts("cube.complete_answer/*") - summed) == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("a,organisation,customer,recommendation,not_applicable,magic,phone", "driver_measure 'magic' is not in"),
        ("a,organisation,customer,recommendation,not_applicable,customer_ratings,all", "counts answers"),
        (
            "organisation,organisation,customer,satisfaction,not_applicable,channel_rating,all",
            "gives several|give several",
        ),
        ("a,organisation,customer,satisfaction,all,satisfaction,all", "or is the outcome itself"),
    ],
)
def test_a_set_that_cannot_be(tmp_path: Path, line: str, sentence: str) -> None:
    place = Place(tmp_path)
    write_designs(place.raw, case_rows())
    with (place.raw / "reference" / "drivers.csv").open("a") as file:
        file.write(line + "\n")
    ran = place.meetlat("check")
    assert ran.returncode != 0
    assert any(one in " ".join(ran.stderr.split()) for one in sentence.split("|")), ran.stderr
