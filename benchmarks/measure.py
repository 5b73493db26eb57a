"""One piece of work in a process of its own: seconds, CPU seconds and the most memory that it held.

Of `here` and `apart` starting Python and importing are not counted, on either side; `whole` measures a command from
beginning to end, with the processes that it starts.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.settings import PROJECT


@dataclass(frozen=True)
class Measured:
    wall: float
    cpu: float
    memory: int  # bytes
    rows: int  # answers that were written


def here(work: Callable[[], int]) -> Measured:
    """Do the work and measure it; `work` gives the number of answers that it wrote."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    rows = work()
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(wall, cpu, _most(after), rows)


def _most(usage: resource.struct_rusage) -> int:
    """The most bytes that this process ever held. On Linux `ru_maxrss` also knows the parent before `exec`."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def apart(module: str, *args: str) -> Measured:
    """The same in a new process: `python -m module args`, which prints what it measured."""
    return Measured(**told(module, *args))


def told(module: str, *args: str) -> dict[str, Any]:
    """What a new process, `python -m module args`, prints as JSON in its last line."""
    ran = subprocess.run(
        [sys.executable, "-m", module, *args], cwd=PROJECT, env=environment(), stdout=subprocess.PIPE, check=True
    )
    document: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return document


def whole(command: list[str], environment: dict[str, str], output: Path) -> Measured:
    """A command with everything that it starts; what it says goes to `output`. Raises SystemExit where it fails.

    The memory is the most that its processes held together, seen ten times a second. Its `rows` are 0.
    """
    began = time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        ended = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            watched = pool.submit(_watch, process.pid, ended)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            ended.set()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.read_text()[-4000:]}")
    memory = watched.result() or usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Measured(wall, usage.ru_utime + usage.ru_stime, memory, 0)


def _watch(session: int, ended: threading.Event) -> int:
    """The most bytes that the processes of a session held together; 0 where the system does not tell."""
    most = 0
    while not ended.wait(0.1):
        held = 0
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                if os.getsid(int(status.parent.name)) == session:
                    told = dict(line.split(":", 1) for line in status.read_text().splitlines())
                    held += int(told.get("VmRSS", "0 kB").split()[0]) * 1024
                    most = max(most, int(told.get("VmHWM", "0 kB").split()[0]) * 1024)
        most = max(most, held)
    return most


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def median(done: list[Measured]) -> Measured:
    """Of each number its own median; for an even count the lower one."""
    middle = (len(done) - 1) // 2
    return Measured(
        sorted(one.wall for one in done)[middle],
        sorted(one.cpu for one in done)[middle],
        sorted(one.memory for one in done)[middle],
        done[0].rows,
    )


def tell(measured: Measured) -> None:
    print(json.dumps(asdict(measured)))


def environment() -> dict[str, str]:
    """What decides the speed is the default, whatever is set outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MEETLAT_")}
