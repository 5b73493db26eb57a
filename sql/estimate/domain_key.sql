-- Every domain with a number: period, sector at any level, channel or all channels, and measure. What holds the same
-- answers is computed once, for the first of its periods.
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
-- @column same_as       INTEGER | The domain that is computed for it: the same one in the first of the periods that hold just its time cells.
-- @column whole         INTEGER | The domain of all sectors and channels around that one.

WITH kind AS (
    SELECT DISTINCT
        monitor_code, audience_code, coalesce(wave_code, '') AS wave_code, time_cell_code, sector_code, channel_code,
        measure_code
    FROM estimate.organisation_moment
),
key AS (
    SELECT
        *,
        row_number() OVER (
            ORDER BY monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
        ) AS domain
    FROM (
        SELECT DISTINCT
            monitor_code, place.period_code, audience_code, bridge.ancestor_code AS sector_code,
            unnest([channel_code, 'all']) AS channel_code, measure_code
        FROM kind
        JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, wave_code, time_cell_code)
        JOIN core.bridge_sector AS bridge USING (sector_code)
    )
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
