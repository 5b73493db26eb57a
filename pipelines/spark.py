"""What is made per delivery, made by the executors of Spark: Spark distributes, DuckDB computes.

Before an ordinary refresh goes its way, the executors make the parts that it would make of single deliveries, with the
same code, and put them where it looks for them. All else is left to it: what the deliveries of a source have to do
with each other, the tables after the cube, the release; and also what an executor refused or found wrong, so that
it is said in one way only.

Folders are shared by all machines, at the same paths. Only numbers of tasks and sentences pass through Spark. What the
numbers mean stands in a file beside the parts; the key and the register of the erased are read by the executors
themselves, from the state folder or MEETLAT_KEY.
"""

import functools
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

from pipelines import erasure, plan, privacy
from pipelines.deliveries import Delivery
from pipelines.errors import MeetlatError, writing
from pipelines.models import CheckFailed
from pipelines.parts import JSON, Part, flush
from pipelines.plan import Build, Inputs, Source
from pipelines.settings import Settings

Keys = Sequence[tuple[Source, Delivery]]
Lists = Mapping[str, Part | None]  # by source, which responses were replaced
Step = Literal["look", "stage", "count"]
STEPS: dict[Step, Callable[[Build, Source, Delivery], object]] = {"stage": Build.staged, "count": Build.of_delivery}
LAYER = {"stage": "staged", "count": "cube"}  # under which the seconds are told
LEFT = "left"  # said by a task whose part the driver is to make, or to refuse
MEMORY = "1GiB"  # of the engine in one task, unless MEETLAT_MEMORY of the executor says otherwise
FIRST = 600.0  # seconds in which some executor must have come
SEEN = 90.0  # seconds in which the driver must see what an executor wrote
PORTS = {"spark": 7077, "sc": 15002}


@dataclass(frozen=True)
class Job:
    """What the numbers of the tasks mean. Neither the key nor the register of the erased is in it."""

    step: Step
    inputs: Inputs
    superseded: Lists
    tasks: list[tuple[str, int]]  # source, place among its deliveries
    key: str  # fingerprint
    erasures: dict[str, str]


def make(build: Build) -> None:
    """Have the executors of MEETLAT_SPARK make what is missing of every delivery.

    Raises MeetlatError if Spark cannot be used, or a machine of it cannot do its part.
    """
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of pandas 3, which is not used
        opened: list[Any] = []

        def distribute(step: Step, keys: Keys, lists: Lists) -> None:
            if not (todo := build.unmade(keys, STEPS[step], lists)):
                return
            if not opened:
                build.report("starting Spark")
                opened.append(stack.enter_context(_session(build.settings)))
                _run(build, opened[0], "look", [], {})
            clock = time.perf_counter()
            build.report(f"{len(todo)} deliveries on Spark: {step}")
            _run(build, opened[0], step, sorted(todo, key=lambda key: -_size(key[1])), lists)
            build.made.append((LAYER[step], clock, time.perf_counter()))

        every = [(s, d) for s in build.inputs.sources.values() for d in s.deliveries]
        distribute("stage", [(s, d) for s, d in every if d.path.exists()], {})
        keys: Keys = []
        for model in build.inputs.models.values():
            keys = build.delivered(model) if model.per_delivery else keys
        distribute("count", keys, {name: build.superseded(source) for name, source in build.inputs.sources.items()})


def _size(delivery: Delivery) -> int:
    with suppress(OSError):
        return delivery.path.stat().st_size
    return 0


# --- the driver ----------------------------------------------------------------------------------


def _run(build: Build, spark: Any, step: Step, todo: Keys, lists: Lists) -> None:
    """Have one step of these deliveries done; the large ones first. Only to look whether executors can, without any."""
    folder = build.store.folder / ".aside" / f"spark-{uuid.uuid4().hex[:8]}"
    inputs = build.inputs
    places = {delivery.path: place for s in inputs.sources.values() for place, delivery in enumerate(s.deliveries)}
    tasks = [(source.name, places[delivery.path]) for source, delivery in todo]
    job = Job(
        step,
        replace(inputs, key=b"", erased={}),
        lists,
        tasks,
        privacy.fingerprint(inputs.key),
        inputs.erasures,
    )
    with writing(folder):
        folder.mkdir(parents=True)
        file = folder / "job"
        file.touch(0o600)
        file.write_bytes(pickle.dumps(_stamp()) + pickle.dumps(job))
        flush(file)
    n = len(tasks) or 16
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        frame = spark.range(0, n, 1, n).mapInArrow(functools.partial(_work, str(file)), "number bigint, said string")
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
    _see(build, step, [key for number, key in enumerate(todo) if said[number] is None], lists)


def _see(build: Build, step: Step, made: Keys, lists: Lists) -> None:
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
    if not Path(file).exists():  # also where the driver is gone and another refresh has begun
        raise MeetlatError(
            f"{file} is not there. MEETLAT_RAW, MEETLAT_WAREHOUSE and MEETLAT_STATE must be storage that all machines "
            "of Spark share, at the same paths."
        )
    job, build = _opened(file, cpus)
    if job.step == "look":
        return None
    name, place = job.tasks[number]
    source = build.inputs.sources[name]
    delivery = source.deliveries[place]
    if job.step == "stage" and not delivery.path.exists():
        raise MeetlatError(f"{delivery.path} is not there; MEETLAT_RAW must be storage that all machines share.")
    STEPS[job.step](build, source, delivery)
    return LEFT if delivery.path in build.refused else None


@functools.lru_cache(maxsize=1)
def _opened(file: str, cpus: int) -> tuple[Job, Build]:
    """The job, with a build of this process. Raises MeetlatError if this machine would make something else."""
    with Path(file).open("rb") as document:
        if pickle.load(document) != _stamp():
            raise MeetlatError(
                "Meetlat, Python or a library is of another version than on the driver; install the same."
            )
        job: Job = pickle.load(document)
    here = job.inputs.settings
    key = privacy.load_key(here.state, make=False)
    erased = erasure.load(here, {name: source.contract for name, source in job.inputs.sources.items()})
    own = replace(here, threads=cpus, memory=os.environ.get("MEETLAT_MEMORY") or MEMORY)
    inputs = replace(job.inputs, settings=own, key=key, erased=erased)
    if privacy.fingerprint(key) != job.key or inputs.erasures != job.erasures:
        raise MeetlatError(
            f"The key or the register of the erased is another one than the driver's; {here.state} must be shared by "
            "all machines of Spark, and MEETLAT_KEY be the same on all or on none."
        )
    return job, Build(inputs, superseded=job.superseded)


def _stamp() -> JSON:
    """What must be the same on all machines for the same bytes, and for this file to be understood."""
    return {
        "python": sys.version_info[:2],
        "code": plan.code(*plan.RELEASE_CODE, "spark"),
        "versions": plan.versions(plan.RELEASE_LIBRARIES),
    }
