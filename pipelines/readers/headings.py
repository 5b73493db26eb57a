"""From the rows above the data to one stable id per column.

An id is text without tags, with single spaces and no line breaks. A blank heading is called `column N`,
counted from 1; an id that was there before gets ` #2`, ` #3`, ... Where the rows come from is for the readers.
"""

import html
import re
from collections.abc import Sequence

from pipelines.errors import DeliveryRefused
from pipelines.formats import Heading

MOST_COLUMNS = 16_384  # the width of a sheet; a wider table is read with the wrong delimiter
LONGEST = 10_000  # characters of one heading
BREAKS = re.compile(r"</?(?:br|p|div|li|tr|td)\b[^<>]*>", re.I)
TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.S)
ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
IMPORT_ID = re.compile(r"""["']ImportId["']+\s*:\s*["']+([^"']+)["']""")  # JSON, or what Python prints


def cleaned(cell: str) -> str:
    """A heading without tags, line breaks and double spaces."""
    if "<" in cell:
        cell = TAGS.sub("", BREAKS.sub(" ", cell))
    if "&" in cell:
        cell = ENTITY.sub(lambda found: html.unescape(found[0]), cell)
    return " ".join("".join(c if c.isprintable() else " " for c in cell).split())


def ids(file: str, rows: Sequence[Sequence[str]], roles: Sequence[Heading], width: int) -> list[str]:
    """The id of each of `width` columns. `rows` are the heading rows, `roles` what each is."""
    check_width(file, width)
    if any(len(cell) > LONGEST for row in rows for cell in row):
        raise DeliveryRefused(f"{file}: a heading is longer than {LONGEST:,} characters; a quote is probably missing.")
    named: dict[str, list[str]] = {}
    for role, row in zip(roles, rows, strict=True):
        named[role] = [cleaned(cell) for cell in row] + [""] * (width - len(row))
    plain = named.get("name", [""] * width)
    if "group" in named:
        plain = _grouped(named["group"], plain)
    if "import_id" in named:
        imported = [found[1].strip() if (found := IMPORT_ID.search(cell)) else "" for cell in named["import_id"]]
        if not any(imported):
            raise DeliveryRefused(
                f"{file}: heading row {list(roles).index('import_id') + 1} has no ImportId; correct `headings` or "
                "`legacy` in the contract's format."
            )
        plain = [first or second for first, second in zip(imported, plain, strict=True)]
    if roles and not any(plain):
        raise DeliveryRefused(f"{file} has no heading: its first row is empty.")
    return unique(plain)


def check_width(file: str, width: int) -> None:
    if width > MOST_COLUMNS:
        raise DeliveryRefused(f"{file} has {width:,} columns; at most {MOST_COLUMNS:,} can be read.")


def unique(names: Sequence[str]) -> list[str]:
    """The names with blanks and repeats told apart."""
    named = [name or f"column {place}" for place, name in enumerate(names, start=1)]
    taken, seen, count = set(named), set[str](), dict[str, int]()
    result = []
    for name in named:
        id = name
        while id in seen or (id != name and id in taken):
            count[name] = count.get(name, 1) + 1
            id = f"{name} #{count[name]}"
        seen.add(id)
        result.append(id)
    return result


def _grouped(groups: list[str], names: list[str]) -> list[str]:
    result, group = [], ""
    for start, name in zip(groups, names, strict=True):
        group = start or group
        result.append(" | ".join(part for part in (group, name) if part))
    return result
