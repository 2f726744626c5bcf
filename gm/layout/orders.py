"""Mirrors of the payloads of the life of an order."""

from gm.layout.struct import struct as _struct

ORDER_ID = _struct(installation="u4", epoch="u4", counter="u8")
NEW_ORDER = _struct(
    id=ORDER_ID,
    decision_bar_start_ts_ns="i8",
    price_ticks="i8",
    quantity_lots="i8",
    valid_until_ns="i8",
    instrument="u4",
    connection="u4",
    side="u1",
    type="u1",
    reason="u1",
    strategy="u1",
    time_in_force="u1",
    is_reducing="u1",
    reserved="2u1",
)
CANCEL_ORDER = _struct(id=ORDER_ID, instrument="u4", connection="u4", reserved="40u1")
REPLACE_ORDER = _struct(
    id=ORDER_ID,
    replace_id=ORDER_ID,
    price_ticks="i8",
    quantity_lots="i8",
    valid_until_ns="i8",
    instrument="u2",
    is_reducing="u1",
    reserved="u1",
    connection="u4",
)
ORDER_STOPPED = _struct(
    id=ORDER_ID,
    instrument="u4",
    level="u1",
    reserved_bytes="3u1",
    replace_id=ORDER_ID,
    reserved="24u1",
)
QUERY_ORDER = _struct(
    id=ORDER_ID, instrument="u4", connection="u4", replace_id=ORDER_ID, reserved="24u1"
)
ACK = _struct(
    id=ORDER_ID,
    venue_order="u8",
    instrument="u4",
    side="u1",
    reserved_bytes="3u1",
    quantity_lots="i8",
    reserved="24u1",
)
REJECT = _struct(id=ORDER_ID, instrument="u4", reason="u4", replace_id=ORDER_ID, reserved="24u1")
REPLACED = _struct(
    id=ORDER_ID,
    replace_id=ORDER_ID,
    price_ticks="i8",
    quantity_lots="i8",
    filled_lots="i8",
    instrument="u4",
    reserved="4u1",
)
FILL = _struct(
    id=ORDER_ID,
    execution_id="u8",
    price_ticks="i8",
    quantity_lots="i8",
    leaves_lots="i8",
    commission_micros="i8",
    instrument="u4",
    side="u1",
    reserved="3u1",
)
ORDER_ENDED = _struct(id=ORDER_ID, filled_lots="i8", instrument="u4", reserved="36u1")
ORDER_STATE_REPORT = _struct(
    id=ORDER_ID,
    filled_lots="i8",
    leaves_lots="i8",
    instrument="u4",
    state="u1",
    side="u1",
    is_replace_absent="u1",
    reserved="25u1",
)
REFUSAL = _struct(
    id=ORDER_ID,
    decision_bar_start_ts_ns="i8",
    quantity_lots="i8",
    price_ticks="i8",
    value="i8",
    limit="i8",
    mask="u4",
    instrument="u2",
    side="u1",
    code="u1",
)
ORDER_UPDATE = _struct(
    id=ORDER_ID,
    filled_lots="i8",
    leaves_lots="i8",
    quantity_lots="i8",
    instrument="u4",
    state="u1",
    previous="u1",
    side="u1",
    reason="u1",
    reject_reason="u4",
    tombstoned="u4",
    reserved="8u1",
)
