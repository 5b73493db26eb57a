-- What share of respondents agrees with a statement, did something or complains of something; its base is
-- who answered, or who was asked where the contract says `base: asked`. Hours lost a year stand here too, as a mean.
--
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @columns estimate.domain except n_promoters, n_passives, n_detractors

SELECT * EXCLUDE (n_promoters, n_passives, n_detractors)
FROM estimate.domain
WHERE statistic = 'share' OR measure_code = 'hours_lost_per_year'
