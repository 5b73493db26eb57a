-- What each organisation contributes to each domain: every period, every level of the sector tree, every
-- channel and all channels together.
--
-- @working
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, organisation_code
-- @column  period_code VARCHAR | Period.
-- @columns estimate.organisation_moment except wave_code, time_cell_code
-- @column  n_respondents BIGINT | Different respondents among the answers.
-- @column  n_elsewhere   BIGINT | Those of them who also rated an organisation that comes before it in the alphabet.
-- @column  sum_ww        DECIMAL(38,0) | Sum of W_k^2 over respondents, W_k being a respondent's sum of weights; in units of 10^-12.
-- @column  sum_wt        DECIMAL(38,0) | Sum of W_k T_k over respondents, T_k being a respondent's sum of weight times score.
-- @column  sum_tt        DECIMAL(38,0) | Sum of T_k^2 over respondents.
-- @column  cross_ww      DECIMAL(38,0) | Sum of W_k times what the respondent holds in other organisations.
-- @column  cross_wt      DECIMAL(38,0) | Sum of W_k times T of the respondent in other organisations.
-- @column  cross_tt      DECIMAL(38,0) | Sum of T_k times T of the respondent in other organisations.

-- summed in steps, each of few rows: over the time cells of a period, over channels, and up the sector tree
WITH in_period AS (
    SELECT
        place.period_code, monitor_code, audience_code, organisation_code, sector_code, channel_code, measure_code,
        sum(COLUMNS('^(n|sum)_'))
    FROM (SELECT * REPLACE (coalesce(wave_code, '') AS wave_code) FROM estimate.organisation_moment) AS moment
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, wave_code, time_cell_code)
    SEMI JOIN estimate.period_twin AS twin
        ON twin.monitor_code = moment.monitor_code AND twin.audience_code = moment.audience_code
        AND twin.same_as_code = place.period_code
    GROUP BY ALL
),
in_channel AS (
    SELECT
        period_code, monitor_code, audience_code, organisation_code, sector_code, channel_code, measure_code,
        sum(COLUMNS('^(n|sum)_'))
    FROM (SELECT * REPLACE (unnest([channel_code, 'all']) AS channel_code) FROM in_period)
    GROUP BY ALL
),
summed AS (
    SELECT
        period_code, monitor_code, audience_code, organisation_code, bridge.ancestor_code AS sector_code, channel_code,
        measure_code, sum(COLUMNS('^(n|sum)_'))
    FROM in_channel
    JOIN core.bridge_sector AS bridge USING (sector_code)
    GROUP BY ALL
)
SELECT
    summed.* EXCLUDE (period_code), twin.period_code,
    n_answers - coalesce(n_surplus, 0) AS n_respondents,
    coalesce(n_elsewhere, 0) AS n_elsewhere,
    1000 * sum_w2 + coalesce(own_ww, 0) AS sum_ww,
    1000 * sum_w2y + coalesce(own_wt, 0) AS sum_wt,
    1000 * sum_w2yy + coalesce(own_tt, 0) AS sum_tt,
    coalesce(cross_ww, 0) AS cross_ww, coalesce(cross_wt, 0) AS cross_wt, coalesce(cross_tt, 0) AS cross_tt
FROM summed
LEFT JOIN (
    SELECT * REPLACE (coalesce(organisation_code, '') AS organisation_code) FROM estimate.repeat_organisation
) AS again
    ON again.monitor_code = summed.monitor_code AND again.period_code = summed.period_code
    AND again.audience_code = summed.audience_code AND again.sector_code = summed.sector_code
    AND again.channel_code = summed.channel_code AND again.measure_code = summed.measure_code
    AND again.organisation_code = coalesce(summed.organisation_code, '')
JOIN estimate.period_twin AS twin
    ON twin.monitor_code = summed.monitor_code AND twin.audience_code = summed.audience_code
    AND twin.same_as_code = summed.period_code
