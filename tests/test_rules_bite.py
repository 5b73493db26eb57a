"""Each rule carries a published figure: break the rule, and a figure leaves its interval."""

from collections.abc import Callable
from typing import Any

import duckdb
import pytest
import yaml
from conftest import CUSTOMERS, Place, read_quarter, write_quarter

COMPARISON = "mart.published_comparison"
Contract = dict[str, Any]


def edit(place: Place, change: Callable[[Contract], None]) -> None:
    path = place.delivery(CUSTOMERS, "contract.yml")
    contract = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(contract)
    path.write_text(yaml.safe_dump(contract, allow_unicode=True), encoding="utf-8")


def questions(contract: Contract) -> list[Contract]:
    return [column for column in contract["columns"].values() if column["role"] == "question"]


def count_the_dont_knows(place: Place) -> None:
    def change(contract: Contract) -> None:
        for question in questions(contract):
            del question["dont_know"]
            question["scale"] = [0, 99]

    edit(place, change)


def count_impossible_grades(place: Place) -> None:
    def change(contract: Contract) -> None:
        for question in questions(contract):
            question["scale"] = [-1, 98]

    edit(place, change)


def count_test_rows(place: Place) -> None:
    def change(contract: Contract) -> None:
        status = contract["columns"]["Status"]
        del status["exclude"]["test"]
        status["keep"].append("test")

    edit(place, change)


def count_duplicates(place: Place) -> None:
    """Number the responses anew, so that none is seen to come again."""
    number = 0
    for quarter in range(1, 5):
        heading, *rows = read_quarter(place.raw, quarter)
        assert heading[0] == "Responsnummer"
        for row in rows:
            number += 1
            row[0] = row[0] and f"X{number:07}"
        write_quarter(place.raw, quarter, [heading, *rows])


FIGURES = "figure_id, is_reproduced"
OF_THE_MONITOR = "monitor_code = 'klantcontact_monitor' AND statistic <> 'count'"  # no small sample has 400,000


def outside(rows: list[tuple[str, bool]]) -> set[str]:
    """The figures that are not in their interval."""
    assert len(rows) == 13
    return {figure for figure, reproduced in rows if reproduced is not True}


def test_whole_rules_reproduce_everything(built: Place) -> None:
    assert outside(built.query(f"SELECT {FIGURES} FROM {COMPARISON} WHERE {OF_THE_MONITOR}")) == set()


@pytest.mark.parametrize(
    "break_rule", [count_the_dont_knows, count_impossible_grades, count_test_rows, count_duplicates]
)
def test_a_broken_rule_moves_a_figure(place: Place, break_rule: Callable[[Place], None]) -> None:
    break_rule(place)
    place.refresh("--select", COMPARISON)
    (file,) = (place.warehouse / "parts" / COMPARISON).glob("*/data.parquet")
    with duckdb.connect() as con:
        rows = con.execute(f"SELECT {FIGURES} FROM read_parquet('{file}') WHERE {OF_THE_MONITOR}").fetchall()
    assert outside(rows) != set()
