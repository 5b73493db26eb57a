-- The sample of organisations: who gave at least one valid answer in a monitor, audience and period, whatever
-- the question. Every estimate of that period has this design, also where a domain holds only some of them.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, organisation_code
-- @column monitor_code      VARCHAR | Monitor.
-- @column period_code       VARCHAR | Period.
-- @column audience_code     VARCHAR | Who answered.
-- @column organisation_code VARCHAR | Organisation; NULL for the answers that name none.
-- @column stratum_code      VARCHAR | Its stratum at the end of the period; all where the contract declares none.
-- @column n_stratum         BIGINT  | m_h: organisations of that stratum in the sample.
-- @column sampled_share     DOUBLE  | f_h: m_h as a share of those it was drawn from; 0 where the contract does not say.
-- @check  has_stratum: stratum_code IS NOT NULL | every organisation of a stratified sample has a stratum at the end of the period; see valid_from in reference/organisations.csv
-- @check  drawn_from: sampled_share <= 1 | no stratum has more organisations than it was drawn from; see sampled_from in the contract

WITH frame AS (
    SELECT monitor_code, audience_code, max(strata) AS strata
    FROM core.dim_source
    WHERE sampling_unit = 'organisation'
    GROUP BY monitor_code, audience_code
),
member AS (
    SELECT DISTINCT
        seen.monitor_code, place.period_code, seen.audience_code, seen.organisation_code,
        CASE frame.strata
            WHEN 'sector' THEN organisation.sector_code
            WHEN 'size_class' THEN organisation.size_class
            ELSE 'all'
        END AS stratum_code
    FROM (
        SELECT DISTINCT
            monitor_code, audience_code, coalesce(wave_code, '') AS wave_code, time_cell_code, organisation_code
        FROM estimate.organisation_moment
        WHERE n_answers > 0
    ) AS seen
    JOIN frame USING (monitor_code, audience_code)
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, wave_code, time_cell_code)
    JOIN core.dim_period AS period USING (period_code)
    LEFT JOIN core.dim_organisation AS organisation
        ON frame.strata IS NOT NULL
        AND organisation.organisation_code = seen.organisation_code
        AND organisation.valid_from <= period.period_end
        AND (organisation.valid_before IS NULL OR organisation.valid_before > period.period_end)
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY monitor_code, period_code, audience_code, stratum_code) AS n_stratum
    FROM member
)
SELECT
    monitor_code, period_code, audience_code, organisation_code, stratum_code, n_stratum,
    coalesce(n_stratum / sampled.organisations::DOUBLE, 0) AS sampled_share
FROM counted
LEFT JOIN reference.sampled_from AS sampled USING (monitor_code, audience_code, stratum_code)
