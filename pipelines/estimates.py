"""The distribution functions that formulas in SQL need and the engine lacks.

The formulas themselves stand in `sql/estimate/`. Functions get and give whole columns, return NULL
for NULL and for arguments outside their domain, and do not depend on how rows are batched.
"""

from typing import Any

import duckdb


def t_quantile(p, df):  # type: ignore[no-untyped-def]  # Arrow arrays in and out
    """Quantile of Student's t distribution for probability p and df degrees of freedom.

    Source: scipy.special.stdtrit (Cephes); equal to R's qt to 1e-12 relative.
    """
    import numpy as np
    import pyarrow as pa
    from scipy.special import stdtrit

    probability, freedom = _floats(p), _floats(df)
    usable = np.isfinite(probability) & np.isfinite(freedom) & (freedom >= 1)
    values = stdtrit(np.where(usable, freedom, 1.0), np.where(usable, probability, 0.5))
    valid = np.packbits(usable, bitorder="little").tobytes()
    buffers = [pa.py_buffer(valid), pa.py_buffer(values.tobytes())]
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


FUNCTIONS = {"t_quantile": (t_quantile, ["DOUBLE", "DOUBLE"])}


def register(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Give the connection those functions that the query names; the others cost an import."""
    for name, (function, parameters) in FUNCTIONS.items():
        if name in sql:
            con.create_function(name, function, parameters, "DOUBLE", type="arrow", null_handling="special")  # type: ignore[call-overload]
