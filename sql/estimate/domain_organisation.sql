-- What each organisation contributes to each domain that is computed, from estimate.organisation_sum and what
-- respondents with several answers change there. Units as in estimate.organisation_moment.
--
-- @working
-- @grain  domain, organisation_code
-- @column domain            INTEGER | Number of the domain in estimate.domain_key; those that are the same as another are left out.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column organisation      INTEGER | Its number in estimate.organisation_sum, in the order of the codes.
-- @column n_answers         BIGINT  | Answers with a value.
-- @column n_respondents     BIGINT  | Different respondents among them.
-- @column sum_w_promoters   BIGINT  | Sum of the weights of the promoters, in millionths.
-- @column sum_w_detractors  BIGINT  | Sum of the weights of the detractors, in millionths.
-- @column sum_w             BIGINT  | W: sum of the weights, in millionths.
-- @column sum_wy            BIGINT  | T: sum of weight times score.
-- @column sum_w2            DECIMAL(38,0) | Sum of the squared weights, in units of 10^-12.
-- @column sum_ww            DECIMAL(38,0) | Sum of W_k^2 over respondents, W_k being a respondent's sum of weights; in units of 10^-12.
-- @column sum_wt            DECIMAL(38,0) | Sum of W_k T_k over respondents, T_k being a respondent's sum of weight times score.
-- @column sum_tt            DECIMAL(38,0) | Sum of T_k^2 over respondents.

SELECT
    part.domain, part.organisation_code, part.organisation, part.n_answers,
    part.n_answers - coalesce(n_surplus, 0) AS n_respondents,
    sum_w_promoters, sum_w_detractors, sum_w, sum_wy, sum_w2,
    sum_w2 + coalesce(own_ww, 0) AS sum_ww, sum_w2y + coalesce(own_wt, 0) AS sum_wt,
    sum_w2yy + coalesce(own_tt, 0) AS sum_tt
FROM estimate.organisation_sum AS part
LEFT JOIN estimate.repeat_organisation AS again
    ON again.domain = part.domain AND coalesce(again.organisation_code, '') = coalesce(part.organisation_code, '')
