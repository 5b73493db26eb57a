"""One delivery and its contract in; typed answers, the quarantine and the receipt out.

A pure function: the same bytes, contract and key give the same Parquet. Nothing here knows of
other deliveries; that is `supersession.py`. Nothing here names a monitor, a sector or a figure.

The rows pass through the engine once. That pass already pseudonymises, types and judges, so text
of the export exists only inside the query. Five files come out:

  answer      one row per question that an accepted row was asked: a value, or the reason why there is none
  response    one row per accepted row: the keys that supersession compares, and how much was not asked
  quarantine  one row per refused answer or row, with the reason and what may be shown of it
  text        one row per free text that the contract says to keep, masked
  receipt     one row per kind of row and cell, with its count
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb

from pipelines import engine, privacy
from pipelines.contracts import Contract
from pipelines.deliveries import Delivery, same
from pipelines.engine import quoted
from pipelines.errors import DeliveryRefused, listed
from pipelines.judging import cells, judge
from pipelines.parts import JSON
from pipelines.readers import open_text
from pipelines.readers.text import RefusedRow
from pipelines.reference import Measure
from pipelines.settings import Settings


def stage(
    settings: Settings,
    delivery: Delivery,
    contract: Contract,
    measures: Mapping[str, Measure],
    key: bytes,
    folder: Path,
) -> dict[str, JSON]:
    """Write the five files into `folder`; the result says how many rows each has.

    Raises DeliveryRefused, with nothing usable in `folder`, if the delivery is not as declared.
    """
    contract = contract.at(delivery.order)
    if not contract.named("date") and contract.wave is None:
        raise DeliveryRefused(
            f"{delivery.path.name}: `waves` of the contract has no wave for '{delivery.order}'; add it."
        )
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
        _find_repeated(con, delivery)
        return _write(con, delivery, contract, unread, folder)


def _check_columns(file: str, columns: list[str], contract: Contract) -> None:
    known = {*contract.columns, *contract.discard}
    if not known & set(columns):  # its cells may be somebody's name: show none of them
        raise DeliveryRefused(
            f"{file}: not one column of the contract stands in its first row; the heading is missing, or the delimiter "
            "or encoding is another one than the contract says."
        )
    missing = [c for c in contract.columns if c not in columns]
    new = [privacy.heading(c) for c in columns if c not in known]
    if missing or new:
        parts = [f"lacks the columns {listed(missing)}"] if missing else []
        parts += [f"has the columns {listed(new)} which the contract does not know"] if new else []
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


# --- writing -------------------------------------------------------------------------------------


def _find_repeated(con: duckdb.DuckDBPyConnection, delivery: Delivery) -> None:
    """Of responses that stand in the delivery more than once, the last row counts."""
    # rows keep the order of the file; a window over the text itself would run on one core. Where the export has
    # no id, a row is known by its delivery and place.
    place = privacy.pseudonym("response_prefix", f"({quoted(delivery.sha256 + ':')} || rowid)")
    response = f"CASE WHEN row_state = 'accepted' THEN coalesce(response_id, {place}) END"
    con.execute(
        f"CREATE TEMP VIEW judged AS SELECT rowid + 1 AS row_number, * REPLACE ({response} AS response_id, "
        f"coalesce(respondent_id, {response}) AS respondent_id) FROM judged_row"
    )
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
    asked = cells(contract)
    refused = [
        f"SELECT row_number, {quoted(cell.column)} AS question, {quoted(cell.measure)} AS measure_code, "
        f"q{i} AS reason, s{i} AS shown FROM settled WHERE row_state = 'accepted' AND q{i} IS NOT NULL"
        for i, cell in enumerate(asked)
    ]
    refused.append(
        "SELECT row_number, NULL AS question, NULL AS measure_code, row_reason AS reason, NULL AS shown "
        "FROM settled WHERE row_state = 'refused'"
    )
    con.execute(
        "CREATE TEMP TABLE unread AS SELECT unnest($1::BIGINT[]) AS row_number, unnest($2::VARCHAR[]) AS reason",
        [[r.row for r in unread], [r.reason for r in unread]],
    )
    refused.append("SELECT row_number, NULL, NULL, reason, NULL FROM unread")

    def write(stem: str, query: str, order: str) -> int:
        return engine.write_parquet(con, f"{query} ORDER BY {order}", folder / f"{stem}.parquet")

    not_asked = " + ".join(f"(m{i} IS NOT DISTINCT FROM 'not_asked')::INTEGER" for i in range(len(asked)))
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
            "row_number NULLS LAST, question, measure_code, reason",
        ),
    }
    free = [
        f"SELECT row_number, response_id, {quoted(name)} AS question, free{i} AS text FROM settled "
        f"WHERE row_state = 'accepted' AND free{i} IS NOT NULL"
        for i, name in enumerate(contract.named("text"))
    ]
    free = free or ["SELECT row_number, response_id, '' AS question, '' AS text FROM settled WHERE false"]
    rows["text"] = write(
        "text",
        f"SELECT {source} AS source_code, {id} AS delivery_id, * FROM ({' UNION ALL '.join(free)})",
        "row_number, question",
    )
    states = " UNION ALL ".join(
        f"SELECT coalesce(m{i}, 'answer') AS state, q{i} AS reason FROM settled WHERE row_state = 'accepted'"
        for i in range(len(asked))
    )
    rows["receipt"] = write(
        "receipt",
        f"SELECT {source} AS source_code, {id} AS delivery_id, kind, state, reason, count(*)::BIGINT AS n FROM ("
        "SELECT 'row' AS kind, row_state AS state, row_reason AS reason FROM settled UNION ALL "
        "SELECT 'row', 'refused', reason FROM unread UNION ALL "
        f"SELECT 'cell', * FROM ({states})) GROUP BY kind, state, reason",
        "kind, state, reason",
    )
    return {"rows": rows, "questions": len(asked)}


def _answers(delivery: Delivery, contract: Contract) -> str:
    """SQL: every row once a cell, in the order of the file and then of the contract."""
    asked = cells(contract)

    def per_cell(values: Iterable[str]) -> str:
        values = list(values)
        if len(set(values)) == 1:
            return values[0]
        return "CASE place " + " ".join(f"WHEN {i} THEN {v}" for i, v in enumerate(values)) + " END"

    channels = (
        "coalesce(channel_code, 'not_applicable')" if c.question.channel == "row" else quoted(c.question.channel)
        for c in asked
    )
    wave = quoted(contract.wave.code) if contract.wave else "NULL::VARCHAR"
    return (
        f"SELECT {quoted(delivery.source)} AS source_code, {quoted(delivery.id)} AS delivery_id, row_number, "
        f"response_id, respondent_id, {quoted(contract.country)} AS country_code, organisation_code, sector_code, "
        f"segment_code, {quoted(contract.audience)} AS audience_code, {wave} AS wave_code, answered_on, mode_code, "
        f"{per_cell(channels)} AS channel_code, "
        f"{per_cell(quoted(c.measure) for c in asked)} AS measure_code, "
        f"{per_cell(quoted(c.column) for c in asked)} AS question, "
        f"({per_cell(str(c.question.version) for c in asked)})::INTEGER AS question_version, "
        f"{per_cell(f'v{i}' for i in range(len(asked)))} AS value, weight, "
        f"{per_cell(f'm{i}' for i in range(len(asked)))} AS missing_reason "
        f"FROM (SELECT *, unnest(range({len(asked)})) AS place FROM settled WHERE row_state = 'accepted') "
        "WHERE missing_reason IS DISTINCT FROM 'not_asked'"
    )
