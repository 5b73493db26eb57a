-- Responses counted by their answers to all variables of a driver set, where the cross-products of organisations
-- do not tell the error: where respondents were sampled, and of respondents who may have responded more than once.
--
-- @per delivery
-- @restricted
-- @grain  source_code, delivery_id, wave_code, time_cell_code, organisation_code, sector_code, audience_code, driver_set_code, respondent_id, answers
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | Delivery.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month of the answer, or the wave where there is no month.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column audience_code     VARCHAR | Who answered.
-- @column driver_set_code   VARCHAR | Driver set, as in reference/drivers.csv.
-- @column respondent_id     VARCHAR | Pseudonym of a respondent who may have responded more than once; NULL for the others.
-- @column answers           VARCHAR | The answers in the alphabetical order of the variables, such as 75,8: whole numbers of the measures' smallest steps.
-- @column n_responses       BIGINT  | Responses that are alike in all of these.
-- @column sum_w             BIGINT  | Sum of their weights, in millionths.
-- @column sum_w2            BIGINT  | Sum of their squared weights, in units of 10^-9, each rounded down.
-- @column sum_w2_rest       BIGINT  | What rounding down took off, in units of 10^-12: 1000 sum_w2 + sum_w2_rest is the exact sum.

SELECT
    source_code, delivery_id, wave_code, time_cell_code, organisation_code, sector_code, audience_code,
    driver_set_code, respondent_id, answers,
    sum(n) AS n_responses, sum(n * weight) AS sum_w,
    sum(n * (weight * weight // 1000)) AS sum_w2, sum(n * (weight * weight % 1000)) AS sum_w2_rest
FROM cube.complete_answer
WHERE is_of_respondents OR respondent_id IS NOT NULL
GROUP BY ALL
