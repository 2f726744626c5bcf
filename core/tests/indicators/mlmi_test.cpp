// MLMI says how crosses that looked like this one ended, and signals only with that on its side.
#include "gm/indicators/mlmi.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

namespace {

using gm::Mlmi;

// Up so many bars, down as many, by 10 a bar.
double wave(int bar, int half = 8) {
    const int phase = bar % (2 * half);
    return 1000.0 + 10.0 * (phase < half ? phase : 2 * half - phase);
}

double weighted_mean(const std::vector<double>& x, std::size_t bars) {
    double sum = 0.0;
    for (std::size_t k = 0; k < bars; ++k) {
        sum += static_cast<double>(bars - k) * x[x.size() - 1 - k];
    }
    return sum / (static_cast<double>(bars * (bars + 1)) / 2.0);
}

// 1, -1 or 0: the change of sign that the last value brought.
int cross_of(const std::vector<double>& x) {
    if (x.size() < 21) return 0;
    const std::vector<double> before(x.begin(), x.end() - 1);
    const bool was_above = weighted_mean(before, 5) > weighted_mean(before, 20);
    const bool is_above = weighted_mean(x, 5) > weighted_mean(x, 20);
    return was_above == is_above ? 0 : is_above ? 1 : -1;
}

void update(Mlmi& mlmi, double x, bool is_synthetic = false) {
    mlmi.prepare();
    mlmi.update(x, is_synthetic);
}

// Of crosses, how many were signals. In each regular wave a cross ends as all of its direction did.
int signals_in_wave(int half) {
    const auto mlmi = std::make_unique<Mlmi>();
    std::vector<double> x;
    double at_cross = 0.0;
    int label[2] = {};  // of downward and upward crosses
    int crosses = 0;
    int signals = 0;
    for (int bar = 0; bar < 50 * half; ++bar) {
        x.push_back(wave(bar, half));
        const int before = mlmi->samples();
        update(*mlmi, x.back());
        const int cross = bar >= 39 ? cross_of(x) : 0;  // WMA20 of RSI20 exists from bar 39 on
        if (cross == 0) {
            REQUIRE(mlmi->signal() == 0);
            REQUIRE(mlmi->samples() == before);
            continue;
        }
        if (crosses > 0) label[cross > 0 ? 0 : 1] = x.back() > at_cross ? 1 : -1;
        REQUIRE(mlmi->samples() == crosses);  // one for each cross but the newest
        ++crosses;
        at_cross = x.back();
        if (crosses < 30) continue;
        const int ended = label[cross > 0 ? 1 : 0];
        REQUIRE(mlmi->value() == 50.0 + 50.0 * ended);
        REQUIRE(mlmi->lean() == ended);
        REQUIRE(mlmi->signal() == (ended == cross ? cross : 0));
        signals += mlmi->signal() != 0 ? 1 : 0;
    }
    CHECK(label[0] == -label[1]);
    return signals;
}

static_assert(std::is_trivially_copyable_v<Mlmi>);

}  // namespace

TEST_CASE("a slow wave follows its crosses, a fast one turns on each: signals and none") {
    CHECK(signals_in_wave(32) > 10);
    CHECK(signals_in_wave(8) == 0);
}

TEST_CASE("twenty samples take twenty-one crosses, and before them the value is 50") {
    const auto mlmi = std::make_unique<Mlmi>();
    CHECK(mlmi->value() == 50.0);
    CHECK(mlmi->bars_needed() == 21);
    for (int bar = 0; bar < 400; ++bar) {
        const auto needed = mlmi->bars_needed();
        update(*mlmi, wave(bar));
        REQUIRE(mlmi->is_warm() == (mlmi->samples() >= 20));
        REQUIRE((mlmi->bars_needed() == 0) == mlmi->is_warm());
        REQUIRE(mlmi->bars_needed() >= needed - 1);
        if (!mlmi->is_warm()) REQUIRE(mlmi->value() == 50.0);
    }
    CHECK(mlmi->is_warm());
}

TEST_CASE("a flat market never crosses") {
    const auto mlmi = std::make_unique<Mlmi>();
    for (int bar = 0; bar < 300; ++bar) {
        update(*mlmi, 1234567.75);
        REQUIRE(mlmi->signal() == 0);
        REQUIRE(mlmi->value() == 50.0);
    }
    CHECK(mlmi->samples() == 0);
}

TEST_CASE("a cross on a synthetic bar moves the sign and does nothing else") {
    const auto mlmi = std::make_unique<Mlmi>();
    std::vector<double> x;
    int bar = 0;
    for (; bar < 400 || cross_of(x) == 0; ++bar) {
        x.push_back(wave(bar));
        update(*mlmi, x.back());
    }
    int samples = mlmi->samples();
    for (bool was_crossed = false; !was_crossed; ++bar) {  // the next cross is synthetic
        x.push_back(wave(bar));
        was_crossed = cross_of(x) != 0;
        update(*mlmi, x.back(), was_crossed);
        REQUIRE(mlmi->signal() == 0);
        REQUIRE(mlmi->samples() == samples);
    }
    x.push_back(wave(bar));
    update(*mlmi, x.back());  // the sign has moved: no cross now
    CHECK(mlmi->samples() == samples);
    for (++bar; mlmi->samples() == samples; ++bar) {
        x.push_back(wave(bar));
        update(*mlmi, x.back());
        REQUIRE((cross_of(x) != 0) == (mlmi->samples() != samples));
    }
    CHECK(mlmi->samples() == samples + 1);
}

TEST_CASE("two thousand samples are kept, and a copy goes on with the same bits") {
    std::mt19937_64 random(31);
    const auto mlmi = std::make_unique<Mlmi>();
    std::memset(static_cast<void*>(mlmi.get()), 0, sizeof *mlmi);
    double price = 4000.0;
    int most = 0;
    for (int bar = 0; bar < 24'000; ++bar) {
        price += static_cast<double>(random() % 161) / 4.0 - 20.0 - (price - 4000.0) / 20.0;
        price = static_cast<double>(static_cast<int>(price * 4.0)) / 4.0;
        Mlmi copy = *mlmi;
        update(*mlmi, price);
        most = mlmi->samples() > most ? mlmi->samples() : most;
        if (bar % 97 != 0) continue;
        update(copy, price);
        REQUIRE(std::memcmp(&copy, mlmi.get(), sizeof copy) == 0);
    }
    CHECK(most == 2'000);
    CHECK(mlmi->samples() == 2'000);
}
