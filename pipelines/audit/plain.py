"""Leaks that need no arithmetic: what stands in a row and should not."""

import math
from collections.abc import Iterator

from pipelines.audit.findings import Finding
from pipelines.audit.outputs import Measure, Release, Row, Rules

FIGURES = (
    "value", "n_answers", "n_respondents", "n_organisations_band",
    "ci_low", "ci_high", "promoters_pct", "detractors_pct",
)  # fmt: skip
REASONS = {"C": ("respondents", "organisations", "dominance"), "D": ("secondary",)}
NORMAL = 1.959964  # of a 95 % interval; with few clusters it is more, and the error less
READER = "whoever reads the row"


def leaks(output: str, rows: list[Row], rules: Rules, measures: dict[str, Measure]) -> Iterator[Finding]:
    """What these rows give away or break by themselves, each as a finding."""
    seen = set()
    for row in rows:
        faults = _hidden(row) if row.is_hidden else _visible(row, rules, measures[row.cell.measure_code])
        if row.cell in seen:
            faults = [*faults, "there is a second row"]
        seen.add(row.cell)
        for fault in faults:
            yield Finding(output, row.cell, READER, fault)


def _hidden(row: Row) -> list[str]:
    """What a hidden row still shows."""
    faults = [f"{name} stands in the hidden row" for name in FIGURES if getattr(row, name) is not None]
    if row.suppression_reason not in REASONS.get(row.conf_status or "", ()):
        faults.append(f"the row has the status {row.conf_status} and the reason {row.suppression_reason}")
    return faults


def _visible(row: Row, rules: Rules, measure: Measure) -> list[str]:
    """What a visible row shows more precisely than the rules allow, or for too few."""
    faults = []
    if row.conf_status != "F":
        faults.append(f"the row has the status {row.conf_status}, which says nothing")
    for name in ("value", "n_answers", "n_respondents"):
        if getattr(row, name) is None:
            faults.append(f"{name} is missing and no reason is given")
    step = max(rules.base_rounding, 1)
    for name in ("n_answers", "n_respondents"):
        number = getattr(row, name)
        if number is not None and number % step:
            faults.append(f"{name} is not rounded to {step}")
    for name in ("value", "ci_low", "ci_high"):
        if not _rounded(getattr(row, name), measure.decimals):
            faults.append(f"{name} has more than {measure.decimals} decimals")
    for name in ("promoters_pct", "detractors_pct"):
        if not _rounded(getattr(row, name), 0):
            faults.append(f"{name} is not a whole percentage")
    if row.n_respondents is not None:
        most = highest(row.n_respondents, step)
        if most < rules.respondents:
            faults.append(f"at most {most} people answered and the figures are shown")
        if most < rules.detail_from:
            for name in ("ci_low", "ci_high", "promoters_pct", "detractors_pct"):
                if getattr(row, name) is not None:
                    faults.append(f"{name} is shown for at most {most} people")
    fewest = (row.n_organisations_band or "").replace("+", "-").split("-")[0]
    if fewest.isdigit() and int(fewest) < rules.organisations:
        faults.append(f"as few as {fewest} organisations took part and the figures are shown")
    return faults


def narrow(output: str, rows: list[Row], release: Release) -> Iterator[Finding]:
    """Intervals so narrow that they tell the value of a hidden part, each as a finding.

    Where organisations are the clusters, that of n answers of N adds (n / N)^2 of its squared difference to the squared
    error, so m of them with n answers lie within sqrt(m) se N / n of the value. This takes no more of them than a cell
    has that is hidden for few organisations, and no fewer people than it then must have.
    """
    rules = release.rules
    few = [r for r in rows if r.suppression_reason == "organisations" and r.period_start and r.period_end]
    for row in rows:
        if row.ci_low is None or row.ci_high is None or row.n_answers is None or row.n_organisations_band is None:
            continue
        measure = release.measures[row.cell.measure_code]
        half = (row.ci_high - row.ci_low) / 2 + measure.half
        every = highest(row.n_answers, rules.base_rounding)
        reach = math.sqrt(rules.organisations - 1) * half / NORMAL * every / rules.respondents
        if 2 * reach < rules.mean_width * (measure.high - measure.low):
            for part in few:
                if part.cell != row.cell and _within(part, row, release.parents):
                    fault = (
                        f"the interval of {row.cell} is so narrow that this hidden part of it lies within {reach:.2g}"
                    )
                    yield Finding(output, part.cell, READER, fault)


def _within(part: Row, row: Row, parents: dict[str, str | None]) -> bool:
    """Whether a row is about some of the answers that another is about."""
    a, b = part.cell, row.cell
    sector: str | None = a.sector_code
    while sector not in (None, b.sector_code):
        sector = parents.get(sector or "")
    same = (a.monitor_code, a.audience_code, a.measure_code) == (b.monitor_code, b.audience_code, b.measure_code)
    if not same or sector is None or b.channel_code not in ("all", a.channel_code):
        return False
    return bool(
        row.period_start and row.period_end and part.period_start and part.period_end
        and row.period_start <= part.period_start and part.period_end <= row.period_end
    )  # fmt: skip


def lowest(published: int, step: int) -> int:
    """The smallest whole number that is published so."""
    return max(0, math.ceil(published - step / 2)) if step > 1 else published


def highest(published: int, step: int) -> int:
    """The largest whole number that is published so."""
    return math.floor(published + step / 2) if step > 1 else published


def _rounded(value: float | None, decimals: int) -> bool:
    return value is None or abs(value * 10**decimals - round(value * 10**decimals)) < 1e-6
