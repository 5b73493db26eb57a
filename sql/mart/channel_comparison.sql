-- Every channel against every other in the same sector and period, each two once: the difference with its error and
-- test. The same organisations, and sometimes the same respondents, grade both; the error takes that into account.
--
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, compare_to_channel_code
-- @column  compare_to_channel_code VARCHAR | Channel compared with; it comes after channel_code in the alphabet.
-- @columns estimate.comparison_test except kind, other_period, other_channel, changed, is_break, break_reason, value_matched, value_compared_matched, diff_matched, se_matched, df_matched, ci_low_matched, ci_high_matched, p_value_matched, q_value_matched, family_size_matched, changed_matched, n_organisations_matched, obs_status_matched
-- @references sector_code core.dim_sector
-- @references channel_code core.dim_channel

SELECT
    * EXCLUDE (
        kind, other_period, other_channel, changed, is_break, break_reason, value_matched, value_compared_matched,
        diff_matched, se_matched, df_matched, ci_low_matched, ci_high_matched, p_value_matched, q_value_matched,
        family_size_matched, changed_matched, n_organisations_matched, obs_status_matched
    ),
    other_channel AS compare_to_channel_code
FROM estimate.comparison_test
WHERE kind = 'channel'
