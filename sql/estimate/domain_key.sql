-- Every domain with a number: period, sector at any level, channel or all channels, and measure; and what its answers
-- add up to, whatever organisations they are from. What holds the same answers is computed once, for the first of its
-- periods. Units as in estimate.organisation_moment.
--
-- @working
-- @grain  domain
-- @column domain        INTEGER | Number of the domain, in the order of what follows.
-- @column monitor_code  VARCHAR | Monitor.
-- @column period_code   VARCHAR | Period.
-- @column audience_code VARCHAR | Who answered.
-- @column sector_code   VARCHAR | Sector at any level.
-- @column channel_code  VARCHAR | Channel, or all.
-- @column measure_code  VARCHAR | Measure.
-- @column same_as       INTEGER | The domain that is computed for it: the same one in the first of the periods of estimate.period_twin.
-- @column whole         INTEGER | The domain of all sectors and channels around that one.
-- @column n_answers     BIGINT  | Valid answers; of a domain without any, all sums but those of n_dont_know and n_blank are 0.
-- @column n_dont_know   BIGINT  | Answers "don't know".
-- @column n_blank       BIGINT  | Cells left blank.
-- @column n_promoters   BIGINT  | Promoters; 0 for other measures than a net promoter score.
-- @column n_detractors  BIGINT  | Detractors.
-- @column w_promoters   DECIMAL(38,0) | Sum of the weights of the promoters.
-- @column w_detractors  DECIMAL(38,0) | Sum of the weights of the detractors.
-- @column w             DECIMAL(38,0) | W.
-- @column t             DECIMAL(38,0) | T.
-- @column wyy           DECIMAL(38,0) | Sum of weight times squared score.
-- @column w2            DECIMAL(38,0) | Sum of the squared weights, in units of 10^-12.

WITH cell AS (
    SELECT
        monitor_code, audience_code, coalesce(wave_code, '') AS wave_code, time_cell_code, sector_code, channel_code,
        measure_code, sum(n_answers) AS n_answers, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
        sum(n_promoters) AS n_promoters, sum(n_detractors) AS n_detractors,
        sum(sum_w_promoters) AS w_promoters, sum(sum_w_detractors) AS w_detractors,
        sum(sum_w) AS w, sum(sum_wy) AS t, sum(sum_wyy) AS wyy, sum(sum_w2) AS w2
    FROM estimate.organisation_moment
    GROUP BY ALL
),
key AS MATERIALIZED (
    SELECT
        monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
        row_number() OVER (
            ORDER BY monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
        ) AS domain,
        sum(n_answers) AS n_answers, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
        sum(n_promoters) AS n_promoters, sum(n_detractors) AS n_detractors,
        sum(w_promoters) AS w_promoters, sum(w_detractors) AS w_detractors,
        sum(w) AS w, sum(t) AS t, sum(wyy) AS wyy, sum(w2) AS w2
    FROM (
        SELECT
            cell.* REPLACE (bridge.ancestor_code AS sector_code, unnest([channel_code, 'all']) AS channel_code),
            place.period_code
        FROM cell
        JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, wave_code, time_cell_code)
        JOIN core.bridge_sector AS bridge USING (sector_code)
    )
    GROUP BY monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
)
SELECT key.*, same.domain AS same_as, whole.domain AS whole
FROM key
JOIN estimate.period_twin AS twin USING (monitor_code, audience_code, period_code)
JOIN key AS same
    ON same.monitor_code = key.monitor_code AND same.period_code = twin.same_as_code
    AND same.audience_code = key.audience_code AND same.sector_code = key.sector_code
    AND same.channel_code = key.channel_code AND same.measure_code = key.measure_code
JOIN key AS whole
    ON whole.monitor_code = key.monitor_code AND whole.period_code = twin.same_as_code
    AND whole.audience_code = key.audience_code AND whole.measure_code = key.measure_code
    AND whole.sector_code = 'all' AND whole.channel_code = 'all'
