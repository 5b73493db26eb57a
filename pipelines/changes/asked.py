"""`meetlat diff`: finds the two releases that are asked for, compares them and gives what there is to show."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from pipelines import engine, history
from pipelines.changes import compare
from pipelines.changes.cells import HOUSE, PUBLIC, Release
from pipelines.errors import MeetlatError, listed
from pipelines.settings import Settings


def releases(settings: Settings, before: str | None, after: str | None) -> tuple[Release, Release]:
    """The two releases, older first: by default the current one and the one made last before it.

    Raises MeetlatError for a release that is not there or cannot be compared.
    """
    if not settings.current.exists():
        raise MeetlatError(f"There is no release in {settings.warehouse} yet; run `meetlat refresh`.")
    known = history.releases(settings)
    newer = history.find(settings, after) if after else next(r for r in known if r.is_current)
    if before:
        older = history.find(settings, before)
    else:
        others = [r for r in known if r.id != newer.id]
        if not others:
            raise MeetlatError(f"{newer.id} is the only release that is kept, so there is nothing to compare it with.")
        # where nothing is older, an earlier release is served again
        older = max([r for r in others if r.published_at < newer.published_at] or others, key=lambda r: r.published_at)
    return _opened(settings, older.folder), _opened(settings, newer.folder)


def _opened(settings: Settings, folder: Path) -> Release:
    found = compare.release(folder, settings.warehouse)
    if found is None:
        raise MeetlatError(
            f"Release {folder.name} does not say what went into it, as it was made by an earlier version of Meetlat; "
            "compare later ones."
        )
    return found


@contextmanager
def compared(
    settings: Settings, before: Release, after: Release, output: str | None, table: str | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine with the table `change`. Raises MeetlatError for an output or table that there is not."""
    if output not in (None, HOUSE, PUBLIC):
        raise MeetlatError(f"There is no output {output}; the outputs are {HOUSE} and {PUBLIC}.")
    known = {t for r in (before, after) for o in (HOUSE, PUBLIC) for t in r.tables(o)}
    if table is not None and table not in known:
        raise MeetlatError(f"{table} is not a table that is compared; these are {listed(sorted(known))}.")
    with engine.connect(settings, settings.warehouse / "parts" / ".aside") as con:
        compare.compare(con, before, after, output, table)
        yield con


SUMMARY = (
    "SELECT output, table_name, causes, origins, count(*) AS cells, count(*) FILTER (kind = 'added') AS rows_added, "
    "count(*) FILTER (kind = 'removed') AS rows_removed FROM change GROUP BY ALL ORDER BY ALL"
)
CELLS = (
    "SELECT output, table_name, row_key, column_name, kind, old, new, "
    "CASE WHEN isfinite(difference) THEN difference END AS difference, causes, origins FROM change "
    f"ORDER BY {compare.FIRST}"
)


def write_json(con: duckdb.DuckDBPyConnection, before: Release, after: Release) -> Iterator[str]:
    """Everything as one JSON document, a line a change."""

    def rows(query: str) -> Iterator[str]:
        found = con.execute(query)
        names = [d[0] for d in found.description or ()]
        comma = ""
        while some := found.fetchmany(10_000):
            for row in some:
                yield comma + json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False)
                comma = ","

    yield f'{{"before": "{before.id}", "after": "{after.id}", "summary": ['
    yield from rows(SUMMARY)
    yield '], "changes": ['
    yield from rows(CELLS)
    yield "]}"
