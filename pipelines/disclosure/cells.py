"""A cell, and whether it may be shown for its own sake."""

import datetime as dt
from collections.abc import Mapping
from operator import itemgetter
from typing import NamedTuple

import duckdb

from pipelines.disclosure.rules import Rules
from pipelines.parts import JSON


class Key(NamedTuple):
    """The grain of the headline marts."""

    monitor_code: str
    period_code: str
    audience_code: str
    sector_code: str
    channel_code: str
    measure_code: str

    @classmethod
    def of(cls, row: Mapping[str, JSON]) -> "Key":
        """The key of a row, which may have other columns too."""
        return cls(*(row[name] for name in cls._fields))

    @property
    def family(self) -> tuple[str, str, str]:
        """What adds up to one another."""
        return self.monitor_code, self.audience_code, self.measure_code


class Cell(NamedTuple):
    """One figure and who is behind it. `value` lies from `low` to `high`; `held` are sums of weights.

    `held_largest`, `held_second` and `n_left` are None where no organisations are behind it, and where
    the figure is an organisation's own.
    """

    key: Key
    period_type: str
    period_start: dt.date
    period_end: dt.date
    is_total: bool
    statistic: str
    unit: str
    low: float
    high: float
    decimals: int
    value: float
    n_answers: int
    n_respondents: int
    n_organisations: int | None = None
    is_weighted: bool = False
    held: float = 0
    held_largest: float | None = None
    held_second: float | None = None
    n_left: int | None = None
    promoters_pct: float | None = None
    detractors_pct: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    se: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    n_ranked: int | None = None
    obs_status: str | None = None
    provenance: str = "survey"
    base: str = "answered"


def read(con: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> list[Cell]:
    """The cells that a query gives, by column name."""
    found = con.execute(query, parameters)
    names = [column[0] for column in found.description or ()]
    defaults = Cell._field_defaults  # stand behind every row, for the columns that it lacks
    place = {name: len(names) + i for i, name in enumerate(defaults)} | {name: i for i, name in enumerate(names)}
    key, rest = itemgetter(*(place[n] for n in Key._fields)), itemgetter(*(place[n] for n in Cell._fields[1:]))
    behind = tuple(defaults.values())
    return [Cell(Key._make(key(whole)), *rest(whole)) for whole in (row + behind for row in found.fetchall())]


def reason(cell: Cell, rules: Rules) -> str | None:
    """Why a cell may not be shown for its own sake, or None.

    Somebody who is behind the figure can take away what is his own, so what is left must be enough:
    p % rule, X - x1 - x2 < p / 100 * x1 with x1 and x2 the largest contributions to X.
    """
    if cell.n_respondents < rules.least(cell.key.audience_code):
        return "respondents"
    if cell.n_organisations is not None and cell.n_organisations < rules.organisations:
        return "organisations"
    if cell.n_organisations is not None and cell.held_largest is not None:
        rest = cell.held - cell.held_largest - (cell.held_second or 0)
        if cell.held_largest > rules.largest_share * cell.held or rest < rules.p_percent / 100 * cell.held_largest:
            return "dominance"
        if cell.n_left is not None and cell.n_left < rules.least(cell.key.audience_code):
            return "dominance"
    return None
