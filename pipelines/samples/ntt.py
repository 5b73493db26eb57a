"""NTT Global CX Benchmark 2021, invented: three surveys, each two Qualtrics exports as numeric codes.

Belongs here: what they must come out at, the questions, and how the answers are spoilt. Not here: the shape
of an export (qualtrics). The person is the sampling unit in all three.

    python -m pipelines.samples.ntt TO [SEED]
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.samples import forms, people, qualtrics
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Dirt
from pipelines.samples.forms import EXCLUDED, SUPERSEDED, Form
from pipelines.samples.qualtrics import Column, Person

# measure: what it comes out at, in percent of those who answered
TARGETS = {
    "found_new_suppliers": 33.6,
    "prefers_companies_strong_online": 31.2,
    "home_working_still_a_challenge": 51.0,
    "equipped_with_right_tools": 50.0,
}

DELIVERIES = ("{source}_2021-06.csv", "{source}_2021-11.csv")
FIELDWORK = (
    (dt.date(2021, 3, 8), dt.date(2021, 6, 20)),
    (dt.date(2021, 7, 5), dt.date(2021, 11, 19)),
)
FIRST_PART = 0.55  # of the responses stand in the first delivery
MAIL_DOMAIN = "cx-voorbeeld.invalid"
LANGUAGES = ("EN", "DE", "FR", "ES-ES", "JA")

# kinds of row: what Status and Finished say
NORMAL, IMPORTED, OFFLINE = "0", "4", "16"  # these count, if finished
PREVIEW, TEST, SPAM = "1", "2", "8"
PARTIAL = "partial"
PREVIEWS, TESTS, SPAMS, PARTIALS = 0.015, 0.015, 0.015, 0.04
RESUMED = 0.03  # partial in the first delivery, finished in the second
EDITED = 0.025  # finished in the first delivery, and again in the second
OTHER_WAYS = 0.02  # imported, and as many offline
INVITED, REMARKED, REMARK = 0.15, 0.05, "remark"
REMARKS = (
    "Waiting times, mostly.",
    'They keep saying "your call is important to us", but nobody answers.',
    "NA",
    "First line of the answer,\nsecond line; third: “quoted”, with a comma.",
    "Frag {name}, bitte – {phone}.",
    "Très déçu…\n\n(Call me: {phone})",
)

# empty: not shown; -99: shown, and left unanswered; 3 and 7: codes that no choice of the question has
YES_NO = {"1": 1, "2": 0}
YES_NO_DIRT = {
    Dirt("", "blank"): 0.03,
    Dirt("-99", "refused"): 0.03,
    Dirt("9", "dont_know"): 0.04,
    Dirt("3", "quarantined"): 0.02,
}
AGREEMENT = {"1": 0, "2": 0, "3": 0, "4": 1, "5": 1}
AGREEMENT_DIRT = {
    Dirt("", "blank"): 0.03,
    Dirt("-99", "refused"): 0.03,
    Dirt("9", "dont_know"): 0.04,
    Dirt("7", "quarantined"): 0.03,
}


class Question(NamedTuple):
    """A question: its headings, and what its codes mean."""

    column: Column
    measure: str
    values: Mapping[str, int]  # code: whether it is the event
    dirt: Mapping[Dirt, float]


class Survey(NamedTuple):
    """One survey; `rest` are columns that no measure uses."""

    source: str
    audience: str
    rows: int
    questions: tuple[Question, ...]
    rest: tuple[Column, ...]


ANYTHING_ELSE = (
    Column("Q20", "Is there anything else that you would like to tell us?\n\nPlease name nobody.", "QID20_TEXT"),
    Column("Q20 - Topics", "Is there anything else that you would like to tell us? - Topics", "QID20_TEXT_7f3cTopics"),
)
SURVEYS = (
    Survey(
        "ntt_end_customers",
        "end_customer",
        2_414,  # less the dirt: 2,125, of which 33.6 and 31.2 percent are whole numbers
        (
            Question(
                Column(
                    "Q12",
                    "Thinking of the past year, did you <strong>find new suppliers</strong>?\n\n"
                    "Count only those from whom you have bought, online or not.",
                    "QID12",
                ),
                "found_new_suppliers",
                YES_NO,
                YES_NO_DIRT,
            ),
            Question(
                Column("Q13", "Do you prefer companies that are strong online,\nrather than others?", "QID13"),
                "prefers_companies_strong_online",
                YES_NO,
                YES_NO_DIRT,
            ),
        ),
        # the same visible name as the question above: only the id tells them apart
        (Column("Q13", "And was that so before\u00a02020?", "QID31"), *ANYTHING_ELSE),
    ),
    Survey(
        "ntt_employees",
        "employee",
        900,
        (
            Question(
                Column("Q7", "Is working from home still a challenge to you?\n(1 = yes, 2 = no)", "QID7"),
                "home_working_still_a_challenge",
                YES_NO,
                YES_NO_DIRT,
            ),
        ),
        ANYTHING_ELSE,
    ),
    Survey(
        "ntt_cx_employees",
        "cx_employee",
        700,
        (
            Question(
                Column(
                    "Q9",
                    "How far do you agree: “I am equipped with the right tools”?\n"
                    "1 = strongly disagree, 5 = strongly agree",
                    "QID9",
                ),
                "equipped_with_right_tools",
                AGREEMENT,
                AGREEMENT_DIRT,
            ),
        ),
        (Column("Q9_t_Page Submit", "Timing - Page Submit", "QID10_PAGE_SUBMIT"), *ANYTHING_ELSE),
    ),
)


def write(to: Path, seed: int = 2011) -> None:
    """Write the three sources under `to`, and add what they truly hold to the ledger in `to`/.ledger."""
    ledger = ledgers.Ledger()
    write_sources(to, seed, ledger)
    ledgers.add(ledger, to / ".ledger")


def write_sources(to: Path, seed: int, ledger: ledgers.Ledger) -> None:
    """Write the exports of the three sources, and book what they hold."""
    for place, survey in enumerate(SURVEYS):
        rng = np.random.default_rng([seed, 6, place])
        rows = _responses(rng, survey)
        forms.book(ledger, survey.source, survey.audience, rows)
        (to / survey.source).mkdir(parents=True, exist_ok=True)
        for delivery in DELIVERIES:
            name = delivery.format(source=survey.source)
            own = [form for form in rows if form.delivery == name]
            _write_delivery(rng, [seed, 6, place], to / survey.source / name, survey, own, ledger.personal)


def _responses(rng: np.random.Generator, survey: Survey) -> list[Form]:
    """All rows of both deliveries, in the order in which they were recorded."""
    first = round(FIRST_PART * survey.rows)
    sizes = (first, survey.rows - first)
    early, late = (name.format(source=survey.source) for name in DELIVERIES)
    when = [
        (moment, name)
        for name, size, days in zip((early, late), sizes, FIELDWORK, strict=True)
        for moment in forms.moments(rng, size, *days)
    ]
    sample = [Form(number, number, moment, name, kind=NORMAL) for number, (moment, name) in enumerate(when, start=1)]
    for question in survey.questions:
        yes = [code for code, event in question.values.items() if event]
        no = [code for code, event in question.values.items() if not event]
        draw = forms.share(rng, TARGETS[question.measure], yes, no)
        forms.ask(rng, sample, question.column.import_id, question.measure, question.dirt, draw)

    def saying(event: bool) -> dict[str, str]:
        """A row that answers all questions alike."""
        return {
            question.column.import_id: [c for c, e in question.values.items() if e == event][-1]
            for question in survey.questions
        }

    def said(event: int, delivery: str) -> list[Form]:
        """Forms that answer the first question so."""
        measure = survey.questions[0].measure
        return [form for form in sample if form.truth[measure] == event and form.delivery == delivery]

    def amount(share: float) -> int:
        return round(share * survey.rows)

    # those who came in by another way all say yes: without them the figure is another one
    ways = [form for form in said(1, late) if form.truth[survey.questions[-1].measure] in (0, 1)]
    for place, one in enumerate(rng.choice(len(ways), 2 * amount(OTHER_WAYS), replace=False).tolist()):
        sample[ways[one].number - 1] = replace(ways[one], kind=(IMPORTED, OFFLINE)[place % 2])

    number = len(sample)
    extra: list[Form] = []
    for share, kind, event in (
        (PREVIEWS, PREVIEW, False),
        (TESTS, TEST, True),
        (SPAMS, SPAM, True),
        (PARTIALS, PARTIAL, False),
    ):
        for _, one in forms.versions(rng, sample, amount(share), EXCLUDED, saying(event)):
            number += 1
            extra.append(replace(one, number=number, respondent=number, kind=kind))

    # finished or edited in the second delivery, which counts; begun or first finished in the first delivery
    free = [form for form in said(1, late) if form.kind == NORMAL]
    begun, edited = amount(RESUMED), amount(EDITED)
    for place, one in enumerate(rng.choice(len(free), begun + edited, replace=False).tolist()):
        form = free[one]
        earlier = forms.moments(rng, 1, *FIELDWORK[0])[0]
        kind, fate = (PARTIAL, EXCLUDED) if place < begun else (NORMAL, SUPERSEDED)
        was = form.written | saying(False)
        extra.append(replace(form, moment=earlier, delivery=early, kind=kind, fate=fate, written=was, truth={}))
    return sorted(sample + extra, key=lambda form: (form.moment, form.number))


def _write_delivery(
    rng: np.random.Generator,
    seed: Sequence[int],
    path: Path,
    survey: Survey,
    rows: Sequence[Form],
    personal: set[str],
) -> None:
    """Write the rows as the tool exports them."""
    lines = []
    for form in rows:
        who = form.number + 70_000
        person = Person.invited(rng, who, MAIL_DOMAIN) if form.number % 100 < 100 * INVITED else Person.linked(who)
        personal.update(one for one in person if one)
        remark = ""
        if rng.random() < REMARKED:
            remark, named = people.free_text(REMARKS[int(rng.integers(len(REMARKS)))], who)
            personal.update(named)
        finished = "0" if form.kind == PARTIAL else "1"
        status = NORMAL if form.kind == PARTIAL else form.kind
        seconds = int(rng.integers(90, 1_500))
        response, language = qualtrics.response_id(*seed, form.number), LANGUAGES[form.number % 5]
        rest = {
            "QID31": str(1 + int(rng.integers(3))),
            "QID10_PAGE_SUBMIT": f"{rng.random() * 60:.3f}",
            "QID20_TEXT": remark,
            "QID20_TEXT_7f3cTopics": "Unknown" if remark else "",
        }
        lines.append(
            qualtrics.metadata(form.moment, seconds, status, finished, response, person, language)
            + [form.written[question.column.import_id] for question in survey.questions]
            + [rest[column.import_id] for column in survey.rest]
        )
    qualtrics.write(path, [*(question.column for question in survey.questions), *survey.rest], lines)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
