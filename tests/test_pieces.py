"""A large delivery is parsed in pieces side by side. What comes out must not show it."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from conftest import CUSTOMERS, sha256

from pipelines import contracts, reference, settings, staging
from pipelines.deliveries import Delivery
from pipelines.errors import DeliveryRefused
from pipelines.parts import JSON, Store
from pipelines.readers import delimited, text
from pipelines.readers.text import Tally, cut

HEADING = (
    "Responsnummer;Klantnummer;Organisatie;Contactdatum;Kanaal;Cijfer contact;Aanbeveling (0-10);"
    "Cijfer klachtafhandeling;Geïnterviewd via;Status;Naam;E-mailadres;Postcode;Toelichting\n"
)


def export(rows: int) -> str:
    """Repeated responses far apart, blank lines, quotes, and line ends and separators inside quotes."""
    lines = []
    for i in range(rows):
        said = ['"twee\nregels; en ""meer"""', "", "gewoon", '"\n\n"'][i % 4]
        lines.append(
            f"R{i % (rows - 50)};C{i};o{i % 7};0{i % 9 + 1}-01-2011;Telefoon;{i % 12};{i % 11};n.v.t.;web;compleet;"
            f";;;{said}\n" + "\n" * (i % 97 == 0)
        )
    return HEADING + "".join(lines)


def stage(folder: Path, content: str | bytes, threads: int, shares: int = 0) -> dict[str, str]:
    """The digest of every file that comes out; its pieces judged in so many shares before, if there are any."""
    file = folder / "klantcontact_klanten_2011-Q1.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("windows-1252"))
    present = settings.load()
    contract = contracts.load(present.raw / CUSTOMERS)
    lists = reference.load(present.raw, {CUSTOMERS: contract})
    measures = {code: reference.measure(lists, code, CUSTOMERS) for code in contract.measures}
    out = folder / f"{threads}"
    out.mkdir()
    delivery = Delivery(CUSTOMERS, file, sha256(file), "2011-Q1")
    given = (replace(present, threads=threads), delivery, contract, measures, b"0f" * 32)
    store = Store(folder / f"parts{shares}")
    parts = [
        store.make(
            "judged", str(first), lambda to, first=first: staging.judge_share(*given, to, first=first, of=shares)
        )
        for first in range(shares)
    ]
    staging.stage(*given, out, shares=parts)
    return {path.name: sha256(path) for path in sorted(out.glob("*.parquet"))}


@pytest.fixture(params=[1, 1000, 100_000])
def small_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PIECE", request.param)
    monkeypatch.setattr(text, "BLOCK", 700)


def test_pieces_and_threads_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = export(3000)
    (tmp_path / "whole").mkdir()
    whole = stage(tmp_path / "whole", content, 1)
    answers = duckdb.execute(f"SELECT row_number FROM '{tmp_path}/whole/1/answer.parquet'").fetchall()
    assert answers == sorted(answers) and len(answers) > 2000
    states = f"SELECT reason, n FROM '{tmp_path}/whole/1/receipt.parquet' WHERE state = 'superseded'"
    assert duckdb.execute(states).fetchall() == [("repeated_in_delivery", 50)]
    monkeypatch.setattr(text, "PIECE", 10_000)
    monkeypatch.setattr(text, "BLOCK", 700)
    monkeypatch.setattr(delimited, "LONG", 1)
    for threads in (1, 2, 3, 8):
        assert stage(tmp_path, content, threads) == whole


def test_shares_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ragged = export(3000).replace("\nR2000;", "\nR;too;few\nR2000;")
    (tmp_path / "whole").mkdir()
    monkeypatch.setattr(text, "PIECE", 10_000)
    monkeypatch.setattr(text, "BLOCK", 700)
    monkeypatch.setattr(delimited, "LONG", 1)
    whole = stage(tmp_path / "whole", ragged, 2)
    refused = f"SELECT reason, n FROM '{tmp_path}/whole/2/receipt.parquet' WHERE state = 'refused'"
    assert ("too_few_cells", 1) in duckdb.execute(refused).fetchall()
    for shares in (1, 3, 7, 100):  # the last ones have no piece
        (tmp_path / f"{shares}").mkdir()
        assert stage(tmp_path / f"{shares}", ragged, 2, shares) == whole
        files = [
            len(list((tmp_path / f"{shares}" / f"parts{shares}" / "judged" / f"{n}").glob("*.parquet")))
            for n in (0, shares - 1)
        ]
        assert files[0] > 0 and (files[1] == 0) == (shares == 100)


def test_shares_of_another_file_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the storage of one machine is late."""
    whole = stage(tmp_path, export(300), 1)
    judge = staging.judge_share

    def judged(*given: Any, **which: int) -> dict[str, JSON]:
        facts = judge(*given, **which)
        return facts | {"file": [facts["file"][0], facts["file"][1] - 1], "pieces": {}}

    monkeypatch.setattr(staging, "judge_share", judged)
    assert stage(tmp_path, export(300), 2, 2) == whole


def test_what_is_found_once_for_a_text_is_what_every_row_with_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(20110930)
    odd = [
        "",
        '""',
        " ",
        "\t",
        "\xa0",
        "Telefoon",
        "x",
        "7",
        " 7",
        "7\t",
        "\xa07,5\xa0",
        "7.5",
        "+7",
        "7,",
        "1e1",
        "99",
    ]
    odd += ["WEET NIET", "n.v.t.", "11", "Jan de Vries", "COMPLEET ", "test", "Web", "01-01-2011 ", "31-02-2011"]
    lines = []
    for i in range(30_000):
        day = f"{i % 28 + 1:02}-{i % 12 + 1:02}-{1990 + i % 400 // 12}"  # more than the engine takes at a time
        row = [
            f"R{i}",
            f"C{i}",
            f"o{i % 5000}",
            day,
            "Telefoon",
            f"{i % 4000},{i % 10}",
            "8",
            "n.v.t.",
            "web",
            "compleet",
        ]
        if i % 5 == 0:
            row[drawn.randrange(10)] = drawn.choice(odd)
        lines.append(";".join(row) + ";;;;\n")
    found = []
    for long in (1, 1 << 40):
        monkeypatch.setattr(delimited, "LONG", long)
        (tmp_path / f"{long}").mkdir()
        found.append(stage(tmp_path / f"{long}", HEADING + "".join(lines), 2))
    assert found[0] == found[1]
    staged = duckdb.execute(
        f"SELECT row_number, value FROM '{tmp_path}/1/2/answer.parquet' WHERE value > 10"
    ).fetchall()
    right = [(n, v) for n, v in staged if lines[n - 1].split(";")[5].strip() == f"{v / 10:.1f}".replace(".", ",")]
    assert len(right) > 50
    states = dict(duckdb.execute(f"SELECT reason, sum(n) FROM '{tmp_path}/1/2/receipt.parquet' GROUP BY 1").fetchall())
    assert {"unknown_channel", "not_a_number", "no_valid_date", "unknown_status", "unknown_mode"} <= set(states)


def test_a_fault_names_the_line_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = export(2000).replace('"\n\n"', "leeg").replace('"twee\nregels; en ""meer"""', "twee")
    assert '"' not in rows
    lines = [line for line in rows.splitlines(keepends=True) if line.strip()]
    lines[1500] = lines[1500].replace("Telefoon", '"Tele"foon"')
    said = []
    for folder, piece in (("whole", text.PIECE), ("pieces", 10_000)):
        monkeypatch.setattr(text, "PIECE", piece)
        monkeypatch.setattr(text, "BLOCK", 700)
        (tmp_path / folder).mkdir()
        with pytest.raises(DeliveryRefused) as refused:
            stage(tmp_path / folder, "".join(lines), 2)
        said.append(str(refused.value))
    assert said[0] == said[1] and "line 1501" in said[0]


def chunks(content: bytes, size: int = 700) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.usefixtures("small_pieces")
def test_pieces_are_the_text_and_end_with_a_record() -> None:
    content = export(500).encode()
    tally = Tally('"')
    pieces = [(before, b"".join(piece)) for before, piece in cut(Path("export.csv"), chunks(content), tally)]
    assert b"".join(piece for _, piece in pieces) == content
    passed = 0
    for before, piece in pieces:
        assert before == passed
        assert piece.count(b'"') % 2 == 0
        passed += piece.count(b"\n")
    whole = Tally('"')
    whole.add(content)
    assert tally.total() == whole.total() == 501


def test_where_no_record_ends_nothing_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PIECE", 1000)
    monkeypatch.setattr(text, "LONGEST_LINE", 1000)
    read = []

    def watched() -> Iterator[bytes]:
        for chunk in chunks(b'a;b\n1;"2\n' + b"3;4\n" * 100_000):
            read.append(len(chunk))
            yield chunk

    with pytest.raises(DeliveryRefused, match=r"export\.csv.*quote"):
        list(cut(Path("export.csv"), watched(), Tally('"')))
    assert sum(read) < 5000
