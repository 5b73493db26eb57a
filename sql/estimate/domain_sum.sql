-- Every domain with a valid answer as a number, with the sums from which differences of domains get their errors.
-- W and T as in estimate.domain_organisation; products of two of them are summed over organisations, over respondents
-- within organisations, and over respondents.
--
-- @working
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
-- @column domain          BIGINT  | Number of the domain.
-- @column monitor_code    VARCHAR | Monitor.
-- @column period_code     VARCHAR | Period.
-- @column audience_code   VARCHAR | Who answered.
-- @column sector_code     VARCHAR | Sector at any level, or all.
-- @column channel_code    VARCHAR | Channel, or all.
-- @column measure_code    VARCHAR | Measure.
-- @column n_answers       BIGINT  | Valid answers.
-- @column n_organisations BIGINT  | Different organisations.
-- @column n_respondents   BIGINT  | Different respondents.
-- @column n_within        BIGINT  | Respondents counted once for every organisation that they rated.
-- @column w               DECIMAL(38,0) | W.
-- @column t               DECIMAL(38,0) | T.
-- @column organisation_ww DECIMAL(38,0) | Sum of W_i^2 over organisations.
-- @column organisation_wt DECIMAL(38,0) | Sum of W_i T_i.
-- @column organisation_tt DECIMAL(38,0) | Sum of T_i^2.
-- @column within_ww       DECIMAL(38,0) | Sum of W_ki^2 over respondents within organisations.
-- @column within_wt       DECIMAL(38,0) | Sum of W_ki T_ki.
-- @column within_tt       DECIMAL(38,0) | Sum of T_ki^2.
-- @column person_ww       DECIMAL(38,0) | Sum of W_k^2 over respondents.
-- @column person_wt       DECIMAL(38,0) | Sum of W_k T_k.
-- @column person_tt       DECIMAL(38,0) | Sum of T_k^2.

SELECT
    row_number() OVER (
        ORDER BY monitor_code, period_code, audience_code, sector_code, channel_code, measure_code
    ) AS domain, *
FROM (
    SELECT
        monitor_code, period_code, audience_code, sector_code, channel_code, measure_code,
        sum(n_answers) AS n_answers, count(*) AS n_organisations,
        sum(n_respondents) - sum(n_elsewhere) AS n_respondents, sum(n_respondents) AS n_within,
        sum(sum_w) AS w, sum(sum_wy) AS t,
        sum(sum_w::HUGEINT * sum_w::HUGEINT) AS organisation_ww,
        sum(sum_w::HUGEINT * sum_wy::HUGEINT) AS organisation_wt,
        sum(sum_wy::HUGEINT * sum_wy::HUGEINT) AS organisation_tt,
        sum(sum_ww) AS within_ww, sum(sum_wt) AS within_wt, sum(sum_tt) AS within_tt,
        sum(sum_ww + cross_ww) AS person_ww, sum(sum_wt + cross_wt) AS person_wt, sum(sum_tt + cross_tt) AS person_tt
    FROM estimate.domain_organisation
    WHERE sum_w > 0
    GROUP BY ALL
)
