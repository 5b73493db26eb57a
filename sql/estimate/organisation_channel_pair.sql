-- Respondents who rated an organisation over more than one channel: what their answers over two channels have
-- in common. The error of a mean that is weighted anew by channel needs it, because such a respondent is one
-- cluster. W_k and T_k as in estimate.domain_organisation, here of one channel; periods as in
-- mart.organisation_benchmark.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, organisation_code, measure_code, channel_code, other_channel_code
-- @column monitor_code       VARCHAR | Monitor.
-- @column period_code        VARCHAR | Period.
-- @column audience_code      VARCHAR | Who answered.
-- @column organisation_code  VARCHAR | Organisation rated.
-- @column measure_code       VARCHAR | Measure.
-- @column channel_code       VARCHAR | A channel.
-- @column other_channel_code VARCHAR | A channel that comes after it in the alphabet.
-- @column sum_ww             DECIMAL(38,0) | Sum of W_k of the one times W_k of the other channel, in units of 10^-12.
-- @column sum_wt             DECIMAL(38,0) | Sum of W_k of the one times T_k of the other.
-- @column sum_tw             DECIMAL(38,0) | Sum of T_k of the one times W_k of the other.
-- @column sum_tt             DECIMAL(38,0) | Sum of T_k of the one times T_k of the other.

WITH answer AS (
    SELECT
        source.monitor_code, a.audience_code, a.organisation_code, a.measure_code, a.channel_code,
        a.time_cell_code, coalesce(a.wave_code, '') AS wave_code, a.source_code, a.respondent_id,
        a.n * a.weight::HUGEINT AS w,
        a.n * a.weight::HUGEINT * CASE measure.statistic
            WHEN 'nps' THEN CASE WHEN a.value >= 9 THEN 100 WHEN a.value >= 7 THEN 0 ELSE -100 END
            WHEN 'share' THEN 100 * a.value
            ELSE a.value
        END AS t
    FROM cube.repeat_answer AS a
    JOIN core.dim_source AS source ON source.source_code = a.source_code AND source.sampling_unit = 'organisation'
    JOIN core.dim_measure AS measure USING (measure_code)
    WHERE a.channel_code <> 'not_applicable'
),
several AS (
    -- few respondents: numbered, for what follows multiplies their answers by periods
    SELECT source_code, respondent_id, organisation_code, audience_code, measure_code, row_number() OVER () AS person
    FROM answer
    GROUP BY ALL
    HAVING min(channel_code) < max(channel_code)
),
held AS (
    SELECT
        answer.monitor_code, place.period_code, answer.audience_code, answer.organisation_code, answer.measure_code,
        answer.channel_code, several.person, sum(answer.w)::HUGEINT AS w, sum(answer.t)::HUGEINT AS t
    FROM answer
    JOIN several USING (source_code, respondent_id, organisation_code, audience_code, measure_code)
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, time_cell_code, wave_code)
    JOIN core.dim_period AS period
        ON period.period_code = place.period_code AND period.period_type IN ('year', 'wave', 'quarter')
    GROUP BY ALL
)
SELECT
    one.monitor_code, one.period_code, one.audience_code, one.organisation_code, one.measure_code,
    one.channel_code, other.channel_code AS other_channel_code,
    sum(one.w * other.w) AS sum_ww, sum(one.w * other.t) AS sum_wt,
    sum(one.t * other.w) AS sum_tw, sum(one.t * other.t) AS sum_tt
FROM held AS one
JOIN held AS other
    ON other.person = one.person AND other.period_code = one.period_code AND other.channel_code > one.channel_code
GROUP BY ALL
