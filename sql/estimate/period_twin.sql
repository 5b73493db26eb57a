-- Periods that hold the same time cells: a year and its rolling year in December, the first quarter and the year to
-- date at its end. Estimates are made for one of them and stand for all.
--
-- @working
-- @grain  monitor_code, audience_code, period_code
-- @column monitor_code  VARCHAR | Monitor.
-- @column audience_code VARCHAR | Who answered.
-- @column period_code   VARCHAR | Period.
-- @column same_as_code  VARCHAR | The first of the periods that hold just these time cells; often the period itself.

WITH held AS (
    SELECT
        monitor_code, audience_code, period_code,
        list(time_cell_code || ' ' || wave_code ORDER BY time_cell_code, wave_code) AS cells
    FROM estimate.time_cell_period
    GROUP BY ALL
)
SELECT
    monitor_code, audience_code, period_code,
    min(period_code) OVER (PARTITION BY monitor_code, audience_code, cells) AS same_as_code
FROM held
