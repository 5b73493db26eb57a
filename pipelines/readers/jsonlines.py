"""JSON of every shape, as rows of text.

Read twice, once for the keys and once for the values, so that neither pass holds more than one
object. The engine's own JSON functions are not used: they look for every key of every row anew.
How a tool's JSON becomes plain objects is in `jsonshapes.py`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.contracts import Contract
from pipelines.errors import DeliveryRefused
from pipelines.formats import Json, JsonLines, QualtricsJson, SurveyMonkeyJson
from pipelines.readers import headings, jsonshapes
from pipelines.readers.archive import open_bytes
from pipelines.readers.text import Tally, Text, feeding, parsed, rows_as_text, said_plainly, utf8
from pipelines.readers.values import number

NO_OBJECT = "not_a_json_object"
AnyJson = Json | JsonLines | QualtricsJson | SurveyMonkeyJson


@contextmanager
def open_text(path: Path, form: AnyJson, contract: Contract) -> Iterator[Text]:
    keys: dict[str, None] = {}  # in the order in which they first appear
    size = path.stat().st_size
    for count, response in enumerate(_responses(path, form)):
        if count > size:  # a small file that unpacks to very many of them
            raise DeliveryRefused(f"{path.name} holds more objects than bytes; no real export does.")
        if isinstance(response, dict) and not response.keys() <= keys.keys():
            keys |= dict.fromkeys(response)
            headings.check_width(path.name, len(keys))
    columns = headings.unique([headings.cleaned(key) for key in keys])
    # what nobody answered stands in no object of these
    sparse = not isinstance(form, Json | JsonLines) or form.absent == "blank"
    absent = [name for name in contract.columns if name not in columns] if sparse else []
    if not columns and not absent:
        raise DeliveryRefused(f"{path.name} holds no JSON object; check `kind` in the contract's format.")
    new = [name for name in columns if name not in contract.columns and name not in contract.discard]
    if new and 2 * len(absent) > len(contract.columns):  # keys that may be somebody's name: show none of them
        raise DeliveryRefused(
            f"{path.name}: {len(absent)} of the {len(contract.columns)} columns of the contract stand in none of its "
            f"objects, and {len(new)} of its keys are no column of it; is it another survey?"
        )
    rows = _rows(path, form, list(keys), len(absent), contract.decimal)
    with feeding(rows_as_text(path, rows), Tally('"'), path) as feed:
        yield Text(columns + absent, parsed(feed.file, len(columns + absent), with_fault=True), feed.tally.total)


def _responses(path: Path, form: AnyJson) -> Iterator[Any]:
    with said_plainly(path), open_bytes(path, form.member) as file:
        yield from jsonshapes.responses(path, utf8(path, file, "utf-8"), form)


def _rows(path: Path, form: AnyJson, keys: Sequence[str], absent: int, decimal: str) -> Iterator[list[str | None]]:
    """A cell for every key, for every absent column, and the fault."""
    blank: list[str | None] = [None] * absent
    for response in _responses(path, form):
        if isinstance(response, dict):
            yield [*(_cell(response.get(key), decimal) for key in keys), *blank, None]
        else:
            yield [*(None for _ in keys), *blank, NO_OBJECT]


def _cell(value: Any, decimal: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number(value, decimal)
    return json.dumps(value, ensure_ascii=False)
