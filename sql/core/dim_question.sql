-- How each source asks for a measure, as its contract says.
--
-- @grain  source_code, measure_code, question_version
-- @column source_code      VARCHAR | Source.
-- @column measure_code     VARCHAR | Measure that the answers are given to.
-- @column question_version INTEGER | Version of the question; it rises when wording, scale or base change.
-- @column base             VARCHAR | Who is counted where several answers are possible: answered (who chose at least one), asked (everybody), or mixed (of some questions the one, of others the other). Of all other questions: answered.
-- @references source_code core.dim_source
-- @references measure_code core.dim_measure

SELECT source_code, measure_code, question_version, base FROM reference.questions
