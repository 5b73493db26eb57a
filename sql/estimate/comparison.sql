-- Every comparison of two estimates of one measure, A less B, with the error of the difference: a period with the one
-- before it, a sector with the rest and with the total that holds it, a channel with another.
--
-- With z_i(A) = (T_i - R W_i) / W, 0 where i is not in A, and d_i = z_i(A) - z_i(B):
-- V = sum_h (1 - f_h) m_h / (m_h - 1) sum_i (d_i - mean_h d)^2. Written out, sum d_i^2 is made of squares within A and
-- within B and of products of what the same organisation holds in both: sums of whole numbers, in any order the same.
-- Where respondents were sampled they are the i. Where they rated several organisations of a sample of organisations,
-- V is that of organisations, plus that of respondents, less that of respondents within organisations.
--
-- @working
-- @grain  comparison, monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, other_period, other_channel
-- @column comparison      VARCHAR | previous_wave, previous_month, previous_quarter, previous_year, year_earlier, channel, rest or total.
-- @column kind            VARCHAR | What A and B differ in: period, channel or sector.
-- @column monitor_code    VARCHAR | Monitor.
-- @column period_code     VARCHAR | Period of A.
-- @column audience_code   VARCHAR | Who answered.
-- @column sector_code     VARCHAR | Sector of A.
-- @column channel_code    VARCHAR | Channel of A.
-- @column measure_code    VARCHAR | Measure.
-- @column other_period    VARCHAR | Period of B.
-- @column other_channel   VARCHAR | Channel of B.
-- @column value           DOUBLE  | Estimate of A.
-- @column value_compared  DOUBLE  | Estimate of B.
-- @column se              DOUBLE  | Standard error of the difference. NULL where A or B has fewer than two sampled units, or no spread.
-- @column df              BIGINT  | Sampled units in A or B less their strata.
-- @column value_matched          DOUBLE | Estimate of A among organisations in both periods. NULL where there are none, or no periods are compared.
-- @column value_compared_matched DOUBLE | Estimate of B among them.
-- @column se_matched      DOUBLE  | Standard error of their difference, with organisations as clusters.
-- @column df_matched      BIGINT  | Organisations in both periods less their strata.
-- @column n_organisations_matched  BIGINT | Organisations in both periods. NULL where the sampling unit is the respondent.
-- @column n_answers       BIGINT  | Valid answers in A.
-- @column n_answers_compared       BIGINT | Valid answers in B.
-- @column n_organisations          BIGINT | Organisations in A. NULL where the sampling unit is the respondent.
-- @column n_organisations_compared BIGINT | Organisations in B. NULL where the sampling unit is the respondent.
-- @column is_unreliable   BOOLEAN | Whether A or B has fewer than ten effective organisations, or than thirty respondents.
-- @column is_unreliable_matched BOOLEAN | Whether those in both periods are fewer than ten effective organisations in one of them. NULL where there are none.
-- @check  finite: isfinite(value - value_compared) AND isfinite(coalesce(se, 0)) AND isfinite(coalesce(se_matched, 0)) | no difference is infinite or not a number

WITH pair AS MATERIALIZED (SELECT *, row_number() OVER () AS pair FROM estimate.comparison_pair),
-- Two numbers as one, domain and organisation in member, span and organisation in drawn: there is one order only in
-- which they can be joined, and it is the one that has few rows on the way.
organisation AS MATERIALIZED (
    SELECT coalesce(organisation_code, '') AS organisation_code, organisation
    FROM estimate.domain_organisation AS part
    SEMI JOIN estimate.domain_key AS key ON key.whole = part.domain
    GROUP BY ALL
),
member AS MATERIALIZED (
    SELECT
        d.domain, part.organisation, d.domain::BIGINT * 1000000 + part.organisation AS seat, part.n_answers,
        part.sum_w::HUGEINT AS w, part.sum_wy::HUGEINT AS t
    FROM estimate.domain_organisation AS part
    JOIN estimate.domain_key AS d ON d.same_as = part.domain
    WHERE d.domain IN (SELECT unnest([a, b]) FROM pair WHERE by_organisation)
),

-- the sample of organisations behind a pair: of one period or of two; an organisation is in its stratum of the later
span AS MATERIALIZED (
    SELECT row_number() OVER () AS span, *
    FROM (SELECT DISTINCT monitor_code, audience_code, period_code, other_period FROM pair WHERE by_organisation)
),
drawn AS MATERIALIZED (
    SELECT
        span, span * 1000000 + organisation AS seat, arg_max(sampled_share / n_stratum, is_later) AS share_each,
        arg_max(stratum_code, is_later) AS stratum_code
    FROM (
        SELECT span.span, d.organisation_code, d.stratum_code, d.n_stratum, d.sampled_share, true AS is_later
        FROM span
        JOIN estimate.design AS d USING (monitor_code, audience_code, period_code)
        UNION ALL
        SELECT span.span, d.organisation_code, d.stratum_code, d.n_stratum, d.sampled_share, false
        FROM span
        JOIN estimate.design AS d
            ON d.monitor_code = span.monitor_code AND d.audience_code = span.audience_code
                AND d.period_code = span.other_period
        WHERE span.period_code <> span.other_period
    ) AS d
    JOIN organisation ON organisation.organisation_code = coalesce(d.organisation_code, '')
    GROUP BY ALL
),
stratum AS (
    SELECT span, stratum_code, count(*) AS m, least(count(*) * max(share_each), 1) AS f FROM drawn GROUP BY ALL
),
sampled AS MATERIALIZED (
    SELECT pair.pair, pair.kind, pair.a, pair.b, pair.is_stratified, span.span
    FROM pair
    JOIN span USING (monitor_code, audience_code, period_code, other_period)
    WHERE pair.by_organisation
),

-- organisations: squares within A and within B, and products of the two
side AS (
    SELECT
        s.pair, s.span, 'all' AS stratum_code,
        a.n_organisations AS a_n, a.w::HUGEINT AS a_w, a.t::HUGEINT AS a_t, a.organisation_ww::HUGEINT AS a_ww,
        a.organisation_wt::HUGEINT AS a_wt, a.organisation_tt::HUGEINT AS a_tt,
        b.n_organisations AS b_n, b.w::HUGEINT AS b_w, b.t::HUGEINT AS b_t, b.organisation_ww::HUGEINT AS b_ww,
        b.organisation_wt::HUGEINT AS b_wt, b.organisation_tt::HUGEINT AS b_tt
    FROM sampled AS s
    JOIN estimate.domain_sum AS a ON a.domain = s.a
    JOIN estimate.domain_sum AS b ON b.domain = s.b
    WHERE NOT s.is_stratified
    UNION ALL
    SELECT
        s.pair, s.span, drawn.stratum_code,
        sum(in_a), sum(in_a * w), sum(in_a * t), sum(in_a * w * w), sum(in_a * w * t), sum(in_a * t * t),
        sum(1 - in_a), sum((1 - in_a) * w), sum((1 - in_a) * t), sum((1 - in_a) * w * w), sum((1 - in_a) * w * t),
        sum((1 - in_a) * t * t)
    FROM (
        SELECT pair, span, unnest([a, b]) AS domain, unnest([1, 0])::HUGEINT AS in_a FROM sampled WHERE is_stratified
    ) AS s
    JOIN member USING (domain)
    JOIN drawn ON drawn.seat = s.span * 1000000 + member.organisation
    GROUP BY ALL
),
both_sides AS MATERIALIZED (
    SELECT
        s.pair, s.span, s.kind, coalesce(drawn.stratum_code, 'all') AS stratum_code,
        count(*) AS n, count(*) FILTER (y.n_answers > x.n_answers) AS n_beyond,
        sum(x.w * y.w) AS ww, sum(x.w * y.t) AS wt, sum(x.t * y.w) AS tw, sum(x.t * y.t) AS tt
    FROM sampled AS s
    JOIN member AS x ON x.domain = s.a
    JOIN member AS y ON y.seat = s.b * 1000000 + x.organisation
    LEFT JOIN drawn ON drawn.seat = CASE WHEN s.is_stratified THEN s.span * 1000000 + x.organisation END
    GROUP BY ALL
),
-- of two periods, what those who are in both hold in each
matched AS (
    SELECT
        s.pair, s.span, coalesce(drawn.stratum_code, 'all') AS stratum_code,
        sum(x.w) AS a_w, sum(x.t) AS a_t, sum(x.w * x.w) AS a_ww, sum(x.w * x.t) AS a_wt, sum(x.t * x.t) AS a_tt,
        sum(y.w) AS b_w, sum(y.t) AS b_t, sum(y.w * y.w) AS b_ww, sum(y.w * y.t) AS b_wt, sum(y.t * y.t) AS b_tt
    FROM sampled AS s
    JOIN member AS x ON x.domain = s.a
    JOIN member AS y ON y.seat = s.b * 1000000 + x.organisation
    LEFT JOIN drawn ON drawn.seat = CASE WHEN s.is_stratified THEN s.span * 1000000 + x.organisation END
    WHERE s.kind = 'period'
    GROUP BY ALL
),

-- how many respondents answered the measure in the period or in both: the sample of respondents
whole AS (
    SELECT monitor_code, audience_code, measure_code, period_code, domain, n_respondents AS g, n_within AS g_within
    FROM estimate.domain_sum
    WHERE sector_code = 'all' AND channel_code = 'all'
),
people AS MATERIALIZED (
    -- pairs for which respondents are clusters: sampled, or in several organisations of a sample of those
    SELECT
        pair.pair, (pair.kind = 'sector')::INTEGER::HUGEINT AS is_part, met.* EXCLUDE (a, b),
        CASE WHEN pair.kind = 'period' THEN later.g + earlier.g - coalesce(again.n_both, 0) ELSE later.g END AS g,
        CASE
            WHEN pair.kind = 'period' THEN later.g_within + earlier.g_within - coalesce(again.n_both_within, 0)
            ELSE later.g_within
        END AS g_within,
        a.n_respondents AS a_n, a.w::HUGEINT AS a_w, a.t::HUGEINT AS a_t,
        a.person_ww::HUGEINT AS a_person_ww, a.person_wt::HUGEINT AS a_person_wt, a.person_tt::HUGEINT AS a_person_tt,
        a.within_ww::HUGEINT AS a_within_ww, a.within_wt::HUGEINT AS a_within_wt, a.within_tt::HUGEINT AS a_within_tt,
        b.n_respondents AS b_n, b.w::HUGEINT AS b_w, b.t::HUGEINT AS b_t,
        b.person_ww::HUGEINT AS b_person_ww, b.person_wt::HUGEINT AS b_person_wt, b.person_tt::HUGEINT AS b_person_tt,
        b.within_ww::HUGEINT AS b_within_ww, b.within_wt::HUGEINT AS b_within_wt, b.within_tt::HUGEINT AS b_within_tt
    FROM pair
    JOIN estimate.domain_sum AS a ON a.domain = pair.a
    JOIN estimate.domain_sum AS b ON b.domain = pair.b
    JOIN whole AS later
        ON later.monitor_code = pair.monitor_code AND later.audience_code = pair.audience_code
            AND later.measure_code = pair.measure_code AND later.period_code = pair.period_code
    JOIN whole AS earlier
        ON earlier.monitor_code = pair.monitor_code AND earlier.audience_code = pair.audience_code
            AND earlier.measure_code = pair.measure_code AND earlier.period_code = pair.other_period
    LEFT JOIN estimate.comparison_respondent AS met ON met.a = pair.a AND met.b = pair.b
    LEFT JOIN estimate.comparison_respondent AS again ON again.a = later.domain AND again.b = earlier.domain
    WHERE NOT pair.by_organisation OR met.is_across OR a.n_within > a.n_respondents OR b.n_within > b.n_respondents
),

-- one shape for all of them; of a sector and its total, the sector itself is in both
piece AS (
    SELECT
        side.pair, 'organisation' AS cluster, side.stratum_code, stratum.m, stratum.f,
        side.* EXCLUDE (pair, span, stratum_code),
        coalesce(c.n, 0) AS c_n, coalesce(c.n_beyond, 0) AS n_beyond,
        coalesce(c.ww, 0) AS c_ww, coalesce(c.wt, 0) AS c_wt, coalesce(c.tw, 0) AS c_tw, coalesce(c.tt, 0) AS c_tt
    FROM side
    JOIN stratum ON stratum.span = side.span AND stratum.stratum_code = side.stratum_code
    LEFT JOIN both_sides AS c ON c.pair = side.pair AND c.stratum_code = side.stratum_code
    UNION ALL
    SELECT
        pair, 'matched', stratum_code, stratum.m, stratum.f,
        n, a_w, a_t, a_ww, a_wt, a_tt, n, b_w, b_t, b_ww, b_wt, b_tt, n, 0, ww, wt, tw, tt
    FROM matched
    JOIN both_sides USING (pair, span, stratum_code)
    JOIN stratum USING (span, stratum_code)
    UNION ALL
    SELECT
        pair, 'person', NULL, g, 0,
        a_n, a_w, a_t, a_person_ww, a_person_wt, a_person_tt, b_n, b_w, b_t, b_person_ww, b_person_wt, b_person_tt,
        coalesce(n_both, 0), 0,
        coalesce(person_ww, 0) + is_part * a_person_ww, coalesce(person_wt, 0) + is_part * a_person_wt,
        coalesce(person_tw, 0) + is_part * a_person_wt, coalesce(person_tt, 0) + is_part * a_person_tt
    FROM people
    UNION ALL
    SELECT
        pair, 'within', NULL, g_within, 0,
        a_n, a_w, a_t, a_within_ww, a_within_wt, a_within_tt, b_n, b_w, b_t, b_within_ww, b_within_wt, b_within_tt,
        coalesce(n_both, 0), 0,
        coalesce(within_ww, 0) + is_part * a_within_ww, coalesce(within_wt, 0) + is_part * a_within_wt,
        coalesce(within_tw, 0) + is_part * a_within_wt, coalesce(within_tt, 0) + is_part * a_within_tt
    FROM people
),
-- a sector is compared twice: with the total as it is, and with what is left of it
versioned AS (
    SELECT
        piece.* EXCLUDE (n_beyond), pair.by_organisation, pair.kind,
        CASE WHEN pair.kind = 'sector' THEN 'total' ELSE pair.comparison END AS comparison,
        -- sampled units in either
        CASE WHEN pair.kind = 'sector' THEN b_n ELSE a_n + b_n - c_n END AS n_either
    FROM piece
    JOIN pair USING (pair)
    UNION ALL BY NAME
    SELECT
        pair, cluster, stratum_code, m, f, a_n, a_w, a_t, a_ww, a_wt, a_tt,
        CASE cluster WHEN 'organisation' THEN b_n - c_n + n_beyond ELSE b_n - a_n + c_n END AS b_n,
        b_w - a_w AS b_w, b_t - a_t AS b_t,
        b_ww - 2 * c_ww + a_ww AS b_ww, b_wt - c_wt - c_tw + a_wt AS b_wt, b_tt - 2 * c_tt + a_tt AS b_tt,
        c_n, c_ww - a_ww AS c_ww, c_wt - a_wt AS c_wt, c_tw - a_wt AS c_tw, c_tt - a_tt AS c_tt,
        by_organisation, pair.kind, 'rest' AS comparison, b_n AS n_either
    FROM piece
    JOIN pair USING (pair)
    WHERE pair.kind = 'sector'
),
-- R of A and of B, and what is summed over the units of a stratum: d and d^2
total AS (
    SELECT
        pair, comparison, cluster, sum(a_w)::DOUBLE AS w, sum(a_t)::DOUBLE / sum(a_w)::DOUBLE AS r,
        sum(b_w)::DOUBLE AS v, sum(b_t)::DOUBLE / sum(b_w)::DOUBLE AS q
    FROM versioned
    GROUP BY ALL
),
squared AS (
    SELECT
        versioned.*, w, r, v, q,
        (a_t::DOUBLE - r * a_w::DOUBLE) / w - (b_t::DOUBLE - q * b_w::DOUBLE) / v AS sum_d,
        (a_tt::DOUBLE - 2 * r * a_wt::DOUBLE + r * r * a_ww::DOUBLE) / w / w
        + (b_tt::DOUBLE - 2 * q * b_wt::DOUBLE + q * q * b_ww::DOUBLE) / v / v
        - 2 * (c_tt::DOUBLE - q * c_tw::DOUBLE - r * c_wt::DOUBLE + r * q * c_ww::DOUBLE) / w / v AS sum_dd,
        (a_tt::DOUBLE + r * r * a_ww::DOUBLE) / w / w + (b_tt::DOUBLE + q * q * b_ww::DOUBLE) / v / v AS size
    FROM versioned
    JOIN total USING (pair, comparison, cluster)
),
spread AS (
    SELECT
        pair, comparison, cluster, any_value(r) AS r, any_value(q) AS q, any_value(by_organisation) AS by_organisation,
        sum(a_n) AS a_n, sum(b_n) AS b_n, sum(n_either) AS n_either, count(*) FILTER (n_either > 0) AS n_strata,
        any_value(w) ** 2 / sum(a_ww)::DOUBLE AS a_effective, any_value(v) ** 2 / sum(b_ww)::DOUBLE AS b_effective,
        sum((1 - f) * CASE
            -- less than the arithmetic can tell from nothing
            WHEN sum_dd < 1e-13 * size THEN 0
            WHEN m > 1 THEN m / (m - 1.0) * greatest(sum_dd - sum_d * sum_d / m, 0)
            ELSE sum_dd
        END ORDER BY stratum_code) AS variance
    FROM squared
    GROUP BY pair, comparison, cluster
),
clustered AS (
    -- the clusters side by side
    SELECT
        main.*,
        CASE
            WHEN main.by_organisation AND main.variance + person.variance - within.variance > 0
            THEN main.variance + person.variance - within.variance
            ELSE main.variance
        END AS v,
        matched.r AS r_matched, matched.q AS q_matched, matched.variance AS v_matched, matched.a_n AS n_matched,
        matched.n_strata AS n_strata_matched, least(matched.a_effective, matched.b_effective) AS effective_matched
    FROM spread AS main
    LEFT JOIN spread AS person
        ON main.by_organisation AND person.cluster = 'person'
        AND person.pair = main.pair AND person.comparison = main.comparison
    LEFT JOIN spread AS within
        ON main.by_organisation AND within.cluster = 'within'
        AND within.pair = main.pair AND within.comparison = main.comparison
    LEFT JOIN spread AS matched
        ON matched.cluster = 'matched' AND matched.pair = main.pair AND matched.comparison = main.comparison
    WHERE main.cluster = CASE WHEN main.by_organisation THEN 'organisation' ELSE 'person' END
)
SELECT
    c.comparison, pair.kind, pair.monitor_code, pair.period_code, pair.audience_code, pair.sector_code,
    pair.channel_code, pair.measure_code, pair.other_period, pair.other_channel,
    c.r / unit.step AS value, c.q / unit.step AS value_compared,
    CASE WHEN least(c.a_n, c.b_n) > 1 AND c.n_either > c.n_strata AND c.v > 0 THEN sqrt(c.v) / unit.step END AS se,
    CASE WHEN least(c.a_n, c.b_n) > 1 AND c.n_either > c.n_strata AND c.v > 0 THEN c.n_either - c.n_strata END AS df,
    c.r_matched / unit.step AS value_matched, c.q_matched / unit.step AS value_compared_matched,
    CASE WHEN c.n_matched > c.n_strata_matched AND c.v_matched > 0 THEN sqrt(c.v_matched) / unit.step END AS se_matched,
    CASE
        WHEN c.n_matched > c.n_strata_matched AND c.v_matched > 0 THEN c.n_matched - c.n_strata_matched
    END AS df_matched,
    CASE
        WHEN pair.kind = 'period' AND pair.by_organisation THEN coalesce(c.n_matched, 0)
    END AS n_organisations_matched,
    a.n_answers, CASE c.comparison WHEN 'rest' THEN b.n_answers - a.n_answers ELSE b.n_answers END AS n_answers_compared,
    CASE WHEN pair.by_organisation THEN c.a_n END AS n_organisations,
    CASE WHEN pair.by_organisation THEN c.b_n END AS n_organisations_compared,
    CASE
        WHEN pair.by_organisation THEN least(c.a_effective, c.b_effective) < 10
        ELSE least(c.a_n, c.b_n) < 30
    END AS is_unreliable,
    c.effective_matched < 10 AS is_unreliable_matched
FROM clustered AS c
JOIN pair USING (pair)
JOIN estimate.domain_sum AS a ON a.domain = pair.a
JOIN estimate.domain_sum AS b ON b.domain = pair.b
JOIN (
    SELECT measure_code, CASE statistic WHEN 'mean' THEN pow(10, decimals) ELSE 1 END AS step FROM core.dim_measure
) AS unit ON unit.measure_code = pair.measure_code
