"""A project small enough to be made anew many times: two sources of our own, of a few hundred answers.

It is refreshed in the process of the test.
"""

import copy
import dataclasses
import gzip
import json
import os
import random
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
from conftest import KEY, PROJECT, Place, refresh_here

from pipelines import contracts, erasure, models, plan, refresh, settings

MESSAGES, PANEL = "messages", "panel"
AUDIENCE = {MESSAGES: "message_author", PANEL: "employee"}
MODE = {MESSAGES: "append", PANEL: "snapshot"}
SECTORS = ("municipalities", "housing_associations", "insurers")
ORGANISATIONS = {f"{sector}_{i}": sector for sector in SECTORS for i in range(1, 7)}
# the tables that a release cannot do without, one mart that is a selection of estimates, and all that these read
FEW = (
    "mart.measure_score", "mart.trend", "mart.published_comparison", "mart.organisation_benchmark",
    "mart.social_sentiment", "disclosure", "meta", "core",
)  # fmt: skip

Row = dict[str, Any]


class Small:
    """Raw folder, warehouse and state under one root, and what is written into the raw folder next."""

    def __init__(self, root: Path, tables: Iterable[str] | None = None) -> None:
        """`tables`: layers and tables of which models are kept, with all that they read; all models by default."""
        self.place = Place(root)
        self.raw, self.sql = self.place.raw, root / "sql"
        self.here = settings.Settings(
            raw=self.raw, warehouse=self.place.warehouse, state=self.place.state, sql=self.sql, threads=2, memory=None,
            notify=None, keep=3, keep_days=0,
        )  # fmt: skip
        _key(self.place.state)
        _models(self.sql, tables)
        (self.raw / "reference").mkdir(parents=True)
        self.number = 0
        self.organisations = dict(ORGANISATIONS)
        self.list_organisations()
        self.reference("population.csv", POPULATION.format(100))
        self.reference("disclosure.yml", "periods: [year]\n")
        for name in ("drivers", "links", "published_figures"):
            head = (PROJECT / "raw" / "reference" / f"{name}.csv").read_text().splitlines()[0]
            self.reference(f"{name}.csv", f"{head}\n")
        self.contracts = {source: contract(source) for source in AUDIENCE}
        for source in AUDIENCE:
            (self.raw / source).mkdir()
            self.agree(source)

    @classmethod
    def beside(cls, other: "Small", root: Path) -> "Small":
        """The same raw folder and models, with a warehouse and a state elsewhere."""
        small = copy.copy(other)
        small.place = Place(root)
        small.here = dataclasses.replace(other.here, warehouse=root / "warehouse", state=root / "state")
        return small

    # what stands in raw/

    def agree(self, source: str) -> None:
        """Write the contract of a source as it is now."""
        (self.raw / source / "contract.yml").write_text(json.dumps(self.contracts[source]))

    def reference(self, name: str, text: str) -> None:
        (self.raw / "reference" / name).write_text(text)

    def list_organisations(self) -> None:
        head = "organisation_code,name_en,name_nl,sector_code,size_class,country_code,valid_from"
        rows = [f"{o},{o},{o},{sector},small,NL,2000-01-01" for o, sector in self.organisations.items()]
        self.reference("organisations.csv", "\n".join([head, *rows, ""]))

    def rows(self, n: int, months: list[str], by: random.Random) -> list[Row]:
        """New responses; one in five is of somebody who answered before."""
        made = []
        for _ in range(n):
            self.number += 1
            again = self.number > 5 and by.random() < 0.2
            made.append(
                {
                    "id": f"r{self.number}",
                    "author": f"p{by.randrange(1, self.number) if again else self.number}",
                    "organisation": by.choice(sorted(ORGANISATIONS)),
                    "placed_at": f"{by.choice(months)}-{by.randint(1, 28):02}",
                    "sentiment": by.choice([1, 2, 2, 3, 3, 9 if by.random() < 0.1 else 1]),  # 9 is off the scale
                    "weight": by.choice(["1", "0.5", "2.25"]),
                    "kind": "pilot" if self.number % 20 == 0 else "normal",
                }
            )
        return made

    def deliver(self, source: str, order: str, rows: list[Row]) -> Path:
        file = self.raw / source / f"{source}_{order}.jsonl.gz"
        text = "".join(json.dumps(row) + "\n" for row in rows)
        file.write_bytes(gzip.compress(text.encode(), mtime=0))
        stat = file.stat()
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10_000_000_000))  # it settled before anybody looks
        return file

    # what is made of it

    def refresh(self, full: bool = False) -> plan.Build:
        """What `meetlat refresh` does; gives the build, with the parts that were made anew."""
        return refresh_here(self.here, full)

    def erase(self, source: str, ids: Iterable[str]) -> None:
        """Enter persons in the register; the next refresh is without them."""
        with refresh.locked(self.here):
            erasure.add(self.here, source, contracts.load(self.raw / source), "respondent", ids)


def contract(source: str) -> dict[str, Any]:
    return {
        "title": f"{source} of the test",
        "monitor": "klantcontact_monitor",
        "audience": AUDIENCE[source],
        "country": "NL",
        "provenance": "synthetic",
        "controller": "test",
        "purpose": "test",
        "licence": "MIT",
        "sampling_unit": "organisation",
        "files": "*.jsonl.gz",
        "format": {"kind": "jsonl"},
        "delivery": {"mode": MODE[source], "order": r"_(\d{4})"},
        "gate": {"max_drop": 1.0},
        "columns": {
            "id": {"role": "response"},
            "author": {"role": "respondent"},
            "organisation": {"role": "organisation"},
            "placed_at": {"role": "date", "format": "iso"},
            "sentiment": {"role": "question", "measure": "social_sentiment", "channel": "social"},
            "kind": {"role": "status", "keep": ["normal", "pilot"], "exclude": {}},
        },
        "discard": ["weight"],
    }


POPULATION = (
    "weighting_code,monitor_code,audience_code,period_code,margin,level,population,unit,source,source_date\n"
    "w,klantcontact_monitor,message_author,2011,sector,municipalities,{},organisations,test,2011-12-31\n"
    "w,klantcontact_monitor,message_author,2011,sector,housing_associations,80,organisations,test,2011-12-31\n"
    "w,klantcontact_monitor,message_author,2011,sector,insurers,40,organisations,test,2011-12-31\n"
)


def _key(state: Path) -> None:
    state.mkdir(parents=True, mode=0o700)
    (state / "key").write_text(KEY)
    (state / "key").chmod(0o600)


def _models(folder: Path, wanted: Iterable[str] | None) -> None:
    every = models.load(PROJECT / "sql")
    kept: set[str] = set()

    def keep(name: str) -> None:
        if name in every and name not in kept:
            kept.add(name)
            for upstream in every[name].upstreams:
                keep(upstream)

    for name, model in every.items():
        if wanted is None or name in wanted or model.layer in wanted:
            keep(name)
    for name in kept:
        file = folder / every[name].path.relative_to(PROJECT / "sql")
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(every[name].path, file)


# --- comparing releases --------------------------------------------------------------------------


def rows_that_differ(a: Path, b: Path) -> list[str]:
    """Tables and views of two DuckDB files that are not the same row for row, with types and comments.

    Of the cells that changed it is not compared why, as a build from nothing lacks the parts that this is found with,
    nor what stood there before, which is left out where an erasure may be why.
    """
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{a}' AS a (READ_ONLY)")
        con.execute(f"ATTACH '{b}' AS b (READ_ONLY)")
        shapes = [
            "SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE database_name = '{}'",
            "SELECT schema_name, table_name, column_index, column_name, data_type, comment FROM duckdb_columns() "
            "WHERE database_name = '{}' AND NOT internal",
            "SELECT schema_name, view_name, sql, comment FROM duckdb_views() "
            "WHERE database_name = '{}' AND NOT internal",
        ]
        found = [shape for shape in shapes if _set(con, shape.format("a")) != _set(con, shape.format("b"))]
        names = con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables() WHERE database_name = 'a'")
        unlike = []
        for (name,) in [] if found else names.fetchall():
            if name != "meta.change_count":
                picked = "* EXCLUDE (causes, origins, old, difference)" if name == "meta.change" else "*"
                sides = [f"SELECT {picked} FROM {side}.{name}" for side in "ab"]
                both = f"({sides[0]} EXCEPT ALL {sides[1]}) UNION ALL ({sides[1]} EXCEPT ALL {sides[0]})"
                unlike.append(f"SELECT '{name}' AS name, count(*) AS n FROM ({both})")
        query = " UNION ALL ".join(unlike)
        return found or [name for (name,) in con.execute(f"SELECT name FROM ({query}) WHERE n > 0").fetchall()]


def _set(con: duckdb.DuckDBPyConnection, query: str) -> set[tuple[Any, ...]]:
    return set(con.execute(query).fetchall())


# what tells of the release before, of the time, or of the bytes of such a file
OF_HISTORY = {
    "publication.json", "CHANGELOG.md", "parquet/meta.change.parquet", "parquet/meta.change_count.parquet",
    "SHA256SUMS", "datapackage.json", "croissant.json", "dcat.jsonld", "public/CHANGELOG.md", "public/SHA256SUMS",
}  # fmt: skip


def files_that_differ(a: Path, b: Path) -> list[str]:
    """Files of two releases that are not the same: Parquet and texts byte for byte, DuckDB files row for row."""
    names = {str(f.relative_to(top)) for top in (a, b) for f in top.rglob("*") if f.is_file()}
    found = []
    for name in sorted(names):
        one, other = a / name, b / name
        if not (one.exists() and other.exists()):
            found.append(f"{name} is in one of them only")
        elif one.suffix == ".duckdb":
            found += [f"{name}: {table}" for table in rows_that_differ(one, other)]
        elif name not in OF_HISTORY and one.read_bytes() != other.read_bytes():
            found.append(name)
    return found
