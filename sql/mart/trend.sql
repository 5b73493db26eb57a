-- What changed since the period before: wave on wave, month on month, quarter on quarter, year on year; years to date
-- and rolling twelve months against the same a year earlier. All participants of both periods, and beside them the
-- organisations that are in both. A break in the series is marked and not tested.
--
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, compare_to_period_code
-- @column  compare_to_period_code VARCHAR | Period compared with.
-- @columns estimate.comparison_test except kind, other_period, other_channel, is_notable
-- @references sector_code core.dim_sector
-- @references channel_code core.dim_channel

SELECT * EXCLUDE (kind, other_period, other_channel, is_notable), other_period AS compare_to_period_code
FROM estimate.comparison_test
WHERE kind = 'period'
