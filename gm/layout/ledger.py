"""Mirrors of what the venue's ledger holds (core/include/gm/venue/ledger.hpp)."""

from gm.layout.orders import ORDER_ID
from gm.layout.struct import struct as _struct

LEDGER_ORDER = _struct(
    id=ORDER_ID,
    venue_order="u8",
    decision_bar_start_ts_ns="i8",
    received_ts_ns="i8",
    ended_ts_ns="i8",
    price_ticks="i8",
    quantity_lots="i8",
    filled_lots="i8",
    commission_micros="i8",
    instrument="u4",
    connection="u4",
    reject_reason="u4",
    fill_count="u4",
    side="u1",
    type="u1",
    reason="u1",
    state="u1",
    time_in_force="u1",
    strategy="u1",
    reserved="26u1",
)
EXECUTION = _struct(
    order_id=ORDER_ID,
    execution_id="u8",
    venue_order="u8",
    price_ticks="i8",
    quantity_lots="i8",
    commission_micros="i8",
    ts_ns="i8",
    instrument="u4",
    side="u1",
    reserved="3u1",
)
BURIED_RANGE = _struct(first=ORDER_ID, last_counter="u8")
LEDGER_TOTALS = _struct(
    orders="u8",
    accepted="u8",
    rejected="u8",
    filled="u8",
    cancelled="u8",
    expired="u8",
    executions="u8",
    tombstones="u8",
    repeated_ids="u8",
    stale_messages="u8",
    late_cancels="u8",
    replaces="u8",
    refused_replaces="u8",
    bought_lots="i8",
    sold_lots="i8",
    position_lots="i8",
    commission_micros="i8",
    cash_micros_low="u8",
    cash_micros_high="i8",
)
