"""The margins of `raw/reference/population.csv`: what the list may say, before any answer is looked at.

Whether a sample can meet the margins shows only in the data: see `weighting.py`.
"""

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence

PARTS = ("sector", "size_class", "channel")  # what a margin may be made of, beside `segment:<name>`
UNITS = ("customers", "respondents", "organisations")
KEY = ("weighting_code", "monitor_code", "audience_code", "period_code")
FILE = "reference/population.csv"

Row = Mapping[str, str]


def faults(
    rows: Sequence[Row],
    codes: Mapping[str, Collection[str]],
    size_classes: Collection[str],
    segments: Collection[tuple[str, str]],
) -> list[str]:
    """What is wrong with the list, as sentences. `codes` are those of the other lists, by the name of the list."""
    known = {"sector": codes["sectors"], "channel": codes["channels"], "size_class": size_classes}
    known |= {f"segment:{name}": [c for s, c in segments if s == name] for name, _ in segments}
    found = []
    seen: set[tuple[str, ...]] = set()
    for row in rows:
        said = _row_fault(row, codes, known)
        key = tuple(row[c] for c in (*KEY, "margin", "level"))
        if not said and key in seen:
            said = "stands there more than once"
        seen.add(key)
        if said:
            found.append(f"{place(row['weighting_code'], row['margin'], row['level'])}: {said}.")
    return found or _weighting_faults(rows)


def place(weighting: str, margin: str = "", level: str = "") -> str:
    """Where in the list something is, as every message about it begins."""
    named = [f"weighting '{weighting}'", margin and f"margin '{margin}'", level and f"level '{level}'"]
    return ", ".join([FILE, *filter(None, named)])


def _row_fault(row: Row, codes: Mapping[str, Collection[str]], known: Mapping[str, Collection[str]]) -> str:
    if blank := [column for column, cell in row.items() if not cell]:
        return f"{', '.join(blank)} is blank"
    for column, name in (("monitor_code", "monitors"), ("audience_code", "audiences")):
        if row[column] not in codes[name]:
            return f"{column} '{row[column]}' is not in reference/{name}.csv"
    parts, levels = row["margin"].split("*"), row["level"].split("*")
    if unknown := [part for part in parts if part not in known]:
        return (
            f"'{unknown[0]}' is nothing that answers can be weighted by; a margin is made of {', '.join(PARTS)} and "
            "segment:<name> of a segment in a contract, joined with *"
        )
    if len(set(parts)) < len(parts):
        return "the margin names the same thing twice"
    if len(levels) != len(parts):
        return f"a level of this margin has {len(parts)} codes, joined with *"
    for part, level in zip(parts, levels, strict=True):
        if level not in known[part]:
            return f"'{level}' is no code of {part}"
    if not re.fullmatch(r"[0-9]{1,15}", row["population"]):
        return f"population '{row['population']}' is not a whole number"
    if row["unit"] not in UNITS:
        return f"unit '{row['unit']}' is none of {', '.join(UNITS)}"
    try:
        dt.date.fromisoformat(row["source_date"])
    except ValueError:
        return f"source_date '{row['source_date']}' is no day such as 2024-12-31"
    return ""


def _weighting_faults(rows: Sequence[Row]) -> list[str]:
    """What is wrong between the rows of one weighting, or between weightings."""
    found = []
    used: dict[tuple[str, ...], str] = {}
    for key in dict.fromkeys(tuple(row[c] for c in KEY) for row in rows):
        mine = [row for row in rows if tuple(row[c] for c in KEY) == key]
        if (other := used.setdefault(key[1:], key[0])) != key[0]:
            found.append(
                f"{place(key[0])}: {' '.join(key[1:])} is weighted by '{other}' already; one monitor, audience and "
                "period has one weighting."
            )
        if len(units := sorted({row["unit"] for row in mine})) > 1:
            found.append(f"{place(key[0])}: the unit is {' and '.join(units)}; all margins must count the same.")
        totals: dict[str, int] = {}
        for row in mine:
            totals[row["margin"]] = totals.get(row["margin"], 0) + int(row["population"])
        first, total = next(iter(totals.items()))
        for margin, other_total in totals.items():
            if other_total != total:
                found.append(
                    f"{place(key[0], margin)}: adds up to {other_total:,} in {key[3]}, but margin '{first}' to "
                    f"{total:,}; all margins of a weighting count the same population."
                )
        if total == 0:
            found.append(f"{place(key[0], first)}: adds up to nothing.")
    return found
