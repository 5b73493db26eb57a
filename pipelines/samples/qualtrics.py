"""Writing Qualtrics exports: CSV with three heading rows and the metadata that the tool puts first.

Belongs here: the shape. Not here: which questions there are, or what is answered.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipelines.samples import people

ZONE = "America/Denver"  # of the exporting user: all times are local there
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Column(NamedTuple):
    """A column's three headings: the visible name, the text, and the id that stays when the name changes."""

    name: str
    text: str
    import_id: str


METADATA = (
    Column("StartDate", "Start Date", "startDate"),
    Column("EndDate", "End Date", "endDate"),
    Column("Status", "Response Type", "status"),
    Column("IPAddress", "IP Address", "ipAddress"),
    Column("Progress", "Progress", "progress"),
    Column("Duration (in seconds)", "Duration (in seconds)", "duration"),
    Column("Finished", "Finished", "finished"),
    Column("RecordedDate", "Recorded Date", "recordedDate"),
    Column("ResponseId", "Response ID", "_recordId"),
    Column("RecipientLastName", "Recipient Last Name", "recipientLastName"),
    Column("RecipientFirstName", "Recipient First Name", "recipientFirstName"),
    Column("RecipientEmail", "Recipient Email", "recipientEmail"),
    Column("ExternalReference", "External Data Reference", "externalDataReference"),
    Column("LocationLatitude", "Location Latitude", "locationLatitude"),
    Column("LocationLongitude", "Location Longitude", "locationLongitude"),
    Column("DistributionChannel", "Distribution Channel", "distributionChannel"),
    Column("UserLanguage", "User Language", "userLanguage"),
)


class Person(NamedTuple):
    """What an export tells about a respondent: empty where it does not."""

    address: str
    last: str
    first: str
    mail: str
    reference: str
    latitude: str
    longitude: str

    @classmethod
    def anonymous(cls) -> Person:
        """Nothing is told."""
        return cls(*[""] * 7)

    @classmethod
    def invited(cls, rng: np.random.Generator, number: int, domain: str) -> Person:
        """Invited by e-mail, and located in the middle of the ocean."""
        first, last = people.first_and_last(number)
        return cls(
            people.address(number),
            last,
            first,
            people.mail(number, domain),
            f"XREF-{number:06d}",
            f"-{48 + rng.random():.5f}",
            f"-{123 + rng.random():.5f}",
        )

    @classmethod
    def linked(cls, number: int) -> Person:
        """Came by an anonymous link: only the address is known."""
        return cls(people.address(number), *[""] * 6)


def response_id(*number: int) -> str:
    """An id as the tool gives it: R_ and 15 letters and digits that depend on these numbers."""
    rng = np.random.default_rng(number)
    return "R_" + "".join(LETTERS[one] for one in rng.integers(0, len(LETTERS), 15).tolist())


def metadata(
    moment: dt.datetime,
    seconds: int,
    status: str,
    finished: str,
    response: str,
    person: Person,
    language: str,
) -> list[str]:
    """The first cells of a row, recorded at this moment."""
    ended = moment - dt.timedelta(seconds=1)
    return [
        str(ended - dt.timedelta(seconds=seconds)),
        str(ended),
        status,
        person.address,
        "100" if finished in ("1", "True") else "60",
        str(seconds),
        finished,
        str(moment),
        response,
        person.last,
        person.first,
        person.mail,
        person.reference,
        person.latitude,
        person.longitude,
        "email" if person.mail else "anonymous",
        language,
    ]


def write(path: Path, columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Write one export: three heading rows, then rows that hold the metadata and these columns."""
    every = (*METADATA, *columns)
    ids = [
        {"ImportId": one.import_id} | ({"timeZone": ZONE} if one.import_id.endswith("Date") else {}) for one in every
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        export = csv.writer(file, lineterminator="\n")
        export.writerow([one.name for one in every])
        export.writerow([one.text for one in every])
        export.writerow([json.dumps(one, separators=(",", ":")) for one in ids])
        export.writerows(rows)
