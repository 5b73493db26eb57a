-- The cross-products of one delivery: what a regression over several answers of one response needs of an
-- organisation. They add up like the cube.
--
-- @per delivery
-- @working
-- @grain  source_code, delivery_id, wave_code, time_cell_code, organisation_code, sector_code, audience_code, driver_set_code, variable_a, variable_b
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | Delivery.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month of the answer, or the wave where there is no month.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column audience_code     VARCHAR | Who answered.
-- @column driver_set_code   VARCHAR | Driver set, as in reference/drivers.csv.
-- @column variable_a        VARCHAR | Measure and channel, such as channel_rating/all; 1 for the constant 1.
-- @column variable_b        VARCHAR | Likewise; not before variable_a in the alphabet.
-- @column n_responses       BIGINT  | Responses that answered all variables of the set.
-- @column sum_wab           BIGINT  | Sum over them of weight times a times b: weights in millionths, answers as whole numbers of their measure's smallest step.

WITH variable AS (
    SELECT * EXCLUDE (respondent_id, is_of_respondents) FROM cube.complete_answer
    UNION ALL
    SELECT DISTINCT * EXCLUDE (respondent_id, is_of_respondents) REPLACE ('1' AS variable_code, 1 AS value) FROM cube.complete_answer
)
SELECT
    a.source_code, a.delivery_id, a.wave_code, a.time_cell_code, a.organisation_code, a.sector_code, a.audience_code,
    driver_set_code, a.variable_code AS variable_a, b.variable_code AS variable_b,
    count(*) AS n_responses,
    sum(a.weight * a.value * b.value) AS sum_wab
FROM variable AS a
JOIN variable AS b USING (driver_set_code, row_number)
WHERE a.variable_code <= b.variable_code
GROUP BY ALL
