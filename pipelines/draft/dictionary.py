"""What a file of SPSS or Stata says about its own columns: texts, labels of codes, sets of several answers.

Other files say nothing of the kind. What the columns then hold is for `columns.py`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.readers.archive import is_packed, seekable
from pipelines.readers.headings import cleaned


@dataclass(frozen=True)
class Several:
    """A multiple-response set of SPSS: the columns that hold the answers to one question."""

    name: str
    columns: list[str]
    counted: str | None  # what a ticked column holds; None: each column holds one of the answers


@dataclass(frozen=True)
class Dictionary:
    texts: dict[str, str] = field(default_factory=dict)  # column → its text for people
    codes: dict[str, dict[str, str]] = field(default_factory=dict)  # column → code → label
    sets: tuple[Several, ...] = ()


def read(path: Path, kind: Literal["spss", "stata"]) -> Dictionary:
    """Nothing where the file cannot be read: the reader says in words why."""
    import pyreadstat

    reading = pyreadstat.read_sav if kind == "spss" else pyreadstat.read_dta
    with seekable(path) as file:
        try:
            _, meta = reading(file if is_packed(path) else str(path), metadataonly=True)
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeError):
            return Dictionary()
    return Dictionary(
        {name: cleaned(text) for name, text in meta.column_names_to_labels.items() if text},
        {
            name: {_code(code): cleaned(str(label)) for code, label in labels.items()}
            for name, labels in meta.variable_value_labels.items()
        },
        tuple(
            Several(name, made["variable_list"], _code(made["counted_value"]) if made["is_dichotomy"] else None)
            for name, made in meta.mr_sets.items()
        ),
    )


def _code(code: Any) -> str:
    """A code as its cells have it."""
    return str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)
