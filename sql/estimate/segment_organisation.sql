-- What each organisation contributes to each domain and group of a declared segment, such as an age class: every
-- period, every level of the sector tree, every channel and all channels together. Empty where no contract declares
-- a segment. Scores and units as in estimate.organisation_moment; products of two weights in units of 10^-12.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, segment_type, segment_code, organisation_code
-- @column monitor_code      VARCHAR | Monitor.
-- @column period_code       VARCHAR | Period.
-- @column audience_code     VARCHAR | Who answered.
-- @column sector_code       VARCHAR | Sector at any level.
-- @column channel_code      VARCHAR | Channel, or all.
-- @column measure_code      VARCHAR | Measure.
-- @column segment_type      VARCHAR | Segment, such as age.
-- @column segment_code      VARCHAR | Group of the segment, such as young.
-- @column organisation_code VARCHAR | Organisation; NULL where the survey has none.
-- @column n_answers         BIGINT  | Answers with a value.
-- @column n_dont_know       BIGINT  | Answers "don't know".
-- @column n_blank           BIGINT  | Cells left blank.
-- @column n_respondents     BIGINT  | Different respondents among the answers.
-- @column n_elsewhere       BIGINT  | Those of them who also rated, in the same domain and group, an organisation that comes before it in the alphabet.
-- @column sum_w             DECIMAL(38,0) | W: sum of the weights, in millionths.
-- @column sum_wy            DECIMAL(38,0) | T: sum of weight times score.
-- @column sum_w_promoters   DECIMAL(38,0) | Sum of the weights of promoters; 0 for other measures.
-- @column sum_w_detractors  DECIMAL(38,0) | Sum of the weights of detractors; 0 for other measures.
-- @column sum_w2            DECIMAL(38,0) | Sum of the squared weights of the answers.
-- @column sum_ww            DECIMAL(38,0) | Sum of W_k^2 over respondents, W_k being a respondent's sum of weights.
-- @column sum_wt            DECIMAL(38,0) | Sum of W_k T_k over respondents.
-- @column sum_tt            DECIMAL(38,0) | Sum of T_k^2 over respondents.
-- @column cross_ww          DECIMAL(38,0) | Sum of W_k times what the respondent holds in other organisations.
-- @column cross_wt          DECIMAL(38,0) | Sum of W_k times T of the respondent in other organisations.
-- @column cross_tt          DECIMAL(38,0) | Sum of T_k times T of the respondent in other organisations.

WITH moment AS (
    SELECT
        source.monitor_code, cube.audience_code, coalesce(cube.wave_code, '') AS wave_code, cube.time_cell_code,
        cube.segment_code AS segments, cube.channel_code, cube.measure_code,
        coalesce(cube.organisation_code, '') AS organisation_code,
        CASE
            WHEN cube.sector_code IS NOT NULL THEN cube.sector_code
            WHEN cube.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        cube.missing_reason, measure.statistic = 'nps' AS is_nps,
        CASE
            WHEN measure.statistic = 'nps' AND cube.value >= 9 THEN 100
            WHEN measure.statistic = 'nps' AND cube.value >= 7 THEN 0
            WHEN measure.statistic = 'nps' AND cube.value >= 0 THEN -100
            WHEN measure.statistic = 'share' THEN 100 * cube.value
            ELSE cube.value
        END::HUGEINT AS y,
        sum(cube.n) AS n, sum(cube.sum_w)::HUGEINT AS w,
        1000 * sum(cube.sum_w2)::HUGEINT + sum(cube.sum_w2_rest)::HUGEINT AS w2
    FROM cube.score_counts AS cube
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    LEFT JOIN estimate.organisation_sector AS at_the_time
        ON at_the_time.organisation_code = cube.organisation_code AND at_the_time.time_cell_code = cube.time_cell_code
    WHERE cube.segment_code IS NOT NULL
    GROUP BY ALL
),
answer AS (
    -- of those who may have given several; one row an answer or several alike
    SELECT
        source.monitor_code, a.audience_code, coalesce(a.wave_code, '') AS wave_code, a.time_cell_code,
        a.segment_code AS segments, a.channel_code, a.measure_code, coalesce(a.organisation_code, '') AS organisation_code,
        CASE
            WHEN a.sector_code IS NOT NULL THEN a.sector_code
            WHEN a.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        a.source_code || ' ' || a.respondent_id AS respondent,
        CASE measure.statistic
            WHEN 'nps' THEN CASE WHEN a.value >= 9 THEN 100 WHEN a.value >= 7 THEN 0 ELSE -100 END
            WHEN 'share' THEN 100 * a.value
            ELSE a.value
        END::HUGEINT AS y,
        a.n, a.weight::HUGEINT AS w
    FROM cube.repeat_answer AS a
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    LEFT JOIN estimate.organisation_sector AS at_the_time
        ON at_the_time.organisation_code = a.organisation_code AND at_the_time.time_cell_code = a.time_cell_code
    WHERE a.segment_code IS NOT NULL
),
-- every kind of answer with the domains and groups that it counts in, as numbers
kind AS (
    SELECT *, row_number() OVER () AS kind
    FROM (
        SELECT DISTINCT monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code, segments
        FROM moment
    )
),
placed AS (
    SELECT
        kind.kind, kind.monitor_code, kind.audience_code, kind.measure_code, place.period_code,
        bridge.ancestor_code AS sector_code, kind.channel_code, unnest(string_split(kind.segments, '|')) AS segment
    FROM kind
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, time_cell_code, wave_code)
    JOIN core.bridge_sector AS bridge USING (sector_code)
),
in_channel AS (SELECT * REPLACE (unnest([channel_code, 'all']) AS channel_code) FROM placed),
domain AS (
    SELECT *, row_number() OVER () AS domain
    FROM (
        SELECT DISTINCT monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, segment
        FROM in_channel
    )
),
member AS (
    SELECT kind, domain
    FROM in_channel
    JOIN domain USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, segment)
),
summed AS (
    SELECT
        member.domain, of_kind.organisation_code, sum(n_answers) AS n_answers, sum(n_dont_know) AS n_dont_know,
        sum(n_blank) AS n_blank, sum(sum_w) AS sum_w, sum(sum_wy) AS sum_wy,
        sum(sum_w_promoters) AS sum_w_promoters, sum(sum_w_detractors) AS sum_w_detractors,
        sum(sum_w2) AS sum_w2, sum(sum_w2y) AS sum_w2y, sum(sum_w2yy) AS sum_w2yy
    FROM (
        SELECT
            kind.kind, moment.organisation_code,
            coalesce(sum(n) FILTER (y IS NOT NULL), 0) AS n_answers,
            coalesce(sum(n) FILTER (missing_reason = 'dont_know'), 0) AS n_dont_know,
            coalesce(sum(n) FILTER (missing_reason = 'blank'), 0) AS n_blank,
            coalesce(sum(w) FILTER (y IS NOT NULL), 0) AS sum_w, coalesce(sum(w * y), 0) AS sum_wy,
            coalesce(sum(w) FILTER (is_nps AND y = 100), 0) AS sum_w_promoters,
            coalesce(sum(w) FILTER (is_nps AND y = -100), 0) AS sum_w_detractors,
            coalesce(sum(w2) FILTER (y IS NOT NULL), 0) AS sum_w2,
            coalesce(sum(w2 * y), 0) AS sum_w2y, coalesce(sum(w2 * y * y), 0) AS sum_w2yy
        FROM moment
        JOIN kind USING (monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code, segments)
        GROUP BY kind.kind, moment.organisation_code
    ) AS of_kind
    JOIN member USING (kind)
    GROUP BY member.domain, of_kind.organisation_code
),
held AS (
    -- what a respondent holds in one organisation
    SELECT
        member.domain, answer.respondent, answer.organisation_code, sum(n) AS n, sum(n * w)::HUGEINT AS w,
        sum(n * w * y)::HUGEINT AS t, sum(n * w * w) AS ww, sum(n * w * w * y) AS wt, sum(n * w * w * y * y) AS tt
    FROM answer
    JOIN kind USING (monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code, segments)
    JOIN member USING (kind)
    GROUP BY member.domain, answer.respondent, answer.organisation_code
),
beside AS (
    SELECT
        *, sum(w) OVER everywhere - w AS w_beside, sum(t) OVER everywhere - t AS t_beside,
        min(organisation_code) OVER everywhere AS first
    FROM held
    WINDOW everywhere AS (PARTITION BY domain, respondent)
),
again AS (
    SELECT
        domain, organisation_code, sum(n) - count(*) AS n_surplus, count(*) FILTER (organisation_code > first) AS n_elsewhere,
        sum(w * w - ww) AS own_ww, sum(w * t - wt) AS own_wt, sum(t * t - tt) AS own_tt,
        sum(w * w_beside) AS cross_ww, sum(w * t_beside) AS cross_wt, sum(t * t_beside) AS cross_tt
    FROM beside
    GROUP BY domain, organisation_code
)
SELECT
    monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
    split_part(segment, '=', 1) AS segment_type, split_part(segment, '=', 2) AS segment_code,
    nullif(organisation_code, '') AS organisation_code,
    n_answers, n_dont_know, n_blank,
    n_answers - coalesce(n_surplus, 0) AS n_respondents, coalesce(n_elsewhere, 0) AS n_elsewhere,
    sum_w, sum_wy, sum_w_promoters, sum_w_detractors, sum_w2,
    sum_w2 + coalesce(own_ww, 0) AS sum_ww, sum_w2y + coalesce(own_wt, 0) AS sum_wt, sum_w2yy + coalesce(own_tt, 0) AS sum_tt,
    coalesce(cross_ww, 0) AS cross_ww, coalesce(cross_wt, 0) AS cross_wt, coalesce(cross_tt, 0) AS cross_tt
FROM summed
LEFT JOIN again USING (domain, organisation_code)
JOIN domain USING (domain)
