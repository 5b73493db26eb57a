"""Which hidden cells numbers without rounding would give away: the null space of what is shown."""

from typing import TYPE_CHECKING

from pipelines.audit.family import Family
from pipelines.audit.outputs import Row

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

NOTHING = 1e-8


def determined(family: Family) -> list[Row]:
    """The hidden rows that are sums and differences of shown ones.

    Atoms that a shown row holds alone are known; the others fall apart into components that no shown row
    connects. A hidden row is determined if its part in each component is a combination of the rows there:
    orthogonal to their null space.
    """
    import numpy as np
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    grid = family.grid
    known = np.zeros(len(grid.atoms), dtype=bool)
    shown = [grid.of(row) for row in family.rows if not row.is_hidden]
    for atoms in shown:
        if len(atoms) == 1:
            known[atoms] = True
    left = sorted({tuple(atoms[~known[atoms]].tolist()) for atoms in shown} - {()})
    columns = np.array([a for row in left for a in row], dtype=np.int64)
    rows = np.repeat(np.arange(len(left)), [len(row) for row in left])
    incidence = csr_matrix((np.ones(len(columns)), (rows, columns)), shape=(len(left), len(grid.atoms)))
    _, component = connected_components(incidence.T @ incidence, directed=False)
    null: dict[int, tuple[npt.NDArray[np.int64], Doubles]] = {}

    def space(number: int) -> "tuple[npt.NDArray[np.int64], Doubles]":
        if number not in null:
            inside = np.flatnonzero((component == number) & ~known)
            part = incidence[:, inside]
            dense = part[np.flatnonzero(part.getnnz(axis=1))].toarray()
            null[number] = inside, _null_space(dense)
        return null[number]

    found = []
    for row in family.rows:
        if not row.is_hidden:
            continue
        atoms = grid.of(row)
        atoms = atoms[~known[atoms]]
        loose = False
        for number in set(component[atoms].tolist()):
            inside, basis = space(number)
            indicator = np.isin(inside, atoms).astype(float)
            if basis.size and float(np.abs(indicator @ basis).max()) > NOTHING:
                loose = True
                break
        if not loose:
            found.append(row)
    return found


def _null_space(matrix: "Doubles") -> "Doubles":
    """An orthonormal basis, in columns, of what the rows of a matrix do not see."""
    import numpy as np

    if not matrix.shape[0]:
        return np.eye(matrix.shape[1])
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    return np.asarray(vectors[:, values < 1e-9 * max(1.0, float(values[-1]))])
