-- How likely customers are to recommend: the net promoter score per sector and period, with its groups.
--
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @columns estimate.domain
-- @check   groups: n_promoters + n_passives + n_detractors = n_answers | promoters, passives and detractors are all the answers

SELECT * FROM estimate.domain WHERE statistic = 'nps'
