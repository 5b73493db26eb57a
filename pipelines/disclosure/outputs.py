"""What leaves the house: `public/` for everybody, `participants/<organisation>/` for each organisation.

Everything here is made of the rows of `standing.py`, rounded and hidden already; nothing reads a cube or an
estimate. The DuckDB file of `public/` is assembled by `release.py`, like the others.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet

from pipelines.disclosure import cells as reading
from pipelines.disclosure import participants, standing, tables
from pipelines.disclosure.cells import Cell, Key
from pipelines.disclosure.columns import COLUMNS, COMPARED, LEDGER, LOST, TREND
from pipelines.disclosure.participants import Own
from pipelines.disclosure.rules import CLOSEST, Rules
from pipelines.disclosure.standing import Shown, Standing
from pipelines.engine import quoted, write_parquet
from pipelines.models import Column
from pipelines.parts import JSON

KEYS = ", ".join(Key._fields)
LONG = "Every published figure at the headline grain, in one long table, rounded, with what is hidden and why."
PUBLIC = "public"
Place = tuple[str, tuple[str, str, str]]  # public or participants/<folder>; monitor, audience and measure
DIMENSIONS = tuple(f"core.dim_{name}" for name in ("monitor", "audience", "sector", "channel", "measure", "period"))


@dataclass(frozen=True)
class Earlier:
    """What a release showed: the figures of `public/` by key, and the ledger of those of participants."""

    public: Mapping[Key, Standing]
    own: pa.Table


NOTHING = Earlier({}, tables.of([], LEDGER))


@dataclass(frozen=True)
class Disclosed:
    """What may be shown. `measures`, `weighted` describe the families; `lost` is the price, by family."""

    public: Shown
    participants: Own
    rules: Rules
    parents: dict[str, str | None]
    measures: dict[str, JSON]
    weighted: list[tuple[str, str]]
    lost: list[dict[str, JSON]]
    data_through: dt.date

    @property
    def held(self) -> list[JSON]:
        """The figures that stand as they were; what came before matters to a release by these alone."""
        return [["", *key] for key in self.public.held] + [[own, *key] for own, key in self.participants.held]


def disclose(
    con: duckdb.DuckDBPyConnection,
    cells: Path,
    own_cells: Path,
    parents: dict[str, str | None],
    rules: Rules,
    earlier: Earlier,
    data_through: dt.date,
    withheld: frozenset[Place] = frozenset(),
    threads: int | None = None,
) -> Disclosed:
    """Decide for every cell of the published period types what is shown of it; nothing of what is `withheld`."""
    scope = "SELECT * FROM read_parquet($1) WHERE list_contains($2, period_type)"
    published = reading.read(con, scope, str(cells), list(rules.periods))
    own = con.sql(scope, params=[str(own_cells), list(rules.periods)]).to_arrow_table()
    return decide(published, own, parents, rules, earlier, data_through, withheld, threads=threads)


def decide(
    published: Sequence[Cell],
    own_cells: pa.Table,
    parents: dict[str, str | None],
    rules: Rules,
    earlier: Earlier,
    data_through: dt.date,
    withheld: frozenset[Place] = frozenset(),
    secondary: bool = True,
    threads: int | None = None,
) -> Disclosed:
    """The same for cells that are at hand. Without `secondary` nothing is protected against being reckoned."""
    of_public = frozenset(family for output, family in withheld if output == PUBLIC)
    public = standing.show(published, parents, rules, earlier.public, data_through, of_public, secondary, threads)
    own = participants.show(own_cells, rules, earlier.own, data_through, of_participants(withheld))
    measures = {
        c.key.measure_code: {
            "statistic": c.statistic,
            "low": c.low,
            "high": c.high,
            "decimals": min(c.decimals, rules.most_decimals),
        }
        for c in sorted(published, key=lambda c: c.key.measure_code)
    }
    weighted = sorted({(c.key.monitor_code, c.key.audience_code) for c in published if c.is_weighted})
    return Disclosed(public, own, rules, parents, measures, weighted, _lost(published, public), data_through)


def of_participants(places: Iterable[Place]) -> frozenset[participants.Family]:
    """Those that are not of `public/`: an organisation and a family of its own figures."""
    return frozenset((participants.whose(output), family) for output, family in places if output != PUBLIC)


def keep(disclosed: Disclosed, places: frozenset[Place], release: Path, ledger: Path) -> Disclosed:
    """The same with these families as an earlier release showed them, row for row, from its tables and its ledger."""
    families = frozenset(family for output, family in places if output == PUBLIC)

    def of(rows: list[dict[str, JSON]]) -> list[dict[str, JSON]]:
        return [row for row in rows if Key.of(row).family in families]

    table = release / PUBLIC / "parquet" / "measure_score.parquet"
    before = of(pyarrow.parquet.ParquetFile(table).read().to_pylist() if table.is_file() else [])
    told_public, told_own = _split(ledger)
    now, stood = disclosed.public, of(told_public.to_pylist())
    rows = [r for r in now.rows if Key.of(r).family not in families]
    told = [r for r in now.ledger if Key.of(r).family not in families]
    held = [k for k in now.held if k.family not in families] + [Key.of(r) for r in before]
    public = Shown(sorted([*rows, *before], key=Key.of), sorted([*told, *stood], key=Key.of), sorted(held))
    own = participants.keep(disclosed.participants, of_participants(places), release / "participants", told_own)
    return replace(disclosed, public=public, participants=own)


def _lost(cells: Sequence[Cell], shown: Shown) -> list[dict[str, JSON]]:
    """What hiding costs, by family."""
    status = {Key.of(row): row["conf_status"] for row in shown.rows}
    held = set(shown.held)
    found: dict[tuple[str, str, str], dict[str, JSON]] = {}
    for cell in sorted(cells, key=lambda c: c.key):
        named = {c.name: getattr(cell.key, c.name, 0) for c in LOST}
        row = found.setdefault(cell.key.family, named)
        row["cells"] += 1
        row["cells_confidential"] += status[cell.key] == "C"
        row["cells_secondary"] += status[cell.key] == "D"
        row["cells_standing"] += cell.key in held
        row["answers"] += cell.n_answers
        row["answers_hidden"] += 0 if status[cell.key] == "F" else cell.n_answers
    return list(found.values())


# --- writing -------------------------------------------------------------------------------------


def write_ledger(disclosed: Disclosed, release_id: str, file: Path) -> None:
    """What the next refresh must know of what is published now. Not for anybody else."""
    public = tables.of((dated(row, release_id) for row in disclosed.public.ledger), LEDGER)
    own = disclosed.participants.ledger
    place = own.schema.get_field_index("as_of_release")
    named = own.column(place).fill_null(release_id)
    tables.write(pa.concat_tables([public, own.set_column(place, own.schema.field(place), named)]), file)


def read_ledger(file: Path) -> Earlier:
    """The ledger of an earlier release; empty if it has none."""
    public, own = _split(file)
    return Earlier(standing.from_ledger(public.to_pylist()), own)


def _split(ledger: Path) -> tuple[pa.Table, pa.Table]:
    """The rows of a ledger that are of `public/`, which come first, and those of participants; none without a file."""
    if not ledger.is_file():
        return NOTHING.own, NOTHING.own
    rows = pyarrow.parquet.ParquetFile(ledger).read()
    n = rows.column("organisation_code").to_pylist().count("")
    return rows.slice(0, n), rows.slice(n)


def dated(row: dict[str, JSON], release_id: str) -> dict[str, JSON]:
    is_new = row["as_of"] is not None and row["as_of_release"] is None
    return row | {"as_of_release": release_id} if is_new else row


def write_public(
    con: duckdb.DuckDBPyConnection,
    disclosed: Disclosed,
    release_id: str,
    files: Mapping[str, Path],
    headline: Mapping[str, str],
    dimensions: Mapping[str, tuple[str, list[Column]]],
    folder: Path,
) -> dict[str, tuple[str, list[Column], Path]]:
    """Fill `public/` but for what is made of its tables; gives these with description, columns and Parquet file.

    `files` are the Parquet files of the tables inside the house, `headline` the marts that are a part of the long
    table, with their descriptions.
    """
    parquet = folder / "parquet"
    rows = [dated(row, release_id) for row in disclosed.public.rows]
    made: dict[str, tuple[str, list[Column], Path]] = {}

    def add(name: str, text: str, columns: list[Column], query: str | None = None, order: str = KEYS) -> Path:
        file = parquet / f"{name.split('.')[1]}.parquet"
        if query is not None:
            casts = ", ".join(f"{c.name}::{c.type} AS {c.name}" for c in columns)
            write_parquet(con, f"SELECT {casts} FROM ({query}) ORDER BY {order}", file)
        made[name] = (text, columns, file)
        return file

    long = add("mart.measure_score", LONG, COLUMNS)
    tables.write(tables.of(rows, COLUMNS), long)
    source = f"read_parquet({quoted(str(long))})"
    for name, text in headline.items():
        of = f"SELECT shown.* FROM {source} AS shown SEMI JOIN read_parquet({quoted(str(files[name]))}) USING ({KEYS})"
        add(name, text, COLUMNS, of)
    fresh = f"SELECT * FROM {source} WHERE conf_status = 'F' AND as_of_release = {quoted(release_id)}"
    keys = ", ".join(f"now.{k}" for k in Key._fields)
    same = " AND ".join(f"was.{k} = now.{k}" for k in Key._fields if k != "period_code")
    add(
        "mart.trend",
        "Changes between periods of which both are published; rows of synthetic exports are left out.",
        TREND,
        f"SELECT {keys}, t.compare_to_period_code, t.comparison, now.value, was.value AS value_compared, "
        f"round(now.value - was.value, 6) AS diff, t.changed, t.is_break FROM ({fresh}) AS now "
        f"JOIN read_parquet({quoted(str(files['mart.trend']))}) AS t USING ({KEYS}) "
        f"JOIN ({fresh}) AS was ON was.period_code = t.compare_to_period_code AND {same} "
        "WHERE t.provenance <> 'synthetic'",
        f"{KEYS}, compare_to_period_code",
    )
    add(
        "mart.published_comparison",
        "Every figure that a monitor published beside the one computed here.",
        COMPARED,
        "SELECT p.figure_id, "
        + ", ".join(f"p.{k}" for k in Key._fields)
        + ", p.published_value, CASE p.statistic WHEN 'count' THEN s.n_answers ELSE s.value END AS value, "
        "CASE WHEN s.conf_status = 'F' THEN p.is_reproduced END AS is_reproduced, p.provenance "
        f"FROM read_parquet({quoted(str(files['mart.published_comparison']))}) AS p "
        f"LEFT JOIN read_parquet({quoted(str(files['core.dim_measure']))}) AS m USING (measure_code) "
        f"LEFT JOIN {source} AS s ON "
        + " AND ".join(f"s.{k} = p.{k}" for k in Key._fields if k != "measure_code")
        + " AND s.measure_code = coalesce(m.counts, p.measure_code)",
        "figure_id",
    )
    for name, (text, columns) in dimensions.items():
        add(name, text, columns, f"SELECT * FROM read_parquet({quoted(str(files[name]))})", columns[0].name)
    write_rules(disclosed, release_id, folder / "disclosure.json")
    return made


def write_rules(disclosed: Disclosed, release_id: str, file: Path) -> None:
    """The rules, and what a reader must know to check them: they are no secret."""
    rules = disclosed.rules
    document = {
        "release_id": release_id,  # which figures are new: others name the release that they stand from
        "rules": rules.model_dump(exclude={"employees", "periods"}) | {"mean_width": CLOSEST},
        "employees": rules.employees.model_dump(),
        "measures": disclosed.measures,
        "sectors": disclosed.parents,
        "weighted": disclosed.weighted,
        "data_through": disclosed.data_through,
        "lost": disclosed.lost,
    }
    file.write_text(json.dumps(document, indent=1, default=str))
