"""The distribution functions that formulas in SQL need and the engine lacks.

The formulas themselves stand in `sql/estimate/`. Functions get and give whole columns, return NULL
for NULL and for arguments outside their domain, and do not depend on how rows are batched.
"""

from collections.abc import Callable
from typing import Any

import duckdb


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
}


def register(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Give the connection those functions that the query names; the others cost an import."""
    for name, (function, parameters) in FUNCTIONS.items():
        if name in sql:
            con.create_function(name, function, parameters, "DOUBLE", type="arrow", null_handling="special")  # type: ignore[call-overload]
