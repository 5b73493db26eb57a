-- Every sector with every sector that it is part of, itself included.
--
-- @grain  sector_code, ancestor_code
-- @column sector_code   VARCHAR | A sector.
-- @column ancestor_code VARCHAR | The sector itself, its parent, and so on up to all.

WITH RECURSIVE up AS (
    SELECT sector_code, sector_code AS ancestor_code FROM core.dim_sector
    UNION ALL
    SELECT up.sector_code, s.parent_code
    FROM up JOIN core.dim_sector AS s ON s.sector_code = up.ancestor_code
    WHERE s.parent_code IS NOT NULL
)
SELECT sector_code, ancestor_code FROM up
