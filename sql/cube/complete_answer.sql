-- The responses that answered all variables of a driver set, the outcome and the drivers, once, counted by their
-- answers. A channel `all` stands for the channel rated, whichever it is. A response that lacks one of the answers,
-- or has two answers to one variable, is in no sum over the set (listwise deletion).
--
-- @per delivery
-- @working
-- @grain  source_code, delivery_id, driver_set_code, wave_code, time_cell_code, organisation_code, sector_code, audience_code, respondent_id, answers, weight
-- @column source_code       VARCHAR | Source.
-- @column delivery_id       VARCHAR | Delivery.
-- @column driver_set_code   VARCHAR | Driver set, as in reference/drivers.csv.
-- @column wave_code         VARCHAR | Wave; NULL where the survey runs on.
-- @column time_cell_code    VARCHAR | Month of the answer, or the wave where there is no month.
-- @column organisation_code VARCHAR | Organisation rated; NULL where the survey has none.
-- @column sector_code       VARCHAR | Sector as the response states it; NULL where it comes from the organisation.
-- @column audience_code     VARCHAR | Who answered.
-- @column respondent_id     VARCHAR | Pseudonym of a respondent who may have responded more than once; NULL for the others.
-- @column is_of_respondents BOOLEAN | Whether the contract says that respondents were sampled, not organisations.
-- @column variables         VARCHAR | Measure and channel of each variable in alphabetical order, such as channel_rating/all,recommendation/not_applicable.
-- @column answers           VARCHAR | The answer to each of these, such as 75,8: whole numbers of the measures' smallest steps.
-- @column weight            BIGINT  | Weight of a response in millionths.
-- @column n                 BIGINT  | Responses that are alike in all of these.

WITH variable AS (
    SELECT
        driver_set_code, audience_code, sampling_unit = 'respondent' AS is_of_respondents, measure_code, channel_code,
        measure_code || '/' || channel_code AS variable_code
    FROM (
        SELECT driver_set_code, monitor_code, audience_code, outcome_measure AS measure_code, outcome_channel AS channel_code
        FROM reference.drivers
        UNION
        SELECT driver_set_code, monitor_code, audience_code, driver_measure, driver_channel FROM reference.drivers
    )
    JOIN reference.sources USING (monitor_code, audience_code)
),
-- every variable once, with a number; those of a set come in the same order
asked AS (
    SELECT audience_code, measure_code, channel_code, variable_code, row_number() OVER (ORDER BY audience_code, variable_code) AS number
    FROM (SELECT DISTINCT audience_code, measure_code, channel_code, variable_code FROM variable)
),
driver_set AS (
    SELECT
        driver_set_code, audience_code, is_of_respondents,
        list(number ORDER BY number) AS numbers, string_agg(variable_code, ',' ORDER BY number) AS variables
    FROM variable
    JOIN asked USING (audience_code, measure_code, channel_code, variable_code)
    GROUP BY ALL
),
-- answers as numbers that tell their variable too. All rows of a response are alike in what is taken of the first
response AS (
    SELECT
        a.row_number, first(a.wave_code) AS wave_code, date_trunc('month', first(a.answered_on)) AS month,
        first(a.organisation_code) AS organisation_code, first(a.sector_code) AS sector_code,
        first(a.audience_code) AS audience_code, first(a.respondent_id) AS respondent_id, first(a.weight) AS weight,
        list((v.number << 32) + (a.value::BIGINT + 2147483648)) AS given
    FROM core.fct_answer AS a
    JOIN asked AS v
        ON v.audience_code = a.audience_code AND v.measure_code = a.measure_code AND v.channel_code IN (a.channel_code, 'all')
    WHERE a.value IS NOT NULL
    GROUP BY a.row_number
),
-- sorted, and sought for each set, when they are fewer
counted AS (
    SELECT
        wave_code, month, organisation_code, sector_code, audience_code,
        CASE WHEN respondent_id IN (SELECT respondent_id FROM staged.repeat_respondent) THEN respondent_id END AS respondent_id,
        weight, given, count(*) AS n
    FROM response
    GROUP BY ALL
),
in_set AS (
    SELECT
        * EXCLUDE (given), list_sort([g FOR g IN given IF list_contains(numbers, g >> 32)]) AS placed
    FROM counted
    JOIN driver_set USING (audience_code)
),
delivery AS (
    SELECT source_code, delivery_id FROM core.fct_answer LIMIT 1
)
SELECT
    source_code, delivery_id, driver_set_code, wave_code, coalesce(strftime(month, '%Y-%m'), wave_code) AS time_cell_code,
    organisation_code, sector_code, audience_code, respondent_id, is_of_respondents, variables,
    array_to_string([(p & 4294967295) - 2147483648 FOR p IN placed], ',') AS answers, weight, sum(n) AS n
FROM in_set
CROSS JOIN delivery
WHERE [p >> 32 FOR p IN placed] = numbers
GROUP BY ALL
