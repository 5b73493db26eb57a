"""One SQL file, one table: reading its contract, and running it.

`sql/<layer>/<name>.sql` is a bare SELECT with its contract on top as comments. Its name is its path
and its upstreams are read from its FROM clauses. When it runs, its columns are cast to the declared
types, rows are ordered by the grain, and the part is thrown away if anything declared is not so.
What parts it reads, and whether it need run at all, is decided by `plan.py`.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from pipelines import engine, estimates, weighting
from pipelines.engine import quoted
from pipelines.errors import MeetlatError, of_the_machine
from pipelines.parts import JSON, link
from pipelines.settings import Settings

TYPES = ("BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "VARCHAR", "DATE", "TIMESTAMP")
WORKING_TYPES = (*TYPES, "DECIMAL(38,0)")  # exact sums on the way; never published
HEADLINE = ("monitor_code", "period_code", "audience_code", "sector_code", "channel_code", "measure_code")


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    text: str


@dataclass(frozen=True)
class Check:
    """What must be true of every row. With `upstream`, `condition` is a column whose values must stand there."""

    name: str
    condition: str
    text: str
    upstream: str | None = None
    warns: bool = False  # tells, but stops nothing


@dataclass
class Model:
    """A table and its contract."""

    name: str  # layer.table
    path: Path
    text: str
    grain: list[str]
    columns: list[Column]
    checks: list[Check]
    query: str
    per_delivery: bool = False
    restricted: bool = False  # respondent-level or cube: kept out of benchmark.duckdb
    in_order: bool = False  # the query gives the rows in the order of its delivery
    working: bool = False  # a step on the way: a part, but in no release
    taken: tuple[str, str] | None = None  # the upstream whose file is the table, unless the other upstream has rows
    inherits: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def layer(self) -> str:
        return self.name.split(".")[0]

    upstreams: list[str] = field(default_factory=list)  # the tables that the query and the checks read

    @property
    def order(self) -> list[str]:
        """The grain within one part: of one delivery, source and delivery are the same everywhere."""
        constant = ("source_code", "delivery_id") if self.per_delivery else ()
        return [g for g in self.grain if g not in constant] or self.grain

    @property
    def work(self) -> int:
        """About how much there is to do, as far as it can be told beforehand: the length of the query."""
        return len(self.query)

    @functools.cached_property
    def canonical(self) -> JSON:
        """What the rows depend on: the query without comments and layout, types, grain and checks."""
        return [
            " ".join(_tokens(self.query)),
            [(c.name, c.type) for c in self.columns],
            self.grain,
            self.in_order,
            self.taken,
            [(c.name, c.condition, c.upstream, c.warns) for c in self.checks],
        ]

    @property
    def documented(self) -> JSON:
        """What else a release shows of the model."""
        return [self.text, [c.text for c in self.columns], self.restricted, self.working]


_known_to_read: dict[str, frozenset[str]] = {}  # by query: to parse all of them takes a quarter of a second


def _read_by(con: duckdb.DuckDBPyConnection, model: Model) -> frozenset[str]:
    """The tables that the query of a model reads."""
    if model.query not in _known_to_read:
        (tree,) = con.execute("SELECT json_serialize_sql($1)", [model.query]).fetchall()[0]
        document = json.loads(tree)
        if document.get("error"):
            raise MeetlatError(f"{model.path}: {document.get('error_message', 'not one SELECT')}.")
        _known_to_read[model.query] = frozenset(_tables(document))
    return _known_to_read[model.query]


def _tables(node: JSON) -> Iterable[str]:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE" and node.get("schema_name"):
            yield f"{node['schema_name']}.{node['table_name']}"
        for child in node.values():
            yield from _tables(child)
    elif isinstance(node, list):
        for child in node:
            yield from _tables(child)


def _tokens(query: str) -> list[str]:
    pattern = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/|[^\s'\"]+?(?=--|/\*|['\"\s]|$)"
    return [t for t in re.findall(pattern, query, re.DOTALL) if not t.startswith(("--", "/*"))]


# --- reading -------------------------------------------------------------------------------------


def load(folder: Path) -> dict[str, Model]:
    """Every model under `folder` by name, upstreams before those who read them.

    Raises MeetlatError naming the file and the line of a header that says something impossible.
    """
    models = {m.name: m for m in (parse(path) for path in sorted(folder.glob("*/*.sql")))}
    if not models:
        raise MeetlatError(f"{folder} holds no SQL models; run meetlat from a checkout (pip install -e .).")
    with duckdb.connect() as con:
        for model in models.values():
            _inherit(model, models, ())
            _verify(model)
            model.upstreams = sorted({*_read_by(con, model), *(c.upstream for c in model.checks if c.upstream)})
    return {name: models[name] for name in _sorted(models)}


def parse(path: Path) -> Model:
    """Read the header and the query of one file. Inherited columns are filled in by `load`."""
    head: list[tuple[int, str]] = []
    query: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("--") and not query:
            head.append((number, line[2:].strip()))
        elif line.strip() or query:
            query.append(line)
    model = Model(f"{path.parent.name}.{path.stem}", path, "", [], [], [], "\n".join(query).strip().rstrip(";"))
    prose = []
    for number, line in head:
        tag, _, rest = line.partition(" ")
        rest = rest.strip()
        try:
            if not line.startswith("@"):
                prose.append(line)
            elif tag == "@grain":
                model.grain = [name.strip() for name in rest.split(",")]
            elif tag == "@column":
                name, type, text = re.fullmatch(r"(\w+)\s+([\w(), ]+?)\s*\|\s*(\S.*)", rest).groups()  # type: ignore[union-attr]
                model.columns.append(Column(name, type, text))
            elif tag == "@columns":
                upstream, _, without = rest.partition(" except ")
                model.inherits.append((upstream.strip(), [w.strip() for w in without.split(",") if w.strip()]))
            elif tag in ("@check", "@warn"):
                name, condition, text = re.fullmatch(r"(\w+):\s*(\S.*?)\s+\|\s+(\S.*)", rest).groups()  # type: ignore[union-attr]
                model.checks.append(Check(name, condition, text, warns=tag == "@warn"))
            elif tag == "@references":
                column, upstream = rest.split()
                model.checks.append(Check(f"{column}_known", column, f"every {column} stands in {upstream}", upstream))
            elif line == "@per delivery":
                model.per_delivery = True
            elif line == "@in order":
                model.in_order = True
            elif tag == "@taken":
                model.taken = re.fullmatch(r"from (\S+) unless (\S+)", rest).groups()  # type: ignore[union-attr,assignment]
            elif line == "@restricted":
                model.restricted = True
            elif line == "@working":
                model.working = True
            else:
                raise ValueError
        except (ValueError, AttributeError):
            raise MeetlatError(f"{path}, line {number}: cannot read '{line}'; see docs/models.md.") from None
    model.text = " ".join(" ".join(prose).split())
    return model


def _inherit(model: Model, models: Mapping[str, Model], seen: tuple[str, ...]) -> None:
    while model.inherits:
        name, without = model.inherits.pop(0)
        if name not in models or name in seen:
            raise MeetlatError(f"{model.path}: @columns names {name}, which is no other model.")
        upstream = models[name]
        _inherit(upstream, models, (*seen, model.name))
        if unknown := sorted(set(without) - {c.name for c in upstream.columns}):
            raise MeetlatError(f"{model.path}: @columns leaves out {unknown}, which {name} does not have.")
        model.columns += [c for c in upstream.columns if c.name not in without]


def _verify(model: Model) -> None:
    names = [c.name for c in model.columns]
    allowed = WORKING_TYPES if model.working else TYPES
    faults = [f"column {n} is declared twice" for n in sorted({n for n in names if names.count(n) > 1})]
    faults += [f"type {c.type} of {c.name} is none of {allowed}" for c in model.columns if c.type not in allowed]
    faults += [f"@grain names {g}, which is no column" for g in model.grain if g not in names]
    faults += [f"the text of {c.name} still says TODO" for c in model.columns if "TODO" in c.text]
    faults += ["it is @in order, but not @per delivery"] if model.in_order and not model.per_delivery else []
    faults += ["it is @taken from an upstream, but not @in order"] if model.taken and not model.in_order else []
    faults += ["it has no @grain"] if not model.grain else []
    faults += ["it has no description"] if not model.text else []
    if faults:
        raise MeetlatError(f"{model.path}: {'; '.join(faults)}.")


def _sorted(models: Mapping[str, Model]) -> list[str]:
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise MeetlatError(f"{models[name].path}: reads itself by way of {' → '.join((*path, name))}.")
        if name not in done:
            for upstream in models[name].upstreams:
                if upstream in models:
                    visit(upstream, (*path, name))
                elif upstream.split(".")[0] not in ("staged", "reference"):
                    raise MeetlatError(f"{models[name].path}: reads {upstream}, for which there is no file.")
            done.append(name)

    for name in models:
        visit(name, ())
    return done


# --- running -------------------------------------------------------------------------------------


class CheckFailed(MeetlatError):
    """A table is not what its contract says. `results` holds every check with its outcome."""

    def __init__(self, model: Model, results: list[JSON]) -> None:
        failed = [r for r in results if not r["passed"] and not r["warns"]]
        lines = "\n".join(f"  {r['name']}: {r['text']}; {r['found']}" for r in failed)
        super().__init__(f"{model.name} fails {len(failed)} of its checks ({model.path}):\n{lines}")
        self.table, self.results = model.name, results


def run(settings: Settings, model: Model, inputs: Mapping[str, list[Path]], folder: Path) -> dict[str, JSON]:
    """Make the table from the Parquet files of its upstreams and write `data.parquet` into `folder`.

    Gives the number of rows and the outcome of every check. Raises CheckFailed if one fails.
    """
    file = folder / "data.parquet"
    size = sum(f.stat().st_size for files in inputs.values() for f in files)
    with engine.borrowed(settings, folder.parent, model.per_delivery, size) as con:
        for layer in {upstream.split(".")[0] for upstream in inputs}:
            con.execute(f"CREATE SCHEMA {layer}")
        for upstream, files in inputs.items():
            listed = ", ".join(quoted(str(f)) for f in files)
            con.execute(f"CREATE VIEW {upstream} AS SELECT * FROM read_parquet([{listed}])")
        estimates.register(con, model.query)
        weighting.register(con, model.query)
        try:
            if _may_be_taken(con, model):
                assert model.taken is not None
                link(inputs[model.taken[0]][0], file)
                ((rows,),) = con.execute(f"SELECT count(*) FROM {model.taken[0]}").fetchall()
            else:
                casts = ", ".join(f"{c.name}::{c.type} AS {c.name}" for c in model.columns)
                undeclared = f"* EXCLUDE ({', '.join(c.name for c in model.columns)})"  # none, or the header lacks them
                order = "" if model.in_order else " ORDER BY " + ", ".join(f"{g} NULLS LAST" for g in model.order)
                rows = engine.write_parquet(con, f"SELECT {casts}, {undeclared} FROM ({model.query}\n){order}", file)
            con.execute(f"CREATE VIEW made AS SELECT * FROM read_parquet({quoted(str(file))})")
            if len(con.execute("DESCRIBE made").fetchall()) > len(model.columns):
                _agree(con, model)
        except duckdb.BinderException as error:
            with suppress(duckdb.Error):
                _agree(con, model)
            raise MeetlatError(f"{model.path}: {error}") from None
        except duckdb.Error as error:
            sentence = _refused(error) or of_the_machine(error, folder) or f"{model.path}: {error}"
            raise MeetlatError(sentence) from None
        results = _outcomes(con, model)
    if not all(r["passed"] or r["warns"] for r in results):
        raise CheckFailed(model, results)
    return {"rows": rows, "checks": results}


def _may_be_taken(con: duckdb.DuckDBPyConnection, model: Model) -> bool:
    """Whether the query would give an upstream as it is, so that its file need not be written once more."""
    if model.taken is None:
        return False
    upstream, other = model.taken
    ((any_other,),) = con.execute(f"SELECT count(*) > 0 FROM {other}").fetchall()
    there = [(name, type) for name, type, *_ in con.execute(f"DESCRIBE {upstream}").fetchall()]
    return not any_other and there == [(c.name, c.type) for c in model.columns]


def _refused(error: duckdb.Error) -> str | None:
    """The sentence of a query that says `error('refused: ' || sentence)`."""
    _, refused, sentence = str(error).partition("Invalid Input Error: refused: ")
    return sentence if refused else None


def _agree(con: duckdb.DuckDBPyConnection, model: Model) -> None:
    actual = {row[0] for row in con.execute(f"DESCRIBE {model.query}").fetchall()}
    declared = {c.name for c in model.columns}
    if actual != declared:
        raise MeetlatError(
            f"{model.path}: the query gives {sorted(actual - declared)} undeclared and lacks "
            f"{sorted(declared - actual)}; make the header and the query agree."
        )


def _outcomes(con: duckdb.DuckDBPyConnection, model: Model) -> list[JSON]:
    """The grain, then the checks in the order of the header. All but references are counted in one pass over the table.

    Where the hashes of the keys all differ, so do the keys; where not, the keys are counted themselves.
    """
    conditions = [check for check in model.checks if not check.upstream]
    counted = "".join(f", count(*) FILTER (({check.condition}) IS NOT TRUE)" for check in conditions)
    keys = ", ".join(model.order)
    ((unlike, *wrong),) = con.execute(f"SELECT count(*) - count(DISTINCT hash({keys})){counted} FROM made").fetchall()
    if unlike:
        twice = f"SELECT count(*) FROM (SELECT 1 FROM made GROUP BY {keys} HAVING count(*) > 1)"
        ((unlike,),) = con.execute(twice).fetchall()
    grain = Check("grain", keys, f"one row per {', '.join(model.grain)}")
    rows = iter(wrong)

    def met(check: Check) -> JSON:
        n = next(rows)
        return _result(check, n == 0, f"{n} rows are not so")

    first = _result(grain, unlike == 0, f"{unlike} keys stand more than once")
    return [first, *(_known(con, check) if check.upstream else met(check) for check in model.checks)]


def _known(con: duckdb.DuckDBPyConnection, check: Check) -> JSON:
    """Whether every value of a column stands in another table."""
    found = con.execute(
        f"SELECT DISTINCT {check.condition} FROM made WHERE {check.condition} NOT IN "
        f"(SELECT {check.condition} FROM {check.upstream}) ORDER BY 1 LIMIT 6"
    ).fetchall()
    names = ", ".join(str(row[0]) for row in found[:5]) + (", ..." if len(found) > 5 else "")
    return _result(
        check, not found, f"not there: {names}; add it to raw/reference/ or correct what names it" if found else ""
    )


def _result(check: Check, passed: bool, found: str) -> JSON:
    return {"name": check.name, "text": check.text, "passed": passed, "found": found, "warns": check.warns}


def bind(models: Mapping[str, Model], given: Mapping[str, str]) -> None:
    """Check every query against the declared columns of what it reads, without any data.

    `given` holds the columns of the tables that are no models. Raises MeetlatError at the first fault.
    """
    with duckdb.connect() as con:
        for functions in (estimates, weighting):
            functions.register(con, " ".join(model.query for model in models.values()))
        for layer in {n.split(".")[0] for n in (*models, *given)}:
            con.execute(f"CREATE SCHEMA {layer}")
        for table, columns in given.items():
            con.execute(f"CREATE TABLE {table} ({columns})")
        for model in models.values():
            try:
                _agree(con, model)
                for check in model.checks:
                    if not check.upstream:
                        con.execute(f"SELECT ({check.condition}) FROM ({model.query}\n) LIMIT 0")
            except duckdb.Error as error:
                raise MeetlatError(f"{model.path}: {error}") from None
            con.execute(f"CREATE TABLE {model.name} ({', '.join(f'{c.name} {c.type}' for c in model.columns)})")
