"""Storage through which machines hand each other files. With a cluster and an object store: `test_spark.py`."""

import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from conftest import Place, lines

from pipelines import exchange, settings
from pipelines.deliveries import Delivery
from pipelines.errors import MeetlatError
from pipelines.exchange import Mirror
from pipelines.parts import JSON, Store


def with_exchange(place: Path, url: str | None = None) -> settings.Settings:
    (place / "state").mkdir(exist_ok=True)
    url = (place / "exchange").as_uri() if url is None else url
    return replace(settings.load(), state=place / "state", exchange=url)


def write(folder: Path) -> dict[str, JSON]:
    (folder / "data.parquet").write_bytes(b"rows")
    return {"rows": 4, "digest": "é"}


def never(folder: Path) -> dict[str, JSON]:
    raise AssertionError


def test_a_part_goes_from_one_machine_to_the_other(tmp_path: Path) -> None:
    with exchange.begun(with_exchange(tmp_path)) as shared:
        one, two = (Mirror(tmp_path / name, shared) for name in ("one", "two"))
        assert one.find("staged.survey", "0" * 32) is None and shared.parts() == []
        made = one.make("staged.survey", "0" * 32, write)
        assert shared.parts() == [("staged.survey", "0" * 32)]
        brought = two.make("staged.survey", "0" * 32, never)
        for file in ("data.parquet", "part.json"):
            assert (brought.folder / file).read_bytes() == (made.folder / file).read_bytes()
        assert brought.facts == made.facts == {"rows": 4, "digest": "é"}
        (driver,) = [shared.fetch_part(Store(tmp_path / "driver"), *part) for part in shared.parts()]
        assert driver.file().read_bytes() == b"rows"
    assert list((tmp_path / "exchange").iterdir()) == []


def test_a_part_is_there_when_it_is_whole(tmp_path: Path) -> None:
    with exchange.begun(with_exchange(tmp_path)) as shared:
        made = Store(tmp_path / "one").make("staged.survey", "0" * 32, write)
        shared.bring(made.file(), "parts/staged.survey/" + "0" * 32 + "/data.parquet")  # and is killed
        two = Mirror(tmp_path / "two", shared)
        assert two.find("staged.survey", "0" * 32) is None and shared.parts() == []
        shared.bring_part(made)
        assert two.find("staged.survey", "0" * 32) is not None


def test_copies_of_a_delivery_cannot_be_told_apart(tmp_path: Path) -> None:
    raw = tmp_path / "answers.csv"
    raw.write_text("a;b\n")
    delivery = Delivery("survey", raw, "0" * 64, "1")
    with exchange.begun(with_exchange(tmp_path)) as shared:
        shared.bring_delivery(delivery)
        found = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            copy = shared.fetch_delivery(delivery, tmp_path / name)
            assert copy.name == "answers.csv" and copy.read_text() == "a;b\n"
            found.append((copy.stat().st_size, copy.stat().st_mtime_ns))
        assert found[0] == found[1]


def test_what_a_killed_refresh_left_goes(tmp_path: Path) -> None:
    here = with_exchange(tmp_path)
    other = tmp_path / "exchange" / "meetlat-of-somebody"
    other.mkdir(parents=True)
    with exchange.begun(here) as shared:
        raw = Path(url2pathname(urlsplit(shared.url).path)) / "raw"
        raw.mkdir(parents=True)
        (raw / "1").write_text("a name")
        note = (tmp_path / "state" / "exchange").read_text()
    assert note == shared.url and not raw.exists() and not (tmp_path / "state" / "exchange").exists()
    raw.mkdir(parents=True)  # as if it had been killed
    (tmp_path / "state" / "exchange").write_text(note)
    assert exchange.left(replace(here, exchange=None)) == []
    assert not raw.parent.exists() and other.exists() and not (tmp_path / "state" / "exchange").exists()


def test_what_cannot_be_removed_is_told_until_it_can(published: Place) -> None:
    """Also in nights without Spark, and where nothing is new."""
    url = "nothing://bucket/meetlat-" + "1" * 32
    (published.state / "exchange").write_text(url)
    for _ in range(2):
        (sentence,) = lines(published.refresh(status=3))
        assert f"{url} may still hold exports" in sentence
        assert str(published.state / "exchange") in sentence
    (published.state / "exchange").write_text((published.root / f"meetlat-{'1' * 32}").as_uri())
    assert not published.refresh().stderr and not (published.state / "exchange").exists()


@pytest.mark.parametrize("said", ["", "{}", "file://{}", "{}/meetlat-" + "1" * 32])
def test_nothing_else_is_ever_removed(tmp_path: Path, said: str) -> None:
    here = with_exchange(tmp_path)
    (tmp_path / "state" / "exchange").write_text(said.format(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    (sentence,) = exchange.left(here)
    assert "may still hold" in sentence and (tmp_path / "mine").exists() and (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "url",
    ["/mnt/exchange", "s3://", "bucket", "s3://[bucket]/x", "ftp://me:secret@host/folder", "nothing://host/folder"],
)
def test_what_is_no_storage_is_said_in_a_sentence(tmp_path: Path, url: str) -> None:
    here = with_exchange(tmp_path, url)
    with pytest.raises(MeetlatError, match="MEETLAT_EXCHANGE must be") as said, exchange.begun(here) as shared:
        shared.write("look", b"")
    assert "secret" not in str(said.value)


def test_what_a_killed_executor_left_goes(tmp_path: Path) -> None:
    """And nothing of those that live."""
    say = "from pipelines import exchange; print(exchange.room(), flush=True); input()"
    rooms = []
    with ExitStack() as stack:
        living = []
        for _ in range(2):
            command = [sys.executable, "-c", say]
            env = os.environ | {"TMPDIR": str(tmp_path)}
            one = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.enter_context(one)
            stack.callback(one.kill)
            assert one.stdout is not None
            rooms.append(Path(one.stdout.readline().strip()))
            (rooms[-1] / "export.csv").write_text("a name")
            living.append(one)
        assert all((room / "export.csv").exists() for room in rooms)
        living[0].kill()
        living[0].wait()
        env = os.environ | {"TMPDIR": str(tmp_path)}
        third = subprocess.run(
            [sys.executable, "-c", say], env=env, input="\n", capture_output=True, text=True, check=True
        )
        assert not rooms[0].exists() and (rooms[1] / "export.csv").exists()
        assert Path(third.stdout.strip()).parent == rooms[1].parent == tmp_path / f"meetlat-{os.geteuid()}"
