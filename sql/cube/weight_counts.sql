-- How many valid answers have each weight, of the answers that do not weigh 1. The cube keeps sums of weights only;
-- with these rows beside it the smallest, the largest and the median weight can be told.
--
-- @per delivery
-- @working
-- @grain  source_code, delivery_id, wave_code, time_cell_code, organisation_code, sector_code, segment_code, audience_code, channel_code, measure_code, weight
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | Delivery.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month of the answer, or the wave where there is no month.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column segment_code      VARCHAR | Declared segments of the response; NULL where there are none.
-- @column audience_code     VARCHAR | Who answered.
-- @column channel_code      VARCHAR | Channel rated, or not_applicable.
-- @column measure_code      VARCHAR | Measure.
-- @column weight            BIGINT  | Weight of the response in millionths, never 1,000,000.
-- @column n                 BIGINT  | Answers with this weight.

SELECT
    source_code, delivery_id, wave_code,
    coalesce(strftime(answered_on, '%Y-%m'), wave_code) AS time_cell_code,
    organisation_code, sector_code, segment_code, audience_code, channel_code, measure_code, weight,
    count(*) AS n
FROM core.fct_answer
WHERE value IS NOT NULL AND weight <> 1000000
GROUP BY ALL
