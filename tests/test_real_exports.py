"""Real exports, staged with a contract alone, give the answers that were computed without this project.

Where they come from stands in exports/ATTRIBUTION.md.
"""

import gzip
import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import duckdb
import pytest
import yaml
from conftest import Once, Place, new_place

from pipelines import contracts, engine, settings
from pipelines.errors import DeliveryRefused
from pipelines.readers import open_text

EXPORTS = Path(__file__).parent / "exports"
ATTRIBUTION, DEFINITION = EXPORTS / "ATTRIBUTION.md", EXPORTS / "definitions" / "s04_surveymonkey_api_details.json"
Q01, Q06, S03, S05 = (
    "q01_qualtrics_german_labels",
    "q06_qualtrics_numeric",
    "s03_surveymonkey_condensed",
    "s05_surveymonkey_api",
)
L01, T01, H01, M01 = "l01_limesurvey_fulltext", "t01_typeform_two_versions", "h01_decimal_comma", "m01_delimited_sets"
P06, P08, P09, D01 = "p06_spss_sets", "p08_spss_user_missing", "p09_spss_umlauts", "d01_stata_tagged_missing"
SOURCES = (Q01, Q06, S03, S05, L01, T01, H01, M01, P06, P08, P09, D01)
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


def raw_folder(folder: Path, *sources: str) -> Path:
    """A raw folder with these exports and the code lists that they need."""
    shutil.copytree(EXPORTS / "reference", folder / "reference")
    for source in sources:
        shutil.copytree(EXPORTS / source, folder / source)
    return folder


@pytest.fixture(scope="session")
def release(once: Once) -> Place:
    """A place with the release of all of them, and what the refresh said in said.txt. Only to look at."""

    def make(folder: Path) -> None:
        place = new_place(folder, raw_folder(folder.with_name("real_raw"), *SOURCES))
        ran = place.refresh()
        (folder / "said.txt").write_text(ran.stdout + ran.stderr, encoding="utf-8")

    return Place(once("real_exports", make))


# --- what is asked of a release -----------------------------------------------------------------


def counts(place: Place, source: str, measure: str) -> dict[int | str, int]:
    """How often each value, or each reason for a missing one, stands in the cube."""
    rows = place.query(
        "SELECT coalesce(missing_reason, value::VARCHAR), sum(n)::BIGINT FROM cube.score_counts "
        f"WHERE source_code = '{source}' AND measure_code = '{measure}' GROUP BY ALL"
    )
    return {int(key) if key.isdigit() else key: n for key, n in rows}


def mean(place: Place, source: str, measure: str) -> tuple[float, int]:
    """The published mean to four decimals, or the share in percent, and its base."""
    (found,) = place.query(
        f"SELECT DISTINCT round(value, 4), n_answers FROM mart.measure_score WHERE monitor_code = '{source}' "
        f"AND measure_code = '{measure}' AND sector_code = 'all' AND channel_code = 'all' AND period_type = 'year'",
        "benchmark.duckdb",
    )
    return found


def rows(place: Place, source: str) -> tuple[int, ...]:
    """Rows read, accepted, excluded, refused and superseded, and cells quarantined."""
    (found,) = place.query(
        "SELECT rows_read, rows_accepted, rows_excluded, rows_refused, rows_superseded, cells_quarantined "
        f"FROM meta.delivery WHERE source_code = '{source}' AND status = 'accepted'",
        "benchmark.duckdb",
    )
    return found


def chosen(place: Place, prefix: str) -> tuple[dict[str, int], set[int]]:
    """Of the options whose measures begin so: how often each was chosen, and the base."""
    found = place.query(
        "SELECT measure_code, sum(n) FILTER (value = 1)::BIGINT, sum(n) FILTER (value IS NOT NULL)::BIGINT "
        f"FROM cube.score_counts WHERE starts_with(measure_code, '{prefix}') GROUP BY ALL"
    )
    return {measure.removeprefix(prefix): n for measure, n, _ in found}, {base for _, _, base in found}


# --- the files ----------------------------------------------------------------------------------


def unpacked(file: Path) -> bytes:
    data = file.read_bytes()
    return gzip.decompress(data) if file.suffix == ".gz" else data


def test_every_file_is_attributed_and_as_it_was() -> None:
    """The table names each file with the digest of what is in it."""
    lines = [line.split("|") for line in ATTRIBUTION.read_text(encoding="utf-8").splitlines() if "|" in line]
    said = {cells[1].strip(" `"): cells[-2].strip(" `") for cells in lines}
    files = [file for file in EXPORTS.glob("*/*") if re.match(r"[a-z]\d\d_", file.name)]
    assert len(files) == len(SOURCES) + 1
    for file in files:
        assert said[file.relative_to(EXPORTS).as_posix()] == hashlib.sha256(unpacked(file)).hexdigest(), file
        if file.suffix == ".gz":
            assert file.read_bytes()[4:8] == bytes(4), "no time stands in the packing"


def test_a_source_is_a_contract_and_a_file() -> None:
    folders = {contract.parent.name for contract in EXPORTS.glob("*/contract.yml")}
    assert folders == set(SOURCES)
    for source in SOURCES:
        assert len(list((EXPORTS / source).iterdir())) == 2, source


# --- the right answers --------------------------------------------------------------------------


def test_qualtrics_with_labels_in_another_language(release: Place) -> None:
    assert rows(release, Q01) == (1, 1, 0, 0, 0, 0)
    assert counts(release, Q01, "choice_code") == {2: 1}
    assert release.query(f"SELECT DISTINCT answered_on::VARCHAR FROM core.fct_answer WHERE source_code = '{Q01}'") == [
        ("2017-07-18",)
    ]


def test_qualtrics_with_codes_and_cells_of_several_lines(release: Place) -> None:
    assert rows(release, Q06) == (156, 134, 22, 0, 0, 0)
    assert mean(release, Q06, "age") == (25.4701, 134)
    assert counts(release, Q06, "polarization") == {1: 10, 2: 28, 3: 38, 4: 42, 5: 16}
    assert mean(release, Q06, "polarization") == (3.194, 134)
    seconds = sorted(Counter(counts(release, Q06, "duration")).elements())
    assert (seconds[66] + seconds[67]) / 2 == 1643
    first = f"SELECT min(answered_on)::VARCHAR FROM core.fct_answer WHERE source_code = '{Q06}'"
    assert release.query(first) == [("2021-07-23",)]


def test_surveymonkey_condensed(release: Place) -> None:
    assert rows(release, S03) == (1129, 1129, 0, 0, 0, 0)
    assert counts(release, S03, "care_about_comma") == {3: 414, 4: 291, 2: 268, 1: 126, "blank": 30}
    ids = f"SELECT count(DISTINCT response_id) FROM core.fct_answer WHERE source_code = '{S03}'"
    assert release.query(ids) == [(1129,)]


def test_surveymonkey_api(release: Place) -> None:
    assert rows(release, S05) == (2, 2, 0, 0, 0, 0)
    assert counts(release, S05, "duration") == {10: 1, 12: 1}
    assert counts(release, S05, "pets") == {3: 2}
    days = f"SELECT DISTINCT answered_on::VARCHAR FROM core.fct_answer WHERE source_code = '{S05}'"
    assert release.query(days) == [("2022-03-05",)]


def test_the_choices_of_the_contract_are_those_of_the_definition() -> None:
    (page,) = json.loads(DEFINITION.read_text(encoding="utf-8"))["pages"]
    question, _ = page["questions"]
    texts = {choice["id"]: choice["text"] for choice in question["answers"]["choices"]}
    contract = yaml.safe_load((EXPORTS / S05 / "contract.yml").read_text(encoding="utf-8"))
    values = contract["columns"][question["id"]]["values"]
    assert {id: int(text.removesuffix(" or more")) for id, text in texts.items()} == values


def test_limesurvey_with_questions_as_headings(release: Place) -> None:
    assert rows(release, L01) == (70, 70, 0, 0, 0, 2)
    assert counts(release, L01, "last_page") == {24: 69, 23: 1}
    assert mean(release, L01, "experience") == (9.1019, 54)
    assert counts(release, L01, "experience")["blank"] == 14
    refused = f"SELECT reason, shown FROM meta.quarantine WHERE source_code = '{L01}'"
    assert sorted(release.query(refused)) == [("outside_scale", "115155.0"), ("outside_scale", "645.0")]


def test_typeform_of_two_versions(release: Place) -> None:
    assert rows(release, T01) == (60, 60, 0, 0, 0, 0)
    assert counts(release, T01, "uses_python") == {1: 56, 0: 4}
    assert counts(release, T01, "region") == {1: 30, 2: 18, 3: 9, 4: 1, 5: 1, "blank": 1}
    assert counts(release, T01, "version_used") == {3: 48, 2: 6, 4: 3, 1: 1, "blank": 2}
    assert counts(release, T01, "priorities_confirmed") == {1: 60}, "TRUE and 1 are one answer"


def test_a_literal_none_is_a_text(release: Place) -> None:
    found = release.query(
        "SELECT text, count(*) FROM core.fct_text WHERE lower(text) IN ('none', 'na', 'n/a') GROUP BY 1"
    )
    assert dict(found) == {"None": 8, "NA": 4, "N/A": 2, "n/a": 1, "none": 1}


def test_semicolons_and_decimal_commas(release: Place) -> None:
    assert rows(release, H01) == (237, 237, 0, 0, 0, 0)
    assert mean(release, H01, "height") == (172.3809, 209)
    assert mean(release, H01, "pulse") == (74.151, 192)
    assert mean(release, H01, "age") == (20.3745, 237)
    assert mean(release, H01, "hand_span") == (18.6691, 236)
    assert counts(release, H01, "exercise") == {1: 115, 2: 98, 3: 24}, "None is an answer"
    assert counts(release, H01, "smoking") == {1: 189, 2: 19, 3: 17, 4: 11, "dont_know": 1}


def test_delimited_sets(release: Place) -> None:
    assert rows(release, M01) == (8255, 8255, 0, 0, 0, 0)
    assert counts(release, M01, "is_male") == {1: 3952, 0: 4303}
    sports = {"sky_diving": 1127, "base_jumping": 1366, "mountain_biking": 1721, "kite_boarding": 649}
    sports |= {"snowboarding": 458, "parachuting": 428, "other": 492, "none": 53}
    assert chosen(release, "sport_") == (sports, {2999})
    meals = {"dinner": 1235, "mid_afternoon": 970, "breakfast": 949, "lunch": 595, "none": 283, "mid_morning": 216}
    assert chosen(release, "skips_") == (meals | {"varies": 49}, {2367})


def test_the_delimiter_of_a_set_is_not_that_of_the_columns(tmp_path: Path) -> None:
    source = raw_folder(tmp_path / "raw", M01) / M01
    contract, (export,) = source / "contract.yml", source.glob("m01_*")
    assert contracts.load(source).format.delimiter == ","  # type: ignore[union-attr]
    contract.write_text(contract.read_text(encoding="utf-8").replace('delimiter: ","', 'delimiter: ";"'), "utf-8")
    with (
        engine.connect(settings.load(), tmp_path, alone=True) as con,
        pytest.raises(DeliveryRefused, match="is the delimiter really ';'"),
        open_text(con, export, contracts.load(source)),
    ):
        pass


def test_spss_sets(release: Place) -> None:
    assert rows(release, P06) == (6, 6, 0, 0, 0, 0)
    assert chosen(release, "response_") == ({"1": 3, "2": 4, "3": None}, {5}), "who ticked nothing is not in the base"
    assert counts(release, P06, "category") == {1: 4, 2: 8, 3: 3, 4: 3}
    assert counts(release, P06, "colour") == {1: 1, 2: 1, 3: 1, 4: 1, 9: 1, "refused": 1}
    assert counts(release, P06, "amount") == {123400: 1, 314159: 1, "blank": 2, "dont_know": 1}


def test_spss_user_missing(release: Place) -> None:
    assert rows(release, P08) == (2, 2, 0, 0, 0, 0)
    assert counts(release, P08, "choice_code") == {1: 1, "dont_know": 1}


def test_spss_labels_with_umlauts(release: Place) -> None:
    assert rows(release, P09) == (4, 4, 0, 0, 0, 0)
    assert counts(release, P09, "umlaut") == {1: 2, 2: 1, 3: 1}


def test_stata_keeps_six_kinds_of_missing_apart(release: Place) -> None:
    assert rows(release, D01) == (1, 1, 0, 0, 0, 3)
    tags = f"SELECT question, value FROM core.fct_answer WHERE source_code = '{D01}' AND measure_code = 'missing_tag'"
    assert dict(release.query(tags)) == {f"var{n}": n for n in range(1, 7)}
    columns = "cells_answer, cells_blank, cells_dont_know, cells_refused, cells_not_asked, cells_quarantined"
    receipt = release.query(f"SELECT {columns} FROM meta.delivery WHERE source_code = '{D01}'", "benchmark.duckdb")
    assert receipt == [(6 + 1, 2, 1, 1, 1, 3)]
    assert counts(release, D01, "tagged") == {1: 1, "blank": 2, "dont_know": 1, "refused": 1, "quarantined": 3}
    refused = f"SELECT question, shown FROM meta.quarantine WHERE source_code = '{D01}'"
    assert dict(release.query(refused)) == {"var4": ".x", "var5": ".y", "var6": ".z"}, "undeclared, so never counted"


# --- what must not come through -----------------------------------------------------------------


def secrets() -> set[str]:
    """Every e-mail address and every link to a response that stands in the exports."""
    found: set[str] = {"example.invalid/edit", "example.invalid/analyze"}
    for path in EXPORTS.glob("*/*"):
        if path.name.endswith((".csv", ".csv.gz")):
            found |= set(ADDRESS.findall(unpacked(path).decode("utf-8")))
    assert len(found) >= 158, "the addresses are not found where they stand"
    return found


def test_no_address_reaches_a_table_or_the_screen(release: Place) -> None:
    found, tables = [], release.parquet()
    with duckdb.connect() as con:
        for name in tables:
            found += con.execute(
                "SELECT line FROM (SELECT to_json(t)::VARCHAR AS line FROM read_parquet($file) AS t) "
                "WHERE regexp_matches(line, '@|nomail|example.invalid')",
                {"file": str(release.current / name)},
            ).fetchall()
    assert any("fct_text" in name for name in tables), "the texts that were kept are looked at too"
    text = "\n".join([*(line for (line,) in found), (release.root / "said.txt").read_text(encoding="utf-8")])
    assert "\nRelease " in text, "the refresh said what it did"
    assert {secret for secret in secrets() if secret in text} == set()
    assert "nomail" not in text and not ADDRESS.findall(text)
