// Promise: a session that is answered outside trades as the one whose decisions it repeats, stops
// nowhere else, and goes on from a mark as if it had never been left.
#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <span>

#include "session/training_fixture.hpp"

namespace {

using namespace gm;
using namespace gm::test;

constexpr std::int64_t kBars = 700;

Settings rule_settings() {
    Settings settings = make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    settings.agents.clear();
    settings.onnx.clear();
    KernelSettings& rule = settings.kernels.emplace_back();
    std::strcpy(rule.name, "outside");
    rule.low = -1.0;
    rule.high = 1.0;
    rule.kind = KernelKind::kRule;
    rule.minutes = 30;
    rule.warmup = 1;
    rule.input_count = 1;
    return settings;
}

SessionOptions outside() {
    SessionOptions options;
    options.is_answered_outside = true;
    return options;
}

std::int64_t newest_bar(const Session& session) {
    return session.engine().desks()[0].last_bar_start_ts_ns;
}

// What an ensemble decided, by bar.
std::map<std::int64_t, int> decisions_of(const Session& session) {
    std::map<std::int64_t, int> out;
    for (const Slot& slot : session.records()) {
        if (slot.type() != RecordType::kDecision) continue;
        const auto decision = slot.as<Decision>();
        if (decision.acts) out[decision.bar_start_ts_ns] = 1 - static_cast<int>(decision.action);
    }
    return out;
}

void play(Session& session, const std::map<std::int64_t, int>& decisions) {
    while (!session.is_over()) {
        must(session.run(UINT64_MAX));
        if (!session.is_asked()) continue;
        const auto found = decisions.find(newest_bar(session));
        must(session.answer(found == decisions.end() ? 0 : found->second));
    }
}

template <typename T>
bool same_bytes(std::span<const T> a, std::span<const T> b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

// All but the journal's own numbers, which begin anew with each session.
bool same_records(std::span<const Slot> a, std::span<const Slot> b) {
    return std::ranges::equal(a, b, [](const Slot& left, const Slot& right) {
        return std::memcmp(&left, &right, offsetof(Slot, trailer)) == 0 &&
               left.trailer.input_sequence == right.trailer.input_sequence;
    });
}

}  // namespace

TEST_CASE("the same decisions make the same orders and fills as the ensemble's") {
    const auto tape = wave_tape(kBars);
    Session whole;
    must(whole.open(make_settings(), training_venue(), tape, {}));
    must(whole.run(UINT64_MAX));
    const auto decisions = decisions_of(whole);
    REQUIRE(decisions.size() > 20);

    Session session;
    must(session.open(rule_settings(), training_venue(), tape, outside()));
    play(session, decisions);
    const Ledger& ours = session.venue().ledger();
    const Ledger& theirs = whole.venue().ledger();
    REQUIRE(theirs.executions().size() > 10);
    CHECK(same_bytes(ours.executions(), theirs.executions()));
    CHECK(same_bytes<LedgerOrder>(ours.orders(), theirs.orders()));
}

TEST_CASE("it stops once for each closed bar and refuses answers in between") {
    const auto tape = wave_tape(50);
    Session session;
    must(session.open(rule_settings(), training_venue(), tape, outside()));
    CHECK(session.answer(0).text == "no decision waits for an answer");
    int asked = 0;
    std::int64_t last = 0;
    for (; !session.is_over(); must(session.run(UINT64_MAX))) {
        if (!session.is_asked()) continue;
        CHECK(newest_bar(session) > last);
        last = newest_bar(session);
        ++asked;
        must(session.run(UINT64_MAX));  // moves nothing
        CHECK(newest_bar(session) == last);
        must(session.answer(0));
    }
    CHECK(asked == 50);
    CHECK(session.engine().kernels().abandoned() == 0);
}

TEST_CASE("bars that close together ask once") {
    auto tape = wave_tape(50);
    tape.erase(tape.begin() + 20, tape.begin() + 22);  // two bars of a gap are filled
    Session session;
    must(session.open(rule_settings(), training_venue(), tape, outside()));
    int asked = 0;
    for (; !session.is_over(); must(session.run(UINT64_MAX))) {
        if (!session.is_asked()) continue;
        ++asked;
        must(session.answer(1));
    }
    const Desk& desk = session.engine().desks()[0];
    CHECK(desk.closed_bars_30m == 50);
    CHECK(session.engine().totals().decisions == static_cast<std::uint64_t>(asked));
    CHECK(asked < 50);
    CHECK(session.engine().totals().bad_transitions == 0);
}

TEST_CASE("a bar that the clock closes asks before the next input is taken in") {
    Settings settings = rule_settings();
    const std::int64_t bell = kStartNs + 10 * kHalfHourNs;
    settings.sessions = {{kStartNs - kHalfHourNs, bell - kHalfHourNs / 2, 0},
                         {bell, 4'000'000'000'000'000'000, 0}};
    settings.instruments[0].session_count = 2;
    // A trade in the last half-hour of a session; nothing but the clock closes its bar.
    std::vector<TapeRow> tape;
    for (const std::int64_t ts_ns : {bell - kHalfHourNs + 1, bell + 1, bell + kHalfHourNs + 1}) {
        Trade trade{};
        trade.price_ticks = wave(0);
        trade.quantity_lots = 4;
        tape.push_back(make_row(RecordType::kTrade, ts_ns, trade));
    }
    Session session;
    must(session.open(settings, training_venue(), tape, outside()));
    must(session.run(UINT64_MAX));
    REQUIRE(session.is_asked());
    CHECK(newest_bar(session) == bell - kHalfHourNs);
    CHECK(session.engine().last_feed_sequence() == 1);  // the trade that came later waits
    SessionMark mark;
    must(session.save(mark));
    must(session.answer(1));
    CHECK(session.engine().last_feed_sequence() == 2);
    play(session, {});
    const std::vector<Slot> all(session.records().begin(), session.records().end());

    Session again;
    must(again.open(settings, training_venue(), tape, outside()));
    must(again.restore(mark, training_venue().seed));
    must(again.answer(1));
    play(again, {});
    REQUIRE(again.records().size() < all.size());
    CHECK(same_records(again.records(), std::span(all).last(again.records().size())));
}

TEST_CASE("what goes on from a mark is what was never left") {
    const auto tape = wave_tape(kBars);
    const auto venue = training_venue();
    Session first;
    must(first.open(rule_settings(), venue, tape, outside()));
    std::map<std::int64_t, int> decisions;
    SessionMark mark;
    for (int i = 0; !first.is_over(); must(first.run(UINT64_MAX))) {
        if (!first.is_asked()) continue;
        if (++i == 400) must(first.save(mark));
        decisions[newest_bar(first)] = i / 9 % 3 - 1;
        must(first.answer(i / 9 % 3 - 1));
    }
    Session other;
    must(other.open(rule_settings(), venue, tape, outside()));
    for (int turn = 0; turn < 2; ++turn) {  // from a fresh session, then from one that has ended
        must(other.restore(mark, venue.seed));
        play(other, decisions);
        const auto records = other.records();
        REQUIRE(records.size() > 1000);
        CHECK(same_records(records, first.records().last(records.size())));
        CHECK(same_bytes(other.venue().ledger().executions(), first.venue().ledger().executions()));
    }
    must(other.restore(mark, venue.seed + 1));
    play(other, decisions);
    CHECK_FALSE(
        same_bytes(other.venue().ledger().executions(), first.venue().ledger().executions()));
}

TEST_CASE("marks are for sessions that wait and can go back") {
    const auto tape = wave_tape(50);
    Session plain;
    must(plain.open(make_settings(), training_venue(), tape, {}));
    SessionMark mark;
    CHECK(plain.save(mark).text == "a mark is made while a decision waits");
    CHECK(plain.restore(mark, 1).status == Status::kBadArgument);
}
