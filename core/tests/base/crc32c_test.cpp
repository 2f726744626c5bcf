// Promise: the checksum is CRC-32C, by instruction and by table alike.
#include "gm/base/crc32c.hpp"

#include <doctest/doctest.h>

#include <random>
#include <vector>

TEST_CASE("the vectors of RFC 3720 B.4 hold") {
    std::vector<std::uint8_t> bytes(32, 0);
    CHECK(gm::crc32c(bytes.data(), bytes.size()) == 0x8a9136aa);
    bytes.assign(32, 0xff);
    CHECK(gm::crc32c(bytes.data(), bytes.size()) == 0x62a8ab43);
    for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::uint8_t>(i);
    CHECK(gm::crc32c(bytes.data(), bytes.size()) == 0x46dd794e);
    CHECK(gm::crc32c("123456789", 9) == 0xe3069283);
    CHECK(gm::crc32c(nullptr, 0) == 0);
}

TEST_CASE("instruction and table agree for every length, alignment and cut") {
    std::mt19937_64 random(3);
    std::vector<std::uint8_t> bytes(600);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    for (std::size_t offset = 0; offset < 9; ++offset) {
        for (std::size_t size = 0; size < 300; ++size) {
            const std::uint8_t* start = bytes.data() + offset;
            const std::uint32_t whole = gm::crc32c(start, size);
            REQUIRE(whole == gm::crc32c_by_table(start, size));
            const std::size_t cut = random() % (size + 1);
            const std::uint32_t first = gm::crc32c(start, cut);
            REQUIRE(whole == gm::crc32c(start + cut, size - cut, first));
        }
    }
}

TEST_CASE("every single flipped bit of a record is seen") {
    std::vector<std::uint8_t> record(120, 0x5a);
    const std::uint32_t before = gm::crc32c(record.data(), record.size());
    for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
        record[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        REQUIRE(gm::crc32c(record.data(), record.size()) != before);
        record[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
}
