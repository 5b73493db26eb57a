"""Benchmarks from the command line.

python -m benchmarks staging --rows 1000000 --repeats 3
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import duckdb

from benchmarks import exports, staging


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    which = parser.add_subparsers(required=True)
    one = which.add_parser("staging", help="a CSV delivery to staged Parquet, beside a bare COPY")
    one.add_argument("--rows", type=int, default=1_000_000)
    one.add_argument("--repeats", type=int, default=3)
    one.add_argument("--encoding", choices=["utf-8", "windows-1252"], default="utf-8")
    one.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "meetlat-benchmarks")
    one.add_argument("--json", type=Path, help="write every measurement to this file too")
    asked = parser.parse_args()
    results = staging.run(asked.rows, asked.repeats, asked.cache, asked.encoding)
    size = sum(file.stat().st_size for file in exports.write(asked.cache, asked.rows, 1, asked.encoding))
    about = f"{asked.rows:,} rows, {size / 1e6:,.0f} MB, {asked.encoding}, {staging.machine()}"
    about += f", DuckDB {duckdb.__version__}, median of {asked.repeats}"
    print(f"{about}\n\n{staging.table(results, size)}")
    if asked.json:
        every = {name: [asdict(one) for one in done] for name, done in results.items()}
        asked.json.write_text(json.dumps({"about": about, "bytes": size, "results": every}, indent=1) + "\n")


if __name__ == "__main__":
    main()
