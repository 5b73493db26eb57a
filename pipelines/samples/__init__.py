"""Synthetic samples: invented survey exports, each with a ledger of the truth they hold.

Nothing in here imports the pipeline: the samples are what the pipeline is tested against.
"""

from pathlib import Path


def write_all(to: Path, ratings: int = 420_000, seed: int = 2011) -> None:
    """Write the exports of all five monitors under `to`, and their ledger to `to`/.ledger."""
    from pipelines.samples import all  # what it needs is slow to import

    all.write_all(to, ratings, seed)
