-- Every organisation with each sector that it is part of, and from when to when.

WITH RECURSIVE up AS (
  SELECT sector_code, sector_code AS ancestor_code FROM {{ source('reference', 'sectors') }}
  UNION ALL
  SELECT up.sector_code, s.parent_code
  FROM up JOIN {{ source('reference', 'sectors') }} AS s ON s.sector_code = up.ancestor_code
  WHERE s.parent_code IS NOT NULL
)
SELECT organisation_code, valid_from, valid_before, ancestor_code AS sector_code
FROM (
  SELECT organisation_code, sector_code, valid_from::DATE AS valid_from,
    lead(valid_from::DATE, 1, DATE '9999-01-01')
      OVER (PARTITION BY organisation_code ORDER BY valid_from::DATE) AS valid_before
  FROM {{ source('reference', 'organisations') }}
)
JOIN up USING (sector_code)
