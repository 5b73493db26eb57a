"""Every command, as a person types it: what it prints, where, and the status it ends with."""

import csv
import dataclasses
import io
import json
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import duckdb
import pytest
from conftest import CUSTOMERS, EMPLOYEES, PROJECT, QUARTER, SOCIAL, Place, lines

from pipelines import history, report, settings
from pipelines.refresh import Outcome

COMMANDS = ("refresh", "check", "accept", "status", "show", "query", "quarantine", "sample")
MART = "mart.channel_rating"


def test_help_lists_every_command(built: Place) -> None:
    ran = built.meetlat("--help")
    assert ran.returncode == 0
    listed = re.findall(r"^[^\w-]*([a-z]+) {2,}\w", ran.stdout, flags=re.MULTILINE)
    assert set(COMMANDS) <= set(listed)
    for command in listed:
        assert built.meetlat(command, "--help").returncode == 0


def test_check_is_content_with_the_shipped_contracts(place: Place) -> None:
    ran = place.meetlat("check")
    assert ran.returncode == 0 and "3 contracts" in ran.stdout and not lines(ran)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("monitor: klantcontact_monitor", "monitor: klantcontact", "monitor 'klantcontact' is not in"),
        ("measure: recommendation", "measure: recommending", "measure 'recommending'"),
        ("Telefoon: phone", "Telefoon: telephone", "channel 'telephone' is not in"),
        ("decimal:", "decimals:", "decimals: no such key"),
        ("title:", "title: [", "contract.yml, line"),
        ("role: response}", "role: respondent}", "role respondent"),
    ],
)
def test_check_names_what_is_wrong(place: Place, old: str, new: str, said: str) -> None:
    path = place.delivery(CUSTOMERS, "contract.yml")
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    for command in ("check", "refresh"):
        ran = place.meetlat(command)
        assert ran.returncode == 1 and said in ran.stderr and CUSTOMERS in ran.stderr
    assert not place.current.exists()


def test_status_says_what_is_there_and_how_it_ended(built: Place) -> None:
    ran = built.meetlat("status")
    assert ran.returncode == 0 and not lines(ran)
    ((answers,),) = built.query("SELECT answers FROM meta.release")
    assert built.release_id() in ran.stdout and f"{answers:,}" in ran.stdout
    assert "2011-12-31" in ran.stdout and "ended" in ran.stdout and "well" in ran.stdout


def test_many_deliveries_are_told_of_as_sums(
    built: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with duckdb.connect(str(built.current / "benchmark.duckdb"), read_only=True) as con:
        ((deliveries, sources, answers),) = con.execute(
            "SELECT count(*), count(DISTINCT source_code), sum(cells_answer)::BIGINT FROM meta.delivery"
        ).fetchall()
        told = []
        for most in (deliveries, sources, sources - 1):
            monkeypatch.setattr(report, "LISTED", most)
            report._receipts(con)
            told.append("".join(capsys.readouterr().out.split()))
    each, by_source, all_ = told
    assert "onebyone" not in each
    assert f"--rows{deliveries}`liststhemonebyone" in by_source and f"{answers:,}" not in by_source
    assert "onebyone" in all_ and f"{sources:,}sources" in all_ and f"{answers:,}" in all_


def test_show_prints_the_first_rows(built: Place) -> None:
    ((total,),) = built.query(f"SELECT count(*) FROM {MART}")
    ran = built.meetlat("show", MART, "--rows", "2")
    assert ran.returncode == 0 and f"{total:,} rows" in ran.stdout
    assert ran.stdout.count("klantcontact_monitor") == 2
    ((total,),) = built.query("SELECT count(*) FROM core.dim_channel")
    ran = built.meetlat("show", "core.dim_channel")
    assert f"{total:,} rows" in ran.stdout and "phone" in ran.stdout


def test_an_unknown_table_is_told_with_those_there_are(built: Place) -> None:
    ran = built.meetlat("show", "mart.channel_ratings")
    assert ran.returncode == 1 and not ran.stdout
    assert "mart.channel_ratings" in ran.stderr and MART in ran.stderr


def test_query_answers_in_a_table_and_as_csv(built: Place) -> None:
    sql = (
        f"SELECT channel_code, round(value, 1) AS grade FROM {MART} WHERE period_code = '2011' "
        "AND sector_code = 'all' AND NOT is_total AND channel_code IN ('phone', 'physical') ORDER BY ALL"
    )
    sql = sql.replace("AND NOT is_total ", "")
    ran = built.meetlat("query", sql)
    assert ran.returncode == 0 and "7.5" in ran.stdout and "8.2" in ran.stdout
    ran = built.meetlat("query", sql, "--csv")
    rows = list(csv.reader(io.StringIO(ran.stdout)))
    assert rows == [["channel_code", "grade"], ["phone", "7.5"], ["physical", "8.2"]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM nowhere",
        "SELEC 1",
        "DROP TABLE mart.channel_rating",
        "UPDATE mart.channel_rating SET value = 10",
        "CREATE TABLE mart.mine AS SELECT 1",
    ],
)
def test_query_refuses_in_a_sentence_and_changes_nothing(built: Place, sql: str) -> None:
    ran = built.meetlat("query", sql)
    assert ran.returncode == 1 and not ran.stdout and lines(ran)
    assert built.query(f"SELECT count(*) > 0 FROM {MART}") == [(True,)]


def test_quarantine_counts_by_reason_and_says_what_mends_it(built: Place) -> None:
    ran = built.meetlat("quarantine")
    reasons = {r for (r,) in built.query("SELECT DISTINCT reason FROM meta.quarantine")}
    assert ran.returncode == 0 and reasons
    for reason in reasons:
        assert re.search(rf"^  {reason}: \w", ran.stdout, flags=re.MULTILINE)
    ran = built.meetlat("quarantine", EMPLOYEES)
    assert "Werkgever" in ran.stdout and "Cijfer contact" not in ran.stdout
    ran = built.meetlat("quarantine", "klantcontact")
    assert ran.returncode == 1 and SOCIAL in ran.stderr


@pytest.mark.parametrize("source", [CUSTOMERS, "no_such_source"])
def test_accept_with_nothing_to_accept(built: Place, source: str) -> None:
    ran = built.meetlat("accept", source)
    assert ran.returncode == 1 and not ran.stdout and source in ran.stderr


@pytest.mark.parametrize("command", [("status",), ("show", MART), ("query", "SELECT 1"), ("quarantine",)])
def test_without_a_release_a_person_is_told_what_to_do(place: Place, command: tuple[str, ...]) -> None:
    ran = place.meetlat(*command)
    assert ran.returncode == 1 and not ran.stdout
    assert "no release" in ran.stderr and "meetlat refresh" in ran.stderr


def test_explain_says_what_would_run_and_changes_nothing(place: Place, published: Place) -> None:
    ran = place.meetlat("refresh", "--explain")
    assert ran.returncode == 0
    assert QUARTER.format(1) in ran.stdout and f"{MART}: " in ran.stdout and "would be published" in ran.stdout
    assert not place.warehouse.exists()
    assert [p.name for p in place.state.rglob("*")] == ["key"]
    assert "Nothing new" in published.meetlat("refresh", "--explain").stdout


def test_explain_says_what_a_refresh_would_do(published: Place) -> None:
    for option in (["--full"], ["--select", MART]):
        ran = published.meetlat("refresh", "--explain", *option)
        assert ran.returncode == 2 and "--explain" in ran.stderr
    kept = published.delivery(CUSTOMERS, QUARTER.format(2))
    kept.rename(published.root / kept.name)
    said = published.meetlat("refresh", "--explain").stdout
    assert "Nothing would be published" in said and kept.name in said
    assert "Nothing is published" in published.refresh(status=1).stderr
    (published.root / kept.name).rename(kept)
    contract = published.raw / CUSTOMERS / "contract.yml"
    contract.write_text(contract.read_text() + "gate: {max_drop: 0.2}\n")
    said = published.meetlat("refresh", "--explain").stdout
    assert f"{CUSTOMERS}/contract.yml" in said and "A release would be published" in said


def test_explain_has_a_reason_for_every_line(published: Place) -> None:
    """Also where all there is to say is that a delivery is gone, as a person accepted."""
    delivery = published.delivery(CUSTOMERS, QUARTER.format(2))
    delivery.unlink()
    published.meetlat("accept", CUSTOMERS)
    said = published.meetlat("refresh", "--explain").stdout.splitlines()
    assert f"{CUSTOMERS}: 1 deliveries are gone." in said and "A release would be published." in said
    assert any(line.startswith(f"{CUSTOMERS}: its deliveries are others") for line in said)
    assert all(line.partition(": ")[2] or line.endswith(".") for line in said)


def test_explain_does_not_even_make_a_key(place: Place) -> None:
    (place.state / "key").unlink()
    place.state.rmdir()
    assert place.meetlat("refresh", "--explain").returncode == 0
    assert not place.state.exists()


def test_the_key_is_made_for_its_owner_only(place: Place) -> None:
    (place.state / "key").unlink()
    place.state.rmdir()
    place.refresh("--select", "core.dim_channel")
    assert stat.S_IMODE((place.state / "key").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.state.stat().st_mode) == 0o700
    (place.state / "key").chmod(0o640)
    ran = place.refresh("--select", "core.dim_channel", status=1)
    assert "chmod 600" in ran.stderr


def test_another_key_stops_the_refresh(published: Place) -> None:
    before = published.release_id()
    ran = published.refresh(status=1, MEETLAT_KEY="another key, long enough to be one")
    assert "key" in ran.stderr and published.release_id() == before


def test_select_makes_parts_and_publishes_nothing(place: Place) -> None:
    ran = place.refresh("--select", "core.dim_sector")
    assert "nothing was published" in ran.stdout
    assert list((place.warehouse / "parts" / "core.dim_sector").iterdir())
    assert not (place.warehouse / "parts" / MART).exists()
    assert not place.current.is_symlink() and not list((place.warehouse / "releases").iterdir())
    ran = place.refresh("--select", "core.dim_sectors", status=1)
    assert "core.dim_sectors" in ran.stderr and "core.dim_sector," in ran.stderr


@pytest.mark.parametrize(
    ("setting", "value"),
    [("MEETLAT_THREADS", "many"), ("MEETLAT_THREADS", "0"), ("MEETLAT_MEMORY", "a lot"), ("MEETLAT_KEY", "short")],
)
def test_a_wrong_setting_is_named(place: Place, setting: str, value: str) -> None:
    ran = place.refresh(status=1, **{setting: value})
    assert setting in ran.stderr and len(lines(ran)) == 1
    assert not place.current.exists()


def test_the_state_may_not_lie_in_the_warehouse(place: Place) -> None:
    ran = place.refresh(status=1, MEETLAT_STATE=str(place.warehouse / "state"))
    assert "MEETLAT_STATE" in ran.stderr and not place.warehouse.exists()


@pytest.mark.parametrize("args", [("refreshh",), ("refresh", "--ful"), ("show",), ("sample",)])
def test_wrong_use_ends_with_two(built: Place, args: tuple[str, ...]) -> None:
    assert built.meetlat(*args).returncode == 2


def test_a_sample_too_small_is_wrong_use(place: Place) -> None:
    ran = place.meetlat("sample", str(place.root / "more"), "--ratings", "100")
    assert ran.returncode == 2 and "4000" in ran.stderr.replace(",", "")


# --- being told ----------------------------------------------------------------------------------


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An address on this machine, and what was sent to it."""
    heard: list[dict[str, str]] = []

    class Hear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Hear) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"json://localhost:{server.server_port}", heard
        finally:
            server.shutdown()
            thread.join()


def test_somebody_is_told_of_one_and_three_but_not_of_zero(published: Place) -> None:
    with listening() as (address, heard):
        published.refresh(MEETLAT_NOTIFY=address)
        assert heard == []

        gone = published.delivery(CUSTOMERS, QUARTER.format(2))
        gone.rename(published.root / "gone")
        published.refresh(status=1, MEETLAT_NOTIFY=address)
        assert len(heard) == 1
        assert "nothing published" in heard[0]["title"] and gone.name in heard[0]["message"]
        (published.root / "gone").rename(gone)

        published.delivery(EMPLOYEES, "klantcontact_medewerkers_2012.xlsx").touch()
        published.refresh(status=3, MEETLAT_NOTIFY=address)
        assert len(heard) == 2
        assert "deliveries" in heard[1]["title"] and "medewerkers_2012.xlsx is empty" in heard[1]["message"]


def test_an_address_that_does_not_answer_fails_nothing(published: Place) -> None:
    published.delivery(CUSTOMERS, QUARTER.format(2)).unlink()
    ran = published.refresh(status=1, MEETLAT_NOTIFY="json://localhost:9")
    assert "MEETLAT_NOTIFY" in ran.stderr
    ran = published.refresh(status=1, MEETLAT_NOTIFY="pigeon post")
    assert "MEETLAT_NOTIFY" in ran.stderr


def test_a_family_that_the_audit_withheld_or_kept_is_announced(
    published: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    family = ["klantcontact_monitor", "customer", "overall_rating"]
    kept = [["public", *family], *(["participants/" + name, *family] for name in "abcdefgh")]
    file = published.current / "publication.json"
    told = json.loads(file.read_text()) | {"disclosure": {"withheld": [], "kept": kept, "known_before": []}}
    history.write_aside(file, json.dumps(told))
    here = dataclasses.replace(settings.load(), warehouse=published.warehouse)
    report.after_refresh(here, Outcome(0, published.release_id(), is_new=True))
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    about = [line for line in said if "/".join(family) in line]
    assert len(about) == report.MOST_OUTPUTS and all("still shows the earlier figures" in line for line in about)
    assert about[0].startswith("public/") and about[1].startswith("participants/a/")
    assert any(line.startswith("The same goes for 4 more") for line in said)


@pytest.mark.parametrize("arguments", [["--help"], ["refresh"], ["status"]])
def test_what_is_heavy_is_not_loaded_where_nothing_is_made(published: Place, arguments: list[str]) -> None:
    """With nothing new; Dagster alone takes a second."""
    code = (
        "import sys\nfrom pipelines import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "print(sorted({'dagster', 'pandas', 'scipy', 'pyspark'} & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=PROJECT, env=published.environment, capture_output=True, text=True
    )
    assert ran.returncode == 0 and ran.stderr.splitlines()[-1] == "[]", ran.stderr
