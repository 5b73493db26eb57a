"""Mart `employee_customer_link` against plain Python, from the answers of employees and customers.

The oracle below knows nothing of sums or cubes: it takes the respondents' rows organisation by organisation.
"""

import math
import random
import re
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from conftest import PROJECT, Once, Place
from test_driver import Rows, contract, near, write_contract, write_csv, write_reference

SECTORS = ("gov", "housing", "utility", "insurer")
CAUSAL = re.compile(
    r"\b(caus\w+|because|effects?|affect\w*|impact\w*|influenc\w*|due to|leads? to|leading to|results? in|improv\w*|"
    r"makes? \w+ (satisfied|happy)|determin\w*|driven by|drives|moves?|predict\w*|explain\w*)\b",
    re.IGNORECASE,
)
ESTIMATES = (
    "r", "ci_low", "ci_high", "spearman_r", "n_sectors", "within_sector_r", "within_sector_df", "within_sector_ci_low",
    "within_sector_ci_high", "employee_reliability", "customer_reliability", "disattenuated_r",
)  # fmt: skip
LINKS = {  # link: customer measure and channel
    "phone": ("channel_rating", "phone"),
    "any_channel": ("channel_rating", "all"),
    "recommendation": ("recommendation", "not_applicable"),
    "complaint": ("complaint_handling", "not_applicable"),
}


# --- the raw folder ------------------------------------------------------------------------------


def sector_of(organisation: str) -> str:
    return SECTORS[int(organisation[1:]) % len(SECTORS)]


def invented(organisations: int) -> tuple[Rows, Rows]:
    """Employees grade employer and place, customers a channel; some customers come twice. Two are small."""
    rng = random.Random(organisations)
    employees: Rows = []
    customers: Rows = []
    for i in range(organisations):
        org, small = f"o{i:02}", i in (3, 8)
        level = rng.gauss(7, 0.5) + 0.4 * (i % len(SECTORS))
        for k in range(9 if small else rng.randint(10, 16)):
            grade = level + rng.gauss(0, 1)
            employer, place = (f"{min(10, max(1, round(2 * (grade + rng.gauss(0, 0.5))) / 2)):g}" for _ in range(2))
            row = {"response": f"{org}e{k}", "org": org, "employer": employer, "place": place}
            row["weight"] = f"{rng.uniform(0.5, 2):.3f}"
            if rng.random() < 0.1:
                row["place"] = ""
            employees.append(row)
        for k in range(rng.randint(12, 30)):
            row = {"response": f"{org}c{k}", "org": org, "person": f"{org}p{k - (k % 7 == 6)}"}
            row["channel"] = "phone" if k < 11 else rng.choice(("phone", "email"))
            row["grade"] = f"{min(10, max(1, round(2 * rng.gauss(0.5 * level + 3.5, 1.5)) / 2)):g}"
            row["again"] = str(min(10, max(0, round(rng.gauss(level, 2)))))
            row["complaint"] = "1" if k % 2 else "10"  # spread within organisations, hardly any between them
            row["weight"] = f"{rng.uniform(0.5, 2):.3f}"
            customers.append(row)
    return employees, customers


def question(measure: str, **more: str) -> dict[str, str]:
    return {"role": "question", "measure": measure, **more}


def write_monitor(raw: Path, monitor: str, organisations: int, pieces: int = 1) -> None:
    employees, customers = invented(organisations)
    common = {"response": {"role": "response"}, "org": {"role": "organisation"}, "weight": {"role": "weight"}}
    asked = {name: question("employee_satisfaction") for name in ("employer", "place")}
    document = contract(monitor, "organisation", common | asked, [])
    write_contract(raw, f"{monitor}_employees", document | {"audience": "employee"})
    rated = {
        "person": {"role": "respondent"},
        "channel": {"role": "channel", "values": {"phone": "phone", "email": "email"}},
        "grade": question("channel_rating", channel="row"),
        "again": question("recommendation"),
        "complaint": question("complaint_handling"),
    }
    write_contract(raw, f"{monitor}_customers", contract(monitor, "organisation", common | rated, []))
    for piece in range(pieces):
        file = f"part{piece + 1}.csv"
        write_csv(raw / f"{monitor}_employees" / file, employees[piece::pieces], tuple(employees[0]))
        write_csv(raw / f"{monitor}_customers" / file, customers[piece::pieces], tuple(customers[0]))


def write_raw(raw: Path, pieces: int = 1) -> None:
    """Monitor `many` has 28 organisations, 26 of them large enough; `few` has 21, and so 19."""
    write_reference(raw, ["many", "few"], {f"o{i:02}": sector_of(f"o{i:02}") for i in range(28)}, [])
    heading = (PROJECT / "raw/reference/links.csv").read_text().splitlines()[0]
    rows = [
        f"{monitor}_{link},{monitor},employee,employee_satisfaction,customer,{measure},{channel}"
        for monitor in ("many", "few")
        for link, (measure, channel) in LINKS.items()
    ]
    (raw / "reference" / "links.csv").write_text("\n".join([heading, *rows]) + "\n")
    write_monitor(raw, "many", 28, pieces)
    write_monitor(raw, "few", 21, pieces)


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of both monitors. Only to look at."""

    def make(folder: Path) -> None:
        write_raw(folder / "raw")
        Place(folder).refresh_here()

    return Place(once("link", make))


def found(place: Place, link: str, period: str = "wave-driver") -> dict[str, Any]:
    mart = "mart.employee_customer_link"
    columns = [name for (name,) in place.query(f"SELECT column_name FROM (DESCRIBE {mart})", "benchmark.duckdb")]
    where = f"link_code = '{link}' AND period_code = '{period}'"
    (row,) = place.query(f"SELECT {', '.join(columns)} FROM {mart} WHERE {where}", "benchmark.duckdb")
    return dict(zip(columns, row, strict=True))


# --- the oracle ----------------------------------------------------------------------------------

Answers = list[tuple[str, float, float]]  # respondent, weight, score


def value_and_error(answers: Answers) -> tuple[float, float]:
    """Weighted mean and its variance with respondents as clusters."""
    total = math.fsum(w for _, w, _ in answers)
    mean = math.fsum(w * y for _, w, y in answers) / total
    off: dict[str, float] = {}
    for who, w, y in answers:
        off[who] = off.get(who, 0.0) + w * (y - mean) / total
    n = len(off)
    return mean, n / (n - 1) * math.fsum(z * z for z in off.values())


def sides(organisations: int, link: str) -> tuple[dict[str, Answers], dict[str, Answers]]:
    employees, customers = invented(organisations)
    x: dict[str, Answers] = {}
    y: dict[str, Answers] = {}
    for row in employees:
        grades = [row[q] for q in ("employer", "place") if row[q]]
        x.setdefault(row["org"], []).extend((row["response"], float(row["weight"]), float(g)) for g in grades)
    for row in customers:
        if link == "phone" and row["channel"] != "phone":
            continue
        score = {"recommendation": nps(int(row["again"])), "complaint": float(row["complaint"])}
        y.setdefault(row["org"], []).append((row["person"], float(row["weight"]), score.get(link, float(row["grade"]))))
    return x, y


def nps(answer: int) -> float:
    return 100.0 if answer >= 9 else 0.0 if answer >= 7 else -100.0


def ranks(values: list[float]) -> list[float]:
    return [sum(v < one for v in values) + (1 + sum(v == one for v in values)) / 2 for one in values]


def fisher(r: float, s: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.975)
    return math.tanh(math.atanh(r) - z * s), math.tanh(math.atanh(r) + z * s)


def expected(organisations: int, link: str) -> dict[str, Any]:
    one, other = sides(organisations, link)
    orgs = [o for o in one if len({a[0] for a in one[o]}) >= 10 and len({a[0] for a in other[o]}) >= 10]
    x, v_x = zip(*(value_and_error(one[o]) for o in orgs), strict=True)
    y, v_y = zip(*(value_and_error(other[o]) for o in orgs), strict=True)
    n = len(orgs)
    r = float(np.corrcoef(x, y)[0, 1])
    sectors = sorted({sector_of(o) for o in orgs})
    dummies = np.array([[sector_of(o) == s for s in sectors] for o in orgs], float)
    left = [values - dummies @ np.linalg.lstsq(dummies, np.array(values), rcond=None)[0] for values in (x, y)]
    within = float(left[0] @ left[1] / math.sqrt((left[0] @ left[0]) * (left[1] @ left[1])))
    df = n - 2 - (len(sectors) - 1)
    reliable = [1 - np.mean(v) / np.var(values, ddof=1) for v, values in ((v_x, x), (v_y, y))]
    return {
        "n_organisations": n,
        "n_organisations_small": organisations - n,
        "r": r,
        **dict(zip(("ci_low", "ci_high"), fisher(r, 1 / math.sqrt(n - 3)), strict=True)),
        "spearman_r": float(np.corrcoef(ranks(list(x)), ranks(list(y)))[0, 1]),
        "n_sectors": len(sectors),
        "within_sector_r": within,
        "within_sector_df": df,
        **dict(
            zip(("within_sector_ci_low", "within_sector_ci_high"), fisher(within, 1 / math.sqrt(df - 1)), strict=True)
        ),
        "employee_reliability": float(reliable[0]),
        "customer_reliability": float(reliable[1]),
        "disattenuated_r": r / math.sqrt(reliable[0] * reliable[1]) if min(reliable) > 0 else None,
    }


# --- tests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", LINKS)
def test_by_hand(place: Place, link: str) -> None:
    row = found(place, f"many_{link}")
    assert row["reason"] is None
    for column, value in expected(28, link).items():
        assert row[column] == (value if value is None else near(value)), column


def test_the_case_says_something(place: Place) -> None:
    """The oracle would also agree on nothing: the case holds what the columns tell apart."""
    row = found(place, "many_any_channel")
    assert row["n_organisations"] == 26 and row["n_organisations_small"] == 2
    assert row["ci_low"] > 0 and row["within_sector_r"] < row["r"] < row["disattenuated_r"]
    unreliable = found(place, "many_complaint")
    assert unreliable["customer_reliability"] <= 0
    assert unreliable["disattenuated_r"] is None and unreliable["r"] is not None


@pytest.mark.parametrize("link", LINKS)
def test_refused_below_twenty_organisations(place: Place, link: str) -> None:
    """21 organisations, of which 19 have ten respondents on both sides."""
    row = found(place, f"few_{link}")
    assert (row["n_organisations"], row["n_organisations_small"]) == (19, 2)
    assert row["reason"] == "too_few_organisations"
    assert [row[column] for column in ESTIMATES] == [None] * len(ESTIMATES)


@pytest.mark.long
def test_split_deliveries_and_threads_change_no_byte(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "split")
    write_raw(other.raw, pieces=2)
    other.state.mkdir(mode=0o700)
    (other.state / "key").write_bytes((place.state / "key").read_bytes())
    (other.state / "key").chmod(0o600)
    other.refresh_here(threads=1)
    name = "parquet/mart.employee_customer_link.parquet"
    assert other.parquet()[name] == place.parquet()[name]


def test_synthetic_rows_say_whom_they_describe(place: Place) -> None:
    rows = place.query("SELECT DISTINCT provenance, note FROM mart.employee_customer_link", "benchmark.duckdb")
    assert [provenance for provenance, _ in rows] == ["synthetic"]
    assert all("generator" in note for _, note in rows)


def test_the_shipped_pairs_and_sets(every_built: Place) -> None:
    """Every declared pair and set has rows, although 4,000 ratings are too few to estimate a link."""
    links = every_built.query("SELECT DISTINCT link_code, reason FROM mart.employee_customer_link")
    shipped = (PROJECT / "raw/reference/links.csv").read_text().splitlines()[1:]
    assert {code for code, _ in links} == {line.split(",")[0] for line in shipped}
    assert {reason for _, reason in links} == {"too_few_organisations"}
    sets = every_built.query("SELECT DISTINCT driver_set_code FROM mart.driver WHERE beta IS NOT NULL")
    shipped = (PROJECT / "raw/reference/drivers.csv").read_text().splitlines()[1:]
    assert {code for (code,) in sets} == {line.split(",")[0] for line in shipped}


@pytest.mark.parametrize("mart", ("driver", "employee_customer_link"))
def test_no_causal_words(mart: str) -> None:
    """Neither the texts of table and columns nor the notes in its rows say that one thing brings about another."""
    sql = (PROJECT / "sql" / "mart" / f"{mart}.sql").read_text()
    texts = [line for line in sql.splitlines() if line.startswith("--")] + re.findall(r"'((?:[^']|'')*)'", sql)
    assert len(texts) > 30
    assert [text for text in texts if CAUSAL.search(text)] == []
    assert CAUSAL.search("Satisfied employees lead to satisfied customers.")
