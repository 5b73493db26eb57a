-- Weighted quantiles of the answers of each domain, and the variance of the share of the answers that a quantile q does
-- not exceed: F(q) = W(q) / W, the mean of a score that is 1 up to q and 0 above. Its variance is that of a mean in
-- estimate.domain, from z_i = (W_i(q) - F(q) W_i) / W, but without what two-way clustering adds.
--
-- @working
-- @grain  domain, percent
-- @column domain       INTEGER | Number of the domain in estimate.domain_key; those that are the same as another are left out.
-- @column percent      INTEGER | p in percent: 10, 25, 50, 75 or 90.
-- @column value        INTEGER | q: the lowest score that at least p of the answers do not exceed, as a whole number of the measure's smallest step.
-- @column n_answers    BIGINT  | Valid answers of the domain.
-- @column w            DECIMAL(38,0) | W: sum of their weights, in millionths.
-- @column w_below      DECIMAL(38,0) | W(q): sum of the weights of the answers up to q.
-- @column variance     DOUBLE  | Variance of F(q) for the declared sampling unit; NULL where respondents were sampled and gave several answers.
-- @column variance_cr2 DOUBLE  | The variance corrected for few or uneven organisations; of use where there is one stratum only.
-- @column has_shared_respondents BOOLEAN | Whether respondents of the domain rated several organisations.

WITH domain AS MATERIALIZED (
    SELECT
        here.*, whole.n_respondents AS g, max(source.sampling_unit) = 'organisation' AS by_organisation
    FROM estimate.domain_sum AS here
    JOIN estimate.domain_sum AS whole ON whole.domain = here.whole
    JOIN core.dim_measure AS measure ON measure.measure_code = here.measure_code
    JOIN core.dim_source AS source ON source.monitor_code = here.monitor_code AND source.audience_code = here.audience_code
    WHERE here.domain = here.same_as AND measure.statistic = 'mean'
    GROUP BY ALL
),
risen AS MATERIALIZED (
    SELECT
        domain.domain, domain.measure_code, score.value, sum(score.sum_w) OVER upwards AS w_below,
        sum(score.sum_w2) OVER upwards AS w2_below
    FROM estimate.score AS score
    JOIN domain USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
    WINDOW upwards AS (PARTITION BY domain.domain ORDER BY score.value)
),
found AS MATERIALIZED (
    SELECT
        domain.domain, domain.measure_code, percent.percent, domain.w::HUGEINT AS w, domain.w2,
        -- in whole numbers, so that exactly half is exactly half
        min(risen.value) FILTER (100 * risen.w_below >= percent.percent * domain.w) AS value,
        min(risen.w_below) FILTER (100 * risen.w_below >= percent.percent * domain.w)::HUGEINT AS w_below,
        min(risen.w2_below) FILTER (100 * risen.w_below >= percent.percent * domain.w) AS w2_below
    FROM risen
    JOIN domain USING (domain)
    CROSS JOIN (SELECT unnest([10, 25, 50, 75, 90]) AS percent) AS percent
    GROUP BY ALL
),
-- Nothing else of an answer is needed than which quantiles it is below. The quantiles of a measure, in whatever domain,
-- are numbered from 0; an answer counts at the first that it does not exceed; and four neighbours are the columns of one
-- row, each with those before it: few rows are then multiplied by their periods
rung AS MATERIALIZED (
    SELECT measure_code, value, row_number() OVER (PARTITION BY measure_code ORDER BY value) - 1 AS rung
    FROM (SELECT DISTINCT measure_code, value FROM found)
),
step AS MATERIALIZED (
    SELECT seen.measure_code, seen.value, min(rung.rung) // 4 * 4 AS four, min(rung.rung) % 4 AS place
    FROM (SELECT DISTINCT measure_code, value FROM risen) AS seen
    JOIN rung ON rung.measure_code = seen.measure_code AND rung.value >= seen.value
    GROUP BY ALL
),
listed AS MATERIALIZED (
    -- the number and F(q) of each of the five
    SELECT
        domain, any_value(w)::DOUBLE AS w,
        any_value(rung) FILTER (percent = 10) AS q10, any_value(w_below::DOUBLE / w::DOUBLE) FILTER (percent = 10) AS f10,
        any_value(rung) FILTER (percent = 25) AS q25, any_value(w_below::DOUBLE / w::DOUBLE) FILTER (percent = 25) AS f25,
        any_value(rung) FILTER (percent = 50) AS q50, any_value(w_below::DOUBLE / w::DOUBLE) FILTER (percent = 50) AS f50,
        any_value(rung) FILTER (percent = 75) AS q75, any_value(w_below::DOUBLE / w::DOUBLE) FILTER (percent = 75) AS f75,
        any_value(rung) FILTER (percent = 90) AS q90, any_value(w_below::DOUBLE / w::DOUBLE) FILTER (percent = 90) AS f90
    FROM found
    JOIN rung USING (measure_code, value)
    GROUP BY domain
),
organisation AS MATERIALIZED (
    SELECT DISTINCT organisation_code, coalesce(organisation_code, '') AS code, organisation FROM estimate.domain_organisation
),
counted AS (
    SELECT
        cube.source_code, cube.audience_code, coalesce(cube.wave_code, '') AS wave_code, cube.time_cell_code,
        cube.organisation_code, cube.sector_code, cube.channel_code, cube.measure_code, step.four,
        sum(cube.sum_w) FILTER (step.place = 0) AS w0, sum(cube.sum_w) FILTER (step.place <= 1) AS w1,
        sum(cube.sum_w) FILTER (step.place <= 2) AS w2, sum(cube.sum_w) AS w3
    FROM cube.score_counts AS cube
    JOIN step USING (measure_code, value)
    GROUP BY ALL
),
cell AS MATERIALIZED (
    SELECT
        source.monitor_code, counted.audience_code, counted.wave_code, counted.time_cell_code,
        CASE
            WHEN counted.sector_code IS NOT NULL THEN counted.sector_code
            WHEN counted.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        counted.channel_code, counted.measure_code, organisation.organisation, counted.four,
        coalesce(counted.w0, 0)::BIGINT AS w0, coalesce(counted.w1, 0)::BIGINT AS w1,
        coalesce(counted.w2, 0)::BIGINT AS w2, counted.w3::BIGINT AS w3
    FROM counted
    JOIN core.dim_source AS source USING (source_code)
    JOIN organisation ON organisation.code = coalesce(counted.organisation_code, '')
    LEFT JOIN estimate.organisation_sector AS at_the_time
        ON at_the_time.organisation_code = counted.organisation_code AND at_the_time.time_cell_code = counted.time_cell_code
    WHERE source.sampling_unit = 'organisation'
),
-- from here on as in estimate.domain_organisation
kind AS MATERIALIZED (
    SELECT *, row_number() OVER () AS kind
    FROM (
        SELECT DISTINCT monitor_code, audience_code, wave_code, time_cell_code, sector_code, channel_code, measure_code
        FROM cell
    )
),
in_time AS (
    SELECT kind.*, place.period_code
    FROM kind
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, wave_code, time_cell_code)
    SEMI JOIN estimate.period_twin AS twin
        ON twin.monitor_code = kind.monitor_code AND twin.audience_code = kind.audience_code
        AND twin.same_as_code = place.period_code
),
series AS MATERIALIZED (
    SELECT *, row_number() OVER () AS series
    FROM (
        SELECT DISTINCT
            monitor_code, period_code, audience_code, sector_code, unnest([channel_code, 'all']) AS channel_code, measure_code
        FROM in_time
    )
),
over_time AS MATERIALIZED (
    SELECT kind, series
    FROM in_time
    JOIN series USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
),
over_channels AS MATERIALIZED (
    SELECT one.series, every.series AS every_series
    FROM series AS one
    JOIN series AS every USING (monitor_code, period_code, audience_code, sector_code, measure_code)
    WHERE one.channel_code <> 'all' AND every.channel_code = 'all'
),
up_the_tree AS MATERIALIZED (
    SELECT series, domain.domain
    FROM (
        SELECT series.* REPLACE (bridge.ancestor_code AS sector_code)
        FROM series
        JOIN core.bridge_sector AS bridge USING (sector_code)
    )
    JOIN domain USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
),
in_period AS MATERIALIZED (
    SELECT
        series, organisation, four, sum(w0)::BIGINT AS w0, sum(w1)::BIGINT AS w1, sum(w2)::BIGINT AS w2, sum(w3)::BIGINT AS w3
    FROM cell
    JOIN kind USING (monitor_code, audience_code, wave_code, time_cell_code, sector_code, channel_code, measure_code)
    JOIN over_time USING (kind)
    GROUP BY series, organisation, four
),
in_channel AS (
    FROM in_period
    UNION ALL
    SELECT every_series, organisation, four, sum(w0)::BIGINT, sum(w1)::BIGINT, sum(w2)::BIGINT, sum(w3)::BIGINT
    FROM in_period
    JOIN over_channels USING (series)
    GROUP BY every_series, organisation, four
),
-- W_i(q) of the five
below AS (
    SELECT
        domain, organisation,
        sum(CASE WHEN q10 < four THEN 0 ELSE CASE q10 - four WHEN 0 THEN w0 WHEN 1 THEN w1 WHEN 2 THEN w2 ELSE w3 END END) AS w10,
        sum(CASE WHEN q25 < four THEN 0 ELSE CASE q25 - four WHEN 0 THEN w0 WHEN 1 THEN w1 WHEN 2 THEN w2 ELSE w3 END END) AS w25,
        sum(CASE WHEN q50 < four THEN 0 ELSE CASE q50 - four WHEN 0 THEN w0 WHEN 1 THEN w1 WHEN 2 THEN w2 ELSE w3 END END) AS w50,
        sum(CASE WHEN q75 < four THEN 0 ELSE CASE q75 - four WHEN 0 THEN w0 WHEN 1 THEN w1 WHEN 2 THEN w2 ELSE w3 END END) AS w75,
        sum(CASE WHEN q90 < four THEN 0 ELSE CASE q90 - four WHEN 0 THEN w0 WHEN 1 THEN w1 WHEN 2 THEN w2 ELSE w3 END END) AS w90
    FROM in_channel
    JOIN up_the_tree USING (series)
    JOIN listed USING (domain)
    GROUP BY domain, organisation
),
-- the place in the design; two numbers as one, so that there is one order only in which it can be joined
seat AS (
    SELECT
        domain.domain::BIGINT << 32 | organisation.organisation AS seat, design.stratum_code, design.n_stratum,
        design.sampled_share
    FROM domain
    JOIN estimate.design AS design USING (monitor_code, period_code, audience_code)
    JOIN organisation ON organisation.code = coalesce(design.organisation_code, '')
    WHERE domain.domain = domain.whole
),
part AS (
    -- z_i of the five; where 1 - h_i is 0 there is one organisation
    SELECT
        part.domain, seat.stratum_code, seat.n_stratum, seat.sampled_share,
        nullif(1 - part.sum_w / listed.w, 0) AS left_over,
        (coalesce(below.w10, 0) - f10 * part.sum_w) / listed.w AS z10,
        (coalesce(below.w25, 0) - f25 * part.sum_w) / listed.w AS z25,
        (coalesce(below.w50, 0) - f50 * part.sum_w) / listed.w AS z50,
        (coalesce(below.w75, 0) - f75 * part.sum_w) / listed.w AS z75,
        (coalesce(below.w90, 0) - f90 * part.sum_w) / listed.w AS z90
    FROM estimate.domain_organisation AS part
    JOIN domain USING (domain)
    JOIN listed USING (domain)
    JOIN seat ON seat.seat = domain.whole::BIGINT << 32 | part.organisation
    LEFT JOIN below ON below.domain = part.domain AND below.organisation = part.organisation
),
stratum AS (
    -- no |z_i| and no z_i^2 / (1 - h_i) exceeds 1
    SELECT
        domain, stratum_code, any_value(n_stratum) AS m, any_value(sampled_share) AS f,
        unnest([10, 25, 50, 75, 90]) AS percent,
        unnest([exact_sum(z10, 1), exact_sum(z25, 1), exact_sum(z50, 1), exact_sum(z75, 1), exact_sum(z90, 1)]) AS sum_z,
        unnest([
            exact_sum(z10 * z10, 1), exact_sum(z25 * z25, 1), exact_sum(z50 * z50, 1),
            exact_sum(z75 * z75, 1), exact_sum(z90 * z90, 1)
        ]) AS sum_zz,
        unnest([
            exact_sum(z10 * z10 / left_over, 1), exact_sum(z25 * z25 / left_over, 1), exact_sum(z50 * z50 / left_over, 1),
            exact_sum(z75 * z75 / left_over, 1), exact_sum(z90 * z90 / left_over, 1)
        ]) AS sum_zz_cr2
    FROM part
    GROUP BY domain, stratum_code
),
spread AS (
    SELECT
        domain, percent,
        sum(
            (1 - f) * CASE WHEN m > 1 THEN m / (m - 1.0) * greatest(sum_zz - sum_z * sum_z / m, 0) ELSE sum_zz END
            ORDER BY stratum_code
        ) AS variance,
        max((1 - f) * sum_zz_cr2) AS variance_cr2
    FROM stratum
    GROUP BY domain, percent
)
SELECT
    domain, percent, found.value, domain.n_answers, found.w, found.w_below,
    CASE
        WHEN domain.by_organisation THEN spread.variance
        -- z_k = w_k (1 - F) / W up to q, and - w_k F / W above
        WHEN domain.g > 1 AND domain.n_respondents = domain.n_answers
        THEN domain.g / (domain.g - 1.0) * (
            found.w2_below::DOUBLE * pow((found.w - found.w_below)::DOUBLE / found.w::DOUBLE, 2)
            + (found.w2 - found.w2_below)::DOUBLE * pow(found.w_below::DOUBLE / found.w::DOUBLE, 2)
        ) / found.w::DOUBLE / found.w::DOUBLE
    END AS variance,
    spread.variance_cr2,
    domain.n_within > domain.n_respondents AS has_shared_respondents
FROM found
JOIN domain USING (domain)
LEFT JOIN spread USING (domain, percent)
