-- How often each score value was given in each domain: the cube without its organisations.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, value
-- @column monitor_code  VARCHAR | Monitor.
-- @column period_code   VARCHAR | Period.
-- @column audience_code VARCHAR | Who answered.
-- @column sector_code   VARCHAR | Sector at any level of the tree.
-- @column channel_code  VARCHAR | Channel, or all.
-- @column measure_code  VARCHAR | Measure.
-- @column value         INTEGER | Answer as a whole number of the measure's smallest step.
-- @column n_answers     BIGINT  | Answers with this value.
-- @column sum_w         DECIMAL(38,0) | Sum of their weights, in millionths.
-- @column sum_w2        DECIMAL(38,0) | Sum of their squared weights, in units of 10^-12.

WITH counted AS (
    SELECT
        source.monitor_code, cube.audience_code, coalesce(cube.wave_code, '') AS wave_code, cube.time_cell_code,
        CASE
            WHEN cube.sector_code IS NOT NULL THEN cube.sector_code
            WHEN cube.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        cube.channel_code, cube.measure_code, cube.value, sum(cube.n) AS n, sum(cube.sum_w) AS w,
        1000 * sum(cube.sum_w2) + sum(cube.sum_w2_rest) AS w2
    FROM cube.score_counts AS cube
    JOIN core.dim_source AS source USING (source_code)
    LEFT JOIN estimate.organisation_sector AS at_the_time USING (organisation_code, time_cell_code)
    WHERE cube.value IS NOT NULL
    GROUP BY ALL
),
-- up the tree and over channels first: each month is in many periods
placed AS (
    SELECT
        monitor_code, audience_code, wave_code, time_cell_code, sector_code, channel_code, measure_code, value,
        sum(n) AS n, sum(w) AS w, sum(w2) AS w2
    FROM (
        SELECT counted.* REPLACE (bridge.ancestor_code AS sector_code, unnest([channel_code, 'all']) AS channel_code)
        FROM counted
        JOIN core.bridge_sector AS bridge USING (sector_code)
    )
    GROUP BY ALL
)
SELECT
    monitor_code, place.period_code, audience_code, sector_code, channel_code, measure_code, value,
    sum(n) AS n_answers, sum(w) AS sum_w, sum(w2) AS sum_w2
FROM placed
JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, time_cell_code, wave_code)
GROUP BY ALL
