-- One row per figure that somebody published, as printed.
--
-- @grain  figure_id
-- @column figure_id        VARCHAR | Code of the figure.
-- @column monitor_code     VARCHAR | Monitor that published it.
-- @column period_code      VARCHAR | Period it is about.
-- @column audience_code    VARCHAR | Who answered.
-- @column sector_code      VARCHAR | Sector, or all.
-- @column channel_code     VARCHAR | Channel, or all.
-- @column measure_code     VARCHAR | Measure.
-- @column statistic        VARCHAR | mean, nps, share or count.
-- @column unit             VARCHAR | Unit of the value.
-- @column country_code     VARCHAR | Country, or global.
-- @column publisher        VARCHAR | Who published it.
-- @column source_published VARCHAR | When it was published (year, month or day).
-- @column published_value  DOUBLE  | The figure as printed.
-- @column decimals_printed INTEGER | Decimals it was printed with.
-- @column accept_from      DOUBLE  | Lowest value that would be printed so.
-- @column accept_below     DOUBLE  | Values from here on would be printed otherwise; NULL if there is no such bound.
-- @column base_n           BIGINT  | Base that was printed with it; NULL if none.
-- @column inferred         VARCHAR | What was not printed and had to be inferred.
-- @column note             VARCHAR | Remark.
-- @references monitor_code core.dim_monitor
-- @references audience_code core.dim_audience
-- @references sector_code core.dim_sector
-- @references channel_code core.dim_channel
-- @references measure_code core.dim_measure
-- @references period_code core.dim_period

SELECT
    figure_id, monitor AS monitor_code, period_code, audience AS audience_code, sector AS sector_code,
    channel AS channel_code, measure AS measure_code, statistic, unit, country AS country_code, publisher,
    source_published, published_value, decimals_printed, accept_from,
    nullif(accept_below, '') AS accept_below, nullif(base_n, '') AS base_n,
    nullif(inferred, '') AS inferred, nullif(note, '') AS note
FROM reference.published_figures
