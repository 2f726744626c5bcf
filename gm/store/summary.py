"""What a run did, counted from its journal: the figures that ``gm run --json`` prints."""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.errors import JournalCorrupt
from gm.layout import KernelPolicy, KernelStatus, QuarantineReason, RecordType
from gm.store.journal_tail import JournalTail
from gm.store.recorder import wide, word

Slots = NDArray[np.void]
# decision bar start, instrument, side, type, price_ticks, quantity_lots
_ORDER = struct.Struct("<q16sBBqq")
# Chain records alone make a read empty; so many in a row do not exist.
EMPTY_READS_MAX = 64


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Totals of one journal, summed over its instruments. Money in micro-units.

    ``positions`` tells the instruments apart; sums of money mean something in one currency only.
    ``adjusted_micros``: no fill explains it, two people have accepted it from the venue's books.
    ``kernels_quarantined``: kernel to the reason for which it is not called any more, and the
    policy that followed.
    """

    order_stream_sha256: str
    decisions: int
    tactical_decisions: int = 0
    orders: int
    fills: int
    round_trips: int
    refusals: dict[str, int]
    venue_rejects: int
    partial_fills: int
    realised_micros: int
    unrealised_micros: int
    commission_micros: int
    position_lots: int
    positions: dict[str, int]
    quarantined: dict[str, int]
    kernels_quarantined: dict[str, dict[str, str]] = {}
    adjusted_micros: int = 0


class SummaryCounter:
    """Counts records as they come, so that a run of any length needs little memory.

    Parameters
    ----------
    symbols : sequence of str
        Names of the instruments by their number on the wire.
    kernels : sequence of str
        Names of the user kernels by their row.
    """

    def __init__(self, symbols: Sequence[str], kernels: Sequence[str] = ()) -> None:
        self._symbols = tuple(symbols)
        self._kernels = tuple(kernels)
        self._kernels_quarantined: dict[str, dict[str, str]] = {}
        self._hash = hashlib.sha256()
        self._counts: dict[str, int] = dict.fromkeys(
            (
                "decisions",
                "tactical_decisions",
                "orders",
                "fills",
                "partial_fills",
                "venue_rejects",
            ),
            0,
        )
        self._refusals: dict[str, int] = {}
        self._quarantined: dict[str, int] = {}
        self._positions: dict[int, np.void] = {}
        self._adjusted_micros = 0

    def add(self, slots: Slots) -> None:
        """Count the next records of the journal, in journal order."""
        types = slots["header"]["type"]
        self._counts["decisions"] += int(np.count_nonzero(types == RecordType.DECISION))
        self._counts["tactical_decisions"] += int(
            np.count_nonzero(types == RecordType.TACTICAL_DECISION)
        )
        self._counts["venue_rejects"] += int(np.count_nonzero(types == RecordType.REJECT))
        for order in _payloads(slots, types, RecordType.INTENT, layout.NEW_ORDER):
            self._counts["orders"] += 1
            self._hash.update(self._order_bytes(order))
        for fill in _payloads(slots, types, RecordType.FILL, layout.FILL):
            self._counts["fills"] += 1
            self._counts["partial_fills"] += int(fill["leaves_lots"]) > 0
        for refusal in _payloads(slots, types, RecordType.REFUSAL, layout.REFUSAL):
            _count(self._refusals, f"R{int(refusal['code']):02d}")
        for position in _payloads(slots, types, RecordType.POSITION, layout.POSITION_UPDATE):
            self._positions[int(position["instrument"])] = position
        for record in _payloads(slots, types, RecordType.BOOKS_ADJUSTED, layout.BOOKS_ADJUSTED):
            self._adjusted_micros += wide(record, "adjusted_micros")
        self._count_quarantine(slots, types)
        self._note_kernels(slots, types)

    def result(self) -> Summary:
        """Give the totals so far."""
        return Summary(
            order_stream_sha256=self._hash.hexdigest(),
            refusals=dict(sorted(self._refusals.items())),
            quarantined=dict(sorted(self._quarantined.items())),
            kernels_quarantined=dict(self._kernels_quarantined),
            round_trips=self._total("round_trips"),
            realised_micros=self._total("realised_micros"),
            unrealised_micros=self._total("unrealised_micros"),
            commission_micros=self._total("commission_micros"),
            adjusted_micros=self._adjusted_micros,
            position_lots=self._total("position_lots"),
            positions={
                self._symbols[at]: int(position["position_lots"])
                for at, position in sorted(self._positions.items())
            },
            **self._counts,
        )

    def _total(self, field: str) -> int:
        return sum(int(position[field]) for position in self._positions.values())

    def _order_bytes(self, order: np.void) -> bytes:
        return _ORDER.pack(
            int(order["decision_bar_start_ts_ns"]),
            self._symbols[int(order["instrument"])].encode(),
            int(order["side"]),
            int(order["type"]),
            int(order["price_ticks"]),
            int(order["quantity_lots"]),
        )

    def _count_quarantine(self, slots: Slots, types: NDArray[Any]) -> None:
        for kind, dtype in (
            (RecordType.QUARANTINE, layout.QUARANTINE),
            (RecordType.BAR_QUARANTINED, layout.BAR_QUARANTINED),
        ):
            for refused in _payloads(slots, types, kind, dtype):
                _count(self._quarantined, word(QuarantineReason, refused["reason"]))

    def _note_kernels(self, slots: Slots, types: NDArray[Any]) -> None:
        for state in _payloads(slots, types, RecordType.KERNEL_STATE, layout.KERNEL_STATE):
            row = int(state["kernel"])
            name = self._kernels[row] if row < len(self._kernels) else f"#{row}"
            self._kernels_quarantined[name] = {
                "reason": word(KernelStatus, state["status"]),
                "policy": word(KernelPolicy, state["policy"]),
            }


def summarise(
    batches: Iterable[Slots], symbols: Sequence[str], kernels: Sequence[str] = ()
) -> Summary:
    """Count a whole journal.

    Parameters
    ----------
    batches : iterable of structured arrays of layout.SLOT
        In journal order.
    symbols : sequence of str
        Names of the instruments by their number on the wire.
    kernels : sequence of str
        Names of the user kernels by their row, as the manifest has them.

    Returns
    -------
    Summary
        Its ``order_stream_sha256`` covers (decision bar start, instrument, side, type, price,
        quantity) of every order that passed the gate, in gate order; ids, epochs and clock stamps
        are not in it.

    Source
    ------
    Ours.
    """
    counter = SummaryCounter(symbols, kernels)
    for slots in batches:
        counter.add(slots)
    return counter.result()


def read_until(tail: JournalTail, sequence: int, slots_max: int) -> Iterator[Slots]:
    """Yield batches until a journal sequence that is known to be in the segments.

    Raises
    ------
    JournalCorrupt
        If the segments do not hold it after all.
    """
    empty_reads = 0
    while tail.last_sequence < sequence:
        slots = tail.read(slots_max)
        empty_reads = 0 if len(slots) > 0 else empty_reads + 1
        if empty_reads > EMPTY_READS_MAX:
            raise JournalCorrupt(
                f"the segments end at record {tail.last_sequence}, not at {sequence} as announced"
            )
        if len(slots) > 0:
            yield slots


def _payloads(
    slots: Slots, types: NDArray[Any], kind: RecordType, dtype: np.dtype[Any]
) -> NDArray[np.void]:
    chosen = np.ascontiguousarray(slots["payload"][types == kind])
    return chosen.view(dtype).reshape(-1)


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
