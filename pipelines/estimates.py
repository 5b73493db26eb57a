"""The distribution functions that formulas in SQL need and the engine lacks.

The formulas themselves stand in `sql/estimate/`. Functions get and give whole columns, return NULL
for NULL and for arguments outside their domain, and do not depend on how rows are batched.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import duckdb

from pipelines.engine import add_function


def t_quantile(p, df):  # type: ignore[no-untyped-def]  # Arrow arrays in and out
    """Quantile of Student's t distribution for probability p and df degrees of freedom.

    Source: scipy.special.stdtrit (Cephes); equal to R's qt to 1e-12 relative.
    """
    from scipy.special import stdtrit

    return _apply(lambda p, df: stdtrit(df, p), p, df, usable=lambda p, df: (p > 0) & (p < 1) & (df > 0))


def t_test(t, df):  # type: ignore[no-untyped-def]
    """Two-sided p-value of a t statistic with df degrees of freedom: the chance of one at least as far from 0.

    Source: scipy.special.stdtr (Cephes); R's 2 * pt(-abs(t), df).
    """
    from scipy.special import stdtr

    return _apply(lambda t, df: 2 * stdtr(df, -abs(t)), t, df, usable=lambda t, df: df > 0)


def normal_quantile(p):  # type: ignore[no-untyped-def]
    """Quantile of the standard normal distribution. Source: scipy.special.ndtri (Cephes); R's qnorm."""
    from scipy.special import ndtri

    return _apply(ndtri, p, usable=lambda p: (p > 0) & (p < 1))


def normal_test(z):  # type: ignore[no-untyped-def]
    """Two-sided p-value of a standard normal statistic. Source: scipy.special.ndtr (Cephes); R's 2 * pnorm(-abs(z))."""
    from scipy.special import ndtr

    return _apply(lambda z: 2 * ndtr(-abs(z)), z, usable=lambda z: z == z)


def share_low(share, se, df, n):  # type: ignore[no-untyped-def]
    """Lower end of the 95 % interval of a share in percent; see `_share_end`."""
    return _apply(functools.partial(_share_end, -1), share, se, df, n, usable=lambda _, se, df, n: (df > 0) & (n > 0))


def share_high(share, se, df, n):  # type: ignore[no-untyped-def]
    """Upper end of the 95 % interval of a share in percent; see `_share_end`."""
    return _apply(functools.partial(_share_end, 1), share, se, df, n, usable=lambda _, se, df, n: (df > 0) & (n > 0))


def _share_end(side: int, share: Any, se: Any, df: Any, n: Any) -> Any:
    """One end of the interval of a share, both in percent, from its standard error, with t(df, 0.975) for 1.96.

    On the logit scale: L = ln(p / (1 - p)) with se / (p (1 - p)), turned back. With fewer than five
    effective answers on either side (n_eff = p (1 - p) / se^2), or none, Wilson's interval on n_eff;
    where p is 0 or 1 and se therefore 0, on n (Kish). Any other share without error, such as
    that of all organisations there are, is its own interval. Source: Korn and Graubard 1999; Wilson 1927.
    """
    import numpy as np
    from scipy.special import stdtrit

    t, p, e = stdtrit(df, 0.975), share / 100, se / 100
    with np.errstate(divide="ignore", invalid="ignore"):
        n_effective = np.where((p == 0) | (p == 1), n, p * (1 - p) / e**2)
        few = n_effective * np.minimum(p, 1 - p) < 5
        logit = np.log(p / (1 - p)) + side * t * e / (p * (1 - p))
        middle = p + t**2 / (2 * n_effective)
        half = t * np.sqrt(p * (1 - p) / n_effective + t**2 / (4 * n_effective**2))
        wilson = (middle + side * half) / (1 + t**2 / n_effective)
        end = np.where(few, np.clip(wilson, 0, 1), 1 / (1 + np.exp(-logit)))
    end = 100 * np.where((p == 0) & (side < 0), 0, np.where((p == 1) & (side > 0), 1, end))
    return np.minimum(end, share) if side < 0 else np.maximum(end, share)  # where they are the same, to the last bit


TOLERANCE = 1e-4  # of inverse_matrix


def inverse_matrix(cells: list[float] | None) -> list[float] | None:
    """Inverse of a correlation matrix, its cells row after row; NULL where the variables are collinear.

    By the sweep operator: the pivot is the share of a variable that those before it leave unexplained, and
    one over a diagonal cell of the inverse is the share that all others leave. Below 1 in 10,000 (SPSS's
    tolerance) a variable counts as collinear. Plain floats: the last bit depends on no library of linear
    algebra. Source: Goodnight 1979, A tutorial on the SWEEP operator.
    """
    if not cells or None in cells:
        return None
    p = math.isqrt(len(cells))
    a = [cells[p * i : p * i + p] for i in range(p)]
    for k in range(p):
        pivot = a[k][k]
        if pivot < TOLERANCE:
            return None
        a[k] = [x / pivot for x in a[k]]
        a[k][k] = 1 / pivot
        for i in range(p):
            if i != k:
                factor = a[i][k]
                a[i] = [x - factor * y for x, y in zip(a[i], a[k], strict=True)]
                a[i][k] = -factor / pivot
    if any(a[i][i] * TOLERANCE > 1 for i in range(p)):
        return None
    return [x for row in a for x in row]


def _apply(function: Callable[..., Any], *columns: Any, usable: Callable[..., Any]) -> Any:
    """The function of whole columns of doubles, NULL where an argument is missing or not usable."""
    import numpy as np
    import pyarrow as pa

    arguments = [_floats(column) for column in columns]
    with np.errstate(invalid="ignore"):
        good = np.logical_and.reduce([np.isfinite(a) for a in arguments]) & usable(*arguments)
        values = np.zeros(len(good))
        values[good] = function(*(a[good] for a in arguments))
    bitmap = np.packbits(good, bitorder="little").tobytes()
    buffers = [pa.py_buffer(bitmap), pa.py_buffer(values.tobytes())]
    return pa.Array.from_buffers(pa.float64(), len(values), buffers)  # pa.array would import pandas


def _floats(column: Any) -> Any:
    """A column of doubles with NaN for NULL, by its buffers: the ready-made conversion would import pandas."""
    import numpy as np

    chunks = column.chunks if hasattr(column, "chunks") else [column]
    arrays = []
    for chunk in chunks:
        bitmap, data = chunk.buffers()
        values = np.frombuffer(data, np.float64)[chunk.offset : chunk.offset + len(chunk)]
        if bitmap is not None:
            bits = np.unpackbits(np.frombuffer(bitmap, np.uint8), bitorder="little")
            values = np.where(bits[chunk.offset : chunk.offset + len(chunk)] == 1, values, np.nan)
        arrays.append(values)
    return np.concatenate(arrays) if arrays else np.empty(0)


FUNCTIONS = {
    "t_quantile": (t_quantile, ["DOUBLE", "DOUBLE"]),
    "t_test": (t_test, ["DOUBLE", "DOUBLE"]),
    "normal_quantile": (normal_quantile, ["DOUBLE"]),
    "normal_test": (normal_test, ["DOUBLE"]),
    "share_low": (share_low, ["DOUBLE"] * 4),
    "share_high": (share_high, ["DOUBLE"] * 4),
}


# A sum of fractions that is the same in any order: whole multiples of 2^-93 of `most`, a number that no |x| of a group
# exceeds (2^31 times as much is an error). Two numbers a fraction, as a cast to HUGEINT takes ten times as long.
EXACT_SUM = """
    (sum(round(x / most * 2147483648)::BIGINT)::HUGEINT * 4611686018427387904
    + sum(((x / most * 2147483648 - round(x / most * 2147483648)) * 4611686018427387904)::BIGINT)::HUGEINT)::DOUBLE
    / 9903520314283042199192993792 * any_value(most)
"""


def register(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Give the engine those functions that the query names; the others cost an import."""
    if "exact_sum" in sql:
        con.execute(f"CREATE OR REPLACE MACRO exact_sum(x, most) AS {EXACT_SUM}")
    for name, (function, parameters) in FUNCTIONS.items():
        if name in sql:
            add_function(con, name, function, parameters, "DOUBLE", type="arrow", null_handling="special")
    if "inverse_matrix" in sql:
        add_function(con, "inverse_matrix", inverse_matrix, ["DOUBLE[]"], "DOUBLE[]", null_handling="special")
