-- What each organisation contributes to each domain: every period, every level of the sector tree, every
-- channel and all channels together. A period holds the time cells that lie wholly inside it.
--
-- @working
-- @grain   monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, organisation_code
-- @column  period_code VARCHAR | Period.
-- @columns estimate.organisation_moment except wave_code, time_cell_code

WITH cell AS (SELECT DISTINCT time_cell_code, wave_code FROM estimate.organisation_moment),
-- which periods each of the few time cells lies in, before the many rows are joined
place AS (
    SELECT cell.time_cell_code, coalesce(cell.wave_code, '') AS wave_code, period.period_code
    FROM cell
    JOIN core.dim_period AS month ON month.period_code = cell.time_cell_code
    JOIN core.dim_period AS period
        ON CASE period.period_type
            WHEN 'wave' THEN period.period_code = cell.wave_code
            ELSE period.period_start <= month.period_start AND period.period_end >= month.period_end
        END
),
in_period AS (
    SELECT moment.* EXCLUDE (wave_code, time_cell_code), place.period_code
    FROM estimate.organisation_moment AS moment
    JOIN place ON place.time_cell_code = moment.time_cell_code AND place.wave_code = coalesce(moment.wave_code, '')
),
by_channel AS (
    SELECT * EXCLUDE (channel_code), unnest([channel_code, 'all']) AS channel_code FROM in_period
)
SELECT
    period_code, monitor_code, audience_code, organisation_code, bridge.ancestor_code AS sector_code,
    channel_code, measure_code,
    sum(n_answers) AS n_answers, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
    sum(n_promoters) AS n_promoters, sum(n_detractors) AS n_detractors,
    sum(sum_w) AS sum_w, sum(sum_wy) AS sum_wy, sum(sum_wyy) AS sum_wyy,
    sum(sum_w2) AS sum_w2, sum(sum_w2y) AS sum_w2y, sum(sum_w2yy) AS sum_w2yy
FROM by_channel
JOIN core.bridge_sector AS bridge USING (sector_code)
GROUP BY ALL
