-- Weighted quantiles of the answers: the lowest score that at least so large a share of the answers does not
-- exceed (R: svyquantile with qrule "math"), with Woodruff's interval (interval.type "mean"). On a scale of ten grades
-- a quantile is coarse, and so is its interval; the whole distribution is in mart.score_distribution. Not made of
-- shares and net promoter scores.
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
-- @column cumulative_share DOUBLE | F: weighted share of the valid answers with this score or a lower one, in percent.
-- @column se_cumulative_share DOUBLE | Standard error of cumulative_share for the declared sampling unit, in percentage points, by ci_method. NULL with fewer than two units, and where respondents were sampled and gave several answers.
-- @column df            DOUBLE  | Degrees of freedom of se_cumulative_share, those of the error of the mean: sampled units in the domain less strata in the domain, by Satterthwaite where ci_method ends in _cr2.
-- @column ci_low        DOUBLE  | Lower end of the 95 % interval of the quantile: the lowest score that at least F - t(df) se of the answers do not exceed.
-- @column ci_high       DOUBLE  | Upper end of the 95 % interval of the quantile: the lowest score that at least F + t(df) se of the answers do not exceed, and the highest score given where that is above 100 %.
-- @column ci_method     VARCHAR | How the interval was made: woodruff; with _cr2 the error is the one corrected for few or uneven organisations, as in the interval of the mean.
-- @column has_shared_respondents BOOLEAN | Whether respondents rated several organisations of the domain; what two-way clustering would add for them is not in se_cumulative_share. NULL where the sampling unit is the respondent.
-- @column obs_status    VARCHAR | u: low reliability, fewer than ten effective organisations or thirty respondents; NULL: not so.
-- @column n_answers     BIGINT  | Valid answers behind it.
-- @column provenance    VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @check  within_interval: ci_low IS NULL OR (ci_low <= value AND value <= ci_high) | the quantile lies in its interval
-- @check  reached: cumulative_share >= substr(quantile_code, 2)::INTEGER - 1e-9 AND cumulative_share <= 100 | a quantile has its share of the answers below it

WITH estimated AS (
    -- the error and degrees of freedom that the interval of the mean has; periods that hold the same answers once
    SELECT
        quantile.*, quantile.w_below::DOUBLE / quantile.w::DOUBLE AS share,
        CASE WHEN ends_with(mean.ci_method, '_cr2') THEN mean.df_cr2 ELSE mean.df END AS df,
        CASE
            WHEN mean.df IS NOT NULL
            THEN sqrt(CASE WHEN ends_with(mean.ci_method, '_cr2') THEN quantile.variance_cr2 ELSE quantile.variance END)
        END AS se,
        'woodruff' || CASE WHEN ends_with(mean.ci_method, '_cr2') THEN '_cr2' ELSE '' END AS ci_method
    FROM estimate.quantile AS quantile
    JOIN estimate.domain_key AS key USING (domain)
    JOIN estimate.domain AS mean USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
),
risen AS (
    SELECT
        key.domain, score.value,
        (sum(score.sum_w) OVER (domain ORDER BY score.value))::DOUBLE / (sum(score.sum_w) OVER domain)::DOUBLE AS share
    FROM estimate.score AS score
    JOIN estimate.domain_key AS key USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
    WHERE key.domain = key.same_as
    WINDOW domain AS (PARTITION BY key.domain)
),
bounded AS (
    -- a share that is the end but for the last bits has reached it
    SELECT
        e.domain, e.percent,
        min(risen.value) FILTER (risen.share >= e.share - e.margin - 1e-12) AS ci_low,
        min(risen.value) FILTER (
            risen.value >= e.value AND (risen.share >= e.share + e.margin - 1e-12 OR e.share + e.margin > 1 AND risen.share = 1)
        ) AS ci_high
    FROM (SELECT *, t_quantile(0.975, df) * se AS margin FROM estimated) AS e
    JOIN risen USING (domain)
    GROUP BY e.domain, e.percent
)
SELECT
    key.monitor_code, key.period_code, key.audience_code, key.sector_code, key.channel_code, key.measure_code,
    'p' || e.percent AS quantile_code,
    e.value / pow(10, measure.decimals) AS value,
    100 * e.share AS cumulative_share,
    100 * e.se AS se_cumulative_share,
    CASE WHEN e.se IS NOT NULL THEN e.df END AS df,
    bounded.ci_low / pow(10, measure.decimals) AS ci_low,
    bounded.ci_high / pow(10, measure.decimals) AS ci_high,
    CASE WHEN e.se IS NOT NULL THEN e.ci_method END AS ci_method,
    CASE WHEN mean.n_organisations IS NOT NULL THEN e.has_shared_respondents END AS has_shared_respondents,
    mean.obs_status, e.n_answers, mean.provenance
FROM estimated AS e
JOIN bounded USING (domain, percent)
JOIN estimate.domain_key AS key ON key.same_as = e.domain
JOIN core.dim_measure AS measure ON measure.measure_code = key.measure_code
JOIN estimate.domain AS mean
    ON mean.monitor_code = key.monitor_code AND mean.period_code = key.period_code
    AND mean.audience_code = key.audience_code AND mean.sector_code = key.sector_code
    AND mean.channel_code = key.channel_code AND mean.measure_code = key.measure_code
