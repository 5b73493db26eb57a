"""Forms: the rows of a small sample, each with what the export writes and what it truly is.

A form is drawn first and spoilt afterwards; its fate is settled here and not found out by any rule. Belongs
here: drawing answers and dirt in exact amounts, further versions of forms, and booking them all. Not here:
how an export looks, or what a monitor comes out at.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import REASONS, Dirt

ACCEPTED, EXCLUDED, REFUSED, SUPERSEDED = FATES = ("accepted", "excluded", "refused", "superseded")

Truth = int | str  # a value in the smallest steps of its measure, or one of REASONS


@dataclass(frozen=True)
class Form:
    """One row of an export. `written` is by column; `truth` and `channels` are by measure."""

    number: int
    respondent: int
    moment: dt.datetime
    delivery: str
    kind: str = ""
    fate: str = ACCEPTED
    organisation: str = ""
    written: dict[str, str] = field(default_factory=dict)
    truth: dict[str, Truth] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)


Draw = Callable[[list[Form]], Iterable[tuple[str, int]]]  # per form the text of its answer, and its value


def moments(rng: np.random.Generator, count: int, first: dt.date, last: dt.date) -> list[dt.datetime]:
    """Times of day between these two days, in order."""
    day = rng.integers(0, (last - first).days + 1, count)
    second = rng.integers(7 * 3600, 22 * 3600, count)
    found = sorted(zip(day.tolist(), second.tolist(), strict=True))
    start = dt.datetime.combine(first, dt.time())
    return [start + dt.timedelta(days=days, seconds=seconds) for days, seconds in found]


def exactly(rng: np.random.Generator, count: int, share: float) -> list[bool]:
    """This share of `count`, to the nearest whole, at random places."""
    chosen = np.arange(count) < round(share * count)
    rng.shuffle(chosen)
    return [bool(one) for one in chosen]


def ask(
    rng: np.random.Generator,
    forms: Sequence[Form],
    column: str,
    measure: str,
    dirt: Mapping[Dirt, float],
    draw: Draw,
) -> None:
    """Answer a question: dirt in exactly these rates at random places, and drawn answers elsewhere."""
    spoilt: list[Dirt | None] = [one for one, rate in dirt.items() for _ in range(round(rate * len(forms)))]
    spoilt += [None] * (len(forms) - len(spoilt))
    places = rng.permutation(len(forms)).tolist()
    valid = []
    for form, place in zip(forms, places, strict=True):
        one = spoilt[place]
        if one is None:
            valid.append(form)
        else:
            form.written[column], form.truth[measure] = one
    for form, answer in zip(valid, draw(valid), strict=True):
        form.written[column], form.truth[measure] = answer


def share(rng: np.random.Generator, wanted: float, yes: Sequence[str], no: Sequence[str]) -> Draw:
    """Answers of which exactly the wanted share, in percent, is an event: one of the texts `yes`."""

    def draw(forms: list[Form]) -> Iterable[tuple[str, int]]:
        for event in exactly(rng, len(forms), wanted / 100):
            texts = yes if event else no
            yield texts[int(rng.integers(len(texts)))], int(event)

    return draw


def versions(
    rng: np.random.Generator,
    forms: Sequence[Form],
    count: int,
    fate: str,
    written: Mapping[str, str],
    where: Callable[[Form], bool] = lambda form: form.fate == ACCEPTED,
) -> list[tuple[Form, Form]]:
    """`count` forms taken at random, each with a further version of it that has this fate and says this."""
    found = [form for form in forms if where(form)]
    chosen = sorted(rng.choice(len(found), count, replace=False).tolist())
    return [
        (found[one], replace(found[one], fate=fate, written={**found[one].written, **written}, truth={}))
        for one in chosen
    ]


def book(ledger: ledgers.Ledger, source: str, audience: str, forms: Sequence[Form]) -> None:
    """Book all forms of a source, whatever became of them."""
    lines: Counter[str] = Counter()
    answered: dict[str, list[int]] = {}
    for delivery, group in groupby(sorted(forms, key=lambda form: form.delivery), lambda form: form.delivery):
        rows: Counter[str] = Counter()
        cells: Counter[str] = Counter()
        for form in group:
            rows[form.fate] += 1
            if form.fate != ACCEPTED:
                continue
            for measure, truth in form.truth.items():
                value, reason = (truth, "") if isinstance(truth, int) else ("", truth)
                channel = form.channels.get(measure, "not_applicable")
                lines[
                    f"{source},{delivery},{form.moment:%Y-%m},{form.organisation},{audience},{channel},"
                    f"{measure},{value},{reason}"
                ] += 1
                cells[reason] += 1
                if not reason:
                    answered.setdefault(measure, []).append(form.respondent)
        counts = np.array([cells[reason] for reason in ("", *REASONS)])
        ledgers.book_receipt(
            ledger,
            source,
            delivery,
            (rows[ACCEPTED], rows[EXCLUDED], rows[REFUSED], rows[SUPERSEDED]),
            counts,
        )
    ledger.cells += [f"{line},{n}" for line, n in lines.items()]
    for measure, respondents in answered.items():
        ledgers.book_respondents(ledger, source, measure, np.array(respondents))
