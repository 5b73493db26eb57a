"""What leaves the house, attacked from outside: random releases, nights in a row, and the outputs themselves.

The attacks are those of `pipelines/audit`, which shares no code with what decides about hiding; its own tests are
in test_audit.py.
"""

import csv
import datetime as dt
import itertools
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from conftest import Place, lines
from designs import Design, Organisation, write_csv, write_raw

from pipelines import audit, engine
from pipelines.disclosure import cells as reading
from pipelines.disclosure import outputs, own, participants, standing, tables
from pipelines.disclosure.bounds import Rounding, apart, families
from pipelines.disclosure.cells import Cell, Key, reason
from pipelines.disclosure.columns import COLUMNS
from pipelines.disclosure.rules import Rules

FULL = bool(os.environ.get("MEETLAT_TEST_FULL"))
RELEASES = 50 if FULL else 12
SHARES = 8 if FULL else 2
RULES = Rules()
GRADES = 6  # a seed that gives the grades of 3,399 people
YEAR = 2024
QUARTERS = [(dt.date(YEAR, 3 * q + 1, 1), dt.date(YEAR, 3 * q + 3, 30 if q in (1, 2) else 31)) for q in range(4)]
PERIODS = [
    *((f"{YEAR}-Q{q + 1}", "quarter", q, q) for q in range(4)),
    *((f"{YEAR}-YTD-Q{q + 1}", "ytd", 0, q) for q in range(4)),
    (f"{YEAR}", "year", 0, 3),
]


# --- random releases -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    organisation: str
    sector: str
    channel: str
    quarter: int
    person: int
    score: int  # in smallest steps


@dataclass(frozen=True)
class Survey:
    """Answers to one question, with what they are about."""

    statistic: str
    audience: str
    parents: dict[str, str | None]
    answers: tuple[Answer, ...]


def drawn(seed: int) -> Survey:
    """Few or many sectors, channels and organisations, crowded or sparse; some large ones, some alone or in pairs."""
    rng = random.Random(seed)
    parents: dict[str, str | None] = {"all": None}
    leaves = []
    for top in range(rng.randint(2, 4)):
        parents[f"s{top}"] = "all"
        below = [f"s{top}{i}" for i in range(rng.choice((0, 0, 2, 3)))]
        parents |= dict.fromkeys(below, f"s{top}")
        leaves += below or [f"s{top}"]
    channels = [f"c{i}" for i in range(rng.randint(1, 4))]
    statistic = rng.choice(("mean", "mean", "nps", "share"))
    sparse = rng.choice((1, 3, 12))
    several = rng.random() < 0.5
    answers = []
    for leaf in leaves:
        for i in range(rng.choice((1, 2, 2, 5, 8, 12))):
            size = rng.choice((1, 1, 2, 25 if i == 0 else 3))
            level = rng.gauss(7, 1)
            for quarter, channel in itertools.product(range(4), channels):
                for _ in range(max(0, round(rng.gauss(size * sparse, size * sparse / 2)))):
                    score = min(max(round(rng.gauss(level, 1.5)), 1), 10)
                    person = rng.randrange(10**9) if not several else rng.randrange(60)
                    answers.append(Answer(f"{leaf}-{i}", leaf, channel, quarter, person, score))
    return Survey(statistic, rng.choice(("customer", "employee")), parents, tuple(answers))


def cells_of(survey: Survey, organisation: str | None = None) -> list[Cell]:
    """Every cell of the tables, counted from the answers."""
    groups: dict[tuple[str, str, tuple[str, str, int, int]], list[Answer]] = defaultdict(list)
    for answer in survey.answers:
        if organisation is not None and answer.organisation != organisation:
            continue
        sectors = [answer.sector] if organisation is not None else list(up(answer.sector, survey.parents))
        for sector, channel, period in itertools.product(sectors, (answer.channel, "all"), PERIODS):
            if period[2] <= answer.quarter <= period[3]:
                groups[sector, channel, period].append(answer)
    return [cell_of(survey, key, found, organisation) for key, found in sorted(groups.items())]


def up(sector: str | None, parents: dict[str, str | None]) -> Iterator[str]:
    while sector is not None:
        yield sector
        sector = parents[sector]


def cell_of(
    survey: Survey, key: tuple[str, str, tuple[str, str, int, int]], found: list[Answer], organisation: str | None
) -> Cell:
    sector, channel, (period, kind, first, last) = key
    held: dict[str, int] = defaultdict(int)
    people: dict[str, set[object]] = defaultdict(set)
    for answer in found:
        held[answer.organisation] += 1
        people[answer.organisation].add(answer.person)
    everybody = set().union(*people.values())
    largest = sorted(held.values(), reverse=True)
    n = len(found)
    promoters, detractors = (sum(low <= a.score <= high for a in found) for low, high in ((9, 10), (0, 6)))
    values = {
        "mean": sum(a.score for a in found) / n,
        "nps": 100 * (promoters - detractors) / n,
        "share": 100 * sum(a.score >= 8 for a in found) / n,
    }
    low, high, decimals = {"mean": (1, 10, 1), "nps": (-100, 100, 0), "share": (0, 100, 0)}[survey.statistic]
    return Cell(
        Key("monitor", period, survey.audience, sector, channel, f"m_{survey.statistic}"),
        kind, QUARTERS[first][0], QUARTERS[last][1], channel == "all", survey.statistic, "unit",
        low, high, decimals, values[survey.statistic], n, len(everybody),
        None if organisation else len(held), False, n,
        None if organisation else largest[0], None if organisation else sum(largest[1:2]),
        None if organisation else len(everybody) - max(len(p) for p in people.values()),
        100 * promoters / n if survey.statistic == "nps" else None,
        100 * detractors / n if survey.statistic == "nps" else None,
    )  # fmt: skip


def write(survey: Survey, folder: Path, earlier: outputs.Earlier | None = None, *, secondary: bool = True) -> None:
    """The outputs of these answers, as a release holds them."""
    organisations = {a.organisation for a in survey.answers}
    its_own = own.table({o: cells_of(survey, o) for o in organisations})
    disclosed = outputs.decide(
        cells_of(survey), its_own, survey.parents, RULES, earlier or outputs.NOTHING, dt.date(YEAR, 12, 31),
        secondary=secondary,
    )  # fmt: skip
    (folder / "public").mkdir(parents=True)
    outputs.write_rules(disclosed, folder.name, folder / "public" / "disclosure.json")
    rows = [outputs.dated(row, folder.name) for row in disclosed.public.rows]
    public = folder / "public" / "parquet" / "measure_score.parquet"
    tables.write(tables.of(rows, COLUMNS), public)
    with duckdb.connect() as con:
        verdicts = folder / "verdicts.parquet"  # of mart.organisation_benchmark: nobody is judged
        names = ("organisation_code", *Key._fields, "peer_group_type", "peer_group_code", "expected_range")
        columns = ", ".join(f"'' AS {name}" for name in names)
        engine.write_parquet(con, f"SELECT {columns}, 0 AS n_peers, 0 AS quartile WHERE false", verdicts)
        participants.write(con, disclosed.participants, RULES, folder.name, public, verdicts, folder / "participants")
    outputs.write_ledger(disclosed, folder.name, folder / "ledger.parquet")


@pytest.mark.parametrize("share", range(SHARES))
def test_nothing_hidden_in_a_random_release_can_be_reckoned(tmp_path: Path, share: int) -> None:
    """And most could be if only the cells were hidden that may not be shown for their own sake."""
    hidden = recovered = 0
    for seed in range(share * RELEASES // SHARES, (share + 1) * RELEASES // SHARES):
        survey = drawn(seed)
        write(survey, tmp_path / f"{seed}")
        report = audit.audit(tmp_path / f"{seed}", threads=1)
        assert not report.failed, f"seed {seed}: {report.findings[:3]}"
        write(survey, tmp_path / f"{seed}-bare", secondary=False)
        bare = audit.audit(tmp_path / f"{seed}-bare", threads=1)
        hidden += bare.hidden > 0
        recovered += bare.failed
    assert hidden and recovered > hidden / 2


@pytest.mark.parametrize("seed", (44, 56, 64, 68, 92))
def test_who_takes_away_its_own_finds_nothing_either(tmp_path: Path, seed: int) -> None:
    """In these releases a large organisation found the rest, when hiding asked only what anybody would know."""
    write(drawn(seed), tmp_path / "release")
    report = audit.audit(tmp_path / "release", threads=1)
    assert report.checked and not report.failed, report.findings[:3]


@pytest.mark.parametrize("share", range(SHARES))
def test_a_release_of_few_answers_is_not_stopped(tmp_path: Path, share: int) -> None:
    """Most of it is hidden, and overlapping rows without figures bound each other; nobody can do anything about that.

    One in five was stopped once: counting what single rows tell is not enough, and everybody seems to answer
    once where no figure says otherwise.
    """
    hidden = cells = 0
    for seed in range(share * RELEASES // SHARES, (share + 1) * RELEASES // SHARES):
        survey, rng = drawn(seed), random.Random(seed)
        few = rng.choice((8, 15, 25, 40, 60, 100, 200))
        survey = replace(survey, answers=tuple(rng.sample(survey.answers, min(few, len(survey.answers)))))
        write(survey, tmp_path / f"{seed}")
        report = audit.audit(tmp_path / f"{seed}", threads=1)
        assert not report.failed, f"seed {seed}, {few} answers: {report.findings[:3]}"
        hidden += report.hidden
        cells += len(cells_of(survey))
    assert hidden > cells / 2


def test_a_cell_is_hidden_for_what_is_left_when_the_largest_looks_away() -> None:
    def told(**changes: object) -> str | None:
        enough = {"n_respondents": 40, "n_organisations": 6, "held": 40.0, "held_largest": 10.0, "held_second": 8.0}
        base = cell_of(drawn(0), ("s0", "all", PERIODS[0]), [Answer("o", "s0", "c0", 0, 1, 7)], None)
        return reason(base._replace(**(enough | {"n_left": 30} | changes)), RULES)  # type: ignore[arg-type]

    assert told() is None
    assert told(n_respondents=9) == "respondents"
    assert told(n_organisations=4) == "organisations"
    assert told(held_largest=21.0) == "dominance"  # more than half of it
    assert told(held=18.9, held_largest=9.4, held_second=8.7) == "dominance"  # 0.8 is left, less than 10 % of 9.4
    assert told(n_left=9) == "dominance"
    assert told(n_organisations=None, held_largest=None, held_second=None, n_left=None) is None


# --- night after night ---------------------------------------------------------------------------


def test_an_interval_goes_where_it_would_tell_a_hidden_part() -> None:
    """All organisations of the whole say the same: the interval of the whole is their difference, none."""
    few, whole = (
        Cell(
            Key("m", "2011", "customer", sector, "all", "q"), "year", dt.date(2011, 1, 1), dt.date(2011, 12, 31),
            False, "mean", "grade", 1, 10, 1, 7.0, n, n, organisations, ci_low=7.0, ci_high=7.0 + 4 * se, se=se,
        )
        for sector, n, organisations, se in (("n1", 20, 2, 0.01), ("all", 100, 12, 0.05))
    )  # fmt: skip
    parents = {"n1": "all", "all": None}
    assert standing.tells_of_parts(whole, [few], parents)
    assert not standing.tells_of_parts(whole._replace(se=0.25), [few], parents)
    assert not standing.tells_of_parts(whole, [few._replace(n_answers=3)], parents)
    assert not standing.tells_of_parts(few, [whole], parents)  # a part bounds nothing of the whole
    assert not standing.tells_of_parts(whole, [few], {"n1": None})


def test_no_newcomer_of_ten_nights_is_known_within_a_grade(tmp_path: Path) -> None:
    """Whoever knows how many came, and that all others stayed, knows nobody's grade to within 1.0.

    That is more than anybody outside knows: the published bases are rounded.
    """
    survey = drawn(GRADES)
    assert survey.statistic == "mean"
    rng = random.Random(4)
    order = list(survey.answers)
    rng.shuffle(order)
    kept, coming = order[:-60], order[-60:]
    earlier: dict[Key, standing.Standing] = {}
    before: dict[Key, tuple[float, int]] = {}
    republished = stood = 0
    for night in range(10):
        kept += coming[6 * night : 6 * night + 6]
        now = Survey(survey.statistic, survey.audience, survey.parents, tuple(kept))
        cells = {c.key: c for c in cells_of(now)}
        shown = standing.show(cells.values(), survey.parents, RULES, earlier, dt.date(YEAR, 12, 31))
        stood += len(shown.held)
        ledger = {(r["organisation_code"], Key.of(r)): r for r in shown.ledger}
        for row in shown.rows:
            key = Key.of(row)
            if row["value"] is None:
                continue
            n = ledger["", key]["exact_answers"]
            if key in before and before[key][1] != n:
                republished += 1
                value, had = before[key]
                came = n - had
                low, high = ((row["value"] + e) * n - (value - e) * had for e in (-0.05, 0.05))
                least, most = max(1.0, low - 10 * (came - 1)), min(10.0, high - (came - 1))
                assert came >= RULES.answers_changed and most - least >= 1.0, (key, night)
            before[key] = (row["value"], n)
        earlier = standing.from_ledger(shown.ledger)
    assert republished > 5 and stood > 50


def test_figures_stand_with_their_date_until_enough_answers_came(tmp_path: Path) -> None:
    survey = drawn(GRADES)
    few = Survey(survey.statistic, survey.audience, survey.parents, survey.answers[:-3])
    write(few, tmp_path / "first")
    earlier = outputs.read_ledger(tmp_path / "first" / "ledger.parquet")
    write(survey, tmp_path / "second", earlier)
    con = duckdb.connect()
    changed, renamed = con.execute(
        "SELECT count(*) FILTER (n.value IS DISTINCT FROM w.value OR n.n_answers IS DISTINCT FROM w.n_answers), "
        f"count(*) FILTER (n.as_of_release = 'first') FROM read_parquet('{tmp_path}/second/public/parquet/*') AS n "
        f"JOIN read_parquet('{tmp_path}/first/public/parquet/*') AS w USING ({', '.join(Key._fields)}) "
        "WHERE n.conf_status = 'F' AND w.conf_status = 'F'"
    ).fetchall()[0]  # fmt: skip
    assert changed == 0 and renamed > 0


def test_an_own_figure_that_was_not_given_for_a_night_is_still_known(tmp_path: Path) -> None:
    """Twelve people, nine, eleven: fewer answers came and went than a figure moves for."""
    survey = drawn(GRADES)
    (first, *_) = survey.answers
    mine = [a for a in survey.answers if (a.organisation, a.channel) == (first.organisation, first.channel)]
    people = list({a.person: a for a in mine}.values())[:12]
    assert len(people) == 12

    def of(some: list[Answer]) -> pa.Table:
        return own.table({first.organisation: cells_of(replace(survey, answers=tuple(some)))})

    through, ledger, given = dt.date(YEAR, 12, 31), outputs.NOTHING.own, []
    for some in (people, people[:9], people[:11]):
        shown = participants.show(of(some), RULES, ledger, through)
        ledger = shown.ledger
        given.append([row for row in shown.rows.to_pylist() if row["sector_code"] == first.sector])
    assert given[0] and not given[1]
    assert [(r["value"], r["n_answers"], r["as_of"]) for r in given[2]] == [
        (r["value"], r["n_answers"], r["as_of"]) for r in given[0]
    ]


def test_a_family_that_is_kept_is_as_it_was_row_for_row(tmp_path: Path) -> None:
    """Where a release would tell more beside earlier ones, it tells the same as the last of them."""
    survey = drawn(GRADES)
    few = Survey(survey.statistic, survey.audience, survey.parents, survey.answers[:-400])
    write(few, tmp_path / "first")
    ledger = tmp_path / "first" / "ledger.parquet"
    cells = cells_of(survey)
    family = cells[0].key.family
    earlier = outputs.read_ledger(ledger)
    each = own.table({o: cells_of(survey, o) for o in {a.organisation for a in survey.answers}})
    now = outputs.decide(cells, each, survey.parents, RULES, earlier, dt.date(YEAR, 12, 31))
    before = pq.read_table(tmp_path / "first" / "public" / "parquet" / "measure_score.parquet").to_pylist()
    assert [r["value"] for r in now.public.rows] != [r["value"] for r in before]
    kept = outputs.keep(now, frozenset({("public", family)}), tmp_path / "first", ledger)
    assert sorted(kept.public.rows, key=Key.of) == sorted(before, key=Key.of) and kept.held != now.held
    assert standing.from_ledger(kept.public.ledger) == earlier.public
    assert kept.participants == now.participants
    assert outputs.keep(now, frozenset(), tmp_path / "first", ledger) == now


def test_one_participant_keeps_its_table_or_gets_none_and_nobody_else_notices(tmp_path: Path) -> None:
    survey = drawn(GRADES)
    few = Survey(survey.statistic, survey.audience, survey.parents, survey.answers[::2])
    write(few, tmp_path / "first")
    ledger = tmp_path / "first" / "ledger.parquet"
    earlier, cells = outputs.read_ledger(ledger), cells_of(survey)
    each = own.table({o: cells_of(survey, o) for o in {a.organisation for a in survey.answers}})

    def decide(withheld: frozenset[outputs.Place] = frozenset()) -> outputs.Disclosed:
        return outputs.decide(cells, each, survey.parents, RULES, earlier, dt.date(YEAR, 12, 31), withheld)

    def rows(disclosed: outputs.Disclosed, organisation: str | None = None) -> list[dict[str, Any]]:
        listed = disclosed.participants.rows.to_pylist()
        return [r for r in listed if organisation is None or r["organisation_code"] == organisation]

    now = decide()
    files = sorted((tmp_path / "first" / "participants").glob("*/own.parquet"))
    held = {file.parent.name: pq.read_table(file).to_pylist() for file in files}
    figures = ("value", "n_answers", "n_respondents")
    one = next(
        name
        for name, said in held.items()
        if [[r[f] for f in figures] for r in said] != [[r[f] for f in figures] for r in rows(now, unquote(name))]
    )
    place = (f"participants/{one}", cells[0].key.family)
    kept = outputs.keep(now, frozenset({place}), tmp_path / "first", ledger)
    same = [name for name in now.participants.rows.column_names if name in held[one][0]]
    assert {"value", "n_answers", "as_of", "as_of_release"} < set(same)
    stood = [[r[name] for name in same] for r in rows(kept, unquote(one))]
    assert stood == [[r[name] for name in same] for r in held[one]] and kept.public == now.public
    others = [r for r in rows(now) if r["organisation_code"] != unquote(one)]
    assert others and [r for r in rows(kept) if r["organisation_code"] != unquote(one)] == others
    assert rows(kept) == sorted(rows(kept), key=lambda r: (r["organisation_code"], Key.of(r)))
    of_one = pc.equal(earlier.own.column("organisation_code"), unquote(one))
    told = kept.participants.ledger
    assert told.filter(pc.equal(told.column("organisation_code"), unquote(one))) == earlier.own.filter(of_one)
    assert kept.held != now.held

    none = decide(frozenset({place}))
    assert rows(none) == others and none.public == now.public
    # what it was told before is still known
    known = none.participants.ledger
    assert known.filter(pc.equal(known.column("organisation_code"), unquote(one))) == earlier.own.filter(of_one)


def test_years_are_worked_on_apart_unless_a_period_connects_them() -> None:
    cells = sorted(cells_of(drawn(GRADES)), key=lambda c: c.key)
    year = dt.timedelta(days=366)
    next_year = [c._replace(period_start=c.period_start + year, period_end=c.period_end + year) for c in cells]
    assert apart([*cells, *next_year]) == [cells, next_year]
    rolling = cells[0]._replace(
        period_start=cells[0].period_start + year / 2, period_end=cells[0].period_end + year / 2
    )
    assert apart([*cells, *next_year, rolling]) == [[*cells, *next_year, rolling]]


def test_a_correction_counts_by_what_it_moves() -> None:
    cell = cells_of(drawn(GRADES))[0]
    assert standing.changed(cell, standing.Standing(cell.n_answers, cell.value, {})) == 0
    assert standing.changed(cell, standing.Standing(cell.n_answers - 4, cell.value, {})) == 4
    moved = cell.value - 9 * 30 / cell.n_answers  # as many answers, of which thirty went from one end to the other
    assert standing.changed(cell, standing.Standing(cell.n_answers, moved, {})) in (29, 30)
    assert standing.changed(cell, standing.Standing(cell.n_answers, cell.value - 0.001, {})) >= 1


# --- an organisation's own -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_what_an_organisation_gets_hides_no_small_cell_in_a_difference(seed: int) -> None:
    """Each table is whole: channels add up to the total, quarters to the year, and none of them is small."""
    survey = drawn(seed)
    organisations = sorted({a.organisation for a in survey.answers})
    with duckdb.connect() as con:
        con.register("own_cell", own.table({o: cells_of(survey, o) for o in organisations}))
        own.given(con, RULES)
        for organisation in organisations:
            given = reading.read(con, "SELECT * FROM given WHERE organisation_code = $1", organisation)
            for family in families(given).values():
                check_whole(family)


@pytest.mark.parametrize("seed", range(GRADES, GRADES + 4))
def test_own_figures_are_rounded_and_stand_as_those_of_public_do(seed: int) -> None:
    """What is done in columns with all organisations at once, beside what is done cell by cell."""
    survey, through = drawn(seed), dt.date(YEAR, 11, 30)
    organisations = sorted({a.organisation for a in survey.answers})
    earlier = outputs.NOTHING.own
    few = tuple(a for i, a in enumerate(survey.answers) if i % 100)  # some of every organisation come later
    for answers in (few, survey.answers):
        now = Survey(survey.statistic, survey.audience, survey.parents, answers)
        its_own = own.table({o: cells_of(now, o) for o in organisations})
        shown = participants.show(its_own, RULES, earlier, through)
        mine: dict[str, list[dict[str, object]]] = defaultdict(list)
        for row in shown.rows.to_pylist():
            mine[row.pop("organisation_code")].append(row)
        ledger = earlier.to_pylist()
        stood = 0
        with duckdb.connect() as con:
            con.register("own_cell", its_own)
            own.given(con, RULES)
            for organisation in organisations:
                cells = reading.read(con, "SELECT * FROM given WHERE organisation_code = $1", organisation)
                before = standing.from_ledger(r for r in ledger if r["organisation_code"] == organisation)
                alone = standing.show(cells, {}, RULES, before, through)
                assert alone.rows == mine[organisation]
                stood += len(alone.held)
        assert stood == len(shown.held)
        earlier = shown.ledger
    assert stood > 0


def check_whole(family: list[Cell]) -> None:
    assert all(c.n_respondents >= RULES.respondents for c in family)
    by_period: dict[str, dict[str, int]] = defaultdict(dict)
    for cell in family:
        by_period[cell.key.period_code][cell.key.channel_code] = cell.n_answers
    for found in by_period.values():
        parts = [n for channel, n in found.items() if channel != "all"]
        assert not parts or sum(parts) == found["all"]
    quarters = [found["all"] for period, found in by_period.items() if "-Q" in period and "YTD" not in period]
    assert not quarters or sum(quarters) == by_period[f"{YEAR}"]["all"]


# --- the house -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_small_cells_of_employees_cannot_be_subtracted_in_the_house(seed: int) -> None:
    """Numbers are exact there: no hidden cell may be determined by those that are shown."""
    import numpy as np

    from pipelines.disclosure import hiding
    from pipelines.disclosure.bounds import atoms

    survey = drawn(seed)
    cells = cells_of(Survey(survey.statistic, "employee", survey.parents, survey.answers))
    cells = [c._replace(n_organisations=None) for c in cells]
    hidden = hiding.hide(cells, survey.parents, RULES, Rounding(0, 0, 0, exact=True))
    small = {c.key for c in cells if c.n_respondents < 10}
    assert small <= set(hidden)
    made_of = atoms(cells, survey.parents)
    matrix = np.zeros((len(cells), 1 + max(a for own_atoms in made_of for a in own_atoms)))
    for row, own_atoms in enumerate(made_of):
        matrix[row, list(own_atoms)] = 1
    shown = matrix[[c.key not in hidden for c in cells]]
    for cell, row in zip(cells, matrix, strict=True):
        if cell.key in small and len(shown):
            fitted = np.linalg.lstsq(shown.T, row, rcond=None)[0] @ shown
            assert np.abs(fitted - row).max() > 1e-6, cell.key


def test_benchmark_hides_small_cells_of_employees_and_the_restricted_file_does_not(every_built: Place) -> None:
    hidden = every_built.query(
        "SELECT count(*), count(value), count(n_answers), count(se), count(sum_w), count(ci_low) FROM "
        "mart.employee_satisfaction WHERE conf_status <> 'F'",
        "benchmark.duckdb",
    )
    assert hidden[0][0] > 0 and hidden[0][1:] == (0, 0, 0, 0, 0)
    assert every_built.query("SELECT count(*) FROM mart.employee_satisfaction WHERE conf_status <> 'F'") == [(0,)]
    small = "audience_code = 'employee' AND n_respondents < 10"
    assert every_built.query(f"SELECT count(*) FROM mart.measure_score WHERE {small}", "benchmark.duckdb") == [(0,)]
    assert every_built.query(f"SELECT count(*) FROM mart.measure_score WHERE {small}")[0][0] > 0
    # nor in tables that hold several rows of a cell, or compare it
    keys = ", ".join(Key._fields)
    hidden_cells = f"(SELECT {keys} FROM mart.measure_score WHERE conf_status <> 'F')"
    for table, counted in (
        ("score_distribution", "*"), ("score_quantile", "*"), ("trend", "diff"), ("sector_comparison", "diff"),
    ):  # fmt: skip
        found = every_built.query(
            f"SELECT count({counted}) FROM mart.{table} SEMI JOIN {hidden_cells} USING ({keys})", "benchmark.duckdb"
        )
        assert found == [(0,)], table


# --- the outputs ---------------------------------------------------------------------------------


def test_public_reproduces_every_published_figure_and_names_nobody(every_built: Place) -> None:
    public = every_built.current / "public"
    with duckdb.connect(str(public / "benchmark.duckdb"), read_only=True) as con:
        figures = (
            "SELECT count(*), count(*) FILTER (is_reproduced), count(*) FILTER (value IS NULL) "
            "FROM mart.published_comparison WHERE measure_code NOT IN ('customer_ratings', 'organisations')"
        )
        assert con.execute(figures).fetchall() == [(33, 33, 0)]  # how many there are, a sample does not reproduce
        assert con.execute("SELECT count(*) FROM mart.trend").fetchall() == [(0,)]  # all of it is synthetic
        columns = {c for (c,) in con.execute("SELECT column_name FROM duckdb_columns() WHERE NOT internal").fetchall()}
        undescribed = con.execute(
            "SELECT count(*) FROM duckdb_columns() WHERE NOT internal AND comment IS NULL"
        ).fetchall()
    assert undescribed == [(0,)]
    assert not {c for c in columns if "organisation_code" in c or c in ("response_id", "respondent_id")}
    organisations = {
        code for (code,) in every_built.query("SELECT DISTINCT organisation_code FROM core.dim_organisation")
    }
    for file in sorted(public.rglob("*")):
        if file.suffix in (".csv", ".md", ".json", ".jsonld", ".cff", ".html"):
            text = file.read_text(encoding="utf-8")
            assert not [code for code in organisations if code in text], file
    assert {f.stem for f in (public / "csv").iterdir()} == {f.stem for f in (public / "parquet").iterdir()}
    package = json.loads((public / "datapackage.json").read_text())
    for resource in package["resources"]:
        if resource["format"] == "csv":
            with (public / resource["path"]).open(encoding="utf-8") as file:
                assert next(csv.reader(file)) == [field["name"] for field in resource["schema"]["fields"]]


def test_a_participant_gets_its_own_and_nobody_elses(every_built: Place) -> None:
    folder = every_built.current / "participants"
    names = sorted(f.name for f in folder.iterdir())
    everybody = {code for (code,) in every_built.query("SELECT DISTINCT organisation_code FROM core.dim_organisation")}
    assert len(names) > 100 and set(names) <= everybody
    for name in names[::10]:
        text = (folder / name / "own.csv").read_text(encoding="utf-8")
        assert not [other for other in everybody - {name} if other in text]
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT count(*), min(n_respondents), count(*) FILTER (round(value - benchmark_sector_value - gap, 6) <> 0) "  # noqa: E501
            f"FROM read_parquet('{folder}/*/own.parquet')"
        ).fetchall()[0]
    assert found[0] > 0 and found[1] >= 10 and found[2] == 0


SHOPS = [Organisation(f"shop{i}", "shops") for i in range(8)]
Grades = dict[tuple[str, int], list[int]]  # by shop and quarter


class Shopping:
    """A survey of shops, night after night; what everybody gets of it."""

    def __init__(self, root: Path, grades: Grades) -> None:
        self.place = Place(root)
        self.nights = 0
        named = ("response", "organisation", "day")
        first = self._rows(grades)
        write_raw(self.place.raw, [Design("shopping", SHOPS, first, {"recommendation": "recommendation"}, named=named)])
        self.place.state.mkdir()
        self.place.refresh_here()

    def _rows(self, grades: Grades) -> list[dict[str, str]]:
        self.nights += 1
        people = [(shop, quarter, grade) for (shop, quarter), given in grades.items() for grade in given]
        return [
            {"response": f"{self.nights}-{i}", "organisation": shop, "day": f"2024-{3 * q:02}-11"}
            | {"recommendation": str(grade)}
            for i, (shop, q, grade) in enumerate(people)
        ]

    def night(self, grades: Grades) -> None:
        rows = self._rows(grades)
        write_csv(self.place.raw / "shopping" / f"part{self.nights}.csv", rows[0], (row.values() for row in rows))
        self.place.refresh_here()

    def shown(self, file: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        rows = pq.read_table(self.place.current / file).to_pylist()
        return {Key.of(r): tuple(r[c] for c in ("value", "n_answers", "as_of", "as_of_release")) for r in rows}

    def public(self) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        return self.shown("public/parquet/measure_score.parquet")

    def own(self, shop: str) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        return self.shown(f"participants/{shop}/own.parquet")

    def kept(self) -> list[str]:
        """Where the figures of the release before stand."""
        told = json.loads((self.place.current / "publication.json").read_text()).get("disclosure", {})
        assert not told.get("withheld")
        assert all(family == ["shopping", "customer", "recommendation"] for _, *family in told.get("kept", []))
        return [output for output, *_ in told.get("kept", [])]


def periods_that_moved(before: dict[Any, Any], now: dict[Any, Any]) -> set[str]:
    return {key.period_code for key in now if now[key] != before[key]}


def test_one_participant_would_learn_too_much_and_nobody_elses_figures_stand_for_that(tmp_path: Path) -> None:
    """Nine new customers of a shop give a 0 where all others gave a 10. Its second quarter stands, as nine are too few;
    but the year would move, and less the other quarters tell of the nine."""
    rng = random.Random(20241111)
    first = {("shop0", q): [10] * 10 for q in range(1, 5)}
    first |= {(shop.code, q): rng.choices(range(11), k=40) for shop in SHOPS[1:] for q in range(1, 5)}
    shopping = Shopping(tmp_path, first)
    before, public = {shop.code: shopping.own(shop.code) for shop in SHOPS}, shopping.public()
    inside = shopping.place.mart("measure_score")
    assert before["shop0"] and not shopping.kept()

    shopping.night({("shop0", 2): [0] * 9} | {(shop.code, 3): [10] * 12 for shop in SHOPS})
    assert shopping.kept() == ["participants/shop0"]
    assert shopping.own("shop0") == before["shop0"]
    for shop in SHOPS[1:]:
        assert {"2024", "2024-Q3"} < periods_that_moved(before[shop.code], shopping.own(shop.code))
    assert {"2024", "2024-Q3"} < periods_that_moved(public, shopping.public())
    assert shopping.place.mart("measure_score") != inside, "inside the house nothing stands"
    assert not audit.audit(shopping.place.current).failed
    id = shopping.place.release_id()
    shopping.place.refresh_here()
    assert shopping.place.release_id() == id and shopping.kept() == ["participants/shop0"], "nothing new, nothing done"

    shopping.night({("shop0", 2): [9]})  # ten may be told of
    assert not shopping.kept() and "2024-Q2" in periods_that_moved(before["shop0"], shopping.own("shop0"))


def test_everybody_would_learn_too_much_and_nobodys_own_figures_stand_for_that(tmp_path: Path) -> None:
    """The same of the whole sector, where a shop has two customers a quarter."""
    shopping = Shopping(tmp_path, {(shop.code, q): [10] * 2 for shop in SHOPS[:6] for q in range(1, 5)})
    before = shopping.public()
    assert before and not shopping.kept()
    came = {(shop.code, 2): [0] for shop in SHOPS[:6]} | {("shop0", 2): [0] * 4}
    shopping.night(came | {(shop.code, 3): [10] * 2 for shop in SHOPS[:6]})
    assert shopping.kept() == ["public"] and shopping.public() == before
    assert not audit.audit(shopping.place.current).failed
    shopping.night({("shop1", 2): [9]})
    assert not shopping.kept() and "2024-Q2" in periods_that_moved(before, shopping.public())


def test_the_audit_is_a_command(every_built: Place) -> None:
    ran = every_built.meetlat("audit")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_rule_below_its_floor_is_refused(published: Place) -> None:
    before = published.release_id()
    rules = published.raw / "reference" / "disclosure.yml"
    rules.write_text("respondents: 4\n")
    ran = published.refresh(status=1)
    assert "greater than or equal to 5" in ran.stderr and "disclosure.yml: respondents" in ran.stderr
    assert len(lines(ran)) == 1 and published.release_id() == before


def test_stricter_rules_hide_more(published: Place) -> None:
    def free() -> int:
        path = published.current / "public" / "benchmark.duckdb"
        with duckdb.connect(str(path), read_only=True) as con:
            return int(con.execute("SELECT count(*) FROM mart.measure_score WHERE conf_status = 'F'").fetchall()[0][0])

    before = free()
    (published.raw / "reference" / "disclosure.yml").write_text("periods: [year, wave]\nrespondents: 40\n")
    published.refresh_here()
    assert 0 < free() < before
    assert not audit.audit(published.current.resolve()).failed
