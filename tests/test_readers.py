"""Every shape of export, written here in a few bytes, becomes a table of text or one sentence."""

import csv as std_csv
import datetime as dt
import gzip
import io
import itertools
import json
import random
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import pyarrow as pa
import pyreadstat
import pytest
from pyarrow import parquet
from pydantic import TypeAdapter, ValidationError

from pipelines import engine
from pipelines.errors import DeliveryRefused
from pipelines.formats import Format
from pipelines.readers import headings, open_text
from pipelines.readers.text import Tally
from pipelines.settings import load

FORMAT: TypeAdapter[Any] = TypeAdapter(Format)
Row = tuple[str | None, ...]


@dataclass(frozen=True)
class Table:
    columns: list[str]
    rows: list[Row]
    faults: list[str]
    refused: list[str]


def contract(form: dict[str, Any], decimal: str = ".", columns: tuple[str, ...] = ()) -> Any:
    """As much of a contract as a reader looks at."""
    form = FORMAT.validate_python(form)
    return SimpleNamespace(format=form, decimal=decimal, columns=dict.fromkeys(columns), discard=[])


@contextmanager
def connection(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with engine.connect(load(), folder, alone=True) as con:
        yield con


def read(path: Path, form: dict[str, Any], decimal: str = ".", columns: tuple[str, ...] = ()) -> Table:
    """Read a delivery to its end, as staging does."""
    with connection(path.parent) as con:
        with open_text(con, path, contract(form, decimal, columns)) as text:
            con.execute(f"CREATE TEMP TABLE read AS SELECT * FROM {text.relation}")
        refused = text.finish()
        found = con.execute("SELECT * FROM read").fetchall()
    assert len(found) + len(refused) == text.count()
    assert len(set(text.columns)) == len(text.columns)
    faults = [row[-1] for row in found if row[-1]]
    return Table(text.columns, [row[:-1] for row in found], faults, [r.reason for r in refused])


def put(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# --- delimited text ------------------------------------------------------------------------------


def csv(encoding: str = "utf-8", delimiter: str = ";", **more: Any) -> dict[str, Any]:
    return {"kind": "csv", "encoding": encoding, "delimiter": delimiter} | more


DUTCH = "nr;naam\n1;Zoë €\n2;\n"
DUTCH_ROWS: list[Row] = [("1", "Zoë €"), ("2", None)]

TEXTS: dict[str, tuple[bytes, dict[str, Any], list[str], list[Row]]] = {
    "utf-8": (DUTCH.encode(), csv(), ["nr", "naam"], DUTCH_ROWS),
    "utf-8 with a mark": (DUTCH.encode("utf-8-sig"), csv("windows-1252"), ["nr", "naam"], DUTCH_ROWS),
    "windows-1252": (DUTCH.encode("windows-1252"), csv("windows-1252"), ["nr", "naam"], DUTCH_ROWS),
    "iso-8859-15": (DUTCH.encode("iso-8859-15"), csv("iso-8859-15"), ["nr", "naam"], DUTCH_ROWS),
    "mac-roman": (DUTCH.encode("mac-roman"), csv("mac-roman"), ["nr", "naam"], DUTCH_ROWS),
    "utf-16 with a mark": (DUTCH.encode("utf-16"), csv("windows-1252"), ["nr", "naam"], DUTCH_ROWS),
    "utf-16, big end first": (DUTCH.encode("utf-16-be"), csv("utf-16-be"), ["nr", "naam"], DUTCH_ROWS),
    "utf-16-le": (DUTCH.encode("utf-16-le"), csv("utf-16-le"), ["nr", "naam"], DUTCH_ROWS),
    "lines end in CR LF": (DUTCH.replace("\n", "\r\n").encode(), csv(), ["nr", "naam"], DUTCH_ROWS),
    "lines end in CR": (DUTCH.replace("\n", "\r").encode(), csv(), ["nr", "naam"], DUTCH_ROWS),
    "no line end at the end": (b"a;b\n1;2", csv(), ["a", "b"], [("1", "2")]),
    "blank lines": (b"\n\na;b\n\n1;2\n\n\n3;4\n\n", csv(), ["a", "b"], [("1", "2"), ("3", "4")]),
    "no rows": (b"a;b\n", csv(), ["a", "b"], []),
    "tabs": (b'a\tb\n1\t"x\ty"\n', csv(delimiter="\t"), ["a", "b"], [("1", "x\ty")]),
    "pipes": (b"a|b\n1|2\n", csv(delimiter="|"), ["a", "b"], [("1", "2")]),
    "a delimiter of two bytes": ("a§b\n1§2\n".encode(), csv(delimiter="§"), ["a", "b"], [("1", "2")]),
    "no quotes": (b'a;b\n1;5" screen\n2;"\n', csv(quote="none"), ["a", "b"], [("1", '5" screen'), ("2", '"')]),
    "single quotes": (b"a;b\n1;'x;''y'\n", csv(quote="'"), ["a", "b"], [("1", "x;'y")]),
    "lines in a cell": (b'a;b\n1;"x\r\n\r\ny"\n2;z\n', csv(), ["a", "b"], [("1", "x\n\ny"), ("2", "z")]),
    "formula": (
        b'a;b\n=1+1;@x\n"=HYPERLINK(""y"")";-\n',
        csv(),
        ["a", "b"],
        [("=1+1", "@x"), ('=HYPERLINK("y")', "-")],
    ),
    "blank and repeated": (
        b"a; ;a;a #2;a;\n1;2;3;4;5;6\n",
        csv(),
        ["a", "column 2", "a #3", "a #2", "a #4", "column 6"],
        [("1", "2", "3", "4", "5", "6")],
    ),
    "tags and spaces": (
        'a;"<p>Hoe <b>vaak</b>\xa0&amp;\nwaar?</p>";x < 3 en y > 2\n1;2;3\n'.encode(),
        csv(),
        ["a", "Hoe vaak & waar?", "x < 3 en y > 2"],
        [("1", "2", "3")],
    ),
    "no heading": (b'1;"x\ny"\n2;z\n', csv(headings=[]), ["column 1", "column 2"], [("1", "x\ny"), ("2", "z")]),
    "a line for a spreadsheet": (b"sep=;\na;b\n1;2\n", csv(headings=["skip", "name"]), ["a", "b"], [("1", "2")]),
    "group and name": (
        b"Respondent ID,Start,How?,,,Why?\n,,Phone,E-mail,,Open-Ended Response\n1,d,x,,y,z\n",
        csv(delimiter=",", headings=["group", "name"]),
        ["Respondent ID", "Start", "How? | Phone", "How? | E-mail", "How?", "Why? | Open-Ended Response"],
        [("1", "d", "x", None, "y", "z")],
    ),
    "Qualtrics": (
        b'StartDate,Q1,Q1\nStart Date,"Multi-line\n""text"", please",Other\n'
        b'"{""ImportId"":""startDate"",""timeZone"":""America/Denver""}","{""ImportId"":""QID1""}",'
        b'"{""ImportId"":""QID5_2"",""choiceId"":""2""}"\n2021-01-01,7,"a\nb"\n',
        {"kind": "qualtrics"},
        ["startDate", "QID1", "QID5_2"],
        [("2021-01-01", "7", "a\nb")],
    ),
    "Qualtrics through Python": (
        b"A,B,C\na,b,c\n\"{'ImportId': 'QID1'}\",\"{'ImportId': 'QID2_TEXT', 'timeZone': 'Z'}\",\n1,2,3\n",
        csv(delimiter=",", headings=["name", "label", "import_id"]),
        ["QID1", "QID2_TEXT", "C"],
        [("1", "2", "3")],
    ),
    "Qualtrics, tabs": (
        '"A"\t"B"\n"a"\t"b"\n"{""ImportId"":""x""}"\t"{""ImportId"":""y""}"\n1\t2\n'.encode("utf-16"),
        {"kind": "qualtrics", "delimiter": "\t"},
        ["x", "y"],
        [("1", "2")],
    ),
    "Qualtrics, legacy": (
        "V1,V2,\nResponseID,Hoe \xa0vaak?,\nR_1,7,\nR_2,8,\n".encode("utf-8-sig"),
        {"kind": "qualtrics", "legacy": True},
        ["ResponseID", "Hoe vaak?", "column 3"],
        [("R_1", "7", None), ("R_2", "8", None)],
    ),
}


@pytest.mark.parametrize("what", TEXTS)
def test_delimited(tmp_path: Path, what: str) -> None:
    content, form, columns, rows = TEXTS[what]
    assert read(put(tmp_path, "x.csv", content), form) == Table(columns, rows, [], [])


def test_rows_with_another_number_of_cells_are_refused_alone(tmp_path: Path) -> None:
    table = read(put(tmp_path, "x.csv", b"a;b\n1;2\n1;2;3\n4\n5;6\n"), csv())
    assert table.rows == [("1", "2"), ("5", "6")]
    assert sorted(table.refused) == ["too_few_cells", "too_many_cells"]


def test_a_line_end_may_fall_between_two_blocks(tmp_path: Path) -> None:
    for pad in range(3):
        content = b"a;b\r\n" + b"1;" + b"x" * ((1 << 20) - 10 + pad) + b"\r\n2;y\r\n" * 3
        table = read(put(tmp_path, "x.csv", content), csv())
        assert [row[0] for row in table.rows] == ["1", "2", "2", "2"] and not table.refused


def test_a_cell_of_ten_megabytes(tmp_path: Path) -> None:
    table = read(put(tmp_path, "x.csv", b'a;b\n1;"' + b"x\n" * 5_000_000 + b'"\n2;y\n'), csv())
    assert [len(row[1] or "") for row in table.rows] == [10_000_000, 1]


def test_five_thousand_columns(tmp_path: Path) -> None:
    names = [f"v{i}" for i in range(5000)]
    line = ";".join(names).encode() + b"\n"
    table = read(put(tmp_path, "x.csv", line * 51), csv())
    assert table.columns == names and table.rows == [tuple(names)] * 50


REFUSED_TEXTS: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "empty": (b"", csv(), "is empty"),
    "a mark only": (b"\xef\xbb\xbf", csv(), "no heading"),
    "blank heading": (b" ; ;\n1;2;3\n", csv(), "no heading"),
    "another delimiter": (b"a,b\n1,2\n", csv(), "delimiter"),
    "ends in the heading": (b"a,b\nc,d\n", {"kind": "qualtrics"}, "ends within its 3 heading rows"),
    "no ImportId": (b"a,b\nc,d\n1,2\n", {"kind": "qualtrics"}, "row 3 has no ImportId"),
    "other encoding": ("a;b\n1;é\n".encode("windows-1252"), csv(), "not utf-8 .near byte 6"),
    "cut in a character": (b"a;b\n1;\xc3", csv(), "not utf-8"),
    "not in windows-1252": (b"a;b\n1;\x81\n", csv("windows-1252"), "not windows-1252"),
    "half a UTF-16": ("a;b\n1;2\n".encode("utf-16")[:-1], csv(), "not utf-16-le"),
    "UTF-16 as UTF-8": ("a;b\n1;2\n".encode("utf-16-le"), csv(), "NUL"),
    "NUL": (b"a;b\n1;\0\n", csv(), "NUL"),
    "open quote": (b'a;b\n1;2\n3;"4\n5;6\n', csv(), "quote"),
    "open quote in the heading": (b'a;"b\n' + b"x" * 200_000, csv(), "heading cannot be read"),
    "endless line": (b"a;b\n1;2\n3;" + b"x" * (20 << 20), csv(), "a line after row 1 is longer than 16 MiB"),
    "endless quote": (b'a;b\n1;2\n3;"' + b"x;y\n" * (5 << 20), csv(), "a line after row 1 is longer than 16 MiB"),
    "endless heading": (b"a" * (18 << 20), csv(), "longer than 16 MiB"),
    "nothing but line ends": (b"\n" * 20_000 + b"a;b\n", csv(), "no heading in its first 10,000 lines"),
    "too many columns": (b";" * 20_000 + b"\n", csv(headings=[]), "20,001 columns"),
}


@pytest.mark.parametrize("what", REFUSED_TEXTS)
def test_delimited_that_is_refused(tmp_path: Path, what: str) -> None:
    content, form, said = REFUSED_TEXTS[what]
    refused(put(tmp_path, "x.csv", content), form, said)


def refused(path: Path, form: dict[str, Any], said: str) -> None:
    """One printable sentence that begins with the file, and no thread left behind."""
    before = threading.active_count()
    with pytest.raises((DeliveryRefused, duckdb.Error), match=said) as caught:
        read(path, form)
    if isinstance(caught.value, DeliveryRefused):  # what the engine finds, staging says
        sentence = str(caught.value)
        assert sentence.startswith(path.name) and sentence.endswith((".", "?"))
        assert sentence.isprintable() and len(sentence) < 500
    assert threading.active_count() == before


@pytest.mark.parametrize(
    "wrong",
    [
        csv(delimiter=";;"),
        csv(delimiter="\n"),
        csv(delimiter='"'),
        csv(quote="“"),
        csv(encoding="ebcdic"),
        csv(headings=["name", "name"]),
        csv(headings=["skip", "label"]),
        csv(headings=["name", "skip", "skip", "skip"]),
        {"kind": "qualtrics", "headings": ["name"]},
        {"kind": "xlsx", "first_row": 0},
    ],
)
def test_a_format_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FORMAT.validate_python(wrong)


@pytest.mark.parametrize("quoting", [std_csv.QUOTE_MINIMAL, std_csv.QUOTE_ALL])
def test_a_tally_sees_rows_and_faults_in_any_pieces(quoting: Any) -> None:
    rng = random.Random(7)
    for _ in range(300):
        rows = [rng.choices(["", "x", "a;b", 'say "so"', "two\nlines", '"', ";;\n\n;"], k=4) for _ in range(20)]
        spoilt = rng.sample(rows, rng.randrange(6))
        more = [rng.randrange(1, 9) for _ in spoilt]
        for row, n in zip(spoilt, more, strict=True):
            row += ["y"] * n
        short = [["x"], ["x", "y;z"]] if sum(more) != 5 else []  # faults that cancel out are not seen
        text = io.StringIO()
        std_csv.writer(text, delimiter=";", lineterminator="\n", quoting=quoting).writerows([*rows, *short])
        data = text.getvalue().encode()
        cuts = [0, *sorted(rng.choices(range(len(data)), k=rng.randrange(4))), len(data)]
        tally = Tally('"', ";", 4)
        for start, end in itertools.pairwise(cuts):
            tally.add(data[start:end])
        assert tally.total() == len(rows) + len(short)
        found = sum(more) + 5 * bool(short)
        assert tally.faults == found or (len(cuts) > 2 and tally.faults < found)  # within a piece they may cancel out


def test_very_many_faults_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    for line in (b"1;2;3\n", b"1\n", b'"1"x;2\n', b"1;2;3;4;5;6\n", b"1;2;" + b"x" * 5_000 + b"\n"):
        path = put(tmp_path, "x.csv", b"a;b\n" + b"1;2\n" * 9 + line * (1_000_000 if len(line) < 99 else 20_000))
        refused(path, csv(), r"x.csv has \d+,\d{3} cells too many or too few in its first")
    path = put(
        tmp_path, "x.csv", b"a" + b";a" * 999 + b"\n" + b"1\n" * 1_000
    )  # one fault for each cell that is missing
    refused(path, csv(), "x.csv has 999,000 cells too many or too few in its first 1,000 rows")


def test_nobody_has_to_read(tmp_path: Path) -> None:
    """The thread ends even if the text is never asked for, or given up halfway."""
    path = put(tmp_path, "x.csv", b"a;b\n" + b"1;2\n" * 2_000_000)
    before = threading.active_count()
    with connection(tmp_path) as con:
        with open_text(con, path, contract(csv())) as text:
            assert text.columns == ["a", "b"]
        with open_text(con, path, contract(csv())) as text:
            cursor = con.execute(f"SELECT * FROM {text.relation}")
            assert cursor.fetchone() == ("1", "2", None)
        with pytest.raises(ZeroDivisionError), open_text(con, path, contract(csv())):
            raise ZeroDivisionError
        assert threading.active_count() == before


def test_ids_are_unique_and_stable() -> None:
    assert headings.unique(["", "a", "a", "", "a #2", "a"]) == ["column 1", "a", "a #3", "column 4", "a #2", "a #4"]
    assert headings.cleaned("<b>x</b><br/>y\u200b\x07 &nbsp;z a<b") == "x y z a<b"


# --- archives ------------------------------------------------------------------------------------

CSV = b"a;b\n1;2\n"


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def encrypted(content: bytes) -> bytes:
    """Set the flag in the local and in the central header."""
    data = bytearray(zipped({"x.csv": content}))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.index(signature) + place
        data[at : at + 2] = struct.pack("<H", struct.unpack("<H", data[at : at + 2])[0] | 1)
    return bytes(data)


def spoilt(content: bytes) -> bytes:
    """Some bytes of the first member changed."""
    return content[:50] + bytes(byte ^ 255 for byte in content[50:60]) + content[60:]


GOOD_ARCHIVES: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "gz": ("x.csv.gz", gzip.compress(CSV), csv()),
    "gz in two parts": ("x.csv.gz", gzip.compress(b"a;b\n") + gzip.compress(b"1;2\n"), csv()),
    "zip": ("x.zip", zipped({"My survey: é? - 1.csv": CSV}), csv()),
    "zip in a folder": ("x.csv.zip", zipped({"d/": b"", "d/x.csv": CSV}), csv()),
    "stored": ("X.ZIP", zipped({"x.csv": CSV}, zipfile.ZIP_STORED), csv()),
    "left behind by a Mac": ("x.zip", zipped({"x.csv": CSV, "__MACOSX/._x.csv": b"?", ".DS_Store": b"?"}), csv()),
    "one of two": ("x.zip", zipped({"x.csv": CSV, "codebook.pdf": b"?"}), csv(member="*.csv")),
}


@pytest.mark.parametrize("what", GOOD_ARCHIVES)
def test_archives(tmp_path: Path, what: str) -> None:
    name, content, form = GOOD_ARCHIVES[what]
    assert read(put(tmp_path, name, content), form) == Table(["a", "b"], [("1", "2")], [], [])
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]


BAD_ARCHIVES: dict[str, tuple[str, Callable[[], bytes], dict[str, Any], str]] = {
    "cut gz": ("x.csv.gz", lambda: gzip.compress(CSV * 1000)[:-9], csv(), "not a whole gzip"),
    "gz under another name": ("x.csv", lambda: gzip.compress(CSV), csv(), "let it end in .gz"),
    "no gz": ("x.csv.gz", lambda: CSV, csv(), "not a whole gzip"),
    "gz bomb": ("x.csv.gz", lambda: gzip.compress(b"a;b\n" + b"\n" * (160 << 20)), csv(), "over 250 times"),
    "zip bomb": ("x.zip", lambda: zipped({"x.csv": b"a;b\n" + b"\n" * (160 << 20)}), csv(), "over 250 times"),
    "no zip": ("x.zip", lambda: CSV, csv(), "not a whole zip"),
    "cut zip": ("x.zip", lambda: zipped({"x.csv": CSV * 1000})[:60], csv(), "not a whole zip"),
    "damaged zip": (
        "x.zip",
        lambda: zipped({"x.csv": CSV}, zipfile.ZIP_STORED).replace(b"1;2", b"9;9"),
        csv(),
        "not a whole zip",
    ),
    "damaged lzma": ("x.zip", lambda: spoilt(zipped({"x.csv": CSV * 99}, zipfile.ZIP_LZMA)), csv(), "not a whole zip"),
    "damaged bzip2": (
        "x.zip",
        lambda: spoilt(zipped({"x.csv": CSV * 99}, zipfile.ZIP_BZIP2)),
        csv(),
        "not a whole zip",
    ),
    "up": ("x.zip", lambda: zipped({"../x.csv": CSV}), csv(), "leaves the archive"),
    "up beside a good one": ("x.zip", lambda: zipped({"x.csv": CSV, "a/../../y": CSV}), csv(), "leaves the archive"),
    "absolute": ("x.zip", lambda: zipped({"/x.csv": CSV}), csv(), "leaves the archive"),
    "a drive": ("x.zip", lambda: zipped({"C:\\x.csv": CSV}), csv(), "leaves the archive"),
    "password": ("x.zip", lambda: encrypted(CSV), csv(), "password"),
    "two": ("x.zip", lambda: zipped({"x.csv": CSV, "y.csv": CSV}), csv(), "holds 2 files, not one; say which"),
    "none": ("x.zip", lambda: zipped({"d/": b""}), csv(), "holds 0 files, not one"),
    "none fits": ("x.zip", lambda: zipped({"x.csv": CSV}), csv(member="*.sav"), "that fit `member"),
    "zip in zip": ("x.zip", lambda: zipped({"x.zip": zipped({"x.csv": CSV})}), csv(), "inside an archive"),
    "gz in zip": ("x.zip", lambda: zipped({"x.csv.gz": gzip.compress(CSV)}), csv(), "inside an archive"),
    "zip in gz": ("x.zip.gz", lambda: gzip.compress(zipped({"x.csv": CSV})), csv(), "inside an archive"),
}


@pytest.mark.parametrize("what", BAD_ARCHIVES)
def test_archives_that_are_refused(tmp_path: Path, what: str) -> None:
    name, content, form, said = BAD_ARCHIVES[what]
    refused(put(tmp_path, name, content()), form, said)


# --- workbooks -----------------------------------------------------------------------------------


def workbook(rows: list[list[Any]], sheet: str = "Form1", others: tuple[str, ...] = ()) -> bytes:
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = sheet
    for row in rows:
        page.append(row)
    for other in others:
        book.create_sheet(other)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


NOON, MIDNIGHT = dt.datetime(2024, 3, 1, 12, 30, 15), dt.datetime(2024, 3, 2)

WORKBOOKS: dict[str, tuple[bytes, dict[str, Any], list[str], list[Row]]] = {
    "Microsoft Forms": (
        workbook([["ID", "Start\xa0time", "Cijfer?"], [1, NOON, 7.5], [2, MIDNIGHT, "8"]]),
        {},
        ["ID", "Start time", "Cijfer?"],
        [("1", "2024-03-01 12:30:15", "7,5"), ("2", "2024-03-02 00:00:00", "8")],
    ),
    "LimeSurvey": (
        workbook([["id", "submitdate", "G01[SQ001]", "G01[other]"], [5, "2019-01-02 03:04:05", "Y", None]]),
        {},
        ["id", "submitdate", "G01[SQ001]", "G01[other]"],
        [("5", "2019-01-02 03:04:05", "Y", None)],
    ),
    "types": (
        workbook(
            [
                ["d", "t", "b", "n", "big", "text", "span"],
                [dt.date(2024, 5, 7), dt.time(9, 5), True, 0.1 + 0.2, 13376313674, "7-mei", dt.timedelta(hours=26)],
                [MIDNIGHT, None, False, 1e-7, -3.0, "=1+1 ", None],
            ]
        ),
        {},
        ["d", "t", "b", "n", "big", "text", "span"],
        [
            ("2024-05-07", "09:05:00", "true", "0,3", "13376313674", "7-mei", "26:00:00"),
            ("2024-03-02", None, "false", "0,0000001", "-3", None, None),
        ],
    ),
    "two headings": (
        workbook([["ID", "Which?", None, "Why?"], [None, "Phone", "Post", "Response"], [1, "Phone", None, "so"]]),
        {"headings": ["group", "name"]},
        ["ID", "Which? | Phone", "Which? | Post", "Why? | Response"],
        [("1", "Phone", None, "so")],
    ),
    "something above": (
        workbook([["Export of 1 March"], [], ["a", "b"], [], [1, 2]]),
        {"first_row": 3},
        ["a", "b"],
        [("1", "2")],
    ),
    "one of several": (
        workbook([["a", "b"], [1, 2]], "Data", ("Toelichting",)),
        {"sheet": "Data"},
        ["a", "b"],
        [("1", "2")],
    ),
    "blank and repeated": (
        workbook([["a", None, "a"], [1, 2, 3]]),
        {},
        ["a", "column 2", "a #2"],
        [("1", "2", "3")],
    ),
    "lines and quotes": (workbook([["a", "b"], ['x\n"y"', "z;,"]]), {}, ["a", "b"], [('x\n"y"', "z;,")]),
    "no rows": (workbook([["a", "b"]]), {}, ["a", "b"], []),
}


@pytest.mark.parametrize("what", WORKBOOKS)
@pytest.mark.parametrize("packed", ["x.xlsx", "x.xlsx.gz", "x.zip"])
def test_workbooks(tmp_path: Path, what: str, packed: str) -> None:
    content, options, columns, rows = WORKBOOKS[what]
    if packed.endswith(".gz"):
        content = gzip.compress(content)
    elif packed.endswith(".zip"):
        content = zipped({"x.xlsx": content})
    table = read(put(tmp_path, packed, content), {"kind": "xlsx"} | options, ",")
    if what == "types":  # a formula is worth what it was worth when it was saved: here nothing
        table.rows[1] = (*table.rows[1][:5], None, table.rows[1][6])
    assert table == Table(columns, rows, [], [])


def changed(content: bytes, part: str, change: Callable[[str], str]) -> bytes:
    """A workbook with one part of its XML changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    return zipped(parts | {part: change(parts[part].decode()).encode()})


SHEET = "xl/worksheets/sheet1.xml"
BAD_WORKBOOKS: dict[str, tuple[Callable[[], bytes], dict[str, Any], str]] = {
    "empty": (lambda: b"", {}, "is empty"),
    "text": (lambda: b"a;b\n1;2\n", {}, "not a readable XLSX"),
    "no sheet": (lambda: zipped({"x.txt": b"?"}), {}, "not a readable XLSX"),
    "cut": (lambda: workbook([["a"], [1]])[:-40], {}, "not a readable XLSX"),
    "password": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, {}, "password"),
    "several": (lambda: workbook([["a"]], "A", ("B",)), {}, "name the one to read with `sheet:`"),
    "another": (lambda: workbook([["a"]], "A"), {"sheet": "B"}, "no sheet 'B'"),
    "blank": (lambda: workbook([]), {}, "is empty"),
    "far away": (
        lambda: changed(
            workbook([["a", "b"], [1, 2]]),
            SHEET,
            lambda x: x.replace("</sheetData>", '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'),
        ),
        {},
        "spans more than",
    ),
}


@pytest.mark.parametrize("what", BAD_WORKBOOKS)
def test_workbooks_that_are_refused(tmp_path: Path, what: str) -> None:
    content, options, said = BAD_WORKBOOKS[what]
    refused(put(tmp_path, "x.xlsx", content()), {"kind": "xlsx"} | options, said)


def test_a_cell_far_below_costs_little(tmp_path: Path) -> None:
    last = '<row r="1048576"><c r="B1048576"><v>0</v></c><c r="Y1048576" t="str"><v></v></c></row></sheetData>'
    content = changed(workbook([["a", "b"], [1, 2]]), SHEET, lambda x: x.replace("</sheetData>", last))
    table = read(put(tmp_path, "x.xlsx", content), {"kind": "xlsx"})
    assert table.rows == [("1", "2"), (None, "0")]


def test_a_workbook_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.readers.archive.FREE", 1 << 20)
    monkeypatch.setattr("pipelines.readers.archive.RATIO", 100)
    spaces = "<sheetData>" + " " * (8 << 20)
    content = changed(workbook([["a", "b"], [1, 2]]), SHEET, lambda x: x.replace("<sheetData>", spaces))
    refused(put(tmp_path, "x.xlsx", content), {"kind": "xlsx"}, "over 100 times")


# --- JSON ----------------------------------------------------------------------------------------

MONKEY = {
    "data": [
        {
            "id": "1",
            "edit_url": "https://example.org/secret",
            "total_time": 10,
            "page_path": [],
            "metadata": {"contact": {"first_name": {"value": "Jo"}}},
            "pages": [
                {
                    "id": "p",
                    "questions": [
                        {
                            "id": "10",
                            "answers": [{"choice_id": "101"}, {"choice_id": "103"}, {"other_id": "9", "text": "so"}],
                        },
                        {
                            "id": "20",
                            "answers": [{"row_id": "21", "choice_id": "201"}, {"row_id": "22", "choice_id": "202"}],
                        },
                        {"id": "30", "answers": [{"tag_data": [], "text": "é\nx"}]},
                        {"id": "40", "answers": [{"row_id": "1", "col_id": "2", "choice_id": "3"}]},
                    ],
                }
            ],
        }
    ],
    "total": 1,
}
MONKEY_COLUMNS = ["id", "edit_url", "total_time", "page_path", "metadata.contact.first_name.value"]
MONKEY_COLUMNS += ["10", "10.other", "20.21", "20.22", "30", "40.1.2", "late"]
QUALTRICS = [
    {
        "responseId": "R_1",
        "values": {"status": 0, "QID1": 9, "QID2": ["1", "3"]},
        "labels": {"QID1": "Goed", "QID2": ["Een", "Drie"]},
        "displayedFields": ["QID1"],
    },
    {"responseId": "R_2", "values": {"QID1": None, "QID3_TEXT": "x"}, "labels": {}},
]

JSONS: dict[str, tuple[str, dict[str, Any], list[str], list[Row]]] = {
    "lines": (
        '{"a": 1, "b": "x\\ny"}\r\n\n  \n{"b": null, "a": 7.50, "c": true}\n',
        {"kind": "jsonl"},
        ["a", "b", "c"],
        [("1", "x\ny", None), ("7,5", None, "true")],
    ),
    "keys of all kinds": (
        json.dumps({"a/b~c": 1, 'q"\\': 2, "": 3, "x\u00a0 y": 4, "$.z[0]": 8.0}) + "\n",
        {"kind": "jsonl"},
        ["a/b~c", 'q"\\', "column 3", "x y", "$.z[0]"],
        [("1", "2", "3", "4", "8")],
    ),
    "inside": (
        '{"id": 1, "via": {"channel": "phone", "to": {}}, "tags": ["a", "b"], "none": []}\n',
        {"kind": "jsonl", "flatten": True},
        ["id", "via.channel", "tags", "none"],
        [("1", "phone", '["a", "b"]', None)],
    ),
    "array": (
        '[\n {"a": 1,\n  "b": "é"},\n {"a": -2.25}]\n',
        {"kind": "json"},
        ["a", "b"],
        [("1", "é"), ("-2,25", None)],
    ),
    "array under a key": (
        '{"count": 12, "x": {"rows": []}, "rows": [{"a": 1}], "next": null}',
        {"kind": "json", "rows": "rows"},
        ["a"],
        [("1",)],
    ),
    "absent": ('[{"a": 1}]', {"kind": "json", "absent": "blank"}, ["a", "late"], [("1", None)]),
    "no rows": ('{"responses": []}', {"kind": "qualtrics_json"}, ["late"], []),
    "Qualtrics": (
        json.dumps({"responses": QUALTRICS}),
        {"kind": "qualtrics_json"},
        ["responseId", "status", "QID1", "QID2", "QID3_TEXT", "late"],
        [("R_1", "0", "9", "1;3", None, None), ("R_2", None, None, None, "x", None)],
    ),
    "Qualtrics, texts, lines": (
        "\n".join(map(json.dumps, QUALTRICS)),
        {"kind": "qualtrics_json", "labels": True},
        ["responseId", "status", "QID1", "QID2", "QID3_TEXT", "late"],
        [("R_1", "0", "Goed", "Een;Drie", None, None), ("R_2", None, None, None, "x", None)],
    ),
    "SurveyMonkey": (
        json.dumps(MONKEY, indent=1),
        {"kind": "surveymonkey_json"},
        MONKEY_COLUMNS,
        [("1", "https://example.org/secret", "10", None, "Jo", "101;103", "so", "201", "202", "é\nx", "3", None)],
    ),
}


@pytest.mark.parametrize("what", JSONS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json(tmp_path: Path, what: str, encoding: str) -> None:
    content, form, columns, rows = JSONS[what]
    path = put(tmp_path, "x.json.gz", gzip.compress(content.encode(encoding)))
    asked = (columns[0], "late") if "late" in columns else ()
    assert read(path, form, ",", asked) == Table(columns, rows, [], [])


def test_what_is_no_object_is_refused_alone(tmp_path: Path) -> None:
    lines = b'{"a": 1}\n[1]\n{"a": \nnull\n"x"\n\xef\xbb\xbf{"a": 2}\n {"a": 3} {}\n'
    for flatten in (False, True):
        table = read(put(tmp_path, "x.jsonl", lines), {"kind": "jsonl", "flatten": flatten})
        assert table.rows.count((None,)) == 5 and table.faults == ["not_a_json_object"] * 5
    table = read(put(tmp_path, "x.json", b'[{"a": 1}, 5, {"a": 2}]'), {"kind": "json"})
    assert table.rows == [("1",), (None,), ("2",)] and table.faults == ["not_a_json_object"]


def test_lines_far_apart(tmp_path: Path) -> None:
    """Empty lines cost next to nothing, and a line may begin in one block and end in another."""
    lines = b'{"a": 1}\n' + b"\n" * (60 << 20) + b'{"a": "' + b"x" * (3 << 20) + b'"}\n\n{"a": 2}'
    table = read(put(tmp_path, "x.jsonl.gz", gzip.compress(lines, 1)), {"kind": "jsonl"})
    assert table.rows == [("1",), ("x" * (3 << 20),), ("2",)]
    array = b'[{"a": 1},' + b" " * (60 << 20) + b'{"a": 2}]'
    table = read(put(tmp_path, "x.json.gz", gzip.compress(array, 1)), {"kind": "json"})
    assert table.rows == [("1",), ("2",)]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_small_files_of_very_many_objects(tmp_path: Path, kind: str) -> None:
    content = b"{}\n" * 10_000_000 if kind == "jsonl" else b"[" + b"{},\n" * 10_000_000
    refused(put(tmp_path, "x.json.gz", gzip.compress(content, 9)), {"kind": kind}, "more objects than bytes")


def test_a_long_array_in_small_memory(tmp_path: Path) -> None:
    items = ",\n".join(json.dumps({"id": i, "text": "é" * 100}) for i in range(20_000))
    table = read(
        put(tmp_path, "x.json", f'{{"total": 12, "data": [{items}]}}'.encode()), {"kind": "json", "rows": "data"}
    )
    assert [row[0] for row in table.rows] == [str(i) for i in range(20_000)]


BAD_JSONS: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "csv": (b"a;b\n1;2\n", {"kind": "json"}, "does not begin with"),
    "csv as lines": (b"a;b\n1;2\n", {"kind": "jsonl"}, "no JSON object"),
    "cut": (b'[{"a": 1}, {"a":', {"kind": "json"}, "not whole JSON"),
    "cut between": (b'[{"a": 1},', {"kind": "json"}, "not whole JSON"),
    "more behind": (b'[{"a": 1}] x', {"kind": "json"}, "not whole JSON"),
    "deep": (b"[" * 200_000, {"kind": "json"}, "not whole JSON"),
    "no array": (b'{"a": 1}', {"kind": "json", "rows": "data"}, "no array under 'data'"),
    "none": (b"[]", {"kind": "json"}, "no JSON object"),
    "empty": (b" \n ", {"kind": "json"}, "does not begin with"),
    "very many keys": (
        b"{" + b",".join(b'"k%d": 1' % i for i in range(20_000)) + b"}",
        {"kind": "qualtrics_json"},
        "16,385 columns",
    ),
    "no UTF-8": (b'[{"a": "\xe9"}]', {"kind": "json"}, "not utf-8"),
    "one long object": (b'[{"a": "' + b"x" * (40 << 20), {"kind": "json"}, "longer than 16 MiB"),
    "one long line": (b'{"a": "' + b"x" * (40 << 20), {"kind": "jsonl"}, "longer than 16 MiB"),
}


@pytest.mark.parametrize("what", BAD_JSONS)
def test_json_that_is_refused(tmp_path: Path, what: str) -> None:
    content, form, said = BAD_JSONS[what]
    refused(put(tmp_path, "x.json", content), form, said)


def test_keys_of_another_survey_are_not_shown(tmp_path: Path) -> None:
    path = put(tmp_path, "x.json", b'[{"id": 1, "Jan Jansen": 7}]')
    with pytest.raises(DeliveryRefused, match=r"2 of the 3 columns .* 1 of its keys\b") as caught:
        read(path, {"kind": "json", "absent": "blank"}, columns=("id", "grade", "date"))
    assert "Jan" not in str(caught.value)


# --- SPSS, Stata, Parquet ------------------------------------------------------------------------


@pytest.fixture
def sav(tmp_path: Path) -> Path:
    frame = pd.DataFrame(
        {
            "cijfer": [7.5, 11.0, 99.0, None],
            "gemeente": ["Súdwest-Fryslân ", "’s-Hertogenbosch", "", "x"],
            "datum": [dt.date(2024, 3, 1), dt.date(1600, 1, 1), None, dt.date(2024, 12, 31)],
            "moment": [NOON, None, MIDNIGHT, NOON],
            "odd.@name": [1.0, 2.0, 3.0, 4.0],
        }
    )
    path = tmp_path / "x.sav"
    pyreadstat.write_sav(
        frame,
        path,
        variable_value_labels={"cijfer": {11.0: "weet niet", 99.0: "geen opgave"}, "odd.@name": {1: "één"}},
        missing_ranges={"cijfer": [{"lo": 90, "hi": 99}, 11]},
        variable_format={"moment": "DATETIME20"},
    )
    return path


CODES: list[Row] = [
    ("7,5", "Súdwest-Fryslân", "2024-03-01", "2024-03-01 12:30:15", "1"),
    ("11", "’s-Hertogenbosch", "1600-01-01", None, "2"),
    ("99", None, None, "2024-03-02 00:00:00", "3"),
    (None, "x", "2024-12-31", "2024-03-01 12:30:15", "4"),
]
VARIABLES = ["cijfer", "gemeente", "datum", "moment", "odd.@name"]


def test_spss(sav: Path) -> None:
    assert read(sav, {"kind": "spss"}, ",") == Table(VARIABLES, CODES, [], [])
    packed = put(sav.parent, "x.zip", zipped({"x.sav": sav.read_bytes()}))
    assert read(packed, {"kind": "spss"}, ",") == Table(VARIABLES, CODES, [], [])
    labelled = read(sav, {"kind": "spss", "labels": True}, ",")
    assert [row[0] for row in labelled.rows] == ["7,5", "weet niet", "geen opgave", None]
    assert [row[4] for row in labelled.rows] == ["één", "2", "3", "4"]


def test_spss_a_few_rows_at_a_time(sav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (1, 2, 3, 4, 5):
        monkeypatch.setattr("pipelines.readers.statistical.MOST_ROWS", rows)
        assert read(sav, {"kind": "spss"}, ",").rows == CODES


def test_zsav_and_no_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    pyreadstat.write_sav(frame, tmp_path / "x.zsav", compress=True)
    assert read(tmp_path / "x.zsav", {"kind": "spss"}) == Table(["a", "b"], [("1", "x"), ("2", "y")], [], [])
    pyreadstat.write_sav(frame[:0], tmp_path / "none.sav")
    assert read(tmp_path / "none.sav", {"kind": "spss"}) == Table(["a", "b"], [], [], [])


def test_an_encoding_that_the_file_says_wrongly(tmp_path: Path) -> None:
    path = tmp_path / "x.sav"
    pyreadstat.write_sav(pd.DataFrame({"a": ["Zo__"]}), path)
    path.write_bytes(path.read_bytes().replace(b"Zo__", "Zoë€".encode("windows-1252")))
    refused(path, {"kind": "spss"}, "not UTF-8; set `encoding`")
    assert read(path, {"kind": "spss", "encoding": "WINDOWS-1252"}).rows == [("Zoë€",)]


def test_stata(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"why": ["a", "z", 3.0, None], "text": ["a", "é ", "", "."], "day": [dt.date(2020, 2, 29)] * 4}
    )
    path = tmp_path / "x.dta"
    pyreadstat.write_dta(
        frame,
        path,
        missing_user_values={"why": ["a", "z"]},
        variable_value_labels={"why": {"a": "wil niet", 3: "drie"}},
    )
    day = "2020-02-29"
    rows: list[Row] = [(".a", "a", day), (".z", "é", day), ("3", None, day), (None, ".", day)]
    assert read(path, {"kind": "stata"}) == Table(["why", "text", "day"], rows, [], [])
    labelled = read(path, {"kind": "stata", "labels": True})
    assert [row[0] for row in labelled.rows] == ["wil niet", ".z", "drie", None]


@pytest.mark.parametrize("kind", ["spss", "stata"])
def test_statistics_that_are_refused(tmp_path: Path, sav: Path, kind: str) -> None:
    refused(put(tmp_path, "y", b"a;b\n1;2\n" * 100), {"kind": kind}, "not an? (SPSS|Stata) file")
    refused(put(tmp_path, "z", sav.read_bytes()[:200]), {"kind": kind}, "not an? (SPSS|Stata) file")


def test_a_file_that_crashes_its_library(sav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that reads it dies; nothing else does, and a fault of ours is no fault of the file."""
    code = "import os, sys; os.write(int(sys.argv[1]), bytes(3)); os.kill(os.getpid(), 11)"
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda args, **more: popen([sys.executable, "-c", code, args[3]], **more))
    refused(sav, {"kind": "spss"}, "damaged so that reading it fails")
    code = "from pipelines.readers import aside; aside.answer(lambda _: 1 / 0)"
    monkeypatch.setattr(
        subprocess, "Popen", lambda args, **more: popen([sys.executable, "-c", code, *args[3:]], **more)
    )
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        read(sav, {"kind": "spss"})


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "cijfer": [7.5, 8.0],
            "d": [dt.date(2024, 3, 1), None],
            "t": pa.array([NOON, MIDNIGHT], pa.timestamp("us")),
            "Zoë's  naam": ['x\n;"', None],
            "b": [True, False],
            "bytes": [b"abc", b""],
        }
    )
    parquet.write_table(table, path)
    columns = ["id", "cijfer", "d", "t", "Zoë's naam", "b", "bytes"]
    rows: list[Row] = [
        ("1", "7,5", "2024-03-01", "2024-03-01 12:30:15", 'x\n;"', "true", "abc"),
        ("2", "8", None, "2024-03-02 00:00:00", None, "false", ""),
    ]
    assert read(path, {"kind": "parquet"}, ",") == Table(columns, rows, [], [])
    packed = put(tmp_path, "x.zip", zipped({"x.parquet": path.read_bytes()}))
    assert read(packed, {"kind": "parquet"}, ",") == Table(columns, rows, [], [])
    parquet.write_table(table[:0], path)
    assert read(path, {"kind": "parquet"}) == Table(columns, [], [], [])


def test_parquet_that_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"a": [[1, 2]], "b": [{"c": 1}], "d": [1]}), path)
    refused(path, {"kind": "parquet"}, r"\['a', 'b'\] hold more than one value")
    refused(put(tmp_path, "y.parquet", path.read_bytes()[:-10]), {"kind": "parquet"}, "not a whole Parquet")
    refused(put(tmp_path, "z.parquet", CSV), {"kind": "parquet"}, "not a whole Parquet")
    parquet.write_table(pa.table({"heading": ["x"]}), path)
    damaged = path.read_bytes().replace(b"heading", b"hea\xffing")
    refused(put(tmp_path, "v.parquet", damaged), {"kind": "parquet"}, "not a whole Parquet")
