"""Klantcontact Monitor 2011, invented: what it must come out at, and writing its three sources.

Belongs here: the one table of calibration targets, and the public entry. Not here: how a source looks
(klantcontact_customers, klantcontact_employees, klantcontact_social).

    python -m pipelines.samples.klantcontact TO [RATINGS [SEED]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.samples import (
    klantcontact_customers,
    klantcontact_employees,
    klantcontact_social,
)
from pipelines.samples import ledger as ledgers
from pipelines.samples import organisations as organisation_list
from pipelines.samples.organisations import GOVERNMENT
from pipelines.samples.targets import EVERYWHERE, Group, Target, other_than

EARLY, LATE, YEAR = (1, 2, 3), (4,), (1, 2, 3, 4)
HOUSING = ("housing_associations",)
MARKET = other_than(GOVERNMENT)
ELSEWHERE = other_than(HOUSING)

# Worked through from top to bottom: the answers of `of` come out at `value`, by fitting those of `moves`
# (which no later line moves again). Lines marked 'step' are not published; they lead to one that is.
TARGETS = (
    Target("channel_rating", "mean", 8.2, of=Group("physical", EVERYWHERE, EARLY)),
    Target(
        "channel_rating",
        "mean",
        8.2,
        of=Group("physical", EVERYWHERE, YEAR),
        moves=Group("physical", EVERYWHERE, LATE),
    ),
    Target("channel_rating", "mean", 7.4, of=Group("phone", EVERYWHERE, EARLY)),
    Target(
        "channel_rating",
        "mean",
        7.5,
        of=Group("phone", EVERYWHERE, YEAR),
        moves=Group("phone", EVERYWHERE, LATE),
    ),
    Target("channel_rating", "mean", 5.3, of=Group("email", GOVERNMENT, EARLY)),  # step
    Target(
        "channel_rating",
        "mean",
        5.1,
        of=Group("email", GOVERNMENT, YEAR),
        moves=Group("email", GOVERNMENT, LATE),
    ),
    Target(
        "channel_rating",
        "mean",
        6.0,
        of=Group("email", EVERYWHERE, EARLY),
        moves=Group("email", MARKET, EARLY),
    ),
    Target(
        "channel_rating",
        "mean",
        5.8,
        of=Group("email", EVERYWHERE, YEAR),
        moves=Group("email", MARKET, LATE),
    ),
    Target("channel_rating", "mean", 7.1, of=Group("web", EVERYWHERE, YEAR)),  # step
    Target("channel_rating", "mean", 7.3, of=Group("chat", EVERYWHERE, YEAR)),  # step
    Target("channel_rating", "mean", 6.4, of=Group("post", EVERYWHERE, YEAR)),  # step
    Target("recommendation", "nps", 4.0, of=Group("", EVERYWHERE, YEAR)),
    Target("complaint_handling", "mean", 5.8, of=Group("", GOVERNMENT, YEAR)),
    Target(
        "complaint_handling",
        "mean",
        7.5,
        of=Group("", EVERYWHERE, YEAR),
        moves=Group("", MARKET, YEAR),
    ),
    Target("employee_satisfaction", "mean", 8.7, of=Group("", HOUSING, YEAR)),
    Target(
        "employee_satisfaction",
        "mean",
        8.4,
        of=Group("", EVERYWHERE, YEAR),
        moves=Group("", ELSEWHERE, YEAR),
    ),
    Target("social_sentiment", "mean", 2.3, of=Group("", EVERYWHERE, YEAR)),
)


def organisations() -> list[organisation_list.Organisation]:
    """The organisations that this monitor measures."""
    return organisation_list.organisations()


def write(to: Path, ratings: int = 420_000, seed: int = 2011) -> None:
    """Write the exports of the three sources under `to`, and the ledger of their truth to `to`/.ledger.

    `ratings` is the number of valid channel ratings of the year, after all rules; at least 4,000.
    """
    ledger = ledgers.Ledger()
    write_sources(to, ratings, seed, ledger)
    ledgers.write(ledger, to / ".ledger")


def write_sources(to: Path, ratings: int, seed: int, ledger: ledgers.Ledger) -> None:
    """Write the exports of the three sources, and book what they hold."""
    klantcontact_customers.write(to, ratings, seed, TARGETS, ledger)
    klantcontact_employees.write(to, ratings, seed, TARGETS, ledger)
    klantcontact_social.write(to, ratings, seed, TARGETS, ledger)


if __name__ == "__main__":
    write(Path(sys.argv[1]), *map(int, sys.argv[2:4]))
