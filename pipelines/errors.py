"""The two ways to say no. Every message is a sentence for the person who can mend it.

No other exception is meant to reach a user; one that does is a bug.
"""

from collections.abc import Sequence


class MeetlatError(Exception):
    """Something that stops the whole command: a wrong setting, a failed check, a lock."""


class DeliveryRefused(Exception):
    """One delivery cannot be read as its contract says. The other deliveries go on."""


def listed(names: Sequence[str], room: int = 300) -> str:
    """Names in a sentence: as many as anybody reads, and how many more there are."""
    shown: list[str] = []
    for name in names:
        shown.append(name if len(name) <= 120 else f"{name[:119]}…")
        room -= len(shown[-1]) + 4
        if room < 0:
            break
    more = len(names) - len(shown)
    return f"{shown} and {more:,} more" if more else str(shown)
