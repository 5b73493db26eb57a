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
-- @column sum_w2            DECIMAL(38,0) | Sum of the squared weights, in units of 10^-9.
-- @column sum_w2y           DECIMAL(38,0) | Sum of squared weight times score.
-- @column sum_w2yy          DECIMAL(38,0) | Sum of squared weight times squared score.
-- @check  has_sector: sector_code IS NOT NULL | every organisation has a sector at the time of its answers; see valid_from in reference/organisations.csv

WITH scored AS (
    SELECT
        source.monitor_code, cube.audience_code, cube.wave_code, cube.time_cell_code, cube.organisation_code,
        CASE
            WHEN cube.sector_code IS NOT NULL THEN cube.sector_code
            WHEN cube.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        cube.channel_code, cube.measure_code, cube.value, cube.missing_reason, cube.n,
        cube.sum_w::HUGEINT AS w, cube.sum_w2::HUGEINT AS w2,
        measure.statistic = 'nps' AS is_nps,
        CASE measure.statistic
            WHEN 'nps' THEN CASE WHEN cube.value >= 9 THEN 100 WHEN cube.value >= 7 THEN 0 ELSE -100 END
            WHEN 'share' THEN 100 * cube.value
            ELSE cube.value
        END::HUGEINT AS y
    FROM cube.score_counts AS cube
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    LEFT JOIN estimate.organisation_sector AS at_the_time USING (organisation_code, time_cell_code)
)
SELECT
    monitor_code, audience_code, wave_code, time_cell_code, organisation_code, sector_code, channel_code, measure_code,
    coalesce(sum(n) FILTER (value IS NOT NULL), 0) AS n_answers,
    coalesce(sum(n) FILTER (missing_reason = 'dont_know'), 0) AS n_dont_know,
    coalesce(sum(n) FILTER (missing_reason = 'blank'), 0) AS n_blank,
    coalesce(sum(n) FILTER (is_nps AND value >= 9), 0) AS n_promoters,
    coalesce(sum(n) FILTER (is_nps AND value <= 6), 0) AS n_detractors,
    coalesce(sum(w) FILTER (is_nps AND value >= 9), 0) AS sum_w_promoters,
    coalesce(sum(w) FILTER (is_nps AND value <= 6), 0) AS sum_w_detractors,
    coalesce(sum(w) FILTER (value IS NOT NULL), 0) AS sum_w,
    coalesce(sum(w * y) FILTER (value IS NOT NULL), 0) AS sum_wy,
    coalesce(sum(w * y * y) FILTER (value IS NOT NULL), 0) AS sum_wyy,
    coalesce(sum(w2) FILTER (value IS NOT NULL), 0) AS sum_w2,
    coalesce(sum(w2 * y) FILTER (value IS NOT NULL), 0) AS sum_w2y,
    coalesce(sum(w2 * y * y) FILTER (value IS NOT NULL), 0) AS sum_w2yy
FROM scored
GROUP BY ALL
