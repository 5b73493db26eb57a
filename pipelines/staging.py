"""One delivery and its contract in; typed answers, the quarantine and the receipt out.

A pure function: the same bytes, contract and key give the same Parquet. Nothing here knows of
other deliveries; that is `supersession.py`. Nothing here names a monitor, a sector or a figure.

The rows pass through the engine once. That pass already pseudonymises, types and judges, so text
of the export exists only inside the query. Four files come out:

  answer      one row per question that an accepted row was asked: a value, or the reason why there is none
  response    one row per accepted row: the keys that supersession compares, and how much was not asked
  quarantine  one row per refused answer or row, with the reason and what may be shown of it
  receipt     one row per kind of row and cell, with its count
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from pipelines import engine, privacy
from pipelines.contracts import Coded, Contract, Date, Organisation, Question, Status
from pipelines.deliveries import Delivery, same
from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused
from pipelines.parts import JSON
from pipelines.readers import open_text
from pipelines.readers.text import RefusedRow
from pipelines.reference import Measure
from pipelines.settings import Settings

FILES = ("answer", "response", "quarantine", "receipt")
WEIGHT = 1_000_000  # weights are whole millionths
HEAVIEST = 100  # weights lie below, so that sums of their squares fit a BIGINT


def stage(
    settings: Settings,
    delivery: Delivery,
    contract: Contract,
    measures: Mapping[str, Measure],
    key: bytes,
    folder: Path,
) -> dict[str, JSON]:
    """Write the four files into `folder`; the result says how many rows each has.

    Raises DeliveryRefused, with nothing usable in `folder`, if the delivery is not as declared.
    """
    before = delivery.path.stat()
    with delivery.path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != delivery.sha256:
            raise DeliveryRefused(f"{delivery.path.name} has other bytes than it was published with; bring those back.")
    with engine.connect(settings, folder, alone=True) as con:
        con.execute(f"SET TimeZone = {quoted(contract.time_zone)}")
        for kind in ("response", "respondent"):
            prefix = privacy.prefix(key, contract.controller, delivery.source, kind)
            con.execute(f"SET VARIABLE {kind}_prefix = $1", [prefix])
        try:
            with open_text(con, delivery.path, contract) as text:
                _check_columns(delivery.path.name, text.columns, contract)
                judged = judge(text.columns, text.relation, contract, measures)
                con.execute(f"CREATE TEMP TABLE judged_row AS {judged}")
            unread = text.finish()
            ((read,),) = con.execute("SELECT count(*) FROM judged_row").fetchall()
            if read + len(unread) != text.count():
                raise DeliveryRefused(
                    f"{delivery.path.name} holds {text.count():,} rows, but {read + len(unread):,} came out of it; "
                    "compare its delimiter and quotes with the contract."
                )
        except duckdb.Error as error:
            raise DeliveryRefused(_engine_fault(delivery.path.name, error)) from None
        if not same(before, delivery.path.stat()):
            raise DeliveryRefused(f"{delivery.path.name} changed while it was being read; refresh again.")
        _find_repeated(con)
        return _write(con, delivery, contract, unread, folder)


def _check_columns(file: str, columns: list[str], contract: Contract) -> None:
    known = {*contract.columns, *contract.discard}
    if not known & set(columns):  # its cells may be somebody's name: show none of them
        raise DeliveryRefused(
            f"{file}: not one column of the contract stands in its first row; the heading is missing, or the delimiter "
            "or encoding is another one than the contract says."
        )
    missing = [c for c in contract.columns if c not in columns]
    new = [c for c in columns if c not in known]
    if twice := sorted({c for c in columns if columns.count(c) > 1}):
        raise DeliveryRefused(f"{file} has the columns {twice} more than once; rename them in the export.")
    if missing or new:
        parts = [f"lacks the columns {missing}"] if missing else []
        parts += [f"has the columns {new} which the contract does not know"] if new else []
        remedy = (
            "add each under `columns` or `discard` in contract.yml"
            if new
            else "have it exported with them, or remove them from contract.yml"
        )
        raise DeliveryRefused(f"{file} {' and '.join(parts)}; {remedy}.")


def _engine_fault(file: str, error: duckdb.Error) -> str:
    """The kind of fault without its text, which may quote the row."""
    first = str(error).splitlines()[0] if str(error) else ""
    if "Maximum line size" in str(error):
        return f"{file}: a line is longer than 16 MiB; a quote is probably missing. Have it exported again."
    kind = first.split(":")[0] if ":" in first else type(error).__name__
    return f"{file} cannot be parsed as its contract says ({kind}); compare its format with the contract."


# --- judging: from text to typed columns ---------------------------------------------------------


def judge(columns: list[str], relation: str, contract: Contract, measures: Mapping[str, Measure]) -> str:
    """SQL: one row per row read, with its state, its keys, and per question a value or a reason.

    Per question i: `v<i>` the value as a whole number of the measure's smallest step, or NULL;
    `m<i>` why it is missing, or NULL; `q<i>` why it is quarantined, `s<i>` what may be shown of it.
    """
    place = {name: i for i, name in enumerate(columns)}
    text = {name: f"t{place[name]}" for name in contract.columns}
    trimmed = ", ".join(
        f"nullif(trim(c{place[name]}, ' ' || chr(9) || chr(160)), '') AS {t}" for name, t in text.items()
    )
    read = f"SELECT fault, {trimmed} FROM {relation}"

    def of(role: str) -> str | None:
        name = contract.one(role)
        return None if name is None else text[name]

    def coded(role: str, fallback: str = "NULL::VARCHAR") -> str:
        column, name = of(role), contract.one(role)
        spec = contract.columns[name] if name else None
        if column is None or not isinstance(spec, Coded | Organisation):
            return fallback
        return _recode(column, spec.values) if spec.values else column

    date = "NULL::DATE"
    if (name := contract.one("date")) is not None:
        spec = contract.columns[name]
        assert isinstance(spec, Date)
        date = (
            f"(try_cast(concat({text[name]}, '') AS TIMESTAMPTZ) AT TIME ZONE {quoted(contract.time_zone)})::DATE"
            if spec.format == "iso"
            else f"try_strptime({text[name]}, {quoted(spec.format)})::DATE"
        )
    weight = str(WEIGHT)
    if (column := of("weight")) is not None:
        weight = f"({_number(column, contract.decimal)} * {WEIGHT})::BIGINT"
    questions = list(contract.questions.items())
    numbers = "".join(
        f", {_number(text[name], contract.decimal)} * {10 ** measures[q.measure].decimals} AS n{i}"
        for i, (name, q) in enumerate(questions)
    )
    typed = (
        f"SELECT *, {coded('organisation')} AS organisation_code, {coded('sector')} AS sector_code, "
        f"{coded('channel')} AS channel_code, {coded('mode')} AS mode_code, {date} AS answered_on, "
        f"{weight} AS weight{numbers} FROM ({read})"
    )

    # one level a step: what a level names, the next may use without computing it again
    rules = _rules(contract, text)
    rule = "CASE " + " ".join(f"WHEN {c} THEN {i}" for i, (c, _, _) in enumerate(rules, start=1)) + " ELSE 0 END"
    with_fault = "".join(_fault(i, q, measures[q.measure]) for i, (_, q) in enumerate(questions))
    sorted_out = f"SELECT *, {rule} AS rule{with_fault} FROM ({typed})"
    with_reason = "".join(_missing(i, text[name], q) for i, (name, q) in enumerate(questions))
    explained = f"SELECT *{with_reason} FROM ({sorted_out})"

    response = privacy.pseudonym("response_prefix", of("response") or "NULL")
    respondent = of("respondent")
    person = f"coalesce({privacy.pseudonym('respondent_prefix', respondent)}, {response})" if respondent else response
    judged = [
        "CASE rule WHEN 0 THEN 'accepted'" + "".join(f" WHEN {i} THEN '{s}'" for i, (_, s, _) in enumerate(rules, 1))
        + " END AS row_state",
        "CASE rule" + "".join(f" WHEN {i} THEN {why}" for i, (_, _, why) in enumerate(rules, 1)) + " END AS row_reason",
        f"{response} AS response_id, {person} AS respondent_id",
        "organisation_code, sector_code, mode_code, answered_on, weight, channel_code",
    ]  # fmt: skip
    for i, (name, _) in enumerate(questions):
        judged += [
            f"m{i}",
            f"CASE WHEN m{i} IS NULL THEN n{i}::BIGINT END AS v{i}",
            f"CASE WHEN m{i} = 'quarantined' THEN fault{i} END AS q{i}",
            f"CASE WHEN m{i} = 'quarantined' THEN {privacy.shown(text[name])} END AS s{i}",
        ]
    return f"SELECT {', '.join(judged)} FROM ({explained})"


def _recode(column: str, values: Mapping[str, str]) -> str:
    whens = " ".join(f"WHEN {quoted(k.strip().lower())} THEN {quoted(v)}" for k, v in values.items())
    return f"CASE lower({column}) {whens} END"


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
    rules = [("fault IS NOT NULL", "refused", "fault")]
    if (name := contract.one("status")) is not None:
        status = contract.columns[name]
        assert isinstance(status, Status)
        column = f"lower({text[name]})"
        for value, why in status.exclude.items():
            rules.append((f"{column} = {quoted(value.strip().lower())}", "excluded", quoted(why)))
        keep = ", ".join(quoted(v.strip().lower()) for v in status.keep)
        rules.append((f"{column} IS NULL OR {column} NOT IN ({keep})", "refused", quoted("unknown_status")))
    response = contract.one("response")
    assert response is not None
    rules.append((f"{text[response]} IS NULL", "refused", quoted("no_response_id")))
    if contract.named("date"):
        rules.append(("answered_on IS NULL", "refused", quoted("no_valid_date")))
    if contract.named("organisation"):
        rules.append(("organisation_code IS NULL", "refused", quoted("no_known_organisation")))
    for role in ("sector", "mode"):
        if (name := contract.one(role)) is not None:
            rules.append((f"{role}_code IS NULL AND {text[name]} IS NOT NULL", "refused", quoted(f"unknown_{role}")))
    if contract.named("weight"):
        rules.append(
            (
                f"weight IS NULL OR weight <= 0 OR weight >= {HEAVIEST * WEIGHT}",
                "refused",
                quoted("no_valid_weight"),
            )
        )
    return rules


def _fault(i: int, question: Question, measure: Measure) -> str:
    """SQL: why the number of question i cannot be an answer, or NULL."""
    step = 10**measure.decimals
    low, high = question.scale or (measure.scale_min, measure.scale_max)
    no_channel = "channel_code IS NULL" if question.channel == "row" else "false"
    return (
        f", CASE WHEN {no_channel} THEN 'unknown_channel' WHEN n{i} IS NULL THEN 'not_a_number' "
        f"WHEN n{i} < {low * step} OR n{i} > {high * step} THEN 'outside_scale' "
        f"WHEN n{i} <> n{i}::BIGINT THEN 'between_steps' END AS fault{i}"
    )


def _missing(i: int, column: str, question: Question) -> str:
    """SQL: why question i has no value, or NULL if it has one."""

    def one_of(tokens: list[str]) -> str:
        return f"lower({column}) IN ({', '.join(quoted(t.strip().lower()) for t in tokens)})" if tokens else "false"

    return (
        f", CASE WHEN {column} IS NULL THEN 'blank' WHEN {one_of(question.dont_know)} THEN 'dont_know' "
        f"WHEN {one_of(question.refused)} THEN 'refused' WHEN {one_of(question.not_asked)} THEN 'not_asked' "
        f"WHEN fault{i} IS NOT NULL THEN 'quarantined' END AS m{i}"
    )


# --- writing -------------------------------------------------------------------------------------


def _find_repeated(con: duckdb.DuckDBPyConnection) -> None:
    """Of responses that stand in the delivery more than once, the last row counts."""
    # rows keep the order of the file; a window over the text itself would run on one core
    con.execute("CREATE TEMP VIEW judged AS SELECT rowid + 1 AS row_number, * FROM judged_row")
    con.execute(
        "CREATE TEMP TABLE repeated AS SELECT response_id, max(row_number) AS last FROM judged "
        "WHERE row_state = 'accepted' GROUP BY response_id HAVING count(*) > 1"
    )
    con.execute(
        "CREATE TEMP VIEW settled AS SELECT judged.* REPLACE (CASE WHEN row_state = 'accepted' AND "
        "row_number < last THEN 'superseded' ELSE row_state END AS row_state, CASE WHEN row_state = 'accepted' "
        "AND row_number < last THEN 'repeated_in_delivery' ELSE row_reason END AS row_reason) "
        "FROM judged LEFT JOIN repeated USING (response_id)"
    )


def _write(
    con: duckdb.DuckDBPyConnection,
    delivery: Delivery,
    contract: Contract,
    unread: list[RefusedRow],
    folder: Path,
) -> dict[str, JSON]:
    source, id = quoted(delivery.source), quoted(delivery.id)
    questions = list(contract.questions.items())
    refused = [
        f"SELECT row_number, {quoted(name)} AS question, {quoted(question.measure)} AS measure_code, "
        f"q{i} AS reason, s{i} AS shown FROM settled WHERE row_state = 'accepted' AND q{i} IS NOT NULL"
        for i, (name, question) in enumerate(questions)
    ]
    refused.append(
        "SELECT row_number, NULL AS question, NULL AS measure_code, row_reason AS reason, NULL AS shown "
        "FROM settled WHERE row_state = 'refused'"
    )
    con.execute("CREATE TEMP TABLE unread (row_number BIGINT, reason VARCHAR)")
    if unread:
        con.executemany("INSERT INTO unread VALUES (?, ?)", [[r.row, r.reason] for r in unread])
    refused.append("SELECT row_number, NULL, NULL, reason, NULL FROM unread")

    def write(stem: str, query: str, order: str) -> int:
        return engine.write_parquet(con, f"{query} ORDER BY {order}", folder / f"{stem}.parquet")

    not_asked = " + ".join(f"(m{i} IS NOT DISTINCT FROM 'not_asked')::INTEGER" for i in range(len(questions)))
    rows = {
        "answer": engine.write_parquet(con, _answers(delivery, contract), folder / "answer.parquet"),
        "response": write(
            "response",
            f"SELECT {source} AS source_code, {id} AS delivery_id, row_number, response_id, respondent_id, "
            f"({not_asked})::INTEGER AS n_not_asked FROM settled WHERE row_state = 'accepted'",
            "row_number",
        ),
        "quarantine": write(
            "quarantine",
            f"SELECT {source} AS source_code, {id} AS delivery_id, * FROM ({' UNION ALL '.join(refused)})",
            "row_number NULLS LAST, question, reason",
        ),
    }
    cells = " UNION ALL ".join(
        f"SELECT coalesce(m{i}, 'answer') AS state, q{i} AS reason FROM settled WHERE row_state = 'accepted'"
        for i in range(len(questions))
    )
    rows["receipt"] = write(
        "receipt",
        f"SELECT {source} AS source_code, {id} AS delivery_id, kind, state, reason, count(*)::BIGINT AS n FROM ("
        "SELECT 'row' AS kind, row_state AS state, row_reason AS reason FROM settled UNION ALL "
        "SELECT 'row', 'refused', reason FROM unread UNION ALL "
        f"SELECT 'cell', * FROM ({cells})) GROUP BY kind, state, reason",
        "kind, state, reason",
    )
    return {"rows": rows, "questions": len(questions)}


def _answers(delivery: Delivery, contract: Contract) -> str:
    """SQL: every row once a question, in the order of the file and then of the contract."""
    questions = list(contract.questions.items())

    def per_question(values: Iterable[str]) -> str:
        values = list(values)
        if len(set(values)) == 1:
            return values[0]
        return "CASE place " + " ".join(f"WHEN {i} THEN {v}" for i, v in enumerate(values)) + " END"

    channels = (
        "coalesce(channel_code, 'not_applicable')" if q.channel == "row" else quoted(q.channel) for _, q in questions
    )
    wave = quoted(contract.wave.code) if contract.wave else "NULL::VARCHAR"
    return (
        f"SELECT {quoted(delivery.source)} AS source_code, {quoted(delivery.id)} AS delivery_id, row_number, "
        f"response_id, respondent_id, {quoted(contract.country)} AS country_code, organisation_code, sector_code, "
        f"{quoted(contract.audience)} AS audience_code, {wave} AS wave_code, answered_on, mode_code, "
        f"{per_question(channels)} AS channel_code, "
        f"{per_question(quoted(q.measure) for _, q in questions)} AS measure_code, "
        f"{per_question(quoted(name) for name, _ in questions)} AS question, "
        f"({per_question(str(q.version) for _, q in questions)})::INTEGER AS question_version, "
        f"{per_question(f'v{i}' for i in range(len(questions)))} AS value, weight, "
        f"{per_question(f'm{i}' for i in range(len(questions)))} AS missing_reason "
        f"FROM (SELECT *, unnest(range({len(questions)})) AS place FROM settled WHERE row_state = 'accepted') "
        "WHERE missing_reason IS DISTINCT FROM 'not_asked'"
    )
