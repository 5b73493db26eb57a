-- Every domain with the sums of its answers, from which its estimate gets its error, and so do differences of domains.
-- W and T as in estimate.domain_organisation; products of two of them are summed over organisations, over respondents
-- within organisations, and over respondents.
--
-- @working
-- @grain  domain
-- @column domain          INTEGER | Number of the domain.
-- @columns estimate.domain_key except domain
-- @column n_answers       BIGINT  | Valid answers; of a domain without any, all of the next are 0 or NULL.
-- @column n_dont_know     BIGINT  | Answers "don't know".
-- @column n_blank         BIGINT  | Cells left blank.
-- @column n_promoters     BIGINT  | Promoters; 0 for other measures than a net promoter score.
-- @column n_detractors    BIGINT  | Detractors.
-- @column n_organisations BIGINT  | Different organisations.
-- @column n_respondents   BIGINT  | Different respondents.
-- @column n_within        BIGINT  | Respondents counted once for every organisation that they rated.
-- @column w_promoters     DECIMAL(38,0) | Sum of the weights of the promoters.
-- @column w_detractors    DECIMAL(38,0) | Sum of the weights of the detractors.
-- @column w               DECIMAL(38,0) | W.
-- @column t               DECIMAL(38,0) | T.
-- @column wyy             DECIMAL(38,0) | Sum of weight times squared score.
-- @column w2              DECIMAL(38,0) | Sum of the squared weights, in units of 10^-9.
-- @column organisation_ww DECIMAL(38,0) | Sum of W_i^2 over organisations.
-- @column organisation_wt DECIMAL(38,0) | Sum of W_i T_i.
-- @column organisation_tt DECIMAL(38,0) | Sum of T_i^2.
-- @column within_ww       DECIMAL(38,0) | Sum of W_ki^2 over respondents within organisations.
-- @column within_wt       DECIMAL(38,0) | Sum of W_ki T_ki.
-- @column within_tt       DECIMAL(38,0) | Sum of T_ki^2.
-- @column person_ww       DECIMAL(38,0) | Sum of W_k^2 over respondents.
-- @column person_wt       DECIMAL(38,0) | Sum of W_k T_k.
-- @column person_tt       DECIMAL(38,0) | Sum of T_k^2.
-- @column largest_w       BIGINT  | W of the largest organisation.
-- @column least_r         DOUBLE  | Lowest R_i = T_i / W_i of an organisation.
-- @column most_r          DOUBLE  | Highest R_i.
-- @column mean_r          DOUBLE  | Mean of R_i, every organisation counting once.

WITH of_organisations AS (
    SELECT
        domain, sum(n_answers) AS n_answers, count(*) AS n_organisations, sum(n_respondents) AS n_within,
        sum(sum_w_promoters) AS w_promoters, sum(sum_w_detractors) AS w_detractors,
        sum(sum_w) AS w, sum(sum_wy) AS t, sum(sum_w2) AS w2,
        sum(sum_w::HUGEINT * sum_w) AS organisation_ww, sum(sum_w::HUGEINT * sum_wy) AS organisation_wt,
        sum(sum_wy::HUGEINT * sum_wy) AS organisation_tt,
        sum(sum_ww) AS within_ww, sum(sum_wt) AS within_wt, sum(sum_tt) AS within_tt,
        max(sum_w) AS largest_w, min(sum_wy / sum_w) AS least_r, max(sum_wy / sum_w) AS most_r,
        exact_sum(sum_wy / sum_w, 1024) / count(*) AS mean_r
    FROM estimate.domain_organisation
    GROUP BY domain
),
of_several AS (
    SELECT
        key.domain, sum(n_elsewhere) AS n_elsewhere, sum(cross_ww) AS ww, sum(cross_wt) AS wt, sum(cross_tt) AS tt
    FROM estimate.repeat_organisation
    JOIN estimate.domain_key AS key USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
    GROUP BY key.domain
),
-- what needs no organisations
of_cells AS (
    SELECT
        monitor_code, audience_code, coalesce(wave_code, '') AS wave_code, time_cell_code, sector_code, channel_code,
        measure_code, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
        sum(n_promoters) AS n_promoters, sum(n_detractors) AS n_detractors, sum(sum_wyy) AS wyy
    FROM estimate.organisation_moment
    GROUP BY ALL
),
of_answers AS (
    SELECT
        key.domain, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank, sum(n_promoters) AS n_promoters,
        sum(n_detractors) AS n_detractors, sum(wyy) AS wyy
    FROM (SELECT * REPLACE (unnest([channel_code, 'all']) AS channel_code) FROM of_cells) AS c
    JOIN estimate.time_cell_period AS place USING (monitor_code, audience_code, wave_code, time_cell_code)
    JOIN core.bridge_sector AS bridge USING (sector_code)
    JOIN estimate.domain_key AS key
        ON key.monitor_code = c.monitor_code AND key.period_code = place.period_code
        AND key.audience_code = c.audience_code AND key.sector_code = bridge.ancestor_code
        AND key.channel_code = c.channel_code AND key.measure_code = c.measure_code
    WHERE key.domain = key.same_as
    GROUP BY key.domain
)
SELECT
    key.*, coalesce(o.n_answers, 0) AS n_answers, a.n_dont_know, a.n_blank, a.n_promoters, a.n_detractors,
    coalesce(o.n_organisations, 0) AS n_organisations, coalesce(n_within - coalesce(n_elsewhere, 0), 0) AS n_respondents,
    coalesce(n_within, 0) AS n_within, coalesce(w_promoters, 0) AS w_promoters, coalesce(w_detractors, 0) AS w_detractors,
    coalesce(w, 0) AS w, coalesce(t, 0) AS t, wyy, coalesce(w2, 0) AS w2,
    coalesce(organisation_ww, 0) AS organisation_ww, coalesce(organisation_wt, 0) AS organisation_wt,
    coalesce(organisation_tt, 0) AS organisation_tt,
    coalesce(within_ww, 0) AS within_ww, coalesce(within_wt, 0) AS within_wt, coalesce(within_tt, 0) AS within_tt,
    coalesce(within_ww, 0) + coalesce(s.ww, 0) AS person_ww, coalesce(within_wt, 0) + coalesce(s.wt, 0) AS person_wt,
    coalesce(within_tt, 0) + coalesce(s.tt, 0) AS person_tt,
    largest_w, least_r, most_r, mean_r
FROM estimate.domain_key AS key
JOIN of_answers AS a ON a.domain = key.same_as
LEFT JOIN of_organisations AS o ON o.domain = key.same_as
LEFT JOIN of_several AS s ON s.domain = key.same_as
