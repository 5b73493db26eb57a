"""The same benchmark with Spark on this machine: PySpark 4, `local[*]`, Java 17.

From the same files to the same pseudonyms, cube and marts as `bare_engine.py`, whose docstring says what is made and
what is left out compared with Meetlat. Answers and cube are folders of Parquet, as Spark writes them; the DuckDB file
is made of these.

As well as its author could: no Python function touches a row, every step is Spark SQL, the answers are read back from
the Parquet that was written, tables on the way are computed once, small ones are broadcast, and few partitions are
shuffled.
Starting the Java machine is counted, as it is part of every night.

    python -m benchmarks.baselines.with_spark RAW REFERENCE OUT       (key in BENCHMARK_KEY)
"""

import hashlib
import os
import sys
from pathlib import Path

import duckdb
from pyspark.sql import DataFrame, SparkSession
from scipy.stats import t

SOURCE = "klantcontact_customers"
COLUMNS = ("Responsnummer", "Klantnummer", "Organisatie", "Contactdatum", "Kanaal", "Cijfer contact")
COLUMNS += ("Aanbeveling (0-10)", "Cijfer klachtafhandeling", "Geïnterviewd via", "Status")
COLUMNS += ("Naam", "E-mailadres", "Postcode", "Toelichting")
MARTS = {
    "nps_by_sector": "recommendation",
    "channel_rating": "channel_rating",
    "employee_satisfaction": "employee_satisfaction",
}

# an answer as a whole number of steps, or why it is none
CELL = """CASE WHEN {value} BETWEEN {least} AND {most} THEN {value} ELSE
    CASE trim(coalesce({cell}, '')) WHEN '' THEN -1 WHEN '99' THEN -2 WHEN 'weet niet' THEN -2
      WHEN 'wil niet zeggen' THEN -3 WHEN 'n.v.t.' THEN -5 ELSE -4 END END"""


def grade(cell: str) -> str:
    value = f"CAST(10 * try_cast(replace({cell}, ',', '.') AS DECIMAL(6, 1)) AS INT)"
    return CELL.format(value=value, cell=cell, least=10, most=100)


def point(cell: str) -> str:
    return CELL.format(value=f"try_cast({cell} AS INT)", cell=cell, least=0, most=10)


# The file, the block of it that was read at once and the place within that say which of two responses is the later one.
TYPED = f"""
SELECT
  left(sha2(concat('{{response}}', `Responsnummer`), 256), 32) AS response_id,
  left(sha2(concat('{{respondent}}', `Klantnummer`), 256), 32) AS respondent_id,
  `Organisatie` AS organisation_code,
  to_date(`Contactdatum`, 'dd-MM-yyyy') AS answered_on,
  CASE `Kanaal` WHEN 'Balie' THEN 'physical' WHEN 'Telefoon' THEN 'phone' WHEN 'E-mail' THEN 'email'
    WHEN 'Website' THEN 'web' WHEN 'Chat' THEN 'chat' WHEN 'Post' THEN 'post' END AS channel_code,
  CASE `Geïnterviewd via` WHEN 'web' THEN 'web' WHEN 'telefoon' THEN 'phone' WHEN 'papier' THEN 'paper' END
    AS mode_code,
  {grade("`Cijfer contact`")} AS channel_rating,
  {point("`Aanbeveling (0-10)`")} AS recommendation,
  {grade("`Cijfer klachtafhandeling`")} AS complaint_handling,
  file, block, monotonically_increasing_id() AS place
FROM export
WHERE `Status` = 'compleet'
"""

ANSWERS = """
SELECT
  response_id, respondent_id, organisation_code, answered_on, mode_code,
  CASE measure_code WHEN 'channel_rating' THEN channel_code ELSE 'not_applicable' END AS channel_code,
  measure_code, CASE WHEN cell >= 0 THEN cell END AS value,
  CASE cell WHEN -1 THEN 'blank' WHEN -2 THEN 'dont_know' WHEN -3 THEN 'refused' WHEN -4 THEN 'quarantined' END
    AS missing_reason
FROM (
  SELECT *, stack(3, 'channel_rating', channel_rating, 'recommendation', recommendation,
    'complaint_handling', complaint_handling) AS (measure_code, cell)
  FROM (
    SELECT *, row_number() OVER (PARTITION BY response_id ORDER BY file DESC, block DESC, place DESC) AS back FROM typed
  )
  WHERE back = 1
)
WHERE cell <> -5
"""

CUBE = """
SELECT date_format(answered_on, 'yyyy-MM') AS month, trunc(answered_on, 'MM') AS month_start, organisation_code,
  channel_code, measure_code, value, missing_reason, count(*) AS n
FROM answer GROUP BY ALL
"""

PERIODS = """
WITH month AS (SELECT DISTINCT month_start AS m FROM cube),
span AS (SELECT year(min(m)) AS first FROM month),
ends AS (SELECT DISTINCT year(m) AS y, quarter(m) AS q FROM month)
SELECT m AS month_start, date_format(m, 'yyyy-MM') AS period_code FROM month
UNION ALL SELECT m, concat(year(m), '-Q', quarter(m)) FROM month
UNION ALL SELECT m, CAST(year(m) AS STRING) FROM month
UNION ALL SELECT m, concat(y, '-YTD-Q', q) FROM month JOIN ends ON year(m) = y AND quarter(m) <= q
UNION ALL SELECT month.m, concat(date_format(last.m, 'yyyy-MM'), '-R12')
  FROM month JOIN month AS last ON month.m BETWEEN add_months(last.m, -11) AND last.m CROSS JOIN span
  WHERE year(add_months(last.m, -11)) >= first
"""

SECTORS = """
SELECT organisation_code, valid_from, valid_before, ancestor_code AS sector_code
FROM (
  SELECT organisation_code, sector_code, to_date(valid_from) AS valid_from,
    lead(to_date(valid_from), 1, DATE '9999-01-01') OVER (PARTITION BY organisation_code ORDER BY valid_from)
      AS valid_before
  FROM organisations
)
JOIN tree USING (sector_code)
"""

# values are collapsed before periods, channels and sectors are expanded
PARTS = """
WITH moment AS (
  SELECT
    month_start, organisation_code, channel_code, measure_code,
    coalesce(sum(n) FILTER (WHERE value IS NOT NULL), 0) AS n,
    coalesce(sum(n * value), 0) AS t,
    coalesce(sum(n) FILTER (WHERE value >= 9), 0) AS promoters,
    coalesce(sum(n) FILTER (WHERE value <= 6), 0) AS detractors,
    coalesce(sum(n) FILTER (WHERE missing_reason = 'dont_know'), 0) AS n_dont_know,
    coalesce(sum(n) FILTER (WHERE missing_reason = 'blank'), 0) AS n_blank
  FROM cube GROUP BY ALL
),
each AS (
  SELECT period_code, sector_code, moment.organisation_code, explode(array(channel_code, 'all')) AS channel_code,
    measure_code, n, t, promoters, detractors, n_dont_know, n_blank
  FROM moment
  JOIN period USING (month_start)
  JOIN sector ON sector.organisation_code = moment.organisation_code
    AND month_start >= valid_from AND month_start < valid_before
)
SELECT
  period_code, sector_code, organisation_code, channel_code, measure_code, sum(n) AS n,
  sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know, sum(n_blank) AS n_blank,
  CASE measure_code WHEN 'recommendation' THEN 100 * (sum(promoters) - sum(detractors)) ELSE sum(t) END AS t
FROM each
GROUP BY period_code, sector_code, organisation_code, channel_code, measure_code
"""

# Answers less people: of those only who answered more than once, and then only where both answers are in the domain.
SURPLUS = """
WITH several AS (
  SELECT *, count(*) OVER (PARTITION BY respondent_id, channel_code, measure_code) AS times
  FROM (
    SELECT respondent_id, trunc(answered_on, 'MM') AS month_start, organisation_code,
      explode(array(channel_code, 'all')) AS channel_code, measure_code
    FROM answer
    LEFT SEMI JOIN (
      SELECT respondent_id FROM answer GROUP BY respondent_id HAVING min(response_id) < max(response_id)
    ) AS back USING (respondent_id)
    WHERE value IS NOT NULL
  )
)
SELECT period_code, sector_code, channel_code, measure_code, sum(n - 1) AS surplus
FROM (
  SELECT period_code, sector_code, channel_code, measure_code, respondent_id, count(*) AS n
  FROM several
  JOIN period USING (month_start)
  JOIN sector ON sector.organisation_code = several.organisation_code
    AND month_start >= valid_from AND month_start < valid_before
  WHERE times > 1
  GROUP BY ALL
)
GROUP BY ALL
"""

TOTALS = """
SELECT period_code, sector_code, channel_code, measure_code, sum(n) AS w, sum(t) AS sum_t,
  sum(promoters) AS promoters, sum(detractors) AS detractors, sum(n_dont_know) AS n_dont_know,
  sum(n_blank) AS n_blank, count(*) FILTER (WHERE n > 0) AS n_organisations, max(n) AS largest, sum(n * n) AS squares
FROM part GROUP BY period_code, sector_code, channel_code, measure_code
"""

DESIGN = "SELECT period_code, count(DISTINCT organisation_code) AS m FROM part WHERE n > 0 GROUP BY period_code"

# z_i = (T_i - R W_i) / W and V = m / (m - 1) sum z_i^2, m being the organisations with an answer in the period
SPREAD = """
SELECT period_code, sector_code, channel_code, measure_code, sum(power((t - sum_t / w * n) / w, 2)) AS zz
FROM part JOIN total USING (period_code, sector_code, channel_code, measure_code)
WHERE n > 0 GROUP BY period_code, sector_code, channel_code, measure_code
"""

ESTIMATES = """
WITH valued AS (
  SELECT *, CASE measure_code WHEN 'recommendation' THEN 1 ELSE 10 END AS step,
    CAST(n_organisations AS INT) - 1 AS df
  FROM total
  JOIN design USING (period_code)
  LEFT JOIN spread USING (period_code, sector_code, channel_code, measure_code)
  LEFT JOIN surplus USING (period_code, sector_code, channel_code, measure_code)
),
erred AS (
  SELECT *, try_divide(sum_t, w) / step AS value,
    CASE WHEN n_organisations > 1 THEN sqrt(m / (m - 1) * zz) / step END AS se
  FROM valued
)
SELECT
  'klantcontact_monitor' AS monitor_code, period_code, 'customer' AS audience_code, sector_code, channel_code,
  measure_code, value, w AS n_answers, w - coalesce(surplus, 0) AS n_respondents, n_organisations,
  try_divide(w * w, squares) AS n_organisations_effective, try_divide(largest, w) AS largest_organisation_share,
  n_dont_know, n_blank, se, CASE WHEN se IS NOT NULL THEN df END AS df,
  value - q * se AS ci_low, value + q * se AS ci_high,
  promoters AS n_promoters, w - promoters - detractors AS n_passives, detractors AS n_detractors
FROM erred LEFT JOIN t_quantile USING (df)
"""


def start(out: Path) -> SparkSession:
    settings = {
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        "spark.driver.memory": "8g",
        "spark.local.dir": str(out / "spill"),
        "spark.sql.warehouse.dir": str(out / "spark"),
        "spark.sql.session.timeZone": "Europe/Amsterdam",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    builder = SparkSession.builder.master("local[*]").appName("benchmark")
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def stop(spark: SparkSession) -> None:
    """Also wait for the Java machine, so that its seconds are counted."""
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


def tree(spark: SparkSession, reference: Path) -> DataFrame:
    """Every sector with each that it is part of."""
    parents = {
        row.sector_code: row.parent_code
        for row in spark.read.csv(str(reference / "sectors.csv"), header=True).collect()
    }
    up = []
    for code in parents:
        above = code
        while above:
            up.append((code, above))
            above = parents[above]
    return spark.createDataFrame(up, "sector_code STRING, ancestor_code STRING")


def run(raw: Path, reference: Path, out: Path, key: bytes) -> None:
    spark = start(out)

    def written(name: str, query: str, **values: str) -> None:
        """The table of a query as Parquet; who reads it then reads that."""
        spark.sql(query.format(**values) if values else query).write.parquet(str(out / f"{name}.parquet"))
        spark.read.parquet(str(out / f"{name}.parquet")).createOrReplaceTempView(name)

    prefixes = {
        kind: hashlib.sha256(key + f"|Meetlat sample data|{SOURCE}|{kind}".encode()).hexdigest() + "|"
        for kind in ("response", "respondent")
    }
    spark.read.csv(
        [str(file) for file in sorted((raw / SOURCE).glob("*.csv"))],
        schema=", ".join(f"`{column}` STRING" for column in COLUMNS),
        sep=";",
        header=True,
        escape='"',
    ).selectExpr("*", "_metadata.file_path AS file", "_metadata.file_block_start AS block").createOrReplaceTempView(
        "export"
    )
    spark.sql(TYPED.format(**prefixes)).createOrReplaceTempView("typed")
    written("answer", ANSWERS)
    written("cube", CUBE)
    spark.read.csv(str(reference / "organisations.csv"), header=True).createOrReplaceTempView("organisations")
    tree(spark, reference).createOrReplaceTempView("tree")
    small = {"period": PERIODS, "sector": SECTORS, "part": PARTS, "total": TOTALS, "design": DESIGN}
    small |= {"spread": SPREAD, "surplus": SURPLUS}
    for name, query in small.items():
        spark.sql(query).localCheckpoint().createOrReplaceTempView(name)
    most = spark.sql("SELECT count(DISTINCT organisation_code) AS n FROM cube").collect()[0].n
    quantiles = [(df, float(t.ppf(0.975, df))) for df in range(1, most + 1)]
    spark.createDataFrame(quantiles, "df INT, q DOUBLE").createOrReplaceTempView("t_quantile")
    spark.sql(ESTIMATES).localCheckpoint().createOrReplaceTempView("estimate")
    order = "period_code, sector_code, channel_code"
    for mart, measure in MARTS.items():
        spark.sql(f"SELECT * FROM estimate WHERE measure_code = '{measure}' ORDER BY {order}").coalesce(
            1
        ).write.parquet(str(out / f"{mart}.parquet"))
    stop(spark)
    with duckdb.connect(str(out / "warehouse.duckdb")) as con:
        for name in ("answer", "cube", *MARTS):
            con.execute(f"CREATE TABLE {name} AS FROM '{out}/{name}.parquet/*.parquet'")


if __name__ == "__main__":
    run(*map(Path, sys.argv[1:]), os.environ["BENCHMARK_KEY"].encode())
