-- What every weighting of reference/population.csv did: one row a period and measure, with the size and spread of the
-- weights. Weights are those of the answers, or of the organisations where the population counts organisations; they
-- add up to the population.
--
-- @grain  weighting_code, monitor_code, audience_code, period_code, measure_code
-- @column weighting_code VARCHAR | Weighting in reference/population.csv.
-- @column monitor_code   VARCHAR | Monitor.
-- @column audience_code  VARCHAR | Who answered.
-- @column period_code    VARCHAR | Period that is weighted.
-- @column measure_code   VARCHAR | Measure; NULL where the period has no data.
-- @column status         VARCHAR | used; no_data: nothing was delivered for the period, so the list is not used; no_channel: a margin is about channels and the measure about none.
-- @column unit           VARCHAR | What the population counts: customers, respondents or organisations.
-- @column margins        VARCHAR | The margins, joined with a comma.
-- @column population     BIGINT  | What each margin adds up to.
-- @column n_answers      BIGINT  | Valid answers in the sample.
-- @column n_cells        BIGINT  | Cells of the margins that the sample has answers in.
-- @column sweeps         INTEGER | Sweeps over the margins that the raking took.
-- @column error_before   DOUBLE  | Largest relative error of a margin with base weights, brought to the size of the population.
-- @column error_after    DOUBLE  | The same with the weights used, below 10^-12.
-- @column min_weight     DOUBLE  | Smallest weight.
-- @column median_weight  DOUBLE  | Median weight; the middle of the two where their number is even.
-- @column max_weight     DOUBLE  | Largest weight.
-- @column max_to_median  DOUBLE  | Largest weight as a multiple of the median.
-- @column n_kish         DOUBLE  | Kish base: answers (or organisations) of equal weight that would say as much, (sum w)^2 / sum w^2.
-- @column deff_w         DOUBLE  | Design effect of the weights: their number divided by n_kish.
-- @column is_uneven      BOOLEAN | Whether deff_w is above 2: the weights cost more than half of the sample.
-- @column is_extreme     BOOLEAN | Whether the largest weight is above five times the median.
-- @column source         VARCHAR | Where the population comes from.
-- @column source_date    DATE    | Its date; the earliest where margins have several.
-- @warn   uneven: is_uneven IS NOT TRUE | the weights of a weighting differ so much that they cost more than half of the sample; see meta.weighting
-- @warn   extreme: is_extreme IS NOT TRUE | the largest weight of a weighting is more than five times the median; see meta.weighting

WITH declared AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, min(unit) AS unit,
        string_agg(DISTINCT margin, ', ' ORDER BY margin) AS margins,
        sum(population::BIGINT) // count(DISTINCT margin) AS population,
        string_agg(DISTINCT source, '; ' ORDER BY source) AS source, min(source_date::DATE) AS source_date
    FROM reference.population
    GROUP BY ALL
),
sample AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, measure_code, sum(n_answers) AS n_answers,
        CASE WHEN count(cell_code) = count(*) THEN 'used' ELSE 'no_channel' END AS status
    FROM estimate.weighting_sample
    GROUP BY ALL
),
factor AS (
    SELECT weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code, factor
    FROM estimate.weighting_cell
),
-- weights other than 1, and how many answers of their cell are left with 1
apart AS (
    SELECT
        a.weighting_code, a.monitor_code, a.audience_code, a.period_code, counted.measure_code, a.cell_code,
        counted.weight, sum(counted.n) AS n
    FROM cube.weight_counts AS counted
    JOIN estimate.weighting_sample AS a
        ON a.measure_code = counted.measure_code AND a.source_code = counted.source_code AND a.audience_code = counted.audience_code
        AND a.time_cell_code = counted.time_cell_code AND a.channel_code = counted.channel_code
        AND coalesce(a.wave_code, '') = coalesce(counted.wave_code, '')
        AND coalesce(a.organisation_code, '') = coalesce(counted.organisation_code, '')
        AND coalesce(a.stated_sector_code, '') = coalesce(counted.sector_code, '')
        AND coalesce(a.segment_code, '') = coalesce(counted.segment_code, '')
    WHERE a.unit <> 'organisations'
    GROUP BY ALL
),
weight AS (
    SELECT weighting_code, monitor_code, audience_code, period_code, measure_code, weight * 1e-6 * factor AS w, sum(n) AS n
    FROM (
        SELECT * FROM apart
        UNION ALL
        SELECT
            s.weighting_code, s.monitor_code, s.audience_code, s.period_code, s.measure_code, s.cell_code, 1000000,
            sum(s.n_answers) - coalesce(any_value(other.n), 0)
        FROM estimate.weighting_sample AS s
        LEFT JOIN (
            SELECT weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code, sum(n) AS n
            FROM apart
            GROUP BY ALL
        ) AS other USING (weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code)
        WHERE s.unit <> 'organisations'
        GROUP BY ALL
    )
    JOIN factor USING (weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code)
    WHERE n > 0
    GROUP BY ALL
    UNION ALL
    SELECT weighting_code, monitor_code, audience_code, period_code, measure_code, w, count(*)
    FROM (
        SELECT
            s.weighting_code, s.monitor_code, s.audience_code, s.period_code, s.measure_code, s.organisation_code,
            sum(s.base_scale * s.sum_w::DOUBLE * factor.factor ORDER BY s.cell_code) AS w
        FROM (
            SELECT
                weighting_code, monitor_code, audience_code, period_code, measure_code, organisation_code, cell_code, unit,
                base_scale, sum(sum_w) AS sum_w
            FROM estimate.weighting_sample
            GROUP BY ALL
        ) AS s
        JOIN factor USING (weighting_code, monitor_code, audience_code, period_code, measure_code, cell_code)
        WHERE s.unit = 'organisations'
        GROUP BY ALL
    )
    GROUP BY ALL
),
placed AS (
    SELECT
        *, sum(n) OVER up_to_here AS upto,
        sum(n) OVER (PARTITION BY weighting_code, monitor_code, audience_code, period_code, measure_code) AS n_all
    FROM weight
    WINDOW up_to_here AS (
        PARTITION BY weighting_code, monitor_code, audience_code, period_code, measure_code ORDER BY w
    )
),
spread AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, measure_code,
        min(w) AS min_weight, max(w) AS max_weight,
        (min(w) FILTER (2 * upto >= n_all) + min(w) FILTER (2 * upto > n_all)) / 2 AS median_weight,
        sum(n) AS n, sum(n * w ORDER BY w) AS w, sum(n * w * w ORDER BY w) AS ww
    FROM placed
    GROUP BY ALL
),
raked AS (
    SELECT
        weighting_code, monitor_code, audience_code, period_code, measure_code, count(*) AS n_cells,
        max(sweeps) AS sweeps, max(error_before) AS error_before, max(error_after) AS error_after
    FROM estimate.weighting_cell
    GROUP BY ALL
)
SELECT
    declared.weighting_code, declared.monitor_code, declared.audience_code, declared.period_code, sample.measure_code,
    coalesce(sample.status, 'no_data') AS status, declared.unit, declared.margins, declared.population,
    sample.n_answers, raked.n_cells, raked.sweeps, raked.error_before, raked.error_after,
    spread.min_weight, spread.median_weight, spread.max_weight, spread.max_weight / spread.median_weight AS max_to_median,
    spread.w * spread.w / spread.ww AS n_kish,
    spread.n * spread.ww / spread.w / spread.w AS deff_w,
    spread.n * spread.ww / spread.w / spread.w > 2 AS is_uneven,
    spread.max_weight > 5 * spread.median_weight AS is_extreme,
    declared.source, declared.source_date
FROM declared
LEFT JOIN sample USING (weighting_code, monitor_code, audience_code, period_code)
LEFT JOIN raked USING (weighting_code, monitor_code, audience_code, period_code, measure_code)
LEFT JOIN spread USING (weighting_code, monitor_code, audience_code, period_code, measure_code)
