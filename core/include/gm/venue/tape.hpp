// What the venue plays: the rows of a file in their order, as the reader left them.
//
// A row is a bar, a trade, or the reader's refusal of a line. Bars and trades that the market
// check will refuse are rows like any other: they are published, and nothing matches against them.
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
    std::uint8_t payload[kPayloadSize];  // BarClose, Trade or Quarantine
    std::int64_t ts_ns;                  // of a trade; bars carry their own, refusals have none
    std::uint32_t type;                  // RecordType: kBarClose, kTrade or kQuarantine
    std::uint32_t reserved;

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
