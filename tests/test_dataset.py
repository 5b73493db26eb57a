"""What a dataset carries beside its data: true, complete, the same each time, and valid in the eyes of others."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import frictionless
import pyarrow.parquet as pq
import pytest
import python_calamine
import yaml
from conftest import Place, sha256

from pipelines.dataset import declared
from pipelines.errors import MeetlatError

FOLDERS = pytest.mark.parametrize("folder", [".", "public"])
TYPES = {"string": "string", "double": "number", "bool": "boolean", "int64": "integer", "int32": "integer"}
TYPES |= {"date32[day]": "date"}
OURS = """
name: monitor-of-all
title: {en: Monitor of all, nl: Monitor van alles}
publisher: {name: The Agency, url: "https://agency.example"}
contact: {name: Help desk, email: help@agency.example}
creators: [{name: The Research Desk}]
licence: {code: CC-BY-4.0, title: Attribution 4.0, url: "https://creativecommons.org/licenses/by/4.0/"}
page: https://agency.example/open/monitor
frequency: MONTHLY
"""


def document(place: Place, folder: str, name: str) -> Any:
    return json.loads((place.current / folder / name).read_text(encoding="utf-8"))


def handed_out(top: Path) -> set[str]:
    """The files of a dataset, as a person would list them."""
    beside = {"restricted", "participants", "public", "manifest.json", "publication.json", "SHA256SUMS"}
    files = (f.relative_to(top) for f in top.rglob("*") if f.is_file())
    return {str(f) for f in files if f.parts[0] not in beside}


# --- the sums ------------------------------------------------------------------------------------


@FOLDERS
def test_the_sums_are_right_and_of_every_file(every_built: Place, folder: str, tmp_path: Path) -> None:
    top = every_built.current / folder
    command = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    assert subprocess.run(command, cwd=top, capture_output=True, text=True).stdout == ""
    named = {line.split("  ", 1)[1] for line in (top / "SHA256SUMS").read_text().splitlines()}
    assert named == handed_out(top)
    assert {"benchmark.duckdb", "benchmark.xlsx", "codebook.html", "CHANGELOG.md"} <= named
    copied = shutil.copytree(top / "csv", tmp_path / "csv")
    shutil.copy(top / "SHA256SUMS", tmp_path)
    file = next(copied.iterdir())
    file.chmod(0o640)
    file.write_text("1\n")
    ran = subprocess.run([*command, "--ignore-missing"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1 and file.name in ran.stdout


@pytest.mark.long
def test_the_same_inputs_give_the_same_files(place: Place, built: Place) -> None:
    place.refresh(MEETLAT_THREADS="1")
    for folder in (".", "public"):
        names = {n for n in handed_out(built.current / folder) if n != "benchmark.duckdb"}
        assert len(names) > 30
        other = {n: sha256(place.current / folder / n) for n in names}
        assert other == {n: sha256(built.current / folder / n) for n in names}


# --- datapackage.json ----------------------------------------------------------------------------


@FOLDERS
def test_the_package_describes_the_files_as_they_are(every_built: Place, folder: str) -> None:
    top, package = every_built.current / folder, document(every_built, folder, "datapackage.json")
    assert package["$schema"].endswith("/2.0/datapackage.json")
    files = {f for f in handed_out(top) if f.split("/")[0] in ("parquet", "csv", "benchmark.xlsx", "benchmark.duckdb")}
    assert {r["path"] for r in package["resources"]} == files
    for resource in package["resources"]:
        file = top / resource["path"]
        if resource["format"] != "duckdb":
            assert resource["hash"] == f"sha256:{sha256(file)}"
        assert resource.get("bytes", file.stat().st_size) == file.stat().st_size
        assert ("bytes" in resource) == (resource["format"] in ("csv", "xlsx"))
        if resource["format"] == "parquet":
            schema = pq.read_schema(file)
            fields = [(f["name"], f["type"]) for f in resource["schema"]["fields"]]
            assert fields == [(f.name, TYPES[str(f.type)]) for f in schema]
            assert all(f["description"] for f in resource["schema"]["fields"])


@FOLDERS
def test_the_keys_and_categories_hold(every_built: Place, folder: str) -> None:
    top, package = every_built.current / folder, document(every_built, folder, "datapackage.json")
    tables = {r["name"]: r for r in package["resources"] if r["format"] == "parquet"}
    pointed = 0
    with duckdb.connect() as con:
        for name, resource in tables.items():
            con.execute(f"CREATE VIEW \"{name}\" AS FROM read_parquet('{top / resource['path']}')")
        for name, resource in tables.items():
            key = ", ".join(resource["schema"]["primaryKey"])
            twice = con.execute(f'SELECT {key} FROM "{name}" GROUP BY ALL HAVING count(*) > 1').fetchall()
            assert not twice, name
            for foreign in resource["schema"].get("foreignKeys", []):
                (column,), to = foreign["fields"], foreign["reference"]
                lost = con.execute(
                    f'SELECT DISTINCT {column} FROM "{name}" WHERE {column} IS NOT NULL AND {column} NOT IN '
                    f'(SELECT {to["fields"][0]} FROM "{to["resource"]}")'
                ).fetchall()
                assert not lost, (name, column, lost)
                pointed += 1
            for field in resource["schema"]["fields"]:
                if codes := [c["value"] for c in field.get("categories", [])]:
                    used = con.execute(f'SELECT DISTINCT {field["name"]} FROM "{name}"').fetchall()
                    assert {u for (u,) in used if u is not None} <= set(codes), (name, field["name"])
        sectors = con.execute('SELECT sector_code, label_en FROM "core.dim_sector"').fetchall()
    assert pointed > 50
    (field,) = [f for f in tables["mart.channel_rating"]["schema"]["fields"] if f["name"] == "sector_code"]
    assert {(c["value"], c["label"]) for c in field["categories"]} == set(sectors)


@FOLDERS
def test_frictionless_agrees(every_built: Place, folder: str, tmp_path: Path) -> None:
    """Of all resources the description, and of small tables the rows: of large ones it takes minutes.

    Rows of CSV only: it reads Parquet by way of floats, and calls a whole number beside a NULL none.
    """
    top = every_built.current / folder
    package = frictionless.Package(str(top / "datapackage.json"))
    assert len(package.resources) > 30
    small = re.compile(r"core\.(?!dim_period).*\.csv|mart\.(complaint_handling|published_comparison|driver)\.csv")
    for resource in list(package.resources):
        if not small.fullmatch(resource.name) and resource.name not in ("core.dim_period.csv", "workbook"):
            package.remove_resource(resource.name)
    report = package.validate()
    assert report.valid, [error.message for task in report.tasks for error in task.errors][:5]
    assert len(report.tasks) > 8

    for name in (*(f"csv/{f.name}" for f in (top / "csv").glob("*dim_sector.csv")), "datapackage.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(top / name, tmp_path / name)
    (file,) = (tmp_path / "csv").iterdir()
    file.chmod(0o640)
    file.write_text(file.read_text().replace("banks,", "government,", 1))
    broken = frictionless.Package(str(tmp_path / "datapackage.json"))
    for resource in list(broken.resources):
        if resource.name != "core.dim_sector.csv":
            broken.remove_resource(resource.name)
    found = {error.type for task in broken.validate().tasks for error in task.errors}
    assert {"hash-count", "primary-key"} <= found


# --- croissant.json, dcat.jsonld, CITATION.cff ---------------------------------------------------


@FOLDERS
def test_the_croissant_names_every_column_and_sum(every_built: Place, folder: str) -> None:
    """Whether it can be streamed is asked of mlcroissant in test_clients.py."""
    top, made = every_built.current / folder, document(every_built, folder, "croissant.json")
    files = {f["@id"]: f for f in made["distribution"]}
    assert set(files) == {f for f in handed_out(top) if f.startswith("parquet/")}
    assert all(f["sha256"] == sha256(top / f["contentUrl"]) for f in files.values())
    ids = {field["@id"] for records in made["recordSet"] for field in records["field"]}
    for records in made["recordSet"]:
        (file,) = {f["source"]["fileObject"]["@id"] for f in records["field"]}
        assert [f["source"]["extract"]["column"] for f in records["field"]] == pq.read_schema(top / file).names
        assert {key["@id"] for key in records["key"]} <= ids
        assert {f["references"]["field"]["@id"] for f in records["field"] if "references" in f} <= ids


@FOLDERS
def test_the_catalogue_has_the_core_of_dcat_ap(every_built: Place, folder: str) -> None:
    top, made = every_built.current / folder, document(every_built, folder, "dcat.jsonld")
    assert made["@type"] == "dcat:Dataset"
    assert (
        {t["@language"] for t in made["dct:title"]} == {t["@language"] for t in made["dct:description"]} == {"en", "nl"}
    )
    rights = made["dct:accessRights"]["@id"].rsplit("/", 1)[1]
    assert rights == ("PUBLIC" if folder == "public" else "NON_PUBLIC")
    assert made["dct:temporal"]["dcat:startDate"]["@value"] == "2011-01-01"
    assert "DCAT-AP-NL" in made["rdfs:comment"]["@value"]
    context = made["@context"]
    terms = set(re.findall(r'"([a-z]+):[A-Za-z]+":', json.dumps(made)))
    assert terms <= set(context)
    for each in made["dcat:distribution"]:
        assert {"dct:title", "dcat:accessURL", "dcat:mediaType"} <= set(each)
        file = top / each["dcat:downloadURL"]["@id"]
        assert file.is_file()
        if file.suffix != ".duckdb":
            assert each["spdx:checksum"]["spdx:checksumValue"]["@value"] == sha256(file)
            assert int(each["dcat:byteSize"]["@value"]) == file.stat().st_size


@FOLDERS
def test_the_same_release_everywhere(every_built: Place, folder: str) -> None:
    ((version, id, through),) = every_built.query("SELECT version, release_id, data_through FROM meta.release")
    assert version == f"{through.year}.{through.month}.{through.day}+{id}" and id == every_built.release_id()
    cited = yaml.safe_load((every_built.current / folder / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "dataset"
    assert cited["message"] and cited["title"] and cited["authors"][0]["name"]
    log = (every_built.current / folder / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {version}\n" in log and str(through) in log
    package, croissant = (document(every_built, folder, n) for n in ("datapackage.json", "croissant.json"))
    dcat = document(every_built, folder, "dcat.jsonld")
    assert {cited["version"], package["version"], croissant["version"], dcat["dcat:version"]} == {version}
    for said in (cited["abstract"], package["description"], croissant["description"], log, str(dcat)):
        assert "synthetic" in said


def test_nobodys_figures_get_a_licence_unasked(every_built: Place) -> None:
    """That raw folder declares nothing; the shipped file is about the sample."""
    assert declared.load(every_built.raw) == declared.Declared()
    assert "licenses" not in document(every_built, "public", "datapackage.json")
    assert "license" not in (every_built.current / "public" / "CITATION.cff").read_text()
    assert declared.load(Path(declared.__file__).parents[2] / "raw").licence


def test_what_is_declared_is_said(published: Place) -> None:
    before = published.release_id()
    (published.raw / "reference" / "dataset.yml").write_text(OURS)
    published.refresh()
    assert published.release_id() != before
    cited = yaml.safe_load((published.current / "public" / "CITATION.cff").read_text())
    assert cited["authors"] == [{"name": "The Research Desk"}] and cited["license"] == "CC-BY-4.0"
    package = document(published, "public", "datapackage.json")
    assert (package["name"], package["licenses"][0]["name"]) == ("monitor-of-all", "CC-BY-4.0")
    assert {r for c in package["contributors"] for r in c["roles"]} == {"publisher", "contact", "creator"}
    dcat = document(published, "public", "dcat.jsonld")
    assert dcat["dct:publisher"]["foaf:name"] == "The Agency"
    assert dcat["dcat:contactPoint"]["vcard:hasEmail"]["@id"] == "mailto:help@agency.example"
    assert {d["dcat:accessURL"]["@id"].rsplit("/", 2)[0] for d in dcat["dcat:distribution"]} > {
        "https://agency.example/open/monitor"
    }
    house = document(published, ".", "datapackage.json")  # not under the terms of what everybody may have
    assert "licenses" not in house and "homepage" not in house
    assert "Attribution 4.0" in (published.current / "public" / "codebook.html").read_text()


def test_what_cannot_be_declared_is_told_in_sentences(tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    file = tmp_path / "reference" / "dataset.yml"

    def told(text: str) -> str:
        file.write_text(text)
        with pytest.raises(MeetlatError) as told:
            declared.load(tmp_path)
        assert str(file) in str(told.value)
        return str(told.value)

    assert "licence.title: is missing" in told("licence: {code: MIT}")
    assert "licence.url: 'somewhere' is not a web address" in told("licence: {code: MIT, title: x, url: somewhere}")
    assert "contact: needs an email or a url" in told("contact: {name: x}")
    assert "licens: no such key" in told("licens: MIT")
    assert "frequency: Input should be 'DAILY'" in told("frequency: often")
    assert "title: must be keys" in told("title: x")
    assert "is no YAML" in told("title: [")


# --- the codebook --------------------------------------------------------------------------------


class Page(HTMLParser):
    """What the tests want to know of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.path: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.rows: list[tuple[str, str]] = []  # section, text of the first cell
        self.section, self.language, self.captions, self.tables, self.tags = "", "", 0, 0, set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids |= {given["id"] or ""} if "id" in given else set()
        self.links |= {given["href"] or ""} if "href" in given else set()
        assert "src" not in given
        if tag == "html":
            self.language = given["lang"] or ""
        elif tag == "section":
            self.section = given["id"] or ""
        elif tag == "th":
            assert given["scope"] in ("row", "col")
            if given["scope"] == "row":
                self.rows.append((self.section, ""))
        self.captions += tag == "caption"
        self.tables += tag == "table"
        if tag != "wbr":  # has no end
            self.path.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.path and self.path.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.path[-2:] == ["th", "code"]:
            self.rows[-1] = (self.section, self.rows[-1][1] + data)


@FOLDERS
def test_the_codebook_lists_every_column_and_code(every_built: Place, folder: str) -> None:
    top = every_built.current / folder
    with duckdb.connect(str(top / "benchmark.duckdb"), read_only=True) as con:
        columns = con.execute(
            "SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
        sql = "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal"
        views = {view for (view,) in con.execute(sql).fetchall()}
        codes = con.execute("SELECT channel_code, label_en, label_nl FROM core.dim_channel").fetchall()
    text, notes = ((top / f"codebook.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    page = Page(text)
    listed = {row for row in page.rows if not row[0].startswith("codes-")}
    # of a view only what it adds to its table
    every = {(table, column) for table, column, _ in columns}
    wanted = {(t, c) for t, c in every if t not in views or (t.replace(".v_", "."), c) not in every}
    assert listed == wanted and len(wanted) > 100
    for _, column, comment in columns:
        assert f"| `{column}` | " in notes and comment.replace("|", "\\|") in notes
    for code, en, nl in codes:
        assert ("codes-core.dim_channel", code) in page.rows
        assert f"| `{code}` | {en} | {nl} |" in notes
    # one page that asks nothing of anybody, with headers, captions and a language
    assert page.language == "en" and "codes-core.dim_sector" in page.ids
    assert page.tables == page.captions > 10
    assert {link for link in page.links if not link.startswith("#")} == set()
    assert {link[1:] for link in page.links} <= page.ids
    assert not page.tags & {"script", "link", "img", "iframe"} and "url(" not in text and "@import" not in text


@FOLDERS
def test_whom_a_monitor_stands_for_is_said(every_built: Place, folder: str) -> None:
    top = every_built.current / folder
    with duckdb.connect(str(top / "benchmark.duckdb"), read_only=True) as con:
        said = con.execute(
            "SELECT monitor_code, representativeness_en, representativeness_nl FROM core.dim_monitor "
            "WHERE representativeness_en IS NOT NULL"
        ).fetchall()
    ((monitor, en, nl),) = said
    assert monitor == "klantcontact_monitor" and "Not representative" in en and "Niet representatief" in nl
    for kind in ("html", "md"):
        text = (top / f"codebook.{kind}").read_text(encoding="utf-8")
        assert en in text and nl in text


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 reckons it. https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""

    def light(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(d * 2 for d in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_codebook_can_be_read_in_light_dark_and_print(every_built: Place) -> None:
    text = (every_built.current / "codebook.html").read_text(encoding="utf-8")
    themes = [
        dict(re.findall(r"--([a-z]+): (#[0-9a-f]+)", block)) for block in re.findall(r":root \{(.*?)\}", text, re.S)
    ]
    assert len(themes) == 3
    for theme in themes:
        for ink, ground in (
            ("ink", "ground"),
            ("soft", "ground"),
            ("soft", "tint"),
            ("link", "ground"),
            ("key", "keyground"),
        ):
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground)


# --- for those without any tool ------------------------------------------------------------------


@FOLDERS
def test_the_csv_holds_what_the_parquet_holds(every_built: Place, folder: str) -> None:
    top = every_built.current / folder
    files = sorted((top / "csv").iterdir())
    assert len(files) > 15
    with duckdb.connect() as con:
        for file in files:
            parquet = f"read_parquet('{top / 'parquet' / file.stem}.parquet')"
            types = {n: t for n, t, *_ in con.execute(f"DESCRIBE FROM {parquet}").fetchall()}
            csv = f"read_csv('{file}', header = true, auto_detect = false, quote = '\"', columns = {types})"
            for one, other in ((parquet, csv), (csv, parquet)):
                assert con.execute(f"SELECT count(*) FROM (FROM {one} EXCEPT ALL FROM {other})").fetchall() == [(0,)], (
                    file
                )
            assert not file.read_bytes().startswith(b"\xef\xbb\xbf")


@FOLDERS
def test_the_workbook_opens_and_holds_the_long_table(every_built: Place, folder: str) -> None:
    top = every_built.current / folder
    book = python_calamine.CalamineWorkbook.from_path(top / "benchmark.xlsx")
    assert book.sheet_names[:3] == ["about", "codebook", "codes"]
    about = dict(tuple(row) for row in book.get_sheet_by_name("about").to_python())
    assert about["release"] == every_built.release_id() and "synthetic" in about["description"]
    header, *rows = book.get_sheet_by_name("measure_score").to_python()
    with duckdb.connect(str(top / "benchmark.duckdb"), read_only=True) as con:
        names = [n for n, *_ in con.execute("DESCRIBE mart.measure_score").fetchall()]
        wanted = con.execute(
            "SELECT monitor_code, period_code, sector_code, channel_code, measure_code, audience_code, value, "
            "period_start FROM mart.measure_score WHERE period_type NOT IN ('month', 'r12')"
        ).fetchall()
    assert header == names
    places = [names.index(n) for n in ("monitor_code", "period_code", "sector_code", "channel_code", "measure_code")]
    places += [names.index(n) for n in ("audience_code", "value", "period_start")]
    found = [tuple(None if row[p] == "" else row[p] for p in places) for row in rows]

    def plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
        *key, value, day = row
        return (*key, None if value is None else round(value, 9), day)

    assert sorted(map(plain, found), key=str) == sorted(map(plain, wanted), key=str)
    codes = {tuple(row) for row in book.get_sheet_by_name("codes").to_python()}
    assert ("channel", "phone", "Telephone", "Telefoon") in codes
