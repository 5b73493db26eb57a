"""Benchmarks from the command line.

python -m benchmarks                       the standard comparison: the same as `refresh`
python -m benchmarks refresh --answers 400000 --repeats 3 --only engine polars
python -m benchmarks growth --of sources deliveries
python -m benchmarks staging --rows 1000000 --repeats 3
python -m benchmarks coverage --runs 4000
python -m benchmarks marts
python -m benchmarks marts --cells 8000000
python -m benchmarks disclosure
python -m benchmarks nightly --answers 2000000 20000000 --last 100000 --repeats 3 --beside engine polars
python -m benchmarks spark --answers 4000000 --deliveries 8 --master 'local[2]'

Each prints a table. With --markdown FILE and --json FILE it also writes the table, and every single measurement.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import coverage, disclosure, growth, marts, measure, nightly, refresh, spark, staging

CACHE = Path(tempfile.gettempdir()) / "meetlat-benchmarks"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    which = parser.add_subparsers(required=True, dest="which")

    def add(name: str, help: str, repeats: int | None = None) -> argparse.ArgumentParser:
        one = which.add_parser(name, help=help)
        if repeats is not None:
            one.add_argument("--repeats", type=int, default=repeats, help="of which the medians are told")
        one.add_argument("--cache", type=Path, default=CACHE, help="where generated exports are kept")
        one.add_argument("--markdown", type=Path, help="write the table to this file too")
        one.add_argument("--json", type=Path, help="write every measurement to this file too")
        return one

    first = add("refresh", "a first refresh, beside programs that make the same figures", 3)
    first.add_argument("--answers", type=int, nargs="+", default=[400_000, 4_000_000, 20_000_000])
    first.add_argument(
        "--only", nargs="+", choices=list(refresh.NAMES), default=list(refresh.NAMES), help="and Meetlat"
    )
    first.add_argument("--deliveries", type=int, default=4, help="that the answers come in")
    first.add_argument("--memory", help="as MEETLAT_MEMORY, such as 1GiB")
    one = add("staging", "a CSV delivery to staged Parquet, beside a bare COPY", 3)
    one.add_argument("--rows", type=int, default=1_000_000, help="about 105 bytes each")
    one.add_argument("--encoding", choices=["utf-8", "windows-1252"], default="utf-8")
    one.add_argument("--packed", action="store_true", help="as .csv.gz")
    one.add_argument("--only", nargs="+", choices=staging.NAMES, default=list(staging.NAMES))
    two = add("coverage", "how often the 95 %% interval holds the true value")
    two.add_argument("--runs", type=int, default=4_000, help="surveys per design")
    three = add("marts", "every model after the cube, of the shipped exports", 1)
    three.add_argument("--cells", type=int, help="of a made-up cube of about so many cells instead")
    three.add_argument("--shape", choices=list(marts.SHAPES), default="monitor", help="of the made-up cube")
    three.add_argument("--memory", help="as MEETLAT_MEMORY, such as 2GiB")
    add("disclosure", "hiding and audit of a made-up release with about 2,000 hidden cells")
    night = add("nightly", "one new delivery of 24, beside a build from nothing", 1)
    night.add_argument("--answers", type=int, nargs="+", default=[2_000_000, 20_000_000], help="of the histories")
    night.add_argument("--last", type=int, help="answers of the last delivery; else as many as each of the others")
    night.add_argument("--years", type=int, choices=[1, 6], default=6, help="that the deliveries are of")
    night.add_argument(
        "--beside", nargs="+", choices=list(refresh.PROGRAMS), default=[], help="programs that make everything anew"
    )
    far = add("spark", "what one core does per delivery, here and as an executor of Spark")
    far.add_argument("--answers", type=int, default=4_000_000)
    far.add_argument("--deliveries", type=int, default=8)
    far.add_argument("--master", default="local[2]", help="as MEETLAT_SPARK; needs the extra `spark` and Java")
    grows = add("growth", "what commands cost as history, sources or deliveries grow", 1)
    grows.add_argument("--of", nargs="+", choices=list(growth.SIZES), default=list(growth.SIZES))
    grows.add_argument("--sizes", type=int, nargs="+", help="instead of those of `--of`")
    grows.add_argument("--only-check", action="store_true", help="refresh nothing")
    given = sys.argv[1:]
    if not given or (given[0].startswith("--") and given[0] != "--help"):
        given = ["refresh", *given]
    asked = parser.parse_args(given)
    asked.cache.mkdir(parents=True, exist_ok=True)
    how, table, results = RUN[asked.which](asked)
    engine = f"{measure.machine()}, DuckDB {duckdb.__version__}"
    repeats = f"median of {asked.repeats}" if "repeats" in asked else ""
    about = "; ".join(each for each in (how, engine, repeats) if each)
    text = f"{about}\n\n{table}\n"
    print(text, end="")
    if asked.markdown:
        asked.markdown.write_text(text)
    if asked.json:
        asked.json.write_text(json.dumps({"about": about, "results": results}, indent=1, default=asdict) + "\n")


# --- how it was measured, the table, and every measurement ----------------------------------------

Told = tuple[str, str, Any]


def _refresh(asked: argparse.Namespace) -> Told:
    done = refresh.run(asked.cache, asked.answers, asked.repeats, asked.only, asked.deliveries, asked.memory)
    memory = f"; MEETLAT_MEMORY is {asked.memory}" if asked.memory else ""
    return f"{asked.deliveries} deliveries{memory}", refresh.table(done), done


def _staging(asked: argparse.Namespace) -> Told:
    of = staging.Exports(asked.cache, asked.rows, asked.encoding, asked.packed)
    done = staging.run(of, asked.repeats, asked.only)
    return str(of), staging.table(done, of.text_size), done


def _coverage(asked: argparse.Namespace) -> Told:
    table = coverage.run(asked.runs)
    return f"{asked.runs:,} surveys a design", table, table


def _marts(asked: argparse.Namespace) -> Told:
    with marts.made_up(asked.cells, asked.shape) if asked.cells else marts.shipped(asked.cache) as folder:
        done = [marts.run(folder, asked.memory) for _ in range(asked.repeats)]
    cube = f"a cube of {asked.cells:,} cells, shape {asked.shape}" if asked.cells else "the shipped exports"
    limit = f"; at most {asked.memory} for the engine" if asked.memory else ""
    return f"{cube}{limit}", marts.table(done), done


def _disclosure(asked: argparse.Namespace) -> Told:
    table = disclosure.run()
    return "a made-up release", table, table


def _nightly(asked: argparse.Namespace) -> Told:
    done = nightly.run(asked.cache, asked.answers, asked.repeats, asked.years, asked.last, asked.beside)
    last = f", the last of {asked.last:,} answers" if asked.last else ""
    return f"{nightly.DELIVERIES} deliveries{last}; years: {asked.years}", nightly.table(done), done


def _spark(asked: argparse.Namespace) -> Told:
    done = spark.run(asked.cache, asked.answers, asked.deliveries, asked.master)
    return f"{asked.deliveries} deliveries; one run", spark.table(done), done


def _growth(asked: argparse.Namespace) -> Told:
    begin = growth.start()
    wanted = {of: asked.sizes or growth.SIZES[of] for of in asked.of}
    done = growth.run(asked.cache, wanted, ["check"] if asked.only_check else list(growth.STEPS), asked.repeats)
    return f"`meetlat --help`: {begin.wall:.2f} s, {begin.cpu:.2f} CPU s", growth.table(done), done


RUN = {
    "refresh": _refresh,
    "staging": _staging,
    "coverage": _coverage,
    "marts": _marts,
    "disclosure": _disclosure,
    "nightly": _nightly,
    "spark": _spark,
    "growth": _growth,
}


if __name__ == "__main__":
    main()
