-- How many valid answers came by each mode of interview: a question asked otherwise breaks a series.
--
-- @per delivery
-- @working
-- @grain  source_code, delivery_id, wave_code, time_cell_code, audience_code, measure_code, mode_code
-- @column source_code    VARCHAR | Source.
-- @column delivery_id    VARCHAR | Delivery.
-- @column wave_code      VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code VARCHAR | Month of the answer, or the wave where there is no month.
-- @column audience_code  VARCHAR | Who answered.
-- @column measure_code   VARCHAR | Measure.
-- @column mode_code      VARCHAR | Mode of interview.
-- @column n              BIGINT  | Answers.

SELECT
    source_code, delivery_id, wave_code,
    coalesce(strftime(answered_on, '%Y-%m'), wave_code) AS time_cell_code,
    audience_code, measure_code, mode_code,
    count(*) AS n
FROM core.fct_answer
WHERE value IS NOT NULL AND mode_code IS NOT NULL
GROUP BY ALL
