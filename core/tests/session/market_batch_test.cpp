// Promise: markets of a batch play drawn stretches of tapes through engine and venue, show what the
// features are there, count money as the fills say, and give the same bytes for the same seed.
#include "gm/session/market_batch.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <thread>

#include "session/training_fixture.hpp"

namespace {

using namespace gm;
using namespace gm::test;

constexpr std::int64_t kBars = 400;
constexpr std::uint64_t kDecisions = kBars - 177 + 1;  // the matrix is ready with the 177th bar

struct Batch {
    explicit Batch(const BatchOptions& options, std::int64_t bars = kBars)
        : tape(wave_tape(bars)), arrays(options.size) {
        const std::span<const TapeRow> tapes[] = {tape};
        must(batch.open(training_batch_settings(), training_venue(), tapes, options));
        must(batch.reset(std::nullopt, arrays.output()));
    }
    // All agents of all markets say the same.
    void step(std::int64_t action) {
        const std::vector<std::int64_t> actions(batch.size() * batch.agents(), action);
        must(batch.step(0, batch.size(), actions.data(), arrays.output()));
    }

    std::vector<TapeRow> tape;
    BatchArrays arrays;
    MarketBatch batch;
};

// Long, short and nothing in turn, and agents that do not agree.
std::vector<std::int64_t> some_actions(std::uint64_t markets, int turn) {
    std::vector<std::int64_t> out;
    for (std::uint64_t i = 0; i < markets * 3; ++i) {
        out.push_back(static_cast<std::int64_t>(i * 7 + static_cast<std::uint64_t>(turn / 5)) % 3);
    }
    return out;
}

bool is_same(const BatchArrays& a, const BatchArrays& b) {
    return a.matrix == b.matrix && a.context == b.context && a.position == b.position &&
           a.reward == b.reward && a.ended == b.ended && a.money == b.money;
}

}  // namespace

TEST_CASE("agents see the matrix and the context of the decision that waits") {
    Batch one({.seed = 3, .episode_bars = kDecisions - 1});
    REQUIRE(one.batch.starts() == 1);  // the episode holds all decisions but the last
    Session session;                   // one that its ensemble decides, asked for all columns
    SessionOptions options;
    options.columns_shown = kAllStrategicColumns;
    must(session.open(training_batch_settings(), training_venue(), one.tape, options));
    const BatchOutput out = one.arrays.output();
    std::uint64_t closed = 0;
    std::uint64_t seen = 0;
    while (!session.is_over()) {
        must(session.run(1));
        const Desk& desk = session.engine().desks()[0];
        if (desk.closed_bars_30m == closed || !desk.features.is_ready()) continue;
        closed = desk.closed_bars_30m;
        const PolicyContext context = session.engine().context(0);
        CAPTURE(closed);
        const bool is_end = ++seen == kDecisions;
        CHECK(std::memcmp(desk.features.matrix(), is_end ? out.last_matrix : out.matrix,
                          kStrategicValues * sizeof(float)) == 0);
        CHECK(std::memcmp(&context, is_end ? out.last_context : out.context, sizeof context) == 0);
        if (!is_end) one.step(1);
        CHECK((one.arrays.ended[1] != 0) == (seen + 1 >= kDecisions));  // truncated
    }
    CHECK(seen == kDecisions);
}

TEST_CASE("the same seed and actions give the same bytes, in one range or in two at once") {
    const BatchOptions options{.size = 6, .seed = 11, .episode_bars = 30};
    Batch one(options);
    Batch two(options);
    Batch other({.size = 6, .seed = 12, .episode_bars = 30});
    CHECK(is_same(one.arrays, two.arrays));
    CHECK_FALSE(is_same(one.arrays, other.arrays));
    for (int turn = 0; turn < 100; ++turn) {
        const auto actions = some_actions(6, turn);
        must(one.batch.step(0, 6, actions.data(), one.arrays.output()));
        std::thread thread(
            [&] { must(two.batch.step(0, 3, actions.data(), two.arrays.output())); });
        must(two.batch.step(3, 3, actions.data(), two.arrays.output()));
        thread.join();
        REQUIRE(is_same(one.arrays, two.arrays));
    }
    must(one.batch.reset(12, one.arrays.output()));
    CHECK(one.arrays.position == other.arrays.position);
    const auto half = static_cast<std::ptrdiff_t>(6 * kStrategicValues);
    CHECK(std::equal(one.arrays.matrix.begin(), one.arrays.matrix.begin() + half,
                     other.arrays.matrix.begin()));
}

TEST_CASE("equity is what the fills say and rewards add up to it") {
    BatchOptions options{.seed = 5, .episode_bars = 60, .keeps_record = true};
    options.reward.drawdown_weight = 0.0;
    Batch one(options, 300);
    CHECK(one.batch.record() == nullptr);
    double sum = 0.0;
    double equity = 0.0;
    for (int turn = 0; turn < 60; ++turn) {
        one.step(turn / 7 % 3);
        sum += static_cast<double>(one.arrays.reward[0]);
        equity = one.arrays.money[0];
        CHECK(one.arrays.money[1] == doctest::Approx(sum).epsilon(1e-5));
        CHECK(one.arrays.has_ended(0) == (turn == 59));
    }
    const EpisodeRecord* record = one.batch.record();
    REQUIRE(record != nullptr);
    REQUIRE(record->executions.size() > 5);
    std::int64_t cash = 0;  // micros; a lot moved by one tick is worth 100
    std::int64_t lots = 0;
    for (const Execution& fill : record->executions) {
        const std::int64_t side = fill.side == Side::kBuy ? 1 : -1;
        cash -= side * fill.price_ticks * fill.quantity_lots * 100 + fill.commission_micros;
        lots += side * fill.quantity_lots;
    }
    const auto last = one.tape[record->rows_played - 1].as<BarClose>();
    CHECK(equity ==
          doctest::Approx(static_cast<double>(cash + lots * last.close_ticks * 100) / 1e6));
    // The unit of risk: one ATR of the first decision on the target of 1000 lots.
    Session session;
    must(session.open(training_batch_settings(), training_venue(), one.tape, {}));
    const Desk& desk = session.engine().desks()[0];
    while (desk.last_bar_start_ts_ns < record->first_bar_start_ts_ns) must(session.run(1));
    CHECK(sum * desk.features.atr_ticks() * 100 * 1000 / 1e6 == doctest::Approx(equity));
    CHECK(lots == static_cast<std::int64_t>(one.arrays.output().last_position[0] * 1000.0F));
}

TEST_CASE("an episode terminates when it has lost what ruins it") {
    BatchOptions options{.seed = 5, .episode_bars = 150};
    options.reward.ruin = 0.5;
    Batch one(options);
    int turns = 0;
    while (!one.arrays.has_ended(0)) {
        REQUIRE(turns < 150);
        one.step(turns++ % 2 * 2);  // in and out: slippage and fees ruin anybody
    }
    CHECK(one.arrays.ended[0] == 1);
    CHECK(one.arrays.ended[1] == 0);
    CHECK(one.arrays.money[0] < 0.0);
    CHECK(one.arrays.money[1] < -0.5);
    CHECK(one.arrays.position[0] == 0.0F);  // of the next episode
    one.step(1);
    CHECK(one.arrays.money[0] == 0.0);
}

TEST_CASE("episodes begin everywhere on every tape, with a venue of their own luck") {
    const auto first = wave_tape(190);
    const auto second = wave_tape(185, 40);
    const std::span<const TapeRow> tapes[] = {first, second};
    BatchOptions options{.seed = 9, .episode_bars = 5, .keeps_record = true};
    MarketBatch batch;
    must(batch.open(training_batch_settings(), training_venue(), tapes, options));
    REQUIRE(batch.starts() == 9 + 4);
    BatchArrays arrays(1);
    must(batch.reset(std::nullopt, arrays.output()));
    std::set<std::pair<std::uint64_t, std::int64_t>> places;
    std::set<std::uint64_t> seeds;
    const std::int64_t hold[] = {1, 1, 1};
    for (int turn = 0; turn < 5 * 200; ++turn) {
        must(batch.step(0, 1, hold, arrays.output()));
        if (!arrays.has_ended(0)) continue;
        places.emplace(batch.record()->tape, batch.record()->first_bar_start_ts_ns);
        seeds.insert(batch.record()->venue_seed);
    }
    CHECK(places.size() == 13);
    CHECK(seeds.size() == 200);
}

TEST_CASE("an episode has the bars before it that were asked for") {
    Batch late({.episode_bars = 10, .warmup_bars = 300});
    CHECK(late.batch.starts() == kBars - 300 + 1 - 10);
    Batch early({.episode_bars = 10, .warmup_bars = 20});
    CHECK(early.batch.starts() == kDecisions - 10);
}

TEST_CASE("what cannot be trained on is refused with value and limit") {
    const auto tape = wave_tape(200);
    const std::span<const TapeRow> tapes[] = {tape};
    const auto refusal = [&](const BatchOptions& options, const Settings& settings) {
        MarketBatch batch;
        return batch.open(settings, training_venue(), tapes, options).text;
    };
    const Settings good = training_batch_settings();
    CHECK(refusal({.size = 0}, good) == "size must lie in [1, 65536]: 0");
    CHECK(refusal({.episode_bars = 0}, good) == "episode_bars must lie in [1, 1000000]: 0");
    CHECK(refusal({.episode_bars = 24}, good) ==
          "episode_bars must be less than the decisions of a tape, 24 at most: 24");
    BatchOptions bad;
    bad.reward.ruin = -1.0;
    CHECK(refusal(bad, good) == "ruin must be finite and at least 0: -1.000000");
    Settings two = good;
    two.instruments.push_back(two.instruments[0]);
    CHECK(refusal({}, two) == "training wants one instrument: 2");
    Settings kernels = good;
    kernels.kernels.emplace_back();
    CHECK(refusal({}, kernels) == "training wants settings without user kernels: 1");

    Batch one({.size = 2, .episode_bars = 10});
    const std::int64_t actions[] = {1, 1, 1, 1, 3, 1};
    const BatchArrays before = one.arrays;
    CHECK(one.batch.step(0, 2, actions, one.arrays.output()).text ==
          "action must be 0, 1 or 2: 3 of market 1, agent 1");
    CHECK(is_same(before, one.arrays));
    CHECK(one.batch.step(1, 2, actions, one.arrays.output()).text == "markets 1 to 3 of 2");
}
