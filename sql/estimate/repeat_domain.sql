-- By how much answers outnumber respondents in each domain: a respondent with k answers counts k - 1.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @column monitor_code  VARCHAR | Monitor.
-- @column period_code   VARCHAR | Period.
-- @column audience_code VARCHAR | Who answered.
-- @column sector_code   VARCHAR | Sector at any level.
-- @column channel_code  VARCHAR | Channel, or all.
-- @column measure_code  VARCHAR | Measure.
-- @column n_surplus     BIGINT  | Answers less respondents.

WITH placed AS (
    SELECT
        source.monitor_code, answer.audience_code, period.period_code, answer.source_code, answer.respondent_id,
        CASE
            WHEN answer.sector_code IS NOT NULL THEN answer.sector_code
            WHEN answer.organisation_code IS NULL THEN 'not_applicable'
            ELSE organisation.sector_code
        END AS sector_code,
        unnest([answer.channel_code, 'all']) AS channel_code, answer.measure_code, answer.n
    FROM cube.repeat_answer AS answer
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_period AS cell ON cell.period_code = answer.time_cell_code
    JOIN core.dim_period AS period
        ON period.period_start <= cell.period_start AND period.period_end >= cell.period_end
        AND (period.period_type <> 'wave' OR period.period_code = cell.period_code)
    LEFT JOIN core.dim_organisation AS organisation
        ON organisation.organisation_code = answer.organisation_code
        AND cell.period_start >= organisation.valid_from
        AND (organisation.valid_before IS NULL OR cell.period_start < organisation.valid_before)
),
by_respondent AS (
    SELECT
        monitor_code, period_code, audience_code, bridge.ancestor_code AS sector_code, channel_code, measure_code,
        source_code, respondent_id, sum(n) AS n
    FROM placed JOIN core.bridge_sector AS bridge USING (sector_code)
    GROUP BY ALL
)
SELECT
    monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
    sum(n - 1) AS n_surplus
FROM by_respondent
GROUP BY ALL
