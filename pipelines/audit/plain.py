"""Leaks that need no arithmetic: what stands in a row and should not."""

import math
from collections.abc import Iterator

from pipelines.audit.findings import Finding
from pipelines.audit.outputs import Measure, Row, Rules

FIGURES = (
    "value", "n_answers", "n_respondents", "n_organisations_band",
    "ci_low", "ci_high", "promoters_pct", "detractors_pct",
)  # fmt: skip
REASONS = {"C": ("respondents", "organisations", "dominance"), "D": ("secondary",)}
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


def lowest(published: int, step: int) -> int:
    """The smallest whole number that is published so."""
    return max(0, math.ceil(published - step / 2)) if step > 1 else published


def highest(published: int, step: int) -> int:
    """The largest whole number that is published so."""
    return math.floor(published + step / 2) if step > 1 else published


def _rounded(value: float | None, decimals: int) -> bool:
    return value is None or abs(value * 10**decimals - round(value * 10**decimals)) < 1e-6
