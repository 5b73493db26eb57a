-- z_i = (T_i - R W_i) / W and V = m / (m - 1) sum z_i^2, m being the organisations with an answer in the period.

WITH design AS (
  SELECT period_code, count(DISTINCT organisation_code) AS m FROM {{ ref('part') }} AS part WHERE n > 0 GROUP BY period_code
),
total AS (
  SELECT period_code, sector_code, channel_code, measure_code, sum(n) AS w, sum(t) AS sum_t,
    sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know,
    sum(n_blank) AS n_blank, count(*) FILTER (n > 0) AS n_organisations, max(n) AS largest, sum(n * n) AS squares
  FROM {{ ref('part') }} AS part GROUP BY ALL
),
spread AS (
  SELECT period_code, sector_code, channel_code, measure_code, sum(((part.t - sum_t / w * n) / w) ** 2) AS zz
  FROM {{ ref('part') }} AS part JOIN total USING (period_code, sector_code, channel_code, measure_code)
  WHERE n > 0 GROUP BY ALL
),
valued AS (
  SELECT total.*, CASE measure_code WHEN 'recommendation' THEN 1 ELSE 10 END AS step,
    CASE WHEN w > 0 THEN sum_t / w / step END AS value,
    CASE WHEN n_organisations > 1 THEN sqrt(m / (m - 1) * zz) / step END AS se,
    w - coalesce(surplus, 0) AS n_respondents, n_organisations - 1 AS df
  FROM total
  JOIN design USING (period_code)
  LEFT JOIN spread USING (period_code, sector_code, channel_code, measure_code)
  LEFT JOIN {{ ref('surplus') }} AS surplus USING (period_code, sector_code, channel_code, measure_code)
)
SELECT
  'klantcontact_monitor' AS monitor_code, period_code, 'customer' AS audience_code, sector_code, channel_code,
  measure_code, value, w::BIGINT AS n_answers, n_respondents::BIGINT AS n_respondents, n_organisations,
  w * w / nullif(squares, 0) AS n_organisations_effective, largest / nullif(w, 0) AS largest_organisation_share,
  n_dont_know::BIGINT AS n_dont_know, n_blank::BIGINT AS n_blank, se, CASE WHEN se IS NOT NULL THEN df END AS df,
  value - q * se AS ci_low, value + q * se AS ci_high,
  promoters::BIGINT AS n_promoters, (w - promoters - detractors)::BIGINT AS n_passives,
  detractors::BIGINT AS n_detractors
FROM valued LEFT JOIN {{ ref('t_quantile') }} AS t_quantile USING (df)
