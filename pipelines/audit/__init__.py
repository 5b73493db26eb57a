"""The disclosure audit: can what a release hides be worked out from what it shows?

Reads only the files that are handed out, and shares no code with what decides about hiding. Every published
number becomes an interval by its rounding; what is hidden becomes an unknown. Then it looks for what can be
known, as an outsider, as each participant who knows its own figures, and with earlier releases at hand.

  outputs   reads the files of a release
  plain     leaks that need no arithmetic
  family    the rows of one monitor, audience and measure, and the atoms that they are sums of
  exact     what numbers without rounding would give away
  system    all that a family says, as a linear program
  program   linear programs, solved by HiGHS
  attack    what an attacker wants to know, and how near is too near
  findings  what is said in the end
"""

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from pathlib import Path

from pipelines.audit import exact, outputs, plain
from pipelines.audit.attack import Attack, Target, hidden, newcomers, rests, shared
from pipelines.audit.family import Family, families
from pipelines.audit.findings import Finding, Place, Report
from pipelines.audit.outputs import Row, retained, under_the_same_rules
from pipelines.audit.program import INFINITE
from pipelines.audit.system import System

__all__ = ["Finding", "Place", "Report", "audit", "concerned", "news", "retained", "under_the_same_rules"]

OUTSIDER = "an outsider"
EXPOSED = 20  # cells that come closest, as many as anybody reads
EXACT = 2  # of an attack
CLOSER = 0.9  # times the width that was known before: news
EARLIER = 3  # releases; what still stands from others is told by the rows themselves
PAIRS = 30  # of participants, in a family of employees


def audit(
    release: Path,
    earlier: Sequence[Path] = (),
    threads: int | None = None,
    passed: Collection[str] = (),
    only: Collection[Place] | None = None,
) -> Report:
    """Try to recover what a release hides, with earlier ones (oldest first) at hand: the latest of those.

    Families are worked on side by side, in so many threads (all cores if None); the report is the same. What `passed`
    when this code attacked it before (as `Report.passed` says) is not attacked again, nor counted. `only`: these
    families of these outputs.
    Raises MeetlatError if the outputs are missing or cannot be understood.
    """
    clock = time.perf_counter()
    now = outputs.read(release)
    past = [outputs.read(folder, participants=False) for folder in earlier[-EARLIER:]]
    told = (now.rules, now.measures, now.weighted, now.parents)
    tables = {"public": now.public} | {f"participants/{name}": rows for name, rows in now.participants.items()}
    own_rows = [row for rows in now.participants.values() for row in rows]
    work: list[Callable[[], Report]] = []
    report = Report()

    def attack(family: Family, attacker: str, beside: Mapping[str, list[Row]]) -> None:
        for part in family.apart() if only is None or (family.output, family.key) in only else ():
            own = _own(part, beside)
            mark = part.fingerprint(own)
            if mark in passed:
                report.passed.append(mark)
            else:
                work.append(partial(_attacked, part, attacker, own, mark))

    for family in families("public", *told, [*(r.public for r in past), now.public], own_rows, now.id):
        attack(family, OUTSIDER, now.participants)
    for name, rows in now.participants.items():
        for family in families(f"participants/{name}", *told, [rows], release=now.id):
            if not family.is_open:
                attack(family, name, {})
    for output, rows in tables.items():
        report.findings += plain.leaks(output, rows, now.rules, now.measures)
    report.findings += plain.narrow("public", now.public, now)
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for part in pool.map(lambda task: task(), work):
            report.add(part)
    report.notes = list(dict.fromkeys(report.notes))  # of a family once, not of each of its years
    report.exposed = sorted(report.exposed, key=lambda f: f.ratio)[:EXPOSED]
    report.seconds = time.perf_counter() - clock
    return report


def news(findings: Sequence[Finding], earlier: Sequence[Path], threads: int | None = None) -> list[Finding]:
    """Those findings of an audit with earlier releases at hand that these did not give already, without this one.

    What was told cannot be taken back: a cell that one of them showed, and what could be worked out of them, unless
    it is known more closely now. Figures that contradict earlier ones tell nothing of a cell.
    """
    if not findings or not earlier:
        return []
    past = earlier[-EARLIER:]
    told = {_name(f): f.ratio for f in audit(past[-1], past[:-1], threads, only=concerned(findings)).findings}
    tables = [outputs.read(folder, participants=False).public for folder in past]
    shown = {row.cell for table in tables for row in table if not row.is_hidden}
    return [
        f
        for f in findings
        if f.cell is not None
        and (f.cell not in shown or f.is_of_newcomers)
        and f.ratio < CLOSER * told.get(_name(f), INFINITE)
    ]


def _name(finding: Finding) -> tuple[object, ...]:
    return finding.output, finding.attacker, finding.what, finding.cell


def concerned(findings: Sequence[Finding]) -> frozenset[Place] | None:
    """What these are of, which is all that may give away anything with less at hand; None: perhaps anything may."""
    places = frozenset(f.place for f in findings if f.place is not None)
    return places if all(f.place is not None for f in findings) else None


def _attacked(family: Family, attacker: str, own: dict[str, tuple[Row, ...]], mark: str) -> Report:
    """Attack a family of an output as who reads it, and as participants with their `own`; `mark` is its fingerprint."""
    report = Report()
    attack = _judge(report, family, attacker)
    if attack is not None:
        _join(report, attack, own)
    if not report.findings:
        report.passed.append(mark)
    return report


def _own(family: Family, participants: Mapping[str, list[Row]]) -> dict[str, tuple[Row, ...]]:
    """What participants have of their own beside a family of which cells hide themselves."""
    if not any(r.conf_status == "C" for r in family.rows):
        return {}
    key, periods = family.key, {row.cell.period_code for row in family.rows}
    own = {
        name: tuple(r for r in rows if r.cell.family == key and r.cell.period_code in periods)
        for name, rows in participants.items()
    }
    return {name: mine for name, mine in own.items() if mine}


def _join(report: Report, attack: Attack, own: dict[str, tuple[Row, ...]]) -> None:
    """Attack as each participant, and of employees as every two, who put their own figures beside the public ones."""
    family = attack.system.family
    own = {name: mine for name, mine in own.items() if len(family.grid.within(mine[0].cell.sector_code))}
    known: list[tuple[str, ...]] = []
    for name, rows in own.items():
        if _participate(report, attack, {name: rows}):
            known.append((name,))
    if "employee" in family.key[1]:
        pairs = combinations([name for (name,) in known], 2)
        tried = 0
        for pair in pairs:
            if tried == PAIRS:
                report.notes.append(f"{' '.join(family.key)}: only {PAIRS} pairs of participants were tried.")
                break
            tried += _participate(report, attack, {name: own[name] for name in pair})


def _participate(report: Report, outsider: Attack, own: dict[str, tuple[Row, ...]]) -> bool:
    """Attack as participants who put their own figures together. Says whether they share a hidden cell."""
    family = outsider.system.family
    who = " with ".join(own)
    rows = tuple(own.values())
    if not shared(family, rows):
        return False
    system = System(family, rows)
    attack = Attack(system, list(rests(system, rows, who)), outsider)
    doubted = [replace(family, answers_are_people=False)] if family.answers_are_people else []
    if not family.taken_back:
        doubted += [replace(each, tables=each.tables[-1:], taken_back=True) for each in (family, *doubted)]
    for variant in doubted:
        if attack.is_possible:
            break
        outsider = _attack(variant, OUTSIDER)
        system = System(variant, rows)
        attack = Attack(system, list(rests(system, rows, who)), outsider)
    if not attack.is_possible:
        report.findings.append(Finding(family.output, None, who, _contradiction(family, "its own and the public")))
        return True
    _collect(report, attack)
    return True


def _judge(report: Report, family: Family, attacker: str) -> Attack | None:
    """Attack a family with what its own output says. Gives nothing if nothing in it is hidden or came lately."""
    if not any(r.is_hidden for r in family.rows) and len(family.epochs) < 2:
        return None
    report.attacked.append((family.output, family.key))
    report.hidden += sum(r.is_hidden for r in family.rows)
    alone = replace(family, tables=family.tables[-1:])
    worlds = [family, alone] if len(family.tables) > 1 else [family]
    if len(alone.epochs) > 1:
        worlds.append(replace(alone, taken_back=True))
    if family.answers_are_people:  # so it seems; of few answers, or none that are shown, it may be otherwise
        worlds += [replace(world, answers_are_people=False) for world in worlds]
    for tried, loose in product(worlds, (False, True)):
        variant = replace(tried, loose=loose)
        attack = _attack(variant, attacker)
        if attack.is_possible:
            break
        report.programs += attack.solved
    if not attack.is_possible:
        report.findings.append(Finding(family.output, None, attacker, _contradiction(family, "the published")))
        return None
    if variant.taken_back:
        report.notes.append(
            f"{' '.join(family.key)}: answers were taken back while other figures stand, so those count as near only."
        )
    elif variant.tables != family.tables:
        report.notes.append(
            f"{' '.join(family.key)}: answers were taken back since earlier releases, so only this one was looked at."
        )
    if variant.loose:
        report.notes.append(f"{' '.join(family.key)}: sectors or channels hold more than their parts.")
    if not variant.weighted:
        report.held_by_rounding += len(exact.determined(variant))
    _collect(report, attack)
    return attack


def _attack(family: Family, attacker: str) -> Attack:
    """An attack with what the rows of a family say, on all that they hide."""
    system = System(family)
    return Attack(system, [*hidden(system, attacker), *newcomers(system, attacker)])


def _contradiction(family: Family, whose: str) -> str:
    return f"{whose} figures of {' '.join(family.key)} contradict each other"


def _collect(report: Report, attack: Attack) -> None:
    """Judge all targets of an attack; the hidden cells that pass by the least are bounded to the end."""
    passed: list[tuple[float, Target]] = []
    attack.widen()
    for target in _narrowest_last(attack.targets):
        said = attack.judge(target)
        if target.criterion.kind == "known":
            report.recovered_secondary += said.ratio < 1
            continue
        report.checked += 1
        if said.ratio < 1:
            report.findings.append(said)
        elif not said.is_of_newcomers:
            passed.append((said.ratio, target))
    for _, target in sorted(passed, key=lambda pair: pair[0])[:EXACT]:
        report.exposed.append(attack.judge(target, INFINITE))
    report.programs += attack.solved


def _narrowest_last(targets: Iterable[Target]) -> list[Target]:
    """Large sums first: their solutions show that many small ones are wide."""
    return sorted(targets, key=lambda t: -len(t.sums.n.columns))
