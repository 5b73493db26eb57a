"""Storage through which machines hand each other files. With a cluster and an object store: `test_spark.py`."""

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from pipelines import exchange
from pipelines.deliveries import Delivery
from pipelines.errors import MeetlatError
from pipelines.exchange import Mirror
from pipelines.parts import JSON, Store


def write(folder: Path) -> dict[str, JSON]:
    (folder / "data.parquet").write_bytes(b"rows")
    return {"rows": 4, "digest": "é"}


def never(folder: Path) -> dict[str, JSON]:
    raise AssertionError


def test_a_part_goes_from_one_machine_to_the_other(tmp_path: Path) -> None:
    with exchange.begun((tmp_path / "exchange").as_uri()) as shared:
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
    with exchange.begun((tmp_path / "exchange").as_uri()) as shared:
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
    with exchange.begun((tmp_path / "exchange").as_uri()) as shared:
        shared.bring_delivery(delivery)
        found = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            copy = shared.fetch_delivery(delivery, tmp_path / name)
            assert copy.name == "answers.csv" and copy.read_text() == "a;b\n"
            found.append((copy.stat().st_size, copy.stat().st_mtime_ns))
        assert found[0] == found[1]


def test_what_a_killed_refresh_left_goes(tmp_path: Path) -> None:
    left, other = tmp_path / ("meetlat-" + "a" * 32), tmp_path / "meetlat-of-somebody"
    for folder in (left, other):
        (folder / "raw").mkdir(parents=True)
        (folder / "raw" / "1").write_text("a name")
    with exchange.begun(tmp_path.as_uri()):
        assert not left.exists() and (other / "raw" / "1").exists()


@pytest.mark.parametrize("url", ["/mnt/exchange", "bucket", "ftp://me:secret@host/folder", "nothing://host/folder"])
def test_what_is_no_storage_is_said_in_a_sentence(url: str) -> None:
    with pytest.raises(MeetlatError, match="MEETLAT_EXCHANGE must be") as said, exchange.begun(url):
        pass
    assert "secret" not in str(said.value)


def test_what_a_killed_executor_left_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    exchange.room.cache_clear()
    ended = subprocess.Popen(["true"])
    ended.wait()
    everyone = tmp_path / f"meetlat-{os.geteuid()}"
    for pid in (ended.pid, os.getppid(), os.getpid()):
        (everyone / str(pid)).mkdir(parents=True)
        (everyone / str(pid) / "export.csv").write_text("a name")
    own = exchange.room()
    exchange.room.cache_clear()
    assert own == everyone / str(os.getpid()) and not list(own.iterdir())
    assert not (everyone / str(ended.pid)).exists() and (everyone / str(os.getppid()) / "export.csv").exists()
