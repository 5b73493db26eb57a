-- The audiences: who answers.
--
-- @grain  audience_code
-- @column audience_code VARCHAR | Code of the audience.
-- @column label_en      VARCHAR | Label in English.
-- @column label_nl      VARCHAR | Label in Dutch.
-- @column sort_order    INTEGER | Place in a list.

SELECT audience_code, label_en, label_nl, sort_order FROM reference.audiences
