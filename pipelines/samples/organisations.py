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
    Sector("housing_associations", "housing_association", "Housing association", "Woningcorporatie", 18, 0.10),
    Sector("energy_utilities", "energy_utility", "Energy utility", "Energiebedrijf", 12, 0.12),
    Sector("insurers", "insurer", "Insurer", "Verzekeraar", 14, 0.12),
    Sector("banks", "bank", "Bank", "Bank", 10, 0.12),
    Sector("healthcare", "healthcare", "Healthcare provider", "Zorginstelling", 20, 0.10),
    Sector("telecom", "telecom", "Telecom provider", "Telecombedrijf", 10, 0.09),
    Sector("retail", "retailer", "Retailer", "Winkelketen", 14, 0.09),
)
# Who supplies businesses; rated by their buyers, and never by consumers
SUPPLIER_SECTORS = (
    Sector("ict", "ict_supplier", "ICT supplier", "ICT-leverancier", 60, 0.32),
    Sector("telecom", "business_telecom", "Business telecom provider", "Zakelijke telecomaanbieder", 60, 0.16),
    Sector("insurers", "business_insurer", "Business insurer", "Zakelijke verzekeraar", 60, 0.14),
    Sector("healthcare", "occupational_health", "Occupational health service", "Arbodienst", 60, 0.14),
    Sector("banks", "business_bank", "Business bank", "Zakelijke bank", 25, 0.08),
    Sector("energy_utilities", "business_energy", "Business energy supplier", "Zakelijk energiebedrijf", 30, 0.08),
    Sector("retail", "wholesaler", "Wholesaler", "Groothandel", 35, 0.08),
)
GOVERNMENT = ("municipalities", "provinces", "other_public_bodies")
SIZE_SPREAD = 1.0  # log-sd of organisation sizes within a sector
LIST_SEED, SUPPLIER_SEED = 2011, 2018  # the lists are fixed: they depend on no sample's size or seed


class Sizes(NamedTuple):
    """Size classes: the ratings that all organisations have together, and how many make one larger."""

    all: int
    medium_from: int
    large_from: int


SIZES = Sizes(420_000, 1_000, 4_000)
SUPPLIER_SIZES = Sizes(4_200, 8, 25)


@cache
def shares() -> npt.NDArray[np.float64]:
    """Each organisation's share of all ratings, in the order of `organisations()`; they add up to 1."""
    return _shares(SECTORS, LIST_SEED)


@cache
def supplier_shares() -> npt.NDArray[np.float64]:
    """Each supplier's share of all ratings, in the order of `suppliers()`; they add up to 1."""
    return _shares(SUPPLIER_SECTORS, SUPPLIER_SEED)


def _shares(sectors: tuple[Sector, ...], seed: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    parts = []
    for sector in sectors:
        size = rng.lognormal(0.0, SIZE_SPREAD, sector.organisations)
        parts.append(sector.share * size / size.sum())
    share = np.concatenate(parts)
    return np.asarray(share / share.sum(), dtype=np.float64)


def organisations() -> list[Organisation]:
    """All organisations that consumers rate, by sector and number."""
    return _listed(SECTORS, shares(), SIZES)


def suppliers() -> list[Organisation]:
    """All organisations that their business customers rate, by sector and number."""
    return _listed(SUPPLIER_SECTORS, supplier_shares(), SUPPLIER_SIZES)


def _listed(sectors: tuple[Sector, ...], share: npt.NDArray[np.float64], sizes: Sizes) -> list[Organisation]:
    rows: list[Organisation] = []
    for sector in sectors:
        for number in range(1, sector.organisations + 1):
            rated = share[len(rows)] * sizes.all
            size = "large" if rated >= sizes.large_from else "medium" if rated >= sizes.medium_from else "small"
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
    """Which of `organisations()` belong to one of these leaf sectors."""
    return np.array([row.sector_code in sectors for row in organisations()])


def write_reference(path: Path) -> None:
    """Write the reference list that the pipeline reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(Organisation._fields)
        rows.writerows(organisations() + suppliers())
