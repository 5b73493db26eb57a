"""A delivery that is not as declared costs one sentence and itself, never the other deliveries."""

import gzip
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import openpyxl
import pytest
from conftest import (
    CUSTOMERS,
    EMPLOYEES,
    MESSAGES,
    QUARTER,
    SOCIAL,
    WORKBOOK,
    Once,
    Place,
    Ran,
    as_csv,
    lines,
    new_place,
    read_quarter,
    same_parts,
    sha256,
    write_quarter,
)

Bytes = Callable[[Path], bytes]  # from a raw folder to the bytes of the delivery


def first(raw: Path) -> bytes:
    return (raw / CUSTOMERS / QUARTER.format(1)).read_bytes()


def heading_changed(old: str, new: str) -> Bytes:
    def change(raw: Path) -> bytes:
        heading, *rows = read_quarter(raw, 1)
        assert old in heading
        return as_csv([[new if name == old else name for name in heading], *rows])

    return change


def without_a_column(raw: Path) -> bytes:
    rows = read_quarter(raw, 1)
    place = rows[0].index("Kanaal")
    return as_csv([row[:place] + row[place + 1 :] for row in rows])


def with_a_column(raw: Path) -> bytes:
    heading, *rows = read_quarter(raw, 1)
    return as_csv([[*heading, "Telefoonnummer"], *([*row, "06-00012345"] for row in rows)])


def with_many_columns(raw: Path) -> bytes:
    heading, *rows = read_quarter(raw, 1)
    return as_csv([[*heading, *(f"Extra {i}" for i in range(3_000))], *([*row, *[""] * 3_000] for row in rows[:9])])


def in_the_middle(bytes_: bytes) -> Bytes:
    """The first quarter with something put in at the start of a line halfway."""

    def change(raw: Path) -> bytes:
        text = gzip.decompress(first(raw))
        place = text.index(b"\nK11-", len(text) // 2) + 1
        return gzip.compress(text[:place] + bytes_ + text[place:], mtime=0)

    return change


def other_sheet(raw: Path) -> bytes:
    book = openpyxl.load_workbook(raw / EMPLOYEES / WORKBOOK)
    book["Medewerkers"].title = "Blad1"
    file = BytesIO()
    book.save(file)
    return file.getvalue()


@dataclass(frozen=True)
class Case:
    """A delivery that must be refused, and what the sentence must say beside its name."""

    what: str
    source: str
    file: str
    write: Bytes | None  # None: a folder
    said: str


def cases() -> Iterator[Case]:
    year = iter(range(2012, 2100))

    def customers(what: str, write: Bytes | None, said: str) -> Case:
        return Case(what, CUSTOMERS, f"klantcontact_klanten_{next(year)}-Q1.csv.gz", write, said)

    yield customers("truncated gzip", lambda raw: first(raw)[: len(first(raw)) // 2], "not a whole gzip")
    yield customers("gzip without its end", lambda raw: first(raw)[:-4], "not a whole gzip")
    yield customers("no gzip", lambda raw: gzip.decompress(first(raw)), "not a whole gzip")
    yield customers("wrong delimiter", lambda raw: as_csv(read_quarter(raw, 1), ","), "delimiter")
    yield customers("utf-16", lambda raw: as_csv(read_quarter(raw, 1), encoding="utf-16-le"), "column|encoding|NUL")
    yield customers(
        "utf-8, other heading", lambda raw: as_csv(read_quarter(raw, 1), encoding="utf-8"), "Geïnterviewd via"
    )
    yield customers("no windows-1252", in_the_middle(b"\x81"), "not windows-1252")
    yield customers("missing column", without_a_column, r"lacks the columns \['Kanaal'\]")
    yield customers("new column", with_a_column, r"\['Telefoonnummer'\] which the contract does not know")
    yield customers("many new columns", with_many_columns, r"'Extra 9'.*\] and 2,9\d\d more which the contract")
    yield customers("duplicated column", heading_changed("Toelichting", "Naam"), r"\['Naam #2'\]")
    yield customers("empty", lambda raw: b"", "is empty")
    yield customers("empty inside", lambda raw: gzip.compress(b"", mtime=0), "no heading|empty")
    yield customers("no heading", lambda raw: as_csv(read_quarter(raw, 1)[1:]), "heading is missing")
    yield customers("unclosed quote", in_the_middle(b'"'), "quote")
    yield customers("NUL bytes", in_the_middle(b"\0\0"), "NUL")
    yield customers("folder", None, "is a folder")
    yield Case("wrong name", CUSTOMERS, "export.csv", first, "does not fit `files:")
    packed = "klantcontact_klanten_2011-Q1.csv.gz.zip"
    yield Case("packed, not declared", CUSTOMERS, packed, first, "is packed, and `files:.*write.*gz.zip")
    yield Case("no order key", CUSTOMERS, "klantcontact_klanten_laatste.csv.gz", first, "no order key")
    yield Case(
        "tie in the order",
        CUSTOMERS,
        "klantcontact_klanten_2011-Q4_nieuw.csv.gz",
        lambda raw: as_csv(read_quarter(raw, 1)[:5]),
        "same order key '2011-Q4'",
    )
    yield Case("empty XLSX", EMPLOYEES, "klantcontact_medewerkers_2012.xlsx", lambda raw: b"", "is empty")
    yield Case(
        "text as XLSX",
        EMPLOYEES,
        "klantcontact_medewerkers_2013.xlsx",
        lambda raw: b"Formulier;Werkgever\n1;8\n",
        "not a readable XLSX",
    )
    yield Case(
        "truncated XLSX",
        EMPLOYEES,
        "klantcontact_medewerkers_2014.xlsx",
        lambda raw: (raw / EMPLOYEES / WORKBOOK).read_bytes()[:5000],
        "not a readable XLSX",
    )
    yield Case("other sheet", EMPLOYEES, "klantcontact_medewerkers_2015.xlsx", other_sheet, "no sheet 'Medewerkers'")
    yield Case(
        "no JSON",
        SOCIAL,
        "klantcontact_berichten_2012.jsonl.gz",
        lambda raw: gzip.compress(b"id;sentiment\n1;2\n", mtime=0),
        "no JSON object",
    )
    yield Case(
        "JSON cut off",
        SOCIAL,
        "klantcontact_berichten_2013.jsonl.gz",
        lambda raw: (raw / SOCIAL / MESSAGES).read_bytes()[:3000],
        "not a whole gzip",
    )
    yield Case(
        "JSON with other keys",
        SOCIAL,
        "klantcontact_berichten_2014.jsonl.gz",
        lambda raw: gzip.compress(b'{"id": "1", "score": 2}\n', mtime=0),
        r"has columns \(1\)",  # but not their names, when it is so plainly another export
    )


CASES = {case.what: case for case in cases()}
EVERY_CASE = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def arrive(place: Place, case: Case) -> None:
    path = place.delivery(case.source, case.file)
    if case.write is None:
        path.mkdir()
        (path / QUARTER.format(1)).write_bytes(first(place.raw))
    else:
        path.write_bytes(case.write(place.raw))


@pytest.fixture(scope="session")
def bad_night(once: Once, sample: Path) -> Place:
    """Everything that can be wrong with a delivery arrives before the first refresh, beside what is good."""

    def make(folder: Path) -> None:
        place = new_place(folder, sample)
        for case in CASES.values():
            arrive(place, case)
        for number in ("first", "second"):
            ran = place.run("refresh")
            (folder / f"{number}.err").write_text(ran.stderr)
            (folder / f"{number}.status").write_text(str(ran.returncode))
            (folder / f"{number}.out").write_text(ran.stdout)

    return Place(once("bad_night", make))


def said_of(case: Case, text: str) -> list[str]:
    """The sentences that begin with the name of the file."""
    return [line for line in text.splitlines() if re.match(re.escape(case.file) + r"\b", line)]


@EVERY_CASE
def test_one_sentence_names_the_file_and_the_fault(bad_night: Place, case: Case) -> None:
    sentences = said_of(case, (bad_night.root / "first.err").read_text())
    assert len(sentences) == 1
    assert re.search(case.said, sentences[0])
    assert sentences[0].isprintable() and len(sentences[0]) < 500 and sentences[0].endswith((".", "?"))


@EVERY_CASE
def test_the_receipt_has_the_sentence(bad_night: Place, case: Case) -> None:
    rows = bad_night.query(
        f"SELECT status, message, rows_read, cells_answer FROM meta.delivery WHERE file_name = '{case.file}'",
        "benchmark.duckdb",
    )
    (sentence,) = said_of(case, (bad_night.root / "first.err").read_text())
    assert rows == [("refused", sentence, 0, 0)]


def test_nothing_else_is_said(bad_night: Place) -> None:
    assert (bad_night.root / "first.status").read_text() == "3"
    assert "Traceback" not in (bad_night.root / "first.err").read_text()
    said = [line for line in (bad_night.root / "first.err").read_text().splitlines() if line.strip()]
    assert len(said) == len(CASES)


def test_the_others_are_published(bad_night: Place, built: Place) -> None:
    receipts = "SELECT * EXCLUDE (message) FROM meta.delivery WHERE status = 'accepted' ORDER BY ALL"
    assert bad_night.query(receipts) == built.query(receipts)
    figures = "FROM mart.published_comparison ORDER BY ALL"
    assert bad_night.query(figures) == built.query(figures)
    ((refused,),) = bad_night.query("SELECT deliveries_refused FROM meta.release", "benchmark.duckdb")
    assert refused == len(CASES)


def test_running_again_says_the_same_and_nothing_new(bad_night: Place) -> None:
    assert (bad_night.root / "second.status").read_text() == "3"
    assert "Nothing new" in (bad_night.root / "second.out").read_text()
    said = [sorted((bad_night.root / f"{n}.err").read_text().splitlines()) for n in ("first", "second")]
    assert said[0] == said[1]


# --- alone, in the place of a good one -----------------------------------------------------------


def test_alone_instead_of_a_good_delivery(tmp_path: Path, built: Place, sample: Path) -> None:
    place = new_place(tmp_path / "place", sample)
    same_parts(place, built)
    second = place.delivery(CUSTOMERS, QUARTER.format(2))
    second.write_bytes(second.read_bytes()[:5000])
    (sentence,) = lines(place.refresh(status=3))
    assert sentence.startswith(second.name) and "not a whole gzip" in sentence
    statuses = dict(place.query("SELECT file_name, status FROM meta.delivery", "benchmark.duckdb"))
    assert statuses.pop(second.name) == "refused"
    assert len(statuses) == 5 and set(statuses.values()) == {"accepted"}
    again = place.refresh(status=3)
    assert lines(again) == [sentence] and "Nothing new" in again.stdout


def test_the_same_bytes_twice(tmp_path: Path, built: Place, sample: Path) -> None:
    place = new_place(tmp_path / "place", sample)
    same_parts(place, built)
    again = "klantcontact_klanten_2012-Q1.csv.gz"
    shutil.copyfile(place.delivery(CUSTOMERS, QUARTER.format(3)), place.delivery(CUSTOMERS, again))
    (sentence,) = lines(place.refresh(status=3))
    assert sentence.startswith(again) and QUARTER.format(3) in sentence
    counts = "SELECT file_name, status, rows_read, cells_answer FROM meta.delivery ORDER BY ALL"
    rows = place.query(counts, "benchmark.duckdb")
    assert rows == sorted([*built.query(counts, "benchmark.duckdb"), (again, "refused", 0, 0)])
    assert place.query("FROM mart.published_comparison ORDER BY ALL") == built.query(
        "FROM mart.published_comparison ORDER BY ALL"
    )


# --- an emptied folder ---------------------------------------------------------------------------


def remove_deliveries(place: Place) -> None:
    for path in place.raw.glob("klantcontact_*/klantcontact_*"):
        path.unlink()


def empty_the_folder(place: Place) -> None:
    shutil.rmtree(place.raw)
    place.raw.mkdir()


def remove_the_folder(place: Place) -> None:
    shutil.rmtree(place.raw)


EMPTIED = pytest.mark.parametrize("empty", [remove_deliveries, empty_the_folder, remove_the_folder])


@EMPTIED
def test_an_emptied_folder_leaves_the_release(published: Place, empty: Callable[[Place], None]) -> None:
    before = published.release_id(), sha256(published.current / "benchmark.duckdb")
    empty(published)
    ran = published.refresh(status=1)
    assert lines(ran)
    assert (published.release_id(), sha256(published.current / "benchmark.duckdb")) == before


@EMPTIED
def test_an_empty_folder_makes_no_release(place: Place, empty: Callable[[Place], None]) -> None:
    empty(place)
    ran = place.refresh(status=1)
    assert lines(ran)
    assert not place.current.exists()


def test_nothing_sound_makes_no_release(place: Place) -> None:
    remove_deliveries(place)
    place.delivery(CUSTOMERS, QUARTER.format(1)).touch()
    ran = place.refresh(status=1)
    assert any("is empty" in line for line in lines(ran))
    assert not place.current.exists()


# --- a bad row, a bad cell -----------------------------------------------------------------------


def receipts(place: Place) -> dict[str, dict[str, int]]:
    names = ["rows_read", "rows_accepted", "rows_excluded", "rows_refused", "rows_superseded", "questions"]
    cells = ["answer", "blank", "dont_know", "refused", "not_asked", "quarantined"]
    names += [f"cells_{cell}" for cell in cells]
    rows = place.query(f"SELECT file_name, {', '.join(names)} FROM meta.delivery", "benchmark.duckdb")
    return {file: dict(zip(names, numbers, strict=True)) for file, *numbers in rows}


def assert_balanced(receipt: dict[str, int]) -> None:
    kinds = ("accepted", "excluded", "refused", "superseded")
    assert receipt["rows_read"] == sum(receipt[f"rows_{kind}"] for kind in kinds)
    cells = sum(n for name, n in receipt.items() if name.startswith("cells_"))
    assert receipt["rows_accepted"] * receipt["questions"] == cells


def test_bad_rows_are_refused_alone(published: Place, built: Place) -> None:
    before = receipts(built)
    seen = Counter(row[0] for quarter in range(1, 5) for row in read_quarter(built.raw, quarter))
    rows = read_quarter(published.raw, 1)
    whole = [i for i, row in enumerate(rows) if seen[row[0]] == 1 and "compleet" in row and row[3] != "31-02-2011"]
    rows[whole[3]].append("een cel te veel")
    rows[whole[-3]] = rows[whole[-3]][:7]
    write_quarter(published.raw, 1, rows)

    messages = published.delivery(SOCIAL, MESSAGES)
    unpacked = gzip.decompress(messages.read_bytes())
    messages.write_bytes(gzip.compress(unpacked + b'{"id": "B11-9999999", "placed_\n[1, 2]\n', mtime=0))

    accepted = [published.meetlat("accept", source).returncode for source in (CUSTOMERS, SOCIAL)]
    assert accepted == [0, 0]
    ran: Ran = published.refresh()
    assert not lines(ran)
    after = receipts(published)
    for receipt in after.values():
        assert_balanced(receipt)
    quarter, social = QUARTER.format(1), MESSAGES
    assert after[quarter]["rows_read"] == before[quarter]["rows_read"]
    assert after[quarter]["rows_accepted"] == before[quarter]["rows_accepted"] - 2
    assert after[quarter]["rows_refused"] == before[quarter]["rows_refused"] + 2
    assert after[social]["rows_read"] == before[social]["rows_read"] + 2
    assert after[social]["rows_accepted"] == before[social]["rows_accepted"]
    assert after[social]["rows_refused"] == before[social]["rows_refused"] + 2
    reasons = Counter(dict(published.query("SELECT reason, count(*) FROM meta.quarantine GROUP BY ALL")))
    reasons -= Counter(dict(built.query("SELECT reason, count(*) FROM meta.quarantine GROUP BY ALL")))
    assert reasons == {"too_many_cells": 1, "too_few_cells": 1, "not_a_json_object": 2}
