-- The factor of every cell of a weighted sample: raking to the margins of reference/population.csv, or with a single
-- margin post-stratification. Stops the refresh where the sample cannot meet them.
--
-- @working
-- @grain  weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code
-- @column weighting_code VARCHAR | Weighting in reference/population.csv.
-- @column monitor_code   VARCHAR | Monitor.
-- @column audience_code  VARCHAR | Who answered.
-- @column period_code    VARCHAR | Period that is weighted.
-- @column measure_code   VARCHAR | Measure.
-- @column cell_code      VARCHAR | Cell of the margins, as in estimate.weighting_sample.
-- @column n_answers      BIGINT  | Valid answers in the cell.
-- @column base_weight    DOUBLE  | Sum of their base weights.
-- @column factor         DOUBLE  | What every base weight of the cell is multiplied by.
-- @column sweeps         INTEGER | Sweeps over the margins that the raking took.
-- @column error_before   DOUBLE  | Largest relative error of a margin with base weights, brought to the size of the population.
-- @column error_after    DOUBLE  | The same after raking, below 10^-12.
-- @check  positive: base_weight > 0 AND factor > 0 | every weight lies above 0

WITH margin AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, margin,
        row_number() OVER (PARTITION BY weighting_code, monitor_code, audience_code, period_code ORDER BY margin) AS place
    FROM (SELECT DISTINCT weighting_code, monitor_code, audience_code, period_code, margin FROM reference.population)
),
target AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code,
        list(DISTINCT margin ORDER BY margin) AS margins,
        list(
            {'margin': place::INTEGER, 'level': level, 'population': population::BIGINT} ORDER BY place, level
        ) AS targets
    FROM reference.population
    JOIN margin USING (weighting_code, monitor_code, audience_code, period_code, margin)
    GROUP BY weighting_code, monitor_code, audience_code, period_code
),
cell AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code,
        sum(n_answers) AS n_answers,
        sum(base_scale * sum_w::DOUBLE ORDER BY organisation_code) AS base_weight,
        bool_or(unit = 'organisations' AND organisation_code IS NULL) AS lacks_organisation
    FROM (
        SELECT
            weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code, unit, organisation_code,
            base_scale, sum(n_answers) AS n_answers, sum(sum_w) AS sum_w
        FROM estimate.weighting_sample
        WHERE cell_code IS NOT NULL
        GROUP BY ALL
    )
    GROUP BY weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code
),
sample AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, measure_code,
        list({'cell_code': cell_code, 'n': n_answers, 'weight': base_weight} ORDER BY cell_code) AS cells,
        list({'levels': string_split(cell_code, '|'), 'weight': base_weight} ORDER BY cell_code) AS given,
        bool_or(lacks_organisation) AS lacks_organisation
    FROM cell
    GROUP BY ALL
),
raked AS MATERIALIZED (
    SELECT
        sample.* EXCLUDE (given),
        CASE WHEN NOT lacks_organisation THEN rake(weighting_code, margins, given, targets) END AS raked
    FROM sample
    JOIN target USING (weighting_code, monitor_code, audience_code, period_code)
),
met AS (
    SELECT
        * EXCLUDE (raked),
        CASE
            WHEN lacks_organisation THEN error(
                'refused: reference/population.csv, weighting ''' || weighting_code || ''': counts organisations, but '
                || 'some answers name none (' || monitor_code || ', ' || audience_code || ', ' || period_code || ').'
            )
            WHEN raked.fault IS NOT NULL THEN error(
                'refused: ' || raked.fault || ' (' || monitor_code || ', ' || audience_code || ', ' || period_code || ', '
                || measure_code || ')'
            )
            ELSE raked
        END AS raked
    FROM raked
),
one AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, measure_code, unnest(cells) AS cell,
        unnest(raked.factors) AS factor, raked.sweeps, raked.error_before, raked.error_after
    FROM met
)
SELECT
    weighting_code, monitor_code, audience_code, period_code, measure_code,
    cell.cell_code, cell.n AS n_answers, cell.weight AS base_weight, factor, sweeps, error_before, error_after
FROM one
