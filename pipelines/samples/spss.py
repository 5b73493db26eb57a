"""Writing SPSS files (.sav) whose bytes depend on their content alone.

Belongs here: the file. Not here: which variables it has, or what they hold.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from pyreadstat import write_sav

# the header says here when it was written; we say always the same
CREATED_AT, CREATED = 92, b"21 Jan 2112:00:00"

Column = Sequence[float | None] | Sequence[str] | Sequence[dt.date | None]


class Variable(NamedTuple):
    """A variable and its column of values; a user-missing range is (lowest, highest)."""

    label: str
    values: Column
    format: str
    labels: Mapping[float, str] = {}
    missing: Sequence[float] = ()
    missing_range: tuple[float, float] | None = None


def write(path: Path, label: str, variables: Mapping[str, Variable]) -> None:
    """Write one file."""
    pandas = import_module("pandas")  # the only frame that write_sav takes and that is at hand
    frame = pandas.DataFrame(
        {
            name: pandas.Series(list(one.values), dtype="float64" if one.format[0] == "F" else "object")
            for name, one in variables.items()
        }
    )
    ranges: dict[str, list[object]] = {}
    for name, one in variables.items():
        if one.missing_range is not None:
            ranges[name] = [{"lo": one.missing_range[0], "hi": one.missing_range[1]}, *one.missing]
    write_sav(
        frame,
        str(path),
        file_label=label,
        column_labels={name: one.label for name, one in variables.items()},
        row_compress=True,
        variable_value_labels={name: dict(one.labels) for name, one in variables.items() if one.labels},
        missing_ranges=ranges,  # type: ignore[arg-type]
        variable_format={name: one.format for name, one in variables.items()},
    )
    with path.open("r+b") as file:
        file.seek(CREATED_AT)
        file.write(CREATED)
