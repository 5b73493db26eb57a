-- Every estimate of the headline grain, with its bases, its error and its interval. R = T / W. The formulas
-- are explained in docs/method.md; symbols: organisation i, respondent k, stratum h.
--
-- Organisations sampled (Taylor linearisation, ultimate cluster): z_i = (T_i - R W_i) / W and
-- V = sum_h (1 - f_h) m_h / (m_h - 1) * sum_i (z_i - mean z_h)^2 over the organisations of estimate.design.
-- Where respondents rated several organisations of the domain, V grows by what two-way clustering adds.
-- Respondents sampled: the same with z_k = (T_k - R W_k) / W and n / (n - 1), n being all respondents of the
-- monitor, audience and period who answered the measure.
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
-- @column unit                      VARCHAR | Unit of value, of every se and of the ends of every interval.
-- @column base                      VARCHAR | Whose answers are counted: answered (who gave a valid answer); of a question with several answers possible also asked (everybody who was asked, who chose nothing too) or mixed (both within the period).
-- @column value                     DOUBLE  | The estimate: weighted mean, net promoter score (-100 to 100) or share in percent, not rounded. NULL without valid answers.
-- @column n_answers                 BIGINT  | Valid answers: blanks, don't-knows and refused answers never count.
-- @column n_respondents             BIGINT  | Different respondents among them.
-- @column n_organisations           BIGINT  | Different organisations among them; NULL where the sampling unit is the respondent.
-- @column n_organisations_effective DOUBLE  | Organisations of equal size that would weigh as evenly: (sum W_i)^2 / sum W_i^2. NULL where the sampling unit is the respondent.
-- @column largest_organisation_share DOUBLE | Share of the sum of weights that the largest organisation holds, 0 to 1. NULL where the sampling unit is the respondent.
-- @column n_kish                    DOUBLE  | Answers of equal weight that would be worth as much: (sum w)^2 / sum w^2.
-- @column n_dont_know               BIGINT  | Answers "don't know", not among n_answers.
-- @column n_blank                   BIGINT  | Cells left blank, not among n_answers.
-- @column se                        DOUBLE  | Standard error of value for the declared sampling unit, as R's survey package computes it. NULL with fewer than two units.
-- @column df                        BIGINT  | Degrees of freedom of se: sampled units in the domain less strata in the domain.
-- @column ci_low                    DOUBLE  | Lower end of the 95 % interval of value for the declared sampling unit, by ci_method.
-- @column ci_high                   DOUBLE  | Upper end of the 95 % interval of value for the declared sampling unit, by ci_method.
-- @column ci_method                 VARCHAR | How the interval from ci_low to ci_high was made (the intervals of the other targets never use CR2): t (value -+ t(df) se), logit or wilson (shares); with _cr2 it uses se_cr2 and df_cr2 for se and df.
-- @column se_cr2                    DOUBLE  | Standard error corrected for few or uneven organisations: V = (1 - f) sum z_i^2 / (1 - W_i / W). NULL where respondents or strata were sampled.
-- @column df_cr2                    DOUBLE  | Degrees of freedom of se_cr2 by Satterthwaite (Bell and McCaffrey 2002).
-- @column design_effect             DOUBLE  | se^2 over the variance of a simple random sample of as many answers.
-- @column obs_status                VARCHAR | u: low reliability, fewer than ten effective organisations or thirty respondents; m: no valid answer; NULL: neither.
-- @column conf_status               VARCHAR | F: free; in benchmark.duckdb of few employees: C confidential, D hidden because another could be reckoned from it.
-- @column suppression_reason        VARCHAR | respondents or secondary, where conf_status is C or D; NULL: not hidden.
-- @column se_participants           DOUBLE  | Standard error for these very organisations, only their respondents being a sample; one who answered about several of them is one cluster. NULL unless there are more respondents than organisations.
-- @column df_participants           BIGINT  | Degrees of freedom of se_participants: respondents less organisations.
-- @column ci_low_participants       DOUBLE  | Lower end of the 95 % interval for these very organisations: t, or for a share logit or Wilson.
-- @column ci_high_participants      DOUBLE  | Upper end of the 95 % interval for these very organisations, made like the lower.
-- @column value_organisations_equal DOUBLE  | The estimate with every organisation counting once: mean of the organisations' own values. NULL where the sampling unit is the respondent.
-- @column se_organisations_equal    DOUBLE  | Standard error of value_organisations_equal: sd of the organisations' values over the root of their number; neither strata nor 1 - f enter it.
-- @column ci_low_organisations_equal DOUBLE | Lower end of the 95 % interval of value_organisations_equal: t, or for a share logit or Wilson (at 0 or 100 %, and with fewer than five effective), with n_organisations - 1 degrees of freedom.
-- @column ci_high_organisations_equal DOUBLE | Upper end of the 95 % interval of value_organisations_equal, made like the lower.
-- @column value_1_10                DOUBLE  | value read on the scale 1 to 10: 1 + 9 (value - a) / (b - a), a and b the ends of the native scale (the other way round where lower is better). NULL unless the measure declares scale_conversion.
-- @column se_1_10                   DOUBLE  | se on that scale; what the conversion itself gets wrong is not in it.
-- @column weighting_code            VARCHAR | Weighting of reference/population.csv that the next columns use; NULL where no margins were declared for the row.
-- @column value_weighted            DOUBLE  | The estimate with weights that meet the margins of the population: what the margins support, and no cure for who chose to take part.
-- @column se_weighted               DOUBLE  | Standard error of value_weighted for the declared sampling unit, from residuals on the margins.
-- @column df_weighted               BIGINT  | Degrees of freedom of se_weighted.
-- @column ci_low_weighted           DOUBLE  | Lower end of the 95 % interval of value_weighted: t, or for a share logit or Wilson.
-- @column ci_high_weighted          DOUBLE  | Upper end of the 95 % interval of value_weighted, made like the lower.
-- @column n_effective_weighted      DOUBLE  | Organisations of equal weight (answers where respondents were sampled) that would weigh as evenly as those of value_weighted.
-- @column obs_status_weighted       VARCHAR | u: low reliability of value_weighted, n_effective_weighted below ten organisations or thirty answers; NULL: not.
-- @column sum_w                     DOUBLE  | Sum of the weights; adds up over rows that are no totals.
-- @column sum_wy                    DOUBLE  | Sum of weight times score; sum_wy / sum_w is value, also after adding both up.
-- @column n_promoters               BIGINT  | Answers 9 or 10 to the recommendation question; NULL for other measures.
-- @column n_passives                BIGINT  | Answers 7 or 8 to the recommendation question; NULL for other measures.
-- @column n_detractors              BIGINT  | Answers 0 to 6 to the recommendation question; NULL for other measures.
-- @column promoter_share            DOUBLE  | Weighted share of promoters in percent; NULL for other measures.
-- @column passive_share             DOUBLE  | Weighted share of passives in percent; NULL for other measures.
-- @column detractor_share           DOUBLE  | Weighted share of detractors in percent; value is promoter_share less detractor_share.
-- @column sampling_unit             VARCHAR | What was sampled: organisation or respondent; the unit of se.
-- @column provenance                VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @check  within_interval: value IS NULL OR ci_low IS NULL OR (ci_low <= value AND value <= ci_high) | the estimate lies in its interval
-- @check  finite: isfinite(coalesce(value, 0)) AND isfinite(coalesce(se, 0)) AND isfinite(coalesce(ci_low, 0)) AND isfinite(coalesce(ci_high, 0)) AND isfinite(coalesce(df_cr2, 0)) | no estimate is infinite or not a number
-- @check  respondents: n_respondents <= n_answers AND (n_answers = 0) = (n_respondents = 0) | there are not more respondents than answers

WITH frame AS (
    -- what the sources of a monitor and audience declare; they agree on the design
    SELECT
        monitor_code, audience_code, max(sampling_unit) AS sampling_unit, max(strata) AS strata,
        CASE WHEN bool_or(provenance = 'synthetic') THEN 'synthetic' ELSE 'survey' END AS provenance
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
-- c: the whole score next to R, and d = R - c. Squares are taken about c in whole numbers first: sum (y - R)^2 of
-- answers that are all alike is then 0, and not what is left when large numbers cancel. Periods that hold the same
-- answers are computed once
total AS (
    SELECT
        * REPLACE (
            w::HUGEINT AS w, t::HUGEINT AS t, wyy::HUGEINT AS wyy, w2::DOUBLE AS w2,
            w_promoters::DOUBLE AS w_promoters, w_detractors::DOUBLE AS w_detractors
        ),
        n_within - n_respondents AS n_elsewhere,
        within_ww::HUGEINT AS ww, within_wt::HUGEINT AS wt, within_tt::HUGEINT AS tt,
        (person_ww - within_ww)::HUGEINT AS cross_ww, (person_wt - within_wt)::HUGEINT AS cross_wt,
        (person_tt - within_tt)::HUGEINT AS cross_tt,
        CASE WHEN w > 0 THEN round(t::DOUBLE / w::DOUBLE)::HUGEINT ELSE 0 END AS c,
        CASE WHEN w > 0 THEN (t::HUGEINT - c * w::HUGEINT)::DOUBLE / w::DOUBLE END AS d
    FROM estimate.domain_sum
    WHERE domain = same_as
),
-- What no |z_i|, S_i and q_i = h_i^2 / (1 - h_i) exceeds, h_i being W_i / W: exact_sum adds fractions in parts of that.
scaled AS (
    SELECT
        domain, w, t, c, d, mean_r, whole, most_r - least_r + 1e-9 * (1 + abs(most_r) + abs(least_r)) AS most_z,
        4 * (tt::DOUBLE + ((abs(c) + 1) * (abs(c) + 1) * ww)::DOUBLE) / w::DOUBLE / w::DOUBLE AS most_s,
        least(largest_w::DOUBLE / w::DOUBLE, 0.5) AS largest_h,
        largest_h * largest_h / (1 - largest_h) AS most_q
    FROM total
    WHERE w > 0
),
everywhere AS (
    -- n_i: all respondents of the organisation who answered the measure; and its place in the design. Two numbers as
    -- one, so that there is one order only in which it can be joined
    SELECT
        part.domain::BIGINT << 32 | part.organisation AS seat, part.n_respondents,
        design.stratum_code, design.n_stratum, design.sampled_share
    FROM estimate.domain_organisation AS part
    JOIN estimate.domain_key AS key USING (domain)
    LEFT JOIN estimate.design AS design
        ON design.monitor_code = key.monitor_code AND design.period_code = key.period_code
        AND design.audience_code = key.audience_code
        AND coalesce(design.organisation_code, '') = coalesce(part.organisation_code, '')
    WHERE key.domain = key.whole
),
part AS (
    -- z_i and S_i = sum_k z_k^2 of each organisation; the differences are exact before they are divided
    SELECT
        domain, most_z, most_s, most_q, part.sum_w::DOUBLE / w::DOUBLE AS h,
        nullif(1 - h, 0) AS left_over, h * h / left_over AS q,
        (part.sum_wy * w - t * part.sum_w)::DOUBLE / w::DOUBLE / w::DOUBLE AS z,
        greatest(
            (part.sum_tt::HUGEINT - 2 * c * part.sum_wt::HUGEINT + c * c * part.sum_ww::HUGEINT)::DOUBLE
            - 2 * d * (part.sum_wt::HUGEINT - c * part.sum_ww::HUGEINT)::DOUBLE + d * d * part.sum_ww::DOUBLE, 0
        ) / w::DOUBLE / w::DOUBLE AS s,
        part.sum_wy / part.sum_w - mean_r AS off,
        everywhere.n_respondents AS n, everywhere.stratum_code, everywhere.n_stratum, everywhere.sampled_share
    FROM estimate.domain_organisation AS part
    JOIN scaled USING (domain)
    JOIN everywhere ON everywhere.seat = scaled.whole::BIGINT << 32 | part.organisation
),
stratum AS (
    SELECT
        domain, stratum_code, any_value(n_stratum) AS m, any_value(sampled_share) AS f,
        exact_sum(z, most_z) AS sum_z, exact_sum(z * z, most_z * most_z) AS sum_zz,
        -- CR2: squares over 1 - h_i; and for its degrees of freedom sum q_i and sum q_i^2. Where one organisation has
        -- most of the weight its q_i stands apart: beside its square the others would drown
        exact_sum(z * z / left_over, most_z * most_z) AS sum_zz_cr2,
        coalesce(max(q) FILTER (h > 0.5), 0) AS most_of_all,
        exact_sum(CASE WHEN h <= 0.5 THEN q END, most_q) AS sum_q,
        exact_sum(CASE WHEN h <= 0.5 THEN q * q END, most_q * most_q) AS sum_qq,
        exact_sum(off * off, most_z * most_z) AS sum_off,
        -- participants: an organisation of one respondent is centred at 0, the mean of all z_k
        exact_sum(CASE WHEN n > 1 THEN n / (n - 1.0) * greatest(s - z * z / n, 0) ELSE s END, most_s) AS v_participants
    FROM part
    GROUP BY domain, stratum_code
),
spread AS (
    SELECT
        domain,
        count(*) AS n_strata,
        sum(
            (1 - f) * CASE WHEN m > 1 THEN m / (m - 1.0) * greatest(sum_zz - sum_z * sum_z / m, 0) ELSE sum_zz END
            ORDER BY stratum_code
        ) AS v_organisations,
        sum(v_participants ORDER BY stratum_code) AS v_participants,
        sum(sum_off ORDER BY stratum_code) AS sum_off,
        -- of use where there is one stratum only
        max((1 - f) * sum_zz_cr2) AS v_cr2, max(most_of_all) AS most_of_all,
        max(sum_q) AS sum_q, max(sum_qq) AS sum_qq
    FROM stratum
    GROUP BY domain
),
joined AS (
    SELECT
        total.*, spread.* EXCLUDE (domain),
        frame.sampling_unit, frame.strata, frame.provenance, measure.statistic, measure.unit, measure.scale_conversion,
        CASE measure.direction WHEN 'lower_is_better' THEN measure.scale_max ELSE measure.scale_min END AS scale_worst,
        CASE measure.direction WHEN 'lower_is_better' THEN measure.scale_min ELSE measure.scale_max END AS scale_best,
        whole.n_respondents AS g, whole.n_within AS g_within,
        1 / (
            total.organisation_ww::DOUBLE / total.w::DOUBLE / total.w::DOUBLE + 2 * most_of_all * sum_q
            + sum_q * sum_q - sum_qq
        ) AS df_cr2,
        CASE measure.statistic WHEN 'mean' THEN pow(10, measure.decimals) ELSE 1 END AS step,
        CASE WHEN total.w > 0 THEN total.t::DOUBLE / total.w::DOUBLE END AS r,
        frame.sampling_unit = 'organisation' AS by_organisation
    FROM total
    JOIN frame ON frame.monitor_code = total.monitor_code AND frame.audience_code = total.audience_code
    JOIN core.dim_measure AS measure ON measure.measure_code = total.measure_code
    JOIN total AS whole ON whole.domain = total.whole
    LEFT JOIN spread ON spread.domain = total.domain
),
clustered AS (
    SELECT
        *,
        greatest(
            (tt - 2 * c * wt + c * c * ww)::DOUBLE - 2 * d * (wt - c * ww)::DOUBLE + d * d * ww::DOUBLE, 0
        ) / w::DOUBLE / w::DOUBLE AS s_within,
        (
            (cross_tt - 2 * c * cross_wt + c * c * cross_ww)::DOUBLE
            - 2 * d * (cross_wt - c * cross_ww)::DOUBLE + d * d * cross_ww::DOUBLE
        ) / w::DOUBLE / w::DOUBLE AS s_cross
    FROM joined
),
varied AS (
    SELECT
        *,
        CASE WHEN g > 1 THEN g / (g - 1.0) * greatest(s_within + s_cross, 0) END AS v_respondents,
        -- two-way: what respondents as clusters have over respondents within organisations
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
        CASE
            WHEN by_organisation AND strata IS NULL AND n_organisations > 1
            THEN sqrt(CASE WHEN v_cr2 + v_shared > 0 THEN v_cr2 + v_shared ELSE v_cr2 END) / step
        END AS se_cr2,
        CASE WHEN by_organisation AND strata IS NULL AND n_organisations > 1 THEN df_cr2 END AS df_of_cr2,
        CASE
            WHEN by_organisation AND n_respondents > n_organisations
            THEN sqrt(v_participants + CASE
                WHEN v_participants > 0 AND v_participants + cross_participants > 0 THEN cross_participants ELSE 0
            END) / step
            WHEN NOT by_organisation AND n_respondents > 1 THEN sqrt(v_respondents) / step
        END AS se_participants,
        CASE
            WHEN by_organisation AND n_respondents > n_organisations THEN n_respondents - n_organisations
            WHEN NOT by_organisation AND n_respondents > 1 THEN n_respondents - 1
        END AS df_participants,
        CASE WHEN by_organisation THEN mean_r / step END AS value_equal,
        CASE
            WHEN by_organisation AND n_organisations > 1
            THEN sqrt(sum_off / (n_organisations - 1) / n_organisations) / step
        END AS se_equal,
        CASE WHEN w > 0 THEN w::DOUBLE * w::DOUBLE / w2 END AS n_kish,
        CASE WHEN w > 0 THEN w::DOUBLE * w::DOUBLE / organisation_ww::DOUBLE END AS n_effective,
        CASE
            WHEN n_answers > 1
            THEN ((wyy - 2 * c * t + c * c * w)::DOUBLE / w::DOUBLE - d * d) / (n_answers - 1) / step / step
        END AS v_simple
    FROM varied
),
chosen AS (
    -- the correction where organisations are so uneven that the plain interval is known to be too short: measured
    -- by benchmarks/coverage.py, see docs/method.md
    SELECT
        *,
        se_cr2 IS NOT NULL AND 3 * n_effective < 2 * n_organisations AS is_corrected,
        CASE WHEN se_cr2 IS NOT NULL AND 3 * n_effective < 2 * n_organisations THEN se_cr2 ELSE se END AS se_used,
        CASE WHEN se_cr2 IS NOT NULL AND 3 * n_effective < 2 * n_organisations THEN df_of_cr2 ELSE df END AS df_used
    FROM estimated
)
SELECT
    e.monitor_code, twin.period_code, e.audience_code, e.sector_code, e.channel_code, e.measure_code,
    period.period_type, period.period_start, period.period_end,
    e.channel_code = 'all' OR NOT sector.is_leaf AS is_total,
    e.statistic, e.unit, coalesce(asked.base, 'answered') AS base, e.value,
    e.n_answers, e.n_respondents,
    CASE WHEN e.by_organisation THEN e.n_organisations END AS n_organisations,
    CASE WHEN e.by_organisation THEN e.n_effective END AS n_organisations_effective,
    CASE WHEN e.by_organisation AND e.w > 0 THEN e.largest_w / e.w::DOUBLE END AS largest_organisation_share,
    e.n_kish, e.n_dont_know, e.n_blank,
    e.se, e.df,
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
    CASE WHEN e.v_simple > 0 THEN e.se ** 2 / e.v_simple END AS design_effect,
    CASE
        WHEN e.value IS NULL THEN 'm'
        WHEN CASE WHEN e.by_organisation THEN e.n_effective < 10 ELSE e.n_respondents < 30 END THEN 'u'
    END AS obs_status,
    'F' AS conf_status, NULL AS suppression_reason,
    e.se_participants, e.df_participants,
    CASE e.statistic
        WHEN 'share' THEN share_low(e.value, e.se_participants, e.df_participants, e.n_kish)
        ELSE e.value - t_quantile(0.975, e.df_participants) * e.se_participants
    END AS ci_low_participants,
    CASE e.statistic
        WHEN 'share' THEN share_high(e.value, e.se_participants, e.df_participants, e.n_kish)
        ELSE e.value + t_quantile(0.975, e.df_participants) * e.se_participants
    END AS ci_high_participants,
    e.value_equal AS value_organisations_equal, e.se_equal AS se_organisations_equal,
    -- where all organisations have 0 or 100 %, Wilson's n is their number
    CASE e.statistic
        WHEN 'share' THEN share_low(e.value_equal, e.se_equal, e.n_organisations - 1, e.n_organisations)
        ELSE e.value_equal - t_quantile(0.975, e.n_organisations - 1) * e.se_equal
    END AS ci_low_organisations_equal,
    CASE e.statistic
        WHEN 'share' THEN share_high(e.value_equal, e.se_equal, e.n_organisations - 1, e.n_organisations)
        ELSE e.value_equal + t_quantile(0.975, e.n_organisations - 1) * e.se_equal
    END AS ci_high_organisations_equal,
    1 + 9 * CASE WHEN e.scale_conversion IS NOT NULL
        THEN (e.value - e.scale_worst) / (e.scale_best - e.scale_worst)
    END AS value_1_10,
    CASE WHEN e.scale_conversion IS NOT NULL THEN 9 * e.se / abs(e.scale_best - e.scale_worst) END AS se_1_10,
    weighted.weighting_code, weighted.value_weighted, weighted.se_weighted, weighted.df_weighted,
    weighted.ci_low_weighted, weighted.ci_high_weighted,
    weighted.n_effective_weighted, weighted.obs_status_weighted,
    e.w::DOUBLE / 1e6 AS sum_w,
    e.t::DOUBLE / 1e6 / e.step AS sum_wy,
    CASE WHEN e.statistic = 'nps' THEN e.n_promoters END AS n_promoters,
    CASE WHEN e.statistic = 'nps' THEN e.n_answers - e.n_promoters - e.n_detractors END AS n_passives,
    CASE WHEN e.statistic = 'nps' THEN e.n_detractors END AS n_detractors,
    CASE WHEN e.statistic = 'nps' AND e.w > 0 THEN 100 * e.w_promoters / e.w::DOUBLE END AS promoter_share,
    CASE
        WHEN e.statistic = 'nps' AND e.w > 0 THEN 100 * (e.w::DOUBLE - e.w_promoters - e.w_detractors) / e.w::DOUBLE
    END AS passive_share,
    CASE WHEN e.statistic = 'nps' AND e.w > 0 THEN 100 * e.w_detractors / e.w::DOUBLE END AS detractor_share,
    e.sampling_unit, e.provenance
FROM chosen AS e
JOIN estimate.period_twin AS twin
    ON twin.monitor_code = e.monitor_code AND twin.audience_code = e.audience_code
        AND twin.same_as_code = e.period_code
JOIN core.dim_period AS period ON period.period_code = twin.period_code
JOIN core.dim_sector AS sector ON sector.sector_code = e.sector_code
LEFT JOIN estimate.asked_base AS asked
    ON asked.monitor_code = e.monitor_code AND asked.period_code = twin.period_code
        AND asked.audience_code = e.audience_code AND asked.measure_code = e.measure_code
LEFT JOIN estimate.weighted_domain AS weighted
    ON weighted.monitor_code = e.monitor_code AND weighted.period_code = twin.period_code
        AND weighted.audience_code = e.audience_code AND weighted.sector_code = e.sector_code
        AND weighted.channel_code = e.channel_code AND weighted.measure_code = e.measure_code
