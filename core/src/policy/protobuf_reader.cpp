// Protobuf fields from hostile bytes: see the header for what is refused.
#include "gm/policy/protobuf_reader.hpp"

namespace gm {

namespace {

constexpr int kVarintBytesMax = 10;

}  // namespace

bool ProtobufReader::next_varint(std::uint64_t& out) noexcept {
    out = 0;
    for (int i = 0; i < kVarintBytesMax; ++i) {
        const auto index = static_cast<std::size_t>(i);
        if (index >= rest_.size()) {
            return refuse();
        }
        const std::uint64_t byte = rest_[index];
        if (i == kVarintBytesMax - 1 && byte > 1) {
            return refuse();  // more than 64 bits, or an eleventh byte
        }
        out |= (byte & 0x7fU) << (7 * i);
        if (byte < 0x80U) {
            rest_ = rest_.subspan(index + 1);
            return true;
        }
    }
    return refuse();
}

bool ProtobufReader::take(std::size_t count, std::span<const std::uint8_t>& out) noexcept {
    if (count > rest_.size()) {
        return refuse();
    }
    out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return true;
}

bool ProtobufReader::take_fixed(std::size_t count, std::uint64_t& out) noexcept {
    std::span<const std::uint8_t> bytes;
    if (!take(count, bytes)) {
        return false;
    }
    out = 0;
    for (std::size_t i = 0; i < count; ++i) {
        out |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);  // little-endian by definition
    }
    return true;
}

bool ProtobufReader::next(ProtobufField& out) noexcept {
    if (rest_.empty()) {
        return false;
    }
    std::uint64_t tag = 0;
    if (!next_varint(tag)) {
        return false;
    }
    out = {};
    if (tag >> 32 != 0 || tag >> 3 == 0) {
        return refuse();
    }
    out.number = static_cast<std::uint32_t>(tag >> 3);
    switch (tag & 7U) {
        case 0: out.type = WireType::kVarint; return next_varint(out.value);
        case 1: out.type = WireType::kFixed64; return take_fixed(8, out.value);
        case 2: {
            out.type = WireType::kBytes;
            std::uint64_t length = 0;
            return next_varint(length) && take(length, out.bytes);
        }
        case 5: out.type = WireType::kFixed32; return take_fixed(4, out.value);
        default: return refuse();
    }
}

}  // namespace gm
