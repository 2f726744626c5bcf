// R15: is so much lost, of an instrument or of the account, or below its peak, that somebody must
// look? One bad price does not say so; `confirmations` accepted prices in a row do.
//
// Of the last prices of an instrument the best equity counts where a loss is looked for, and the
// worst where a peak is: a price that stands alone moves neither. The account is the sum of that.
// What was lost before two people cleared it is not counted again.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/checked.hpp"
#include "gm/risk/limits.hpp"

namespace gm {

inline constexpr std::uint32_t kConfirmationsMin = 2;
inline constexpr std::uint32_t kConfirmationsMax = 16;

struct LossBreach {
    std::int64_t value = 0;
    std::int64_t limit = 0;
    bool is_breach = false;
};

class LossWatch {
 public:
    void open(std::size_t instruments, std::uint32_t confirmations) {
        rows_.assign(instruments, Row{});
        confirmations_ = confirmations;
        account_best_ = account_worst_ = account_base_ = account_peak_ = 0;
    }

    // Equity of an instrument at a price that was just accepted: realised + unrealised less
    // commission, since the first start.
    void sample(std::size_t instrument, std::int64_t equity_micros) noexcept;

    // After sample().
    [[nodiscard]] LossBreach instrument_breach(std::size_t instrument,
                                               const Limits& limits) const noexcept;
    [[nodiscard]] LossBreach account_breach(const AccountLimits& limits) const noexcept;

    // Cleared: counted from here.
    void forgive_instrument(std::size_t instrument) noexcept {
        rows_[instrument].base = rows_[instrument].best;
    }
    void forgive_account() noexcept { account_base_ = account_peak_ = account_best_; }

    // Not archived: confirmations_ (settings).
    void archive(Archive& archive) noexcept {
        archive(rows_, account_best_, account_worst_, account_base_, account_peak_);
    }

 private:
    struct Row {
        std::array<std::int64_t, kConfirmationsMax> samples{};
        std::uint32_t next = 0;
        std::int64_t best = 0;   // of the last `confirmations_` samples
        std::int64_t worst = 0;  // likewise
        std::int64_t base = 0;

        void archive(Archive& archive) noexcept {
            archive(samples);
            archive.index(next, kConfirmationsMax - 1);
            archive(best, worst, base);
        }
    };

    std::vector<Row> rows_;
    std::uint32_t confirmations_ = kConfirmationsMin;
    Int128 account_best_ = 0;  // sums over instruments
    Int128 account_worst_ = 0;
    Int128 account_base_ = 0;
    Int128 account_peak_ = 0;  // of account_worst_ since account_base_
};

}  // namespace gm
