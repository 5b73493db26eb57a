"""What the rows of one monitor, audience and measure have in common: the finest atoms that they are sums of.

An atom is a leaf of the sector tree, a channel other than `all` and a piece of time that no period cuts.
A row is the sum of its atoms. Where the finest row is absent, the atom is known to hold nothing. Years that no
period connects have no atom in common: they are attacked apart, so a long history costs no more than its years.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from pipelines.audit.outputs import FamilyKey, Measure, Row, Rules

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int64]

EPOCHS = 3  # releases whose rows are told apart as wholes; rows that stand from others only one by one
Parents = dict[str, str | None]
Key = tuple[str, str, str]  # sector, channel, period


@dataclass(frozen=True)
class Statement:
    """What a row said when its figures were first published, and how long it has stood."""

    row: Row
    epoch: int  # place in `Family.epochs`, or -1 if that release is not told apart
    stands: bool  # whether the newest of these tables still says so


@dataclass(frozen=True)
class Family:
    """The rows of one monitor, audience and measure, of this release and of earlier ones."""

    output: str
    rules: Rules
    measure: Measure
    weighted: bool
    parents: Parents
    tables: tuple[tuple[Row, ...], ...]  # this release last
    others: tuple[Row, ...] = ()  # rows of participants: they name epochs too
    release: str = ""  # this release, of which no row is older; empty if it is not known
    answers_are_people: bool = False  # everybody seems to answer once, so that a limit on people is one on answers
    loose: bool = False  # sectors and channels may hold more than their parts
    taken_back: bool = False  # answers may have gone, so rows that stand from earlier are only near what is so now

    @property
    def rows(self) -> tuple[Row, ...]:
        return self.tables[-1]

    @property
    def key(self) -> FamilyKey:
        return self.rows[0].cell.family

    @property
    def is_open(self) -> bool:
        """Whether nothing in it is hidden and all of it is of one release, so that there is nothing to attack."""
        return not any(r.is_hidden for r in self.rows) and len({r.as_of_release for r in self.rows}) < 2

    def apart(self) -> "list[Family]":
        """The rows of this release by spans of time that no period of any table connects, each as a family.

        A table that the next one only dates anew is left out: whatever is possible now was possible then, without
        anybody coming since, so it tells nothing more.
        """
        spans: list[set[int]] = []
        pieces = _pieces(r for table in self.tables for r in table)
        for inside in pieces.values():
            joined = [span for span in spans if span & inside]
            spans = [span for span in spans if not span & inside] + [inside.union(*joined)]
        families = []
        for span in sorted(spans, key=min):
            tables = [tuple(r for r in table if pieces[r.cell.period_code] <= span) for table in self.tables]
            others = tuple(r for r in self.others if pieces.get(r.cell.period_code, set()) & span)
            if tables[-1]:
                figures = [[r.figures for r in table] for table in tables]
                last = len(tables) - 1
                said = (t for i, t in enumerate(tables) if t and (i == last or figures[i] != figures[i + 1]))
                families.append(replace(self, tables=tuple(said), others=others))
        return families

    def fingerprint(self, own: "dict[str, tuple[Row, ...]]") -> str:
        """Of all that an attack on this family depends on, with what participants have of their own."""
        place = {name: i for i, name in enumerate(self._named[0])}  # what a release is called tells nothing

        def said(rows: Iterable[Row]) -> list[object]:
            return [(r.figures, place[r.as_of_release or ""]) for r in rows]

        text = repr(
            (
                (self.output, self.rules, self.measure, self.weighted, sorted(self.parents.items())),
                (self.answers_are_people, [place[name] for name in self.epochs]),
                [said(table) for table in self.tables],
                [(name, said(rows)) for name, rows in sorted(own.items())],
            )
        )
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @cached_property
    def _named(self) -> tuple[list[str], dict[str, tuple[int, tuple[int, dt.date, int]]]]:
        """The releases that rows stand from, oldest first; and of each how many do, and where it is named first."""
        named: dict[str, tuple[int, tuple[int, dt.date, int]]] = {}
        for number, table in enumerate([*self.tables, self.others]):
            for row in table:
                name = row.as_of_release or ""
                shown, first = named.get(name, (0, (number, row.as_of or dt.date.min, len(named))))
                named[name] = shown + (not row.is_hidden), first
        return sorted(named, key=lambda name: (name == self.release, named[name][1])), named

    @cached_property
    def epochs(self) -> list[str]:
        """The releases that rows stand from, oldest first: those that most rows stand from, and the last."""
        order, named = self._named
        last = max((r.as_of_release or "" for r in self.rows), key=order.index)
        if self.taken_back:
            return [last]
        most = sorted(set(order) - {last}, key=lambda name: (-named[name][0], named[name][1]))
        kept = {last, *most[: EPOCHS - 1]}
        return [name for name in order if name in kept]

    @cached_property
    def newest(self) -> int:
        """The epoch of the newest rows of this release."""
        return self.newest_of(self.rows)

    def newest_of(self, rows: Iterable[Row]) -> int:
        return max((self.epoch(row) for row in rows), default=-1)

    def epoch(self, row: Row) -> int:
        name = row.as_of_release or ""
        return self.epochs.index(name) if name in self.epochs else -1

    @cached_property
    def statements(self) -> list[Statement]:
        """What all tables say, once each."""
        standing = {(r.cell, r.as_of_release) for r in self.rows}
        said: dict[tuple[object, str | None], Row] = {}
        for row in (r for table in self.tables for r in table):
            key = (row.cell, row.as_of_release)
            if key not in said or said[key].is_hidden:
                said[key] = row  # what was once shown stays known
        return [Statement(r, self.epoch(r), key in standing) for key, r in said.items()]

    @cached_property
    def grid(self) -> "Grid":
        return Grid(self)

    def within(self, sector: str, other: str) -> bool:
        """Whether a sector is another or part of it."""
        at: str | None = sector
        seen = set()
        while at is not None and at not in seen:
            if at == other:
                return True
            seen.add(at)
            at = self.parents.get(at)
        return False


class Grid:
    """The atoms of a family, and which of them each row is the sum of."""

    def __init__(self, family: Family) -> None:
        import numpy as np

        self.family = family
        rows = [r for table in family.tables for r in table]
        sectors = {r.cell.sector_code for r in rows}
        channels = {r.cell.channel_code for r in rows}
        self.leaves = {s for s in sectors if not any(o != s and family.within(o, s) for o in sectors)}
        self.details = channels - {"all"} or channels
        self.pieces = _pieces(rows)
        where = {(s, c): self._present(rows, s, c) for s, c in self._finest(sectors, channels)}
        self.atoms = [(s, c, t) for (s, c), pieces in where.items() for t in sorted(pieces)]
        self._sector = np.array([a[0] for a in self.atoms], dtype=object)
        self._channel = np.array([a[1] for a in self.atoms], dtype=object)
        self._time = np.array([a[2] for a in self.atoms], dtype=np.int64)
        self._in_sector = {s: np.array([family.within(a[0], s) for a in self.atoms], dtype=bool) for s in sectors}
        self._in_channel = {
            c: np.ones(len(self.atoms), dtype=bool) if c == "all" else self._channel == c for c in channels
        }
        self._in_period = {p: np.isin(self._time, list(pieces)) for p, pieces in self.pieces.items()}
        self._places: dict[Key, Places] = {}
        self.everything: Places = np.arange(len(self.atoms), dtype=np.int64)

    def _finest(self, sectors: set[str], channels: set[str]) -> list[tuple[str, str]]:
        if self.family.loose:
            return [(s, c) for s in sorted(sectors) for c in sorted(channels)]
        return [(s, c) for s in sorted(self.leaves) for c in sorted(self.details)]

    def _present(self, rows: Sequence[Row], sector: str, channel: str) -> set[int]:
        """The pieces of time in which this sector and channel may hold something."""
        periods = {r.cell.period_code for r in rows}
        there = {r.cell.period_code for r in rows if (r.cell.sector_code, r.cell.channel_code) == (sector, channel)}
        present = {t for p in there for t in self.pieces[p]}
        if not self.family.loose:
            present -= {t for p in periods - there for t in self.pieces[p]}
        return present

    def of(self, row: Row) -> "Places":
        """The atoms that a row is the sum of."""
        import numpy as np

        cell = row.cell
        key = (cell.sector_code, cell.channel_code, cell.period_code)
        if key not in self._places:
            empty = np.zeros(len(self.atoms), dtype=bool)
            inside = self._in_sector.get(key[0], empty) & self._in_channel.get(key[1], empty)
            self._places[key] = np.flatnonzero(inside & self._in_period.get(key[2], empty))
        return self._places[key]

    def within(self, sector: str) -> "Places":
        import numpy as np

        return np.flatnonzero(self._sector == sector)

    def absent(self, table: Sequence[Row]) -> "Places":
        """The atoms that this table shows to hold nothing."""
        import numpy as np

        known = {r.cell.period_code for r in table}
        covered = {t for p in known for t in self.pieces[p]}
        by: dict[tuple[str, str], list[Row]] = {}
        for row in table:
            by.setdefault((row.cell.sector_code, row.cell.channel_code), []).append(row)
        present = {}
        for finest in {a[:2] for a in self.atoms}:
            there = {r.cell.period_code for r in by.get(finest, ())}
            present[finest] = {t for p in there for t in self.pieces[p]}
            if not self.family.loose:
                present[finest] -= {t for p in known - there for t in self.pieces[p]}
        gone = [i for i, (s, c, t) in enumerate(self.atoms) if t in covered and t not in present[s, c]]
        return np.array(gone, dtype=np.int64)


def _pieces(rows: Iterable[Row]) -> dict[str, set[int]]:
    """The pieces of time that each period is made of; a period without dates is a piece of its own."""
    periods: dict[str, tuple[dt.date, dt.date] | None] = {}
    for r in rows:
        dated = r.period_start is not None and r.period_end is not None
        periods[r.cell.period_code] = (r.period_start, r.period_end) if dated else None  # type: ignore[assignment]
    day = dt.timedelta(days=1)
    spans = {code: (span[0], span[1] + day) for code, span in periods.items() if span}
    cuts = sorted({end for span in spans.values() for end in span})
    pieces = {code: {i for i, cut in enumerate(cuts) if start <= cut < end} for code, (start, end) in spans.items()}
    undated = sorted(code for code, span in periods.items() if not span)
    return pieces | {code: {len(cuts) + i} for i, code in enumerate(undated)}


def families(
    output: str,
    rules: Rules,
    measures: dict[str, Measure],
    weighted: frozenset[tuple[str, str]],
    parents: Parents,
    tables: Sequence[Sequence[Row]],
    others: Iterable[Row] = (),
    release: str = "",
) -> list[Family]:
    """The rows of the newest table by monitor, audience and measure, each with those of earlier tables."""
    split = [{key: _dated(rows, release) for key, rows in _split(table).items()} for table in tables]
    more = _split(others)
    found = []
    for key, rows in sorted(split[-1].items()):
        own = tuple(more.get(key, ()))
        said = (*(tuple(table[key]) for table in split[:-1] if key in table), tuple(rows))
        once = all(r.n_answers == r.n_respondents for r in (*rows, *own) if not r.is_hidden)
        found.append(Family(output, rules, measures[key[2]], key[:2] in weighted, parents, said, own, release, once))
    return found


def _dated(rows: list[Row], release: str) -> list[Row]:
    """Rows that do not say when they were first published are of the newest release that others name."""
    newest = max(rows, key=lambda r: (r.as_of_release is not None, r.as_of_release == release, r.as_of or dt.date.min))
    return [r if r.as_of_release else r._replace(as_of=newest.as_of, as_of_release=newest.as_of_release) for r in rows]


def _split(rows: Iterable[Row]) -> dict[FamilyKey, list[Row]]:
    split: dict[FamilyKey, list[Row]] = {}
    for row in rows:
        split.setdefault(row.cell.family, []).append(row)
    return split
