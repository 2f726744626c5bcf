// Promise: what one thread pushes, one other thread pops, once, whole and in order; full and
// empty are answers.
#include "gm/ring/spsc_ring.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <deque>
#include <random>
#include <thread>
#include <vector>

using gm::SpscRing;
using gm::Status;

namespace {

constexpr std::uint64_t kStreamed = 200'000;
constexpr std::uint64_t kEchoed = 20'000;

// As large as a record, and able to tell a torn copy.
struct alignas(64) Record {
    std::array<std::uint64_t, 16> words;
};
static_assert(sizeof(Record) == 128);

Record record_of(std::uint64_t number) {
    Record record;
    for (std::size_t i = 0; i < record.words.size(); ++i) record.words[i] = number * 31 + i;
    return record;
}

bool is_record(const Record& record, std::uint64_t number) {
    return record.words == record_of(number).words;
}

}  // namespace

TEST_CASE("slots come out in the order in which they went in") {
    SpscRing<Record> ring;
    REQUIRE(ring.open(4).is_ok());
    CHECK(ring.capacity() == 4);
    CHECK(ring.front() == nullptr);
    REQUIRE(ring.push(record_of(1)) == Status::kOk);
    REQUIRE(ring.push(record_of(2)) == Status::kOk);
    CHECK(ring.pushed() == 2);
    CHECK(ring.consumed() == 0);
    REQUIRE(ring.front() != nullptr);
    CHECK(is_record(*ring.front(), 1));
    CHECK(is_record(*ring.front(), 1));  // looking does not consume
    ring.pop();
    CHECK(ring.consumed() == 1);
    CHECK(is_record(*ring.front(), 2));
    ring.pop();
    CHECK(ring.front() == nullptr);
}

TEST_CASE("a full ring takes only what fits") {
    SpscRing<Record> ring;
    REQUIRE(ring.open(4).is_ok());
    for (std::uint64_t i = 0; i < 4; ++i) {
        CHECK(ring.free() == 4 - i);
        REQUIRE(ring.push(record_of(i)) == Status::kOk);
    }
    CHECK(ring.free() == 0);
    CHECK(ring.push(record_of(9)) == Status::kRingFull);
    CHECK(ring.pushed() == 4);
    CHECK(is_record(*ring.front(), 0));
    ring.pop();
    CHECK(ring.free() == 1);
    CHECK(ring.push(record_of(4)) == Status::kOk);
    CHECK(ring.push(record_of(9)) == Status::kRingFull);
}

TEST_CASE("a batch is cut at what fits and at what is there") {
    SpscRing<Record> ring;
    REQUIRE(ring.open(4).is_ok());
    std::vector<Record> in;
    for (std::uint64_t i = 0; i < 6; ++i) in.push_back(record_of(i));
    CHECK(ring.push_batch(in) == 4);
    CHECK(ring.push_batch(in) == 0);
    std::vector<Record> out(3);
    CHECK(ring.pop_batch(out) == 3);
    CHECK(is_record(out[2], 2));
    CHECK(ring.push_batch({in.data() + 4, 2}) == 2);
    CHECK(ring.push_batch({}) == 0);
    CHECK(ring.pop_batch({}) == 0);
    out.resize(9);
    CHECK(ring.pop_batch(out) == 3);
    CHECK(is_record(out[0], 3));
    CHECK(is_record(out[2], 5));
    CHECK(ring.pop_batch(out) == 0);
    CHECK(ring.consumed() == 6);
}

TEST_CASE("capacities that are no power of two are refused with their value") {
    SpscRing<Record> ring;
    for (const std::size_t capacity :
         {std::size_t{0}, std::size_t{1}, std::size_t{12}, SIZE_MAX, (SIZE_MAX >> 1) + 1}) {
        const gm::Failure failure = ring.open(capacity);
        CHECK(failure.status == Status::kBadCapacity);
        CHECK(failure.text.find(std::to_string(capacity)) != std::string::npos);
    }
}

TEST_CASE("a ring that is opened again starts empty") {
    SpscRing<Record> ring;
    REQUIRE(ring.open(4).is_ok());
    REQUIRE(ring.push(record_of(1)) == Status::kOk);
    REQUIRE(ring.open(8).is_ok());
    CHECK(ring.front() == nullptr);
    CHECK(ring.free() == 8);
    CHECK(ring.obtained().bytes >= 8 * sizeof(Record));
}

TEST_CASE("small slots work as well as large ones") {
    SpscRing<std::uint32_t> ring;
    REQUIRE(ring.open(2).is_ok());
    for (std::uint32_t i = 0; i < 1000; ++i) {
        REQUIRE(ring.push(i) == Status::kOk);
        REQUIRE(*ring.front() == i);
        ring.pop();
    }
}

TEST_CASE("random operations agree with a deque") {
    std::mt19937_64 random(2);
    for (const std::size_t capacity : {std::size_t{2}, std::size_t{8}, std::size_t{64}}) {
        SpscRing<Record> ring;
        REQUIRE(ring.open(capacity).is_ok());
        std::deque<std::uint64_t> model;
        std::uint64_t next = 0;
        std::vector<Record> buffer;
        for (int round = 0; round < 50'000; ++round) {
            const std::size_t room = capacity - model.size();
            const std::size_t size = random() % (capacity + 2);
            switch (random() % 4) {
                case 0:
                    REQUIRE((ring.push(record_of(next)) == Status::kOk) == (room > 0));
                    if (room > 0) model.push_back(next++);
                    break;
                case 1:
                    buffer.clear();
                    for (std::size_t i = 0; i < size; ++i) buffer.push_back(record_of(next + i));
                    REQUIRE(ring.push_batch(buffer) == std::min(size, room));
                    for (std::size_t i = 0; i < std::min(size, room); ++i) {
                        model.push_back(next++);
                    }
                    break;
                case 2:
                    REQUIRE((ring.front() != nullptr) == !model.empty());
                    if (model.empty()) break;
                    REQUIRE(is_record(*ring.front(), model.front()));
                    ring.pop();
                    model.pop_front();
                    break;
                default:
                    buffer.resize(size);
                    REQUIRE(ring.pop_batch(buffer) == std::min(size, model.size()));
                    for (std::size_t i = 0; i < size && !model.empty(); ++i) {
                        REQUIRE(is_record(buffer[i], model.front()));
                        model.pop_front();
                    }
            }
            REQUIRE(ring.pushed() == next);
            REQUIRE(ring.consumed() == next - model.size());
            if (round % 7 == 0) REQUIRE(ring.free() == capacity - model.size());
        }
    }
}

TEST_CASE("two threads exchange a stream without loss, repeat, tear or reordering") {
    for (const std::size_t capacity : {std::size_t{2}, std::size_t{16}, std::size_t{1024}}) {
        SpscRing<Record> ring;
        REQUIRE(ring.open(capacity).is_ok());
        std::thread producer([&ring] {
            std::array<Record, 8> batch;
            for (std::uint64_t next = 0; next < kStreamed;) {
                if (next % 3 == 0) {
                    if (ring.push(record_of(next)) == Status::kOk) {
                        ++next;
                    } else {
                        std::this_thread::yield();
                    }
                    continue;
                }
                const std::size_t size = std::min<std::uint64_t>(batch.size(), kStreamed - next);
                for (std::size_t i = 0; i < size; ++i) batch[i] = record_of(next + i);
                const std::size_t taken = ring.push_batch({batch.data(), size});
                if (taken == 0) std::this_thread::yield();
                next += taken;
            }
        });
        std::uint64_t expected = 0;
        std::uint64_t wrong = 0;
        std::array<Record, 5> out;
        while (expected < kStreamed) {
            if (expected % 2 == 0) {
                const Record* slot = ring.front();
                if (slot == nullptr) {
                    std::this_thread::yield();
                    continue;
                }
                wrong += is_record(*slot, expected++) ? 0 : 1;
                ring.pop();
                continue;
            }
            const std::size_t size = ring.pop_batch(out);
            if (size == 0) std::this_thread::yield();
            for (std::size_t i = 0; i < size; ++i) wrong += is_record(out[i], expected++) ? 0 : 1;
        }
        producer.join();
        CHECK(wrong == 0);
        CHECK(ring.front() == nullptr);
        CHECK(ring.pushed() == kStreamed);
        CHECK(ring.consumed() == kStreamed);
    }
}

TEST_CASE("the producer that saw a slot consumed sees what the consumer did with it") {
    // Lockstep: io reads the engine's consumed position first, then empties the order ring.
    SpscRing<Record> there;
    SpscRing<Record> back;
    REQUIRE(there.open(4).is_ok());
    REQUIRE(back.open(4).is_ok());
    std::thread echo([&] {
        for (std::uint64_t done = 0; done < kEchoed;) {
            const Record* slot = there.front();
            if (slot == nullptr) {
                std::this_thread::yield();
                continue;
            }
            static_cast<void>(back.push(*slot));
            there.pop();
            ++done;
        }
    });
    std::uint64_t missing = 0;
    for (std::uint64_t i = 0; i < kEchoed; ++i) {
        static_cast<void>(there.push(record_of(i)));
        while (there.consumed() != i + 1) std::this_thread::yield();
        const Record* answer = back.front();  // no wait: it must be there already
        if (answer == nullptr || !is_record(*answer, i)) ++missing;
        if (answer != nullptr) back.pop();
    }
    echo.join();
    CHECK(missing == 0);
}
