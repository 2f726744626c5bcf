// What the compiler says about every plain struct and enum that gm/layout.py repeats.
//
// One row a field and one an enumerator, in the order of the headers; tests/test_layout.py compares
// them with NumPy. A struct that crosses the boundary is added here and in gm/layout.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gm/base/status.hpp"
#include "gm/engine/settings.hpp"
#include "gm/features/strategic.hpp"
#include "gm/market/bar.hpp"
#include "gm/market/instrument.hpp"
#include "gm/market/quarantine.hpp"
#include "gm/risk/gate.hpp"
#include "gm/risk/limits.hpp"
#include "gm/venue/venue.hpp"
#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm::layout_table {

struct StructRow {
    const char* name;
    std::size_t size;
};

struct FieldRow {
    const char* structure;
    const char* name;
    std::size_t offset;
    std::size_t size;  // of the whole field, an array's too
    std::size_t element_size;
    char kind;  // as NumPy: i, u, f, S (text), V (struct)
};

struct EnumeratorRow {
    const char* enumeration;
    const char* name;
    std::int64_t value;
};

template <typename Field>
constexpr char kind_of() {
    using Element = std::remove_all_extents_t<Field>;
    if constexpr (std::is_enum_v<Element>) {
        return kind_of<std::underlying_type_t<Element>>();
    } else if constexpr (std::is_class_v<Element>) {
        return 'V';
    } else if constexpr (std::is_same_v<Element, char>) {
        return 'S';
    } else if constexpr (std::is_floating_point_v<Element>) {
        return 'f';
    } else {
        return std::is_signed_v<Element> ? 'i' : 'u';
    }
}

template <typename Field>
constexpr FieldRow field_row(const char* structure, const char* name, std::size_t offset) {
    return {structure,       name, offset, sizeof(Field), sizeof(std::remove_all_extents_t<Field>),
            kind_of<Field>()};
}

// Applies `macro(first, each)` to each of the names that follow; up to 120 of them.
#define GM_SCAN(...) GM_SCAN3(GM_SCAN3(GM_SCAN3(__VA_ARGS__)))
#define GM_SCAN3(...) GM_SCAN2(GM_SCAN2(GM_SCAN2(__VA_ARGS__)))
#define GM_SCAN2(...) GM_SCAN1(GM_SCAN1(GM_SCAN1(__VA_ARGS__)))
#define GM_SCAN1(...) GM_SCAN0(GM_SCAN0(GM_SCAN0(__VA_ARGS__)))
#define GM_SCAN0(...) __VA_ARGS__
#define GM_AGAIN() GM_EACH_STEP
#define GM_PARENTHESES ()
#define GM_EACH_STEP(macro, first, name, ...) \
    macro(first, name) __VA_OPT__(GM_AGAIN GM_PARENTHESES(macro, first, __VA_ARGS__))
#define GM_EACH(macro, first, ...) GM_SCAN(GM_EACH_STEP(macro, first, __VA_ARGS__))

#define GM_FIELD(S, field) field_row<decltype(S::field)>(#S, #field, offsetof(S, field)),
#define GM_FIELDS(S, ...) GM_EACH(GM_FIELD, S, __VA_ARGS__)
#define GM_SIZE(S, ...) {#S, sizeof(S)},
#define GM_ENUMERATOR(E, name) {#E, #name, static_cast<std::int64_t>(E::name)},
#define GM_ENUMERATORS(E, ...) GM_EACH(GM_ENUMERATOR, E, __VA_ARGS__)

// clang-format off
#define GM_STRUCTS(X) \
    X(RecordHeader, \
      magic, schema, type, count, source, epoch, first_sequence, source_ts_ns, \
      receive_ts_ns) \
    X(SlotTrailer, input_sequence, journal_sequence, crc32c, commit) \
    X(Slot, header, payload, trailer) \
    X(OrderId, installation, epoch, counter) \
    X(BarOpen, start_ts_ns, duration_ns, open_ticks, instrument, flags, reserved) \
    X(BarClose, \
      start_ts_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, \
      duration_s, instrument, flags, reserved) \
    X(Trade, price_ticks, quantity_lots, instrument, side, reserved) \
    X(Quote, bid_ticks, ask_ticks, bid_lots, ask_lots, instrument, reserved) \
    X(BookLevel, price_ticks, quantity_lots, instrument, side, is_last, reserved) \
    X(BookReset, expected_sequence, received_sequence, instrument, reason, reserved) \
    X(Quarantine, line, instrument, reason, reserved) \
    X(Heartbeat, last_feed_sequence, last_reply_sequence, reserved) \
    X(End, last_feed_sequence, reserved) \
    X(Hello, last_feed_sequence, last_reply_sequence, epoch, connection, tape_id, reserved) \
    X(Ready, last_feed_sequence, last_reply_sequence, reserved) \
    X(Done, feed_sequence, reply_sequence, orders_sent, reserved) \
    X(NewOrder, \
      id, decision_bar_start_ts_ns, price_ticks, quantity_lots, valid_until_ns, \
      instrument, connection, side, type, reason, strategy, time_in_force, is_reducing, reserved) \
    X(OrderStopped, id, instrument, level, reserved_bytes, replace_id, reserved) \
    X(Kill, \
      latch_id, generation, instrument, level, cause, reserved, signatures_sha256) \
    X(Headroom, free_ppm, floor_ppm, under, reserved) \
    X(PolicyLate, first_input, took_ns, budget_ns, reserved) \
    X(RiskTrip, value, limit, instrument, code, reserved) \
    X(KillState, generation, open_orders, instrument, level, previous, cause, reserved) \
    X(CancelOrder, id, instrument, connection, reserved) \
    X(ReplaceOrder, \
      id, replace_id, price_ticks, quantity_lots, valid_until_ns, instrument, is_reducing, \
      reserved, connection) \
    X(QueryOrder, id, instrument, connection, replace_id, reserved) \
    X(IdsWanted, last_counter, epoch, reserved) \
    X(IdsReserved, last_counter, epoch, reserved) \
    X(QueryRange, first, last_counter, connection, reserved) \
    X(RangeOrder, \
      id, decision_bar_start_ts_ns, price_ticks, quantity_lots, filled_lots, instrument, state, \
      side, type, reason, time_in_force, strategy, reserved) \
    X(RangeEnd, first, last_counter, orders, reserved) \
    X(QueryAccount, connection, reserved) \
    X(PositionReport, \
      position_lots, cash_micros_low, cash_micros_high, commission_micros, last_reply_sequence, \
      open_orders, instrument, is_last, reserved) \
    X(ReconBreak, ours, venues, last_reply_sequence, instrument, field, reserved) \
    X(BooksAccepted, break_sha256, signatures_sha256) \
    X(BooksAdjusted, \
      position_lots, cash_micros_low, cash_micros_high, commission_micros, \
      adjusted_micros_low, adjusted_micros_high, instrument, reserved) \
    X(Welcome, last_feed_sequence, last_reply_sequence, tape_id, lockstep, refused, symbol_hash) \
    X(Ack, id, venue_order, instrument, side, reserved_bytes, quantity_lots, reserved) \
    X(Reject, id, instrument, reason, replace_id, reserved) \
    X(Replaced, \
      id, replace_id, price_ticks, quantity_lots, filled_lots, instrument, reserved) \
    X(Fill, \
      id, execution_id, price_ticks, quantity_lots, leaves_lots, commission_micros, \
      instrument, side, reserved) \
    X(OrderEnded, id, filled_lots, instrument, reserved) \
    X(OrderStateReport, \
      id, filled_lots, leaves_lots, instrument, state, side, is_replace_absent, reserved) \
    X(FeedReplay, \
      request, cursor, after_ts_ns, before_ts_ns, minutes_max, instrument, connection, \
      reserved) \
    X(ReplayEnd, request, cursor, bars, instrument, reserved) \
    X(KernelResult, \
      bar_start_ts_ns, value, instrument, kernel, minutes, status, reserved) \
    X(Timer, deadline_ns, reserved) \
    X(Epoch, epoch, clean, settings_sha256, is_reconciled, reserved) \
    X(SessionEvent, connection, reason, tape_id, feed_begins_after, has_backfill, reserved) \
    X(BackfillEnd, venue_bars, file_bars, connection, reserved) \
    X(Decision, \
      bar_start_ts_ns, instrument, model, action, acts, profile, agents, agent_probability, \
      probability) \
    X(TacticalDecision, \
      bar_start_ts_ns, instrument, model, direction, standing, fvg, momentum, entry, agents, \
      synergy_type, enters, score, agent_probability, reserved) \
    X(Refusal, \
      id, decision_bar_start_ts_ns, quantity_lots, price_ticks, value, limit, mask, \
      instrument, side, code) \
    X(OrderUpdate, \
      id, filled_lots, leaves_lots, quantity_lots, instrument, state, previous, side, \
      reason, reject_reason, tombstoned, reserved) \
    X(PositionUpdate, \
      position_lots, cost_low, cost_high, realised_micros, unrealised_micros, \
      commission_micros, round_trips, instrument, reserved) \
    X(StateUpdate, instrument, state, reason, reserved_word, bars_needed, reserved) \
    X(BarQuarantined, start_ts_ns, feed_sequence, instrument, reason, reserved) \
    X(Synergy, \
      ts_ns, close_ticks, confidence, strength, age_s, volatility_30, atr_ticks, \
      instrument, type, direction, reserved) \
    X(KernelState, sha256, instrument, kernel, status, policy, reserved) \
    X(ModelCommand, sha256, model, action, value, block_sha256_head) \
    X(ModelUpdate, sha256, model, stage, cause, live, value, reserved) \
    X(BlockDigest, sha256, first_journal_sequence, last_journal_sequence, block, \
      synced_journal_sequence) \
    X(Instrument, \
      symbol, currency, tick_size_e9, volume_lot_e9, order_lot_e9, order_tick_ticks, \
      tick_value_micros, price_floor_ticks, band_ppm, band_ticks_min, session_first, \
      session_count, offset_first, offset_count, reserved) \
    X(SessionInterval, open_ts_ns, close_ts_ns, day) \
    X(OffsetChange, ts_ns, offset_ns) \
    X(ClosedBar, \
      start_ts_ns, open_ticks, high_ticks, low_ticks, close_ticks, volume_lots, minutes, \
      flags) \
    X(Limits, \
      order_quantity_lots_max, order_notional_micros_max, collar_ppm, collar_ticks_min, \
      reference_age_ns_max, position_lots_max, orders_per_second_max, orders_burst_max, \
      duplicates_max, duplicate_window_ns, sides_allowed, types_allowed, \
      margin_micros_per_lot, loss_micros_max, repeat_window_ns, repeat_executions_max, \
      reserved) \
    X(AccountLimits, \
      orders_per_second_max, orders_burst_max, cancels_per_second_max, cancels_burst_max, \
      gross_micros_max, credit_micros_max, loss_micros_max, drawdown_micros_max) \
    X(SettingsHeader, \
      magic, schema, instrument_count, session_count, offset_count, agent_count, \
      installation, profile, threshold, order_timeout_ns, order_valid_for_ns, \
      max_hold_bars, flat_at_session_end, confirmed_clean_bars, \
      loss_confirmations, \
      feature_schema_sha256, bundle_sha256, synergy_mlmi_min, synergy_slope_min, \
      synergy_window_bars, synergy_cooldown_bars, kernel_count, tactical_agent_count, \
      recon_break_after_ns, limits_expire_ts_ns, limits_sha256_head) \
    X(Sizing, target_lots, stop_atr, target_atr, stop_trails, reserved) \
    X(ModelHeader, \
      magic, schema, agent_count, guard_rows_max, threshold, guard_low, guard_high, \
      guard_columns, guard_columns_max, feature_schema_sha256, bundle_sha256, \
      tactical_agent_count, reserved) \
    X(AgentSettings, \
      name, weight, temperature, column_mask, context_count, onnx_size, tail, reserved) \
    X(TacticalSettings, threshold, weights) \
    X(KernelSettings, \
      name, sha256, library_sha256, low, high, kind, minutes, warmup, policy, input_count, \
      inputs, reserved) \
    X(TapeRow, payload, ts_ns, type, delay_us) \
    X(VenueSettings, \
      seed, latency_ns, slippage_ticks, commission_micros_per_lot, commission_ppm, \
      partial_fill_ppm, reject_ppm, orders_max, instrument) \
    X(LedgerOrder, \
      id, venue_order, decision_bar_start_ts_ns, received_ts_ns, ended_ts_ns, price_ticks, \
      quantity_lots, filled_lots, commission_micros, instrument, connection, \
      reject_reason, fill_count, side, type, reason, state, time_in_force, strategy, reserved) \
    X(Execution, \
      order_id, execution_id, venue_order, price_ticks, quantity_lots, commission_micros, \
      ts_ns, instrument, side, reserved) \
    X(BuriedRange, first, last_counter) \
    X(LedgerTotals, \
      orders, accepted, rejected, filled, cancelled, expired, executions, tombstones, \
      repeated_ids, stale_messages, late_cancels, replaces, refused_replaces, \
      bought_lots, sold_lots, position_lots, commission_micros, cash_micros_low, \
      cash_micros_high)

#define GM_ENUMS(X) \
    X(Status, \
      kOk, kBadArgument, kOutOfMemory, kSystemCallFailed, kNotANumber, kOffGrid, \
      kOverflow, kRingFull, kBadCapacity, kBadFrame, kSchemaMismatch, kJournalCorrupt, \
      kJournalForeign, kJournalLocked, kJournalFull, kReplayDiverged, kUnknownInstrument, \
      kBadInstrument, kBadCalendar, kBadNetwork, kUnsupportedNetwork, kBadLimits, \
      kBadTransition, kUnknownOrder, kBadSettings, kBadTape, kZmqMissing, kZmqFailed, \
      kVenueRefused, kTimedOut, kAlreadyRunning) \
    X(RecordType, \
      kNone, kBarOpen, kBarClose, kTrade, kQuarantine, kHeartbeat, kEnd, kQuote, \
      kBookLevel, kBookReset, kRangeOrder, kRangeEnd, kPositionReport, kPositionNotice, kHello, \
      kReady, kDone, kNewOrder, kCancelOrder, kQueryOrder, kFeedReplay, kReplaceOrder, \
      kQueryRange, kQueryAccount, kWelcome, kAck, kReject, kFill, kCancelled, kExpired, \
      kOrderState, kReplayedBar, kReplayEnd, kReplaced, kTimer, kEpoch, kStop, kDisconnected, \
      kConnected, kBackfill, kKernelResult, kBackfillEnd, \
      kModelCommand, kHeadroom, kKill, kOrderStopped, kPolicyLate, kIdsReserved, \
      kPositionCheck, kBooksAccepted, kDecision, kIntent, kRefusal, kOrderUpdate, \
      kPosition, kState, kBarQuarantined, kSynergy, kKernelState, kModelUpdate, \
      kShadowDecision, kTacticalDecision, kShadowTacticalDecision, kRiskTrip, kKillState, \
      kIdsWanted, kReconBreak, kBooksAdjusted, kBlockDigest) \
    X(ReconField, \
      kNone, kPosition, kCash, kCommission, kOpenOrders, kLateFill) \
    X(Source, kVenueFeed, kVenueOrders, kIo, kEngine, kOperator, kJournal, kKernel) \
    X(BookResetReason, kSnapshot, kGap) \
    X(KernelStatus, \
      kOk, kNotFinite, kOutOfRange, kOverBudget, kFailed, kHung, kQuarantined, kNotWarm) \
    X(KernelPolicy, kHalt, kSkip) \
    X(ModelAction, kNone, kShadow, kPromote, kRetire, kRollBack, kLate) \
    X(ModelStage, kNone, kShadow, kLive, kRetired, kRefused) \
    X(ModelCause, kOrdered, kNotFinite, kLate, kOutOfDistribution, kNotLoaded, kNoSuchModel) \
    X(KernelKind, kFeature, kRule) \
    X(KernelField, kOpen, kHigh, kLow, kClose, kVolume) \
    X(Profile, kStrategicOnly, kRule, kTwoLevel) \
    X(Side, kBuy, kSell) \
    X(OrderType, kMarket, kLimit, kStop) \
    X(TimeInForce, kGoodTillCancel, kImmediateOrCancel, kFillOrKill) \
    X(OrderState, \
      kAbsent, kNew, kIntent, kSent, kLive, kPartial, kUnknown, kPendingCancel, kFilled, \
      kCancelled, kExpired, kRejected, kNever, kDenied, kPendingReplace, kOrphan) \
    X(OrderReason, kDecision, kMaxHold, kSessionEnd, kStop, kEntry, kTarget, kGiveBack) \
    X(RejectReason, \
      kNone, kRandom, kOldEpoch, kOldConnection, kPastValidity, kDuplicateId, kTombstoned, \
      kMalformed, kMarketClosed, kForeignTape, kTooLate) \
    X(Action, kLong, kNeutral, kShort) \
    X(EntryVote, kWait, kExecute, kAggressive) \
    X(EngineState, kRecovering, kReady, kStopping, kEnded, kHalted) \
    X(QuarantineReason, \
      kNone, kNotFinite, kBelowFloor, kOffGrid, kNegativeVolume, kContradiction, \
      kOverflow, kDuplicateTime, kBackwardTime, kFuture, kJumpBand, kCrossedBook, \
      kLockedBook, kUnknownSymbol, kLineTooLong, kMalformed, kNonexistentTime, kSuspicious) \
    X(NotReadyReason, kNone, kWarmingUp, kPriceNotPositive, kOutOfSession) \
    X(GateCode, \
      kNone, kKilled, kNotReady, kNotPermitted, kMalformed, kMaxQuantity, kMaxNotional, \
      kCollar, kStaleReference, kPosition, kGross, kCredit, kRate, kDuplicate, \
      kRepeatExecution, kLoss, kSelfMatch, kParentExcess, kBackpressure, kReconBreak, \
      kPolicyInvalid) \
    X(Room, kNone, kOrderRing, kJournalRing, kDisk) \
    X(KillLevel, kActive, kReducing, kHalted, kKilled) \
    X(KillCause, \
      kNone, kOrdered, kSignal, kBadTransition, kArithmetic, kKernel, kStopped, kCrashLoop, \
      kRestart, kLatchDoubt, kFormerLife, kCleared, kLimits, kRepeatExecution, kLoss, kReconBreak, \
      kPolicyInvalid)
// clang-format on

inline constexpr StructRow kStructs[] = {GM_STRUCTS(GM_SIZE)};
inline constexpr FieldRow kFields[] = {GM_STRUCTS(GM_FIELDS)};
inline constexpr EnumeratorRow kEnumerators[] = {GM_ENUMS(GM_ENUMERATORS)};
inline constexpr std::size_t kStructCount = sizeof kStructs / sizeof kStructs[0];
inline constexpr std::size_t kFieldCount = sizeof kFields / sizeof kFields[0];
inline constexpr std::size_t kEnumeratorCount = sizeof kEnumerators / sizeof kEnumerators[0];

}  // namespace gm::layout_table
