-- What a delivery suddenly lacks that the earlier deliveries of its source had: rows, a question, a channel.
-- A warning stops nothing; it asks a person to look.
--
-- @grain  source_code, delivery_id, kind, subject
-- @column source_code VARCHAR | Source.
-- @column delivery_id VARCHAR | Delivery that lacks it.
-- @column file_name   VARCHAR | Name of its file.
-- @column kind        VARCHAR | rows, question or channel.
-- @column subject     VARCHAR | The measure or channel that is gone; rows where there are too few.
-- @column before      BIGINT  | Answers to it in the earlier delivery that had fewest.
-- @column now         BIGINT  | Answers to it in this delivery.
-- @warn   nothing_suddenly_gone: false | no delivery lacks what every earlier delivery of its source had

WITH placed AS (
    SELECT source_code, delivery_id, file_name, row_number() OVER (PARTITION BY source_code ORDER BY order_key) AS place
    FROM staged.delivery WHERE status = 'accepted'
),
counted AS (
    SELECT source_code, delivery_id, 'rows' AS kind, 'rows' AS subject, sum(n) AS n
    FROM cube.delivery_counts GROUP BY ALL
    UNION ALL
    SELECT source_code, delivery_id, 'question', measure_code, sum(n)
    FROM cube.delivery_counts WHERE value IS NOT NULL GROUP BY ALL
    UNION ALL
    SELECT source_code, delivery_id, 'channel', channel_code, sum(n)
    FROM cube.delivery_counts WHERE value IS NOT NULL GROUP BY ALL
),
subjects AS (SELECT DISTINCT source_code, kind, subject FROM counted),
every AS (
    SELECT p.source_code, p.delivery_id, p.file_name, p.place, s.kind, s.subject, coalesce(c.n, 0) AS n
    FROM placed AS p
    JOIN subjects AS s USING (source_code)
    LEFT JOIN counted AS c USING (source_code, delivery_id, kind, subject)
),
compared AS (
    SELECT
        *, min(n) OVER (PARTITION BY source_code, kind, subject ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM every
)
SELECT source_code, delivery_id, file_name, kind, subject, before, n AS now
FROM compared
-- half of the rows, or of a thing that counted for something before, all of it
WHERE before > 0 AND CASE kind WHEN 'rows' THEN 2 * n < before ELSE n = 0 AND before >= 30 END
