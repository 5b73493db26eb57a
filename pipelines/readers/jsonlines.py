"""JSON lines: one object a line. Read twice, once for the keys and once for the values, so that
neither pass holds more than a line of what the contract discards."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.errors import DeliveryRefused
from pipelines.readers.text import LONGEST_LINE, Tally, Text, chunks_of, decoded, feeding, said_plainly


@contextmanager
def open_text(con: duckdb.DuckDBPyConnection, path: Path, decimal: str) -> Iterator[Text]:
    with _lines(path, Tally(None)) as lines:
        keys = con.execute(
            f"SELECT DISTINCT unnest(json_keys(line)) AS key FROM {lines} WHERE fault IS NULL ORDER BY key"
        ).fetchall()
    columns = [key for (key,) in keys]
    if not columns:
        raise DeliveryRefused(f"{path.name} holds no JSON object; one object a line is expected.")
    cells = ", ".join(_cell(key, decimal) + f" AS c{i}" for i, key in enumerate(columns))
    tally = Tally(None, " \r\t")
    with _lines(path, tally) as lines:
        yield Text(columns, f"(SELECT {cells}, fault FROM {lines})", tally.total)


@contextmanager
def _lines(path: Path, tally: Tally) -> Iterator[str]:
    """A FROM item: every line that is not blank as `line`, with `fault` if it is not a JSON object."""
    with said_plainly(path, "UTF-8"):
        text = decoded(path, "utf-8")
    with feeding(chunks_of(text), tally, path, "UTF-8") as feed:
        yield (
            "(SELECT CASE WHEN fault IS NULL THEN line END AS line, fault FROM (SELECT line, "
            "CASE WHEN json_valid(line) AND json_type(line) = 'OBJECT' THEN NULL ELSE 'not_a_json_object' END AS "
            f"fault FROM read_csv('{feed.file}', auto_detect = false, header = false, "
            f"columns = {{'line': 'VARCHAR'}}, delim = '\x1f', quote = '', escape = '', "
            f"max_line_size = {LONGEST_LINE}) WHERE trim(line, ' ' || chr(9) || chr(13)) <> ''))"
        )


def _cell(key: str, decimal: str) -> str:
    """SQL for the text of one key; numbers get the contract's decimal mark."""
    path = "$." + json.dumps(key, ensure_ascii=False)
    place = "'" + path.replace("'", "''") + "'"
    text = f"(line ->> {place})"
    if decimal == ".":
        return text
    return f"CASE WHEN json_type(line, {place}) = 'DOUBLE' THEN replace({text}, '.', '{decimal}') ELSE {text} END"
