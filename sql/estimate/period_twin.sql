-- Periods that hold the same time cells: a year and its rolling year in December, the first quarter and the year to
-- date at its end. Estimates are made for one of them and stand for all. Where strata were sampled, such periods must
-- also end on one day, because organisations are in the strata of that day.
--
-- @working
-- @grain  monitor_code, audience_code, period_code
-- @column monitor_code  VARCHAR | Monitor.
-- @column audience_code VARCHAR | Who answered.
-- @column period_code   VARCHAR | Period.
-- @column same_as_code  VARCHAR | The first of the periods that hold just these time cells with the same strata; often the period itself.

WITH frame AS (
    SELECT monitor_code, audience_code, max(strata) IS NOT NULL AS is_stratified
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
held AS (
    SELECT
        place.monitor_code, place.audience_code, place.period_code,
        list(time_cell_code || ' ' || wave_code ORDER BY time_cell_code, wave_code) AS cells,
        any_value(CASE WHEN frame.is_stratified THEN period.period_end END) AS strata_on
    FROM estimate.time_cell_period AS place
    JOIN frame USING (monitor_code, audience_code)
    JOIN core.dim_period AS period USING (period_code)
    GROUP BY place.monitor_code, place.audience_code, place.period_code
)
SELECT
    monitor_code, audience_code, period_code,
    min(period_code) OVER (PARTITION BY monitor_code, audience_code, cells, strata_on) AS same_as_code
FROM held
