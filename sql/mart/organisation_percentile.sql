-- How the organisations of a sector are spread: percentiles of their own estimates, each organisation counting
-- once. Only organisations with at least ten respondents count, and only where at least ten such organisations
-- do. Not made where the sampling unit is the respondent.
--
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @column monitor_code    VARCHAR | Monitor.
-- @column period_code     VARCHAR | Period, such as 2011-09, 2011-Q3, 2011, 2011-YTD-Q3, 2011-09-R12.
-- @column audience_code   VARCHAR | Who answered.
-- @column sector_code     VARCHAR | Sector at any level of the tree, as it was when answered; all: every participant.
-- @column channel_code    VARCHAR | Channel rated; all: every channel pooled; not_applicable: not about a channel.
-- @column measure_code    VARCHAR | Measure.
-- @column period_type     VARCHAR | month, quarter, year, ytd, r12 or wave. Use one type at a time.
-- @column period_start    DATE    | First day of the period.
-- @column period_end      DATE    | Last day of the period.
-- @column is_total        BOOLEAN | Whether the row pools rows that stand here too (a sector above another, all channels).
-- @column statistic       VARCHAR | What an organisation's estimate is: mean, nps or share.
-- @column unit            VARCHAR | Unit of the percentiles.
-- @column p10             DOUBLE  | Estimate that a tenth of the organisations stay below: 10th percentile of the organisations' weighted estimates, interpolated linearly (type 7), in unit.
-- @column p25             DOUBLE  | 25th percentile of the organisations' estimates, by the same rule.
-- @column p50             DOUBLE  | Median of the organisations' estimates, by the same rule.
-- @column p75             DOUBLE  | 75th percentile of the organisations' estimates, by the same rule.
-- @column p90             DOUBLE  | 90th percentile of the organisations' estimates, by the same rule.
-- @column n_organisations BIGINT  | Organisations that the percentiles are of: those with at least ten respondents in this row.
-- @column provenance      VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @check  ordered: p10 <= p25 AND p25 <= p50 AND p50 <= p75 AND p75 <= p90 | the percentiles do not cross
-- @check  enough: n_organisations >= 10 | no percentiles of fewer than ten organisations

WITH frame AS (
    SELECT
        monitor_code, audience_code,
        CASE WHEN bool_or(provenance = 'synthetic') THEN 'synthetic' ELSE 'survey' END AS provenance
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
    HAVING bool_and(sampling_unit = 'organisation')
),
counted AS (
    SELECT
        part.domain, quantile_cont(part.sum_wy / part.sum_w, [0.1, 0.25, 0.5, 0.75, 0.9]) AS p,
        count(*) AS n_organisations
    FROM estimate.domain_organisation AS part
    WHERE part.organisation_code IS NOT NULL AND part.n_respondents >= 10
    GROUP BY part.domain
    HAVING count(*) >= 10
)
SELECT
    key.monitor_code, key.period_code, key.audience_code, key.sector_code, key.channel_code, key.measure_code,
    period.period_type, period.period_start, period.period_end,
    key.channel_code = 'all' OR NOT sector.is_leaf AS is_total,
    measure.statistic, measure.unit,
    c.p[1] / step AS p10, c.p[2] / step AS p25, c.p[3] / step AS p50, c.p[4] / step AS p75, c.p[5] / step AS p90,
    c.n_organisations, frame.provenance
FROM counted AS c
JOIN estimate.domain_key AS key ON key.same_as = c.domain
JOIN frame USING (monitor_code, audience_code)
JOIN (
    SELECT measure_code, statistic, unit, CASE statistic WHEN 'mean' THEN pow(10, decimals) ELSE 1 END AS step
    FROM core.dim_measure
) AS measure USING (measure_code)
JOIN core.dim_period AS period USING (period_code)
JOIN core.dim_sector AS sector USING (sector_code)
