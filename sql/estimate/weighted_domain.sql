-- Every estimate of a weighted sample with the weights that meet the margins of reference/population.csv, and its error.
--
-- R = sum w* y / sum w*, with w* = f_c w in cell c. The error replaces the score by its residual on the margins: for a
-- domain D the variable u = (y - R) inside D and 0 outside is regressed over the whole sample on the levels of the
-- margins, with base weights, and e = u less the fit of its cell. Then z_i = sum w* e / sum_D w* per organisation i
-- and V = sum_h (1 - f_h) m_h / (m_h - 1) sum (z_i - mean z)^2 as in estimate.domain. Where respondents were sampled
-- the same per respondent, over all who answered the measure.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @column monitor_code     VARCHAR | Monitor.
-- @column period_code      VARCHAR | Period that is weighted.
-- @column audience_code    VARCHAR | Who answered.
-- @column sector_code      VARCHAR | Sector at any level of the tree.
-- @column channel_code     VARCHAR | Channel rated, or all.
-- @column measure_code     VARCHAR | Measure.
-- @column weighting_code   VARCHAR | Weighting in reference/population.csv.
-- @column value_weighted   DOUBLE  | The estimate with weights that meet the margins of the population.
-- @column se_weighted      DOUBLE  | Standard error of value_weighted for the declared sampling unit, from residuals on the margins. NULL with fewer than two units.
-- @column df_weighted      BIGINT  | Degrees of freedom of se_weighted.
-- @column ci_low_weighted  DOUBLE  | Lower end of the 95 % interval of value_weighted; logit or Wilson for a share.
-- @column ci_high_weighted DOUBLE  | Upper end of the 95 % interval of value_weighted.
-- @column n_effective_weighted DOUBLE | Units of equal weight that would weigh as evenly: (sum W*_i)^2 / sum W*_i^2 over organisations, with the weights that meet the margins; over answers where respondents were sampled.
-- @column obs_status_weighted VARCHAR | u: low reliability of value_weighted, n_effective_weighted below ten organisations or thirty answers; NULL: not.
-- @check  within_interval: ci_low_weighted IS NULL OR (ci_low_weighted <= value_weighted AND value_weighted <= ci_high_weighted) | the estimate lies in its interval
-- @check  finite: isfinite(value_weighted) AND isfinite(coalesce(se_weighted, 0)) | no estimate is infinite or not a number

WITH sample AS (
    SELECT *, row_number() OVER () AS sample
    FROM (SELECT DISTINCT weighting_code, monitor_code, audience_code, period_code, measure_code FROM estimate.weighting_cell)
),
cell AS (
    SELECT sample.sample, cell.cell_code, cell.base_weight, cell.factor
    FROM estimate.weighting_cell AS cell
    JOIN sample USING (weighting_code, monitor_code, audience_code, period_code, measure_code)
),
held AS (
    -- f: what turns a weight in millionths into one that meets the margins; g: into a base weight
    SELECT
        sample.sample, s.organisation_code, s.sector_code, s.channel_code, s.cell_code,
        cell.factor * s.base_scale AS f, s.base_scale AS g,
        sum(s.sum_w) AS sum_w, sum(s.sum_wy) AS sum_wy,
        sum(s.sum_w2) AS sum_w2, sum(s.sum_w2y) AS sum_w2y, sum(s.sum_w2yy) AS sum_w2yy
    FROM estimate.weighting_sample AS s
    JOIN sample USING (weighting_code, monitor_code, audience_code, period_code, measure_code)
    JOIN cell USING (sample, cell_code)
    GROUP BY ALL
),
organisation_cell AS (
    SELECT
        sample, organisation_code, cell_code, any_value(f) AS f, any_value(g) AS g,
        sum(sum_w)::DOUBLE AS w, sum(sum_w2)::DOUBLE AS w2
    FROM held
    GROUP BY ALL
),
kind AS (SELECT DISTINCT sample, sector_code, channel_code FROM held),
placed AS (
    SELECT
        kind.*, bridge.ancestor_code, unnest(
            CASE kind.channel_code WHEN 'all' THEN ['all'] ELSE [kind.channel_code, 'all'] END
        ) AS in_channel
    FROM kind
    JOIN core.bridge_sector AS bridge USING (sector_code)
),
domain AS (
    SELECT *, row_number() OVER () AS domain
    FROM (SELECT DISTINCT sample, ancestor_code, in_channel FROM placed)
),
member AS (
    SELECT placed.sample, placed.sector_code, placed.channel_code, domain.domain
    FROM placed
    JOIN domain USING (sample, ancestor_code, in_channel)
),
inside AS (
    SELECT
        member.domain, held.sample, held.organisation_code, held.cell_code, any_value(held.f) AS f, any_value(held.g) AS g,
        sum(held.sum_w)::DOUBLE AS w, sum(held.sum_wy)::DOUBLE AS t,
        sum(held.sum_w) AS exact_w, sum(held.sum_wy) AS exact_t,
        sum(held.sum_w2)::DOUBLE AS w2, sum(held.sum_w2y)::DOUBLE AS w2y, sum(held.sum_w2yy)::DOUBLE AS w2yy
    FROM held
    JOIN member USING (sample, sector_code, channel_code)
    GROUP BY ALL
),
total AS (
    -- c: the whole score next to R without weighting. R is c and what weighting adds, so that answers that are all alike
    -- have just their score: a share of 100 stays 100
    SELECT
        domain, sample, w, c + t / w AS r, w * w / w2 AS n_kish
    FROM (
        SELECT
            domain, sample, c,
            sum(f * w ORDER BY organisation_code, cell_code) AS w,
            sum(f * (t - c * w) ORDER BY organisation_code, cell_code) AS t,
            sum(f * f * w2 ORDER BY organisation_code, cell_code) AS w2
        FROM (
            SELECT *, round((sum(exact_t) OVER of_domain)::DOUBLE / (sum(exact_w) OVER of_domain)::DOUBLE) AS c
            FROM inside
            WINDOW of_domain AS (PARTITION BY domain)
        )
        GROUP BY ALL
    )
),
-- organisations that would weigh as evenly
effective AS (
    SELECT domain, sum(w ORDER BY organisation_code) ** 2 / sum(w * w ORDER BY organisation_code) AS n_organisations
    FROM (
        SELECT domain, organisation_code, sum(f * w ORDER BY cell_code) AS w
        FROM inside
        GROUP BY domain, organisation_code
    )
    GROUP BY domain
),
deviation AS (
    SELECT inside.domain, inside.cell_code, sum(g * (t - r * inside.w) ORDER BY organisation_code) AS wu
    FROM inside
    JOIN total USING (domain)
    GROUP BY ALL
),
fitted AS MATERIALIZED (
    SELECT
        total.domain, list(cell.cell_code ORDER BY cell.cell_code) AS cells,
        calibration_fit(
            list({'levels': string_split(cell.cell_code, '|'), 'weight': cell.base_weight} ORDER BY cell.cell_code),
            list(coalesce(deviation.wu, 0) ORDER BY cell.cell_code)
        ) AS fits
    FROM total
    JOIN cell USING (sample)
    LEFT JOIN deviation ON deviation.domain = total.domain AND deviation.cell_code = cell.cell_code
    GROUP BY total.domain
),
fit AS (SELECT domain, unnest(cells) AS cell_code, unnest(fits) AS fit FROM fitted),
-- of every organisation and cell of the sample, in the domain or not
residual AS (
    SELECT
        total.domain, total.sample, all_.organisation_code, all_.cell_code, all_.f, fit.fit, total.r,
        all_.f * (coalesce(inside.t - total.r * inside.w, 0) - fit.fit * all_.w) / total.w AS z,
        all_.f * all_.f * greatest(
            coalesce(
                inside.w2yy - 2 * (total.r + fit.fit) * inside.w2y + (total.r + fit.fit) ** 2 * inside.w2
                - fit.fit ** 2 * inside.w2, 0
            ) + fit.fit ** 2 * all_.w2, 0
        ) / total.w / total.w AS s
    FROM total
    JOIN organisation_cell AS all_ USING (sample)
    JOIN fit ON fit.domain = total.domain AND fit.cell_code = all_.cell_code
    LEFT JOIN inside
        ON inside.domain = total.domain AND inside.cell_code = all_.cell_code
        AND coalesce(inside.organisation_code, '') = coalesce(all_.organisation_code, '')
),
frame AS (
    SELECT
        sample.*, source.sampling_unit,
        CASE measure.statistic WHEN 'mean' THEN pow(10, measure.decimals) ELSE 1 END AS step, measure.statistic
    FROM sample
    JOIN (SELECT monitor_code, audience_code, max(sampling_unit) AS sampling_unit FROM core.dim_source GROUP BY ALL) AS source
        USING (monitor_code, audience_code)
    JOIN core.dim_measure AS measure USING (measure_code)
),
-- organisations as clusters
by_organisation AS (
    SELECT domain, sample, organisation_code, sum(z ORDER BY cell_code) AS z FROM residual GROUP BY ALL
),
stratum AS (
    SELECT
        part.domain, design.stratum_code, any_value(design.n_stratum) AS m, any_value(design.sampled_share) AS f,
        sum(part.z ORDER BY part.organisation_code) AS sum_z, sum(part.z * part.z ORDER BY part.organisation_code) AS sum_zz,
        count(inside.organisation_code) AS n_inside
    FROM by_organisation AS part
    JOIN frame USING (sample)
    JOIN estimate.design AS design
        ON design.monitor_code = frame.monitor_code AND design.period_code = frame.period_code
            AND design.audience_code = frame.audience_code AND design.organisation_code = part.organisation_code
    LEFT JOIN (SELECT DISTINCT domain, organisation_code FROM inside) AS inside
        ON inside.domain = part.domain AND inside.organisation_code = part.organisation_code
    WHERE frame.sampling_unit = 'organisation'
    GROUP BY part.domain, design.stratum_code
),
of_organisations AS (
    SELECT
        domain, sum(n_inside) AS n, count(*) FILTER (n_inside > 0) AS n_strata,
        sum(
            (1 - f) * CASE WHEN m > 1 THEN m / (m - 1.0) * greatest(sum_zz - sum_z * sum_z / m, 0) ELSE sum_zz END
            ORDER BY stratum_code
        ) AS v
    FROM stratum
    GROUP BY domain
),
-- respondents as clusters: the answers one by one, and what those change who gave several
several AS (
    SELECT
        sample.sample, a.organisation_code, a.sector_code, a.channel_code, a.cell_code,
        again.source_code || ' ' || again.respondent_id AS respondent,
        CASE measure.statistic
            WHEN 'nps' THEN CASE WHEN again.value >= 9 THEN 100 WHEN again.value >= 7 THEN 0 ELSE -100 END
            WHEN 'share' THEN 100 * again.value
            ELSE again.value
        END AS y,
        again.weight::DOUBLE AS w, sum(again.n) AS n
    FROM cube.repeat_answer AS again
    JOIN core.dim_measure AS measure USING (measure_code)
    JOIN estimate.weighting_sample AS a
        ON a.measure_code = again.measure_code AND a.source_code = again.source_code AND a.audience_code = again.audience_code
        AND a.time_cell_code = again.time_cell_code AND a.channel_code = again.channel_code
        AND coalesce(a.wave_code, '') = coalesce(again.wave_code, '')
        AND coalesce(a.organisation_code, '') = coalesce(again.organisation_code, '')
        AND coalesce(a.stated_sector_code, '') = coalesce(again.sector_code, '')
        AND coalesce(a.segment_code, '') = coalesce(again.segment_code, '')
    JOIN sample
        ON sample.weighting_code = a.weighting_code AND sample.monitor_code = a.monitor_code
            AND sample.audience_code = a.audience_code AND sample.period_code = a.period_code
            AND sample.measure_code = a.measure_code
    JOIN frame ON frame.sample = sample.sample AND frame.sampling_unit = 'respondent'
    GROUP BY ALL
),
single AS (
    SELECT
        residual.domain, several.respondent, several.sector_code, several.channel_code, residual.organisation_code,
        residual.cell_code, several.y, several.w, several.n,
        residual.f * several.w * (CASE WHEN member.domain IS NOT NULL THEN several.y - residual.r ELSE 0 END - residual.fit)
            / total.w AS z
    FROM (SELECT * FROM several QUALIFY sum(n) OVER (PARTITION BY sample, respondent) > 1) AS several
    JOIN residual
        ON residual.sample = several.sample AND residual.cell_code = several.cell_code
        AND coalesce(residual.organisation_code, '') = coalesce(several.organisation_code, '')
    JOIN total ON total.domain = residual.domain
    LEFT JOIN member
        ON member.domain = residual.domain AND member.sector_code = several.sector_code
        AND member.channel_code = several.channel_code
),
respondent AS (
    SELECT
        domain, respondent,
        sum(n * z ORDER BY organisation_code, cell_code, sector_code, channel_code, y, w) AS z,
        sum(n * z * z ORDER BY organisation_code, cell_code, sector_code, channel_code, y, w) AS zz
    FROM single
    GROUP BY domain, respondent
),
shared AS (SELECT domain, sum(z * z - zz ORDER BY respondent) AS s FROM respondent GROUP BY domain),
counted AS (
    SELECT *
    FROM estimate.domain_sum
    SEMI JOIN sample USING (monitor_code, period_code, audience_code, measure_code)
),
of_respondents AS (
    SELECT
        residual.domain,
        sum(residual.s ORDER BY residual.organisation_code, residual.cell_code) + coalesce(any_value(shared.s), 0) AS sum_zz,
        sum(residual.z ORDER BY residual.organisation_code, residual.cell_code) AS sum_z
    FROM residual
    JOIN frame USING (sample)
    LEFT JOIN shared USING (domain)
    WHERE frame.sampling_unit = 'respondent'
    GROUP BY residual.domain
),
estimated AS (
    SELECT
        frame.monitor_code, frame.period_code, frame.audience_code, domain.ancestor_code AS sector_code,
        domain.in_channel AS channel_code, frame.measure_code, frame.weighting_code, frame.statistic,
        total.r / frame.step AS value, total.n_kish, frame.sampling_unit = 'organisation' AS by_organisation,
        CASE frame.sampling_unit WHEN 'organisation' THEN effective.n_organisations ELSE total.n_kish END AS n_effective,
        sqrt(CASE
            WHEN organisations.n > organisations.n_strata THEN organisations.v
            WHEN mine.n_respondents > 1 AND respondents.domain IS NOT NULL
            THEN whole.n_respondents / (whole.n_respondents - 1.0)
                * greatest(respondents.sum_zz - respondents.sum_z * respondents.sum_z / whole.n_respondents, 0)
        END) / frame.step AS se,
        CASE
            WHEN organisations.n > organisations.n_strata THEN organisations.n - organisations.n_strata
            WHEN mine.n_respondents > 1 AND respondents.domain IS NOT NULL THEN mine.n_respondents - 1
        END AS df
    FROM total
    JOIN domain USING (domain)
    JOIN frame ON frame.sample = total.sample
    JOIN effective ON effective.domain = total.domain
    LEFT JOIN of_organisations AS organisations ON organisations.domain = total.domain
    LEFT JOIN of_respondents AS respondents ON respondents.domain = total.domain
    JOIN counted AS mine
        ON mine.monitor_code = frame.monitor_code AND mine.period_code = frame.period_code
            AND mine.audience_code = frame.audience_code AND mine.sector_code = domain.ancestor_code
            AND mine.channel_code = domain.in_channel AND mine.measure_code = frame.measure_code
    JOIN counted AS whole
        ON whole.monitor_code = frame.monitor_code AND whole.period_code = frame.period_code
            AND whole.audience_code = frame.audience_code AND whole.sector_code = 'all' AND whole.channel_code = 'all'
            AND whole.measure_code = frame.measure_code
)
SELECT
    monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, weighting_code,
    value AS value_weighted, se AS se_weighted, df AS df_weighted,
    CASE statistic
        WHEN 'share' THEN share_low(value, se, df, n_kish) ELSE value - t_quantile(0.975, df) * se
    END AS ci_low_weighted,
    CASE statistic
        WHEN 'share' THEN share_high(value, se, df, n_kish) ELSE value + t_quantile(0.975, df) * se
    END AS ci_high_weighted,
    n_effective AS n_effective_weighted,
    CASE WHEN n_effective < CASE WHEN by_organisation THEN 10 ELSE 30 END THEN 'u' END AS obs_status_weighted
FROM estimated
