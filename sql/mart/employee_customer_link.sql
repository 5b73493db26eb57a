-- Whether organisations with better graded employers are better graded by their customers: correlations over
-- organisations of an employee measure with a customer measure. Pairs are declared in reference/links.csv. One
-- organisation is one point; an association is no proof that a change of one brings a change of the other.
--
-- Only organisations with at least 10 respondents on both sides count; below 20 organisations nothing is estimated.
-- Fisher intervals: tanh(atanh r +- 1.96 s) with s = 1 / sqrt(N - 3); within sectors s = 1 / sqrt(df - 1).
--
-- @grain  monitor_code, period_code, link_code
-- @column monitor_code           VARCHAR | Monitor.
-- @column period_code            VARCHAR | Period: a year, year to date or wave.
-- @column link_code              VARCHAR | Pair of measures.
-- @column employee_audience_code VARCHAR | Audience of the employee measure.
-- @column employee_measure_code  VARCHAR | Employee measure, its mean, share or net promoter score per organisation, over all channels.
-- @column customer_audience_code VARCHAR | Audience of the customer measure.
-- @column customer_measure_code  VARCHAR | Customer measure, its mean, share or net promoter score per organisation.
-- @column customer_channel_code  VARCHAR | Channel of the customer measure; all: every channel pooled.
-- @column period_type            VARCHAR | year, ytd or wave.
-- @column period_start           DATE    | First day of the period.
-- @column period_end             DATE    | Last day of the period.
-- @column n_organisations        BIGINT  | N: organisations with at least 10 respondents on both sides.
-- @column n_organisations_small  BIGINT  | Organisations with answers on both sides that were left out for want of respondents.
-- @column r                      DOUBLE  | Pearson correlation of the two values over organisations, each counted once.
-- @column ci_low                 DOUBLE  | Lower end of the 95 % interval of r (Fisher).
-- @column ci_high                DOUBLE  | Upper end of the 95 % interval of r (Fisher).
-- @column spearman_r             DOUBLE  | Spearman correlation: Pearson correlation of the ranks, ties at their mean rank.
-- @column n_sectors              BIGINT  | Sectors of those organisations at the end of the period, none part of another.
-- @column within_sector_r        DOUBLE  | Partial correlation within sectors: of the deviations from the sector's mean. r pools sectors, which may differ in both values.
-- @column within_sector_df       BIGINT  | Degrees of freedom of within_sector_r: N - 2 - (sectors - 1).
-- @column within_sector_ci_low   DOUBLE  | Lower end of the 95 % interval of within_sector_r (Fisher).
-- @column within_sector_ci_high  DOUBLE  | Upper end of the 95 % interval of within_sector_r (Fisher).
-- @column employee_reliability   DOUBLE  | Reliability of the employee values: 1 - mean(se_i^2) / var(values), se_i the error of an organisation's value with its respondents as clusters.
-- @column customer_reliability   DOUBLE  | Reliability of the customer values, likewise.
-- @column disattenuated_r        DOUBLE  | r corrected for unreliability: r / sqrt(employee_reliability * customer_reliability). Not an observed correlation, without interval, and may exceed 1; NULL where a reliability is 0 or less.
-- @column reason                 VARCHAR | Why estimates are missing: too_few_organisations (below 20) or no_variation (one side has the same value everywhere). NULL where r is estimated.
-- @column provenance             VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @column note                   VARCHAR | What a reader must know before quoting the row; on synthetic rows, that they describe the generator.
-- @references employee_measure_code core.dim_measure
-- @references customer_measure_code core.dim_measure
-- @references customer_channel_code core.dim_channel
-- @check  reasoned: (r IS NULL) = (reason IS NOT NULL) | a correlation stands there, or the reason why not
-- @check  enough: r IS NULL OR n_organisations >= 20 | nothing is estimated from fewer than 20 organisations
-- @check  within_one: abs(coalesce(r, 0)) <= 1 AND abs(coalesce(spearman_r, 0)) <= 1 AND abs(coalesce(within_sector_r, 0)) <= 1 | correlations lie between -1 and 1

WITH provenance AS (
    SELECT monitor_code, audience_code, bool_or(provenance = 'synthetic') AS is_synthetic
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
),
-- the value of every organisation and the square of its error, each in steps of the measure
organisation AS (
    SELECT
        monitor_code, period_code, audience_code, measure_code, channel_code, organisation_code, n_respondents,
        sum_wy::DOUBLE / sum_w::DOUBLE AS y,
        CASE
            WHEN n_respondents > 1
            THEN n_respondents / (n_respondents - 1.0) * greatest(
                sum_tt::DOUBLE - 2 * (sum_wy::DOUBLE / sum_w::DOUBLE) * sum_wt::DOUBLE
                + (sum_wy::DOUBLE / sum_w::DOUBLE) ** 2 * sum_ww::DOUBLE, 0
            ) / sum_w::DOUBLE / sum_w::DOUBLE
        END AS v
    FROM estimate.domain_organisation AS part
    JOIN estimate.domain_key AS key ON key.same_as = part.domain
    JOIN core.dim_period USING (period_code)
    WHERE sector_code = 'all' AND organisation_code IS NOT NULL AND period_type IN ('year', 'ytd', 'wave')
),
matched AS (
    SELECT
        link.link_code, link.monitor_code, employee.period_code, organisation_code,
        employee.y AS x, employee.v AS v_x, customer.y AS y, customer.v AS v_y,
        employee.n_respondents >= 10 AND customer.n_respondents >= 10 AS is_enough
    FROM reference.links AS link
    JOIN organisation AS employee
        ON employee.monitor_code = link.monitor_code AND employee.audience_code = link.employee_audience
        AND employee.measure_code = link.employee_measure AND employee.channel_code = 'all'
    JOIN organisation AS customer USING (organisation_code)
    WHERE customer.monitor_code = link.monitor_code AND customer.audience_code = link.customer_audience
      AND customer.measure_code = link.customer_measure AND customer.channel_code = link.customer_channel
      AND customer.period_code = employee.period_code
),
ranked AS (
    SELECT
        matched.*, coalesce(place.sector_code, 'not_applicable') AS sector_code,
        rank() OVER (PARTITION BY link_code, matched.period_code ORDER BY x)
            + (count(*) OVER (PARTITION BY link_code, matched.period_code, x) - 1) / 2.0 AS rank_x,
        rank() OVER (PARTITION BY link_code, matched.period_code ORDER BY y)
            + (count(*) OVER (PARTITION BY link_code, matched.period_code, y) - 1) / 2.0 AS rank_y
    FROM matched
    JOIN core.dim_period AS period USING (period_code)
    LEFT JOIN core.dim_organisation AS place
        ON place.organisation_code = matched.organisation_code
        AND place.valid_from <= period.period_end
        AND (place.valid_before IS NULL OR place.valid_before > period.period_end)
    WHERE is_enough
),
by_sector AS (
    SELECT
        link_code, period_code, sector_code, count(*) AS n,
        sum(x ORDER BY organisation_code) / count(*) AS mean_x, sum(y ORDER BY organisation_code) / count(*) AS mean_y
    FROM ranked
    GROUP BY ALL
),
mean AS (
    SELECT
        link_code, period_code, count(*) AS n_sectors,
        sum(n * mean_x ORDER BY sector_code) / sum(n) AS mean_x, sum(n * mean_y ORDER BY sector_code) / sum(n) AS mean_y
    FROM by_sector
    GROUP BY ALL
),
centred AS (
    SELECT
        ranked.*, mean.n_sectors,
        x - mean.mean_x AS dx, y - mean.mean_y AS dy, x - by_sector.mean_x AS sx, y - by_sector.mean_y AS sy,
        rank_x - (count(*) OVER (PARTITION BY link_code, period_code) + 1) / 2.0 AS rx,
        rank_y - (count(*) OVER (PARTITION BY link_code, period_code) + 1) / 2.0 AS ry
    FROM ranked
    JOIN mean USING (link_code, period_code)
    JOIN by_sector USING (link_code, period_code, sector_code)
),
summed AS (
    SELECT
        link_code, period_code, count(*) AS n, any_value(n_sectors) AS n_sectors,
        sum(dx * dx ORDER BY organisation_code) AS xx, sum(dy * dy ORDER BY organisation_code) AS yy,
        sum(dx * dy ORDER BY organisation_code) AS xy,
        sum(sx * sx ORDER BY organisation_code) AS sxx, sum(sy * sy ORDER BY organisation_code) AS syy,
        sum(sx * sy ORDER BY organisation_code) AS sxy,
        sum(rx * rx ORDER BY organisation_code) AS rxx, sum(ry * ry ORDER BY organisation_code) AS ryy,
        sum(rx * ry ORDER BY organisation_code) AS rxy,
        min(x) < max(x) AND min(y) < max(y) AS varies,
        sum(v_x ORDER BY organisation_code) / count(*) AS v_x, sum(v_y ORDER BY organisation_code) / count(*) AS v_y
    FROM centred
    GROUP BY ALL
),
correlated AS (
    SELECT
        link_code, period_code,
        n, n_sectors, n - 2 - (n_sectors - 1) AS df,
        -- rounding may carry a perfect correlation past 1; sectors without spread leave a residual of rounding only
        greatest(-1, least(1, xy / sqrt(xx * yy))) AS r,
        greatest(-1, least(1, rxy / sqrt(rxx * ryy))) AS spearman_r,
        CASE WHEN sxx > 1e-20 * xx AND syy > 1e-20 * yy THEN greatest(-1, least(1, sxy / sqrt(sxx * syy))) END AS within_r,
        1 - v_x / (xx / (n - 1)) AS rho_x, 1 - v_y / (yy / (n - 1)) AS rho_y
    FROM summed
    WHERE n >= 20 AND varies
),
present AS (
    SELECT
        link_code, period_code, monitor_code,
        count(*) FILTER (is_enough) AS n_organisations, count(*) FILTER (NOT is_enough) AS n_organisations_small
    FROM matched
    GROUP BY ALL
)
SELECT
    present.monitor_code, present.period_code, present.link_code,
    link.employee_audience AS employee_audience_code, link.employee_measure AS employee_measure_code,
    link.customer_audience AS customer_audience_code, link.customer_measure AS customer_measure_code,
    link.customer_channel AS customer_channel_code,
    period.period_type, period.period_start, period.period_end,
    present.n_organisations, present.n_organisations_small,
    c.r,
    CASE WHEN abs(c.r) < 1 THEN tanh(atanh(c.r) - normal_quantile(0.975) / sqrt(c.n - 3)) END AS ci_low,
    CASE WHEN abs(c.r) < 1 THEN tanh(atanh(c.r) + normal_quantile(0.975) / sqrt(c.n - 3)) END AS ci_high,
    c.spearman_r,
    c.n_sectors,
    CASE WHEN c.df > 0 THEN c.within_r END AS within_sector_r,
    CASE WHEN c.df > 0 AND c.within_r IS NOT NULL THEN c.df END AS within_sector_df,
    CASE WHEN c.df > 1 AND abs(c.within_r) < 1 THEN tanh(atanh(c.within_r) - normal_quantile(0.975) / sqrt(c.df - 1)) END AS within_sector_ci_low,
    CASE WHEN c.df > 1 AND abs(c.within_r) < 1 THEN tanh(atanh(c.within_r) + normal_quantile(0.975) / sqrt(c.df - 1)) END AS within_sector_ci_high,
    c.rho_x AS employee_reliability,
    c.rho_y AS customer_reliability,
    CASE WHEN c.rho_x > 0 AND c.rho_y > 0 THEN c.r / sqrt(c.rho_x * c.rho_y) END AS disattenuated_r,
    CASE
        WHEN c.r IS NOT NULL THEN NULL
        WHEN present.n_organisations < 20 THEN 'too_few_organisations'
        ELSE 'no_variation'
    END AS reason,
    CASE WHEN employees.is_synthetic OR customers.is_synthetic THEN 'synthetic' ELSE 'survey' END AS provenance,
    CASE
        WHEN employees.is_synthetic OR customers.is_synthetic
        THEN 'Invented answers: this describes the generator of the sample exports and no organisation.'
        ELSE 'An association over organisations; it does not say what changes what.'
    END AS note
FROM present
JOIN reference.links AS link USING (link_code)
JOIN core.dim_period AS period USING (period_code)
JOIN provenance AS employees ON employees.monitor_code = present.monitor_code AND employees.audience_code = link.employee_audience
JOIN provenance AS customers ON customers.monitor_code = present.monitor_code AND customers.audience_code = link.customer_audience
LEFT JOIN correlated AS c ON c.link_code = present.link_code AND c.period_code = present.period_code
