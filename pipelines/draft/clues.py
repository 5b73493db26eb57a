"""What one column looks like, taken alone: personal, free text, a scale, coded, several answers in a cell.

What it is for, given the other columns, is in `proposal.py`. Nothing here shows a value of a personal column or of
free text.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipelines.draft.columns import Column
from pipelines.draft.notation import LONGEST, plain
from pipelines.draft.vocabulary import (
    ALWAYS_PERSONAL,
    BOOKKEEPING,
    CHANNEL,
    EMAIL,
    FREE_TEXT,
    FREE_TEXT_SHORT,
    GRADES,
    NO_GRADE,
    ORGANISATION,
    PERSONAL,
    PERSONAL_VALUES,
    RECOMMENDS,
    RESPONDENT,
    RESPONSE,
    WEIGHT,
    missing,
    same_words,
)

CODED = 20  # distinct values up to which a column is shown


def means(pattern: str, column: Column) -> bool:
    """Whether its id or its text says this."""
    return re.search(pattern, column.words) is not None


def is_named(pattern: str, column: Column) -> bool:
    """Whether its id says this."""
    return re.search(pattern, column.name) is not None


# --- what may not be shown -----------------------------------------------------------------------


def personal(column: Column) -> str | None:
    """What makes a column personal, or None. A date is none by its values."""
    if what := personal_name(column, PERSONAL | ALWAYS_PERSONAL):
        return what
    if column.dates or is_named(WEIGHT, column):
        return None
    found = (what for what, pattern in PERSONAL_VALUES.items() if any(pattern.fullmatch(v) for v in column.counts))
    return next(found, "holds e-mail addresses" if any(EMAIL.search(v) for v in column.counts) else None)


def personal_name(column: Column, kinds: Mapping[str, str]) -> str | None:
    """What its heading says that a column holds of a person. Of a whole question only the last words tell."""
    name = column.name.split()
    short = " " + " ".join(name if column.is_short else name[-3:]) + " "
    if re.search(ORGANISATION, short) or re.search(CHANNEL, short):
        return None
    return next((what for what, pattern in kinds.items() if re.search(pattern, short)), None)


def has_codes_only(column: Column) -> bool:
    """Whether every value is a short number or has a label in the file."""
    return all(re.fullmatch(r"[\d.,-]{1,6}", v) or v in column.labels for v in column.counts)


def is_free_text(column: Column) -> bool:
    """Whether its heading says that people wrote here in their own words."""
    if has_codes_only(column):
        return False
    return means(FREE_TEXT, column) or (column.is_short and is_named(FREE_TEXT_SHORT, column))


def shown(value: str, column: Column) -> str:
    """A value as it may be shown, or nothing: a text that was seen once may be somebody's own words."""
    if value in column.labels:
        return f"{plain(value)} = {plain(column.labels[value])}"
    code = re.fullmatch(r"-?\d{1,6}([.,]\d{1,2})?|[A-Za-z]{0,2}\d{1,2}", value)
    return plain(value) if len(value) <= LONGEST and (code or column.counts[value] > 1) else ""


# --- a scale -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Grades:
    """The answers of a graded question, sorted out."""

    numbers: Counter[float]
    texts: dict[str, float]  # `10 - very likely` → 10
    missing: dict[str, list[str]]  # reason → values
    rest: int  # answers that would be quarantined

    @property
    def are_whole(self) -> bool:
        return sum(n for x, n in self.numbers.items() if x.is_integer()) > 0.95 * self.numbers.total()


def is_hinted(column: Column) -> bool:
    """Whether its heading asks for a grade."""
    return means(RECOMMENDS, column) or means(GRADES, column)


def grades(column: Column, decimal: str) -> Grades | None:
    """The column as a graded question, or None if it is none: 0 to 10 or 1 to 10, whole or half."""
    numbers: Counter[float] = Counter()
    texts: dict[str, float] = {}
    none: dict[str, list[str]] = {}
    rest = 0
    for value, n in column.counts.items():
        number, label = _number(value, decimal), column.label_of(value)
        lead = re.fullmatch(r"(10|\d)\s*[-–—=:(.]\s*\D+", value)
        graded = number is not None and 0 <= number <= 10
        if graded and (reason := missing("", label)):
            none.setdefault(reason, []).append(value)
        elif graded and number is not None:
            numbers[number] += n
        elif lead and len(value) <= LONGEST:
            texts[value] = float(lead[1])
            numbers[float(lead[1])] += n
        elif (reason := missing(value, label)) and len(value) <= LONGEST:
            none.setdefault(reason, []).append(value)
        else:
            rest += n
    if not _is_scale(column, numbers, rest):
        return None
    if texts:  # every other number may come, too
        lowest = 0 if 0 in numbers or means(RECOMMENDS, column) else 1
        bare = {str(n): float(n) for n in range(lowest, 11) if n not in texts.values()}
        texts = dict(sorted((texts | bare).items(), key=lambda item: item[1]))
    return Grades(numbers, texts, none, rest)


def _number(value: str, decimal: str) -> float | None:
    return float(value.replace(",", ".")) if re.fullmatch(rf"-?\d{{1,3}}(\{decimal}\d)?", value) else None


def _is_scale(column: Column, numbers: Counter[float], rest: int) -> bool:
    """Whether these answers are grades up to 10 and not a count, a code or a shorter scale."""
    answers, hinted = numbers.total(), is_hinted(column)
    if not answers or sum(n for x, n in numbers.items() if x * 2 % 1) > 0.1 * answers:
        return False
    if not hinted and (means(NO_GRADE, column) or len(numbers) < min(3, answers)):
        return False
    top = 9 if not hinted else 8 if answers >= 30 else 7
    high = sum(n for x, n in numbers.items() if x >= top)
    if high < 0.02 * answers or sum(n for x, n in numbers.items() if x > 5) < 0.2 * answers:
        return False  # a shorter scale
    return rest <= (0.1 if hinted else 0) * column.filled


# --- anything else -------------------------------------------------------------------------------


def reasons(column: Column, values: Iterable[str]) -> dict[str, list[str]]:
    """Which of these values are likely to be no answer. What a label says goes before what the code is."""
    found: dict[str, list[str]] = {}
    for value in values:
        if reason := missing("" if value in column.labels else value, column.label_of(value)):
            found.setdefault(reason, []).append(value)
    return found


def seems(column: Column) -> str:
    """What a column without a role seems to be, for the comment behind it."""
    said = f"{plain(column.label, 60)}: " if column.label and not same_words(column.label, column.id) else ""
    return said + _seems(column)


def _seems(column: Column) -> str:
    if what := personal(column):
        return f"personal: {what}"
    if not column.filled:
        return "empty in the rows read"
    if re.fullmatch("|".join((*RESPONSE[:2], RESPONDENT)), column.name):
        return "an identifier"
    numbers = [v for v in column.counts if re.fullmatch(r"-?\d+([.,]\d+)?", v)]
    if is_free_text(column):
        mostly = sum(column.counts[v] for v in numbers) > 0.8 * column.filled
        return "free text" + (", nearly always a number" if mostly else "")
    if column.dates:
        return "a date or moment"
    if is_named(WEIGHT, column):
        return "a weight? Then `{role: weight}` under columns"
    if parts := _joined(column):
        return f'several answers joined with ; as `{{role: options, separator: ";", options: ...}}`: {parts}'
    if len(column.counts) == 1 and column.filled < column.rows:
        (value,) = column.counts
        if ticked := shown(value, column):
            return f"one choice of several? Then `{{role: choice, group: ...}}`; ticked: {ticked} ({column.filled})"
    kept = column.is_short and is_named(BOOKKEEPING, column)
    if _is_coded(column):
        return f"{'bookkeeping, ' if kept else ''}{_values(column)}"
    if kept:
        return "bookkeeping of the tool"
    if numbers and all(v in numbers or missing(v, v) for v in column.counts):
        return f"numbers, {len(numbers)} different"
    if column.unique and all(" " not in v for v in column.counts):
        return "an identifier"
    return "free text"


def _is_coded(column: Column) -> bool:
    """Whether the values are codes or labels: few, and labelled by the file or short and repeated."""
    if len(column.counts) > CODED:
        return False
    long = sum(n for v, n in column.counts.items() if len(v) > LONGEST or len(v.split()) > 6)
    return bool(column.labels) or (len(column.counts) * 2 <= column.filled and long <= 0.5 * column.filled)


def _joined(column: Column) -> str:
    """The parts of cells in which several answers are joined with `;`, as far as they may be shown."""
    if sum(n for v, n in column.counts.items() if v.endswith(";")) < 0.5 * column.filled:
        return ""
    parts: Counter[str] = Counter()
    for value, n in column.counts.items():
        for part in filter(None, map(str.strip, value.split(";"))):
            parts[part] += n
    if len(parts) > CODED:
        return ""
    return ", ".join(f"{plain(p)} ({n})" for p, n in parts.most_common() if n > 1 and len(p) <= LONGEST)


def _values(column: Column) -> str:
    """The distinct values with how often each was seen."""
    numeric = all(re.fullmatch(r"-?\d{1,6}", v) for v in column.counts)
    order = sorted(column.counts, key=(lambda v: (int(v), v)) if numeric else (lambda v: (-column.counts[v], v)))
    said = [f"{text} ({column.counts[v]})" for v in order if (text := shown(v, column))]
    hidden = len(order) - len(said)
    coded = "coded: " + ", ".join(said) if said else "coded"
    return coded + (f"; {hidden} not shown: long, or seen once" if hidden else "")
