"""The customer survey of the invented Klantcontact Monitor 2011: four quarterly exports as CSV.

Belongs here: which responses there are, how they are spoilt, and how an export of them reads. Every figure
is held per response in arrays of a few bytes; text is made one part of one delivery at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.samples import answers, grades, people, targets
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Codes, Dirt, Flags
from pipelines.samples.organisations import GOVERNMENT, in_sectors, organisations, shares

SOURCE = "klantcontact_customers"
DELIVERY = "klantcontact_klanten_2011-Q{quarter}.csv.gz"
HEADINGS = (
    "Responsnummer;Klantnummer;Organisatie;Contactdatum;Kanaal;Cijfer contact;Aanbeveling (0-10);"
    "Cijfer klachtafhandeling;Geïnterviewd via;Status;Naam;E-mailadres;Postcode;Toelichting"
)
ENCODING = "cp1252"
MAIL_DOMAIN = "klant-voorbeeld.invalid"
IMPOSSIBLE_DATE = "31-02-2011"

CHANNELS = ("physical", "phone", "email", "web", "chat", "post", "not_applicable")
CHANNEL_TEXTS = ("Balie", "Telefoon", "E-mail", "Website", "Chat", "Post")
CHANNEL_SHARES = (0.22, 0.45, 0.15, 0.11, 0.04, 0.03)
PHYSICAL, PHONE, EMAIL = 0, 1, 2
NOT_APPLICABLE = 6
MODES = ("web", "telefoon", "papier")
QUARTER_SHARES = (0.2405, 0.2405, 0.2415, 0.2775)  # the first three: just above 72 %
TILTS = {"municipalities": 1.5, "retail": 1.6, "banks": 0.7, "telecom": 0.7}  # towards the counter

# kinds of row; the first is the only one that counts
COMPLETE, TEST, ABORTED, NO_DATE, NO_ID = range(5)
STATUS_TEXTS = ("compleet", "test", "afgebroken", "compleet", "compleet")
# places in a file: delivered again, in order, corrected further down, and stray at the end
AGAIN, NATURAL, CORRECTED, STRAY = range(4)

DIRT = (
    Dirt("", "blank"),
    Dirt("99", "dont_know"),
    Dirt("weet niet", "dont_know"),
    Dirt("wil niet zeggen", "refused"),
    Dirt("n.v.t.", "not_asked"),
    *(Dirt(token, "quarantined") for token in ("0", "11", "12", "-1", "7,25", "7,5", "zeven", "8-9", "x")),
)
BLANK, NOT_ASKED = answers.code_of(DIRT, ""), answers.code_of(DIRT, "n.v.t.")
COMMON = {"": 0.03, "99": 0.01, "weet niet": 0.005, "wil niet zeggen": 0.003}
ODD = {"-1": 0.0003, "7,25": 0.0003, "zeven": 0.0004, "8-9": 0.0003, "x": 0.0002}
# Impossible grades are mostly too high, and most where the published mean is low, so that counting them shows
RATING_DIRT = {
    channel: {**COMMON, **ODD, "0": 0.0005, "11": 0.010, "12": 0.007}
    if channel == EMAIL
    else {**COMMON, **ODD, "0": 0.0005, "11": 0.003, "12": 0.002}
    for channel in range(6)
}
RECOMMENDATION_DIRT = {**COMMON, "11": 0.006, "12": 0.0035, "-1": 0.0002, "7,5": 0.0003, "x": 0.0002}
COMPLAINT_DIRT = {**COMMON, **ODD, "0": 0.0005, "11": 0.010, "12": 0.007}
COMPLAINTS = 0.15

OWN_TESTS, STRAY_TESTS = 0.09, 0.02  # of the e-mail ratings
OTHER_TESTS = 0.0035  # of all ratings
ABORTIONS = 0.01  # of all ratings
CORRECTIONS = 0.025  # of the e-mail ratings, within a delivery, and as many by a later delivery
OTHER_CORRECTIONS = 0.006  # of all ratings, likewise
REFUSED_DATES, REFUSED_IDS, REFUSED_STRAYS = 8, 8, 4
RETURNS = 0.065
CALLED_BACK, REMARKED = 0.02, 0.02
PART = 200_000  # rows made into text at a time

RATING = targets.Scale(1, 10, 1.7, 0.5, 0.12, in_tenths=True)
RECOMMENDATION = targets.Scale(0, 10, 2.1, 0.6, 0.0, in_tenths=False)
COMPLAINT = targets.Scale(1, 10, 1.7, 0.6, 0.0, in_tenths=True)

DAYS = np.arange(np.datetime64("2011-01-01"), np.datetime64("2012-01-01"))
MONTHS = tuple(f"2011-{month:02d}" for month in range(1, 13))
MONTH_OF = DAYS.astype("datetime64[M]").astype(np.int64) % 12
WEEKEND = (DAYS.astype("datetime64[D]").astype(np.int64) + 3) % 7 >= 5


@dataclass(frozen=True)
class Responses:
    """Responses, or further versions of them: one entry per row of an export."""

    number: npt.NDArray[np.int32]
    respondent: npt.NDArray[np.int32]
    organisation: npt.NDArray[np.uint8]
    day: npt.NDArray[np.int16]
    quarter: npt.NDArray[np.uint8]
    channel: npt.NDArray[np.uint8]
    rating: Codes
    recommendation: Codes
    complaint: Codes
    mode: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    delivery: npt.NDArray[np.uint8]
    place: npt.NDArray[np.uint8]

    def at(self, where: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Responses:
        """A copy of some of these rows."""
        return Responses(**{one.name: getattr(self, one.name)[where] for one in fields(self)})


def joined(parts: Sequence[Responses]) -> Responses:
    """All rows of these parts."""
    return Responses(**{one.name: np.concatenate([getattr(p, one.name) for p in parts]) for one in fields(Responses)})


def _spread(total: int, parts: Sequence[float]) -> npt.NDArray[np.int64]:
    """`total` divided in these proportions, exactly: what rounding down leaves goes to the largest rests."""
    wanted = np.asarray(parts) / sum(parts) * total
    whole = np.floor(wanted).astype(np.int64)
    whole[np.argsort(whole - wanted, kind="stable")[: total - int(whole.sum())]] += 1
    return whole


def _contacts(rng: np.random.Generator, ratings: int) -> Responses:
    """All contacts asked about, in the order of their dates, with the dirt in the contact grade in place."""
    per_channel = [share for share in CHANNEL_SHARES for _ in QUARTER_SHARES]
    valid = _spread(ratings, [s * q for s, q in zip(per_channel, QUARTER_SHARES * 6, strict=True)])
    valid = valid.reshape(6, 4)
    block: list[tuple[int, int, int, int, int]] = []  # channel, quarter (0: any), kind, grade, rows
    for place, dirt in RATING_DIRT.items():
        rated = int(valid[place].sum())
        block += [(place, q + 1, COMPLETE, 0, int(valid[place, q])) for q in range(4)]
        block += [
            (place, 0, COMPLETE, answers.code_of(DIRT, token), round(rate * rated)) for token, rate in dirt.items()
        ]
    # test rows are all praise on e-mail and all blame elsewhere; those who broke off were displeased
    block.append((EMAIL, 0, TEST, 100, round(OWN_TESTS * int(valid[EMAIL].sum()))))
    block.append((PHYSICAL, 0, TEST, 10, round(OTHER_TESTS * ratings)))
    block.append((PHYSICAL, 0, ABORTED, 20, round(0.6 * ABORTIONS * ratings)))
    block.append((PHONE, 0, ABORTED, 10, round(0.4 * ABORTIONS * ratings)))
    block.append((PHONE, 0, NO_DATE, 10, REFUSED_DATES))
    block.append((EMAIL, 0, NO_ID, 100, REFUSED_IDS))

    rows = [one[4] for one in block]
    channel, quarter, kind, rating = (
        np.repeat(np.array([one[field] for one in block], dtype=np.uint8), rows) for field in range(4)
    )
    free = np.flatnonzero(quarter == 0)
    quarter[free] = rng.choice(4, free.size, p=QUARTER_SHARES) + 1

    organisation = np.zeros(channel.size, dtype=np.uint8)
    tilt = np.array([TILTS.get(row.sector_code, 1.0) for row in organisations()])
    for one in range(6):
        there = channel == one
        weight = shares() * tilt if one == PHYSICAL else shares()
        organisation[there] = rng.choice(weight.size, int(there.sum()), p=weight / weight.sum())
    day = np.zeros(channel.size, dtype=np.int16)
    for one in range(1, 5):
        there = quarter == one
        busy = np.where(one == MONTH_OF // 3 + 1, np.where(WEEKEND, 0.25, 1.0), 0.0)
        day[there] = rng.choice(busy.size, int(there.sum()), p=busy / busy.sum())

    # fieldwork runs in daily batches per organisation and channel, and responses are numbered as they come
    order = np.argsort(day.astype(np.int32) * 2048 + organisation.astype(np.int32) * 8 + channel, kind="stable")
    unanswered = np.full(order.size, BLANK, dtype=np.uint8)
    usual = np.array([0, 1, 0, 0, 0, 2], dtype=np.uint8)[channel[order]]
    other = rng.random(order.size, dtype=np.float32) < 0.02
    return Responses(
        number=np.arange(1, order.size + 1, dtype=np.int32),
        respondent=_respondents(rng, organisation[order]),
        organisation=organisation[order],
        day=day[order],
        quarter=quarter[order],
        channel=channel[order],
        rating=rating[order],
        recommendation=unanswered,
        complaint=unanswered.copy(),
        mode=np.where(other, np.uint8(2), usual).astype(np.uint8),
        kind=kind[order],
        delivery=quarter[order],
        place=np.full(order.size, NATURAL, dtype=np.uint8),
    )


def _respondents(rng: np.random.Generator, organisation: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Who gave each response: mostly somebody new, else an earlier respondent, half of them on the same
    organisation again."""
    returns = rng.random(organisation.size, dtype=np.float32) < RETURNS
    returns[0] = False
    respondent = np.cumsum(~returns, dtype=np.int32)
    back = np.flatnonzero(returns)
    earlier = (rng.random(back.size) * back).astype(np.int64)
    by_organisation = np.argsort(organisation, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(organisation, minlength=256))])
    rank = np.empty(organisation.size, dtype=np.int64)
    rank[by_organisation] = np.arange(organisation.size) - start[organisation[by_organisation]]
    same = (rng.random(back.size) < 0.5) & (rank[back] > 0)
    mine = back[same]
    earlier[same] = by_organisation[start[organisation[mine]] + (rng.random(mine.size) * rank[mine]).astype(int)]
    respondent[back] = respondent[earlier]
    return respondent


def _answer(
    rng: np.random.Generator, responses: Responses, wanted: Sequence[targets.Target], government: Flags
) -> None:
    """Fill in the three answers of each response, valid and not, in place."""
    complete = responses.kind == COMPLETE
    asked = targets.Asked(
        responses.organisation,
        responses.channel,
        responses.quarter,
        grades.skewed_noise(rng, complete.size),
    )
    counts = complete & (responses.rating < answers.FIRST_DIRT)
    targets.answer(rng, wanted, "channel_rating", RATING, CHANNELS, asked, responses.rating, counts)

    dirt = answers.draw_dirt(rng, int(complete.sum()), DIRT, RECOMMENDATION_DIRT)
    responses.recommendation[complete] = dirt
    responses.recommendation[responses.kind == TEST] = 10
    counts = complete & (responses.recommendation < answers.FIRST_DIRT)
    targets.answer(rng, wanted, "recommendation", RECOMMENDATION, CHANNELS, asked, responses.recommendation, counts)

    responses.complaint[responses.kind != ABORTED] = NOT_ASKED
    for public in (True, False):
        there = np.flatnonzero(complete & (government == public)[responses.organisation])
        complained = rng.choice(there, round(COMPLAINTS * there.size), replace=False)
        responses.complaint[complained] = answers.draw_dirt(rng, complained.size, DIRT, COMPLAINT_DIRT)
    counts = complete & (responses.complaint < answers.FIRST_DIRT)
    targets.answer(rng, wanted, "complaint_handling", COMPLAINT, CHANNELS, asked, responses.complaint, counts)


def _further_versions(rng: np.random.Generator, responses: Responses) -> Responses:
    """Rows that repeat a response: replaced versions, and rows that may replace nothing.

    The accepted version stays in `responses`; its delivery and place are moved here to after the replaced.
    """
    complete = responses.kind == COMPLETE
    email = complete & (responses.channel == EMAIL) & (responses.rating < answers.FIRST_DIRT)
    rated = int(email.sum())
    amount = round(CORRECTIONS * rated)
    low = rng.permutation(np.flatnonzero(email & (responses.rating <= 50) & (responses.quarter < 4)))
    later, within = low[:amount], low[amount : 2 * amount]
    used = np.zeros(email.size, dtype=np.bool_)
    used[later] = used[within] = True
    sad = rng.permutation(np.flatnonzero(email & ~used & (responses.rating <= 35)))
    tested = sad[: round(STRAY_TESTS * rated)]
    used[tested] = True
    amount = round(OTHER_CORRECTIONS * int(complete.sum()))
    others = rng.permutation(np.flatnonzero(complete & ~used & (responses.channel != EMAIL)))
    refused = others[:REFUSED_STRAYS]
    others = others[REFUSED_STRAYS:]
    within = np.concatenate([within, others[:amount]])
    others = others[amount:]
    others = others[responses.quarter[others] < 4]
    later = np.concatenate([later, others[:amount]])

    # delivered again: by the next delivery, a few by the one after it (the last one closes the year)
    was = responses.at(later)
    leap = np.where(rng.random(later.size) < 0.2, 2, 1)
    responses.delivery[later] = np.minimum(was.quarter + leap, 4)
    responses.place[later] = AGAIN
    # some of these stood twice in the first delivery already
    thrice = np.arange(later.size) % 10 == 0
    twin = replace(was.at(thrice), place=np.full(int(thrice.sum()), CORRECTED, dtype=np.uint8))
    corrected = responses.at(within)
    responses.place[within] = CORRECTED
    replaced = joined([was, twin, corrected])
    good = replaced.channel == EMAIL
    replaced.rating[good] = 100
    replaced.rating[~good] = rng.integers(1, 11, int((~good).sum())) * 10
    moved = np.flatnonzero(~good)[::5]
    replaced.channel[moved] = (replaced.channel[moved] + 1) % 2

    # test rows on a real response's number, in the same delivery and in the next
    stray = responses.at(tested)
    stray.kind[:] = TEST
    stray.rating[:] = 100
    stray.place[:] = STRAY
    stray.delivery[:] = np.minimum(stray.delivery + np.arange(tested.size) % 2, 4)
    undated = responses.at(refused)
    undated.kind[:] = NO_DATE
    undated.place[:] = STRAY
    return joined([replaced, stray, undated])


def write(to: Path, ratings: int, seed: int, wanted: Sequence[targets.Target], ledger: ledgers.Ledger) -> None:
    """Write the four deliveries, and book what they hold."""
    rng = np.random.default_rng([seed, 1])
    folder = to / SOURCE
    folder.mkdir(parents=True, exist_ok=True)
    government = in_sectors(GOVERNMENT)
    responses = _contacts(rng, ratings)
    _answer(rng, responses, wanted, government)
    further = _further_versions(rng, responses)
    for quarter in range(1, 5):
        accepted = responses.at((responses.delivery == quarter) & (responses.kind == COMPLETE))
        also = further.at(further.delivery == quarter)
        own = responses.at(responses.delivery == quarter)
        _book(ledger, DELIVERY.format(quarter=quarter), accepted, own, also)
        rows = joined([also, own])  # at one place a replaced version goes before the accepted one
        rows = rows.at(np.lexsort((rows.number, rows.place)))
        _write_delivery(rng, folder / DELIVERY.format(quarter=quarter), rows, ledger.personal)
    complete = responses.kind == COMPLETE
    for measure, codes in _columns(responses):
        ledgers.book_respondents(ledger, SOURCE, measure, responses.respondent[complete & (codes < answers.FIRST_DIRT)])


def _columns(responses: Responses) -> tuple[tuple[str, Codes], ...]:
    return (
        ("channel_rating", responses.rating),
        ("recommendation", responses.recommendation),
        ("complaint_handling", responses.complaint),
    )


def _book(ledger: ledgers.Ledger, delivery: str, accepted: Responses, own: Responses, also: Responses) -> None:
    """Book the accepted cells of a delivery, and what became of all its rows."""
    codes = [row.organisation_code for row in organisations()]
    lookup = answers.to_reason(DIRT)
    cells = np.zeros(1 + len(answers.REASONS), dtype=np.int64)
    for measure, column in _columns(accepted):
        cells += ledgers.book_cells(
            ledger,
            ledgers.Booking(SOURCE, delivery, "customer", measure, MONTHS, codes, CHANNELS),
            MONTH_OF[accepted.day],
            accepted.organisation,
            accepted.channel if measure == "channel_rating" else NOT_APPLICABLE,
            lookup[column],
        )
    kind = np.bincount(own.kind, minlength=5) + np.bincount(also.kind, minlength=5)
    superseded = int((also.kind == COMPLETE).sum())
    rows = (
        accepted.kind.size,
        int(kind[TEST] + kind[ABORTED]),
        int(kind[NO_DATE] + kind[NO_ID]),
        superseded,
    )
    ledgers.book_receipt(ledger, SOURCE, delivery, rows, cells)


def _write_delivery(rng: np.random.Generator, path: Path, rows: Responses, personal: set[str]) -> None:
    """Write the rows as the export reads, in parts."""
    with ledgers.gzipped(path) as file:
        file.write((HEADINGS + "\r\n").encode(ENCODING))
        for start in range(0, rows.number.size, PART):
            part = rows.at(np.arange(start, min(start + PART, rows.number.size)))
            file.write("".join(_lines(rng, part, personal)).encode(ENCODING))


def _lines(rng: np.random.Generator, rows: Responses, personal: set[str]) -> list[str]:
    """The text of some rows, line ends included."""
    dates = [f"{str(day)[8:]}-{str(day)[5:7]}-2011" for day in DAYS]
    date = np.array([*dates, IMPOSSIBLE_DATE], dtype=object)
    day = np.where(rows.kind == NO_DATE, len(dates), rows.day)
    grade = answers.texts(DIRT, 1)
    code = np.array([row.organisation_code for row in organisations()], dtype=object)
    numbers = [f"K11-{number:07d}" for number in rows.number.tolist()]
    for row in np.flatnonzero(rows.kind == NO_ID).tolist():
        numbers[row] = ""
    columns = (
        numbers,
        [f"C{number:07d}" for number in (rows.respondent + 480_000).tolist()],
        code[rows.organisation].tolist(),
        date[day].tolist(),
        np.array(CHANNEL_TEXTS, dtype=object)[rows.channel].tolist(),
        grade[rows.rating].tolist(),
        answers.texts(DIRT, 0)[rows.recommendation].tolist(),
        grade[rows.complaint].tolist(),
        np.array(MODES, dtype=object)[rows.mode].tolist(),
        np.array(STATUS_TEXTS, dtype=object)[rows.kind].tolist(),
        _personal_columns(rng, rows, personal),
    )
    return list(map(";".join, zip(*columns, strict=True)))


def _personal_columns(rng: np.random.Generator, rows: Responses, personal: set[str]) -> list[str]:
    """The last four columns of each row, filled for the few who asked to be called back or said more."""
    texts = [";;;\r\n"] * rows.number.size
    called = rng.random(rows.number.size) < CALLED_BACK
    remarked = rng.random(rows.number.size) < REMARKED
    remark = rng.integers(0, len(people.REMARKS), rows.number.size)
    for row in np.flatnonzero(called | remarked).tolist():
        respondent = int(rows.respondent[row])
        who = ["", "", ""]
        if called[row]:
            who = [
                people.name(respondent),
                people.mail(respondent, MAIL_DOMAIN),
                people.postcode(respondent),
            ]
            personal.update(who)
        text = ""
        if remarked[row]:
            text, named = people.free_text(people.REMARKS[int(remark[row])], respondent)
            personal.update(named)
        texts[row] = ";".join([*who, people.quoted(text)]) + "\r\n"
    return texts
