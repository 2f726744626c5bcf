// What the fuzz targets share: taking values off the front of an input, and promises that end the
// program when they do not hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace gm::fuzz {

// A promise of the core that no input may break.
inline void hold(bool is_kept, const char* promise) {
    if (is_kept) return;
    std::fprintf(stderr, "broken: %s\n", promise);
    std::abort();
}

class Input {
 public:
    explicit Input(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

    // The next bytes as a value; zeros stand for what is missing.
    template <typename Value>
    [[nodiscard]] Value take() {
        static_assert(std::is_trivially_copyable_v<Value>);
        Value value{};
        const std::size_t count = std::min(sizeof value, rest_.size());
        if (count > 0) std::memcpy(&value, rest_.data(), count);
        rest_ = rest_.subspan(count);
        return value;
    }
    [[nodiscard]] std::uint8_t byte() { return take<std::uint8_t>(); }
    [[nodiscard]] bool is_empty() const { return rest_.empty(); }
    [[nodiscard]] std::span<const std::uint8_t> rest() const { return rest_; }
    [[nodiscard]] std::string_view text() const {
        return {reinterpret_cast<const char*>(rest_.data()), rest_.size()};
    }

 private:
    std::span<const std::uint8_t> rest_;
};

}  // namespace gm::fuzz
