-- Every month with the periods that it is part of; one that grows or rolls ends with a month that has answers.

WITH month AS (SELECT DISTINCT month_start AS m FROM {{ ref('cube') }}),
span AS (SELECT year(min(m)) AS first FROM month)
SELECT m AS month_start, strftime(m, '%Y-%m') AS period_code FROM month
UNION ALL SELECT m, year(m) || '-Q' || quarter(m) FROM month
UNION ALL SELECT m, year(m)::VARCHAR FROM month
UNION ALL SELECT m, ends.y || '-YTD-Q' || ends.q
  FROM month, (SELECT DISTINCT year(m) AS y, quarter(m) AS q FROM month) AS ends
  WHERE year(m) = ends.y AND quarter(m) <= ends.q
UNION ALL SELECT month.m, strftime(ends.m, '%Y-%m') || '-R12'
  FROM month, month AS ends, span
  WHERE month.m BETWEEN ends.m - INTERVAL 11 MONTH AND ends.m AND year(ends.m - INTERVAL 11 MONTH) >= span.first
