"""The social messages of the invented Klantcontact Monitor 2011: one export as JSON lines.

Belongs here: the messages, how they are spoilt, and how the export reads. Not here: what they come out at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.samples import answers, grades, people, targets
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Dirt
from pipelines.samples.organisations import organisations, shares

SOURCE = "klantcontact_social"
DELIVERY = "klantcontact_berichten_2011.jsonl.gz"
MEASURE = "social_sentiment"
MONTHS = tuple(f"2011-{month:02d}" for month in range(1, 13))

RATINGS_PER_MESSAGE, AT_LEAST = 20, 400
TESTS, CORRECTIONS, RETURNS = 0.05, 0.05, 0.10
SCALE = targets.Scale(1, 3, 1.0, 0.25, 0.0, in_tenths=False)
DIRT = (
    Dirt("null", "blank"),
    Dirt('"onbekend"', "dont_know"),
    *(Dirt(token, "quarantined") for token in ("0", "4", "9")),
)
DIRT_RATES = {"null": 0.02, '"onbekend"': 0.03, "0": 0.0005, "4": 0.002, "9": 0.0115}

YEAR_START = np.datetime64("2011-01-01T00:00:00")
SUMMER = (np.datetime64("2011-03-27T02:00:00"), np.datetime64("2011-10-30T03:00:00"))  # local time
# just after midnight in Amsterdam it is still 2010 in UTC
FIRST_MOMENTS = (750, 2465)


def _moments(rng: np.random.Generator, count: int) -> npt.NDArray[np.datetime64]:
    """Local times in 2011, in order; none in the hour that the clock skips in March."""
    second = np.sort(rng.integers(3600, 365 * 86_400, count))
    second[: len(FIRST_MOMENTS)] = FIRST_MOMENTS
    moment = YEAR_START + second.astype("timedelta64[s]")
    skipped = (moment >= SUMMER[0]) & (moment < SUMMER[0] + np.timedelta64(1, "h"))
    return np.asarray(np.where(skipped, moment + np.timedelta64(1, "h"), moment))


def write(to: Path, ratings: int, seed: int, wanted: Sequence[targets.Target], ledger: ledgers.Ledger) -> None:
    """Write the messages, and book what they hold."""
    rng = np.random.default_rng([seed, 3])
    count = max(AT_LEAST, round(ratings / RATINGS_PER_MESSAGE))
    codes = [row.organisation_code for row in organisations()]
    organisation = rng.choice(len(codes), count, p=shares()).astype(np.uint8)
    moment = _moments(rng, count)
    month = moment.astype("datetime64[M]").astype(np.int64) % 12
    author = np.arange(1, count + 1)
    back = np.flatnonzero(rng.random(count) < RETURNS)
    back = back[back > 0]
    author[back] = author[(rng.random(back.size) * back).astype(np.int64)]
    test = np.zeros(count, dtype=np.bool_)
    # the first messages count: they show whether a date is taken in local time
    test[rng.choice(np.arange(len(FIRST_MOMENTS), count), round(TESTS * count), replace=False)] = True
    sentiment = np.ones(count, dtype=np.uint8)  # test messages are all negative
    sentiment[~test] = answers.draw_dirt(rng, int((~test).sum()), DIRT, DIRT_RATES)
    valid = ~test & (sentiment < answers.FIRST_DIRT)
    asked = targets.Asked(
        organisation,
        np.zeros(count, dtype=np.uint8),
        month.astype(np.uint8) // np.uint8(3) + np.uint8(1),
        grades.skewed_noise(rng, count),
    )
    targets.answer(rng, wanted, MEASURE, SCALE, ("social",), asked, sentiment, valid)

    happy = np.flatnonzero(valid & (sentiment == 3))
    corrected = rng.choice(happy, round(CORRECTIONS * count), replace=False)
    accepted = ~test
    cells = ledgers.book_cells(
        ledger,
        ledgers.Booking(SOURCE, DELIVERY, "message_author", MEASURE, MONTHS, codes, ("social",)),
        month[accepted],
        organisation[accepted],
        0,
        answers.to_reason(DIRT)[sentiment[accepted]],
    )
    rows = (int(accepted.sum()), int(test.sum()), 0, corrected.size)
    ledgers.book_receipt(ledger, SOURCE, DELIVERY, rows, cells)
    ledgers.book_respondents(ledger, SOURCE, MEASURE, author[valid])

    replaced = np.zeros(count, dtype=np.bool_)
    replaced[corrected] = True
    tokens = [str(code) for code in range(answers.FIRST_DIRT)] + [one.token for one in DIRT]
    summer = (moment >= SUMMER[0]) & (moment < SUMMER[1])
    text = rng.integers(0, len(people.MESSAGES), count).tolist()
    (to / SOURCE).mkdir(parents=True, exist_ok=True)
    with ledgers.gzipped(to / SOURCE / DELIVERY) as file:
        for place, one in enumerate(np.concatenate([np.arange(count), np.sort(corrected)]).tolist()):
            number = int(author[one])
            handle = f"@kwetter_{number:06d}"
            written, named = people.free_text(people.MESSAGES[text[one]], number)
            ledger.personal.update([handle, *named])
            code = 1 if place < count and replaced[one] else int(sentiment[one])
            line = (
                f'{{"id": "B11-{one + 1:07d}", "placed_at": "{moment[one]}+0{2 if summer[one] else 1}:00", '
                f'"organisation": "{codes[organisation[one]]}", "author": "{handle}", '
                f'"sentiment": {tokens[code]}, "kind": "{"test" if test[one] else "bericht"}", '
                f'"text": {json.dumps(written, ensure_ascii=False)}}}\n'
            )
            file.write(line.encode())
