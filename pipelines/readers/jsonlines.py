"""JSON of every shape, as lines of one object each that the engine takes apart.

Read twice, once for the keys and once for the values, so that neither pass holds more than one
object. How a tool's JSON becomes plain objects is in `jsonshapes.py`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines.contracts import Contract
from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused
from pipelines.formats import Json, JsonLines, QualtricsJson, SurveyMonkeyJson
from pipelines.readers import headings, jsonshapes
from pipelines.readers.archive import open_bytes
from pipelines.readers.text import LONGEST_LINE, Tally, Text, feeding, said_plainly, utf8

AnyJson = Json | JsonLines | QualtricsJson | SurveyMonkeyJson
BLANK = re.compile(rb"(?m)^[ \t]+$")


@contextmanager
def open_text(con: duckdb.DuckDBPyConnection, path: Path, form: AnyJson, contract: Contract) -> Iterator[Text]:
    with _lines(path, form, Tally(None)) as lines:
        found = con.execute(
            f"SELECT DISTINCT unnest(json_keys(line)) AS key FROM {lines} WHERE fault IS NULL ORDER BY key "
            f"LIMIT {headings.MOST_COLUMNS + 1}"
        ).fetchall()
    keys = [key for (key,) in found]
    headings.check_width(path.name, len(keys))
    columns = headings.unique([headings.cleaned(key) for key in keys])
    # what nobody answered stands in no object of these
    sparse = not isinstance(form, Json | JsonLines) or form.absent == "blank"
    absent = [name for name in contract.columns if name not in columns] if sparse else []
    if not columns and not absent:
        raise DeliveryRefused(f"{path.name} holds no JSON object; check `kind` in the contract's format.")
    places = ", ".join(quoted(_pointer(key)) for key in keys)
    cells = [_cell(place, contract.decimal) for place in range(1, len(keys) + 1)] + ["NULL::VARCHAR"] * len(absent)
    named = ", ".join(f"{cell} AS c{i}" for i, cell in enumerate(cells))
    tally = Tally(None)
    with _lines(path, form, tally) as lines:
        taken = (
            f"SELECT json_extract_string(line, [{places}]) AS text, json_type(line, [{places}]) AS type, fault "
            f"FROM {lines}"
            if keys
            else f"SELECT fault FROM {lines}"
        )
        yield Text(columns + absent, f"(SELECT {named}, fault FROM ({taken}))", tally.total)


@contextmanager
def _lines(path: Path, form: AnyJson, tally: Tally) -> Iterator[str]:
    """A FROM item: every line that is not blank as `line`, with `fault` if it is not a JSON object."""
    with said_plainly(path), open_bytes(path, form.member) as file:
        text = utf8(path, file, "utf-8")
        as_is = isinstance(form, JsonLines) and not form.flatten
        with feeding(_whole_lines(path, text) if as_is else jsonshapes.lines(path, text, form), tally, path) as feed:
            yield (
                "(SELECT CASE WHEN fault IS NULL THEN line END AS line, fault FROM (SELECT line, "
                "CASE WHEN json_valid(line) AND json_type(line) = 'OBJECT' THEN NULL ELSE 'not_a_json_object' END AS "
                f"fault FROM read_csv({quoted(feed.file)}, auto_detect = false, header = false, "
                "columns = {'line': 'VARCHAR'}, delim = '\x1f', quote = '', escape = '', new_line = '\\n', "
                f"max_line_size = {LONGEST_LINE}) WHERE line <> ''))"
            )


def _whole_lines(path: Path, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The text cut at line ends, blank lines emptied."""
    held = b""
    for chunk in chunks:
        text, end, rest = (held + chunk).rpartition(b"\n")
        if len(rest) > LONGEST_LINE:
            raise DeliveryRefused(f"{path.name}: a line is longer than 16 MiB; JSON lines has one object a line.")
        held = rest
        yield BLANK.sub(b"", text + end)
    yield BLANK.sub(b"", held)


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _cell(place: int, decimal: str) -> str:
    """SQL for the text of one key: whole numbers without decimals, others with the contract's decimal mark."""
    number = f"regexp_replace(text[{place}], '\\.0+$', '')"
    if decimal != ".":
        number = f"replace({number}, '.', {quoted(decimal)})"
    return f"CASE type[{place}] WHEN 'DOUBLE' THEN {number} WHEN 'NULL' THEN NULL ELSE text[{place}] END"
