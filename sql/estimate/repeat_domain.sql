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

WITH person AS (
    -- respondents as numbers: what follows multiplies every answer by its periods and domains
    SELECT source_code, respondent_id, row_number() OVER () AS person
    FROM (SELECT DISTINCT source_code, respondent_id FROM cube.repeat_answer)
),
answer AS (
    SELECT
        source.monitor_code, a.audience_code, a.measure_code, a.channel_code, a.wave_code, a.time_cell_code,
        CASE
            WHEN a.sector_code IS NOT NULL THEN a.sector_code
            WHEN a.organisation_code IS NULL THEN 'not_applicable'
            ELSE organisation.sector_code
        END AS sector_code,
        person.person, sum(a.n) AS n
    FROM cube.repeat_answer AS a
    JOIN person USING (source_code, respondent_id)
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_period AS cell ON cell.period_code = a.time_cell_code
    LEFT JOIN core.dim_organisation AS organisation
        ON organisation.organisation_code = a.organisation_code
        AND cell.period_start >= organisation.valid_from
        AND (organisation.valid_before IS NULL OR cell.period_start < organisation.valid_before)
    GROUP BY ALL
),
-- every kind of answer with the domains that it counts in, as numbers too
kind AS (
    SELECT *, row_number() OVER () AS kind
    FROM (SELECT DISTINCT monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code FROM answer)
),
placed AS (
    SELECT
        kind.kind, kind.monitor_code, kind.audience_code, kind.measure_code, period.period_code,
        bridge.ancestor_code AS sector_code, unnest([kind.channel_code, 'all']) AS channel_code
    FROM kind
    JOIN core.dim_period AS cell ON cell.period_code = kind.time_cell_code
    JOIN core.dim_period AS period
        ON CASE period.period_type
            WHEN 'wave' THEN period.period_code = kind.wave_code
            ELSE period.period_start <= cell.period_start AND period.period_end >= cell.period_end
        END
    JOIN core.bridge_sector AS bridge USING (sector_code)
),
domain AS (
    SELECT *, row_number() OVER () AS domain
    FROM (
        SELECT DISTINCT monitor_code, period_code, audience_code, sector_code, channel_code, measure_code FROM placed
    )
),
member AS (
    SELECT kind, domain
    FROM placed
    JOIN domain USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
),
numbered AS (
    SELECT kind, person, n
    FROM answer
    JOIN kind ON (kind.monitor_code, kind.audience_code, kind.measure_code, kind.channel_code, kind.time_cell_code, kind.sector_code)
        = (answer.monitor_code, answer.audience_code, answer.measure_code, answer.channel_code, answer.time_cell_code, answer.sector_code)
        AND kind.wave_code IS NOT DISTINCT FROM answer.wave_code
),
counted AS (
    SELECT domain, sum(n) - count(DISTINCT person) AS n_surplus FROM numbered JOIN member USING (kind) GROUP BY domain
)
SELECT
    monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, n_surplus
FROM counted JOIN domain USING (domain)
