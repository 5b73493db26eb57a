"""Every table with the bare engine: the same queries, and nothing around them.

The export is read as `bare_engine.py` does, into the columns that the models start from. Then the queries in `sql/` run
as they stand, one after another, in one DuckDB file, each on all cores; and each table is written to Parquet. So
beside this program stands what it costs to be able to trust the tables: what Meetlat does beyond it.

What it leaves out: contracts and checks of rows, quarantine, grain and checks of tables, a total order of rows, the
bytes being the same each time, parts and the next night, disclosure control with `public/` and `participants/`, the
files for BI tools beside the one DuckDB file, descriptions, and atomic release.

    python -m benchmarks.baselines.bare_models RAW REFERENCE OUT       (key in BENCHMARK_KEY)

REFERENCE is not read: the lists are those that Meetlat takes for RAW.
"""

import os
import sys
from pathlib import Path

import duckdb

from benchmarks.baselines.bare_engine import NEWEST, PARQUET, RESPONSES, SOURCE, Stages, begin
from pipelines import contracts, engine, estimates, models, plan, reference, weighting
from pipelines.settings import PROJECT

QUESTIONS = {
    "channel_rating": "Cijfer contact",
    "recommendation": "Aanbeveling (0-10)",
    "complaint_handling": "Cijfer klachtafhandeling",
}
NAMES = {  # under which `figures.py` looks for tables of all programs
    "core.fct_answer": "answer",
    "cube.score_counts": "cube",
    "mart.nps_by_sector": "nps_by_sector",
    "mart.channel_rating": "channel_rating",
}

ANSWERS = f"""
CREATE TABLE staged.answer AS
SELECT
  '{SOURCE}' AS source_code, delivery_id, rowid AS row_number, response_id, respondent_id, 'NL' AS country_code,
  organisation_code, NULL::VARCHAR AS sector_code, NULL::VARCHAR AS segment_code, 'customer' AS audience_code,
  NULL::VARCHAR AS wave_code, answered_on, mode_code,
  CASE measure_code WHEN 'channel_rating' THEN channel_code ELSE 'not_applicable' END AS channel_code,
  measure_code,
  CASE measure_code {" ".join(f"WHEN '{code}' THEN '{text}'" for code, text in QUESTIONS.items())} END AS question,
  1 AS question_version, CASE WHEN cell >= 0 THEN cell END::INTEGER AS value, 1000000::BIGINT AS weight,
  CASE cell WHEN -1 THEN 'blank' WHEN -2 THEN 'dont_know' WHEN -3 THEN 'refused' WHEN -4 THEN 'quarantined' END
    AS missing_reason
FROM (SELECT rowid, * FROM response) UNPIVOT (cell FOR measure_code IN ({", ".join(QUESTIONS)}))
"""

BESIDE = f"""
CREATE TABLE staged.repeat_respondent AS
  SELECT DISTINCT '{SOURCE}' AS source_code, delivery_id, respondent_id FROM response
  SEMI JOIN (SELECT respondent_id FROM response GROUP BY respondent_id HAVING count(*) > 1) USING (respondent_id);
CREATE TABLE staged.receipt AS
  SELECT '{SOURCE}' AS source_code, delivery_id, 'row' AS kind, 'accepted' AS state, NULL::VARCHAR AS reason,
    count(*) AS n
  FROM response GROUP BY delivery_id;
CREATE TABLE staged.delivery AS
  SELECT '{SOURCE}' AS source_code, delivery_id, delivery_id AS file_name, delivery_id AS order_key, '' AS sha256,
    'accepted' AS status, '' AS message, false AS is_stale, {len(QUESTIONS)}::BIGINT AS questions
  FROM staged.receipt;
"""


def run(raw: Path, out: Path, key: bytes) -> None:
    stages = Stages()
    every = models.load(PROJECT / "sql")
    contract = contracts.load(raw / SOURCE)
    with duckdb.connect(str(out / "warehouse.duckdb")) as con:
        begin(con, key)
        for layer in {name.split(".")[0] for name in (*every, *plan.bare_tables())}:
            con.execute(f"CREATE SCHEMA {layer}")
        lists = reference.load(raw, {SOURCE: contract})
        for name, rows in lists.items():
            engine.load_rows(con, f"reference.{name}", dict.fromkeys(plan.REFERENCE[name], "VARCHAR"), rows)
        con.execute(  # and which file a response is from
            RESPONSES.replace("SELECT\n", "SELECT\n  parse_filename(filename) AS delivery_id,\n", 1),
            {"files": sorted(map(str, (raw / SOURCE).glob("*.csv")))},
        )
        con.execute(NEWEST)
        con.execute("SET preserve_insertion_order = false")
        con.execute(ANSWERS)
        con.execute(BESIDE)
        con.execute("DROP TABLE response")
        for name in ("quarantine", "text", "superseded"):
            con.execute(f"CREATE TABLE staged.{name} ({plan.STAGED[f'staged.{name}']})")
        stages.end("answers")
        tables = [model for model in every.values() if model.layer != "disclosure"]
        for module in (estimates, weighting):
            module.register(con, " ".join(model.query for model in tables))
        for model in tables:
            casts = ", ".join(f"{column.name}::{column.type} AS {column.name}" for column in model.columns)
            made = f"TABLE {model.name} AS SELECT {casts} FROM ({model.query}\n)"
            if model.taken:  # no response comes again: those that did are gone already
                made = f"VIEW {model.name} AS FROM {model.taken[0]}"
            con.execute(f"CREATE {made}")
            stages.end(model.layer)
        for model in tables:
            if not model.working:
                con.execute(f"COPY {model.name} TO '{out / model.name}.parquet' {PARQUET}")
        for name, known_as in NAMES.items():
            (out / f"{known_as}.parquet").hardlink_to(out / f"{name}.parquet")
        stages.end("parquet")
        for model in tables:
            if model.working:
                con.execute(f"DROP TABLE {model.name}")
    stages.end("duckdb")
    stages.tell()


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[3]), os.environ["BENCHMARK_KEY"].encode())
