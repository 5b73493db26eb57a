"""Who was erased is nowhere in the warehouse; who was not is found by the same search."""

import json
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import duckdb
import pytest
from conftest import CUSTOMERS, KEY, PROJECT, QUARTER, Once, Place, new_place, read_quarter, write_quarter
from small import FEW, MESSAGES, PANEL, Small

from pipelines import contracts, erasure, history, privacy, refresh
from pipelines.errors import MeetlatError

GONE, CONTROL = "ERASE-ME-4711", "KEEP-ME-4712"
GONE_TEXT, CONTROL_TEXT = "kornuit zeventien", "kornuit achttien"


def plant(raw: Path, quarter: int, number: int) -> None:
    """Give rows of a delivery to two persons: an ordinary answer, one that is refused, one that comes back."""
    rows = read_quarter(raw, quarter)
    heading = rows[0]
    respondent = heading.index(column(raw, "respondent"))
    accepted = [row for row in rows[1:] if len(row) == len(heading) and row[respondent]]
    for row, id in zip(accepted[number : number + 6], [GONE, CONTROL] * 3, strict=True):
        row[respondent] = id
    write_quarter(raw, quarter, rows)


def column(raw: Path, role: str) -> str:
    name = contracts.load(raw / CUSTOMERS).one(role)
    assert name is not None
    return name


def traces(place: Place, id: str) -> list[str]:
    """What tells of a person: the id, and the pseudonym that stands for it everywhere."""
    controller = contracts.load(place.raw / CUSTOMERS).controller
    prefix = privacy.prefix(KEY.encode(), controller, CUSTOMERS, "respondent")
    return [id, privacy.hashed(prefix, id)]


def tells(con: duckdb.DuckDBPyConnection, file: Path, traces: list[str]) -> bool:
    """Whether any value of any table in a file holds a trace, or its bytes do, unpacked if they are packed."""
    relations = []
    if file.suffix == ".parquet":
        relations = [f"read_parquet('{file}')"]
    elif file.suffix == ".duckdb":
        con.execute(f"ATTACH '{file}' AS looked_at (READ_ONLY)")
        tables = con.execute("SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'looked_at'")
        relations = [f"looked_at.{schema}.{table}" for schema, table in tables.fetchall()]
    hit = any(
        con.execute(f"SELECT 1 FROM {r} AS t WHERE {wanted} LIMIT 1").fetchall()
        for r in relations
        for wanted in [" OR ".join(f"contains(t::VARCHAR, '{trace}')" for trace in traces)]
    )
    if file.suffix == ".duckdb":
        con.execute("DETACH looked_at")
    contents = [file.read_bytes()]
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as packed:
            contents += [packed.read(name) for name in packed.namelist()]
    return hit or any(trace.encode() in content for trace in traces for content in contents)


def found(place: Place, id: str) -> set[str]:
    """The files under the warehouse, and in the state folder, that tell of a person; also by their names."""
    looked_for = traces(place, id)
    every = [f for top in (place.warehouse, place.state) for f in top.rglob("*") if f.is_file()]
    inodes = {(f.stat().st_ino, f.stat().st_size): f for f in every}  # one file may have many names
    with duckdb.connect() as con:
        hits = {f for f in inodes.values() if tells(con, f, looked_for)}
    hits |= {f for f in every if any(trace in str(f) for trace in looked_for)}
    return {str(f.relative_to(place.root)) for f in hits}


@pytest.fixture(scope="session")
def two_persons(once: Once, sample: Path) -> Place:
    """Two releases in which both persons stand: of the half year, and of the whole. Only to look at."""

    def make(folder: Path) -> None:
        place = new_place(folder, sample)
        for quarter in (1, 3):
            plant(place.raw, quarter, 40)
        late = [place.delivery(CUSTOMERS, QUARTER.format(q)) for q in (3, 4)]
        later = {file: file.read_bytes() for file in late}
        for file in late:
            file.unlink()
        place.refresh()
        for file, content in later.items():
            file.write_bytes(content)
        place.refresh()

    return Place(once("two_persons", make))


@pytest.fixture(scope="session")
def erased(once: Once, two_persons: Place) -> Place:
    """One of the two was erased. Only to look at."""

    def make(folder: Path) -> None:
        place = two_persons.copy(folder)
        ids = folder / "ids.txt"
        ids.write_text(f"{GONE}\n\nnobody has this id\n")
        (folder / "printed").write_text(place.meetlat("erase", CUSTOMERS, str(ids)).stdout)

    return Place(once("erased", make))


def test_the_erased_person_is_in_no_file_and_the_other_is_found(two_persons: Place, erased: Place) -> None:
    assert found(two_persons, GONE) and found(two_persons, CONTROL)
    assert len(list(erased.warehouse.glob("releases/*"))) == 3
    assert found(erased, GONE) == set()
    kept = {Path(file).name for file in found(erased, CONTROL)}
    assert {"answer.parquet", "warehouse.duckdb"} <= kept


def test_what_is_said(two_persons: Place, erased: Place) -> None:
    said = (erased.root / "printed").read_text()
    assert "2 named, 2 of them new" in said
    assert GONE not in said
    for quarter in (1, 3):  # the exports that still hold the person
        assert QUARTER.format(quarter) in said
    assert QUARTER.format(2) not in said
    assert "2 earlier releases" in said


def test_every_row_is_still_accounted_for(two_persons: Place, erased: Place) -> None:
    others = "rows_accepted + rows_refused + rows_excluded + rows_superseded"
    sql = f"SELECT sum(rows_read), sum(rows_erased), sum({others}) FROM meta.delivery"
    ((read, none, before),), ((again, gone, after),) = two_persons.query(sql), erased.query(sql)
    assert (none, gone) == (0, 6)
    assert read == again == before == after + gone


def test_nobody_goes_back_past_an_erasure(erased: Place) -> None:
    refused = erased.meetlat("rollback")
    assert refused.returncode == 1 and "erasure" in refused.stderr
    earlier = [r for r in erased.warehouse.glob("releases/*") if r.name != erased.release_id()]
    for release in earlier:
        assert {f.name for f in (release / "restricted").iterdir()} == {"published_figures.parquet"}
        with duckdb.connect(str(release / "benchmark.duckdb"), read_only=True) as con:  # groups stay, to compare with
            assert con.execute("SELECT count(*) > 0 FROM mart.measure_score").fetchall() == [(True,)]
    assert "after an erasure" in erased.meetlat("releases").stdout


@pytest.mark.long
def test_the_register_keeps_the_person_out_of_later_deliveries(erased: Place, tmp_path: Path) -> None:
    place = erased.copy(tmp_path / "place")
    plant(place.raw, 4, 60)
    place.meetlat("accept", CUSTOMERS)
    place.refresh()
    assert place.query("SELECT sum(rows_erased) FROM meta.delivery") == [(9,)]
    assert found(place, GONE) == set()


@pytest.mark.long
def test_an_erasure_equals_a_build_without_the_person(erased: Place, two_persons: Place, tmp_path: Path) -> None:
    """Byte for byte: what is published does not depend on what was there before."""
    fresh = new_place(tmp_path / "fresh", two_persons.raw)
    for name in ("erased.json", "erasure.key"):
        (fresh.state / name).write_bytes((erased.state / name).read_bytes())
        (fresh.state / name).chmod(0o600)
    fresh.refresh()
    marked = "parquet/meta.release.parquet", "parquet/meta.disclosure.parquet"  # figures that stand from before
    there, here = fresh.parquet(), erased.parquet()
    assert {k: v for k, v in there.items() if k not in marked} == {k: v for k, v in here.items() if k not in marked}


@pytest.mark.long
@pytest.mark.parametrize("failpoint", ["swap-after", "reissue-before"])
def test_an_erasure_that_is_killed_is_completed_by_the_next_refresh(
    two_persons: Place, tmp_path: Path, failpoint: str
) -> None:
    place = two_persons.copy(tmp_path / "place")
    ids = tmp_path / "ids.txt"
    ids.write_text(GONE)
    assert place.run("erase", CUSTOMERS, str(ids), MEETLAT_FAILPOINT=failpoint).returncode < 0
    assert "Nothing new" in place.refresh().stdout
    assert found(place, GONE) == set()


def test_nobody_named_and_no_such_source(published: Place, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("\n  \n")
    assert "Nobody is named" in published.meetlat("erase", CUSTOMERS, str(ids)).stderr
    assert "no source elsewhere" in published.meetlat("erase", "elsewhere", str(ids)).stderr
    ids.write_text("x")
    assert "no nonsense id" in published.meetlat("erase", CUSTOMERS, str(ids), "--by", "nonsense").stderr
    assert not (published.state / "erased.json").exists()


def test_the_register_tells_nothing_without_its_key(erased: Place) -> None:
    register = json.loads((erased.state / "erased.json").read_text())
    (hashes,) = register["erased"][CUSTOMERS].values()
    assert len(hashes) == 2 and not set(hashes) & set(traces(erased, GONE))
    assert (erased.state / "erasure.key").stat().st_mode & 0o077 == 0


def test_the_raw_bytes_of_files_that_are_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would show also what no reader does, such as blocks that are not used any more."""
    monkeypatch.setenv("MEETLAT_UNCOMPRESSED", "1")
    small = Small(tmp_path / "small", FEW)
    by = random.Random(4711)
    rows = small.rows(150, ["2011-01", "2011-02"], by)
    for number, row in enumerate(rows[:12]):
        row["author"] = GONE if number % 2 else CONTROL
    small.deliver(MESSAGES, "2000", rows[:100])
    small.deliver(PANEL, "2000", small.rows(60, ["2011-01"], by))
    small.refresh()
    small.deliver(MESSAGES, "3000", [*rows[100:], *rows[:4]])  # some come again, so that others are replaced
    small.refresh()

    def holding(id: str) -> set[str]:
        prefix = privacy.prefix(KEY.encode(), "test", MESSAGES, "respondent")
        traces = [id.encode(), privacy.hashed(prefix, id).encode()]
        files = [f for top in (small.here.warehouse, small.here.state) for f in top.rglob("*") if f.is_file()]
        return {f.name for f in files if any(trace in f.read_bytes() for trace in traces)}

    before = holding(CONTROL)
    assert {"answer.parquet", "response.parquet", "warehouse.duckdb"} <= before == holding(GONE)
    small.erase(MESSAGES, [GONE])
    small.refresh()
    assert len([*small.here.warehouse.glob("releases/*")]) == 3
    assert holding(GONE) == set()
    assert holding(CONTROL) == before


# --- what would let erased persons back in ----------------------------------------------------------


@pytest.fixture(scope="session")
def small_with_one_erased(once: Once) -> Path:
    """Two releases of a small project, the second without one of its respondents. Only to copy: see `of_small`."""

    def make(folder: Path) -> None:
        small = of_small(folder)
        rows = small.rows(120, ["2011-01", "2011-02"], random.Random(815))
        for row in rows[:4]:
            row["author"] = GONE
        small.deliver(MESSAGES, "2000", rows)
        small.deliver(PANEL, "2000", small.rows(60, ["2011-01"], random.Random(816)))
        small.refresh()
        small.erase(MESSAGES, [GONE])
        small.refresh()
        assert rows_erased(small) == 4

    return once("small_with_one_erased", make)


def of_small(folder: Path, like: Path | None = None) -> Small:
    """A small project in a folder; with what stands in another one, if one is given."""
    small = Small(folder, FEW)
    if like:
        shutil.rmtree(folder)
        shutil.copytree(like, folder, symlinks=True)
    return small


@pytest.fixture
def small(small_with_one_erased: Path, tmp_path: Path) -> Small:
    return of_small(tmp_path / "small", small_with_one_erased)


def rows_erased(small: Small) -> int:
    ((n,),) = small.place.query("SELECT sum(rows_erased)::BIGINT FROM meta.delivery")
    return int(n)


def refused(small: Small) -> str:
    with pytest.raises(MeetlatError) as caught:
        small.refresh()
    assert GONE not in str(caught.value)
    return str(caught.value)


def test_a_lost_key_is_not_replaced(small: Small) -> None:
    (small.here.state / "erasure.key").unlink()
    before = (small.here.state / "erased.json").read_bytes()
    ids = small.place.root / "ids.txt"
    ids.write_text("p9\n")
    said = small.place.meetlat("erase", MESSAGES, str(ids))
    assert said.returncode == 1 and "erasure.key is gone" in said.stderr and "backup" in said.stderr
    assert (small.here.state / "erased.json").read_bytes() == before
    assert not (small.here.state / "erasure.key").exists()
    assert "erasure.key is gone" in refused(small)


def test_a_register_that_cannot_be_read_is_said(small: Small) -> None:
    (small.here.state / "erased.json").write_text("{")
    assert "erased.json cannot be read" in refused(small)


def test_a_lost_register_is_said(small: Small) -> None:
    small.refresh()
    (small.here.state / "erased.json").unlink()
    assert "erased.json does not name those who were erased from messages" in refused(small)


def test_another_controller_lets_nobody_back_in(small: Small) -> None:
    small.contracts[MESSAGES]["controller"] = "another"
    small.agree(MESSAGES)
    small.refresh()
    assert rows_erased(small) == 4


def test_a_renamed_source_keeps_them_out(small: Small) -> None:
    served = small.place.release_id()
    (small.raw / MESSAGES).rename(small.raw / "renamed")
    assert MESSAGES in small.place.meetlat("accept", MESSAGES).stdout
    said = refused(small)
    assert "1 erased person of the source" in said and "--renamed" in said and "--gone" in said
    assert small.place.release_id() == served

    unknown = small.place.meetlat("erase", MESSAGES, "--renamed", "elsewhere")
    assert unknown.returncode == 1 and "no source elsewhere" in unknown.stderr
    both = small.place.meetlat("erase", MESSAGES, "--renamed", "renamed", "--gone")
    assert both.returncode == 2 and "--renamed NEW or --gone" in both.stderr
    there = small.place.meetlat("erase", PANEL, "--renamed", "renamed")
    assert there.returncode == 1 and "still there" in there.stderr
    said = small.place.meetlat("erase", MESSAGES, "--renamed", "renamed")
    assert said.returncode == 0, said.stderr
    small.refresh()
    assert small.place.release_id() != served
    assert rows_erased(small) == 4
    refused_now = small.place.meetlat("rollback", served)  # it names the erasure of a source that has no such name now
    assert refused_now.returncode == 1

    (small.raw / "renamed").rename(small.raw / MESSAGES)  # it was a mistake
    small.place.meetlat("accept", "renamed")
    assert "renamed" in refused(small)
    assert small.place.meetlat("erase", "renamed", "--renamed", MESSAGES).returncode == 0
    small.refresh()
    assert rows_erased(small) == 4
    assert (small.place.current / "restricted" / "warehouse.duckdb").exists()


def test_a_source_that_is_gone_for_good(small: Small) -> None:
    served = small.place.release_id()
    still = small.place.meetlat("erase", MESSAGES, "--gone")
    assert still.returncode == 1 and "nothing of it is gone" in still.stderr
    nobody = small.place.meetlat("erase", PANEL, "--gone")
    assert nobody.returncode == 1 and "names nobody" in nobody.stderr
    both = small.place.meetlat("erase", MESSAGES, "--gone", "--renamed", PANEL)
    assert both.returncode == 2 and "nothing else" in both.stderr

    (small.raw / MESSAGES).rename(small.place.root / "away")
    small.place.meetlat("accept", MESSAGES)
    assert "--gone" in refused(small)
    assert small.place.meetlat("erase", MESSAGES, "--gone").returncode == 0
    small.refresh()
    assert rows_erased(small) == 0
    assert small.place.meetlat("rollback", served).returncode == 0  # made without them, so it may be served
    assert small.place.meetlat("rollback", "--lift").returncode == 0

    (small.place.root / "away").rename(small.raw / MESSAGES)
    small.refresh()
    assert rows_erased(small) == 4


def test_an_id_that_the_contract_no_longer_maps(small: Small) -> None:
    served = small.place.release_id()
    author = small.contracts[MESSAGES]["columns"].pop("author")
    small.contracts[MESSAGES]["discard"].append("author")
    small.agree(MESSAGES)
    said = refused(small)
    assert "contract.yml does not map the respondent id" in said and "1 erased person" in said
    assert small.place.release_id() == served

    assert small.place.meetlat("erase", MESSAGES, "--gone").returncode == 0
    small.refresh()
    assert rows_erased(small) == 0
    small.contracts[MESSAGES]["columns"]["author"] = author
    small.contracts[MESSAGES]["discard"].remove("author")
    small.agree(MESSAGES)
    small.refresh()
    assert rows_erased(small) == 4


def test_an_id_that_one_version_of_the_contract_does_not_map(small: Small) -> None:
    small.contracts[MESSAGES]["versions"] = [{"from": "3000", "remove": ["author"], "discard": ["author"]}]
    small.agree(MESSAGES)
    assert "not in every version" in refused(small)


def test_nobody_goes_back_to_the_person_while_the_erasure_waits(small: Small) -> None:
    """The gate stops what an erasure would publish: until it is let pass, no release may be pinned that holds them."""
    served = small.place.release_id()
    small.contracts[MESSAGES]["title"] = "Another"  # a release more
    small.agree(MESSAGES)
    small.refresh()
    newest = small.place.release_id()
    small.contracts[MESSAGES]["gate"]["max_drop"] = 0.0
    small.agree(MESSAGES)
    small.erase(MESSAGES, ["p7", "p8", "p9"])
    assert "The gate stopped" in refused(small)
    for release in (served, newest):
        ran = small.place.meetlat("rollback", release)
        assert ran.returncode == 1 and "still holds people" in ran.stderr
    assert small.place.release_id() == newest and history.pinned(small.here) is None
    assert small.place.meetlat("accept", MESSAGES).returncode == 0
    small.refresh()
    ran = small.place.meetlat("rollback", served)
    assert ran.returncode == 1 and "has lost its restricted tables" in ran.stderr


def test_the_release_that_is_served_is_never_taken_apart(small: Small) -> None:
    """It can only be one that was pinned before a register was brought back from a backup that names more people."""
    served = small.place.release_id()
    small.contracts[MESSAGES]["title"] = "Another"
    small.agree(MESSAGES)
    small.refresh()
    assert small.place.meetlat("rollback", served).returncode == 0
    small.erase(MESSAGES, ["p9"])
    small.refresh()
    assert small.place.release_id() == served
    assert (small.place.current / "restricted" / "warehouse.duckdb").exists()
    (sentence,) = erasure.still_served(small.here)
    assert served in sentence and "--lift" in sentence
    outcome = refresh.run(small.here, lambda _: None)
    assert sentence in outcome.trouble and outcome.status == refresh.WITHOUT_SOME
    assert small.place.meetlat("rollback", "--lift").returncode == 0
    outcome = refresh.run(small.here, lambda _: None)
    assert outcome.reissued == [served] and outcome.status == refresh.WELL


def test_a_byte_order_mark_is_no_part_of_the_first_id(small: Small) -> None:
    """The ids are entered before a release is made of them, which here is refused, as it is of no interest."""
    environment = small.place.environment | {"MEETLAT_KEY": "another key" * 4}

    def erase(ids: bytes, *given: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "pipelines.cli", "erase", MESSAGES, *given]
        ran = subprocess.run(command, env=environment, cwd=PROJECT, input=ids, capture_output=True, timeout=300)
        return ran.returncode, ran.stderr.decode()

    ids = b"\xef\xbb\xbf" + GONE.encode() + b"\r\n"
    before = (small.here.state / "erased.json").read_bytes()
    file = small.place.root / "ids.txt"
    file.write_bytes(ids)
    for given in ((), ("-",), (str(file),)):
        status, said = erase(ids, *given)
        assert status == 1 and "are in the register" in said
        assert (small.here.state / "erased.json").read_bytes() == before  # the person was in it already
    status, said = erase(b"\xff\xfe1\x00")
    assert status == 1 and "Standard input cannot be read as text" in said
