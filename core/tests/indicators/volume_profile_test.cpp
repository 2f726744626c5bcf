// The profile is that of bins filled one by one, however few runs it is kept in.
#include "gm/indicators/volume_profile.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <random>
#include <type_traits>
#include <vector>

namespace {

using gm::VolumeNode;
using gm::VolumeProfile;

struct Bar {
    std::int64_t low;
    std::int64_t high;
    std::int64_t volume;
};

void update(VolumeProfile& profile, const Bar& bar) {
    profile.prepare();
    profile.update(bar.high, bar.low, bar.volume);
}

VolumeProfile profile_of(const std::vector<Bar>& bars) {
    VolumeProfile profile;
    for (int i = static_cast<int>(bars.size()); i < 20; ++i)
        update(profile, {bars[0].low, bars[0].low, 0});
    for (const Bar& bar : bars) update(profile, bar);
    return profile;
}

struct SlowProfile {
    double skew;
    std::vector<VolumeNode> nodes;
};

// SPEC §2, bin by bin.
SlowProfile slow_profile(const std::deque<Bar>& bars) {
    std::int64_t bottom = bars[0].low;
    std::int64_t top = bars[0].high;
    for (const Bar& bar : bars) {
        bottom = std::min(bottom, bar.low);
        top = std::max(top, bar.high);
    }
    const std::int64_t width = std::max<std::int64_t>(1, (top - bottom + 2047) / 2048);
    std::vector<double> bins(static_cast<std::size_t>((top - bottom) / width + 1), 0.0);
    double total = 0.0;
    for (const Bar& bar : bars) {
        const std::int64_t first = (bar.low - bottom) / width;
        const std::int64_t last = (bar.high - bottom) / width;
        const double share =
            static_cast<double>(bar.volume) / static_cast<double>(last - first + 1);
        for (std::int64_t i = first; i <= last; ++i) bins[static_cast<std::size_t>(i)] += share;
        total += static_cast<double>(bar.volume);
    }
    const auto poc =
        static_cast<std::size_t>(std::max_element(bins.begin(), bins.end()) - bins.begin());
    std::size_t low = poc;
    std::size_t high = poc;
    double inside = bins[poc];
    while (inside < 0.7 * total - 1e-9 * total) {
        const bool can_rise = high + 1 < bins.size();
        const bool can_fall = low > 0;
        if (!can_rise && !can_fall) break;
        if (can_rise && (!can_fall || bins[high + 1] >= bins[low - 1])) {
            inside += bins[++high];
        } else {
            inside += bins[--low];
        }
    }
    SlowProfile slow{};
    if (high != low) {
        slow.skew = (static_cast<double>(high + low) - 2.0 * static_cast<double>(poc)) /
                    static_cast<double>(high - low);
    }
    for (std::size_t i = 1; i + 1 < bins.size(); ++i) {
        if (bins[i] < bins[i - 1] && bins[i] <= bins[i + 1] && bins[i] < 0.3 * bins[poc]) {
            slow.nodes.push_back(
                {bottom + static_cast<std::int64_t>(i) * width, 1.0 - bins[i] / bins[poc]});
        }
    }
    return slow;
}

// Narrow, wider than 2,048 ticks, far wider; volumes that repeat, so that bins are often equal.
void check_against_slow(std::uint64_t seed, std::int64_t step, std::int64_t wick) {
    std::mt19937_64 random(seed);
    VolumeProfile profile;
    std::deque<Bar> last;
    std::int64_t price = -300;
    for (int i = 0; i < 700; ++i) {
        price +=
            static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(2 * step + 1)) - step;
        const auto range =
            static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(wick + 1));
        const Bar bar{price, price + range, static_cast<std::int64_t>(random() % 5) * 60};
        last.push_back(bar);
        if (last.size() > 20) last.pop_front();
        update(profile, bar);
        REQUIRE(profile.is_warm() == (last.size() == 20));
        REQUIRE(profile.bars_needed() == 20 - static_cast<std::int64_t>(last.size()));
        if (!profile.is_warm()) continue;
        const SlowProfile slow = slow_profile(last);
        REQUIRE(profile.skew() == slow.skew);
        for (const std::int64_t asked : {price, price - wick, price + 3 * step}) {
            const VolumeNode node = profile.nearest_node(asked);
            REQUIRE((node.strength == 0.0) == slow.nodes.empty());
            if (slow.nodes.empty()) continue;
            const auto nearest = std::min_element(
                slow.nodes.begin(), slow.nodes.end(),
                [asked](const VolumeNode& a, const VolumeNode& b) {
                    return std::abs(a.price_ticks - asked) < std::abs(b.price_ticks - asked);
                });
            REQUIRE(node.price_ticks == nearest->price_ticks);
            REQUIRE(node.strength == nearest->strength);
        }
    }
}

}  // namespace

static_assert(std::is_trivially_copyable_v<VolumeProfile>);

TEST_CASE("a hundred lots at 100, five a tick above, forty at 104") {
    std::vector<Bar> bars;
    for (int i = 0; i < 10; ++i) bars.push_back({100, 100, 10});
    for (int i = 0; i < 5; ++i) bars.push_back({101, 103, 3});
    for (int i = 0; i < 5; ++i) bars.push_back({104, 104, 8});
    const VolumeProfile profile = profile_of(bars);
    // POC 100. 70 % of 155 is 108.5: 100 + 5 + 5 reach it, so VAH is 102 and VAL 100.
    CHECK(profile.skew() == 1.0);
    const VolumeNode node = profile.nearest_node(104);
    CHECK(node.price_ticks == 101);
    CHECK(node.strength == 0.95);
}

TEST_CASE("of two sides with as much volume the area grows up first") {
    CHECK(profile_of({{49, 49, 2}, {50, 50, 6}, {51, 51, 2}}).skew() == 1.0);
    CHECK(profile_of({{49, 49, 3}, {50, 50, 6}, {51, 51, 1}}).skew() == -1.0);
}

TEST_CASE("the area ends at exactly 70 %, though a tenth is no binary fraction") {
    // 5 + 2 of 10; another lot would make VAL 49 and the skew 0.
    CHECK(profile_of({{49, 49, 1}, {50, 50, 5}, {51, 51, 2}, {52, 52, 2}}).skew() == 1.0);
}

TEST_CASE("the lowest of equal bins is POC") {
    CHECK(profile_of({{10, 10, 6}, {12, 12, 6}}).skew() == 1.0);  // from 10 up to 12
}

TEST_CASE("of two nodes as near the lower one is taken") {
    // 9 9 1 9 1 9: nodes at 12 and 14, 13 lies between.
    const VolumeProfile profile =
        profile_of({{10, 11, 18}, {12, 12, 1}, {13, 13, 9}, {14, 14, 1}, {15, 15, 9}});
    CHECK(profile.nearest_node(13).price_ticks == 12);
    CHECK(profile.nearest_node(14).price_ticks == 14);
    CHECK(profile.nearest_node(13).strength == 1.0 - 1.0 / 9.0);
}

TEST_CASE("without volume, or at one price, there is no area and no node") {
    for (const std::int64_t volume : {0, 50}) {
        const VolumeProfile flat = profile_of({{700, 700, volume}});
        CHECK(flat.is_warm());
        CHECK(flat.skew() == 0.0);
        CHECK(flat.nearest_node(700).strength == 0.0);
    }
    const VolumeProfile empty = profile_of({{700, 790, 0}, {650, 720, 0}});
    CHECK(empty.skew() == 0.0);
    CHECK(empty.nearest_node(700).strength == 0.0);
}

TEST_CASE("2,048 ticks of range have bins of one tick, 2,049 of two") {
    const auto with_top = [](std::int64_t top) {
        return profile_of({{0, 0, 100}, {1, 1, 100}, {2, 2, 1}, {3, 3, 100}, {top, top, 1}});
    };
    CHECK(with_top(2'048).nearest_node(2).price_ticks == 2);  // 100 100 1 100
    CHECK(with_top(2'049).nearest_node(2).price_ticks == 4);  // 200 101 0: the node is behind both
}

TEST_CASE("every profile equals one filled bin by bin") {
    check_against_slow(1, 2, 6);
    check_against_slow(2, 40, 90);
    check_against_slow(3, 300, 700);
    check_against_slow(4, 3'000, 900);
    check_against_slow(5, 100'000'000, 2'000'000);
    check_against_slow(6, 0, 3);
}

TEST_CASE("preparing twice or on a copy gives the same bits") {
    std::mt19937_64 random(9);
    VolumeProfile profile;
    std::memset(static_cast<void*>(&profile), 0, sizeof profile);
    for (int i = 0; i < 200; ++i) {
        profile.prepare();
        profile.prepare();
        VolumeProfile copy = profile;
        const auto low = static_cast<std::int64_t>(random() % 3'000);
        profile.update(low + 30, low, 7);
        copy.update(low + 30, low, 7);
        REQUIRE(std::memcmp(&copy, &profile, sizeof copy) == 0);
    }
}
