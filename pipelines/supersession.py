"""Which responses of a source a later delivery replaced, and which respondents came back.

The only step that looks across deliveries before the cube. It reads the small `response` files and
gives every delivery its own two lists, so that a delivery whose lists did not change is not rebuilt.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import duckdb

from pipelines import engine
from pipelines.engine import quoted
from pipelines.parts import JSON, Part, link
from pipelines.settings import Settings

COLUMNS = {"superseded": "response_id, n_not_asked", "repeat_respondent": "respondent_id"}
LISTS = tuple(COLUMNS)


def supersede(
    settings: Settings,
    source: str,
    mode: str,
    deliveries: Sequence[tuple[str, Part]],
    folder: Path,
    before: Part | None = None,
) -> dict[str, JSON]:
    """Write `<delivery id>.superseded.parquet` and `<delivery id>.repeat_respondent.parquet` for each.

    `deliveries` are (delivery id, staged part) in delivery order, oldest first. `before`: the same lists of all but the
    last, if they are there; only what the last delivery touches is then found anew. The result gives the number of rows
    and the digest of every list.
    """
    with engine.connect(settings, folder) as con:
        files = " UNION ALL ".join(
            f"SELECT {place} AS place, * FROM {quoted(str(part.file('response')))}"
            for place, (_, part) in enumerate(deliveries)
        )
        con.execute(f"CREATE VIEW response AS SELECT place, response_id, respondent_id, n_not_asked FROM ({files})")
        if before is None:
            _find(con, mode)
            touched = set(range(len(deliveries)))
        else:
            touched = _extend(con, mode, deliveries, before)
        facts: dict[str, JSON] = {}
        for place, (id, _) in enumerate(deliveries):
            facts[id] = {}
            for name, columns in COLUMNS.items():
                file = folder / f"{id}.{name}.parquet"
                if before is not None and place not in touched:
                    link(str(before.file(f"{id}.{name}")), str(file))
                    facts[id][name] = before.facts[id][name]
                    continue
                keys = f"{quoted(source)} AS source_code, {quoted(id)} AS delivery_id"
                query = f"SELECT {keys}, {columns} FROM {name} WHERE place = {place}"
                rows = engine.write_parquet(con, f"{query} ORDER BY {columns}", file)
                # how a file without rows describes its columns depends on how the engine came to know that it has none
                digest = hashlib.sha256(file.read_bytes() if rows else b"").hexdigest()[:32]
                facts[id][name] = {"rows": rows, "digest": digest}
        return facts


def _find(con: duckdb.DuckDBPyConnection, mode: str) -> None:
    """Make both lists of all deliveries."""
    if mode == "snapshot":
        con.execute("CREATE TEMP TABLE read AS FROM response")
    else:
        # a response and a respondent of which there is one row are in no list; a number is counted faster than a text
        con.execute(
            "CREATE TEMP TABLE hashed AS "
            "SELECT hash(response_id) AS response, hash(respondent_id) AS respondent FROM response"
        )
        con.execute(
            "CREATE TEMP TABLE read AS FROM response "
            "WHERE hash(response_id) IN (SELECT response FROM hashed GROUP BY response HAVING count(*) > 1) "
            "OR hash(respondent_id) IN (SELECT respondent FROM hashed GROUP BY respondent HAVING count(*) > 1)"
        )
        con.execute("DROP TABLE hashed")
    newest = (
        "SELECT response_id, (SELECT max(place) FROM read) AS newest FROM read GROUP BY response_id"
        if mode == "snapshot"
        else "SELECT response_id, max(place) AS newest FROM read GROUP BY response_id HAVING count(*) > 1"
    )
    con.execute(
        "CREATE TEMP TABLE superseded AS SELECT place, response_id, n_not_asked FROM read "
        f"JOIN ({newest}) USING (response_id) WHERE place < newest"
    )
    con.execute(f"CREATE TEMP TABLE repeat_respondent AS {_repeated('read')}")


def _extend(
    con: duckdb.DuckDBPyConnection, mode: str, deliveries: Sequence[tuple[str, Part]], before: Part
) -> set[int]:
    """Make the lists of the deliveries that the last one touches, of the lists of all before; gives their places."""
    last = len(deliveries) - 1
    for name, columns in COLUMNS.items():
        listed = " UNION ALL ".join(
            f"SELECT {place} AS place, {columns} FROM {quoted(str(before.file(f'{id}.{name}')))}"
            for place, (id, _) in enumerate(deliveries[:-1])
        )
        con.execute(f"CREATE TEMP TABLE known_{name} AS {listed}")
    replaced = (
        f"FROM response WHERE place = {last - 1}"
        if mode == "snapshot"
        else f"FROM response SEMI JOIN (FROM response WHERE place = {last}) USING (response_id) WHERE place < {last}"
    )
    con.execute(
        "CREATE TEMP TABLE lately AS SELECT place, response_id, respondent_id, n_not_asked "
        f"FROM (SELECT * {replaced}) ANTI JOIN known_superseded USING (place, response_id)"
    )
    con.execute(
        "CREATE TEMP TABLE superseded AS FROM known_superseded UNION ALL "
        "SELECT place, response_id, n_not_asked FROM lately"
    )
    # whose number of responses is another one than before
    con.execute(
        "CREATE TEMP TABLE moved AS SELECT respondent_id FROM lately UNION "
        f"SELECT respondent_id FROM response WHERE place = {last}"
    )
    con.execute("CREATE TEMP TABLE of_moved AS FROM response SEMI JOIN moved USING (respondent_id)")
    con.execute(
        "CREATE TEMP TABLE repeat_respondent AS "
        f"(FROM known_repeat_respondent ANTI JOIN moved USING (respondent_id)) UNION ALL ({_repeated('of_moved')})"
    )
    touched = con.execute(
        "SELECT place FROM lately UNION SELECT place FROM of_moved UNION "
        f"SELECT place FROM known_repeat_respondent SEMI JOIN moved USING (respondent_id) UNION SELECT {last}"
    )
    return {place for (place,) in touched.fetchall()}


def _repeated(responses: str) -> str:
    """SQL: the respondents with more than one of these responses that was not replaced, by delivery."""
    remaining = f"SELECT place, respondent_id FROM {responses} ANTI JOIN superseded USING (place, response_id)"
    return (
        f"SELECT DISTINCT place, respondent_id FROM ({remaining}) SEMI JOIN "
        f"(SELECT respondent_id FROM ({remaining}) GROUP BY respondent_id HAVING count(*) > 1) USING (respondent_id)"
    )
