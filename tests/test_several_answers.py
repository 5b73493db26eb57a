"""Questions with several answers whose columns hold one answer each: the category sets of SPSS."""

import struct
from pathlib import Path
from typing import Any

import pandas
import pyreadstat
import pytest
import yaml
from conftest import KEY, Once, Place

from pipelines import contracts, draft, settings
from pipelines.errors import MeetlatError

NONE = float("nan")
ROWS: dict[str, tuple[float, float, float]] = {  # 1 slow, 2 rude, 3 something else, 98 does not know, -1 not asked
    "a": (1, 2, NONE),
    "b": (2, NONE, NONE),
    "c": (NONE, NONE, NONE),
    "d": (98, NONE, NONE),
    "e": (98, 1, NONE),  # an answer beside it counts
    "f": (-1, -1, -1),
    "g": (NONE, NONE, 3),
    "h": (7, 1, NONE),  # 7 is nothing that could be chosen
    "i": (1, 1, 1),  # chosen once
    "j": (NONE, 98, -1),
}
SLOW, RUDE = "complaint_slow_response", "complaint_poor_communication"
WHY = {"role": "options", "group": "why", "options": {"1": SLOW, "2": RUDE, "3": None}}
LEFT_OUT = {"dont_know": ["98"], "not_asked": ["-1"]}
CONTRACT: dict[str, Any] = {
    "title": "Complaints",
    "monitor": "klantcontact_monitor",
    "audience": "customer",
    "country": "NL",
    "provenance": "survey",
    "controller": "Nobody",
    "purpose": "tests",
    "licence": "MIT",
    "sampling_unit": "respondent",
    "sector": "retail",
    "wave": {"code": "wave-one", "start": "2020-01-01", "end": "2020-06-30"},
    "files": "*.sav",
    "format": {"kind": "spss"},
    "delivery": {"mode": "append", "order": r"(\d)"},
    "gate": {"max_drop": 0.5},  # of so few answers another base alone takes more than the usual tenth
    "columns": {
        "id": {"role": "response"},
        "why1": WHY | LEFT_OUT,
        "why2": {"role": "options", "group": "why"},
        "why3": {"role": "options", "group": "why"},
    },
}
LABELS = {1: "Slow", 2: "Rude", 3: "Something else", 98: "Weet niet"}
TICKED = {"phone": [1, 0] * 5, "desk": [0, 0, 1, 1, 0] * 2}


def write_sav(path: Path, *sets: str) -> None:
    """The rows as an SPSS file. Sets are put in as SPSS does: the library reads them, and cannot write them."""
    names = ("why1", "why2", "why3")
    frame = pandas.DataFrame({"id": list(ROWS)} | dict(zip(names, zip(*ROWS.values(), strict=True), strict=True)))
    labels: dict[str, dict[float | int, str]] = {name: dict(LABELS) for name in names}
    pyreadstat.write_sav(
        frame.assign(**TICKED), str(path), variable_value_labels=labels, missing_ranges={n: [98, -1] for n in names}
    )
    if sets:
        text = "".join(f"${one}\n" for one in sets).encode()
        end = struct.pack("<ii", 999, 0)  # of the dictionary; records of other kinds stand before it
        before, after = path.read_bytes().split(end, 1)
        path.write_bytes(before + struct.pack("<iiii", 7, 7, 1, len(text)) + text + end + after)


def with_columns(**columns: dict[str, Any]) -> dict[str, Any]:
    return CONTRACT | {"discard": [*TICKED], "columns": CONTRACT["columns"] | columns}


@pytest.fixture(scope="session")
def release(once: Once) -> Place:
    """The file with either base, and the same answers joined in one cell. Only to look at."""

    def make(folder: Path) -> None:
        place = Place(folder)
        place.state.mkdir(parents=True, mode=0o700)
        (place.state / "key").write_text(KEY)
        (place.state / "key").chmod(0o600)
        joined = {"role": "options", "separator": ";", "options": WHY["options"], "base": "asked"}
        sources = {
            "answered": with_columns(),
            "asked": with_columns(why1=WHY | LEFT_OUT | {"base": "asked"}) | {"audience": "employee"},
            "joined": CONTRACT
            | {"files": "*.csv", "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ","}}
            | {"columns": {"id": {"role": "response"}, "why": joined | LEFT_OUT}},
        }
        for name, contract in sources.items():
            (place.raw / name).mkdir(parents=True)
            (place.raw / name / "contract.yml").write_text(yaml.safe_dump(contract, sort_keys=False))
        write_sav(place.raw / "answered" / "1.sav")
        write_sav(place.raw / "asked" / "1.sav")
        cells = {id: ";".join(f"{code:.0f}" for code in codes if code == code) for id, codes in ROWS.items()}
        cells |= {
            "e": "1",
            "f": "-1",
            "i": "1",
            "j": "-1",
        }  # a joined cell holds answers, or the reason why there are none
        lines = "".join(f"{id},{cell}\n" for id, cell in cells.items())
        (place.raw / "joined" / "1.csv").write_text("id,why\n" + lines)
        place.refresh_here()

    return Place(once("several_answers", make))


def answers(place: Place, source: str, measure: str) -> dict[str, Any]:
    """What each row answered, or why it did not; what was not asked is no answer at all."""
    rows = place.query(
        "SELECT row_number, coalesce(missing_reason, value::VARCHAR) FROM core.fct_answer "
        f"WHERE source_code = '{source}' AND measure_code = '{measure}' ORDER BY 1"
    )
    return {list(ROWS)[row - 1]: said for row, said in rows}


SAID = {"a": ("1", "1"), "b": ("0", "1"), "e": ("1", "0"), "g": ("0", "0"), "i": ("1", "0")}
NOT_SAID = {"d": "dont_know", "h": "quarantined"}


@pytest.mark.parametrize(("source", "blank"), [("answered", "blank"), ("asked", "0"), ("joined", "0")])
def test_an_option_counts_once_whichever_column_holds_it(release: Place, source: str, blank: str) -> None:
    for place, measure in enumerate((SLOW, RUDE)):
        said = {id: both[place] for id, both in SAID.items()}
        assert answers(release, source, measure) == said | NOT_SAID | {"c": blank}


def test_a_share_names_its_base(release: Place) -> None:
    """Customers answered two questions, of which one counts who was asked; employees one that does."""
    assert release.query("SELECT DISTINCT source_code, base, question_version FROM core.dim_question ORDER BY ALL") == [
        ("answered", "answered", 1),
        ("asked", "asked", 1),
        ("joined", "asked", 1),
    ]
    bases = f"SELECT DISTINCT audience_code, base, n_answers FROM mart.statement_share WHERE measure_code = '{SLOW}'"
    assert sorted(release.query(bases)) == [("customer", "mixed", 11), ("employee", "asked", 6)]
    shown = release.query(
        "SELECT DISTINCT audience_code, base FROM mart.measure_score ORDER BY ALL", "public/benchmark.duckdb"
    )
    assert shown == [("customer", "mixed"), ("employee", "asked")]


def test_another_base_is_a_change_of_the_contract(release: Place, tmp_path: Path) -> None:
    place = release.copy(tmp_path / "place")
    contract = place.raw / "asked" / "contract.yml"
    contract.write_text(contract.read_text().replace("base: asked", "base: answered"))
    place.refresh_here()
    assert place.query(
        "SELECT DISTINCT base, n_answers FROM mart.statement_share WHERE audience_code = 'employee'"
    ) == [("answered", 5)]
    changes = "SELECT DISTINCT table_name, causes FROM meta.change WHERE output = 'house' AND column_name = 'base'"
    assert sorted(place.query(changes)) == [
        ("core.dim_question", "contract"),
        ("mart.measure_score", "contract"),
        ("mart.statement_share", "contract"),
    ]
    assert place.query("SELECT count(*) FROM meta.change WHERE causes LIKE '%unexplained%'") == [(0,)]


def test_the_receipt_closes(release: Place) -> None:
    receipts = release.query(
        "SELECT source_code, rows_accepted * questions, cells_answer, cells_blank, cells_dont_know, cells_not_asked, "
        "cells_quarantined FROM meta.delivery ORDER BY 1"
    )
    assert receipts == [
        ("answered", 20, 10, 2, 2, 4, 2),
        ("asked", 20, 12, 0, 2, 4, 2),
        ("joined", 20, 12, 0, 2, 4, 2),
    ]
    shown = release.query(
        "SELECT DISTINCT question, reason, shown FROM meta.quarantine WHERE source_code = 'answered' ORDER BY ALL"
    )
    assert shown == [("why1", "unknown_option", "7")]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"why1": {"role": "options", "group": "why"}}, "none of its columns do"),
        ({"why2": WHY}, "one column of the group why lists its options"),
        ({"why2": {"role": "options", "group": "why", "base": "asked"}}, "why1 says the rest"),
        ({"why1": WHY | {"separator": ";"}}, "give `separator`"),
        ({"why1": {"role": "options", "options": {"1": SLOW}}}, "give `separator`"),
        ({"why1": {"role": "options", "separator": ";"}}, "list every option"),
        ({"why1": WHY | {"dont_know": ["3"]}}, "stand under a reason"),
        ({"why1": WHY | {"options": {"1": None}}}, "nothing to publish"),
    ],
)
def test_a_group_that_contradicts_itself_is_refused(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    (tmp_path / "contract.yml").write_text(yaml.safe_dump(with_columns(**columns)))
    with pytest.raises(MeetlatError, match=said):
        contracts.load(tmp_path)


def test_a_draft_knows_the_sets_of_the_file(tmp_path: Path) -> None:
    export = tmp_path / "complaints_2024.sav"
    write_sav(export, "Why=C 5 Why? why1 why2 why3", "used=D1 1 9 What used phone desk")
    text = draft.draft(settings.load(), export)
    _, columns = text.split("columns:\n")
    made = yaml.safe_load("columns:\n" + columns)["columns"]
    assert made["why1"] == {"role": "options", "group": "why", "options": {"1": None, "2": None, "3": None}}
    assert made["why2"] == made["why3"] == {"role": "options", "group": "why"}
    assert made["phone"] == made["desk"] == {"role": "choice", "group": "used", "unticked": ["0"]}
    assert '"1": null # Slow' in text and '# dont_know: ["98"] # uncomment if it is; seen: 98 (3: Weet niet)' in text
    assert '# not_asked: ["-1"]' in text and "1 other values in the rows read" in text
