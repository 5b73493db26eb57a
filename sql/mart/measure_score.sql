-- Every estimate in one long table: all measures of all monitors at the headline grain.
--
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @columns estimate.domain

SELECT * FROM estimate.domain
