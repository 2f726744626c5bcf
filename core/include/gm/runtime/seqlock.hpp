// One writer, any number of readers, in this process or another: a value that is read whole or not
// at all, and whose writer never waits.
//
// The value lies in atomic words, so a torn read is seen and repeated instead of being undefined.
// Zeroed memory is an empty, readable Seqlock: it can be laid over a fresh mapping.
// Source: Boehm 2012, "Can seqlocks get along with programming language memory models?"
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "gm/wire/record.hpp"

namespace gm {

template <typename Value>
class alignas(kCacheLineSize) Seqlock {
    static_assert(std::is_trivially_copyable_v<Value> && sizeof(Value) % 8 == 0);
    static constexpr std::size_t kWords = sizeof(Value) / 8;
    static constexpr int kTriesMax = 1000;  // then the writer lost its core, or died

 public:
    // The one writer.
    void write(const Value& value) noexcept {
        const auto words = std::bit_cast<std::array<std::uint64_t, kWords>>(value);
        // Even, also where a writer in another process died while it wrote.
        const std::uint64_t version = version_.load(std::memory_order_relaxed) & ~std::uint64_t{1};
        version_.store(version + 1, std::memory_order_relaxed);  // odd: being written
        for (std::size_t i = 0; i < kWords; ++i) {
            // Release: whoever reads this word afterwards sees the odd version too.
            words_[i].store(words[i], std::memory_order_release);
        }
        version_.store(version + 2, std::memory_order_release);  // pairs with `before` in read()
    }

    // False when no whole value was seen.
    [[nodiscard]] bool read(Value& out) const noexcept {
        std::array<std::uint64_t, kWords> words;
        for (int attempt = 0; attempt < kTriesMax; ++attempt) {
            const std::uint64_t before = version_.load(std::memory_order_acquire);
            for (std::size_t i = 0; i < kWords; ++i) {
                // Acquire: pairs with the release of the word in write().
                words[i] = words_[i].load(std::memory_order_acquire);
            }
            const std::uint64_t after = version_.load(std::memory_order_relaxed);
            if (before == after && before % 2 == 0) {
                out = std::bit_cast<Value>(words);
                return true;
            }
        }
        return false;
    }

    // How often it was written.
    [[nodiscard]] std::uint64_t version() const noexcept {
        return version_.load(std::memory_order_acquire) / 2;
    }

 private:
    std::atomic<std::uint64_t> version_;
    std::array<std::atomic<std::uint64_t>, kWords> words_;
    static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
};

}  // namespace gm
