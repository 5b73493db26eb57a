"""The JSON Schema of the contract: up to date, explained, and in agreement with every contract that is shipped."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PROJECT

from pipelines import contracts, schema
from pipelines.errors import MeetlatError

FILE = PROJECT / "docs" / "contract.schema.json"
SHIPPED = sorted((PROJECT / "raw").glob("*/contract.yml"))
KINDS = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
CHECKED = {
    "$ref", "anyOf", "oneOf", "const", "enum", "type", "properties", "required", "additionalProperties", "items",
    "prefixItems", "pattern", "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum",
}  # fmt: skip
FOR_PEOPLE = {"$schema", "$defs", "title", "description", "default", "discriminator", "format"}


def fits(value: Any, rule: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether a value is what the schema says; only as much of JSON Schema as the contract uses."""
    assert set(rule) <= CHECKED | FOR_PEOPLE, set(rule) - CHECKED - FOR_PEOPLE
    if "$ref" in rule:
        return fits(value, whole["$defs"][rule["$ref"].rpartition("/")[2]], whole)
    if "anyOf" in rule and not any(fits(value, r, whole) for r in rule["anyOf"]):
        return False
    if "oneOf" in rule and sum(fits(value, r, whole) for r in rule["oneOf"]) != 1:
        return False
    if "const" in rule and value != rule["const"]:
        return False
    if "enum" in rule and value not in rule["enum"]:
        return False
    if rule.get("type") == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
    elif "type" in rule and type(value) is not KINDS[rule["type"]]:
        return False
    if isinstance(value, dict):
        known, others = rule.get("properties", {}), rule.get("additionalProperties", True)
        if not set(rule.get("required", [])) <= set(value):
            return False
        for key, item in value.items():
            about = known.get(key, others)
            if about is False or (about is not True and not fits(item, about, whole)):
                return False
    if isinstance(value, list):
        first = rule.get("prefixItems", [])
        if not rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)):
            return False
        pairs = zip(value, [*first, *[rule.get("items", {})] * (len(value) - len(first))], strict=False)
        return all(fits(item, about, whole) for item, about in pairs)
    if isinstance(value, str):
        length = rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", len(value))
        return length and bool(re.search(rule.get("pattern", ""), value))
    if isinstance(value, int | float):
        return bool(rule.get("minimum", value) <= value <= rule.get("maximum", value))
    return True


def document(path: Path) -> Any:
    """A contract as an editor sees it: dates are texts."""
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")), default=str))


def test_the_schema_is_up_to_date() -> None:
    assert FILE.read_text(encoding="utf-8") == schema.text(), "run `meetlat schema > docs/contract.schema.json`"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_every_shipped_contract_fits(path: Path) -> None:
    contracts.load(path.parent)
    assert fits(document(path), schema.schema(), schema.schema())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("monitor",), None),
        (("monitor",), "Not A Code"),
        (("country",), "nl"),
        (("colour",), "red"),
        (("format", "kind"), "papyrus"),
        (("format", "colour"), "red"),
        (("delivery", "mode"), "sometimes"),
        (("columns", "Status", "keep"), []),
        (("columns", "Status", "role"), "stature"),
        (("columns", "Status", "role"), None),
        (("columns", "Cijfer contact", "dont_know"), [99]),
        (("gate",), {"max_drop": 2}),
        (("sampling_unit",), None),
    ],
)
def test_the_schema_refuses_what_the_contract_refuses(place: tuple[str, ...], value: Any, tmp_path: Path) -> None:
    made = document(PROJECT / "raw" / "klantcontact_customers" / "contract.yml")
    assert fits(made, schema.schema(), schema.schema())
    inner = made
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    assert not fits(made, schema.schema(), schema.schema())
    (tmp_path / "contract.yml").write_text(yaml.safe_dump(made), encoding="utf-8")
    with pytest.raises(MeetlatError):
        contracts.load(tmp_path)


def test_keys_are_explained() -> None:
    """What stands beside a field in the code is what an editor shows."""
    made = schema.schema()
    assert made["properties"]["discard"]["description"] == "read past, never stored"
    assert made["description"].startswith("Everything that cannot be inferred")
    described = [name for name, part in made["$defs"].items() if part.get("description")]
    assert {"Question", "Choice", "Options", "Status", "Date", "Delimited"} <= set(described)
    of_question = made["$defs"]["Question"]["properties"]
    assert "raised when" in of_question["version"]["description"]  # a comment of the class that it stands on
    assert made["$defs"]["Version"]["properties"]["from"]["description"]
