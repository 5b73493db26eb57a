-- Each organisation against its peers: its own estimate with its error, the gap to the peers with a test, its
-- rank among those that can be ranked, and whether it lies where its peers make one expect it. It names
-- participants. Not made where the sampling unit is the respondent.
--
-- Peers are the other organisations with a valid answer to the same measure over the same channel in the same
-- monitor, period and audience, of the same peer group. A row stands here only where the organisation has at
-- least four peers, so that none of them can be told from the rest; that is a rule of statistics, and no
-- disclosure control. Periods are years, quarters and waves: in a month few organisations have the respondents,
-- and a rolling year or a year to date hardly moves. Sector and size are those that the organisation has at the
-- end of the period, also for answers that it got in another sector.
--
-- R_i = T_i / W_i is the organisation's estimate and V_i = n / (n - 1) * sum_k (T_k - R_i W_k)^2 / W_i^2 its
-- variance, with its n respondents as clusters. The peers' estimate R = T / W leaves the organisation out; its
-- variance takes the K peers as a sample of organisations: V = K / (K - 1) * sum_j (T_j - R W_j)^2 / W^2, and below
-- thirty effective peers the bias-reduced sum_j (T_j - R W_j)^2 / W^2 / (1 - h_j), h_j = W_j / W. The two
-- share no organisation, so the gap R_i - R has V_i + V, with degrees of freedom by Welch and Satterthwaite.
-- A respondent who rated the organisation and a peer is taken for two.
--
-- @restricted
-- @grain  monitor_code, period_code, audience_code, organisation_code, channel_code, measure_code, peer_group_type, peer_group_code
-- @column monitor_code           VARCHAR | Monitor.
-- @column period_code            VARCHAR | Period, such as 2011-Q3, 2011 or a wave.
-- @column audience_code          VARCHAR | Who answered.
-- @column organisation_code      VARCHAR | The organisation that is compared.
-- @column channel_code           VARCHAR | Channel rated; all: every channel pooled; not_applicable: not about a channel.
-- @column measure_code           VARCHAR | Measure.
-- @column peer_group_type        VARCHAR | What the peers have in common: all (nothing), sector, size_class or sector_size_class. Use one type at a time.
-- @column peer_group_code        VARCHAR | The peer group: all, a sector at any level, a size class, or sector/size_class.
-- @column peer_sector_code       VARCHAR | Sector of the peers; all where they are of any sector.
-- @column peer_size_class        VARCHAR | Size class of the peers; all where they are of any size.
-- @column period_type            VARCHAR | year, quarter or wave. Use one type at a time.
-- @column period_start           DATE    | First day of the period.
-- @column period_end             DATE    | Last day of the period.
-- @column statistic              VARCHAR | What value is: mean, nps or share.
-- @column unit                   VARCHAR | Unit of every value, gap, standard error, deviation and interval.
-- @column value                  DOUBLE  | The organisation's own estimate: weighted mean, net promoter score or share in percent, not rounded.
-- @column n_answers              BIGINT  | Valid answers behind value.
-- @column n_respondents          BIGINT  | Different respondents among them.
-- @column se                     DOUBLE  | Standard error of value for this very organisation, its respondents being the sample: sqrt(V_i). NULL with a single respondent, and where all agree and it cannot be known.
-- @column df                     BIGINT  | Degrees of freedom of se: respondents less one.
-- @column ci_low                 DOUBLE  | Lower end of the 95 % interval of value, by ci_method.
-- @column ci_high                DOUBLE  | Upper end of the 95 % interval of value, by ci_method.
-- @column ci_method              VARCHAR | How the interval was made: t (value -+ t(df, 0.975) se), or logit or wilson for shares.
-- @column n_peers                BIGINT  | Organisations that value is compared with, at least four.
-- @column n_peers_effective      DOUBLE  | Peers of equal size that would weigh as evenly: (sum W_j)^2 / sum W_j^2.
-- @column n_peer_answers         BIGINT  | Valid answers of the peers.
-- @column peer_value             DOUBLE  | The peers' estimate R over all their answers, without the organisation itself.
-- @column peer_se                DOUBLE  | Standard error of peer_value with the peers as a sample of organisations: sqrt(V), corrected for few or uneven peers (CR2) where n_peers_effective is below thirty. NULL where all peers have the same value.
-- @column peer_df                DOUBLE  | Degrees of freedom of peer_se: by Satterthwaite where it is corrected, else n_peers - 1.
-- @column peer_value_organisations_equal DOUBLE | Plain mean of the peers' own values, each peer counting once.
-- @column gap                    DOUBLE  | value less peer_value.
-- @column gap_se                 DOUBLE  | Standard error of gap: root of se^2 + peer_se^2. NULL where either cannot be known.
-- @column gap_df                 DOUBLE  | Degrees of freedom of gap_se by Welch and Satterthwaite, from df and peer_df.
-- @column gap_ci_low             DOUBLE  | Lower end of the 95 % interval of gap: gap - t(gap_df, 0.975) * gap_se.
-- @column gap_ci_high            DOUBLE  | Upper end of the 95 % interval of gap: gap + t(gap_df, 0.975) * gap_se.
-- @column p_value                DOUBLE  | Chance of a gap at least as far from 0 if there were none, two-sided, from t = gap / gap_se with gap_df. NULL below ten respondents.
-- @column q_value                DOUBLE  | p_value after Benjamini and Hochberg's correction for the tests of its family.
-- @column family_id              VARCHAR | Tests that are corrected together: those of a monitor, audience, period and peer group type, what stands under one channel and again under all counting once.
-- @column family_size            BIGINT  | Tests in that family.
-- @column value_mix_adjusted     DOUBLE  | What value would be with the peers' mix of channels: the organisation's channel estimates, weighted by the peers' weights per channel. In rows of channel all, of measures asked about more than one channel. NULL where mix_coverage is below 0.8.
-- @column mix_coverage           DOUBLE  | Share of the peers' weight in channels that the organisation has too, 0 to 1; the mix is that of these channels.
-- @column gap_mix_adjusted       DOUBLE  | value_mix_adjusted less the peers' estimate over those same channels.
-- @column gap_mix_adjusted_se    DOUBLE  | Standard error of gap_mix_adjusted: respondents and peers as clusters (CR2 where peer_se has it), the peers' mix being estimated too. NULL where a channel has a single respondent.
-- @column gap_mix_adjusted_df    DOUBLE  | Degrees of freedom of gap_mix_adjusted_se by Welch and Satterthwaite, from n_respondents less the channels, and n_peers - 1 or those of CR2.
-- @column gap_mix_adjusted_ci_low DOUBLE | Lower end of the 95 % interval of gap_mix_adjusted, by t.
-- @column gap_mix_adjusted_ci_high DOUBLE | Upper end of the 95 % interval of gap_mix_adjusted, by t.
-- @column between_organisation_sd DOUBLE | tau: how far true values lie apart in the group, the organisation included: root of max(0, variance of the values - mean of se^2), over organisations with at least ten respondents and a known se; a share of respondents of one mind has that of (x + 1/2) / (n + 1) here. NULL with fewer than five of these.
-- @column reliability            DOUBLE  | Share of the spread in the group that is no sampling noise: tau^2 / (tau^2 + se^2), 0 to 1.
-- @column value_shrunken         DOUBLE  | value drawn towards expected_value as far as it is unreliable: reliability * value + (1 - reliability) * expected_value.
-- @column expected_value         DOUBLE  | Plain mean of the values of the peers with a known se (or a share of one mind) and at least ten respondents. NULL with fewer than four of these.
-- @column expected_low           DOUBLE  | Lower end of where value is expected to lie: expected_value - 1.96 * sqrt(se^2 + tau^2), tau being that of these peers alone. NULL below ten respondents.
-- @column expected_high          DOUBLE  | Upper end of where value is expected to lie: expected_value + 1.96 * sqrt(se^2 + tau^2).
-- @column expected_range         VARCHAR | better, as_expected or worse: value beyond expected_low or expected_high, read in the measure's direction. NULL where the measure has none.
-- @column rank                   BIGINT  | Place among the ranked organisations of the group, 1 the best; equal values share the best place. NULL where not_ranked_reason tells why.
-- @column n_ranked               BIGINT  | Organisations of the group that are ranked: ten respondents, reliability at least 0.7.
-- @column quartile               INTEGER | Quarter of the ranked organisations, 1 the worst to 4 the best: the band that value lies in, bounded by the quartiles of their values (type 7), the bound belonging to the worse band.
-- @column percentile_rank        DOUBLE  | Percentage of the ranked organisations that do worse, those with the same value (itself too) counted half, 0 to 100.
-- @column not_ranked_reason      VARCHAR | no_direction: the measure has no good side; few_respondents: fewer than ten; unknown_se: all of one mind, and no share; few_organisations: fewer than five that could be ranked; unreliable: reliability below 0.7. NULL where it is ranked.
-- @column obs_status             VARCHAR | u: low reliability of what is compared with, n_peers_effective below ten; NULL: not.
-- @column provenance             VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @references organisation_code core.dim_organisation
-- @check  within_interval: ci_low IS NULL OR (ci_low <= value AND value <= ci_high) | the estimate lies in its interval
-- @check  finite: isfinite(value) AND isfinite(peer_value) AND isfinite(coalesce(se, 0)) AND isfinite(coalesce(gap_ci_low, 0)) AND isfinite(coalesce(gap_mix_adjusted_ci_low, 0)) | no estimate is infinite or not a number
-- @check  enough_peers: n_peers >= 4 | nobody is compared with fewer than four peers
-- @check  ranked_or_not: (rank IS NULL) = (not_ranked_reason IS NOT NULL) | what is not ranked says why
-- @check  rank_in_range: rank IS NULL OR (rank BETWEEN 1 AND n_ranked AND n_ranked >= 5 AND n_respondents >= 10) | ranks are those of five or more organisations with ten respondents
-- @check  gap_is_difference: abs(gap - (value - peer_value)) <= 1e-9 * (abs(value) + abs(peer_value)) | the gap is what lies between value and peer_value

WITH frame AS (
    SELECT
        monitor_code, audience_code,
        CASE WHEN bool_or(provenance = 'synthetic') THEN 'synthetic' ELSE 'survey' END AS provenance
    FROM core.dim_source
    GROUP BY monitor_code, audience_code
    HAVING bool_and(sampling_unit = 'organisation')
),
measured AS (
    SELECT
        key.monitor_code, key.period_code, key.audience_code, key.measure_code, key.channel_code,
        part.organisation_code, part.n_answers, part.n_respondents AS n, part.sum_w::HUGEINT AS w, part.sum_wy::HUGEINT AS t,
        part.sum_ww::HUGEINT AS ww, part.sum_wt::HUGEINT AS wt, part.sum_tt::HUGEINT AS tt
    FROM estimate.domain_organisation AS part
    JOIN estimate.domain_key AS key ON key.same_as = part.domain
    JOIN frame USING (monitor_code, audience_code)
    JOIN core.dim_period AS period
        ON period.period_code = key.period_code AND period.period_type IN ('year', 'quarter', 'wave')
    WHERE key.sector_code = 'all' AND part.organisation_code IS NOT NULL
),
-- what is compared with one another, as a number. Scores are counted from a whole number near their mean (shift),
-- so that squares do not drown what distinguishes them. Where there is one channel, it is the same as all: the row
-- is made once and shown twice
base AS (
    SELECT
        b.*, dense_rank() OVER (ORDER BY b.monitor_code, b.audience_code, b.period_code) AS family,
        measure.statistic, measure.unit, period.period_type, period.period_start, period.period_end, frame.provenance,
        CASE measure.statistic WHEN 'mean' THEN pow(10, measure.decimals) ELSE 1 END AS step,
        CASE measure.direction WHEN 'higher_is_better' THEN 1 WHEN 'lower_is_better' THEN -1 END AS sign
    FROM (
        SELECT
            monitor_code, period_code, audience_code, measure_code,
            row_number() OVER () AS base, round(sum(t)::DOUBLE / sum(w)::DOUBLE)::HUGEINT AS shift,
            CASE
                WHEN count(DISTINCT channel_code) = 2 THEN max(channel_code) FILTER (channel_code <> 'all')
            END AS only_channel_code
        FROM measured
        GROUP BY ALL
    ) AS b
    JOIN core.dim_measure AS measure USING (measure_code)
    JOIN core.dim_period AS period USING (period_code)
    JOIN frame USING (monitor_code, audience_code)
),
centred AS (
    SELECT
        base.base, base.period_code, base.shift, base.step, base.sign, base.statistic,
        m.channel_code, m.organisation_code, m.n_answers, m.n, m.w, m.t - base.shift * m.w AS t, m.ww, m.wt, m.tt,
        round(m.t::DOUBLE / m.w::DOUBLE)::HUGEINT AS near
    FROM measured AS m
    JOIN base USING (monitor_code, period_code, audience_code, measure_code)
    WHERE m.channel_code IS DISTINCT FROM base.only_channel_code
),
-- an organisation's own squares are counted from a whole number near its own mean: where all its respondents are
-- of one mind, they are exactly 0
varied AS (
    SELECT
        * EXCLUDE (wt, tt),
        t::DOUBLE / w::DOUBLE AS r, (t - (near - shift) * w)::DOUBLE / w::DOUBLE AS off,
        (tt - 2 * near * wt + near * near * ww)::DOUBLE AS near_tt, (wt - near * ww)::DOUBLE AS near_wt
    FROM centred
),
-- v is V_i in squared steps of the score
own AS (
    SELECT
        * EXCLUDE (near, off, near_tt, near_wt),
        dense_rank() OVER (ORDER BY base, channel_code) AS cell, row_number() OVER () AS id,
        (r + shift) / step AS value,
        near_tt - 2 * off * near_wt + off * off * ww::DOUBLE AS square,
        CASE
            WHEN n < 2 THEN NULL
            WHEN square <= 1e-12 * near_tt THEN 0  -- nothing but rounding
            ELSE n / (n - 1.0) * square / w::DOUBLE / w::DOUBLE
        END AS v_or_zero,
        nullif(v_or_zero, 0) AS v,
        -- how far sampling alone moves r. Where a share is that of respondents of one mind, p (1 - p) / n of
        -- p = (x + 1/2) / (n + 1): left out, such organisations would be missed at 0 and 100 % only
        CASE
            WHEN v > 0 THEN v
            WHEN v_or_zero = 0 AND statistic = 'share'
            THEN 10000 * (n * value / 100 + 0.5) * (n - n * value / 100 + 0.5) / (n + 1) ** 2 / n
        END AS noise,
        n >= 10 AND noise IS NOT NULL AS is_solid,
        -- what no other exceeds: exact_sum adds fractions in parts of that
        1 + max(abs(r)) OVER (PARTITION BY base) AS most_r,
        1 + greatest(max(v_or_zero) OVER (PARTITION BY base), max(noise) OVER (PARTITION BY base)) AS most_v
    FROM varied
),
-- the peer groups of each organisation at the end of each period
version AS (
    SELECT
        o.organisation_code, o.period_code, organisation.sector_code, nullif(organisation.size_class, '') AS size_class
    FROM (SELECT DISTINCT organisation_code, period_code FROM own) AS o
    JOIN core.dim_period AS period USING (period_code)
    LEFT JOIN core.dim_organisation AS organisation
        ON organisation.organisation_code = o.organisation_code
        AND organisation.valid_from <= period.period_end
        AND (organisation.valid_before IS NULL OR organisation.valid_before > period.period_end)
),
membership AS (
    SELECT organisation_code, period_code, 'all' AS peer_sector_code, unnest(['all', size_class]) AS peer_size_class
    FROM version
    UNION ALL
    SELECT organisation_code, period_code, bridge.ancestor_code, unnest(['all', size_class])
    FROM version
    JOIN core.bridge_sector AS bridge ON bridge.sector_code = version.sector_code AND bridge.ancestor_code <> 'all'
),
peer_group AS (
    SELECT
        *, row_number() OVER () AS grp,
        CASE
            WHEN peer_sector_code = 'all' AND peer_size_class = 'all' THEN 'all'
            WHEN peer_size_class = 'all' THEN 'sector'
            WHEN peer_sector_code = 'all' THEN 'size_class'
            ELSE 'sector_size_class'
        END AS peer_group_type,
        CASE peer_group_type
            WHEN 'sector' THEN peer_sector_code
            WHEN 'sector_size_class' THEN peer_sector_code || '/' || peer_size_class
            ELSE peer_size_class
        END AS peer_group_code
    FROM (SELECT DISTINCT peer_sector_code, peer_size_class FROM membership WHERE peer_size_class IS NOT NULL)
),
member AS MATERIALIZED (
    SELECT own.id, peer_group.grp
    FROM membership AS m
    JOIN peer_group USING (peer_sector_code, peer_size_class)
    JOIN own USING (organisation_code, period_code)
),
placed AS (
    SELECT id, cell, n_answers, n, w, t, r, v, noise, is_solid, sign, most_r, most_v, member.grp
    FROM own
    JOIN member USING (id)
),
pooled AS (
    SELECT
        cell, grp, count(*) AS g, sum(n_answers) AS n_answers, sum(w)::HUGEINT AS w, sum(t)::HUGEINT AS t,
        sum(w * w)::HUGEINT AS ww, sum(w * t)::HUGEINT AS wt, sum(t * t)::HUGEINT AS tt,
        count(*) FILTER (is_solid) AS solid, exact_sum(r, most_r) AS r,
        coalesce(exact_sum(CASE WHEN is_solid THEN r END, most_r), 0) AS solid_r,
        coalesce(exact_sum(CASE WHEN is_solid THEN r * r END, most_r * most_r), 0) AS solid_rr,
        coalesce(exact_sum(CASE WHEN is_solid THEN noise END, most_v), 0) AS solid_v
    FROM placed
    GROUP BY cell, grp
    HAVING count(*) >= 5
),
-- the group less the organisation itself
peers AS MATERIALIZED (
    SELECT
        p.id, p.cell, p.grp, p.n, p.r, p.v, p.noise, p.is_solid, p.sign, p.most_r,
        g - 1 AS k, pooled.n_answers - p.n_answers AS n_peer_answers,
        pooled.w - p.w AS all_w, pooled.t - p.t AS all_t, all_w::DOUBLE AS peer_w, all_t::DOUBLE / peer_w AS peer_r,
        (pooled.r - p.r) / k AS peer_r_equal,
        (pooled.ww - p.w * p.w)::DOUBLE AS peer_ww, (pooled.wt - p.w * p.t)::DOUBLE AS peer_wt,
        (pooled.tt - p.t * p.t)::DOUBLE AS peer_tt, peer_w * peer_w / peer_ww AS k_effective,
        peer_tt - 2 * peer_r * peer_wt + peer_r * peer_r * peer_ww AS square,
        solid,
        CASE
            WHEN solid >= 5 THEN greatest((solid_rr - solid_r * solid_r / solid) / (solid - 1) - solid_v / solid, 0)
        END AS tau2,
        solid - p.is_solid::INTEGER AS others,
        solid_r - CASE WHEN p.is_solid THEN p.r ELSE 0 END AS others_r,
        solid_rr - CASE WHEN p.is_solid THEN p.r * p.r ELSE 0 END AS others_rr,
        solid_v - CASE WHEN p.is_solid THEN p.noise ELSE 0 END AS others_v
    FROM placed AS p
    JOIN pooled USING (cell, grp)
),
-- CR2 of Bell and McCaffrey for a weighted mean, as in estimate.domain: each of few peers by itself
few AS MATERIALIZED (SELECT id, cell, grp, all_w, all_t, most_r FROM peers WHERE k_effective < 30),
each_peer AS MATERIALIZED (
    SELECT
        few.id, few.grp, few.most_r, peer.id AS peer, peer.w::DOUBLE / few.all_w::DOUBLE AS h,
        (few.all_w - peer.w)::DOUBLE / few.all_w::DOUBLE AS left_over,
        (peer.t * few.all_w - few.all_t * peer.w)::DOUBLE / few.all_w::DOUBLE / few.all_w::DOUBLE AS z
    FROM few
    JOIN placed AS peer ON peer.cell = few.cell AND peer.grp = few.grp AND peer.id <> few.id
),
reduced AS (
    SELECT
        id, grp, exact_sum(z * z / left_over, 4 * most_r * most_r) AS v,
        coalesce(max(h * h / left_over) FILTER (h > 0.5), 0) AS most_of_all,
        exact_sum(CASE WHEN h <= 0.5 THEN h * h / left_over END, 0.5) AS sum_q,
        exact_sum(CASE WHEN h <= 0.5 THEN (h * h / left_over) ** 2 END, 0.25) AS sum_qq,
        1 / (exact_sum(h * h, 1) + 2 * most_of_all * sum_q + sum_q * sum_q - sum_qq) AS df
    FROM each_peer
    GROUP BY id, grp
),
compared AS (
    SELECT
        id, cell, grp, n, r, peers.v, noise, is_solid, sign, k, k_effective, n_peer_answers, peer_w, peer_r, peer_r_equal,
        solid, tau2, tau2 / (tau2 + noise) AS reliability,
        CASE
            WHEN square > 1e-12 * peer_tt THEN coalesce(reduced.v, k / (k - 1.0) * square / peer_w / peer_w)
        END AS peer_v,
        CASE WHEN peer_v IS NOT NULL THEN coalesce(reduced.df, k - 1) END AS peer_df,
        CASE WHEN others >= 4 THEN others_r / others END AS expected_r,
        CASE
            WHEN others >= 4 AND is_solid
            THEN 1.96 * sqrt(noise + greatest(
                (others_rr - others_r * others_r / others) / (others - 1) - others_v / others, 0
            ))
        END AS expected_reach
    FROM peers
    LEFT JOIN reduced USING (id, grp)
),
candidate AS (
    SELECT id, cell, grp, sign * r AS score
    FROM compared
    WHERE sign IS NOT NULL AND is_solid AND reliability >= 0.7
),
ladder AS (
    SELECT cell, grp, count(*) AS n_ranked, quantile_cont(score, [0.25, 0.5, 0.75]) AS q
    FROM candidate
    GROUP BY cell, grp
),
ranked AS (
    SELECT
        id, grp, score,
        rank() OVER (PARTITION BY cell, grp ORDER BY score DESC) AS rank,
        count(*) OVER (PARTITION BY cell, grp, score) AS n_equal
    FROM candidate
),
-- the channels of an organisation, in a fixed order; id is that of its row over all channels
channel AS MATERIALIZED (
    SELECT
        whole.id, whole.base, whole.organisation_code, whole.most_r, whole.most_v,
        own.channel_code, dense_rank() OVER (ORDER BY own.channel_code) AS channel,
        row_number() OVER (PARTITION BY whole.id ORDER BY own.channel_code) AS place,
        own.n, own.w, own.t, own.r, own.v_or_zero AS v
    FROM own AS whole
    JOIN own ON own.base = whole.base AND own.organisation_code = whole.organisation_code AND own.channel_code <> 'all'
    WHERE whole.channel_code = 'all'
),
-- the covariance of two of its estimates, of respondents who stand in both
shared AS (
    SELECT
        base.base, s.organisation_code, s.channel_code AS a, s.other_channel_code AS b,
        s.sum_ww::DOUBLE AS ww, (s.sum_wt - shift * s.sum_ww::HUGEINT)::DOUBLE AS wt,
        (s.sum_tw - shift * s.sum_ww::HUGEINT)::DOUBLE AS tw,
        (s.sum_tt::HUGEINT - shift * (s.sum_wt::HUGEINT + s.sum_tw::HUGEINT) + shift * shift * s.sum_ww::HUGEINT)::DOUBLE
            AS tt
    FROM estimate.organisation_channel_pair AS s
    JOIN base USING (monitor_code, period_code, audience_code, measure_code)
),
-- every two channels of an organisation, each with itself too. Several numbers as one, so that there is one order only
-- in which the peers' sums can be joined
pair AS MATERIALIZED (
    SELECT
        one.id, one.most_r, one.most_v,
        one.place AS i, other.place AS j, (one.base << 12 | one.channel) << 12 | other.channel AS what,
        CASE WHEN i = j THEN 1 ELSE 2 END AS times, one.r AS r_a, other.r AS r_b,
        one.w AS w_a, one.t AS t_a, one.w * other.w AS ww, one.w * other.t AS wt, one.t * other.w AS tw, one.t * other.t AS tt,
        CASE
            WHEN i = j THEN one.v
            WHEN least(one.n, other.n) < 2 THEN NULL
            WHEN shared.ww IS NULL THEN 0
            ELSE sqrt(one.n / (one.n - 1.0) * other.n / (other.n - 1.0))
                * (shared.tt - other.r * shared.tw - one.r * shared.wt + one.r * other.r * shared.ww)
                / one.w::DOUBLE / other.w::DOUBLE
        END AS covariance
    FROM channel AS one
    JOIN channel AS other ON other.id = one.id AND other.place >= one.place
    LEFT JOIN shared
        ON shared.base = one.base AND shared.organisation_code = one.organisation_code
        AND shared.a = one.channel_code AND shared.b = other.channel_code
),
pooled_pair AS MATERIALIZED (
    SELECT
        what << 20 | grp AS seat, sum(ww)::HUGEINT AS ww, sum(wt)::HUGEINT AS wt, sum(tw)::HUGEINT AS tw, sum(tt)::HUGEINT AS tt,
        sum(w_a)::HUGEINT AS w_a, sum(t_a)::HUGEINT AS t_a  -- of use where i = j: then of all who have the channel
    FROM pair
    JOIN member USING (id)
    GROUP BY seat
),
peer_pair AS NOT MATERIALIZED (
    SELECT
        p.id, member.grp, p.i, p.j, p.times, p.most_r, p.most_v, p.r_a, p.r_b, p.covariance,
        (pooled.ww - p.ww)::DOUBLE AS ww, (pooled.wt - p.wt)::DOUBLE AS wt, (pooled.tw - p.tw)::DOUBLE AS tw,
        (pooled.tt - p.tt)::DOUBLE AS tt, pooled.w_a - p.w_a AS peer_w, pooled.t_a - p.t_a AS peer_t
    FROM pair AS p
    JOIN member USING (id)
    JOIN pooled_pair AS pooled ON pooled.seat = p.what << 20 | member.grp
),
-- the peers' mix, over the channels that the organisation and they both have
mix AS MATERIALIZED (
    SELECT
        id, grp, count(*) FILTER (peer_w > 0) AS n_channels, sum(peer_w)::DOUBLE AS w,
        exact_sum(peer_w::DOUBLE / 1e6 * r_a, 1e9 * most_r) * 1e6 / w AS r, sum(peer_t)::DOUBLE / w AS peer_r,
        list(peer_w::DOUBLE ORDER BY i) AS held
    FROM peer_pair
    WHERE i = j
    GROUP BY id, grp
    HAVING sum(peer_w) > 0
),
-- peers: z_j = (sum_c (R_ic - gap) W_jc - T_jc) / W over those channels, so that their mix is an estimate too
mix_error AS (
    SELECT
        id, grp,
        CASE
            WHEN NOT bool_or(p.covariance IS NULL)
            THEN exact_sum(p.times * (held[p.i] / mix.w) * (held[p.j] / mix.w) * p.covariance, p.most_v)
        END AS v,
        exact_sum(
            p.times * (
                (p.r_a - mix.r + mix.peer_r) * (p.r_b - mix.r + mix.peer_r) * p.ww
                - (p.r_a - mix.r + mix.peer_r) * p.wt - (p.r_b - mix.r + mix.peer_r) * p.tw + p.tt
            ),
            p.most_r * p.most_r * mix.w * mix.w
        ) AS square
    FROM peer_pair AS p
    JOIN mix USING (id, grp)
    WHERE held[p.i] > 0 AND held[p.j] > 0
    GROUP BY id, grp
),
-- the same of each of few peers by itself
each_peer_of_mix AS (
    SELECT
        one.id, one.grp, one.most_r, one.peer, sum(theirs.w)::DOUBLE / mix.w AS h,
        exact_sum(((mine.r - mix.r + mix.peer_r) * theirs.w::DOUBLE - theirs.t::DOUBLE) / mix.w, 4 * one.most_r) AS z
    FROM each_peer AS one
    JOIN mix USING (id, grp)
    JOIN channel AS mine ON mine.id = one.id
    JOIN channel AS theirs ON theirs.id << 12 | theirs.channel = one.peer << 12 | mine.channel
    GROUP BY one.id, one.grp, one.most_r, one.peer, mix.w
),
reduced_mix AS (
    SELECT
        id, grp, exact_sum(z * z / (1 - h), 16 * most_r * most_r) AS v,
        coalesce(max(h * h / (1 - h)) FILTER (h > 0.5), 0) AS most_of_all,
        exact_sum(CASE WHEN h <= 0.5 THEN h * h / (1 - h) END, 0.5) AS sum_q,
        exact_sum(CASE WHEN h <= 0.5 THEN (h * h / (1 - h)) ** 2 END, 0.25) AS sum_qq,
        1 / (exact_sum(h * h, 1) + 2 * most_of_all * sum_q + sum_q * sum_q - sum_qq) AS df
    FROM each_peer_of_mix
    WHERE h < 1
    GROUP BY id, grp
),
mixed AS (
    SELECT
        id, grp, mix.w / c.peer_w AS mix_coverage,
        CASE WHEN mix_coverage >= 0.8 THEN mix.r END AS mix_r,
        CASE WHEN mix_coverage >= 0.8 THEN mix.r - mix.peer_r END AS mix_gap,
        CASE WHEN mix_coverage >= 0.8 AND e.v > 0 AND e.square > 0 AND c.n > mix.n_channels THEN e.v END AS mix_v,
        coalesce(reduced_mix.v, c.k / (c.k - 1.0) * e.square / mix.w / mix.w) AS mix_peer_v,
        sqrt(mix_v + mix_peer_v) AS mix_se,
        (mix_v + mix_peer_v) ** 2 / (mix_v ** 2 / (c.n - mix.n_channels) + mix_peer_v ** 2 / coalesce(reduced_mix.df, c.k - 1)) AS mix_df,
        t_quantile(0.975, mix_df) * mix_se AS mix_reach
    FROM mix
    JOIN mix_error AS e USING (id, grp)
    JOIN compared AS c USING (id, grp)
    LEFT JOIN reduced_mix USING (id, grp)
),
tested AS MATERIALIZED (
    SELECT
        *, r - peer_r AS gap, sqrt(v + peer_v) AS gap_se,
        (v + peer_v) ** 2 / (v ** 2 / (n - 1) + peer_v ** 2 / peer_df) AS gap_df,
        t_quantile(0.975, gap_df) * gap_se AS gap_reach,
        t_test(CASE WHEN is_solid THEN gap / gap_se END, gap_df) AS p_value
    FROM compared
),
-- the step up of Benjamini and Hochberg: tests with the same p_value get the same q_value in whatever order
numbered AS (
    SELECT
        t.id, t.grp, t.p_value, base.family, g.peer_group_type,
        count(*) OVER (PARTITION BY base.family, g.peer_group_type) AS family_size,
        row_number() OVER (PARTITION BY base.family, g.peer_group_type ORDER BY t.p_value) AS place
    FROM tested AS t
    JOIN peer_group AS g USING (grp)
    JOIN own USING (id)
    JOIN base USING (base)
    WHERE t.p_value IS NOT NULL
),
corrected AS (
    SELECT
        id, grp, family_size,
        min(least(family_size * p_value / place, 1)) OVER (
            PARTITION BY family, peer_group_type ORDER BY place DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS q_value
    FROM numbered
),
-- once for each organisation, not for each of its peer groups
interval AS (
    SELECT
        id, base, channel_code, organisation_code, value, n_answers, sqrt(v) / step AS se,
        t_quantile(0.975, CASE WHEN statistic <> 'share' THEN n - 1 END) * se AS reach,
        CASE WHEN statistic = 'share' THEN v_or_zero END AS v_share,
        w::DOUBLE * w::DOUBLE / ww::DOUBLE AS n_kish,
        CASE statistic WHEN 'share' THEN share_low(value, sqrt(v_share), n - 1, n_kish) ELSE value - reach END AS ci_low,
        CASE statistic WHEN 'share' THEN share_high(value, sqrt(v_share), n - 1, n_kish) ELSE value + reach END AS ci_high,
        CASE
            WHEN ci_low IS NULL THEN NULL
            WHEN statistic <> 'share' THEN 't'
            WHEN v_share = 0 OR value * (100 - value) * least(value, 100 - value) < 500 * v_share THEN 'wilson'
            ELSE 'logit'
        END AS ci_method
    FROM own
)
SELECT
    b.monitor_code, b.period_code, b.audience_code, i.organisation_code,
    unnest(
        CASE WHEN b.only_channel_code IS NULL THEN [i.channel_code] ELSE ['all', b.only_channel_code] END
    ) AS channel_code,
    b.measure_code, g.peer_group_type, g.peer_group_code, g.peer_sector_code, g.peer_size_class,
    b.period_type, b.period_start, b.period_end, b.statistic, b.unit,
    i.value, i.n_answers, c.n AS n_respondents, i.se, CASE WHEN i.ci_method IS NOT NULL THEN c.n - 1 END AS df,
    i.ci_low, i.ci_high, i.ci_method,
    c.k AS n_peers, c.k_effective AS n_peers_effective, c.n_peer_answers,
    (c.peer_r + b.shift) / b.step AS peer_value, sqrt(c.peer_v) / b.step AS peer_se, c.peer_df,
    (c.peer_r_equal + b.shift) / b.step AS peer_value_organisations_equal,
    c.gap / b.step AS gap, c.gap_se / b.step AS gap_se, c.gap_df,
    (c.gap - c.gap_reach) / b.step AS gap_ci_low, (c.gap + c.gap_reach) / b.step AS gap_ci_high,
    c.p_value, f.q_value,
    CASE
        WHEN c.p_value IS NOT NULL THEN concat_ws('/', b.monitor_code, b.audience_code, b.period_code, g.peer_group_type)
    END AS family_id,
    f.family_size,
    (x.mix_r + b.shift) / b.step AS value_mix_adjusted, x.mix_coverage, x.mix_gap / b.step AS gap_mix_adjusted,
    x.mix_se / b.step AS gap_mix_adjusted_se, x.mix_df AS gap_mix_adjusted_df,
    (x.mix_gap - x.mix_reach) / b.step AS gap_mix_adjusted_ci_low,
    (x.mix_gap + x.mix_reach) / b.step AS gap_mix_adjusted_ci_high,
    sqrt(c.tau2) / b.step AS between_organisation_sd, c.reliability,
    (c.reliability * c.r + (1 - c.reliability) * c.expected_r + b.shift) / b.step AS value_shrunken,
    (c.expected_r + b.shift) / b.step AS expected_value,
    (c.expected_r - c.expected_reach + b.shift) / b.step AS expected_low,
    (c.expected_r + c.expected_reach + b.shift) / b.step AS expected_high,
    CASE
        WHEN c.sign * (c.r - c.expected_r) > c.expected_reach THEN 'better'
        WHEN c.sign * (c.expected_r - c.r) > c.expected_reach THEN 'worse'
        WHEN c.sign IS NOT NULL AND c.expected_reach IS NOT NULL THEN 'as_expected'
    END AS expected_range,
    CASE WHEN l.n_ranked >= 5 THEN p.rank END AS rank,
    coalesce(l.n_ranked, 0) AS n_ranked,
    CASE
        WHEN l.n_ranked >= 5
        THEN 1 + (p.score > l.q[1])::INTEGER + (p.score > l.q[2])::INTEGER + (p.score > l.q[3])::INTEGER
    END AS quartile,
    CASE WHEN l.n_ranked >= 5 THEN 100 * (l.n_ranked - p.rank + 1 - 0.5 * p.n_equal) / l.n_ranked END AS percentile_rank,
    CASE
        WHEN l.n_ranked >= 5 AND p.rank IS NOT NULL THEN NULL
        WHEN c.sign IS NULL THEN 'no_direction'
        WHEN c.n < 10 THEN 'few_respondents'
        WHEN c.noise IS NULL THEN 'unknown_se'
        WHEN c.solid < 5 THEN 'few_organisations'
        WHEN c.reliability < 0.7 THEN 'unreliable'
        ELSE 'few_organisations'
    END AS not_ranked_reason,
    CASE WHEN c.k_effective < 10 THEN 'u' END AS obs_status,
    b.provenance
FROM tested AS c
JOIN interval AS i USING (id)
JOIN base AS b USING (base)
JOIN peer_group AS g USING (grp)
LEFT JOIN corrected AS f USING (id, grp)
LEFT JOIN ladder AS l USING (cell, grp)
LEFT JOIN ranked AS p USING (id, grp)
LEFT JOIN mixed AS x USING (id, grp)
