"""Which figures an organisation gets of its own.

Its customers and employees were promised that nobody would recognise them, and their supplier or employer would
be the first to. Here nothing is hidden inside a table: a table is given whole, or not at all, so that nothing can
be reckoned from what stands beside it. Per family (monitor, audience, measure) and per wave, or per calendar year
where there are no waves:

  all channels          if enough people answered
  each channel          small ones pooled as `other`, with the smallest of the rest if they are too few themselves
  quarters, to date     if every quarter has enough people, and their margins give no small cell away
  quarters by channel   if every one of these cells has enough people
"""

from collections.abc import Iterable

from pipelines.disclosure.bounds import families
from pipelines.disclosure.cells import Cell
from pipelines.disclosure.rules import Rules

OTHER = "other"


def given(cells: Iterable[Cell], rules: Rules) -> list[Cell]:
    """The cells that an organisation gets, of all that it has."""
    return [
        cell for family in families(cells).values() for whole in _wholes(family) for cell in _of(whole, family, rules)
    ]


def _wholes(family: list[Cell]) -> list[Cell]:
    """The cells of all channels that other cells are parts of: waves, or years where there are none."""
    everything = [c for c in family if c.key.channel_code == "all"]
    waves = [c for c in everything if c.period_type == "wave"]
    return waves or [c for c in everything if c.period_type == "year"]


def _of(whole: Cell, family: list[Cell], rules: Rules) -> list[Cell]:
    least = rules.least(whole.key.audience_code)
    if whole.n_respondents < least:
        return []
    same = [c for c in family if c.key.period_code == whole.key.period_code and c.key.channel_code != "all"]
    channels = _channels(whole, same, least)
    if whole.period_type != "year" or not {"quarter", "ytd"} <= set(rules.periods):
        return [whole, *channels]
    inside = [c for c in family if whole.period_start <= c.period_start and c.period_end <= whole.period_end]
    quarters = [c for c in inside if c.period_type == "quarter"]
    over_all = [c for c in quarters if c.key.channel_code == "all"]
    if any(c.n_respondents < least for c in over_all) or sum(c.n_answers for c in over_all) != whole.n_answers:
        return [whole, *channels]
    to_date = [c for c in inside if c.period_type == "ytd" and c.key.channel_code == "all"]
    by_channel = [c for c in quarters if c.key.channel_code != "all"]
    if all(c.n_respondents >= least for c in by_channel):
        dates = [c for c in inside if c.period_type == "ytd" and c.key.channel_code != "all"]
        return [whole, *channels, *over_all, *to_date, *by_channel, *dates]
    if any(_is_given_away(c, whole, same, over_all) for c in by_channel if c.n_respondents < least):
        return [whole, *channels]
    return [whole, *channels, *over_all, *to_date]


def _channels(whole: Cell, cells: list[Cell], least: int) -> list[Cell]:
    """Each channel with enough people, and the others pooled; the pool has enough people too, or is empty."""
    pool: list[Cell] = []
    for cell in sorted(cells, key=lambda c: (c.n_respondents, c.key)):
        # the people of the largest channel in it are in the pool for sure
        if cell.n_respondents >= least and (not pool or max(c.n_respondents for c in pool) >= least):
            break
        pool.append(cell)
    shown = sorted((c for c in cells if c not in pool), key=lambda c: c.key)
    if len(pool) == len(cells):  # one pool of everything is what stands in `all`
        return []
    return [*shown, _pooled(whole, pool)] if pool else shown


def _pooled(whole: Cell, pool: list[Cell]) -> Cell:
    held = sum(c.held for c in pool)

    def mean(values: list[float | None]) -> float | None:
        if any(v is None for v in values):
            return None
        return sum(v * c.held for v, c in zip(values, pool, strict=True) if v is not None) / held

    value = mean([c.value for c in pool])
    assert value is not None
    return whole._replace(
        key=whole.key._replace(channel_code=OTHER),
        is_total=False,
        value=value,
        n_answers=sum(c.n_answers for c in pool),
        n_respondents=max(c.n_respondents for c in pool),
        is_weighted=any(c.is_weighted for c in pool),
        held=held,
        promoters_pct=mean([c.promoters_pct for c in pool]),
        detractors_pct=mean([c.detractors_pct for c in pool]),
        ci_low=None,  # an interval of the pool would need what its people have in common
        ci_high=None,
    )


def _is_given_away(cell: Cell, whole: Cell, channels: list[Cell], quarters: list[Cell]) -> bool:
    """Whether the margins leave a small cell no room (Fréchet): its base is at least row + column - all."""
    (row,) = (c.n_answers for c in channels if c.key.channel_code == cell.key.channel_code)
    (column,) = (c.n_answers for c in quarters if c.period_start == cell.period_start)
    return row + column - whole.n_answers > 1
