-- Where a series breaks: two periods of which the later was not measured as the earlier was. Then a difference says
-- nothing about customers, and no test is made.
--
-- Reasons: question, a question of a source in both periods has another version (a contract that asks it otherwise and
-- does not raise the version is refused: contracts.py); source, other sources deliver; mode, the share of a mode of
-- interview moved by 25 points or more and by more than four standard errors that a share of a half would have.
--
-- @working
-- @grain  monitor_code, audience_code, measure_code, channel_code, period_code, other_period
-- @column monitor_code  VARCHAR | Monitor.
-- @column audience_code VARCHAR | Who answered.
-- @column measure_code  VARCHAR | Measure.
-- @column channel_code  VARCHAR | Channel, or all.
-- @column period_code   VARCHAR | Period.
-- @column other_period  VARCHAR | Earlier period.
-- @column break_reason  VARCHAR | question, source, mode, or several with a comma.

WITH compared AS (
    SELECT DISTINCT monitor_code, audience_code, measure_code, channel_code, period_code, other_period
    FROM estimate.comparison_pair
    WHERE kind = 'period'
),
asked AS (
    SELECT
        source.monitor_code, cell.audience_code, cell.measure_code, place.period_code, cell.source_code,
        unnest([cell.channel_code, 'all']) AS channel_code, cell.question_version
    FROM (
        SELECT DISTINCT source_code, coalesce(wave_code, '') AS wave_code, time_cell_code, audience_code, measure_code,
            channel_code, question_version
        FROM cube.score_counts
        WHERE value IS NOT NULL
    ) AS cell
    JOIN core.dim_source AS source USING (source_code)
    JOIN estimate.time_cell_period AS place
        ON place.monitor_code = source.monitor_code AND place.audience_code = cell.audience_code
            AND place.time_cell_code = cell.time_cell_code AND place.wave_code = cell.wave_code
),
version AS (
    -- the versions of a source in a period; 1.2 if it has both
    SELECT
        monitor_code, audience_code, measure_code, channel_code, period_code, source_code,
        string_agg(DISTINCT question_version, '.' ORDER BY question_version) AS versions
    FROM asked
    GROUP BY ALL
),
side AS (
    SELECT compared.*, version.source_code, version.versions AS later, NULL AS earlier
    FROM compared
    JOIN version USING (monitor_code, audience_code, measure_code, channel_code, period_code)
    UNION ALL
    SELECT compared.*, version.source_code, NULL, version.versions
    FROM compared
    JOIN version
        ON version.monitor_code = compared.monitor_code AND version.audience_code = compared.audience_code
            AND version.measure_code = compared.measure_code AND version.channel_code = compared.channel_code
        AND version.period_code = compared.other_period
),
question AS (
    SELECT
        monitor_code, audience_code, measure_code, channel_code, period_code, other_period,
        bool_or(later <> earlier) AS is_question, bool_or(later IS NULL OR earlier IS NULL) AS is_source
    FROM (
        SELECT * EXCLUDE (later, earlier), max(later) AS later, max(earlier) AS earlier FROM side GROUP BY ALL
    )
    GROUP BY ALL
),
mode_count AS (
    SELECT source.monitor_code, m.audience_code, m.measure_code, place.period_code, m.mode_code, sum(m.n) AS n
    FROM cube.mode_counts AS m
    JOIN core.dim_source AS source USING (source_code)
    JOIN estimate.time_cell_period AS place
        ON place.monitor_code = source.monitor_code AND place.audience_code = m.audience_code
            AND place.time_cell_code = m.time_cell_code AND place.wave_code = coalesce(m.wave_code, '')
    GROUP BY ALL
),
mode_total AS (
    SELECT monitor_code, audience_code, measure_code, period_code, sum(n)::DOUBLE AS n FROM mode_count GROUP BY ALL
),
mode AS (
    SELECT monitor_code, audience_code, measure_code, period_code, other_period, true AS is_mode
    FROM (
        SELECT DISTINCT monitor_code, audience_code, measure_code, period_code, other_period FROM compared
    ) AS pair
    JOIN mode_total AS later USING (monitor_code, audience_code, measure_code, period_code)
    JOIN mode_total AS earlier
        ON earlier.monitor_code = pair.monitor_code AND earlier.audience_code = pair.audience_code
            AND earlier.measure_code = pair.measure_code AND earlier.period_code = pair.other_period
    JOIN (SELECT DISTINCT monitor_code, mode_code FROM mode_count) AS mode
        ON mode.monitor_code = pair.monitor_code
    LEFT JOIN mode_count AS x
        ON x.monitor_code = pair.monitor_code AND x.audience_code = pair.audience_code
            AND x.measure_code = pair.measure_code AND x.period_code = pair.period_code
            AND x.mode_code = mode.mode_code
    LEFT JOIN mode_count AS y
        ON y.monitor_code = pair.monitor_code AND y.audience_code = pair.audience_code
            AND y.measure_code = pair.measure_code AND y.period_code = pair.other_period
            AND y.mode_code = mode.mode_code
    WHERE abs(coalesce(x.n, 0) / later.n - coalesce(y.n, 0) / earlier.n)
        >= greatest(0.25, 2 * sqrt(1 / later.n + 1 / earlier.n))
    GROUP BY ALL
)
SELECT
    question.* EXCLUDE (is_question, is_source),
    concat_ws(
        ', ', CASE WHEN is_question THEN 'question' END, CASE WHEN is_source THEN 'source' END,
        CASE WHEN is_mode THEN 'mode' END
    ) AS break_reason
FROM question
LEFT JOIN mode USING (monitor_code, audience_code, measure_code, period_code, other_period)
WHERE is_question OR is_source OR is_mode
