"""Benchmarks from the command line.

python -m benchmarks                       the standard comparison: the same as `refresh`
python -m benchmarks refresh --answers 400000 --repeats 3 --only engine polars
python -m benchmarks growth --of sources deliveries
python -m benchmarks staging --rows 1000000 --repeats 3
python -m benchmarks coverage --runs 4000
python -m benchmarks marts
python -m benchmarks marts --cells 8000000
python -m benchmarks disclosure
python -m benchmarks nightly --answers 2000000 20000000
python -m benchmarks spark --answers 4000000 --deliveries 8 --master 'local[2]'
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import duckdb

from benchmarks import coverage, disclosure, growth, marts, measure, nightly, refresh, spark, staging

CACHE = Path(tempfile.gettempdir()) / "meetlat-benchmarks"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    which = parser.add_subparsers(required=True, dest="which")
    first = which.add_parser("refresh", help="a first refresh, beside programs that make the same figures")
    first.add_argument("--answers", type=int, nargs="+", default=[400_000, 4_000_000, 20_000_000])
    first.add_argument("--repeats", type=int, default=3)
    first.add_argument(
        "--only", nargs="+", choices=list(refresh.NAMES), default=list(refresh.NAMES), help="and Meetlat"
    )
    first.add_argument("--deliveries", type=int, default=4, help="that the answers come in")
    first.add_argument("--memory", help="as MEETLAT_MEMORY, such as 1GiB")
    first.add_argument("--cache", type=Path, default=CACHE)
    first.add_argument("--json", type=Path, help="write every measurement to this file too")
    first.add_argument("--markdown", type=Path, help="write the table to this file too")
    one = which.add_parser("staging", help="a CSV delivery to staged Parquet, beside a bare COPY")
    one.add_argument("--rows", type=int, default=1_000_000, help="about 105 bytes each")
    one.add_argument("--repeats", type=int, default=3)
    one.add_argument("--encoding", choices=["utf-8", "windows-1252"], default="utf-8")
    one.add_argument("--packed", action="store_true", help="as .csv.gz")
    one.add_argument("--only", nargs="+", choices=staging.NAMES, default=list(staging.NAMES))
    one.add_argument("--cache", type=Path, default=CACHE)
    one.add_argument("--json", type=Path, help="write every measurement to this file too")
    one.add_argument("--markdown", type=Path, help="write the table to this file too")
    two = which.add_parser("coverage", help="how often the 95 %% interval holds the true value")
    two.add_argument("--runs", type=int, default=4_000, help="surveys per design")
    three = which.add_parser("marts", help="every model after the cube, of the shipped exports")
    three.add_argument("--cells", type=int, help="of a made-up cube of about so many cells instead")
    three.add_argument("--shape", choices=list(marts.SHAPES), default="monitor", help="of the made-up cube")
    three.add_argument("--repeats", type=int, default=1)
    three.add_argument("--memory", help="as MEETLAT_MEMORY, such as 2GiB")
    three.add_argument("--cache", type=Path, default=CACHE)
    which.add_parser("disclosure", help="hiding and audit of a made-up release with about 2,000 hidden cells")
    night = which.add_parser("nightly", help="one new delivery of 24, beside a build from nothing")
    night.add_argument("--answers", type=int, nargs="+", default=[2_000_000, 20_000_000], help="of the histories")
    night.add_argument("--last", type=int, help="answers of the last delivery; else as many as each of the others")
    night.add_argument("--years", type=int, choices=[1, 6], default=6, help="that the deliveries are of")
    night.add_argument("--repeats", type=int, default=1)
    night.add_argument("--cache", type=Path, default=CACHE)
    far = which.add_parser("spark", help="what one core does per delivery, here and as an executor of Spark")
    far.add_argument("--answers", type=int, default=4_000_000)
    far.add_argument("--deliveries", type=int, default=8)
    far.add_argument("--master", default="local[2]", help="as MEETLAT_SPARK; needs the extra `spark` and Java")
    far.add_argument("--cache", type=Path, default=CACHE)
    grows = which.add_parser("growth", help="what commands cost as history, sources or deliveries grow")
    grows.add_argument("--of", nargs="+", choices=list(growth.SIZES), default=list(growth.SIZES))
    grows.add_argument("--sizes", type=int, nargs="+", help="instead of those of `--of`")
    grows.add_argument("--only-check", action="store_true", help="refresh nothing")
    grows.add_argument("--cache", type=Path, default=CACHE)
    given = sys.argv[1:]
    if not given or (given[0].startswith("--") and given[0] != "--help"):
        given = ["refresh", *given]
    asked = parser.parse_args(given)
    if asked.which == "refresh":
        measured = refresh.run(asked.cache, asked.answers, asked.repeats, asked.only, asked.deliveries, asked.memory)
        how = f"{asked.deliveries} deliveries; median of {asked.repeats}"
        how += f"; MEETLAT_MEMORY is {asked.memory}" if asked.memory else ""
        about = f"{measure.machine()}, DuckDB {duckdb.__version__}; {how}"
        _tell(asked, f"{about}\n\n{refresh.table(measured)}\n", refresh.document(about, measured))
        return
    if asked.which == "growth":
        wanted = {of: asked.sizes or growth.SIZES[of] for of in asked.of}
        help_ = growth.start()
        asked.cache.mkdir(parents=True, exist_ok=True)
        done = growth.run(asked.cache, wanted, ["check"] if asked.only_check else list(growth.STEPS))
        print(f"{measure.machine()}; one run; `meetlat --help`: {help_.wall:.2f} s, {help_.cpu:.2f} CPU s\n")
        print(growth.table(done))
        return
    if asked.which == "nightly":
        last = f", the last of {asked.last:,} answers" if asked.last else ""
        print(f"{nightly.DELIVERIES} deliveries{last}, years: {asked.years}; {measure.machine()}; ", end="")
        print(f"median of {asked.repeats}\n")
        print(nightly.run(asked.cache, asked.answers, asked.repeats, asked.years, asked.last))
        return
    if asked.which == "spark":
        print(f"{asked.deliveries} deliveries; {measure.machine()}, DuckDB {duckdb.__version__}; one run\n")
        print(spark.run(asked.cache, asked.answers, asked.deliveries, asked.master))
        return
    if asked.which == "disclosure":
        print(f"{measure.machine()}\n\n{disclosure.run()}")
        return
    if asked.which == "coverage":
        print(coverage.run(asked.runs))
        return
    if asked.which == "marts":
        with marts.made_up(asked.cells, asked.shape) if asked.cells else marts.shipped(asked.cache) as folder:
            made = [marts.run(folder, asked.memory) for _ in range(asked.repeats)]
        limit = f"; at most {asked.memory} for the engine" if asked.memory else ""
        cube = f"a cube of {asked.cells:,} cells, shape {asked.shape}" if asked.cells else "the shipped exports"
        print(f"{cube}{limit}; {measure.machine()}, DuckDB {duckdb.__version__}; median of {asked.repeats}\n")
        print(marts.table(made))
        return
    of = staging.Exports(asked.cache, asked.rows, asked.encoding, asked.packed)
    results = staging.run(of, asked.repeats, asked.only)
    about = f"{of}; {measure.machine()}, DuckDB {duckdb.__version__}; median of {asked.repeats}"
    every = {name: [asdict(one) for one in done] for name, done in results.items()}
    document = json.dumps({"about": about, "results": every}, indent=1) + "\n"
    _tell(asked, f"{about}\n\n{staging.table(results, of.text_size)}\n", document)


def _tell(asked: argparse.Namespace, text: str, document: str) -> None:
    """Print a table; keep it as Markdown and the measurements as JSON where they are asked for."""
    print(text, end="")
    if asked.markdown:
        asked.markdown.write_text(text)
    if asked.json:
        asked.json.write_text(document)


if __name__ == "__main__":
    main()
