-- The sources: one export layout of one monitor each, with what its contract declares.
--
-- @grain  source_code
-- @column source_code   VARCHAR | Code of the source: the name of its folder under raw/.
-- @column title         VARCHAR | Title in the contract.
-- @column monitor_code  VARCHAR | Monitor that the source belongs to.
-- @column audience_code VARCHAR | Who answered.
-- @column country_code  VARCHAR | Country of the survey (ISO 3166-1), or global.
-- @column sampling_unit VARCHAR | What was sampled: organisation or respondent. Decides how errors are computed.
-- @column strata        VARCHAR | What organisations were drawn by: sector or size_class; NULL where the sample had no strata.
-- @column provenance    VARCHAR | survey, or synthetic: written by the sample generator, describes nobody.
-- @column controller    VARCHAR | Who answers for the personal data in the exports.
-- @column purpose       VARCHAR | What the data are used for.
-- @column licence       VARCHAR | Licence of the exports.
-- @references monitor_code core.dim_monitor
-- @references audience_code core.dim_audience

SELECT
    source_code, title, monitor_code, audience_code, country_code, sampling_unit, nullif(strata, '') AS strata,
    provenance, controller, purpose, licence
FROM reference.sources
