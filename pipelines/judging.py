"""From text to typed columns: the SQL that applies a contract to the rows of a delivery.

One query, one pass, one row out for every row read. Nothing here reads a file or writes one
(`readers/`, `staging.py`), and nothing names a monitor or a figure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
from pipelines.engine import quoted
from pipelines.reference import Measure

WEIGHT = 1_000_000  # weights are whole millionths
HEAVIEST = 100  # weights lie below, so that sums of their squares fit a BIGINT


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


def judge(columns: list[str], relation: str, contract: Contract, measures: Mapping[str, Measure]) -> str:
    """SQL: one row per row read, with its state, its keys, and per cell a value or a reason.

    Per cell i: `v<i>` the value as a whole number of the measure's smallest step, or NULL; `m<i>`
    why it is missing, or NULL; `q<i>` why it is quarantined, `s<i>` what may be shown of it.
    """
    place = {name: i for i, name in enumerate(columns)}
    text = {name: f"t{place[name]}" for name in contract.columns}
    trimmed = ", ".join(f"{_trimmed(f'c{place[name]}')} AS {t}" for name, t in text.items())
    read = f"SELECT fault, {trimmed} FROM {relation}"
    if corrected := _corrected(contract, text):
        read = f"SELECT * REPLACE ({corrected}) FROM ({read})"
    asked = cells(contract)

    # one level a step: what a level names, the next may use without computing it again
    numbers = "".join(f", {_number_of(cell, contract, text, measures)} AS n{i}" for i, cell in enumerate(asked))
    typed = (
        f"SELECT *, {_code(contract, text, 'organisation')} AS organisation_code, "
        f"{_code(contract, text, 'sector')} AS sector_code, {_code(contract, text, 'channel')} AS channel_code, "
        f"{_code(contract, text, 'mode')} AS mode_code, {_segments(contract, text)} AS segments, "
        f"{_date(contract, text)} AS answered_on, {_weight(contract, text)} AS weight{numbers} FROM ({read})"
    )
    rules = _rules(contract, text)
    rule = "CASE " + " ".join(f"WHEN {c} THEN {i}" for i, (c, _, _) in enumerate(rules, start=1)) + " ELSE 0 END"
    with_fault = "".join(f", {_fault(i, c, text, measures)} AS fault{i}" for i, c in enumerate(asked))
    sorted_out = f"SELECT *, {rule} AS rule{with_fault} FROM ({typed})"
    with_reason = "".join(f", {_missing(i, c, contract, text)} AS m{i}" for i, c in enumerate(asked))
    explained = f"SELECT *{with_reason} FROM ({sorted_out})"

    named, respondent = contract.one("response"), contract.one("respondent")
    response = privacy.pseudonym("response_prefix", text[named]) if named else "NULL::VARCHAR"
    person = privacy.pseudonym("respondent_prefix", text[respondent]) if respondent else "NULL::VARCHAR"
    states = "".join(f" WHEN {i} THEN '{s}'" for i, (_, s, _) in enumerate(rules, 1))
    reasons = "".join(f" WHEN {i} THEN {why}" for i, (_, _, why) in enumerate(rules, 1))
    judged = [
        f"CASE rule WHEN 0 THEN 'accepted'{states} END AS row_state, CASE rule{reasons} END AS row_reason",
        f"{response} AS response_id, {person} AS respondent_id",
        "organisation_code, sector_code, mode_code, answered_on, weight, channel_code",
        "nullif(array_to_string(segments, '|'), '') AS segment_code",
    ]
    judged += [f"{privacy.masked(text[name])} AS free{i}" for i, name in enumerate(contract.named("text"))]
    for i, cell in enumerate(asked):
        judged += [
            f"m{i}",
            f"CASE WHEN m{i} IS NULL THEN n{i}::BIGINT END AS v{i}",
            f"CASE WHEN m{i} = 'quarantined' THEN fault{i} END AS q{i}",
            f"CASE WHEN m{i} = 'quarantined' THEN {privacy.shown(_at_fault(cell, text))} END AS s{i}",
        ]
    return f"SELECT {', '.join(judged)} FROM ({explained})"


# --- the row -------------------------------------------------------------------------------------


def _code(contract: Contract, text: Mapping[str, str], role: str) -> str:
    """SQL: the code that a column stands for, NULL if it is none that the contract knows."""
    name, spec = contract.one(role), contract.spec(role)
    if role == "sector" and contract.sector:
        return quoted(contract.sector)
    if name is None or not isinstance(spec, Coded | Organisation):
        return "NULL::VARCHAR"
    return _lookup(text[name], {k: quoted(v) for k, v in spec.values.items()}) if spec.values else text[name]


def _segments(contract: Contract, text: Mapping[str, str]) -> str:
    """SQL: a list with `age=young` or NULL for every segment, by the name of the segment."""
    found = []
    for name, spec in contract.segments:
        values = {k: quoted(f"{spec.segment}={code}") for k, code in spec.values.items()}
        found.append(_lookup(f"coalesce({text[name]}, '')", values))
    return f"[{', '.join(found)}]::VARCHAR[]"


def _trimmed(column: str) -> str:
    """SQL: a text without white space around it, NULL if nothing is left. `trim` is slow, and seldom needed."""
    space = "' ', chr(9), chr(160)"
    return (
        f"CASE WHEN {column} < '!' OR left({column}, 1) = chr(160) OR right({column}, 1) IN ({space}) "
        f"THEN nullif(trim({column}, concat({space})), '') ELSE {column} END"
    )


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


def _rules(contract: Contract, text: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The rules that keep a row from counting: SQL condition, state, SQL reason. The first that holds counts."""
    excluded, refused = [], []
    for correction in contract.corrections:
        if correction.exclude:
            excluded.append((_matches(correction, text), "excluded", quoted("correction")))
    for name, spec in contract.specs:
        if isinstance(spec, Status):
            column = f"coalesce(lower({text[name]}), '')"
            for value, why in spec.exclude.items():
                excluded.append((f"{column} = {quoted(_plain(value))}", "excluded", quoted(why)))
            if spec.keep != "any":
                known = _tokens([*spec.keep, *spec.exclude])
                refused.append((f"{column} NOT IN ({known})", "refused", quoted("unknown_status")))
    if (id_column := contract.one("response")) is not None:
        refused.append((f"{text[id_column]} IS NULL", "refused", quoted("no_response_id")))
    if contract.named("date"):
        refused.append(("answered_on IS NULL", "refused", quoted("no_valid_date")))
    if contract.named("organisation"):
        refused.append(("organisation_code IS NULL", "refused", quoted("no_known_organisation")))
    for role in ("sector", "mode"):
        if (column_name := contract.one(role)) is not None:
            unknown = f"{role}_code IS NULL AND {text[column_name]} IS NOT NULL"
            refused.append((unknown, "refused", quoted(f"unknown_{role}")))
    for i, (column_name, _) in enumerate(contract.segments, start=1):
        unknown = f"segments[{i}] IS NULL AND {text[column_name]} IS NOT NULL"
        refused.append((unknown, "refused", quoted("unknown_segment")))
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
