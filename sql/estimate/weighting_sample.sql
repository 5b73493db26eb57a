-- The samples that reference/population.csv weights: all valid answers of a monitor, audience, period and measure, as
-- they stand in the cube, with the cell of the margins that they fall into. Scores and units as in
-- estimate.organisation_moment.
--
-- @working
-- @grain  weighting_code, monitor_code, audience_code, period_code, measure_code, source_code, wave_code, time_cell_code, organisation_code, stated_sector_code, segment_code, channel_code
-- @column weighting_code     VARCHAR | Weighting in reference/population.csv.
-- @column monitor_code       VARCHAR | Monitor.
-- @column audience_code      VARCHAR | Who answered.
-- @column period_code        VARCHAR | Period that is weighted.
-- @column measure_code       VARCHAR | Measure.
-- @column unit               VARCHAR | What the population counts: customers, respondents or organisations.
-- @column source_code        VARCHAR | Source.
-- @column wave_code          VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code     VARCHAR | Month, or wave.
-- @column organisation_code  VARCHAR | Organisation; NULL where the survey has none.
-- @column stated_sector_code VARCHAR | Sector as the response states it.
-- @column segment_code       VARCHAR | Declared segments of the response.
-- @column channel_code       VARCHAR | Channel rated.
-- @column sector_code        VARCHAR | Sector of the answers: as stated, else that of the organisation at the time.
-- @column cell_code          VARCHAR | Level of each margin, in the order of their names, joined with |; a level is empty where an answer has none. NULL where a margin is about channels and the measure about none: such a measure is not weighted.
-- @column n_answers          BIGINT  | Valid answers.
-- @column base_scale         DOUBLE  | What turns sum_w into base weight: 10^-6, or 1 / W_i where organisations are counted, so that each enters with 1.
-- @column sum_w              DECIMAL(38,0) | Sum of the weights, in millionths.
-- @column sum_wy             DECIMAL(38,0) | Sum of weight times score.
-- @column sum_w2             DECIMAL(38,0) | Sum of the squared weights, in units of 10^-12.
-- @column sum_w2y            DECIMAL(38,0) | Sum of squared weight times score.
-- @column sum_w2yy           DECIMAL(38,0) | Sum of squared weight times squared score.

WITH declared AS (
    SELECT weighting_code, monitor_code, audience_code, period_code, min(unit) AS unit,
        bool_or(list_contains(string_split(margin, '*'), 'channel')) AS is_channel_margin
    FROM reference.population
    GROUP BY ALL
),
part AS (
    -- a margin is one thing, or several that make its cells: sector*size_class
    SELECT *, string_split(margin, '*')[place] AS part
    FROM (
        SELECT *, unnest(range(1, len(string_split(margin, '*')) + 1)) AS place
        FROM (SELECT DISTINCT weighting_code, monitor_code, audience_code, period_code, margin FROM reference.population)
    )
),
moment AS (
    SELECT
        source.monitor_code, cube.audience_code, cube.measure_code, cube.source_code, cube.wave_code, cube.time_cell_code,
        cube.organisation_code, cube.sector_code AS stated_sector_code, cube.segment_code, cube.channel_code,
        sum(cube.n) AS n_answers, sum(w) AS sum_w, sum(w * y) AS sum_wy,
        sum(w2) AS sum_w2, sum(w2 * y) AS sum_w2y, sum(w2 * y * y) AS sum_w2yy
    FROM (
        SELECT
            cube.*, sum_w::HUGEINT AS w, 1000 * sum_w2::HUGEINT + sum_w2_rest AS w2,
            CASE measure.statistic
                WHEN 'nps' THEN CASE WHEN value >= 9 THEN 100 WHEN value >= 7 THEN 0 ELSE -100 END
                WHEN 'share' THEN 100 * value
                ELSE value
            END::HUGEINT AS y
        FROM cube.score_counts AS cube
        JOIN core.dim_measure AS measure USING (measure_code)
        WHERE value IS NOT NULL
    ) AS cube
    JOIN core.dim_source AS source USING (source_code)
    SEMI JOIN declared
        ON declared.monitor_code = source.monitor_code AND declared.audience_code = cube.audience_code
    GROUP BY ALL
),
seen AS (
    SELECT moment.*, declared.weighting_code, declared.period_code, declared.unit, declared.is_channel_margin
    FROM moment
    JOIN estimate.time_cell_period AS place
        ON (place.monitor_code, place.audience_code, place.time_cell_code, place.wave_code)
            = (moment.monitor_code, moment.audience_code, moment.time_cell_code, coalesce(moment.wave_code, ''))
    JOIN declared
        ON (declared.monitor_code, declared.audience_code, declared.period_code)
            = (moment.monitor_code, moment.audience_code, place.period_code)
),
attribute AS (
    SELECT
        seen.*,
        CASE
            WHEN seen.stated_sector_code IS NOT NULL THEN seen.stated_sector_code
            WHEN seen.organisation_code IS NULL THEN 'not_applicable'
            ELSE organisation.sector_code
        END AS sector_code,
        nullif(organisation.size_class, '') AS size_class
    FROM seen
    JOIN core.dim_period AS span ON span.period_code = seen.time_cell_code
    LEFT JOIN core.dim_organisation AS organisation
        ON organisation.organisation_code = seen.organisation_code
        AND span.period_start >= organisation.valid_from
        AND (organisation.valid_before IS NULL OR span.period_start < organisation.valid_before)
),
-- few combinations matter to the margins: a cell is found once for each
combination AS (
    SELECT *, row_number() OVER () AS combination
    FROM (
        SELECT DISTINCT
            weighting_code, monitor_code, audience_code, period_code, sector_code, size_class, channel_code, segment_code
        FROM attribute
    )
),
listed_sector AS (
    -- a sector stands for itself and for all below it that have no nearer one in the list
    SELECT
        part.weighting_code, part.monitor_code, part.audience_code, part.period_code, part.margin,
        bridge.sector_code, arg_max(bridge.ancestor_code, sector.level) AS listed_code
    FROM part
    JOIN reference.population AS population USING (weighting_code, monitor_code, audience_code, period_code, margin)
    JOIN core.bridge_sector AS bridge ON bridge.ancestor_code = string_split(population.level, '*')[part.place]
    JOIN core.dim_sector AS sector ON sector.sector_code = bridge.ancestor_code
    WHERE part.part = 'sector'
    GROUP BY ALL
),
level_part AS (
    SELECT
        combination.combination, part.margin, part.place,
        CASE part.part
            WHEN 'sector' THEN coalesce(listed.listed_code, combination.sector_code)
            WHEN 'size_class' THEN combination.size_class
            WHEN 'channel' THEN combination.channel_code
            ELSE split_part(
                list_filter(
                    string_split(combination.segment_code, '|'),
                    lambda each: split_part(each, '=', 1) = split_part(part.part, ':', 2)
                )[1], '=', 2
            )
        END AS code
    FROM combination
    JOIN part USING (weighting_code, monitor_code, audience_code, period_code)
    LEFT JOIN listed_sector AS listed USING (weighting_code, monitor_code, audience_code, period_code, margin, sector_code)
),
level AS (
    SELECT
        combination, margin,
        CASE WHEN count(code) = count(*) THEN string_agg(code, '*' ORDER BY place) ELSE '' END AS level
    FROM level_part
    GROUP BY combination, margin
),
cell AS (
    SELECT combination, string_agg(level, '|' ORDER BY margin) AS cell_code FROM level GROUP BY combination
)
SELECT
    a.weighting_code, a.monitor_code, a.audience_code, a.period_code, a.measure_code, a.unit, a.source_code, a.wave_code,
    a.time_cell_code, a.organisation_code, a.stated_sector_code, a.segment_code, a.channel_code, a.sector_code,
    CASE WHEN NOT a.is_channel_margin OR bool_or(a.channel_code <> 'not_applicable') OVER of_measure THEN cell.cell_code END
        AS cell_code,
    a.n_answers,
    CASE WHEN a.unit = 'organisations' THEN 1 / (sum(a.sum_w) OVER of_organisation)::DOUBLE ELSE 1e-6 END AS base_scale,
    a.sum_w, a.sum_wy, a.sum_w2, a.sum_w2y, a.sum_w2yy
FROM attribute AS a
JOIN combination
    ON (combination.weighting_code, combination.monitor_code, combination.audience_code, combination.period_code)
        = (a.weighting_code, a.monitor_code, a.audience_code, a.period_code)
    AND combination.sector_code IS NOT DISTINCT FROM a.sector_code
    AND combination.size_class IS NOT DISTINCT FROM a.size_class
    AND combination.channel_code = a.channel_code
    AND combination.segment_code IS NOT DISTINCT FROM a.segment_code
JOIN cell USING (combination)
WINDOW
    of_measure AS (PARTITION BY a.weighting_code, a.monitor_code, a.audience_code, a.period_code, a.measure_code),
    of_organisation AS (
        PARTITION BY a.weighting_code, a.monitor_code, a.audience_code, a.period_code, a.measure_code, a.organisation_code
    )
