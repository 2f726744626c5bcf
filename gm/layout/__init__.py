"""NumPy mirrors of the core's plain structs and enums, field by field.

tests/test_layout.py holds them to the compiler: names, offsets, sizes and kinds. Little-endian,
no padding that has no name; prices in ticks, quantities in lots, money in micro-units, time in
ns UTC, as in core/include/gm/wire/payload.hpp, where each field is explained.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from gm.layout.enums import (
    Action as Action,
    BookResetReason as BookResetReason,
    EngineState as EngineState,
    EntryVote as EntryVote,
    GateCode as GateCode,
    KernelField as KernelField,
    KernelKind as KernelKind,
    KernelPolicy as KernelPolicy,
    KernelStatus as KernelStatus,
    KillCause as KillCause,
    KillLevel as KillLevel,
    ModelAction as ModelAction,
    ModelCause as ModelCause,
    ModelStage as ModelStage,
    NotReadyReason as NotReadyReason,
    OrderReason as OrderReason,
    OrderState as OrderState,
    OrderType as OrderType,
    Profile as Profile,
    QuarantineReason as QuarantineReason,
    ReconField as ReconField,
    RecordType as RecordType,
    RejectReason as RejectReason,
    Room as Room,
    Side as Side,
    Source as Source,
    TimeInForce as TimeInForce,
)
from gm.layout.gate import (
    HEADROOM as HEADROOM,
    POLICY_LATE as POLICY_LATE,
    RISK_TRIP as RISK_TRIP,
)
from gm.layout.kill import KILL as KILL, KILL_STATE as KILL_STATE
from gm.layout.ledger import (
    BURIED_RANGE as BURIED_RANGE,
    EXECUTION as EXECUTION,
    LEDGER_ORDER as LEDGER_ORDER,
    LEDGER_TOTALS as LEDGER_TOTALS,
)
from gm.layout.models import MODEL_HEADER as MODEL_HEADER, MODEL_MAGIC as MODEL_MAGIC
from gm.layout.orders import (
    ACK as ACK,
    CANCEL_ORDER as CANCEL_ORDER,
    FILL as FILL,
    NEW_ORDER as NEW_ORDER,
    ORDER_ENDED as ORDER_ENDED,
    ORDER_ID as ORDER_ID,
    ORDER_STATE_REPORT as ORDER_STATE_REPORT,
    ORDER_STOPPED as ORDER_STOPPED,
    ORDER_UPDATE as ORDER_UPDATE,
    QUERY_ORDER as QUERY_ORDER,
    REFUSAL as REFUSAL,
    REJECT as REJECT,
    REPLACE_ORDER as REPLACE_ORDER,
    REPLACED as REPLACED,
)
from gm.layout.recovery import (
    BOOKS_ACCEPTED as BOOKS_ACCEPTED,
    BOOKS_ADJUSTED as BOOKS_ADJUSTED,
    IDS_RESERVED as IDS_RESERVED,
    IDS_WANTED as IDS_WANTED,
    POSITION_REPORT as POSITION_REPORT,
    QUERY_ACCOUNT as QUERY_ACCOUNT,
    QUERY_RANGE as QUERY_RANGE,
    RANGE_END as RANGE_END,
    RANGE_ORDER as RANGE_ORDER,
    RECON_BREAK as RECON_BREAK,
)
from gm.layout.slot import (
    RECORD_HEADER as RECORD_HEADER,
    SLOT as SLOT,
    SLOT_TRAILER as SLOT_TRAILER,
)
from gm.layout.struct import struct as _struct
from gm.layout.tactical import (
    TACTICAL_DECISION as TACTICAL_DECISION,
    TACTICAL_SETTINGS as TACTICAL_SETTINGS,
)

MAGIC = 0x31304D47
SCHEMA = 1
PAYLOAD_SIZE = 64
FRAME_RECORDS_MAX = 512
AGENTS_MAX = 3
SETTINGS_MAGIC = 0x54534D47

BAR_SYNTHETIC = 1 << 0
BAR_NO_VOLUME = 1 << 1
BAR_OUT_OF_SESSION = 1 << 2


BAR_OPEN = _struct(
    start_ts_ns="i8",
    duration_ns="i8",
    open_ticks="i8",
    instrument="u4",
    flags="u4",
    reserved="32u1",
)
BAR_CLOSE = _struct(
    start_ts_ns="i8",
    open_ticks="i8",
    high_ticks="i8",
    low_ticks="i8",
    close_ticks="i8",
    volume_lots="i8",
    duration_s="u4",
    instrument="u4",
    flags="u4",
    reserved="u4",
)
TRADE = _struct(price_ticks="i8", quantity_lots="i8", instrument="u4", side="u1", reserved="43u1")
QUOTE = _struct(
    bid_ticks="i8",
    ask_ticks="i8",
    bid_lots="i8",
    ask_lots="i8",
    instrument="u4",
    reserved="28u1",
)
BOOK_LEVEL = _struct(
    price_ticks="i8",
    quantity_lots="i8",
    instrument="u4",
    side="u1",
    is_last="u1",
    reserved="42u1",
)
BOOK_RESET = _struct(
    expected_sequence="u8",
    received_sequence="u8",
    instrument="u4",
    reason="u4",
    reserved="40u1",
)
QUARANTINE = _struct(line="u8", instrument="u4", reason="u4", reserved="48u1")
HEARTBEAT = _struct(last_feed_sequence="u8", last_reply_sequence="u8", reserved="48u1")
END = _struct(last_feed_sequence="u8", reserved="56u1")
HELLO = _struct(
    last_feed_sequence="u8",
    last_reply_sequence="u8",
    epoch="u4",
    connection="u4",
    tape_id="32u1",
    reserved="8u1",
)
READY = _struct(last_feed_sequence="u8", last_reply_sequence="u8", reserved="48u1")
DONE = _struct(feed_sequence="u8", reply_sequence="u8", orders_sent="u8", reserved="40u1")
WELCOME = _struct(
    last_feed_sequence="u8",
    last_reply_sequence="u8",
    tape_id="32u1",
    lockstep="u4",
    refused="u4",
    symbol_hash="u8",
)
FEED_REPLAY = _struct(
    request="u8",
    cursor="u8",
    after_ts_ns="i8",
    before_ts_ns="i8",
    minutes_max="u4",
    instrument="u4",
    connection="u4",
    reserved="20u1",
)
REPLAY_END = _struct(request="u8", cursor="u8", bars="u4", instrument="u4", reserved="40u1")
KERNEL_RESULT = _struct(
    bar_start_ts_ns="i8",
    value="f8",
    instrument="u4",
    kernel="u4",
    minutes="u4",
    status="u4",
    reserved="32u1",
)
TIMER = _struct(deadline_ns="i8", reserved="56u1")
EPOCH = _struct(epoch="u4", clean="u4", settings_sha256="32u1", is_reconciled="u4", reserved="20u1")
SESSION_EVENT = _struct(
    connection="u4",
    reason="u4",
    tape_id="32u1",
    feed_begins_after="u8",
    has_backfill="u4",
    reserved="12u1",
)
BACKFILL_END = _struct(venue_bars="u8", file_bars="u8", connection="u4", reserved="44u1")
DECISION = _struct(
    bar_start_ts_ns="i8",
    instrument="u2",
    model="u2",
    action="u1",
    acts="u1",
    profile="u1",
    agents="u1",
    agent_probability="(3,3)f4",
    probability="3f4",
)
POSITION_UPDATE = _struct(
    position_lots="i8",
    cost_low="i8",
    cost_high="i8",
    realised_micros="i8",
    unrealised_micros="i8",
    commission_micros="i8",
    round_trips="i8",
    instrument="u4",
    reserved="u4",
)
STATE_UPDATE = _struct(
    instrument="u4", state="u1", reason="u1", reserved_word="u2", bars_needed="u4", reserved="52u1"
)
BAR_QUARANTINED = _struct(
    start_ts_ns="i8", feed_sequence="u8", instrument="u4", reason="u4", reserved="40u1"
)
SYNERGY = _struct(
    ts_ns="i8",
    close_ticks="i8",
    confidence="f4",
    strength="3f4",
    age_s="3u4",
    volatility_30="f4",
    atr_ticks="f4",
    instrument="u4",
    type="u1",
    direction="i1",
    reserved="6u1",
)
KERNEL_STATE = _struct(
    sha256="32u1", instrument="u4", kernel="u4", status="u4", policy="u4", reserved="16u1"
)
MODEL_COMMAND = _struct(
    sha256="32u1", model="u4", action="u4", value="i8", block_sha256_head="16u1"
)
MODEL_UPDATE = _struct(
    sha256="32u1", model="u4", stage="u4", cause="u4", live="u4", value="i8", reserved="8u1"
)
BLOCK_DIGEST = _struct(
    sha256="32u1",
    first_journal_sequence="u8",
    last_journal_sequence="u8",
    block="u8",
    synced_journal_sequence="u8",
)
INSTRUMENT = _struct(
    symbol="S16",
    currency="S8",
    tick_size_e9="i8",
    volume_lot_e9="i8",
    order_lot_e9="i8",
    order_tick_ticks="i8",
    tick_value_micros="i8",
    price_floor_ticks="i8",
    band_ppm="i8",
    band_ticks_min="i8",
    session_first="u4",
    session_count="u4",
    offset_first="u4",
    offset_count="u4",
    reserved="24u1",
)
SESSION_INTERVAL = _struct(open_ts_ns="i8", close_ts_ns="i8", day="i8")
OFFSET_CHANGE = _struct(ts_ns="i8", offset_ns="i8")
CLOSED_BAR = _struct(
    start_ts_ns="i8",
    open_ticks="i8",
    high_ticks="i8",
    low_ticks="i8",
    close_ticks="i8",
    volume_lots="i8",
    minutes="u4",
    flags="u4",
)
LIMITS = _struct(
    order_quantity_lots_max="i8",
    order_notional_micros_max="i8",
    collar_ppm="i8",
    collar_ticks_min="i8",
    reference_age_ns_max="i8",
    position_lots_max="i8",
    orders_per_second_max="i8",
    orders_burst_max="i8",
    duplicates_max="i8",
    duplicate_window_ns="i8",
    sides_allowed="u4",
    types_allowed="u4",
    margin_micros_per_lot="i8",
    loss_micros_max="i8",
    repeat_window_ns="i8",
    repeat_executions_max="i8",
    reserved="8u1",
)
ACCOUNT_LIMITS = _struct(
    orders_per_second_max="i8",
    orders_burst_max="i8",
    cancels_per_second_max="i8",
    cancels_burst_max="i8",
    gross_micros_max="i8",
    credit_micros_max="i8",
    loss_micros_max="i8",
    drawdown_micros_max="i8",
)
SETTINGS_HEADER = _struct(
    magic="u4",
    schema="u4",
    instrument_count="u4",
    session_count="u4",
    offset_count="u4",
    agent_count="u4",
    installation="u4",
    profile="u4",
    threshold="f8",
    order_timeout_ns="i8",
    order_valid_for_ns="i8",
    max_hold_bars="u4",
    flat_at_session_end="u4",
    confirmed_clean_bars="u4",
    loss_confirmations="u4",
    feature_schema_sha256="32u1",
    bundle_sha256="32u1",
    synergy_mlmi_min="f8",
    synergy_slope_min="f8",
    synergy_window_bars="u4",
    synergy_cooldown_bars="u4",
    kernel_count="u4",
    tactical_agent_count="u4",
    recon_break_after_ns="i8",
    limits_expire_ts_ns="i8",
    limits_sha256_head="8u1",
)
SIZING = _struct(
    target_lots="i8", stop_atr="f8", target_atr="f8", stop_trails="u4", reserved="36u1"
)
AGENT_SETTINGS = _struct(
    name="S16",
    weight="f8",
    temperature="f8",
    column_mask="u4",
    context_count="u4",
    onnx_size="u8",
    tail="u4",
    reserved="12u1",
)
KERNEL_SETTINGS = _struct(
    name="S32",
    sha256="32u1",
    library_sha256="32u1",
    low="f8",
    high="f8",
    kind="u4",
    minutes="u4",
    warmup="u4",
    policy="u4",
    input_count="u4",
    inputs="8u1",
    reserved="20u1",
)
TAPE_ROW = _struct(payload="64u1", ts_ns="i8", type="u4", delay_us="u4")
VENUE_SETTINGS = _struct(
    seed="u8",
    latency_ns="i8",
    slippage_ticks="i8",
    commission_micros_per_lot="i8",
    commission_ppm="i8",
    partial_fill_ppm="i8",
    reject_ppm="i8",
    orders_max="u4",
    instrument="u4",
)

PAYLOADS: Mapping[RecordType, np.dtype[np.void]] = MappingProxyType(
    {
        RecordType.BAR_OPEN: BAR_OPEN,
        RecordType.BAR_CLOSE: BAR_CLOSE,
        RecordType.TRADE: TRADE,
        RecordType.QUARANTINE: QUARANTINE,
        RecordType.HEARTBEAT: HEARTBEAT,
        RecordType.END: END,
        RecordType.QUOTE: QUOTE,
        RecordType.BOOK_LEVEL: BOOK_LEVEL,
        RecordType.BOOK_RESET: BOOK_RESET,
        RecordType.HELLO: HELLO,
        RecordType.READY: READY,
        RecordType.DONE: DONE,
        RecordType.NEW_ORDER: NEW_ORDER,
        RecordType.CANCEL_ORDER: CANCEL_ORDER,
        RecordType.QUERY_ORDER: QUERY_ORDER,
        RecordType.WELCOME: WELCOME,
        RecordType.ACK: ACK,
        RecordType.REJECT: REJECT,
        RecordType.FILL: FILL,
        RecordType.CANCELLED: ORDER_ENDED,
        RecordType.EXPIRED: ORDER_ENDED,
        RecordType.ORDER_STATE: ORDER_STATE_REPORT,
        RecordType.FEED_REPLAY: FEED_REPLAY,
        RecordType.REPLACE_ORDER: REPLACE_ORDER,
        RecordType.REPLACED: REPLACED,
        RecordType.REPLAYED_BAR: BAR_CLOSE,
        RecordType.REPLAY_END: REPLAY_END,
        RecordType.BACKFILL: BAR_CLOSE,
        RecordType.KERNEL_RESULT: KERNEL_RESULT,
        RecordType.BACKFILL_END: BACKFILL_END,
        RecordType.TIMER: TIMER,
        RecordType.EPOCH: EPOCH,
        RecordType.STOP: SESSION_EVENT,
        RecordType.DISCONNECTED: SESSION_EVENT,
        RecordType.CONNECTED: SESSION_EVENT,
        RecordType.DECISION: DECISION,
        RecordType.INTENT: NEW_ORDER,
        RecordType.REFUSAL: REFUSAL,
        RecordType.ORDER_UPDATE: ORDER_UPDATE,
        RecordType.POSITION: POSITION_UPDATE,
        RecordType.STATE: STATE_UPDATE,
        RecordType.BAR_QUARANTINED: BAR_QUARANTINED,
        RecordType.SYNERGY: SYNERGY,
        RecordType.KERNEL_STATE: KERNEL_STATE,
        RecordType.MODEL_COMMAND: MODEL_COMMAND,
        RecordType.KILL: KILL,
        RecordType.ORDER_STOPPED: ORDER_STOPPED,
        RecordType.KILL_STATE: KILL_STATE,
        RecordType.HEADROOM: HEADROOM,
        RecordType.POLICY_LATE: POLICY_LATE,
        RecordType.RISK_TRIP: RISK_TRIP,
        RecordType.MODEL_UPDATE: MODEL_UPDATE,
        RecordType.SHADOW_DECISION: DECISION,
        RecordType.TACTICAL_DECISION: TACTICAL_DECISION,
        RecordType.SHADOW_TACTICAL_DECISION: TACTICAL_DECISION,
        RecordType.RANGE_ORDER: RANGE_ORDER,
        RecordType.RANGE_END: RANGE_END,
        RecordType.POSITION_REPORT: POSITION_REPORT,
        RecordType.POSITION_NOTICE: POSITION_REPORT,
        RecordType.POSITION_CHECK: POSITION_REPORT,
        RecordType.QUERY_RANGE: QUERY_RANGE,
        RecordType.QUERY_ACCOUNT: QUERY_ACCOUNT,
        RecordType.IDS_RESERVED: IDS_RESERVED,
        RecordType.IDS_WANTED: IDS_WANTED,
        RecordType.RECON_BREAK: RECON_BREAK,
        RecordType.BOOKS_ACCEPTED: BOOKS_ACCEPTED,
        RecordType.BOOKS_ADJUSTED: BOOKS_ADJUSTED,
        RecordType.BLOCK_DIGEST: BLOCK_DIGEST,
    }
)
