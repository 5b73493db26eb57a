-- The sector of every organisation at the time of its answers.
--
-- @working
-- @grain  organisation_code, time_cell_code
-- @column organisation_code VARCHAR | Organisation.
-- @column time_cell_code    VARCHAR | Month, or wave.
-- @column sector_code       VARCHAR | Its sector when the month or wave began; NULL if reference/organisations.csv knows it only later.

SELECT seen.organisation_code, seen.time_cell_code, organisation.sector_code
FROM (
    SELECT DISTINCT organisation_code, time_cell_code FROM cube.score_counts WHERE organisation_code IS NOT NULL
) AS seen
JOIN core.dim_period AS cell ON cell.period_code = seen.time_cell_code
LEFT JOIN core.dim_organisation AS organisation
    ON organisation.organisation_code = seen.organisation_code
    AND cell.period_start >= organisation.valid_from
    AND (organisation.valid_before IS NULL OR cell.period_start < organisation.valid_before)
