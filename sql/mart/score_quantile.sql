-- Weighted quantiles of the answers: the lowest score that at least so large a share of the answers does not
-- exceed (R: svyquantile with qrule "math"). On a scale of ten grades a quantile is coarse; the whole
-- distribution is in mart.score_distribution. Not made of shares and net promoter scores.
--
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, quantile_code
-- @column monitor_code  VARCHAR | Monitor.
-- @column period_code   VARCHAR | Period, such as 2011-09, 2011-Q3, 2011.
-- @column audience_code VARCHAR | Who answered.
-- @column sector_code   VARCHAR | Sector at any level of the tree; all: every participant pooled.
-- @column channel_code  VARCHAR | Channel rated; all: every channel pooled; not_applicable: not about a channel.
-- @column measure_code  VARCHAR | Measure.
-- @column quantile_code VARCHAR | p10, p25, p50 (the median), p75 or p90.
-- @column value         DOUBLE  | The quantile, on the native scale of the measure.
-- @column n_answers     BIGINT  | Valid answers behind it.
-- @column provenance    VARCHAR | survey, or synthetic: describes the sample generator and nobody else.

WITH risen AS (
    SELECT
        monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, value,
        sum(sum_w) OVER (domain ORDER BY value) AS below, sum(sum_w) OVER domain AS whole, sum(n_answers) OVER domain AS n_answers
    FROM estimate.score
    WINDOW domain AS (PARTITION BY monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
)
SELECT
    monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
    'p' || quantile.percent AS quantile_code,
    -- in whole numbers, so that exactly half is exactly half
    min(risen.value) FILTER (100 * risen.below >= quantile.percent * risen.whole) / pow(10, any_value(measure.decimals)) AS value,
    any_value(risen.n_answers) AS n_answers,
    any_value(domain.provenance) AS provenance
FROM risen
JOIN core.dim_measure AS measure USING (measure_code)
JOIN estimate.domain AS domain USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
CROSS JOIN (SELECT unnest([10, 25, 50, 75, 90]) AS percent) AS quantile
WHERE measure.statistic = 'mean'
GROUP BY ALL
