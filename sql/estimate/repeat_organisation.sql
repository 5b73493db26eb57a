-- What changes in a domain when respondents are counted, and not answers: by how much the squares of what a
-- respondent holds in an organisation (W_k, T_k) outgrow the squares of the single answers, and by how much
-- they grow again when a respondent of several organisations is one cluster. Adds up over organisations.
-- Weights and scores as in estimate.organisation_moment; products of two weights in units of 10^-12.
--
-- @working
-- @grain  domain, organisation_code
-- @column domain            INTEGER | Number of the domain in estimate.domain_key; those that are the same as another are left out.
-- @column organisation_code VARCHAR | Organisation; NULL where the survey has none.
-- @column n_surplus         BIGINT  | Answers less respondents of this organisation.
-- @column n_elsewhere       BIGINT  | Respondents who also rated an organisation that comes before it in the alphabet.
-- @column own_ww            DECIMAL(38,0) | Sum of W_k^2 less the sum of w^2 over answers.
-- @column own_wt            DECIMAL(38,0) | The same for W_k T_k.
-- @column own_tt            DECIMAL(38,0) | The same for T_k^2.
-- @column cross_ww          DECIMAL(38,0) | Sum of W_k times what the respondent holds in other organisations.
-- @column cross_wt          DECIMAL(38,0) | The same for W_k and T_k.
-- @column cross_tt          DECIMAL(38,0) | The same for T_k.
-- @column cross_participants DOUBLE | Sum over respondents of e_ki times their e_kj in other organisations j: what the variance of the target participants grows by, in squared steps. e_ki = sqrt(n_i / (n_i - 1)) * (z_ki - mean of z_ki), z_ki = (T_ki - R W_ki) / W, over the n_i respondents of organisation i in the domain; z_ki where n_i is 1.

WITH organisation AS (
    -- organisations and respondents as numbers: what follows multiplies every answer by its periods and domains
    SELECT organisation_code, row_number() OVER (ORDER BY organisation_code) AS organisation
    FROM (SELECT DISTINCT coalesce(organisation_code, '') AS organisation_code FROM cube.repeat_answer)
),
sector AS (
    SELECT sector_code, row_number() OVER () AS sector FROM (SELECT DISTINCT ancestor_code AS sector_code FROM core.bridge_sector)
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
        person.person, person.is_of_several, organisation.organisation, a.n, a.weight AS w,
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
-- An organisation that was in one sector is the same in that sector and in all above: it is reckoned once, without a
-- sector, and shown in each
one_sector AS (
    SELECT monitor_code, audience_code, organisation, min(sector_code) AS sector_code
    FROM answer
    GROUP BY ALL
    HAVING min(sector_code) = max(sector_code)
),
settled AS (
    SELECT
        answer.* EXCLUDE (sector_code),
        CASE WHEN one_sector.sector_code IS NULL THEN answer.sector_code ELSE '' END AS sector_code
    FROM answer
    LEFT JOIN one_sector USING (monitor_code, audience_code, organisation)
),
-- every kind of answer with the domains that it counts in, as numbers too
kind AS (
    SELECT
        k.*, cell.period_start AS first_day, cell.period_end AS last_day, row_number() OVER () AS kind,
        min(channel_code) OVER of_measure = max(channel_code) OVER of_measure AS has_one_channel,
        dense_rank() OVER (ORDER BY monitor_code, audience_code, measure_code) AS of_one_measure,
        dense_rank() OVER (ORDER BY monitor_code, audience_code, measure_code, channel_code) AS of_one_channel
    FROM (
        SELECT DISTINCT monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code
        FROM settled
    ) AS k
    JOIN core.dim_period AS cell ON cell.period_code = k.time_cell_code
    WINDOW of_measure AS (PARTITION BY monitor_code, audience_code, measure_code)
),
placed AS (
    -- where there is one channel, all channels are the same: made once, and shown twice
    SELECT
        kind.kind, kind.monitor_code, kind.audience_code, kind.measure_code, place.period_code,
        coalesce(bridge.ancestor_code, '') AS sector_code,
        unnest(CASE WHEN kind.has_one_channel THEN [kind.channel_code] ELSE [kind.channel_code, 'all'] END) AS channel_code,
        kind.has_one_channel
    FROM kind
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, time_cell_code, wave_code)
    SEMI JOIN estimate.period_twin AS twin
        ON (twin.monitor_code, twin.audience_code, twin.same_as_code) = (kind.monitor_code, kind.audience_code, place.period_code)
    LEFT JOIN core.bridge_sector AS bridge ON bridge.sector_code = kind.sector_code
),
domain AS (
    SELECT *, row_number() OVER () AS domain
    FROM (
        SELECT DISTINCT monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, has_one_channel
        FROM placed
    )
),
member AS (
    -- the days of the domain; a wave is no span of days: its cells bear its name
    SELECT
        kind, domain, placed.channel_code <> 'all' AS of_channel,
        CASE WHEN period_type = 'wave' THEN '-infinity' ELSE period_start END AS first_day,
        CASE WHEN period_type = 'wave' THEN 'infinity' ELSE period_end END AS last_day
    FROM placed
    JOIN domain USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
    JOIN core.dim_period AS period USING (period_code)
),
numbered AS (
    -- the respondent's answers around this one, over all channels and over this one: the last day of those before and
    -- the first of those after. An answer that is alone in a domain changes nothing there
    SELECT
        kind, n, n * w AS w, n * w * y AS t, n * w::HUGEINT * w AS ww, n * w::HUGEINT * w * y AS wt,
        n * w::HUGEINT * w * y * y AS tt,
        person << 32 | organisation AS unit, is_of_several,
        max(last_day) OVER (anywhere ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
        min(first_day) OVER (anywhere ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS after,
        max(last_day) OVER (here ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_here,
        min(first_day) OVER (here ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS after_here
    FROM settled
    JOIN kind USING (monitor_code, audience_code, measure_code, channel_code, wave_code, time_cell_code, sector_code)
    WINDOW
        anywhere AS (PARTITION BY person, of_one_measure ORDER BY first_day),
        here AS (PARTITION BY person, of_one_channel ORDER BY first_day)
),
-- what a respondent holds in one organisation, and the squares of the single answers
held AS (
    SELECT
        domain, unit, unit >> 32 AS person, unit & 4294967295 AS organisation, any_value(is_of_several) AS is_of_several,
        sum(n)::BIGINT AS n, sum(w)::BIGINT AS w, sum(t)::BIGINT AS t,
        sum(ww)::HUGEINT AS ww, sum(wt)::HUGEINT AS wt, sum(tt)::HUGEINT AS tt
    FROM numbered
    JOIN member USING (kind)
    WHERE n > 1
        OR CASE WHEN of_channel THEN before_here ELSE before END >= member.first_day
        OR CASE WHEN of_channel THEN after_here ELSE after END <= member.last_day
    GROUP BY domain, unit
),
own AS (
    SELECT
        domain, organisation, sum(n) - count(*) AS n_surplus,
        sum(w::HUGEINT * w - ww) AS ww, sum(w::HUGEINT * t - wt) AS wt, sum(t::HUGEINT * t - tt) AS tt,
        max(w) AS most_w, min(t / w) AS least_y, max(t / w) AS most_y
    FROM held
    GROUP BY ALL
),
-- the domains in which an organisation is shown, by the one in which it was reckoned; a domain that it is shown in is
-- known by the place (all but the sector) and the sector, and so by its number
place AS (
    SELECT
        domain.*, dense_rank() OVER (ORDER BY monitor_code, period_code, audience_code, channel_code, measure_code) AS place
    FROM domain
),
target AS MATERIALIZED (
    SELECT place.place << 16 | sector.sector AS seat, key.domain, key.w, key.t
    FROM (
        SELECT DISTINCT
            monitor_code, period_code, audience_code, measure_code, place,
            unnest(CASE WHEN has_one_channel THEN [channel_code, 'all'] ELSE [channel_code] END) AS channel_code
        FROM place
    ) AS place
    JOIN estimate.domain_key AS key USING (monitor_code, period_code, audience_code, measure_code, channel_code)
    JOIN sector USING (sector_code)
),
shown AS MATERIALIZED (
    SELECT own.*, place.place << 16 | sector.sector AS seat
    FROM own
    JOIN place USING (domain)
    LEFT JOIN one_sector
        ON (one_sector.monitor_code, one_sector.audience_code, one_sector.organisation)
        = (place.monitor_code, place.audience_code, own.organisation)
        AND place.sector_code = ''
    LEFT JOIN core.bridge_sector AS bridge ON bridge.sector_code = one_sector.sector_code
    JOIN sector ON sector.sector_code = coalesce(bridge.ancestor_code, place.sector_code)
),
-- what is known of an organisation in a domain. Two numbers as one: there is one order only in which it can be joined
part AS MATERIALIZED (
    SELECT s.domain::BIGINT << 32 | organisation.organisation AS unit, s.n_answers, s.sum_w, s.sum_wy
    FROM estimate.organisation_sum AS s
    JOIN organisation ON organisation.organisation_code = coalesce(s.organisation_code, '')
),
-- R and W of the domain; of the organisation there its mean z_ki, and what no |e_ki| exceeds
centre AS MATERIALIZED (
    SELECT
        shown.domain, shown.organisation, seat, target.w::DOUBLE AS w,
        target.t::DOUBLE / w AS r, part.n_answers - shown.n_surplus AS n,
        CASE WHEN n > 1 THEN (part.sum_wy - r * part.sum_w) / n ELSE 0 END AS mean,
        CASE WHEN n > 1 THEN sqrt(n / (n - 1.0)) ELSE 1 END AS scale,
        max(
            1e-9 + scale * (shown.most_w * greatest(abs(shown.most_y - r), abs(shown.least_y - r)) + abs(mean))
        ) OVER (PARTITION BY seat) AS most,
        scale / most * 281474976710656 AS of_t, -r * of_t AS of_w, -mean * of_t AS of_all
    FROM shown
    JOIN (SELECT seat, min(domain) AS domain, any_value(w) AS w, any_value(t) AS t FROM target GROUP BY seat) AS target
        USING (seat)
    JOIN part ON part.unit = target.domain::BIGINT << 32 | shown.organisation
),
-- and beside that, in other organisations; e_ki in whole parts of `most`, so that sums are exact
held_of_several AS (
    SELECT
        centre.seat AS domain, held.person, held.organisation, held.w, held.t,
        round(held.t * of_t + held.w * of_w + of_all)::BIGINT AS e
    FROM held
    JOIN centre USING (domain, organisation)
    WHERE held.is_of_several
),
held_anywhere AS (
    SELECT
        domain, person, min(organisation) AS first, sum(w)::BIGINT AS w, sum(t)::BIGINT AS t, sum(e)::BIGINT AS e
    FROM held_of_several
    GROUP BY domain, person
    HAVING count(*) > 1
),
beside AS (
    SELECT
        held.domain, held.organisation, count(*) FILTER (held.organisation > everywhere.first) AS n_elsewhere,
        sum(held.w::HUGEINT * (everywhere.w - held.w)) AS ww, sum(held.w::HUGEINT * (everywhere.t - held.t)) AS wt,
        sum(held.t::HUGEINT * (everywhere.t - held.t)) AS tt, sum(held.e::HUGEINT * (everywhere.e - held.e)) AS ee
    FROM held_of_several AS held
    JOIN held_anywhere AS everywhere USING (domain, person)
    GROUP BY ALL
)
SELECT
    target.domain, nullif(organisation_code, '') AS organisation_code, n_surplus, coalesce(n_elsewhere, 0) AS n_elsewhere,
    shown.ww AS own_ww, shown.wt AS own_wt, shown.tt AS own_tt,
    coalesce(beside.ww, 0) AS cross_ww, coalesce(beside.wt, 0) AS cross_wt, coalesce(beside.tt, 0) AS cross_tt,
    coalesce(beside.ee::DOUBLE * (centre.most / centre.w / 281474976710656) ** 2, 0) AS cross_participants
FROM shown
JOIN target USING (seat)
LEFT JOIN centre ON centre.seat << 24 | centre.organisation = shown.seat << 24 | shown.organisation
LEFT JOIN beside ON beside.domain << 24 | beside.organisation = shown.seat << 24 | shown.organisation
JOIN organisation ON organisation.organisation = shown.organisation
WHERE n_surplus > 0 OR n_elsewhere > 0 OR beside.ww IS NOT NULL
