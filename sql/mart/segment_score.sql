-- Every measure per group of respondents: age classes, regions, or whatever segments the contracts declare. The groups
-- of one segment_type have nobody in common, those of several have. A group is a domain of the same sample as the headline
-- figures, with the error computed the same way. Empty where no contract declares a segment.
--
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, segment_type, segment_code
-- @column monitor_code     VARCHAR | Monitor.
-- @column period_code      VARCHAR | Period, such as 2011-09, 2011-Q3, 2011, 2011-YTD-Q3, 2011-09-R12.
-- @column audience_code    VARCHAR | Who answered.
-- @column sector_code      VARCHAR | Sector at any level of the tree; all: every participant pooled.
-- @column channel_code     VARCHAR | Channel rated; all: every channel pooled; not_applicable: not about a channel.
-- @column measure_code     VARCHAR | Measure.
-- @column segment_type     VARCHAR | What respondents are grouped by, such as age. Use one at a time.
-- @column segment_code     VARCHAR | Group of respondents, such as young.
-- @column segment_label_en VARCHAR | Label of the group in English.
-- @column segment_label_nl VARCHAR | Label of the group in Dutch.
-- @column segment_sort_order INTEGER | Place of the group in a list.
-- @column period_type      VARCHAR | month, quarter, year, ytd, r12 or wave. Use one type at a time.
-- @column period_start     DATE    | First day of the period.
-- @column period_end       DATE    | Last day of the period.
-- @column is_total         BOOLEAN | Whether the row pools rows that stand here too (a sector above another, all channels). Leave these out before adding up.
-- @column statistic        VARCHAR | What value is: mean, nps or share.
-- @column unit             VARCHAR | Unit of value, se, ci_low and ci_high.
-- @column base             VARCHAR | Whose answers are counted: answered (who gave a valid answer); of a question with several answers possible also asked (everybody who was asked, who chose nothing too) or mixed (both within the period).
-- @column value            DOUBLE  | The estimate among the group: weighted mean, net promoter score (-100 to 100) or share in percent, not rounded. NULL without valid answers.
-- @column n_answers        BIGINT  | Valid answers of the group: blanks, don't-knows and refused answers never count.
-- @column n_respondents    BIGINT  | Different respondents among them.
-- @column n_organisations  BIGINT  | Different organisations among them; NULL where the sampling unit is the respondent.
-- @column n_organisations_effective DOUBLE | Organisations of equal size that would weigh as evenly: (sum W_i)^2 / sum W_i^2. NULL where the sampling unit is the respondent.
-- @column largest_organisation_share DOUBLE | Share of the group's sum of weights that its largest organisation holds, 0 to 1. NULL where the sampling unit is the respondent.
-- @column n_kish           DOUBLE  | Answers of equal weight that would be worth as much: (sum w)^2 / sum w^2.
-- @column n_dont_know      BIGINT  | Answers "don't know", not among n_answers.
-- @column n_blank          BIGINT  | Cells left blank, not among n_answers.
-- @column se               DOUBLE  | Standard error of value for the declared sampling unit, by linearisation over the whole sample. NULL with fewer than two of them.
-- @column df               BIGINT  | Degrees of freedom of se: organisations less strata, or respondents less one, in the group.
-- @column ci_low           DOUBLE  | Lower end of the 95 % interval of value, by ci_method.
-- @column ci_high          DOUBLE  | Upper end of the 95 % interval of value, by ci_method.
-- @column ci_method        VARCHAR | How the interval was made: t (value -+ t(df) se), logit or wilson (shares); with _cr2 it uses se_cr2 and df_cr2 for se and df.
-- @column se_cr2           DOUBLE  | Standard error of value corrected for few or uneven organisations: V = (1 - f) sum z_i^2 / (1 - W_i / W). NULL where respondents or strata were sampled.
-- @column df_cr2           DOUBLE  | Degrees of freedom of se_cr2 by Satterthwaite (Bell and McCaffrey 2002).
-- @column obs_status       VARCHAR | u: too few organisations or respondents for the interval to be believed; m: no value; NULL: neither.
-- @column sum_w            DOUBLE  | Sum of the weights; adds up over groups of one segment_type and over rows that are no totals.
-- @column sum_wy           DOUBLE  | Sum of weight times score; sum_wy / sum_w is value, also after adding both up.
-- @column promoter_share   DOUBLE  | Weighted share of promoters (9 or 10) in percent; NULL for other measures.
-- @column passive_share    DOUBLE  | Weighted share of passives (7 or 8) in percent; NULL for other measures.
-- @column detractor_share  DOUBLE  | Weighted share of detractors (0 to 6) in percent; value is promoter_share less detractor_share.
-- @column sampling_unit    VARCHAR | What was sampled: organisation or respondent; the unit of se.
-- @column provenance       VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @check  has_labels: segment_label_en IS NOT NULL AND segment_label_nl IS NOT NULL | every group has labels; see codes.segments in the contracts
-- @check  within_interval: value IS NULL OR ci_low IS NULL OR (ci_low <= value AND value <= ci_high) | the estimate lies in its interval
-- @check  finite: isfinite(coalesce(value, 0)) AND isfinite(coalesce(se, 0)) AND isfinite(coalesce(ci_low, 0)) | no estimate is infinite or not a number
-- @check  respondents: n_respondents <= n_answers AND (n_answers = 0) = (n_respondents = 0) | there are not more respondents than answers

WITH frame AS (
    SELECT
        monitor_code, audience_code, max(sampling_unit) AS sampling_unit, max(strata) AS strata,
        CASE WHEN bool_or(provenance = 'synthetic') THEN 'synthetic' ELSE 'survey' END AS provenance
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
total AS (
    SELECT
        monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, segment_type, segment_code,
        row_number() OVER () AS domain,
        sum(n_answers) AS n_answers, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
        sum(n_respondents) - sum(n_elsewhere) AS n_respondents, sum(n_elsewhere) AS n_elsewhere,
        count(*) FILTER (n_answers > 0) AS n_organisations,
        max(sum_w)::DOUBLE AS largest_w, sum(sum_w_promoters)::DOUBLE AS w_promoters,
        sum(sum_w_detractors)::DOUBLE AS w_detractors,
        sum(sum_w)::HUGEINT AS w, sum(sum_wy)::HUGEINT AS t, sum(sum_w2)::DOUBLE AS w2,
        sum(sum_ww)::DOUBLE AS ww, sum(sum_wt)::DOUBLE AS wt, sum(sum_tt)::DOUBLE AS tt,
        sum(cross_ww)::DOUBLE AS cross_ww, sum(cross_wt)::DOUBLE AS cross_wt, sum(cross_tt)::DOUBLE AS cross_tt
    FROM estimate.segment_organisation
    GROUP BY monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, segment_type, segment_code
),
whole AS (
    -- everybody who answered the measure: the sample that a group is a part of
    SELECT
        monitor_code, period_code, audience_code, measure_code, n_respondents AS g, n_within AS g_within
    FROM estimate.domain_sum
    WHERE sector_code = 'all' AND channel_code = 'all'
),
part AS (
    SELECT
        total.domain, part.organisation_code, part.sum_w::DOUBLE AS w, part.sum_w::DOUBLE / total.w::DOUBLE AS h,
        (part.sum_wy::HUGEINT * total.w - total.t * part.sum_w::HUGEINT)::DOUBLE / total.w::DOUBLE / total.w::DOUBLE AS z,
        design.stratum_code, design.n_stratum, design.sampled_share
    FROM estimate.segment_organisation AS part
    JOIN total USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, segment_type, segment_code)
    LEFT JOIN estimate.design AS design
        ON design.monitor_code = part.monitor_code AND design.period_code = part.period_code
            AND design.audience_code = part.audience_code
        AND coalesce(design.organisation_code, '') = coalesce(part.organisation_code, '')
    WHERE total.w > 0 AND part.n_answers > 0
),
stratum AS (
    SELECT
        domain, stratum_code, any_value(n_stratum) AS m, any_value(sampled_share) AS f,
        sum(z ORDER BY organisation_code) AS sum_z, sum(z * z ORDER BY organisation_code) AS sum_zz,
        sum(w * w ORDER BY organisation_code) AS sum_ww,
        sum(z * z / (1 - h) ORDER BY organisation_code) FILTER (h < 1) AS sum_zz_cr2,
        sum(h * h ORDER BY organisation_code) AS sum_hh,
        -- q_i of one that has most of the weight stands apart: beside its square the others would drown
        coalesce(max(h * h / (1 - h)) FILTER (h > 0.5 AND h < 1), 0) AS most_of_all,
        coalesce(sum(h * h / (1 - h) ORDER BY organisation_code) FILTER (h <= 0.5), 0) AS sum_q,
        coalesce(sum((h * h / (1 - h)) ** 2 ORDER BY organisation_code) FILTER (h <= 0.5), 0) AS sum_qq
    FROM part
    GROUP BY ALL
),
spread AS (
    SELECT
        domain, count(*) AS n_strata,
        sum(
            (1 - f) * CASE WHEN m > 1 THEN m / (m - 1.0) * greatest(sum_zz - sum_z * sum_z / m, 0) ELSE sum_zz END
            ORDER BY stratum_code
        ) AS v_organisations,
        sum(sum_ww ORDER BY stratum_code) AS sum_ww,
        max((1 - f) * sum_zz_cr2) AS v_cr2,
        max(1 / (sum_hh + 2 * most_of_all * sum_q + sum_q * sum_q - sum_qq)) AS df_cr2
    FROM stratum
    GROUP BY domain
),
joined AS (
    SELECT
        total.*, spread.n_strata, spread.v_organisations, spread.sum_ww, spread.v_cr2, spread.df_cr2,
        frame.sampling_unit, frame.strata, frame.provenance, measure.statistic, measure.unit, whole.g, whole.g_within,
        CASE measure.statistic WHEN 'mean' THEN pow(10, measure.decimals) ELSE 1 END AS step,
        CASE WHEN total.w > 0 THEN total.t::DOUBLE / total.w::DOUBLE END AS r,
        frame.sampling_unit = 'organisation' AS by_organisation
    FROM total
    JOIN frame USING (monitor_code, audience_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    JOIN whole USING (monitor_code, period_code, audience_code, measure_code)
    LEFT JOIN spread USING (domain)
),
clustered AS (
    SELECT
        *,
        greatest(tt - 2 * r * wt + r * r * ww, 0) / w::DOUBLE / w::DOUBLE AS s_within,
        (cross_tt - 2 * r * cross_wt + r * r * cross_ww) / w::DOUBLE / w::DOUBLE AS s_cross
    FROM joined
),
varied AS (
    SELECT
        *,
        CASE WHEN g > 1 THEN g / (g - 1.0) * greatest(s_within + s_cross, 0) END AS v_respondents,
        CASE
            WHEN n_elsewhere > 0 AND g > 1
            THEN g / (g - 1.0) * greatest(s_within + s_cross, 0) - g_within / (g_within - 1.0) * s_within
            ELSE 0
        END AS v_shared
    FROM clustered
),
estimated AS (
    SELECT
        *,
        r / step AS value,
        sqrt(CASE
            WHEN by_organisation AND n_organisations > n_strata
            THEN CASE WHEN v_organisations + v_shared > 0 THEN v_organisations + v_shared ELSE v_organisations END
            WHEN NOT by_organisation AND n_respondents > 1 THEN v_respondents
        END) / step AS se,
        CASE
            WHEN by_organisation AND n_organisations > n_strata THEN n_organisations - n_strata
            WHEN NOT by_organisation AND n_respondents > 1 THEN n_respondents - 1
        END AS df,
        CASE WHEN w > 0 THEN w::DOUBLE * w::DOUBLE / w2 END AS n_kish,
        CASE WHEN w > 0 THEN w::DOUBLE * w::DOUBLE / sum_ww END AS n_effective
    FROM varied
),
corrected AS (
    SELECT
        *,
        CASE
            WHEN by_organisation AND strata IS NULL AND n_organisations > 1
            THEN sqrt(CASE WHEN v_cr2 + v_shared > 0 THEN v_cr2 + v_shared ELSE v_cr2 END) / step
        END AS se_cr2,
        CASE WHEN by_organisation AND strata IS NULL AND n_organisations > 1 THEN df_cr2 END AS df_of_cr2
    FROM estimated
),
chosen AS (
    SELECT
        *,
        CASE WHEN is_corrected THEN se_cr2 ELSE se END AS se_used,
        CASE WHEN is_corrected THEN df_of_cr2 ELSE df END AS df_used
    FROM (SELECT *, coalesce(se_cr2 IS NOT NULL AND 3 * n_effective < 2 * n_organisations, false) AS is_corrected FROM corrected)
)
SELECT
    e.monitor_code, e.period_code, e.audience_code, e.sector_code, e.channel_code, e.measure_code,
    e.segment_type, e.segment_code,
    label.label_en AS segment_label_en, label.label_nl AS segment_label_nl, label.sort_order AS segment_sort_order,
    period.period_type, period.period_start, period.period_end,
    e.channel_code = 'all' OR NOT sector.is_leaf AS is_total,
    e.statistic, e.unit, coalesce(asked.base, 'answered') AS base, e.value, e.n_answers, e.n_respondents,
    CASE WHEN e.by_organisation THEN e.n_organisations END AS n_organisations,
    CASE WHEN e.by_organisation THEN e.n_effective END AS n_organisations_effective,
    CASE WHEN e.by_organisation AND e.w > 0 THEN e.largest_w / e.w::DOUBLE END AS largest_organisation_share,
    e.n_kish, e.n_dont_know, e.n_blank, e.se, e.df,
    CASE e.statistic
        WHEN 'share' THEN share_low(e.value, e.se_used, e.df_used, e.n_kish)
        ELSE e.value - t_quantile(0.975, e.df_used) * e.se_used
    END AS ci_low,
    CASE e.statistic
        WHEN 'share' THEN share_high(e.value, e.se_used, e.df_used, e.n_kish)
        ELSE e.value + t_quantile(0.975, e.df_used) * e.se_used
    END AS ci_high,
    CASE
        WHEN e.se_used IS NULL THEN NULL
        WHEN e.statistic <> 'share' THEN 't'
        WHEN e.value IN (0, 100) OR e.value * (100 - e.value) * least(e.value, 100 - e.value) < 500 * e.se_used ** 2 THEN 'wilson'
        ELSE 'logit'
    END || CASE WHEN e.is_corrected THEN '_cr2' ELSE '' END AS ci_method,
    e.se_cr2, e.df_of_cr2 AS df_cr2,
    CASE
        WHEN e.value IS NULL THEN 'm'
        WHEN CASE WHEN e.by_organisation THEN e.n_effective < 10 ELSE e.n_respondents < 30 END THEN 'u'
    END AS obs_status,
    e.w::DOUBLE / 1e6 AS sum_w,
    e.t::DOUBLE / 1e6 / e.step AS sum_wy,
    CASE WHEN e.statistic = 'nps' AND e.w > 0 THEN 100 * e.w_promoters / e.w::DOUBLE END AS promoter_share,
    CASE
        WHEN e.statistic = 'nps' AND e.w > 0 THEN 100 * (e.w::DOUBLE - e.w_promoters - e.w_detractors) / e.w::DOUBLE
    END AS passive_share,
    CASE WHEN e.statistic = 'nps' AND e.w > 0 THEN 100 * e.w_detractors / e.w::DOUBLE END AS detractor_share,
    e.sampling_unit, e.provenance
FROM chosen AS e
JOIN core.dim_period AS period USING (period_code)
JOIN core.dim_sector AS sector USING (sector_code)
LEFT JOIN core.dim_segment AS label USING (segment_type, segment_code)
LEFT JOIN estimate.asked_base AS asked USING (monitor_code, period_code, audience_code, measure_code)
