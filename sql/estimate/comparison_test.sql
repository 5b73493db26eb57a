-- Every comparison with its interval and test: t = diff / se, two-sided, and Benjamini-Hochberg's q within a family.
-- A family is one kind of comparison in one monitor, audience and type of period, of all channels together or of single
-- ones: so what has one channel only is not in a family twice. Rows without a test are in none.
-- With its p-values in order, q_(j) = min over l >= j of N p_(l) / l.
--
-- @working
-- @grain  comparison, monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, other_period, other_channel
-- @column monitor_code   VARCHAR | Monitor.
-- @column period_code    VARCHAR | Period, such as 2011-09, 2011-Q3, 2011, 2011-YTD-Q3, 2011-09-R12.
-- @column audience_code  VARCHAR | Who answered.
-- @column sector_code    VARCHAR | Sector at any level of the tree; all: every participant pooled.
-- @column channel_code   VARCHAR | Channel rated; all: every channel pooled; not_applicable: not about a channel.
-- @column measure_code   VARCHAR | Measure.
-- @column comparison     VARCHAR | What is compared: previous_wave, previous_month, previous_quarter, previous_year or year_earlier; rest or total; channel.
-- @column kind           VARCHAR | What differs: period, sector or channel.
-- @column other_period   VARCHAR | Period compared with.
-- @column other_channel  VARCHAR | Channel compared with.
-- @column period_type    VARCHAR | month, quarter, year, ytd, r12 or wave. Use one type at a time.
-- @column period_start   DATE    | First day of the period.
-- @column period_end     DATE    | Last day of the period.
-- @column is_total       BOOLEAN | Whether the row is of a sector that holds others, or of all channels.
-- @column statistic      VARCHAR | What value is: mean, nps or share.
-- @column unit           VARCHAR | Unit of value, value_compared, diff, se, ci_low and ci_high.
-- @column value          DOUBLE  | The estimate: weighted mean, net promoter score (-100 to 100) or share in percent, not rounded.
-- @column value_compared DOUBLE  | The same estimate of what it is compared with.
-- @column diff           DOUBLE  | value less value_compared, in unit; of shares in percentage points.
-- @column se             DOUBLE  | Standard error of diff by linearisation, with what both have in common. NULL where either side has fewer than two sampled units.
-- @column df             BIGINT  | Degrees of freedom of se: sampled units on either side less their strata.
-- @column ci_low         DOUBLE  | Lower end of the 95 % interval of diff: diff - t(df, 0.975) * se.
-- @column ci_high        DOUBLE  | Upper end of the 95 % interval of diff: diff + t(df, 0.975) * se.
-- @column p_value        DOUBLE  | Two-sided p-value of diff / se on t(df). NULL: not tested.
-- @column q_value        DOUBLE  | p_value after Benjamini and Hochberg within the family: the share of false findings if all rows up to this one were taken for findings.
-- @column family_code    VARCHAR | Family of tests: comparison, monitor, audience, type of period, and all channels together or single ones.
-- @column family_size    BIGINT  | Tests in the family.
-- @column smallest_change DOUBLE | Smallest difference of this measure worth mentioning, as declared in measures.csv; NULL: any.
-- @column is_notable     BOOLEAN | Whether q_value is below 0.05 and diff at least smallest_change, up or down. NULL: not tested.
-- @column changed        VARCHAR | up, down or none by the rule q_value < 0.05 and diff at least smallest_change; untested: no test was possible, or the series breaks.
-- @column value_matched  DOUBLE  | The estimate among the organisations that are in both periods.
-- @column value_compared_matched DOUBLE | The same in the period compared with.
-- @column diff_matched   DOUBLE  | value_matched less value_compared_matched: movement without comings and goings. NULL where the sampling unit is the respondent.
-- @column se_matched     DOUBLE  | Standard error of diff_matched with organisations as clusters.
-- @column df_matched     BIGINT  | Degrees of freedom of se_matched.
-- @column ci_low_matched DOUBLE  | Lower end of the 95 % interval of diff_matched.
-- @column ci_high_matched DOUBLE | Upper end of the 95 % interval of diff_matched.
-- @column p_value_matched DOUBLE | Two-sided p-value of diff_matched / se_matched.
-- @column q_value_matched DOUBLE | p_value_matched after Benjamini and Hochberg; the matched tests of a family are a family of their own.
-- @column family_size_matched BIGINT | Matched tests in the family.
-- @column changed_matched VARCHAR | As changed, of diff_matched.
-- @column n_organisations_matched BIGINT | Organisations in both periods; NULL where the sampling unit is the respondent.
-- @column n_answers      BIGINT  | Valid answers behind value.
-- @column n_answers_compared BIGINT | Valid answers behind value_compared.
-- @column n_organisations BIGINT | Organisations behind value; NULL where the sampling unit is the respondent.
-- @column n_organisations_compared BIGINT | Organisations behind value_compared; NULL where the sampling unit is the respondent.
-- @column is_break       BOOLEAN | Whether the series breaks between the two periods: diff is no change then, and is not tested.
-- @column break_reason   VARCHAR | Why: question (its wording or scale), source (other exports), mode (of interview), several with a comma. NULL without a break.
-- @column obs_status     VARCHAR | b: break in the series; u: low reliability, fewer than ten effective organisations or thirty respondents on a side; NULL: neither.
-- @column obs_status_matched VARCHAR | The same of diff_matched: u where those in both periods are fewer than ten effective organisations in one of them. NULL also where there are none.
-- @column sampling_unit  VARCHAR | What was sampled: organisation or respondent; the unit of se.
-- @column provenance     VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @check  interval: se IS NULL OR (ci_low <= diff AND diff <= ci_high) | the difference lies in its interval
-- @check  tests: (p_value IS NULL) = (q_value IS NULL) AND coalesce(p_value <= q_value AND q_value <= 1, true) | q is not less than p and not more than 1

WITH frame AS (
    SELECT
        monitor_code, audience_code, max(sampling_unit) AS sampling_unit,
        CASE WHEN bool_or(provenance = 'synthetic') THEN 'synthetic' ELSE 'survey' END AS provenance
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
joined AS (
    SELECT
        c.*, c.value - c.value_compared AS diff, c.value_matched - c.value_compared_matched AS diff_matched,
        period.period_type, period.period_start, period.period_end,
        c.channel_code = 'all' OR NOT sector.is_leaf AS is_total,
        measure.statistic, measure.unit, measure.smallest_change, frame.sampling_unit, frame.provenance,
        series.break_reason, series.break_reason IS NOT NULL AS is_break,
        concat_ws(
            '/', c.comparison, c.monitor_code, c.audience_code, period.period_type,
            CASE WHEN c.channel_code = 'all' THEN 'all_channels' ELSE 'by_channel' END
        ) AS family_code
    FROM estimate.comparison AS c
    JOIN core.dim_measure AS measure USING (measure_code)
    JOIN core.dim_period AS period USING (period_code)
    JOIN core.dim_sector AS sector USING (sector_code)
    JOIN frame USING (monitor_code, audience_code)
    LEFT JOIN estimate.series_break AS series
        ON c.kind = 'period'
        AND series.monitor_code = c.monitor_code AND series.audience_code = c.audience_code
        AND series.measure_code = c.measure_code AND series.channel_code = c.channel_code
        AND series.period_code = c.period_code AND series.other_period = c.other_period
),
-- one quantile for each of the few degrees of freedom
quantile AS MATERIALIZED (
    SELECT df, t_quantile(0.975, df) AS t
    FROM (SELECT df FROM estimate.comparison UNION SELECT df_matched FROM estimate.comparison)
),
tested AS (
    SELECT
        joined.*, main.t * se AS margin, matched.t * se_matched AS margin_matched,
        CASE WHEN NOT is_break THEN t_test(diff / se, joined.df) END AS p_value,
        CASE WHEN NOT is_break THEN t_test(diff_matched / se_matched, df_matched) END AS p_value_matched
    FROM joined
    LEFT JOIN quantile AS main ON main.df = joined.df
    LEFT JOIN quantile AS matched ON matched.df = joined.df_matched
),
ranked AS (
    SELECT
        *,
        count(p_value) OVER (PARTITION BY family_code) AS family_size,
        count(p_value) OVER (PARTITION BY family_code ORDER BY p_value NULLS LAST) AS place,
        count(p_value_matched) OVER (PARTITION BY family_code) AS family_size_matched,
        count(p_value_matched) OVER (PARTITION BY family_code ORDER BY p_value_matched NULLS LAST) AS place_matched
    FROM tested
),
adjusted AS (
    SELECT
        *,
        CASE WHEN p_value IS NOT NULL THEN min(family_size / place * p_value) OVER (
            PARTITION BY family_code ORDER BY p_value NULLS LAST RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) END AS q_value,
        CASE WHEN p_value_matched IS NOT NULL THEN min(family_size_matched / place_matched * p_value_matched) OVER (
            PARTITION BY family_code ORDER BY p_value_matched NULLS LAST
            RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) END AS q_value_matched
    FROM ranked
),
-- the last digits of a difference are not a reason to stay below the threshold
judged AS (
    SELECT
        *,
        q_value < 0.05 AND abs(diff) > coalesce(smallest_change, 0) - 1e-9 AS is_notable,
        q_value_matched < 0.05 AND abs(diff_matched) > coalesce(smallest_change, 0) - 1e-9 AS is_notable_matched
    FROM adjusted
)
SELECT
    monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
    comparison, kind, other_period, other_channel,
    period_type, period_start, period_end, is_total, statistic, unit,
    value, value_compared, diff, se, df, diff - margin AS ci_low, diff + margin AS ci_high,
    p_value, q_value, family_code, family_size, smallest_change, is_notable,
    CASE
        WHEN q_value IS NULL THEN 'untested'
        WHEN NOT is_notable THEN 'none'
        WHEN diff > 0 THEN 'up'
        ELSE 'down'
    END AS changed,
    value_matched, value_compared_matched, diff_matched, se_matched, df_matched,
    diff_matched - margin_matched AS ci_low_matched, diff_matched + margin_matched AS ci_high_matched,
    p_value_matched, q_value_matched, family_size_matched,
    CASE
        WHEN q_value_matched IS NULL THEN 'untested'
        WHEN NOT is_notable_matched THEN 'none'
        WHEN diff_matched > 0 THEN 'up'
        ELSE 'down'
    END AS changed_matched,
    n_organisations_matched, n_answers, n_answers_compared, n_organisations, n_organisations_compared,
    is_break, break_reason,
    CASE WHEN is_break THEN 'b' WHEN is_unreliable THEN 'u' END AS obs_status,
    CASE WHEN diff_matched IS NULL THEN NULL WHEN is_break THEN 'b' WHEN is_unreliable_matched THEN 'u' END AS obs_status_matched,
    sampling_unit, provenance
FROM judged
