// The protobuf wire format, read from hostile bytes: fields of one message, one after another.
//
// A reader never looks outside its span, never recurses and never allocates; nesting is the
// caller's: a field's bytes are the span of another reader. Malformed input ends the reading and
// leaves is_bad() true: a varint over 10 bytes or 64 bits, a length past the end, field number 0,
// and groups (wire types 3 and 4), which ONNX does not use.
// Source: protobuf.dev, Encoding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gm {

enum class WireType : std::uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct ProtobufField {
    std::uint32_t number = 0;
    WireType type = WireType::kVarint;
    std::uint64_t value = 0;                // kVarint, kFixed64, kFixed32
    std::span<const std::uint8_t> bytes{};  // kBytes

    [[nodiscard]] bool is(std::uint32_t wanted, WireType wanted_type) const noexcept {
        return number == wanted && type == wanted_type;
    }
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

class ProtobufReader {
 public:
    explicit ProtobufReader(std::span<const std::uint8_t> message) noexcept : rest_(message) {}

    // False at the end of the message and on malformed bytes; is_bad() tells which.
    [[nodiscard]] bool next(ProtobufField& out) noexcept;
    // One bare varint, as in the bytes of a packed field.
    [[nodiscard]] bool next_varint(std::uint64_t& out) noexcept;
    [[nodiscard]] bool is_bad() const noexcept { return is_bad_; }
    [[nodiscard]] bool is_empty() const noexcept { return rest_.empty(); }

 private:
    [[nodiscard]] bool refuse() noexcept {
        is_bad_ = true;
        rest_ = {};
        return false;
    }
    [[nodiscard]] bool take(std::size_t count, std::span<const std::uint8_t>& out) noexcept;
    [[nodiscard]] bool take_fixed(std::size_t count, std::uint64_t& out) noexcept;

    std::span<const std::uint8_t> rest_;
    bool is_bad_ = false;
};

}  // namespace gm
