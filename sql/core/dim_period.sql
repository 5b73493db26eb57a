-- The periods: months, quarters, years, years to date, rolling twelve months and waves.
--
-- @grain  period_code
-- @column period_code  VARCHAR | Such as 2011-09, 2011-Q3, 2011, 2011-YTD-Q3, 2011-09-R12, wave-2018.
-- @column period_type  VARCHAR | month, quarter, year, ytd, r12 or wave.
-- @column period_start DATE    | First day.
-- @column period_end   DATE    | Last day.
-- @check  ordered: period_start <= period_end | a period does not end before it starts

WITH span AS (
    SELECT min(y) AS first, max(y) AS last FROM (
        SELECT left(time_cell_code, 4)::INTEGER AS y FROM cube.score_counts WHERE wave_code IS DISTINCT FROM time_cell_code
        UNION ALL SELECT left(period_start, 4)::INTEGER FROM reference.published_figures
        UNION ALL SELECT left(period_end, 4)::INTEGER FROM reference.published_figures
        UNION ALL SELECT left(period_start, 4)::INTEGER FROM reference.waves
        UNION ALL SELECT left(period_end, 4)::INTEGER FROM reference.waves
    )
),
years AS (SELECT unnest(range(first, last + 1)) AS y, first FROM span),
months AS (SELECT y, first, make_date(y, m, 1) AS start FROM years, (SELECT unnest(range(1, 13)) AS m)),
quarters AS (SELECT y, q, make_date(y, 3 * q - 2, 1) AS start FROM years, (SELECT unnest(range(1, 5)) AS q))

SELECT strftime(start, '%Y-%m') AS period_code, 'month' AS period_type, start AS period_start, last_day(start) AS period_end
FROM months
UNION ALL
SELECT y || '-Q' || q, 'quarter', start, last_day(start + INTERVAL 2 MONTH) FROM quarters
UNION ALL
SELECT y || '-YTD-Q' || q, 'ytd', make_date(y, 1, 1), last_day(start + INTERVAL 2 MONTH) FROM quarters
UNION ALL
SELECT y::VARCHAR, 'year', make_date(y, 1, 1), make_date(y, 12, 31) FROM years
UNION ALL
SELECT strftime(start, '%Y-%m') || '-R12', 'r12', start - INTERVAL 11 MONTH, last_day(start)
FROM months WHERE year(start - INTERVAL 11 MONTH) >= first
UNION ALL
SELECT wave_code, 'wave', period_start::DATE, period_end::DATE FROM reference.waves
