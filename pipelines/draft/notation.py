"""How texts and values are written in the YAML of a draft: scalars, lists, comments and questions.

Nothing here knows what a contract says; that is `contract.py`.
"""

import re
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

WIDE = 116  # characters of a line
LONGEST = 40  # characters of a value that is shown


def scalar(value: Any, quote: bool = False) -> str:
    """A value as YAML on one line, with quotes only where YAML would read something else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return str(value)
    simple = re.fullmatch(r"[\w(][\w .()/+&'?-]*", value) and not value.endswith(" ") and not quote
    if simple and yaml.safe_load(value) == value:
        return value
    text = yaml.dump(value, default_style='"', allow_unicode=True, width=float("inf"))
    return str(text).strip()


def flow(value: Any) -> str:
    """A value, a list or a mapping on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return scalar(value)


def key(name: str) -> str:
    """A column's name as a key; YAML takes a longer one only behind a question mark."""
    text = scalar(name)
    return text if len(text) < 1000 else f"? {text}\n  "


def plain(text: str, most: int = LONGEST) -> str:
    """A text that fits in a comment on one line."""
    one = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return one if len(one) <= most else one[: most - 3].rstrip() + "..."


def note(text: str) -> list[str]:
    """A comment, over as many lines as it needs."""
    return [f"# {line}" for line in textwrap.wrap(text, WIDE - 8, break_long_words=False, break_on_hyphens=False)]


def ask(*parts: str) -> list[str]:
    """A question to whoever reads the draft; a blank follows it."""
    first, *others = note("QUESTION: " + " ".join(part for part in parts if part))
    return [first, *(f"#   {line[2:]}" for line in others)]
