-- One row an answer.
{{ config(post_hook="{{ parquet() }}") }}

SELECT
  response_id, respondent_id, organisation_code, answered_on, mode_code,
  CASE measure_code WHEN 'channel_rating' THEN channel_code ELSE 'not_applicable' END AS channel_code,
  measure_code, CASE WHEN cell >= 0 THEN cell END AS value,
  CASE cell WHEN -1 THEN 'blank' WHEN -2 THEN 'dont_know' WHEN -3 THEN 'refused' WHEN -4 THEN 'quarantined' END
    AS missing_reason
FROM (SELECT * FROM {{ ref('typed') }} WHERE rowid NOT IN (SELECT row FROM {{ ref('superseded') }}))
UNPIVOT (cell FOR measure_code IN (channel_rating, recommendation, complaint_handling))
