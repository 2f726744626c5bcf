"""Promise: an order leads to the newest decision of its instrument that acts and wants it."""

from pathlib import Path

import numpy as np
import pytest

from gm.explain.trail import Trail, decision_of, find_order, read_trail, sequence_of
from gm.layout import Action, RecordType

from ..store.journals import journal_of, write_slots

LONG, NEUTRAL, SHORT = Action


def decision(action: Action, acts: int = 1, instrument: int = 0) -> tuple[RecordType, dict]:
    return RecordType.DECISION, {"action": action, "acts": acts, "instrument": instrument}


INTENT = (RecordType.INTENT, {"side": 0, "quantity_lots": 10, "id": (1, 1, 7)})


def trail_of(*steps: tuple[RecordType, dict]) -> Trail:
    """One record a step, numbered from 1."""
    slots = journal_of(*steps)
    slots["trailer"]["input_sequence"] = np.arange(len(slots))
    return Trail(run_dir=Path(), slots=slots, last_sequence=len(slots), fault="")


@pytest.mark.parametrize(
    ("steps", "wanted", "found"),
    [
        ((decision(LONG), decision(LONG)), 10, 2),  # of two that agree the newer
        ((decision(LONG), decision(SHORT, acts=0)), 10, 1),  # it held: the older target stands
        ((decision(LONG), decision(LONG, instrument=1)), 10, 1),  # another instrument's
        ((decision(LONG), decision(SHORT)), 10, 1),  # the newer went against it
        ((decision(LONG), decision(SHORT)), -10, 2),
        ((decision(NEUTRAL), decision(SHORT)), 10, None),
    ],
)
def test_the_newest_that_acts_and_wants_it(steps: tuple, wanted: int, found: int | None) -> None:
    trail = trail_of(*steps, INTENT, decision(LONG))  # what comes after it counts for nothing
    slot = decision_of(trail, find_order(trail, "1-1-7"), wanted)
    assert (None if slot is None else sequence_of(slot)) == found


def test_what_was_read_before_a_fault_is_kept_with_it(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    write_slots(tmp_path / "whole", journal_of(*[decision(LONG)] * 5, INTENT))
    found = read_trail(tmp_path / "whole")
    assert (len(found.slots), found.last_sequence, found.fault) == (6, 6, "")
    path = next((tmp_path / "whole" / "journal").glob("segment-*.gmj"))
    raw = bytearray(path.read_bytes())
    raw[128 * 2 + 50] ^= 1  # the second record; whole ones follow it
    path.write_bytes(raw)
    damaged = read_trail(tmp_path / "whole")
    assert damaged.fault
    assert damaged.last_sequence < 6
