"""From text to typed columns: the SQL that applies a contract to the rows of a delivery.

One query, one pass, one row out for every row read. Nothing here reads a file or writes one
(`readers/`, `staging.py`), and nothing names a monitor or a figure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipelines import privacy
from pipelines.contracts import (
    AnyQuestion,
    Choice,
    Coded,
    Contract,
    Correction,
    Date,
    Options,
    Organisation,
    Question,
    Status,
)
from pipelines.engine import enumeration, quoted
from pipelines.reference import Measure

WEIGHT = 1_000_000  # weights are whole millionths
HEAVIEST = 100  # weights lie below, so that sums of their squares fit a BIGINT
# small sets of texts as enumerations: a byte a row, and written faster
STATE = enumeration("accepted", "superseded", "excluded", "refused", "erased")
MISSING = enumeration("not_asked", "dont_know", "refused", "blank", "quarantined")
FAULT = enumeration(
    "unknown_channel", "unknown_option", "not_a_number", "unknown_label", "outside_scale", "between_steps"
)


@dataclass(frozen=True)
class Cell:
    """One measure asked in one column: what an accepted row has one answer to, or a reason why not."""

    column: str
    question: AnyQuestion
    measure: str
    option: str = ""  # of several answers: the text or code of the option
    apart: tuple[str, ...] = ()  # the columns of which each may hold the option, if there is no separator


def cells(contract: Contract) -> list[Cell]:
    """The cells of a row, in the order of the contract. Choices without a measure are none."""
    found = []
    for column, question in contract.questions:
        if isinstance(question, Options):
            apart = tuple(name for name, _ in contract.group(question)) if question.group else ()
            found += [Cell(column, question, m, o, apart) for o, m in question.options.items() if m]
        elif question.measure:
            found.append(Cell(column, question, question.measure))
    return found


def judge(
    columns: list[str],
    relation: str,
    contract: Contract,
    measures: Mapping[str, Measure],
    long: bool = False,
    erased: Iterable[str] = (),
) -> str:
    """SQL: one row per row read, in the same order, with its state, its keys, and per cell a value or a reason.

    Per cell i: `v<i>` the value as a whole number of the measure's smallest step, or NULL; `m<i>`
    why it is missing, or NULL; `q<i>` why it is quarantined, `s<i>` what may be shown of it.

    A `long` relation holds most of its texts many times. What follows from one column, or from two, is then
    found once for each distinct text and joined to the rows; in a short one to plan that takes longer than it saves.
    `erased`: the kinds of id (respondent, response) by which persons were erased from this source.
    """
    erased = [role for role in erased if contract.one(role)]
    text = {name: f"t{columns.index(name)}" for name in contract.columns}
    once: dict[tuple[str, ...], _Found] = {}
    by_row, in_rows = _Found(), set[str]()

    def found_from(needed: tuple[str, ...]) -> _Found:
        if long and 1 <= len(needed) <= 2:
            return once.setdefault(needed, _Found())
        in_rows.update(needed)
        return by_row

    for needed, name, sql in _codes(contract, text):
        found_from(needed).codes[name] = sql
    for i, cell in enumerate(cells(contract)):
        found_from(_needed(cell, contract)).cells[i] = cell

    piece = _piece(columns, relation, contract, text, {name for needed in once for name in needed}, in_rows, erased)
    tables, joined, names = [f"piece AS {'MATERIALIZED ' if once else ''}({piece})"], "piece", ["piece.*"]
    for j, (needed, found) in enumerate(once.items()):
        texts = [text[name] for name in needed]
        tables.append(f"once{j} AS ({_of_distinct(texts, found, contract, text, measures)})")
        same = " AND ".join(f"piece.{t} IS NOT DISTINCT FROM once{j}.raw_{t}" for t in texts)
        joined += f" LEFT JOIN once{j} ON {same}"
        names += [f"once{j}.{name}" for name in found.names]
    read = _with(f"SELECT {', '.join(names)} FROM {joined}", by_row, contract, text, measures)

    rules = [*([("erased", "erased", "NULL")] if erased else []), *_rules(contract)]
    rule = "CASE " + " ".join(f"WHEN {c} THEN {i}" for i, (c, _, _) in enumerate(rules, start=1)) + " ELSE 0 END"
    states = "".join(f" WHEN {i} THEN '{s}'::{STATE}" for i, (_, s, _) in enumerate(rules, 1))
    reasons = "".join(f" WHEN {i} THEN {why}" for i, (_, _, why) in enumerate(rules, 1))
    segments = ", ".join(f"segment{i}" for i, _ in enumerate(contract.segments))
    made = {
        "row_state": f"CASE rule WHEN 0 THEN 'accepted'::{STATE}{states} END",
        "row_reason": f"CASE rule{reasons} END",
        "response_id": "CASE rule WHEN 0 THEN response_id END",
        "respondent_id": "CASE rule WHEN 0 THEN respondent_id END",
        "segment_code": f"nullif(array_to_string([{segments}]::VARCHAR[], '|'), '')",
    }
    judged = [f"{made[name]} AS {name}" if name in made else name for name in layout(contract)]
    return f"WITH {', '.join(tables)} SELECT {', '.join(judged)} FROM (SELECT *, {rule} AS rule FROM ({read}))"


def layout(contract: Contract) -> dict[str, str]:
    """The columns of judged rows with their types."""
    return {
        "row_state": STATE,
        "row_reason": "VARCHAR",
        "response_id": "VARCHAR",
        "respondent_id": "VARCHAR",
        **{f"{role}_code": _type(contract, role) for role in ("organisation", "sector", "channel", "mode")},
        "segment_code": "VARCHAR",
        "answered_on": "DATE",
        "weight": "BIGINT" if contract.named("weight") else "INTEGER",
        **{f"free{i}": "VARCHAR" for i, _ in enumerate(contract.named("text"))},
        **{
            f"{kind}{i}": type
            for i, _ in enumerate(cells(contract))
            for kind, type in zip("vmqs", ("BIGINT", MISSING, FAULT, "VARCHAR"), strict=True)
        },
    }


@dataclass
class _Found:
    """What follows from the texts of some columns."""

    codes: dict[str, str] = field(default_factory=dict)  # name → SQL
    cells: dict[int, Cell] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [*self.codes, *(f"{kind}{i}" for i in self.cells for kind in "vmqs")]


def _of_distinct(
    texts: list[str], found: _Found, contract: Contract, text: Mapping[str, str], measures: Mapping[str, Measure]
) -> str:
    """SQL: the distinct texts of some columns of `piece`, as they were read, with what follows from them."""
    trimmed = ", ".join(f"{t} AS raw_{t}, {_trimmed(t)} AS {t}" for t in texts)
    codes = dict(found.codes)
    if any(cell.question.channel == "row" for cell in found.cells.values()):
        codes["channel_code"] = _code(contract, text, "channel")
    read = f"SELECT {trimmed} FROM (SELECT DISTINCT {', '.join(texts)} FROM piece)"
    read = _with(read, _Found(codes, found.cells), contract, text, measures)
    return f"SELECT {', '.join([f'raw_{t}' for t in texts] + found.names)} FROM ({read})"


def _with(
    read: str, found: _Found, contract: Contract, text: Mapping[str, str], measures: Mapping[str, Measure]
) -> str:
    """SQL: a query that gives texts, with what follows from them in every row."""
    # one level a step: what a level names, the next may use without computing it again
    codes = (f"{sql} AS {name}" for name, sql in found.codes.items())
    steps = zip(*(_judged(i, cell, contract, text, measures) for i, cell in found.cells.items()), strict=True)
    for level in (codes, *steps):
        read = f"SELECT {', '.join(['*', *level])} FROM ({read})"
    return read


def _piece(
    columns: list[str],
    relation: str,
    contract: Contract,
    text: Mapping[str, str],
    once: set[str],
    in_rows: set[str],
    erased: Iterable[str],
) -> str:
    """SQL: what differs from row to row, pseudonyms among it, and the texts of the columns that are looked at later.

    White space around a text goes here, unless that can be done `once` for all rows with the same text.
    """
    corrected = {name for c in contract.corrections for name in (*c.match, *c.set)}
    raw = once - in_rows - corrected
    cell = {name: f"c{columns.index(name)}" for name in text}
    texts = (f"{cell[name] if name in raw else _trimmed(cell[name])} AS {t}" for name, t in text.items())
    read = f"SELECT fault, {', '.join(texts)} FROM {relation}"
    if replaced := _corrected(contract, text):
        read = f"SELECT * REPLACE ({replaced}) FROM ({read})"
    found = ["fault", f"{_weight(contract, text)} AS weight"]
    for role in ("response", "respondent"):
        name = contract.one(role)
        pseudonym = privacy.pseudonym(f"{role}_prefix", text[name]) if name else "NULL::VARCHAR"
        found.append(f"{pseudonym} AS {role}_id")
    found += [f"{privacy.masked(text[name])} AS free{i}" for i, name in enumerate(contract.named("text"))]
    if gone := [_is_erased(role, text[str(contract.one(role))]) for role in erased]:
        found.append(f"{' OR '.join(gone)} AS erased")
    if excluded := [_matches(c, text) for c in contract.corrections if c.exclude]:
        found.append(f"{' OR '.join(f'({match})' for match in excluded)} AS excluded")
    if _moments(contract):
        found.append(f"{_date(contract, text)} AS answered_on")
    found += [t for name, t in text.items() if name in once | in_rows]
    return f"SELECT {', '.join(found)} FROM ({read})"


def _is_erased(role: str, column: str) -> str:
    """SQL: whether an id stands in the register of those who were erased."""
    hashed = privacy.pseudonym(f"erased_{role}_prefix", column)
    return f"coalesce({hashed} IN (SELECT unnest(getvariable('erased_{role}'))), false)"


# --- the row -------------------------------------------------------------------------------------


def _codes(contract: Contract, text: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What one column says, or none for what is the same in every row: the column, a name and its SQL."""
    for role in ("organisation", "sector", "channel", "mode"):
        yield tuple(contract.named(role)), f"{role}_code", _code(contract, text, role)
        if role in ("sector", "mode") and (name := contract.one(role)):
            yield (name,), f"unknown_{role}", f"{role}_code IS NULL AND {text[name]} IS NOT NULL"
    for i, (name, spec) in enumerate(contract.segments):
        code = _lookup(
            f"coalesce({text[name]}, '')", {k: quoted(f"{spec.segment}={v}") for k, v in spec.values.items()}
        )
        yield (name,), f"segment{i}", code
        yield (name,), f"unknown_segment{i}", f"segment{i} IS NULL AND {text[name]} IS NOT NULL"
    for i, (name, _) in enumerate(_statuses(contract)):
        yield (name,), f"status{i}", f"coalesce(lower({text[name]}), '')"
    if not _moments(contract):
        yield tuple(contract.named("date")), "answered_on", _date(contract, text)


def _statuses(contract: Contract) -> list[tuple[str, Status]]:
    return [(name, spec) for name, spec in contract.specs if isinstance(spec, Status)]


def _code(contract: Contract, text: Mapping[str, str], role: str) -> str:
    """SQL: the code that a column stands for, NULL if it is none that the contract knows."""
    name, spec = contract.one(role), contract.spec(role)
    if role == "sector" and contract.sector:
        code = quoted(contract.sector)
    elif name is None or not isinstance(spec, Coded | Organisation):
        code = "NULL"
    elif spec.values:
        code = f"({_lookup(text[name], {k: quoted(v) for k, v in spec.values.items()})})"
    else:
        return text[name]
    return f"{code}::{_type(contract, role)}"


def _type(contract: Contract, role: str) -> str:
    """The type of a code: an enumeration of those that the contract knows. Of channels, all that its answers have."""
    spec = contract.spec(role)
    codes = list(spec.values.values()) if isinstance(spec, Coded | Organisation) else []
    if role == "sector" and contract.sector:
        codes = [contract.sector]
    if role == "channel":
        codes += [cell.question.channel for cell in cells(contract) if cell.question.channel != "row"]
        codes.append("not_applicable")
    return enumeration(*codes) if codes else "VARCHAR"


def _moments(contract: Contract) -> bool:
    """Whether dates have a time of day, so that there may be as many as there are rows."""
    spec = contract.spec("date")
    return isinstance(spec, Date) and (spec.format == "iso" or re.search("%-?[HIMSf]", spec.format) is not None)


def _trimmed(column: str) -> str:
    """SQL: a text without white space around it, NULL if nothing is left. `trim` is slow, and seldom needed."""
    seldom = f"{column} < '!' OR suffix({column}, ' ') OR suffix({column}, chr(9)) OR contains({column}, chr(160))"
    return f"CASE WHEN {seldom} THEN nullif(trim({column}, concat(' ', chr(9), chr(160))), '') ELSE {column} END"


def _lookup(column: str, values: Mapping[str, str]) -> str:
    whens = " ".join(f"WHEN {quoted(_plain(k))} THEN {v}" for k, v in values.items())
    return f"CASE lower({column}) {whens} END"


def _plain(token: str) -> str:
    """How a token of the contract is compared: without white space around it, in small letters."""
    return token.strip().lower()


def _date(contract: Contract, text: Mapping[str, str]) -> str:
    name, spec = contract.one("date"), contract.spec("date")
    if name is None or not isinstance(spec, Date):
        return "NULL::DATE"
    if spec.format == "iso":
        moment = f"try_cast(concat({text[name]}, '') AS TIMESTAMPTZ)"
        return f"({moment} AT TIME ZONE {quoted(contract.time_zone)})::DATE"
    return f"try_strptime({text[name]}, {quoted(spec.format)})::DATE"


def _weight(contract: Contract, text: Mapping[str, str]) -> str:
    name = contract.one("weight")
    return str(WEIGHT) if name is None else f"({_number(text[name], contract.decimal)} * {WEIGHT})::BIGINT"


def _number(column: str, decimal: str) -> str:
    """SQL: the number in a text, to six decimals, or NULL. One decimal mark only, the declared one."""
    mark = "," if decimal == "," else "\\."
    plain = column if decimal == "." else f"replace({column}, ',', '.')"
    return (
        f"CASE WHEN regexp_full_match({column}, '[+-]?[0-9]{{1,9}}({mark}[0-9]{{1,6}})?') "
        f"THEN try_cast({plain} AS DECIMAL(18, 6)) END"
    )


def _rules(contract: Contract) -> list[tuple[str, str, str]]:
    """The rules that keep a row from counting: SQL condition, state, SQL reason. The first that holds counts."""
    excluded, refused = [], []
    if any(correction.exclude for correction in contract.corrections):
        excluded.append(("excluded", "excluded", quoted("correction")))
    for i, (_, spec) in enumerate(_statuses(contract)):
        for value, why in spec.exclude.items():
            excluded.append((f"status{i} = {quoted(_plain(value))}", "excluded", quoted(why)))
        if spec.keep != "any":
            known = _tokens([*spec.keep, *spec.exclude])
            refused.append((f"status{i} NOT IN ({known})", "refused", quoted("unknown_status")))
    if contract.named("response"):
        refused.append(("response_id IS NULL", "refused", quoted("no_response_id")))
    if contract.named("date"):
        refused.append(("answered_on IS NULL", "refused", quoted("no_valid_date")))
    if contract.named("organisation"):
        refused.append(("organisation_code IS NULL", "refused", quoted("no_known_organisation")))
    for role in ("sector", "mode"):
        if contract.named(role):
            refused.append((f"unknown_{role}", "refused", quoted(f"unknown_{role}")))
    for i, _ in enumerate(contract.segments):
        refused.append((f"unknown_segment{i}", "refused", quoted("unknown_segment")))
    if contract.named("weight"):
        bad = f"weight IS NULL OR weight <= 0 OR weight >= {HEAVIEST * WEIGHT}"
        refused.append((bad, "refused", quoted("no_valid_weight")))
    return [("fault IS NOT NULL", "refused", "fault"), *excluded, *refused]


def _corrected(contract: Contract, text: Mapping[str, str]) -> str:
    """SQL: the columns that corrections.yml sets, each with its right value where a correction matches."""
    columns = dict.fromkeys(name for c in contract.corrections for name in c.set if name in text)
    replaced = []
    for name in columns:
        whens = " ".join(
            f"WHEN {_matches(c, text)} THEN {quoted(c.set[name])}" for c in contract.corrections if name in c.set
        )
        replaced.append(f"CASE {whens} ELSE {text[name]} END AS {text[name]}")
    return ", ".join(replaced)


def _matches(correction: Correction, text: Mapping[str, str]) -> str:
    if not set(correction.match) <= set(text):  # of a column that this version of the contract does not have
        return "false"
    return " AND ".join(
        f"coalesce(lower({text[name]}), '') = {quoted(_plain(value))}" for name, value in correction.match.items()
    )


def _tokens(tokens: Iterable[str]) -> str:
    return ", ".join(quoted(_plain(t)) for t in tokens)


# --- the cells -----------------------------------------------------------------------------------


def _needed(cell: Cell, contract: Contract) -> tuple[str, ...]:
    """The columns that decide what is made of a cell."""
    names = [cell.column, *cell.apart]
    if not isinstance(cell.question, Question) and cell.question.group:
        names += [name for name, _ in contract.group(cell.question)]
    if cell.question.channel == "row":
        names += contract.named("channel")
    return tuple(dict.fromkeys(names))


def _judged(
    i: int, cell: Cell, contract: Contract, text: Mapping[str, str], measures: Mapping[str, Measure]
) -> tuple[str, str, str, str]:
    """SQL: what is made of cell i of the texts of its columns and `channel_code`, one step after the other."""
    return (
        f"{_number_of(cell, contract, text, measures)} AS n{i}",
        f"{_fault(i, cell, text, measures)} AS fault{i}",
        f"({_missing(i, cell, contract, text)})::{MISSING} AS m{i}",
        f"CASE WHEN m{i} IS NULL THEN n{i}::BIGINT END AS v{i}, "
        f"CASE m{i} WHEN 'quarantined' THEN fault{i} END::{FAULT} AS q{i}, "
        f"CASE m{i} WHEN 'quarantined' THEN {privacy.shown(_at_fault(cell, text))} END AS s{i}",
    )


def _number_of(cell: Cell, contract: Contract, text: Mapping[str, str], measures: Mapping[str, Measure]) -> str:
    """SQL: the answer as a number of the measure's smallest steps, NULL if it is none."""
    column, question = text[cell.column], cell.question
    step = 10 ** measures[cell.measure].decimals
    if isinstance(question, Choice):
        return f"({_ticked(column, question)})::INTEGER"
    if cell.apart:
        held = ", ".join(f"lower({text[name]})" for name in cell.apart)
        return f"coalesce({quoted(_plain(cell.option))} IN ({held}), false)::INTEGER"
    if isinstance(question, Options):
        longer = [o for o in question.options if cell.option.lower() in o.lower() and o != cell.option]
        return f"(contains({_left_over(column, question, longer)}, {_between(cell.option, question)}))::INTEGER"
    if question.values:
        return f"({_lookup(column, {k: str(v) for k, v in question.values.items()})})::DECIMAL(18, 6) * {step}"
    return f"{_number(column, contract.decimal)} * {step}"


def _ticked(column: str, question: Choice | Options) -> str:
    """SQL: whether a cell holds an answer, and no reason why there is none."""
    none = [*_reasons(question), *(question.unticked if isinstance(question, Choice) else [])]
    return f"coalesce({column} IS NOT NULL" + (f" AND lower({column}) NOT IN ({_tokens(none)}))" if none else ")")


def _reasons(question: AnyQuestion) -> list[str]:
    """What a cell holds that is no answer."""
    return [*question.dont_know, *question.refused, *question.not_asked]


def _at_fault(cell: Cell, text: Mapping[str, str]) -> str:
    """SQL: the text for which a cell is quarantined. Of columns apart: the first that is no option, NULL if all are."""
    if not cell.apart or not isinstance(cell.question, Options):
        return text[cell.column]
    known = _tokens([*cell.question.options, *_reasons(cell.question)])
    unknown = (f"CASE WHEN lower({text[name]}) NOT IN ({known}) THEN {text[name]} END" for name in cell.apart)
    return f"coalesce({', '.join(unknown)})"


def _between(option: str, question: Options) -> str:
    """An option as it stands between two separators, in small letters."""
    separator = question.separator.lower()
    return quoted(f"{separator}{_plain(option)}{separator}")


def _left_over(column: str, question: Options, options: Iterable[str]) -> str:
    """SQL: the joined answers, a separator before and after each, once some options are taken out, longest first.

    An option that stands inside a longer one (which may hold the separator) is so not seen where only
    the longer one was chosen.
    """
    separator = question.separator.lower()
    joined = f"rtrim(lower(coalesce({column}, '')), {quoted(separator + ' ')})"  # blank where the base is `asked`
    left = f"({quoted(separator)} || {joined} || {quoted(separator)})"
    for option in sorted(options, key=len, reverse=True):
        left = f"replace({left}, {_between(option, question)}, {quoted(separator)})"
    return left


def _fault(i: int, cell: Cell, text: Mapping[str, str], measures: Mapping[str, Measure]) -> str:
    """SQL: why the answer of cell i cannot be one, or NULL."""
    column, question, measure = text[cell.column], cell.question, measures[cell.measure]
    no_channel = "channel_code IS NULL" if question.channel == "row" else "false"
    if isinstance(question, Choice):
        return f"CASE WHEN {no_channel} THEN 'unknown_channel' END"
    if isinstance(question, Options):
        unknown = f"{_at_fault(cell, text)} IS NOT NULL"
        if not cell.apart:
            left = _left_over(column, question, question.options)
            unknown = f"trim({left}, {quoted(question.separator.lower() + ' ')}) <> ''"
        return f"CASE WHEN {no_channel} THEN 'unknown_channel' WHEN {unknown} THEN 'unknown_option' END"
    step = 10**measure.decimals
    low, high = question.scale or (measure.scale_min, measure.scale_max)
    no_number = "unknown_label" if question.values else "not_a_number"
    return (
        f"CASE WHEN {no_channel} THEN 'unknown_channel' WHEN n{i} IS NULL THEN '{no_number}' "
        f"WHEN n{i} < {low * step} OR n{i} > {high * step} THEN 'outside_scale' "
        f"WHEN n{i} <> n{i}::BIGINT THEN 'between_steps' END"
    )


def _missing(i: int, cell: Cell, contract: Contract, text: Mapping[str, str]) -> str:
    """SQL: why cell i has no value, or NULL if it has one."""
    question, columns = cell.question, [text[name] for name in cell.apart or [cell.column]]
    group = [] if isinstance(question, Question) or not question.group else contract.group(question)
    answered = " OR ".join(_ticked(text[name], q) for name, q in group)

    def one_of(tokens: list[str]) -> str:
        if not tokens:
            return "false"
        found = " OR ".join(f"lower({column}) IN ({_tokens(tokens)})" for column in columns)
        # who answered in one of the columns is not missing for what stands in another
        return f"({found}) AND NOT ({answered})" if cell.apart else found

    blank = f"NOT ({answered})" if group else f"{columns[0]} IS NULL"
    if not isinstance(question, Question) and question.base == "asked":
        blank = "false"
    return (
        f"CASE WHEN {one_of(question.not_asked)} THEN 'not_asked' WHEN {one_of(question.dont_know)} THEN 'dont_know' "
        f"WHEN {one_of(question.refused)} THEN 'refused' WHEN {blank} THEN 'blank' "
        f"WHEN fault{i} IS NOT NULL THEN 'quarantined' END"
    )
