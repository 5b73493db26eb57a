"""Damaged deliveries of every shape end in staged rows that balance, or in one sentence. See `fuzz.py`."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest
from fuzz import Watched, shapes

SEED = 1
CASES, SHARES = (2_000, 8) if os.environ.get("MEETLAT_TEST_FULL") else (40, 2)  # a share is a test of its own


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Watched(SEED) as watched:
        yield watched


@pytest.mark.parametrize("share", range(SHARES))
def test_a_damaged_delivery_is_staged_or_refused_in_a_sentence(watched: Watched, share: int) -> None:
    results = [watched.try_(number) for number in range(share * CASES // SHARES, (share + 1) * CASES // SHARES)]
    faulty = [str(result) for result in results if result.faults]
    assert not faulty, f"{len(faulty)} of {len(results)} cases\n\n" + "\n\n".join(faulty)

    # damage that refuses everything, or nothing, tries nothing
    staged = sum(result.came == "staged" for result in results)
    assert 0.2 < staged / len(results) < 0.9
    seen = Counter(result.shape for result in results)
    assert set(seen) == {shape.name for shape in shapes()}


HANGS, EATS, DIES, WORKS = range(4)


def troubled(pipe: Connection, seed: int) -> None:
    """Takes the place of staging: every number is another trouble."""
    pipe.send("ready")
    while (number := pipe.recv()) is not None:
        pipe.send(("a shape", ["some damage"]))
        held = []
        while number == HANGS:
            time.sleep(1)
        while number == EATS:
            held.append(b"x" * (8 << 20))
            time.sleep(0.01)
        if number == DIES:
            os._exit(7)
        pipe.send(("staged", [], 0.1, 0))


def test_the_watch_ends_what_hangs_eats_or_dies() -> None:
    with Watched(SEED, troubled, seconds=10, memory=600 << 20) as watched:
        results = [watched.try_(number) for number in (HANGS, WORKS, EATS, WORKS, DIES, WORKS)]
        assert watched.process.is_alive()
    assert [result.faults for result in results] == [
        ["not done after 10 s"], [], ["held more than 0.6 GiB"], [], ["the process died with 7"], [],
    ]  # fmt: skip
    assert watched.process is None
