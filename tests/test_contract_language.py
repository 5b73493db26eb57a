"""What a contract can say beyond the shipped ones: versions, corrections, joined answers, texts, retention."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import KEY, Once, Place, lines
from small import FEW, MESSAGES, PANEL, Small

from pipelines import contracts, privacy
from pipelines.errors import MeetlatError

CONTRACT: dict[str, Any] = {
    "title": "A small survey",
    "monitor": "klantcontact_monitor",
    "audience": "customer",
    "country": "NL",
    "provenance": "survey",
    "controller": "Nobody",
    "purpose": "tests",
    "licence": "MIT",
    "sampling_unit": "respondent",
    "sector": "retail",
    "files": "*.csv",
    "format": {"kind": "csv", "encoding": "utf-8", "delimiter": ";"},
    "delivery": {"mode": "append", "order": r"(\d)"},
    "waves": {
        "1": {"code": "wave-one", "start": "2020-01-01", "end": "2020-06-30"},
        "2": {"code": "wave-two", "start": "2020-07-01", "end": "2020-12-31"},
    },
    "columns": {
        "id": {"role": "response"},
        "done": [{"role": "status", "keep": "any", "exclude": {"": "not_completed"}}, {"role": "date"}],
        "grade": {"role": "question", "measure": "satisfaction"},
        "why": {
            "role": "options",
            "separator": ", ",
            "options": {
                "Slow": "complaint_slow_response",
                "Slow, very slow": None,
                "Rude": "complaint_poor_communication",
            },
        },
        "remark": {"role": "text", "keep": "text"},
    },
    "versions": [
        {
            "from": "2",
            "remove": ["grade"],
            "columns": {"mark": {"role": "question", "measure": "satisfaction", "version": 2}},
        }
    ],
}
FIRST = """id;done;grade;why;remark
a;2020-02-01;7;Slow;mail me at jan@voorbeeld.nl or 06-12345678
b;2020-02-02;8;Slow, very slow;Kerkstraat 12, 1234 AB Ons Dorp
c;2020-02-03;65;Rude, Slow, very slow;
d;;9;Slow;
e;2020-02-04;6;Something else;
f;2020-02-05;5;;
g;2020-02-06;9;Slow, Rude;
"""
SECOND = """id;done;mark;why;remark
h;2020-08-01;10;Rude;see www.voorbeeld.nl/x
"""


def write(place: Place, contract: dict[str, Any]) -> None:
    source = place.raw / "survey"
    source.mkdir(parents=True, exist_ok=True)
    (source / "contract.yml").write_text(yaml.safe_dump(contract, sort_keys=False))


def deliver(root: Path) -> Place:
    place = Place(root)
    place.state.mkdir(parents=True)
    (place.state / "key").write_text(KEY)
    (place.state / "key").chmod(0o600)
    write(place, CONTRACT)
    (place.raw / "survey" / "1.csv").write_text(FIRST)
    (place.raw / "survey" / "2.csv").write_text(SECOND)
    corrections = [
        {"match": {"id": "c"}, "set": {"grade": "6.5"}, "reason": "typed without its point"},
        {"match": {"id": "g", "grade": "9"}, "exclude": True, "reason": "filled in by the provider"},
    ]
    (place.raw / "survey" / "corrections.yml").write_text(yaml.safe_dump(corrections))
    return place


@pytest.fixture
def survey(tmp_path: Path) -> Place:
    """Delivered, not refreshed yet."""
    return deliver(tmp_path / "place")


@pytest.fixture(scope="session")
def refreshed(once: Once) -> Place:
    """The same with its release. Only to look at."""

    def make(folder: Path) -> None:
        deliver(folder).refresh_here()

    return Place(once("survey", make))


def test_one_survey_says_it_all(refreshed: Place) -> None:
    rows = refreshed.query(
        "SELECT file_name, rows_read, rows_accepted, rows_excluded, cells_answer, cells_quarantined, cells_blank "
        "FROM meta.delivery ORDER BY file_name"
    )
    # d is not completed, g is excluded by a correction; of e both options are unknown, of f both are blank
    assert rows == [("1.csv", 7, 5, 2, 11, 2, 2), ("2.csv", 1, 1, 0, 3, 0, 0)]
    reasons = refreshed.query("SELECT reason, n FROM read_parquet('{}') WHERE state = 'excluded' ORDER BY 1".format(
        next(f for f in (refreshed.warehouse / "parts" / "staged.survey").glob("*/receipt.parquet")
             if "correction" in str(refreshed.query(f"SELECT list(reason) FROM read_parquet('{f}')")))
    ))  # fmt: skip
    assert reasons == [("correction", 1), ("not_completed", 1)]

    # the correction counts: (7 + 8 + 6.5 + 6 + 5) / 5, and the renamed question in the second wave
    score = dict(
        refreshed.query(
            "SELECT period_code, round(value, 6) FROM mart.satisfaction WHERE sector_code = 'retail' "
            "AND channel_code = 'not_applicable' AND period_type = 'wave'"
        )
    )
    assert score == {"wave-one": 6.5, "wave-two": 10.0}
    versions = refreshed.query(
        "SELECT DISTINCT wave_code, question, question_version FROM core.fct_answer "
        "WHERE measure_code = 'satisfaction' ORDER BY 1"
    )
    assert versions == [("wave-one", "grade", 1), ("wave-two", "mark", 2)]


def test_an_option_inside_a_longer_one_is_not_counted(refreshed: Place) -> None:
    slow = refreshed.query(
        "SELECT row_number, value FROM core.fct_answer WHERE measure_code = 'complaint_slow_response' "
        "AND wave_code = 'wave-one' AND value IS NOT NULL ORDER BY 1"
    )
    assert slow == [(1, 1), (2, 0), (3, 0)]
    quarantined = refreshed.query("SELECT DISTINCT reason FROM meta.quarantine")
    assert quarantined == [("unknown_option",)]


def test_a_kept_text_is_masked_and_restricted(refreshed: Place) -> None:
    texts = [t for (t,) in refreshed.query("SELECT text FROM core.fct_text ORDER BY delivery_id, row_number")]
    assert sorted(texts) == sorted(["mail me at [e-mail] or [number]", "[address], [postcode] Ons Dorp", "see [link]"])
    tables = refreshed.query("SELECT table_name FROM information_schema.tables", "benchmark.duckdb")
    assert ("fct_text",) not in tables


def test_past_its_retention_a_source_keeps_its_marts_only(survey: Place) -> None:
    def files_of_the_source() -> list[Path]:
        return list((survey.current / "restricted" / "parquet").glob("*/survey/*.parquet"))

    survey.refresh_here()
    assert files_of_the_source()
    before = survey.query("SELECT * FROM mart.satisfaction ORDER BY ALL")
    write(survey, CONTRACT | {"retain_until": "2021-01-01"})
    survey.refresh_here()
    assert survey.query("SELECT * FROM mart.satisfaction ORDER BY ALL") == before
    of_one = survey.query(  # every table with a row per respondent, response or refused value
        "SELECT DISTINCT table_schema || '.' || table_name FROM information_schema.columns "
        "WHERE column_name IN ('response_id', 'respondent_id', 'row_number', 'shown', 'text') ORDER BY 1"
    )
    assert {("core.fct_answer",), ("core.fct_text",), ("cube.repeat_answer",), ("meta.quarantine",)} <= {*of_one}
    for (table,) in of_one:
        assert survey.query(f"SELECT count(*) FROM {table}") == [(0,)]
    assert not files_of_the_source()


def test_past_its_retention_no_byte_of_a_respondent_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the file for analysts, which is otherwise a copy of the one before, where rows that went leave bytes."""
    monkeypatch.setenv("MEETLAT_UNCOMPRESSED", "1")
    small = Small(tmp_path / "small", FEW)
    by = random.Random(17)
    people = {MESSAGES: small.rows(300, ["2011-01"], by), PANEL: small.rows(40, ["2011-01"], by)}
    for source, rows in people.items():
        small.deliver(source, "2000", rows)
    small.refresh()

    def held(source: str) -> int:
        """How many respondents of a source stand in the file."""
        prefix = privacy.prefix(KEY.encode(), "test", source, "respondent")
        bytes_ = (small.place.current / "restricted" / "warehouse.duckdb").read_bytes()
        return sum(privacy.hashed(prefix, id).encode() in bytes_ for id in {row["author"] for row in people[source]})

    before = held(MESSAGES)
    assert before > 100 and held(PANEL) > 20
    small.contracts[PANEL]["retain_until"] = "2021-01-01"
    small.agree(PANEL)
    small.refresh()
    assert held(PANEL) == 0
    assert held(MESSAGES) == before


def test_a_wave_that_nobody_declared_refuses_its_delivery(survey: Place) -> None:
    undated = json.loads(json.dumps(CONTRACT))
    undated["columns"]["done"] = {"role": "status", "keep": "any", "exclude": {"": "not_completed"}}
    write(survey, undated)
    (survey.raw / "survey" / "3.csv").write_text(SECOND.replace("h;", "i;"))
    (sentence,) = lines(survey.refresh(status=3))
    assert "3.csv" in sentence and "waves" in sentence


def test_a_source_that_suddenly_loses_rows_warns(survey: Place) -> None:
    many = "".join(f"r{i};2020-03-01;7;Slow;\n" for i in range(100))
    (survey.raw / "survey" / "1.csv").write_text(FIRST + many)
    assert "Warning: survey/2.csv" in survey.refresh().stdout


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"wave": CONTRACT["waves"]["1"]}, "exclude each other"),
        ({"columns": CONTRACT["columns"] | {"branch": {"role": "sector", "values": {"1": "retail"}}}}, "sector"),
        ({"columns": CONTRACT["columns"] | {"why": {"role": "options", "separator": ","}}}, "columns.why"),
        ({"corrections": []}, "corrections.yml"),
        ({"versions": [{"from": "2"}, {"from": "1"}]}, "order of `from`"),
        ({"colums": {}}, "colums: no such key"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (tmp_path / "contract.yml").write_text(yaml.safe_dump(CONTRACT | change))
    with pytest.raises(MeetlatError, match=said):
        contracts.load(tmp_path)


STATUS = {"role": "status", "keep": "any", "exclude": {"": "not_completed", "test": "test_row"}}
DONE = [STATUS, {"role": "date"}]
WHY: dict[str, Any] = CONTRACT["columns"]["why"]
CHOICES: dict[str, Any] = {
    "slow": {"role": "choice", "group": "reasons", "measure": "complaint_slow_response"},
    "rude": {"role": "choice", "group": "reasons", "measure": "complaint_poor_communication"},
}


def from_two(columns: dict[str, Any]) -> dict[str, Any]:
    """The contract with one question of each kind, which are otherwise from the second delivery on."""
    return CONTRACT | {"columns": CONTRACT["columns"] | CHOICES, "versions": [{"from": "2", "columns": columns}]}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"grade": {"scale": [1, 5]}}, "satisfaction with another `scale`"),
        ({"grade": {"values": {"good": 8}}}, "satisfaction with another `values`"),
        ({"grade": {"dont_know": ["99"]}}, "satisfaction with another `dont_know`"),
        ({"grade": {"refused": ["98"]}}, "satisfaction with another `refused`"),
        ({"why": {"base": "asked"}}, "another `base`"),
        ({"why": {"options": WHY["options"] | {"Late": None}}}, "another `options`"),
        ({"slow": {"unticked": ["0"]}}, "complaint_slow_response with another `unticked`"),
    ],
)
def test_another_meaning_needs_another_version(tmp_path: Path, columns: dict[str, Any], said: str) -> None:
    """A series would not break, and answers that do not mean the same would be compared."""
    before = CONTRACT["columns"] | CHOICES
    file = tmp_path / "contract.yml"
    changed = {name: before[name] | new for name, new in columns.items()}
    file.write_text(yaml.safe_dump(from_two(changed)))
    with pytest.raises(MeetlatError) as refused:
        contracts.load(tmp_path)
    assert "versions, from 2" in str(refused.value) and said in str(refused.value)
    file.write_text(yaml.safe_dump(from_two({name: new | {"version": 2} for name, new in changed.items()})))
    assert contracts.load(tmp_path).at("2").columns != contracts.load(tmp_path).at("1").columns


def test_rows_that_count_and_columns_of_a_group_are_part_of_the_meaning(tmp_path: Path) -> None:
    file = tmp_path / "contract.yml"
    file.write_text(yaml.safe_dump(from_two({"done": DONE})))
    with pytest.raises(MeetlatError, match=r"satisfaction, .* with another `status`"):
        contracts.load(tmp_path)
    every = {n: CONTRACT["columns"][n] | {"version": 2} for n in ("grade", "why")}
    every |= {n: choice | {"version": 2} for n, choice in CHOICES.items()}
    file.write_text(yaml.safe_dump(from_two({"done": DONE} | every)))
    contracts.load(tmp_path)
    file.write_text(yaml.safe_dump(from_two({"other": {"role": "choice", "group": "reasons"}})))
    with pytest.raises(MeetlatError, match="with another `group`"):
        contracts.load(tmp_path)


def test_a_column_is_renamed_twice(survey: Place) -> None:
    """The second time by a version that could not follow the first contract."""
    first = CONTRACT["versions"][0]
    renamed = first | {"remove": ["id", "grade"], "columns": first["columns"] | {"nr": {"role": "response"}}}
    again = {"number": {"role": "response"}, "final": {"role": "question", "measure": "satisfaction", "version": 2}}
    versions = [renamed, {"from": "3", "remove": ["nr", "mark"], "columns": again}]
    waves = CONTRACT["waves"] | {"3": {"code": "wave-three", "start": "2021-01-01", "end": "2021-06-30"}}
    write(survey, CONTRACT | {"versions": versions, "waves": waves})
    (survey.raw / "survey" / "corrections.yml").unlink()
    (survey.raw / "survey" / "2.csv").write_text(SECOND.replace("id;", "nr;"))
    (survey.raw / "survey" / "3.csv").write_text("number;done;final;why;remark\ni;2021-02-01;9;Rude;\n")
    survey.refresh()
    questions = (
        "SELECT DISTINCT wave_code, question FROM core.fct_answer WHERE measure_code = 'satisfaction' ORDER BY 1"
    )
    assert survey.query(questions) == [("wave-one", "grade"), ("wave-three", "final"), ("wave-two", "mark")]


def test_another_name_or_order_means_the_same(tmp_path: Path) -> None:
    """And a version that comes back means what it meant."""
    renamed = {"mark": CONTRACT["columns"]["grade"] | {"dont_know": ["98", "99"]}}
    first = CONTRACT["columns"] | {"grade": CONTRACT["columns"]["grade"] | {"dont_know": ["99", " 98"]}}
    other = {"mark": renamed["mark"] | {"dont_know": [], "version": 2}}
    versions = [
        {"from": "2", "remove": ["grade"], "columns": renamed}, {"from": "3", "columns": other},
        {"from": "4", "columns": renamed},
    ]  # fmt: skip
    (tmp_path / "contract.yml").write_text(yaml.safe_dump(CONTRACT | {"columns": first, "versions": versions}))
    contracts.load(tmp_path)
