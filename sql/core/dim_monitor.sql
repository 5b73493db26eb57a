-- The monitors: who publishes them and what they are called.
--
-- @grain  monitor_code
-- @column monitor_code VARCHAR | Code of the monitor.
-- @column label_en     VARCHAR | Name in English.
-- @column label_nl     VARCHAR | Name in Dutch.
-- @column publisher    VARCHAR | Who publishes the monitor.

SELECT monitor_code, label_en, label_nl, publisher FROM reference.monitors
