"""Rackspace IT Industry Service Report 2012, invented: four surveys, each an expanded SurveyMonkey CSV.

Belongs here: what they must come out at, the questions, how the answers are spoilt, and how the files read.
Each survey has a base of its own; the person is the sampling unit in all of them.

    python -m pipelines.samples.rackspace TO [SEED]
"""

from __future__ import annotations

import csv
import datetime as dt
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.samples import forms, grades, people
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Dirt
from pipelines.samples.forms import EXCLUDED, SUPERSEDED, Form

METADATA = (
    "Respondent ID",
    "Collector ID",
    "Start Date",
    "End Date",
    "IP Address",
    "Email Address",
    "First Name",
    "Last Name",
    "Custom Data 1",
)
COLLECTORS, TEST_COLLECTOR = ("31480211", "31480397"), "31479902"
MAIL_DOMAIN = "it-voorbeeld.invalid"
FIRST_DAY, LAST_DAY = dt.date(2012, 6, 4), dt.date(2012, 10, 26)
TESTS, CORRECTIONS, NAMED, REMARKED, REMARK = 0.03, 0.03, 0.25, 0.04, "remark"
REMARKS = (
    "They never call back.",
    'The account manager said "tomorrow", five times.',
    "None",
    "Slow, expensive; and then\nno answer at all.",
    "Ask {name} about it, he is on {phone}.",
    "We pay £400 a month for this…",
)

# measure: what it comes out at (percent, or the mean)
TARGETS = {
    "hours_lost_per_year": 222.7,
    "loses_six_hours_a_week_or_more": 93.4,
    "service_became_much_more_important": 48.0,
    "service_long_a_high_priority": 27.0,
    "replaced_it_supplier_over_service_12m": 69.0,
    "complaint_slow_response": 32.0,
    "complaint_poor_communication": 32.0,
    "satisfaction": 7.2,
}
MUCH, LONG = "Became much more important", "Has long been a high priority"
OTHER_CHOICES = ("Became a little more important", "Did not change", "Became less important")
COMPLAINTS = {  # choice: its share of those who answered; None: follows from the others
    "Slow response": TARGETS["complaint_slow_response"],
    "Poor communication": TARGETS["complaint_poor_communication"],
    "Takes too long to resolve": 24.0,
    "Lack of expertise": 18.0,
    "Hidden costs": 15.0,
    "None of these": None,
}

BLANK, UNKNOWN = Dirt("", "blank"), Dirt("Don't know", "dont_know")
RATHER_NOT = Dirt("Prefer not to say", "refused")
HOURS_DIRT = {
    BLANK: 0.04,
    Dirt("dont know", "dont_know"): 0.02,
    Dirt("don't know", "dont_know"): 0.015,
    Dirt("prefer not to say", "refused"): 0.01,
    Dirt("99999", "quarantined"): 0.01,
    Dirt("2500", "quarantined"): 0.005,
    Dirt("-5", "quarantined"): 0.002,
    Dirt("12.5", "quarantined"): 0.012,
    Dirt("about 900", "quarantined"): 0.008,
    Dirt("too many", "quarantined"): 0.012,
}
GRADE_DIRT = {
    BLANK: 0.04,
    Dirt("don't know", "dont_know"): 0.03,
    Dirt("prefer not to say", "refused"): 0.015,
    Dirt("11", "quarantined"): 0.02,
    Dirt("75", "quarantined"): 0.006,
    Dirt("0", "quarantined"): 0.001,
    Dirt("1.25", "quarantined"): 0.012,
    Dirt("7,5", "quarantined"): 0.01,
    Dirt("seven", "quarantined"): 0.012,
}
CHOICE_DIRT = {BLANK: 0.05, UNKNOWN: 0.04, RATHER_NOT: 0.025}
# the text of a choice that was reworded while the survey ran
STAFF_DIRT = {**CHOICE_DIRT, Dirt("It depends", "quarantined"): 0.02}
CHANGE_DIRT = {**CHOICE_DIRT, Dirt("Became more important", "quarantined"): 0.025}
REPLACED_DIRT = {**CHOICE_DIRT, BLANK: 0.08, Dirt("Within two years", "quarantined"): 0.025}
UNTICKED = {BLANK: 0.10}


class Question(NamedTuple):
    """A question: its text in the first heading row, and its columns with their texts in the second."""

    text: str
    columns: Mapping[str, str]


class Survey(NamedTuple):
    """One survey: its questions, how they are answered, and what its test rows and replaced rows say."""

    source: str
    audience: str
    delivery: str
    rows: int
    questions: tuple[Question, ...]
    answer: Callable[[np.random.Generator, list[Form]], None]
    tests: Mapping[str, str]
    replaced: Mapping[str, str]
    was: Callable[[Form], bool]  # which forms replaced such a row


ANYTHING_ELSE = Question("Is there anything else you would like to add?", {REMARK: "Open-Ended Response"})


def _hours(rng: np.random.Generator, sample: list[Form]) -> None:
    def draw(valid: list[Form]) -> Iterable[tuple[str, int]]:
        """Whole hours, mostly rounded by the respondent, that add up to the wanted mean."""
        hours = rng.lognormal(np.log(165.0), 0.75, len(valid))
        hours *= TARGETS["hours_lost_per_year"] / hours.mean()
        rounded = rng.random(len(valid)) < 0.6
        whole = np.clip(np.where(rounded, np.rint(hours / 10) * 10, np.rint(hours)), 0, 2000).astype(np.int64)
        short = round(TARGETS["hours_lost_per_year"] * len(valid)) - int(whole.sum())
        room = np.flatnonzero((whole >= 100) & (whole <= 1000) & ~rounded)
        each, rest = divmod(abs(short), room.size)
        step = np.full(room.size, each)
        step[:rest] += 1
        whole[room] += np.sign(short) * step
        return [(str(one), one) for one in whole.tolist()]

    forms.ask(rng, sample, "hours", "hours_lost_per_year", HOURS_DIRT, draw)


def _six_hours(rng: np.random.Generator, sample: list[Form]) -> None:
    measure = "loses_six_hours_a_week_or_more"
    forms.ask(rng, sample, "six", measure, STAFF_DIRT, forms.share(rng, TARGETS[measure], ("Yes",), ("No",)))


def _respondents(rng: np.random.Generator, sample: list[Form]) -> None:
    much, long = "service_became_much_more_important", "service_long_a_high_priority"

    def change(valid: list[Form]) -> Iterable[tuple[str, int]]:
        """One choice of several; the first choice is what the first measure counts."""
        counts = [round(TARGETS[measure] / 100 * len(valid)) for measure in (much, long)]
        texts = [MUCH] * counts[0] + [LONG] * counts[1]
        texts += [OTHER_CHOICES[int(rng.integers(3))] for _ in range(len(valid) - len(texts))]
        return [(texts[one], int(texts[one] == MUCH)) for one in rng.permutation(len(valid)).tolist()]

    forms.ask(rng, sample, "change", much, CHANGE_DIRT, change)
    for form in sample:  # the second measure counts another choice of the same question
        first = form.truth[much]
        form.truth[long] = int(form.written["change"] == LONG) if isinstance(first, int) else first

    measure = "replaced_it_supplier_over_service_12m"
    forms.ask(rng, sample, "replaced", measure, REPLACED_DIRT, forms.share(rng, TARGETS[measure], ("Yes",), ("No",)))

    measures = {"Slow response": "complaint_slow_response", "Poor communication": "complaint_poor_communication"}

    def ticked(valid: list[Form]) -> Iterable[tuple[str, int]]:
        """Any number of choices, each in a column of its own, or the choice that says none."""
        ticks = {
            choice: forms.exactly(rng, len(valid), share / 100)
            for choice, share in COMPLAINTS.items()
            if share is not None
        }
        for place, form in enumerate(valid):
            chosen = [choice for choice, column in ticks.items() if column[place]] or ["None of these"]
            form.written.update({choice: choice for choice in chosen})
            form.truth.update({one: int(choice in chosen) for choice, one in measures.items()})
            yield form.written["Slow response"], int("Slow response" in chosen)

    for form in sample:
        form.written.update(dict.fromkeys(COMPLAINTS, ""))
    forms.ask(rng, sample, "Slow response", "complaint_slow_response", UNTICKED, ticked)
    for form in sample:
        form.truth.setdefault("complaint_poor_communication", form.truth["complaint_slow_response"])


def _grade(rng: np.random.Generator, sample: list[Form]) -> None:
    def draw(valid: list[Form]) -> Iterable[tuple[str, int]]:
        latent = grades.skewed_noise(rng, len(valid)) * np.float32(1.4)
        half = rng.random(len(valid)) < 0.12
        fitted = grades.fit_mean(rng, latent, half, TARGETS["satisfaction"] * 10 * len(valid), 1, 10)
        return [(f"{one / 10:g}", one) for one in fitted.tolist()]

    forms.ask(rng, sample, "grade", "satisfaction", GRADE_DIRT, draw)


def _graded_low(form: Form) -> bool:
    grade = form.truth["satisfaction"]
    return isinstance(grade, int) and grade <= 60


def _few_hours(form: Form) -> bool:
    hours = form.truth["hours_lost_per_year"]
    return isinstance(hours, int) and hours <= 200


SURVEYS = (
    Survey(
        "rackspace_employees",
        "employee",
        "rackspace_employees_2012.csv",
        1_200,
        (
            Question(
                "How many hours a year do you lose to poor service of suppliers? Please give a whole number.",
                {"hours": "Open-Ended Response"},
            ),
            ANYTHING_ELSE,
        ),
        _hours,
        tests={"hours": "1999"},
        replaced={"hours": "1800"},
        was=_few_hours,
    ),
    Survey(
        "rackspace_it_staff",
        "it_staff",
        "rackspace_it_staff_2012.csv",
        1_100,
        (
            Question("Do you lose six hours a week or more to poor service?", {"six": "Response"}),
            ANYTHING_ELSE,
        ),
        _six_hours,
        tests={"six": "No"},
        replaced={"six": "No"},
        was=lambda form: form.written["six"] == "Yes",
    ),
    Survey(
        "rackspace_it_respondents",
        "it_respondent",
        "rackspace_it_respondents_2012.csv",
        1_400,
        (
            Question("How has service changed in importance to you as a buyer of IT?", {"change": "Response"}),
            Question(
                "In the last 12 months, have you replaced an IT supplier because of its service?",
                {"replaced": "Response"},
            ),
            Question(
                "Which complaints do you have about IT suppliers? Please tick all that apply.",
                {choice: choice for choice in COMPLAINTS},
            ),
            ANYTHING_ELSE,
        ),
        _respondents,
        tests={"change": "Became less important", "replaced": "No", **dict.fromkeys(COMPLAINTS, "")}
        | {choice: choice for choice in ("Slow response", "Poor communication")},
        replaced={"change": LONG, "replaced": "No", **dict.fromkeys(COMPLAINTS, "")}
        | {"None of these": "None of these"},
        was=lambda form: form.written["change"] == MUCH and form.written["replaced"] == "Yes",
    ),
    Survey(
        "rackspace_it_decision_makers",
        "it_decision_maker",
        "rackspace_it_decision_makers_2012.csv",
        900,
        (
            Question(
                "Which grade from 1 to 10 do you give the service of your IT suppliers? (7.5 is allowed)",
                {"grade": "Open-Ended Response"},
            ),
            ANYTHING_ELSE,
        ),
        _grade,
        tests={"grade": "10"},
        replaced={"grade": "10"},
        was=_graded_low,
    ),
)


def write(to: Path, seed: int = 2011) -> None:
    """Write the four exports under `to`, and add what they truly hold to the ledger in `to`/.ledger."""
    ledger = ledgers.Ledger()
    write_sources(to, seed, ledger)
    ledgers.add(ledger, to / ".ledger")


def write_sources(to: Path, seed: int, ledger: ledgers.Ledger) -> None:
    """Write the four exports, and book what they hold."""
    for place, survey in enumerate(SURVEYS):
        rng = np.random.default_rng([seed, 5, place])
        sample = [
            Form(number, number, moment, survey.delivery, kind=COLLECTORS[int(rng.integers(2))])
            for number, moment in enumerate(forms.moments(rng, survey.rows, FIRST_DAY, LAST_DAY), start=1)
        ]
        survey.answer(rng, sample)
        rows = _spoil(rng, survey, sample)
        forms.book(ledger, survey.source, survey.audience, rows)
        (to / survey.source).mkdir(parents=True, exist_ok=True)
        _write_delivery(rng, to / survey.source / survey.delivery, survey, rows, ledger.personal)


def _spoil(rng: np.random.Generator, survey: Survey, sample: list[Form]) -> list[Form]:
    """The responses in the order of the file, with rows among them that do not count."""
    tests = [
        replace(one, number=one.number + len(sample), respondent=one.number + len(sample), kind=TEST_COLLECTOR)
        for _, one in forms.versions(rng, sample, round(TESTS * len(sample)), EXCLUDED, survey.tests)
    ]
    # a question about contact details can split a respondent over rows: the last row is the whole response
    changed = forms.versions(rng, sample, round(CORRECTIONS * len(sample)), SUPERSEDED, survey.replaced, survey.was)
    split = {accepted.number: earlier for accepted, earlier in changed}
    rows: list[Form] = []
    for form in sorted(sample + tests, key=lambda form: (form.moment, form.number)):
        if form.number in split:
            rows.append(split[form.number])
        rows.append(form)
    return rows


def _write_delivery(
    rng: np.random.Generator, path: Path, survey: Survey, rows: Sequence[Form], personal: set[str]
) -> None:
    """Write the rows as an expanded export: the text of a question stands above its first column only."""
    top, below = list(METADATA), [""] * len(METADATA)
    for question in survey.questions:
        top += [question.text] + [""] * (len(question.columns) - 1)
        below += question.columns.values()
    with path.open("w", encoding="utf-8", newline="") as file:
        export = csv.writer(file, lineterminator="\r\n")
        export.writerow(top)
        export.writerow(below)
        for form in rows:
            started = form.moment - dt.timedelta(minutes=int(rng.integers(2, 15)))
            who = form.number + 40_000
            first, last = people.first_and_last(who) if rng.random() < NAMED else ("", "")
            private = [people.address(who), first and people.mail(who, MAIL_DOMAIN), first, last, f"PANEL-{who:06d}"]
            remark = ""
            if rng.random() < REMARKED:
                remark, named = people.free_text(REMARKS[int(rng.integers(len(REMARKS)))], who)
                personal.update(named)
            personal.update(one for one in private if one)
            metadata = [str(2_041_000_000 + form.number * 37), form.kind, _us(started), _us(form.moment), *private]
            written = {**form.written, REMARK: remark}
            export.writerow(
                metadata + [written[column] for question in survey.questions for column in question.columns]
            )


def _us(moment: dt.datetime) -> str:
    return f"{moment.month}/{moment.day}/{moment.year} {moment.hour}:{moment.minute:02d}"


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
