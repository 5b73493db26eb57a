"""Damaged deliveries of every shape end in staged rows that balance, or in one sentence. See `fuzz.py`."""

import os
from collections import Counter

import pytest
from fuzz import fuzz, shapes

SEED = 1
SHARES = 4  # of the cases, each a test of its own: the workers of a session share them
CASES = 2_000 if os.environ.get("MEETLAT_TEST_FULL") else 200


@pytest.mark.xfail(strict=False, reason="it still finds faults in the readers: work in progress")
@pytest.mark.parametrize("share", range(SHARES))
def test_a_damaged_delivery_is_staged_or_refused_in_a_sentence(share: int) -> None:
    results = list(fuzz(SEED, range(share * CASES // SHARES, (share + 1) * CASES // SHARES)))
    faulty = [str(result) for result in results if result.faults]
    assert not faulty, f"{len(faulty)} of {len(results)} cases\n\n" + "\n\n".join(faulty)

    # damage that refuses everything, or nothing, tries nothing
    staged = sum(result.came == "staged" for result in results)
    assert 0.2 < staged / len(results) < 0.9
    seen = Counter(result.shape for result in results)
    assert set(seen) == {shape.name for shape in shapes()}
