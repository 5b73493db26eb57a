"""Which responses of a source a later delivery replaced, and which respondents came back.

The only step that looks across deliveries before the cube. It reads the small `response` files and
gives every delivery its own two lists, so that a delivery whose lists did not change is not rebuilt.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pipelines import engine
from pipelines.engine import quoted
from pipelines.parts import JSON, Part
from pipelines.settings import Settings

LISTS = ("superseded", "repeat_respondent")


def supersede(
    settings: Settings, source: str, mode: str, deliveries: Sequence[tuple[str, Part]], folder: Path
) -> dict[str, JSON]:
    """Write `<delivery id>.superseded.parquet` and `<delivery id>.repeat_respondent.parquet` for each.

    `deliveries` are (delivery id, staged part) in delivery order, oldest first. The result gives the
    number of rows and the digest of every list.
    """
    with engine.connect(settings, folder) as con:
        files = " UNION ALL ".join(
            f"SELECT {place} AS place, response_id, respondent_id FROM {quoted(str(part.file('response')))}"
            for place, (_, part) in enumerate(deliveries)
        )
        con.execute(f"CREATE TEMP TABLE response AS {files}")
        if mode == "snapshot":
            con.execute(
                "CREATE TEMP TABLE superseded AS SELECT place, response_id FROM response "
                "WHERE place < (SELECT max(place) FROM response)"
            )
        else:
            con.execute(
                "CREATE TEMP TABLE superseded AS SELECT place, response_id FROM response JOIN "
                "(SELECT response_id, max(place) AS newest FROM response GROUP BY response_id HAVING count(*) > 1) "
                "USING (response_id) WHERE place < newest"
            )
        con.execute(
            "CREATE TEMP TABLE remaining AS SELECT place, respondent_id FROM response "
            "ANTI JOIN superseded USING (place, response_id)"
        )
        con.execute(
            "CREATE TEMP TABLE repeat_respondent AS SELECT DISTINCT place, respondent_id FROM remaining SEMI JOIN "
            "(SELECT respondent_id FROM remaining GROUP BY respondent_id HAVING count(*) > 1) USING (respondent_id)"
        )
        facts: dict[str, JSON] = {}
        for place, (id, _) in enumerate(deliveries):
            facts[id] = {}
            for name, column in zip(LISTS, ("response_id", "respondent_id"), strict=True):
                file = folder / f"{id}.{name}.parquet"
                keys = f"{quoted(source)} AS source_code, {quoted(id)} AS delivery_id"
                query = f"SELECT {keys}, {column} FROM {name} WHERE place = {place}"
                rows = engine.write_parquet(con, f"{query} ORDER BY {column}", file)
                digest = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
                facts[id][name] = {"rows": rows, "digest": digest}
        return facts
