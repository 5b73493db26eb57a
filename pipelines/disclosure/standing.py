"""Published figures as rows: rounded, hidden where they must be, and as they were while too little changed.

A figure that moves with every answer tells the newest answer. So one that was published before is published
anew only when at least `answers_changed` answers came or went since; until then it stands, with its date. How
many changed is not recorded but bounded from below: the base moved by so many, or the sum by so many times the
length of the scale.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipelines.disclosure import hiding
from pipelines.disclosure.bounds import Rounding
from pipelines.disclosure.cells import Cell, Key
from pipelines.disclosure.columns import FIGURES
from pipelines.disclosure.hiding import Hidden
from pipelines.disclosure.rules import CLOSEST, Rules
from pipelines.parts import JSON

BANDS = (5, 10, 25, 50, 100, 250, 500, 1000)


@dataclass(frozen=True)
class Standing:
    """A figure as it was published, with what was behind it."""

    exact_answers: int
    exact_value: float
    figures: dict[str, JSON]


@dataclass
class Shown:
    """The rows of public/, and what the next refresh must know."""

    rows: list[dict[str, JSON]] = field(default_factory=list)
    ledger: list[dict[str, JSON]] = field(default_factory=list)
    held: list[Key] = field(default_factory=list)  # that stand as they were, though answers came or went


def changed(cell: Cell, before: Standing) -> int:
    """At least how many answers came or went since a figure was published."""
    by_count = abs(cell.n_answers - before.exact_answers)
    moved = abs(cell.n_answers * cell.value - before.exact_answers * before.exact_value)
    by_sum = moved / (cell.high - cell.low) if cell.high > cell.low else 0.0
    return max(by_count, int(by_sum - 1e-6), 1 if moved > 1e-6 * max(1.0, abs(cell.value)) else 0)


def show(
    cells: Iterable[Cell],
    parents: Mapping[str, str | None],
    rules: Rules,
    earlier: Mapping[Key, Standing],
    data_through: dt.date,
    withheld: frozenset[tuple[str, str, str]] = frozenset(),
    secondary: bool = True,
    threads: int | None = None,
) -> Shown:
    """What is published of these cells. Rows that are new have no `as_of_release` yet: it is the release they go to."""
    cells = sorted(cells, key=lambda c: c.key)
    since = {c.key: changed(c, before) for c in cells if (before := earlier.get(c.key)) is not None}
    known = frozenset(key for key, answers in since.items() if answers < rules.answers_changed)
    hidden = hiding.hide(cells, parents, rules, known=known, secondary=secondary, threads=threads)
    hidden |= {c.key: Hidden("D", "secondary") for c in cells if c.key.family in withheld and c.key not in hidden}
    parts = [c for c in cells if c.key in hidden]
    shown = Shown()
    rounding = hiding.rounding(rules)
    for cell in cells:
        why = hidden.get(cell.key)
        before = earlier.get(cell.key)
        if why is not None:
            figures: dict[str, JSON] = dict.fromkeys(c.name for c in FIGURES)
            if before is not None:  # what was told once is known when the cell is shown again
                shown.ledger.append(_ledger(cell.key, before))
        elif before is not None and 0 < since[cell.key] < rules.answers_changed:
            figures = before.figures
            shown.held.append(cell.key)
            shown.ledger.append(_ledger(cell.key, before))
        else:
            if tells_of_parts(cell, parts, parents):
                cell = cell._replace(ci_low=None, ci_high=None)
            figures = rounded(cell, rules, rounding) | {
                "as_of": min(data_through, cell.period_end),
                "as_of_release": None,
            }
            shown.ledger.append(_ledger(cell.key, Standing(cell.n_answers, cell.value, figures)))
        shown.rows.append(_row(cell, figures, why))
    return shown


def tells_of_parts(cell: Cell, hidden: Iterable[Cell], parents: Mapping[str, str | None]) -> bool:
    """Whether the interval of a cell bounds the value of a hidden part of it too closely.

    With clusters of n answers, N in all, their values differ from that of the cell by at most se N / n, as each square
    adds (n / N)^2 of its difference to se^2. One cluster may be the whole of a part. Twice what is needed is asked for,
    as se may be corrected for few clusters.
    """
    if cell.se is None or cell.ci_low is None:
        return False
    return any(
        cell.se * cell.n_answers < CLOSEST * (cell.high - cell.low) * part.n_answers
        for part in hidden
        if part.key != cell.key and is_part(part, cell, parents)
    )


def is_part(part: Cell, cell: Cell, parents: Mapping[str, str | None]) -> bool:
    """Whether the answers behind one cell are among those behind another."""
    sector: str | None = part.key.sector_code
    while sector is not None and sector != cell.key.sector_code:
        sector = parents.get(sector)
    return (
        part.key.family == cell.key.family
        and sector is not None
        and cell.key.channel_code in ("all", part.key.channel_code)
        and cell.period_start <= part.period_start
        and part.period_end <= cell.period_end
    )


def rounded(cell: Cell, rules: Rules, rounding: Rounding) -> dict[str, JSON]:
    """The figures of a cell as they are published."""
    decimals = min(cell.decimals, rounding.most_decimals)
    detailed = cell.n_respondents >= rules.detail_from
    ranked = (cell.n_ranked or 0) >= rules.percentiles_from

    def to(number: float | None, places: int, given: bool = True) -> float | None:
        # the sign of a rounded -0.0 would tell which side of zero it was
        return None if number is None or not given else round(number, places) + 0.0

    def base(number: int) -> int:
        return rules.base_rounding * round(number / rules.base_rounding)

    return {
        "value": to(cell.value, decimals),
        "n_answers": base(cell.n_answers),
        "n_respondents": base(cell.n_respondents),
        "n_organisations_band": None if cell.n_organisations is None else band(cell.n_organisations),
        "ci_low": to(cell.ci_low, decimals, detailed),
        "ci_high": to(cell.ci_high, decimals, detailed),
        "promoters_pct": to(cell.promoters_pct, 0, detailed),
        "detractors_pct": to(cell.detractors_pct, 0, detailed),
        "organisations_p25": to(cell.p25, decimals, ranked),
        "organisations_p50": to(cell.p50, decimals, ranked),
        "organisations_p75": to(cell.p75, decimals, ranked),
        "obs_status": cell.obs_status,
    }


def band(number: int) -> str:
    """A number of organisations as the band that it lies in."""
    low = max((b for b in BANDS if b <= number), default=1)
    higher = [b for b in BANDS if b > number]
    return f"{low}-{higher[0] - 1}" if higher else f"{low}+"


def _row(cell: Cell, figures: Mapping[str, JSON], why: Hidden | None) -> dict[str, JSON]:
    return {
        **cell.key._asdict(),
        "period_type": cell.period_type,
        "period_start": cell.period_start,
        "period_end": cell.period_end,
        "is_total": cell.is_total,
        "statistic": cell.statistic,
        "unit": cell.unit,
        "base": cell.base,
        **figures,
        "conf_status": why.conf_status if why else "F",
        "suppression_reason": why.reason if why else None,
        "provenance": cell.provenance,
    }


def _ledger(key: Key, standing: Standing) -> dict[str, JSON]:
    return {
        "organisation_code": "",
        **key._asdict(),
        "exact_answers": standing.exact_answers,
        "exact_value": standing.exact_value,
        **standing.figures,
    }


def from_ledger(rows: Iterable[Mapping[str, JSON]]) -> dict[Key, Standing]:
    """The ledger of public/, as the next release looks it up."""
    return {
        Key.of(row): Standing(row["exact_answers"], row["exact_value"], {c.name: row[c.name] for c in FIGURES})
        for row in rows
    }
