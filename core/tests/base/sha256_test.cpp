// Promise: the hash is SHA-256, the same on every path and for every way of cutting the input.
#include "gm/base/sha256.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

using gm::Sha256;
using gm::Sha256Path;

namespace {

std::string hex(const gm::Sha256Digest& digest) {
    std::string text;
    for (const std::uint8_t byte : digest) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

std::string hash_of(const std::string& data, Sha256Path path) {
    Sha256 hash(path);
    hash.update(data.data(), data.size());
    return hex(hash.finish());
}

}  // namespace

TEST_CASE("the vectors of FIPS 180-4 and NIST CAVP hold on both paths") {
    const std::string four_letter_blocks =
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
        "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu";
    for (const Sha256Path path : {Sha256Path::kFastest, Sha256Path::kPortable}) {
        CHECK(hash_of("", path) ==
              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        CHECK(hash_of("abc", path) ==
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        CHECK(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", path) ==
              "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        CHECK(hash_of(four_letter_blocks, path) ==
              "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
        CHECK(hash_of("\xbd", path) ==
              "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b");
        CHECK(hash_of(std::string(1'000'000, 'a'), path) ==
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

TEST_CASE("both paths agree for every length up to four blocks") {
    std::mt19937_64 random(5);
    std::string data;
    for (int size = 0; size < 260; ++size) {
        REQUIRE(hash_of(data, Sha256Path::kFastest) == hash_of(data, Sha256Path::kPortable));
        data += static_cast<char>(random());
    }
}

TEST_CASE("any way of cutting the input gives the same digest") {
    std::mt19937_64 random(6);
    std::string data(3000, '\0');
    for (char& c : data) c = static_cast<char>(random());
    const gm::Sha256Digest whole = gm::sha256(data.data(), data.size());
    for (int round = 0; round < 200; ++round) {
        Sha256 hash(round % 2 == 0 ? Sha256Path::kFastest : Sha256Path::kPortable);
        std::size_t done = 0;
        while (done < data.size()) {
            const std::size_t size = std::min<std::size_t>(random() % 200, data.size() - done);
            hash.update(data.data() + done, size);
            done += size;
        }
        REQUIRE(hash.digest_so_far() == whole);
        REQUIRE(hash.finish() == whole);
    }
}

TEST_CASE("finishing starts over and a look at the digest does not") {
    Sha256 hash;
    hash.update("ab", 2);
    static_cast<void>(hash.digest_so_far());
    hash.update("c", 1);
    const gm::Sha256Digest expected = gm::sha256("abc", 3);
    CHECK(hash.finish() == expected);
    hash.update("abc", 3);
    CHECK(hash.finish() == expected);
}

TEST_CASE("messages side by side have the digests that they have one after the other") {
    std::mt19937_64 random(7);
    std::string data(20'000, '\0');
    for (char& c : data) c = static_cast<char>(random());
    // Up to two groups of sixteen, one of two, and one message alone.
    for (std::size_t count = 0; count <= 35; ++count) {
        for (const std::size_t taken : {0, 1, 31, 32, 63, 64, 65, 127}) {
            for (const std::size_t size : {0, 1, 31, 63, 64, 65, 95, 96, 127, 128, 129, 513}) {
                std::vector<Sha256> hashes(count);
                std::vector<const void*> sources(count);
                std::vector<std::string> messages(count);
                const auto take = [&](std::size_t i, std::size_t bytes) {
                    const std::size_t at = random() % 19'000;
                    hashes[i].update(&data[at], bytes);
                    messages[i] += data.substr(at, bytes);
                };
                for (std::size_t i = 0; i < count; ++i) {
                    take(i, taken);
                    const std::size_t at = random() % 19'000;
                    sources[i] = &data[at];
                    messages[i] += data.substr(at, size);
                }
                Sha256::update_many(hashes, sources, size);
                CAPTURE(count);
                CAPTURE(taken);
                CAPTURE(size);
                for (std::size_t i = 0; i < count; ++i) {
                    take(i, random() % 70);
                    REQUIRE(hashes[i].finish() ==
                            gm::sha256(messages[i].data(), messages[i].size()));
                }
            }
        }
    }
}

TEST_CASE("messages of unequal sizes have the digests that they have one after the other") {
    std::mt19937_64 random(9);
    std::string data(20'000, '\0');
    for (char& c : data) c = static_cast<char>(random());
    for (int round = 0; round < 300; ++round) {
        const std::size_t count = random() % 40;
        std::vector<Sha256> hashes;
        std::vector<const void*> sources(count);
        std::vector<std::size_t> sizes(count);
        std::vector<std::string> messages(count);
        for (std::size_t i = 0; i < count; ++i) {
            hashes.emplace_back(random() % 9 == 0 ? Sha256Path::kPortable : Sha256Path::kFastest);
            const std::size_t head = random() % 2 == 0 ? 32 : random() % 130;
            hashes[i].update(data.data(), head);
            const std::size_t at = random() % 1'000;
            sources[i] = &data[at];
            sizes[i] = random() % 3 == 0 ? random() % 200 : random() % 19'000;
            messages[i] = data.substr(0, head) + data.substr(at, sizes[i]);
        }
        Sha256::update_unequal(hashes, sources, sizes);
        for (std::size_t i = 0; i < count; ++i) {
            CAPTURE(sizes[i]);
            hashes[i].update("end", 3);
            messages[i] += "end";
            REQUIRE(hashes[i].finish() == gm::sha256(messages[i].data(), messages[i].size()));
        }
    }
}

TEST_CASE("messages that cannot go side by side are taken one by one") {
    std::mt19937_64 random(8);
    std::string data(4'000, '\0');
    for (char& c : data) c = static_cast<char>(random());
    for (int round = 0; round < 200; ++round) {
        const std::size_t count = 1 + random() % 20;
        std::vector<Sha256> hashes;
        for (std::size_t i = 0; i < count; ++i) {
            hashes.emplace_back(random() % 8 == 0 ? Sha256Path::kPortable : Sha256Path::kFastest);
        }
        std::vector<std::string> taken(count);
        for (int step = 0; step < 12; ++step) {
            const std::size_t size = random() % 300;
            std::vector<const void*> sources(count);
            for (std::size_t i = 0; i < count; ++i) {
                const std::size_t at = random() % 3'000;
                sources[i] = &data[at];
                taken[i] += data.substr(at, size);
            }
            Sha256::update_many(hashes, sources, size);
            if (random() % 4 > 0) continue;  // one alone: from now on they differ
            const std::size_t i = random() % count;
            hashes[i].update(data.data(), size % 64);
            taken[i] += data.substr(0, size % 64);
        }
        for (std::size_t i = 0; i < count; ++i) {
            REQUIRE(hashes[i].finish() == gm::sha256(taken[i].data(), taken[i].size()));
        }
    }
}
