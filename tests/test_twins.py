"""One small survey in six shapes stages to the same answers, and to those of its ledger."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Once, Place, answers_by_delivery, assert_receipts, assert_same, booked, new_place

from pipelines.samples import twins

HEAD = r"""
title: Twin
monitor: klantcontact_monitor
audience: customer
country: NL
provenance: synthetic
controller: Meetlat sample data
purpose: test of a reader
licence: MIT
sampling_unit: organisation
delivery: {mode: append, order: '(\d{4})'}
"""

CONTRACTS = {
    "twin_csv": r"""
files: "*.csv"
format: {kind: csv, encoding: windows-1252, delimiter: ";"}
decimal: ","
columns:
  Respons: {role: response}
  Respondent: {role: respondent}
  Organisatie: {role: organisation}
  Datum: {role: date, format: "%d-%m-%Y"}
  Kanaal: {role: channel, values: {Balie: physical, Telefoon: phone, E-mail: email}}
  Cijfer: {role: question, measure: channel_rating, channel: row, dont_know: [weet niet]}
  Aanbeveling: {role: question, measure: recommendation, dont_know: [weet niet]}
discard: [E-mailadres, Naam geënquêteerde]
""",
    "twin_xlsx": r"""
files: "*.xlsx"
format: {kind: xlsx}
decimal: ","
columns:
  Respons: {role: response}
  Respondent: {role: respondent}
  Organisatie: {role: organisation}
  Datum: {role: date}
  Kanaal: {role: channel, values: {Balie: physical, Telefoon: phone, E-mail: email}}
  Cijfer: {role: question, measure: channel_rating, channel: row, dont_know: [weet niet]}
  Aanbeveling: {role: question, measure: recommendation, dont_know: [weet niet]}
discard: [E-mailadres, Naam geënquêteerde]
""",
    "twin_sav": r"""
files: "*.sav"
format: {kind: spss}
columns:
  RESPONS: {role: response}
  RESPONDENT: {role: respondent}
  ORGANISATIE: {role: organisation}
  DATUM: {role: date}
  KANAAL: {role: channel, values: {"1": physical, "2": phone, "3": email}}
  CIJFER: {role: question, measure: channel_rating, channel: row, dont_know: ["98"]}
  AANBEVELING: {role: question, measure: recommendation, dont_know: ["98"]}
discard: [EMAIL, NAAM]
""",
    "twin_qualtrics_codes": r"""
files: "*_codes.csv"
format: {kind: qualtrics}
time_zone: America/Denver
columns:
  Respons: {role: response}
  Respondent: {role: respondent}
  Organisatie: {role: organisation}
  recordedDate: {role: date, format: "%Y-%m-%d %H:%M:%S"}
  status: {role: status, keep: ["0"]}
  finished: {role: status, keep: ["1"]}
  QID1: {role: channel, values: {"1": physical, "2": phone, "3": email}}
  QID2: {role: question, measure: channel_rating, channel: row, dont_know: ["98"]}
  QID3: {role: question, measure: recommendation, dont_know: ["98"]}
discard:
  - startDate
  - endDate
  - ipAddress
  - progress
  - duration
  - _recordId
  - recipientLastName
  - recipientFirstName
  - recipientEmail
  - externalDataReference
  - locationLatitude
  - locationLongitude
  - distributionChannel
  - userLanguage
  - Naam
""",
    "twin_qualtrics_text": r"""
files: "*_text.csv"
format: {kind: qualtrics}
time_zone: America/Denver
columns:
  Respons: {role: response}
  Respondent: {role: respondent}
  Organisatie: {role: organisation}
  recordedDate: {role: date, format: "%Y-%m-%d %H:%M:%S"}
  status: {role: status, keep: [IP Address]}
  finished: {role: status, keep: ["True"]}
  QID1: {role: channel, values: {Balie: physical, Telefoon: phone, E-mail: email}}
  QID2: {role: question, measure: channel_rating, channel: row, dont_know: [weet niet]}
  QID3: # only the ends of the scale have a text
    role: question
    measure: recommendation
    values: {"0 - Zeer onwaarschijnlijk": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9,
      "10 - Zeer waarschijnlijk": 10}
    dont_know: [weet niet]
discard: [startDate, endDate, ipAddress, progress, duration, _recordId, recipientLastName, recipientFirstName,
  recipientEmail, externalDataReference, locationLatitude, locationLongitude, distributionChannel, userLanguage, Naam]
""",
    "twin_jsonl": r"""
files: "*.jsonl"
format: {kind: jsonl}
columns:
  Respons: {role: response}
  Respondent: {role: respondent}
  Organisatie: {role: organisation}
  Datum: {role: date}
  Kanaal: {role: channel, values: {Balie: physical, Telefoon: phone, E-mail: email}}
  Cijfer: {role: question, measure: channel_rating, channel: row, dont_know: [weet niet]}
  Aanbeveling: {role: question, measure: recommendation, dont_know: [weet niet]}
discard: [E-mailadres, Naam geënquêteerde]
""",
}


@pytest.fixture(scope="session")
def staged(once: Once) -> Place:
    """A place with the release of the six. Only to look at."""

    def make(folder: Path) -> None:
        shapes = folder.with_name("shapes")
        twins.write(shapes)
        for source, contract in CONTRACTS.items():
            (shapes / source / "contract.yml").write_text(HEAD + contract, encoding="utf-8")
        new_place(folder, shapes).refresh_here()

    return Place(once("staged", make))


def answers(place: Place, source: str) -> list[tuple[Any, ...]]:
    """Every answer of a source; a pseudonym is told by the row in which it comes first."""
    return place.query(
        "SELECT row_number, min(row_number) OVER (PARTITION BY response_id) AS response, "
        "min(row_number) OVER (PARTITION BY respondent_id) AS respondent, country_code, organisation_code, "
        "sector_code, audience_code, wave_code, answered_on, mode_code, channel_code, measure_code, question_version, "
        f"value, weight, missing_reason FROM core.fct_answer WHERE source_code = '{source}' ORDER BY ALL"
    )


def test_every_shape_has_a_contract() -> None:
    assert set(CONTRACTS) == set(twins.SOURCES)


@pytest.mark.parametrize("source", [source for source in CONTRACTS if source != "twin_csv"])
def test_the_answers_are_those_of_the_twin(staged: Place, source: str) -> None:
    found = answers(staged, source)
    assert len(found) == 600 and any(row[1] != row[2] for row in found), "nobody returns, so nothing is shown"
    assert found == answers(staged, "twin_csv")


def test_the_answers_are_the_ledger(staged: Place) -> None:
    assert_same(answers_by_delivery(staged), booked(staged, by_delivery=True))


def test_the_receipts_are_the_ledger(staged: Place) -> None:
    assert_receipts(staged)


def test_no_two_shapes_share_a_pseudonym(staged: Place) -> None:
    shared = "SELECT respondent_id FROM core.fct_answer GROUP BY ALL HAVING count(DISTINCT source_code) > 1"
    assert staged.query(shared) == []
