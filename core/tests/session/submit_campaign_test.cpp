// Promise (P2, P3): whatever becomes of an order's message and of its answers, of the connection,
// the process or the power, the order ends as the venue's ledger says, or is UNKNOWN and reserved
// while nobody can say; none is sent twice, none is lost, and the position is the venue's.
// GM_SUBMITS (make submit-campaign: 20,000) and GM_SUBMIT_SEED choose how many and which.
#include <doctest/doctest.h>

#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

#include "engine/kernel_fixture.hpp"
#include "gm/engine/engine.hpp"
#include "gm/engine/outputs.hpp"
#include "gm/session/kernel_host.hpp"
#include "gm/venue/venue.hpp"
#include "wave.hpp"

namespace {

using namespace gm;
using Key = std::tuple<std::uint32_t, std::uint64_t>;

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Settings rule_settings() {
    Settings settings = test::make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    settings.kernels = {test::kernel_row("coin", KernelKind::kRule, 1)};
    return settings;
}

std::vector<TapeRow> long_tape(std::size_t bars) {
    std::vector<TapeRow> rows;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(bars); ++i) {
        BarClose bar{};
        bar.start_ts_ns = test::kStartNs + i * test::kHalfHourNs;
        bar.duration_s = 1800;
        bar.open_ticks = test::wave(i == 0 ? 0 : i - 1);
        bar.close_ticks = test::wave(i);
        bar.high_ticks = std::max(bar.open_ticks, bar.close_ticks) + 3;
        bar.low_ticks = std::min(bar.open_ticks, bar.close_ticks) - 3;
        bar.volume_lots = 10;
        rows.push_back(make_row(RecordType::kBarClose, 0, bar));
    }
    return rows;
}

enum class Fate : std::uint8_t {
    kGood = 0,
    kSubmitLost = 1,   // the connection stays
    kCutBefore = 2,    // and the message with it
    kCutBehind = 3,    // the venue has it, its answers are lost
    kBlackHole = 4,    // the venue has it, and is silent until the engine has asked
    kPowerBefore = 5,  // the machine, with the journal's tail
    kPowerBehind = 6,
    kFates = 7,
};

// One engine with its journal, one venue, and between them whatever goes wrong.
class World {
 public:
    World(std::uint64_t seed, std::uint64_t submits)
        : random_(seed), submits_(submits), tape_(long_tape(8 * submits + 100)) {
        VenueSettings settings{};
        settings.seed = seed;
        settings.orders_max = static_cast<std::uint32_t>(2 * submits + 1000);
        settings.partial_fill_ppm = 200'000;
        settings.reject_ppm = 50'000;
        settings.commission_micros_per_lot = 2;
        REQUIRE(venue_.open(settings, rule_settings().instruments[0], tape_).is_ok());
        REQUIRE(ring_.open_anonymous(8 * Engine::kStepRecordsMax).is_ok());
        REQUIRE(orders_.open(Engine::kStepRecordsMax).is_ok());
        out_.emplace(ring_, orders_, nullptr);
        const Failure opened = engine_.open(rule_settings());
        REQUIRE_MESSAGE(opened.is_ok(), opened.text);
        synced_ = std::make_unique<Engine>(engine_);
    }

    void run() {
        begin_life(true);
        while (sent_ < submits_) turn();
        is_calm_ = true;
        for (int i = 0; i < 200 && !unsettled_.empty(); ++i) turn();
        CHECK(unsettled_.empty());
        check_books();
        CHECK(venue_.ledger().totals().repeated_ids == 0);
        CHECK(engine_.totals().bad_transitions == 0);
        CHECK(engine_.account_level() == KillLevel::kActive);
        CHECK(venue_.failure().is_ok());
    }
    void report() const {
        MESSAGE(sent_ << " submits: " << fates_[0] << " good, " << fates_[1] << " lost, "
                      << fates_[2] << " cut before and " << fates_[3] << " behind the venue, "
                      << fates_[4] << " into silence, " << fates_[5] << " and " << fates_[6]
                      << " at a loss of power; " << recovered_ << " adopted, " << buried_
                      << " buried, " << lives_ << " lives, " << unknown_seen_ << " seen UNKNOWN");
    }
    [[nodiscard]] std::uint64_t recovered() const { return recovered_; }
    [[nodiscard]] std::uint64_t buried() const { return buried_; }
    [[nodiscard]] std::uint64_t unknown_seen() const { return unknown_seen_; }

 private:
    [[nodiscard]] bool happens(std::uint64_t one_in) {
        return !is_calm_ && random_() % one_in == 0;
    }

    // ---- the engine and what it writes

    void step(const Slot& input) {
        engine_.step(input, *out_);
        since_.push_back(input);
        take_outputs();
        KernelCall call{};
        while (engine_.next_kernel_call(call)) {  // a coin
            KernelResult result{};
            result.bar_start_ts_ns = call.bar_start_ts_ns;
            result.instrument = call.instrument;
            result.kernel = call.kernel;
            result.minutes = call.minutes;
            result.value = random_() % 2 == 0 ? 1.0 : -1.0;
            const Slot answer = make_answer(engine_, result);
            engine_.step(answer, *out_);
            since_.push_back(answer);
            take_outputs();
        }
    }
    template <typename P>
    void io(RecordType type, const P& payload) {
        step(make_slot(type, Source::kIo, 0, engine_.now_ns(), payload));
    }
    void take_outputs() {
        for (auto made = ring_.front(); !made.empty(); made = ring_.front()) {
            for (const Slot& slot : made) {
                if (slot.type() == RecordType::kIntent) {
                    const auto order = slot.as<NewOrder>();
                    OrderUpdate sent{};
                    sent.state = OrderState::kSent;
                    sent.leaves_lots = order.quantity_lots;
                    known_[{order.id.epoch, order.id.counter}] = sent;
                }
                if (slot.type() != RecordType::kOrderUpdate) continue;
                const auto update = slot.as<OrderUpdate>();
                recovered_ += update.previous == OrderState::kAbsent ? 1 : 0;
                known_[{update.id.epoch, update.id.counter}] = update;
            }
            ring_.pop(made.size());
        }
        for (const Slot* slot = orders_.front(); slot != nullptr; slot = orders_.front()) {
            outbox_.push_back(*slot);
            orders_.pop();
        }
    }
    void sync() {
        *synced_ = engine_;
        since_.clear();
    }

    // ---- lives and connections

    void begin_life(bool is_clean) {
        outbox_.clear();
        is_up_ = is_ready_ = is_silent_ = false;
        ++lives_;
        connection_ = 0;
        Epoch epoch{};
        epoch.epoch = ++epoch_;
        epoch.clean = is_clean ? 1 : 0;
        epoch.is_reconciled = 1;
        io(RecordType::kEpoch, epoch);
        sync();
    }
    // The process is gone; with the power goes what the disk did not have.
    void crash(bool with_power) {
        const std::size_t kept = with_power ? random_() % (since_.size() + 1) : since_.size();
        const std::vector<Slot> journal(since_.begin(),
                                        since_.begin() + static_cast<std::ptrdiff_t>(kept));
        engine_ = *synced_;
        for (const Slot& input : journal) {
            engine_.step(input, *out_);
            for (auto made = ring_.front(); !made.empty(); made = ring_.front()) {
                ring_.pop(made.size());
            }
            while (orders_.front() != nullptr) orders_.pop();
        }
        const std::uint32_t ended = epoch_;
        begin_life(false);
        const Recovery& recovery = engine_.recovery();
        if (recovery.lost.epoch != ended) return;
        // What its journal does not hold.
        known_.erase(known_.lower_bound({ended, recovery.lost.counter}),
                     known_.upper_bound({ended, recovery.lost_until}));
    }
    void cut() {
        if (!is_up_) return;
        is_up_ = is_ready_ = is_silent_ = false;
        outbox_.clear();
        SessionEvent event{};
        event.connection = connection_;
        io(RecordType::kDisconnected, event);
        outbox_.clear();
    }
    // HELLO, then the replies that were not consumed, then the engine hears of it.
    void connect() {
        venue_.on_session(epoch_, ++connection_);
        Slot reply{};
        while (venue_.reply(engine_.last_reply_sequence() + 1, reply)) {
            step(reply);
            if (happens(50)) return crash(random_() % 2 == 0);
        }
        outbox_.clear();  // of a connection that was no more
        is_up_ = true;
        SessionEvent event{};
        event.connection = connection_;
        io(RecordType::kConnected, event);
    }

    // ---- what passes between them

    void turn() {
        if (!is_up_) return connect();
        if (!outbox_.empty()) {
            const Slot message = outbox_.front();
            outbox_.pop_front();
            return pass(message);
        }
        Slot slot{};
        if (!is_silent_ && venue_.reply(engine_.last_reply_sequence() + 1, slot)) {
            return happens(200) ? cut() : step(slot);
        }
        if (is_silent_ || !is_ready_) return wait();
        settle();
        if (happens(300)) return cut();
        if (fire_deadline()) return;
        if (venue_.feed(engine_.last_feed_sequence() + 1, slot)) return step(slot);
        if (venue_.next_reply(engine_.last_reply_sequence(), slot)) return step(slot);
        INFO(sent_ << " sent, " << unsettled_.size() << " unsettled, open " << engine_.open_orders()
                   << ", awaits " << describe(engine_.awaited()) << ", level "
                   << static_cast<int>(engine_.account_level()) << ", bad "
                   << engine_.totals().bad_transitions);
        REQUIRE(venue_.next_feed(slot));
        step(slot);
        if (happens(40)) sync();
        if (happens(400)) crash(random_() % 2 == 0);
    }
    // As in lockstep: before a record that its deadline lies before.
    bool fire_deadline() {
        const std::int64_t deadline_ns = engine_.next_deadline_ns();
        if (deadline_ns >= venue_.next_feed_ts_ns() || deadline_ns <= fired_ns_) return false;
        fired_ns_ = deadline_ns;
        Timer timer{};
        timer.deadline_ns = deadline_ns;
        step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline_ns, timer));
        return true;
    }
    // Nothing comes: the engine's own clock goes on, and at last the connection is given up.
    void wait() {
        const std::int64_t deadline_ns = engine_.next_deadline_ns();
        const bool has_timer = deadline_ns < engine_.now_ns() + 10'000'000'000;
        if (has_timer && waited_++ < 3) {
            Timer timer{};
            timer.deadline_ns = deadline_ns;
            step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline_ns, timer));
            return;
        }
        waited_ = 0;
        if (is_silent_) check_unknown();
        cut();
    }
    void check_unknown() {
        if (engine_.open_orders() == 0) return;
        for (const Key& key : unsettled_) {
            const auto found = known_.find(key);
            if (found == known_.end() || found->second.state != OrderState::kUnknown) continue;
            ++unknown_seen_;
            CHECK(found->second.leaves_lots > 0);
        }
        CHECK(engine_.kill_level(0) == KillLevel::kActive);
    }
    void pass(const Slot& message) {
        const Sender sender{message.header.epoch, connection_, venue_.now_ns()};
        switch (message.type()) {
            case RecordType::kReady: is_ready_ = true; return;
            case RecordType::kIdsWanted: return reserve(message.as<IdsWanted>());
            case RecordType::kNewOrder: return submit(message.as<NewOrder>(), sender);
            case RecordType::kKillState: return;
            default: break;
        }
        if (happens(20)) return;  // lost
        if (is_silent_) return hear(message, sender);
        hear(message, sender);
        if (happens(20)) cut();
    }
    void hear(const Slot& message, const Sender& sender) {
        switch (message.type()) {
            case RecordType::kCancelOrder:
                return venue_.on_cancel(message.as<CancelOrder>(), sender);
            case RecordType::kQueryOrder: return venue_.on_query(message.as<QueryOrder>(), sender);
            case RecordType::kQueryRange:
                return venue_.on_query_range(message.as<QueryRange>(), sender);
            case RecordType::kQueryAccount:
                return venue_.on_query_account(message.as<QueryAccount>(), sender);
            default: FAIL("a message that nobody sends here");
        }
    }
    void reserve(const IdsWanted& wanted) {
        if (happens(10)) return crash(true);
        sync();
        IdsReserved reserved{};
        reserved.last_counter = wanted.last_counter;
        reserved.epoch = wanted.epoch;
        io(RecordType::kIdsReserved, reserved);
    }
    void submit(const NewOrder& order, const Sender& sender) {
        ++sent_;
        const Key key{order.id.epoch, order.id.counter};
        unsettled_.push_back(key);
        const auto fate =
            is_calm_ ? Fate::kGood
                     : static_cast<Fate>(random_() % static_cast<std::uint64_t>(Fate::kFates));
        ++fates_[static_cast<std::size_t>(fate)];
        const bool is_lost =
            fate == Fate::kSubmitLost || fate == Fate::kCutBefore || fate == Fate::kPowerBefore;
        if (!is_lost) venue_.on_order(order, sender);
        switch (fate) {
            case Fate::kCutBefore:
            case Fate::kCutBehind: return cut();
            case Fate::kPowerBefore:
            case Fate::kPowerBehind: return crash(true);
            case Fate::kBlackHole: is_silent_ = true; return;
            case Fate::kSubmitLost: is_silent_ = random_() % 2 == 0; return;
            default: return;
        }
    }

    // ---- what must be true whenever the engine is READY and has heard everything

    void settle() {
        index();
        std::erase_if(unsettled_, [&](const Key& key) { return is_settled(key); });
        check_books();
    }
    void index() {
        const auto rows = venue_.ledger().orders();
        for (; indexed_ < rows.size(); ++indexed_) {
            const OrderId& id = rows[indexed_].id;
            const bool is_first = rows_.emplace(Key{id.epoch, id.counter}, indexed_).second;
            REQUIRE(is_first);
        }
    }
    bool is_settled(const Key& key) {
        const auto known = known_.find(key);
        const auto row = rows_.find(key);
        const OrderId id{installation_, std::get<0>(key), std::get<1>(key)};
        if (row == rows_.end()) {
            // Nobody knows it, or it may still be asked for.
            if (known != known_.end() && !is_terminal(known->second.state)) return false;
            INFO("id " << id.epoch << "-" << id.counter << ", epoch now " << epoch_ << ", known "
                       << (known == known_.end() ? -1 : static_cast<int>(known->second.state)));
            REQUIRE(venue_.ledger().is_buried(id));
            if (known != known_.end()) REQUIRE(known->second.state == OrderState::kNever);
            ++buried_;
            return true;
        }
        const LedgerOrder& order = venue_.ledger().orders()[row->second];
        if (known == known_.end()) {
            REQUIRE(order.state == OrderState::kRejected);
            return true;
        }
        if (order.is_open()) {
            REQUIRE_FALSE(is_terminal(known->second.state));
            return false;
        }
        if (!is_terminal(known->second.state)) return false;  // its answers are on their way
        REQUIRE(known->second.state == order.state);
        REQUIRE(known->second.filled_lots == order.filled_lots);
        return true;
    }
    void check_books() {
        const std::int64_t lots = venue_.ledger().totals().position_lots;
        if (engine_.last_reply_sequence() == venue_.last_reply_sequence()) {
            REQUIRE(engine_.desks()[0].position.lots == lots);
        }
        REQUIRE(magnitude(lots) <= 1000);  // an order that was sent twice would be more
    }

    std::mt19937_64 random_;
    std::uint64_t submits_;
    std::vector<TapeRow> tape_;
    Venue venue_;
    JournalRing ring_;
    SpscRing<Slot> orders_;
    std::optional<Outputs> out_;
    Engine engine_;
    std::unique_ptr<Engine> synced_;  // as the disk has it
    std::vector<Slot> since_;         // inputs behind that
    std::deque<Slot> outbox_;
    std::uint32_t installation_ = rule_settings().header.installation;
    std::uint32_t epoch_ = 0;
    std::uint32_t connection_ = 0;
    int waited_ = 0;
    std::int64_t fired_ns_ = 0;
    bool is_up_ = false;
    bool is_ready_ = false;
    bool is_silent_ = false;
    bool is_calm_ = false;
    std::map<Key, OrderUpdate> known_;  // what the engine last said of an order
    std::map<Key, std::size_t> rows_;   // of the ledger
    std::vector<Key> unsettled_;
    std::size_t indexed_ = 0;
    std::uint64_t sent_ = 0;
    std::uint64_t recovered_ = 0;
    std::uint64_t buried_ = 0;
    std::uint64_t unknown_seen_ = 0;
    std::uint64_t lives_ = 0;
    std::uint64_t fates_[static_cast<std::size_t>(Fate::kFates)] = {};
};

}  // namespace

TEST_CASE("submits whose message, answer, connection, process or power is lost end proven") {
    const std::uint64_t submits = number_of("GM_SUBMITS", 600);
    const auto world = std::make_unique<World>(number_of("GM_SUBMIT_SEED", 1), submits);
    world->run();
    world->report();
    CHECK(world->recovered() > 0);
    CHECK(world->buried() > 0);
    CHECK(world->unknown_seen() > 0);
}
