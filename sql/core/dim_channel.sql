-- The channels that are rated, with `all` for the total and `not_applicable` for questions about none.
--
-- @grain  channel_code
-- @column channel_code VARCHAR | Code of the channel.
-- @column label_en     VARCHAR | Label in English.
-- @column label_nl     VARCHAR | Label in Dutch.
-- @column sort_order   INTEGER | Place in a list.

SELECT channel_code, label_en, label_nl, sort_order FROM reference.channels
