-- What is compared with what: two domains, A and B, that differ in one thing.
--
-- @working
-- @grain  a, b
-- @column a               BIGINT  | A: a domain of estimate.domain_key.
-- @column b               BIGINT  | B: another.
-- @column kind            VARCHAR | What differs: period, channel or sector; for a sector B is the total that holds A.
-- @column comparison      VARCHAR | previous_wave, previous_month, previous_quarter, previous_year, year_earlier, channel or sector.
-- @column monitor_code    VARCHAR | Monitor.
-- @column audience_code   VARCHAR | Who answered.
-- @column measure_code    VARCHAR | Measure.
-- @column period_code     VARCHAR | Period of A.
-- @column other_period    VARCHAR | Period of B.
-- @column sector_code     VARCHAR | Sector of A.
-- @column channel_code    VARCHAR | Channel of A.
-- @column other_channel   VARCHAR | Channel of B.
-- @column by_organisation BOOLEAN | Whether organisations were sampled, not respondents.
-- @column is_stratified   BOOLEAN | Whether the sample had strata.

WITH frame AS (
    SELECT
        monitor_code, audience_code, max(sampling_unit) = 'organisation' AS by_organisation,
        max(strata) IS NOT NULL AS is_stratified
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
answered AS (SELECT * FROM estimate.domain_key WHERE n_answers > 0),
held AS (
    -- the periods that have answers
    SELECT DISTINCT d.monitor_code, d.audience_code, period.*
    FROM answered AS d
    JOIN core.dim_period AS period USING (period_code)
    WHERE d.sector_code = 'all' AND d.channel_code = 'all'
),
before AS (
    SELECT
        later.monitor_code, later.audience_code, later.period_code, earlier.period_code AS other_period,
        CASE
            WHEN later.period_type IN ('ytd', 'r12') THEN 'year_earlier'
            ELSE 'previous_' || later.period_type
        END AS comparison
    FROM held AS later
    JOIN held AS earlier
        ON (earlier.monitor_code, earlier.audience_code, earlier.period_type)
            = (later.monitor_code, later.audience_code, later.period_type)
        AND later.period_end = last_day(
            earlier.period_end + CASE later.period_type
                WHEN 'month' THEN INTERVAL 1 MONTH
                WHEN 'quarter' THEN INTERVAL 3 MONTH
                ELSE INTERVAL 12 MONTH
            END
        )
    WHERE later.period_type <> 'wave'
    UNION ALL
    SELECT
        monitor_code, audience_code, period_code,
        lag(period_code) OVER (PARTITION BY monitor_code, audience_code ORDER BY period_start, period_end, period_code),
        'previous_wave'
    FROM held
    WHERE period_type = 'wave'
),
later AS MATERIALIZED (  -- so that no domain is joined with those of all periods
    SELECT answered.*, before.other_period, before.comparison
    FROM answered
    JOIN before USING (monitor_code, audience_code, period_code)
),
listed AS (
    SELECT
        a.domain AS a, b.domain AS b, 'period' AS kind, a.comparison, monitor_code, audience_code, measure_code,
        a.period_code, b.period_code AS other_period, sector_code, channel_code, channel_code AS other_channel
    FROM later AS a
    JOIN answered AS b USING (monitor_code, audience_code, measure_code, sector_code, channel_code)
    WHERE b.period_code = a.other_period
    UNION ALL
    SELECT
        a.domain, b.domain, 'channel', 'channel', monitor_code, audience_code, measure_code,
        period_code, period_code, sector_code, a.channel_code, b.channel_code
    FROM answered AS a
    JOIN answered AS b USING (monitor_code, audience_code, measure_code, period_code, sector_code)
    WHERE a.channel_code < b.channel_code
      AND a.channel_code NOT IN ('all', 'not_applicable') AND b.channel_code NOT IN ('all', 'not_applicable')
    UNION ALL
    SELECT
        a.domain, b.domain, 'sector', 'sector', monitor_code, audience_code, measure_code,
        period_code, period_code, a.sector_code, channel_code, channel_code
    FROM answered AS a
    JOIN answered AS b USING (monitor_code, audience_code, measure_code, period_code, channel_code)
    WHERE a.sector_code <> 'all' AND b.sector_code = 'all' AND a.w < b.w
)
SELECT listed.*, frame.by_organisation, frame.is_stratified
FROM listed
JOIN frame USING (monitor_code, audience_code)
