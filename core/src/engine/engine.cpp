#include "gm/engine/engine.hpp"

#include <cstring>
#include <memory>
#include <utility>

#ifdef GM_MUTANT_P11
#include <unistd.h>
#endif

namespace gm {
namespace {

#ifdef GM_MUTANT_P11
// What P11 forbids, for the test that must find it: 1 (or no value) an allocation, 2 a system call.
void break_promise() noexcept {
    if (GM_MUTANT_P11 - 0 == 2) {
        (void)::getppid();
        return;
    }
    char* planted = new char[1];
    asm volatile("" : : "r"(planted) : "memory");  // or the compiler would leave both out
    delete[] planted;
}
#endif

SynergyRules synergy_rules(const SettingsHeader& header) noexcept {
    return {header.synergy_mlmi_min, header.synergy_slope_min, header.synergy_window_bars,
            header.synergy_cooldown_bars};
}

}  // namespace

Failure Engine::open(const Settings& settings, std::uint32_t columns_shown) {
    settings_ = settings;
    const std::size_t count = settings.instruments.size();
    if (count == 0) return fail(Status::kBadSettings, "settings hold no instrument");
    const GateSettings of_gate{settings.header.limits_expire_ts_ns,
                               settings.header.loss_confirmations};
    if (Failure failure =
            gate_.open(settings.instruments, settings.limits, settings.account, of_gate);
        !failure.is_ok()) {
        return failure;
    }
    if (Failure failure = orders_.open(count); !failure.is_ok()) return failure;
    has_two_levels_ = settings.header.profile == static_cast<std::uint32_t>(Profile::kTwoLevel);
    const auto model = std::make_shared<Model>();
    if (Failure failure = load_model(settings, *model); !failure.is_ok()) return failure;
    if (has_two_levels_ && !model->team.is_loaded()) {
        return fail(Status::kBadSettings, "profile 2 (two_level) without tactical agents");
    }
    if (Failure failure = kernels_.open(settings); !failure.is_ok()) return failure;

    // A rule has its own windows; a synergy looks at columns that are computed in any case.
    columns_read_ = kernels_.has_rule() ? 0 : model->column_mask;
    columns_read_ |= columns_shown;
    std::uint32_t columns_made = columns_read_;  // with those of kernels

    desks_ = std::vector<Desk>(count);
    for (std::size_t i = 0; i < count; ++i) {
        const Instrument& instrument = settings.instruments[i];
        const auto sessions = std::span(settings.sessions)
                                  .subspan(instrument.session_first, instrument.session_count);
        const auto offsets =
            std::span(settings.offsets).subspan(instrument.offset_first, instrument.offset_count);
        Failure failure = desks_[i].market.open(instrument, sessions, offsets,
                                                settings.header.confirmed_clean_bars);
        if (!failure.is_ok()) return failure;
        desks_[i].features.open(columns_read_);
        columns_made |= desks_[i].features.columns();
        desks_[i].tactical.open();
        desks_[i].synergies.open(synergy_rules(settings.header));
        if (has_two_levels_) desks_[i].team.resize(kModelPlaces);
    }
    models_.open(model, columns_made, has_two_levels_);
    return ok();
}

// Inputs that change nothing are not journalled: numbers seen before, and timers with nothing due.
inline bool Engine::is_consumed(const Slot& input) noexcept {
    std::uint64_t last = 0;
    switch (static_cast<Source>(input.header.source)) {
        case Source::kVenueFeed: last = last_feed_sequence_; break;
        case Source::kVenueOrders: last = last_reply_sequence_; break;
        case Source::kKernel: last = last_kernel_sequence_; break;
        default:
            return input.type() == RecordType::kTimer &&
                   input.header.receive_ts_ns < next_deadline_ns();
    }
    if (input.header.first_sequence > last) return false;
    ++totals_.duplicates;
    return true;
}

inline void Engine::dispatch(const Slot& input, Outputs& out) noexcept {
    const std::uint64_t sequence = input.header.first_sequence;
    switch (static_cast<Source>(input.header.source)) {
        case Source::kVenueFeed:
#ifdef GM_MUTANT_P6  // a number that is missing is not missed
            if (sequence <= last_feed_sequence_) break;
#else
            if (sequence != last_feed_sequence_ + 1) break;
#endif
            last_feed_sequence_ = sequence;
            return on_feed(input, out);
        case Source::kVenueOrders:
            if (sequence != last_reply_sequence_ + 1) break;
            last_reply_sequence_ = sequence;
            return on_reply(input, out);
        case Source::kKernel:
            last_kernel_sequence_ = sequence;
            return on_kernel_result(input.as<KernelResult>(), out);
        default: return on_session(input, out);
    }
    // Something is missing. It is not guessed at: the venue sends it again on a new connection.
    ++totals_.gaps;
#ifndef GM_MUTANT_P6
    is_gapped_ = true;
#endif
}

inline void Engine::on_feed(const Slot& input, Outputs& out) noexcept {
    switch (input.type()) {
        case RecordType::kBarOpen: return on_bar_open(input.as<BarOpen>(), out);
        case RecordType::kBarClose: return on_bar_close(input.as<BarClose>(), out);
        case RecordType::kTrade: return on_trade(input, out);
        case RecordType::kQuote: {
            return on_quote(input.as<Quote>(), input.header.source_ts_ns, out);
        }
        case RecordType::kBookLevel: return on_book_level(input, out);
        case RecordType::kBookReset: return on_book_reset(input.as<BookReset>());
        case RecordType::kQuarantine: {
            const auto refused = input.as<Quarantine>();
            ++totals_.reader_refusals;
            if (refused.instrument < desks_.size()) {
                desks_[refused.instrument].market.on_reader_refusal(
                    static_cast<QuarantineReason>(refused.reason));
            }
            return;
        }
        case RecordType::kEnd: return on_end(out);
        default: return;  // a heartbeat moves the sequence and engine time, nothing else
    }
}

void Engine::step(const Slot& input, Outputs& out) noexcept {
#ifdef GM_MUTANT_P11
    break_promise();
#endif
    if (is_consumed(input)) return;
    if (times_ != nullptr) times_->begin();
    ++stamp_.input_sequence;
    // Engine time never runs backward: an input that claims so is taken at the time reached.
    if (input.header.receive_ts_ns > stamp_.now_ns) stamp_.now_ns = input.header.receive_ts_ns;
    out.write_input(input, stamp_.input_sequence);
    was_disturbed_ = true;
    dispatch(input, out);
    value_changes();
}

void Engine::on_bar_open(const BarOpen& bar, Outputs& out) noexcept {
    if (!is_known(bar.instrument, bar.start_ts_ns, out)) return;
    Market& market = desks_[bar.instrument].market;
    if (is_refused(bar.instrument, market.on_open(bar, stamp_.now_ns), bar.start_ts_ns, out))
        return;
    begin_live(bar.instrument, bar.start_ts_ns);
    desks_[bar.instrument].is_closing =
        is_closing(bar.instrument, bar.start_ts_ns + bar.duration_ns);
    watch_loss(bar.instrument, out);
    advance(bar.instrument, out);
}

void Engine::on_bar_close(const BarClose& bar, Outputs& out) noexcept {
    if (!is_known(bar.instrument, bar.start_ts_ns, out)) return;
    Market& market = desks_[bar.instrument].market;
    if (is_refused(bar.instrument, market.on_close(bar, stamp_.now_ns), bar.start_ts_ns, out))
        return;
    const std::int64_t duration_ns = std::int64_t{bar.duration_s} * 1'000'000'000;
    Desk& desk = desks_[bar.instrument];
    begin_live(bar.instrument, bar.start_ts_ns);
    desk.is_closing = is_closing(bar.instrument, bar.start_ts_ns + 2 * duration_ns);
    watch_loss(bar.instrument, out);
    advance(bar.instrument, out);
    if (!desk.is_closing) return;
    // And again on the last bar, should the first order have come to nothing.
    const OrderCause cause{OrderReason::kSessionEnd, OrderType::kMarket, desk.last_bar_start_ts_ns};
    if (has_two_levels_) {
        take_back(bar.instrument, out);
        return pursue(bar.instrument, 0, cause, out);
    }
    desk.target_lots = 0;
    orders_.begin_parent(bar.instrument, 0);
    order_toward_target(bar.instrument, cause, out);
}

// flat_at_session_end: does the session end before an order sent at the next bar could fill, when
// that bar starts at ts_ns?
bool Engine::is_closing(std::uint32_t at, std::int64_t ts_ns) const noexcept {
    return settings_.header.flat_at_session_end != 0 && !desks_[at].market.in_session(ts_ns);
}

void Engine::on_trade(const Slot& input, Outputs& out) noexcept {
    const auto& trade = input.view<Trade>();
    const std::int64_t ts_ns = input.header.source_ts_ns;
    if (!is_known(trade.instrument, ts_ns, out)) return;
    const QuarantineReason reason =
        desks_[trade.instrument].market.on_trade(trade, ts_ns, stamp_.now_ns);
    if (is_refused(trade.instrument, reason, ts_ns, out)) return;
    begin_live(trade.instrument, ts_ns);
    watch_loss(trade.instrument, out);
    advance(trade.instrument, out);
}

// All that are not ours are one: a flood of symbols must not become a flood of labels.
inline bool Engine::is_known(std::uint32_t at, std::int64_t start_ts_ns, Outputs& out) noexcept {
    if (at < desks_.size()) {
        orders_.note_change(at);  // its reference, too
        return true;
    }
    ++totals_.unknown_symbols;
    BarQuarantined refused{};
    refused.start_ts_ns = start_ts_ns;
    refused.feed_sequence = last_feed_sequence_;
    refused.instrument = kUnknownInstrument;
    refused.reason = static_cast<std::uint32_t>(QuarantineReason::kUnknownSymbol);
    out.write(stamp_, RecordType::kBarQuarantined, refused);
    return false;
}

void Engine::write_refusal(std::uint32_t at, QuarantineReason reason, std::int64_t start_ts_ns,
                           Outputs& out) noexcept {
    ++desks_[at].quarantined;
    BarQuarantined refused{};
    refused.start_ts_ns = start_ts_ns;
    refused.feed_sequence = last_feed_sequence_;
    refused.instrument = at;
    refused.reason = static_cast<std::uint32_t>(reason);
    out.write(stamp_, RecordType::kBarQuarantined, refused);
}

inline void Engine::advance(std::uint32_t at, Outputs& out) noexcept {
    if (desks_[at].market.may_have_closed()) take_closed_bars(at, out);
    kernels_.ask(at, stamp_.input_sequence);
    if (desks_[at].must_decide || desks_[at].must_time) conclude(at, out);
}

// Once every kernel has answered: what do the closed bars mean?
void Engine::conclude(std::uint32_t at, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    if (kernels_.is_waiting(at)) return;
    const bool is_strategic = desk.must_decide;
    const bool is_tactical = desk.must_time;
    if (!(is_strategic || is_tactical) || !desk.is_live) return;
    desk.must_decide = desk.must_time = false;
    const NotReadyReason reason = not_ready_reason(at);
    if ((reason == NotReadyReason::kNone) != desk.was_ready) {
        desk.was_ready = !desk.was_ready;
        write_state(at, state_, static_cast<std::uint8_t>(reason), out);
    }
    if (has_two_levels_) {
        conclude_two_levels(at, is_strategic, is_tactical, out);
    } else {
        decide(at, out);
    }
    renew_bracket(at, is_strategic, out);
    if (is_strategic) write_position(at, out);
    end_stage(Stage::kOrder);
    if (is_strategic && strategic_reason(at) == NotReadyReason::kNone) ask_shadow(at, out);
    if (is_tactical && desk.tactical.is_ready()) ask_shadow_team(at, out);
    prepare_from_start(desk, is_strategic || desk.must_prepare, is_tactical);
}

NotReadyReason Engine::not_ready_reason(std::uint32_t at) const noexcept {
    const NotReadyReason reason = strategic_reason(at);
    if (reason != NotReadyReason::kNone || !has_two_levels_) return reason;
    return desks_[at].tactical.reason();
}

NotReadyReason Engine::strategic_reason(std::uint32_t at) const noexcept {
    const NotReadyReason of_features = desks_[at].features.reason();
    if (!kernels_.has_rule() && of_features != NotReadyReason::kNone) return of_features;
    return kernels_.is_ready(at) ? NotReadyReason::kNone : NotReadyReason::kWarmingUp;
}

void Engine::on_timer(Outputs& out) noexcept {
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        desks_[at].market.on_time(stamp_.now_ns);
        advance(at, out);
    }
    orders_.for_each_open([&](Order& order) {
        if (order.deadline_ns > stamp_.now_ns) return;
        order.deadline_ns = INT64_MAX;  // of the answer to the query, the connection is judged
        const OrderState previous = order.state;
        if (orders_.apply(order, OrderEvent::kTimeout) != Status::kOk) return;
        if (order.state != previous) write_order_update(order, previous, out);
        query(order, out);
    });
    cancel_if_stopping(out);
    if (kill_check_ns_ <= stamp_.now_ns) cancel_killed(true, out);
}

void Engine::write_position(std::uint32_t at, Outputs& out) noexcept {
    const Desk& desk = desks_[at];
    const Position& position = desk.position;
    PositionUpdate update{};
    update.position_lots = position.lots;
    update.cost_low = static_cast<std::int64_t>(position.cost);
    update.cost_high = static_cast<std::int64_t>(position.cost >> 64);
    update.realised_micros = position.realised_micros;
    update.commission_micros = position.commission_micros;
    update.round_trips = position.round_trips;
    update.instrument = at;
    if (unrealised_micros(position, desk.market.last_good_price_ticks(),
                          settings_.instruments[at].tick_value_micros,
                          update.unrealised_micros) != Status::kOk) {
        halt(at, KillCause::kArithmetic, out);
    }
    out.write(stamp_, RecordType::kPosition, update);
}

void Engine::write_state(std::uint32_t at, EngineState state, std::uint8_t reason,
                         Outputs& out) noexcept {
    StateUpdate update{};
    update.instrument = at;
    update.state = state;
    update.reason = reason;
    if (at < desks_.size()) update.bars_needed = static_cast<std::uint32_t>(bars_needed(at));
    out.write(stamp_, RecordType::kState, update);
}

}  // namespace gm
