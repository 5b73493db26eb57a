"""Small cells of employees, hidden in the tables that the whole house may open.

An employer reads along there. Numbers are not rounded in these tables, so a cell of few employees is hidden
together with what it could be reckoned from exactly, and in every table that has a row for it. The restricted
tables keep it.
"""

from collections.abc import Mapping
from pathlib import Path

import duckdb

from pipelines import engine
from pipelines.disclosure import cells as reading
from pipelines.disclosure import hiding
from pipelines.disclosure.bounds import Rounding
from pipelines.disclosure.cells import Key
from pipelines.disclosure.hiding import Hidden
from pipelines.disclosure.rules import Rules
from pipelines.engine import quoted
from pipelines.models import Model

EXACT = Rounding(base=0, most_decimals=0, detail_from=0, exact=True)
DESCRIBES = (
    "period_type",
    "period_start",
    "period_end",
    "is_total",
    "statistic",
    "unit",
    "base",
    "sampling_unit",
    "provenance",
)


def hidden(
    con: duckdb.DuckDBPyConnection,
    file: Path,
    parents: Mapping[str, str | None],
    rules: Rules,
    threads: int | None = None,
) -> dict[Key, Hidden]:
    """The cells of employees that are hidden in the house, of all period types, from disclosure.cell."""
    query = "SELECT * FROM read_parquet($1) WHERE list_contains($2, audience_code)"
    found = reading.read(con, query, str(file), list(rules.employees.audiences))
    # organisations are no secret in the house
    cells = [cell._replace(n_organisations=None, held_largest=None) for cell in found]
    return hiding.hide(cells, parents, rules, EXACT, threads=threads)


def load(con: duckdb.DuckDBPyConnection, hidden: Mapping[Key, Hidden]) -> None:
    """Make the table `hidden` that `write` reads."""
    columns = dict.fromkeys((*Key._fields, "conf_status", "reason"), "VARCHAR")
    rows = [
        key._asdict() | {"conf_status": why.conf_status, "reason": why.reason} for key, why in sorted(hidden.items())
    ]
    engine.load_rows(con, "hidden", columns, rows)


def touches(model: Model) -> bool:
    """Whether rows of a table may be about one cell."""
    return set(Key._fields) <= {c.name for c in model.columns}


def write(con: duckdb.DuckDBPyConnection, model: Model, made: Path, rules: Rules, file: Path) -> bool:
    """Write a table of the house without the figures of hidden cells; gives False if it has none of them.

    A row stays, with NULL in every column that tells anything. Where there are several rows for a cell, as of a
    distribution, they go: that they are there would tell. Segments of employees go for all of a cell if one of
    them is small.
    """
    names = [c.name for c in model.columns]
    others = {n.removeprefix("compare_to_"): n for n in names if n.startswith("compare_to_")}
    several = [g for g in model.grain if g not in Key._fields and g not in others.values()]
    keys = ", ".join(Key._fields)
    sides = [f"({', '.join(f't.{others[k]}' if k == o else f't.{k}' for k in Key._fields)})" for o in others]
    sides.append(f"({', '.join(f't.{k}' for k in Key._fields)})")
    hit = " OR ".join(f"{side} IN (SELECT ({keys}) FROM hidden)" for side in sides)
    if "segment_type" in names and "n_respondents" in names:
        audiences = ", ".join(quoted(a) for a in rules.employees.audiences)
        small = f"t.audience_code IN ({audiences}) AND t.n_respondents < {rules.employees.respondents}"
        hit = (
            f"{hit} OR bool_or({small}) OVER (PARTITION BY {', '.join(f't.{k}' for k in Key._fields)}, t.segment_type)"
        )
    source = f"SELECT t.*, ({hit}) AS is_hit FROM read_parquet({quoted(str(made))}) AS t"
    (any_hit,) = con.execute(f"SELECT coalesce(bool_or(is_hit), false) FROM ({source})").fetchall()[0]
    if not any_hit:
        return False
    order = ", ".join(f"{g} NULLS LAST" for g in model.grain)
    if several:
        engine.write_parquet(con, f"SELECT {', '.join(names)} FROM ({source}) WHERE NOT is_hit ORDER BY {order}", file)
        return True
    why = {"conf_status": "h.conf_status", "suppression_reason": "h.reason"}

    def shown(column: str, type: str) -> str:
        if column in model.grain or column in DESCRIBES or column in Key._fields:
            return f"t.{column}"
        return f"CASE WHEN is_hit THEN {why.get(column, 'NULL')} ELSE t.{column} END::{type} AS {column}"

    picked = ", ".join(shown(c.name, c.type) for c in model.columns)
    query = f"SELECT {picked} FROM ({source}) AS t LEFT JOIN hidden AS h USING ({keys}) ORDER BY {order}"
    engine.write_parquet(con, query, file)
    return True
