// State to bytes and back, by one list of members for both directions.
//
// A class that has state beyond its settings lists it in `archive(Archive&)`; what is left out is
// named there as "Not archived:" with the reason, and tests/test_archived_members.py holds the list
// against the members. Bytes are copied only where every one of them is a value: padding never
// gets out. Neither direction allocates. What is restored must come from the same build: order and
// sizes are the format. Cold, or the engine's thread while it is idle.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <type_traits>
#include <vector>

namespace gm {

// Opened by zeroing its bytes and copied as a whole ever since, so that padding is the same each
// time: specialised by such a class.
template <typename T>
inline constexpr bool kIsPlainMemory = false;

class Archive {
 public:
    enum class Mode : std::uint8_t { kMeasure = 0, kSave = 1, kRestore = 2 };

    // Counts the most bytes that saving could take.
    [[nodiscard]] static Archive measuring() noexcept { return Archive(Mode::kMeasure, {}, {}); }
    [[nodiscard]] static Archive saving(std::span<std::uint8_t> to) noexcept {
        return Archive(Mode::kSave, to, {});
    }
    [[nodiscard]] static Archive restoring(std::span<const std::uint8_t> from) noexcept {
        return Archive(Mode::kRestore, {}, from);
    }

    [[nodiscard]] bool restores() const noexcept { return mode_ == Mode::kRestore; }
    // False: no room was left, or what was read is not what this build saves.
    [[nodiscard]] bool is_ok() const noexcept { return is_ok_; }
    // Bytes so far.
    [[nodiscard]] std::size_t size() const noexcept { return at_; }
    // Restored to the last byte.
    [[nodiscard]] bool is_at_end() const noexcept { return is_ok_ && at_ == from_.size(); }

    template <typename... Members>
    void operator()(Members&... members) noexcept {
        (member(members), ...);
    }
    // A place in memory or a count, at most `most`.
    template <typename Index>
    void index(Index& value, std::size_t most) noexcept {
        Index read = value;
        member(read);
        if (static_cast<std::size_t>(read) > most) is_ok_ = false;
        if (is_ok_) value = read;
    }
    // The first `count` of `most` values. What lies behind them is nothing.
    template <typename T>
    void first(T* values, std::size_t& count, std::size_t most) noexcept {
        static_assert(kIsPacked<T>);
        index(count, most);
        const std::size_t taken = mode_ == Mode::kMeasure ? most : count;
        if (is_ok_) bytes(values, taken * sizeof(T));
    }
    // All of a vector that grows and shrinks within the capacity that it was opened with.
    template <typename T>
    void list(std::vector<T>& values) noexcept {
        const std::size_t most = values.capacity();
        std::size_t count = values.size();
        index(count, most);
        if (!is_ok_) return;
        if (restores()) values.resize(count);
        if (mode_ == Mode::kMeasure) {
            at_ += most * sizeof(T);
        } else {
            first(values.data(), count, most);
        }
    }

 private:
    template <typename T>
    static constexpr bool kIsPacked = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> &&
                                      (std::has_unique_object_representations_v<T> ||
                                       std::is_floating_point_v<T> || kIsPlainMemory<T>);

    Archive(Mode mode, std::span<std::uint8_t> to, std::span<const std::uint8_t> from) noexcept
        : mode_(mode), to_(to), from_(from) {}

    template <typename T>
    void member(T& value) noexcept {
        if constexpr (requires { value.archive(*this); }) {
            value.archive(*this);
        } else if constexpr (std::is_same_v<T, bool>) {
            std::uint8_t byte = value ? 1 : 0;
            bytes(&byte, 1);
            value = byte != 0;  // any other byte would be no bool
        } else if constexpr (kIsPacked<T>) {
            bytes(&value, sizeof value);
        } else {
            every(value);
        }
    }
    // Arrays, and vectors that keep the size that they were opened with.
    template <typename T>
    void every(T& values) noexcept {
        using Value = std::remove_reference_t<decltype(*std::data(values))>;
        if constexpr (kIsPacked<Value> && !std::is_same_v<Value, bool>) {
            bytes(std::data(values), std::size(values) * sizeof(Value));
        } else {
            for (Value& value : values) member(value);  // bounded by the settings
        }
    }
    void bytes(void* value, std::size_t size) noexcept {
        if (mode_ == Mode::kSave) {
            is_ok_ = is_ok_ && size <= to_.size() - at_;
            if (is_ok_ && size > 0) std::memcpy(to_.data() + at_, value, size);
        } else if (mode_ == Mode::kRestore) {
            is_ok_ = is_ok_ && size <= from_.size() - at_;
            if (is_ok_ && size > 0) std::memcpy(value, from_.data() + at_, size);
        }
        if (is_ok_) at_ += size;
    }

    Mode mode_;
    bool is_ok_ = true;
    std::span<std::uint8_t> to_;
    std::span<const std::uint8_t> from_;
    std::size_t at_ = 0;
};

}  // namespace gm
