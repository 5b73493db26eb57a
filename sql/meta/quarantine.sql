-- Refused answers and rows, each with its reason. Of a value that is not a short number or word only the shape is kept.
--
-- @per delivery
-- @restricted
-- @grain  source_code, delivery_id, row_number, question, reason, place
-- @column source_code  VARCHAR | Source.
-- @column delivery_id  VARCHAR | Delivery.
-- @column row_number   BIGINT  | Row of the delivery, counted without the heading; NULL for a row that could not be split into cells.
-- @column question     VARCHAR | Column of the export; NULL where the whole row is refused.
-- @column measure_code VARCHAR | Measure of the question; NULL where the whole row is refused.
-- @column reason       VARCHAR | Why it was refused.
-- @column shown        VARCHAR | The value, or its shape (letters as a, digits as 9).
-- @column place        BIGINT  | Tells apart rows without a number.

SELECT q.*, row_number() OVER (ORDER BY row_number, question, measure_code, reason) AS place
FROM staged.quarantine AS q
