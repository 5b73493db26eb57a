"""What somebody can work out about a cell, and whether that is too much."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pipelines.audit.family import Family
from pipelines.audit.findings import Finding
from pipelines.audit.outputs import Row, Rules
from pipelines.audit.program import INFINITE, Form, Solver, stack
from pipelines.audit.system import Sums, System

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

NEAR = 1e-6  # of what the solver gives; what is claimed to be known is wider by so much
ENOUGH = 1.25  # times what is needed: not bounded any further


@dataclass
class Interval:
    """What a number can be: found so far (`low`, `high`), and which ends are known to be the last."""

    low: float = INFINITE
    high: float = -INFINITE
    low_known: bool = False
    high_known: bool = False

    @property
    def width(self) -> float:
        return max(self.high - self.low, 0.0)

    def take(self, number: float) -> None:
        self.low, self.high = min(self.low, number), max(self.high, number)

    def end(self, number: float, sign: int, near: float) -> None:
        """Nothing lies beyond this number."""
        self.take(number + sign * near)
        if sign == 1:
            self.high_known = True
        else:
            self.low_known = True


@dataclass
class Target:
    """A cell, or a part of it, that an attacker would like to know."""

    output: str
    attacker: str
    what: str  # the cell, or which part of it
    row: Row
    sums: Sums
    criterion: "Criterion"
    n: Interval = field(default_factory=Interval)
    mean: Interval = field(default_factory=Interval)
    floor: int = -1  # row of the program that can keep the number of answers at 1 or more; -1: it is anyhow
    nobody: bool = False  # there cannot be anybody in it
    epochs: tuple[int, int] = (-1, -1)  # newcomers: after which, until which

    @property
    def is_wide(self) -> bool:
        """Whether one of the two is known to be wide enough already."""
        return max(self.criterion.of_n(self.n), self.criterion.of_mean(self.mean)) >= ENOUGH


@dataclass(frozen=True)
class Criterion:
    """How wide the intervals of a target must be; ratios are widths over what is needed."""

    rules: Rules
    range: float  # of the scale
    kind: str  # people, contribution, newcomers or known
    least: float = 0.0  # people, contribution: wide enough if everything stays possible from here
    most: float = INFINITE  # to here
    half: float = 0.0  # known: what the figure would be rounded to

    def of_n(self, n: Interval) -> float:
        rules = self.rules
        is_open = n.low <= self.least + NEAR and n.high >= self.most - NEAR
        if self.kind in ("people", "contribution") and (is_open or (n.high_known and n.high < 0.5)):
            return INFINITE
        if self.kind == "people":
            return n.width / rules.respondents
        if self.kind == "contribution":
            if n.low < NEAR:
                return INFINITE
            p = rules.p_percent / 100
            return (n.high / n.low) / ((1 + p) / (1 - p)) if n.high > n.low else 0.0
        if self.kind == "newcomers":
            return INFINITE if n.low < 0.5 or n.high > rules.respondents - 0.5 else 0.0
        return n.width / (max(rules.base_rounding, 1) + NEAR)

    def of_mean(self, mean: Interval) -> float:
        if self.kind == "known":
            return mean.width / (2 * self.half + NEAR)
        return (mean.width + NEAR) / (self.rules.mean_width * self.range)

    @property
    def either(self) -> bool:
        """Whether one of the two being wide is enough."""
        return self.kind == "newcomers"

    def needed_n(self) -> str:
        if self.kind == "people":
            return (
                f"anything from {self.least:.0f} to {self.most:.0f} must be possible, "
                f"or a width of {self.rules.respondents}"
            )
        p = self.rules.p_percent / 100
        return f"the highest must be at least {(1 + p) / (1 - p):.3g} times the lowest"

    def needed_mean(self) -> str:
        return f"it must be at least {self.rules.mean_width * self.range:.3g} wide"


class Attack:
    """A system and what an attacker wants to know of it. Every solution widens what all targets can be."""

    def __init__(self, system: System, targets: list[Target], start: "Attack | None" = None) -> None:
        self.system = system
        self.targets = targets
        weighted = system.family.weighted
        for target in targets:
            if weighted or target.what != "cell":
                target.floor = system.program.bound(target.sums.weight, -INFINITE, INFINITE, row=True)
        self.solver: Solver = Solver(system.program, start.solver if start else None)
        self._bare: Solver | None = None
        self._least = 0.01 if weighted else 1 - NEAR
        self._matrices = [stack([getattr(t.sums, name) for t in targets], self.solver.size) for name in _SUMS]
        self._seen_n, self._seen_mean = _nothing_seen(len(targets)), _nothing_seen(len(targets))
        found = self.solver.first()
        self.is_possible = found is not None
        if found is not None:
            self._watch(found)

    def widen(self) -> None:
        """Push all newcomers at once: a few programs show of most that there may be none, or any."""
        import numpy as np

        measure = self.system.family.measure
        for is_mean, sign in ((False, -1), (True, 1), (True, -1), (False, 1)):
            came = [i for i, target in enumerate(self.targets) if target.criterion.either and not target.is_wide]
            if not came:
                return
            n, weight, total = (np.asarray(matrix[came].sum(axis=0)).ravel() for matrix in self._matrices)
            values = total - (measure.low + measure.high) / 2 * weight if is_mean else n
            columns = np.flatnonzero(values)
            answer = self.solver.most(Form(columns, values[columns]), sign)
            if answer is not None:
                self._watch(answer[1])

    def _watch(self, found: "Doubles") -> None:
        import numpy as np

        n, weight, total = (matrix @ found for matrix in self._matrices)
        counts = weight >= self._least
        mean = np.where(counts, total / np.where(counts, weight, 1.0), np.nan)
        for numbers, seen, name in ((n, self._seen_n, "n"), (mean, self._seen_mean, "mean")):
            for i in np.flatnonzero((numbers < seen[0]) | (numbers > seen[1])):
                getattr(self.targets[i], name).take(float(numbers[i]))
            np.fmin(seen[0], numbers, out=seen[0])
            np.fmax(seen[1], numbers, out=seen[1])

    def settle(self, target: Target, enough: float = ENOUGH) -> float:
        """How wide a target is, as a ratio to what is needed; exact below `enough`."""
        if target.criterion.kind == "known":
            enough = min(enough, 1.0)  # these are only counted
        ratio = self._settle(target, enough)
        if target.criterion.kind in ("people", "contribution") and target.criterion.of_n(target.n) < 1:
            target.criterion = self._without_figures(target)
            ratio = self._settle(target, enough)
        return ratio

    def _without_figures(self, target: Target) -> Criterion:
        """What a base must leave open: all that it could be for somebody who sees no figure, only which rows there are.

        `by_presence` counts that, which is enough for most; where small cells overlap, they tell more together.
        """
        if self._bare is None:
            self._bare = Solver(System(self.system.family, self.system.known, figures=False).program)
            self._bare.first()
        low, high = (self._bare.most(target.sums.n, sign) for sign in (-1, 1))
        if low is None or high is None:
            raise AssertionError("a program that had a solution has none")
        least, most = math.ceil(low[0] - NEAR), math.floor(high[0] + NEAR)
        known = target.criterion
        return replace(known, least=max(least, known.least), most=min(most, known.most))

    def _settle(self, target: Target, enough: float) -> float:
        criterion = target.criterion
        if criterion.either and (by_mean := criterion.of_mean(target.mean)) >= enough:
            return by_mean
        by_n = self._settle_n(target, enough)
        if (criterion.either and by_n >= enough) or target.nobody:
            return by_n
        by_mean = self._settle_mean(target, enough)
        if target.nobody:
            return INFINITE
        return max(by_n, by_mean) if criterion.either else min(by_n, by_mean)

    def _settle_n(self, target: Target, enough: float) -> float:
        n = target.n
        for sign in (1, -1):
            if target.criterion.of_n(n) >= enough:
                break
            if n.high_known if sign == 1 else n.low_known:
                continue
            answer = self.solver.most(target.sums.n, sign)
            if answer is None:
                raise AssertionError("a program that had a solution has none")
            self._watch(answer[1])
            n.end(answer[0], sign, NEAR)
        if n.high_known and n.high < 0.5:
            target.nobody = True
        return target.criterion.of_n(n)

    def _settle_mean(self, target: Target, enough: float) -> float:
        mean = target.mean
        weighted = self.system.family.weighted
        if target.criterion.of_mean(mean) >= enough:
            return target.criterion.of_mean(mean)
        if target.floor >= 0:
            self.solver.bound_row(target.floor, 1.0, 1.0 if weighted else INFINITE)
        try:
            for sign in (1, -1):
                if target.criterion.of_mean(mean) >= enough:
                    break
                if not (mean.high_known if sign == 1 else mean.low_known) and not target.nobody:
                    self._mean_end(target, sign)
        finally:
            if target.floor >= 0:
                self.solver.bound_row(target.floor, -INFINITE, INFINITE)
        return target.criterion.of_mean(mean)

    def _mean_end(self, target: Target, sign: int) -> None:
        """One end of the mean, by Dinkelbach's iterations: total - mean * weight has its largest value at 0."""
        mean, sums, scale = target.mean, target.sums, target.criterion.range
        at = mean.high if sign == 1 else mean.low
        if abs(at) == INFINITE:
            at = self.system.family.measure.low if sign == 1 else self.system.family.measure.high
        while True:
            answer = self.solver.most(sums.over(at), sign)
            if answer is None:
                target.nobody = True  # not even one answer fits
                return
            over, found = answer
            self._watch(found)
            last, at = at, at + over / max(float(sums.weight.values @ found[sums.weight.columns]), 1.0)
            if self.system.family.weighted or sign * over <= NEAR * scale:
                break
        # there is at least one answer: the mean ends no further than `over` from `last`
        mean.end((max if sign == 1 else min)(at, last + over), sign, NEAR * scale)

    @property
    def solved(self) -> int:
        return self.solver.solved

    def exactly(self, target: Target) -> Target:
        """Bound everything about a target, however wide."""
        for sign in (1, -1):
            answer = self.solver.most(target.sums.n, sign)
            assert answer is not None
            self._watch(answer[1])
            target.n.end(answer[0], sign, NEAR)
        self._settle_mean(target, INFINITE)
        return target

    def judge(self, target: Target, enough: float = ENOUGH) -> Finding:
        """What is known of a target, with how near that is to too much; exact below `enough`."""
        ratio = self.settle(target, enough)
        criterion = target.criterion
        by_n = criterion.of_n(target.n)
        part = "" if target.what == "cell" else f" of {target.what}"
        if criterion.either:
            about, interval, needed = f"the mean{part}", target.mean, criterion.needed_mean()
        elif by_n <= ratio:
            about, interval, needed = f"the number of answers{part}", target.n, criterion.needed_n()
        else:
            about, interval, needed = f"the mean{part}", target.mean, criterion.needed_mean()
        if criterion.kind == "newcomers":
            needed = f"they are {target.n.low:.0f} to {target.n.high:.0f}, and {needed}"
        return Finding(
            target.output, target.row.cell, target.attacker, about, interval.low, interval.high, needed, ratio
        )


_SUMS = ("n", "weight", "total")


def _nothing_seen(count: int) -> "tuple[Doubles, Doubles]":
    import numpy as np

    return np.full(count, INFINITE), np.full(count, -INFINITE)


# --- who wants to know what ----------------------------------------------------------------------


def hidden(system: System, attacker: str) -> Iterator[Target]:
    """The hidden rows of a family, as whoever reads its output sees them."""
    family = system.family
    rows = [row for row in family.rows if row.is_hidden and len(family.grid.of(row))]
    for row, limits in zip(rows, by_presence(system, rows), strict=True):
        epoch = family.epoch(row)
        sums = system.sums(row, [system.rest, *system.own], family.newest if epoch < 0 else epoch)
        yield Target(family.output, attacker, "cell", row, sums, criterion(family, row, limits))


def criterion(family: Family, row: Row, limits: tuple[int, int]) -> Criterion:
    """What the rules ask for a hidden row, or the part of it that is not the attacker's."""
    rules, measure = family.rules, family.measure
    if row.conf_status == "D":
        return Criterion(rules, measure.range, "known", half=measure.half)
    if row.suppression_reason in ("organisations", "dominance"):
        return Criterion(rules, measure.range, "contribution")
    return Criterion(rules, measure.range, "people", *limits)


def by_presence(system: System, rows: Sequence[Row], own: Sequence[tuple[Row, ...]] = ()) -> list[tuple[int, int]]:
    """What is known of the number of answers of rows without any figure.

    That a row is there says that it holds somebody, and hidden for few respondents, that it holds fewer than
    the rules ask for. So a hidden row with four parts holds 4 to 9, and each of the parts 1 to 6. Of what is
    not the attackers' own, as much less as they are sure to have given themselves.
    """
    import numpy as np

    family, grid = system.family, system.family.grid
    limit = family.rules.respondents - 1
    somebody, mine = np.zeros(len(grid.atoms)), np.zeros(len(grid.atoms))
    for there in family.rows:
        if len(grid.of(there)) == 1:
            somebody[grid.of(there)] = 1
    for there in (r for table in own for r in table):
        if len(grid.of(there)) == 1:
            mine[grid.of(there)] += system.answers(there)[0]
    others = somebody * (mine == 0)

    def members(of: Sequence[Row]) -> "Doubles":
        inside = np.zeros((len(of), len(grid.atoms)))
        for i, row in enumerate(of):
            inside[i, grid.of(row)] = 1
        return inside

    cells = members(rows)
    least = cells @ others
    most = np.full(len(rows), float(limit)) - cells @ mine
    if family.answers_are_people:
        few = members([r for r in family.rows if r.suppression_reason == "respondents"])
        holds = (cells @ few.T) == cells.sum(axis=1)[:, None]
        left = limit - (few @ (others + mine))[None, :] + (cells @ others)[:, None]
        most = np.minimum(most, np.where(holds, left, limit).min(axis=1, initial=limit))
    return [(max(int(low), 1), max(int(high), 0)) for low, high in zip(least, most, strict=True)]


def rests(system: System, own: Sequence[tuple[Row, ...]], attacker: str) -> Iterator[Target]:
    """What is left of hidden cells when participants take out their own answers."""
    family = system.family
    rows = shared(family, own)
    for row, limits in zip(rows, by_presence(system, rows, own), strict=True):
        epoch = family.epoch(row)
        sums = system.sums(row, [system.rest], family.newest if epoch < 0 else epoch)
        yield Target(family.output, attacker, "the others", row, sums, criterion(family, row, limits))


def shared(family: Family, own: Sequence[tuple[Row, ...]]) -> list[Row]:
    """The rows that hide themselves and to which all these participants contribute."""
    gave = [
        (rows[0].cell.sector_code, {(mine.cell.channel_code, mine.cell.period_code) for mine in rows}) for rows in own
    ]
    return [
        row
        for row in family.rows
        if row.conf_status == "C"
        and len(family.grid.of(row))
        and all(
            (row.cell.channel_code, row.cell.period_code) in cells and family.within(sector, row.cell.sector_code)
            for sector, cells in gave
        )
    ]


def newcomers(system: System, attacker: str) -> Iterator[Target]:
    """Who came between two publications of a row, or since the one that stands."""
    family = system.family
    if len(family.epochs) < 2 or family.weighted:
        return
    measure = family.measure
    shown: dict[object, list[tuple[int, Row]]] = {}
    for statement in family.statements:
        if statement.epoch >= 0 and not statement.row.is_hidden:
            shown.setdefault(statement.row.cell, []).append((statement.epoch, statement.row))
    for said in shown.values():
        said.sort(key=lambda pair: pair[0])
        ends = [*(epoch for epoch, _ in said[1:]), family.newest]
        for (since, row), until in zip(said, ends, strict=True):
            if since < until and len(family.grid.of(row)):
                sums = system.sums(row, [system.rest, *system.own], until, since)
                wanted = Criterion(family.rules, measure.range, "newcomers")
                yield Target(family.output, attacker, "newcomers", row, sums, wanted, epochs=(since, until))
