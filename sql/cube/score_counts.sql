-- The cube: how many answers have each score value. Nearly everything published is computed from it.
--
-- @restricted
-- @grain   source_code, wave_code, time_cell_code, country_code, organisation_code, sector_code, segment_code, audience_code, channel_code, measure_code, question_version, value, missing_reason
-- @columns cube.delivery_counts except delivery_id
-- @references source_code core.dim_source
-- @references audience_code core.dim_audience
-- @references channel_code core.dim_channel
-- @references measure_code core.dim_measure
-- @references organisation_code core.dim_organisation
-- @references sector_code core.dim_sector

SELECT
    source_code, wave_code, time_cell_code, country_code, organisation_code, sector_code, segment_code, audience_code,
    channel_code, measure_code, question_version, value, missing_reason,
    sum(n) AS n, sum(sum_w) AS sum_w, sum(sum_w2) AS sum_w2, sum(sum_w2_rest) AS sum_w2_rest
FROM cube.delivery_counts
GROUP BY ALL
