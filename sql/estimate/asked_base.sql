-- Where the base of a share is not who answered: everybody who was asked counts, or both in one period. Most
-- questions stand in no row here.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, measure_code
-- @column monitor_code  VARCHAR | Monitor.
-- @column period_code   VARCHAR | Period.
-- @column audience_code VARCHAR | Who answered.
-- @column measure_code  VARCHAR | Measure.
-- @column base          VARCHAR | asked, or mixed.

WITH asked AS (
    SELECT DISTINCT
        source.monitor_code, cube.audience_code, cube.measure_code, coalesce(cube.wave_code, '') AS wave_code,
        cube.time_cell_code, question.base
    FROM cube.score_counts AS cube
    JOIN core.dim_question AS question USING (source_code, measure_code, question_version)
    JOIN core.dim_source AS source USING (source_code)
    WHERE cube.value IS NOT NULL
        AND cube.measure_code IN (SELECT measure_code FROM core.dim_question WHERE base <> 'answered')
)
SELECT
    monitor_code, period_code, audience_code, measure_code,
    CASE WHEN min(base) = max(base) THEN min(base) ELSE 'mixed' END AS base
FROM asked
JOIN estimate.time_cell_period USING (monitor_code, audience_code, wave_code, time_cell_code)
GROUP BY ALL
HAVING bool_or(base <> 'answered')
