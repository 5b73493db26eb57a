"""One delivery and its contract in; typed answers, the quarantine and the receipt out.

A pure function: the same bytes, contract and key give the same Parquet. Nothing here knows of
other deliveries; that is `supersession.py`. Nothing here names a monitor, a sector or a figure.

The rows pass through the engine once, in pieces that are read side by side. That pass already
pseudonymises, types and judges, so text of the export exists only inside the query. Five files come out:

  answer      one row per question that an accepted row was asked: a value, or the reason why there is none
  response    one row per accepted row: the keys that supersession compares, and how much was not asked
  quarantine  one row per refused answer or row, with the reason and what may be shown of it
  text        one row per free text that the contract says to keep, masked
  receipt     one row per kind of row and cell, with its count

Machines that share a large delivery judge its pieces first (`judge_share`); what follows needs all of them.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import duckdb

from pipelines import engine, privacy
from pipelines.contracts import Contract
from pipelines.deliveries import Delivery, same
from pipelines.engine import enumeration, quoted
from pipelines.erasure import Erased
from pipelines.errors import DeliveryRefused, listed, of_the_machine, reading
from pipelines.formats import Delimited, Qualtrics
from pipelines.judging import STATE, cells, judge, layout
from pipelines.parts import JSON, Part
from pipelines.readers import open_pieces
from pipelines.readers.archive import PACKED
from pipelines.readers.text import PIECE, RefusedRow, Text
from pipelines.reference import Measure
from pipelines.settings import Settings

NOBODY = Erased()
MEMORY = 1 << 30  # bytes that the engine may hold for one delivery; the rest spills beside the part
SHARE, MOST_SHARES = 2 * PIECE, 32  # bytes of text that are worth a machine's while
PACKS = 8  # how many times as large text is unpacked, about


def stage(
    settings: Settings,
    delivery: Delivery,
    contract: Contract,
    measures: Mapping[str, Measure],
    key: bytes,
    folder: Path,
    erased: Erased = NOBODY,
    shares: Sequence[Part] = (),
) -> dict[str, JSON]:
    """Write the five files into `folder`; the result says how many rows each has.

    `shares`: all that `judge_share` made of the delivery, if its pieces were judged before.
    Raises DeliveryRefused, with nothing usable in `folder`, if the delivery is not as declared.
    """
    contract = _in_force(delivery, contract)
    before = _stat(delivery)
    with reading(delivery.path), delivery.path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != delivery.sha256:
            raise DeliveryRefused(f"{delivery.path.name} has other bytes than it was published with; bring those back.")
    with _engine(settings, delivery, contract, key, folder, erased) as (session, threads):
        with _faults_of(delivery, folder):
            if shares and all(share.facts["file"] == _version(before) for share in shares):
                unread = _read_shares(session, threads, contract, delivery, shares)
            else:
                unread = _read(session, threads, delivery, contract, measures, list(erased.hashes))
        _unchanged(delivery, before)
        with session() as own:
            _find_repeated(own, unread)
        return _write(session, threads, delivery, contract, folder)


def n_shares(delivery: Delivery, contract: Contract) -> int:
    """Into how many shares a delivery can be divided; 1 if only as a whole. The same on every machine."""
    if not isinstance(contract.at(delivery.order).format, Delimited | Qualtrics):
        return 1
    size = _stat(delivery).st_size * (PACKS if delivery.path.suffix.lower() in PACKED else 1)
    return min(MOST_SHARES, max(1, -(-size // SHARE)))


def judge_share(
    settings: Settings,
    delivery: Delivery,
    contract: Contract,
    measures: Mapping[str, Measure],
    key: bytes,
    folder: Path,
    erased: Erased = NOBODY,
    *,
    first: int,
    of: int,
) -> dict[str, JSON]:
    """Judge every `of`-th piece of a delivery, the `first` of them counted from 0, into a file each in `folder`.

    The result holds what `stage` has to know of them. The whole text is cut, as only that tells where its pieces end.
    Raises DeliveryRefused as `stage` does.
    """
    contract = _in_force(delivery, contract)
    before = _stat(delivery)
    with (
        _engine(settings, delivery, contract, key, folder, erased) as (session, threads),
        _faults_of(delivery, folder),
        session() as con,
        open_pieces(con, delivery.path, contract) as pieces,
    ):
        _check_columns(delivery.path.name, pieces.columns, contract)

        def judge_piece(numbered: tuple[int, OpenPiece]) -> tuple[str, JSON]:
            number, open_piece = numbered
            with session() as own, open_piece(own) as text:
                query = judge(text.columns, text.relation, contract, measures, text.long, list(erased.hashes))
                rows = engine.write_parquet(own, query, folder / f"{number}.parquet", ours=True)
                return str(number), {"rows": rows, "refused": [[r.row, r.reason] for r in text.finish()]}

        done = dict(engine.in_turn(threads, judge_piece, islice(enumerate(pieces.each), first, None, of)))
        count = pieces.count()
    _unchanged(delivery, before)
    return {"file": _version(before), "pieces": done, "count": count}


# --- reading -------------------------------------------------------------------------------------

Session = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]
OpenPiece = Callable[[duckdb.DuckDBPyConnection], AbstractContextManager[Text]]


def _in_force(delivery: Delivery, contract: Contract) -> Contract:
    contract = contract.at(delivery.order)
    if not contract.named("date") and contract.wave is None:
        raise DeliveryRefused(
            f"{delivery.path.name}: `waves` of the contract has no wave for '{delivery.order}'; add it."
        )
    return contract


def _stat(delivery: Delivery) -> os.stat_result:
    with reading(delivery.path):  # else it would be what is made of it that cannot be written
        return delivery.path.stat()


def _version(of: os.stat_result) -> list[int]:
    """What tells, on every machine, a file from the same one with other bytes."""
    return [of.st_size, of.st_mtime_ns]


def _unchanged(delivery: Delivery, before: os.stat_result) -> None:
    if not same(before, delivery.path.stat()):
        raise DeliveryRefused(f"{delivery.path.name} changed while it was being read; refresh again.")


@contextmanager
def _engine(
    settings: Settings, delivery: Delivery, contract: Contract, key: bytes, folder: Path, erased: Erased
) -> Iterator[tuple[Session, int]]:
    """An engine for one delivery: sessions on the same tables, for queries side by side, and how many at once."""
    with engine.share(settings) as threads, engine.connect(settings, folder, True, MEMORY) as con:
        # a join keeps the order of its left side, as long as the engine does not turn it round
        con.execute("SET disabled_optimizers = 'type_pushdown, build_side_probe_side'")

        @contextmanager
        def session() -> Iterator[duckdb.DuckDBPyConnection]:
            with con.cursor() as own:
                own.execute(f"SET TimeZone = {quoted(contract.time_zone)}")
                for kind in ("response", "respondent"):
                    prefix = privacy.prefix(key, contract.controller, delivery.source, kind)
                    own.execute(f"SET VARIABLE {kind}_prefix = $1", [prefix])
                for kind, hashes in erased.hashes.items():
                    own.execute(f"SET VARIABLE erased_{kind}_prefix = $1", [erased.prefixes[kind]])
                    own.execute(f"SET VARIABLE erased_{kind} = $1::VARCHAR[]", [hashes])
                yield own

        yield session, threads


@contextmanager
def _faults_of(delivery: Delivery, folder: Path) -> Iterator[None]:
    """Refuse a delivery that the engine cannot read."""
    try:
        yield
    except duckdb.Error as error:
        if of_the_machine(error, folder):  # nobody's delivery is to blame for a full disk
            raise
        raise DeliveryRefused(_engine_fault(delivery.path.name, error)) from None


def _read(
    session: Session,
    threads: int,
    delivery: Delivery,
    contract: Contract,
    measures: Mapping[str, Measure],
    erased: list[str],
) -> list[RefusedRow]:
    """Make the view `judged` of all rows, numbered as they stand in the file; gives the rows that could not be read."""
    with session() as con, open_pieces(con, delivery.path, contract) as pieces:
        _check_columns(delivery.path.name, pieces.columns, contract)

        def add(own: duckdb.DuckDBPyConnection, open_piece: OpenPiece) -> tuple[int, list[RefusedRow]]:
            with open_piece(own) as text:
                query = judge(text.columns, text.relation, contract, measures, text.long, erased)
                ((rows,),) = own.execute(f"INSERT INTO read {query}").fetchall()
                return rows, text.finish()

        return _collect(session, threads, delivery, contract, pieces.each, add, pieces.count)


def _read_shares(
    session: Session, threads: int, contract: Contract, delivery: Delivery, shares: Sequence[Part]
) -> list[RefusedRow]:
    """The same of pieces that were judged before."""
    pieces = {int(number): (share, told) for share in shares for number, told in share.facts["pieces"].items()}

    def add(own: duckdb.DuckDBPyConnection, number: int) -> tuple[int, list[RefusedRow]]:
        share, told = pieces[number]
        file = quoted(str(share.file(str(number))))
        ((rows,),) = own.execute(f"INSERT INTO read FROM read_parquet({file})").fetchall()
        return rows, [RefusedRow(row, reason) for row, reason in told["refused"]]

    def count() -> int:
        return int(shares[0].facts["count"])

    return _collect(session, threads, delivery, contract, sorted(pieces), add, count)


Piece = TypeVar("Piece")


def _collect(
    session: Session,
    threads: int,
    delivery: Delivery,
    contract: Contract,
    pieces: Iterable[Piece],
    add: Callable[[duckdb.DuckDBPyConnection, Piece], tuple[int, list[RefusedRow]]],
    count: Callable[[], int],
) -> list[RefusedRow]:
    """Have the pieces added to one table, several at once, in the order of the file; see that no row is lost."""

    def one(piece: Piece) -> tuple[int, list[RefusedRow], ExitStack]:
        with ExitStack() as stack:
            own = stack.enter_context(session())
            own.begin()
            rows, refused = add(own, piece)
            stack.callback(own.commit)
            return rows, refused, stack.pop_all()

    unread: list[RefusedRow] = []
    read = 0
    with session() as con:
        # its row ids are the places, and a query on one thread keeps its order (that of a union is not kept).
        # What a transaction adds is not copied when it ends.
        columns = ", ".join(f"{name} {type}" for name, type in layout(contract).items())
        con.execute(f"CREATE TABLE read ({columns})")
        for rows, refused, commit in engine.in_turn(threads, one, pieces):
            commit.close()
            read += rows
            unread += refused
        if read + len(unread) != count():
            raise DeliveryRefused(
                f"{delivery.path.name} holds {count():,} rows, but {read + len(unread):,} came out of it; "
                "compare its delimiter and quotes with the contract."
            )
        # where the export has no id, a row is known by its delivery and place
        unnamed = privacy.pseudonym("response_prefix", f"({quoted(delivery.sha256 + ':')} || (row_number - 1))")
        response = f"CASE WHEN row_state = 'accepted' THEN coalesce(response_id, {unnamed}) END"
        con.execute(
            f"CREATE VIEW judged AS SELECT * REPLACE ({response} AS response_id, coalesce(respondent_id, {response}) "
            "AS respondent_id) FROM (SELECT rowid + 1 AS row_number, * FROM read)"
        )
    return unread


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
        # where most of the heading is missing, the rest may be cells: show none of them either
        another = 2 * len(missing) > len(contract.columns)
        what = f"columns ({len(new)})" if another else f"the columns {listed(new)}"
        parts += [f"has {what} which the contract does not know"] if new else []
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


def _find_repeated(con: duckdb.DuckDBPyConnection, unread: list[RefusedRow]) -> None:
    """Make the view `settled`: of responses that stand in the delivery more than once, the last row counts."""
    # grouping short hashes finds the few candidates; grouping all ids would take many times the memory
    con.execute(
        "CREATE TABLE repeated AS WITH accepted AS (SELECT response_id, row_number FROM judged WHERE row_state = "
        "'accepted'), twice AS (SELECT hash(response_id) AS h FROM accepted GROUP BY h HAVING count(*) > 1), "
        "candidate AS (SELECT * FROM accepted WHERE hash(response_id) IN (SELECT h FROM twice)) "
        "SELECT row_number FROM candidate "
        "QUALIFY row_number < max(row_number) OVER (PARTITION BY response_id)"
    )
    con.execute(
        "CREATE VIEW settled AS SELECT * REPLACE ("
        f"CASE WHEN again THEN 'superseded'::{STATE} ELSE row_state END AS row_state, "
        "CASE WHEN again THEN 'repeated_in_delivery' ELSE row_reason END AS row_reason) "
        "FROM (SELECT *, row_number IN (FROM repeated) AS again FROM judged)"
    )
    con.execute(
        "CREATE TABLE unread AS SELECT unnest($1::BIGINT[]) AS row_number, unnest($2::VARCHAR[]) AS reason",
        [[r.row for r in unread], [r.reason for r in unread]],
    )


def _write(session: Session, threads: int, delivery: Delivery, contract: Contract, folder: Path) -> dict[str, JSON]:
    """Write every file with a query on one thread, the answers beside the others."""
    queries = _queries(delivery, contract)

    def write(stems: Iterable[str]) -> dict[str, int]:
        with session() as con:
            return {
                # answers may become facts as they are
                stem: engine.write_parquet(con, queries[stem], folder / f"{stem}.parquet", ours=stem != "answer")
                for stem in stems
            }

    with ThreadPoolExecutor(min(threads, 2)) as pool:
        done = list(pool.map(write, (["answer"], [stem for stem in queries if stem != "answer"])))
    return {"rows": done[0] | done[1], "questions": len(cells(contract))}


def _queries(delivery: Delivery, contract: Contract) -> dict[str, str]:
    """SQL of the five files. Rows come in the order of the delivery, so the two large ones need no sort."""
    of = f"{_constant(delivery.source)} AS source_code, {_constant(delivery.id)} AS delivery_id"
    asked = cells(contract)
    not_asked = " + ".join(f"(m{i} IS NOT DISTINCT FROM 'not_asked')::INTEGER" for i in range(len(asked)))
    quarantined = ", ".join(
        f"{{'question': {quoted(cell.column)}, 'measure_code': {quoted(cell.measure)}, 'reason': q{i}, 'shown': s{i}}}"
        for i, cell in enumerate(asked)
    )
    free = [
        f"SELECT row_number, response_id, {quoted(name)} AS question, free{i} AS text FROM settled "
        f"WHERE row_state = 'accepted' AND free{i} IS NOT NULL"
        for i, name in enumerate(contract.named("text"))
    ]
    free = free or ["SELECT row_number, response_id, '' AS question, '' AS text FROM settled WHERE false"]
    states = " UNION ALL ".join(
        f"SELECT 'cell', coalesce(m{i}::VARCHAR, 'answer'), q{i}::VARCHAR, count(*) FROM settled "
        f"WHERE row_state = 'accepted' GROUP BY m{i}, q{i}"
        for i in range(len(asked))
    )
    return {
        "answer": _answers(delivery, contract),
        "response": f"SELECT {of}, row_number, response_id, respondent_id, ({not_asked})::INTEGER AS n_not_asked "
        "FROM settled WHERE row_state = 'accepted'",
        "quarantine": f"SELECT {of}, * FROM ("
        f"SELECT row_number, unnest([{quarantined}], recursive := true) FROM settled WHERE row_state = 'accepted' AND "
        f"({' OR '.join(f'q{i} IS NOT NULL' for i in range(len(asked)))}) UNION ALL "
        "SELECT row_number, NULL, NULL, row_reason, NULL FROM settled WHERE row_state = 'refused' UNION ALL "
        "SELECT row_number, NULL, NULL, reason, NULL FROM unread) WHERE reason IS NOT NULL "
        "ORDER BY row_number NULLS LAST, question, measure_code, reason",
        "text": f"SELECT {of}, * FROM ({' UNION ALL '.join(free)}) ORDER BY row_number, question",
        "receipt": f"SELECT {of}, kind, state, reason, sum(n)::BIGINT AS n FROM ("
        "SELECT 'row' AS kind, row_state::VARCHAR AS state, row_reason AS reason, count(*) AS n FROM settled "
        "GROUP BY row_state, row_reason UNION ALL "
        "SELECT 'row', 'refused', reason, count(*) FROM unread GROUP BY reason UNION ALL "
        f"{states}) GROUP BY kind, state, reason ORDER BY kind, state, reason",
    }


def _constant(text: str | None) -> str:
    """SQL: a text that is the same in every row. As an enumeration it is written faster, and it is read as text."""
    return "NULL::VARCHAR" if text is None else f"{quoted(text)}::{enumeration(text)}"


def _answers(delivery: Delivery, contract: Contract) -> str:
    """SQL: every row once a cell, in the order of the file and then of the contract."""
    asked = cells(contract)

    def per_cell(values: Iterable[str]) -> str:
        values = list(values)
        if len(set(values)) == 1:
            return values[0]
        return "CASE place " + " ".join(f"WHEN {i} THEN {v}" for i, v in enumerate(values)) + " END"

    def name_per_cell(names: list[str]) -> str:
        return per_cell(f"{quoted(name)}::{enumeration(*names)}" for name in names)

    none = f"'not_applicable'::{layout(contract)['channel_code']}"
    channel = per_cell(
        f"coalesce(channel_code, {none})"
        if c.question.channel == "row"
        else f"{quoted(c.question.channel)}::{layout(contract)['channel_code']}"
        for c in asked
    )
    return (
        f"SELECT {_constant(delivery.source)} AS source_code, {_constant(delivery.id)} AS delivery_id, row_number, "
        f"response_id, respondent_id, {_constant(contract.country)} AS country_code, organisation_code, sector_code, "
        f"segment_code, {_constant(contract.audience)} AS audience_code, "
        f"{_constant(contract.wave.code if contract.wave else None)} AS wave_code, answered_on, mode_code, "
        f"{channel} AS channel_code, "
        f"{name_per_cell([c.measure for c in asked])} AS measure_code, "
        f"{name_per_cell([c.column for c in asked])} AS question, "
        f"({per_cell(str(c.question.version) for c in asked)})::INTEGER AS question_version, "
        f"({per_cell(f'v{i}' for i in range(len(asked)))})::INTEGER AS value, weight::BIGINT AS weight, "
        f"{per_cell(f'm{i}' for i in range(len(asked)))} AS missing_reason "
        f"FROM (SELECT *, unnest(range({len(asked)})) AS place FROM settled WHERE row_state = 'accepted') "
        "WHERE missing_reason IS DISTINCT FROM 'not_asked'"
    )
