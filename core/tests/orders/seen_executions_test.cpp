// Promise: of the last 4,096 executions none is booked twice, and none is dropped that is new.
#include "gm/orders/seen_executions.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <memory>
#include <random>
#include <set>

using namespace gm;

TEST_CASE("property: as a queue of the last ids would say, for ids in order and at random") {
    for (const std::uint64_t spread : {1ULL, 64ULL, 1ULL << 40}) {
        std::mt19937_64 random(spread);
        const auto seen = std::make_unique<SeenExecutions>();
        std::deque<std::uint64_t> queue;
        std::set<std::uint64_t> kept;
        for (std::uint64_t i = 1; i < 60'000; ++i) {
            const bool repeats = !queue.empty() && random() % 4 == 0;
            const std::uint64_t id = repeats ? queue[random() % queue.size()] : i * spread;
            const bool is_new = kept.insert(id).second;
            REQUIRE(seen->insert(id) == is_new);
            if (!is_new) continue;
            queue.push_back(id);
            if (queue.size() <= SeenExecutions::kKept) continue;
            kept.erase(queue.front());
            queue.pop_front();
        }
    }
}
