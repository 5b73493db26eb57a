"""Releases made through Spark: the same id and the same bytes, also when a machine dies in the middle."""

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import CUSTOMERS, KEY, QUARTER, Place, Ran, lines, read_quarter, write_quarter

from pipelines import spark
from pipelines.readers.text import PIECE

pyspark = pytest.mark.spark
Process = subprocess.Popen[bytes]


def parts(place: Place) -> set[str]:
    return {str(p.relative_to(place.warehouse)) for p in place.warehouse.glob("parts/[!.]*/*")}


def assert_the_same(place: Place, built: Place) -> None:
    assert place.release_id() == built.release_id()
    assert place.parquet() == built.parquet()
    assert parts(place) == parts(built)
    assert not list(place.warehouse.glob("parts/.[!a]*")) and not list(place.warehouse.glob("parts/.aside/spark-*"))


# --- without Spark -------------------------------------------------------------------------------


def test_no_spark_is_said_in_a_sentence(place: Place) -> None:
    for said, env in (("MEETLAT_SPARK is ''; set it to", {}), ("is 'mesos'", {"MEETLAT_SPARK": "mesos"})):
        (sentence,) = lines(place.refresh("--engine", "spark", status=1, **env))
        assert said in sentence and "local[2]" in sentence


def test_a_machine_without_the_folders_says_so(tmp_path: Path) -> None:
    said = spark._outcome(str(tmp_path / "job"), 0, 1)
    assert said is not None and said.startswith(f"On {socket.gethostname()}: {tmp_path / 'job'} is not there.")
    assert "MEETLAT_WAREHOUSE" in said


# --- on this machine -----------------------------------------------------------------------------


@pyspark
def test_a_release_through_spark_is_the_same(place: Place, built: Place) -> None:
    ran = place.refresh("--engine", "spark", MEETLAT_SPARK="local[2]")
    assert not ran.stderr
    assert_the_same(place, built)
    assert "Nothing new" in place.refresh("--engine", "spark", MEETLAT_SPARK="local[2]").stdout


@pyspark
def test_what_an_executor_refuses_is_said_as_always(half_year: Place, sample: Path, tmp_path: Path) -> None:
    said = []
    for name, arguments in (("here", ["--engine", "here"]), ("spark", ["--engine", "spark"])):
        place = half_year.copy(tmp_path / name)
        write_quarter(place.raw, 3, read_quarter(sample, 3))
        (place.raw / CUSTOMERS / QUARTER.format(4)).write_bytes(gzip.compress(b"Naam;Iets\nJan;1\n", mtime=0))
        said.append((lines(place.refresh(*arguments, status=3, MEETLAT_SPARK="local[1]")), place.parquet()))
    assert said[0] == said[1] and len(said[0][0]) == 1


@pyspark
def test_what_is_wrong_with_spark_is_said_in_a_sentence(place: Place) -> None:
    def said(**env: str) -> str:
        (sentence,) = lines(place.refresh("--engine", "spark", status=1, **env))
        return sentence

    assert "Nothing answers at spark://127.0.0.1:1;" in said(MEETLAT_SPARK="spark://127.0.0.1:1")
    assert "Nothing answers at sc://127.0.0.1:1;" in said(MEETLAT_SPARK="sc://127.0.0.1:1")
    assert "needs Java 17" in said(MEETLAT_SPARK="local[1]", JAVA_HOME="/nowhere")
    bare = said(MEETLAT_SPARK="local[1]", PYSPARK_PYTHON="/usr/bin/python3")
    assert "PYSPARK_PYTHON" in bare and str(place.state / "logs" / "spark.log") in bare
    shown = said(MEETLAT_SPARK="local[1]", PYSPARK_SUBMIT_ARGS="--conf spark.executorEnv.MEETLAT_KEY=x pyspark-shell")
    assert "shows the key" in shown
    assert not parts(place) and not place.current.exists()


# --- a cluster -----------------------------------------------------------------------------------


@dataclass
class Cluster:
    """A master and two workers with a core each, as processes of their own on loopback."""

    root: Path
    address: str
    workers: list[Process]
    environment: dict[str, str]

    def start(self, place: Place, **env: str) -> Process:
        command = [sys.executable, "-m", "pipelines.cli", "refresh", "--engine", "spark"]
        env = place.environment | self.environment | env | {"MEETLAT_SPARK": self.address}
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def refresh(self, place: Place, status: int = 0, **env: str) -> Ran:
        own = self.environment | env | {"MEETLAT_SPARK": self.address}
        return place.refresh("--engine", "spark", status=status, **own)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait(until: Callable[[], object], seconds: float = 120, step: float = 0.2) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(step)


def children(pid: int) -> list[int]:
    """All processes below this one."""
    parent: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        found += [child for child, of in parent.items() if of == each]
    return found[1:]


@contextmanager
def running(root: Path, before: list[str] | None = None, env: dict[str, str] | None = None) -> Iterator[Cluster]:
    """Start a cluster; `before`: what the command that starts a worker stands behind; `env`: what it has to know."""
    import pyspark as package

    home = Path(package.__file__).parent
    port = free_port()
    address = f"spark://127.0.0.1:{port}"
    conf = root / "conf"
    for folder in (conf, root / "events", root / "local"):
        folder.mkdir(parents=True)
    (conf / "spark-defaults.conf").write_text(
        "spark.driver.host 127.0.0.1\nspark.driver.bindAddress 127.0.0.1\nspark.executor.memory 512m\n"
        "spark.driver.memory 512m\nspark.eventLog.enabled true\nspark.eventLog.compress false\n"
        f"spark.eventLog.dir {(root / 'events').as_uri()}\n"
    )
    own = {
        "SPARK_CONF_DIR": str(conf),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(root / "local"),
        "SPARK_DAEMON_MEMORY": "256m",
        "PYSPARK_PYTHON": sys.executable,
    }
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MEETLAT_")} | own | (env or {})
    started: list[Process] = []

    def start(name: str, *command: str) -> Process:
        with (root / f"{name}.log").open("wb") as log:
            started.append(subprocess.Popen(command, env=clean, stdout=log, stderr=log))
        return started[-1]

    spark_class, deploy = str(home / "bin" / "spark-class"), "org.apache.spark.deploy"
    try:
        start(
            "master", spark_class, f"{deploy}.master.Master", "--host", "127.0.0.1", "--port", str(port),
            "--webui-port", "0",
        )  # fmt: skip
        wait(lambda: "Starting Spark master" in (root / "master.log").read_text())
        workers = [
            start(
                f"worker{i}", *(before or []), spark_class, f"{deploy}.worker.Worker", "--host", "127.0.0.1",
                "--cores", "1", "--memory", "1g", "--work-dir", str(root / f"work{i}"), "--webui-port", "0", address,
            )
            for i in range(2)
        ]  # fmt: skip
        wait(lambda: (root / "master.log").read_text().count("Registering worker") == 2)
        yield Cluster(root, address, workers, own)
    finally:
        for process in reversed(started):
            for pid in [process.pid, *children(process.pid)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


@pyspark
def test_a_worker_is_killed_in_the_middle(place: Place, built: Place, tmp_path: Path) -> None:
    with running(tmp_path / "cluster") as cluster:
        refresh = cluster.start(place)
        busy: list[int] = []
        victim = cluster.workers[0].pid

        def both_stage() -> bool:
            busy[:] = children(victim)
            return len(list(place.warehouse.glob("parts/.aside/staged.*"))) == 2

        wait(both_stage, step=0.002)
        for pid in busy:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)  # so that it is in the middle when it is killed
        machines = [pid for pid in busy if b"CoarseGrainedExecutorBackend" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(machines) == 1
        assert len(list(place.warehouse.glob("parts/staged.*/*"))) < 6
        for pid in (victim, *machines):
            os.kill(pid, signal.SIGKILL)
        for pid in set(busy) - set(machines):  # who goes on with the task that another executor is given now
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        out, err = refresh.communicate(timeout=300)
        assert refresh.returncode == 0, out + err
        assert not err
        assert "Lost executor" in (place.state / "logs" / "spark.log").read_text()
        told = [file.read_text() for file in (cluster.root / "events").rglob("*") if file.is_file()]
        assert any('"Reason":"ExecutorLostFailure"' in each for each in told)  # of a task: it was in the middle
        assert_the_same(place, built)
        nobody_is_told_of(place, [place.state / "logs", cluster.root])


def nobody_is_told_of(place: Place, folders: list[Path]) -> None:
    """No id, name or address of the exports, no pseudonym and no key stands in what Spark wrote."""
    heading, *rows = read_quarter(place.raw, 1)
    secret = {KEY}
    for name in ("Responsnummer", "Klantnummer", "Naam", "E-mailadres", "Toelichting"):
        secret |= {row[heading.index(name)] for row in rows if len(row[heading.index(name)]) > 5}
    secret |= {id for (id,) in place.query("SELECT DISTINCT response_id FROM core.fct_answer")}
    assert len(secret) > 2000
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert [file for file in files if file.parent.parent.name == "events" or file.parent.name == "events"]
    assert [file for file in files if file.name == "stderr"]
    for file in files:
        text = file.read_text(errors="replace")
        assert not [each for each in secret if each in text], file


def without(folder: Path) -> list[str]:
    """What a command stands behind that finds nothing in a folder."""
    as_root = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", *as_root, "--mount", "bash", "-c", f'mount -t tmpfs none "{folder}" && exec "$@"', "bash"]


@pyspark
@pytest.mark.parametrize("apart", [False, True], ids=["folders", "exchange"])
def test_a_large_delivery_is_judged_by_several(place: Place, tmp_path: Path, apart: bool) -> None:
    heading, *rows = gzip.decompress(place.delivery(CUSTOMERS, QUARTER.format(1)).read_bytes()).splitlines(
        keepends=True
    )
    for quarter in (1, 2, 3):
        place.delivery(CUSTOMERS, QUARTER.format(quarter)).unlink()
    large, text = place.delivery(CUSTOMERS, QUARTER.format(4)), b"".join(rows)
    with gzip.open(large, "wb", compresslevel=0) as file:  # so it looks as if it would unpack to much more
        file.write(heading)
        for turn in range(3 * PIECE // 2 // len(text)):  # as responses of others
            file.write(b"".join(b"%d-%s" % (turn, row) for row in rows))
    alone = place.copy(tmp_path / "alone")
    alone.refresh()
    between = tmp_path / "exchange" if apart else place.warehouse
    env = {"MEETLAT_EXCHANGE": between.as_uri()} if apart else {}
    with running(tmp_path / "cluster", env={"MEETLAT_KEY": KEY} if apart else None) as cluster:
        refresh = cluster.start(place, **env)
        shares: dict[str, int] = {}  # and the pieces of each

        def ended() -> bool:
            with suppress(OSError, ValueError):  # they come and go
                for part in between.rglob("judged.*/*/part.json"):
                    shares[part.parent.name] = len(json.loads(part.read_text())["pieces"])
            return refresh.poll() is not None

        wait(ended, 300, step=0.02)
        assert refresh.returncode == 0, refresh.communicate()
    assert sorted(shares.values()) == [0, 0, 0, 0, 0, 1, 1]
    assert_the_same(place, alone)


@contextmanager
def object_store(root: Path) -> Iterator[dict[str, str]]:
    """One on loopback, which holds its objects in memory; gives what the environment must say to reach it."""
    port = free_port()
    with (root / "store.log").open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        store = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait(lambda: "Running on" in (root / "store.log").read_text())
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "something",
        }
    finally:
        store.kill()
        store.wait()


@pyspark
def test_machines_that_share_no_folder_use_an_object_store(
    place: Place, built: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with object_store(tmp_path) as store:
        for name, value in (store | {"MEETLAT_KEY": KEY}).items():
            monkeypatch.setenv(name, value)
        import s3fs

        bucket = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
        bucket.mkdir("bucket")
        bucket.pipe_file("bucket/here/other", b"of somebody else")
        killed = "bucket/gone/meetlat-" + "1" * 32
        bucket.pipe_file(f"{killed}/raw/1", b"of a refresh that was killed")
        (place.state / "exchange").write_text(f"s3://{killed}")
        own = {"MEETLAT_EXCHANGE": "s3://bucket/here/"} | store
        place.meetlat("status")  # looks only
        assert bucket.exists(f"{killed}/raw/1")
        with running(
            tmp_path / "cluster", without(place.root), store | {"MEETLAT_KEY": KEY, "TMPDIR": str(left)}
        ) as cluster:
            said = lines(cluster.refresh(place, 1, MEETLAT_EXCHANGE="s3://nowhere/here"))
            assert len(said) == 1 and "cannot be used" in said[0] and said[0].startswith("s3://nowhere/here/meetlat-")
            cluster.refresh(place, **own)
            assert_the_same(place, built)
            nobody_is_told_of(place, [place.state / "logs", cluster.root])
            assert bucket.find("bucket") == ["bucket/here/other"] and not bucket.exists("nowhere")
            rooms = left / f"meetlat-{os.geteuid()}"
            assert {file.name for file in rooms.rglob("*") if file.is_file()} == {"lock"}


@pyspark
def test_a_worker_that_does_not_share_the_folders_stops_it(place: Place, tmp_path: Path) -> None:
    (place.warehouse / "parts").mkdir(parents=True)
    with running(tmp_path / "cluster", without(place.warehouse / "parts")) as cluster:
        said = lines(cluster.refresh(place, status=1))
    assert 1 <= len(said) <= 5 and all("must be storage that all machines of Spark share" in each for each in said)
    assert not place.current.exists() and not parts(place)


# --- Spark Connect -------------------------------------------------------------------------------


@pyspark
def test_a_release_through_spark_connect_is_the_same(place: Place, built: Place, tmp_path: Path) -> None:
    import pyspark as package

    port = free_port()
    command = [str(Path(package.__file__).parent / "bin" / "spark-submit"), "--master", "local[2]"]
    command += ["--conf", f"spark.connect.grpc.binding.port={port}", "--conf", "spark.ui.enabled=false"]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    env = place.environment | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    with (tmp_path / "connect.log").open("wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        wait(lambda: "Spark Connect server started" in (tmp_path / "connect.log").read_text())
        # no Java on this side
        ran = place.refresh("--engine", "spark", MEETLAT_SPARK=f"sc://127.0.0.1:{port}", JAVA_HOME="/nowhere")
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert not ran.stderr
    assert_the_same(place, built)


def test_java_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    assert not spark._java()
    monkeypatch.delenv("JAVA_HOME")
    assert spark._java() == (shutil.which("java") is not None)
