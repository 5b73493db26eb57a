-- One row per answer: a question that a response was asked, with its value or the reason why there is none.
-- A response that a later delivery replaced is left out of the delivery that it replaced.
--
-- @per delivery
-- @in order
-- @taken from staged.answer unless staged.superseded
-- @restricted
-- @grain  source_code, delivery_id, row_number, question, measure_code
-- @column source_code       VARCHAR | Source of the delivery.
-- @column delivery_id       VARCHAR | First 16 digits of the SHA-256 of the delivery's bytes.
-- @column row_number        BIGINT  | Row of the delivery, counted without the heading.
-- @column response_id       VARCHAR | Pseudonym of the response.
-- @column respondent_id     VARCHAR | Pseudonym of the respondent; that of the response where none is known.
-- @column country_code      VARCHAR | Country of the survey.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column segment_code      VARCHAR | Declared segments of the response, such as age=young|region=north; NULL where there are none.
-- @column audience_code     VARCHAR | Who answered.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column answered_on       DATE    | Local day of the answer; NULL where only the wave is known.
-- @column mode_code         VARCHAR | Mode of interview.
-- @column channel_code      VARCHAR | Channel rated, or not_applicable.
-- @column measure_code      VARCHAR | Measure.
-- @column question          VARCHAR | Column of the export.
-- @column question_version  INTEGER | Version of the question's wording and scale.
-- @column value             INTEGER | Answer as a whole number of the measure's smallest step: 7.5 is 75 at one decimal. NULL if missing.
-- @column weight            BIGINT  | Weight of the response in millionths.
-- @column missing_reason    VARCHAR | blank, dont_know, refused or quarantined; NULL where there is a value.
-- @check  value_or_reason: (value IS NULL) <> (missing_reason IS NULL) | an answer has a value or a reason why not, never both or neither

SELECT
    a.source_code, a.delivery_id, a.row_number, a.response_id, a.respondent_id, a.country_code,
    a.organisation_code, a.sector_code, a.segment_code, a.audience_code, a.wave_code, a.answered_on, a.mode_code,
    a.channel_code, a.measure_code, a.question, a.question_version, a.value, a.weight, a.missing_reason
FROM staged.answer AS a
ANTI JOIN staged.superseded AS s USING (response_id)
