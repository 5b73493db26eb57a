-- Answers less people: of those only who answered more than once, and then only where both answers are in the domain.

WITH back AS (
  SELECT hash(respondent_id) AS h FROM {{ ref('typed') }}
  WHERE rowid NOT IN (SELECT row FROM {{ ref('superseded') }}) GROUP BY h HAVING count(*) > 1
),
again AS (
  SELECT respondent_id, date_trunc('month', answered_on)::DATE AS month_start, organisation_code,
    unnest([channel_code, 'all']) AS channel_code, measure_code
  FROM {{ ref('answer') }}
  WHERE value IS NOT NULL AND hash(respondent_id) IN (FROM back)
),
several AS (SELECT * FROM again QUALIFY count(*) OVER (PARTITION BY respondent_id, channel_code, measure_code) > 1)
SELECT period_code, sector_code, channel_code, measure_code, sum(n - 1) AS surplus
FROM (
  SELECT period_code, sector_code, channel_code, measure_code, respondent_id, count(*) AS n
  FROM several
  JOIN {{ ref('period') }} USING (month_start)
  JOIN {{ ref('placed_organisation') }} AS sector ON sector.organisation_code = several.organisation_code
    AND month_start >= valid_from AND month_start < valid_before
  GROUP BY ALL
)
GROUP BY ALL
