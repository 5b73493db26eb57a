-- The cross-products of all deliveries: what a regression over several answers of one response needs of each
-- organisation.
--
-- @restricted
-- @grain   source_code, wave_code, time_cell_code, organisation_code, sector_code, audience_code, driver_set_code, variable_a, variable_b
-- @columns cube.delivery_cross_product except delivery_id
-- @references source_code core.dim_source
-- @references organisation_code core.dim_organisation

SELECT
    source_code, wave_code, time_cell_code, organisation_code, sector_code, audience_code, driver_set_code,
    variable_a, variable_b, sum(n_responses) AS n_responses, sum(sum_wab) AS sum_wab
FROM cube.delivery_cross_product
GROUP BY ALL
