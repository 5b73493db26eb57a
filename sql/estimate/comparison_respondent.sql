-- Respondents with answers in both parts of a comparison: sums of products of what they hold in A and in B.
-- Within: of the same organisation only. Comparisons that no respondent is in both parts of have no row.
--
-- @working
-- @grain  a, b
-- @column a             BIGINT  | A: a domain of estimate.domain_key.
-- @column b             BIGINT  | B: another. For a sector it is the total, but the respondents and products are those of the rest.
-- @column n_both        BIGINT  | Respondents in both. Where organisations were sampled it is known of all sectors and channels together only.
-- @column n_both_within BIGINT  | The same, counted once for every organisation that they are in both with.
-- @column is_across     BOOLEAN | Whether some hold different organisations in A and B.
-- @column within_ww     DECIMAL(38,0) | Sum of W_ki(A) W_ki(B).
-- @column within_wt     DECIMAL(38,0) | Sum of W_ki(A) T_ki(B).
-- @column within_tw     DECIMAL(38,0) | Sum of T_ki(A) W_ki(B).
-- @column within_tt     DECIMAL(38,0) | Sum of T_ki(A) T_ki(B).
-- @column person_ww     DECIMAL(38,0) | Sum of W_k(A) W_k(B).
-- @column person_wt     DECIMAL(38,0) | Sum of W_k(A) T_k(B).
-- @column person_tw     DECIMAL(38,0) | Sum of T_k(A) W_k(B).
-- @column person_tt     DECIMAL(38,0) | Sum of T_k(A) T_k(B).

WITH person AS (
    SELECT source_code, respondent_id, row_number() OVER () AS person
    FROM (SELECT DISTINCT source_code, respondent_id FROM cube.repeat_answer)
),
organisation AS (
    SELECT organisation_code, row_number() OVER () AS organisation
    FROM (SELECT DISTINCT coalesce(organisation_code, '') AS organisation_code FROM cube.repeat_answer)
),
answer AS (
    SELECT
        source.monitor_code, a.audience_code, a.measure_code, a.channel_code,
        coalesce(a.wave_code, '') AS wave_code, a.time_cell_code,
        CASE
            WHEN a.sector_code IS NOT NULL THEN a.sector_code
            WHEN a.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        person.person, person.person << 32 | organisation.organisation AS unit, a.n * a.weight::HUGEINT AS w,
        CASE measure.statistic
            WHEN 'nps' THEN CASE WHEN a.value >= 9 THEN 100 WHEN a.value >= 7 THEN 0 ELSE -100 END
            WHEN 'share' THEN 100 * a.value
            ELSE a.value
        END AS y
    FROM cube.repeat_answer AS a
    JOIN person USING (source_code, respondent_id)
    JOIN organisation ON organisation.organisation_code = coalesce(a.organisation_code, '')
    JOIN core.dim_source AS source USING (source_code)
    JOIN core.dim_measure AS measure USING (measure_code)
    LEFT JOIN estimate.organisation_sector AS at_the_time
        ON at_the_time.organisation_code = a.organisation_code AND at_the_time.time_cell_code = a.time_cell_code
),
-- sorts of answers, as numbers; two sorts never share an answer, and neither do A and B, which are of one series
sort AS MATERIALIZED (
    SELECT *, row_number() OVER () AS sort, dense_rank() OVER (ORDER BY monitor_code, audience_code, measure_code) AS series
    FROM (
        SELECT DISTINCT monitor_code, audience_code, measure_code, channel_code, sector_code, wave_code, time_cell_code
        FROM answer
    )
),
holding AS MATERIALIZED (
    SELECT person, unit, series, sort, sum(w)::HUGEINT AS w, sum(w * y)::HUGEINT AS t
    FROM answer
    JOIN sort USING (monitor_code, audience_code, measure_code, channel_code, sector_code, wave_code, time_cell_code)
    GROUP BY ALL
),
shared AS MATERIALIZED (
    -- one row per organisation that a respondent holds in both, and one for all that differ
    SELECT
        x.sort, y.sort AS other, person, CASE WHEN x.unit = y.unit THEN x.unit END AS unit,
        sum(x.w * y.w) AS ww, sum(x.w * y.t) AS wt, sum(x.t * y.w) AS tw, sum(x.t * y.t) AS tt
    FROM holding AS x
    JOIN holding AS y USING (person, series)
    WHERE y.sort <> x.sort
    GROUP BY ALL
),
-- In which comparisons two sorts lie on the two sides. Sector and channel come first and sums are made, then the
-- time: a month is in many periods.
two AS (
    SELECT
        x.sort, y.sort AS other, x.monitor_code, x.audience_code, x.measure_code, frame.by_organisation,
        x.sector_code, y.sector_code AS other_sector, x.channel_code, y.channel_code AS other_channel,
        x.wave_code, x.time_cell_code, y.wave_code AS other_wave, y.time_cell_code AS other_cell
    FROM (SELECT DISTINCT sort, other FROM shared) AS s
    JOIN sort AS x ON x.sort = s.sort
    JOIN sort AS y ON y.sort = s.other
    JOIN (SELECT DISTINCT monitor_code, audience_code, by_organisation FROM estimate.comparison_pair) AS frame
        ON (frame.monitor_code, frame.audience_code) = (x.monitor_code, x.audience_code)
),
in_sector AS (
    SELECT two.*, up.ancestor_code, inside.ancestor_code IS NOT NULL AS is_same_sector
    FROM two
    JOIN core.bridge_sector AS up ON up.sector_code = two.sector_code
    LEFT JOIN core.bridge_sector AS inside
        ON inside.sector_code = two.other_sector AND inside.ancestor_code = up.ancestor_code
),
placed AS MATERIALIZED (
    SELECT
        * EXCLUDE (sector_code, other_sector, is_same_sector, ancestor_code, channel_code, other_channel),
        CASE WHEN is_same_sector THEN 'period' ELSE 'sector' END AS kind, ancestor_code AS sector_code,
        unnest(CASE WHEN channel_code = other_channel THEN [channel_code, 'all'] ELSE ['all'] END) AS channel_code,
        unnest(CASE WHEN channel_code = other_channel THEN [channel_code, 'all'] ELSE ['all'] END) AS other_channel
    FROM in_sector
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (sector_code, other_sector, is_same_sector, ancestor_code),
        'channel' AS kind, ancestor_code AS sector_code
    FROM in_sector
    WHERE is_same_sector AND channel_code < other_channel
),
times AS (
    SELECT
        monitor_code, audience_code, 'period' AS kind,
        x.time_cell_code, x.wave_code, y.time_cell_code AS other_cell, y.wave_code AS other_wave,
        x.period_code, y.period_code AS other_period
    FROM (
        SELECT DISTINCT monitor_code, audience_code, period_code, other_period
        FROM estimate.comparison_pair
        WHERE kind = 'period'
    ) AS p
    JOIN estimate.time_cell_period AS x USING (monitor_code, audience_code, period_code)
    JOIN estimate.time_cell_period AS y USING (monitor_code, audience_code)
    WHERE y.period_code = p.other_period
    UNION ALL
    SELECT
        monitor_code, audience_code, unnest(['channel', 'sector']),
        x.time_cell_code, x.wave_code, y.time_cell_code, y.wave_code, period_code, period_code
    FROM estimate.time_cell_period AS x
    JOIN estimate.time_cell_period AS y USING (monitor_code, audience_code, period_code)
),
-- every kind of pair of answers with the pairs of domains that it counts in, as numbers
place AS MATERIALIZED (
    SELECT *, row_number() OVER () AS place
    FROM (SELECT DISTINCT * EXCLUDE (sort, other) FROM placed)
),
in_time AS MATERIALIZED (
    SELECT place.*, period_code, other_period
    FROM place
    JOIN times USING (monitor_code, audience_code, kind, time_cell_code, wave_code, other_cell, other_wave)
),
counts_in AS MATERIALIZED (
    SELECT in_time.place, a, b
    FROM in_time
    JOIN estimate.comparison_pair AS pair
        USING (
            monitor_code, audience_code, measure_code, kind, sector_code, channel_code, other_channel,
            period_code, other_period
        )
),
member AS MATERIALIZED (
    SELECT
        placed.sort, placed.other, place.place,
        NOT place.by_organisation
        OR (place.kind = 'period' AND place.sector_code = 'all' AND place.channel_code = 'all') AS is_counted
    FROM placed
    JOIN place
        USING (
            monitor_code, audience_code, measure_code, by_organisation, kind, sector_code, channel_code, other_channel,
            time_cell_code, wave_code, other_cell, other_wave
        )
),
rolled AS (
    SELECT
        place, unit IS NOT NULL AS is_within,
        sum(ww)::HUGEINT AS ww, sum(wt)::HUGEINT AS wt, sum(tw)::HUGEINT AS tw, sum(tt)::HUGEINT AS tt
    FROM member
    JOIN shared USING (sort, other)
    GROUP BY ALL
),
summed AS (
    SELECT
        a, b, bool_or(NOT is_within) AS is_across,
        coalesce(sum(ww) FILTER (is_within), 0) AS within_ww, coalesce(sum(wt) FILTER (is_within), 0) AS within_wt,
        coalesce(sum(tw) FILTER (is_within), 0) AS within_tw, coalesce(sum(tt) FILTER (is_within), 0) AS within_tt,
        sum(ww) AS person_ww, sum(wt) AS person_wt, sum(tw) AS person_tw, sum(tt) AS person_tt
    FROM rolled
    JOIN counts_in USING (place)
    GROUP BY a, b
),
counted AS (
    -- people do not add up over months
    SELECT a, b, count(DISTINCT person) AS n_both, count(DISTINCT unit) AS n_both_within
    FROM member
    JOIN shared USING (sort, other)
    JOIN counts_in USING (place)
    WHERE is_counted
    GROUP BY a, b
)
SELECT summed.*, n_both, n_both_within
FROM summed
LEFT JOIN counted USING (a, b)
