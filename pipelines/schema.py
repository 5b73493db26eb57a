"""The JSON Schema of a contract, for editors: from the pydantic model and the comments beside its fields.

It says what can be said of one key at a time. What keys mean together is checked by `meetlat check`.
"""

import inspect
import io
import json
import re
import tokenize
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from pipelines.contracts import Contract


def text() -> str:
    """The schema as it stands in docs/contract.schema.json."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """The schema of `contract.yml`, with a description wherever the code has one."""
    made = Contract.model_json_schema()
    parts = {"Contract": made} | made["$defs"]
    for model in sorted(_models(Contract, set()), key=lambda m: m.__name__):
        part = parts[model.__name__]
        if "description" not in part and (said := inspect.getdoc(model)) and "__doc__" in vars(model):
            part["description"] = said
        comments = _comments(model)
        for field, about in part.get("properties", {}).items():
            if field in comments and "description" not in about:
                about["description"] = comments[field]
    for part in parts.values():
        part["title"] = part["title"].rstrip("_")
        if "description" in part:
            part["description"] = " ".join(part["description"].split())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Contract of a source"} | {
        key: value for key, value in made.items() if key != "title"
    }


def _models(annotation: Any, found: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """Every model that a contract can hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in found:
        found.add(annotation)
        for field in annotation.model_fields.values():
            _models(field.annotation, found)
    for inner in get_args(annotation):
        _models(inner, found)
    return found


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """The name a field has in a contract → the comment behind it, also of the classes that the model stands on."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not BaseModel:
            found |= dict(_of_class(inspect.getsource(kind)))
    return {field.alias or name: found[name] for name, field in model.model_fields.items() if name in found}


def _of_class(source: str) -> Iterator[tuple[str, str]]:
    """Field and comment; a field ends at the logical line's end, so a type over several lines has its last one."""
    field = None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if match := re.match(r"    (\w+): ", token.line) if token.type == tokenize.NAME else None:
            field = match[1] if token.string == match[1] and token.start[1] == 4 else field
        elif token.type == tokenize.NAME and token.start[1] == 4:
            field = None
        if token.type == tokenize.COMMENT and field and token.line[: token.start[1]].strip():
            yield field, token.string.lstrip("# ")
