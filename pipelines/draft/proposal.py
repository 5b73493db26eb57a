"""What each column is for, given all the others: roles for some, and a reason to discard the rest.

What a column looks like is in `clues.py`; the contract around the columns is in `contract.py`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pipelines import reference
from pipelines.draft import clues
from pipelines.draft.clues import CODED, is_named, means
from pipelines.draft.columns import Column, decimal_mark
from pipelines.draft.notation import LONGEST, flow, plain, scalar
from pipelines.draft.recognise import Export
from pipelines.draft.vocabulary import (
    ALWAYS_PERSONAL,
    CHANNEL,
    CHANNELS,
    COMPLAINT,
    DATES,
    EMPLOYER,
    EXCLUDE,
    GRADES,
    KEEP,
    ORGANISATION,
    RECOMMENDS,
    RESPONDENT,
    RESPONSE,
    SECTOR,
    STATUS,
    is_text,
    words,
)

# what Qualtrics writes in Status and Finished, as codes and as texts
QUALTRICS_KEEP = {"0", "4", "16", "32", "ip address"}
QUALTRICS_EXCLUDE = {
    "1": "preview", "survey preview": "preview", "2": "test_row", "survey test": "test_row",
    "8": "spam", "spam": "spam",
}  # fmt: skip
FINISHED_KEEP, FINISHED_EXCLUDE = {"1", "true"}, {"0": "not_finished", "false": "not_finished"}


@dataclass(frozen=True)
class Role:
    """One role of a column, with its keys as lines of YAML; a line that begins with # is for people."""

    name: str
    lines: list[str]


class Proposal:
    """Roles are given out in an order: what is an id is no status, what is a status is no question."""

    def __init__(self, export: Export, columns: Sequence[Column], lists: Mapping[str, reference.Rows]) -> None:
        self.export, self.columns, self.lists = export, columns, lists
        self.decimal = decimal_mark(export, columns)
        self.rows = max((column.rows for column in columns), default=0)
        self.roles: dict[str, list[Role]] = {}
        self.notes: list[str] = []  # questions about columns that do not stand under one
        self._find_ids()
        self._find_statuses()
        self._find_date()
        self._find_sets()
        self._find_codes()
        self._find_questions()
        self.discard = [(column.id, clues.seems(column)) for column in self._left()]

    def has(self, role: str) -> bool:
        return any(given.name == role for roles in self.roles.values() for given in roles)

    def _add(self, column: Column, role: str, *lines: str) -> None:
        self.roles.setdefault(column.id, []).append(Role(role, list(lines)))

    def _left(self) -> list[Column]:
        return [column for column in self.columns if column.id not in self.roles]

    # ids

    def _find_ids(self) -> None:
        found = self._response()
        if found is None and self.export.tool.startswith("Google") and self.columns[0].unique:
            self._add(
                self.columns[0], "response",
                "# the form gives no id: two responses in the same second would count as one, the last",
            )  # fmt: skip
        elif found is None:
            self.notes.append(
                "which column holds the id of the response? None was recognised. Take it out of `discard` and write it "
                "here as `NAME: {role: response}`. Every response needs its own."
            )
        else:
            repeated, blank = found.filled - len(found.counts), found.rows - found.filled
            said = [f"# {repeated} of the {found.rows} rows read repeat an earlier id; the last counts"]
            self._add(found, "response", *(said if repeated else []), *_blanks(blank))
        people = (c for c in self._left() if re.fullmatch(RESPONDENT, c.name) and c.filled > 0.5 * c.rows)
        person = next(people, None)
        if person and len(person.counts) > CODED / 4:
            self._add(person, "respondent")

    def _response(self) -> Column | None:
        """Of the columns whose name is that of an id, one in which (nearly) every cell is another."""
        for pattern in RESPONSE:
            fitting = [c for c in self.columns if re.fullmatch(pattern, c.name) and c.filled > 0.9 * c.rows]
            nearly = [c for c in fitting if len(c.counts) > 0.8 * c.rows]
            if nearly:
                return next((c for c in fitting if c.unique), nearly[0])
        return None

    # which rows count

    def _find_statuses(self) -> None:
        tool = self.export.tool
        for column in self._left():
            name = column.name.strip()
            if tool.startswith("Qualtrics") and name == "status":
                self._status(column, QUALTRICS_KEEP, QUALTRICS_EXCLUDE)
            elif tool.startswith("Qualtrics") and name == "finished":
                self._status(column, FINISHED_KEEP, FINISHED_EXCLUDE)
            elif tool.startswith("LimeSurvey") and name in ("submitdate", "date submitted"):
                self._add(column, "status", "keep: any", 'exclude: {"": not_completed}')
            elif is_named(STATUS, column) and 1 <= len(column.counts) <= 8:
                keep = {v.lower() for v in column.counts if is_text(KEEP, column.label_of(v))}
                exclude = {
                    v.lower(): reason
                    for v in column.counts
                    for reason, pattern in EXCLUDE.items()
                    if is_text(pattern, column.label_of(v))
                }
                if keep or exclude:
                    self._status(column, keep, exclude)

    def _status(self, column: Column, keep: set[str], exclude: Mapping[str, str]) -> None:
        """An allow-list of what is known; a value that is not known is a question."""
        values = [v for v, _ in column.counts.most_common()]
        seen = {v.lower() for v in values}
        numeric = all(v.lstrip("-").isdigit() for v in values)
        kept = [v for v in values if v.lower() in keep]
        out = {v: why for v in values if (why := exclude.get(v.lower()))}
        if numeric:  # the normal values that were not seen yet
            kept += [v for v in sorted(keep, key=lambda v: (len(v), v)) if v.isdigit() and v not in seen]
        if numeric or "true" in keep:
            out |= {v: why for v, why in exclude.items() if v.isdigit() == numeric and v not in seen}
        counted = ", ".join(f"{plain(column.label_of(v))} ({n})" for v, n in column.counts.most_common())
        lines = [f"# seen: {counted}"]
        lines += [f"keep: {flow(kept)}"] if kept else ["# QUESTION: which values are whole responses?", "keep:"]
        if unknown := [v for v in values if v.lower() not in keep and v.lower() not in exclude]:
            asked = "do these count? Move to `keep` what does; give the others a reason, such as test_row"
            lines += [f"# QUESTION: {asked}", "exclude:", *_entries([*out, *unknown], out)]
        elif out:
            lines.append(f"exclude: {flow(out)}")
        self._add(column, "status", *lines)

    # when

    def _find_date(self) -> None:
        chosen = self._date()
        if chosen is None:
            return
        formats, lines = chosen.dates, []
        # a cell with a real date loses its time at midnight, so the form that reads both is safer
        first = "iso" if "iso" in formats and self.export.form["kind"] == "xlsx" else formats[0]
        swapped = first.replace("%m", "%?").replace("%d", "%m").replace("%?", "%d")
        if first.startswith(("%d/", "%m/")) and swapped in formats and not self.export.tool.startswith("SurveyMonkey"):
            asked = f'day or month first? All dates can be read as "{first}" and as "{swapped}"'
            lines += [f"# QUESTION: {asked}", "format:"]
        elif first.startswith("%d/") and swapped in formats:
            lines.append(f'format: "{swapped}"')
        elif first != "%Y-%m-%d":
            lines.append(f"format: {scalar(first)}")
        completed_only = any("keep: any" in role.lines for role in self.roles.get(chosen.id, []))
        if not completed_only:
            lines += _blanks(chosen.rows - chosen.filled)
        self._add(chosen, "date", *lines)

    def _date(self) -> Column | None:
        """The date that is likeliest the day of the answer, or the only one."""
        dated = [column for column in self.columns if column.dates]
        for pattern in DATES:
            for column in dated:
                if is_named(pattern, column):
                    return column
        others = [c for c in dated if not means(ALWAYS_PERSONAL["a date of birth"], c)]
        return others[0] if len(others) == 1 and others[0].id not in self.roles else None

    # several answers

    def _find_sets(self) -> None:
        """The multiple-response sets that the file declares, as far as all of their columns may be shown."""
        left = {column.id: column for column in self._left()}
        for number, several in enumerate(self.export.dictionary.sets, start=1):
            columns = [left.pop(name) for name in several.columns if name in left]
            private = (not clues.has_codes_only(c) and (clues.personal(c) or clues.is_free_text(c)) for c in columns)
            if len(columns) < len(several.columns) or any(private):
                continue
            group = f"group: {scalar(re.sub(r'[^a-z0-9]+', '_', several.name.lower()).strip('_') or f'set_{number}')}"
            if several.counted is None:
                self._add(columns[0], "options", group, *_options(columns))
                for column in columns[1:]:
                    self._add(column, "options", group)
            else:
                for column in columns:
                    self._add(column, "choice", group, *_choice(column, several.counted))

    # codes

    def _find_codes(self) -> None:
        for column in self._left():
            if not column.is_short or not column.filled or column.dates or clues.is_free_text(column):
                continue
            if is_named(ORGANISATION, column) and not self.has("organisation"):
                self._organisation(column)
                continue
            if clues.personal(column) or len(column.counts) > CODED or max(map(len, column.counts)) > LONGEST:
                continue
            values = list(dict.fromkeys([*column.counts, *column.labels]))
            if is_named(CHANNEL, column) and "distribution" not in column.name and not self.has("channel"):
                found = {v: c for v in values for c, rule in CHANNELS.items() if _says(rule, column, v)}
                self._coded(column, "channel", values, found)
            elif is_named(SECTOR, column) and not self.has("sector"):
                known = {
                    text.strip().lower(): row["sector_code"]
                    for row in self.lists["sectors"]
                    for text in (row["sector_code"], row["label_en"], row["label_nl"])
                }
                found = {v: code for v in values if (code := known.get(column.label_of(v).strip().lower()))}
                self._coded(column, "sector", values, found)

    def _organisation(self, column: Column) -> None:
        """Our own codes, or a few names that a person must give a code."""
        known = {row["organisation_code"] for row in self.lists["organisations"]}
        ours = sum(n for v, n in column.counts.items() if v in known)
        if ours >= 0.8 * column.filled:
            said = (
                f"# {column.filled - ours} rows hold a code that reference/organisations.csv lacks; add it there first"
            )
            self._add(column, "organisation", *([said] if ours < column.filled else []))
        elif len(column.counts) <= CODED and len(column.counts) <= 0.5 * column.filled:
            self._coded(column, "organisation", list(column.counts), {}, needed=False)

    def _coded(
        self, column: Column, role: str, values: Sequence[str], found: Mapping[str, str], needed: bool = True
    ) -> None:
        """A column of codes. Without any value that is known it is none, if one is `needed`."""
        if needed and not found:
            return
        unknown = [v for v in values if v not in found]
        blanks = f"which codes of reference/{role}s.csv stand for the blanks below? Or discard the column"
        lines = [f"# QUESTION: {blanks}"] if unknown else []
        self._add(column, role, *lines, "values:", *_entries([*found, *unknown], found, column.labels))

    # grades

    def _find_questions(self) -> None:
        for column in self._left():
            if not clues.personal_name(column, ALWAYS_PERSONAL) and (grades := clues.grades(column, self.decimal)):
                self._add(column, "question", *self._question(column, grades))

    def _question(self, column: Column, grades: clues.Grades) -> list[str]:
        zero_to_ten = means(RECOMMENDS, column) or (0 in grades.numbers and not means(GRADES, column))
        recommends = zero_to_ten and grades.are_whole
        likely, *more = ["recommendation"] if recommends else self._measure(column)
        lines = [f"measure: {likely}", *more]
        if not clues.is_hinted(column):
            asked = f"is it a grade? Its values are, its heading is not. If so, {likely.split()[0]}; else discard it"
            lines = [f"# QUESTION: {asked}", "measure:", *more]
        elif 0 in grades.numbers and not recommends:
            lines.append("# 0 was seen too: the measure begins at 1, so a 0 goes to the quarantine")
        if grades.texts:
            lines += ["values:", *_entries(grades.texts, {text: f"{n:g}" for text, n in grades.texts.items()})]
        for reason, values in grades.missing.items():
            lines.append(_uncommented(reason, values, column))
        if grades.rest:
            lines.append(f"# {grades.rest} other values in the rows read would go to the quarantine")
        return lines

    def _measure(self, column: Column) -> list[str]:
        """The measure of a grade and its channel."""
        if means(COMPLAINT, column):
            return ["complaint_handling"]
        if means(EMPLOYER, column):
            return ["employee_satisfaction"]
        if self.has("channel"):
            return ["channel_rating", "channel: row # the grade is for the channel of the same row"]
        named = [code for code, pattern in CHANNELS.items() if means(pattern, column)]
        if len(named) == 1:
            return ["channel_rating", f"channel: {named[0]} # by its heading"]
        return ["satisfaction # or another of reference/measures.csv"]


# --- lines ---------------------------------------------------------------------------------------


def _says(pattern: str, column: Column, value: str) -> bool:
    return re.search(pattern, words(column.label_of(value))) is not None


def _blanks(blank: int) -> list[str]:
    return [f"# blank in {blank} of the rows read: those are refused"] if blank else []


def _entries(values: Iterable[str], given: Mapping[str, str], labels: Mapping[str, str] | None = None) -> list[str]:
    """A mapping over several lines: what is not given is left blank, what the file labels has its label behind it."""
    asides = {v: f" # {plain(label)}" for v, label in (labels or {}).items()}
    return [f"  {scalar(v)}: {given.get(v, '')}".rstrip() + asides.get(v, "") for v in values]


def _options(columns: Sequence[Column]) -> list[str]:
    """What the columns of a set hold, taken together."""
    counts = sum((column.counts for column in columns), Counter[str]())
    labels = {code: label for column in reversed(columns) for code, label in column.labels.items()}
    whole = Column(columns[0].id, columns[0].rows, counts, labels=labels)
    values = [*labels, *sorted(v for v in counts if v not in labels)]
    missing = clues.reasons(whole, values)
    answers = [v for v in values if v not in chain(*missing.values())]
    options = [v for v in answers if (v in labels if labels else clues.shown(v, whole))]
    lines = ["# null counts in the base only: give an option its code of reference/measures.csv", "options:"]
    lines += _entries(options, dict.fromkeys(options, "null"), labels)
    if rest := sum(counts[v] for v in answers if v not in options):
        lines.append(f"# {rest} other values in the rows read would go to the quarantine")
    return [*lines, *(_uncommented(reason, none, whole) for reason, none in missing.items())]


def _choice(column: Column, counted: str) -> list[str]:
    """What a column of a set holds where it is not ticked."""
    others = [v for v in dict.fromkeys([*column.counts, *column.labels]) if v != counted]
    missing = clues.reasons(column, others)
    unticked = [v for v in others if v not in chain(*missing.values())]
    lines = ["# without a measure it counts in the base only"]
    lines += [f"unticked: {flow(unticked)}"] if unticked else []
    return [*lines, *(_uncommented(reason, none, column) for reason, none in missing.items())]


def _uncommented(reason: str, values: Sequence[str], column: Column) -> str:
    """A proposal of missing answers in a comment; a person takes it out of there."""

    def seen(value: str) -> str:
        label = f": {plain(column.labels[value])}" if value in column.labels else ""
        return f"{plain(value)} ({column.counts[value]}{label})"

    return f"# {reason}: {flow(values)} # uncomment if it is; seen: {', '.join(map(seen, values))}"
