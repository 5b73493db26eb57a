"""Each rule of the monitors carries a published figure: break the rule, and a figure leaves its interval.

One refresh for all of them: no figure rests on two of these sources, and each source has one rule broken.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from conftest import Once, Place, new_place

COMPARISON = "mart.published_comparison"
Contract = dict[str, Any]


def count_test_rows(contract: Contract, _: Path) -> None:
    """What is excluded because somebody only tried the questionnaire counts all the same."""
    (status,) = [c for c in roles(contract) if c["role"] == "status" and "test_row" in c.get("exclude", {}).values()]
    for value, reason in list(status["exclude"].items()):
        if reason == "test_row":
            del status["exclude"][value]
            status["keep"].append(value)


def count_what_is_not_finished(contract: Contract, _: Path) -> None:
    """Partial responses, previews, tests and spam count."""
    for status in (c for c in roles(contract) if c["role"] == "status"):
        status["keep"] += list(status.pop("exclude"))


def take_dont_know_for_no(contract: Contract, _: Path) -> None:
    """A don't-know is the value 0 of a share."""
    for question in (c for c in roles(contract) if c["role"] == "question"):
        question["values"] |= dict.fromkeys(question.pop("dont_know"), 0)


def read_the_snapshot_as_an_addition(contract: Contract, _: Path) -> None:
    """What the newest workbook left out stays from the one before."""
    assert contract["delivery"]["mode"] == "snapshot"
    contract["delivery"]["mode"] = "append"


def key_on_the_visible_name(contract: Contract, source: Path) -> None:
    """Of two columns with the same visible name the last one is taken, whatever its ImportId."""
    with min(source.glob("*.csv")).open(encoding="utf-8-sig", newline="") as file:
        names, _, ids = (next(csv.reader(file)) for _ in range(3))
    import_ids = [cell.split('"')[3] for cell in ids]
    visible = {id: name for id, name in zip(import_ids, names, strict=True)}
    last = {name: name if names.count(name) == 1 else f"{name} #{names.count(name)}" for name in names}
    headings = ["name", "label", "skip"]
    contract["format"] = {"kind": "csv", "encoding": "utf-8", "delimiter": ",", "headings": headings}
    contract["columns"] = {last[visible[id]]: spec for id, spec in contract["columns"].items()}
    assert any("#" in name for name in contract["columns"])
    contract["discard"] = [n for n in {*names, *last.values()} if n not in contract["columns"]]


def base_on_who_was_asked(contract: Contract, _: Path) -> None:
    """Who ticked no choice at all counts in the base of every choice."""
    for choice in (c for c in roles(contract) if c["role"] == "choice"):
        choice["base"] = "asked"


BROKEN: dict[str, Callable[[Contract, Path], None]] = {
    "integron_cx": count_test_rows,
    "rackspace_employees": count_test_rows,
    "rackspace_it_staff": take_dont_know_for_no,
    "rackspace_it_respondents": base_on_who_was_asked,
    "ntt_employees": take_dont_know_for_no,
    "ntt_end_customers": key_on_the_visible_name,
    "ntt_cx_employees": count_what_is_not_finished,
    "klantgedrevenheid_monitor": read_the_snapshot_as_an_addition,
}


def roles(contract: Contract) -> list[Contract]:
    """Every role of every column."""
    return [c for spec in contract["columns"].values() for c in (spec if isinstance(spec, list) else [spec])]


@pytest.fixture(scope="session")
def broken(once: Once, every_sample: Path) -> Place:
    """A place in which the comparison was made with all these rules broken. Only to look at."""

    def make(folder: Path) -> None:
        place = new_place(folder, every_sample)
        for source, break_rule in BROKEN.items():
            path = place.raw / source / "contract.yml"
            contract = yaml.safe_load(path.read_text(encoding="utf-8"))
            break_rule(contract, path.parent)
            path.write_text(yaml.safe_dump(contract, allow_unicode=True), encoding="utf-8")
        place.refresh("--select", COMPARISON)

    return Place(once("monitors_broken", make))


def outside(rows: list[tuple[str, str, str, bool]], place: Place) -> dict[str, set[str]]:
    """Per source the figures that are not in their interval; the rows tell monitor and audience."""
    found: dict[str, set[str]] = {}
    for path in place.raw.glob("*/contract.yml"):
        contract = yaml.safe_load(path.read_text(encoding="utf-8"))
        of = (contract["monitor"], contract["audience"])
        found[path.parent.name] = {f for f, *monitor, good in rows if tuple(monitor) == of and good is not True}
    return found


FIGURES = "figure_id, monitor_code, audience_code, is_reproduced"
BUT_SIZE = "monitor_code <> 'klantcontact_monitor' OR statistic <> 'count'"  # no small sample has 400,000


def test_whole_rules_reproduce_everything(every_built: Place) -> None:
    rows = every_built.query(f"SELECT {FIGURES} FROM {COMPARISON} WHERE {BUT_SIZE}")
    assert len(rows) == 34
    assert set().union(*outside(rows, every_built).values()) == set()


def moved(place: Place) -> dict[str, set[str]]:
    """The figures outside their interval, by source, of a place that made the comparison only."""
    (file,) = (place.warehouse / "parts" / COMPARISON).glob("*/data.parquet")
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT {FIGURES} FROM read_parquet('{file}') WHERE {BUT_SIZE}").fetchall()
    assert len(rows) == 34
    return outside(rows, place)


@pytest.mark.parametrize("source", BROKEN)
def test_a_broken_rule_moves_a_figure(broken: Place, source: str) -> None:
    assert moved(broken)[source] != set()


def test_and_no_figure_of_another_source(broken: Place) -> None:
    assert {source for source, figures in moved(broken).items() if figures} <= set(BROKEN)
