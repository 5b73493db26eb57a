-- The receipts: what became of every row and every cell of every delivery.
--
-- @grain  source_code, file_name
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | First 16 digits of the SHA-256 of the delivery's bytes.
-- @column file_name         VARCHAR | Name of the file in the source's folder.
-- @column order_key         VARCHAR | Its place among the deliveries of the source.
-- @column sha256            VARCHAR | Digest of its bytes.
-- @column status            VARCHAR | accepted or refused.
-- @column message           VARCHAR | Why the delivery was refused, or why the source is stale.
-- @column is_stale          BOOLEAN | Whether it is carried over because its source is stopped until a person accepts the change.
-- @column rows_read         BIGINT  | Rows in the file, without the heading.
-- @column rows_accepted     BIGINT  | Rows that count.
-- @column rows_excluded     BIGINT  | Rows left out by a declared rule, such as test rows.
-- @column rows_refused      BIGINT  | Rows that cannot be used; each stands in the quarantine.
-- @column rows_superseded   BIGINT  | Rows that a later row or delivery replaced.
-- @column rows_erased       BIGINT  | Rows of erased respondents.
-- @column questions         BIGINT  | Mapped questions: cells of an accepted row.
-- @column cells_answer      BIGINT  | Cells with a valid answer.
-- @column cells_blank       BIGINT  | Cells left blank.
-- @column cells_dont_know   BIGINT  | Cells "don't know".
-- @column cells_refused     BIGINT  | Cells where the respondent refused to answer.
-- @column cells_not_asked   BIGINT  | Cells of questions that were not asked.
-- @column cells_quarantined BIGINT  | Cells refused by the contract; each stands in the quarantine.
-- @check  rows_balance: status = 'refused' OR rows_read = rows_accepted + rows_excluded + rows_refused + rows_superseded + rows_erased | every row read is accounted for
-- @check  cells_balance: status = 'refused' OR rows_accepted * questions = cells_answer + cells_blank + cells_dont_know + cells_refused + cells_not_asked + cells_quarantined | every cell of an accepted row is accounted for

WITH row_count AS (
    SELECT
        source_code, delivery_id,
        sum(n) AS read,
        coalesce(sum(n) FILTER (state = 'accepted'), 0) AS accepted,
        coalesce(sum(n) FILTER (state = 'excluded'), 0) AS excluded,
        coalesce(sum(n) FILTER (state = 'refused'), 0) AS refused,
        coalesce(sum(n) FILTER (state = 'superseded'), 0) AS superseded,
        coalesce(sum(n) FILTER (state = 'erased'), 0) AS erased
    FROM staged.receipt WHERE kind = 'row' GROUP BY source_code, delivery_id
),
not_asked AS (
    SELECT source_code, delivery_id, sum(n) AS n FROM staged.receipt
    WHERE kind = 'cell' AND state = 'not_asked' GROUP BY source_code, delivery_id
),
replaced AS (
    SELECT source_code, delivery_id, count(*) AS n, sum(n_not_asked) AS not_asked
    FROM staged.superseded GROUP BY source_code, delivery_id
),
-- the cells are counted where the figures come from, not where the rows were read
cell_count AS (
    SELECT
        source_code, delivery_id,
        coalesce(sum(n) FILTER (missing_reason IS NULL), 0) AS answer,
        coalesce(sum(n) FILTER (missing_reason = 'blank'), 0) AS blank,
        coalesce(sum(n) FILTER (missing_reason = 'dont_know'), 0) AS dont_know,
        coalesce(sum(n) FILTER (missing_reason = 'refused'), 0) AS refused,
        coalesce(sum(n) FILTER (missing_reason = 'quarantined'), 0) AS quarantined
    FROM cube.delivery_counts GROUP BY source_code, delivery_id
)
SELECT
    d.source_code, d.delivery_id, d.file_name, d.order_key, d.sha256, d.status, nullif(d.message, '') AS message,
    d.is_stale,
    coalesce(r.read, 0) AS rows_read,
    coalesce(r.accepted - coalesce(replaced.n, 0), 0) AS rows_accepted,
    coalesce(r.excluded, 0) AS rows_excluded,
    coalesce(r.refused, 0) AS rows_refused,
    coalesce(r.superseded + coalesce(replaced.n, 0), 0) AS rows_superseded,
    coalesce(r.erased, 0) AS rows_erased,
    d.questions,
    coalesce(c.answer, 0) AS cells_answer, coalesce(c.blank, 0) AS cells_blank,
    coalesce(c.dont_know, 0) AS cells_dont_know, coalesce(c.refused, 0) AS cells_refused,
    coalesce(not_asked.n - coalesce(replaced.not_asked, 0), 0) AS cells_not_asked, coalesce(c.quarantined, 0) AS cells_quarantined
FROM staged.delivery AS d
-- a second copy of the same bytes is refused: it has the id of the first, but no rows of its own
LEFT JOIN row_count AS r ON d.status = 'accepted' AND (r.source_code, r.delivery_id) = (d.source_code, d.delivery_id)
LEFT JOIN replaced ON (replaced.source_code, replaced.delivery_id) = (r.source_code, r.delivery_id)
LEFT JOIN not_asked ON (not_asked.source_code, not_asked.delivery_id) = (r.source_code, r.delivery_id)
LEFT JOIN cell_count AS c ON (c.source_code, c.delivery_id) = (r.source_code, r.delivery_id)
