"""What a person sees on the terminal. Reads the current release; computes nothing."""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from rich.console import Console
from rich.table import Table

from pipelines import history
from pipelines.errors import MeetlatError, listed
from pipelines.refresh import Outcome
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.audit import Report

REMEDIES = {
    "not_a_number": "add the text to dont_know, refused or not_asked, or have it corrected",
    "outside_scale": "add the code to dont_know or not_asked if it is one, or correct `scale`",
    "between_steps": "the measure has fewer decimals; correct measures.csv if that is wrong",
    "unknown_channel": "add the channel to `values` of the channel column",
    "unknown_status": "add the value to `keep` or `exclude` of the status column",
    "no_response_id": "have the rows exported with their id",
    "no_valid_date": "correct `format` of the date column, or have the rows corrected",
    "no_known_organisation": "have the rows exported with their organisation, or add it to `values`",
    "no_valid_weight": "weights lie above 0 and below 100; have them corrected",
    "unknown_sector": "add the sector to `values` of the sector column",
    "unknown_segment": "add the value to `values` of the segment column",
    "unknown_label": "add the label to `values` of the question, or to dont_know, refused or not_asked",
    "unknown_option": "add the option to `options` of the column",
    "unknown_mode": "add the mode to `values` of the mode column",
    "too_many_cells": "a delimiter stands unquoted in the row; have it exported again",
    "too_few_cells": "the row is cut; have it exported again",
    "not_a_json_object": "have the line exported again",
}
MOST_OUTPUTS = 5  # of which is told what the audit made of them

LISTED = 100  # deliveries, or sources, that are told of one by one
HEADLINES = """
    SELECT figure.period_code, audience.label_en AS audience, sector.label_en AS sector, channel.label_en AS channel,
           measure.label_en AS measure, figure.published_value, value, is_reproduced, figure.provenance,
           greatest(printed.decimals_printed, (measure.statistic = 'mean')::INTEGER) AS decimals
    FROM mart.published_comparison AS figure
    JOIN core.fct_published_figure AS printed USING (figure_id)
    JOIN core.dim_audience AS audience ON audience.audience_code = figure.audience_code
    JOIN core.dim_sector AS sector ON sector.sector_code = figure.sector_code
    JOIN core.dim_channel AS channel ON channel.channel_code = figure.channel_code
    JOIN core.dim_measure AS measure ON measure.measure_code = figure.measure_code
    WHERE value IS NOT NULL
    ORDER BY figure.period_code, audience.sort_order, sector.sort_order, figure.measure_code, channel.sort_order
"""


def _open(settings: Settings, release: Path | None = None) -> duckdb.DuckDBPyConnection:
    """The restricted file of a release, by default of the one that is served."""
    file = (release or settings.current) / "restricted" / "warehouse.duckdb"
    if not file.exists():
        raise MeetlatError(f"There is no release in {settings.warehouse} yet; run `meetlat refresh`.")
    return duckdb.connect(str(file.resolve()), read_only=True)


def _table(title: str, columns: list[tuple[str, bool]], rows: list[tuple[Any, ...]]) -> None:
    """Print a table; a column marked True is set to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for name, right in columns:
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if v is None else f"{v:,}" if type(v) is int else str(v) for v in row))
    console = Console()
    Console(width=None if console.is_terminal else 140).print(table)


def after_refresh(settings: Settings, outcome: Outcome) -> None:
    """The headline figures, the receipts, where the files are and how long it took."""
    folder = history.latest(settings)
    with _open(settings, folder) as con:
        if not outcome.is_new:
            print(f"Nothing new: release {outcome.release} stands ({outcome.seconds['look']:.2f} s).")
            return
        figures = con.execute(HEADLINES).fetchall()
        if figures:
            rows = [
                (
                    period, audience, sector, channel, measure, _plain(published),
                    f"{value:,.{decimals}f}", "yes" if reproduced else "NO",
                )
                for period, audience, sector, channel, measure, published, value, reproduced, _, decimals in figures
            ]  # fmt: skip
            columns = [("period", False), ("audience", False), ("sector", False), ("channel", False)]
            columns += [("measure", False), ("published", True), ("computed", True), ("reproduced", False)]
            _table("Published figures and what the exports give", columns, rows)
            if any(provenance == "synthetic" for *_, provenance, _ in figures):
                print("These exports are synthetic: calibrated to the published figures, they describe nobody.\n")
        _receipts(con)
        _warnings(con)
    print(f"\nRelease {outcome.release}")
    for sentence in _disclosed(folder):
        print(f"  {sentence}")
    if not outcome.served:
        print(f"  is not served: {_pin(settings)}")
    print(f"  for BI tools  {folder / 'benchmark.duckdb'} and {folder / 'parquet'}")
    print(f"  for analysts  {folder / 'restricted'} (pseudonymous, but one row a respondent)")
    print("  seconds       " + ", ".join(f"{name} {taken:.1f}" for name, taken in outcome.seconds.items()))


def _disclosed(release: Path) -> list[str]:
    """What the audit made of the release: families of which an output shows nothing, or what it showed before."""
    disclosure = json.loads((release / "publication.json").read_text()).get("disclosure", {})
    why = {
        "withheld": "shows nothing of {}, as some of their figures would give too much away.",
        "kept": "still shows the earlier figures of {}: beside these, new ones would give too much away.",
    }
    sentences = []
    for what, sentence in why.items():
        found: dict[str, list[str]] = {}
        for output, *family in disclosure.get(what, []):
            found.setdefault(output, []).append("/".join(family))
        named = sorted(found.items(), key=lambda each: (each[0] != "public", each))
        lines = [f"{output + '/':<13} {sentence.format(listed(families))}" for output, families in named]
        sentences += lines[:MOST_OUTPUTS]
        if len(lines) > MOST_OUTPUTS:
            sentences.append(f"The same goes for {len(lines) - MOST_OUTPUTS:,} more, which publication.json names.")
    return sentences


def _pin(settings: Settings) -> str:
    pin = history.pinned(settings) or {}
    return f"{pin.get('release')} is pinned since {pin.get('since')}; `meetlat rollback --lift` ends that."


def releases(settings: Settings) -> None:
    """The releases that are kept, oldest first."""
    known = history.releases(settings)
    if not known:
        raise MeetlatError(f"There is no release in {settings.warehouse} yet; run `meetlat refresh`.")
    rows = []
    for release in known:
        with duckdb.connect() as con:
            ((through, deliveries, answers),) = con.execute(
                "SELECT data_through, deliveries, answers FROM read_parquet($1)",
                [str(release.folder / "parquet" / "meta.release.parquet")],
            ).fetchall()
        note = (
            "served"
            if release.is_current
            else "without restricted tables, after an erasure"
            if release.reissued
            else ""
        )
        rows.append((release.id, f"{release.published_at:%Y-%m-%d %H:%M}", through, deliveries, answers, note))
    columns = [("release", False), ("published (UTC)", False), ("answers through", False), ("deliveries", True)]
    _table("Releases", [*columns, ("answers", True), ("", False)], rows)
    if history.pinned(settings):
        print(_pin(settings))


def _warnings(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.execute(
        "SELECT source_code, file_name, subject, before, now FROM meta.warning "
        "ORDER BY source_code, file_name, kind, subject"
    ).fetchall()
    for source, file, subject, before, now in rows:
        what = "answers" if subject == "rows" else f"answers on {subject}"
        print(f"Warning: {source}/{file} has {now:,} {what}; every delivery before it had at least {before:,}.")


def audit(found: "Report") -> None:
    """What an audit found: the cells that come closest, then every finding as a sentence."""
    columns = [
        ("output", False),
        ("attacker", False),
        ("what", False),
        ("cell", False),
        ("between", True),
        ("and", True),
        ("times what is needed", True),
    ]
    closest = [f for f in found.exposed if f.low is not None and f.high is not None]
    if closest:
        rows = [
            (f.output, f.attacker, f.what, str(f.cell), f"{f.low:,.2f}", f"{f.high:,.2f}", f"{f.ratio:,.2f}")
            for f in closest
        ]
        _table("Hidden, and closest to being known", columns, rows)
    for note in found.notes:
        print(f"Note: {note}")
    for finding in found.findings:
        print(finding)
    print(
        f"{found.hidden:,} hidden rows in {found.families:,} families; {found.checked:,} attacks on those that hide "
        f"themselves, {found.programs:,} linear programs, {found.seconds:.1f} s. Numbers without rounding would give "
        f"away {found.held_by_rounding:,} of them; {found.recovered_secondary:,} that only protect others can be known."
    )
    print(f"{len(found.findings):,} findings." if found.failed else "Nothing hidden can be known too well.")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,}"


def _receipts(con: duckdb.DuckDBPyConnection) -> None:
    """The deliveries one by one; many as sums over each source, and those of many sources as sums over all."""
    levels = (
        ("source_code", "file_name", "source_code, order_key, file_name, status"),
        ("source_code", "format('{:,} deliveries', count(*))", "source_code, status"),
        ("format('{:,} sources', count(DISTINCT source_code))", "format('{:,} deliveries', count(*))", "status"),
    )
    counted = "rows_read rows_accepted rows_excluded rows_refused rows_superseded cells_answer cells_dont_know"
    sums = ", ".join(f"sum({c})::BIGINT" for c in [*counted.split(), "cells_quarantined"])
    for source, delivery, by in levels:
        rows = con.execute(
            f"SELECT {source}, {delivery}, status, {sums} FROM meta.delivery GROUP BY {by} ORDER BY {by}"
        ).fetchall()
        if len(rows) <= LISTED:
            break
    numbers = (
        "rows read",
        "accepted",
        "excluded",
        "refused",
        "superseded",
        "answers",
        "don't know",
        "quarantined",
    )
    columns = [("source", False), ("delivery", False), ("status", False), *((n, True) for n in numbers)]
    _table("Deliveries", columns, rows)
    if by != levels[0][-1]:
        ((deliveries,),) = con.execute("SELECT count(*) FROM meta.delivery").fetchall()
        print(f"`meetlat show meta.delivery --rows {deliveries}` lists them one by one.")


def status(settings: Settings) -> None:
    """The current release and how the last refresh ended."""
    with _open(settings) as con:
        ((id, through, answers, refused, stale),) = con.execute(
            "SELECT release_id, data_through, answers, deliveries_refused, sources_stale FROM meta.release"
        ).fetchall()
        published = json.loads((settings.current / "publication.json").read_text())["published_at"]
        age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(published)
        print(f"Release {id}, published {published} ({_ago(age)} ago), answers through {through}: {answers:,}.")
        if history.pinned(settings):
            print(_pin(settings))
        if refused or stale:
            print(f"{refused} deliveries refused, {stale} sources stale.")
        _receipts(con)
        _warnings(con)
        for message in con.execute("SELECT DISTINCT message FROM meta.delivery WHERE message IS NOT NULL").fetchall():
            print(message[0])
    try:
        last = json.loads((settings.state / "last_refresh.json").read_text())
    except FileNotFoundError:
        return
    endings = {0: "well", 1: "with nothing published", 3: "without some deliveries"}
    print(f"The last refresh ended {last['ended_at']} {endings.get(last['status'], '')}.")
    for sentence in last["sentences"]:
        print(f"  {sentence}")


def _ago(age: dt.timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 2 else f"{age.total_seconds() / 60:.0f} minutes"


def show(settings: Settings, table: str, rows: int) -> None:
    with _open(settings) as con:
        known = con.execute("SELECT table_name, grain FROM meta.table ORDER BY table_name").fetchall()
        if table not in dict(known):
            raise MeetlatError(f"There is no table {table}; there are {', '.join(name for name, _ in known)}.")
        ((total,),) = con.execute(f"SELECT count(*) FROM {table}").fetchall()
        _print(
            con,
            f"SELECT * FROM {table} ORDER BY {dict(known)[table]} LIMIT {rows}",
            f"{table}: {total:,} rows",
        )


def query(settings: Settings, sql: str, csv: bool) -> None:
    with _open(settings) as con:
        if csv:
            _csv(con, sql)
        else:
            _print(con, sql, "")


def _print(con: duckdb.DuckDBPyConnection, sql: str, title: str) -> None:
    names, found = _rows(con, sql)
    numeric = [all(type(row[i]) in (int, float) or row[i] is None for row in found) for i in range(len(names))]
    shown = [tuple(f"{v:.4g}" if isinstance(v, float) else v for v in row) for row in found]
    if len(names) > 12 and len(found) <= 40:  # too wide for a terminal: one block a row
        print(title)
        for row in shown:
            print("\n".join(f"  {n:28} {'' if v is None else v}" for n, v in zip(names, row, strict=True)) + "\n")
        return
    _table(title, list(zip(names, numeric, strict=True)), shown)


def _csv(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    import csv

    names, found = _rows(con, sql)
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(found)


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    try:
        result = con.execute(sql)
        return [c[0] for c in result.description or []], result.fetchall()
    except duckdb.Error as error:
        raise MeetlatError(f"The query cannot be run: {error}") from None


def quarantine(settings: Settings, source: str | None) -> None:
    """Counts by source, question and reason, with example rows and what would mend them."""
    with _open(settings) as con:
        known = [row[0] for row in con.execute("SELECT source_code FROM core.dim_source ORDER BY ALL").fetchall()]
        if source is not None and source not in known:
            raise MeetlatError(f"There is no source {source}; there are {', '.join(known)}.")
        rows = con.execute(
            "SELECT q.source_code, d.file_name, coalesce(q.question, 'whole row'), q.reason, count(*), "
            "array_to_string(list_slice(list(DISTINCT q.shown ORDER BY q.shown), 1, 4), '  '), "
            "array_to_string(list_slice(list(q.row_number ORDER BY q.row_number), 1, 3), ', ') "
            "FROM meta.quarantine AS q JOIN meta.delivery AS d USING (source_code, delivery_id) "
            "WHERE d.status = 'accepted' AND q.source_code = coalesce($1, q.source_code) "
            "GROUP BY ALL ORDER BY 1, 2, 5 DESC, 3, 4",
            [source],
        ).fetchall()
    if not rows:
        print("Nothing is quarantined.")
        return
    columns = [("source", False), ("delivery", False), ("column", False), ("reason", False), ("n", True)]
    _table("Quarantine", [*columns, ("found", False), ("such as rows", False)], rows)
    print("What would mend it:")
    for reason in sorted({row[3] for row in rows}):
        print(f"  {reason}: {REMEDIES.get(reason, 'see docs/contracts.md')}")


def changes(con: duckdb.DuckDBPyConnection, before: str, after: str, rows: int) -> None:
    """What changed between two releases: by table and cause, then the first cells."""
    from pipelines.changes import asked

    summary = con.execute(asked.SUMMARY).fetchall()
    if not summary:
        print(f"No differences between {before} and {after}.")
        return
    total = sum(row[4] for row in summary)
    names = ("output", "table", "causes", "where they lie", "cells", "rows added", "rows removed")
    _table(f"From {before} to {after}: {total:,} cells differ", [(n, i > 3) for i, n in enumerate(names)], summary)
    if rows:
        cells = con.execute(f"SELECT table_name, row_key, column_name, kind, old, new, causes FROM ({asked.CELLS})")
        shown = [(*row[:3], *_old_and_new(*row[3:6]), row[6]) for row in cells.fetchmany(rows)]
        columns = ("table", "row", "column", "old", "new", "causes")
        _table("Cells", [(n, n in ("old", "new")) for n in columns], shown)
    if total > rows:
        print(f"{total - rows:,} more cells; --rows, --table and --output show others, --json shows all.")


def _old_and_new(kind: str, old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """What to show of a cell; a row that came or went has neither."""
    return {"added": ("", "added"), "removed": ("", "removed")}.get(kind, (old, new))
