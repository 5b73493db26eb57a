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

WITH in_period AS (
    SELECT moment.* EXCLUDE (wave_code, time_cell_code), place.period_code
    FROM estimate.organisation_moment AS moment
    JOIN estimate.time_cell_period AS place
        ON (place.monitor_code, place.audience_code, place.time_cell_code)
            = (moment.monitor_code, moment.audience_code, moment.time_cell_code)
        AND place.wave_code = coalesce(moment.wave_code, '')
    SEMI JOIN estimate.period_twin AS twin
        ON (twin.monitor_code, twin.audience_code, twin.same_as_code)
            = (moment.monitor_code, moment.audience_code, place.period_code)
),
by_channel AS (
    SELECT * EXCLUDE (channel_code), unnest([channel_code, 'all']) AS channel_code FROM in_period
),
summed AS (
    SELECT
        period_code, monitor_code, audience_code, organisation_code, bridge.ancestor_code AS sector_code,
        channel_code, measure_code,
        sum(n_answers) AS n_answers, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
        sum(n_promoters) AS n_promoters, sum(n_detractors) AS n_detractors,
        sum(sum_w_promoters) AS sum_w_promoters, sum(sum_w_detractors) AS sum_w_detractors,
        sum(sum_w) AS sum_w, sum(sum_wy) AS sum_wy, sum(sum_wyy) AS sum_wyy,
        sum(sum_w2) AS sum_w2, sum(sum_w2y) AS sum_w2y, sum(sum_w2yy) AS sum_w2yy
    FROM by_channel
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
JOIN estimate.period_twin AS twin
    ON (twin.monitor_code, twin.audience_code, twin.same_as_code)
        = (summed.monitor_code, summed.audience_code, summed.period_code)
LEFT JOIN estimate.repeat_organisation AS again
    ON (again.monitor_code, again.period_code, again.audience_code, again.sector_code, again.channel_code, again.measure_code)
        = (summed.monitor_code, summed.period_code, summed.audience_code, summed.sector_code, summed.channel_code, summed.measure_code)
    AND coalesce(again.organisation_code, '') = coalesce(summed.organisation_code, '')
