// The tactical matrix holds 60 warm rows or says why not, never a NaN, the same bits every time.
#include "gm/features/tactical.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "gm/wire/payload.hpp"

namespace {

using gm::ClosedBar;
using gm::NotReadyReason;
using gm::TacticalFeatures;

constexpr std::int64_t kBarNs = 300'000'000'000;

// Steps with a jump now and then, so that gaps are made and mitigated.
std::vector<ClosedBar> walk(std::size_t count, std::uint64_t seed, std::int64_t price = 40'000) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::int64_t> step(-30, 30);
    std::uniform_int_distribution<std::int64_t> wick(0, 15);
    std::uniform_int_distribution<std::int64_t> volume(0, 200);
    std::vector<ClosedBar> bars;
    for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t open = price;
        const std::int64_t stretch = random() % 11 == 0 ? 6 : 1;
        price = std::max<std::int64_t>(100, price + stretch * step(random));
        bars.push_back({static_cast<std::int64_t>(i) * kBarNs, open,
                        std::max(open, price) + wick(random), std::min(open, price) - wick(random),
                        price, volume(random), 5, 0});
    }
    return bars;
}

std::unique_ptr<TacticalFeatures> opened() {
    auto features = std::make_unique<TacticalFeatures>();
    features->open();
    return features;
}

std::vector<std::uint8_t> snapshot_of(const TacticalFeatures& features) {
    std::vector<std::uint8_t> bytes(TacticalFeatures::snapshot_size());
    REQUIRE(features.snapshot(bytes) == gm::Status::kOk);
    return bytes;
}

bool is_finite(const TacticalFeatures& features) {
    for (std::size_t i = 0; i < gm::kTacticalValues; ++i) {
        if (!(std::abs(features.matrix()[i]) <= 1.0F)) return false;
    }
    return true;
}

bool is_near(double a, double b) {
    return std::abs(a - b) <= 1e-12;
}

// Sixteen bars around 10,000 with bodies of 2, then the bullish gap [10003, 10009].
struct GapTape {
    std::unique_ptr<TacticalFeatures> features = opened();
    std::int64_t count = 0;

    GapTape() {
        for (int i = 0; i < 16; ++i) bar(9'999, 10'003, 9'997, 10'001);
        bar(10'001, 10'010, 10'000, 10'009);
        bar(10'010, 10'015, 10'009, 10'012);
    }
    const double* bar(std::int64_t open, std::int64_t high, std::int64_t low, std::int64_t close,
                      std::int64_t volume = 10, std::uint32_t flags = 0) {
        features->update({count * kBarNs, open, high, low, close, volume, 5, flags});
        ++count;
        return features->row_f64();
    }
    const double* synthetic(std::int64_t price) {
        return bar(price, price, price, price, 0, gm::kBarSynthetic);
    }
};

}  // namespace

TEST_CASE("tactical: ready from the 73rd bar, warming up before") {
    const auto features = opened();
    const auto bars = walk(90, 1);
    for (std::size_t i = 0; i < bars.size(); ++i) {
        REQUIRE((features->reason() == NotReadyReason::kWarmingUp) == (i < 73));
        features->update(bars[i]);
        REQUIRE(features->is_ready() == (i + 1 >= 73));
    }
    CHECK(features->bars() == 90);
}

TEST_CASE("tactical: a gap, its level and its age, worked by hand") {
    GapTape tape;
    const double* row = tape.features->row_f64();
    CHECK(row[gm::kFvgBullishActive] == 1.0);
    CHECK(row[gm::kFvgBearishActive] == 0.0);
    CHECK(row[gm::kFvgAge] == 1.0);
    // The middle 10,006 lies 6 below the close: 100 · (−6/10,012), half of it.
    CHECK(is_near(row[gm::kFvgNearestLevel], -300.0 / 10'012.0));
    CHECK(row[gm::kFvgMitigationSignal] == 0.0);
    row = tape.bar(10'012, 10'014, 10'010, 10'013);
    CHECK(is_near(row[gm::kFvgAge], std::exp(-0.1)));
    CHECK(is_near(row[gm::kFvgNearestLevel], -350.0 / 10'013.0));
}

TEST_CASE("tactical: mitigation signals once, with the width of the gap over the close") {
    GapTape tape;
    const double* row = tape.bar(10'012, 10'013, 10'006, 10'010);
    CHECK(row[gm::kFvgMitigationSignal] == 1.0);
    CHECK(row[gm::kFvgBullishActive] == 0.0);
    CHECK(row[gm::kFvgAge] == 0.0);
    CHECK(row[gm::kFvgNearestLevel] == 0.0);
    CHECK(tape.features->fvg_signal() == 1);
    CHECK(tape.features->fvg_signal_size() == 6.0 / 10'010.0);
    row = tape.bar(10'010, 10'013, 10'006, 10'010);
    CHECK(row[gm::kFvgMitigationSignal] == 0.0);
    CHECK(tape.features->fvg_signal() == 0);
    CHECK(tape.features->fvg_signal_size() == 0.0);
}

TEST_CASE("tactical: a level further than two percent away is clipped") {
    GapTape tape;
    const double* row = tape.bar(10'012, 10'400, 10'012, 10'400);
    CHECK(row[gm::kFvgNearestLevel] == -1.0);
}

TEST_CASE("tactical: momentum is tanh of a fifth of the percent over five bars") {
    const auto features = opened();
    const std::int64_t closes[] = {10'000, 10'100, 9'900, 10'000, 10'050, 10'200, 10'000};
    for (int i = 0; i < 7; ++i) {
        features->update({i * kBarNs, closes[i], closes[i], closes[i], closes[i], 1, 5, 0});
        const double momentum = features->row_f64()[gm::kPriceMomentum5];
        if (i < 5) CHECK(momentum == 0.0);
        if (i == 5) CHECK(is_near(momentum, std::tanh(0.4)));
        if (i == 6) CHECK(is_near(momentum, std::tanh(-100.0 * 100.0 / 10'100.0 / 5.0)));
    }
}

TEST_CASE("tactical: volume ratio is tanh ln of the volume over its mean, itself included") {
    GapTape tape;  // 18 bars of volume 10
    const double* row = tape.bar(10'012, 10'013, 10'011, 10'012, 31);
    const double mean = 10.0 + 2.0 / 21.0 * 21.0;
    CHECK(is_near(row[gm::kVolumeRatio], std::tanh(std::log(31.0 / mean))));
    row = tape.bar(10'012, 10'013, 10'011, 10'012, 0);
    CHECK(is_near(row[gm::kVolumeRatio], std::tanh(std::log(1e-6))));

    const auto silent = opened();
    silent->update({0, 100, 100, 100, 100, 0, 5, gm::kBarNoVolume});
    CHECK(silent->row_f64()[gm::kVolumeRatio] == 0.0);
}

TEST_CASE("tactical: a synthetic bar gets a row, moves momentum and mean volume, but no gap") {
    GapTape tape;
    const double* row = tape.synthetic(10'012);
    CHECK(row[gm::kFvgBullishActive] == 1.0);
    CHECK(row[gm::kFvgAge] == 1.0);  // real bars are counted
    CHECK(row[gm::kFvgMitigationSignal] == 0.0);
    CHECK(row[gm::kPriceMomentum5] != 0.0);
    CHECK(is_near(row[gm::kVolumeRatio], std::tanh(std::log(1e-6))));
    row = tape.bar(10'012, 10'013, 10'006, 10'010, 10);
    CHECK(row[gm::kFvgMitigationSignal] == 1.0);
    // The silent bar brought the mean down to 10 · 19/21, this one takes 2/21 of the way back.
    const double mean = 10.0 * 19 / 21 + (10.0 - 10.0 * 19 / 21) * 2 / 21;
    CHECK(is_near(row[gm::kVolumeRatio], std::tanh(std::log(10.0 / mean))));
    row = tape.synthetic(10'010);
    CHECK(row[gm::kFvgMitigationSignal] == 0.0);
    CHECK(tape.features->fvg_signal() == 0);
}

TEST_CASE("tactical: an out-of-session bar changes nothing but readiness, and signals nothing") {
    const auto features = opened();
    const auto bars = walk(82, 7);
    for (std::size_t i = 0; i < 80; ++i) features->update(bars[i]);
    const std::vector<float> before(features->matrix(), features->matrix() + gm::kTacticalValues);
    ClosedBar outside = bars[80];
    outside.flags = gm::kBarOutOfSession;
    outside.low_ticks = -5;
    features->update(outside);
    CHECK(features->reason() == NotReadyReason::kOutOfSession);
    CHECK(features->bars() == 80);
    CHECK(std::memcmp(features->matrix(), before.data(), before.size() * sizeof(float)) == 0);
    features->update(bars[80]);
    CHECK(features->is_ready());

    GapTape tape;
    tape.bar(10'012, 10'013, 10'006, 10'010);
    REQUIRE(tape.features->fvg_signal() == 1);
    tape.bar(10'012, 10'013, 10'006, 10'010, 1, gm::kBarOutOfSession);
    CHECK(tape.features->fvg_signal() == 0);
    CHECK(tape.features->fvg_signal_size() == 0.0);
}

TEST_CASE(
    "tactical: a price that is not positive ends readiness until 65 positive bars have passed") {
    const auto features = opened();
    auto bars = walk(400, 4);
    bars[200].low_ticks = 0;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features->update(bars[i]);
        REQUIRE(is_finite(*features));
        REQUIRE(features->is_ready() == (i + 1 >= 73 && (i < 200 || i >= 200 + 65)));
        const double* row = features->row_f64();
        if (i == 200) REQUIRE(row[gm::kFvgNearestLevel] == 0.0);
        if (i >= 200 && i < 206) REQUIRE(row[gm::kPriceMomentum5] == 0.0);
        if (i == 206) REQUIRE(row[gm::kPriceMomentum5] != 0.0);
    }
}

TEST_CASE("tactical: the matrix is the last 60 rows, oldest first, zeros before there were any") {
    const auto features = opened();
    std::vector<float> rows(gm::kTacticalValues, 0.0F);
    for (const ClosedBar& bar : walk(200, 3)) {
        features->update(bar);
        for (std::size_t column = 0; column < gm::kTacticalColumns; ++column) {
            rows.push_back(static_cast<float>(features->row_f64()[column]));
        }
        REQUIRE(std::memcmp(features->matrix(), &rows[rows.size() - gm::kTacticalValues],
                            gm::kTacticalValues * sizeof(float)) == 0);
    }
}

TEST_CASE("tactical: a restored snapshot goes on with the same bits, wherever it was taken") {
    const auto bars = walk(300, 9);
    const auto straight = opened();
    const auto broken = opened();
    for (const ClosedBar& bar : bars) {
        straight->update(bar);
        broken->update(bar);
        const auto bytes = snapshot_of(*broken);
        for (int i = 0; i < 3; ++i) broken->update(bars[0]);
        REQUIRE(broken->restore(bytes) == gm::Status::kOk);
        REQUIRE(snapshot_of(*straight) == snapshot_of(*broken));
    }
}

TEST_CASE("tactical: a foreign, short or damaged snapshot is refused and changes nothing") {
    const auto features = opened();
    for (const ClosedBar& bar : walk(60, 10)) features->update(bar);
    const std::vector<std::uint8_t> good = snapshot_of(*features);
    std::vector<std::uint8_t> bytes = good;
    bytes[0] ^= 1U;
    CHECK(features->restore(bytes) == gm::Status::kSchemaMismatch);
    bytes = good;
    bytes.back() ^= 0x80U;
    CHECK(features->restore(bytes) == gm::Status::kBadArgument);
    bytes.assign(good.begin(), good.end() - 1);
    CHECK(features->restore(bytes) == gm::Status::kBadArgument);
    CHECK(features->snapshot({}) == gm::Status::kBadArgument);
    CHECK(snapshot_of(*features) == good);
}

TEST_CASE("tactical: wild prices and volumes never leave [-1, 1]") {
    std::mt19937_64 random(12);
    std::uniform_int_distribution<std::int64_t> price(-1000, 1'000'000'000'000);
    const auto features = opened();
    for (std::int64_t i = 0; i < 5'000; ++i) {
        std::int64_t a = price(random);
        std::int64_t b = price(random);
        if (random() % 8 != 0) a = b = 1 + (a & 1);
        std::int64_t high = std::max(a, b) + (random() % 16 == 0 ? 1 : 0);
        if (random() % 64 == 0) high = -high;  // no bar at all, but no reason to break
        const auto volume = static_cast<std::int64_t>(random() >> (1 + random() % 62));
        features->update({i * kBarNs, a, high, std::min(a, b), b, volume, 5, 0});
        REQUIRE(is_finite(*features));
    }
}

TEST_CASE("tactical: a batch gives at every bar what streaming gives") {
    auto bars = walk(300, 13);
    bars[0].flags = gm::kBarOutOfSession;
    bars[250].flags = gm::kBarOutOfSession;
    bars[260].flags = gm::kBarSynthetic;
    std::vector<float> matrices(bars.size() * gm::kTacticalValues);
    std::vector<double> rows(bars.size() * gm::kTacticalColumns);
    std::vector<std::uint8_t> ready(bars.size());
    gm::run_tactical_batch(bars, {matrices.data(), rows.data(), ready.data()});
    gm::run_tactical_batch(bars, {nullptr, nullptr, nullptr});
    const auto features = opened();
    for (std::size_t i = 0; i < bars.size(); ++i) {
        features->update(bars[i]);
        REQUIRE(std::memcmp(&matrices[i * gm::kTacticalValues], features->matrix(),
                            gm::kTacticalValues * sizeof(float)) == 0);
        REQUIRE(std::memcmp(&rows[i * gm::kTacticalColumns], features->row_f64(),
                            gm::kTacticalColumns * sizeof(double)) == 0);
        REQUIRE((ready[i] == 1) == features->is_ready());
    }
    CHECK(ready[250] == 0);
    CHECK(ready[251] == 1);
}

TEST_CASE("tactical: on a random walk every column moves") {
    const auto features = opened();
    double lowest[gm::kTacticalColumns] = {};
    double highest[gm::kTacticalColumns] = {};
    for (const ClosedBar& bar : walk(5'000, 14)) {
        features->update(bar);
        for (std::size_t column = 0; column < gm::kTacticalColumns; ++column) {
            lowest[column] = std::min(lowest[column], features->row_f64()[column]);
            highest[column] = std::max(highest[column], features->row_f64()[column]);
        }
    }
    CHECK(lowest[gm::kFvgMitigationSignal] == -1.0);
    CHECK(highest[gm::kFvgMitigationSignal] == 1.0);
    for (std::size_t column = 0; column < gm::kTacticalColumns; ++column) {
        CHECK(highest[column] - lowest[column] > 0.25);
    }
}
