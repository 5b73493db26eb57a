"""All five monitors in one raw folder, with one ledger.

python -m pipelines.samples.all TO [RATINGS [SEED]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.samples import integron, klantcontact, klantgedrevenheid, ntt, rackspace
from pipelines.samples import ledger as ledgers


def write_all(to: Path, ratings: int = 420_000, seed: int = 2011) -> None:
    """Write all exports under `to`, and the ledger of what they truly hold to `to`/.ledger.

    `ratings` sizes the Klantcontact Monitor; the other monitors have one size.
    """
    ledger = ledgers.Ledger()
    klantcontact.write_sources(to, ratings, seed, ledger)
    for monitor in (integron, rackspace, ntt, klantgedrevenheid):
        monitor.write_sources(to, seed, ledger)
    ledgers.write(ledger, to / ".ledger")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]), *map(int, sys.argv[2:4]))
