-- Every published figure beside what the pipeline computes from respondent-level exports.
--
-- @grain  figure_id
-- @column figure_id       VARCHAR | Code of the figure.
-- @column monitor_code    VARCHAR | Monitor that published it.
-- @column period_code     VARCHAR | Period it is about.
-- @column audience_code   VARCHAR | Who answered.
-- @column sector_code     VARCHAR | Sector, or all.
-- @column channel_code    VARCHAR | Channel, or all.
-- @column measure_code    VARCHAR | Measure.
-- @column statistic       VARCHAR | mean, nps, share or count.
-- @column unit            VARCHAR | Unit of the values.
-- @column published_value DOUBLE  | The figure as printed.
-- @column value           DOUBLE  | What the pipeline computes. NULL where no export of the monitor was delivered.
-- @column accept_from     DOUBLE  | Lowest value that would be printed so.
-- @column accept_below    DOUBLE  | Values from here on would be printed otherwise; NULL if there is no such bound.
-- @column is_reproduced   BOOLEAN | Whether value lies from accept_from up to accept_below. NULL where there is no value.
-- @column se              DOUBLE  | Standard error of value; NULL for counts.
-- @column n_answers       BIGINT  | Valid answers behind value.
-- @column provenance      VARCHAR | survey, or synthetic: the exports were calibrated to the published figures.

WITH computed AS (
    SELECT
        figure.*,
        CASE figure.statistic WHEN 'count' THEN domain.n_answers ELSE domain.value END AS value,
        CASE WHEN figure.statistic <> 'count' THEN domain.se END AS se,
        domain.n_answers, domain.provenance
    FROM core.fct_published_figure AS figure
    JOIN core.dim_measure AS measure USING (measure_code)
    LEFT JOIN estimate.domain AS domain
        ON domain.monitor_code = figure.monitor_code AND domain.period_code = figure.period_code
        AND domain.audience_code = figure.audience_code AND domain.sector_code = figure.sector_code
        AND domain.channel_code = figure.channel_code
        AND domain.measure_code = coalesce(measure.counts, figure.measure_code)
)
SELECT
    figure_id, monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, statistic, unit,
    published_value, value, accept_from, accept_below,
    CASE
        WHEN value IS NOT NULL THEN value >= accept_from AND (accept_below IS NULL OR value < accept_below)
    END AS is_reproduced,
    se, n_answers, provenance
FROM computed
