-- Every sector, at each level of the tree, against the rest of the participants and against the total that holds it:
-- the difference with its error and test, organisations on both sides being counted once.
--
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, compare_to_sector_code
-- @column  compare_to_sector_code VARCHAR | rest: all other participants; all: every participant, the sector included.
-- @columns estimate.comparison_test except kind, other_period, other_channel, changed, is_break, break_reason, value_matched, value_compared_matched, diff_matched, se_matched, df_matched, ci_low_matched, ci_high_matched, p_value_matched, q_value_matched, family_size_matched, changed_matched, n_organisations_matched, obs_status_matched
-- @references sector_code core.dim_sector
-- @references channel_code core.dim_channel

SELECT
    * EXCLUDE (
        kind, other_period, other_channel, changed, is_break, break_reason, value_matched, value_compared_matched,
        diff_matched, se_matched, df_matched, ci_low_matched, ci_high_matched, p_value_matched, q_value_matched,
        family_size_matched, changed_matched, n_organisations_matched, obs_status_matched
    ),
    CASE comparison WHEN 'rest' THEN 'rest' ELSE 'all' END AS compare_to_sector_code
FROM estimate.comparison_test
WHERE kind = 'sector'
