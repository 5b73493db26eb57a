-- Every estimate of the headline grain, with its bases and its error. R = T / W.
--
-- Error where organisations were sampled (Taylor linearisation, ultimate cluster): with
-- z_i = (T_i - R W_i) / W, V = m / (m - 1) * sum z_i^2, where m counts the organisations with a valid
-- answer in the monitor, audience and period, and df is one less than the organisations in the domain.
-- Where respondents were sampled, with every answer its own cluster: V = n / (n - 1) * sum (w_k (y_k - R) / W)^2.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @column monitor_code              VARCHAR | Monitor.
-- @column period_code               VARCHAR | Period, such as 2011-09, 2011-Q3, 2011, 2011-YTD-Q3, 2011-09-R12.
-- @column audience_code             VARCHAR | Who answered.
-- @column sector_code               VARCHAR | Sector at any level of the tree; all: every participant pooled.
-- @column channel_code              VARCHAR | Channel rated; all: every channel pooled; not_applicable: not about a channel.
-- @column measure_code              VARCHAR | Measure.
-- @column period_type               VARCHAR | month, quarter, year, ytd, r12 or wave. Use one type at a time.
-- @column period_start              DATE    | First day of the period.
-- @column period_end                DATE    | Last day of the period.
-- @column is_total                  BOOLEAN | Whether the row pools rows that stand here too (a sector above another, all channels). Leave these out before adding up.
-- @column statistic                 VARCHAR | What value is: mean, nps or share.
-- @column unit                      VARCHAR | Unit of value, se, ci_low and ci_high.
-- @column value                     DOUBLE  | The estimate: weighted mean, net promoter score (-100 to 100) or share in percent, not rounded. NULL without valid answers.
-- @column n_answers                 BIGINT  | Valid answers: blanks, don't-knows and refused answers never count.
-- @column n_respondents             BIGINT  | Different respondents among them.
-- @column n_organisations           BIGINT  | Different organisations among them; NULL where the sampling unit is the respondent.
-- @column n_organisations_effective DOUBLE  | Organisations of equal size that would weigh as evenly: (sum W_i)^2 / sum W_i^2. NULL where the sampling unit is the respondent.
-- @column largest_organisation_share DOUBLE | Share of the sum of weights that the largest organisation holds, 0 to 1. NULL where the sampling unit is the respondent.
-- @column n_dont_know               BIGINT  | Answers "don't know", not among n_answers.
-- @column n_blank                   BIGINT  | Cells left blank, not among n_answers.
-- @column se                        DOUBLE  | Standard error of value for the declared sampling unit. NULL with fewer than two of them.
-- @column df                        BIGINT  | Degrees of freedom of se.
-- @column ci_low                    DOUBLE  | Lower end of the 95 % interval: value - t(df, 0.975) * se.
-- @column ci_high                   DOUBLE  | Upper end of the 95 % interval: value + t(df, 0.975) * se.
-- @column sum_w                     DOUBLE  | Sum of the weights; adds up over rows that are no totals.
-- @column sum_wy                    DOUBLE  | Sum of weight times score; sum_wy / sum_w is value, also after adding both up.
-- @column n_promoters               BIGINT  | Answers 9 or 10 to the recommendation question.
-- @column n_passives                BIGINT  | Answers 7 or 8 to the recommendation question.
-- @column n_detractors              BIGINT  | Answers 0 to 6 to the recommendation question.
-- @column sampling_unit             VARCHAR | What was sampled: organisation or respondent; the unit of se.
-- @column provenance                VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @check  within_interval: value IS NULL OR ci_low IS NULL OR (ci_low <= value AND value <= ci_high) | the estimate lies in its interval
-- @check  finite: isfinite(coalesce(value, 0)) AND isfinite(coalesce(se, 0)) AND isfinite(coalesce(ci_low, 0)) | no estimate is infinite or not a number
-- @check  respondents: n_respondents <= n_answers AND (n_answers = 0) = (n_respondents = 0) | there are not more respondents than answers

WITH frame AS (
    -- what the sources of a monitor and audience declare; a mixture takes the careful side
    SELECT
        monitor_code, audience_code,
        CASE WHEN bool_and(sampling_unit = 'organisation') THEN 'organisation' ELSE 'respondent' END AS sampling_unit,
        CASE WHEN bool_or(provenance = 'synthetic') THEN 'synthetic' ELSE 'survey' END AS provenance
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
design AS (
    SELECT monitor_code, period_code, audience_code, count(DISTINCT organisation_code) FILTER (n_answers > 0) AS m
    FROM estimate.domain_organisation
    WHERE sector_code = 'all' AND channel_code = 'all'
    GROUP BY ALL
),
total AS (
    SELECT
        monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
        sum(n_answers) AS n_answers, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
        sum(n_promoters) AS n_promoters, sum(n_detractors) AS n_detractors,
        count(organisation_code) FILTER (n_answers > 0) AS n_organisations,
        sum(sum_w)::HUGEINT AS w, sum(sum_wy)::HUGEINT AS t,
        sum(sum_w2)::DOUBLE AS w2, sum(sum_w2y)::DOUBLE AS w2y, sum(sum_w2yy)::DOUBLE AS w2yy,
        max(sum_w)::DOUBLE AS largest_w
    FROM estimate.domain_organisation
    GROUP BY ALL
),
spread AS (
    -- sum z_i^2 and sum W_i^2; the inner difference is exact, the sums have a fixed order
    SELECT
        monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
        sum(z * z ORDER BY organisation_code) AS sum_zz,
        sum(sum_w::DOUBLE * sum_w::DOUBLE ORDER BY organisation_code) AS sum_ww
    FROM (
        SELECT
            part.*,
            (part.sum_wy::HUGEINT * total.w - total.t * part.sum_w::HUGEINT)::DOUBLE / total.w::DOUBLE / total.w::DOUBLE AS z
        FROM estimate.domain_organisation AS part
        JOIN total USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
        WHERE total.w > 0
    )
    GROUP BY ALL
),
joined AS (
    SELECT
        total.*, frame.sampling_unit, frame.provenance, measure.statistic, measure.unit,
        CASE measure.statistic WHEN 'mean' THEN pow(10, measure.decimals) ELSE 1 END AS step,
        total.n_answers - coalesce(repeated.n_surplus, 0) AS n_respondents,
        CASE WHEN total.w > 0 THEN total.t::DOUBLE / total.w::DOUBLE END AS r,
        frame.sampling_unit = 'organisation' AS by_organisation,
        design.m, spread.sum_zz, spread.sum_ww
    FROM total
    JOIN frame USING (monitor_code, audience_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    JOIN design USING (monitor_code, period_code, audience_code)
    LEFT JOIN spread USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
    LEFT JOIN estimate.repeat_domain AS repeated
        USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
),
estimated AS (
    SELECT
        *,
        CASE
            WHEN by_organisation AND n_organisations >= 2 THEN n_organisations - 1
            WHEN NOT by_organisation AND n_respondents >= 2 THEN n_respondents - 1
        END AS df,
        CASE
            WHEN by_organisation AND n_organisations >= 2 THEN sqrt(m / (m - 1.0) * sum_zz)
            WHEN NOT by_organisation AND n_respondents >= 2
                -- w2 counts in 10^-9 and w in 10^-6, so w2 / w^2 lacks a factor 1000
                THEN sqrt(1000 * n_answers / (n_answers - 1.0) * greatest(w2yy - 2 * r * w2y + r * r * w2, 0)) / w::DOUBLE
        END AS se_step
    FROM joined
)
SELECT
    e.monitor_code, e.period_code, e.audience_code, e.sector_code, e.channel_code, e.measure_code,
    period.period_type, period.period_start, period.period_end,
    e.channel_code = 'all' OR NOT sector.is_leaf AS is_total,
    e.statistic, e.unit,
    e.r / e.step AS value,
    e.n_answers, e.n_respondents,
    CASE WHEN e.by_organisation THEN e.n_organisations END AS n_organisations,
    CASE WHEN e.by_organisation AND e.w > 0 THEN e.w::DOUBLE * e.w::DOUBLE / e.sum_ww END AS n_organisations_effective,
    CASE WHEN e.by_organisation AND e.w > 0 THEN e.largest_w / e.w::DOUBLE END AS largest_organisation_share,
    e.n_dont_know, e.n_blank,
    e.se_step / e.step AS se,
    e.df,
    (e.r - t_quantile(0.975, e.df) * e.se_step) / e.step AS ci_low,
    (e.r + t_quantile(0.975, e.df) * e.se_step) / e.step AS ci_high,
    e.w::DOUBLE / 1e6 AS sum_w,
    e.t::DOUBLE / 1e6 / e.step AS sum_wy,
    e.n_promoters, e.n_answers - e.n_promoters - e.n_detractors AS n_passives, e.n_detractors,
    e.sampling_unit, e.provenance
FROM estimated AS e
JOIN core.dim_period AS period USING (period_code)
JOIN core.dim_sector AS sector USING (sector_code)
