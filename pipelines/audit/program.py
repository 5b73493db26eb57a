"""Linear programs: what numbers can be, given all that is published. Solved by HiGHS, warm from one to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelines.errors import MeetlatError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Places = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]

INFINITE = float("inf")
PATIENCE = 60.0  # seconds for a program


@dataclass(frozen=True)
class Form:
    """A sum of columns with coefficients; no column stands in it twice."""

    columns: "Places"
    values: "Doubles"

    @staticmethod
    def beside(forms: "Sequence[Form]") -> "Form":
        """The sum of forms that have no column in common."""
        import numpy as np

        return Form(np.concatenate([f.columns for f in forms]), np.concatenate([f.values for f in forms]))

    def times(self, factor: float) -> "Form":
        return Form(self.columns, self.values * factor)


class Program:
    """Columns with bounds and rows with bounds. Rows of one column become bounds of it."""

    def __init__(self) -> None:
        self.lower: list[float] = []
        self.upper: list[float] = []
        self.row_lower: list[float] = []
        self.row_upper: list[float] = []
        self.forms: list[Form] = []

    def columns(self, count: int, upper: float = INFINITE) -> "Places":
        import numpy as np

        first = len(self.lower)
        self.lower += [0.0] * count
        self.upper += [upper] * count
        return np.arange(first, first + count, dtype=np.int64)

    def bound(self, form: Form, low: float, high: float, *, row: bool = False) -> int:
        """Keep a form within bounds. Gives the row, or -1 if it became bounds of a column."""
        if len(form.columns) == 1 and form.values[0] == 1 and not row:
            column = int(form.columns[0])
            self.lower[column] = max(self.lower[column], low)
            self.upper[column] = min(self.upper[column], high)
            return -1
        self.forms.append(form)
        self.row_lower.append(low)
        self.row_upper.append(high)
        return len(self.forms) - 1

    def matrix(self) -> Any:
        """The coefficients of all rows."""
        return stack(self.forms, len(self.lower))


def stack(forms: Sequence[Form], size: int) -> Any:
    """Forms as the rows of a sparse matrix."""
    import numpy as np
    from scipy.sparse import csr_matrix

    if not forms:
        return csr_matrix((0, size))
    starts = np.cumsum([0, *(len(f.columns) for f in forms)])
    columns, values = np.concatenate([f.columns for f in forms]), np.concatenate([f.values for f in forms])
    return csr_matrix((values, columns, starts), shape=(len(forms), size))


class Solver:
    """A program in HiGHS, solved time after time for other objectives, each from where the last one ended."""

    def __init__(self, program: Program, start: "Solver | None" = None) -> None:
        import highspy
        import numpy as np

        self.program = program
        self.solved = 0
        self.size = len(program.lower)
        self._all = np.arange(self.size, dtype=np.int32)
        self._cost = np.zeros(self.size)
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, setting in (("output_flag", False), ("threads", 1)):
            self._highs.setOptionValue(option, setting)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.size, len(program.forms)
        lp.col_cost_ = self._cost
        lp.col_lower_, lp.col_upper_ = np.array(program.lower), np.array(program.upper)
        lp.row_lower_, lp.row_upper_ = np.array(program.row_lower), np.array(program.row_upper)
        matrix = program.matrix()
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32)
        lp.a_matrix_.value_ = matrix.data
        self._highs.passModel(lp)
        self._contradicts = bool(np.any(lp.col_lower_ > lp.col_upper_))
        self._basis: Any = None
        if start is not None:
            self._take_basis(start)

    def _take_basis(self, start: "Solver") -> None:
        """Begin where a program ended whose columns and rows are the first of this one."""
        import highspy

        old = start._basis
        if old is None:
            return
        basis = highspy.HighsBasis()
        basis.col_status = list(old.col_status) + [highspy.HighsBasisStatus.kLower] * (self.size - len(old.col_status))
        basis.row_status = list(old.row_status) + [highspy.HighsBasisStatus.kBasic] * (
            len(self.program.forms) - len(old.row_status)
        )
        basis.valid = True
        self._highs.setBasis(basis)
        self._highs.setOptionValue("simplex_strategy", 4)

    def _run(self) -> Any:
        self.solved += 1
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + PATIENCE)  # its clock never stops
        self._highs.run()
        return self._highs.getModelStatus()

    def first(self) -> "Doubles | None":
        """Any solution; None if there is none, because the bounds contradict each other."""
        import highspy
        import numpy as np

        if self._contradicts:
            return None
        status = self._run()
        if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
            return None
        if status == highspy.HighsModelStatus.kModelEmpty:
            return np.zeros(self.size)
        if status != highspy.HighsModelStatus.kOptimal:
            raise MeetlatError(f"HiGHS did not find out whether the figures fit: {status}.")
        self._basis = self._highs.getBasis()
        # from here on only the objective changes, so the last basis stays feasible: the primal simplex
        self._highs.setOptionValue("simplex_strategy", 4)
        self._highs.setOptionValue("presolve", "off")
        return np.array(self._highs.getSolution().col_value)

    def bound_row(self, row: int, low: float, high: float) -> None:
        self._highs.changeRowBounds(row, low, high)

    def most(self, form: Form, sign: int = 1) -> "tuple[float, Doubles] | None":
        """The largest value of a form (sign -1: the smallest) and where it is taken; None if there is no solution."""
        import highspy
        import numpy as np

        if self.size == 0:  # nothing in it can be
            return 0.0, np.zeros(0)
        cost = np.zeros(self.size)
        cost[form.columns] = -sign * form.values
        self._highs.changeColsCost(self.size, self._all, cost)
        for attempt in range(3):
            status = self._run()
            if status == highspy.HighsModelStatus.kOptimal:
                found = np.array(self._highs.getSolution().col_value)
                return float(form.values @ found[form.columns]), found
            if status == highspy.HighsModelStatus.kInfeasible:
                return None
            self._highs.clearSolver()  # a stale factorisation: once more from scratch, by the dual simplex
            self._highs.setOptionValue("simplex_strategy", 1 if attempt == 0 else 4)
        raise MeetlatError(f"HiGHS could not bound a figure: {self._highs.modelStatusToString(status)}.")
