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

WITH response AS (
    SELECT
        * EXCLUDE (answers, variables),
        list_prepend('1', string_split(variables, ',')) AS variables, list_prepend(1, string_split(answers, ',')::BIGINT[]) AS answers
    FROM cube.complete_answer
),
-- every two variables of a set, by their places
pair AS (
    SELECT driver_set_code, i, j, variables[i] AS variable_a, variables[j] AS variable_b
    FROM (
        SELECT DISTINCT driver_set_code, variables, unnest(range(1, len(variables) + 1)) AS i FROM response
    )
    CROSS JOIN unnest(range(1, len(variables) + 1)) AS other(j)
    WHERE variables[i] <= variables[j]
)
SELECT
    source_code, delivery_id, wave_code, time_cell_code, organisation_code, sector_code, audience_code,
    driver_set_code, variable_a, variable_b,
    sum(n) AS n_responses,
    sum(n * weight * answers[i] * answers[j]) AS sum_wab
FROM response
JOIN pair USING (driver_set_code)
GROUP BY ALL
