// The engine: one writer of all trading state, a pure function from inputs to outputs.
//
// step() reads in the order of the sentence "what is there, what does it mean, what do I want, how
// much, may I, do it". It reads no clock and does no I/O: time is a field of the input, the rest is
// in Settings. The same inputs give the same outputs, byte for byte, in live, lockstep, backtest
// and replay. After open() nothing here allocates, locks, logs or calls the system. A copy goes on
// from where the original stands, with the same networks.
//
// Profile two_level. The decision on a closed 30-minute bar gives a direction that stands until the
// next such close is due, or none; it trades only to leave a position that it opposes. On each
// closed 5-minute bar, after that, the tactical team of the same model times the entry in the
// standing direction: at market where its entry agent is aggressive, else by a limit at the
// reference price, which is taken back at the next close. Against an open position only an
// aggressive entry turns it in one order; else it is left first. A direction stands for the model
// that gave it and no other; when another becomes live, entries of the one before are taken back. A
// step sends one order an instrument; what an open order prevents
// follows when that has ended, unless another bar closes first.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/engine/books.hpp"
#include "gm/engine/desk.hpp"
#include "gm/engine/kernels.hpp"
#include "gm/engine/models.hpp"
#include "gm/engine/outputs.hpp"
#include "gm/engine/recovery.hpp"
#include "gm/engine/settings.hpp"
#include "gm/engine/stage_times.hpp"
#include "gm/orders/order_table.hpp"
#include "gm/orders/seen_executions.hpp"
#include "gm/risk/gate.hpp"

namespace gm {

// Totals since the first start, for status, metrics and the summary at END.
struct EngineTotals {
    std::uint64_t decisions = 0;
    std::uint64_t tactical_decisions = 0;
    std::uint64_t shadow_decisions = 0;
    std::uint64_t roll_backs = 0;  // that nobody ordered
    std::uint64_t synergies = 0;
    std::uint64_t expired_signals = 0;  // grew too old before they made a synergy
    std::uint64_t orders = 0;           // tokens that went through the door
    std::uint64_t fills = 0;
    std::array<std::uint64_t, 32> refusals{};  // by GateCode
    std::uint64_t venue_rejects = 0;
    std::uint64_t duplicates = 0;       // inputs that had been consumed before: dropped
    std::uint64_t gaps = 0;             // sequence numbers that were missing
    std::uint64_t reader_refusals = 0;  // QUARANTINE records of the venue
    std::uint64_t unknown_symbols = 0;  // records of the feed about no instrument of ours
    std::uint64_t bad_transitions = 0;
    std::uint64_t repeated_fills = 0;  // of an execution that was booked: dropped
    std::uint64_t late_fills = 0;      // of an order that was dead to us: booked, the symbol halted
    std::uint64_t orphans = 0;         // orders of the venue that we did not know
    std::uint64_t recovered = 0;       // orders of ours that a loss of power took from the journal
};

class Engine {
 public:
    // No step writes more: every open order updated and queried, and the outputs of one bar.
    static constexpr std::size_t kStepRecordsMax = 4 * kOpenOrdersMax;

    // Cold. Allocates everything that will ever be used. columns_shown: bit c for each column of
    // the strategic matrix that somebody looks at who does not decide here.
    Failure open(const Settings& settings, std::uint32_t columns_shown = 0);

    // Consumes one input. The caller has seen to it that kStepRecordsMax journal slots are free.
    void step(const Slot& input, Outputs& out) noexcept;

    // Work that need not wait for the next bar: call while idle. Changes no output. A part takes
    // some microseconds (kPieceProducts, Mmd::prepare_part), so that what comes meanwhile waits no
    // longer; a bar that comes before the last part finds done what is done, and does the rest.
    // From a second before a close is due until a minute behind, each step leaves the caches to be
    // warmed once more.
    // True: there was something to do, call again. prepare(): all of it.
    bool prepare_part() noexcept;
    void prepare() noexcept {
        while (prepare_part()) {  // bounded: stages and pieces of each instrument
        }
    }

    // All that step() reads and changes, as bytes of this build: an engine that was opened with the
    // same settings goes on from there with the same outputs, byte for byte. Between two steps.
    // snapshot_size(): the most that save() takes, known from open() on. save() answers how much
    // it took, and allocates nothing; 0: there was no room.
    [[nodiscard]] std::size_t snapshot_size() noexcept;
    [[nodiscard]] std::size_t save(std::span<std::uint8_t> out) noexcept;
    // Cold. `models` gives those that came while the other ran. kBadArgument: not what save() of
    // this build wrote; then, and where a model is not to be had, open() must come again.
    Failure restore(std::span<const std::uint8_t> bytes, const ModelSource& models);

    // Where stage times go; null (the default): nowhere. Changes no output.
    void watch(StageTimes* times) noexcept { times_ = times; }

    // The user kernel that must be called before the next input, with a kKernelResult of number
    // last_kernel_sequence() + 1 as its answer; false: none.
    [[nodiscard]] bool next_kernel_call(KernelCall& out) const noexcept {
        return kernels_.has_call() && kernels_.next_call(out);
    }
    [[nodiscard]] std::uint64_t last_kernel_sequence() const noexcept {
        return last_kernel_sequence_;
    }
    [[nodiscard]] const Kernels& kernels() const noexcept { return kernels_; }

    // Models are offered and collected here; commands about them are inputs.
    [[nodiscard]] Models& models() noexcept { return models_; }
    [[nodiscard]] const Models& models() const noexcept { return models_; }

    // Engine time at which a TIMER would do something; INT64_MAX: never.
    [[nodiscard]] std::int64_t next_deadline_ns() const noexcept {
        std::int64_t earliest = std::min(orders_.next_deadline_ns(), kill_check_ns_);
        for (const Desk& desk : desks_) {
            earliest = std::min(earliest, desk.market.next_deadline_ns());
        }
        return earliest;
    }
    [[nodiscard]] std::uint64_t last_feed_sequence() const noexcept { return last_feed_sequence_; }
    [[nodiscard]] std::uint64_t last_reply_sequence() const noexcept {
        return last_reply_sequence_;
    }
    [[nodiscard]] std::uint64_t last_input_sequence() const noexcept {
        return stamp_.input_sequence;
    }
    [[nodiscard]] std::int64_t now_ns() const noexcept { return stamp_.now_ns; }
    [[nodiscard]] std::uint32_t epoch() const noexcept { return stamp_.epoch; }
    [[nodiscard]] EngineState state() const noexcept { return state_; }
    [[nodiscard]] bool has_ended() const noexcept { return has_ended_; }
    // A sequence number was missing: io opens a new connection, so that the venue sends it again.
    [[nodiscard]] bool is_gapped() const noexcept { return is_gapped_; }
    [[nodiscard]] std::uint32_t awaiting_queries() const noexcept { return awaiting_queries_; }
    [[nodiscard]] Awaited awaited() const noexcept;
    [[nodiscard]] const Recovery& recovery() const noexcept { return recovery_; }
    // Our books and what the venue said last of them.
    [[nodiscard]] BooksRow books_row(std::uint32_t at) const noexcept;
    // Reserved on the disk and not used yet.
    [[nodiscard]] std::uint64_t ids_left() const noexcept {
        return recovery_.ids_reserved - std::min(recovery_.ids_reserved, order_counter_);
    }
    [[nodiscard]] std::size_t open_orders() const noexcept { return orders_.open_count(); }
    [[nodiscard]] const OrderTable& orders() const noexcept { return orders_; }
    // Of the kill switch: the account alone, and what an instrument's orders are held to.
    [[nodiscard]] KillLevel account_level() const noexcept { return level_; }
    [[nodiscard]] KillLevel kill_level(std::uint32_t at) const noexcept;
    [[nodiscard]] const EngineTotals& totals() const noexcept { return totals_; }
    [[nodiscard]] std::span<const Desk> desks() const noexcept { return desks_; }
    // Why an instrument does not decide yet: its matrix, or what its kernels add to it.
    [[nodiscard]] NotReadyReason not_ready_reason(std::uint32_t at) const noexcept;
    // The same of its strategic side alone, whose decisions do not wait for the tactical one.
    [[nodiscard]] NotReadyReason strategic_reason(std::uint32_t at) const noexcept;
    // What a decision on the newest bars sees beside the matrix.
    [[nodiscard]] PolicyContext context(std::uint32_t at) const noexcept {
        return context_of(desks_[at]);
    }
    // Bars of 30 minutes that an instrument needs before it may trade, at least; 0: it is warm.
    [[nodiscard]] std::int64_t bars_needed(std::uint32_t at) const noexcept;
    // Nothing came live yet, and bars from before would be of use: an engine that is not warm, or
    // one that died while it took them.
    [[nodiscard]] bool needs_backfill() const noexcept;
    // The tape that the journal belongs to; zero until the first kConnected.
    [[nodiscard]] const std::array<std::uint8_t, 32>& tape_id() const noexcept { return tape_id_; }

    // Not archived: settings_, columns_read_, has_two_levels_ (settings), times_ (changes no
    // output), preparing_, scratch_, was_disturbed_ (what was prepared is prepared again).
    void archive(Archive& archive) noexcept {
        archive(desks_, models_, kernels_, gate_, orders_, executions_, totals_, stamp_, tape_id_,
                last_feed_sequence_, last_reply_sequence_, last_kernel_sequence_, order_counter_,
                connection_, awaiting_queries_, recovery_, headroom_, state_, level_,
                kill_check_ns_, is_gapped_, has_ended_, is_backfilling_);
    }

 private:
    void end_stage(Stage stage) noexcept {
        if (times_ != nullptr) times_->end(stage);
    }
    // inline: where step() is, for step() alone.
    [[nodiscard]] inline bool is_consumed(const Slot& input) noexcept;
    inline void dispatch(const Slot& input, Outputs& out) noexcept;
    inline void on_feed(const Slot& input, Outputs& out) noexcept;
    void on_reply(const Slot& input, Outputs& out) noexcept;
    void on_session(const Slot& input, Outputs& out) noexcept;

    // market, features, policy
    void on_bar_open(const BarOpen& bar, Outputs& out) noexcept;
    void on_bar_close(const BarClose& bar, Outputs& out) noexcept;
    void on_trade(const Slot& input, Outputs& out) noexcept;
    void on_quote(const Quote& quote, std::int64_t ts_ns, Outputs& out) noexcept;
    void on_book_level(const Slot& input, Outputs& out) noexcept;
    void on_book_reset(const BookReset& reset) noexcept;
    [[nodiscard]] inline bool is_known(std::uint32_t at, std::int64_t start_ts_ns,
                                       Outputs& out) noexcept;
    bool is_refused(std::uint32_t at, QuarantineReason reason, std::int64_t start_ts_ns,
                    Outputs& out) noexcept {
        if (reason == QuarantineReason::kNone) return false;
        write_refusal(at, reason, start_ts_ns, out);
        return true;
    }
    void write_refusal(std::uint32_t at, QuarantineReason reason, std::int64_t start_ts_ns,
                       Outputs& out) noexcept;
    void take_closed_bars(std::uint32_t at, Outputs& out) noexcept;
    void take_strategic_bar(std::uint32_t at, const ClosedBar& bar, Outputs& out) noexcept;
    void take_tactical_bar(std::uint32_t at, const ClosedBar& bar, Outputs& out) noexcept;
    void take_signal(std::uint32_t at, const ClosedBar& bar, const Signal& signal,
                     Outputs& out) noexcept;
    inline void advance(std::uint32_t at, Outputs& out) noexcept;
    void conclude(std::uint32_t at, Outputs& out) noexcept;
    void prepare_again(std::uint32_t at) noexcept;
    void prepare_from_start(Desk& desk, bool is_strategic, bool is_tactical) noexcept;
    [[nodiscard]] bool prepare_desks() noexcept;
    [[nodiscard]] bool is_close_due(const Desk& desk) const noexcept;
    [[nodiscard]] bool must_warm_again() noexcept;
    [[nodiscard]] bool warm_part(Desk& desk, std::uint32_t at) noexcept;
    void touch(const Desk& desk, std::uint32_t at) const noexcept;
    [[nodiscard]] bool prepare_stage_part(Desk& desk, std::uint32_t at) noexcept;
    [[nodiscard]] bool prepare_ensemble(Desk& desk, std::uint32_t at, std::size_t place) noexcept;
    [[nodiscard]] bool prepare_team(Desk& desk, std::size_t place) noexcept;
    void on_kernel_result(const KernelResult& result, Outputs& out) noexcept;
    void ask_rule(std::uint32_t at, DecisionValues& out) const noexcept;
    void ask_model(std::uint32_t at, DecisionValues& values, Outputs& out) noexcept;
    void ask_shadow(std::uint32_t at, Outputs& out) noexcept;
    void ask_team(std::uint32_t at, TacticalValues& values, Outputs& out) noexcept;
    void ask_shadow_team(std::uint32_t at, Outputs& out) noexcept;
    void ask_team_at(Desk& desk, std::size_t place, TacticalValues& values) const noexcept;
    void write_tactical(std::uint32_t at, RecordType type, std::size_t place,
                        const TacticalValues& values, Outputs& out) noexcept;
    void write_decision(std::uint32_t at, RecordType type, std::uint16_t model,
                        const DecisionValues& values, Outputs& out) noexcept;
    void on_model_command(const ModelCommand& command, Outputs& out) noexcept;
    bool roll_back(ModelCause cause, std::int64_t value, Outputs& out) noexcept;
    void write_changes(const Models::Changes& changes, Outputs& out) noexcept;
    void on_backfill(const BarClose& bar, std::int64_t before_ts_ns, Outputs& out) noexcept;
    void on_backfill_end(Outputs& out) noexcept;
    void begin_live_at(std::uint32_t at, std::int64_t ts_ns) noexcept;
    // With the first good event of the live feed, whose bars are not taken yet.
    void begin_live(std::uint32_t at, std::int64_t ts_ns) noexcept {
        if (!desks_[at].is_live) begin_live_at(at, ts_ns);
    }
    [[nodiscard]] PolicyContext context_of(const Desk& desk) const noexcept;

    // decision -> target -> order
    void decide(std::uint32_t at, Outputs& out) noexcept;
    void decide_exit(Desk& desk, bool opposes, bool must_exit, bool acts) const noexcept;
    void conclude_two_levels(std::uint32_t at, bool is_strategic, bool is_tactical,
                             Outputs& out) noexcept;
    void stand(Desk& desk, std::size_t place, std::int32_t direction) const noexcept;
    [[nodiscard]] std::int32_t standing(const Desk& desk, std::size_t place) const noexcept;
    [[nodiscard]] bool wants_entry(const Desk& desk, const TacticalValues& values) const noexcept;
    void pursue(std::uint32_t at, std::int64_t target_lots, const OrderCause& cause,
                Outputs& out) noexcept;
    void follow_wish(std::uint32_t at, Outputs& out) noexcept;
    void take_back(std::uint32_t at, Outputs& out) noexcept;
    void take_back_late(Order& order, Outputs& out) noexcept;
    void drop_entries(Outputs& out) noexcept;
    void leave(Desk& desk, OrderReason reason) const noexcept;
    [[nodiscard]] std::int64_t limit_ticks(std::uint32_t at, Side side) const noexcept;
    void order_toward_target(std::uint32_t at, const OrderCause& cause, Outputs& out) noexcept;
    [[nodiscard]] bool send_order(NewOrder& order, Outputs& out) noexcept;
    void write_refused(const NewOrder& order, const Verdict& verdict, Outputs& out) noexcept;

    // brackets
    [[nodiscard]] bool has_bracket(std::uint32_t at) const noexcept {
        return settings_.sizing[at].stop_atr > 0.0 || settings_.sizing[at].target_atr > 0.0;
    }
    [[nodiscard]] bool only_bracket_open(std::uint32_t at) noexcept;
    [[nodiscard]] bool is_leaving(std::uint32_t at) noexcept;
    void price_bracket(std::uint32_t at, std::int64_t paid_ticks) noexcept;
    void note_refused_leg(const Order& order) noexcept;
    void trail_stop(std::uint32_t at) noexcept;
    void renew_bracket(std::uint32_t at, bool is_strategic, Outputs& out) noexcept;
    void tend_brackets(Outputs& out) noexcept;
    void tend_bracket(std::uint32_t at, Outputs& out) noexcept;
    void tend_leg(std::uint32_t at, std::size_t leg, std::int64_t lots, Outputs& out) noexcept;
    void send_leg(std::uint32_t at, std::size_t leg, std::int64_t lots, Outputs& out) noexcept;
    void replace(Order& order, std::int64_t lots, std::int64_t price_ticks, Bracket::Leg& leg,
                 Outputs& out) noexcept;
    void cancel_oversized_legs(std::uint32_t at, Outputs& out) noexcept;
    void after_leg_fill(std::uint32_t at, std::int64_t before_lots, Outputs& out) noexcept;
    [[nodiscard]] bool is_closing(std::uint32_t at, std::int64_t ts_ns) const noexcept;

    // the gate
    [[nodiscard]] GateContext gate_context(const NewOrder& request,
                                           const Order* except) const noexcept;
    void value_changes() noexcept;
    void watch_loss(std::uint32_t at, Outputs& out) noexcept;
    void meet_trip(std::uint32_t at, const Trip& trip, Outputs& out) noexcept;
    void clear_trips(std::uint32_t instrument, KillLevel level) noexcept;
    void judge_output(std::uint32_t at, const DecisionValues& values, unsigned asked,
                      Outputs& out) noexcept;
    void judge_team_output(std::uint32_t at, const TacticalValues& values, unsigned asked,
                           Outputs& out) noexcept;
    void fail_policy(std::uint32_t at, Outputs& out) noexcept;
    void on_policy_late(const PolicyLate& late, Outputs& out) noexcept;

    // orders and replies
    void on_order_event(Order& order, OrderEvent event, RejectReason reason, Outputs& out) noexcept;
    void on_fill(Order& order, const Fill& fill, std::int64_t traded_ns, Outputs& out) noexcept;
    [[nodiscard]] std::int64_t traded_ns(const Slot& input) const noexcept;
    void forget_target(const Order& order) noexcept;
    [[nodiscard]] bool book(std::uint32_t at, Side side, const Fill& fill) noexcept;
    void note_position(std::uint32_t at, std::int64_t before_lots,
                       std::int64_t price_ticks) noexcept;
    void on_reject(Order& order, const Reject& reject, Outputs& out) noexcept;
    void on_replaced(Order& order, const Replaced& answer, Outputs& out) noexcept;
    void go_on_after_replace(Order& order, OrderState previous, Outputs& out) noexcept;
    void on_state_report(Order& order, const OrderStateReport& report, Outputs& out) noexcept;
    void take_absence(Order& order, Outputs& out) noexcept;
    void take_presence(Order& order, const OrderStateReport& report, Outputs& out) noexcept;
    void on_stranger(const Slot& input, Outputs& out) noexcept;
    void on_stranger_fill(const Fill& fill, Outputs& out) noexcept;
    void adopt(const OrderId& id, std::uint32_t at, Side side, std::int64_t lots,
               Outputs& out) noexcept;
    void meet_impossible(std::uint32_t at, Outputs& out) noexcept;
    void on_epoch(const Epoch& epoch, Outputs& out) noexcept;
    void on_stop(const SessionEvent& event, Outputs& out) noexcept;
    void on_end(Outputs& out) noexcept;
    void on_connected(const SessionEvent& event, Outputs& out) noexcept;
    void on_disconnected(Outputs& out) noexcept;
    void on_timer(Outputs& out) noexcept;
    void lose_sight(Outputs& out) noexcept;
    void on_kill(const Kill& kill, Outputs& out) noexcept;
    void on_order_stopped(const OrderStopped& stopped, Outputs& out) noexcept;
    void halt(std::uint32_t instrument, KillCause cause, Outputs& out,
              bool is_trip = false) noexcept;
    [[nodiscard]] KillState kill_state(std::uint32_t instrument, KillLevel previous,
                                       const Kill& kill) noexcept;
    void cancel_killed(bool is_repeated, Outputs& out) noexcept;
    void cancel_if_killed(Order& order, Outputs& out) noexcept;
    void query(Order& order, Outputs& out) noexcept;
    void settle_query(Order& order) noexcept;
    void cancel(Order& order, Outputs& out) noexcept;
    void await(Order& order) noexcept;
    void await_fill(Order& order) noexcept;
    void cancel_if_stopping(Outputs& out) noexcept;
    void cancel_all(Outputs& out) noexcept;
    void become_ready_if_known(Outputs& out) noexcept;

    // recovery
    void begin_recovery(const Epoch& epoch) noexcept;
    void forget_lost_targets() noexcept;
    void ask_range(Outputs& out) noexcept;
    [[nodiscard]] bool is_recovered(Outputs& out) noexcept;
    [[nodiscard]] OrderId take_id(Outputs& out) noexcept;
    void want_ids(Outputs& out) noexcept;
    void on_ids_reserved(const IdsReserved& reserved, Outputs& out) noexcept;
    [[nodiscard]] bool take_recovery(const Slot& input, Outputs& out) noexcept;
    void on_lost(const Slot& input, Outputs& out) noexcept;
    Order* adopt_own(const NewOrder& found, Outputs& out) noexcept;
    void repeat_lost_replace(Order& order, const Replaced& answer) noexcept;
    void on_range_order(const RangeOrder& found, Outputs& out) noexcept;
    void on_range_end(const RangeEnd& end, Outputs& out) noexcept;
    [[nodiscard]] ReconBreak compare(std::uint32_t at) const noexcept;
    [[nodiscard]] ReconBreak compare_unnamed() noexcept;
    [[nodiscard]] bool take_report(const PositionReport& report, bool with_open_orders,
                                   ReconBreak& first) noexcept;
    void conclude_report(Outputs& out) noexcept;
    void on_position_report(const PositionReport& report, Outputs& out) noexcept;
    void on_position_check(const PositionReport& report, Outputs& out) noexcept;
    void break_reconciliation(const ReconBreak& found, Outputs& out) noexcept;
    void end_break(Outputs& out) noexcept;
    [[nodiscard]] Sha256Digest break_digest() const noexcept;
    void on_books_accepted(const BooksAccepted& accepted, Outputs& out) noexcept;
    void take_books(std::uint32_t at, Outputs& out) noexcept;
    [[nodiscard]] std::int64_t price_of_new_lots(std::uint32_t at,
                                                 const BooksRow& row) const noexcept;

    void write_order_update(const Order& order, OrderState previous, Outputs& out) noexcept;
    void write_position(std::uint32_t at, Outputs& out) noexcept;
    void write_state(std::uint32_t at, EngineState state, std::uint8_t reason,
                     Outputs& out) noexcept;

    Settings settings_;
    std::vector<Desk> desks_;
    Models models_;
    Kernels kernels_;
    Gate gate_;
    OrderTable orders_;
    SeenExecutions executions_;
    Recovery recovery_;
    EngineTotals totals_;
    Stamp stamp_{};
    StageTimes* times_ = nullptr;
    std::array<std::uint8_t, 32> tape_id_{};
    std::uint64_t last_feed_sequence_ = 0;
    std::uint64_t last_reply_sequence_ = 0;
    std::uint64_t last_kernel_sequence_ = 0;
    std::uint64_t order_counter_ = 0;
    std::uint32_t columns_read_ = 0;  // of the strategic matrix
    std::uint32_t connection_ = 0;
    std::uint32_t awaiting_queries_ = 0;
    EngineState state_ = EngineState::kRecovering;
    KillLevel level_ = KillLevel::kActive;    // of the account
    Headroom headroom_{};                     // R18
    std::int64_t kill_check_ns_ = INT64_MAX;  // are there still open orders under KILLED?
    std::size_t preparing_ = 0;               // desk whose preparation is under way
    PrepareScratch scratch_{};                // of it
    bool was_disturbed_ = false;              // a step came since the caches were warmed
    bool has_two_levels_ = false;
    bool is_gapped_ = false;
    bool has_ended_ = false;       // END was consumed: nothing more comes from this tape
    bool is_backfilling_ = false;  // until kBackfillEnd; outlives a connection and a life
};

}  // namespace gm
