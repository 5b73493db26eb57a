"""From the JSON of a survey tool to plain objects, one response each.

Objects are taken from the document one at a time, so its length does not matter. Which keys become
columns is for `jsonlines.py`.
"""

import codecs
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pipelines.errors import DeliveryRefused
from pipelines.formats import Json, JsonLines, QualtricsJson, SurveyMonkeyJson
from pipelines.readers import headings
from pipelines.readers.text import LONGEST_LINE, too_long

Plain = dict[str, Any]
DEEPEST = 50  # objects inside objects
SPACE = re.compile(r"[ \t\n\r]*")
FILLED = re.compile(rb"[^\n]+")
PARSE = json.JSONDecoder().raw_decode


def responses(
    path: Path, chunks: Iterator[bytes], form: Json | JsonLines | QualtricsJson | SurveyMonkeyJson
) -> Iterator[Any]:
    """Every response as a plain object; what is no object comes as it is, to be refused as a row."""
    for response in _line_by_line(path, chunks) if isinstance(form, JsonLines) else _one_by_one(path, chunks, form):
        if not isinstance(response, dict):
            yield response
        elif isinstance(form, QualtricsJson):
            yield qualtrics(response, form.labels)
        elif isinstance(form, SurveyMonkeyJson):
            yield surveymonkey(response)
        else:
            yield flat(response) if form.flatten else response


def flat(outer: Plain, prefix: str = "", depth: int = 0) -> Plain:
    """Objects inside the object as `outer.inner`; empty lists and objects are no answers."""
    result: Plain = {}
    for key, value in outer.items():
        if isinstance(value, dict) and depth < DEEPEST:
            result |= flat(value, f"{prefix}{key}.", depth + 1)
        else:
            result[f"{prefix}{key}"] = None if value == [] else value
    return result


def qualtrics(response: Plain, labels: bool) -> Plain:
    """The id of the response and its values."""
    values, texts = (_object(response.get(key)) for key in ("values", "labels"))
    if labels:
        values = {key: texts.get(key, value) for key, value in values.items()}
    joined = {key: ";".join(map(str, value)) if isinstance(value, list) else value for key, value in values.items()}
    return {"responseId": response.get("responseId")} | joined


def surveymonkey(response: Plain) -> Plain:
    """What is known of the response, and its answers by question, row and column."""
    result = flat({key: value for key, value in response.items() if key != "pages"})
    answers: dict[str, list[str]] = {}
    for page in _objects(response.get("pages")):
        for question in _objects(page.get("questions")):
            for answer in _objects(question.get("answers")):
                place = ".".join(
                    str(part) for part in (question.get("id"), answer.get("row_id"), answer.get("col_id")) if part
                )
                written = answer.get("text")
                if answer.get("choice_id"):
                    answers.setdefault(place, []).append(str(answer["choice_id"]))
                    place += ".other"
                elif answer.get("other_id"):
                    place += ".other"
                if written not in (None, ""):
                    answers.setdefault(place, []).append(str(written))
    return result | {place: ";".join(said) for place, said in answers.items()}


def _object(value: Any) -> Plain:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[Plain]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


# --- one object at a time ------------------------------------------------------------------------


def _line_by_line(path: Path, chunks: Iterator[bytes]) -> Iterator[Any]:
    """The object on each line; a line that holds none as None, which is refused as a row."""
    held = b""
    for chunk in chain(chunks, [b"\n"]):
        end = chunk.rfind(b"\n") + 1
        held += chunk[: end or None]
        if not end and len(held) > LONGEST_LINE:
            raise too_long(path)
        if end:
            for line in FILLED.findall(held):  # many lines may be empty: none of them is looked at here
                if not line.isspace():
                    yield _object_in(line)
            held = chunk[end:]


def _object_in(line: bytes) -> Plain | None:
    text = line.decode().strip(" \t\ufeff")  # a mark stands here where files were put behind each other
    if not text.startswith("{"):
        return None
    try:
        value, end = PARSE(text)
    except (ValueError, RecursionError):
        return None
    return value if end == len(text) else None


def _one_by_one(path: Path, chunks: Iterator[bytes], form: Json | QualtricsJson | SurveyMonkeyJson) -> Iterator[Any]:
    """The items of the array, or the objects that follow each other (NDJSON)."""
    key = form.rows if isinstance(form, Json) else "responses" if isinstance(form, QualtricsJson) else "data"
    text = Scanner(path, chunks)
    if text.next() == "[" and not (isinstance(form, Json) and form.rows):
        yield from text.items()
    elif text.next() == "{" and key:
        one: Plain = {}
        found = False
        for width, name in enumerate(text.names(), start=1):
            headings.check_width(path.name, width)
            if name == key and text.next() == "[":
                found = True
                yield from text.items()
            else:
                one[name] = text.value()
        if not found and isinstance(form, Json):
            raise DeliveryRefused(f"{path.name} has no array under '{key}'; correct `rows` in the contract's format.")
        if not found:
            yield one
            while text.next():
                yield text.value()
    else:
        raise DeliveryRefused(f"{path.name} does not begin with a JSON array of objects; check the contract's format.")
    if text.next():
        raise text.broken()


class Scanner:
    """Reads a JSON document piece by piece, holding no more than the piece at hand."""

    def __init__(self, path: Path, chunks: Iterator[bytes]) -> None:
        self.path, self.chunks = path, chunks
        self.text, self.at = "", 0
        self.decode = codecs.getincrementaldecoder("utf-8")().decode

    def more(self) -> bool:
        """Read on, at least as much again as is held."""
        held = len(self.text) - self.at
        if held > LONGEST_LINE:
            raise DeliveryRefused(f"{self.path.name}: one JSON object is longer than 16 MiB, or damaged.")
        new, size = [self.text[self.at :]], 0
        while size <= held and (chunk := next(self.chunks, None)) is not None:
            new.append(self.decode(chunk))
            size += len(chunk)
        if size:
            self.text, self.at = "".join(new), 0
        return size > 0

    def next(self) -> str:
        """The character that comes next, white space skipped; empty at the end."""
        while True:
            if space := SPACE.match(self.text, self.at):
                self.at = space.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self, character: str) -> None:
        if self.next() != character:
            raise self.broken()
        self.at += 1

    def value(self) -> Any:
        self.next()
        while True:
            try:
                value, end = PARSE(self.text, self.at)
            except RecursionError:
                raise self.broken() from None
            except ValueError:
                if not self.more():
                    raise self.broken() from None
            else:
                if end < len(self.text) or not self.more():  # a number at the end may go on
                    self.at = end
                    return value

    def items(self) -> Iterator[Any]:
        self.take("[")
        while self.next() != "]":
            yield self.value()
            if self.next() != "]":
                self.take(",")
        self.take("]")

    def names(self) -> Iterator[str]:
        """The keys of an object; whoever asks takes the value before the next key."""
        self.take("{")
        while self.next() != "}":
            name = self.value()
            if not isinstance(name, str):
                raise self.broken()
            self.take(":")
            yield name
            if self.next() != "}":
                self.take(",")
        self.take("}")

    def broken(self) -> DeliveryRefused:
        return DeliveryRefused(f"{self.path.name} is not whole JSON; the transfer was probably cut, send it again.")
