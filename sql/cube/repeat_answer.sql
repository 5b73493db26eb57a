-- The valid answers of respondents who may have given a measure more than one. The cube counts answers;
-- with these rows beside it people can be counted too, however channels and months are added up.
--
-- @per delivery
-- @restricted
-- @grain  source_code, delivery_id, respondent_id, wave_code, time_cell_code, organisation_code, sector_code, segment_code, audience_code, channel_code, measure_code, value, weight
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | Delivery.
-- @column respondent_id     VARCHAR | Pseudonym of the respondent.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month of the answer, or the wave where there is no month.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column segment_code      VARCHAR | Declared segments of the response, such as age=young|region=north; NULL where there are none.
-- @column audience_code     VARCHAR | Who answered.
-- @column channel_code      VARCHAR | Channel rated, or not_applicable.
-- @column measure_code      VARCHAR | Measure.
-- @column value             INTEGER | Answer as a whole number of the measure's smallest step.
-- @column weight            BIGINT  | Weight of the response in millionths.
-- @column n                 BIGINT  | Answers that are alike in all of these.

WITH asked_twice AS (
    SELECT measure_code FROM core.fct_answer GROUP BY measure_code HAVING count(DISTINCT question) > 1
)
SELECT
    source_code, delivery_id, respondent_id, wave_code,
    coalesce(strftime(answered_on, '%Y-%m'), wave_code) AS time_cell_code,
    organisation_code, sector_code, segment_code, audience_code, channel_code, measure_code, value, weight,
    count(*) AS n
FROM core.fct_answer
WHERE value IS NOT NULL
  AND (
      measure_code IN (SELECT measure_code FROM asked_twice)
      OR respondent_id IN (SELECT respondent_id FROM staged.repeat_respondent)
  )
GROUP BY ALL
