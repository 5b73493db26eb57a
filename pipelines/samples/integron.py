"""Integron CX benchmark 2018 and 2020, invented: buyers rate their suppliers; one SPSS file a wave.

Belongs here: what it must come out at, the ratings, how they are spoilt, and how the files read. Not here:
the suppliers (organisations), or the file format (spss).

    python -m pipelines.samples.integron TO [SEED]
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.samples import forms, grades, people, spss
from pipelines.samples import ledger as ledgers
from pipelines.samples.answers import Dirt
from pipelines.samples.forms import EXCLUDED, REFUSED, SUPERSEDED, Form
from pipelines.samples.organisations import supplier_shares, suppliers

SOURCE = "integron_cx"
AUDIENCE = "b2b_customer"
MAIL_DOMAIN = "inkoop-voorbeeld.invalid"
BRANCHES = {  # code of BRANCHE: our sector, and its value label
    1: ("ict", "ICT-dienstverlening"),
    2: ("telecom", "Telecom"),
    3: ("insurers", "Verzekeraars"),
    4: ("healthcare", "Zorg en arbodienstverlening"),
    5: ("banks", "Banken (financiële diensten)"),
    6: ("energy_utilities", "Energie en nutsbedrijven"),
    7: ("retail", "Groot- en detailhandel"),
}
SECTORS = tuple(sector for sector, _ in BRANCHES.values())


class Wave(NamedTuple):
    """One wave of fieldwork and its delivery; `buyer` is the number of its first buyer."""

    delivery: str
    first: dt.date
    last: dt.date
    sectors: tuple[str, ...]
    rows: int
    buyer: int


WAVES = (
    Wave("integron_cx_2018.sav", dt.date(2018, 2, 5), dt.date(2018, 11, 23), ("ict",), 2_800, 1),
    Wave("integron_cx_2020.sav", dt.date(2020, 1, 20), dt.date(2020, 12, 11), SECTORS, 4_200, 1_000),
)


class Target(NamedTuple):
    """The answers of the sectors `of` in a wave come out at `value`, by fitting those of `moves` (else: all)."""

    delivery: str
    measure: str
    value: float
    of: tuple[str, ...]
    moves: tuple[str, ...] = ()


ICT, OTHERS = ("ict",), SECTORS[1:]
TARGETS = (
    Target("integron_cx_2018.sav", "recommendation", 15.0, ICT),
    Target("integron_cx_2018.sav", "satisfaction", 7.7, ICT),  # not published
    Target("integron_cx_2020.sav", "recommendation", 5.0, ICT),
    Target("integron_cx_2020.sav", "satisfaction", 7.6, ICT),
    Target("integron_cx_2020.sav", "recommendation", 11.0, SECTORS, moves=OTHERS),
    Target("integron_cx_2020.sav", "satisfaction", 7.8, SECTORS, moves=OTHERS),
)

# all of these are user-missing in the files, but for the last three of each
NPS_DIRT = {
    Dirt("", "blank"): 0.025,
    Dirt("98", "dont_know"): 0.04,
    Dirt("99", "refused"): 0.025,
    Dirt("-1", "not_asked"): 0.03,
    Dirt("11", "quarantined"): 0.012,
    Dirt("12", "quarantined"): 0.008,
    Dirt("4.5", "quarantined"): 0.015,
}
GRADE_DIRT = {
    Dirt("", "blank"): 0.03,
    Dirt("98", "dont_know"): 0.03,
    Dirt("99", "refused"): 0.02,
    Dirt("-1", "not_asked"): 0.02,
    Dirt("11", "quarantined"): 0.025,
    Dirt("0", "quarantined"): 0.001,
    Dirt("1.25", "quarantined"): 0.015,
}
VALID, TEST, SPEEDER = "1", "2", "3"  # KWALITEIT
TESTS, SPEEDERS, CORRECTIONS, REFUSALS = 0.03, 0.04, 0.03, 0.012
UNDATED, UNKNOWN, UNNUMBERED = "undated", "unknown supplier", "unnumbered"
SUPPLIERS_RATED = (0.50, 0.28, 0.14, 0.08)  # by 1, 2, 3 and 4 suppliers
NAMED, REMARKED, HALVES = 0.30, 0.02, 0.15
SUPPLIER_SD = {"recommendation": 0.6, "satisfaction": 0.4}
RESPONDENT_SD = {"recommendation": 2.0, "satisfaction": 1.2}
QUESTIONS = (("recommendation", "NPS", NPS_DIRT), ("satisfaction", "TEVREDEN", GRADE_DIRT))
SECTOR_OF = {one.organisation_code: one.sector_code for one in suppliers()}


def write(to: Path, seed: int = 2011) -> None:
    """Write both waves under `to`, and add what they truly hold to the ledger in `to`/.ledger."""
    ledger = ledgers.Ledger()
    write_sources(to, seed, ledger)
    ledgers.add(ledger, to / ".ledger")


def write_sources(to: Path, seed: int, ledger: ledgers.Ledger) -> None:
    """Write both waves, and book what they hold."""
    rng = np.random.default_rng([seed, 4])
    (to / SOURCE).mkdir(parents=True, exist_ok=True)
    everything: list[Form] = []
    for wave in WAVES:
        ratings = _ratings(rng, wave)
        for measure, column, dirt in QUESTIONS:
            _answer(rng, wave, ratings, measure, column, dirt)
        rows = _spoil(rng, wave, ratings)
        _write_delivery(rng, to / SOURCE / wave.delivery, rows, ledger.personal)
        everything += rows
    forms.book(ledger, SOURCE, AUDIENCE, everything)


def _ratings(rng: np.random.Generator, wave: Wave) -> list[Form]:
    """Who rates whom, and when: a buyer rates all suppliers in one sitting, each of them once."""
    every = suppliers()
    weight = np.where([one.sector_code in wave.sectors for one in every], supplier_shares(), 0.0)
    weight /= weight.sum()
    rated: list[tuple[int, int]] = []
    buyer = wave.buyer
    while len(rated) < wave.rows:
        many = 1 + int(rng.choice(len(SUPPLIERS_RATED), p=SUPPLIERS_RATED))
        chosen = rng.choice(weight.size, many, replace=False, p=weight).tolist()
        rated += [(buyer, one) for one in chosen]
        buyer += 1
    when = forms.moments(rng, buyer - wave.buyer, wave.first, wave.last)
    return [
        Form(
            number=wave.first.year % 100 * 100_000 + place,
            respondent=who,
            moment=when[who - wave.buyer],
            delivery=wave.delivery,
            kind=VALID,
            organisation=every[one].organisation_code,
        )
        for place, (who, one) in enumerate(rated[: wave.rows], start=1)
    ]


def _answer(
    rng: np.random.Generator,
    wave: Wave,
    ratings: list[Form],
    measure: str,
    column: str,
    dirt: dict[Dirt, float],
) -> None:
    """Answer one question of all ratings, to meet the targets of the wave."""
    every = [one.organisation_code for one in suppliers()]
    liking = dict(zip(every, rng.normal(0.0, SUPPLIER_SD[measure], len(every)).tolist(), strict=True))

    def draw(valid: list[Form]) -> list[tuple[str, int]]:
        latent = grades.skewed_noise(rng, len(valid)) * np.float32(RESPONDENT_SD[measure])
        latent += np.array([liking[form.organisation] for form in valid], dtype=np.float32)
        half = rng.random(len(valid)) < HALVES
        value = np.zeros(len(valid), dtype=np.int16)
        sector = np.array([SECTOR_OF[form.organisation] for form in valid])
        for target in TARGETS:
            if (target.delivery, target.measure) != (wave.delivery, measure):
                continue
            of = np.isin(sector, target.of)
            moves = np.isin(sector, target.moves or target.of)
            fixed = value[of & ~moves]
            if measure == "recommendation":
                points = target.value * int(of.sum()) - (grades.nps(fixed) * fixed.size if fixed.size else 0.0)
                value[moves] = grades.fit_nps(rng, latent[moves], points / int(moves.sum()))
            else:
                total = target.value * 10 * int(of.sum()) - int(fixed.sum(dtype=np.int64))
                value[moves] = grades.fit_mean(rng, latent[moves], half[moves], total, 1, 10)
        decimals = 0 if measure == "recommendation" else 1
        return [(f"{one / 10**decimals:g}", one) for one in value.tolist()]

    forms.ask(rng, ratings, column, measure, dirt, draw)


def _spoil(rng: np.random.Generator, wave: Wave, ratings: list[Form]) -> list[Form]:
    """The ratings in the order of the file, with rows among them that do not count."""
    blame, praise = {"NPS": "0", "TEVREDEN": "1"}, {"NPS": "10", "TEVREDEN": "10"}
    number = ratings[-1].number
    further: list[Form] = []

    def new(share: float, kind: str, fate: str, written: dict[str, str]) -> None:
        nonlocal number
        for form, one in forms.versions(rng, ratings, round(share * len(ratings)), fate, written):
            number += 1
            respondent = 900_000 + number % 100_000 if kind in (TEST, SPEEDER) else form.respondent
            further.append(replace(one, number=number, respondent=respondent, kind=kind))

    new(TESTS, TEST, EXCLUDED, blame)
    new(SPEEDERS, SPEEDER, EXCLUDED, praise)
    new(REFUSALS, UNDATED, REFUSED, blame)
    new(REFUSALS, UNKNOWN, REFUSED, praise)
    new(REFUSALS, UNNUMBERED, REFUSED, blame)

    def displeased(form: Form) -> bool:
        grade, score = form.truth["satisfaction"], form.truth["recommendation"]
        return isinstance(grade, int) and isinstance(score, int) and grade <= 75 and score <= 6

    # a rating entered again: of a response that stands there twice the last row counts
    changed = forms.versions(rng, ratings, round(CORRECTIONS * len(ratings)), SUPERSEDED, praise, displeased)
    further += [replace(one, moment=one.moment - dt.timedelta(days=1)) for _, one in changed]
    return sorted(ratings + further, key=lambda form: (form.moment, form.number))


def _write_delivery(rng: np.random.Generator, path: Path, rows: Sequence[Form], personal: set[str]) -> None:
    """Write the rows as the agency delivers them."""
    branch = {sector: float(code) for code, (sector, _) in BRANCHES.items()}
    name, mail, remark = ([""] * len(rows) for _ in range(3))
    named = rng.random(len(rows)) < NAMED
    remarked = rng.random(len(rows)) < REMARKED
    for place, form in enumerate(rows):
        if named[place]:
            name[place], mail[place] = people.name(form.respondent), people.mail(form.respondent, MAIL_DOMAIN)
            personal.update((name[place], mail[place]))
        if remarked[place]:
            template = people.REMARKS[int(rng.integers(len(people.REMARKS)))]
            remark[place], values = people.free_text(template.replace("\n", " "), form.respondent)
            personal.update(values)
    seconds = [float(rng.integers(15, 45) if form.kind == SPEEDER else rng.integers(120, 900)) for form in rows]
    known = [form.kind if form.kind in (TEST, SPEEDER) else VALID for form in rows]
    missing = {98.0: "weet niet", 99.0: "wil niet zeggen", -1.0: "niet gesteld"}
    spss.write(
        path,
        "Meetlat: synthetische gegevens, geen echte antwoorden",
        {
            "RESPID": spss.Variable(
                "Nummer van de beoordeling",
                [None if form.kind == UNNUMBERED else float(form.number) for form in rows],
                "F8.0",
            ),
            "BUYERID": spss.Variable("Nummer van de inkoper", [f"B{form.respondent:06d}" for form in rows], "A8"),
            "LEVERANCIER": spss.Variable(
                "Beoordeelde leverancier (code)",
                ["" if form.kind == UNKNOWN else form.organisation for form in rows],
                "A32",
            ),
            "BRANCHE": spss.Variable(
                "Branche van de leverancier",
                [branch[SECTOR_OF[form.organisation]] for form in rows],
                "F2.0",
                {float(code): label for code, (_, label) in BRANCHES.items()},
            ),
            "INVULDATUM": spss.Variable(
                "Datum van invullen",
                [None if form.kind == UNDATED else form.moment.date() for form in rows],
                "EDATE10",
            ),
            "NPS": spss.Variable(
                "In hoeverre zou u deze leverancier aanbevelen aan zakelijke relaties? (0–10, één antwoord)",
                [_number(form.written["NPS"]) for form in rows],
                "F4.1",
                {0.0: "zeer onwaarschijnlijk", 10.0: "zeer waarschijnlijk", **missing},
                missing=(-1.0,),
                missing_range=(98.0, 99.0),
            ),
            "TEVREDEN": spss.Variable(
                "Welk rapportcijfer geeft u, alles bijeen, voor deze leverancier? (één cijfer, halve mogen)",
                [_number(form.written["TEVREDEN"]) for form in rows],
                "F5.2",
                {1.0: "zeer slecht", 10.0: "uitstekend", **missing},
                missing=(-1.0,),
                missing_range=(98.0, 99.0),
            ),
            "KWALITEIT": spss.Variable(
                "Kwaliteit van de respons",
                [float(one) for one in known],
                "F1.0",
                {1.0: "geldig", 2.0: "test", 3.0: "te snel ingevuld"},
            ),
            "DUUR": spss.Variable("Invulduur in seconden", seconds, "F6.0"),
            "NAAM": spss.Variable("Naam van de geënquêteerde", name, "A40"),
            "EMAIL": spss.Variable("E-mailadres van de geënquêteerde", mail, "A64"),
            "TOELICHTING": spss.Variable("Toelichting (open)", remark, "A255"),
        },
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
