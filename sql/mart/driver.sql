-- How the answers to declared questions go together with an overall score: standardised coefficients of a weighted
-- regression of the outcome on all drivers of a set, beside the simple correlations. Sets are declared in
-- reference/drivers.csv. An association is no proof that a change of one brings a change of the other.
--
-- All variables on their native scale, standardised with their weighted mean and standard deviation (divisor: the sum
-- of weights), which the errors take as fixed. With R the correlations of the drivers and r those with the outcome:
-- beta = R^-1 r. Error: d_i = R^-1 sum_k w_k x_k e_k / W over the responses k of cluster i, then as for a mean:
-- V = sum_h (1 - f_h) m_h / (m_h - 1) sum (d_i - dbar_h)^2 over organisations, plus what respondents of several
-- organisations add as clusters; or g / (g - 1) sum d_k^2 where respondents were sampled. No correction for small
-- or uneven samples beyond that.
--
-- @grain  monitor_code, period_code, audience_code, driver_set_code, driver_measure_code, driver_channel_code
-- @column monitor_code              VARCHAR | Monitor.
-- @column period_code               VARCHAR | Period: a year or wave.
-- @column audience_code             VARCHAR | Who answered.
-- @column driver_set_code           VARCHAR | Driver set: one regression with its outcome and all its drivers.
-- @column driver_measure_code       VARCHAR | Measure of the driver.
-- @column driver_channel_code       VARCHAR | Channel of the driver; all: the channel that the response rated.
-- @column outcome_measure_code      VARCHAR | Measure of the outcome; the answers themselves, also of a recommendation question, not the net promoter score.
-- @column outcome_channel_code      VARCHAR | Channel of the outcome; all: the channel that the response rated.
-- @column period_type               VARCHAR | year or wave. Use one type at a time.
-- @column period_start              DATE    | First day of the period.
-- @column period_end                DATE    | Last day of the period.
-- @column beta                      DOUBLE  | Standardised coefficient in standard deviations: difference in the outcome that goes with one standard deviation of the driver, at equal values of the other drivers. NULL where reason says why.
-- @column se                        DOUBLE  | Standard error of beta, clustered by the sampling unit, the standardisation taken as fixed.
-- @column df                        BIGINT  | Degrees of freedom of se: clusters less strata less drivers.
-- @column ci_low                    DOUBLE  | Lower end of the 95 % interval: beta - t(df, 0.975) * se.
-- @column ci_high                   DOUBLE  | Upper end of the 95 % interval: beta + t(df, 0.975) * se.
-- @column p_value                   DOUBLE  | Two-sided p-value of beta = 0 by t = beta / se with df degrees of freedom.
-- @column r                         DOUBLE  | Weighted Pearson correlation of driver and outcome over the same responses, other drivers left aside.
-- @column vif                       DOUBLE  | Variance inflation factor: 1 / (1 - R^2) of this driver regressed on the other drivers of the set; 1 for a single driver.
-- @column r_squared                 DOUBLE  | Share of the weighted variance of the outcome that all drivers of the set account for together, 0 to 1.
-- @column n_responses               BIGINT  | Responses that answered the outcome and all drivers once; only these are in the estimates.
-- @column n_respondents             BIGINT  | Different respondents among them.
-- @column n_organisations           BIGINT  | Different organisations among them; NULL where the sampling unit is the respondent.
-- @column n_organisations_effective DOUBLE  | Organisations of equal size that would weigh as evenly: (sum W_i)^2 / sum W_i^2. NULL where the sampling unit is the respondent.
-- @column reason                    VARCHAR | Why estimates are missing: too_few_respondents (below 30), too_few_organisations (below 10, or no degree of freedom), no_variation (a variable has one value), collinear (a driver follows from the others: tolerance below 0.0001) or perfect_fit (no error can be known). NULL where none is.
-- @column obs_status                VARCHAR | u: low reliability, below 10 effective organisations; m: missing; else NULL.
-- @column sampling_unit             VARCHAR | What was sampled: organisation or respondent; the clusters of se.
-- @column provenance                VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @column note                      VARCHAR | What a reader must know before quoting the row; on synthetic rows, that they describe the generator.
-- @references driver_measure_code core.dim_measure
-- @references driver_channel_code core.dim_channel
-- @check  reasoned: (beta IS NULL) = (reason IS NOT NULL AND reason <> 'perfect_fit') | a coefficient stands there, or the reason why not
-- @check  finite: isfinite(coalesce(beta, 0)) AND isfinite(coalesce(se, 0)) AND isfinite(coalesce(vif, 0)) | no estimate is infinite or not a number
-- @check  within_one: abs(coalesce(r, 0)) <= 1 + 1e-9 AND coalesce(r_squared, 0) BETWEEN -1e-9 AND 1 + 1e-9 | correlations lie between -1 and 1

WITH frame AS (
    SELECT
        monitor_code, audience_code, max(sampling_unit) = 'organisation' AS by_organisation,
        CASE WHEN bool_or(provenance = 'synthetic') THEN 'synthetic' ELSE 'survey' END AS provenance
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
place AS (
    SELECT monitor_code, audience_code, time_cell_code, wave_code, period_code
    FROM estimate.time_cell_period
    JOIN core.dim_period USING (period_code)
    WHERE period_type IN ('year', 'wave')
),
placed AS (
    SELECT
        source.monitor_code, place.period_code, x.audience_code, x.driver_set_code,
        coalesce(x.organisation_code, '') AS organisation_code, x.variable_a, x.variable_b,
        sum(x.n_responses) AS n, sum(x.sum_wab)::HUGEINT AS s
    FROM cube.cross_product AS x
    JOIN core.dim_source AS source USING (source_code)
    JOIN place
        ON place.monitor_code = source.monitor_code AND place.audience_code = x.audience_code
            AND place.time_cell_code = x.time_cell_code
        AND place.wave_code = coalesce(x.wave_code, '')
    GROUP BY ALL
),
-- one regression each
fit AS (
    SELECT
        key.*, frame.by_organisation, frame.provenance, declared.outcome_measure, declared.outcome_channel,
        declared.outcome_measure || '/' || declared.outcome_channel AS outcome,
        row_number() OVER (ORDER BY monitor_code, period_code, audience_code, driver_set_code) AS fit
    FROM (SELECT DISTINCT monitor_code, period_code, audience_code, driver_set_code FROM placed) AS key
    JOIN frame USING (monitor_code, audience_code)
    JOIN (SELECT DISTINCT driver_set_code, outcome_measure, outcome_channel FROM reference.drivers) AS declared
        USING (driver_set_code)
),
numbered AS (
    SELECT fit, organisation_code, variable_a AS a, variable_b AS b, n, s
    FROM placed
    JOIN fit USING (monitor_code, period_code, audience_code, driver_set_code)
),
product AS (
    SELECT * FROM numbered
    UNION ALL
    SELECT fit, organisation_code, b, a, n, s FROM numbered WHERE a < b
),
total AS (
    SELECT
        fit, a, b, sum(n) AS n, sum(s)::HUGEINT AS s, count(*) AS n_organisations,
        sum(s::DOUBLE * s::DOUBLE ORDER BY organisation_code) AS ss
    FROM product
    GROUP BY fit, a, b
),
whole AS (
    SELECT fit, n AS n_responses, s AS w, n_organisations, s::DOUBLE * s::DOUBLE / ss AS n_effective
    FROM total WHERE a = '1' AND b = '1'
),
-- mean and standard deviation of each variable; the differences are exact before they are divided
covariance AS (
    SELECT
        pair.fit, pair.a, pair.b,
        (whole.w * pair.s - sum_a.s * sum_b.s)::DOUBLE / whole.w::DOUBLE / whole.w::DOUBLE AS c
    FROM total AS pair
    JOIN whole USING (fit)
    JOIN total AS sum_a ON sum_a.fit = pair.fit AND sum_a.a = pair.a AND sum_a.b = '1'
    JOIN total AS sum_b ON sum_b.fit = pair.fit AND sum_b.a = pair.b AND sum_b.b = '1'
    WHERE pair.a <> '1' AND pair.b <> '1'
),
scale AS (
    SELECT covariance.fit, covariance.a, total.s::DOUBLE / whole.w::DOUBLE AS mean, nullif(sqrt(c), 0) AS sd
    FROM covariance
    JOIN whole USING (fit)
    JOIN total ON total.fit = covariance.fit AND total.a = covariance.a AND total.b = '1'
    WHERE covariance.a = covariance.b
),
correlation AS (
    SELECT pair.fit, pair.a, pair.b, CASE WHEN pair.a = pair.b THEN 1 + 0 * one.sd ELSE pair.c / (one.sd * other.sd) END AS r
    FROM covariance AS pair
    JOIN scale AS one ON one.fit = pair.fit AND one.a = pair.a
    JOIN scale AS other ON other.fit = pair.fit AND other.a = pair.b
),
inverted AS (
    SELECT fit, list(DISTINCT a ORDER BY a) AS drivers, inverse_matrix(list(r ORDER BY a, b)) AS cells
    FROM correlation
    JOIN fit USING (fit)
    WHERE a <> outcome AND b <> outcome
    GROUP BY fit
),
inverse AS (
    SELECT fit, drivers[row] AS a, drivers[col] AS b, cells[(row - 1) * len(drivers) + col] AS v
    FROM (SELECT *, unnest(range(1, len(drivers) + 1)) AS row FROM inverted), LATERAL (SELECT unnest(range(1, len(drivers) + 1)) AS col)
),
coefficient AS (
    SELECT inverse.fit, inverse.a, sum(inverse.v * known.r ORDER BY inverse.b) AS beta, any_value(inverse.v) FILTER (inverse.a = inverse.b) AS vif
    FROM inverse
    JOIN fit USING (fit)
    JOIN correlation AS known ON known.fit = inverse.fit AND known.a = inverse.b AND known.b = fit.outcome
    GROUP BY inverse.fit, inverse.a
),
explained AS (
    SELECT coefficient.fit, count(*) AS n_drivers, sum(beta * r ORDER BY coefficient.a) AS r_squared
    FROM coefficient
    JOIN fit USING (fit)
    JOIN correlation ON correlation.fit = coefficient.fit AND correlation.a = coefficient.a AND correlation.b = fit.outcome
    GROUP BY coefficient.fit
),
-- the residual is the sum of g times the standardised variables: 1 for the outcome, -beta for a driver
variable AS (
    SELECT scale.*, CASE WHEN scale.a = fit.outcome THEN 1 ELSE -beta END AS g
    FROM scale
    JOIN fit USING (fit)
    LEFT JOIN coefficient ON coefficient.fit = scale.fit AND coefficient.a = scale.a
),
-- d_i of every organisation
own AS (SELECT fit, organisation_code, a, s::DOUBLE AS s FROM product WHERE b = '1'),
score AS (
    SELECT
        pair.fit, pair.organisation_code, pair.a,
        sum(
            other.g * (pair.s::DOUBLE - one.mean * own_b.s - other.mean * own_a.s + one.mean * other.mean * own_w.s)
            / (one.sd * other.sd) / whole.w::DOUBLE
            ORDER BY pair.b
        ) AS u
    FROM product AS pair
    JOIN whole USING (fit)
    JOIN variable AS one ON one.fit = pair.fit AND one.a = pair.a
    JOIN variable AS other ON other.fit = pair.fit AND other.a = pair.b
    JOIN own AS own_a ON own_a.fit = pair.fit AND own_a.organisation_code = pair.organisation_code AND own_a.a = pair.a
    JOIN own AS own_b ON own_b.fit = pair.fit AND own_b.organisation_code = pair.organisation_code AND own_b.a = pair.b
    JOIN own AS own_w ON own_w.fit = pair.fit AND own_w.organisation_code = pair.organisation_code AND own_w.a = '1'
    GROUP BY pair.fit, pair.organisation_code, pair.a
),
part AS (
    SELECT inverse.fit, inverse.a, score.organisation_code, sum(inverse.v * score.u ORDER BY inverse.b) AS d
    FROM inverse
    JOIN score ON score.fit = inverse.fit AND score.a = inverse.b
    GROUP BY inverse.fit, inverse.a, score.organisation_code
),
stratum AS (
    SELECT
        part.fit, part.a, design.stratum_code, any_value(design.n_stratum) AS m, any_value(design.sampled_share) AS f,
        sum(d ORDER BY organisation_code) AS sum_d, sum(d * d ORDER BY organisation_code) AS sum_dd
    FROM part
    JOIN fit USING (fit)
    JOIN (SELECT * REPLACE (coalesce(organisation_code, '') AS organisation_code) FROM estimate.design) AS design
        USING (monitor_code, period_code, audience_code, organisation_code)
    WHERE fit.by_organisation
    GROUP BY part.fit, part.a, design.stratum_code
),
spread AS (
    SELECT
        fit, a, count(*) AS n_strata,
        -- a stratum of one organisation is centred at 0, the mean of all d_i
        sum(
            (1 - f) * CASE WHEN m > 1 THEN m / (m - 1.0) * greatest(sum_dd - sum_d * sum_d / m, 0) ELSE sum_dd END
            ORDER BY stratum_code
        ) AS v_organisations
    FROM stratum
    GROUP BY fit, a
),
-- responses by themselves: of sampled respondents, and of respondents who came back
joint AS (
    SELECT
        fit.fit, fit.by_organisation, coalesce(x.organisation_code, '') AS organisation_code, x.respondent_id, x.answers,
        sum(x.n_responses) AS n, sum(x.sum_w)::DOUBLE AS w,
        (1000 * sum(x.sum_w2) + sum(x.sum_w2_rest))::DOUBLE AS w2
    FROM cube.joint_answer AS x
    JOIN core.dim_source AS source USING (source_code)
    JOIN place
        ON place.monitor_code = source.monitor_code AND place.audience_code = x.audience_code
            AND place.time_cell_code = x.time_cell_code
        AND place.wave_code = coalesce(x.wave_code, '')
    JOIN fit
        ON fit.monitor_code = source.monitor_code AND fit.period_code = place.period_code
            AND fit.audience_code = x.audience_code AND fit.driver_set_code = x.driver_set_code
    GROUP BY ALL
),
person AS (
    SELECT
        fit, respondent_id, sum(n) - 1 AS n_surplus,
        NOT by_organisation OR min(organisation_code) < max(organisation_code) AS is_cluster
    FROM joint
    WHERE respondent_id IS NOT NULL
    GROUP BY fit, by_organisation, respondent_id
),
surplus AS (SELECT fit, sum(n_surplus) AS n_surplus FROM person GROUP BY fit),
line AS (
    -- the residual as a sum over the answers in the alphabetical order of the variables
    SELECT fit, list(g / sd ORDER BY a) AS slope, sum(g * mean / sd ORDER BY a) AS intercept FROM variable GROUP BY fit
),
direction AS (
    -- the same for R^-1 x; it has no part of the outcome
    SELECT
        row.fit, row.a, list(coalesce(v, 0) / sd ORDER BY variable.a) AS slope,
        sum(coalesce(v, 0) * mean / sd ORDER BY variable.a) AS intercept
    FROM (SELECT DISTINCT fit, a FROM inverse WHERE v IS NOT NULL) AS row
    JOIN variable ON variable.fit = row.fit
    LEFT JOIN inverse ON inverse.fit = row.fit AND inverse.a = row.a AND inverse.b = variable.a
    GROUP BY row.fit, row.a
),
single AS (
    SELECT
        joint.fit, direction.a, joint.organisation_code, joint.respondent_id, joint.answers, joint.w, joint.w2,
        (list_dot_product(line.slope, x) - line.intercept) * (list_dot_product(direction.slope, x) - direction.intercept)
        / whole.w::DOUBLE AS d
    FROM (SELECT *, string_split(answers, ',')::DOUBLE[] AS x FROM joint) AS joint
    JOIN whole USING (fit)
    JOIN line USING (fit)
    JOIN direction ON direction.fit = joint.fit
    LEFT JOIN person ON person.fit = joint.fit AND person.respondent_id = joint.respondent_id
    WHERE coalesce(person.is_cluster, NOT joint.by_organisation)
),
-- in whole units (10^-24, squares 10^-32), whose sums need no order: there are many small groups
in_organisation AS (
    SELECT fit, a, respondent_id, organisation_code, sum((1e24 * w * d)::HUGEINT) AS d
    FROM single WHERE respondent_id IS NOT NULL
    GROUP BY fit, a, respondent_id, organisation_code
),
cluster AS (
    SELECT
        fit, a, respondent_id,
        (sum(d)::DOUBLE / 1e24) ** 2 AS dd, sum(((d::DOUBLE / 1e8) ** 2)::HUGEINT)::DOUBLE / 1e32 AS dd_within
    FROM in_organisation
    GROUP BY fit, a, respondent_id
),
come_back AS (
    SELECT fit, a, sum(dd ORDER BY respondent_id) AS sum_dd, sum(dd - dd_within ORDER BY respondent_id) AS v_shared
    FROM cluster GROUP BY fit, a
),
come_once AS (
    SELECT fit, a, sum(w2 * d * d ORDER BY organisation_code, answers) AS sum_dd
    FROM single WHERE respondent_id IS NULL
    GROUP BY fit, a
),
estimated AS (
    SELECT
        fit.*, declared.driver_measure, declared.driver_channel, whole.* EXCLUDE (fit, w),
        whole.n_responses - coalesce(surplus.n_surplus, 0) AS n_respondents,
        coefficient.beta, coefficient.vif, known.r, explained.r_squared,
        CASE
            WHEN fit.by_organisation THEN whole.n_organisations - spread.n_strata
            ELSE whole.n_responses - coalesce(surplus.n_surplus, 0) - 1
        END - explained.n_drivers AS df,
        CASE
            WHEN NOT fit.by_organisation
            THEN (coalesce(come_back.sum_dd, 0) + coalesce(come_once.sum_dd, 0))
                * (n_respondents / nullif(n_respondents - 1.0, 0))
            WHEN spread.v_organisations + coalesce(come_back.v_shared, 0) > 0
            THEN spread.v_organisations + coalesce(come_back.v_shared, 0)
            ELSE spread.v_organisations
        END AS v
    FROM fit
    JOIN reference.drivers AS declared USING (driver_set_code)
    JOIN whole USING (fit)
    JOIN explained USING (fit)
    JOIN coefficient ON coefficient.fit = fit.fit AND coefficient.a = declared.driver_measure || '/' || declared.driver_channel
    JOIN correlation AS known ON known.fit = fit.fit AND known.a = coefficient.a AND known.b = fit.outcome
    LEFT JOIN spread ON spread.fit = fit.fit AND spread.a = coefficient.a
    LEFT JOIN surplus ON surplus.fit = fit.fit
    LEFT JOIN come_back ON come_back.fit = fit.fit AND come_back.a = coefficient.a
    LEFT JOIN come_once ON come_once.fit = fit.fit AND come_once.a = coefficient.a
),
judged AS (
    SELECT
        *,
        CASE
            WHEN n_respondents < 30 THEN 'too_few_respondents'
            WHEN by_organisation AND (n_organisations < 10 OR df < 1) THEN 'too_few_organisations'
            WHEN df < 1 THEN 'too_few_respondents'
            WHEN bool_or(r IS NULL) OVER (PARTITION BY fit) THEN 'no_variation'
            WHEN beta IS NULL THEN 'collinear'
            WHEN r_squared > 1 - 1e-10 THEN 'perfect_fit'
        END AS reason
    FROM estimated
),
shown AS (
    SELECT
        * EXCLUDE (beta, vif, r, r_squared, v, df),
        coalesce(reason, 'perfect_fit') = 'perfect_fit' AS is_solved, reason IS NULL AS has_error,
        coalesce(reason, '') NOT IN ('too_few_respondents', 'too_few_organisations') AS is_enough,
        beta, vif, r, r_squared, sqrt(v) AS se, df
    FROM judged
)
SELECT
    shown.monitor_code, shown.period_code, shown.audience_code, shown.driver_set_code,
    shown.driver_measure AS driver_measure_code, shown.driver_channel AS driver_channel_code,
    shown.outcome_measure AS outcome_measure_code, shown.outcome_channel AS outcome_channel_code,
    period.period_type, period.period_start, period.period_end,
    CASE WHEN is_solved THEN beta END AS beta,
    CASE WHEN has_error THEN se END AS se,
    CASE WHEN has_error THEN df END AS df,
    CASE WHEN has_error THEN beta - t_quantile(0.975, df) * se END AS ci_low,
    CASE WHEN has_error THEN beta + t_quantile(0.975, df) * se END AS ci_high,
    CASE WHEN has_error THEN t_test(beta / nullif(se, 0), df) END AS p_value,
    CASE WHEN is_enough THEN r END AS r,
    CASE WHEN is_solved THEN vif END AS vif,
    CASE WHEN is_solved THEN r_squared END AS r_squared,
    n_responses, n_respondents,
    CASE WHEN by_organisation THEN n_organisations END AS n_organisations,
    CASE WHEN by_organisation THEN n_effective END AS n_organisations_effective,
    reason,
    CASE WHEN NOT is_solved THEN 'm' WHEN by_organisation AND n_effective < 10 THEN 'u' END AS obs_status,
    CASE WHEN by_organisation THEN 'organisation' ELSE 'respondent' END AS sampling_unit,
    provenance,
    CASE
        WHEN provenance = 'synthetic'
        THEN 'Invented answers: this describes the generator of the sample exports and no survey.'
        ELSE 'Associations within one survey; they do not say what changes what.'
    END AS note
FROM shown
JOIN core.dim_period AS period USING (period_code)
