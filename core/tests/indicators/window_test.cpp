// A window always shows its newest values in one piece, oldest first.
#include "gm/indicators/window.hpp"

#include <doctest/doctest.h>

#include <deque>

TEST_CASE("every run of the newest values equals a queue's, before and after it is full") {
    gm::Window<5> window;
    std::deque<double> queue;
    for (int i = 1; i <= 23; ++i) {
        window.push(i);
        queue.push_back(i);
        if (queue.size() > 5) queue.pop_front();
        REQUIRE(window.count() == static_cast<std::int32_t>(queue.size()));
        REQUIRE(window.is_full() == (i >= 5));
        for (std::int32_t length = 1; length <= window.count(); ++length) {
            const double* last = window.last(length);
            for (std::int32_t k = 0; k < length; ++k) {
                const auto offset = queue.size() - static_cast<std::size_t>(length - k);
                REQUIRE(last[k] == queue[offset]);
            }
        }
    }
}

TEST_CASE("a cleared window begins again") {
    gm::Window<3> window;
    for (int i = 0; i < 4; ++i) window.push(i);
    window.clear();
    CHECK(window.count() == 0);
    window.push(9.0);
    CHECK(window.last(1)[0] == 9.0);
    CHECK_FALSE(window.is_full());
}
