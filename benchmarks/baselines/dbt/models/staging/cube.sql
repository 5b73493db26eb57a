-- Answers counted per value.
{{ config(post_hook="{{ parquet() }}") }}

SELECT
  strftime(day, '%Y-%m') AS month, day AS month_start, organisation_code, channel_code, measure_code, value,
  missing_reason, sum(n)::BIGINT AS n
FROM (
  SELECT date_trunc('month', answered_on)::DATE AS day, organisation_code, channel_code, measure_code, value,
    missing_reason, count(*) AS n
  FROM {{ ref('answer') }} GROUP BY ALL
)
GROUP BY ALL
