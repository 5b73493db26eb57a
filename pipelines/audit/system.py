"""All that a family of rows says, as a linear program over its atoms.

Columns of an atom: `n` answers and, for means and shares, `u` = the sum of the answers' values above the
lowest value of the scale (0 <= u <= range * n); for net promoter scores promoters and detractors. Where answers
have weights, `w` stands in place of n in all that concerns values, free of n.

The atoms come in layers, one on the other: what was there at the oldest epoch, and what came after it
until the next. A participant's own answers are layers of their own beside those of the rest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.audit.family import Family, Statement
from pipelines.audit.outputs import Row
from pipelines.audit.plain import highest, lowest
from pipelines.audit.program import INFINITE, Form, Program

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int64]

SLACK = 1e-9


@dataclass(frozen=True)
class Layer:
    """Columns by atom; -1 where a layer has none."""

    n: "Places"
    w: "Places"
    parts: "tuple[Places, ...]"  # (u,) or (promoters, detractors)


@dataclass(frozen=True)
class Sums:
    """The answers of a cell, what its value is a share of, and the sums that make its value up.

    value = (factors * parts) / weight + low; no column stands in two of them.
    """

    n: Form
    weight: Form
    parts: tuple[Form, ...]
    factors: tuple[float, ...]
    low: float

    def over(self, value: float) -> Form:
        """By how much the sum of values is above what it would be at this value."""
        parts = [part.times(factor) for part, factor in zip(self.parts, self.factors, strict=True)]
        return Form.beside([*parts, self.weight.times(self.low - value)])

    @property
    def total(self) -> Form:
        """The sum of values."""
        return self.over(0.0)


class System:
    """The program of a family, for an outsider or for participants who know their own rows.

    Without `figures` it holds what rows tell by being there, and by why they are hidden.
    """

    def __init__(self, family: Family, own: Sequence[tuple[Row, ...]] = (), *, figures: bool = True) -> None:
        self.family = family
        self.known = own
        self.figures = figures
        self.program = Program()
        self.most = max([1e6, *(100.0 * (r.n_answers or 0) for r in family.rows)])  # keeps every program bounded
        self._late: list[tuple[Form, float, float]] = []
        everything = family.grid.everything
        self.rest = [self._layer(everything, late=False) for _ in family.epochs]
        self.own = [
            [self._layer(family.grid.within(rows[0].cell.sector_code), late=True) for _ in family.epochs]
            for rows in own
        ]
        for table in family.tables:
            self._absent(table)
        for statement in family.statements:
            self._state(statement, [self.rest, *self.own], [self.rest])
        for rows, layers in zip(own, self.own, strict=True):
            for row in rows:
                if len(family.grid.of(row)):  # that one is not there tells nothing: own tables leave out small cells
                    self._state(Statement(row, family.epoch(row), True), [layers], [])
        for form, low, high in self._late:
            self.program.bound(form, low, high, row=True)

    # --- columns -------------------------------------------------------------------------------

    def _layer(self, atoms: "Places", late: bool) -> Layer:
        import numpy as np

        family, program = self.family, self.program

        def columns() -> "Places":
            places = np.full(len(family.grid.atoms), -1, dtype=np.int64)
            places[atoms] = program.columns(len(atoms), self.most)
            return places

        n = columns()
        w = columns() if family.weighted else n
        parts: tuple[Places, ...]
        if family.measure.statistic == "nps":
            parts = (columns(), columns())
            coefficients = np.array([-1.0, 1.0, 1.0])
        else:
            parts = (columns(),)
            coefficients = np.array([-family.measure.range, 1.0])
        for column in parts:
            for c in column[atoms]:
                program.upper[c] = INFINITE
        for atom in atoms:
            self._put(Form(np.array([w[atom], *(p[atom] for p in parts)]), coefficients), -INFINITE, 0.0, late)
        return Layer(n, w, parts)

    def sums(self, row: Row, stacks: Sequence[Sequence[Layer]], epoch: int, since: int = -1) -> Sums:
        """The forms of a row: all layers of these stacks up to its epoch, or only those after another."""
        import numpy as np

        family, measure = self.family, self.family.measure
        atoms = family.grid.of(row)
        counted = [layer for stack in stacks for layer in stack[since + 1 : epoch + 1]]
        valued = [layer for stack in stacks for layer in stack[epoch : epoch + 1]] if family.weighted else counted

        def form(columns: "Iterable[Places]") -> Form:
            joined = np.concatenate([none, *(c[atoms] for c in columns)])
            joined = joined[joined >= 0]
            return Form(joined, np.ones(len(joined)))

        none = np.empty(0, np.int64)
        is_nps = measure.statistic == "nps"
        n = form(layer.n for layer in counted)
        weight = form(layer.w for layer in valued) if family.weighted else n
        parts = tuple(form(layer.parts[i] for layer in valued) for i in range(2 if is_nps else 1))
        return Sums(n, weight, parts, (100.0, -100.0) if is_nps else (1.0,), 0.0 if is_nps else measure.low)

    # --- rows ----------------------------------------------------------------------------------

    def _bound(self, form: Form, alone: Form, low: float, high: float) -> None:
        """Bound a form; those that an outsider's program has as bounds of a column come last, as rows."""
        if len(alone.columns) == len(form.columns):
            self.program.bound(form, low, high)
        elif len(alone.columns) == 1:
            self._late.append((form, low, high))
        else:
            self.program.bound(form, low, high, row=True)

    def _state(self, statement: Statement, stacks: list[list[Layer]], alone: list[list[Layer]]) -> None:
        row, epoch = statement.row, statement.epoch
        if alone and not self.figures:
            if epoch >= 0:
                self._be_there(row, self.sums(row, stacks, epoch).n)
            return
        if epoch < 0:
            self._stand(statement, stacks, alone)
            return
        sums = self.sums(row, stacks, epoch)
        before = self.sums(row, alone, epoch) if alone and len(alone) < len(stacks) else sums
        low, high = self.answers(row)
        if alone:
            self._bound(sums.n, before.n, low, high)
        else:
            self._late.append((sums.n, low, high))
        self._values(row, sums, late=not alone)
        newest = self.family.newest
        if statement.stands and not row.is_hidden and 0 <= epoch < newest:
            since = self.sums(row, stacks, newest, epoch)
            older = self.sums(row, alone, newest, epoch) if alone and len(alone) < len(stacks) else since
            limit = max(self.family.rules.answers_changed - 1, 0)
            if alone:
                self._bound(since.n, older.n, 0.0, limit)
            else:
                self._late.append((since.n, 0.0, limit))

    def _be_there(self, row: Row, n: Form) -> None:
        """What a row tells without its figures: it has an answer, and why it is hidden tells whether it has few."""
        low, high = self.answers(row) if row.is_hidden else (1.0, self.most)
        self.program.bound(n, low, high)

    def answers(self, row: Row) -> tuple[float, float]:
        """What the number of answers of a row can be, by what it shows and why it does not."""
        rules = self.family.rules
        step = rules.base_rounding
        if not row.is_hidden and row.n_answers is not None:
            low, high = lowest(row.n_answers, step), highest(row.n_answers, step)
            people = rules.respondents if row.n_respondents is None else lowest(row.n_respondents, step)
            least = max(low, people, rules.respondents)
            return (float(least) if least <= high else float(max(low, 1)), float(high))
        if row.suppression_reason != "respondents":
            return float(rules.respondents), self.most  # else that would be the reason
        return 1.0, float(rules.respondents - 1) if self.family.answers_are_people else self.most

    def _values(self, row: Row, sums: Sums, *, late: bool) -> None:
        """Keep value and shares of promoters within their rounding."""
        measure = self.family.measure
        if row.is_hidden or row.value is None:
            return
        if row.value - measure.half > measure.low:
            self._put(sums.over(row.value - measure.half), 0.0, INFINITE, late)
        if row.value + measure.half < measure.high:
            self._put(sums.over(row.value + measure.half), -INFINITE, 0.0, late)
        if measure.statistic != "nps":
            return
        half = 0.5 + SLACK
        for part, share in zip(sums.parts, (row.promoters_pct, row.detractors_pct), strict=True):
            if share is None:
                continue
            if share - half > 0:
                self._put(Form.beside([part.times(100.0), sums.weight.times(half - share)]), 0.0, INFINITE, late)
            if share + half < 100:
                self._put(Form.beside([part.times(100.0), sums.weight.times(-half - share)]), -INFINITE, 0.0, late)

    def _put(self, form: Form, low: float, high: float, late: bool) -> None:
        if late:
            self._late.append((form, low, high))
        else:
            self.program.bound(form, low, high, row=True)

    def _stand(self, statement: Statement, stacks: list[list[Layer]], alone: list[list[Layer]]) -> None:
        """A row that stands from a release not told apart: it is near what the row would say now."""
        row, family = statement.row, self.family
        if row.is_hidden or not statement.stands:
            return
        sums = self.sums(row, stacks, family.newest)
        low, high = self.answers(row)
        more = float(max(family.rules.answers_changed - 1, 0))
        if family.taken_back:
            low = max(low - more, min(low, float(family.rules.respondents)))
        before = self.sums(row, alone, family.newest) if alone and len(alone) < len(stacks) else sums
        if alone:
            self._bound(sums.n, before.n, low, high + more)
        else:
            self._late.append((sums.n, low, high + more))
        if family.weighted or row.value is None:
            return
        # total now = total then + newcomers, at most `more` of them, each within the scale; or where answers went or
        # were corrected, the total moved by less than `more` + 1 answers can move it
        measure = family.measure
        for sign, edge in ((1, row.value - measure.half), (-1, row.value + measure.half)):
            worst = (measure.low - edge) if sign == 1 else (measure.high - edge)
            room = max(-sign * worst, 0.0) * more
            if family.taken_back:
                room = measure.range * (more + 1) + abs(edge) * more
            self._put(sums.over(edge), *((-room, INFINITE) if sign == 1 else (-INFINITE, room)), not alone)

    def _absent(self, table: Sequence[Row]) -> None:
        """Atoms that a table shows to be empty were so at its epoch and before."""
        newest = self.family.newest_of(table)
        for atom in self.family.grid.absent(table):
            for stack in [self.rest, *self.own]:
                for layer in stack[: newest + 1]:
                    self._empty(layer, int(atom))

    def _empty(self, layer: Layer, atom: int) -> None:
        for column in {int(c[atom]) for c in (layer.n, layer.w, *layer.parts)} - {-1}:
            self.program.upper[column] = 0.0
