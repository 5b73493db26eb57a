-- The organisations that are rated, in versions: sector and size may change on the first of a month.
--
-- @grain  organisation_code, valid_from
-- @column organisation_code VARCHAR | Code of the organisation.
-- @column name_en           VARCHAR | Name in English.
-- @column name_nl           VARCHAR | Name in Dutch.
-- @column sector_code       VARCHAR | Sector in this version.
-- @column size_class        VARCHAR | Size in this version: small, medium or large.
-- @column country_code      VARCHAR | Country (ISO 3166-1).
-- @column valid_from        DATE    | First day of this version, the first of a month.
-- @column valid_before      DATE    | First day of the next version; NULL for the latest.
-- @references sector_code core.dim_sector

SELECT
    organisation_code, name_en, name_nl, sector_code, size_class, country_code,
    valid_from::DATE AS valid_from,
    lead(valid_from::DATE) OVER (PARTITION BY organisation_code ORDER BY valid_from::DATE) AS valid_before
FROM reference.organisations
