-- How the answers spread over the scale: one row for every score value that was given.
--
-- @grain  monitor_code, period_code, audience_code, sector_code, channel_code, measure_code, score
-- @column monitor_code     VARCHAR | Monitor.
-- @column period_code      VARCHAR | Period, such as 2011-09, 2011-Q3, 2011.
-- @column audience_code    VARCHAR | Who answered.
-- @column sector_code      VARCHAR | Sector at any level of the tree; all: every participant pooled.
-- @column channel_code     VARCHAR | Channel rated; all: every channel pooled; not_applicable: not about a channel.
-- @column measure_code     VARCHAR | Measure.
-- @column score            DOUBLE  | The answer on the native scale of the measure; 1 for yes and 0 for no where a share is published.
-- @column n_answers        BIGINT  | Valid answers with this score.
-- @column share            DOUBLE  | Weighted share of the valid answers with this score, in percent.
-- @column cumulative_share DOUBLE  | Weighted share of the valid answers with this score or a lower one, in percent.
-- @column provenance       VARCHAR | survey, or synthetic: describes the sample generator and nobody else.
-- @check  within: share >= 0 AND cumulative_share >= share AND cumulative_share <= 100 | shares add up from 0 to 100 percent

SELECT
    score.monitor_code, score.period_code, score.audience_code, score.sector_code, score.channel_code, score.measure_code,
    score.value / pow(10, measure.decimals) AS score,
    score.n_answers,
    100 * score.sum_w::DOUBLE / (sum(score.sum_w) OVER domain)::DOUBLE AS share,
    100 * (sum(score.sum_w) OVER (domain ORDER BY score.value))::DOUBLE / (sum(score.sum_w) OVER domain)::DOUBLE AS cumulative_share,
    domain_row.provenance
FROM estimate.score AS score
JOIN core.dim_measure AS measure USING (measure_code)
JOIN estimate.domain AS domain_row USING (monitor_code, period_code, audience_code, sector_code, channel_code, measure_code)
WINDOW domain AS (
    PARTITION BY score.monitor_code, score.period_code, score.audience_code, score.sector_code, score.channel_code, score.measure_code
)
