"""A reader in a process of its own, for a library that a damaged file can crash.

The process gets its request as JSON and answers through a pipe, in frames: a byte that says what
follows, and that. Whatever becomes of it, the process that asked goes on.
"""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines.errors import DeliveryRefused

GIVEN, REFUSED, FAILED, DONE = b"g", b"r", b"f", b"d"


@contextmanager
def asking(module: str, request: Any, path: Path) -> Iterator[Iterator[bytes]]:
    """Have `module` answer in a process of its own, that ends with the body. Gives the answer piece by piece."""
    ours, theirs = Pipe(duplex=False)
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), json.dumps(request)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            yield _pieces(ours, path)
        finally:
            process.kill()
            process.wait()


def _pieces(pipe: Connection, path: Path) -> Iterator[bytes]:
    while True:
        try:
            frame = pipe.recv_bytes()
        except (EOFError, OSError):  # it died, maybe amid a frame
            raise DeliveryRefused(f"{path.name} is damaged so that reading it fails; have it exported again.") from None
        kind, content = frame[:1], frame[1:]
        if kind == REFUSED:
            raise DeliveryRefused(content.decode())
        if kind == FAILED:  # a fault of ours, not of the file
            raise RuntimeError(content.decode())
        if kind == DONE:
            return
        yield content


def answer(give: Callable[[Any], Iterator[bytes]]) -> None:
    """What the module does when it is run: `give` gives the answer to a request."""
    with Connection(int(sys.argv[1]), readable=False) as pipe:
        try:
            for piece in give(json.loads(sys.argv[2])):
                pipe.send_bytes(GIVEN + piece)
            pipe.send_bytes(DONE)
        except BrokenPipeError:  # nobody listens any more
            return
        except DeliveryRefused as refused:
            pipe.send_bytes(REFUSED + str(refused).encode())
        except Exception:
            pipe.send_bytes(FAILED + traceback.format_exc().encode())
