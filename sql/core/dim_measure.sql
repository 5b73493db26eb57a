-- The measures: question concepts with their scale, what is computed of them and how it is read.
--
-- @grain  measure_code
-- @column measure_code VARCHAR | Code of the measure.
-- @column statistic    VARCHAR | What is published of it: mean, nps, share or count.
-- @column frame        VARCHAR | contact: about one contact; relation: about the supplier in general. Never pooled.
-- @column scale_min    DOUBLE  | Lowest answer on the native scale.
-- @column scale_max    DOUBLE  | Highest answer on the native scale; NULL if there is none.
-- @column decimals     INTEGER | Decimals of an answer: values are stored as whole numbers of its smallest step.
-- @column unit         VARCHAR | Unit of the published value.
-- @column direction    VARCHAR | higher_is_better, lower_is_better or neutral.
-- @column counts       VARCHAR | For a count: the measure whose answers are counted.
-- @column scale_conversion VARCHAR | linear_1_10: means may also be read on the scale 1 to 10, by a straight line through the ends; NULL: on the native scale only.
-- @column smallest_change DOUBLE | Smallest difference between two values worth mentioning, in unit; NULL: any difference that a test finds.
-- @column label_en     VARCHAR | Label in English.
-- @column label_nl     VARCHAR | Label in Dutch.
-- @check  nps_from_0_to_10: statistic <> 'nps' OR (scale_min = 0 AND scale_max = 10 AND decimals = 0) | a net promoter score comes from a 0-10 question only
-- @check  convertible: scale_conversion IS NULL OR (scale_conversion = 'linear_1_10' AND statistic = 'mean' AND scale_max > scale_min) | only means on a scale with two ends are converted, and only to 1-10
-- @check  no_negative_change: smallest_change IS NULL OR smallest_change::DOUBLE >= 0 | the smallest change is not below 0
-- @check  known_statistic: statistic IN ('mean', 'nps', 'share', 'count') | the statistic is one of mean, nps, share, count

SELECT
    measure_code, statistic, frame,
    nullif(scale_min, '') AS scale_min, nullif(scale_max, '') AS scale_max,
    decimals, unit, direction, nullif(counts, '') AS counts,
    nullif(scale_conversion, '') AS scale_conversion, nullif(smallest_change, '') AS smallest_change, label_en, label_nl
FROM reference.measures
