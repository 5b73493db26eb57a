-- Which periods each time cell of the cube lies wholly inside. A rolling year ends, and a year to date grows,
-- only with answers: without any in its last month or quarter, the period is not made.
--
-- @working
-- @grain  monitor_code, audience_code, time_cell_code, wave_code, period_code
-- @column monitor_code   VARCHAR | Monitor.
-- @column audience_code  VARCHAR | Who answered.
-- @column time_cell_code VARCHAR | Month, or wave.
-- @column wave_code      VARCHAR | Wave; empty where the survey runs on.
-- @column period_code    VARCHAR | A period that holds it.

WITH cell AS (
    SELECT DISTINCT
        source.monitor_code, cube.audience_code, cube.time_cell_code, coalesce(cube.wave_code, '') AS wave_code,
        span.period_start, span.period_end
    FROM cube.score_counts AS cube
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_period AS span ON span.period_code = cube.time_cell_code
)
SELECT cell.monitor_code, cell.audience_code, cell.time_cell_code, cell.wave_code, period.period_code
FROM cell
JOIN core.dim_period AS period
    ON CASE period.period_type
        WHEN 'wave' THEN period.period_code = cell.wave_code
        ELSE period.period_start <= cell.period_start AND period.period_end >= cell.period_end
    END
WHERE period.period_type NOT IN ('r12', 'ytd')
    OR EXISTS (
        SELECT 1
        FROM cell AS last
        WHERE last.monitor_code = cell.monitor_code AND last.audience_code = cell.audience_code
          AND last.period_end <= period.period_end
          AND last.period_start > CASE period.period_type
              WHEN 'r12' THEN period.period_end - INTERVAL 1 MONTH
              ELSE period.period_end - INTERVAL 3 MONTH
          END
    )
