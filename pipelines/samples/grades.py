"""Drawing answers that look like people's, with a mean or an NPS that is exactly the one wanted.

A latent opinion (organisation effect + skewed respondent noise) is shifted as a whole and cut into grades;
then a few single grades, drawn at random over all organisations, move one step until the total fits.
Belongs here: distributions and calibration. Not here: which group has which target.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Latent = npt.NDArray[np.float32]
Tenths = npt.NDArray[np.int16]
SAMPLE = 200_000  # enough answers to find the shift; the steps do the rest exactly


def skewed_noise(rng: np.random.Generator, count: int) -> Latent:
    """Respondent noise of mean 0 and sd 1 with a long tail of displeased respondents."""
    noise = rng.standard_gamma(5.0, count, dtype=np.float32)
    noise -= np.float32(5.0)
    noise *= np.float32(-1 / np.sqrt(5.0))
    return noise


def cut(latent: Latent, half: npt.NDArray[np.bool_] | None, lowest: int, highest: int) -> Tenths:
    """Latent opinions as grades in tenths: whole, or at a half where the respondent gives half grades."""
    whole = np.rint(latent) * 10
    grade = whole if half is None else np.where(half, np.floor(latent) * 10 + 5, whole)
    return np.asarray(np.clip(grade, lowest * 10, highest * 10), dtype=np.int16)


def _shift_to(wanted: float, reached: Callable[[float], float]) -> float:
    """The shift of the latent opinions at which the statistic `reached` (increasing) comes to `wanted`."""
    low, high = -30.0, 30.0
    for _ in range(40):
        middle = (low + high) / 2
        if reached(middle) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _step(rng: np.random.Generator, grade: Tenths, step: int, count: int, lowest: int, highest: int) -> int:
    """Move `count` single grades by one step, where the scale leaves room; returns how many moved."""
    room = np.flatnonzero((grade + step >= lowest * 10) & (grade + step <= highest * 10))
    moved = rng.choice(room, min(count, room.size), replace=False)
    grade[moved] += np.int16(step)
    return int(moved.size)


def fit_mean(
    rng: np.random.Generator,
    latent: Latent,
    half: npt.NDArray[np.bool_] | None,
    total: float,
    lowest: int,
    highest: int,
) -> Tenths:
    """Grades in tenths that add up to `total` (in tenths), to within half the smallest step."""
    stride = max(1, latent.size // SAMPLE)
    some = latent[::stride]
    some_half = None if half is None else half[::stride]
    shift = _shift_to(
        total / latent.size,
        lambda s: float(cut(some + np.float32(s), some_half, lowest, highest).mean()),
    )
    grade = cut(latent + np.float32(shift), half, lowest, highest)
    smallest = 10 if half is None else 5
    for step in (10, smallest):
        while True:
            short = total - int(grade.sum(dtype=np.int64))
            # whole steps as long as they do not pass the total, then to the nearest smallest step
            steps = math.ceil(abs(short) / step - 0.5) if step == smallest else int(abs(short) / step)
            if steps == 0:
                break
            if _step(rng, grade, step if short > 0 else -step, steps, lowest, highest) == 0:
                raise ValueError("the scale leaves no room to reach this mean")
    return grade


def nps(score: Tenths) -> float:
    """Net Promoter Score of whole scores 0-10: percent 9-10 minus percent 0-6."""
    return 100.0 * (int((score >= 9).sum()) - int((score <= 6).sum())) / score.size


def fit_nps(rng: np.random.Generator, latent: Latent, wanted: float) -> Tenths:
    """Whole scores 0-10 (not in tenths) whose NPS is `wanted`, to within one respondent."""
    stride = max(1, latent.size // SAMPLE)
    some = latent[::stride]
    shift = _shift_to(wanted, lambda s: nps(cut(some + np.float32(s), None, 0, 10) // np.int16(10)))
    score = cut(latent + np.float32(shift), None, 0, 10) // np.int16(10)
    short = round((wanted - nps(score)) * score.size / 100)
    # one step over a border of the NPS: a passive becomes a promoter, or a promoter a passive
    border, step = (8, 1) if short > 0 else (9, -1)
    moved = rng.choice(np.flatnonzero(score == border), abs(short), replace=False)
    score[moved] += np.int16(step)
    return score
