// P1 and P2 at every instruction: from the pop of an input to the push of its orders the engine is
// taken one machine instruction at a time, and after each one it is asked what a kill there leaves.
//
// kill -9 takes a process's memory and leaves the ring file as it is. So whoever recovers from a
// copy of the file sees what that kill would leave; it need be done again only where the file has
// changed. In every such state the journal holds the records before, and a beginning of what the
// input writes, byte for byte; and whatever is in the order ring has its intent there. A program of
// its own, because a sanitizer's instructions are none of the engine's.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bit>
#include <csignal>
#include <cstdio>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/rig.hpp"
#include "gm/journal/drain.hpp"
#include "gm/runtime/replay.hpp"
#include "journal/journal_fixture.hpp"

namespace gm::test {
namespace {

constexpr std::uint64_t kSlots = 2 * Engine::kStepRecordsMax;
constexpr std::int64_t kWarmBars = 400;
constexpr int kBars = 20;
constexpr std::uint64_t kInstructionsMax = 100'000'000;  // a bar takes some ten thousand
using OrderRing = SpscRing<Slot>;

// A market of waves and a venue that fills in two parts, as inputs for a copy of the rig's engine.
class Market {
 public:
    explicit Market(const Rig& rig)
        : bars_(rig.bars),
          feed_sequence_(rig.feed_sequence),
          reply_sequence_(rig.reply_sequence),
          executions_(rig.executions) {}

    // One bar with the replies to the order before it, if there is one.
    std::vector<Slot> next_bar(const std::optional<NewOrder>& open_order) {
        const std::int64_t start = kStartNs + bars_ * kHalfHourNs;
        const std::int64_t first = wave(bars_ - 1);
        const std::int64_t last = wave(bars_);
        ++bars_;
        std::vector<Slot> inputs;
        if (open_order.has_value()) inputs.push_back(ack(*open_order, start));
        inputs.push_back(
            feed(RecordType::kBarOpen, start, BarOpen{start, kHalfHourNs, first, 0, 0, {}}));
        if (open_order.has_value()) {
            const std::int64_t half = open_order->quantity_lots / 2;
            const std::int64_t rest = open_order->quantity_lots - half;
            inputs.push_back(fill(*open_order, start, first, half, rest));
            inputs.push_back(fill(*open_order, start, first, rest, 0));
        }
        BarClose close{};
        close.start_ts_ns = start;
        close.open_ticks = first;
        close.high_ticks = std::max(first, last) + 3;
        close.low_ticks = std::min(first, last) - 3;
        close.close_ticks = last;
        close.volume_lots = 10;
        close.duration_s = 1800;
        inputs.push_back(feed(RecordType::kBarClose, start + kHalfHourNs, close));
        return inputs;
    }

 private:
    Slot feed(RecordType type, std::int64_t ts_ns, const auto& payload) {
        return make_slot(type, Source::kVenueFeed, ++feed_sequence_, ts_ns, payload);
    }
    Slot ack(const NewOrder& order, std::int64_t ts_ns) {
        return make_slot(RecordType::kAck, Source::kVenueOrders, ++reply_sequence_, ts_ns,
                         Ack{order.id, 1, 0, {}});
    }
    Slot fill(const NewOrder& order, std::int64_t ts_ns, std::int64_t price, std::int64_t lots,
              std::int64_t leaves) {
        return make_slot(RecordType::kFill, Source::kVenueOrders, ++reply_sequence_, ts_ns,
                         Fill{order.id, ++executions_, price, lots, leaves, 5, 0, order.side, {}});
    }

    std::int64_t bars_;
    std::uint64_t feed_sequence_;
    std::uint64_t reply_sequence_;
    std::uint64_t executions_;
};

// No position is held for long, so that there is an order at most few bars.
Settings impatient_settings() {
    Settings settings = make_settings();
    settings.header.max_hold_bars = 2;
    return settings;
}

// An engine with an order in flight, its journal in files, its order ring where a parent sees it.
struct Bench {
    testing::TemporaryFolder folder;
    Settings settings = impatient_settings();
    Rig rig{settings};
    NewOrder open_order{};
    JournalRing ring;
    OrderRing* orders = nullptr;
    std::uint64_t written_before = 0;

    Bench() {
        rig.connect();
        while (rig.bars < kWarmBars || rig.orders.front() == nullptr) rig.wave_bar();
        open_order = rig.take_orders().back();
        rig.take_orders();
        SegmentWriter segments;
        testing::require_ok(segments.open({folder.path(), 4U << 20, 7, {}}));
        testing::require_ok(segments.append(rig.written));
        testing::require_ok(ring.open(folder / "ring", kSlots));
        DrainReport report;
        testing::require_ok(drain_ring_into_segments(ring, segments, report));
        testing::require_ok(segments.close());
        written_before = rig.written.size();
        void* shared = mmap(nullptr, sizeof(OrderRing), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        REQUIRE(shared != MAP_FAILED);
        orders = new (shared) OrderRing;
        testing::require_ok(orders->open(4096));
    }
    ~Bench() {
        orders->~OrderRing();
        munmap(static_cast<void*>(orders), sizeof(OrderRing));
    }
};

// What is read, and what that writes and sends in an engine that nobody stops.
struct Expected {
    std::vector<Slot> inputs;
    std::vector<Slot> records;
    std::vector<std::uint64_t> sent_after;  // by message: so many records were written before it
};

Expected step_in_peace(const Bench& bench) {
    const auto engine = std::make_unique<Engine>(*bench.rig.engine);
    JournalRing journal;
    OrderRing orders;
    testing::require_ok(journal.open_anonymous(kSlots));
    testing::require_ok(orders.open(4096));
    Outputs out(journal, orders, nullptr);
    Expected expected;
    Market market(bench.rig);
    std::optional<NewOrder> open_order = bench.open_order;
    for (int bar = 0; bar < kBars; ++bar) {
        const std::vector<Slot> inputs = market.next_bar(open_order);
        open_order.reset();
        for (const Slot& input : inputs) engine->step(input, out);
        expected.inputs.insert(expected.inputs.end(), inputs.begin(), inputs.end());
        for (; orders.front() != nullptr; orders.pop()) {
            REQUIRE(orders.front()->type() == RecordType::kNewOrder);
            open_order = orders.front()->as<NewOrder>();
        }
    }
    const std::uint64_t written = journal.published();
    for (std::uint64_t i = 1; i <= written; ++i) expected.records.push_back(journal.record(i));
    for (std::size_t i = 0; i < expected.records.size(); ++i) {
        SlotTrailer& trailer = expected.records[i].trailer;
        trailer.journal_sequence += bench.written_before;
        trailer.commit = commit_word(trailer.journal_sequence);
        const RecordType type = expected.records[i].type();
        if (type == RecordType::kIntent) expected.sent_after.push_back(i + 1);
    }
    REQUIRE(expected.sent_after.size() == orders.pushed());
    return expected;
}

[[noreturn]] void step_while_traced(Bench& bench, const std::vector<Slot>& inputs) {
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    Outputs out(bench.ring, *bench.orders, nullptr);
    OrderRing feed;
    if (!feed.open(std::bit_ceil(inputs.size() + 1)).is_ok()) _exit(1);
    for (const Slot& input : inputs) {
        if (feed.push(input) != Status::kOk) _exit(1);
    }
    raise(SIGSTOP);
    for (const Slot* input = feed.front(); input != nullptr; input = feed.front()) {
        bench.rig.engine->step(*input, out);
        feed.pop();
    }
    raise(SIGSTOP);
    _exit(0);
}

// The records that a start would find in the ring file as it is now.
std::vector<Slot> recover(const Bench& bench) {
    const std::string copy = bench.folder / "ring.killed";
    testing::write_bytes(copy, testing::read_bytes(bench.folder / "ring"));
    JournalRing ring;
    testing::require_ok(ring.open(copy, kSlots));
    std::vector<Slot> found;
    for (auto waiting = ring.front(); !waiting.empty(); waiting = ring.front()) {
        found.insert(found.end(), waiting.begin(), waiting.end());
        ring.pop(waiting.size());
    }
    return found;
}

// A whole start: the ring drained, the journal replayed, what was not written made anew.
void start_again(const Bench& bench, const Expected& expected, std::size_t written) {
    const testing::TemporaryFolder folder;
    std::filesystem::copy(bench.folder.path(), folder.path(),
                          std::filesystem::copy_options::recursive);
    JournalRing ring;
    SegmentWriter segments;
    DrainReport drained;
    testing::require_ok(segments.open({folder.path(), 4U << 20, 7, {}}));
    testing::require_ok(ring.open(folder / "ring", kSlots));
    testing::require_ok(drain_ring_into_segments(ring, segments, drained));
    testing::require_ok(segments.close());
    Engine engine;
    testing::require_ok(engine.open(bench.settings));
    ReplayReport report;
    testing::require_ok(
        replay_journal(journal_folder(folder.path()), bench.settings, engine, nullptr, report));
    CHECK(report.records == bench.written_before + written);
    // Those of the input that was cut; none of the inputs behind it, which the venue sends again.
    REQUIRE(written + report.missing.size() <= expected.records.size());
    for (std::size_t i = 0; i < report.missing.size(); ++i) {
        CHECK(std::memcmp(report.missing[i].payload, expected.records[written + i].payload,
                          kPayloadSize) == 0);
    }
}

bool is_stopped_by(pid_t child, int signal_number) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSTOPPED(status));
    return WSTOPSIG(status) == signal_number;
}

// What changes first and last when a record is appended; the record itself lies before them.
std::vector<std::uint8_t> window(const Bench& bench, const Expected& expected) {
    const auto* first =
        reinterpret_cast<const std::uint8_t*>(&bench.ring.record(bench.written_before + 1));
    std::vector<std::uint8_t> bytes(first, first + expected.records.size() * sizeof(Slot));
    const std::uint64_t published = bench.ring.published();
    const auto* count = reinterpret_cast<const std::uint8_t*>(&published);
    bytes.insert(bytes.end(), count, count + sizeof published);
    return bytes;
}

TEST_CASE("a kill after any instruction leaves the intent of every order that left") {
    Bench bench;
    const Expected expected = step_in_peace(bench);
    REQUIRE(expected.records.size() > expected.inputs.size());
    REQUIRE(expected.sent_after.size() >= 3);

    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) step_while_traced(bench, expected.inputs);
    REQUIRE(is_stopped_by(child, SIGSTOP));
    std::uint64_t instructions = 0;
    std::uint64_t states = 0;
    std::set<std::size_t> starts;
    std::vector<std::uint8_t> before;
    std::vector<Slot> left;
    for (bool is_over = false; !is_over; ++instructions) {
        REQUIRE(instructions < kInstructionsMax);
        std::vector<std::uint8_t> now = window(bench, expected);
        if (now != before) {
            before = std::move(now);
            ++states;
            left = recover(bench);
            REQUIRE(left.size() <= expected.records.size());
            for (std::size_t i = 0; i < left.size(); ++i) {
                REQUIRE(std::memcmp(&left[i], &expected.records[i], sizeof(Slot)) == 0);
            }
            if (starts.insert(left.size()).second) start_again(bench, expected, left.size());
        }
        const std::uint64_t sent = bench.orders->pushed();
        REQUIRE(sent <= expected.sent_after.size());
        if (sent > 0) REQUIRE(left.size() >= expected.sent_after[sent - 1]);
        REQUIRE(ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0);
        is_over = !is_stopped_by(child, SIGTRAP);
    }
    kill(child, SIGKILL);
    REQUIRE(waitpid(child, nullptr, 0) == child);
    CHECK(left.size() == expected.records.size());
    CHECK(bench.orders->pushed() == expected.sent_after.size());
    CHECK(starts.size() == expected.records.size() + 1);
    std::printf(
        "single step: %llu instructions, %llu states of the ring file, %zu starts, %zu "
        "orders\n",
        static_cast<unsigned long long>(instructions), static_cast<unsigned long long>(states),
        starts.size(), expected.sent_after.size());
}

}  // namespace
}  // namespace gm::test
