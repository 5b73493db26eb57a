-- What each organisation has of its own: its estimate per period, channel and measure, for its own eyes, in the types
-- of period that reference/disclosure.yml publishes. The interval is that of these very customers or employees, its
-- respondents being the sample (docs/method.md).
--
-- @working
-- @grain  monitor_code, period_code, audience_code, organisation_code, channel_code, measure_code
-- @column organisation_code VARCHAR | Organisation.
-- @column sector_code       VARCHAR | Its sector at the end of the period.
-- @columns disclosure.cell except sector_code, n_organisations, held_largest, held_second, n_left, p25, p50, p75, n_ranked, se

WITH own AS (
    SELECT
        part.*, key.* EXCLUDE (domain), source.provenance,
        measure.statistic, measure.unit, measure.decimals, measure.scale_min, measure.scale_max,
        CASE measure.statistic WHEN 'mean' THEN pow(10, measure.decimals) ELSE 1 END AS step,
        part.sum_wy::DOUBLE / part.sum_w::DOUBLE AS r
    FROM estimate.domain_organisation AS part
    JOIN estimate.domain_key AS key ON key.same_as = part.domain
    JOIN (
        SELECT monitor_code, audience_code, max(provenance) AS provenance
        FROM core.dim_source
        WHERE sampling_unit = 'organisation'
        GROUP BY ALL
    ) AS source USING (monitor_code, audience_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    WHERE key.sector_code = 'all' AND part.organisation_code IS NOT NULL
        AND key.period_code IN (
            SELECT period_code FROM core.dim_period JOIN reference.published_periods USING (period_type)
        )
),
spread AS (
    SELECT
        *,
        CASE WHEN n_respondents > 1 THEN n_respondents - 1 END AS df,
        sqrt(
            n_respondents / (n_respondents - 1.0)
            * greatest(sum_tt::DOUBLE - 2 * r * sum_wt::DOUBLE + r * r * sum_ww::DOUBLE, 0)
        ) / sum_w::DOUBLE / step AS se
    FROM own
)
SELECT
    own.monitor_code, own.period_code, own.audience_code, own.organisation_code,
    arg_max(organisation.sector_code, organisation.valid_from) AS sector_code,
    own.channel_code, own.measure_code,
    period.period_type, period.period_start, period.period_end,
    own.channel_code = 'all' AS is_total,
    own.statistic, own.unit,
    CASE own.statistic WHEN 'nps' THEN -100 WHEN 'share' THEN 0 ELSE own.scale_min END AS low,
    CASE own.statistic WHEN 'mean' THEN own.scale_max ELSE 100 END AS high,
    own.decimals, own.r / own.step AS value, own.n_answers, own.n_respondents,
    own.sum_w <> own.n_answers * 1000000 AS is_weighted,
    own.sum_w::DOUBLE / 1e6 AS held,
    CASE WHEN own.statistic = 'nps' THEN 100 * own.sum_w_promoters::DOUBLE / own.sum_w::DOUBLE END AS promoters_pct,
    CASE WHEN own.statistic = 'nps' THEN 100 * own.sum_w_detractors::DOUBLE / own.sum_w::DOUBLE END AS detractors_pct,
    CASE own.statistic
        WHEN 'share' THEN share_low(own.r, own.se, own.df, own.sum_w::DOUBLE * own.sum_w::DOUBLE / own.sum_w2::DOUBLE)
        ELSE own.r / own.step - t_quantile(0.975, own.df) * own.se
    END AS ci_low,
    CASE own.statistic
        WHEN 'share' THEN share_high(own.r, own.se, own.df, own.sum_w::DOUBLE * own.sum_w::DOUBLE / own.sum_w2::DOUBLE)
        ELSE own.r / own.step + t_quantile(0.975, own.df) * own.se
    END AS ci_high,
    CASE WHEN own.n_respondents < 30 THEN 'u' END AS obs_status,
    own.provenance, coalesce(asked.base, 'answered') AS base
FROM spread AS own
JOIN core.dim_period AS period USING (period_code)
JOIN core.dim_organisation AS organisation
    ON organisation.organisation_code = own.organisation_code AND organisation.valid_from <= period.period_end
LEFT JOIN estimate.asked_base AS asked USING (monitor_code, period_code, audience_code, measure_code)
GROUP BY ALL
