// What the venue plays: the rows of a file in their order, as the reader left them.
//
// A row is a bar, a trade, a word about the book, or the reader's refusal of a line. What the
// market check will refuse is a row like any other: it is published, and nothing matches against
// it. Nothing matches against the book either: whether a resting order's turn had come is not told.
// Plain data that crosses the Python boundary: gm/layout.py repeats it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm {

struct TapeRow {
    std::uint8_t payload[kPayloadSize];  // of its type
    std::int64_t ts_ns;      // at the exchange; bars carry their own, refusals have none
    std::uint32_t type;      // RecordType: kBarClose, kTrade, kQuote, kBookLevel, kBookReset or
                             // kQuarantine
    std::uint32_t delay_us;  // after ts_ns it came in, as far as the recording tells

    template <typename P>
    [[nodiscard]] P as() const noexcept {
        static_assert(sizeof(P) == kPayloadSize && std::is_trivially_copyable_v<P>);
        P value;
        std::memcpy(&value, payload, sizeof value);
        return value;
    }
};
static_assert(sizeof(TapeRow) == 80 && offsetof(TapeRow, type) == 72);
static_assert(std::is_trivially_copyable_v<TapeRow>);

template <typename P>
[[nodiscard]] inline TapeRow make_row(RecordType type, std::int64_t ts_ns,
                                      const P& payload) noexcept {
    static_assert(sizeof(P) == kPayloadSize && std::is_trivially_copyable_v<P>);
    TapeRow row{};
    std::memcpy(row.payload, &payload, sizeof payload);
    row.ts_ns = ts_ns;
    row.type = static_cast<std::uint32_t>(type);
    return row;
}

}  // namespace gm
