"""What the end-to-end tests share: a place of one's own, the real command, and samples made once."""

import csv
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
from filelock import FileLock

from pipelines import plan, refresh, release, samples, settings
from pipelines.samples import klantcontact

PROJECT = Path(__file__).resolve().parents[1]
RATINGS = 4000  # the smallest sample: every rule and every published figure, in half a second
KEY = "0f" * 32  # one key everywhere, so that places can be compared byte by byte
CUSTOMERS, EMPLOYEES, SOCIAL = "klantcontact_customers", "klantcontact_employees", "klantcontact_social"
QUARTER = "klantcontact_klanten_2011-Q{}.csv.gz"
WORKBOOK = "klantcontact_medewerkers_2011.xlsx"
MESSAGES = "klantcontact_berichten_2011.jsonl.gz"

Ran = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Place:
    """The raw folder, warehouse and state of one test, and the command that works on them."""

    root: Path

    @property
    def raw(self) -> Path:
        return self.root / "raw"

    @property
    def warehouse(self) -> Path:
        return self.root / "warehouse"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def current(self) -> Path:
        return self.warehouse / "current"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the test, with this place and no other."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MEETLAT_", "DAGSTER_"))}
        return clean | {
            "MEETLAT_RAW": str(self.raw),
            "MEETLAT_WAREHOUSE": str(self.warehouse),
            "MEETLAT_STATE": str(self.state),
        }

    def run(self, *args: str, **env: str) -> Ran:
        """Run the command as a user would."""
        command = [sys.executable, "-m", "pipelines.cli", *args]
        return subprocess.run(
            command, env=self.environment | env, cwd=PROJECT, capture_output=True, text=True, timeout=300
        )

    def meetlat(self, *args: str, **env: str) -> Ran:
        """Run the command; whatever happens, nobody may meet a traceback."""
        ran = self.run(*args, **env)
        assert "Traceback" not in ran.stdout + ran.stderr, ran.stderr
        return ran

    def refresh(self, *args: str, status: int = 0, **env: str) -> Ran:
        ran = self.meetlat("refresh", *args, **env)
        assert ran.returncode == status, f"exit {ran.returncode}, not {status}\n{ran.stderr}\n{ran.stdout}"
        return ran

    def refresh_here(self, threads: int = 2) -> None:
        """Refresh in the process of the test, where it is the figures that are looked at and not the command."""
        here = settings.Settings(
            raw=self.raw, warehouse=self.warehouse, state=self.state, sql=PROJECT / "sql", threads=threads, memory=None,
            notify=None, keep=5, keep_days=14,
        )  # fmt: skip
        build = refresh_here(here)
        assert not refresh.troubles(build), refresh.troubles(build)

    def query(self, sql: str, file: str = "restricted/warehouse.duckdb") -> list[tuple[Any, ...]]:
        """Ask a file of the current release, as a BI tool would."""
        with duckdb.connect(str(self.current / file), read_only=True) as con:
            return con.execute(sql).fetchall()

    def mart(self, name: str, where: str = "true") -> list[dict[str, Any]]:
        """Rows of a mart, by column."""
        with duckdb.connect(str(self.current / "benchmark.duckdb"), read_only=True) as con:
            result = con.execute(f"SELECT * FROM mart.{name} WHERE {where} ORDER BY ALL")
            columns = [column[0] for column in result.description]
            return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]

    def delivery(self, source: str, name: str) -> Path:
        return self.raw / source / name

    def release_id(self) -> str:
        return self.current.resolve().name

    def parquet(self) -> dict[str, str]:
        """The digest of every Parquet file of the current release that its inputs alone decide."""
        tops = (self.current / "parquet", self.current / "restricted" / "parquet")
        # what changed depends on the release that was served before
        files = [f for top in tops for f in top.rglob("*.parquet") if not f.name.startswith("meta.change")]
        assert files
        return {str(f.relative_to(self.current)): sha256(f) for f in sorted(files)}

    def copy(self, to: Path) -> "Place":
        shutil.copytree(self.root, to, symlinks=True)
        return Place(to)


def refresh_here(here: settings.Settings, full: bool = False) -> plan.Build:
    """What `meetlat refresh` does, in the process of the test and without the books that Dagster keeps of it."""
    with refresh.locked(here):
        refresh.prepare(here)
        inputs = plan.look(here, full=full)
        build = plan.Build(inputs, full=full)
        if full or plan.manifest(here).get("inputs_id") != inputs.release_id:
            build.published = release.publish(build)
        refresh.tidy(here)
    return build


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lines(ran: Ran) -> list[str]:
    """The sentences on standard error."""
    return [line for line in ran.stderr.splitlines() if line.strip()]


def new_place(root: Path, sample: Path) -> Place:
    """A place with these exports and contracts, and nothing in its warehouse yet."""
    place = Place(root)
    shutil.copytree(sample, place.raw)
    place.state.mkdir(mode=0o700)
    (place.state / "key").write_text(KEY)
    (place.state / "key").chmod(0o600)
    return place


def add_contracts(raw: Path) -> None:
    for contract in (PROJECT / "raw").glob("*/contract.yml"):
        if (raw / contract.parent.name).is_dir():
            shutil.copyfile(contract, raw / contract.parent.name / "contract.yml")


def same_parts(place: Place, built: Place) -> None:
    """Give a place without a release every part that another place made."""
    shutil.copytree(built.warehouse / "parts", place.warehouse / "parts")


def read_quarter(raw: Path, quarter: int) -> list[list[str]]:
    """The heading and rows of a delivery of the customers, as they stand in it."""
    text = gzip.decompress((raw / CUSTOMERS / QUARTER.format(quarter)).read_bytes()).decode("windows-1252")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))


def as_csv(rows: list[list[str]], delimiter: str = ";", encoding: str = "windows-1252") -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return gzip.compress(text.getvalue().encode(encoding), mtime=0)


def write_quarter(raw: Path, quarter: int, rows: list[list[str]]) -> None:
    (raw / CUSTOMERS / QUARTER.format(quarter)).write_bytes(as_csv(rows))


Cells = Counter[tuple[Any, ...]]


def ledger(place: Place, name: str) -> list[dict[str, str]]:
    """The rows of a file of the ledger."""
    path = place.raw / ".ledger" / name
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return list(csv.DictReader(text.decode().splitlines()))


def booked(place: Place, *, by_delivery: bool) -> Cells:
    """The cells of the ledger. What was not asked is no answer: the receipts alone count it."""
    cells: Cells = Counter()
    for row in ledger(place, "cells.csv.gz"):
        if row["missing_reason"] == "not_asked":
            continue
        key = (
            row["source_code"], row["delivery"] if by_delivery else None, row["time_cell"],
            row["organisation_code"] or None, row["audience_code"], row["channel_code"], row["measure_code"],
            int(row["value"]) if row["value"] else None, row["missing_reason"] or None,
        )  # fmt: skip
        cells[key] += int(row["n"])
    return cells


def answers_by_delivery(place: Place) -> Cells:
    """The same cells, counted from the answers of a release."""
    rows = place.query(
        "SELECT a.source_code, d.file_name, strftime(a.answered_on, '%Y-%m'), a.organisation_code, "
        "a.audience_code, a.channel_code, a.measure_code, a.value, a.missing_reason, count(*) "
        "FROM core.fct_answer AS a JOIN meta.delivery AS d USING (source_code, delivery_id) GROUP BY ALL"
    )
    return Counter({tuple(key): n for *key, n in rows})


def assert_same(found: Cells, true: Cells) -> None:
    missing, extra = true - found, found - true
    assert not missing and not extra, f"missing {missing.most_common(5)}, too many {extra.most_common(5)}"
    assert found == true


def assert_receipts(place: Place) -> None:
    """The receipts of a release are those of the ledger."""
    receipts = ledger(place, "receipts.csv")
    true = [tuple(int(v) if v.isdigit() else v for v in receipt.values()) for receipt in receipts]
    columns = ", ".join(receipts[0]).replace("delivery,", "file_name,")
    assert sorted(place.query(f"SELECT {columns} FROM meta.delivery", "benchmark.duckdb")) == sorted(true)


Once = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Make a folder once for all workers of the session; nobody may change what is in it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def make_once(name: str, make: Callable[[Path], None]) -> Path:
        folder = base / name
        with FileLock(base / f"{name}.lock"):
            made = base / f"{name}.made"
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                made.write_text(make.__module__)
            assert made.read_text() == make.__module__, f"{made.read_text()} has another folder named {name}"
        return folder

    return make_once


@pytest.fixture(scope="session")
def sample(once: Once) -> Path:
    """A raw folder with 4,000 ratings, the contracts and the ledger."""

    def make(folder: Path) -> None:
        klantcontact.write(folder, RATINGS)
        add_contracts(folder)
        # few people are behind each quarter of so small a sample: to hide so much takes long, and is tested apart
        (folder / "reference").mkdir()
        (folder / "reference" / "disclosure.yml").write_text("periods: [year, wave]\n")

    return once("sample", make)


@pytest.fixture(scope="session")
def built(once: Once, sample: Path) -> Place:
    """A place with the release of that sample, made by two threads. Only to look at: copy it to change it."""

    def make(folder: Path) -> None:
        place = new_place(folder, sample)
        place.refresh(MEETLAT_THREADS="2")

    return Place(once("built", make))


@pytest.fixture(scope="session")
def every_sample(once: Once) -> Path:
    """A raw folder with the exports of all five monitors, 4,000 ratings in the first, the contracts and the ledger."""

    def make(folder: Path) -> None:
        samples.write_all(folder, RATINGS)
        add_contracts(folder)

    return once("every_sample", make)


@pytest.fixture(scope="session")
def every_built(once: Once, every_sample: Path) -> Place:
    """A place with the release of all five monitors. Only to look at: copy it to change it."""

    def make(folder: Path) -> None:
        new_place(folder, every_sample).refresh()

    return Place(once("every_built", make))


@pytest.fixture(scope="session")
def default_sample(once: Once) -> Path:
    """What the generator writes at the published size, with its ledger."""
    return once("default_sample", samples.write_all)


@pytest.fixture(scope="session")
def shipped(once: Once, default_sample: Path) -> Place:
    """A place with the release of the exports that the project ships, and the ledger beside them."""

    def make(folder: Path) -> None:
        place = new_place(folder, PROJECT / "raw")
        shutil.rmtree(place.raw / ".ledger", ignore_errors=True)
        shutil.copytree(default_sample / ".ledger", place.raw / ".ledger")
        place.refresh_here()

    return Place(once("shipped", make))


@pytest.fixture(scope="session")
def half_year(once: Once, sample: Path) -> Place:
    """The same with two quarters only; the other two have yet to arrive. Only to look at."""

    def make(folder: Path) -> None:
        place = new_place(folder, sample)
        for quarter in (3, 4):
            place.delivery(CUSTOMERS, QUARTER.format(quarter)).unlink()
        place.refresh()

    return Place(once("half_year", make))


@pytest.fixture(scope="session")
def in_two_nights(once: Once, half_year: Place, sample: Path) -> Place:
    """The half year, and the night in which the other half came, on eight threads. Only to look at."""

    def make(folder: Path) -> None:
        place = half_year.copy(folder)
        second_half_arrives(place, sample)
        place.refresh(MEETLAT_THREADS="8")

    return Place(once("in_two_nights", make))


def publish(place: Place, title: str, **env: str) -> str:
    """Publish a release that differs from the one before by a title only; gives its id."""
    contract = place.raw / "klantcontact_social" / "contract.yml"
    lines = contract.read_text().splitlines()
    contract.write_text("\n".join(f"title: {title}" if line.startswith("title:") else line for line in lines))
    place.refresh(**env)
    return sorted(place.warehouse.glob("releases/*"), key=lambda r: (r / "publication.json").stat().st_mtime)[-1].name


@pytest.fixture(scope="session")
def three_releases(once: Once, built: Place) -> tuple[Place, list[str]]:
    """Three releases, the last one served. Only to look at."""

    def make(folder: Path) -> None:
        place = built.copy(folder)
        for title in ("Second", "Third"):
            publish(place, title)

    place = Place(once("three_releases", make))
    known = sorted(place.warehouse.glob("releases/*"), key=lambda r: (r / "publication.json").stat().st_mtime)
    return place, [release.name for release in known]


def second_half_arrives(place: Place, sample: Path) -> None:
    for quarter in (3, 4):
        name = QUARTER.format(quarter)
        shutil.copy2(sample / CUSTOMERS / name, place.delivery(CUSTOMERS, name))


@pytest.fixture
def place(tmp_path: Path, sample: Path) -> Place:
    """A fresh place: the sample has arrived, nothing is refreshed yet."""
    return new_place(tmp_path / "place", sample)


@pytest.fixture
def published(tmp_path: Path, built: Place) -> Place:
    """A place of one's own with the release of the sample in it."""
    return built.copy(tmp_path / "published")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: works on the exports at their published size")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.option.markexpr.startswith("not oracle"):
        terminalreporter.write_line("Not run: the live comparison with R (needs Rscript); python -m pytest -m oracle")
        terminalreporter.write_line("Not run: tests of many refreshes; python -m pytest -m long")
        terminalreporter.write_line("Not run: Spark (docs/scale.md says what it needs); python -m pytest -m spark")
        terminalreporter.write_line("Not run: a full disk (needs the right to mount); python -m pytest -m small_disk")
        terminalreporter.write_line("Not run: BI clients (docs/bi.md says how); python -m pytest -m clients")


@pytest.fixture(autouse=True)
def _no_leftover_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [n for n in os.environ if n.startswith("MEETLAT_")]:
        monkeypatch.delenv(name)
    yield
