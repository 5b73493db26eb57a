"""Which tool wrote an export, and in which format: told from its bytes first and from its headings then.

What its columns hold is not looked at here.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.draft import dictionary
from pipelines.draft.dictionary import Dictionary
from pipelines.draft.vocabulary import words
from pipelines.errors import MeetlatError
from pipelines.readers.archive import open_bytes, seekable
from pipelines.readers.headings import IMPORT_ID

HEAD = 4 << 20  # bytes from which encoding, delimiter and headings are guessed


@dataclass(frozen=True)
class Export:
    """What the file seems to be."""

    tool: str  # for people
    form: dict[str, Any]  # the `format:` of the contract
    labels: Sequence[str] = ()  # a text for people per column, in file order, where the headings have one
    time_zone: str | None = None
    remarks: tuple[str, ...] = ()
    dictionary: Dictionary = field(default_factory=Dictionary)


def recognise(path: Path) -> Export:
    """Tell the tool and the format, from the bytes first and the headings then."""
    with open_bytes(path) as file:
        head = file.read(HEAD)
    if head[:4] == b"PK\x03\x04":
        return _workbook(path)
    if head[:4] == b"\xd0\xcf\x11\xe0":
        raise MeetlatError(f"{path.name} is an old Excel workbook (.xls); save it as .xlsx.")
    if head[:4] in (b"$FL2", b"$FL3"):
        return Export("SPSS", {"kind": "spss"}, dictionary=dictionary.read(path, "spss"))
    if head.startswith(b"<stata_dta>") or (".dta" in path.suffixes and head[:1] and 102 <= head[0] <= 119):
        return Export("Stata", {"kind": "stata"}, dictionary=dictionary.read(path, "stata"))
    if head[:4] == b"PAR1":
        return Export("Parquet", {"kind": "parquet"})
    encoding, remarks = _encoding(path, head)
    text = codecs.getincrementaldecoder(encoding)("strict").decode(head, final=False).lstrip("\ufeff")
    if text.lstrip()[:1] in ("{", "["):
        return _json(path, text)
    return _delimited(path, text, encoding.removesuffix("-sig"), remarks)


def _encoding(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    """A byte order mark, else strict UTF-8, else windows-1252: a guess, and said to be one."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name, ()
    nul = head[:4096].count(b"\0")
    if nul and nul > len(head[:4096]) // 4:
        return ("utf-16-le" if head[1:2] == b"\0" else "utf-16-be"), (
            "encoding: two bytes a character, without a mark",
        )
    if nul:
        raise MeetlatError(f"{path.name} holds NUL bytes, so it is neither text nor a format that is known.")
    if _decodes(head, "utf-8"):
        return "utf-8", ()
    name = "windows-1252" if _decodes(head, "windows-1252") else "iso-8859-1"  # the latter decodes everything
    return name, (f"encoding: not UTF-8, taken for {name}; look whether accents and the euro sign are right",)


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(head, final=False)
    except UnicodeDecodeError:
        return False
    return True


def _delimited(path: Path, text: str, encoding: str, remarks: tuple[str, ...]) -> Export:
    delimiter, rows = _dialect(text)
    if len(rows[0]) < 2:
        raise MeetlatError(f"{path.name} has one column only, or its cells are divided by something unusual.")
    form: dict[str, Any] = {"kind": "csv", "encoding": encoding, "delimiter": delimiter}
    headings, tool, labels, zone = _headings(rows)
    if headings != ["name"]:
        form["headings"] = headings
    if tool == "plain":
        tool = "semicolon CSV" if delimiter == ";" else "CSV"
    return Export(tool, form, labels, zone, remarks)


def _dialect(text: str) -> tuple[str, list[list[str]]]:
    """The delimiter with which most records are as wide as the first, and of these the one that divides most."""
    best: tuple[float, int, str, list[list[str]]] = (-1.0, 0, ",", [[""]])
    for delimiter in (",", ";", "\t", "|"):
        rows: list[list[str]] = []
        try:
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
                if row:
                    rows.append(row)
                if len(rows) > 200:
                    break
        except csv.Error:
            pass
        if not rows:
            continue
        width = len(rows[0])
        same = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0
        if (round(same, 1), width) > (round(best[0], 1), best[1]):
            best = (same, width, delimiter, rows)
    return best[2], best[3]


def _headings(rows: Sequence[Sequence[str]]) -> tuple[list[str], str, list[str], str | None]:
    """The roles of the heading rows, the tool, a text per column, and the time zone if one stands there."""
    first, second, third = ([*rows, [], [], []])[:3]
    if sum(bool(IMPORT_ID.search(cell)) for cell in third) > len(third) / 2:
        zone = next(
            (found[1] for cell in third if (found := re.search(r"timeZone\W+([A-Za-z_]+/[A-Za-z_/]+)", cell))), None
        )
        pairs = zip(first, second, strict=False)
        labels = [name if words(name) == words(text) else f"{name} {text}" for name, text in pairs]
        return ["name", "label", "import_id"], "Qualtrics, three heading rows", labels, zone
    if sum(bool(re.fullmatch(r"V\d+", cell.strip())) for cell in first) >= 3 and "ResponseID" in second:
        return ["skip", "name"], "Qualtrics, two heading rows (legacy)", list(second), None
    names = [cell.strip() for cell in first]
    if _blanks(second) >= 2 and second and _fits(names, "respondent id", "collector id"):
        return ["group", "name"], "SurveyMonkey, two heading rows", [], None
    if (
        _blanks(second) == 0
        and _blanks(first) >= 0.3 * len(first)
        and any(
            cell.strip() in ("#", "Network ID", "Submit Date (UTC)", "Response", "Open-Ended Response")
            for cell in second
        )
    ):
        tool = "Typeform, two heading rows" if "#" in second else "SurveyMonkey, two heading rows"
        return ["group", "name"], tool, [], None
    return ["name"], _tool(names), [], None


def _blanks(row: Iterable[str]) -> int:
    return sum(not cell.strip() for cell in row)


def _fits(names: Iterable[str], *wanted: str) -> bool:
    """Whether a heading for each of the wanted is there, whatever its capitals and spaces."""
    plain = {words(n).replace(" ", "") for n in names}
    return all(w.replace(" ", "") in plain for w in wanted)


MOMENT = ("timestamp", "tijdstempel", "zeitstempel", "horodateur", "marca temporal", "informazioni cronologiche")
MS_FORMS = (  # in every language id, start, completion, e-mail and name come first
    "start time", "begintijd", "starttijd", "tijdstip van starten", "startzeit", "heure de debut", "hora de inicio",
)  # fmt: skip


def _tool(names: Sequence[str]) -> str:
    """The tool that writes these names in one heading row, or `plain`."""
    if _fits(names, "id", "submitdate", "lastpage"):
        return "LimeSurvey, codes as headings"
    if _fits(names, "response id", "date submitted", "last page"):
        return "LimeSurvey, full texts as headings"
    if _fits(names, "response id", "recorded date") or _fits(names, "response id", "ip address", "finished"):
        return "Qualtrics, one heading row"
    if "#" in names or _fits(names, "network id", "submit date utc"):
        return "Typeform"
    if _fits(names, "respondent id"):
        return "SurveyMonkey, one heading row (condensed)"
    if names and any(_fits(names[:1], moment) for moment in MOMENT):
        return "Google Forms"
    if len(names) > 2 and _fits(names[:1], "id") and any(_fits(names[1:2], start) for start in MS_FORMS):
        return "Microsoft Forms"
    return "plain"


def _workbook(path: Path) -> Export:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_filelike(seekable(path))
        heights = {name: book.get_sheet_by_name(name).height for name in book.sheet_names}
        sheet = max(heights, key=lambda name: heights[name])
        area = book.get_sheet_by_name(sheet).to_python(skip_empty_area=True, nrows=4)
    except (CalamineError, ValueError, IndexError):
        raise MeetlatError(f"{path.name} is not a readable XLSX workbook.") from None
    rows = [[str(cell) for cell in row] for row in area if any(cell not in ("", None) for cell in row)]
    if not rows:
        raise MeetlatError(f"{path.name}: its sheets are empty.")
    form: dict[str, Any] = {"kind": "xlsx"}
    remarks: tuple[str, ...] = ()
    if len(heights) > 1:
        form["sheet"] = sheet
        remarks = (f"format: the longest of {len(heights)} sheets was taken",)
    headings, tool, labels, zone = _headings(rows)
    if headings != ["name"]:
        form["headings"] = headings
    return Export("XLSX" if tool == "plain" else f"{tool}, as XLSX", form, labels, zone, remarks)


def _json(path: Path, text: str) -> Export:
    """One object a line, or one document; of Qualtrics, of the API of SurveyMonkey, or of nobody in particular."""
    lines = [line for line in text.splitlines()[:200] if line.strip()]
    objects = [made for line in lines if isinstance(made := _parsed(line), dict)]
    a_line_each = len(objects) >= max(1, len(lines) - 1)
    beginning = text[:200_000]
    if '"responseId"' in beginning and '"values"' in beginning:
        return Export("Qualtrics JSON", {"kind": "qualtrics_json"})
    if '"response_status"' in beginning and '"pages"' in beginning:
        return Export("SurveyMonkey API", {"kind": "surveymonkey_json"})
    if a_line_each and not (len(objects) == 1 and any(isinstance(v, list) for v in objects[0].values())):
        nested = any(isinstance(value, dict) for made in objects for value in made.values())
        return Export("JSON lines", {"kind": "jsonl"} | ({"flatten": True} if nested else {}))
    if len(text) >= HEAD - 4:
        whole = None if path.stat().st_size > 25 * HEAD else _parsed(seekable(path).read())
    else:
        whole = _parsed(text)
    rows = None
    if isinstance(whole, dict):
        rows = next((k for k, v in whole.items() if isinstance(v, list) and v and isinstance(v[0], dict)), None)
        whole = whole.get(rows) if rows else None
    if not isinstance(whole, list) or not whole or not isinstance(whole[0], dict):
        raise MeetlatError(f"{path.name} holds no list of JSON objects, or is too long to look into; give JSON lines.")
    nested = any(isinstance(v, dict) for made in whole[:200] if isinstance(made, dict) for v in made.values())
    form = {"kind": "json"} | ({"rows": rows} if rows else {}) | ({"flatten": True} if nested else {})
    return Export("JSON", form)


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
