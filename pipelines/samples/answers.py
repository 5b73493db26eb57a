"""Answer codes: how a sample holds a column of answers, valid or not, in one byte each.

A code below 128 is a valid answer (in tenths or in whole points, as its measure says); 128 and up is a
dirty token of the source, which the ledger counts under its missing reason. Belongs here: the coding and
the exact drawing of dirt. Not here: which tokens a source writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

FIRST_DIRT = 128
REASONS = ("blank", "dont_know", "refused", "not_asked", "quarantined")


class Dirt(NamedTuple):
    """One way in which a source writes an answer that is not one."""

    token: str
    reason: str


def code_of(dirt: Sequence[Dirt], token: str) -> int:
    """The answer code of a dirty token."""
    return FIRST_DIRT + [one.token for one in dirt].index(token)


def to_reason(dirt: Sequence[Dirt]) -> Codes:
    """Lookup from answer code to ledger code: a valid answer stays, a token becomes its reason's code."""
    lookup = np.arange(256, dtype=np.uint8)
    for place, one in enumerate(dirt):
        lookup[FIRST_DIRT + place] = FIRST_DIRT + REASONS.index(one.reason)
    return lookup


def texts(dirt: Sequence[Dirt], decimals: int) -> npt.NDArray[np.object_]:
    """Lookup from answer code to the text of an export with decimal commas."""
    text: list[str] = []
    for code in range(256):
        if code >= FIRST_DIRT:
            place = code - FIRST_DIRT
            text.append(dirt[place].token if place < len(dirt) else "?")
        elif decimals == 0 or code % 10 == 0:
            text.append(str(code if decimals == 0 else code // 10))
        else:
            text.append(f"{code // 10},{code % 10}")
    return np.array(text, dtype=object)


def draw_dirt(rng: np.random.Generator, count: int, dirt: Sequence[Dirt], rates: Mapping[str, float]) -> Codes:
    """A column of `count` codes, 0 where the answer will be valid, else dirt in exactly these rates."""
    codes = np.zeros(count, dtype=np.uint8)
    start = 0
    for token, rate in rates.items():
        stop = min(count, start + round(rate * count))
        codes[start:stop] = code_of(dirt, token)
        start = stop
    rng.shuffle(codes)
    return codes
