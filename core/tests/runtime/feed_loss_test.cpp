// P6: whatever is lost, doubled or overtaken on the feed is noticed with the next message or
// heartbeat, and until the venue has sent it again no order leaves.
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "runtime/session_fixture.hpp"
#include "sanitized.hpp"

namespace gm::test {
namespace {

constexpr std::uint64_t kMessages = 1'000'000 / kLess;  // over all rates of loss
constexpr std::uint64_t kHeartbeatEvery = 16;
constexpr std::uint32_t kRatesPpm[] = {10, 100, 1'000, 10'000, 100'000};

// A venue whose messages are lost at some rate, and half as often come twice or early.
class LossyFeed {
 public:
    explicit LossyFeed(std::uint32_t loss_ppm) : loss_ppm_(loss_ppm), random_(loss_ppm) {
        session_.open();
        session_.ready();
        feed_ = &session_.feed();
    }

    void run(std::uint64_t messages) {
        for (std::uint64_t sent = 0; sent < messages; ++sent) {
            const std::uint64_t sequence = next_++;
            if (strikes(loss_ppm_)) {
                ++lost;
            } else if (strikes(loss_ppm_ / 2)) {
                ++overtaken;
                deliver(sequence + 1);
            } else {
                deliver(sequence);
                if (strikes(loss_ppm_ / 2)) repeat();
            }
            if (sent % kHeartbeatEvery == 0 && !strikes(loss_ppm_)) beat();
        }
        beat();
        CHECK(session_.session.last_feed_sequence() == next_ - 1);
    }

    std::uint64_t lost = 0;
    std::uint64_t overtaken = 0;
    std::uint64_t repeated = 0;
    std::uint64_t noticed = 0;

 private:
    bool strikes(std::uint32_t ppm) { return random_() % 1'000'000 < ppm; }

    void deliver(std::uint64_t sequence) {
        session_.trade(sequence);
        const FrameUse use = session_.receive_feed();
        if (sequence != expected_) return notice(use);
        REQUIRE(use == FrameUse::kRecords);
        ++expected_;
    }
    void repeat() {
        if (expected_ == 1) return;
        ++repeated;
        session_.trade(expected_ - 1);
        REQUIRE(session_.receive_feed() == FrameUse::kRepeated);
    }
    void beat() {
        Heartbeat heartbeat{};
        heartbeat.last_feed_sequence = next_ - 1;
        feed_->to_receive.push_back(
            frame_of(RecordType::kHeartbeat, Source::kVenueFeed, 0, heartbeat));
        const FrameUse use = session_.receive_feed();
        if (expected_ < next_) return notice(use);
        REQUIRE(use == FrameUse::kIgnored);
        REQUIRE(session_.session.phase() == SessionPhase::kReady);
    }

    // With this very message the connection is over; the next one begins where the hole is.
    void notice(FrameUse use) {
        REQUIRE(use == FrameUse::kLost);
        ++noticed;
        const std::uint32_t connection = session_.session.connection();
        refuses_orders(connection);
        session_.trade(next_);  // what still arrives is none of it
        REQUIRE(session_.receive_feed() == FrameUse::kIgnored);
        REQUIRE(session_.advance(20 * kMillisecond));
        REQUIRE(session_.session.connection() == connection + 1);
        std::erase_if(session_.context.sockets,
                      [](const auto& socket) { return !socket->is_open; });
        session_.welcome(next_ - 1, 0);
        REQUIRE(session_.receive_reply() == FrameUse::kIgnored);
        session_.session.announced(session_.now_ns);
        refuses_orders(connection + 1);
        REQUIRE(
            session_.session.send(make_slot(RecordType::kReady, Source::kEngine, 1, 0, Ready{})));
        next_ = expected_;
    }
    void refuses_orders(std::uint32_t connection) {
        const std::uint64_t dropped = session_.session.counters().orders_dropped;
        REQUIRE(session_.send_order(connection));
        REQUIRE(session_.session.counters().orders_dropped == dropped + 1);
    }

    std::uint32_t loss_ppm_;
    std::mt19937_64 random_;
    SessionFixture session_;
    FakeSocket* feed_ = nullptr;
    std::uint64_t next_ = 1;      // that the venue sends
    std::uint64_t expected_ = 1;  // that the engine has not
};

TEST_CASE("a million messages: each loss is noticed with the next message or heartbeat") {
    for (const std::uint32_t ppm : kRatesPpm) {
        CAPTURE(ppm);
        LossyFeed feed(ppm);
        feed.run(kMessages / std::size(kRatesPpm));
        CHECK(feed.noticed <= feed.lost + feed.overtaken);
        if (ppm >= 1'000) {
            CHECK(feed.noticed > kMessages / std::size(kRatesPpm) * ppm / 2'000'000);
            CHECK(feed.repeated > 0);
        }
    }
}

}  // namespace
}  // namespace gm::test
