-- The groups that respondents are put into by the segments that contracts declare, such as age classes.
--
-- @grain  segment_type, segment_code
-- @column segment_type VARCHAR | What is grouped by, such as age.
-- @column segment_code VARCHAR | Code of the group, such as young.
-- @column label_en     VARCHAR | Label of the group in English.
-- @column label_nl     VARCHAR | Label of the group in Dutch.
-- @column sort_order   INTEGER | Place in a list, in the order of the contracts.

SELECT segment_type, segment_code, label_en, label_nl, sort_order FROM reference.segments
