"""What is made per delivery, made by the executors of Spark: Spark distributes, DuckDB computes.

Before an ordinary refresh goes its way, the executors make the parts that it would make of single deliveries, with the
same code, and put them where it looks for them. All else is left to it: what the deliveries of a source have to do
with each other, the tables after the cube, the release; and also what an executor refused or found wrong, so that
it is said in one way only.

Folders are shared by all machines, at the same paths; or files go through an exchange (`exchange.py`). Only numbers of
tasks and sentences pass through Spark. What the numbers mean stands in a file. The key and the register of the erased
are read by the executors themselves, from the state folder or MEETLAT_KEY.
"""

import functools
import io
import os
import pickle
import shutil
import socket
import sys
import time
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pipelines import erasure, exchange, plan, privacy, settings, staging
from pipelines.deliveries import Delivery
from pipelines.errors import MeetlatError, writing
from pipelines.exchange import Exchange, Mirror
from pipelines.models import CheckFailed
from pipelines.parts import JSON, Part, flush
from pipelines.plan import Build, Inputs, Source, Task
from pipelines.settings import Settings

Tasks = Sequence[Task]
Lists = Mapping[str, Part | None]  # by source, which responses were replaced
Step = Literal["look", "judge", "stage", "count"]
STEPS: dict[Step, Callable[..., object]] = {"judge": Build.judged, "stage": Build.staged, "count": Build.of_delivery}
LAYER = {"judge": "staged", "stage": "staged", "count": "cube"}  # under which the seconds are told
LEFT = "left"  # said by a task whose part the driver is to make, or to refuse
MEMORY = "1GiB"  # of the engine in one task, unless MEETLAT_MEMORY of the executor says otherwise
READS = ("judge", "stage")  # steps that read deliveries
FIRST = 600.0  # seconds in which some executor must have come
SEEN = 90.0  # seconds in which the driver must see what an executor wrote
PORTS = {"spark": 7077, "sc": 15002}


@dataclass(frozen=True)
class Job:
    """What the numbers of the tasks mean. Neither the key nor the register of the erased is in it."""

    step: Step
    inputs: Inputs
    superseded: Lists
    tasks: list[tuple[Any, ...]]  # source, place among its deliveries, and what else stands in the key
    key: str  # fingerprint
    erasures: dict[str, str]


def make(build: Build) -> None:
    """Have the executors of MEETLAT_SPARK make what is missing of every delivery.

    Raises MeetlatError if Spark cannot be used, or a machine of it cannot do its part.
    """
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas 3, which is not used
        opened: list[Any] = []
        shared: Exchange | None = None

        def session() -> Any:
            nonlocal shared
            if not opened:
                build.report("starting Spark")
                if build.settings.exchange:
                    shared = stack.enter_context(exchange.begun(build.settings))
                opened.append(stack.enter_context(_session(build.settings)))
                _run(build, opened[0], shared, "look", [], {})
            return opened[0]

        def distribute(step: Step, keys: Tasks, lists: Lists) -> None:
            if not (todo := build.unmade(keys, STEPS[step], lists)):
                return
            spark, clock = session(), time.perf_counter()
            build.report(f"{len(todo)} {'shares' if step == 'judge' else 'deliveries'} on Spark: {step}")
            _run(build, spark, shared, step, sorted(todo, key=lambda key: -_size(key[1])), lists)
            build.made.append((LAYER[step], clock, time.perf_counter()))

        every = [(s, d) for s in build.inputs.sources.values() for d in s.deliveries if d.path.exists()]
        distribute("judge", _shares(build.unmade(every, Build.staged, {}), session), {})
        distribute("stage", every, {})
        keys: Tasks = []
        for model in build.inputs.models.values():
            keys = build.delivered(model) if model.per_delivery else keys
        distribute("count", keys, {name: build.superseded(source) for name, source in build.inputs.sources.items()})


def _shares(keys: Tasks, session: Callable[[], Any]) -> Tasks:
    """The shares of those deliveries for which all others would wait if a single task judged them."""
    divided = []
    for source, delivery in keys:
        with suppress(FileNotFoundError):  # what is gone meanwhile is refused later
            if delivery.refused is None and (n := staging.n_shares(delivery, source.contract)) > 1:
                divided.append((source, delivery, n))
    if not divided:
        return []
    at_once = len(session().range(1 << 10).mapInArrow(_one, "n bigint").collect())
    fair = sum(_size(d) for _, d in keys) / at_once
    return [(s, d, first, n) for s, d, n in divided if _size(d) > fair for first in range(n)]


def _one(batches: Iterator[Any]) -> Iterator[Any]:
    """A row of each task of a range that Spark divides as it likes: into as many as it has cores, if nothing is set."""
    import pyarrow as pa

    for _ in batches:
        pass
    yield pa.RecordBatch.from_arrays([pa.array([1], pa.int64())], ["n"])


def _size(delivery: Delivery) -> int:
    with suppress(OSError):
        return delivery.path.stat().st_size
    return 0


# --- the driver ----------------------------------------------------------------------------------


def _run(build: Build, spark: Any, shared: Exchange | None, step: Step, todo: Tasks, lists: Lists) -> None:
    """Have one step of these deliveries done; the large ones first. Only to look whether executors can, without any."""
    inputs = build.inputs
    places = {delivery.path: place for s in inputs.sources.values() for place, delivery in enumerate(s.deliveries)}
    tasks = [(source.name, places[delivery.path], *share) for source, delivery, *share in todo]
    job = Job(
        step,
        replace(inputs, key=b"", erased={}, settings=replace(inputs.settings, notify=None)),  # nor a password
        lists,
        tasks,
        privacy.fingerprint(inputs.key),
        inputs.erasures,
    )
    n = len(tasks) or 16
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        content = pickle.dumps(_stamp()) + pickle.dumps(job)
        if shared is None:
            place = stack.enter_context(_beside_parts(build, content))
        else:
            _bring(build, shared, step, todo, lists)
            shared.write(step, content)
            place = f"{shared.url}/{step}"
        frame = spark.range(0, n, 1, n).mapInArrow(functools.partial(_work, place), "number bigint, said string")
        asked = pool.submit(frame.collect)
        try:
            said = {row["number"]: row["said"] for row in asked.result(FIRST if step == "look" else None)}
        except TimeoutError:
            spark.stop()
            raise MeetlatError(
                f"Spark gave no executor within {FIRST / 60:.0f} minutes: its machines are busy, too small for what an "
                f"executor asks, or none is there. {_log(build.settings)}"
            ) from None
        except Exception as error:
            raise MeetlatError(
                f"The executors of Spark could not do their tasks ({type(error).__name__}). Each needs this version of "
                "Python with the same Meetlat installed (PYSPARK_PYTHON names the interpreter), and memory enough. "
                f"{_log(build.settings)}"
            ) from None
        except BaseException:  # do not wait for the tasks of a refresh that is given up
            spark.stop()
            raise
    if faults := sorted({sentence for sentence in said.values() if sentence and sentence != LEFT}):
        raise MeetlatError("\n".join(faults[:5]))
    if shared is None:
        _see(build, step, [key for number, key in enumerate(todo) if said[number] is None], lists)
    elif step != "judge":  # shares are for the executors only
        missing = [part for part in shared.parts() if not part[0].startswith("judged.") and not build.store.find(*part)]
        with writing(build.store.folder):
            shared.each(lambda part: shared.fetch_part(build.store, *part), missing)


@contextmanager
def _beside_parts(build: Build, content: bytes) -> Iterator[str]:
    """The file of a job where all machines see it, as long as it lasts."""
    folder = build.store.folder / ".aside" / f"spark-{uuid.uuid4().hex[:8]}"
    with writing(folder):
        folder.mkdir(parents=True)
        file = folder / "job"
        file.touch(0o600)
        file.write_bytes(content)
        flush(file)
    try:
        yield str(file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bring(build: Build, shared: Exchange, step: Step, todo: Tasks, lists: Lists) -> None:
    """Bring what a step reads, as far as it is not there."""
    if step in READS:
        for delivery in {
            delivery.sha256: delivery for _, delivery, *_ in todo
        }.values():  # one at a time: they are large
            with suppress(FileNotFoundError):  # what is gone meanwhile is refused later
                shared.bring_delivery(delivery)
    else:
        parts = [build.staged(source, delivery) for source, delivery in todo]
        parts += [lists[name] for name in {source.name for source, _ in todo}]
        shared.each(shared.bring_part, [part for part in parts if part is not None])


def _see(build: Build, step: Step, made: Tasks, lists: Lists) -> None:
    """Wait until what others made is seen here: a network file system may be late."""
    until = time.monotonic() + SEEN
    while made and (unseen := build.unmade(made, STEPS[step], lists)):
        if time.monotonic() > until:
            raise MeetlatError(
                f"Spark made parts of {unseen[0][1].path.name}, but they are not in {build.store.folder}: its machines "
                "write to another folder of that name. MEETLAT_WAREHOUSE must be storage that all of them share."
            )
        time.sleep(1)


@contextmanager
def _session(settings: Settings) -> Iterator[Any]:
    """A session on MEETLAT_SPARK. What Spark has to say goes to a log in the state folder."""
    master = settings.spark or ""
    kind = master.partition("://")[0].partition("[")[0]
    if kind not in ("local", "spark", "yarn", "k8s", "sc"):
        raise MeetlatError(
            f"MEETLAT_SPARK is '{master}'; set it to where Spark is: local[2], spark://host:7077, yarn, k8s://..., or "
            "sc://host:15002 for Spark Connect."
        )
    try:
        import pyspark  # noqa: F401
    except ImportError:
        raise MeetlatError(
            "`--engine spark` needs PySpark; run `pip install -c constraints.txt -e '.[spark]'`."
        ) from None
    if kind in PORTS:
        _reach(master, PORTS[kind])
    if kind != "sc" and not _java():
        raise MeetlatError(
            "Spark needs Java 17 or later, and there is none; install it (Debian: openjdk-17-jre-headless) or set "
            "JAVA_HOME."
        )
    with ExitStack() as stack:
        try:
            yield _connected(master, stack) if kind == "sc" else _started(settings, master, stack)
        except (MeetlatError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise MeetlatError(f"Spark cannot be used at {master} ({type(error).__name__}). {_log(settings)}") from None


def _connected(master: str, stack: ExitStack) -> Any:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.remote(master).getOrCreate()
    stack.callback(spark.stop)
    return spark


def _started(settings: Settings, master: str, stack: ExitStack) -> Any:
    """A session with a driver of its own, whose Java ends with it. All else stands in spark-defaults.conf."""
    from pyspark import SparkConf, SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    conf = SparkConf().setMaster(master).setAppName("meetlat")
    conf.set("spark.ui.enabled", "false").set("spark.ui.showConsoleProgress", "false")
    _log_file(settings).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _log_file(settings).open("w") as log:
        gateway = launch_gateway(conf, {"stdout": log, "stderr": log})

    def end() -> None:
        with suppress(Exception):
            gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()

    stack.callback(end)
    context = SparkContext(gateway=gateway, conf=conf)
    stack.callback(context.stop)
    if context.getConf().contains("spark.executorEnv.MEETLAT_KEY"):
        raise MeetlatError(
            "spark.executorEnv.MEETLAT_KEY shows the key in Spark's logs and pages. Remove it, and give the executors "
            "the state folder, or MEETLAT_KEY in the environment of their machines."
        )
    return SparkSession(context)


def _java() -> bool:
    home = os.environ.get("JAVA_HOME")
    return shutil.which(str(Path(home) / "bin" / "java") if home else "java") is not None


def _reach(master: str, port: int) -> None:
    """Raises MeetlatError if none of the machines that `scheme://host:port,host:port/` names answers."""
    for address in master.partition("://")[2].partition("/")[0].split(","):
        host, _, own = address.partition(":")
        with suppress(OSError, ValueError), socket.create_connection((host, int(own or port)), timeout=10):
            return
    raise MeetlatError(f"Nothing answers at {master}; start Spark there, or set MEETLAT_SPARK to where it is.")


def _log_file(settings: Settings) -> Path:
    return settings.state / "logs" / "spark.log"


def _log(settings: Settings) -> str:
    file = _log_file(settings)
    return f"What Spark said stands in {file}." if file.exists() else "Spark Connect keeps its log at the server."


# --- an executor ---------------------------------------------------------------------------------


def _work(file: str, batches: Iterator[Any]) -> Iterator[Any]:
    """Do tasks by their number; what each has to say."""
    import pyarrow as pa
    from pyspark import TaskContext

    context = TaskContext.get()
    cpus = context.cpus() if context else 1
    for batch in batches:
        numbers = batch.column(0)
        said = [_outcome(file, number, cpus) for number in numbers.to_pylist()]
        yield pa.RecordBatch.from_arrays([numbers, pa.array(said, pa.string())], ["number", "said"])


def _outcome(file: str, number: int, cpus: int) -> str | None:
    """Do one task. A sentence if this machine cannot.

    No exception leaves here: Spark would write its text to a log, and the engine's may quote a row.
    """
    try:
        return _do(file, number, cpus)
    except CheckFailed:
        return LEFT
    except MeetlatError as error:
        return f"On {socket.gethostname()}: {error}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        return f"On {socket.gethostname()}: this is a fault in Meetlat ({what}), not in your data; please report it."


def _do(file: str, number: int, cpus: int) -> str | None:
    shared = Exchange(file.rpartition("/")[0]) if "://" in file else None
    if shared is None and not Path(file).exists():  # also where the driver is gone and another refresh has begun
        raise MeetlatError(
            f"{file} is not there. MEETLAT_RAW, MEETLAT_WAREHOUSE and MEETLAT_STATE must be storage that all machines "
            "of Spark share, at the same paths; or set MEETLAT_EXCHANGE."
        )
    job, inputs = _opened(file, cpus)
    if job.step == "look":
        return None
    name, place, *share = job.tasks[number]
    source = inputs.sources[name]
    delivery = source.deliveries[place]
    with ExitStack() as stack:
        build = Build(inputs, superseded=job.superseded)
        if shared is not None:
            if job.step in READS and not shared.has(f"raw/{delivery.sha256}"):
                return LEFT
            build, delivery = stack.enter_context(_fetched(shared, job, inputs, source, delivery))
        elif job.step in READS and not delivery.path.exists():
            raise MeetlatError(f"{delivery.path} is not there; MEETLAT_RAW must be storage that all machines share.")
        STEPS[job.step](build, source, delivery, *share)
        return LEFT if delivery.path in build.refused else None


@contextmanager
def _fetched(
    shared: Exchange, job: Job, inputs: Inputs, source: Source, delivery: Delivery
) -> Iterator[tuple[Build, Delivery]]:
    """A build whose parts come from the exchange, and what the task reads of a delivery. Nothing of it stays here."""
    own = inputs.settings.warehouse
    with writing(own), _emptied(own):
        store = Mirror(own / "parts", shared)
        lists = job.superseded.get(source.name)
        known: dict[str, Part | None] = {}
        if lists is not None:
            known[source.name] = shared.fetch_part(store.here, lists.name, lists.hash, f"{delivery.id}.")
        if job.step in READS:
            (own / "raw").mkdir()
            delivery = replace(delivery, path=shared.fetch_delivery(delivery, own / "raw"))
        yield Build(inputs, superseded=known, store=store), delivery


@contextmanager
def _emptied(room: Path) -> Iterator[None]:
    """Leave nothing there of a task but the folder where engines spill that are kept."""
    try:
        yield
    finally:
        for folder in [room / "raw", *(room / "parts").glob("[!.]*")]:
            shutil.rmtree(folder, ignore_errors=True)


@functools.lru_cache(maxsize=1)
def _opened(file: str, cpus: int) -> tuple[Job, Inputs]:
    """The job, with the inputs of this process. Raises MeetlatError if this machine would make something else."""
    shared, _, name = file.rpartition("/")
    content = Exchange(shared).read(name) if "://" in file else Path(file).read_bytes()
    document = io.BytesIO(content)
    if pickle.load(document) != _stamp():
        raise MeetlatError("Meetlat, Python or a library is of another version than on the driver; install the same.")
    job: Job = pickle.load(document)
    here = job.inputs.settings
    if "://" in file:
        here = replace(here, warehouse=exchange.room(), state=settings.load().state)
    key = privacy.load_key(here.state, make=False)
    erased = erasure.load(here, {name: source.contract for name, source in job.inputs.sources.items()})
    own = replace(here, threads=cpus, memory=os.environ.get("MEETLAT_MEMORY") or MEMORY)
    inputs = replace(job.inputs, settings=own, key=key, erased=erased)
    if privacy.fingerprint(key) != job.key or inputs.erasures != job.erasures:
        raise MeetlatError(
            f"The key or the register of the erased is another one than the driver's; {here.state} must hold the same "
            "on all machines of Spark, and MEETLAT_KEY be the same on all or on none."
        )
    return job, inputs


def _stamp() -> JSON:
    """What must be the same on all machines for the same bytes, and for this file to be understood."""
    return {
        "python": sys.version_info[:2],
        "code": plan.code(*plan.RELEASE_CODE, "parts", "exchange", "spark"),
        "versions": plan.versions(plan.RELEASE_LIBRARIES),
    }
