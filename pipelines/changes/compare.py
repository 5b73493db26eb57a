"""Every published cell that differs between two releases, with its causes.

A cell has the causes that can have moved it, by `reach`. Its own figure and base depend on its own answers alone, its
error on all answers of its monitor, audience and period, a q-value on all tests of its family; so where one of two
causes of a night holds the answers of a cell, only that one is named for its figure, and both for what depends on more.
Where several hold, all are named: they cannot be told apart.

A shown cell whose figure behind the scenes is the same was hidden or shown by disclosure control. A public figure that
stood since an earlier release is compared with what was behind it then.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb

from pipelines.changes import cells, reach
from pipelines.changes.cells import HOUSE, KEYS, PUBLIC, SIDES, WHOLE, Release
from pipelines.changes.reach import CAUSES
from pipelines.engine import quoted

# columns that depend on the answers of their own cell alone
OWN = (
    WHOLE, "value", "value_compared", "diff", "value_matched", "value_compared_matched", "diff_matched", "n_answers",
    "n_answers_compared", "n_respondents", "n_organisations", "n_organisations_compared", "n_organisations_matched",
    "n_organisations_effective", "n_organisations_band", "largest_organisation_share", "n_kish", "n_dont_know",
    "n_blank", "value_1_10", "value_organisations_equal", "se_organisations_equal", "ci_low_organisations_equal",
    "ci_high_organisations_equal", "se_participants", "df_participants", "ci_low_participants", "ci_high_participants",
    "sum_w", "sum_wy", "n_promoters", "n_passives", "n_detractors", "promoter_share", "passive_share",
    "detractor_share", "promoters_pct", "detractors_pct", "organisations_p25", "organisations_p50",
    "organisations_p75", "p10", "p25", "p50", "p75", "p90", "share", "cumulative_share", "is_reproduced",
)  # fmt: skip
# columns that depend on all tests of a family: every period of a type
FAMILY = (
    "q_value",
    "q_value_matched",
    "family_size",
    "family_size_matched",
    "changed",
    "changed_matched",
    "is_notable",
)
# what is handed out comes first, and figures and bases before their errors
FIRST = f"output DESC, column_name NOT IN ('value', 'n_answers', '{WHOLE}'), table_name, row_key, column_name"
WEIGHTED = (
    "weighting_code", "value_weighted", "se_weighted", "df_weighted", "ci_low_weighted", "ci_high_weighted",
    "n_effective_weighted", "obs_status_weighted",
)  # fmt: skip


def release(folder: Path, warehouse: Path) -> Release | None:
    """A release as its manifest describes it; None if it is of a time when changes were not recorded."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        return None
    return Release(folder, manifest, warehouse / "parts") if "contracts" in manifest else None


def compare(
    con: duckdb.DuckDBPyConnection,
    before: Release,
    after: Release,
    output: str | None = None,
    table: str | None = None,
) -> None:
    """Make the table `change`: one row per changed cell, with its causes and where they lie.

    `output` and `table` restrict it.
    """
    cells.prepare(con)
    reach.prepare(con)
    con.execute("CREATE TABLE same_cell (id BIGINT, column_name VARCHAR)")
    for each in (HOUSE, PUBLIC):
        if output in (None, each):
            cells.find(con, before, after, each, table)
    ((any_row,),) = con.execute("SELECT count(*) FROM differs").fetchall()
    if any_row:
        pairs = [(before, after), *_earlier(con, before, after)]
        for number, (old, new) in enumerate(pairs):
            reach.add(con, number, old, new)
            _behind(con, number, old, new)
    _attribute(con, before, after)


def _earlier(con: duckdb.DuckDBPyConnection, before: Release, after: Release) -> list[tuple[Release, Release]]:
    """Number the public rows whose figures stood, in either release, by the releases that they are of.

    What is hidden now is hidden for what is behind it now, so there only the two releases themselves matter.
    """
    files = [str(f) for r in (before, after) if (f := r.tables(PUBLIC).get("mart.measure_score"))]
    if len(files) < 2:
        return []
    kept = {r.id: r for r in (before, after)}
    for folder in before.folder.parent.glob("[0-9a-f]*"):
        one = release(folder, before.parts.parent)
        if one is not None and one.part("disclosure.cell") is not None:
            kept.setdefault(one.id, one)
    keys = ", ".join(KEYS)
    con.execute("CREATE TEMP TABLE known AS SELECT unnest($1) AS id", [sorted(kept)])
    con.execute(
        f"""
        CREATE TEMP TABLE stood AS
        SELECT {keys}, coalesce(a_known.id, $1) AS older, coalesce(b_known.id, $2) AS newer
        FROM read_parquet({quoted(files[0])}) AS a
        JOIN read_parquet({quoted(files[1])}) AS b USING ({keys})
        LEFT JOIN known AS a_known ON a_known.id = a.as_of_release
        LEFT JOIN known AS b_known ON b_known.id = b.as_of_release
        WHERE b.as_of_release IS NOT NULL AND older <> newer AND NOT (older = $1 AND newer = $2)
        """,
        [before.id, after.id],
    )
    found = con.execute(
        f"SELECT DISTINCT older, newer FROM differs JOIN stood USING ({keys}) WHERE output = 'public' ORDER BY ALL"
    ).fetchall()
    same = " AND ".join(f"stood.{k} = differs.{k}" for k in KEYS)
    for number, (a, b) in enumerate(found, start=1):
        con.execute(
            f"UPDATE differs SET pair = $1 FROM stood WHERE output = 'public' AND {same} AND older = $2 AND newer = $3",
            [number, a, b],
        )
    return [(kept[a], kept[b]) for a, b in found]


def _behind(con: duckdb.DuckDBPyConnection, pair: int, before: Release, after: Release) -> None:
    """Mark the rows and cells of which what is behind is the same, so that only what may be shown can have changed."""
    tables = con.execute(
        "SELECT DISTINCT output, table_name FROM differs WHERE pair = $1 AND row_key <> $2", [pair, WHOLE]
    ).fetchall()
    for output, table in sorted(tables):
        made = before.part(table), after.part(table)
        if output == HOUSE:
            if not _is_shown_as_made(before, after, table) and _note_otherwise(
                con, "disclosure.cell", KEYS, before, after
            ):
                _mark_cells(con, table, after.grain(HOUSE, table), *made)
            continue
        if table.startswith("mart."):
            is_known = _note_otherwise(con, "disclosure.cell", KEYS, before, after)
            if is_known and table in ("mart.trend", "mart.published_comparison"):
                is_known = _note_otherwise(con, table, after.grain(PUBLIC, table), before, after, add=True)
        else:
            is_known = _note_otherwise(con, table, after.grain(PUBLIC, table), before, after)
        if is_known:
            con.execute(
                f"UPDATE differs SET stands_on_same = NOT ({IS_OTHERWISE}) WHERE pair = $1 AND output = $2 "
                "AND table_name = $3 AND row_key <> $4",
                [pair, output, table, WHOLE],
            )


def _cell_keys() -> list[str]:
    """The keys, in SQL, under which a row may be found in `otherwise`: its own, its cell, those compared."""
    keys = ["row_key", cells.row_key(KEYS)]
    for side in SIDES:
        of = side.removeprefix("compare_to_")
        keys.append(cells.row_key([f"coalesce({side}, {of})" if k == of else k for k in KEYS]))
    return keys


IS_OTHERWISE = " OR ".join(f"{key} IN (SELECT row_key FROM otherwise)" for key in _cell_keys())


def _note_otherwise(
    con: duckdb.DuckDBPyConnection,
    model: str,
    grain: Sequence[str],
    before: Release,
    after: Release,
    add: bool = False,
) -> bool:
    """Make the table `otherwise` of the rows of a model that differ; gives False if the model is not kept."""
    a, b = before.part(model), after.part(model)
    if a is None or b is None:
        return False
    if not add:
        con.execute("CREATE OR REPLACE TEMP TABLE otherwise (row_key VARCHAR)")
    sides = [f"SELECT * FROM read_parquet({quoted(str(f))})" for f in (a, b)]
    key = cells.row_key(grain)
    if _same_columns(con, a, b):
        differ = f"({sides[0]} EXCEPT {sides[1]}) UNION ALL ({sides[1]} EXCEPT {sides[0]})"
        con.execute(f"INSERT INTO otherwise SELECT {key} FROM ({differ})")
    else:
        for side in sides:
            con.execute(f"INSERT INTO otherwise SELECT {key} FROM ({side})")
    return True


def _mark_cells(
    con: duckdb.DuckDBPyConnection, table: str, grain: Sequence[str], a: Path | None, b: Path | None
) -> None:
    """Note in `same_cell` the cells of a table of the house that are the same before anything is hidden."""
    if a is None or b is None or not _same_columns(con, a, b):
        return
    described = con.execute(f"DESCRIBE FROM read_parquet({quoted(str(a))})").fetchall()
    columns = [name for name, *_ in described if name not in grain]
    joined = " AND ".join(f"a.{g} IS NOT DISTINCT FROM b.{g}" for g in grain)
    key = cells.row_key([f"coalesce(b.{g}, a.{g})" for g in grain])
    differ = [f"CASE WHEN a.{c} IS DISTINCT FROM b.{c} THEN {quoted(c)} END" for c in columns]
    differ.append(f"CASE WHEN a.is_there IS NULL OR b.is_there IS NULL THEN {quoted(WHOLE)} END")
    sides = [f"(SELECT *, true AS is_there FROM read_parquet({quoted(str(f))}))" for f in (a, b)]
    con.execute(
        "CREATE OR REPLACE TEMP TABLE otherwise_cell AS SELECT row_key, column_name FROM ("
        f"SELECT {key} AS row_key, unnest([{', '.join(differ)}]) AS column_name "
        f"FROM {sides[0]} AS a FULL JOIN {sides[1]} AS b ON {joined}) WHERE column_name IS NOT NULL"
    )
    con.execute(
        "INSERT INTO same_cell SELECT id, column_name FROM cell JOIN differs USING (id) "
        "ANTI JOIN otherwise_cell USING (row_key, column_name) "
        f"WHERE output = 'house' AND table_name = $1 AND row_key <> $2 AND NOT ({IS_OTHERWISE})",
        [table, WHOLE],
    )


def _is_shown_as_made(before: Release, after: Release, table: str) -> bool:
    """Whether nothing is hidden in a table of the house: its file is the part itself."""
    for each in (before, after):
        part, file = each.part(table), each.tables(HOUSE).get(table)
        if part is None or file is None or not cells.same(part, file):
            return False
    return True


def _same_columns(con: duckdb.DuckDBPyConnection, *files: Path | None) -> bool:
    described = [con.execute(f"DESCRIBE FROM read_parquet({quoted(str(f))})").fetchall() for f in files]
    return all(d == described[0] for d in described)


# --- causes --------------------------------------------------------------------------------------


def _attribute(con: duckdb.DuckDBPyConnection, before: Release, after: Release) -> None:
    """Bring changed rows and the reach of causes together; make the table `change`."""
    keys = ", ".join(KEYS)
    rest = ", ".join(k for k in KEYS if k not in ("period_code", "sector_code", "channel_code"))
    con.execute(
        f"""
        CREATE TEMP TABLE place AS
        SELECT id, pair, output, table_name, {keys}, keys FROM differs
        UNION
        SELECT id, pair, output, table_name, {rest}, coalesce(compare_to_period_code, period_code) AS period_code,
            coalesce(nullif(compare_to_sector_code, 'rest'), sector_code) AS sector_code,
            coalesce(compare_to_channel_code, channel_code) AS channel_code, keys
        FROM (SELECT {rest}, id, pair, output, table_name, period_code, sector_code, channel_code, keys,
            {", ".join(SIDES)} FROM differs) WHERE coalesce({", ".join(SIDES)}) IS NOT NULL
        """.replace("UNION\n", "UNION BY NAME\n")
    )
    in_period = "SELECT DISTINCT pair, root, cause, origin, monitor_code, audience_code, period_code FROM exact"
    in_family = "SELECT DISTINCT pair, root, cause, origin, monitor_code, audience_code FROM exact"
    matches = " AND ".join(f"(t.{k} IS NULL OR t.{k} = place.{k})" for k in KEYS)
    reached = "SEMI JOIN downstream USING (pair, output, table_name, root)"
    con.execute(
        f"""
        CREATE TEMP TABLE hit AS
        SELECT DISTINCT id, level, {{'cause': cause, 'origin': origin}} AS because FROM (
            SELECT id, pair, output, table_name, root, cause, origin, 'own' AS level
            FROM place JOIN exact USING (pair, {keys})
            UNION ALL
            SELECT id, place.pair, output, table_name, root, cause, origin, 'period'
            FROM place JOIN ({in_period}) AS t
                ON t.pair = place.pair AND t.monitor_code = place.monitor_code AND t.period_code = place.period_code
                AND (place.audience_code IS NULL OR place.audience_code = t.audience_code)
            UNION ALL
            SELECT id, pair, output, table_name, root, cause, origin, 'family'
            FROM place JOIN ({in_family}) USING (pair, monitor_code, audience_code)
            UNION ALL
            SELECT id, place.pair, output, table_name, root, cause, origin,
                CASE WHEN is_weighting THEN 'weighted' ELSE 'own' END
            FROM place JOIN pattern AS t
                ON t.pair = place.pair AND {matches}
                AND (t.item IS NULL OR place.keys[t.item_column] = t.item)
        ) AS h {reached}
        """
    )
    con.execute(
        """
        CREATE TEMP TABLE at_row AS
        SELECT id,
            coalesce(list(because) FILTER (level = 'own'), []) AS own,
            coalesce(list(because) FILTER (level IN ('own', 'period')), []) AS period,
            coalesce(list(because) FILTER (level IN ('own', 'period', 'family')), []) AS family,
            coalesce(list(because) FILTER (level IN ('own', 'period', 'weighted')), []) AS weighted
        FROM hit GROUP BY id
        """
    )
    con.execute(
        """
        CREATE TEMP TABLE at_table AS
        SELECT pair, output, table_name, list(DISTINCT {'cause': cause, 'origin': origin}) AS fallback
        FROM downstream JOIN (SELECT * FROM broad UNION SELECT pair, root, cause, origin FROM exact) USING (pair, root)
        GROUP BY ALL
        """
    )
    con.execute(
        "CREATE TEMP TABLE at_end AS SELECT pair, list(DISTINCT {'cause': cause, 'origin': origin}) AS newest "
        "FROM newest WHERE answered_on >= $1 GROUP BY pair",
        [_data_through(con, before, after)],
    )
    shown = _disclosed(before, after)
    rules_changed = "disclosure" in shown and before.manifest["rules"] != after.manifest["rules"]

    def because(causes: list[str]) -> str:
        return "[" + ", ".join(f"{{'cause': {CAUSES.index(c)}, 'origin': 'disclosure'}}" for c in causes) + "]"

    texts = ", ".join(quoted(c) for c in CAUSES)
    con.execute(
        f"""
        CREATE TABLE change AS
        WITH named AS (
            SELECT
                id, column_name, old, new, difference, output, table_name, row_key, kind,
                CASE
                    WHEN column_name = 'as_of' AND output = 'public' AND pair = 0 AND newest IS NOT NULL THEN newest
                    WHEN stands_on_same OR is_same_cell THEN {because(shown)}
                    ELSE list_concat(
                        CASE
                            WHEN list_contains([{", ".join(quoted(c) for c in WEIGHTED)}], column_name) THEN weighted
                            WHEN list_contains([{", ".join(quoted(c) for c in FAMILY)}], column_name) THEN family
                            WHEN len(own) > 0 AND list_contains([{", ".join(quoted(c) for c in OWN)}], column_name)
                                THEN own
                            ELSE period
                        END,
                        CASE
                            WHEN {rules_changed} AND (output = 'public' OR flips) THEN {because(["disclosure"])}
                            ELSE []
                        END
                    )
                END AS because,
                fallback
            FROM cell
            LEFT JOIN (SELECT *, true AS is_same_cell FROM same_cell) USING (id, column_name)
            JOIN (
                SELECT *, id IN (SELECT id FROM cell WHERE column_name = 'conf_status') AS flips FROM differs
            ) USING (id)
            LEFT JOIN at_row USING (id)
            LEFT JOIN at_table USING (pair, output, table_name)
            LEFT JOIN at_end USING (pair)
        ),
        found AS (
            SELECT * REPLACE (
                CASE
                    WHEN len(because) > 0 THEN because
                    WHEN len(fallback) > 0 THEN fallback
                    ELSE [{{'cause': {CAUSES.index("unexplained")}, 'origin': ''}}]
                END AS because
            ) FROM named
        )
        SELECT
            output, table_name, row_key, column_name, kind, old, new, difference,
            array_to_string(
                list_transform(list_sort(list_distinct([b.cause FOR b IN because])), lambda c: ([{texts}])[c + 1]), ', '
            ) AS causes,
            array_to_string(list_sort(list_distinct([b.origin FOR b IN because])), ', ') AS origins
        FROM found
        """
    )


def _disclosed(before: Release, after: Release) -> list[str]:
    """Why a cell is shown otherwise though what is behind it is the same."""
    rules = before.manifest["rules"] != after.manifest["rules"]
    code = before.manifest["code"]["disclosure"] != after.manifest["code"]["disclosure"]
    return (["disclosure"] if rules or not code else []) + (["method"] if code else [])


def _data_through(con: duckdb.DuckDBPyConnection, before: Release, after: Release) -> str:
    """The last day of the answers of either release."""
    files = [str(r.folder / "parquet" / "meta.release.parquet") for r in (before, after)]
    ((day,),) = con.execute("SELECT max(data_through)::VARCHAR FROM read_parquet($1)", [files]).fetchall()
    return str(day)
