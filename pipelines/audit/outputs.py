"""Reads what a release hands out: the public table, each participant's own, and the rules they promise to keep."""

import datetime as dt
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import MeetlatError


@dataclass(frozen=True)
class Rules:
    """What the release promises."""

    respondents: int  # a cell of fewer people is hidden
    organisations: int  # a cell of fewer organisations is hidden
    largest_share: float
    p_percent: float  # nobody comes closer than this to what another organisation contributes
    base_rounding: int  # bases are multiples of it; 0 or 1: exact
    detail_from: int  # intervals and shares of promoters from so many people
    mean_width: float  # what may at best be known of a hidden mean, as a share of its scale
    answers_changed: int  # a row stands until so many answers changed


@dataclass(frozen=True)
class Measure:
    """How the values of a measure come about and are rounded."""

    statistic: str  # mean, nps or share
    low: float
    high: float
    decimals: int

    @property
    def range(self) -> float:
        return self.high - self.low

    @property
    def half(self) -> float:
        """How far a value may lie from what was computed."""
        return float(0.5 * 10.0**-self.decimals + 1e-9)


FamilyKey = tuple[str, str, str]  # monitor, audience, measure


class Cell(NamedTuple):
    """The key of a row."""

    monitor_code: str
    audience_code: str
    measure_code: str
    period_code: str
    sector_code: str
    channel_code: str

    @property
    def family(self) -> FamilyKey:
        """The family that it belongs to."""
        return self.monitor_code, self.audience_code, self.measure_code

    def __str__(self) -> str:
        return (
            f"{self.measure_code} of {self.sector_code} by {self.channel_code} in {self.period_code} "
            f"({self.monitor_code}, {self.audience_code})"
        )


class Row(NamedTuple):
    """A row as handed out; what it does not show is None."""

    cell: Cell
    period_start: dt.date | None
    period_end: dt.date | None
    value: float | None
    n_answers: int | None
    n_respondents: int | None
    n_organisations_band: str | None
    ci_low: float | None
    ci_high: float | None
    promoters_pct: float | None
    detractors_pct: float | None
    conf_status: str | None
    suppression_reason: str | None
    as_of: dt.date | None  # when it was published: last, see `figures`
    as_of_release: str | None

    @property
    def is_hidden(self) -> bool:
        return self.conf_status in ("C", "D") or self.suppression_reason is not None

    @property
    def figures(self) -> tuple[object, ...]:
        """All that the row says but for when it was published."""
        return self[:-2]


@dataclass(frozen=True)
class Release:
    """What a release hands out."""

    folder: Path
    id: str  # what its new figures name as `as_of_release`; empty if it does not say
    rules: Rules
    measures: dict[str, Measure]
    parents: dict[str, str | None]  # of a sector
    weighted: frozenset[tuple[str, str]]  # monitor and audience
    public: list[Row]
    participants: dict[str, list[Row]]


KEYS, FIGURES = Cell._fields, Row._fields[1:]


def read(folder: Path, *, participants: bool = True) -> Release:
    """Read the outputs of a release. Raises MeetlatError if it has none, or if they cannot be understood."""
    public = folder / "public"
    if not public.is_dir():
        raise MeetlatError(f"{folder} has no public/ folder, so there is nothing to audit.")
    told = _json(public / "disclosure.json")
    try:
        rules = Rules(**{field.name: told["rules"][field.name] for field in fields(Rules)})
        measures = {
            name: Measure(m["statistic"], float(m["low"]), float(m["high"]), m["decimals"])
            for name, m in told["measures"].items()
        }
        weighted = frozenset((monitor, audience) for monitor, audience in told["weighted"])
        id = str(told.get("release_id", ""))
        parents = dict(told["sectors"])
    except (KeyError, TypeError, ValueError) as error:
        raise MeetlatError(f"{public / 'disclosure.json'} cannot be understood: {error!r}.") from None
    rows = _rows(public / "parquet" / "measure_score.parquet")
    if missing := {r.cell.measure_code for r in rows} - set(measures):
        raise MeetlatError(f"{public / 'disclosure.json'} does not tell how {', '.join(sorted(missing))} is rounded.")
    own = {}
    if participants:
        own = {file.parent.name: _rows(file) for file in sorted(folder.glob("participants/*/own.parquet"))}
        own = {name: [r for r in rows if r.cell.measure_code in measures] for name, rows in own.items()}
    return Release(folder, id, rules, measures, parents, weighted, rows, own)


def retained(releases: Path, release: Path) -> list[Path]:
    """The releases published before this one that are still there and hand out something, oldest first."""

    def published(folder: Path) -> str:
        try:
            return str(json.loads((folder / "publication.json").read_text())["published_at"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    there = [f for f in releases.glob("[!.]*") if (f / "public" / "disclosure.json").is_file()]
    limit = published(release) or "~"  # one that is being made is the newest
    before = [f for f in there if f.resolve() != release.resolve() and published(f) <= limit]
    return sorted(before, key=lambda f: (published(f), f.name))


def under_the_same_rules(earlier: list[Path], release: Path) -> list[Path]:
    """Those of these releases that promised what this one promises; others were never meant to pass its audit."""
    promised = _json(release / "public" / "disclosure.json").get("rules")
    return [f for f in earlier if _json(f / "public" / "disclosure.json").get("rules") == promised]


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MeetlatError(f"{file} cannot be read: {error}.") from None


def _rows(file: Path) -> list[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as parquet:
            there = set(parquet.schema_arrow.names)
            if missing := [name for name in (*KEYS, "value", "n_answers", "conf_status") if name not in there]:
                raise MeetlatError(f"{file} lacks the column {missing[0]}.")
            table = parquet.read([name for name in (*KEYS, *FIGURES) if name in there])
    except (OSError, pa.ArrowException) as error:
        raise MeetlatError(f"{file} cannot be read: {error}.") from None
    nothing = [None] * len(table)
    cells = map(Cell._make, zip(*(table.column(name).to_pylist() for name in KEYS), strict=True))
    told = (table.column(name).to_pylist() if name in there else nothing for name in FIGURES)
    return [Row(*row) for row in zip(cells, *told, strict=True)]
