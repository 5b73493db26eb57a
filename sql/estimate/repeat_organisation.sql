-- What changes in a domain when respondents are counted, and not answers: by how much the squares of what a
-- respondent holds in an organisation (W_k, T_k) outgrow the squares of the single answers, and by how much
-- they grow again when a respondent of several organisations is one cluster. Adds up over organisations.
-- Weights and scores as in estimate.organisation_moment; products of two weights in units of 10^-12.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, organisation_code
-- @column monitor_code      VARCHAR | Monitor.
-- @column period_code       VARCHAR | Period; of several that hold the same time cells, the first.
-- @column audience_code     VARCHAR | Who answered.
-- @column sector_code       VARCHAR | Sector at any level.
-- @column channel_code      VARCHAR | Channel, or all.
-- @column measure_code      VARCHAR | Measure.
-- @column organisation_code VARCHAR | Organisation; NULL where the survey has none.
-- @column n_surplus         BIGINT  | Answers less respondents of this organisation.
-- @column n_elsewhere       BIGINT  | Respondents who also rated an organisation that comes before it in the alphabet.
-- @column own_ww            DECIMAL(38,0) | Sum of W_k^2 less the sum of w^2 over answers.
-- @column own_wt            DECIMAL(38,0) | The same for W_k T_k.
-- @column own_tt            DECIMAL(38,0) | The same for T_k^2.
-- @column cross_ww          DECIMAL(38,0) | Sum of W_k times what the respondent holds in other organisations.
-- @column cross_wt          DECIMAL(38,0) | The same for W_k and T_k.
-- @column cross_tt          DECIMAL(38,0) | The same for T_k.

WITH organisation AS (
    -- organisations and respondents as numbers: what follows multiplies every answer by its periods and domains
    SELECT organisation_code, row_number() OVER (ORDER BY organisation_code) AS organisation
    FROM (SELECT DISTINCT coalesce(organisation_code, '') AS organisation_code FROM cube.repeat_answer)
),
person AS (
    SELECT
        source_code, respondent_id, row_number() OVER () AS person,
        min(coalesce(organisation_code, '')) < max(coalesce(organisation_code, '')) AS is_of_several
    FROM cube.repeat_answer
    GROUP BY source_code, respondent_id
),
answer AS (
    SELECT
        source.monitor_code, a.audience_code, a.measure_code, a.channel_code, coalesce(a.wave_code, '') AS wave_code,
        a.time_cell_code,
        CASE
            WHEN a.sector_code IS NOT NULL THEN a.sector_code
            WHEN a.organisation_code IS NULL THEN 'not_applicable'
            ELSE at_the_time.sector_code
        END AS sector_code,
        person.person, person.is_of_several, organisation.organisation, a.n, a.weight::HUGEINT AS w,
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
-- every kind of answer with the domains that it counts in, as numbers too
kind AS (
    SELECT
        *, row_number() OVER () AS kind,
        dense_rank() OVER (ORDER BY monitor_code, audience_code, measure_code, channel_code) AS of_one_channel,
        dense_rank() OVER (ORDER BY monitor_code, audience_code, measure_code, time_cell_code, wave_code) AS of_one_cell
    FROM (SELECT DISTINCT monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code FROM answer)
),
placed AS (
    SELECT
        kind.kind, kind.monitor_code, kind.audience_code, kind.measure_code, place.period_code,
        bridge.ancestor_code AS sector_code, unnest([kind.channel_code, 'all']) AS channel_code
    FROM kind
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, time_cell_code, wave_code)
    SEMI JOIN estimate.period_twin AS twin
        ON (twin.monitor_code, twin.audience_code, twin.same_as_code) = (kind.monitor_code, kind.audience_code, place.period_code)
    JOIN core.bridge_sector AS bridge USING (sector_code)
),
domain AS (
    SELECT *, row_number() OVER () AS domain
    FROM (
        SELECT DISTINCT monitor_code, period_code, audience_code, sector_code, channel_code, measure_code FROM placed
    )
),
member AS (
    SELECT kind, domain, channel_code <> 'all' AS of_channel, period_code IN (SELECT time_cell_code FROM kind) AS of_cell
    FROM placed
    JOIN domain USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
),
numbered AS (
    -- alone: the respondent's only answer about this channel, or in this month; in such domains it changes nothing
    SELECT
        kind, person, is_of_several, organisation, n, w, y,
        sum(n) OVER (PARTITION BY person, of_one_channel) = 1 AS alone_of_channel,
        sum(n) OVER (PARTITION BY person, of_one_cell) = 1 AS alone_of_cell
    FROM answer
    JOIN kind USING (monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code)
),
-- the squares of the single answers: they need no respondents
single AS (
    SELECT
        kind, alone_of_channel, alone_of_cell, organisation,
        sum(n * w * w) AS ww, sum(n * w * w * y) AS wt, sum(n * w * w * y * y) AS tt
    FROM numbered
    GROUP BY ALL
),
single_in_domain AS (
    SELECT domain, organisation, sum(ww) AS ww, sum(wt) AS wt, sum(tt) AS tt
    FROM single JOIN member USING (kind)
    WHERE NOT (of_channel AND alone_of_channel) AND NOT (of_cell AND alone_of_cell)
    GROUP BY ALL
),
-- what a respondent holds in one organisation
held AS (
    SELECT
        domain, person, organisation, is_of_several,
        sum(n)::BIGINT AS n, sum(n * w::BIGINT)::BIGINT AS w, sum(n * w::BIGINT * y)::BIGINT AS t
    FROM numbered JOIN member USING (kind)
    WHERE NOT (of_channel AND alone_of_channel) AND NOT (of_cell AND alone_of_cell)
    GROUP BY ALL
),
own AS (
    SELECT
        domain, organisation, sum(n) - count(*) AS n_surplus,
        sum(w::HUGEINT * w) AS ww, sum(w::HUGEINT * t) AS wt, sum(t::HUGEINT * t) AS tt
    FROM held
    GROUP BY ALL
),
-- and beside that, in other organisations
held_anywhere AS (
    SELECT domain, person, min(organisation) AS first, sum(w)::BIGINT AS w, sum(t)::BIGINT AS t
    FROM held
    WHERE is_of_several
    GROUP BY domain, person
),
beside AS (
    SELECT
        held.domain, held.organisation, count(*) FILTER (held.organisation > everywhere.first) AS n_elsewhere,
        sum(held.w::HUGEINT * (everywhere.w - held.w)) AS ww, sum(held.w::HUGEINT * (everywhere.t - held.t)) AS wt,
        sum(held.t::HUGEINT * (everywhere.t - held.t)) AS tt
    FROM held
    JOIN held_anywhere AS everywhere USING (domain, person)
    WHERE is_of_several
    GROUP BY ALL
)
SELECT
    monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
    nullif(organisation_code, '') AS organisation_code,
    n_surplus, coalesce(n_elsewhere, 0) AS n_elsewhere,
    own.ww - single.ww AS own_ww, own.wt - single.wt AS own_wt, own.tt - single.tt AS own_tt,
    coalesce(beside.ww, 0) AS cross_ww, coalesce(beside.wt, 0) AS cross_wt, coalesce(beside.tt, 0) AS cross_tt
FROM own
JOIN single_in_domain AS single USING (domain, organisation)
LEFT JOIN beside USING (domain, organisation)
JOIN domain USING (domain)
JOIN organisation USING (organisation)
WHERE n_surplus > 0 OR n_elsewhere > 0 OR beside.ww IS NOT NULL
