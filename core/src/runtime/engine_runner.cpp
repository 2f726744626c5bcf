#include "gm/runtime/engine_runner.hpp"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>

#include "gm/engine/lockstep.hpp"

namespace gm {
namespace {

constexpr std::int64_t kStatusEveryNs = 5'000'000;
constexpr std::int64_t kSleepNsMax = 100'000'000;  // a lost wake-up costs this, not for ever
constexpr int kSpinsBeforeYield = 64;
constexpr std::int64_t kPrepareNs = 5'000;  // and one part, before io looks for messages

void pause_cpu() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::int64_t timeout_ns) noexcept {
    const timespec timeout{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT_PRIVATE, expected,
            &timeout, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& word) noexcept {
    syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr,
            nullptr, 0);
}

void copy_totals(const EngineTotals& totals, EngineStatus& status) noexcept {
    status.decisions = totals.decisions;
    status.orders = totals.orders;
    status.fills = totals.fills;
    status.venue_rejects = totals.venue_rejects;
    status.duplicates = totals.duplicates;
    status.gaps = totals.gaps;
    status.reader_refusals = totals.reader_refusals;
    status.unknown_symbols = totals.unknown_symbols;
    status.bad_transitions = totals.bad_transitions;
    status.repeated_fills = totals.repeated_fills;
    status.late_fills = totals.late_fills;
    status.orphans = totals.orphans;
    status.recovered = totals.recovered;
    status.shadow_decisions = totals.shadow_decisions;
    status.roll_backs = totals.roll_backs;
    static_assert(sizeof status.refusals == sizeof totals.refusals);
    std::memcpy(status.refusals, totals.refusals.data(), sizeof status.refusals);
}

void copy_kernels(const Kernels& kernels, EngineStatus& status) noexcept {
    for (std::size_t i = 0; i < kernels.count(); ++i) {  // at most kKernelsMax
        KernelReading& row = status.kernels[i];
        std::memcpy(row.name, kernels.settings(i).name, sizeof row.name);
        row.calls = kernels.calls(i);
        row.status = static_cast<std::uint64_t>(kernels.status(i));
    }
}

void copy_models(const Models& models, EngineStatus& status) noexcept {
    status.live_model = models.live_number();
    status.shadow_model = models.shadow_number();
    status.last_model = models.last_number();
    const Sha256Digest& live = models.live().sha256;
    std::memcpy(status.live_sha256, live.data(), live.size());
    const Model* shadow = models.shadow();
    if (shadow != nullptr) {
        std::memcpy(status.shadow_sha256, shadow->sha256.data(), sizeof status.shadow_sha256);
    }
    status.before_model = models.before_number();
    const Model* before = models.before();
    if (before != nullptr) {
        std::memcpy(status.before_sha256, before->sha256.data(), sizeof status.before_sha256);
    }
}

// R19, for people who may have to accept the venue's books.
void copy_books(const Engine& engine, std::uint32_t at, InstrumentStatus& status) noexcept {
    const BooksRow row = engine.books_row(at);
    const auto low = [](Int128 value) { return static_cast<std::uint64_t>(value); };
    const auto high = [](Int128 value) { return static_cast<std::int64_t>(value >> 64); };
    status.books_differ = engine.recovery().has_break && row.differs() ? 1 : 0;
    status.cash_micros_low = low(row.ours.cash_micros);
    status.cash_micros_high = high(row.ours.cash_micros);
    status.open_orders = row.open_orders;
    status.venues_position_lots = row.venues.position_lots;
    status.venues_cash_micros_low = low(row.venues.cash_micros);
    status.venues_cash_micros_high = high(row.venues.cash_micros);
    status.venues_commission_micros = row.venues.commission_micros;
    status.venues_open_orders = row.venues_open_orders;
    const Int128 adjusted = engine.desks()[at].position.adjusted_micros;
    status.adjusted_micros_low = low(adjusted);
    status.adjusted_micros_high = high(adjusted);
}

InstrumentStatus status_of(const Desk& desk, const Instrument& instrument,
                           NotReadyReason reason) noexcept {
    InstrumentStatus status{};
    std::memcpy(status.symbol, instrument.symbol, sizeof status.symbol);
    status.position_lots = desk.position.lots;
    status.realised_micros = desk.position.realised_micros;
    status.commission_micros = desk.position.commission_micros;
    status.round_trips = desk.position.round_trips;
    status.last_price_ticks = desk.market.last_good_price_ticks();
    status.last_price_ts_ns = desk.market.last_good_ts_ns();
    status.is_ready = reason == NotReadyReason::kNone ? 1 : 0;
    status.not_ready_reason = static_cast<std::uint64_t>(reason);
    status.bars_30m = desk.closed_bars_30m;
    status.bars_5m = desk.closed_bars_5m;
    status.quarantined = desk.quarantined;
    status.held_bars = desk.held_bars;
    status.backfilled_bars = desk.backfilled_bars;
    const float* newest = desk.features.matrix() + (kStrategicRows - 1) * kStrategicColumns;
    static_assert(kStrategicColumns * sizeof(float) <= sizeof status.newest_row);
    std::memcpy(status.newest_row, newest, kStrategicColumns * sizeof(float));
    return status;
}

}  // namespace

Failure EngineRunner::open(Engine& engine, JournalRing& journal, SpscRing<Slot>& orders,
                           SpscRing<Slot>& drop_copy, StatusPage& page,
                           const RunnerSettings& settings) {
    engine_ = &engine;
    journal_ = &journal;
    page_ = &page;
    settings_ = settings;
    io_sequence_ = settings.io_sequence;
    outputs_.emplace(journal, orders, &drop_copy);
    if (settings.ns_per_tick > 0.0) {
        ns_per_tick_ = settings.ns_per_tick;
    } else if (!settings.is_stepped) {
        ns_per_tick_ = TickScale::calibrate().ns_per_tick();
    }
    policy_budget_ticks_ =
        static_cast<std::uint64_t>(static_cast<double>(settings.policy_budget_ns) / ns_per_tick_);
    engine.watch(&stage_times_);
    publish();
    if (settings.driver == Driver::kInline) return ok();
    return feed_.open(settings.feed_ring_slots);
}

Failure EngineRunner::start() {
    must_stop_.store(false, std::memory_order_release);
    if (settings_.driver == Driver::kInline || settings_.is_stepped) return ok();
    return thread_.start("gm-engine", settings_.engine_cpu, [this] { run(); });
}

void EngineRunner::stop() noexcept {
    must_stop_.store(true, std::memory_order_release);
    if (!thread_.is_running()) return;
    sleeps_.exchange(0, std::memory_order_acq_rel);
    futex_wake(sleeps_);
    thread_.join();
}

std::size_t EngineRunner::room() noexcept {
    if (settings_.driver == Driver::kThreaded) return feed_.free();
    return journal_->has_room(Engine::kStepRecordsMax) ? SIZE_MAX : 0;
}

void EngineRunner::submit(const Slot& input) noexcept {
    ++submitted_;
    if (settings_.driver == Driver::kInline) {
        consume(input);
        ++stepped_;
        publish();
        return;
    }
    if (feed_.push(input) != Status::kOk) __builtin_trap();  // io did not ask for room()
    // Both sides only exchange this word, so of two exchanges the later sees what came before the
    // earlier: either the engine sees the record, or io sees the announced sleep.
    if (sleeps_.exchange(0, std::memory_order_acq_rel) == 1) futex_wake(sleeps_);
}

bool EngineRunner::is_caught_up() noexcept {
    return consumed() == submitted_;
}

EngineView EngineRunner::view() const noexcept {
    EngineView view;  // relaxed: consumed() was read before, and it pairs with publish()
    view.next_deadline_ns = next_deadline_ns_.load(std::memory_order_relaxed);
    view.open_orders = open_orders_.load(std::memory_order_relaxed);
    view.awaiting_queries = awaiting_queries_.load(std::memory_order_relaxed);
    view.state = state_.load(std::memory_order_relaxed);
    view.awaited = awaited_.load(std::memory_order_relaxed);
    view.is_gapped = is_gapped_.load(std::memory_order_relaxed);
    return view;
}

bool EngineRunner::idle() noexcept {
    if (settings_.is_stepped) {
        while (engine_->prepare_part()) {  // bounded by one bar's work
        }
        if (settings_.driver == Driver::kInline) copy_state_if_due();
        return false;
    }
    if (settings_.driver == Driver::kThreaded) return false;
    const auto turn = static_cast<std::uint64_t>(static_cast<double>(kPrepareNs) / ns_per_tick_);
    const std::uint64_t begin = ticks();
    bool has_more = engine_->prepare_part();
    while (has_more && ticks() - begin < turn) has_more = engine_->prepare_part();
    write_status(false);
    if (!has_more) copy_state_if_due();
    return has_more;
}

// Room for the worst case of a step. The journal thread makes it, or has failed for good.
bool EngineRunner::wait_for_journal() noexcept {
    int spins = 0;
    while (!journal_->has_room(Engine::kStepRecordsMax)) {  // bounded by halt()
        if (is_halted() || must_stop_.load(std::memory_order_acquire)) return false;
        if (++spins % kSpinsBeforeYield == 0) sched_yield();
        pause_cpu();
    }
    return true;
}

void EngineRunner::step(const Slot& input) noexcept {
    if (is_halted() || !wait_for_journal()) return;
    const std::uint64_t begin = ticks();
    if (static_cast<Source>(input.header.source) != Source::kIo) {
        engine_->step(input, *outputs_);
    } else {
        step_io(*engine_, input, io_sequence_, *outputs_);
    }
    step_ticks_.record(ticks() - begin);
    if (outputs_->unsent() > 0) halt();  // io is gone or hangs: nothing may be decided any more
}

// With what the step's closed bars ask of user kernels: the next input finds it answered.
void EngineRunner::step_and_serve(const Slot& input) noexcept {
    const std::uint64_t first_input = engine_->last_input_sequence() + 1;
    step(input);
    if (settings_.kernels != nullptr) {
        settings_.kernels->serve(*engine_, [this](const Slot& answer) { step(answer); });
    }
    judge_lateness(first_input);
}

// The clock is read outside the step; what follows from it is an input like any other.
void EngineRunner::judge_lateness(std::uint64_t first_input) noexcept {
    const std::uint64_t took = stage_times_.take_policy_ticks();
    // In lockstep the venue waits for the answer: nothing is late, and equal input gives equal
    // bytes.
    const bool is_waited_for = is_lockstep_.load(std::memory_order_relaxed);
    if (took == 0 || policy_budget_ticks_ == 0 || is_waited_for) return;
    if (const std::uint32_t live = engine_->models().live_number(); live != judged_model_) {
        judged_model_ = live;
        late_decisions_ = 0;  // those were another model's
    }
    const bool is_late = took > policy_budget_ticks_;
    late_in_all_ += is_late ? 1 : 0;
    late_decisions_ = is_late ? late_decisions_ + 1 : 0;
    if (!is_late) return;
    const auto took_ns = static_cast<std::int64_t>(static_cast<double>(took) * ns_per_tick_);
    const PolicyLate fact{first_input, took_ns, settings_.policy_budget_ns, {}};
    step(make_slot(RecordType::kPolicyLate, Source::kIo, 0, engine_->now_ns(), fact));
    if (late_decisions_ < kLateDecisionsMax || !engine_->models().has_before()) return;
    late_decisions_ = 0;
    ModelCommand late{};
    late.model = engine_->models().live_number();
    late.action = ModelAction::kLate;
    late.value = took_ns;
    step(make_slot(RecordType::kModelCommand, Source::kIo, 0, engine_->now_ns(), late));
}

// Nothing waits, and what could be prepared is.
void EngineRunner::copy_state_if_due() noexcept {
    if (settings_.snapshots == nullptr || is_halted()) return;
    settings_.snapshots->copy_if_due(*engine_, journal_->next_sequence() - 1, io_sequence_);
}

void EngineRunner::consume(const Slot& input) noexcept {
    if (is_lockstep_.load(std::memory_order_relaxed)) {
        fire_deadlines(*engine_, input.header.receive_ts_ns, [this](const Slot& timer) {
            step_and_serve(timer);
            return true;
        });
    }
    step_and_serve(input);
    is_status_old_ = true;
}

void EngineRunner::publish() noexcept {
    next_deadline_ns_.store(engine_->next_deadline_ns(), std::memory_order_relaxed);
    open_orders_.store(engine_->open_orders(), std::memory_order_relaxed);
    awaiting_queries_.store(engine_->awaiting_queries(), std::memory_order_relaxed);
    state_.store(engine_->state(), std::memory_order_relaxed);
    awaited_.store(engine_->awaited(), std::memory_order_relaxed);
    is_gapped_.store(engine_->is_gapped(), std::memory_order_relaxed);
    // Release: pairs with consumed(). The orders of the step are in the ring before this.
    consumed_.store(stepped_, std::memory_order_release);
}

std::size_t EngineRunner::turn(std::size_t most) noexcept {
    std::size_t taken = 0;
    for (const Slot* input = feed_.front(); input != nullptr && taken < most; ++taken) {
        if (!is_halted() && !journal_->has_room(Engine::kStepRecordsMax)) break;
        consume(*input);
        feed_.pop();
        ++stepped_;
        publish();
        input = feed_.front();
    }
    if (feed_.front() == nullptr) copy_state_if_due();
    return taken;
}

void EngineRunner::run() noexcept {
    const auto spin_ticks =
        static_cast<std::uint64_t>(static_cast<double>(settings_.idle_spin_ns) / ns_per_tick_);
    std::uint64_t idle_since = ticks();
    bool is_idle = false;
    bool must_prepare = true;
    while (!must_stop_.load(std::memory_order_acquire)) {
        const Slot* input = feed_.front();
        if (input != nullptr) {
            consume(*input);
            feed_.pop();
            ++stepped_;
            publish();
            is_idle = false;
            must_prepare = true;
            continue;
        }
        if (must_prepare) {  // a part, then look whether something came
            must_prepare = engine_->prepare_part();
            write_status(false);  // also where messages leave no time for the last part
            continue;
        }
        if (!is_idle) {
            is_idle = true;
            write_status(false);
            copy_state_if_due();
            idle_since = ticks();
        }
        if (ticks() - idle_since < spin_ticks) {
            pause_cpu();
            continue;
        }
        write_status(true);
        sleep();
        idle_since = ticks();
    }
    write_status(true);
}

void EngineRunner::sleep() noexcept {
    sleeps_.exchange(1, std::memory_order_acq_rel);
    if (feed_.front() == nullptr && !must_stop_.load(std::memory_order_acquire)) {
        futex_wait(sleeps_, 1, kSleepNsMax);
    }
    sleeps_.exchange(0, std::memory_order_acq_rel);
}

void EngineRunner::write_status(bool is_forced) noexcept {
    if (!is_status_old_ || engine_ == nullptr) return;
    const std::uint64_t now = ticks();
    const double since_ns = static_cast<double>(now - status_ticks_) * ns_per_tick_;
    if (!is_forced && since_ns < static_cast<double>(kStatusEveryNs)) return;
    status_ticks_ = now;
    is_status_old_ = false;

    EngineStatus status{};
    status.state = static_cast<std::uint64_t>(engine_->state());
    status.epoch = engine_->epoch();
    status.inputs_consumed = stepped_;
    status.last_input_sequence = engine_->last_input_sequence();
    status.last_feed_sequence = engine_->last_feed_sequence();
    status.last_reply_sequence = engine_->last_reply_sequence();
    status.now_ns = engine_->now_ns();
    status.next_deadline_ns = engine_->next_deadline_ns();
    status.awaiting_queries = engine_->awaiting_queries();
    status.awaited = static_cast<std::uint64_t>(engine_->awaited());
    status.ids_left = engine_->ids_left();
    status.open_orders = engine_->open_orders();
    status.instruments = engine_->desks().size();
    status.drop_copy_lost = outputs_->drop_copy_lost();
    copy_totals(engine_->totals(), status);
    copy_kernels(engine_->kernels(), status);
    copy_models(engine_->models(), status);
    status.late_decisions = late_in_all_;
    const Sha256Digest& shown = engine_->recovery().break_sha256;
    std::memcpy(status.break_sha256, shown.data(), shown.size());
    page_->write_engine(status);
    const auto desks = engine_->desks();
    for (std::size_t i = 0; i < desks.size(); ++i) {
        const auto at = static_cast<std::uint32_t>(i);
        InstrumentStatus row =
            status_of(desks[i], settings_.instruments[i], engine_->not_ready_reason(at));
        row.bars_needed = engine_->bars_needed(at);
        row.kill_level = static_cast<std::uint64_t>(engine_->kill_level(at));
        copy_books(*engine_, at, row);
        page_->write_instrument(i, row);
    }
}

}  // namespace gm
