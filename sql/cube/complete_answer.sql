-- The answers of every response that answered all variables of a driver set, the outcome and the drivers, once.
-- A channel `all` stands for the channel rated, whichever it is. A response that lacks one of the answers, or has
-- two answers to one variable, is in no sum over the set (listwise deletion).
--
-- @per delivery
-- @working
-- @grain  source_code, delivery_id, driver_set_code, row_number, variable_code
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | Delivery.
-- @column driver_set_code   VARCHAR | Driver set, as in reference/drivers.csv.
-- @column row_number        BIGINT  | Row of the delivery.
-- @column variable_code     VARCHAR | Measure and channel, such as channel_rating/all.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month of the answer, or the wave where there is no month.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column audience_code     VARCHAR | Who answered.
-- @column respondent_id     VARCHAR | Pseudonym of the respondent.
-- @column is_of_respondents BOOLEAN | Whether the contract says that respondents were sampled, not organisations.
-- @column value             INTEGER | Answer as a whole number of the measure's smallest step.
-- @column weight            BIGINT  | Weight of the response in millionths.

WITH variable AS (
    SELECT
        driver_set_code, audience_code, sampling_unit = 'respondent' AS is_of_respondents, measure_code, channel_code,
        measure_code || '/' || channel_code AS variable_code,
        count(*) OVER (PARTITION BY driver_set_code) AS n_variables
    FROM (
        SELECT driver_set_code, monitor_code, audience_code, outcome_measure AS measure_code, outcome_channel AS channel_code
        FROM reference.drivers
        UNION
        SELECT driver_set_code, monitor_code, audience_code, driver_measure, driver_channel FROM reference.drivers
    )
    JOIN reference.sources USING (monitor_code, audience_code)
),
answer AS (
    SELECT answer.*, variable.driver_set_code, variable.variable_code, variable.is_of_respondents, variable.n_variables
    FROM core.fct_answer AS answer
    JOIN variable
        ON variable.audience_code = answer.audience_code AND variable.measure_code = answer.measure_code
        AND variable.channel_code IN (answer.channel_code, 'all')
    WHERE answer.value IS NOT NULL
),
complete AS (
    SELECT driver_set_code, row_number
    FROM answer
    GROUP BY driver_set_code, row_number
    HAVING count(*) = any_value(n_variables) AND count(DISTINCT variable_code) = any_value(n_variables)
)
SELECT
    source_code, delivery_id, driver_set_code, row_number, variable_code, wave_code,
    coalesce(strftime(answered_on, '%Y-%m'), wave_code) AS time_cell_code,
    organisation_code, sector_code, audience_code, respondent_id, is_of_respondents, value, weight
FROM answer SEMI JOIN complete USING (driver_set_code, row_number)
