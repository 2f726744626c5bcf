// What all instruments together could become at worst, in money: the sums of R10 and R11.
//
// An instrument is valued again when its exposure or its reference has changed, so the sum costs
// a check nothing however many instruments there are.
#pragma once

#include <cstdint>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/checked.hpp"
#include "gm/market/instrument.hpp"
#include "gm/risk/exposure.hpp"
#include "gm/risk/limits.hpp"

namespace gm {

struct Reference {
    std::int64_t ticks = 0;
    bool is_known = false;
};

// |price| x quantity x value of a tick, saturated: what does not fit is over every limit.
[[nodiscard]] std::int64_t notional_micros(const Instrument& instrument, std::int64_t price_ticks,
                                           std::int64_t quantity_lots) noexcept;

struct WorstValue {
    std::int64_t gross_micros = 0;
    std::int64_t margin_micros = 0;
    bool is_unknown = false;  // exposure without a reference

    void archive(Archive& archive) noexcept { archive(gross_micros, margin_micros, is_unknown); }
};

class AccountValue {
 public:
    void open(std::size_t instruments) {
        values_.assign(instruments, WorstValue{});
        gross_micros_ = margin_micros_ = 0;
        unknown_ = 0;
    }

    [[nodiscard]] static WorstValue value_of(const Instrument& instrument, const Limits& limits,
                                             std::int64_t worst_lots,
                                             const Reference& reference) noexcept;

    void set(std::size_t instrument, const WorstValue& value) noexcept {
        WorstValue& old = values_[instrument];
        gross_micros_ += Int128{value.gross_micros} - old.gross_micros;
        margin_micros_ += Int128{value.margin_micros} - old.margin_micros;
        unknown_ += value.is_unknown ? 1U : 0U;
        unknown_ -= old.is_unknown ? 1U : 0U;
        old = value;
    }

    // The account's sums with this value in the place of the instrument's own. INT64_MAX: more
    // than can be counted, or not known.
    [[nodiscard]] std::int64_t gross_with(std::size_t instrument,
                                          const WorstValue& value) const noexcept;
    [[nodiscard]] std::int64_t margin_with(std::size_t instrument,
                                           const WorstValue& value) const noexcept;

    void archive(Archive& archive) noexcept {
        archive(values_, gross_micros_, margin_micros_, unknown_);
    }

 private:
    // 128 bits: kInstrumentsMax values of 64 bits always fit.
    std::vector<WorstValue> values_;
    Int128 gross_micros_ = 0;
    Int128 margin_micros_ = 0;
    std::uint32_t unknown_ = 0;
};

}  // namespace gm
