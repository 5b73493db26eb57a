"""Nationale Klantgedrevenheid Monitor 2019, invented: one informant an organisation; two LimeSurvey workbooks.

The second workbook holds the whole survey again: it stands for the first one, and of what was withdrawn in
between nothing counts. Belongs here: what it must come out at, how it is spoilt, and how the sheets read.

    python -m pipelines.samples.klantgedrevenheid TO [SEED]
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xlsxwriter

from pipelines.samples import forms, people
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Dirt
from pipelines.samples.forms import ACCEPTED, EXCLUDED, SUPERSEDED, Form

# measure: what it comes out at, in percent of those who answered
TARGETS = {
    "management_sets_the_example": 16.0,
    "employees_enjoy_working_with_feedback": 16.0,
    "back_office_feels_responsible": 13.0,
}

SOURCE = "klantgedrevenheid_monitor"
AUDIENCE = "organisation"
DELIVERIES = ("results-survey482915_2019-06.xlsx", "results-survey482915_2019-10.xlsx")
EXPORTED = (dt.datetime(2019, 6, 14, 16, 0, 0), dt.datetime(2019, 10, 4, 16, 0, 0))
SHEET = "results-survey482915"
FIRST_DAY, LAST_DAY = dt.date(2019, 3, 4), dt.date(2019, 9, 27)
MAIL_DOMAIN = "informant-voorbeeld.invalid"

HEADINGS = (
    "id",
    "submitdate",
    "lastpage",
    "startlanguage",
    "seed",
    "startdate",
    "datestamp",
    "ipaddr",
    "BRON",
    "O01",
    "O02",
    "B01",
    "G01[SQ001]",
    "G01[SQ002]",
    "G01[SQ003]",
    "G02[SQ001]",
    "R01",
)
NUMBERS = ("id", "lastpage", "seed")
OTHER_STATEMENT = "G01[SQ003]"  # asked, and used by no measure


class Statement(NamedTuple):
    """A statement, and how its answers are spoilt."""

    column: str
    measure: str
    dirt: Mapping[Dirt, float]


AGREE, DISAGREE = ("A4", "A5"), ("A1", "A2", "A3")
UNKNOWN, OLD_CODE, BLANK = Dirt("A6", "dont_know"), Dirt("A9", "quarantined"), Dirt("", "blank")
NOT_ASKED = Dirt("N/A", "not_asked")
DIRT = {UNKNOWN: 0.05, BLANK: 0.045, OLD_CODE: 0.045}
BACK_OFFICE = Statement("G02[SQ001]", "back_office_feels_responsible", {UNKNOWN: 0.06, BLANK: 0.055, OLD_CODE: 0.055})
STATEMENTS = (
    Statement("G01[SQ001]", "management_sets_the_example", DIRT),
    Statement("G01[SQ002]", "employees_enjoy_working_with_feedback", DIRT),
)
ORGANISATIONS = 640
WITH_BACK_OFFICE = 0.72  # the others are not asked about it
INCOMPLETE, TESTS, WITHDRAWN = 0.15, 0.03, 0.05
MAIL, PANEL, TEST = "mail", "panel", "test"  # BRON: where the respondent came from
REMARKED = 0.06
ALL_AGREE = {statement.column: "A5" for statement in (*STATEMENTS, BACK_OFFICE)}
ALL_DISAGREE = {statement.column: "A1" for statement in (*STATEMENTS, BACK_OFFICE)}


def write(to: Path, seed: int = 2011) -> None:
    """Write both workbooks under `to`, and add what they truly hold to the ledger in `to`/.ledger."""
    ledger = ledgers.Ledger()
    write_sources(to, seed, ledger)
    ledgers.add(ledger, to / ".ledger")


def write_sources(to: Path, seed: int, ledger: ledgers.Ledger) -> None:
    """Write both workbooks, and book what they hold."""
    rng = np.random.default_rng([seed, 7])
    final = _responses(rng)
    interim = _interim(rng, final)
    forms.book(ledger, SOURCE, AUDIENCE, [*interim, *final])
    (to / SOURCE).mkdir(parents=True, exist_ok=True)
    texts = _texts(rng, interim, final)
    ledger.personal.update(value for _, values in texts.values() for value in values)
    for delivery, exported, rows in zip(DELIVERIES, EXPORTED, (interim, final), strict=True):
        _write_delivery(to / SOURCE / delivery, exported, rows, texts, ledger.personal)


def _responses(rng: np.random.Generator) -> list[Form]:
    """All responses of the second workbook, in the order of their ids."""
    extra = {"": round(INCOMPLETE * ORGANISATIONS), TEST: round(TESTS * ORGANISATIONS)}
    every = ORGANISATIONS + sum(extra.values())
    # withdrawn ones have ids too: these are left free
    numbers = np.cumsum(1 + (rng.random(every) < WITHDRAWN)).tolist()
    when = forms.moments(rng, every, FIRST_DAY, LAST_DAY)
    kinds = [MAIL, PANEL] * (ORGANISATIONS // 2) + [kind for kind, many in extra.items() for _ in range(many)]
    rng.shuffle(kinds)
    rows = [
        Form(
            number,
            number,
            moment,
            DELIVERIES[1],
            kind=kind,
            fate=ACCEPTED if kind in (MAIL, PANEL) else EXCLUDED,
            written={OTHER_STATEMENT: f"A{int(rng.integers(1, 7))}"},
        )
        for number, moment, kind in zip(numbers, when, kinds, strict=True)
    ]
    complete = [form for form in rows if form.fate == ACCEPTED]
    for statement in STATEMENTS:
        draw = forms.share(rng, TARGETS[statement.measure], AGREE, DISAGREE)
        forms.ask(rng, complete, statement.column, statement.measure, statement.dirt, draw)
    asked = forms.exactly(rng, len(complete), WITH_BACK_OFFICE)
    have = [form for form, one in zip(complete, asked, strict=True) if one]
    draw = forms.share(rng, TARGETS[BACK_OFFICE.measure], AGREE, DISAGREE)
    forms.ask(rng, have, BACK_OFFICE.column, BACK_OFFICE.measure, BACK_OFFICE.dirt, draw)
    for form, one in zip(complete, asked, strict=True):
        form.written["B01"] = "Y" if one else "N"
        if not one:
            form.written[BACK_OFFICE.column], form.truth[BACK_OFFICE.measure] = NOT_ASKED
    for form in rows:
        if form.kind == TEST:
            form.written.update(ALL_AGREE | {"B01": "Y"})
        elif form.kind == "":  # broke off at the second page: no submitdate
            form.written.update(ALL_DISAGREE | {"B01": "Y", BACK_OFFICE.column: "", OTHER_STATEMENT: ""})
    return rows


def _interim(rng: np.random.Generator, final: Sequence[Form]) -> list[Form]:
    """The rows of the first workbook: those of the second up to then, and those withdrawn since."""
    rows = [
        replace(form, delivery=DELIVERIES[0], fate=SUPERSEDED if form.fate == ACCEPTED else form.fate)
        for form in final
        if form.moment < EXPORTED[0]
    ]
    # some who were still at it are complete in the second workbook
    complete = [place for place, form in enumerate(rows) if form.fate == SUPERSEDED]
    for place in rng.choice(complete, round(0.1 * len(complete)), replace=False).tolist():
        form = rows[place]
        written = {column: "" for column in form.written} | {"G01[SQ001]": form.written["G01[SQ001]"]}
        rows[place] = replace(form, kind="", fate=EXCLUDED, written=written)
    taken = {form.number for form in final}
    free = [number for number in range(1, rows[-1].number) if number not in taken]
    chosen = sorted(rng.choice(free, min(len(free), round(WITHDRAWN * ORGANISATIONS / 2)), replace=False).tolist())
    for number in chosen:
        before = max((form for form in rows if form.number < number), key=lambda form: form.number, default=rows[0])
        written = ALL_AGREE | {"B01": "Y", OTHER_STATEMENT: "A5"}
        rows.append(Form(number, number, before.moment, DELIVERIES[0], PANEL, SUPERSEDED, written=written))
    return sorted(rows, key=lambda form: form.number)


def _texts(rng: np.random.Generator, *workbooks: Sequence[Form]) -> dict[int, tuple[str, list[str]]]:
    """Per response what it says at the end, the same in both workbooks, and the personal values in it."""
    texts: dict[int, tuple[str, list[str]]] = {}
    for number in sorted({form.number for rows in workbooks for form in rows}):
        texts[number] = ("", [])
        if rng.random() < REMARKED:
            template = people.REMARKS[int(rng.integers(len(people.REMARKS)))]
            texts[number] = people.free_text(template, number + 900)
    return texts


def _write_delivery(
    path: Path,
    exported: dt.datetime,
    rows: Sequence[Form],
    texts: Mapping[int, tuple[str, list[str]]],
    personal: set[str],
) -> None:
    """Write one workbook: all cells are text but the three numbers, as the tool writes them."""
    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "strings_to_urls": False})
    book.set_properties({"created": exported})
    sheet = book.add_worksheet(SHEET)
    for column, heading in enumerate(HEADINGS):
        sheet.write_string(0, column, heading)
    for row, form in enumerate(rows, start=1):
        who = form.number + 20_000
        started = form.moment - dt.timedelta(seconds=300 + form.number * 7 % 900)
        mail, name = people.mail(who, MAIL_DOMAIN), f"Organisatie van {people.name(who)}"
        cells = form.written | {
            "id": str(form.number),
            "submitdate": str(form.moment) if form.kind else "",
            "lastpage": "4" if form.kind else "2",
            "startlanguage": "nl",
            "seed": str(form.number * 7_919_777 % 2_147_483_647),
            "startdate": str(started),
            "datestamp": str(form.moment),
            "ipaddr": people.address(who),
            "BRON": form.kind or MAIL,
            "O01": name,
            "O02": mail,
            "R01": texts[form.number][0],
        }
        personal.update((people.address(who), mail, name))
        for column, heading in enumerate(HEADINGS):
            text = cells.get(heading, "")
            if heading in NUMBERS:
                sheet.write_number(row, column, int(text))
            elif text:
                sheet.write_string(row, column, text)
    book.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
