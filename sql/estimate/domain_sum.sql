-- Every domain with the sums of its answers, from which its estimate gets its error, and so do differences of domains.
-- W and T as in estimate.domain_organisation; of a domain without valid answers sums are 0, and what is the largest,
-- lowest, highest or a mean is NULL. Products of two of them are summed over organisations, over respondents
-- within organisations, and over respondents.
--
-- @working
-- @grain  domain
-- @column domain          INTEGER | Number of the domain.
-- @columns estimate.domain_key except domain
-- @column n_organisations BIGINT  | Different organisations.
-- @column n_respondents   BIGINT  | Different respondents.
-- @column n_within        BIGINT  | Respondents counted once for every organisation that they rated.
-- @column organisation_ww DECIMAL(38,0) | Sum of W_i^2 over organisations.
-- @column organisation_wt DECIMAL(38,0) | Sum of W_i T_i.
-- @column organisation_tt DECIMAL(38,0) | Sum of T_i^2.
-- @column within_ww       DECIMAL(38,0) | Sum of W_ki^2 over respondents within organisations.
-- @column within_wt       DECIMAL(38,0) | Sum of W_ki T_ki.
-- @column within_tt       DECIMAL(38,0) | Sum of T_ki^2.
-- @column person_ww       DECIMAL(38,0) | Sum of W_k^2 over respondents.
-- @column person_wt       DECIMAL(38,0) | Sum of W_k T_k.
-- @column person_tt       DECIMAL(38,0) | Sum of T_k^2.
-- @column cross_participants DOUBLE | Sum over respondents of what they hold in two organisations, each less its mean: see estimate.repeat_organisation.
-- @column largest_w       BIGINT  | W of the largest organisation.
-- @column least_r         DOUBLE  | Lowest R_i = T_i / W_i of an organisation.
-- @column most_r          DOUBLE  | Highest R_i.
-- @column mean_r          DOUBLE  | Mean of R_i, every organisation counting once.

WITH of_organisations AS (
    SELECT
        domain, count(*) AS n_organisations, sum(n_respondents) AS n_within,
        sum(sum_w::HUGEINT * sum_w) AS organisation_ww, sum(sum_w::HUGEINT * sum_wy) AS organisation_wt,
        sum(sum_wy::HUGEINT * sum_wy) AS organisation_tt,
        sum(sum_ww) AS within_ww, sum(sum_wt) AS within_wt, sum(sum_tt) AS within_tt,
        max(sum_w) AS largest_w, min(sum_wy / sum_w) AS least_r, max(sum_wy / sum_w) AS most_r,
        exact_sum(sum_wy / sum_w, 1024) / count(*) AS mean_r
    FROM estimate.domain_organisation
    GROUP BY domain
),
of_several AS (
    SELECT domain, sum(n_elsewhere) AS n_elsewhere, sum(cross_ww) AS ww, sum(cross_wt) AS wt, sum(cross_tt) AS tt,
        exact_sum(cross_participants, 1048576) AS participants
    FROM estimate.repeat_organisation
    GROUP BY domain
)
SELECT
    key.*, coalesce(o.n_organisations, 0) AS n_organisations,
    coalesce(n_within - coalesce(n_elsewhere, 0), 0) AS n_respondents, coalesce(n_within, 0) AS n_within,
    coalesce(organisation_ww, 0) AS organisation_ww, coalesce(organisation_wt, 0) AS organisation_wt,
    coalesce(organisation_tt, 0) AS organisation_tt,
    coalesce(within_ww, 0) AS within_ww, coalesce(within_wt, 0) AS within_wt, coalesce(within_tt, 0) AS within_tt,
    coalesce(within_ww, 0) + coalesce(s.ww, 0) AS person_ww, coalesce(within_wt, 0) + coalesce(s.wt, 0) AS person_wt,
    coalesce(within_tt, 0) + coalesce(s.tt, 0) AS person_tt,
    coalesce(s.participants, 0) AS cross_participants,
    largest_w, least_r, most_r, mean_r
FROM estimate.domain_key AS key
LEFT JOIN of_organisations AS o ON o.domain = key.same_as
LEFT JOIN of_several AS s ON s.domain = key.same_as
