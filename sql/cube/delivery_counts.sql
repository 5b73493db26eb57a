-- The cube of one delivery: answers counted per score value.
--
-- @per delivery
-- @working
-- @grain  source_code, delivery_id, wave_code, time_cell_code, country_code, organisation_code, sector_code, segment_code, audience_code, channel_code, measure_code, question_version, value, missing_reason
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | Delivery.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month of the answer, or the wave where there is no month.
-- @column country_code      VARCHAR | Country of the survey.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column segment_code      VARCHAR | Declared segments of the response, such as age=young|region=north; NULL where there are none.
-- @column audience_code     VARCHAR | Who answered.
-- @column channel_code      VARCHAR | Channel rated, or not_applicable.
-- @column measure_code      VARCHAR | Measure.
-- @column question_version  INTEGER | Version of the question's wording and scale.
-- @column value             INTEGER | Answer as a whole number of the measure's smallest step; NULL if missing.
-- @column missing_reason    VARCHAR | Why there is no value; NULL where there is one.
-- @column n                 BIGINT  | Answers.
-- @column sum_w             BIGINT  | Sum of the weights, in millionths.
-- @column sum_w2            BIGINT  | Sum of the squared weights, in units of 10^-9, each rounded down.
-- @column sum_w2_rest       BIGINT  | What rounding down took off, in units of 10^-12: 1000 sum_w2 + sum_w2_rest is the exact sum.

-- months as dates, and weights told apart, until there are few rows
WITH counted AS (
    SELECT
        wave_code, date_trunc('month', answered_on) AS month, country_code, organisation_code, sector_code, segment_code,
        audience_code, channel_code, measure_code, question_version, value, missing_reason, weight, count(*) AS n
    FROM core.fct_answer
    GROUP BY ALL
),
delivery AS (
    SELECT source_code, delivery_id FROM core.fct_answer LIMIT 1
)
SELECT
    source_code, delivery_id, wave_code,
    coalesce(strftime(month, '%Y-%m'), wave_code) AS time_cell_code,
    country_code, organisation_code, sector_code, segment_code, audience_code, channel_code, measure_code,
    question_version, value, missing_reason,
    sum(n) AS n,
    sum(n * weight) AS sum_w,
    -- exact in two columns: one of 10^-12 would fit no BIGINT, and larger numbers are slow to read
    sum(n * (weight * weight // 1000)) AS sum_w2,
    sum(n * (weight * weight % 1000)) AS sum_w2_rest
FROM counted
CROSS JOIN delivery
GROUP BY ALL
