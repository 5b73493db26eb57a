"""A missing right, or something in the way, ends in one sentence that names the place; so do files that are damaged.

Root may do everything, so the command is run without the two rights by which root passes over permission bits.
"""

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CUSTOMERS, PROJECT, QUARTER, Place, Ran, lines, read_quarter, write_quarter

from pipelines import cli, privacy

DROP = 24  # PR_CAPBSET_DROP
PASS_OVER = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def bound(place: Place, *args: str, status: int = 1, **env: str) -> Ran:
    """Run the command as somebody whom permission bits bind."""
    system = ctypes.CDLL(None, use_errno=True)

    def give_up() -> None:
        for right in PASS_OVER if os.geteuid() == 0 else ():
            if system.prctl(DROP, right, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "root cannot give up its rights here; run the tests as another user")

    command = [sys.executable, "-m", "pipelines.cli", *args]
    ran = subprocess.run(
        command, env=place.environment | env, cwd=PROJECT, capture_output=True, text=True, preexec_fn=give_up
    )
    assert "Traceback" not in ran.stderr and "fault in Meetlat" not in ran.stderr, ran.stderr
    assert ran.returncode == status, ran.stderr
    return ran


def settle(delivery: Path) -> None:
    """Have it be old enough for its digest to be kept."""
    then = delivery.stat().st_mtime_ns - 10**10
    os.utime(delivery, ns=(then, then))


@pytest.mark.parametrize(
    ("closed", "mode", "named"),
    [
        (".", 0o000, "."),
        (".", 0o400, f"{CUSTOMERS}/contract.yml"),
        (CUSTOMERS, 0o000, f"{CUSTOMERS}/contract.yml"),
        (CUSTOMERS, 0o100, CUSTOMERS),
        (f"{CUSTOMERS}/contract.yml", 0o000, f"{CUSTOMERS}/contract.yml"),
        (f"{CUSTOMERS}/corrections.yml", 0o000, f"{CUSTOMERS}/corrections.yml"),
        ("reference", 0o000, "reference/monitors.csv"),
        ("reference/channels.csv", 0o000, "reference/channels.csv"),
        ("reference/disclosure.yml", 0o000, "reference/disclosure.yml"),
        ("reference/dataset.yml", 0o000, "reference/dataset.yml"),
    ],
)
def test_what_may_not_be_read_in_raw_is_named(place: Place, closed: str, mode: int, named: str) -> None:
    (place.raw / CUSTOMERS / "corrections.yml").write_text("[]")
    for name in ("channels.csv", "dataset.yml"):
        (place.raw / "reference" / name).write_bytes((PROJECT / "raw" / "reference" / name).read_bytes())
    path = place.raw / closed
    kept = path.stat().st_mode
    path.chmod(mode)
    try:
        (said,) = lines(bound(place, "refresh"))
    finally:
        path.chmod(kept)
    assert said.startswith(f"{(place.raw / named)}: Permission denied. Give the user")
    assert not place.current.exists()


def test_check_names_what_it_may_not_read(place: Place) -> None:
    contract = place.raw / CUSTOMERS / "contract.yml"
    contract.chmod(0)
    (said,) = lines(bound(place, "check"))
    assert said.startswith(f"{contract}: Permission denied. Give the user")


def test_a_folder_where_a_file_of_a_source_should_be(place: Place) -> None:
    (place.raw / CUSTOMERS / "corrections.yml").mkdir()
    (said,) = lines(bound(place, "refresh"))
    assert "corrections.yml: Is a directory." in said


def test_a_published_delivery_that_may_not_be_read_is_not_said_to_have_other_bytes(published: Place) -> None:
    delivery = published.delivery(CUSTOMERS, QUARTER.format(2))
    delivery.chmod(0)
    said = "\n".join(lines(bound(published, "refresh")))
    assert f"{delivery.name} cannot be read (Permission denied)" in said and "other bytes" not in said


def test_a_known_delivery_that_may_not_be_read_when_it_is_staged_again(published: Place) -> None:
    """Its digest is known, so it is opened only when the contract changed."""
    delivery = published.delivery(CUSTOMERS, QUARTER.format(2))
    settle(delivery)
    published.refresh()
    assert str(delivery) in (published.state / "digests.json").read_text()
    contract = published.raw / CUSTOMERS / "contract.yml"
    contract.write_text(contract.read_text().replace("title: ", "title: The "))
    delivery.chmod(0)
    said = "\n".join(lines(bound(published, "refresh")))
    assert f"{delivery}: Permission denied." in said and "cannot be written" not in said


def test_a_cache_that_cannot_be_written_costs_time_only(published: Place) -> None:
    settle(published.delivery(CUSTOMERS, QUARTER.format(2)))
    (published.state / "digests.json").unlink(missing_ok=True)
    published.state.chmod(0o500)
    assert "Nothing new" in bound(published, "refresh", status=0).stdout
    assert not (published.state / "digests.json").exists()
    published.state.chmod(0o700)


@pytest.mark.parametrize("closed", [".", "dagster", "dagster/history", "dagster/history/runs.db"])
def test_a_state_folder_that_may_not_be_written_is_named(published: Place, closed: str) -> None:
    before = published.release_id()
    write_quarter(published.raw, 5, read_quarter(published.raw, 4)[:40])
    (published.raw / CUSTOMERS / QUARTER.format(5)).rename(
        published.raw / CUSTOMERS / "klantcontact_klanten_2012-Q1.csv.gz"
    )
    for path in sorted((published.state / closed).rglob("*"), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)
    (published.state / closed).chmod(0o500)
    said = lines(bound(published, "refresh"))
    for path in [published.state, *published.state.rglob("*")]:
        path.chmod(0o700)
    assert len(said) == 1 and str(published.state) in said[0] and "cannot be written" in said[0]
    assert published.release_id() == before


def test_a_state_folder_without_a_key_that_may_not_be_written(place: Place) -> None:
    (place.state / "key").unlink()
    place.refresh("--explain")  # needs no key
    place.state.chmod(0o500)
    (said,) = lines(bound(place, "refresh"))
    assert str(place.state) in said and "cannot be written: permission is missing" in said
    place.state.chmod(0o000)
    (said,) = lines(bound(place, "refresh"))
    assert str(place.state) in said and "permission is missing" in said
    place.state.chmod(0o700)


def test_a_file_where_the_state_folder_should_be(place: Place) -> None:
    file = place.root / "no folder"
    file.write_text("")
    (said,) = lines(bound(place, "refresh", MEETLAT_STATE=str(file)))
    assert str(file) in said and "File exists" in said


def test_a_key_that_is_empty_is_no_key(place: Place) -> None:
    (place.state / "key").write_text("")
    (said,) = lines(bound(place, "refresh"))
    assert str(place.state / "key") in said and "backup" in said


def test_a_fault_of_ours_is_told_where_it_cannot_be_noted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEETLAT_STATE", str(place.state))
    log = place.state / "logs" / "unexpected.log"
    assert f"report what stands in {log}" in cli._unexpected(ValueError("a row"))
    assert "a row" not in log.read_text() and "ValueError" in log.read_text()
    log.unlink()
    log.mkdir()
    said = cli._unexpected(ValueError("a row"))
    assert "fault in Meetlat (ValueError)" in said and f"could not be noted in {log}" in said


# --- files that cannot be made again -------------------------------------------------------------


def test_what_a_start_left_of_a_key_does_not_stop_the_next(tmp_path: Path) -> None:
    """In a container every start has the same process number."""
    for name in ("key", "erasure.key"):
        (tmp_path / f"{name}.{os.getpid()}").write_text("half")
        key = tmp_path / name
        made = privacy.load_key_file(key)
        assert len(made) == 64 and privacy.load_key_file(key) == made
        assert list(tmp_path.glob(".*")) == []


def test_the_name_of_a_key_is_on_the_disk_before_the_key_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[Path, bool]] = []
    to_disk = os.fsync

    def fsync(handle: int) -> None:
        flushed.append((Path(f"/proc/self/fd/{handle}").readlink(), (tmp_path / "key").exists()))
        to_disk(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    privacy.load_key_file(tmp_path / "key")
    assert flushed[-1] == (tmp_path, True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', "\x00\x00"])
def test_damaged_notes_of_what_was_accepted_end_in_a_sentence(published: Place, text: str) -> None:
    file = published.state / "accepted.json"
    file.write_text(text)
    published.delivery(CUSTOMERS, QUARTER.format(2)).unlink()
    for command in (("refresh",), ("accept", CUSTOMERS)):
        (said,) = lines(bound(published, *command))
        assert said.startswith(f"{file} cannot be read") and "accept again" in said
    assert file.read_text() == text


def test_what_was_accepted_is_kept_beside_what_is_accepted_now(published: Place) -> None:
    file = published.state / "accepted.json"
    earlier = {"another": {"deliveries": ["0" * 64], "candidates": []}}
    file.write_text(json.dumps(earlier))
    published.delivery(CUSTOMERS, QUARTER.format(2)).unlink()
    published.state.chmod(0o500)
    (said,) = lines(bound(published, "accept", CUSTOMERS))
    assert str(published.state) in said and "cannot be written" in said
    published.state.chmod(0o700)
    assert json.loads(file.read_text()) == earlier
    bound(published, "accept", CUSTOMERS, status=0)
    known = json.loads(file.read_text())
    assert known["another"] == earlier["another"] and len(known[CUSTOMERS]["deliveries"]) == 1
    assert file.stat().st_mode & 0o777 == 0o600
