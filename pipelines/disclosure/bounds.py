"""How closely a hidden cell can be reckoned from what is shown: linear programming over one family of cells.

A family is everything that adds up to one another: the cells of one monitor, audience and measure. Its atoms are
the finest sectors, channels and stretches of time that the cells are made of. Of each atom nobody outside knows
the number of answers n, nor its numerator u, the sum of the answers on a scale from 0 to 1 (0 <= u <= n); of a
net promoter score the promoters a and detractors b, u = (n + a - b) / 2. Where answers have weights, which are not
shown, sums of weights w of any size stand for n beside the numerators. A figure that is shown, rounded, bounds
sums of them: n_shown -+ half a rounding step, (v - e) n <= u <= (v + e) n, all linear. Years that no period connects
have nothing in common: `apart` makes a program of each.

Cells made of the same atoms are one node: what is said of one is said of the other.
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import highspy
import numpy as np
from numpy.typing import NDArray

from pipelines.disclosure.cells import Cell

MANY = 1e7  # more answers than any family has; stands for "no bound"
TINY = 1e-7
MOST_SEEN = 400  # worlds that are kept


@dataclass(frozen=True)
class Rounding:
    """How figures are shown. `base` 0: numbers as they are; `exact`: values too."""

    base: int
    most_decimals: int
    detail_from: int
    exact: bool = False


@dataclass(frozen=True)
class Reach:
    """What can be concluded of a node, and the nodes whose figures that rests on."""

    low: float
    high: float
    rests_on: frozenset[int]


def atoms(cells: Sequence[Cell], parents: Mapping[str, str | None]) -> list[frozenset[int]]:
    """The atoms of every cell, as numbers."""
    codes = {c.key.sector_code for c in cells}
    inside: dict[str, set[str]] = {code: set() for code in codes}  # the finest sectors in each
    inner = {parents.get(code) for code in codes} - {None}
    for code in codes:
        if code not in inner:
            up: str | None = code
            while up is not None:
                inside.setdefault(up, set()).add(code)
                up = parents.get(up)
    channels = {c.key.channel_code for c in cells} - {"all"}
    cuts = sorted({c.period_start for c in cells} | {c.period_end + dt.timedelta(days=1) for c in cells})

    def rectangle(cell: Cell) -> list[tuple[str, str, dt.date]]:
        days = [day for day in cuts if cell.period_start <= day <= cell.period_end]
        over = channels if cell.key.channel_code == "all" else {cell.key.channel_code}
        return [(s, c, d) for s in sorted(inside[cell.key.sector_code]) for c in sorted(over) for d in days]

    # a finest cell that is not there holds nothing: neither do the atoms that it would be made of
    there: dict[tuple[str, str], list[tuple[dt.date, dt.date]]] = {}
    for cell in cells:
        there.setdefault((cell.key.sector_code, cell.key.channel_code), []).append((cell.period_start, cell.period_end))
    periods = {(c.period_start, c.period_end) for c in cells}

    def is_empty(atom: tuple[str, str, dt.date]) -> bool:
        sector, channel, day = atom
        known = set(there.get((sector, channel), []))
        return any(start <= day <= end and (start, end) not in known for start, end in periods)

    numbers: dict[tuple[str, str, dt.date], int] = {}
    empty: dict[tuple[str, str, dt.date], bool] = {}
    made_of = []
    for cell in cells:
        own = rectangle(cell)
        for atom in own:
            if atom not in empty:
                empty[atom] = is_empty(atom)
        full = [atom for atom in own if not empty[atom]] or own
        made_of.append(frozenset(numbers.setdefault(atom, len(numbers)) for atom in full))
    return made_of


class Family:
    """The linear program of a family, kept warm: figures are hidden and asked about one after the other.

    `least` is the fewest people that a figure is shown of.
    """

    def __init__(
        self, cells: Sequence[Cell], parents: Mapping[str, str | None], rounding: Rounding, least: int = 1
    ) -> None:
        made_of = atoms(cells, parents)
        numbers = {a: i for i, a in enumerate(dict.fromkeys(made_of))}
        self.cells = list(cells)
        self.node_of = [numbers[a] for a in made_of]
        self.members: list[list[int]] = [[] for _ in numbers]
        for place, node in enumerate(self.node_of):
            self.members[node].append(place)
        self.atoms = [sorted(a) for a in numbers]
        self.present = {own[0] for own in self.atoms if len(own) == 1}  # atoms that have a row of their own
        self.rounding, self.least = rounding, least
        self.is_nps = cells[0].statistic == "nps"
        self.is_weighted = any(c.is_weighted for c in cells)
        self.hidden: set[int] = set()
        self._build()
        self.inside = np.zeros((len(self.atoms), self.count))
        for node, own in enumerate(self.atoms):
            self.inside[node, own] = 1.0
        self.seen: list[NDArray[np.float64]] = []  # possible worlds: what the shown figures allow
        self._spread()

    # --- the program

    def _build(self) -> None:
        count = len({a for node in self.atoms for a in node})
        self.count = count
        self.weights = count if self.is_weighted else 0  # the first column of w, of a and of b
        self.first, self.second = self.weights + count, self.weights + 2 * count
        columns = self.weights + count * (3 if self.is_nps else 2)
        rows: list[tuple[dict[int, float], float, float]] = []
        for atom in range(count):  # an answer counts once
            row = {self.weights + atom: 1.0, self.first + atom: -1.0}
            rows.append((row | ({self.second + atom: -1.0} if self.is_nps else {}), 0.0, MANY))
        self.weigh = len(rows)  # the first row that can keep the weight of a node from vanishing
        if self.is_weighted:
            rows += [(self._w(node), 0.0, MANY) for node in range(len(self.atoms))]
        self.rows_of: list[list[int]] = []
        self.bounds_of: list[list[tuple[float, float]]] = []
        for node in range(len(self.atoms)):
            added = self._rows(node)
            self.rows_of.append(list(range(len(rows), len(rows) + len(added))))
            self.bounds_of.append([(low, high) for _, low, high in added])
            rows += added
        self.node_of_row = {row: node for node, each in enumerate(self.rows_of) for row in each}
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = columns, len(rows)
        lp.col_cost_ = np.zeros(columns)
        lp.col_lower_, lp.col_upper_ = np.zeros(columns), np.full(columns, MANY)
        lp.row_lower_ = np.array([low for _, low, _ in rows])
        lp.row_upper_ = np.array([high for _, _, high in rows])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.cumsum([0, *(len(row) for row, _, _ in rows)]).astype(np.int32)
        lp.a_matrix_.index_ = np.array([i for row, _, _ in rows for i in row], np.int32)
        lp.a_matrix_.value_ = np.array([v for row, _, _ in rows for v in row.values()])
        self.solver = highspy.Highs()  # type: ignore[no-untyped-call]
        self.solver.setOptionValue("output_flag", False)
        # each goal from where the last one ended: primal simplex; the rows are of one size, so they are not scaled
        settings = {"threads": 1, "simplex_strategy": 4, "simplex_scale_strategy": 0}
        for name, setting in settings.items():
            self.solver.setOptionValue(name, setting)
        self.solver.setOptionValue("presolve", "off")
        self.solver.passModel(lp)

    def _n(self, node: int) -> dict[int, float]:
        return dict.fromkeys(self.atoms[node], 1.0)

    def _w(self, node: int) -> dict[int, float]:
        return {self.weights + a: 1.0 for a in self.atoms[node]}

    def _u(self, node: int) -> dict[int, float]:
        own = self.atoms[node]
        if not self.is_nps:
            return {self.first + a: 1.0 for a in own}
        half = {self.weights + a: 0.5 for a in own} | {self.first + a: 0.5 for a in own}
        return half | {self.second + a: -0.5 for a in own}

    def _rows(self, node: int) -> list[tuple[dict[int, float], float, float]]:
        """What the figures of a node say while they are shown."""
        cell = self.cells[self.members[node][0]]
        rounding, n, w = self.rounding, self._n(node), self._w(node)
        step = rounding.base
        shown = step * round(cell.n_answers / step) if step else cell.n_answers
        half_step = step // 2  # of a whole number
        people = step * round(cell.n_respondents / step) if step else cell.n_respondents
        # what is shown has enough people behind it, and each of them gave an answer
        fewest = max(shown - half_step, people - half_step, min(self.least, cell.n_answers))
        found = [(n, float(fewest), float(shown + half_step))]

        def ratio(numerator: dict[int, float], low: float, high: float) -> None:
            for bound, at_least in ((low, True), (high, False)):
                row = {i: numerator.get(i, 0.0) - bound * w.get(i, 0.0) for i in {**numerator, **w}}
                found.append((row, 0.0 if at_least else -MANY, MANY if at_least else 0.0))

        length = cell.high - cell.low
        half = 0.0 if rounding.exact else 0.5 * 10.0 ** -min(cell.decimals, rounding.most_decimals)
        value = cell.value if rounding.exact else round(cell.value, min(cell.decimals, rounding.most_decimals))
        ratio(self._u(node), (value - half - cell.low) / length, (value + half - cell.low) / length)
        if self.is_nps and cell.n_respondents >= rounding.detail_from:
            for start, share in ((self.first, cell.promoters_pct), (self.second, cell.detractors_pct)):
                if share is not None:
                    part = {start + a: 1.0 for a in self.atoms[node]}
                    known = share if rounding.exact else round(share)
                    around = 0.0 if rounding.exact else 0.5
                    ratio(part, (known - around) / 100, (known + around) / 100)
        return found

    # --- hiding

    def hide(self, node: int, fewest: float = 1, most: float = MANY) -> None:
        """Take the figures of a node away. What the reason tells of its answers stays known."""
        self.hidden.add(node)
        first, *others = self.rows_of[node]
        self.solver.changeRowBounds(first, fewest, most)
        for row in others:
            self.solver.changeRowBounds(row, -MANY, MANY)
        inside = [world for world in self.seen if fewest - TINY <= world[self.atoms[node]].sum() <= most + TINY]
        if len(inside) < len(self.seen):
            self.seen = inside
            self._spread()

    def show(self, node: int) -> None:
        """Give them back. Worlds that they rule out are forgotten."""
        self.hidden.discard(node)
        for row, (low, high) in zip(self.rows_of[node], self.bounds_of[node], strict=True):
            self.solver.changeRowBounds(row, low, high)
        rows = self._rows(node)

        def is_possible(world: NDArray[np.float64]) -> bool:
            sums = ((sum(v * world[i] for i, v in row.items()), low, high) for row, low, high in rows)
            return all(low - TINY <= total <= high + TINY for total, low, high in sums)

        self.seen = [world for world in self.seen if is_possible(world)]
        self._spread()

    def _spread(self) -> None:
        """How far apart the worlds seen so far are, per node: the base, and the value from 0 to 1."""
        count = len(self.atoms)
        self.base = np.array([np.full(count, np.inf), np.full(count, -np.inf)])
        self.ratio = np.array([np.full(count, np.inf), np.full(count, -np.inf)])
        for world in self.seen:
            self._see(world)

    def _see(self, world: NDArray[np.float64]) -> None:
        n = self.inside @ world[: self.count]
        w = self.inside @ world[self.weights : self.first]
        a = self.inside @ world[self.first : self.second]
        u = 0.5 * (w + a - self.inside @ world[self.second :]) if self.is_nps else a
        there = w >= (0.01 if self.is_weighted else 1 - TINY)
        ratio = np.divide(u, w, out=np.full(len(n), 0.5), where=there)
        self.base = np.array([np.minimum(self.base[0], n), np.maximum(self.base[1], n)])
        self.ratio = np.array(
            [
                np.where(there, np.minimum(self.ratio[0], ratio), self.ratio[0]),
                np.where(there, np.maximum(self.ratio[1], ratio), self.ratio[1]),
            ]
        )

    def look_around(self, times: int) -> None:
        """See worlds far apart before anything is asked, so that most cells need not be asked about.

        Half of the hidden nodes are pushed up and the others down, in bases or in values, by chance; then the
        other way round.
        """
        random = np.random.default_rng(times)
        nodes = sorted(self.hidden)
        for look in range(times):
            signs = random.choice((-1.0, 1.0), len(nodes))
            for way in (1, -1):
                costs: dict[int, float] = {}
                for node, sign in zip(nodes, way * signs, strict=True):
                    goal = self._n(node) if look % 2 else self._off(node, self._known(node))
                    for i, v in goal.items():
                        costs[i] = costs.get(i, 0.0) + sign * v
                self._solve(costs, True)

    def _known(self, node: int) -> float:
        """The value of a node as it is, from 0 to 1."""
        cell = self.cells[self.members[node][0]]
        return (cell.value - cell.low) / (cell.high - cell.low)

    def _off(self, node: int, level: float) -> dict[int, float]:
        """u - level * w of a node."""
        w, u = self._w(node), self._u(node)
        return {i: u.get(i, 0.0) - level * w.get(i, 0.0) for i in {**u, **w}}

    # --- asking

    def _solve(
        self, costs: Mapping[int, float], most: bool
    ) -> tuple[float, NDArray[np.float64], frozenset[int]] | None:
        """The best value, where it lies, and the shown nodes that keep it from being better."""
        columns = self.solver.getNumCol()
        dense = np.zeros(columns)
        dense[list(costs)] = list(costs.values())
        self.solver.changeColsCost(columns, np.arange(columns, dtype=np.int32), dense)
        self.solver.changeObjectiveSense(highspy.ObjSense.kMaximize if most else highspy.ObjSense.kMinimize)
        self.solver.run()
        if self.solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self.solver.getSolution()
        world = np.asarray(solution.col_value)
        if len(self.seen) < MOST_SEEN:
            self.seen.append(world)
        self._see(world)
        duals = np.flatnonzero(np.abs(np.asarray(solution.row_dual)) > TINY)
        rests = frozenset(self.node_of_row[int(r)] for r in duals if int(r) in self.node_of_row) - self.hidden
        best = float(self.solver.getInfo().objective_function_value)
        return best, world, rests

    def count_reach(self, node: int) -> Reach:
        """The fewest and the most answers that a node can have."""
        low, high = self._solve(self._n(node), False), self._solve(self._n(node), True)
        if low is None or high is None:  # figures that contradict each other tell everything
            return Reach(0, 0, frozenset(range(len(self.atoms))) - self.hidden)
        return Reach(low[0], high[0], low[2] | high[2])

    def value_reach(self, node: int, enough: float) -> Reach:
        """The lowest and highest value that a node can have, from 0 to 1; no further than `enough` apart.

        u / w is no linear goal; the largest u - m w is 0 where m is the largest u / w (Dinkelbach 1967). Without
        weights w is n.
        """
        known, w, u = self._known(node), self._w(node), self._u(node)
        ends = [min(known, float(self.ratio[0][node])), max(known, float(self.ratio[1][node]))]
        if ends[1] - ends[0] >= enough:
            return Reach(ends[0], ends[1], frozenset())
        if self.is_weighted:
            self.solver.changeRowBounds(self.weigh + node, 1.0, MANY)
        try:
            return self._value_reach(node, enough, ends, w, u)
        finally:
            if self.is_weighted:
                self.solver.changeRowBounds(self.weigh + node, 0.0, MANY)

    def _value_reach(
        self, node: int, enough: float, ends: list[float], w: dict[int, float], u: dict[int, float]
    ) -> Reach:
        rests: set[int] = set()
        for place, most in ((1, True), (0, False)):
            for _ in range(30):
                found = self._solve(self._off(node, ends[place]), most)
                if found is None:
                    return Reach(0, 0, frozenset(range(len(self.atoms))) - self.hidden)
                best, at, rest = found
                base = float(at[list(w)].sum())
                if abs(best) <= 1e-6 * max(base, 1.0):
                    rests |= rest
                    break
                ends[place] = float(sum(v * at[i] for i, v in u.items())) / base
                if ends[1] - ends[0] >= enough:
                    return Reach(ends[0], ends[1], frozenset())
        return Reach(ends[0], ends[1], frozenset(rests))


def families(cells: Iterable[Cell]) -> dict[tuple[str, str, str], list[Cell]]:
    """Cells by monitor, audience and measure, each family in the order of its keys."""
    found: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in sorted(cells, key=lambda c: c.key):
        found.setdefault(cell.key.family, []).append(cell)
    return found


def apart(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells of a family by stretches of time that no period crosses, such as years: none adds up to one of another."""
    began: list[dt.date] = []
    end = dt.date.min
    for start, last in sorted({(c.period_start, c.period_end) for c in cells}):
        if start > end:
            began.append(start)
        end = max(end, last)
    stretches: list[list[Cell]] = [[] for _ in began]
    for cell in cells:
        stretches[bisect_right(began, cell.period_start) - 1].append(cell)
    return stretches
