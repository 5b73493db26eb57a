"""The same benchmark with dbt: dbt-core and dbt-duckdb, the project in `dbt/`.

The models hold the SQL of `bare_engine.py`, cut into tables as dbt wants them, so what is made and what is left out
compared with Meetlat stands there. Beside that dbt tests the grain of cube and marts and that ids are filled, as its
users do, and one `dbt build` does all of it, as in a nightly job. Tables that are only on the way are held in memory.
Quantiles of t are a seed.

    python -m benchmarks.baselines.with_dbt RAW REFERENCE OUT       (key in BENCHMARK_KEY)
"""

import hashlib
import os
import sys
from pathlib import Path

from dbt.cli.main import dbtRunner

PROJECT = Path(__file__).with_name("dbt")


def run(raw: Path, reference: Path, out: Path, key: bytes) -> bool:
    os.environ |= {"BENCHMARK_RAW": str(raw), "BENCHMARK_REFERENCE": str(reference), "BENCHMARK_OUT": str(out)}
    for kind in ("response", "respondent"):
        domain = f"|Meetlat sample data|klantcontact_customers|{kind}".encode()
        os.environ[f"BENCHMARK_PREFIX_{kind.upper()}"] = hashlib.sha256(key + domain).hexdigest() + "|"
    places = ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    places += ["--target-path", str(out / "target"), "--log-path", str(out / "logs")]
    return dbtRunner().invoke(["build", *places]).success


if __name__ == "__main__":
    sys.exit(not run(*map(Path, sys.argv[1:]), os.environ["BENCHMARK_KEY"].encode()))
