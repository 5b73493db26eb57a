"""`meetlat draft`: exports in the shapes of the tools, drafted, answered, checked and staged; and its page."""

import csv
import datetime as dt
import gzip
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyreadstat
import pytest
import xlsxwriter
from conftest import KEY, PROJECT, Once, Place

from pipelines import contracts, draft, settings
from pipelines.errors import MeetlatError

SCORES = [10, 9, 8, 7, 6, 0, 10, 9, 3, 8]
GRADES = [8, 7.5, 9, 6, 5.5, 10, 7, 8.5, 6, 7]
DAYS = [dt.datetime(2024, 3, day, 9, 30, day) for day in range(11, 21)]
LIKELY = "How likely are you to recommend us? (0-10)"
GRADE = "Which grade do you give us? (1-10)"
MAIL = "somebody{}@example.org"
WORDS = "Strictly private remark number {}, about my neighbour"
NAME = "Person Nobody {}"

COMMON = [
    ("monitor", "klantcontact_monitor"),
    ("audience", "customer"),
    ("country", "NL"),
    ("controller", "Example Research"),
    ("purpose", "test"),
    ("licence", "internal use"),
]
WAVE = [("code", "wave-2024-draft"), ("start", "2024-03-01"), ("end", "2024-03-31")]

Rows = list[list[Any]]


def answered(text: str, answers: Iterable[tuple[str, str]]) -> str:
    """Fill in a blank, or take a proposal out of its comment: the first line with that key that is still open.

    An empty answer to a proposal is what was proposed.
    """
    lines = text.split("\n")
    for key, value in answers:
        line = re.compile(rf" *(?:{re.escape(key)}:|# {re.escape(key)}: .*)")
        place = next((i for i, text in enumerate(lines) if line.fullmatch(text)), None)
        assert place is not None, f"nothing is open for {key}"
        indent = len(lines[place]) - len(lines[place].lstrip(" "))
        proposed = re.search(r"\[.*?\]", lines[place])
        lines[place] = f"{' ' * indent}{key}: {value or (proposed and proposed[0])}"
    return "\n".join(lines)


# --- the shapes ----------------------------------------------------------------------------------


def as_csv(rows: Rows, delimiter: str = ",", end: str = "\n") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    return text.getvalue()


def as_xlsx(path: Path, rows: Rows) -> None:
    with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd hh:mm:ss"}) as book:
        sheet = book.add_worksheet("Sheet1")
        for i, row in enumerate(rows):
            sheet.write_row(i, 0, row)


def body(*columns: Callable[[int], Any]) -> Rows:
    """Ten rows, each cell made from its place."""
    return [[column(i) for column in columns] for i in range(10)]


def day(form: str = "%Y-%m-%d %H:%M:%S") -> Callable[[int], str]:
    return lambda i: DAYS[i].strftime(form)


def score(i: int) -> int:
    return SCORES[i]


def grade(i: int) -> float:
    return GRADES[i]


def mail(i: int) -> str:
    return MAIL.format(i)


def name(i: int) -> str:
    return NAME.format(i)


def remark(i: int) -> str:
    return WORDS.format(i)


def id(prefix: str) -> Callable[[int], str]:
    return lambda i: f"{prefix}{1000 + i}"


def same(value: Any) -> Callable[[int], Any]:
    return lambda i: value


def import_ids(*ids: str, zone: str = "America/Denver") -> list[str]:
    dates = ("startDate", "endDate", "recordedDate")
    return [json.dumps({"ImportId": i} | ({"timeZone": zone} if i in dates else {})) for i in ids]


QUALTRICS = ["StartDate", "Status", "IPAddress", "Progress", "Finished", "RecordedDate", "ResponseId", "RecipientEmail"]
QUALTRICS_IDS = [
    "startDate",
    "status",
    "ipAddress",
    "progress",
    "finished",
    "recordedDate",
    "_recordId",
    "recipientEmail",
]


def qualtrics(path: Path, texts: bool) -> None:
    def likely(i: int) -> str:
        n = SCORES[i]
        return {0: "0 - Not at all likely", 10: "10 - Extremely likely"}.get(n, str(n)) if texts else str(n)

    normal, preview, yes, no = ("IP Address", "Survey Preview", "True", "False") if texts else ("0", "1", "1", "0")
    rows = body(
        day(), same(normal), same("192.0.2.7"), same(100), same(yes), day(), id("R_"), mail, likely, grade, remark
    )
    preview_row = [*rows[0][:1], preview, *rows[0][2:6], "R_2000", "", rows[1][8], 1, "test"]
    partial_row = [*rows[0][:4], no, rows[0][5], "R_2001", "", rows[1][8], 1, "stopped"]
    heading = [*QUALTRICS, "Q1", "Q2", "Q3"]
    labels = [*QUALTRICS, f"<b>{LIKELY}</b>", GRADE, "Anything else\nyou want to say?"]
    ids = import_ids(*QUALTRICS_IDS, "QID1", "QID2", "QID3_TEXT")
    path.write_text(as_csv([heading, labels, ids, *rows, preview_row, partial_row]), encoding="utf-8")


def qualtrics_legacy(path: Path) -> None:
    names = ["ResponseID", "ResponseSet", "Name", "EmailAddress", "IPAddress", "Status", "EndDate", "Finished"]
    questions = [LIKELY, GRADE]
    rows = body(
        id("R_"), same("Default"), name, mail, same("192.0.2.7"), same(0), day(), same(1), score, grade, same("")
    )
    codes = [f"V{i}" for i in range(1, 9)] + ["Q1", "Q2", ""]
    path.write_text(as_csv([codes, [*names, *questions, ""], *rows]), encoding="utf-8-sig")


def qualtrics_json(path: Path) -> None:
    responses = [
        {
            "responseId": f"R_{1000 + i}",
            "values": {
                "status": 0, "finished": 1, "recordedDate": DAYS[i].strftime("%Y-%m-%dT%H:%M:%SZ"),
                "ipAddress": "192.0.2.7", "QID1": SCORES[i], "QID2": GRADES[i], "QID3_TEXT": WORDS.format(i),
            },
            "labels": {}, "displayedFields": ["QID1", "QID2"], "displayedValues": {},
        }
        for i in range(10)
    ]  # fmt: skip
    path.write_text(json.dumps({"responses": responses}), encoding="utf-8")


def surveymonkey(path: Path) -> None:
    names = ["Respondent ID", "Collector ID", "Start Date", "End Date", "IP Address", "Email Address", "First Name"]
    groups = [*names, LIKELY, GRADE, "Which of these do you use?", "", "Anything else?"]
    below = [""] * 7 + ["Response", "Response", "Phone", "Website", "Open-Ended Response"]
    us = day("%m/%d/%Y %H:%M")
    rows = body(
        id("11"), same("31480211"), us, us, same("192.0.2.7"), mail, name, score, grade,
        lambda i: "Phone" if i % 2 else "", lambda i: "Website" if i % 3 else "", remark,
    )  # fmt: skip
    path.write_text(as_csv([groups, below, *rows]), encoding="utf-8")


def condensed(path: Path) -> None:
    rows = body(id("33"), score, grade, lambda i: "Yes" if i % 2 else "No", remark)
    heading = ["RespondentID", LIKELY, GRADE, "Have you called us?", "Why did you give this grade?"]
    path.write_text(as_csv([heading, *rows]), encoding="utf-8")


LIME = ["id", "submitdate", "lastpage", "startlanguage", "seed", "startdate", "datestamp", "ipaddr"]


def lime_rows() -> Rows:
    rows = body(
        lambda i: i + 1, day(), same(3), same("nl"), lambda i: 7_000_000 + 31 * i, day(), day(), same("192.0.2.7"),
        score, grade, lambda i: f"A{i % 3 + 1}", remark,
    )  # fmt: skip
    return [*rows, [11, "", 1, "nl", 7654321, *rows[0][5:8], 2, 3, "", ""]]


def limesurvey(path: Path) -> None:
    as_xlsx(path, [[*LIME, "NPS01", "CIJFER", "G01[SQ001]", "TOEL[comment]"], *lime_rows()])


def limesurvey_texts(path: Path) -> None:
    rows = [[*r[:5], *r[8:]] for r in lime_rows()]
    leading = ["Response ID", "Date submitted", "Last page", "Start language", "Seed"]
    path.write_text(as_csv([[*leading, LIKELY, GRADE, "Statements [Quick]", "Any remarks?"], *rows]), encoding="utf-8")


def typeform(path: Path) -> None:
    rows = body(
        lambda i: f"{i:02d}ab34cd56ef78ab12cd34ef56ab78cd", score, grade, lambda i: "Phone" if i % 2 else "",
        lambda i: "Website" if i % 3 else "", remark, day(), day(), lambda i: f"{i}a2b3c4d5e",
    )  # fmt: skip
    heading = ["#", LIKELY, f"*{GRADE}*", "Phone", "Website", "Tell us why"]
    heading += ["Start Date (UTC)", "Submit Date (UTC)", "Network ID"]
    path.write_text(as_csv([heading, *rows]), encoding="utf-8")


def google(path: Path) -> None:
    heading = [
        "Tijdstempel",
        "Hoe waarschijnlijk is het dat u ons aanbeveelt? (0-10)",
        "Welk rapportcijfer geeft u ons?",
    ]
    rows = body(lambda i: f"{i + 11}-3-2024 9:30:{i:02d}", score, grade, mail, remark)
    path.write_text(as_csv([[*heading, "E-mailadres", "Toelichting"], *rows], end="\r\n"), encoding="utf-8")


def microsoft(path: Path) -> None:
    heading = ["Id", "Begintijd", "Tijd van voltooien", "E-mail", "Naam", LIKELY, GRADE, "Which\xa0do you use?"]
    rows = body(lambda i: i + 1, lambda i: DAYS[i], lambda i: DAYS[i], mail, name, score, grade, same("Phone;Website;"))
    as_xlsx(path, [heading, *rows])


LABELS = {98: "weet niet", 99: "wil niet zeggen"}


def statistical(path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "RESPID": [1000.0 + i for i in range(12)],
            "INVULDATUM": [d.strftime("%Y-%m-%d") for d in [*DAYS, DAYS[0], DAYS[0]]],
            "V1": [*map(float, SCORES), 98.0, 99.0],
            "V2": [*map(float, GRADES), 98.0, 99.0],
            "KANAAL": [float(i % 2 + 1) for i in range(12)],
            "EMAIL": [MAIL.format(i) for i in range(12)],
        }
    )
    about = ["Nummer", "Datum van invullen", "Zou u ons aanbevelen (0-10)?", "Rapportcijfer", "Kanaal", "E-mailadres"]
    values: dict[str, dict[float | int, str]] = {
        "V1": dict(LABELS),
        "V2": dict(LABELS),
        "KANAAL": {1: "Balie", 2: "Telefoon"},
    }
    if path.suffix == ".dta":
        pyreadstat.write_dta(frame, str(path), column_labels=about, variable_value_labels=values)
    else:
        pyreadstat.write_sav(frame, str(path), column_labels=about, variable_value_labels=values)


DUTCH = [
    "Responsnummer", "Naam", "E-mailadres", "Telefoonnummer", "Postcode", "Contactdatum", "Kanaal", "Organisatie",
    "Zou u ons aanbevelen?", "Cijfer contact", "Geïnterviewd via", "Weegfactor", "Status", "Toelichting",
]  # fmt: skip


def dutch_rows(comma: bool = True) -> Rows:
    def number(i: int) -> str:
        return str(GRADES[i]).replace(".", "," if comma else ".")

    rows = body(
        id("K"), name, mail, lambda i: f"061234567{i}", lambda i: f"123{i} AB", day("%d-%m-%Y"),
        lambda i: ["Balie", "Telefoon", "E-mail"][i % 3], lambda i: f"municipality_0{i % 3 + 1}", score, number,
        lambda i: ["web", "papier"][i % 2], same("1,25" if comma else "1.25"), same("compleet"),
        lambda i: f"{WORDS.format(i)} – één €",
    )  # fmt: skip
    odd = [["K2000", *rows[0][1:8], "weet niet", "99", *rows[0][10:]]]
    out = [
        [f"K300{i}", *rows[0][1:8], 0, 1, *rows[0][10:12], status, ""]
        for i, status in enumerate(("test", "afgebroken"))
    ]
    return [DUTCH, *rows, *odd, *out]


def semicolon(path: Path) -> None:
    path.write_bytes(gzip.compress(as_csv(dutch_rows(), ";", "\r\n").encode("windows-1252")))


def old_mac(path: Path) -> None:
    path.write_text(as_csv(dutch_rows(), ";", "\r"), encoding="utf-8-sig", newline="")


def wide_tsv(path: Path) -> None:
    path.write_text(as_csv(dutch_rows(comma=False), "\t"), encoding="utf-16")


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("survey: ünï/2024.csv".replace(": ", "_"), as_csv(dutch_rows(comma=False)))


def workbook(path: Path) -> None:
    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("Read me").write_row(0, 0, ["see the other sheet"])
        sheet = book.add_worksheet("Data")
        for i, row in enumerate(dutch_rows(comma=False)):
            sheet.write_row(i, 0, row)


def objects() -> list[dict[str, Any]]:
    heading, *rows = dutch_rows(comma=False)
    return [dict(zip(heading, row, strict=True)) for row in rows]


def json_lines(path: Path) -> None:
    path.write_text("".join(json.dumps(made) + "\n" for made in objects()), encoding="utf-8")


def json_document(path: Path) -> None:
    path.write_text(json.dumps({"total": 13, "data": objects()}, indent=1), encoding="utf-8")


def parquet(path: Path) -> None:
    heading, *rows = dutch_rows(comma=False)
    types = ", ".join(f'"{h}" VARCHAR' for h in heading)
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE made ({types})")
        con.executemany(f"INSERT INTO made VALUES ({', '.join('?' * len(heading))})", rows)
        con.execute(f"COPY made TO '{path}' (FORMAT parquet)")


@dataclass(frozen=True)
class Shape:
    """A file, what its draft must say, how it is answered, and what its receipt must be."""

    file: str
    write: Callable[[Path], None]
    tool: str
    says: Sequence[str] = ()
    answers: Sequence[tuple[str, str]] = ()
    rows: dict[str, int] = field(default_factory=lambda: {"accepted": 10})
    grade: str = "satisfaction"

    @property
    def all_answers(self) -> list[tuple[str, str]]:
        """With those to what every draft asks. One audience is drawn in one way: of organisations, or of people."""
        drawn = [("audience", "b2b_customer")] if ("sampling_unit", "organisation") in self.answers else []
        return [*dict([*COMMON, *drawn]).items(), *self.answers]


DUTCH_ANSWERS = [("sampling_unit", "organisation"), ("dont_know", ""), ("dont_know", "")]
DUTCH_ROWS = {"accepted": 11, "excluded": 2}
DUTCH_SAYS = (
    "Responsnummer: {role: response}", 'Contactdatum: {role: date, format: "%d-%m-%Y"}', "Balie: physical",
    "E-mail: email", "Organisatie: {role: organisation}", "- Weegfactor # a weight?", "- Toelichting # free text",
    "exclude: {test: test_row, afgebroken: not_completed}", "channel: row", "# coded: web (7), papier (5)",
)  # fmt: skip


def dutch(file: str, write: Callable[[Path], None], tool: str, *says: str) -> Shape:
    return Shape(file, write, tool, (*DUTCH_SAYS[:-1], *says), DUTCH_ANSWERS, DUTCH_ROWS, "channel_rating")


SHAPES = {
    "qualtrics_numeric": Shape(
        "numeric_2024-03.csv", lambda p: qualtrics(p, False), "Qualtrics, three heading rows",
        ('exclude: {"1": preview', "time_zone: America/Denver", "_recordId: {role: response}", "- ipAddress # personal",
         "- recipientEmail # personal", "recordedDate: {role: date"), (), {"accepted": 10, "excluded": 2},
    ),
    "qualtrics_texts": Shape(
        "texts_2024-03.csv", lambda p: qualtrics(p, True), "Qualtrics, three heading rows",
        ("exclude: {Survey Preview: preview", "10 - Extremely likely: 10"), (), {"accepted": 10, "excluded": 2},
    ),
    "qualtrics_legacy": Shape("legacy_2024-03.csv", qualtrics_legacy, "legacy", ("ResponseID: {role: response}",)),
    "qualtrics_api": Shape(
        "api_2024-03.json", qualtrics_json, "Qualtrics JSON",
        ("kind: qualtrics_json", "QUESTION: is it a grade?", "If so, recommendation", "If so, satisfaction"),
        [("measure", "recommendation"), ("measure", "satisfaction")],
    ),
    "surveymonkey_expanded": Shape(
        "expanded_2024-03.csv", surveymonkey, "SurveyMonkey, two heading rows",
        ("Respondent ID: {role: response}", 'End Date: {role: date, format: "%m/%d/%Y %H:%M"}', "one choice of"),
    ),
    "surveymonkey_condensed": Shape(
        "condensed_2024-03.csv", condensed, "condensed", ("wave:", "coded: No (5), Yes (5)"), WAVE
    ),
    "limesurvey_codes": Shape(
        "results-survey4829_2024-03.xlsx", limesurvey, "LimeSurvey, codes",
        ('exclude: {"": not_completed}', "id: {role: response}", r"order: '(\d{4}-\d{2})'", "A1 (4)"),
        (), {"accepted": 10, "excluded": 1},
    ),
    "limesurvey_texts": Shape(
        "results-survey201929_2024.csv", limesurvey_texts, "LimeSurvey, full texts",
        ("Response ID: {role: response}", r"order: '(?<!\d)"), (), {"accepted": 10, "excluded": 1},
    ),
    "typeform": Shape(
        "typeform_2024-03.csv", typeform, "Typeform", ('"#": {role: response}', "- Network ID # personal"),
    ),
    "google_forms": Shape(
        "answers_20240331.csv", google, "Google Forms",
        ("- role: response", "the form gives no id", 'format: "%d-%m-%Y %H:%M:%S"', "- E-mailadres # personal"),
    ),
    "microsoft_forms": Shape(
        "Survey(1-20).xlsx", microsoft, "Microsoft Forms",
        ("QUESTION: what tells which file is newer", "Tijd van voltooien: {role: date, format: iso}", "Phone (10)"),
        [("order", r"'\((\d+-\d+)\)'")],
    ),
    "spss": Shape(
        "wave_2024.sav", statistical, "SPSS",
        ('"1": physical # Balie', "98 (1: weet niet)", "# Zou u ons aanbevelen (0-10)?", "- EMAIL # "),
        [("dont_know", ""), ("refused", ""), ("dont_know", ""), ("refused", "")],
        {"accepted": 12}, "channel_rating",
    ),
    "stata": Shape(
        "wave_2024.dta", statistical, "Stata", ('"2": phone # Telefoon',),
        [("dont_know", ""), ("refused", ""), ("dont_know", ""), ("refused", "")],
        {"accepted": 12}, "channel_rating",
    ),
    "semicolon": dutch("klanten_2024-Q1.csv.gz", semicolon, "semicolon CSV", "encoding: windows-1252", 'decimal: ","'),
    "old_mac": dutch("mac_2024-03-31.csv", old_mac, "semicolon CSV", 'decimal: ","', "encoding: utf-8"),
    "wide_tsv": dutch("wide_2024.txt", wide_tsv, "CSV", "encoding: utf-16", r'delimiter: "\t"'),
    "zipped": dutch("export_2024.zip", zipped, "CSV", 'delimiter: ","'),
    "workbook": dutch("book_2024.xlsx", workbook, "XLSX", "sheet: Data"),
    "json_lines": dutch("lines_2024.jsonl", json_lines, "JSON lines"),
    "json_document": dutch("document_2024.json", json_document, "JSON", "rows: data"),
    "parquet": dutch("table_2024.parquet", parquet, "Parquet"),
}  # fmt: skip


@pytest.fixture(scope="session")
def drafted(once: Once) -> Place:
    """Every shape as a source: drafted, answered, checked and refreshed, all in one release."""

    def make(folder: Path) -> None:
        place = Place(folder)
        place.state.mkdir(mode=0o700, parents=True)
        (place.state / "key").write_text(KEY)
        (place.state / "key").chmod(0o600)
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in place.environment.items():
                if variable.startswith("MEETLAT_"):
                    patch.setenv(variable, value)
            for source, shape in SHAPES.items():
                export = folder / "arrived" / shape.file
                export.parent.mkdir(exist_ok=True)
                shape.write(export)
                contract = draft.write(settings.load(), export, source)
                text = contract.read_text(encoding="utf-8")
                (folder / f"{source}.draft").write_text(text, encoding="utf-8")
                contract.write_text(answered(text, shape.all_answers), encoding="utf-8")
                export.rename(contract.parent / shape.file)
        ran = place.meetlat("check")
        assert ran.returncode == 0, ran.stderr
        place.refresh()

    return Place(once("drafted", make))


@pytest.mark.parametrize("source", SHAPES)
def test_a_draft_says_what_it_saw_and_nothing_personal(drafted: Place, source: str) -> None:
    text = (drafted.root / f"{source}.draft").read_text(encoding="utf-8")
    shape = SHAPES[source]
    assert f"looks like {shape.tool}" in " ".join(re.sub(r"^# ", "", text, flags=re.M).split()) or shape.tool in text
    assert not [said for said in shape.says if said not in text], text
    for secret in ("example.org", "neighbour", "Nobody", "192.0.2", "0612345", "1230 AB", "K1000"):
        assert secret not in text, text
    assert max(map(len, text.split("\n"))) <= 200
    assert text.startswith("# yaml-language-server: $schema=../../docs/contract.schema.json\n")
    assert (PROJECT / "raw" / source / "../../docs/contract.schema.json").resolve().is_file()


@pytest.mark.parametrize("source", SHAPES)
def test_a_draft_is_refused_until_its_questions_are_answered(drafted: Place, source: str, tmp_path: Path) -> None:
    text = (drafted.root / f"{source}.draft").read_text(encoding="utf-8")
    answers = [(k, v) for k, v in SHAPES[source].all_answers if re.search(rf"^ *{k}:$", text, re.M)]
    assert text.count("# QUESTION") == len([k for k, _ in answers if k not in ("start", "end")])
    for left in range(len(answers)):
        some = answered(text, answers[:left] + answers[left + 1 :])
        (tmp_path / "contract.yml").write_text(some, encoding="utf-8")
        with pytest.raises(MeetlatError, match=rf"{answers[left][0]}: "):
            contracts.load(tmp_path)


@pytest.mark.parametrize("source", SHAPES)
def test_what_was_drafted_stages_rightly(drafted: Place, source: str) -> None:
    shape = SHAPES[source]
    of = f"source_code = '{source}'"
    states = drafted.query(
        "SELECT rows_accepted, rows_excluded, rows_refused, rows_superseded, cells_quarantined FROM meta.delivery "
        f"WHERE {of}"
    )
    assert states == [(shape.rows["accepted"], shape.rows.get("excluded", 0), 0, 0, 0)]
    found = drafted.query(
        "SELECT measure_code, count(value), sum(value), min(answered_on), max(answered_on) FROM core.fct_answer "
        f"WHERE {of} GROUP BY ALL ORDER BY ALL"
    )
    days = (None, None) if shape.answers == WAVE else (dt.date(2024, 3, 11), dt.date(2024, 3, 20))
    assert sorted(found) == sorted([("recommendation", 10, 70, *days), (shape.grade, 10, 745, *days)])


# --- what is asked, and what is refused ----------------------------------------------------------


def drafting(folder: Path, name: str, text: str) -> str:
    export = folder / name
    export.write_text(text, encoding="utf-8")
    here = settings.load()
    return draft.draft(here, export)


def test_a_date_that_can_be_read_two_ways_is_asked(tmp_path: Path) -> None:
    text = drafting(tmp_path, "x_2024.csv", "ID,Date,Grade\n1,03/04/2024,8\n2,05/06/2024,7\n3,01/02/2024,9\n")
    assert "QUESTION: day or month first?" in text and "\n    format:\n" in text
    text = drafting(tmp_path, "x_2024.csv", "ID,Date,Grade\n1,03/04/2024,8\n2,25/06/2024,7\n3,01/02/2024,9\n")
    assert 'Date: {role: date, format: "%d/%m/%Y"}' in text


def test_a_status_that_is_not_known_is_asked(tmp_path: Path) -> None:
    rows = "1,8,complete\n2,7,complete\n3,9,gruen\n4,5,gruen\n"
    text = drafting(tmp_path, "x_2024.csv", "ID,Grade,Status\n" + rows)
    assert "keep: [complete]\n    # QUESTION: do these count?" in text and "\n      gruen:\n" in text


def test_a_channel_that_is_not_known_is_asked(tmp_path: Path) -> None:
    rows = "1,8,Phone\n2,7,Phone\n3,9,Carrier pigeon\n4,5,Desk\n"
    text = drafting(tmp_path, "x_2024.csv", "ID,Grade,Channel\n" + rows)
    assert "QUESTION: which codes of reference/channels.csv" in text and "\n      Carrier pigeon:\n" in text


def test_without_an_id_or_a_question_it_asks_for_them(tmp_path: Path) -> None:
    text = drafting(tmp_path, "x_2024.csv", "Colour,Day\nred,monday\nred,monday\nblue,friday\n")
    assert "QUESTION: which column holds the id" in text and "QUESTION: which columns are questions?" in text
    (tmp_path / "contract.yml").write_text(answered(text, [*COMMON, *WAVE]), encoding="utf-8")
    with pytest.raises(MeetlatError, match="columns: "):
        contracts.load(tmp_path)


def test_other_scales_and_counts_are_no_grades(tmp_path: Path) -> None:
    heading = "ID,How many times did you call?,How satisfied are you?,Month,Age,Stars\n"
    rows = "".join(f"{i},{i % 11},{i % 5 + 1},{i % 12 + 1},{20 + i},{i % 7 + 1}\n" for i in range(1, 60))
    text = drafting(tmp_path, "x_2024.csv", heading + rows)
    assert "role: question" not in text.replace("NAME: {role: question", "")


def test_values_that_are_long_or_somebodys_own_are_not_shown(tmp_path: Path) -> None:
    long = "a value that is rather longer than forty characters"
    heading = "ID,Group,Opinion,Contact person\n"
    rows = "".join(
        f"{i},{'AB'[i % 2]},{'Odd one' if i == 3 else long if i % 4 == 0 else 'fine'},P{i % 2}\n" for i in range(40)
    )
    text = drafting(tmp_path, "x_2024.csv", heading + rows)
    assert "- Group # coded: A (20), B (20)" in text and "fine (29)" in text
    assert "Odd one" not in text and long not in text and "P0" not in text


def test_many_rows_are_not_all_read(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i % 11},{'a' if i < 5000 else 'late'}\n" for i in range(20_000))
    text = drafting(tmp_path, "x_2024.csv", "ID,Recommend,Code\n" + rows)
    assert "rows read: 5,000" in " ".join(text.split()) and "late" not in text


def test_odd_headings_stay_valid(tmp_path: Path) -> None:
    odd = ["ID", "yes", "12", "a: b # c", "- x", 'say "hi"', "[1]", "{q}", "x" * 1500, "", "null", "c\\d", "*a", "&b"]
    rows = [odd, *[[str(i), *["v"] * (len(odd) - 1)] for i in range(6)]]
    text = drafting(tmp_path, "x_2024.csv", as_csv(rows))
    text = text.replace("ID: {role: response}", "ID: {role: response}\n  Q: {role: question, measure: satisfaction}")
    (tmp_path / "contract.yml").write_text(answered(text, [*COMMON, *WAVE]), encoding="utf-8")
    made = contracts.load(tmp_path)
    assert {*made.columns, *made.discard} == {*odd, "Q", "column 10"} - {""}


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"1,2,a@example.org\n2,3,b@example.org\n", "looks like answers"),
        ("a.csv", b"Only\none\n", "one column only"),
        ("a.csv", b"ID,Grade\n", "no rows"),
        ("a.csv", b"ID,Gr\0ade\n1,2\n", "NUL"),
        ("a.xls", b"\xd0\xcf\x11\xe0 and more", "save it as .xlsx"),
        ("a.xlsx", b"PK\x03\x04 and no more", "not a readable XLSX"),
        ("a.json", b"[1, 2]", "no list of JSON objects"),
        ("a.sav", b"$FL2 and no more", "a.sav"),
        ("a.parquet", b"PAR1 and no more", "a.parquet"),
        ("a.csv.gz", b"\x1f\x8b\x08 cut", "gzip"),
    ],
)
def test_what_is_no_export_is_refused_in_a_sentence(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MeetlatError, match=re.escape(says)) as refused:
        draft.draft(settings.load(), tmp_path / name)
    assert "example.org" not in str(refused.value)


def test_the_command_prints_or_writes_once(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    export = tmp_path / "klanten_2024-Q1.csv.gz"
    semicolon(export)
    printed = place.meetlat("draft", str(export))
    assert printed.returncode == 0 and printed.stdout.startswith("# yaml-language-server") and not place.raw.exists()
    assert place.meetlat("draft", str(export), "--source", "shops").returncode == 0
    assert (place.raw / "shops" / "contract.yml").read_text(encoding="utf-8") == printed.stdout
    again = place.meetlat("draft", str(export), "--source", "shops")
    assert again.returncode == 1 and "exists already" in again.stderr
    assert "lower-case" in place.meetlat("draft", str(export), "--source", "../Shops").stderr
    assert "is not a file" in place.meetlat("draft", str(tmp_path / "none.csv")).stderr


# --- the page ------------------------------------------------------------------------------------

PAGE = PROJECT / "docs" / "add-a-source.md"
HOME = "/home/you/meetlat"


def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    """Every command of the page in order, with the edits it shows; every output is what it says. `...` is anything."""
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "reference").symlink_to(PROJECT / "raw" / "reference")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "meetlat"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipelines.cli "$@"\n')
    command.chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MEETLAT_", "DAGSTER_"))}
    environment = clean | {"PATH": f"{command.parent}:{clean['PATH']}", "PYTHONPATH": str(PROJECT)}
    contract = tmp_path / "trial" / "raw" / "shops" / "contract.yml"
    exports, output = "", ""
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```([a-z ]+)\n(.*?)^```$", page, re.M | re.S)
    assert [kind for kind, _ in blocks].count("yaml answers") == 2
    for kind, block in blocks:
        if kind == "csv":
            (file,) = re.findall(r"Save this as `([^`]+)`", page)
            (tmp_path / file).write_text(block, encoding="utf-8")
        elif kind == "yaml answers":
            answers = [tuple(line.split(": ", 1)) for line in block.splitlines()]
            text = answered(contract.read_text(encoding="utf-8"), [(k, v) for k, v in answers])
            contract.write_text(text, encoding="utf-8")
        elif kind == "text":
            assert shape_of(output.replace(str(tmp_path), HOME)) == wanted(block, output.replace(str(tmp_path), HOME))
        else:
            ran = subprocess.run(
                ["bash", "-euc", exports + block], cwd=tmp_path, env=environment, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
            assert ran.returncode == (1 if kind == "sh refused" else 0), ran.stderr
            output = ran.stdout + ran.stderr
            exports += "".join(line + "\n" for line in block.splitlines() if line.startswith("export "))


def shape_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


def wanted(block: str, output: str) -> list[str]:
    """The lines of a block, with what `...` stands for filled in from the output."""
    lines, real = shape_of(block), shape_of(output)
    if len(lines) != len(real):
        return lines
    patterns = (".*".join(re.escape(part) for part in line.split("...")) for line in lines)
    return [
        r if "..." in line and re.fullmatch(p, r) else line for line, p, r in zip(lines, patterns, real, strict=True)
    ]
