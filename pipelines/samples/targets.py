"""Calibration targets: what a group of answers must come out at, and fitting the answers to it.

Belongs here: the format of a target, and answering a measure along a list of them. Not here: the targets
of a monitor (they stand in its own module), or how single grades are drawn (grades).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.samples import grades
from pipelines.samples.answers import Codes, Flags
from pipelines.samples.organisations import SECTORS, in_sectors

EVERYWHERE = tuple(sector.code for sector in SECTORS)


def other_than(sectors: tuple[str, ...]) -> tuple[str, ...]:
    """All leaf sectors but these."""
    return tuple(code for code in EVERYWHERE if code not in sectors)


class Group(NamedTuple):
    """A group of answers; the channel is '' for a measure that has none."""

    channel: str
    sectors: tuple[str, ...]
    quarters: tuple[int, ...]


class Target(NamedTuple):
    """The answers of `of` have this statistic ('mean' or 'nps'), by fitting those of `moves` (else: all)."""

    measure: str
    statistic: str
    value: float
    of: Group
    moves: Group | None = None


class Scale(NamedTuple):
    """How respondents answer a measure: its scale, the spread of opinions, and how many give half grades."""

    lowest: int
    highest: int
    respondent_sd: float
    organisation_sd: float
    halves: float
    in_tenths: bool


class Asked(NamedTuple):
    """The questions put to respondents, one entry each: to whom, when, and in which mood they are."""

    organisation: npt.NDArray[np.uint8]
    channel: npt.NDArray[np.uint8]
    quarter: npt.NDArray[np.uint8]
    mood: grades.Latent


def answer(
    rng: np.random.Generator,
    targets: Sequence[Target],
    measure: str,
    scale: Scale,
    channels: Sequence[str],
    asked: Asked,
    codes: Codes,
    counts: Flags,
) -> None:
    """Fill `codes` where `counts` says that a valid answer stands that counts, to meet all targets."""
    unit = 10 if scale.in_tenths else 1
    sectors = len(SECTORS)
    sector = np.array([np.flatnonzero(in_sectors((one.code,)))[0] for one in SECTORS])
    sector_of = np.searchsorted(sector, np.arange(in_sectors(EVERYWHERE).size), side="right") - 1

    def chosen(group: Group) -> Flags:
        found = counts & in_sectors(group.sectors)[asked.organisation]
        found &= np.isin(np.arange(5), group.quarters)[asked.quarter]
        if group.channel:
            found &= asked.channel == channels.index(group.channel)
        return np.asarray(found, dtype=np.bool_)

    liking = rng.normal(0.0, scale.organisation_sd, sector_of.size)
    liking += rng.normal(0.0, scale.organisation_sd / 2, sectors)[sector_of]
    for target in targets:
        if target.measure != measure:
            continue
        of = chosen(target.of)
        moves = of if target.moves is None else chosen(target.moves)
        organisation = asked.organisation[moves]
        # a mood of sd 1 that the respondent brings to every question, and one of this question
        latent = grades.skewed_noise(rng, organisation.size)
        latent *= np.float32(0.7 * scale.respondent_sd)
        latent += np.float32(0.7 * scale.respondent_sd) * asked.mood[moves]
        latent += liking.astype(np.float32)[organisation]
        half = rng.random(organisation.size, dtype=np.float32) < scale.halves if scale.halves else None
        if target.statistic == "nps":
            codes[moves] = grades.fit_nps(rng, latent, target.value)
            continue
        fixed = int(codes[of & ~moves].sum(dtype=np.int64)) * (10 // unit)
        total = target.value * 10 * int(of.sum()) - fixed
        fitted = grades.fit_mean(rng, latent, half, total, scale.lowest, scale.highest)
        codes[moves] = fitted // np.int16(10 // unit)
