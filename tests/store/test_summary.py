"""Promise: a run's figures follow from its journal alone, its hash from its orders alone."""

import hashlib
import struct

import numpy as np
import pytest

from gm.layout import KernelPolicy, KernelStatus, OrderReason, OrderType, RecordType, Side
from gm.store.summary import Summary, SummaryCounter, summarise

from .journals import journal_of

SYMBOLS = ("BTC-PERP", "NQ")


def order(**fields: object) -> tuple[RecordType, dict[str, object]]:
    usual = {
        "id": (1, 1, 1), "decision_bar_start_ts_ns": 1_800_000_000_000, "price_ticks": 0,
        "quantity_lots": 1000, "instrument": 0, "side": Side.BUY, "type": OrderType.MARKET,
    }  # fmt: skip
    return RecordType.INTENT, usual | fields


def summary_of(*records: tuple[RecordType, dict[str, object]], **options: int) -> Summary:
    return summarise([journal_of(*records, **options)], SYMBOLS)


def test_the_order_stream_hash_worked_by_hand() -> None:
    """Two orders: 34 bytes each: bar start, symbol padded to 16, side, type, price, quantity."""
    first = bytes.fromhex(
        "00505c18a3010000"  # 1,800,000,000,000 ns
        "4254432d504552500000000000000000"  # BTC-PERP
        "0000"  # buy, market
        "0000000000000000"  # price 0
        "e803000000000000"  # 1000 lots
    )
    second = struct.pack("<q16sBBqq", 3_600_000_000_000, b"NQ", 1, 1, -7, 2)
    found = summary_of(
        order(),
        order(
            decision_bar_start_ts_ns=3_600_000_000_000, instrument=1, side=Side.SELL,
            type=OrderType.LIMIT, price_ticks=-7, quantity_lots=2,
        ),
    )  # fmt: skip
    assert found.order_stream_sha256 == hashlib.sha256(first + second).hexdigest()
    assert found.orders == 2


def test_no_order_gives_the_hash_of_nothing() -> None:
    assert summarise([], SYMBOLS).order_stream_sha256 == hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        {"id": (9, 8, 7)},
        {"valid_until_ns": 5},
        {"connection": 4},
        {"reason": OrderReason.MAX_HOLD},
        {"strategy": 3},
    ],
)
def test_ids_epochs_and_stamps_are_not_in_the_hash(other) -> None:
    assert summary_of(order(**other), first=50, ts_ns=999) == summary_of(order())


@pytest.mark.parametrize(
    "other",
    [
        {"decision_bar_start_ts_ns": 1},
        {"instrument": 1},
        {"side": Side.SELL},
        {"type": OrderType.STOP},
        {"price_ticks": 1},
        {"quantity_lots": 1001},
    ],
)
def test_what_an_order_wants_is_in_the_hash(other) -> None:
    different = summary_of(order(**other)).order_stream_sha256
    assert different != summary_of(order()).order_stream_sha256


def test_the_order_of_orders_is_in_the_hash() -> None:
    buy, sell = order(), order(side=Side.SELL)
    assert summary_of(buy, sell).order_stream_sha256 != summary_of(sell, buy).order_stream_sha256


def test_how_the_journal_is_cut_into_batches_does_not_matter() -> None:
    slots = journal_of(*(order(quantity_lots=n) for n in range(1, 9)))
    whole = summarise([slots], SYMBOLS)
    assert summarise([slots[:3], slots[3:3], slots[3:]], SYMBOLS) == whole


def test_everything_is_counted_once() -> None:
    found = summary_of(
        (RecordType.DECISION, {"acts": 1}),
        order(),
        (RecordType.FILL, {"execution_id": 1, "leaves_lots": 400}),
        (RecordType.FILL, {"execution_id": 2, "leaves_lots": 0}),
        (RecordType.POSITION, {"position_lots": 600, "realised_micros": 1, "round_trips": 0}),
        (RecordType.POSITION, {"position_lots": 1000, "realised_micros": -5, "round_trips": 1}),
        (RecordType.POSITION, {"instrument": 1, "position_lots": -2, "realised_micros": -7,
                               "unrealised_micros": 3, "commission_micros": 11}),
        (RecordType.REJECT, {"reason": 1}),
        (RecordType.REFUSAL, {"code": 6}),
        (RecordType.REFUSAL, {"code": 12}),
        (RecordType.REFUSAL, {"code": 6}),
        (RecordType.QUARANTINE, {"reason": 10}),
        (RecordType.BAR_QUARANTINED, {"reason": 10}),
        (RecordType.BAR_QUARANTINED, {"reason": 777}),
    )  # fmt: skip
    assert found == Summary(
        order_stream_sha256=found.order_stream_sha256, decisions=1, orders=1, fills=2,
        partial_fills=1, round_trips=1, refusals={"R06": 2, "R12": 1}, venue_rejects=1,
        realised_micros=-12, unrealised_micros=3, commission_micros=11,
        position_lots=998, positions={"BTC-PERP": 1000, "NQ": -2},
        quarantined={"#777": 1, "jump_band": 2},
    )  # fmt: skip


def test_money_that_was_accepted_from_the_venue_is_counted_under_its_own_name() -> None:
    low = {"adjusted_micros_low": 2**64 - 5, "adjusted_micros_high": -1}
    found = summary_of(
        (RecordType.BOOKS_ADJUSTED, low | {"instrument": 1}),
        (RecordType.BOOKS_ADJUSTED, {"adjusted_micros_low": 2}),
    )
    assert (found.adjusted_micros, found.realised_micros) == (-3, 0)


def test_a_quarantined_kernel_is_named_with_reason_and_policy() -> None:
    states = [
        {"kernel": 1, "status": KernelStatus.FAILED, "policy": KernelPolicy.HALT},
        {"kernel": 7, "status": KernelStatus.HUNG, "policy": KernelPolicy.SKIP},
    ]
    slots = journal_of(*((RecordType.KERNEL_STATE, state) for state in states))
    assert summarise([slots], SYMBOLS, ("column", "turning")).kernels_quarantined == {
        "turning": {"reason": "failed", "policy": "halt"},
        "#7": {"reason": "hung", "policy": "skip"},
    }
    assert summarise([], SYMBOLS).kernels_quarantined == {}


def test_a_position_kept_between_batches_is_a_copy() -> None:
    """The buffer of a batch may be used again by its reader."""
    counter = SummaryCounter(SYMBOLS)
    slots = journal_of((RecordType.POSITION, {"position_lots": 5}))
    counter.add(slots)
    slots["payload"] = 0
    assert counter.result().positions == {"BTC-PERP": 5}


def test_positions_are_listed_in_the_order_of_the_instruments() -> None:
    found = summary_of(
        (RecordType.POSITION, {"instrument": 1}), (RecordType.POSITION, {"instrument": 0})
    )
    assert list(found.positions) == ["BTC-PERP", "NQ"]


def test_money_beyond_64_bits_is_summed_exactly() -> None:
    found = summary_of(
        (RecordType.POSITION, {"instrument": 0, "realised_micros": 2**63 - 1}),
        (RecordType.POSITION, {"instrument": 1, "realised_micros": 2**63 - 1}),
    )
    assert found.realised_micros == 2**64 - 2
    assert isinstance(found.realised_micros, int | np.integer)
