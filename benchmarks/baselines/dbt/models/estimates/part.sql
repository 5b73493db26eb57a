-- What each organisation contributes to each domain. Values are collapsed before periods are expanded.

WITH moment AS (
  SELECT
    month_start, organisation_code, channel_code, measure_code,
    coalesce(sum(n) FILTER (value IS NOT NULL), 0) AS n,
    coalesce(sum(n * value), 0) AS t,
    coalesce(sum(n) FILTER (value >= 9), 0) AS promoters, coalesce(sum(n) FILTER (value <= 6), 0) AS detractors,
    coalesce(sum(n) FILTER (missing_reason = 'dont_know'), 0) AS n_dont_know,
    coalesce(sum(n) FILTER (missing_reason = 'blank'), 0) AS n_blank
  FROM {{ ref('cube') }} GROUP BY ALL
),
in_period AS (
  SELECT period_code, sector_code, moment.organisation_code, channel_code, measure_code, sum(n) AS n, sum(t) AS t,
    sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank
  FROM moment
  JOIN {{ ref('period') }} USING (month_start)
  JOIN {{ ref('placed_organisation') }} AS sector ON sector.organisation_code = moment.organisation_code
    AND month_start >= valid_from AND month_start < valid_before
  GROUP BY ALL
)
SELECT * EXCLUDE (t, promoters, detractors), promoters, detractors,
  CASE measure_code WHEN 'recommendation' THEN 100 * (promoters - detractors) ELSE t END AS t
FROM (
  FROM in_period
  UNION ALL BY NAME
  SELECT period_code, sector_code, organisation_code, 'all' AS channel_code, measure_code, sum(n) AS n, sum(t) AS t,
    sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank
  FROM in_period GROUP BY ALL
)
