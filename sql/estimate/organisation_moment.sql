-- The cube with its score values collapsed: what an estimate needs of one organisation in one time cell.
-- The score y is the value itself for a mean; 100, 0 or -100 for a net promoter score (9-10, 7-8, 0-6);
-- 100 or 0 for a share. It stays a whole number of the measure's smallest step.
--
-- @working
-- @grain  monitor_code, audience_code, wave_code, time_cell_code, organisation_code, sector_code, channel_code, measure_code
-- @column monitor_code      VARCHAR | Monitor.
-- @column audience_code     VARCHAR | Who answered.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month, or wave.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector: as stated by the response, else that of the organisation at the time.
-- @column channel_code      VARCHAR | Channel rated.
-- @column measure_code      VARCHAR | Measure.
-- @column n_answers         BIGINT  | Answers with a value.
-- @column n_dont_know       BIGINT  | Answers "don't know".
-- @column n_blank           BIGINT  | Cells left blank.
-- @column n_promoters       BIGINT  | Answers 9 or 10 to a 0-10 question; 0 for other measures.
-- @column n_detractors      BIGINT  | Answers 0 to 6 to a 0-10 question; 0 for other measures.
-- @column sum_w_promoters   DECIMAL(38,0) | Sum of the weights of the promoters, in millionths.
-- @column sum_w_detractors  DECIMAL(38,0) | Sum of the weights of the detractors, in millionths.
-- @column sum_w             DECIMAL(38,0) | W: sum of the weights, in millionths.
-- @column sum_wy            DECIMAL(38,0) | T: sum of weight times score.
-- @column sum_wyy           DECIMAL(38,0) | Sum of weight times squared score.
-- @column sum_w2            DECIMAL(38,0) | Sum of the squared weights, in units of 10^-12.
-- @column sum_w2y           DECIMAL(38,0) | Sum of squared weight times score.
-- @column sum_w2yy          DECIMAL(38,0) | Sum of squared weight times squared score.
-- @check  has_sector: sector_code IS NOT NULL | every organisation has a sector at the time of its answers; see valid_from in reference/organisations.csv

WITH scored AS NOT MATERIALIZED (
    SELECT
        source.monitor_code, cube.audience_code, cube.wave_code, cube.time_cell_code, cube.organisation_code,
        CASE
            WHEN cube.sector_code IS NOT NULL THEN cube.sector_code
            WHEN cube.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        cube.channel_code, cube.measure_code, cube.missing_reason, cube.n, cube.sum_w AS w,
        1000 * cube.sum_w2::HUGEINT + cube.sum_w2_rest AS w2,
        CASE measure.statistic
            WHEN 'nps' THEN CASE WHEN cube.value >= 9 THEN 100 WHEN cube.value >= 7 THEN 0 ELSE -100 END
            WHEN 'share' THEN 100 * cube.value
            ELSE cube.value
        END::BIGINT AS y,
        -- of a net promoter score
        CASE WHEN measure.statistic = 'nps' AND cube.value >= 9 THEN cube.n ELSE 0 END AS promoters,
        CASE WHEN measure.statistic = 'nps' AND cube.value <= 6 THEN cube.n ELSE 0 END AS detractors,
        measure.statistic = 'nps' AS is_nps, cube.value IS NOT NULL AS is_valid
    FROM cube.score_counts AS cube
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    LEFT JOIN estimate.organisation_sector AS at_the_time USING (organisation_code, time_cell_code)
),
valid AS (
    SELECT
        monitor_code, audience_code, wave_code, time_cell_code, organisation_code, sector_code, channel_code, measure_code,
        sum(n) AS n, sum(promoters) AS promoters, sum(detractors) AS detractors,
        sum(w) AS w, sum(w * y) AS t, sum(w * y * y::HUGEINT) AS wyy,
        sum(w2) AS w2, sum(w2 * y) AS w2y, sum(w2 * (y * y)) AS w2yy, any_value(is_nps) AS is_nps
    FROM scored
    WHERE is_valid
    GROUP BY ALL
),
missing AS (
    SELECT
        monitor_code, audience_code, wave_code, time_cell_code, organisation_code, sector_code, channel_code, measure_code,
        sum(n) FILTER (missing_reason = 'dont_know') AS n_dont_know, sum(n) FILTER (missing_reason = 'blank') AS n_blank
    FROM scored
    WHERE NOT is_valid
    GROUP BY ALL
)
SELECT
    monitor_code, audience_code, wave_code, time_cell_code, organisation_code, sector_code, channel_code, measure_code,
    coalesce(sum(n), 0) AS n_answers, coalesce(sum(n_dont_know), 0) AS n_dont_know, coalesce(sum(n_blank), 0) AS n_blank,
    coalesce(sum(promoters), 0) AS n_promoters, coalesce(sum(detractors), 0) AS n_detractors,
    -- of scores that are 100, 0 and -100: t = 100 (promoters - detractors) and wyy = 10000 (promoters + detractors)
    coalesce(sum(wyy + 100 * t) FILTER (is_nps), 0) // 20000 AS sum_w_promoters,
    coalesce(sum(wyy - 100 * t) FILTER (is_nps), 0) // 20000 AS sum_w_detractors,
    coalesce(sum(w), 0) AS sum_w, coalesce(sum(t), 0) AS sum_wy, coalesce(sum(wyy), 0) AS sum_wyy,
    coalesce(sum(w2), 0) AS sum_w2, coalesce(sum(w2y), 0) AS sum_w2y, coalesce(sum(w2yy), 0) AS sum_w2yy
FROM (FROM valid UNION ALL BY NAME FROM missing)
GROUP BY ALL
