"""Which figures an organisation gets of its own.

Its customers and employees were promised that nobody would recognise them, and their supplier or employer would
be the first to. Here nothing is hidden inside a table: a table is given whole, or not at all, so that nothing can
be reckoned from what stands beside it. Per family (monitor, audience, measure) and per wave, or per calendar year
where there are no waves:

  all channels          if enough people answered
  each channel          small ones pooled as `other`, with the smallest of the rest if they are too few themselves
  quarters, to date     if every quarter has enough people, and their margins give no small cell away
  quarters by channel   if every one of these cells has enough people

No figure depends on another organisation, so all of them are worked on at once, in columns.
"""

from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa

from pipelines.disclosure.cells import Cell, Key
from pipelines.disclosure.rules import Rules
from pipelines.engine import quoted

OTHER = "other"
FAMILY = "organisation_code, monitor_code, audience_code, measure_code"
KEYS = ", ".join(Key._fields)
TYPES = {
    "decimals": pa.int32(),
    "n_answers": pa.int64(),
    "n_respondents": pa.int64(),
    "obs_status": pa.string(),
} | dict.fromkeys(
    ("low", "high", "value", "held", "promoters_pct", "detractors_pct", "ci_low", "ci_high"), pa.float64()
)
NOT_OWN = ("n_organisations", "held_largest", "held_second", "n_left", "se", "p25", "p50", "p75", "n_ranked")


def table(cells: Mapping[str, Iterable[Cell]]) -> pa.Table:
    """Cells by organisation as disclosure.own_cell holds them."""
    every = [(organisation, cell) for organisation, each in cells.items() for cell in each]
    columns = {"organisation_code": pa.array([organisation for organisation, _ in every], pa.string())}
    columns |= {name: pa.array([getattr(c.key, name) for _, c in every], pa.string()) for name in Key._fields}
    for name in Cell._fields[1:]:
        if name not in NOT_OWN:
            columns[name] = pa.array([getattr(c, name) for _, c in every], TYPES.get(name))
    return pa.table(columns)


def given(con: duckdb.DuckDBPyConnection, rules: Rules) -> None:
    """Make the table `given` of those rows of `own_cell` that organisations get, and of the pools.

    The columns are those of disclosure.own_cell.
    """
    employees = ", ".join(quoted(audience) for audience in rules.employees.audiences) or "NULL"
    enough = f"CASE WHEN audience_code IN ({employees}) THEN {max(rules.respondents, rules.employees.respondents)} "
    has_quarters = {"quarter", "ytd"} <= set(rules.periods)
    con.execute(
        f"""
        CREATE TABLE given AS
        WITH cell AS (SELECT *, {enough} ELSE {rules.respondents} END AS enough FROM own_cell),

        -- all channels: waves, or years where there are none
        every AS (
            SELECT * FROM cell WHERE channel_code = 'all' AND period_type IN ('wave', 'year')
            QUALIFY period_type = 'wave' OR NOT bool_or(period_type = 'wave') OVER (PARTITION BY {FAMILY})
        ),
        whole AS (FROM every WHERE n_respondents >= enough),

        -- each channel: those with too few people come first, and the next one goes with them
        channel AS (
            SELECT
                cell.*,
                count(*) FILTER (n_respondents < enough) OVER beside AS n_small,
                CASE WHEN n_small > 0 THEN n_small + 1 ELSE 0 END AS n_pooled,
                count(*) OVER beside > n_pooled AS is_given,  -- a pool of every channel is what stands in `all`
                row_number() OVER (beside ORDER BY n_respondents, {KEYS}) AS place
            FROM cell SEMI JOIN whole USING ({FAMILY}, period_code)
            WHERE channel_code <> 'all'
            WINDOW beside AS (PARTITION BY {FAMILY}, period_code)
        ),
        pool AS (
            SELECT
                {FAMILY}, period_code,
                sum(n_answers)::BIGINT AS n_answers,
                max(n_respondents) AS n_respondents,  -- the people of the largest channel are in it for sure
                bool_or(is_weighted) AS is_weighted,
                sum(held ORDER BY place) AS held,
                sum(value * held ORDER BY place) / sum(held ORDER BY place) AS value,
                CASE WHEN count(promoters_pct) = count(*)
                    THEN sum(promoters_pct * held ORDER BY place) / sum(held ORDER BY place) END AS promoters_pct,
                CASE WHEN count(detractors_pct) = count(*)
                    THEN sum(detractors_pct * held ORDER BY place) / sum(held ORDER BY place) END AS detractors_pct
            FROM channel
            WHERE is_given AND place <= n_pooled
            GROUP BY ALL
        ),
        pooled AS (
            SELECT whole.* REPLACE (
                '{OTHER}' AS channel_code, false AS is_total, pool.value AS value, pool.n_answers AS n_answers,
                pool.n_respondents AS n_respondents, pool.is_weighted AS is_weighted, pool.held AS held,
                pool.promoters_pct AS promoters_pct, pool.detractors_pct AS detractors_pct,
                NULL AS ci_low, NULL AS ci_high  -- an interval would need what its people have in common
            )
            FROM whole JOIN pool USING ({FAMILY}, period_code)
        ),

        -- quarters and years to date within a year
        inside AS (
            SELECT cell.*, whole.period_code AS year_code, whole.n_answers AS n_year
            FROM cell JOIN whole USING ({FAMILY})
            WHERE {has_quarters} AND whole.period_type = 'year' AND cell.period_type IN ('quarter', 'ytd')
                AND whole.period_start <= cell.period_start AND cell.period_end <= whole.period_end
        ),
        -- the margins leave a small cell no room (Fréchet): its base is at least row + column - all
        given_away AS (
            SELECT DISTINCT {FAMILY}, year_code
            FROM inside AS small
            JOIN (
                SELECT {FAMILY}, year_code, period_start, n_answers AS n_quarter
                FROM inside
                WHERE period_type = 'quarter' AND channel_code = 'all'
            ) USING ({FAMILY}, year_code, period_start)
            JOIN (
                SELECT {FAMILY}, period_code AS year_code, channel_code, n_answers AS n_channel FROM channel
            ) USING ({FAMILY}, year_code, channel_code)
            WHERE period_type = 'quarter' AND n_respondents < enough AND n_channel + n_quarter - n_year > 1
        ),
        year AS (
            SELECT
                {FAMILY}, year_code,
                bool_and(n_respondents >= enough) FILTER (period_type = 'quarter') AS gives_channels
            FROM inside ANTI JOIN given_away USING ({FAMILY}, year_code)
            GROUP BY {FAMILY}, year_code, n_year
            HAVING bool_and(n_respondents >= enough) FILTER (period_type = 'quarter' AND channel_code = 'all')
                AND sum(n_answers) FILTER (period_type = 'quarter' AND channel_code = 'all') = n_year
        ),

        found AS (
            FROM whole
            UNION ALL BY NAME
            SELECT * EXCLUDE (n_small, n_pooled, is_given, place) FROM channel WHERE is_given AND place > n_pooled
            UNION ALL BY NAME
            FROM pooled
            UNION ALL BY NAME
            SELECT inside.* EXCLUDE (year_code, n_year) FROM inside JOIN year USING ({FAMILY}, year_code)
            WHERE gives_channels OR channel_code = 'all'
        )
        SELECT * EXCLUDE (enough) FROM found
        """
    )
