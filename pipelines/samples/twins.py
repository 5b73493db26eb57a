"""Twins: one small invented survey in six shapes, with the same answers in each.

Every shape is a source of its own, so that what the pipeline makes of them can be laid side by side.
Belongs here: the survey and its six shapes. Not here: a monitor, or anything published.

    python -m pipelines.samples.twins TO [N [SEED]]
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import xlsxwriter

from pipelines.samples import forms, grades, people, qualtrics, spss
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Dirt
from pipelines.samples.forms import Form
from pipelines.samples.organisations import organisations
from pipelines.samples.qualtrics import Column, Person

SOURCES = ("twin_csv", "twin_xlsx", "twin_sav", "twin_qualtrics_codes", "twin_qualtrics_text", "twin_jsonl")
DELIVERY = "tweeling_2021{suffix}"
AUDIENCE = "customer"
FIRST_DAY, LAST_DAY = dt.date(2021, 1, 4), dt.date(2021, 12, 17)
MAIL_DOMAIN = "tweeling-voorbeeld.invalid"
HEADINGS = (
    "Respons",
    "Respondent",
    "Organisatie",
    "Datum",
    "Kanaal",
    "Cijfer",
    "Aanbeveling",
    "E-mailadres",
    "Naam geënquêteerde",
)
CHANNELS = {"physical": "Balie", "phone": "Telefoon", "email": "E-mail"}
CHANNEL_CODES = {"physical": "1", "phone": "2", "email": "3"}
NPS_ENDS = {"0": "0 - Zeer onwaarschijnlijk", "10": "10 - Zeer waarschijnlijk"}
DONT_KNOW, DONT_KNOW_CODE = "weet niet", "98"
BLANK, UNKNOWN = Dirt("", "blank"), Dirt(DONT_KNOW, "dont_know")
DIRT = {BLANK: 0.05, UNKNOWN: 0.06}


def write(to: Path, n: int = 300, seed: int = 1) -> None:
    """Write the six sources under `to`, and add what they truly hold to the ledger in `to`/.ledger."""
    rng = np.random.default_rng([seed, 8])
    rows = _responses(rng, n)
    ledger = ledgers.Ledger()
    ledger.personal.update(value for form in rows for value in (_mail(form), _name(form)))
    for source in SOURCES:
        (to / source).mkdir(parents=True, exist_ok=True)
    names = {
        "twin_csv": _write_csv(to / "twin_csv", rows),
        "twin_xlsx": _write_xlsx(to / "twin_xlsx", rows),
        "twin_sav": _write_sav(to / "twin_sav", rows),
        "twin_qualtrics_codes": _write_qualtrics(to / "twin_qualtrics_codes", rows, codes=True),
        "twin_qualtrics_text": _write_qualtrics(to / "twin_qualtrics_text", rows, codes=False),
        "twin_jsonl": _write_jsonl(to / "twin_jsonl", rows),
    }
    for source, delivery in names.items():
        forms.book(ledger, source, AUDIENCE, [replace(form, delivery=delivery) for form in rows])
    ledgers.add(ledger, to / ".ledger")


def _responses(rng: np.random.Generator, n: int) -> list[Form]:
    """The responses; a few respondents come back. Numbers are written with a decimal point here."""
    codes = [one.organisation_code for one in organisations()][:12]
    kinds = list(CHANNELS)
    rows = []
    for number, moment in enumerate(forms.moments(rng, n, FIRST_DAY, LAST_DAY), start=1):
        again = number > 10 and rng.random() < 0.05
        channel = kinds[int(rng.integers(len(kinds)))]
        rows.append(
            Form(
                number,
                int(rng.integers(1, number)) if again else number,
                moment,
                "",
                kind=channel,
                organisation=codes[int(rng.integers(len(codes)))],
                channels={"channel_rating": channel},
            )
        )

    def graded(valid: list[Form]) -> list[tuple[str, int]]:
        latent = grades.skewed_noise(rng, len(valid)) * np.float32(1.6) + np.float32(7.4)
        value = grades.cut(latent, rng.random(len(valid)) < 0.3, 1, 10).tolist()
        return [(f"{one / 10:g}", one) for one in value]

    def scored(valid: list[Form]) -> list[tuple[str, int]]:
        latent = grades.skewed_noise(rng, len(valid)) * np.float32(2.2) + np.float32(7.5)
        return [(str(one // 10), one // 10) for one in grades.cut(latent, None, 0, 10).tolist()]

    forms.ask(rng, rows, "Cijfer", "channel_rating", DIRT, graded)
    forms.ask(rng, rows, "Aanbeveling", "recommendation", DIRT, scored)
    return rows


def _mail(form: Form) -> str:
    return people.mail(form.respondent + 60_000, MAIL_DOMAIN)


def _name(form: Form) -> str:
    return people.name(form.respondent + 60_000)


def _cells(form: Form) -> tuple[str, ...]:
    """The nine cells of a row in the Dutch shapes, with a decimal point."""
    return (
        f"T21-{form.number:05d}",
        f"C{form.respondent:05d}",
        form.organisation,
        f"{form.moment:%d-%m-%Y}",
        CHANNELS[form.kind],
        form.written["Cijfer"],
        form.written["Aanbeveling"],
        _mail(form),
        _name(form),
    )


def _write_csv(folder: Path, rows: Sequence[Form]) -> str:
    """Semicolons, decimal comma, Windows-1252."""
    name = DELIVERY.format(suffix=".csv")
    lines = [";".join(HEADINGS)]
    for form in rows:
        cells = list(_cells(form))
        cells[5] = cells[5].replace(".", ",")
        lines.append(";".join(cells))
    (folder / name).write_bytes("\r\n".join([*lines, ""]).encode("cp1252"))
    return name


def _write_xlsx(folder: Path, rows: Sequence[Form]) -> str:
    """Numbers and dates are cells of those kinds."""
    name = DELIVERY.format(suffix=".xlsx")
    book = xlsxwriter.Workbook(str(folder / name), {"constant_memory": True, "strings_to_urls": False})
    book.set_properties({"created": dt.datetime(2021, 12, 20, 9, 0, 0)})
    sheet = book.add_worksheet("Tweeling")
    as_date = book.add_format({"num_format": "dd-mm-yyyy"})
    for column, heading in enumerate(HEADINGS):
        sheet.write_string(0, column, heading)
    for row, form in enumerate(rows, start=1):
        for column, text in enumerate(_cells(form)):
            if column == 3:
                sheet.write_datetime(row, column, dt.datetime.combine(form.moment, dt.time()), as_date)
            elif column in (5, 6) and text and text != DONT_KNOW:
                sheet.write_number(row, column, float(text))
            elif text:
                sheet.write_string(row, column, text)
    book.close()
    return name


def _write_sav(folder: Path, rows: Sequence[Form]) -> str:
    """Value labels, a user-missing don't-know, and system-missing blanks."""
    name = DELIVERY.format(suffix=".sav")

    def number(text: str) -> float | None:
        return float(text.replace(DONT_KNOW, DONT_KNOW_CODE)) if text else None

    unknown = {float(DONT_KNOW_CODE): DONT_KNOW}
    range_ = (float(DONT_KNOW_CODE), 99.0)
    spss.write(
        folder / name,
        "Meetlat: tweeling, synthetisch",
        {
            "RESPONS": spss.Variable("Responsnummer", [_cells(form)[0] for form in rows], "A16"),
            "RESPONDENT": spss.Variable("Respondentnummer", [_cells(form)[1] for form in rows], "A16"),
            "ORGANISATIE": spss.Variable("Organisatie", [form.organisation for form in rows], "A32"),
            "DATUM": spss.Variable("Datum van het contact", [form.moment.date() for form in rows], "EDATE10"),
            "KANAAL": spss.Variable(
                "Kanaal van het contact",
                [float(CHANNEL_CODES[form.kind]) for form in rows],
                "F1.0",
                {float(CHANNEL_CODES[code]): text for code, text in CHANNELS.items()},
            ),
            "CIJFER": spss.Variable(
                "Cijfer voor het contact",
                [number(form.written["Cijfer"]) for form in rows],
                "F4.1",
                unknown,
                missing_range=range_,
            ),
            "AANBEVELING": spss.Variable(
                "Zou u ons aanbevelen? (0–10)",
                [number(form.written["Aanbeveling"]) for form in rows],
                "F2.0",
                {float(code): text for code, text in NPS_ENDS.items()} | unknown,
                missing_range=range_,
            ),
            "EMAIL": spss.Variable("E-mailadres", [_mail(form) for form in rows], "A64"),
            "NAAM": spss.Variable("Naam geënquêteerde", [_name(form) for form in rows], "A40"),
        },
    )
    return name


def _write_qualtrics(folder: Path, rows: Sequence[Form], codes: bool) -> str:
    """The same export twice: choices as their codes, or as their texts."""
    name = DELIVERY.format(suffix="_codes.csv" if codes else "_text.csv")

    def grade(text: str) -> str:
        return DONT_KNOW_CODE if codes and text == DONT_KNOW else text

    def score(text: str) -> str:
        return grade(text) if codes else NPS_ENDS.get(text, text)

    qualtrics.write(
        folder / name,
        [
            Column("Respons", "Responsnummer", "Respons"),
            Column("Respondent", "Respondentnummer", "Respondent"),
            Column("Organisatie", "Organisatie", "Organisatie"),
            Column("Q1", "Hoe had u contact?", "QID1"),
            Column("Q2", "Welk cijfer geeft u\nvoor dit contact?", "QID2"),
            Column("Q3", "Zou u ons aanbevelen?", "QID3"),
            Column("Naam", "Naam geënquêteerde", "Naam"),
        ],
        [
            [
                *qualtrics.metadata(
                    form.moment,
                    120,
                    "0" if codes else "IP Address",
                    "1" if codes else "True",
                    qualtrics.response_id(8, form.number),
                    Person.anonymous()._replace(mail=_mail(form)),
                    "NL",
                ),
                *_cells(form)[:3],
                CHANNEL_CODES[form.kind] if codes else CHANNELS[form.kind],
                grade(form.written["Cijfer"]),
                score(form.written["Aanbeveling"]),
                _name(form),
            ]
            for form in rows
        ],
    )
    return name


def _write_jsonl(folder: Path, rows: Sequence[Form]) -> str:
    """Numbers are numbers, a blank is null."""
    name = DELIVERY.format(suffix=".jsonl")

    def value(text: str) -> object:
        if not text or text == DONT_KNOW:
            return text or None
        return float(text) if "." in text else int(text)

    lines = []
    for form in rows:
        row = dict(zip(HEADINGS, _cells(form), strict=True))
        line = row | {
            "Datum": f"{form.moment:%Y-%m-%d}",
            "Cijfer": value(form.written["Cijfer"]),
            "Aanbeveling": value(form.written["Aanbeveling"]),
        }
        lines.append(json.dumps(line, ensure_ascii=False))
    (folder / name).write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")
    return name


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:4]))
