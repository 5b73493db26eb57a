"""The invented organisations that the samples measure: names, sectors and shares of the ratings.

Belongs here: who is measured and how large each is. Not here: what anybody thinks of them.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Organisation(NamedTuple):
    """One row of raw/reference/organisations.csv."""

    organisation_code: str
    name_en: str
    name_nl: str
    sector_code: str
    size_class: str
    country_code: str
    valid_from: str


class Sector(NamedTuple):
    """One leaf sector: how many organisations it has and which share of all ratings they hold together."""

    code: str
    organisation: str
    name_en: str
    name_nl: str
    organisations: int
    share: float


SECTORS = (
    Sector("municipalities", "municipality", "Municipality", "Gemeente", 30, 0.14),
    Sector("provinces", "province", "Province", "Provincie", 10, 0.03),
    Sector("other_public_bodies", "public_body", "Public body", "Publieke dienst", 12, 0.09),
    Sector(
        "housing_associations", "housing_association", "Housing association", "Woningcorporatie", 18, 0.10
    ),
    Sector("energy_utilities", "energy_utility", "Energy utility", "Energiebedrijf", 12, 0.12),
    Sector("insurers", "insurer", "Insurer", "Verzekeraar", 14, 0.12),
    Sector("banks", "bank", "Bank", "Bank", 10, 0.12),
    Sector("healthcare", "healthcare", "Healthcare provider", "Zorginstelling", 20, 0.10),
    Sector("telecom", "telecom", "Telecom provider", "Telecombedrijf", 10, 0.09),
    Sector("retail", "retailer", "Retailer", "Winkelketen", 14, 0.09),
)
GOVERNMENT = ("municipalities", "provinces", "other_public_bodies")
SIZE_SPREAD = 1.0  # log-sd of organisation sizes within a sector
LIST_SEED = 2011  # the list is one fixed list: it depends on neither the size nor the seed of a sample
FULL_SIZE = 420_000  # size classes count the ratings at this size
MEDIUM_FROM, LARGE_FROM = 1_000, 4_000


@cache
def shares() -> npt.NDArray[np.float64]:
    """Each organisation's share of all ratings, in the order of `organisations()`; they add up to 1."""
    rng = np.random.default_rng(LIST_SEED)
    parts = []
    for sector in SECTORS:
        size = rng.lognormal(0.0, SIZE_SPREAD, sector.organisations)
        parts.append(sector.share * size / size.sum())
    share = np.concatenate(parts)
    return np.asarray(share / share.sum(), dtype=np.float64)


def organisations() -> list[Organisation]:
    """All organisations, by sector and number."""
    rows: list[Organisation] = []
    for sector in SECTORS:
        for number in range(1, sector.organisations + 1):
            rated = shares()[len(rows)] * FULL_SIZE
            size = "large" if rated >= LARGE_FROM else "medium" if rated >= MEDIUM_FROM else "small"
            rows.append(
                Organisation(
                    f"{sector.organisation}_{number:02d}",
                    f"{sector.name_en} {number:02d}",
                    f"{sector.name_nl} {number:02d}",
                    sector.code,
                    size,
                    "NL",
                    "2000-01-01",
                )
            )
    return rows


def in_sectors(sectors: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Which organisations belong to one of these leaf sectors."""
    return np.array([row.sector_code in sectors for row in organisations()])


def write_reference(path: Path) -> None:
    """Write the reference list that the pipeline reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(Organisation._fields)
        rows.writerows(organisations())
