"""From the name of an order to what caused it, by the journal alone.

An order, sent or refused by the gate, is an output of a step; the decision that wanted it is an
output of the same step. Where the target position is older than that step, the decision that set
it stands in an earlier one.
"""

import re
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm._native.journal import JournalReader
from gm.config.run_dir import JOURNAL_FOLDER
from gm.errors import JournalCorrupt, UnknownOrder, UsageError
from gm.layout import PAYLOADS, SLOT, RecordType
from gm.store.recorder import order_id
from gm.store.verify import verify_journal

Slots = NDArray[np.void]
NAMES = "an id such as 1-1-7, a number from 1, last, or @ and a journal sequence"
_BATCH = 65_536
_ORDERS = (RecordType.INTENT, RecordType.REFUSAL)
_DECISIONS = (RecordType.DECISION, RecordType.SHADOW_DECISION)
_KEPT = (
    *_ORDERS,
    *_DECISIONS,
    RecordType.TACTICAL_DECISION,
    RecordType.POSITION,
    RecordType.KERNEL_RESULT,
    RecordType.MODEL_UPDATE,
)


class Trail(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The records of a journal that say why there are orders, in journal order.

    ``fault``: what ended the journal early, empty if nothing did.
    """

    run_dir: Path
    slots: Slots
    last_sequence: int
    fault: str

    def of(self, *kinds: RecordType) -> Slots:
        """Records of these types."""
        return self.slots[np.isin(self.slots["header"]["type"], kinds)]

    def step(self, slot: np.void, *kinds: RecordType) -> Slots:
        """Records of these types that the same input caused, for the same instrument."""
        found = self.of(*kinds)
        found = found[found["trailer"]["input_sequence"] == slot["trailer"]["input_sequence"]]
        number = int(payload(slot)["instrument"])
        own: Slots = found[[int(payload(each)["instrument"]) == number for each in found]]
        return own


def read_trail(run_dir: Path) -> Trail:
    """Read a run's journal up to its end, or to where it is damaged.

    Raises
    ------
    CoreError
        If there is no journal that can be opened.
    """
    reader = JournalReader(str(run_dir / JOURNAL_FOLDER), checks_chain=False)
    parts, last, fault = [np.empty(0, SLOT)], 0, ""
    try:
        while len(slots := reader.read(_BATCH)) > 0:
            last = int(slots["trailer"]["journal_sequence"][-1])
            parts.append(slots[np.isin(slots["header"]["type"], _KEPT)])
    except JournalCorrupt as error:
        fault = str(error)
    return Trail(run_dir=run_dir, slots=np.concatenate(parts), last_sequence=last, fault=fault)


def payload(slot: np.void) -> np.void:
    """View the payload of a record as what its type says."""
    fields: np.void = slot["payload"].view(PAYLOADS[RecordType(slot["header"]["type"])])[0]
    return fields


def kind_of(slot: np.void) -> RecordType:
    """Type of a record."""
    return RecordType(slot["header"]["type"])


def sequence_of(slot: np.void) -> int:
    """Journal sequence of a record."""
    return int(slot["trailer"]["journal_sequence"])


def find_order(trail: Trail, name: str) -> np.void:
    """Find the record that a person means.

    Parameters
    ----------
    trail : Trail
        Of the run.
    name : str
        An id (installation-epoch-counter, as the database and ``gm report`` have it), the number
        of an order among those that passed the gate, from 1, ``last``, or ``@`` and the journal
        sequence of an order, a refusal or a decision.

    Returns
    -------
    record of layout.SLOT
        INTENT, REFUSAL, DECISION or SHADOW_DECISION.

    Raises
    ------
    UsageError
        If the name is none of these.
    UnknownOrder
        If the journal has no such order: says which it has, and whether it was cut.
    """
    found: list[np.void] = []
    if re.fullmatch(r"\d{1,20}-\d{1,20}-\d{1,20}", name):
        wanted = tuple(map(int, name.split("-")))
        found = [slot for slot in trail.of(*_ORDERS) if tuple(payload(slot)["id"].item()) == wanted]
    elif name == "last":
        found = list(trail.of(RecordType.INTENT)[-1:])
    elif re.fullmatch(r"\d{1,18}", name):
        found = list(trail.of(RecordType.INTENT)[int(name) - 1 : int(name)] if int(name) else ())
    elif re.fullmatch(r"@\d{1,18}", name):
        slots = trail.of(*_ORDERS, *_DECISIONS)
        found = list(slots[slots["trailer"]["journal_sequence"] == int(name[1:])])
    else:
        raise UsageError(f"ORDER must be {NAMES}: {name[:40]!r}")
    if not found:
        raise UnknownOrder(_unknown(trail, name))
    return found[0]


def decision_of(trail: Trail, order: np.void, wanted_lots: int) -> np.void | None:
    """Find the newest decision up to an order that acts and wants what the order wants.

    That is the step's own, unless another order was open when the target was set and this one goes
    on to it.

    Parameters
    ----------
    trail : Trail
        Of the run.
    order : record of layout.SLOT
        INTENT or REFUSAL.
    wanted_lots : int
        The order's target position. Of an order to 0 the negative of the position: to 0 lead
        decisions against the position that were not allowed to enter.

    Returns
    -------
    record of layout.SLOT, or None
        DECISION. None: no decision wanted it.
    """
    number = int(payload(order)["instrument"])
    slot: np.void
    for slot in reversed(trail.of(RecordType.DECISION)):
        values = payload(slot)
        direction = 1 - int(values["action"])
        is_its = int(values["instrument"]) == number and bool(values["acts"])
        if sequence_of(slot) < sequence_of(order) and is_its and direction * wanted_lots > 0:
            return slot
    return None


def timing_of(trail: Trail, order: np.void) -> np.void | None:
    """Find the tactical decision that timed an order: it enters, on the bar that the order names.

    A refusal does not say what wanted the order: there it must be of the same step.

    Parameters
    ----------
    trail : Trail
        Of the run.
    order : record of layout.SLOT
        INTENT or REFUSAL.

    Returns
    -------
    record of layout.SLOT, or None
        TACTICAL_DECISION. None: none of that bar and instrument enters.
    """
    wanted = payload(order)
    slot: np.void
    is_refused = kind_of(order) == RecordType.REFUSAL
    kind = RecordType.TACTICAL_DECISION
    for slot in reversed(trail.step(order, kind) if is_refused else trail.of(kind)):
        values = payload(slot)
        is_its = values["instrument"] == wanted["instrument"] and bool(values["enters"])
        if is_its and values["bar_start_ts_ns"] == wanted["decision_bar_start_ts_ns"]:
            return slot
    return None


def _unknown(trail: Trail, name: str) -> str:
    sent, refused = trail.of(RecordType.INTENT), trail.of(RecordType.REFUSAL)
    span = ""
    if len(sent) > 0:
        ids = [order_id(payload(slot)["id"]) for slot in (sent[0], sent[-1])]
        span = f", {ids[0]} to {ids[1]}"
    text = (
        f"{name}: no such order in {trail.run_dir}, whose journal of {trail.last_sequence:,} "
        f"records holds {len(sent):,} that passed the gate{span}, and {len(refused):,} that it "
        f"refused; ORDER is {NAMES}"
    )
    if trail.fault:
        return f"{text}; the journal is damaged behind that: {trail.fault}"
    anchored = verify_journal(trail.run_dir).anchored_sequence
    if anchored > trail.last_sequence:
        return f"{text}; the journal was cut: its anchor knows {anchored:,} records"
    return text
