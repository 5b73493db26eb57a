"""Raking and its residuals, for the SQL models in `sql/estimate/`: what SQL cannot say in a few lines.

A cell is a combination of one level of every margin, such as `banks` and `large`. Raking on cells
equals raking answers, since all answers of a cell get the same factor. Nothing here calls a linear
algebra library: sums are taken one by one, so the same cells give the same bits on every machine.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import duckdb

from pipelines.engine import add_function
from pipelines.population import place

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Places = npt.NDArray[np.intp]

SWEEPS = 500
NEAR = 1e-12  # the largest relative error of a margin that ends the raking
NOTHING = 1e-9  # share of a pivot that is left where a level says no more than those before it

LEVELS = "VARCHAR[]"  # one a margin; empty where an answer has none
CELL = f"STRUCT(levels {LEVELS}, weight DOUBLE)"
TARGET = "STRUCT(margin INTEGER, level VARCHAR, population BIGINT)"
RAKED = "STRUCT(fault VARCHAR, sweeps INTEGER, error_before DOUBLE, error_after DOUBLE, factors DOUBLE[])"

Cells = Sequence[dict[str, Any]]


def rake(name: str, margins: list[str], cells: Cells, targets: Cells) -> dict[str, Any]:
    """The factor of every cell, so that the weights of all margins add up to the population.

    Iterative proportional fitting (Deming and Stephan 1940), a margin at a time, until the largest
    relative error of a margin is below 1e-12. `error_before` is that of the base weights, brought to
    the size of the population. If the sample cannot meet the margins, `fault` is a sentence that says
    where, and there are no factors.
    """
    import numpy as np

    nothing = {"fault": None, "sweeps": 0, "error_before": 0.0, "error_after": 0.0, "factors": None}
    if fault := _fault(name, margins, cells, targets):
        return nothing | {"fault": fault}
    weight = np.array([cell["weight"] for cell in cells], np.float64)
    places, wanted = [], []
    for margin in range(len(margins)):
        population = {t["level"]: t["population"] for t in targets if t["margin"] == margin + 1 and t["population"]}
        place_of = {level: i for i, level in enumerate(population)}
        places.append(np.array([place_of[cell["levels"][margin]] for cell in cells], np.intp))
        wanted.append(np.array(list(population.values()), np.float64))

    def error(factor: "Doubles") -> float:
        sums = [np.bincount(p, weight * factor, len(n)) for p, n in zip(places, wanted, strict=True)]
        return max(float(np.max(np.abs(s / n - 1))) for s, n in zip(sums, wanted, strict=True))

    factor = np.full(len(weight), _total(wanted[0]) / _total(weight))
    before = after = error(factor)
    sweeps = 0
    while not after < NEAR:
        if sweeps == SWEEPS:
            worst = max(range(len(margins)), key=lambda m: float(_off(weight * factor, places[m], wanted[m]).max()))
            levels = [t["level"] for t in targets if t["margin"] == worst + 1 and t["population"]]
            level = levels[int(_off(weight * factor, places[worst], wanted[worst]).argmax())]
            return nothing | {
                "fault": f"{place(name, margins[worst], level)}: the margins cannot be met together; after {SWEEPS} "
                f"sweeps the sample is still off by {after:.2g} of it. Some combinations of levels are empty: merge "
                "levels, or leave a margin out."
            }
        sweeps += 1
        for p, n in zip(places, wanted, strict=True):
            factor = factor * (n / np.bincount(p, weight * factor, len(n)))[p]
        after = error(factor)
    return {
        "fault": None, "sweeps": sweeps, "error_before": before, "error_after": after, "factors": factor.tolist(),
    }  # fmt: skip


def calibration_fit(cells: Cells, sums: list[float]) -> list[float]:
    """What the margins explain of a variable in every cell: the fit of a weighted regression on their levels.

    `sums` holds each cell's sum of base weight times the variable. The residual of an answer is its
    variable less the fit of its cell. Normal equations with dummies, solved by the sweep operator
    (Goodnight 1979), which passes over levels that others already say.
    """
    import numpy as np

    weight = np.array([cell["weight"] for cell in cells], np.float64)
    columns: list[Places] = []
    size = 0
    for margin in range(len(cells[0]["levels"])):
        levels = {level: i for i, level in enumerate(dict.fromkeys(cell["levels"][margin] for cell in cells))}
        columns.append(np.array([size + levels[cell["levels"][margin]] for cell in cells], np.intp))
        size += len(levels)
    matrix = np.zeros((size + 1, size + 1))
    for one in columns:
        np.add.at(matrix, (one, np.full(len(cells), size)), np.array(sums, np.float64))
        for other in columns:
            np.add.at(matrix, (one, other), weight)
    full = matrix.diagonal().copy()
    for pivot in range(size):
        if matrix[pivot, pivot] > NOTHING * full[pivot]:
            row = matrix[pivot] / matrix[pivot, pivot]
            column = matrix[:, pivot].copy()
            column[pivot] = 0
            matrix -= column[:, None] * row[None, :]
            matrix[pivot] = row
        else:
            matrix[pivot] = 0
    fit = np.zeros(len(cells))
    for one in columns:
        fit = fit + matrix[one, size]
    return [float(f) for f in fit]


def _fault(name: str, margins: list[str], cells: Cells, targets: Cells) -> str:
    """Why these cells cannot meet the margins, as a sentence; empty if nothing is seen yet."""
    for i, margin in enumerate(margins):
        population = {t["level"]: t["population"] for t in targets if t["margin"] == i + 1}
        sample = {cell["levels"][i] for cell in cells}
        if "" in sample:
            return (
                f"{place(name, margin)}: some answers have no {margin}, so nobody can say whom they stand for. Give "
                "them a code of their own with a level here, or leave the margin out."
            )
        for level in sorted(sample - set(population)):
            return f"{place(name, margin, level)}: the sample has answers of this level, the list does not. Add it."
        for level, number in population.items():
            if number > 0 and level not in sample:
                return (
                    f"{place(name, margin, level)}: counts {number:,}, but the sample has no valid answer there. "
                    "Merge it with a level that has."
                )
            if number == 0 and level in sample:
                return f"{place(name, margin, level)}: counts nobody, but the sample has answers there; correct it."
    for cell in cells:
        if not cell["weight"] > 0:
            return (
                f"{place(name, '|'.join(margins), '|'.join(cell['levels']))}: the weights of these answers add up to "
                f"{cell['weight']:g}; weights lie above 0."
            )
    return ""


def _total(values: "Doubles") -> float:
    total = 0.0
    for value in values.tolist():
        total += value
    return total


def _off(weights: "Doubles", places: "Places", wanted: "Doubles") -> "Doubles":
    """By what share of it each level of a margin is missed."""
    import numpy as np

    return np.abs(np.bincount(places, weights, len(wanted)) / wanted - 1)


FUNCTIONS = {
    "rake": (rake, ["VARCHAR", "VARCHAR[]", f"{CELL}[]", f"{TARGET}[]"], RAKED),
    "calibration_fit": (calibration_fit, [f"{CELL}[]", "DOUBLE[]"], "DOUBLE[]"),
}


def register(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Give the connection those functions that the query names."""
    for name, (function, parameters, result) in FUNCTIONS.items():
        if f"{name}(" in sql:
            add_function(con, name, function, parameters, result)
