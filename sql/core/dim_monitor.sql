-- The monitors: who publishes them and what they are called.
--
-- @grain  monitor_code
-- @column monitor_code VARCHAR | Code of the monitor.
-- @column label_en     VARCHAR | Name in English.
-- @column label_nl     VARCHAR | Name in Dutch.
-- @column publisher    VARCHAR | Who publishes the monitor.
-- @column representativeness_en VARCHAR | Whom its answers stand for, as its publisher says; NULL: nothing is declared.
-- @column representativeness_nl VARCHAR | The same in Dutch.

SELECT
    monitor_code, label_en, label_nl, publisher,
    nullif(representativeness_en, '') AS representativeness_en, nullif(representativeness_nl, '') AS representativeness_nl
FROM reference.monitors
