"""Promise: the ledger's file holds every id that the venue will not take any more."""

import json

import numpy as np

from gm import layout
from gm.venue.ledger import write_ledger


class Books:
    """A ledger that has buried a range, as after a loss of power, and one id alone."""

    def totals(self):
        return np.zeros(1, layout.LEDGER_TOTALS)

    def orders(self):
        return np.zeros(0, layout.LEDGER_ORDER)

    def executions(self):
        return np.zeros(0, layout.EXECUTION)

    def tombstones(self):
        return np.array([(7, 3, 9)], layout.ORDER_ID)

    def buried_ranges(self):
        return np.array([((7, 1, 5), 65_536), ((7, 2, 1), 1)], layout.BURIED_RANGE)


def test_buried_ranges_are_written_beside_the_tombstones(tmp_path) -> None:
    path = write_ledger(Books(), tmp_path, seed=3)
    ledger = json.loads(path.read_bytes())
    assert ledger["tombstones"] == [[7, 3, 9]]
    assert ledger["buried_ranges"] == [[7, 1, 5, 65_536], [7, 2, 1, 1]]
