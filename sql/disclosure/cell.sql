-- What disclosure control must know of a cell of the headline grain: who is behind it, and how much of it the
-- largest organisations hold. What may be shown of it is decided in pipelines/disclosure.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @column monitor_code    VARCHAR | Monitor.
-- @column period_code     VARCHAR | Period.
-- @column audience_code   VARCHAR | Who answered.
-- @column sector_code     VARCHAR | Sector at any level of the tree.
-- @column channel_code    VARCHAR | Channel rated, or all.
-- @column measure_code    VARCHAR | Measure.
-- @column period_type     VARCHAR | month, quarter, year, ytd, r12 or wave.
-- @column period_start    DATE    | First day of the period.
-- @column period_end      DATE    | Last day of the period.
-- @column is_total        BOOLEAN | Whether the row pools rows that stand here too.
-- @column statistic       VARCHAR | mean, nps or share.
-- @column unit            VARCHAR | Unit of value.
-- @column low             DOUBLE  | Lowest value there can be.
-- @column high            DOUBLE  | Highest value there can be.
-- @column decimals        INTEGER | Decimals that are published.
-- @column value           DOUBLE  | The estimate, not rounded.
-- @column n_answers       BIGINT  | Valid answers.
-- @column n_respondents   BIGINT  | Different respondents among them.
-- @column n_organisations BIGINT  | Different organisations among them; NULL where the sampling unit is the respondent.
-- @column is_weighted     BOOLEAN | Whether an answer has another weight than 1.
-- @column held            DOUBLE  | Sum of the weights.
-- @column held_largest    DOUBLE  | What the largest organisation holds of it; NULL where the survey has no organisations.
-- @column held_second     DOUBLE  | What the second largest holds; 0 if there is none.
-- @column n_left          BIGINT  | Respondents that are left for sure when the organisation with the most of them looks away from its own.
-- @column promoters_pct   DOUBLE  | Share of promoters in percent; NULL for other measures.
-- @column detractors_pct  DOUBLE  | Share of detractors in percent.
-- @column ci_low          DOUBLE  | Lower end of the 95 % interval.
-- @column ci_high         DOUBLE  | Upper end of the 95 % interval.
-- @column se              DOUBLE  | Standard error of value.
-- @column p25             DOUBLE  | First quartile of the organisations' own estimates; NULL where mart.organisation_percentile has none.
-- @column p50             DOUBLE  | Median of the organisations' own estimates.
-- @column p75             DOUBLE  | Third quartile of the organisations' own estimates.
-- @column n_ranked        BIGINT  | Organisations that the quartiles are of.
-- @column obs_status      VARCHAR | u: low reliability; NULL: none.
-- @column provenance      VARCHAR | survey or synthetic.
-- @column base            VARCHAR | Whose answers are counted: answered, asked or mixed.

WITH holder AS (
    SELECT
        domain, max(sum_w) AS largest,
        sum(sum_w) FILTER (place = 2) AS second,
        max(n_respondents) AS most
    FROM (
        SELECT
            *,
            row_number() OVER (
                PARTITION BY domain
                ORDER BY sum_w DESC, organisation_code
            ) AS place
        FROM estimate.domain_organisation
        WHERE organisation_code IS NOT NULL
    )
    GROUP BY domain
)
SELECT
    domain.monitor_code, domain.period_code, domain.audience_code, domain.sector_code, domain.channel_code, domain.measure_code,
    domain.period_type, domain.period_start, domain.period_end, domain.is_total, domain.statistic, domain.unit,
    CASE domain.statistic WHEN 'nps' THEN -100 WHEN 'share' THEN 0 ELSE measure.scale_min END AS low,
    CASE domain.statistic WHEN 'mean' THEN measure.scale_max ELSE 100 END AS high,
    measure.decimals, domain.value, domain.n_answers, domain.n_respondents, domain.n_organisations,
    round(domain.sum_w * 1e6) <> domain.n_answers * 1e6 AS is_weighted,
    domain.sum_w AS held,
    holder.largest::DOUBLE / 1e6 AS held_largest,
    coalesce(holder.second, 0)::DOUBLE / 1e6 AS held_second,
    domain.n_respondents - holder.most AS n_left,
    domain.promoter_share AS promoters_pct, domain.detractor_share AS detractors_pct,
    domain.ci_low, domain.ci_high, domain.se,
    quartile.p25, quartile.p50, quartile.p75, quartile.n_organisations AS n_ranked,
    domain.obs_status, domain.provenance, domain.base
FROM estimate.domain AS domain
JOIN core.dim_measure AS measure USING (measure_code)
JOIN estimate.domain_key AS key USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
LEFT JOIN holder ON holder.domain = key.same_as
LEFT JOIN mart.organisation_percentile AS quartile
    USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
WHERE domain.n_answers > 0
