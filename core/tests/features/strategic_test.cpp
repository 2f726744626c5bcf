// The strategic matrix holds 48 warm rows or says why not, never a NaN, the same bits every time.
#include "gm/features/strategic.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "features/strategic_fixture.hpp"
#include "gm/wire/payload.hpp"

namespace {

using namespace gm::test;
using gm::ClosedBar;
using gm::NotReadyReason;
using gm::StrategicFeatures;

bool is_finite(const StrategicFeatures& features) {
    for (std::size_t i = 0; i < gm::kStrategicValues; ++i) {
        if (!(std::abs(features.matrix()[i]) <= 1.0F)) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("ready from the 177th bar, warming up before") {
    const auto features = opened();
    CHECK(features->reason() == NotReadyReason::kWarmingUp);
    const auto bars = walk(200, 1);
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features->update(bars[i], 0);
        REQUIRE(features->is_ready() == (i + 1 >= 177));
        REQUIRE((features->reason() == NotReadyReason::kWarmingUp) == (i + 1 < 177));
    }
    CHECK(features->bars() == 200);
}

TEST_CASE("each column begins at its own bar") {
    const auto features = opened();
    const auto bars = walk(140, 2);
    std::size_t first[gm::kStrategicColumns] = {};  // bar of the first value that is not 0
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features->update(bars[i], 5 * kHourNs / 2);
        for (std::size_t column = 0; column < gm::kStrategicColumns; ++column) {
            if (first[column] == 0 && features->row_f64()[column] != 0.0) first[column] = i + 1;
        }
    }
    CHECK(first[gm::kNwRqkValue] == 26);
    CHECK(first[gm::kNwRqkSlope] == 27);
    CHECK(first[gm::kHourSin] == 1);
    CHECK(first[gm::kMomentum20] == 31);
    CHECK(first[gm::kMomentum50] == 51);
    CHECK(first[gm::kVolatility30] == 130);
    CHECK(first[gm::kLvnStrength] >= 20);
    CHECK(first[gm::kLvnStrength] <= 30);
    CHECK(first[gm::kVolumeProfileSkew] >= 20);
    CHECK(first[gm::kVolumeProfileSkew] <= 30);
    CHECK(first[gm::kMlmiValue] > 60);  // 21 crosses after bar 40
    CHECK(first[gm::kMmdScore] == 0);   // see the test of its own
}

TEST_CASE("the MMD column begins with the 200th m and nothing waits for it") {
    const auto features = opened();
    const auto bars = walk(820, 20);
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features->update(bars[i], 0);
        const bool is_warm = i + 1 >= 1 + 600 + 199;  // the first bar has no return
        REQUIRE(features->is_mmd_warm() == is_warm);
        if (!is_warm) REQUIRE(features->row_f64()[gm::kMmdScore] == 0.0);
    }
    CHECK(features->row_f64()[gm::kMmdScore] != 0.0);
}

TEST_CASE("bars needed is never too many and ends at 0 with readiness") {
    const auto features = opened();
    CHECK(features->bars_needed() == 177);
    const auto bars = walk(420, 21);
    std::vector<std::int64_t> needed;
    std::vector<bool> ready;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        ClosedBar bar = bars[i];
        if (i == 250) bar.low_ticks = -1;
        features->update(bar, 0);
        needed.push_back(features->bars_needed());
        ready.push_back(features->is_ready());
        REQUIRE((needed.back() == 0) == ready.back());
    }
    CHECK(needed[0] == 176);
    CHECK(needed[250] == 98);
    CHECK(needed[251] == 97);
    for (std::size_t i = 0; i < bars.size(); ++i) {
        for (std::size_t ahead = 0; ahead < static_cast<std::size_t>(needed[i]); ++ahead) {
            if (i + ahead < ready.size()) REQUIRE_FALSE(ready[i + ahead]);
        }
    }
}

TEST_CASE("a synthetic bar gets a row, moves candles and returns, and is not seen by volume") {
    const auto bars = walk(900, 22);
    const auto with = opened();
    const auto without = opened();
    std::size_t synthetic = 0;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        with->update(bars[i], 0);
        without->update(bars[i], 0);
        // MMD and profile are those of the real bars alone; so is the nearest node, by its
        // strength.
        REQUIRE(with->row_f64()[gm::kMmdScore] == without->row_f64()[gm::kMmdScore]);
        REQUIRE(with->row_f64()[gm::kVolumeProfileSkew] ==
                without->row_f64()[gm::kVolumeProfileSkew]);
        REQUIRE(with->row_f64()[gm::kLvnStrength] == without->row_f64()[gm::kLvnStrength]);
        if (i % 50 != 49) continue;
        const std::int64_t close = bars[i].close_ticks;
        const double atr_ticks = with->atr_ticks();
        const double distance = with->row_f64()[gm::kLvnDistance] * atr_ticks;
        const double skew = with->row_f64()[gm::kVolumeProfileSkew];
        const double score = with->row_f64()[gm::kMmdScore];
        with->update(
            {bars[i].start_ts_ns + 1, close, close, close, close, 0, 30, gm::kBarSynthetic}, 0);
        ++synthetic;
        REQUIRE(with->bars() == static_cast<std::int64_t>(i + 1 + synthetic));
        REQUIRE(with->row_f64()[gm::kMlmiSignal] == 0.0);
        REQUIRE(with->row_f64()[gm::kMmdScore] == score);
        REQUIRE(with->row_f64()[gm::kVolumeProfileSkew] == skew);
        REQUIRE(with->atr_ticks() < atr_ticks);
        if (std::abs(distance) < 4.0) {  // not clipped: the same ticks in a smaller ATR
            REQUIRE(std::abs(with->row_f64()[gm::kLvnDistance] * with->atr_ticks() - distance) <
                    1e-9);
        }
    }
}

TEST_CASE("a bar without a positive price is passed over by MMD, not by the profile") {
    const auto bars = walk(830, 23);
    const auto with = opened();
    const auto without = opened();
    for (std::size_t i = 0; i < bars.size(); ++i) {
        if (i % 100 == 60) {
            with->update({bars[i].start_ts_ns - 1, 3, 9, -20, -7, 50, 30, 0}, 0);
            REQUIRE(with->row_f64()[gm::kMmdScore] == without->row_f64()[gm::kMmdScore]);
        }
        with->update(bars[i], 0);
        without->update(bars[i], 0);
        REQUIRE(with->row_f64()[gm::kMmdScore] == without->row_f64()[gm::kMmdScore]);
    }
    CHECK(with->row_f64()[gm::kMmdScore] != 0.0);
}

TEST_CASE("signals of the newest bar are those of its row, the slope without its bounds") {
    const auto features = opened();
    int turns = 0;
    int signals = 0;
    double before = 0.0;
    CHECK(features->mlmi_value() == 50.0);
    for (const ClosedBar& bar : walk(600, 24)) {
        features->update(bar, 0);
        const double* row = features->row_f64();
        REQUIRE(std::abs((features->mlmi_value() - 50.0) / 50.0 - row[gm::kMlmiValue]) < 1e-15);
        REQUIRE(features->mlmi_signal() == static_cast<int>(row[gm::kMlmiSignal]));
        const double slope = features->nwrqk_slope();
        REQUIRE(std::max(-1.0, std::min(1.0, slope / 0.5)) == row[gm::kNwRqkSlope]);
        const int turn = features->nwrqk_turn();
        REQUIRE(turn == (before < 0.0 && slope > 0.0 ? 1 : before > 0.0 && slope < 0.0 ? -1 : 0));
        before = slope;
        turns += turn != 0 ? 1 : 0;
        signals += features->mlmi_signal() != 0 ? 1 : 0;
    }
    CHECK(turns > 20);
    CHECK(signals > 5);
}

TEST_CASE("the matrix is the last 48 rows, oldest first, zeros before there were any") {
    const auto features = opened();
    std::vector<float> rows(gm::kStrategicValues, 0.0F);
    for (const ClosedBar& bar : walk(200, 3)) {
        features->update(bar, 0);
        for (std::size_t column = 0; column < gm::kStrategicColumns; ++column) {
            rows.push_back(static_cast<float>(features->row_f64()[column]));
        }
        REQUIRE(std::memcmp(features->matrix(), &rows[rows.size() - gm::kStrategicValues],
                            gm::kStrategicValues * sizeof(float)) == 0);
    }
}

TEST_CASE("the clock columns are exchange-local and of the bar's start") {
    const auto features = opened();
    ClosedBar bar{0, 100, 110, 90, 105, 1, 30, 0};
    bar.start_ts_ns = 10 * kHourNs;  // 10:00 UTC is 06:00 four hours west
    features->update(bar, -4 * kHourNs);
    CHECK(std::abs(features->row_f64()[gm::kHourSin] - 1.0) < 1e-15);
    CHECK(std::abs(features->row_f64()[gm::kHourCos]) < 1e-15);
    bar.start_ts_ns = 2 * kHourNs;  // the day before, 21:00
    features->update(bar, -5 * kHourNs);
    CHECK(std::abs(features->row_f64()[gm::kHourSin] + std::sqrt(0.5)) < 1e-15);
    CHECK(std::abs(features->row_f64()[gm::kHourCos] - std::sqrt(0.5)) < 1e-15);
}

TEST_CASE("before 1970 the day still has 24 hours") {
    const auto features = opened();
    ClosedBar bar{-6 * kHourNs, 100, 110, 90, 105, 1, 30, 0};  // 18:00
    features->update(bar, 0);
    CHECK(std::abs(features->row_f64()[gm::kHourSin] + 1.0) < 1e-15);
}

TEST_CASE("a price that is not positive ends readiness until 98 positive bars have passed") {
    const auto features = opened();
    auto bars = walk(600, 4);
    bars[300].low_ticks = 0;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features->update(bars[i], 0);
        REQUIRE(is_finite(*features));
        const bool expected = i + 1 >= 177 && (i < 300 || i >= 300 + 98);
        CAPTURE(i);
        REQUIRE(features->is_ready() == expected);
        if (i >= 300 && i < 300 + 98) {
            REQUIRE(features->reason() == NotReadyReason::kPriceNotPositive);
        }
    }
}

TEST_CASE("negative closes give no NaN and no momentum across them") {
    const auto features = opened();
    auto bars = walk(300, 5, 60);
    for (std::size_t i = 0; i < bars.size(); ++i) {
        if (i >= 200 && i < 210) bars[i] = {bars[i].start_ts_ns, 5, 9, -40, -37, 1, 30, 0};
        features->update(bars[i], 0);
        REQUIRE(is_finite(*features));
        const double momentum_20 = features->row_f64()[gm::kMomentum20];
        const double momentum_50 = features->row_f64()[gm::kMomentum50];
        if (i >= 200 && i < 210 + 30) REQUIRE(momentum_20 == 0.0);
        if (i >= 200 && i < 210 + 50) REQUIRE(momentum_50 == 0.0);
    }
}

TEST_CASE("a flat market is all zeros, has no volatility history and is never ready") {
    const auto features = opened();
    for (std::int64_t i = 0; i < 400; ++i) {
        features->update({i * kBarNs, 500, 500, 500, 500, 0, 30, gm::kBarSynthetic}, 0);
        REQUIRE(is_finite(*features));
        for (const std::size_t column : {2, 3, 8, 9, 11}) {
            REQUIRE(features->row_f64()[column] == 0.0);
        }
    }
    CHECK(features->reason() == NotReadyReason::kWarmingUp);
}

TEST_CASE("a σ30 of 0 does not enter the history that volatility is measured by") {
    auto bars = walk(400, 6);
    const auto with = opened();
    const auto without = opened();
    for (const ClosedBar& bar : bars) {
        with->update(bar, 0);
        without->update(bar, 0);
    }
    const std::int64_t price = bars.back().close_ticks;
    std::int64_t ts_ns = bars.back().start_ts_ns;
    // 40 still bars empty the return window; the longer pause adds nothing but zeros.
    for (int i = 0; i < 140; ++i) {
        ts_ns += kBarNs;
        const ClosedBar still{ts_ns, price, price, price, price, 0, 30, gm::kBarSynthetic};
        with->update(still, 0);
        if (i < 40) without->update(still, 0);
        if (i >= 30) REQUIRE(with->row_f64()[gm::kVolatility30] == 0.0);
    }
    const ClosedBar jump{ts_ns + kBarNs, price, price + 9, price, price + 9, 5, 30, 0};
    with->update(jump, 0);
    without->update(jump, 0);
    CHECK(with->row_f64()[gm::kVolatility30] != 0.0);
    CHECK(with->row_f64()[gm::kVolatility30] == without->row_f64()[gm::kVolatility30]);
}

TEST_CASE("an out-of-session bar changes nothing but readiness") {
    const auto features = opened();
    const auto bars = walk(181, 7);
    for (std::size_t i = 0; i < 180; ++i) features->update(bars[i], 0);
    std::vector<float> before(features->matrix(), features->matrix() + gm::kStrategicValues);
    ClosedBar outside = bars[180];
    outside.flags = gm::kBarOutOfSession;
    outside.low_ticks = -5;
    features->update(outside, 0);
    CHECK(features->reason() == NotReadyReason::kOutOfSession);
    CHECK(features->bars() == 180);
    CHECK(std::memcmp(features->matrix(), before.data(), before.size() * sizeof(float)) == 0);
    features->update(bars[180], 0);
    CHECK(features->is_ready());
}

TEST_CASE("preparing early, twice, in part or never gives the same bits") {
    const auto lazy = opened();
    const auto eager = opened();
    std::size_t parts_most = 0;
    for (const ClosedBar& bar : walk(700, 8)) {
        for (std::int64_t part = 0; part < eager->bars() % 7; ++part) (void)eager->prepare_part();
        if (eager->bars() % 3 == 0) {
            std::size_t parts = 1;
            while (eager->prepare_part()) ++parts;
            parts_most = std::max(parts_most, parts);
            eager->prepare();
            CHECK(eager->is_prepared());
        }
        lazy->update(bar, 0);
        eager->update(bar, 0);
        REQUIRE(std::memcmp(lazy->row_f64(), eager->row_f64(), 13 * sizeof(double)) == 0);
    }
    CHECK(snapshot_of(*lazy) == snapshot_of(*eager));
    CHECK(parts_most > 5);
}

TEST_CASE("cut by a snapshot at every bar it goes on with the same bits") {
    const auto straight = opened();
    auto cut = opened();
    for (const ClosedBar& bar : walk(900, 9)) {
        straight->update(bar, 0);
        cut->update(bar, 0);
        REQUIRE(std::memcmp(straight->row_f64(), cut->row_f64(), 13 * sizeof(double)) == 0);
        const auto next = opened();
        REQUIRE(next->restore(snapshot_of(*cut)) == gm::Status::kOk);
        std::memcpy(static_cast<void*>(cut.get()), next.get(), sizeof *cut);
    }
    CHECK(snapshot_of(*straight) == snapshot_of(*cut));
    CHECK(straight->row_f64()[gm::kMmdScore] != 0.0);
}

TEST_CASE("a foreign, short or damaged snapshot is refused and changes nothing") {
    const auto features = opened();
    for (const ClosedBar& bar : walk(60, 10)) features->update(bar, 0);
    const std::vector<std::uint8_t> good = snapshot_of(*features);
    std::vector<std::uint8_t> bytes = good;
    bytes[0] ^= 1U;
    CHECK(features->restore(bytes) == gm::Status::kSchemaMismatch);
    for (const std::size_t at : {std::size_t{40}, std::size_t{64}, good.size() - 1}) {
        bytes = good;
        bytes[at] ^= 0x80U;
        CHECK(features->restore(bytes) == gm::Status::kBadArgument);
    }
    bytes.pop_back();
    CHECK(features->restore(bytes) == gm::Status::kBadArgument);
    CHECK(features->restore({}) == gm::Status::kBadArgument);
    CHECK(features->snapshot({}) == gm::Status::kBadArgument);
    CHECK(snapshot_of(*features) == good);
}

TEST_CASE("wild prices never leave [-1, 1]") {
    std::mt19937_64 random(12);
    std::uniform_int_distribution<std::int64_t> price(-1000, 1'000'000'000'000);
    const auto features = opened();
    for (std::int64_t i = 0; i < 5'000; ++i) {
        std::int64_t a = price(random);
        std::int64_t b = price(random);
        if (random() % 8 != 0) a = b = 1 + (a & 1);
        const std::int64_t high = std::max(a, b) + (random() % 16 == 0 ? 1 : 0);
        features->update({i * kBarNs, a, high, std::min(a, b), b, 0, 30, 0}, -5 * kHourNs);
        REQUIRE(is_finite(*features));
    }
}

TEST_CASE("a batch gives at every bar what streaming gives") {
    auto bars = walk(300, 13);
    bars[0].flags = gm::kBarOutOfSession;
    bars[250].flags = gm::kBarOutOfSession;
    const std::vector<std::int64_t> offsets(bars.size(), -4 * kHourNs);
    std::vector<float> matrices(bars.size() * gm::kStrategicValues);
    std::vector<double> rows(bars.size() * gm::kStrategicColumns);
    std::vector<std::uint8_t> ready(bars.size());
    gm::run_strategic_batch(bars, offsets.data(), {matrices.data(), rows.data(), ready.data()});
    gm::run_strategic_batch(bars, offsets.data(), {nullptr, nullptr, nullptr});
    const auto features = opened();
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features->update(bars[i], offsets[i]);
        REQUIRE(std::memcmp(&matrices[i * gm::kStrategicValues], features->matrix(),
                            gm::kStrategicValues * sizeof(float)) == 0);
        REQUIRE(std::memcmp(&rows[i * gm::kStrategicColumns], features->row_f64(),
                            gm::kStrategicColumns * sizeof(double)) == 0);
        REQUIRE((ready[i] == 1) == features->is_ready());
    }
    CHECK(ready[250] == 0);
    CHECK(ready[251] == 1);
}

TEST_CASE("reasons have names that do not change") {
    CHECK(std::string(gm::describe(NotReadyReason::kNone)) == "ready");
    CHECK(std::string(gm::describe(NotReadyReason::kWarmingUp)) == "warming_up");
    CHECK(std::string(gm::describe(NotReadyReason::kPriceNotPositive)) == "price_not_positive");
    CHECK(std::string(gm::describe(NotReadyReason::kOutOfSession)) == "out_of_session");
    CHECK(std::string(gm::describe(static_cast<NotReadyReason>(99))) == "unknown");
    CHECK(static_cast<int>(NotReadyReason::kOutOfSession) == 3);
}

TEST_CASE("the schema hash is the same every time and is not zero") {
    const gm::Sha256Digest digest = gm::feature_schema_sha256();
    CHECK(digest == gm::feature_schema_sha256());
    CHECK(digest != gm::Sha256Digest{});
}
