-- The sector tree. Housing associations are never part of government.
--
-- @grain  sector_code
-- @column sector_code VARCHAR | Code of the sector, at any level of the tree; all is its root.
-- @column parent_code VARCHAR | The sector it is part of; NULL for the root.
-- @column level       INTEGER | Steps from the root: 0 for all.
-- @column is_leaf     BOOLEAN | Whether no other sector is part of it.
-- @column label_en    VARCHAR | Label in English.
-- @column label_nl    VARCHAR | Label in Dutch.
-- @column sbi_code    VARCHAR | Nearest code of the Dutch standard industrial classification.
-- @column sbi_version VARCHAR | Version of that classification.
-- @column sort_order  INTEGER | Place in a list.
-- @check  in_the_tree: level IS NOT NULL | every sector hangs under `all`

WITH RECURSIVE tree AS (
    SELECT sector_code, 0 AS level FROM reference.sectors WHERE parent_code = ''
    UNION ALL
    SELECT child.sector_code, tree.level + 1
    FROM reference.sectors AS child JOIN tree ON child.parent_code = tree.sector_code
)
SELECT
    s.sector_code,
    nullif(s.parent_code, '') AS parent_code,
    tree.level,
    NOT EXISTS (SELECT 1 FROM reference.sectors AS c WHERE c.parent_code = s.sector_code) AS is_leaf,
    s.label_en,
    s.label_nl,
    nullif(s.sbi_code, '') AS sbi_code,
    nullif(s.sbi_version, '') AS sbi_version,
    s.sort_order
FROM reference.sectors AS s LEFT JOIN tree USING (sector_code)
