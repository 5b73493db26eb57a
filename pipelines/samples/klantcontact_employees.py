"""The employee survey of the invented Klantcontact Monitor 2011: one workbook.

Belongs here: the forms, how they are spoilt, and how the sheet reads. Not here: what they come out at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xlsxwriter

from pipelines.samples import answers, grades, people, targets
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Dirt
from pipelines.samples.organisations import in_sectors, organisations, shares

SOURCE = "klantcontact_employees"
DELIVERY = "klantcontact_medewerkers_2011.xlsx"
SHEET = "Medewerkers"
MEASURE = "employee_satisfaction"
HEADINGS = (
    "Formulier",
    "Medewerker",
    "Organisatie",
    "Invuldatum",
    "Werkgever",
    "Werkomgeving",
    "Status",
    "Naam",
    "E-mailadres",
)
MAIL_DOMAIN = "medewerker-voorbeeld.invalid"
CREATED = dt.datetime(2012, 1, 9, 9, 0, 0)
FIRST_DAY, LAST_DAY = dt.date(2011, 1, 3), dt.date(2011, 12, 30)
MONTHS = tuple(f"2011-{month:02d}" for month in range(1, 13))

RATINGS_PER_EMPLOYEE, AT_LEAST = 70, 400
HOUSING_SHARE = 0.18  # over-sampled: its own figure is published
TESTS, CORRECTIONS, RETURNS, NAMED = 0.03, 0.03, 0.03, 0.25
SCALE = targets.Scale(1, 10, 1.2, 0.4, 0.12, in_tenths=True)
DIRT = (
    Dirt("", "blank"),
    Dirt("99", "dont_know"),
    Dirt("weet niet", "dont_know"),
    *(Dirt(token, "quarantined") for token in ("0", "11", "12")),
)
DIRT_RATES = {"": 0.025, "99": 0.01, "weet niet": 0.008, "0": 0.0005, "11": 0.011, "12": 0.008}


def write(to: Path, ratings: int, seed: int, wanted: Sequence[targets.Target], ledger: ledgers.Ledger) -> None:
    """Write the workbook, and book what it holds."""
    rng = np.random.default_rng([seed, 2])
    forms = max(AT_LEAST, round(ratings / RATINGS_PER_EMPLOYEE))
    codes = [row.organisation_code for row in organisations()]
    housing = in_sectors(("housing_associations",))
    weight = np.sqrt(shares())
    weight = np.where(housing, weight * HOUSING_SHARE / weight[housing].sum(), weight)
    weight[~housing] *= (1 - HOUSING_SHARE) / weight[~housing].sum()
    # every organisation takes part; the larger ones more often
    organisation = np.concatenate([np.arange(len(codes)), rng.choice(len(codes), forms - len(codes), p=weight)]).astype(
        np.uint8
    )
    rng.shuffle(organisation)
    day = np.sort(rng.integers(0, (LAST_DAY - FIRST_DAY).days + 1, forms))
    date = np.datetime64(FIRST_DAY) + day
    month = date.astype("datetime64[M]").astype(np.int64) % 12
    respondent = np.arange(1, forms + 1)
    back = np.flatnonzero(rng.random(forms) < RETURNS)
    back = back[back > 0]
    respondent[back] = (rng.random(back.size) * back).astype(np.int64) + 1
    organisation[back] = organisation[respondent[back] - 1]
    test = np.zeros(forms, dtype=np.bool_)
    test[rng.choice(forms, round(TESTS * forms), replace=False)] = True
    # the two questions, one after the other in one column of answers
    both = np.concatenate([~test, ~test])
    answer = np.full(2 * forms, 10, dtype=np.uint8)  # test forms give the lowest grade
    answer[both] = answers.draw_dirt(rng, int(both.sum()), DIRT, DIRT_RATES)
    mood = grades.skewed_noise(rng, forms)
    asked = targets.Asked(
        np.concatenate([organisation, organisation]),
        np.zeros(2 * forms, dtype=np.uint8),
        np.concatenate([month, month]).astype(np.uint8) // np.uint8(3) + np.uint8(1),
        np.concatenate([mood, mood]),
    )
    valid = both & (answer < answers.FIRST_DIRT)
    targets.answer(rng, wanted, MEASURE, SCALE, ("not_applicable",), asked, answer, valid)

    accepted = np.flatnonzero(~test)
    corrected = rng.choice(accepted, round(CORRECTIONS * forms), replace=False)
    cells = ledgers.book_cells(
        ledger,
        ledgers.Booking(SOURCE, DELIVERY, "employee", MEASURE, MONTHS, codes, ("not_applicable",)),
        np.concatenate([month, month])[both],
        asked.organisation[both],
        0,
        answers.to_reason(DIRT)[answer[both]],
    )
    rows = (accepted.size, int(test.sum()), 0, corrected.size)
    ledgers.book_receipt(ledger, SOURCE, DELIVERY, rows, cells)
    who = np.concatenate([respondent, respondent])[valid]
    ledgers.book_respondents(ledger, SOURCE, MEASURE, who)

    # the version that counts comes last: a replaced one keeps its place, the correction is added below
    replaced = np.zeros(forms, dtype=np.bool_)
    replaced[corrected] = True
    named = rng.random(forms) < NAMED
    order = np.concatenate([np.arange(forms), np.sort(corrected)])
    folder = to / SOURCE
    folder.mkdir(parents=True, exist_ok=True)
    book = xlsxwriter.Workbook(str(folder / DELIVERY), {"constant_memory": True})
    book.set_properties({"created": CREATED})
    sheet = book.add_worksheet(SHEET)
    as_date = book.add_format({"num_format": "dd-mm-yyyy"})
    for column, heading in enumerate(HEADINGS):
        sheet.write_string(0, column, heading)
    for row, form in enumerate(order.tolist(), start=1):
        sheet.write_string(row, 0, f"M11-{form + 1:06d}")
        sheet.write_string(row, 1, f"E{respondent[form]:06d}")
        sheet.write_string(row, 2, codes[organisation[form]])
        sheet.write_datetime(row, 3, dt.datetime.combine(date[form].item(), dt.time()), as_date)
        for question in range(2):
            code = int(answer[question * forms + form])
            if row <= forms and replaced[form]:
                code = 20  # what the correction takes back
            _write_answer(sheet, row, 4 + question, code)
        sheet.write_string(row, 6, "test" if test[form] else "compleet")
        if named[form]:
            number = int(respondent[form]) + 300
            personal = (people.name(number), people.mail(number, MAIL_DOMAIN))
            ledger.personal.update(personal)
            sheet.write_string(row, 7, personal[0])
            sheet.write_string(row, 8, personal[1])
    book.close()


def _write_answer(sheet: xlsxwriter.worksheet.Worksheet, row: int, column: int, code: int) -> None:
    """Write one answer: a number cell, a text cell where there is no number, nothing for a blank."""
    if code < answers.FIRST_DIRT:
        sheet.write_number(row, column, code / 10)
        return
    token = DIRT[code - answers.FIRST_DIRT].token
    if token.isdigit():
        sheet.write_number(row, column, int(token))
    elif token:
        sheet.write_string(row, column, token)
