"""What must not matter to an estimate, and what must matter in a known way, on surveys drawn at random.

Each survey is published beside its variants, as monitors of one release: drawn by seed, because an example that
hypothesis makes would cost a refresh. MEETLAT_TEST_SEED draws other surveys.
"""

import math
import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import Once, Place, sha256
from designs import CHANNELS, LEAVES, Design, Organisation, Row, draw, write_raw
from scipy.special import stdtrit

SEED = int(os.environ.get("MEETLAT_TEST_SEED", "1"))  # read before the fixtures clean the environment
# what each number is, whatever the seed: see `draw`
PLAIN, WIDE, BY_SIZE, SHARED, PEOPLE = 57, 2, 18, 22, 9
NUMBERS = (PLAIN, WIDE, BY_SIZE, SHARED, PEOPLE)

Rows = dict[tuple[str, ...], dict[str, Any]]


# --- variants ------------------------------------------------------------------------------------


def twice(design: Design) -> Design:
    """Every respondent has a double."""
    rows = [r | {"response": r["response"] + c, "respondent": r["respondent"] + c} for r in design.rows for c in "ab"]
    return replace(design, rows=rows)


def times(design: Design, c: float) -> Design:
    return replace(design, rows=[r | {"weight": f"{c * float(r['weight']):.6f}"} for r in design.rows])


def heavier(design: Design) -> Design:
    return times(design, 3)


def lighter(design: Design) -> Design:
    return times(design, 0.001)


def lightest(design: Design) -> Design:
    """A few millionths each: what can be written with six decimals."""
    return times(design, 0.00001)


def adding_up_to_1(design: Design) -> Design:
    """Weights as shares of the sample, with six decimals."""
    total = sum(float(r["weight"]) for r in design.rows)
    millionths = [int(1_000_000 * float(r["weight"]) / total) for r in design.rows]
    millionths[-1] += 1_000_000 - sum(millionths)
    return replace(
        design, rows=[r | {"weight": f"{m / 1_000_000:.6f}"} for r, m in zip(design.rows, millionths, strict=True)]
    )


def adding_up_to_1000(design: Design) -> Design:
    return times(adding_up_to_1(design), 1000)


def reversed_scale(design: Design) -> Design:
    def turn(row: Row) -> Row:
        turned = {}
        for column, measure in design.questions.items():
            if row[column] not in ("", "?"):
                ends = {"grade": 11, "recommendation": 10, "agrees": 1}[measure]
                turned[column] = f"{ends - float(row[column]):g}"
        return row | turned

    return replace(design, rows=[turn(row) for row in design.rows])


def silent(design: Design) -> Design:
    """One more organisation in the sample: it has answered nothing but its recommendation."""
    organisation = Organisation(f"{design.name}_silent", "shops")
    row = dict.fromkeys(design.rows[0], "") | {
        "response": "silent", "respondent": "silent", "organisation": organisation.code, "channel": CHANNELS[0],
        "sector": "shops", "weight": "1", "recommend": "8",
    }  # fmt: skip
    days = sorted({r["day"][:7] for r in design.rows})
    rows = [row | {"response": f"silent{day}", "day": f"{day}-01"} for day in days]
    return replace(design, organisations=[*design.organisations, organisation], rows=design.rows + rows)


def base(number: int) -> Design:
    """A survey of which everything is asked, so that an organisation can be absent from a question.

    Its weights have one decimal: multiplied, they still fit the six that weights have.
    """
    design = draw(SEED, number)
    grades = {c: m for c, m in design.questions.items() if m == "grade"}
    questions = grades | {"recommend": "recommendation", "agree": "agrees"}
    named = dict.fromkeys((*design.named, "respondent", "weight"))
    rows = [r | {"weight": f"{float(r['weight']):.1f}"} for r in design.rows]
    return replace(design, questions=questions, rows=rows, named=tuple(named), sampled_from={}, files=1)


VARIANTS: tuple[tuple[str, Callable[[Design], Design], tuple[int, ...]], ...] = (
    ("plain", lambda design: design, NUMBERS),
    ("twice", twice, NUMBERS),
    ("heavier", heavier, NUMBERS),
    ("lighter", lighter, NUMBERS),
    ("lightest", lightest, NUMBERS),
    ("of_1000", adding_up_to_1000, (SHARED, PEOPLE)),
    ("of_1", adding_up_to_1, (SHARED, PEOPLE)),
    ("reversed", reversed_scale, (PLAIN, PEOPLE)),
    ("silent", silent, (PLAIN, WIDE)),
)


def halves(number: int) -> list[Design]:
    """The survey as two sources of one monitor, with every respondent in one of them."""
    design, monitor = base(number), f"halves_{number}"
    return [
        replace(design, name=f"{monitor}_{part}", monitor=monitor, rows=rows)
        for part in (0, 1)
        if (rows := [r for r in design.rows if int(r["respondent"][1:]) % 2 == part])
    ]


@pytest.fixture(scope="session")
def place(once: Once) -> Place:
    """The release of the surveys and their variants. Only to look at."""

    def make(folder: Path) -> None:
        designs = [
            replace(change(base(number)), name=f"{variant}_{number}")
            for variant, change, numbers in VARIANTS
            for number in numbers
        ]
        write_raw(folder / "raw", [*designs, *halves(PLAIN), *halves(SHARED)])
        Place(folder).refresh_here()

    return Place(once(f"properties-{SEED}", make))


@cache
def published(path: Path) -> dict[str, Rows]:
    """The rows with answers, by monitor; and by period, sector, channel and measure."""
    key = ("period_code", "sector_code", "channel_code", "measure_code")
    return by_monitor(path, "mart.measure_score WHERE n_answers > 0", key)


@cache
def quantiles(path: Path) -> dict[str, Rows]:
    """The quantiles by monitor; and by period, sector, channel, measure and quantile."""
    key = ("period_code", "sector_code", "channel_code", "measure_code", "quantile_code")
    return by_monitor(path, "mart.score_quantile", key)


def by_monitor(path: Path, table: str, key: tuple[str, ...]) -> dict[str, Rows]:
    with duckdb.connect(str(path), read_only=True) as con:
        result = con.execute(f"FROM {table}")
        names = [column[0] for column in result.description]
        rows: dict[str, Rows] = {}
        for values in result.fetchall():
            row = dict(zip(names, values, strict=True))
            rows.setdefault(row.pop("monitor_code"), {})[tuple(row[k] for k in key)] = row
    return rows


def pairs(
    place: Place, variant: str, number: int, of: str = "plain"
) -> Iterator[tuple[tuple[str, ...], dict[str, Any], dict[str, Any]]]:
    """Every domain as the survey has it, or another variant of it, and as the variant has it."""
    found = published(place.current / "benchmark.duckdb")
    plain, other = found[f"{of}_{number}"], found[f"{variant}_{number}"]
    assert plain.keys() <= other.keys()
    assert len(plain) > 30
    for key, row in plain.items():
        yield key, row, other[key]


def near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-10) if isinstance(value, float) else value


def assert_same(key: Any, row: dict[str, Any], other: dict[str, Any], but: Iterable[str] = ()) -> None:
    for column in row.keys() - set(but):
        assert other[column] == near(row[column]), (key, column)


# --- what must not matter ------------------------------------------------------------------------

BASES = {
    "n_answers",
    "n_respondents",
    "n_dont_know",
    "n_blank",
    "n_kish",
    "sum_w",
    "sum_wy",
    "n_promoters",
    "n_passives",
    "n_detractors",
}
PARTICIPANTS = {"se_participants", "df_participants", "ci_low_participants", "ci_high_participants"}


@pytest.mark.parametrize("number", (PLAIN, WIDE, BY_SIZE))
def test_doubles_of_all_respondents_say_nothing_new_about_organisations(place: Place, number: int) -> None:
    """Value, error and interval stay. The error for these very organisations is divided by about the root of two."""
    for key, row, other in pairs(place, "twice", number):
        unbounded = {"ci_low", "ci_high"} if row["value"] in (0, 100) else set()  # Wilson's, on the answers
        assert_same(key, row, other, BASES | PARTICIPANTS | {"design_effect", "obs_status"} | unbounded)
        for column in BASES:
            assert other[column] == near(row[column] and 2 * row[column]), (key, column)
        assert (
            other["df_participants"] == row["df_participants"] + row["n_respondents"]
            if row["df_participants"]
            else True
        )
        if key[1:3] == ("all", "all") and row["n_respondents"] > 10 * row["n_organisations"]:
            assert other["se_participants"] == pytest.approx(row["se_participants"] / math.sqrt(2), rel=0.05)


def test_doubles_of_all_respondents_where_people_are_the_sample(place: Place) -> None:
    """n is all who answered the question in the period: n / (n - 1) becomes 2n / (2n - 1), the squares are halved."""
    plain = published(place.current / "benchmark.duckdb")[f"plain_{PEOPLE}"]
    for key, row, other in pairs(place, "twice", PEOPLE):
        n = plain[key[0], "all", "all", key[3]]["n_respondents"]
        assert other["value"] == near(row["value"])
        if row["se"] is not None:
            assert other["se"] == near(row["se"] * math.sqrt((n - 1) / (2 * n - 1)))


def test_doubles_of_respondents_of_several_organisations(place: Place) -> None:
    """What they have in common counts half; what organisations have in common stays."""
    changed = 0
    for key, row, other in pairs(place, "twice", SHARED):
        assert_same(key, {c: row[c] for c in ("value", "df", "n_organisations", "value_organisations_equal")}, other)
        changed += row["se"] is not None and other["se"] != near(row["se"])
    assert changed


def equal_by_hand(answers: list[dict[str, Any]]) -> tuple[float, float, float]:
    """Share in percent with every organisation counting once, and its interval: logit, or Wilson's of few."""
    shares = []
    for code in sorted({a["organisation"] for a in answers}):
        own = [(float(a["weight"]), int(a["value"])) for a in answers if a["organisation"] == code]
        shares.append(sum(w for w, y in own if y) / sum(w for w, _ in own))
    m = len(shares)
    p = math.fsum(shares) / m
    t, v = float(stdtrit(m - 1, 0.975)), math.fsum((s - p) ** 2 for s in shares) / (m - 1) / m
    n = p * (1 - p) / v if 0 < p < 1 else m
    if n * min(p, 1 - p) >= 5:
        half = t * math.sqrt(v) / (p * (1 - p))
        ends = [1 / (1 + math.exp(-math.log(p / (1 - p)) - sign * half)) for sign in (-1, 1)]
    else:
        root = math.sqrt(p * (1 - p) / n + (t / n) ** 2 / 4)
        ends = [(p + t * t / n / 2 + sign * t * root) / (1 + t * t / n) for sign in (-1, 1)]
    return 100 * p, 100 * ends[0], 100 * ends[1]


def test_a_share_of_organisations_that_count_equally_stays_within_0_and_100(place: Place) -> None:
    """And has a width where all organisations are of one mind."""
    of_one_mind = 0
    for number in (PLAIN, WIDE, BY_SIZE, SHARED):
        answers = [a for a in base(number).answers() if a["measure"] == "agrees"]
        found = published(place.current / "benchmark.duckdb")[f"plain_{number}"]
        for period, channel in sorted({(a["period"], a["channel"]) for a in answers}):
            row = found[period, "all", channel, "agrees"]
            value, low, high = equal_by_hand([a for a in answers if (a["period"], a["channel"]) == (period, channel)])
            assert row["value_organisations_equal"] == near(value)
            assert (row["ci_low_organisations_equal"], row["ci_high_organisations_equal"]) == (near(low), near(high))
        for key, row in found.items():
            if key[3] == "agrees" and row["ci_low_organisations_equal"] is not None:
                low, high = row["ci_low_organisations_equal"], row["ci_high_organisations_equal"]
                value = row["value_organisations_equal"]
                assert 0 <= low <= value <= high <= 100
                assert value not in (0, 100) or low < high
                of_one_mind += value in (0, 100)
    assert of_one_mind


@pytest.mark.parametrize("number", NUMBERS)
def test_quantiles_have_an_interval_where_the_mean_has_one(place: Place, number: int) -> None:
    """Not with one organisation, nor where people are the sample and gave several answers."""
    benchmark = place.current / "benchmark.duckdb"
    means, found = published(benchmark)[f"plain_{number}"], quantiles(benchmark)[f"plain_{number}"]
    columns = ("se_cumulative_share", "df", "ci_low", "ci_high", "ci_method")
    without = 0
    for key, row in found.items():
        mean = means[key[:-1]]
        several = number == PEOPLE and mean["n_answers"] > mean["n_respondents"]
        without += mean["se"] is None or several
        assert [row[c] is None for c in columns] == 5 * [mean["se"] is None or several], key
        if row["ci_low"] is not None:
            assert row["ci_low"] <= row["value"] <= row["ci_high"], key
            assert (row["ci_method"] == "woodruff_cr2") == (mean["ci_method"] == "t_cr2"), key
    assert 0 < without < len(found) or number == PEOPLE


@pytest.mark.parametrize(
    ("variant", "number"),
    [
        (variant, number)
        for variant in ("twice", "heavier", "lightest")
        for number in NUMBERS
        if (variant, number) != ("twice", PEOPLE)
    ],
)
def test_quantiles_know_neither_doubles_of_all_nor_the_unit_of_the_weights(
    place: Place, number: int, variant: str
) -> None:
    found = quantiles(place.current / "benchmark.duckdb")
    plain, other = found[f"plain_{number}"], found[f"{variant}_{number}"]
    assert plain.keys() == other.keys()
    for key, row in plain.items():
        assert_same(key, row, other[key], ("n_answers",))


@pytest.mark.parametrize(
    ("number", "variant", "of", "c"),
    [
        *((n, v, "plain", c) for n in NUMBERS for v, c in (("heavier", 3), ("lighter", 0.001), ("lightest", 0.00001))),
        *((n, "of_1", "of_1000", 0.001) for n in (SHARED, PEOPLE)),
    ],
)
def test_the_unit_of_the_weights(place: Place, number: int, variant: str, of: str, c: float) -> None:
    for key, row, other in pairs(place, variant, number, of):
        assert_same(key, row, other, ("sum_w", "sum_wy"))
        assert (other["sum_w"], other["sum_wy"]) == (near(c * row["sum_w"]), near(c * row["sum_wy"]))


@pytest.mark.parametrize("number", (PLAIN, SHARED))
def test_two_sources_of_one_monitor_are_one_survey(place: Place, number: int) -> None:
    """Two cubes make the cube of both: not even the last bit differs."""
    assert len(halves(number)) == 2
    for key, row, other in pairs(place, "halves", number):
        assert row == other, key


def with_everything() -> list[Design]:
    """Customers and employees of the same organisations: age classes, margins, and what drivers and links need."""
    rng = random.Random(SEED)
    organisations = [Organisation(f"everything_{i}", LEAVES[i % 3]) for i in range(24)]
    ages = ("young", "old")
    made: dict[str, list[Row]] = {"customer": [], "employee": []}
    for organisation in organisations:
        level = rng.gauss(7, 0.7)
        for rows in made.values():
            for _ in range(rng.randint(12, 16)):
                grade = min(10, max(1, round(2 * rng.gauss(level, 1.2)) / 2))
                back = rows and rng.random() < 0.1
                rows.append(
                    {
                        "response": f"r{len(rows)}",
                        "respondent": rng.choice(rows)["respondent"] if back else f"p{len(rows)}",
                        "organisation": organisation.code,
                        "weight": f"{rng.lognormvariate(0, 0.5):.4f}",
                        "age": rng.choice(ages),
                        "grade": f"{grade:g}",
                        "recommend": str(min(10, max(0, round(rng.gauss(grade, 1))))),
                        "agree": str(int(rng.random() < grade / 10)),
                    }
                )
    questions = {"grade": "grade", "recommend": "recommendation", "agree": "agrees"}
    named = ("response", "respondent", "organisation", "weight")
    margins = {("sector", sector): 1000 for sector in LEAVES[:3]} | {("segment:age", age): 1500 for age in ages}
    customers, employees = (
        Design(
            f"everything_{audience}", organisations, rows, questions, monitor="everything", named=named,
            audience=audience, segments={"age": ages}, population=margins if audience == "customer" else {},
        )
        for audience, rows in made.items()
    )  # fmt: skip
    return [customers, employees]


OF_EVERYTHING = {
    "drivers": [
        ("set", "everything", "customer", "recommendation", "not_applicable", driver, "not_applicable")
        for driver in ("grade", "agrees")
    ],
    "links": [("link", "everything", "employee", "grade", "customer", "grade", "not_applicable")],
}


def test_neither_the_order_of_rows_nor_the_cut_into_deliveries_nor_threads_show(tmp_path: Path) -> None:
    """Not one byte of any mart, restricted ones too. Responses do not repeat across deliveries; respondents do."""
    designs = [*(base(number) for number in (PLAIN, SHARED, PEOPLE)), *with_everything()]

    def marts(name: str, designs: list[Design], threads: int) -> dict[str, str]:
        place = Place(tmp_path / name)
        write_raw(place.raw, designs, OF_EVERYTHING)
        place.refresh_here(threads)
        for table, there in (
            ("segment_score", "se"), ("driver", "se"), ("employee_customer_link", "r"),
            ("organisation_benchmark", "gap"), ("measure_score", "se_weighted"),
        ):  # fmt: skip
            assert place.query(f"SELECT count({there}) > 0 FROM mart.{table}") == [(True,)], table
        tops = (place.current / "parquet", place.current / "restricted" / "parquet")
        files = sorted(file for top in tops for file in top.glob("mart.*.parquet"))
        made = {str(file.relative_to(place.current)): sha256(file) for file in files}
        assert {"parquet/mart.driver.parquet", "restricted/parquet/mart.organisation_benchmark.parquet"} <= made.keys()
        return made

    def shuffled(design: Design) -> Design:
        return replace(design, rows=random.Random(SEED).sample(design.rows, len(design.rows)))

    one = marts("one", designs, 2)
    assert marts("shuffled", [shuffled(d) for d in designs], 8) == one
    assert marts("cut", [replace(shuffled(d), files=3) for d in designs], 1) == one


# --- what must matter in a known way -------------------------------------------------------------


@pytest.mark.parametrize("number", (PLAIN, WIDE))
def test_an_organisation_that_is_absent_counts_in_m_only(place: Place, number: int) -> None:
    """It is in the sample of the period: V changes by m / (m - 1), and nothing else does."""
    members: dict[str, set[str]] = {}
    for answer in base(number).answers():
        members.setdefault(answer["period"], set()).add(answer["organisation"])
    changed = 0
    for key, row, other in pairs(place, "silent", number):
        m = len(members.get(key[0], ()))
        if not m or key[3] == "recommendation":
            continue
        assert_same(key, row, other, ("se", "ci_low", "ci_high", "ci_method", "design_effect", "n_blank"))
        if row["se"]:
            assert other["se"] == near(row["se"] * math.sqrt((m + 1) / m / (m / (m - 1))))
            changed += 1
    assert changed > 10


@pytest.mark.parametrize("number", (PLAIN, PEOPLE))
def test_a_reversed_scale_mirrors_means_and_not_net_promoter_scores(place: Place, number: int) -> None:
    turned = 0
    for key, row, other in pairs(place, "reversed", number):
        assert other["n_answers"] == row["n_answers"]
        if key[3] == "recommendation":
            # 9 and 10 are not what 0 to 6 is on the other side
            turned += other["value"] != near(-row["value"])
            assert other["n_promoters"] <= row["n_detractors"] and other["n_detractors"] >= row["n_promoters"]
            continue
        ends = 11 if key[3] == "grade" else 100
        assert other["value"] == near(ends - row["value"])
        assert_same(key, {c: row[c] for c in ("se", "df", "se_cr2", "se_participants", "ci_method", "n_kish")}, other)
        if row["ci_low"] is not None:
            assert (other["ci_low"], other["ci_high"]) == (near(ends - row["ci_high"]), near(ends - row["ci_low"]))
    assert turned


def test_the_surveys_are_what_the_tests_take_them_for() -> None:
    found = {number: base(number) for number in NUMBERS}
    assert [d.unit for d in found.values()] == ["organisation"] * 4 + ["respondent"]
    assert [d.strata for d in found.values()] == [None, None, "size_class", None, None]
    shared = set()
    for number, design in found.items():
        rated = {(row["respondent"], row["organisation"]) for row in design.rows}
        if design.unit == "organisation" and len(rated) > len({respondent for respondent, _ in rated}):
            shared.add(number)
    assert shared == {SHARED}
