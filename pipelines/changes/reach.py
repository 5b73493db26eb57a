"""What each cause between two releases can have moved: found by comparing the answers, the lists and the models.

Three tables say so. `exact` names the cells (monitor, period, audience, sector, channel, measure) whose own answers
differ, `pattern` what a changed list, contract or model can move, NULL standing for anything, and `broad` which tables
a cause reaches at all. All are numbered by the pair of releases that they are of.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from pipelines.changes.cells import HOUSE, KEYS, PUBLIC, Release, same
from pipelines.engine import quoted
from pipelines.parts import JSON

# in the order in which they are named
CAUSES = (
    "new_delivery", "correction", "erasure", "reference", "weighting", "contract", "method", "disclosure",
    "unexplained",
)  # fmt: skip
ANSWERS = "core.fct_answer"
CODE = "code"

# the column of a table's key in which a list's item stands
ITEMS = {
    "monitors": "monitor_code", "audiences": "audience_code", "sectors": "sector_code", "channels": "channel_code",
    "measures": "measure_code", "organisations": "organisation_code", "published_figures": "figure_id",
    "drivers": "driver_set_code", "links": "link_code",
}  # fmt: skip
CONTRACT_LISTS = ("sources", "segments", "waves", "sampled_from", "channels", "sectors")

# what tells an answer from another: its place in the cube, who gave it, and how
CONTENT = (
    "response_id", "respondent_id", "country_code", "organisation_code", "sector_code", "segment_code", "audience_code",
    "wave_code", "answered_on", "mode_code", "channel_code", "measure_code", "question_version", "value", "weight",
    "missing_reason",
)  # fmt: skip


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """The tables that `add` fills."""
    about = ", ".join(f"{k} VARCHAR" for k in KEYS)
    of = "pair INTEGER, root VARCHAR, cause INTEGER, origin VARCHAR"
    con.execute(f"CREATE TABLE exact ({of}, {about})")
    con.execute(
        f"CREATE TABLE pattern ({of}, {about}, item_column VARCHAR, item VARCHAR, is_weighting BOOLEAN DEFAULT false)"
    )
    con.execute(f"CREATE TABLE broad ({of})")
    con.execute("CREATE TABLE newest (pair INTEGER, cause INTEGER, origin VARCHAR, answered_on DATE)")
    con.execute("CREATE TABLE downstream (pair INTEGER, output VARCHAR, table_name VARCHAR, root VARCHAR)")
    con.execute(
        "CREATE TABLE moved (cause INTEGER, origin VARCHAR, side VARCHAR, monitor_code VARCHAR, audience_code VARCHAR, "
        "wave_code VARCHAR, time_cell_code VARCHAR, organisation_code VARCHAR, stated VARCHAR, channel_code VARCHAR, "
        "measure_code VARCHAR, answered_on DATE)"
    )


def add(con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release) -> None:
    """Add what the causes between two releases can have moved."""
    _downstream(con, pair, before, after)
    con.execute("TRUNCATE moved")
    for source in sorted({*before.manifest["sources"], *after.manifest["sources"]}):
        _source(con, pair, source, before, after)
    _domains(con, pair, before, after)
    _contracts(con, pair, before, after)
    _lists(con, pair, before, after)
    _methods(con, pair, before, after)


# --- who reads whom ------------------------------------------------------------------------------


def _downstream(con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release) -> None:
    """For every published table all that it is made of, directly or not."""
    reads: dict[str, set[str]] = {}
    for release in (before, after):
        for name, model in release.manifest["models"].items():
            reads.setdefault(name, set()).update(model["reads"])
    found: dict[str, set[str]] = {}

    def above(name: str) -> set[str]:
        if name not in found:
            found[name] = {name}.union(*(above(each) for each in reads.get(name, ())))
        return found[name]

    rows = []
    for output, table in con.execute("SELECT DISTINCT output, table_name FROM differs ORDER BY ALL").fetchall():
        shown = above("disclosure.cell") if output == PUBLIC and table.startswith("mart.") else set()
        rows += [(output, table, root) for root in sorted(above(table) | shown | {CODE})]
    con.execute(
        "INSERT INTO downstream SELECT $1, unnest($2), unnest($3), unnest($4)",
        [pair, *map(list, zip(*rows, strict=True))],
    )


def _pattern(
    con: duckdb.DuckDBPyConnection,
    pair: int,
    roots: Iterable[str],
    cause: str,
    origin: str,
    about: Mapping[str, str] | None = None,
    item: tuple[str, str] | None = None,
    is_weighting: bool = False,
) -> None:
    about = about or {}
    for root in roots:
        row = [pair, root, CAUSES.index(cause), origin, *(about.get(k) for k in KEYS), *(item or (None, None))]
        con.execute(f"INSERT INTO pattern VALUES ({', '.join('?' * len(row))}, ?)", [*row, is_weighting])
        con.execute("INSERT INTO broad VALUES (?, ?, ?, ?)", row[:4])


# --- answers -------------------------------------------------------------------------------------


def _deliveries(release: Release, source: str) -> dict[str, dict[str, JSON]]:
    """The deliveries of a source by the first digits of their digest, each with the hash of its answers."""
    hashes = iter(release.manifest["parts"].get(ANSWERS, []))
    found = {}
    for name, entry in sorted(release.manifest["sources"].items()):
        for d in entry["deliveries"]:
            answers = next(hashes, "gone") if d["staged"] else None  # gone: with an erasure
            if name == source:
                found[d["sha256"][:16]] = d | {"answers": answers}
    return found


def _source(con: duckdb.DuckDBPyConnection, pair: int, source: str, before: Release, after: Release) -> None:
    """Note which answers of a source came, went or changed, and why."""
    old, new = _deliveries(before, source), _deliveries(after, source)
    in_old, in_new = {d["answers"] for d in old.values()}, {d["answers"] for d in new.values()}
    remade = _remade(source, before, after)
    files_a = {i: _answers(before, d) for i, d in old.items() if d["answers"] and d["answers"] not in in_new}
    files_b = {i: _answers(after, d) for i, d in new.items() if d["answers"] and d["answers"] not in in_old}
    if not files_a and not files_b:
        return
    names = {d["file"] for d in old.values()}
    states_a = {i: "gone" if i not in new else _state(old[i], new[i], remade) for i in old}
    states_b = {
        i: (
            _state(old[i], new[i], remade)
            if i in old
            else "again" if new[i]["file"] in names and _is_gone(new[i]["file"], old, new) else "new"
        )
        for i in new
    }  # fmt: skip
    states = {*states_a.values(), *states_b.values()}
    causes = {"new_delivery"} if "new" in states else set()
    causes |= {"correction"} if {"gone", "again"} & states else set()
    causes |= remade
    contract = (after if source in after.manifest["contracts"] else before).manifest["contracts"][source]
    if not all((*files_a.values(), *files_b.values())):
        # answers of a release are no longer kept: they went with an erasure, or with the parts of that time
        about = {"monitor_code": contract["monitor"], "audience_code": contract["audience"]}
        # what a new delivery replaced cannot be seen any more
        for cause in sorted(causes | ({"correction"} if "new" in states else set())):
            _pattern(con, pair, [ANSWERS], cause, source, about)
        return
    content = ", ".join(CONTENT)
    for side, files in (("a", files_a), ("b", files_b)):
        listed = ", ".join(quoted(str(f)) for f in files.values())
        rows = (
            f"FROM read_parquet([{listed}])"
            if files
            else f"FROM read_parquet({quoted(_any(files_a, files_b))}) LIMIT 0"
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE answers_{side} AS SELECT {content}, delivery_id {rows}")
    _state_tables(con, states_a, states_b)
    _causes(con, remade)
    monitors = [r.manifest["contracts"].get(source, contract)["monitor"] for r in (before, after)]
    con.execute(
        f"""
        INSERT INTO moved BY NAME
        WITH net AS (
            SELECT {content}, count(*) FILTER (side = 'a') AS was, count(*) FILTER (side = 'b') AS is_now FROM (
                SELECT {content}, 'a' AS side FROM answers_a UNION ALL SELECT {content}, 'b' FROM answers_b
            ) GROUP BY ALL HAVING was <> is_now
        ),
        response AS (
            SELECT
                response_id, max(delivery_id) FILTER (side = 'a') AS old, max(delivery_id) FILTER (side = 'b') AS new
            FROM (
                SELECT DISTINCT response_id, delivery_id, 'a' AS side FROM answers_a
                UNION ALL SELECT DISTINCT response_id, delivery_id, 'b' FROM answers_b
            ) SEMI JOIN net USING (response_id) GROUP BY ALL
        )
        SELECT DISTINCT
            because.cause, $1 AS origin, sides.side,
            CASE sides.side WHEN 'a' THEN $2 ELSE $3 END AS monitor_code,
            audience_code, coalesce(wave_code, '') AS wave_code,
            coalesce(strftime(answered_on, '%Y-%m'), wave_code) AS time_cell_code, organisation_code,
            sector_code AS stated, channel_code, measure_code, answered_on
        FROM net
        JOIN response USING (response_id)
        LEFT JOIN state_a ON state_a.id = response.old
        LEFT JOIN state_b ON state_b.id = response.new
        JOIN because
            ON because.state_a IS NOT DISTINCT FROM state_a.state AND because.state_b IS NOT DISTINCT FROM state_b.state
            AND because.is_same = coalesce(response.old = response.new, false)
        JOIN (VALUES ('a'), ('b')) AS sides (side) ON (sides.side = 'a') = (was > is_now)
        """,
        [source, *monitors],
    )
    for cause in sorted(causes or {"correction"}):
        con.execute("INSERT INTO broad VALUES ($1, $2, $3, $4)", [pair, ANSWERS, CAUSES.index(cause), source])


def _any(*files: Mapping[str, Path | None]) -> str:
    return next(str(f) for each in files for f in each.values() if f)


def _answers(release: Release, delivery: Mapping[str, JSON]) -> Path | None:
    file = release.parts / ANSWERS / delivery["answers"] / "data.parquet"
    return file if file.is_file() else None


def _remade(source: str, before: Release, after: Release) -> set[str]:
    """Why the answers of a delivery that was there before may be read otherwise now."""
    old, new = before.manifest["contracts"].get(source), after.manifest["contracts"].get(source)
    found = set()
    if old is not None and new is not None:
        if any(old[k] != new[k] for k in ("reading", "design")):
            found.add("contract")
        found |= {"correction"} if old["corrections"] != new["corrections"] else set()
        found |= {"reference"} if old["measures"] != new["measures"] else set()
    code_a, code_b = before.manifest["code"], after.manifest["code"]
    queries = [r.manifest["models"].get(ANSWERS) for r in (before, after)]
    if any(code_a[k] != code_b[k] for k in ("staging", "models")) or queries[0] != queries[1]:
        found.add("method")
    erased = [(r.manifest.get("erasures") or {}).get(source) for r in (before, after)]
    return found | ({"erasure"} if erased[0] != erased[1] else set())


def _state(old: Mapping[str, JSON], new: Mapping[str, JSON], remade: set[str]) -> str:
    """What became of a delivery that both releases have."""
    return "kept" if old["staged"] == new["staged"] and not remade else "remade"


def _is_gone(file: str, old: Mapping[str, Mapping[str, JSON]], new: Mapping[str, object]) -> bool:
    """Whether the delivery that had this name is no longer there: other bytes were delivered in its place."""
    return any(d["file"] == file and i not in new for i, d in old.items())


def _state_tables(con: duckdb.DuckDBPyConnection, a: Mapping[str, str], b: Mapping[str, str]) -> None:
    for side, states in (("a", a), ("b", b)):
        con.execute(f"CREATE OR REPLACE TEMP TABLE state_{side} (id VARCHAR, state VARCHAR)")
        if states:
            con.executemany(f"INSERT INTO state_{side} VALUES ($1, $2)", list(states.items()))


def _causes(con: duckdb.DuckDBPyConnection, remade: set[str]) -> None:
    """Make the table `because`: why a response differs, by what became of the deliveries that hold it.

    `is_same` says that both are the same delivery. An erasure only takes away; it changes no answer that stays.
    """
    stays = remade - {"erasure"} or {"correction"}
    rows: list[tuple[str | None, str | None, bool, set[str]]] = [
        (None, "new", False, {"new_delivery"}),
        (None, "again", False, {"correction"}),
        (None, "kept", False, {"correction"}),
        (None, "remade", False, stays),
        ("gone", None, False, {"correction"}),
        ("kept", None, False, {"correction"}),
        ("remade", None, False, {"erasure"} if remade == {"erasure"} else remade or {"correction"}),
    ]
    for old in ("gone", "kept", "remade"):
        for new in ("new", "again", "kept", "remade"):
            read_anew = remade - {"erasure"} if "remade" in (old, new) else set()
            rows.append((old, new, False, {"correction"} | read_anew))
            rows.append((old, new, True, read_anew or {"correction"}))
    con.execute(
        "CREATE OR REPLACE TEMP TABLE because (state_a VARCHAR, state_b VARCHAR, is_same BOOLEAN, cause INTEGER)"
    )
    con.executemany(
        "INSERT INTO because VALUES ($1, $2, $3, $4)",
        [[a, b, is_same, CAUSES.index(cause)] for a, b, is_same, causes in rows for cause in sorted(causes)],
    )


# --- from answers to cells -----------------------------------------------------------------------


def _maps(before: Release, after: Release, model: str) -> list[Path]:
    """A table that says where answers belong, as it was and as it is; the one that is left if one is not kept."""
    a, b = before.part(model), after.part(model)
    return [f for f in (a or b, b or a) if f is not None]


PLACES = ("estimate.organisation_sector", "core.bridge_sector", "estimate.time_cell_period")
SECTOR = (
    "CASE WHEN stated IS NOT NULL THEN stated WHEN organisation_code IS NULL THEN 'not_applicable' "
    "ELSE place.sector_code END"
)


def _domains(con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release) -> None:
    """Fill `exact` with the cells that the answers in `moved` belong to, by the places of their own release."""
    con.execute("INSERT INTO newest SELECT DISTINCT $1, cause, origin, answered_on FROM moved", [pair])
    sectors, bridges, periods = (_maps(before, after, model) for model in PLACES)
    if not (sectors and bridges and periods):  # where the answers belong is no longer kept: neither are they
        return
    for side in (0, 1):
        con.execute(
            f"""
            INSERT INTO exact BY NAME
            SELECT DISTINCT
                $1 AS pair, '{ANSWERS}' AS root, cause, origin, monitor_code, audience_code, period_code,
                bridge.ancestor_code AS sector_code, unnest([channel_code, 'all']) AS channel_code, measure_code
            FROM (
                SELECT DISTINCT
                    cause, origin, monitor_code, audience_code, wave_code, time_cell_code, {SECTOR} AS sector_code,
                    channel_code, measure_code
                FROM moved
                LEFT JOIN read_parquet({quoted(str(sectors[side]))}) AS place USING (organisation_code, time_cell_code)
                WHERE side = $2
            )
            JOIN read_parquet({quoted(str(periods[side]))})
                USING (monitor_code, audience_code, wave_code, time_cell_code)
            JOIN read_parquet({quoted(str(bridges[side]))}) AS bridge USING (sector_code)
            """,
            [pair, "ab"[side]],
        )


def _sectors_moved(
    con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release, root: str, cause: str, origin: str
) -> None:
    """Add to `exact` the cells that answers left or came to because organisations or sectors belong elsewhere now."""
    cube = after.part("cube.score_counts") or before.part("cube.score_counts")
    sectors, bridges, periods = (_maps(before, after, model) for model in PLACES)
    source = after.tables(HOUSE)["core.dim_source"]
    if cube is None or not (sectors and bridges and periods):
        _pattern(con, pair, [root], cause, origin)
        return
    placed = [
        f"""
        SELECT DISTINCT monitor_code, audience_code, coalesce(wave_code, '') AS wave_code, time_cell_code,
            organisation_code, channel_code, measure_code, bridge.ancestor_code AS sector_code
        FROM (
            SELECT source.monitor_code, cube.* EXCLUDE (sector_code), {SECTOR} AS sector_code
            FROM (SELECT *, sector_code AS stated FROM read_parquet({quoted(str(cube))})) AS cube
            JOIN read_parquet({quoted(str(source))}) AS source USING (source_code)
            LEFT JOIN read_parquet({quoted(str(sectors[side]))}) AS place USING (organisation_code, time_cell_code)
        ) JOIN read_parquet({quoted(str(bridges[side]))}) AS bridge USING (sector_code)
        """
        for side in (0, 1)
    ]
    con.execute(
        f"""
        INSERT INTO exact BY NAME
        SELECT DISTINCT
            $1 AS pair, $2 AS root, $3 AS cause, $4 AS origin, monitor_code, audience_code, period_code, sector_code,
            unnest([channel_code, 'all']) AS channel_code, measure_code
        FROM (({placed[0]} EXCEPT {placed[1]}) UNION ({placed[1]} EXCEPT {placed[0]}))
        JOIN read_parquet({quoted(str(periods[1]))}) USING (monitor_code, audience_code, wave_code, time_cell_code)
        """,
        [pair, root, CAUSES.index(cause), origin],
    )


# --- contracts, lists, models --------------------------------------------------------------------


def _contracts(con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release) -> None:
    old, new = before.manifest["contracts"], after.manifest["contracts"]
    for source in sorted({*old, *new}):
        a, b = old.get(source, {}), new.get(source, {})
        if any(a.get(k) != b.get(k) for k in ("words", "design")):
            _pattern(con, pair, ["core.dim_source"], "contract", source, item=("source_code", source))
        asked = [c.get("questions", {}) for c in (a, b)]
        for code in sorted(code for code in {*asked[0], *asked[1]} if asked[0].get(code) != asked[1].get(code)):
            for c in filter(None, (a, b)):
                about = {"monitor_code": c["monitor"], "audience_code": c["audience"], "measure_code": code}
                _pattern(con, pair, ["core.dim_question"], "contract", source, about)
            item = ("source_code", source)
            _pattern(con, pair, ["core.dim_question"], "contract", source, {"measure_code": code}, item)
        if a.get("design") != b.get("design"):
            for c in (a, b):
                if a and b:
                    about = {"monitor_code": c["monitor"], "audience_code": c["audience"]}
                    _pattern(con, pair, ["core.dim_source"], "contract", source, about)
            for name in CONTRACT_LISTS:
                con.execute(
                    "INSERT INTO broad VALUES ($1, $2, $3, $4)",
                    [pair, f"reference.{name}", CAUSES.index("contract"), source],
                )


def _lists(con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release) -> None:
    old, new = before.manifest["lists"], after.manifest["lists"]
    for name in sorted({*old, *new}):
        a, b = old.get(name, {}), new.get(name, {})
        items = sorted(i for i in {*a, *b} if a.get(i) != b.get(i))
        root = f"reference.{name}"
        for item in items:
            if name == "population":
                about = dict(zip(("monitor_code", "audience_code", "period_code"), item.split("|"), strict=True))
                _pattern(con, pair, [root], "weighting", name, about, is_weighting=True)
            elif ITEMS[name] in KEYS:
                _pattern(con, pair, [root], "reference", name, {ITEMS[name]: item})
            else:
                _pattern(con, pair, [root], "reference", name, item=(ITEMS[name], item))
        if items and name in ("organisations", "sectors"):
            _sectors_moved(con, pair, before, after, root, "reference", name)


def _methods(con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release) -> None:
    old, new = before.manifest["models"], after.manifest["models"]
    for name in sorted({*old, *new}):
        if old.get(name, {}).get("made_of") != new.get(name, {}).get("made_of"):
            a, b = before.part(name), after.part(name)
            if a is None or b is None or not same(a, b):
                _pattern(con, pair, [name], "method", name)
    if before.manifest["code"]["models"] != after.manifest["code"]["models"]:
        _pattern(con, pair, [CODE], "method", CODE)
