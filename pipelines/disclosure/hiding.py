"""Which cells are hidden: those that may not be shown, and as few others as keep them from being reckoned.

After each cell that may not be shown is hidden, the linear program of its family tells how closely it can still
be known. While that is too close, one more cell is hidden, of those that the bound rests on: the smallest that is
large enough to matter. Then each of these is shown again if all stays safe without it. In the end the same is asked
once more for organisations, which know their own part of every cell.
"""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pipelines.disclosure.bounds import Family, Reach, Rounding, apart, families
from pipelines.disclosure.cells import Cell, Key, reason
from pipelines.disclosure.rules import CLOSEST, Rules

SLACK = 1e-6
MOST_TRIED = 400  # checks that are spent on showing cells again in one family
LOOKS = 4  # worlds seen in advance, one for every three cells at most


@dataclass(frozen=True)
class Hidden:
    """Why a cell is hidden. SDMX codes: C confidential by itself, D to keep another confidential."""

    conf_status: str
    reason: str


def rounding(rules: Rules) -> Rounding:
    return Rounding(rules.base_rounding, rules.most_decimals, rules.detail_from)


def hide(
    cells: Iterable[Cell],
    parents: Mapping[str, str | None],
    rules: Rules,
    shown: Rounding | None = None,
    known: frozenset[Key] = frozenset(),
    secondary: bool = True,
    threads: int | None = None,
) -> dict[Key, Hidden]:
    """The cells to hide, with the reason. `shown` says how the others are rounded.

    `known` are cells that an earlier release showed and that hardly changed since: to hide them helps nobody.
    Without `secondary` only those that may not be shown by themselves, which protects nothing. Families are worked
    on side by side, in so many threads (all cores if None), as HiGHS lets go of the interpreter; what is found is
    the same.
    """

    found: dict[Key, Hidden] = {}
    work: list[tuple[list[Cell], dict[Key, str]]] = []
    for family in (part for whole in families(cells).values() for part in apart(whole)):
        reasons = {c.key: why for c in family if (why := reason(c, rules)) is not None}
        if secondary and 0 < len(reasons) < len(family):
            work.append((family, reasons))
        else:
            found |= {key: Hidden("C", why) for key, why in reasons.items()}

    def protect(task: tuple[list[Cell], dict[Key, str]]) -> dict[Key, Hidden]:
        family, reasons = task
        least = rules.least(family[0].key.audience_code)
        return _protect(Family(family, parents, shown or rounding(rules), least), reasons, rules, known)

    if work:
        with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
            for each in pool.map(protect, work):
                found |= each
    return found


def _protect(family: Family, reasons: dict[Key, str], rules: Rules, known: frozenset[Key]) -> dict[Key, Hidden]:
    why: dict[int, str] = {}  # by node; what holds for one of its cells holds for all
    for place, cell in enumerate(family.cells):
        if cell.key in reasons:
            why.setdefault(family.node_of[place], reasons[cell.key])
    given = {family.node_of[place] for place, cell in enumerate(family.cells) if cell.key in known} - set(why)
    least = rules.least(family.cells[0].key.audience_code)
    for node, reason_ in why.items():
        # any other reason than few people tells that there are enough of them
        family.hide(node, fewest=1 if reason_ == "respondents" else least)
    family.look_around(min(LOOKS, len(why) // 3))
    few = {node for node, reason_ in why.items() if reason_ == "respondents"}
    enough = dict.fromkeys(range(len(family.members)), float(least))
    added = _hide_more(family, why, frozenset(), given, rules, least, enough)
    _show_again(family, added, why, rules, least)
    # where everybody seems to give one answer, "fewer than k people" tells "fewer than k answers"
    shown = [c for place, c in enumerate(family.cells) if family.node_of[place] not in family.hidden]
    step = rules.base_rounding
    limited: frozenset[int] = frozenset()
    if few and all(round(c.n_answers / step) == round(c.n_respondents / step) for c in shown):
        limited = frozenset(n for n in few if family.cells[family.members[n][0]].n_answers < least)
        for node in sorted(limited):
            family.hide(node, most=least - 1)
        _hide_more(family, why, limited, given, rules, least, enough)
    # the organisation that has most of the answers in a cell knows that there are so many; of weights only weights
    first = {node: family.cells[places[0]] for node, places in enumerate(family.members)}
    held = {node: max(least, 0 if c.is_weighted else c.held_largest or 0) for node, c in first.items()}
    for node in sorted(family.hidden - few):
        family.hide(node, fewest=held[node])
    _hide_more(family, why, limited, given, rules, least, held)
    found = {}
    for node in sorted(family.hidden):
        for place in family.members[node]:
            key = family.cells[place].key
            found[key] = Hidden("C", why[node]) if node in why else Hidden("D", "secondary")
    return found


def _hide_more(
    family: Family,
    why: Mapping[int, str],
    limited: frozenset[int],
    given: set[int],
    rules: Rules,
    least: int,
    fewest: Mapping[int, float],
) -> list[int]:
    """Hide nodes until none that may not be shown can be known too closely; gives those that were hidden.

    `fewest` is what is known of the base of a node at least, once it is hidden.
    """
    size = {node: family.cells[places[0]].n_answers for node, places in enumerate(family.members)}
    added: list[int] = []
    for node in sorted(why, key=lambda each: (-size[each], each)):
        while (tight := _too_close(family, node, why[node], limited, rules, least)) is not None:
            may = sorted(tight[0].rests_on - given, key=lambda each: (size[each], each))
            if not may:  # it rests on what was published earlier: show nothing of the family for now
                may = [each for each in size if each not in family.hidden]
                for each in may:
                    family.hide(each, fewest=fewest[each])
                return added + may
            chosen = next((each for each in may if size[each] >= tight[1]), may[-1])
            family.hide(chosen, fewest=fewest[chosen])
            added.append(chosen)
    return added


def _show_again(family: Family, added: list[int], why: Mapping[int, str], rules: Rules, least: int) -> None:
    """Show what turned out not to be needed, the largest first."""
    size = {node: family.cells[family.members[node][0]].n_answers for node in added}
    for node in sorted(added, key=lambda each: (-size[each], each))[: MOST_TRIED // len(why)]:
        family.show(node)
        if any(_too_close(family, each, why[each], frozenset(), rules, least) for each in why):
            family.hide(node, fewest=least)


def _too_close(
    family: Family, node: int, why: str, limited: frozenset[int], rules: Rules, least: int
) -> tuple[Reach, float] | None:
    """How closely a node can be known if that is too closely, with the answers that would blur it; else None.

    Of few people neither their number below the threshold may be told; of few organisations neither the base to
    within p %, as each could then reckon another; of nobody the value to within a grade.
    """
    size = family.cells[family.members[node][0]].n_answers
    p = rules.p_percent / 100
    fewest, most = _by_presence(family, node, limited, least - 1)

    def is_wide(low: float, high: float) -> bool:
        if why == "respondents":
            return high - low >= least - SLACK or (low <= fewest + SLACK and high >= most - SLACK)
        return high >= low * (1 + p) / (1 - p) - SLACK

    if not is_wide(float(family.base[0][node]), float(family.base[1][node])):
        reach = family.count_reach(node)
        # resting on no figure, that rows are there and why they are hidden tells as much
        if reach.rests_on and not is_wide(reach.low, reach.high):
            return reach, least if why == "respondents" else 2 * p * size
    value = family.value_reach(node, CLOSEST + SLACK)
    if value.high - value.low < CLOSEST:
        return value, CLOSEST * size
    return None


def _by_presence(family: Family, node: int, limited: frozenset[int], most: int) -> tuple[int, int]:
    """What is known of a small base without any figure: a row that is there has an answer.

    A cell holds at least as many answers as there are rows for its atoms; and one that lies inside another one
    with at most `most` answers no more than the rows beside it leave.
    """
    own = set(family.atoms[node])
    around = [set(family.atoms[other]) for other in limited]
    highest = [most - len((other - own) & family.present) for other in around if own <= other]
    return max(1, len(own & family.present)), min([most, *highest])
