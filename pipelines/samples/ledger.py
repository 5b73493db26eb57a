"""The ledger of truth that a sample leaves beside its exports, and the format of its four files.

Belongs here: counting cells, receipts, respondents and invented personal values, and writing them.
Not here: how a sample came by them, or any rule about what counts - a sample books what it knows.

cells.csv.gz     the accepted answers, one count per cell; lines in the order of their text
receipts.csv     per delivery what became of its rows, and of the cells of its accepted rows: one cell per
                 row and measure, also where one column of the export answers two measures
respondents.csv  per measure the valid answers of the source and the distinct respondents who gave them
personal.txt     every invented personal value that an export holds, one per line, in order
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.samples.answers import FIRST_DIRT, REASONS, Codes

CELL_HEADER = (
    "source_code,delivery,time_cell,organisation_code,audience_code,channel_code,measure_code,value,missing_reason,n"
)


class Receipt(NamedTuple):
    """One line of receipts.csv; rows_read is the sum of the other five kinds of row."""

    source_code: str
    delivery: str
    rows_read: int
    rows_accepted: int
    rows_excluded: int
    rows_refused: int
    rows_superseded: int
    rows_erased: int
    cells_answer: int
    cells_blank: int
    cells_dont_know: int
    cells_refused: int
    cells_not_asked: int
    cells_quarantined: int


@dataclass
class Ledger:
    """What is booked so far."""

    cells: list[str] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    respondents: list[tuple[str, str, int, int]] = field(default_factory=list)
    personal: set[str] = field(default_factory=set)


class Booking(NamedTuple):
    """The part of a cell that all answers of one booking share, and the names behind the coded parts."""

    source: str
    delivery: str
    audience: str
    measure: str
    months: Sequence[str]
    organisations: Sequence[str]
    channels: Sequence[str]


def book_cells(
    ledger: Ledger,
    booking: Booking,
    month: npt.NDArray[np.integer],
    organisation: npt.NDArray[np.integer],
    channel: npt.NDArray[np.integer] | int,
    answer: Codes,
) -> npt.NDArray[np.int64]:
    """Book the answers of accepted rows; returns the number of valid answers, then that of each reason.

    `answer` holds ledger codes: a value as the ledger writes it, or FIRST_DIRT + the place in REASONS.
    """
    shape = (
        len(booking.months),
        len(booking.organisations),
        len(booking.channels),
        FIRST_DIRT + len(REASONS),
    )
    key = month.astype(np.int64)
    for part, size in zip((organisation, channel, answer), shape[1:], strict=True):
        key *= size
        key += part
    counts = np.bincount(key, minlength=int(np.prod(shape)))
    found = np.flatnonzero(counts)
    places = np.unravel_index(found, shape)
    for m, o, c, a, n in zip(*(place.tolist() for place in places), counts[found].tolist(), strict=True):
        value, reason = (str(a), "") if a < FIRST_DIRT else ("", REASONS[a - FIRST_DIRT])
        ledger.cells.append(
            f"{booking.source},{booking.delivery},{booking.months[m]},{booking.organisations[o]},"
            f"{booking.audience},{booking.channels[c]},{booking.measure},{value},{reason},{n}"
        )
    per_code = counts.reshape(-1, shape[3]).sum(axis=0)
    return np.concatenate([per_code[:FIRST_DIRT].sum(keepdims=True), per_code[FIRST_DIRT:]])


def book_receipt(
    ledger: Ledger,
    source: str,
    delivery: str,
    rows: tuple[int, int, int, int],
    cells: npt.NDArray[np.int64],
) -> None:
    """Book a delivery: rows (accepted, excluded, refused, superseded) and the cells `book_cells` counted."""
    ledger.receipts.append(Receipt(source, delivery, sum(rows), *rows, 0, *(int(n) for n in cells)))


def book_respondents(ledger: Ledger, source: str, measure: str, respondents: npt.NDArray[np.integer]) -> None:
    """Book who gave the valid answers of a measure: the number of the respondent, once per answer."""
    distinct = int(np.count_nonzero(np.bincount(respondents)))
    ledger.respondents.append((source, measure, respondents.size, distinct))


@contextmanager
def gzipped(path: Path) -> Iterator[gzip.GzipFile]:
    """Write a gzip file whose bytes depend on its content alone: no time stamp, no file name."""
    with (
        path.open("wb") as beneath,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=beneath, mtime=0) as file,
    ):
        yield file


def write(ledger: Ledger, to: Path) -> None:
    """Write the four files."""
    to.mkdir(parents=True, exist_ok=True)
    with gzipped(to / "cells.csv.gz") as cells:
        cells.write("\n".join([CELL_HEADER, *sorted(ledger.cells), ""]).encode())
    receipts = [",".join(map(str, row)) for row in sorted(ledger.receipts)]
    _write_lines(to / "receipts.csv", [",".join(Receipt._fields), *receipts])
    respondents = [",".join(map(str, row)) for row in sorted(ledger.respondents)]
    _write_lines(to / "respondents.csv", ["source_code,measure_code,n_answers,n_respondents", *respondents])
    _write_lines(to / "personal.txt", sorted(ledger.personal))


def add(ledger: Ledger, to: Path) -> None:
    """Write the four files, with what they say already of sources that this ledger does not book.

    A personal value has no source, so those that stand there stay.
    """
    if (to / "receipts.csv").is_file():
        own = {receipt.source_code for receipt in ledger.receipts}
        with gzip.open(to / "cells.csv.gz", "rt", encoding="utf-8") as cells:
            ledger.cells += _of_others(cells.read(), own)
        for line in _of_others((to / "receipts.csv").read_text(encoding="utf-8"), own):
            source, delivery, *counts = line.split(",")
            ledger.receipts.append(Receipt(source, delivery, *map(int, counts)))
        for line in _of_others((to / "respondents.csv").read_text(encoding="utf-8"), own):
            source, measure, answered, distinct = line.split(",")
            ledger.respondents.append((source, measure, int(answered), int(distinct)))
        ledger.personal.update((to / "personal.txt").read_text(encoding="utf-8").splitlines())
    write(ledger, to)


def _of_others(text: str, own: set[str]) -> list[str]:
    """The lines below the heading that begin with a source other than these."""
    return [line for line in text.splitlines()[1:] if line.split(",", 1)[0] not in own]


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join([*lines, ""]), encoding="utf-8", newline="\n")
