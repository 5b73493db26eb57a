-- Free texts that a contract says to keep. E-mail addresses, links, postcodes, long numbers and street addresses
-- are masked; names are not found that way, so these rows are never anonymous.
--
-- @per delivery
-- @restricted
-- @grain  source_code, delivery_id, row_number, question
-- @column source_code VARCHAR | Source of the delivery.
-- @column delivery_id VARCHAR | First 16 digits of the SHA-256 of the delivery's bytes.
-- @column row_number  BIGINT  | Row of the delivery, counted without the heading.
-- @column response_id VARCHAR | Pseudonym of the response.
-- @column question    VARCHAR | Column of the export.
-- @column text        VARCHAR | What was written, masked.

SELECT t.source_code, t.delivery_id, t.row_number, t.response_id, t.question, t.text
FROM staged.text AS t
ANTI JOIN staged.superseded AS s USING (response_id)
