"""Hiding and audit of a made-up release in which many cells may not be shown.

Organisations of very different sizes, in a sector tree, by channel and quarter; everybody answers once. No model is
run: the cells are counted from the made-up answers, and the files that leave the house are written from them.

python -m benchmarks.disclosure hide|audit FOLDER      one step, here; used by `python -m benchmarks`
"""

import datetime as dt
import itertools
import json
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np

from benchmarks import measure
from benchmarks.measure import Measured
from pipelines import audit, engine
from pipelines.disclosure import outputs, own, participants, tables
from pipelines.disclosure.cells import Cell, Key
from pipelines.disclosure.columns import COLUMNS
from pipelines.disclosure.rules import Rules

SEED = 20110930
RELEASE = "r1"
NOT_JUDGED = ("peer_group_type", "peer_group_code", "expected_range")  # of mart.organisation_benchmark
YEAR = 2024
GROUPS, LEAVES, CHANNELS, ORGANISATIONS = 4, 4, 5, 160
# statistic, lowest and highest value, decimals, and who answers
FAMILIES = (
    ("nps", -100, 100, 0, "customer"),
    ("mean", 1, 10, 1, "customer"),
    ("mean", 1, 10, 1, "employee"),
    ("share", 0, 100, 0, "customer"),
)
SIZE = 12  # answers of a middling organisation in a quarter by a channel, which makes about 2,000 hidden cells
PARENTS: dict[str, str | None] = {"all": None} | {f"s{g}": "all" for g in range(GROUPS)}
PARENTS |= {f"s{g}{i}": f"s{g}" for g in range(GROUPS) for i in range(LEAVES)}
QUARTERS = [(dt.date(YEAR, 3 * q + 1, 1), dt.date(YEAR, 3 * q + 3, 30 if q in (1, 2) else 31)) for q in range(4)]
PERIODS = [
    *((f"{YEAR}-Q{q + 1}", "quarter", q, q) for q in range(4)),
    *((f"{YEAR}-YTD-Q{q + 1}", "ytd", 0, q) for q in range(4)),
    (f"{YEAR}", "year", 0, 3),
]


class Answers:
    """Answers to one question: numbers by organisation, channel, quarter and score from 0 to 10."""

    def __init__(self, family: int) -> None:
        self.statistic, self.low, self.high, self.decimals, self.audience = FAMILIES[family]
        rng = np.random.default_rng([SEED, family])
        self.sector = [list(PARENTS)[1 + GROUPS + i % (GROUPS * LEAVES)] for i in range(ORGANISATIONS)]
        sizes = SIZE * rng.lognormal(0, 1.2, (ORGANISATIONS, 1, 1)) * rng.lognormal(0, 0.7, (1, CHANNELS, 1))
        n = rng.poisson(np.broadcast_to(sizes, (ORGANISATIONS, CHANNELS, 4)))
        n[rng.random((ORGANISATIONS, CHANNELS)) < 0.1] = 0  # not every organisation has every channel
        levels = np.exp(-((np.arange(11) - rng.normal(7, 0.7, (ORGANISATIONS, 1))) ** 2) / 5)
        if self.statistic == "mean":
            levels[:, 0] = 0
        levels /= levels.sum(axis=1, keepdims=True)
        self.counts = rng.multinomial(n, levels[:, None, None, :])

    def cells(self, organisation: int | None = None) -> list[Cell]:
        """Every cell of the tables, or those of one organisation's own."""
        sectors = PARENTS if organisation is None else [self.sector[organisation]]
        found = []
        for sector, channel, period in itertools.product(sectors, (None, *range(CHANNELS)), PERIODS):
            inside = [i for i, home in enumerate(self.sector) if sector in (home, PARENTS[home], "all")]
            of = inside if organisation is None else [organisation]
            channels = range(CHANNELS) if channel is None else [channel]
            part = self.counts[np.ix_(of, channels, range(period[2], period[3] + 1))].sum(axis=(1, 2))
            if part.sum():
                found.append(self._cell(sector, channel, period, part, organisation is not None))
        return found

    def _cell(
        self, sector: str, channel: int | None, period: tuple[str, str, int, int], part: np.ndarray, is_own: bool
    ) -> Cell:
        held = sorted(part.sum(axis=1).tolist(), reverse=True)
        scores, n = part.sum(axis=0), int(part.sum())
        promoters, detractors = 100 * float(scores[9:].sum()) / n, 100 * float(scores[:7].sum()) / n
        is_nps = self.statistic == "nps"
        value = promoters - detractors if is_nps else promoters
        if self.statistic == "mean":
            value = float(scores @ np.arange(11)) / n
        code = "all" if channel is None else f"c{channel}"
        return Cell(
            Key("made_up", period[0], self.audience, sector, code, self.statistic),
            period[1], QUARTERS[period[2]][0], QUARTERS[period[3]][1], channel is None, self.statistic, "unit",
            self.low, self.high, self.decimals,
            value,
            n, n, None if is_own else sum(1 for each in held if each), False, n,
            None if is_own else held[0], None if is_own else sum(held[1:2]), None if is_own else n - held[0],
            promoters if is_nps else None, detractors if is_nps else None,
        )  # fmt: skip


def hide(folder: Path) -> Measured:
    """Decide what is shown of the answers, measured; and write the files that leave the house."""
    surveys = [Answers(family) for family in range(len(FAMILIES))]
    public = [cell for survey in surveys for cell in survey.cells()]
    whose = own.table({f"o{o}": [cell for s in surveys for cell in s.cells(o)] for o in range(ORGANISATIONS)})
    made = []

    def work() -> int:
        made.append(outputs.decide(public, whose, PARENTS, Rules(), outputs.NOTHING, QUARTERS[-1][1]))
        return len(public)

    measured = measure.here(work)
    (disclosed,) = made
    (folder / "public").mkdir(parents=True)
    outputs.write_rules(disclosed, RELEASE, folder / "public" / "disclosure.json")
    long, verdicts = folder / "public" / "parquet" / "measure_score.parquet", folder / "verdicts.parquet"
    tables.write(tables.of([outputs.dated(row, RELEASE) for row in disclosed.public.rows], COLUMNS), long)
    with duckdb.connect() as con:
        columns = ", ".join(f"'' AS {name}" for name in ("organisation_code", *Key._fields, *NOT_JUDGED))
        engine.write_parquet(con, f"SELECT {columns}, 0 AS n_peers, 0 AS quartile WHERE false", verdicts)
        participants.write(con, disclosed.participants, Rules(), RELEASE, long, verdicts, folder / "participants")
    return measured


def attack(folder: Path) -> tuple[Measured, audit.Report]:
    """The audit of these files, measured."""
    reports = []

    def work() -> int:
        reports.append(audit.audit(folder))
        return reports[0].programs

    return measure.here(work), reports[0]


def run() -> str:
    """Both steps, each in a process of its own, as a table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "release"
        hidden = measure.told("benchmarks.disclosure", "hide", str(folder))
        attacked = measure.told("benchmarks.disclosure", "audit", str(folder))
    said = attacked.pop("said")
    lines = [said, "", "| | wall s | CPU s | memory MiB |", "|---|--:|--:|--:|"]
    for name, told in (("hiding", hidden), ("audit", attacked)):
        one = Measured(**told)
        lines.append(f"| {name} | {one.wall:,.0f} | {one.cpu:,.0f} | {one.memory / 2**20:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    step, folder = sys.argv[1], Path(sys.argv[2])
    if step == "hide":
        measure.tell(hide(folder))
        return
    measured, report = attack(folder)
    public = audit.outputs.read(folder, participants=False).public
    hidden = [row.conf_status for row in public if row.is_hidden]
    said = (
        f"{len(public):,} cells of {len(FAMILIES)} families, {len(hidden):,} hidden ({hidden.count('C'):,} for their "
        f"own sake), {ORGANISATIONS} participants; {report.checked:,} attacks, {report.programs:,} linear programs, "
        f"{len(report.findings):,} findings"
    )
    print(json.dumps(vars(measured) | {"said": said}))


if __name__ == "__main__":
    main()
