// A session fills each order at the first price after its decision, keeps a journal that says all
// of it, and gives the same bytes however it is cut into pieces or set beside others.
#include "gm/session/session.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "engine/rig.hpp"
#include "gm/journal/journal_reader.hpp"
#include "gm/journal/verify.hpp"
#include "journal/journal_fixture.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::kHalfHourNs;
using test::kStartNs;
using test::wave;

constexpr std::size_t kBars = 700;
constexpr std::int64_t kSlippageTicks = 2;
constexpr std::int64_t kCommissionMicros = 3;

std::vector<TapeRow> bar_tape(std::size_t bars = kBars) {
    std::vector<TapeRow> tape;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(bars); ++i) {
        BarClose bar{};
        bar.start_ts_ns = kStartNs + i * kHalfHourNs;
        bar.duration_s = 1800;
        bar.open_ticks = wave(std::max<std::int64_t>(i - 1, 0)) + 1;
        bar.close_ticks = wave(i);
        bar.high_ticks = std::max(bar.open_ticks, bar.close_ticks) + 3;
        bar.low_ticks = std::min(bar.open_ticks, bar.close_ticks) - 3;
        bar.volume_lots = 10;
        tape.push_back(make_row(RecordType::kBarClose, 0, bar));
    }
    return tape;
}

// The same waves as trades, one every five minutes.
std::vector<TapeRow> trade_tape() {
    std::vector<TapeRow> tape;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(6 * kBars); ++i) {
        Trade trade{};
        trade.price_ticks = wave(i / 6) + i % 6;
        trade.quantity_lots = 4;
        tape.push_back(make_row(RecordType::kTrade, kStartNs + i * kHalfHourNs / 6, trade));
    }
    return tape;
}

VenueSettings plain_venue() {
    VenueSettings settings{};
    settings.seed = 7;
    settings.orders_max = 1024;
    settings.slippage_ticks = kSlippageTicks;
    settings.commission_micros_per_lot = kCommissionMicros;
    return settings;
}

// One that fills in parts and refuses at random, and takes its time.
VenueSettings moody_venue(std::uint64_t seed = 7) {
    VenueSettings settings = plain_venue();
    settings.seed = seed;
    settings.partial_fill_ppm = 300'000;
    settings.reject_ppm = 50'000;
    settings.latency_ns = 250'000'000;
    return settings;
}

void open(Session& session, const VenueSettings& venue, std::span<const TapeRow> tape,
          const SessionOptions& options = {}) {
    const Failure failure = session.open(test::make_settings(), venue, tape, options);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
}

void play(Session& session, std::uint64_t events_max = UINT64_MAX) {
    for (int turns = 0; !session.is_over(); ++turns) {
        REQUIRE(turns < 100'000);
        const Failure failure = session.run(events_max);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    }
}

bool same_bytes(std::span<const Slot> a, std::span<const Slot> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::size_t count(std::span<const Slot> records, RecordType type) {
    return static_cast<std::size_t>(std::ranges::count(records, type, &Slot::type));
}

std::vector<Slot> read_journal(const std::string& run_directory) {
    JournalReader reader;
    REQUIRE(reader.open(journal_folder(run_directory)).is_ok());
    std::vector<Slot> records;
    for (Slot slot{}; reader.next(slot);) records.push_back(slot);
    CHECK_MESSAGE(reader.failure().is_ok(), reader.failure().text);
    return records;
}

}  // namespace

TEST_CASE("an order decided on a close fills at the next open plus slippage") {
    const auto tape = bar_tape();
    Session session;
    open(session, plain_venue(), tape);
    play(session);
    const auto orders = session.venue().ledger().orders();
    const auto fills = session.venue().ledger().executions();
    REQUIRE(fills.size() > 5);
    REQUIRE(orders.size() == fills.size());
    std::int64_t position = 0;
    for (std::size_t i = 0; i < fills.size(); ++i) {
        const auto decided =
            static_cast<std::size_t>((orders[i].decision_bar_start_ts_ns - kStartNs) / kHalfHourNs);
        const auto next = tape[decided + 1].as<BarClose>();
        const bool is_buy = fills[i].side == Side::kBuy;
        CHECK(fills[i].ts_ns == next.start_ts_ns);
        CHECK(fills[i].price_ticks ==
              next.open_ticks + (is_buy ? kSlippageTicks : -kSlippageTicks));
        CHECK(fills[i].commission_micros == kCommissionMicros * fills[i].quantity_lots);
        position += is_buy ? fills[i].quantity_lots : -fills[i].quantity_lots;
    }
    CHECK(session.engine().desks()[0].position.lots == position);
    CHECK(session.engine().totals().fills == fills.size());
    CHECK(session.engine().totals().bad_transitions == 0);
    CHECK(session.engine().totals().gaps == 0);
}

TEST_CASE("a session begins with epoch and connection and ends with the end and a stop") {
    const auto tape = bar_tape(10);
    Session session;
    SessionOptions options;
    options.tape_id[0] = 9;
    open(session, plain_venue(), tape, options);
    play(session);
    const auto records = session.records();
    CHECK(records.front().type() == RecordType::kEpoch);
    CHECK(records.front().as<Epoch>().epoch == 1);
    CHECK(records.back().as<StateUpdate>().state == EngineState::kStopping);
    CHECK(session.engine().tape_id()[0] == 9);
    CHECK(count(records, RecordType::kEnd) == 1);
    CHECK(count(records, RecordType::kStop) == 1);
    CHECK(session.run(1).is_ok());  // nothing is left: a call more changes nothing
    CHECK(same_bytes(records, session.records()));
}

TEST_CASE("cut into pieces of any size it is the same run") {
    for (const auto& tape : {bar_tape(), trade_tape()}) {
        Session whole;
        open(whole, moody_venue(), tape);
        play(whole);
        REQUIRE(whole.engine().totals().fills > 5);
        REQUIRE(whole.engine().totals().venue_rejects > 0);
        for (const std::uint64_t piece : {1U, 7U, 1000U}) {
            Session cut;
            open(cut, moody_venue(), tape);
            play(cut, piece);
            CHECK(same_bytes(whole.records(), cut.records()));
        }
    }
}

TEST_CASE("time is the venue's when it sent a record, not when that is said to have happened") {
    auto tape = trade_tape();
    for (std::size_t i = 0; i < tape.size(); ++i) {
        tape[i].delay_us = static_cast<std::uint32_t>(i % 7 * 1000);
    }
    const TemporaryFolder folder;
    SessionOptions options;
    options.run_directory = folder.path() + "/run";
    Session session;
    open(session, moody_venue(), tape, options);
    play(session);
    std::size_t trade = 0;
    for (const Slot& slot : read_journal(options.run_directory)) {
        if (slot.type() != RecordType::kTrade) continue;
        REQUIRE(slot.header.source_ts_ns == tape[trade].ts_ns);
        REQUIRE(slot.header.receive_ts_ns ==
                tape[trade].ts_ns + std::int64_t{tape[trade].delay_us} * 1000);
        ++trade;
    }
    CHECK(trade == tape.size());
}

TEST_CASE("an acknowledgement comes in when it is sent, whatever its stamp says") {
    const auto tape = bar_tape();
    Session session;
    open(session, moody_venue(), tape);
    play(session);
    std::size_t acks = 0;
    for (const Slot& slot : session.records()) {
        if (slot.type() != RecordType::kAck) continue;
        CHECK(slot.header.source_ts_ns == slot.header.receive_ts_ns + 250'000'000);
        ++acks;
    }
    CHECK(acks > 5);
}

TEST_CASE("records hold the whole journal but the data of the feed") {
    const auto tape = trade_tape();
    const TemporaryFolder folder;
    SessionOptions options;
    options.run_directory = folder.path() + "/run";
    options.segment_bytes = 1U << 20;  // some segments
    Session session;
    open(session, moody_venue(), tape, options);
    play(session);
    std::vector<Slot> journal = read_journal(options.run_directory);
    CHECK(journal.size() == session.journal_records());
    CHECK(count(journal, RecordType::kTrade) == tape.size());
    std::erase_if(journal, [](const Slot& slot) { return slot.type() == RecordType::kTrade; });
    REQUIRE(journal.size() == session.records().size());
    constexpr std::size_t kSaid = offsetof(Slot, trailer) + offsetof(SlotTrailer, crc32c);
    for (std::size_t i = 0; i < journal.size(); ++i) {
        REQUIRE(std::memcmp(&journal[i], &session.records()[i], kSaid) == 0);
    }
    JournalReport report;
    REQUIRE(verify_journal(options.run_directory, report).is_ok());
    CHECK(report.fault_count == 0);
    CHECK(report.anchored_sequence == session.journal_records());
}

TEST_CASE("nothing is kept when nobody asks for records") {
    const auto tape = bar_tape();
    SessionOptions options;
    options.keeps_records = false;
    Session session;
    open(session, plain_venue(), tape, options);
    play(session);
    CHECK(session.records().empty());
    CHECK(session.engine().totals().fills > 5);
}

TEST_CASE("a directory that holds a journal is refused, and so is one in use") {
    const auto tape = bar_tape(5);
    const TemporaryFolder folder;
    SessionOptions options;
    options.run_directory = folder.path() + "/run";
    options.segment_bytes = 1U << 16;
    const Settings settings = test::make_settings();
    Session first;
    open(first, plain_venue(), tape, options);
    Session second;
    CHECK(second.open(settings, plain_venue(), tape, options).status == Status::kJournalLocked);
    play(first);
    Session third;
    const Failure failure = third.open(settings, plain_venue(), tape, options);
    CHECK(failure.status == Status::kBadArgument);
    CHECK(failure.text.find("holds the journal") != std::string::npos);
}

TEST_CASE("a venue that cannot go on ends the session with its reason") {
    const auto tape = bar_tape();
    VenueSettings venue = plain_venue();
    venue.orders_max = 1;
    Session session;
    open(session, venue, tape);
    const Failure failure = session.run(UINT64_MAX);
    CHECK(failure.status == Status::kOutOfMemory);
    CHECK(failure.text.find("orders_max 1") != std::string::npos);
    CHECK_FALSE(session.is_over());
    CHECK(session.run(UINT64_MAX).status == Status::kOutOfMemory);
}

TEST_CASE("an instrument that the settings do not hold is refused") {
    const auto tape = bar_tape(5);
    VenueSettings venue = plain_venue();
    venue.instrument = 1;
    Session session;
    CHECK(session.open(test::make_settings(), venue, tape, {}).status == Status::kBadSettings);
}

TEST_CASE("the clock closes the bars of a session that is over before the next record") {
    Settings settings = test::make_settings();
    settings.sessions = {{kStartNs, kStartNs + 10 * kHalfHourNs, 0},
                         {kStartNs + 20 * kHalfHourNs, kStartNs + 30 * kHalfHourNs, 1}};
    settings.instruments[0].session_count = 2;
    std::vector<TapeRow> tape;
    for (const std::int64_t minutes : {0, 295, 601}) {  // 295: in the last bucket of the first
        Trade trade{40'000 + minutes, 1, 0, 0, {}};
        tape.push_back(make_row(RecordType::kTrade, kStartNs + minutes * 60'000'000'000, trade));
    }
    Session session;
    REQUIRE(session.open(settings, plain_venue(), tape, {}).is_ok());
    play(session);
    CHECK(count(session.records(), RecordType::kTimer) == 1);
    const auto timer = std::ranges::find(session.records(), RecordType::kTimer, &Slot::type);
    CHECK(timer->header.receive_ts_ns == kStartNs + 10 * kHalfHourNs + Market::kSessionEndGraceNs);
}

TEST_CASE("sessions side by side give what each gives alone") {
    const auto tape = bar_tape();
    constexpr std::uint64_t kSessions = 4;
    std::vector<Session> together(kSessions);
    std::vector<std::thread> threads;
    for (std::uint64_t i = 0; i < kSessions; ++i) {
        open(together[i], moody_venue(i), tape);
        threads.emplace_back([&session = together[i]] { (void)session.run(UINT64_MAX); });
    }
    for (std::thread& thread : threads) thread.join();
    for (std::uint64_t i = 0; i < kSessions; ++i) {
        Session alone;
        open(alone, moody_venue(i), tape);
        play(alone);
        CHECK(together[i].is_over());
        CHECK(same_bytes(alone.records(), together[i].records()));
        if (i > 0) CHECK_FALSE(same_bytes(together[0].records(), together[i].records()));
    }
}
