-- What the answers about each organisation add up to in each domain that is computed: every period, every level of the
-- sector tree, every channel and all channels together. Units as in estimate.organisation_moment. What changes where
-- respondents are counted, and not answers, is added in estimate.domain_organisation.
--
-- @working
-- @grain  domain, organisation_code
-- @column domain            INTEGER | Number of the domain in estimate.domain_key; those that are the same as another are left out.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column organisation      INTEGER | Its number in this table, in the order of the codes.
-- @column n_answers         BIGINT  | Answers with a value.
-- @column sum_w_promoters   BIGINT  | Sum of the weights of the promoters, in millionths.
-- @column sum_w_detractors  BIGINT  | Sum of the weights of the detractors, in millionths.
-- @column sum_w             BIGINT  | W: sum of the weights, in millionths.
-- @column sum_wy            BIGINT  | T: sum of weight times score.
-- @column sum_w2            DECIMAL(38,0) | Sum of the squared weights, in units of 10^-12.
-- @column sum_w2y           DECIMAL(38,0) | Sum of squared weight times score.
-- @column sum_w2yy          DECIMAL(38,0) | Sum of squared weight times squared score.

WITH organisation AS MATERIALIZED (
    -- as numbers, because what follows multiplies; below zero where it was in several sectors
    SELECT
        organisation_code, coalesce(organisation_code, '') AS code,
        row_number() OVER (ORDER BY organisation_code)
        * CASE WHEN min(sector_code) = max(sector_code) THEN 1 ELSE -1 END AS organisation
    FROM estimate.organisation_moment
    GROUP BY organisation_code
),
kind AS MATERIALIZED (
    SELECT *, row_number() OVER () AS kind
    FROM (
        SELECT DISTINCT
            monitor_code, audience_code, coalesce(wave_code, '') AS wave_code, time_cell_code, sector_code, channel_code,
            measure_code
        FROM estimate.organisation_moment
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
-- a period, channel and measure in a sector, without the sectors below it
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
    SELECT series, key.domain
    FROM (
        SELECT series.* REPLACE (bridge.ancestor_code AS sector_code)
        FROM series
        JOIN core.bridge_sector AS bridge USING (sector_code)
    )
    JOIN estimate.domain_key AS key USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
),
-- summed in steps, each of few rows: over the time cells of a period, over channels, and up the sector tree
moment AS (
    SELECT
        kind.kind, organisation.organisation, n_answers, sum_w_promoters::BIGINT AS promoters,
        sum_w_detractors::BIGINT AS detractors, sum_w::BIGINT AS w, sum_wy::BIGINT AS t, sum_w2::HUGEINT AS w2,
        sum_w2y::HUGEINT AS w2y, sum_w2yy::HUGEINT AS w2yy
    FROM (SELECT * REPLACE (coalesce(wave_code, '') AS wave_code) FROM estimate.organisation_moment) AS m
    JOIN kind USING (monitor_code, audience_code, wave_code, time_cell_code, sector_code, channel_code, measure_code)
    JOIN organisation ON organisation.code = coalesce(m.organisation_code, '')
    WHERE n_answers > 0
),
in_period AS (
    SELECT
        series, organisation, sum(n_answers)::BIGINT AS n_answers, sum(promoters)::BIGINT AS promoters,
        sum(detractors)::BIGINT AS detractors, sum(w)::BIGINT AS w, sum(t)::BIGINT AS t, sum(w2)::HUGEINT AS w2,
        sum(w2y)::HUGEINT AS w2y, sum(w2yy)::HUGEINT AS w2yy
    FROM moment
    JOIN over_time USING (kind)
    GROUP BY series, organisation
),
in_channel AS (
    FROM in_period
    UNION ALL
    SELECT
        every_series, organisation, sum(n_answers)::BIGINT, sum(promoters)::BIGINT, sum(detractors)::BIGINT,
        sum(w)::BIGINT, sum(t)::BIGINT, sum(w2)::HUGEINT, sum(w2y)::HUGEINT, sum(w2yy)::HUGEINT
    FROM in_period
    JOIN over_channels USING (series)
    GROUP BY every_series, organisation
),
placed AS (SELECT domain, in_channel.* EXCLUDE (series) FROM in_channel JOIN up_the_tree USING (series)),
summed AS (
    FROM placed WHERE organisation > 0
    UNION ALL
    SELECT
        domain, organisation, sum(n_answers)::BIGINT, sum(promoters)::BIGINT, sum(detractors)::BIGINT,
        sum(w)::BIGINT, sum(t)::BIGINT, sum(w2)::HUGEINT, sum(w2y)::HUGEINT, sum(w2yy)::HUGEINT
    FROM placed
    WHERE organisation < 0
    GROUP BY domain, organisation
)
SELECT
    domain, organisation_code, abs(organisation) AS organisation, n_answers, promoters AS sum_w_promoters,
    detractors AS sum_w_detractors, w AS sum_w, t AS sum_wy, w2 AS sum_w2, w2y AS sum_w2y, w2yy AS sum_w2yy
FROM summed
JOIN organisation USING (organisation)
