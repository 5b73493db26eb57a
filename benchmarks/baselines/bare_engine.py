"""The same benchmark with the bare engine: one script of SQL, written by hand for this one export.

From the CSV files and `organisations.csv` and `sectors.csv` to typed answers with the same pseudonyms, the cube, and
the marts `nps_by_sector`, `channel_rating` and `employee_satisfaction`: every month, quarter, year, year to date and
rolling year, every level of the sector tree, every channel and all together, with bases (answers, people,
organisations, don't-knows, blanks) and standard errors and intervals clustered by organisation. As Parquet and in a
DuckDB file.

What it does as cleverly as Meetlat: a response that comes again replaces the earlier one; people are counted without
a distinct count over all answers; a period is computed of the cube.

What it leaves out: contracts (every column, code and rule of this export stands below), checks of headings, types,
grain and references, quarantine and receipts, encodings other than UTF-8, the correction for few and uneven
organisations, two-way clustering, weights, the other marts, disclosure control, descriptions, atomic release, and the
next night: it always begins from nothing. `employee_satisfaction` has no rows here, as no employees' export is given.

    python -m benchmarks.baselines.bare_engine RAW REFERENCE OUT       (key in BENCHMARK_KEY)
"""

import hashlib
import os
import sys
import time
from pathlib import Path

import duckdb
from scipy.stats import t

SOURCE = "klantcontact_customers"
MARTS = {
    "nps_by_sector": "measure_code = 'recommendation'",
    "channel_rating": "measure_code = 'channel_rating'",
    "employee_satisfaction": "measure_code = 'employee_satisfaction'",
}
PARQUET = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)"

# an answer as a whole number of steps; below zero what is no answer; NULL: not asked
MISSING = {-1: "blank", -2: "dont_know", -3: "refused", -4: "quarantined"}
MACROS = """
CREATE TEMP MACRO missing(cell) AS CASE trim(cell)
  WHEN '' THEN -1 WHEN '99' THEN -2 WHEN 'weet niet' THEN -2 WHEN 'wil niet zeggen' THEN -3 ELSE -4 END;
CREATE TEMP MACRO within(value, least, most) AS CASE WHEN value BETWEEN least AND most THEN value END;
CREATE TEMP MACRO grade(cell) AS coalesce(
  within((10 * try_cast(replace(cell, ',', '.') AS DECIMAL(6, 1)))::INTEGER, 10, 100), missing(coalesce(cell, '')));
CREATE TEMP MACRO point(cell) AS coalesce(within(try_cast(cell AS INTEGER), 0, 10), missing(coalesce(cell, '')));
"""

RESPONSES = """
CREATE TEMP TABLE response AS
SELECT
  left(sha256(getvariable('response') || "Responsnummer"), 32) AS response_id,
  left(sha256(getvariable('respondent') || "Klantnummer"), 32) AS respondent_id,
  "Organisatie" AS organisation_code,
  strptime("Contactdatum", '%d-%m-%Y')::DATE AS answered_on,
  CASE "Kanaal" WHEN 'Balie' THEN 'physical' WHEN 'Telefoon' THEN 'phone' WHEN 'E-mail' THEN 'email'
    WHEN 'Website' THEN 'web' WHEN 'Chat' THEN 'chat' WHEN 'Post' THEN 'post' END AS channel_code,
  CASE "Geïnterviewd via" WHEN 'web' THEN 'web' WHEN 'telefoon' THEN 'phone' WHEN 'papier' THEN 'paper' END
    AS mode_code,
  grade("Cijfer contact")::TINYINT AS channel_rating,
  point("Aanbeveling (0-10)")::TINYINT AS recommendation,
  CASE WHEN "Cijfer klachtafhandeling" IS DISTINCT FROM 'n.v.t.'
    THEN grade("Cijfer klachtafhandeling") END::TINYINT AS complaint_handling
FROM read_csv($files, delim = ';', quote = '"', header = true, auto_detect = false, columns = {
  'Responsnummer': 'VARCHAR', 'Klantnummer': 'VARCHAR', 'Organisatie': 'VARCHAR', 'Contactdatum': 'VARCHAR',
  'Kanaal': 'VARCHAR', 'Cijfer contact': 'VARCHAR', 'Aanbeveling (0-10)': 'VARCHAR',
  'Cijfer klachtafhandeling': 'VARCHAR', 'Geïnterviewd via': 'VARCHAR', 'Status': 'VARCHAR',
  'Naam': 'VARCHAR', 'E-mailadres': 'VARCHAR', 'Postcode': 'VARCHAR', 'Toelichting': 'VARCHAR'})
WHERE "Status" = 'compleet'
"""

# Rows lie in the order of the files, so the last of a response is the one that counts. Few have the same hash.
NEWEST = """
DELETE FROM response WHERE rowid IN (
  WITH twice AS (SELECT hash(response_id) AS h FROM response GROUP BY h HAVING count(*) > 1)
  SELECT rowid FROM response WHERE hash(response_id) IN (FROM twice)
  QUALIFY rowid < max(rowid) OVER (PARTITION BY response_id)
)
"""

ANSWERS = """
CREATE TABLE answer AS
SELECT
  response_id, respondent_id, organisation_code, answered_on, mode_code,
  CASE measure_code WHEN 'channel_rating' THEN channel_code ELSE 'not_applicable' END AS channel_code,
  measure_code, CASE WHEN cell >= 0 THEN cell END AS value,
  CASE cell WHEN -1 THEN 'blank' WHEN -2 THEN 'dont_know' WHEN -3 THEN 'refused' WHEN -4 THEN 'quarantined' END
    AS missing_reason
FROM response UNPIVOT (cell FOR measure_code IN (channel_rating, recommendation, complaint_handling))
"""

CUBE = """
CREATE TABLE cube AS
SELECT
  strftime(day, '%Y-%m') AS month, day AS month_start, organisation_code, channel_code, measure_code, value,
  missing_reason, sum(n)::BIGINT AS n
FROM (
  SELECT date_trunc('month', answered_on)::DATE AS day, organisation_code, channel_code, measure_code, value,
    missing_reason, count(*) AS n
  FROM answer GROUP BY ALL
)
GROUP BY ALL
"""

# every month with the periods that it is part of; a period that grows or rolls ends with a month that has answers
PERIODS = """
CREATE TEMP TABLE period AS
WITH month AS (SELECT DISTINCT month_start AS m FROM cube),
span AS (SELECT year(min(m)) AS first FROM month)
SELECT m AS month_start, strftime(m, '%Y-%m') AS period_code FROM month
UNION ALL SELECT m, year(m) || '-Q' || quarter(m) FROM month
UNION ALL SELECT m, year(m)::VARCHAR FROM month
UNION ALL SELECT m, ends.y || '-YTD-Q' || ends.q
  FROM month, (SELECT DISTINCT year(m) AS y, quarter(m) AS q FROM month) AS ends
  WHERE year(m) = ends.y AND quarter(m) <= ends.q
UNION ALL SELECT month.m, strftime(ends.m, '%Y-%m') || '-R12'
  FROM month, month AS ends, span
  WHERE month.m BETWEEN ends.m - INTERVAL 11 MONTH AND ends.m AND year(ends.m - INTERVAL 11 MONTH) >= span.first
"""

SECTORS = """
CREATE TEMP TABLE sector AS
WITH RECURSIVE up AS (
  SELECT sector_code, sector_code AS ancestor_code FROM read_csv($sectors, all_varchar = true)
  UNION ALL
  SELECT up.sector_code, s.parent_code
  FROM up JOIN read_csv($sectors, all_varchar = true) AS s ON s.sector_code = up.ancestor_code
  WHERE s.parent_code IS NOT NULL
)
SELECT organisation_code, valid_from, valid_before, ancestor_code AS sector_code
FROM (
  SELECT organisation_code, sector_code, valid_from::DATE AS valid_from,
    lead(valid_from::DATE, 1, DATE '9999-01-01')
      OVER (PARTITION BY organisation_code ORDER BY valid_from::DATE) AS valid_before
  FROM read_csv($organisations, all_varchar = true)
)
JOIN up USING (sector_code)
"""

# values are collapsed before periods, channels and sectors are expanded
PARTS = """
CREATE TEMP TABLE part AS
WITH moment AS (
  SELECT
    month_start, organisation_code, channel_code, measure_code,
    coalesce(sum(n) FILTER (value IS NOT NULL), 0) AS n,
    coalesce(sum(n * value), 0) AS t,
    coalesce(sum(n) FILTER (value >= 9), 0) AS promoters, coalesce(sum(n) FILTER (value <= 6), 0) AS detractors,
    coalesce(sum(n) FILTER (missing_reason = 'dont_know'), 0) AS n_dont_know,
    coalesce(sum(n) FILTER (missing_reason = 'blank'), 0) AS n_blank
  FROM cube GROUP BY ALL
),
in_period AS (
  SELECT period_code, sector_code, moment.organisation_code, channel_code, measure_code, sum(n) AS n, sum(t) AS t,
    sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank
  FROM moment
  JOIN period USING (month_start)
  JOIN sector ON sector.organisation_code = moment.organisation_code
    AND month_start >= valid_from AND month_start < valid_before
  GROUP BY ALL
)
SELECT * EXCLUDE (t, promoters, detractors), promoters, detractors,
  CASE measure_code WHEN 'recommendation' THEN 100 * (promoters - detractors) ELSE t END AS t
FROM (
  FROM in_period
  UNION ALL BY NAME
  SELECT period_code, sector_code, organisation_code, 'all' AS channel_code, measure_code, sum(n) AS n, sum(t) AS t,
    sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank
  FROM in_period GROUP BY ALL
)
"""

# Answers less people: of those only who answered more than once, and then only where both answers are in the domain.
SURPLUS = """
CREATE TEMP TABLE surplus AS
WITH back AS (SELECT hash(respondent_id) AS h FROM response GROUP BY h HAVING count(*) > 1),
again AS (
  SELECT respondent_id, date_trunc('month', answered_on)::DATE AS month_start, organisation_code,
    unnest([channel_code, 'all']) AS channel_code, measure_code
  FROM answer
  WHERE value IS NOT NULL AND hash(respondent_id) IN (FROM back)
),
several AS (SELECT * FROM again QUALIFY count(*) OVER (PARTITION BY respondent_id, channel_code, measure_code) > 1)
SELECT period_code, sector_code, channel_code, measure_code, sum(n - 1) AS surplus
FROM (
  SELECT period_code, sector_code, channel_code, measure_code, respondent_id, count(*) AS n
  FROM several
  JOIN period USING (month_start)
  JOIN sector ON sector.organisation_code = several.organisation_code
    AND month_start >= valid_from AND month_start < valid_before
  GROUP BY ALL
)
GROUP BY ALL
"""

# z_i = (T_i - R W_i) / W and V = m / (m - 1) sum z_i^2, m being the organisations with an answer in the period
ESTIMATES = """
CREATE TEMP TABLE estimate AS
WITH design AS (
  SELECT period_code, count(DISTINCT organisation_code) AS m FROM part WHERE n > 0 GROUP BY period_code
),
total AS (
  SELECT period_code, sector_code, channel_code, measure_code, sum(n) AS w, sum(t) AS sum_t,
    sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know,
    sum(n_blank) AS n_blank, count(*) FILTER (n > 0) AS n_organisations, max(n) AS largest, sum(n * n) AS squares
  FROM part GROUP BY ALL
),
spread AS (
  SELECT period_code, sector_code, channel_code, measure_code, sum(((part.t - sum_t / w * n) / w) ** 2) AS zz
  FROM part JOIN total USING (period_code, sector_code, channel_code, measure_code)
  WHERE n > 0 GROUP BY ALL
),
valued AS (
  SELECT total.*, CASE measure_code WHEN 'recommendation' THEN 1 ELSE 10 END AS step,
    CASE WHEN w > 0 THEN sum_t / w / step END AS value,
    CASE WHEN n_organisations > 1 THEN sqrt(m / (m - 1) * zz) / step END AS se,
    w - coalesce(surplus, 0) AS n_respondents, n_organisations - 1 AS df
  FROM total
  JOIN design USING (period_code)
  LEFT JOIN spread USING (period_code, sector_code, channel_code, measure_code)
  LEFT JOIN surplus USING (period_code, sector_code, channel_code, measure_code)
)
SELECT
  'klantcontact_monitor' AS monitor_code, period_code, 'customer' AS audience_code, sector_code, channel_code,
  measure_code, value, w::BIGINT AS n_answers, n_respondents::BIGINT AS n_respondents, n_organisations,
  w * w / nullif(squares, 0) AS n_organisations_effective, largest / nullif(w, 0) AS largest_organisation_share,
  n_dont_know::BIGINT AS n_dont_know, n_blank::BIGINT AS n_blank, se, CASE WHEN se IS NOT NULL THEN df END AS df,
  value - q * se AS ci_low, value + q * se AS ci_high,
  promoters::BIGINT AS n_promoters, (w - promoters - detractors)::BIGINT AS n_passives,
  detractors::BIGINT AS n_detractors
FROM valued LEFT JOIN t_quantile USING (df)
"""


class Stages:
    """Seconds on the clock by stage; each lasts from the end of the one before."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self.last
        self.last = now

    def tell(self) -> None:
        print("  seconds       " + ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in self.seconds.items()))


def begin(con: duckdb.DuckDBPyConnection, key: bytes) -> None:
    """The prefixes of pseudonyms, and the macros that read a cell."""
    con.execute("SET enable_progress_bar = false")
    for kind in ("response", "respondent"):
        prefix = hashlib.sha256(key + f"|Meetlat sample data|{SOURCE}|{kind}".encode()).hexdigest() + "|"
        con.execute(f"SET VARIABLE {kind} = '{prefix}'")
    con.execute(MACROS)


def run(raw: Path, reference: Path, out: Path, key: bytes) -> None:
    files = sorted(map(str, (raw / SOURCE).glob("*.csv")))
    stages = Stages()
    with duckdb.connect(str(out / "warehouse.duckdb")) as con:
        begin(con, key)
        con.execute(RESPONSES, {"files": files})
        con.execute(NEWEST)
        con.execute(ANSWERS)
        stages.end("answers")
        con.execute(CUBE)
        stages.end("cube")
        con.execute(PERIODS)
        organisations, sectors = str(reference / "organisations.csv"), str(reference / "sectors.csv")
        con.execute(SECTORS, {"organisations": organisations, "sectors": sectors})
        con.execute(PARTS)
        con.execute(SURPLUS)
        stages.end("people")
        df = list(range(1, con.execute("SELECT count(DISTINCT organisation_code) + 1 FROM cube").fetchall()[0][0]))
        con.execute(
            "CREATE TEMP TABLE t_quantile AS SELECT unnest($1) AS df, unnest($2) AS q", [df, list(t.ppf(0.975, df))]
        )
        con.execute(ESTIMATES)
        for mart, which in MARTS.items():
            con.execute(f"CREATE TABLE {mart} AS FROM estimate WHERE {which} ORDER BY ALL")
        stages.end("marts")
        for table in ("answer", "cube", *MARTS):
            con.execute(f"COPY {table} TO '{out / table}.parquet' {PARQUET}")
        stages.end("parquet")
    stages.end("duckdb")
    stages.tell()


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:]), os.environ["BENCHMARK_KEY"].encode())
