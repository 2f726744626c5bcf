#include "gm/session/session.hpp"

#include <algorithm>
#include <cstring>

#include "gm/engine/lockstep.hpp"

namespace gm {
namespace {

// One worst step more than is drained at once; small enough to stay in the cache.
constexpr std::uint64_t kRingSlots = 2 * Engine::kStepRecordsMax;
constexpr std::uint32_t kConnection = 1;  // of epoch 1: nothing is ever lost here

// What the feed says is in the tape already.
bool is_data(RecordType type) noexcept {
    switch (type) {
        case RecordType::kBarOpen:
        case RecordType::kBarClose:
        case RecordType::kTrade:
        case RecordType::kQuote:
        case RecordType::kBookLevel:
        case RecordType::kBookReset: return true;
        default: return false;
    }
}

}  // namespace

Failure Session::open(const Settings& settings, const VenueSettings& venue,
                      std::span<const TapeRow> tape, const SessionOptions& options) {
    if (venue.instrument >= settings.instruments.size()) {
        return fail(Status::kBadSettings, "the venue plays instrument " +
                                              std::to_string(venue.instrument) + " of " +
                                              std::to_string(settings.instruments.size()));
    }
    engine_ = std::make_unique<Engine>();
    keeps_records_ = options.keeps_records;
    is_answered_outside_ = options.is_answered_outside;
    Failure failure = engine_->open(settings, options.columns_shown);
    if (failure.is_ok()) {
        failure = venue_.open(venue, settings.instruments[venue.instrument], tape, false);
    }
    if (failure.is_ok()) failure = orders_.open(Engine::kStepRecordsMax);
    if (failure.is_ok()) failure = ring_.open_anonymous(kRingSlots);
    if (failure.is_ok()) failure = open_kernels(settings, options);
    if (failure.is_ok() && !options.run_directory.empty()) failure = open_journal(options);
    if (!failure.is_ok()) return failure;
    outputs_.emplace(ring_, orders_, nullptr);

    Epoch epoch{};
    epoch.epoch = 1;
    epoch.clean = 1;
    epoch.is_reconciled = 1;
    std::memcpy(epoch.settings_sha256, settings.sha256, sizeof epoch.settings_sha256);
    step_io(RecordType::kEpoch, epoch);
    venue_.on_session(epoch.epoch, kConnection);
    connection_.connection = kConnection;
    std::memcpy(connection_.tape_id, options.tape_id.data(), sizeof connection_.tape_id);
    step_io(RecordType::kConnected, connection_);
    hand_over_orders();
    play_replies();
    return failure_;
}

Failure Session::open_kernels(const Settings& settings, const SessionOptions& options) {
    if (settings.kernels.empty() || is_answered_outside_) return ok();
    Failure failure = library_.open(options.kernel_library, settings.kernels);
    if (failure.is_ok()) {
        kernels_.open(settings.kernels, library_.functions(), options.kernel_budget_ns);
    }
    return failure;
}

Failure Session::open_journal(const SessionOptions& options) {
    SegmentSettings settings;
    settings.run_directory = options.run_directory;
    settings.segment_bytes = options.segment_bytes;
    Failure failure = make_folder(options.run_directory);
    if (failure.is_ok()) failure = lock_.acquire(options.run_directory);
    if (failure.is_ok()) failure = segments_.open(settings);
    if (failure.is_ok() && segments_.last_sequence() != 0) {
        failure =
            fail(Status::kBadArgument, options.run_directory + " holds the journal of another run");
    }
    has_segments_ = failure.is_ok();
    return failure;
}

inline void Session::make_room() noexcept {
    if (!ring_.has_room(Engine::kStepRecordsMax)) drain();
}

inline void Session::serve_kernels() noexcept {
    if (engine_->kernels().has_call()) call_kernels();
}

void Session::call_kernels() noexcept {
    if (is_answered_outside_) return ask_outside();
    kernels_.serve(*engine_, [this](const Slot& answer) { step(answer); });
}

inline void Session::hand_over_orders() noexcept {
    if (orders_.front() != nullptr) take_orders();
}

void Session::take_orders() noexcept {
    for (const Slot* slot = orders_.front(); slot != nullptr; slot = orders_.front()) {
        const Sender sender{slot->header.epoch, kConnection, venue_.now_ns()};
        IdsWanted wanted{};
        switch (slot->type()) {
            case RecordType::kNewOrder: venue_.on_order(slot->as<NewOrder>(), sender); break;
            case RecordType::kCancelOrder: venue_.on_cancel(slot->as<CancelOrder>(), sender); break;
            case RecordType::kReplaceOrder:
                venue_.on_replace(slot->as<ReplaceOrder>(), sender);
                break;
            case RecordType::kQueryOrder: venue_.on_query(slot->as<QueryOrder>(), sender); break;
            case RecordType::kQueryAccount:
                venue_.on_query_account(slot->as<QueryAccount>(), sender);
                break;
            case RecordType::kIdsWanted: wanted = slot->as<IdsWanted>(); break;
            default: break;  // READY: the venue has waited for nobody; kKillState: the engine obeys
        }
        orders_.pop();
        if (wanted.last_counter != 0) reserve_ids(wanted);
    }
}

// Nothing that it could lose its memory by: there is no disk to wait for.
void Session::reserve_ids(const IdsWanted& wanted) noexcept {
    IdsReserved reserved{};
    reserved.last_counter = wanted.last_counter;
    reserved.epoch = wanted.epoch;
    step_io(RecordType::kIdsReserved, reserved);
}

// Of bars that close together only the newest decides: about the others a rule would be asked too,
// and what it says of them changes nothing.
void Session::ask_outside() noexcept {
    KernelCall call{};
    while (engine_->next_kernel_call(call)) {  // bounded: see Kernels::ask
        is_asked_ = call.bar_start_ts_ns == engine_->desks()[call.instrument].last_bar_start_ts_ns;
        if (is_asked_) return;
        step_answer(0);
    }
}

void Session::step_answer(int direction) noexcept {
    KernelCall call{};
    if (!engine_->next_kernel_call(call)) return;
    KernelResult result{};
    result.bar_start_ts_ns = call.bar_start_ts_ns;
    result.instrument = call.instrument;
    result.kernel = call.kernel;
    result.minutes = call.minutes;
    result.value = direction;
    step(make_answer(*engine_, result));
}

Failure Session::answer(int direction) {
    if (!is_asked_) return fail(Status::kBadArgument, "no decision waits for an answer");
    is_asked_ = false;
    step_answer(direction);
    if (has_waiting_) step_behind_timers(Slot(waiting_));
    serve_kernels();
    hand_over_orders();
    if (is_asked_) return failure_;
    play_replies();
    if (!is_asked_) end_if_over();
    return failure_;
}

Failure Session::save(SessionMark& out) const {
    if (!is_asked_) return fail(Status::kBadArgument, "a mark is made while a decision waits");
    out.engine = *engine_;
    out.venue = venue_;
    out.connection = connection_;
    out.waiting = waiting_;
    out.io_sequence = io_sequence_;
    out.now_ns = now_ns_;
    out.has_waiting = has_waiting_;
    return ok();
}

Failure Session::restore(const SessionMark& mark, std::uint64_t seed) {
    if (!is_answered_outside_ || has_segments_) {
        return fail(Status::kBadArgument,
                    "only a session that is answered outside and keeps no journal is restored");
    }
    drain();
    records_.clear();
    *engine_ = mark.engine;
    venue_ = mark.venue;
    venue_.reseed(seed);
    connection_ = mark.connection;
    waiting_ = mark.waiting;
    io_sequence_ = mark.io_sequence;
    now_ns_ = mark.now_ns;
    has_waiting_ = mark.has_waiting;
    is_asked_ = true;
    is_over_ = false;
    failure_ = ok();
    return failure_;
}

// Stamped as io stamps a frame in lockstep: the venue's time when it sent it, not when it happened,
// and never backward.
inline void Session::step_venue(Slot& input) noexcept {
    now_ns_ = std::max(now_ns_, input.header.receive_ts_ns);
    if (input.header.receive_ts_ns != now_ns_) input.header.receive_ts_ns = now_ns_;
    if (engine_->next_deadline_ns() >= now_ns_) [[likely]] {
        const std::uint64_t first = ring_.next_sequence();
        engine_->step(input, *outputs_);
        keep_records(first);
    } else {
        step_behind_timers(input);
    }
    serve_kernels();
    hand_over_orders();
}

void Session::step_behind_timers(const Slot& input) noexcept {
    waiting_ = input;  // the timers take its place
    fire_deadlines(*engine_, now_ns_, [this](const Slot& timer) {
        step(timer);
        serve_kernels();
        return !is_asked_;
    });
    has_waiting_ = is_asked_;
    if (!has_waiting_) step(waiting_);
}

// An event and its consequences, until the venue has nothing more to say about it. Each record is
// made in the journal's next place, so that the step need not copy it there. False: none is left.
inline bool Session::play_event() noexcept {
    make_room();
    Slot& event = ring_.next_place();
    if (!venue_.next_feed(event)) return false;
    step_venue(event);
    if (venue_.may_reply(engine_->last_reply_sequence())) play_replies();
    return true;
}

// Bounded by the orders: each is answered, and filled or ended, a number of times.
void Session::play_replies() noexcept {
    while (!is_asked_) {
        make_room();
        Slot& reply = ring_.next_place();
        if (!venue_.next_reply(engine_->last_reply_sequence(), reply)) return;
        step_venue(reply);
    }
}

Failure Session::run(std::uint64_t events_max) {
    for (std::uint64_t i = 0; i < events_max && !is_over_ && !is_asked_ && failure_.is_ok(); ++i) {
        if (!play_event()) break;
        if (!is_asked_) end_if_over();
    }
    if (failure_.is_ok()) failure_ = venue_.failure();
    if (failure_.is_ok() && outputs_->unsent() > 0) {
        failure_ = fail(Status::kRingFull, "one step made more orders than the ring holds: " +
                                               std::to_string(orders_.capacity()));
    }
    return failure_;
}

template <typename P>
void Session::step_io(RecordType type, const P& payload) noexcept {
    step(make_slot(type, Source::kIo, 0, now_ns_, payload));
}

void Session::step(const Slot& input) noexcept {
    make_room();
    const std::uint64_t first = ring_.next_sequence();
    if (static_cast<Source>(input.header.source) == Source::kIo) {
        gm::step_io(*engine_, input, io_sequence_, *outputs_);
    } else {
        engine_->step(input, *outputs_);
    }
    keep_records(first);
}

// What one step has written. Nearly always that is a row of the tape and nothing else, which is
// seen while it lies in the nearest cache.
inline void Session::keep_records(std::uint64_t first_sequence) {
    const bool is_one = ring_.next_sequence() == first_sequence + 1;
    if (!is_one || !is_data(ring_.record(first_sequence).type())) keep_records_from(first_sequence);
}

void Session::keep_records_from(std::uint64_t first_sequence) {
    if (!keeps_records_) return;
    for (std::uint64_t i = first_sequence; i < ring_.next_sequence(); ++i) {
        if (!is_data(ring_.record(i).type())) records_.push_back(ring_.record(i));
    }
}

void Session::drain() {
    for (auto written = ring_.front(); !written.empty(); written = ring_.front()) {
        if (has_segments_ && failure_.is_ok()) failure_ = segments_.append(written);
        ring_.pop(written.size());
    }
}

void Session::end_if_over() {
    is_over_ = venue_.is_ended();
    if (is_over_) failure_ = finish();
}

// END was consumed; the engine stops as it does when `gm run` ends.
Failure Session::finish() {
    step_io(RecordType::kStop, connection_);
    drain();
    if (has_segments_ && failure_.is_ok()) failure_ = segments_.close();
    lock_.release();
    return failure_;
}

}  // namespace gm
