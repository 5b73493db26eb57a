-- How customers grade their supplier in general, per sector and period.
--
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @columns estimate.domain except n_promoters, n_passives, n_detractors

SELECT * EXCLUDE (n_promoters, n_passives, n_detractors) FROM estimate.domain WHERE measure_code = 'satisfaction'
