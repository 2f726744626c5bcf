"""Mirrors of the payloads of a recovery: reserved ids, lost ids, the venue's books."""

from gm.layout.orders import ORDER_ID
from gm.layout.struct import struct as _struct

IDS_WANTED = _struct(last_counter="u8", epoch="u4", reserved="52u1")
IDS_RESERVED = _struct(last_counter="u8", epoch="u4", reserved="52u1")
QUERY_RANGE = _struct(first=ORDER_ID, last_counter="u8", connection="u4", reserved="36u1")
RANGE_ORDER = _struct(
    id=ORDER_ID,
    decision_bar_start_ts_ns="i8",
    price_ticks="i8",
    quantity_lots="i8",
    filled_lots="i8",
    instrument="u4",
    state="u1",
    side="u1",
    type="u1",
    reason="u1",
    time_in_force="u1",
    strategy="u1",
    reserved="6u1",
)
RANGE_END = _struct(first=ORDER_ID, last_counter="u8", orders="u8", reserved="32u1")
QUERY_ACCOUNT = _struct(connection="u4", reserved="60u1")
POSITION_REPORT = _struct(
    position_lots="i8",
    cash_micros_low="u8",
    cash_micros_high="i8",
    commission_micros="i8",
    last_reply_sequence="u8",
    open_orders="u4",
    instrument="u4",
    is_last="u4",
    reserved="12u1",
)
RECON_BREAK = _struct(
    ours="i8",
    venues="i8",
    last_reply_sequence="u8",
    instrument="u4",
    field="u4",
    reserved="32u1",
)
BOOKS_ACCEPTED = _struct(break_sha256="32u1", signatures_sha256="32u1")
BOOKS_ADJUSTED = _struct(
    position_lots="i8",
    cash_micros_low="u8",
    cash_micros_high="i8",
    commission_micros="i8",
    adjusted_micros_low="u8",
    adjusted_micros_high="i8",
    instrument="u4",
    reserved="12u1",
)
