-- The rows of `typed` whose response comes again later. Few have the same hash.

WITH twice AS (SELECT hash(response_id) AS h FROM {{ ref('typed') }} GROUP BY h HAVING count(*) > 1)
SELECT rowid AS row FROM {{ ref('typed') }} WHERE hash(response_id) IN (FROM twice)
QUALIFY rowid < max(rowid) OVER (PARTITION BY response_id)
