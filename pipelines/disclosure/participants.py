"""What participants get of their own: as in `standing.py` rounded, and as it was while too little changed.

Nothing is hidden in a table of a participant (`own.py`), so no figure depends on another one, and all organisations
are worked on at once, in columns.
"""

import datetime as dt
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, unquote

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from pipelines.disclosure import own
from pipelines.disclosure.cells import Key
from pipelines.disclosure.columns import FIGURES, LEDGER, OWN
from pipelines.disclosure.rules import Rules
from pipelines.disclosure.tables import schema_of
from pipelines.engine import load_rows, quoted

KEYS = ", ".join(Key._fields)
ABOUT = ("period_type", "period_start", "period_end", "is_total", "statistic", "unit", "base", "provenance")


Family = tuple[str, tuple[str, str, str]]  # an organisation; monitor, audience and measure


@dataclass(frozen=True)
class Own:
    """By organisation and key: the figures (`rows`), what the next refresh must know of them, and which stand."""

    rows: pa.Table
    ledger: pa.Table
    held: list[tuple[str, Key]]


def show(
    cells: pa.Table,
    rules: Rules,
    before: pa.Table,
    data_through: dt.date,
    withheld: frozenset[Family] = frozenset(),
) -> Own:
    """What organisations get of these cells, which have the columns of disclosure.own_cell.

    `before` is the ledger of the release before; nothing is given of what is `withheld`.
    """
    with duckdb.connect() as con:
        con.register("own_cell", cells)
        own.given(con, rules)
        _load(con, "withheld", withheld)
        con.execute(f"DELETE FROM given WHERE ({own.FAMILY}) IN (FROM withheld)")
        con.register("before", before)
        con.execute(
            "CREATE MACRO told(number, places) AS "  # the nearest decimal, as of Python; -0.0 would tell a sign
            "CASE places WHEN 0 THEN format('{:.0f}', number) ELSE format('{:.1f}', number) END::DOUBLE + 0.0"
        )
        step = rules.base_rounding
        con.execute(f"CREATE MACRO base(number) AS {step} * round_even(number / {step}.0, 0)")
        con.execute(f"CREATE TABLE shown AS {_figures(rules, data_through)}")
        figures = ", ".join(c.name for c in FIGURES)
        rows = _table(
            con,
            f"SELECT organisation_code, {KEYS}, {', '.join(ABOUT)}, "
            f"{figures}, 'F' AS conf_status, NULL::VARCHAR AS suppression_reason "
            f"FROM shown ORDER BY organisation_code, {KEYS}",
        )
        known = ", ".join(c.name for c in LEDGER)
        ledger = _table(  # what was told once is known when it is given again
            con,
            f"SELECT {known} FROM shown UNION ALL "
            f"SELECT {known} FROM before ANTI JOIN shown USING (organisation_code, {KEYS}) "
            f"ORDER BY organisation_code, {KEYS}",
        )
        held = con.execute(
            f"SELECT organisation_code, {KEYS} FROM shown WHERE stands ORDER BY organisation_code, {KEYS}"
        ).fetchall()
    return Own(rows, ledger.cast(schema_of(LEDGER)), [(organisation, Key(*key)) for organisation, *key in held])


def keep(now: Own, families: frozenset[Family], folder: Path, before: pa.Table) -> Own:
    """The same with these families as an earlier release gave them, row for row.

    `folder` has the own tables of that release, `before` is its ledger. What it did not give is not given now.
    """
    if not families:
        return now
    with duckdb.connect() as con:
        _load(con, "kept", families)
        con.register("told", now.rows)
        con.register("ledger", now.ledger)
        con.register("before", before)
        con.execute("CREATE TABLE given AS FROM told LIMIT 0")
        for organisation in sorted({organisation for organisation, _ in families}):
            file = folder / _folder_name(organisation) / "own.parquet"
            if file.is_file():
                names = ", ".join(set(now.rows.column_names) & set(pyarrow.parquet.read_schema(file).names))
                query = f"INSERT INTO given BY NAME SELECT $2 AS organisation_code, {names} FROM read_parquet($1)"
                con.execute(query, [str(file), organisation])
        stays, goes = (f"WHERE ({own.FAMILY}) {which} (FROM kept)" for which in ("NOT IN", "IN"))
        order = f"ORDER BY organisation_code, {KEYS}"
        rows = _table(con, f"FROM told {stays} UNION ALL FROM given {goes} {order}")
        ledger = _table(con, f"FROM ledger {stays} UNION ALL FROM before {goes} {order}")
        kept = con.execute(f"SELECT organisation_code, {KEYS} FROM given {goes}").fetchall()
    held = [(organisation, key) for organisation, key in now.held if (organisation, key.family) not in families]
    held += [(organisation, Key(*key)) for organisation, *key in kept]
    return Own(rows.cast(now.rows.schema), ledger.cast(now.ledger.schema), sorted(held))


def _load(con: duckdb.DuckDBPyConnection, name: str, families: frozenset[Family]) -> None:
    """Make a table of families of organisations."""
    columns = own.FAMILY.split(", ")
    rows = [dict(zip(columns, (organisation, *family), strict=True)) for organisation, family in sorted(families)]
    load_rows(con, name, dict.fromkeys(columns, "VARCHAR"), rows)


def _figures(rules: Rules, data_through: dt.date) -> str:
    """Of each cell its rounded figures, or those that were published before while it hardly changed since.

    In SQL what `standing.rounded` and `standing.changed` say of one cell.
    """
    detailed = f"now.n_respondents >= {rules.detail_from}"
    places = f"least(now.decimals, {rules.most_decimals})"
    fresh = {name: "NULL" for name in (c.name for c in FIGURES)} | {
        "value": f"told(now.value, {places})",
        "n_answers": "base(now.n_answers)",
        "n_respondents": "base(now.n_respondents)",
        "ci_low": f"CASE WHEN {detailed} THEN told(now.ci_low, {places}) END",
        "ci_high": f"CASE WHEN {detailed} THEN told(now.ci_high, {places}) END",
        "promoters_pct": f"CASE WHEN {detailed} THEN told(now.promoters_pct, 0) END",
        "detractors_pct": f"CASE WHEN {detailed} THEN told(now.detractors_pct, 0) END",
        "obs_status": "now.obs_status",
        "as_of": f"least(now.period_end, DATE {quoted(str(data_through))})",
        "exact_answers": "now.n_answers",
        "exact_value": "now.value",
    }
    types = {c.name: c.type for c in LEDGER}
    figures = ", ".join(
        f"(CASE WHEN stands THEN was.{name} ELSE {what} END)::{types[name]} AS {name}" for name, what in fresh.items()
    )
    about = ", ".join(f"now.{name}" for name in ABOUT)
    return f"""
        WITH moved AS (
            SELECT
                now.organisation_code, {", ".join(f"now.{k}" for k in Key._fields)},
                abs(now.n_answers - was.exact_answers) AS by_count,
                abs(now.n_answers * now.value - was.exact_answers * was.exact_value) AS distance,
                CASE WHEN now.high > now.low THEN distance / (now.high - now.low) ELSE 0 END AS by_sum,
                greatest(
                    by_count,
                    trunc(by_sum - 1e-6),
                    CASE WHEN distance > 1e-6 * greatest(1, abs(now.value)) THEN 1 ELSE 0 END
                ) AS changed
            FROM given AS now JOIN before AS was USING (organisation_code, {KEYS})
        )
        SELECT
            now.organisation_code, {", ".join(f"now.{k}" for k in Key._fields)}, {about},
            coalesce(moved.changed > 0 AND moved.changed < {rules.answers_changed}, false) AS stands,
            {figures}
        FROM given AS now
        LEFT JOIN before AS was USING (organisation_code, {KEYS})
        LEFT JOIN moved USING (organisation_code, {KEYS})
    """


def write(
    con: duckdb.DuckDBPyConnection,
    participants: Own,
    rules: Rules,
    release_id: str,
    public: Path,
    benchmark: Path,
    folder: Path,
) -> None:
    """One folder an organisation: its own figures, and beside them what `public` shows of its sector and of all.

    Of `benchmark`, mart.organisation_benchmark, only the verdicts are shown (expected range, quartile), where the
    sector is neither hidden nor of few organisations.
    """
    con.register("own", participants.rows)
    picked = {c.name: f"own.{c.name}" for c in OWN} | {
        "as_of_release": f"coalesce(own.as_of_release, {quoted(release_id)})",
        "benchmark_sector_value": "sector.value",
        "benchmark_all_value": "everybody.value",
        "gap": "format('{:.6f}', own.value - sector.value)::DOUBLE",
        "expected_range": "CASE WHEN sector.value IS NOT NULL THEN verdict.expected_range END",
        "quartile": "CASE WHEN sector.value IS NOT NULL THEN verdict.quartile END",
    }
    others = [k for k in Key._fields if k != "sector_code"]
    above = " AND ".join(f"everybody.{k} = own.{k}" for k in others)
    same = " AND ".join(f"verdict.{k} = own.{k}" for k in ("organisation_code", *others))
    columns = ", ".join(f"({picked[c.name]})::{c.type} AS {c.name}" for c in OWN)
    table = _table(
        con,
        f"SELECT own.organisation_code AS whose, {columns} "
        f"FROM own LEFT JOIN read_parquet($1) AS sector USING ({KEYS}) "
        f"LEFT JOIN (FROM read_parquet($1) WHERE sector_code = 'all') AS everybody ON {above} "
        "LEFT JOIN (FROM read_parquet($2) WHERE peer_group_type = 'sector' AND n_peers + 1 >= $3) AS verdict "
        f"ON verdict.peer_group_code = own.sector_code AND {same} "
        f"ORDER BY own.organisation_code, {', '.join(f'own.{k}' for k in Key._fields)}",
        str(public),
        str(benchmark),
        rules.percentiles_from,
    )
    con.unregister("own")
    whose, first = table.column("whose").to_pylist(), 0
    figures = table.drop_columns("whose").cast(schema_of(OWN)).combine_chunks()
    for organisation, each in groupby(whose):
        rows = figures.slice(first, len(list(each)))
        place = folder / _folder_name(organisation)
        place.mkdir(parents=True, exist_ok=True, mode=0o750)
        # few rows: packed they are no smaller
        pyarrow.parquet.write_table(rows, place / "own.parquet", compression="none", version="1.0")
        pyarrow.csv.write_csv(rows, place / "own.csv")
        first += len(rows)


def _table(con: duckdb.DuckDBPyConnection, query: str, *parameters: object) -> pa.Table:
    table: pa.Table = con.sql(query, params=list(parameters)).to_arrow_table()
    return table


def whose(output: str) -> str:
    """The organisation of an output participants/<folder>."""
    return unquote(output.removeprefix("participants/"))


def _folder_name(code: str) -> str:
    """A code as the name of a folder, another one for every code."""
    return quote(code, safe="").replace(".", "%2E")
