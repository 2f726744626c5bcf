// The one gate before the one door. Only Gate can make a RiskToken, and only a RiskToken opens the
// order ring, so an order that was not checked cannot be written down, let alone sent.
//
// All codes are evaluated in a fixed order; the first failure decides, the mask holds them all.
// A missing limit or reference refuses. Refused orders consume rate tokens. Integer arithmetic
// throughout; what overflows is over the limit. Source: SAFETY, "The gate".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/market/instrument.hpp"
#include "gm/risk/exposure.hpp"
#include "gm/risk/limits.hpp"
#include "gm/risk/token_bucket.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

enum class GateCode : std::uint8_t {
    kNone = 0,
    kKilled = 1,
    kNotReady = 2,
    kNotPermitted = 3,
    kMalformed = 4,
    kMaxQuantity = 5,
    kMaxNotional = 6,
    kCollar = 7,
    kStaleReference = 8,
    kPosition = 9,
    kRate = 12,
    kDuplicate = 13,
    kReconBreak = 19,
};

// What passed, an order or a replace. Move-only: one check, one message.
template <typename Message>
class PassedToken {
 public:
    PassedToken(PassedToken&& other) noexcept = default;
    PassedToken& operator=(PassedToken&&) = delete;
    PassedToken(const PassedToken&) = delete;
    PassedToken& operator=(const PassedToken&) = delete;

    [[nodiscard]] const Message& message() const noexcept { return message_; }

 private:
    friend class Gate;
    explicit PassedToken(const Message& message) noexcept : message_(message) {}

    Message message_;
};
using RiskToken = PassedToken<NewOrder>;
using ReplaceToken = PassedToken<ReplaceOrder>;

// What the engine knows at the moment of the question.
struct GateContext {
    Exposure exposure;
    std::int64_t now_ns = 0;
    std::int64_t reference_ticks = 0;
    std::int64_t reference_ts_ns = 0;
    KillLevel level = KillLevel::kKilled;
    bool has_reference = false;
    bool is_ready = false;
    bool is_in_session = false;
    bool is_gapped = true;
    bool has_recon_break = false;  // the venue's books are not ours
};

struct Verdict {
    GateCode code = GateCode::kNone;
    std::uint32_t mask = 0;  // bit n-1: Rn failed
    std::int64_t value = 0;  // of the deciding code, in its own unit
    std::int64_t limit = 0;
};

class Gate {
 public:
    // Cold. Refuses a limit that is not positive, or fewer limits than instruments.
    Failure open(std::span<const Instrument> instruments, std::span<const Limits> limits,
                 const AccountLimits& account);

    // The only maker of tokens. Consumes rate tokens whatever the answer, unless the instrument has
    // no limits and so no bucket.
    [[nodiscard]] std::optional<RiskToken> check(const NewOrder& order, const GateContext& context,
                                                 Verdict& verdict) noexcept;

    // The same of an order that rests as `order`: as if it were sent with its new price and what
    // would be left of its new size, without what it reserves now. Fewer lots at the same price
    // skip the exposure checks, as a cancel does.
    [[nodiscard]] std::optional<ReplaceToken> check_replace(const ReplaceOrder& replace,
                                                            const NewOrder& order,
                                                            std::int64_t filled_lots,
                                                            const GateContext& context,
                                                            Verdict& verdict) noexcept;

    // Brings near what check() reads of an instrument. Changes nothing.
    void touch(std::size_t instrument) const noexcept;

    // A cancel skips the exposure checks but has a bucket of its own. True: it may go.
    [[nodiscard]] bool may_cancel(std::int64_t now_ns) noexcept;

    void archive(Archive& archive) noexcept {
        archive(desks_, account_bucket_, cancel_bucket_, last_epoch_, last_counter_);
    }

 private:
    struct Past {  // one attempt, for R13
        std::int64_t ts_ns;
        std::int64_t price_ticks;
        std::int64_t quantity_lots;
        std::uint8_t side;
        std::uint8_t strategy;

        void archive(Archive& archive) noexcept {
            archive(ts_ns, price_ticks, quantity_lots, side, strategy);
        }
    };
    static constexpr std::size_t kPastMax = 64;
    struct Desk {
        Instrument instrument;
        Limits limits;
        TokenBucket bucket;
        std::array<Past, kPastMax> past{};
        std::uint64_t past_count = 0;

        // Not archived: instrument, limits (settings).
        void archive(Archive& archive) noexcept { archive(bucket, past, past_count); }
    };
    class Findings;

    [[nodiscard]] bool passes(const NewOrder&, const GateContext&, Verdict&) noexcept;
    void check_permission(const NewOrder&, const GateContext&, const Desk&, Findings&) noexcept;
    void check_value(const NewOrder&, const GateContext&, const Desk&, Findings&) noexcept;
    void check_position(const NewOrder&, const GateContext&, const Desk&, Findings&) noexcept;
    void check_rate(const NewOrder&, const GateContext&, Desk&, Findings&) noexcept;
    void check_duplicate(const NewOrder&, const GateContext&, Desk&, Findings&) noexcept;

    std::vector<Desk> desks_;
    TokenBucket account_bucket_;
    TokenBucket cancel_bucket_;
    std::uint32_t last_epoch_ = 0;
    std::uint64_t last_counter_ = 0;
};

}  // namespace gm
