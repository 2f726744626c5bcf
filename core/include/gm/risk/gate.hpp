// The one gate before the one door. Only Gate can make a RiskToken, and only a RiskToken opens the
// order ring, so an order that was not checked cannot be written down, let alone sent.
//
// All codes are evaluated in a fixed order; the first failure decides, the mask holds them all.
// A missing limit or reference refuses. Refused orders consume rate tokens. Integer arithmetic
// throughout; what overflows is over the limit. R14, R15 and R20 stay until a person has cleared
// them, whatever the level of the kill switch says. Source: SAFETY, "The gate".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gm/base/archive.hpp"
#include "gm/base/status.hpp"
#include "gm/market/instrument.hpp"
#include "gm/risk/account_value.hpp"
#include "gm/risk/exposure.hpp"
#include "gm/risk/limits.hpp"
#include "gm/risk/loss_watch.hpp"
#include "gm/risk/own_orders.hpp"
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
    kGross = 10,
    kCredit = 11,
    kRate = 12,
    kDuplicate = 13,
    kRepeatExecution = 14,
    kLoss = 15,
    kSelfMatch = 16,
    kParentExcess = 17,
    kBackpressure = 18,
    kReconBreak = 19,
    kPolicyInvalid = 20,
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
    OwnOrders own;  // of a replace: without the order that it is about
    Parent parent;  // of an order that is no leg of a bracket
    Headroom headroom{};
    std::int64_t now_ns = 0;
    std::int64_t reference_ticks = 0;
    std::int64_t reference_ts_ns = 0;
    KillLevel level = KillLevel::kKilled;
    bool has_reference = false;
    bool is_ready = false;
    bool is_in_session = false;
    bool is_gapped = true;
    bool has_recon_break = false;    // the venue's books are not ours
    bool is_policy_invalid = false;  // the output that the order follows from
};

// What does not come with the limits of an instrument or of the account.
struct GateSettings {
    std::int64_t limits_expire_ts_ns = 0;  // 0: never
    std::uint32_t loss_confirmations = kConfirmationsMin;
};

// R14, R15 or R20 has just tripped, of the instrument or of the account.
struct Trip {
    GateCode code = GateCode::kNone;
    std::int64_t value = 0;
    std::int64_t limit = 0;
    bool is_of_account = false;
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
                 const AccountLimits& account, const GateSettings& settings = {});

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

    // R10, R11. Exposure or reference of an instrument has changed; before the next check.
    void value(std::size_t instrument, const Exposure& exposure,
               const Reference& reference) noexcept;
    // R14. An execution of a strategy, and when it traded.
    [[nodiscard]] Trip on_execution(std::size_t instrument, std::uint8_t strategy,
                                    std::int64_t traded_ns) noexcept;
    // R15. What an instrument is worth at a price that was just accepted (LossWatch).
    [[nodiscard]] bool watches_loss() const noexcept { return watches_loss_; }
    [[nodiscard]] Trip on_equity(std::size_t instrument, std::int64_t equity_micros) noexcept;
    // R20. The engine has seen three invalid outputs in a row.
    [[nodiscard]] Trip on_policy_failures(std::size_t instrument, std::int64_t count,
                                          std::int64_t limit) noexcept;
    [[nodiscard]] bool has_policy_trip(std::size_t instrument) const noexcept {
        return desks_[instrument].policy.is_set;
    }
    // A person has cleared what tripped, of the instrument or of the account.
    void clear_instrument(std::size_t instrument) noexcept;
    void clear_account() noexcept;

    // Not archived: account_, settings_, watches_loss_ (settings).
    void archive(Archive& archive) noexcept {
        archive(desks_, values_, losses_, account_loss_, account_bucket_, cancel_bucket_,
                last_epoch_, last_counter_);
    }

 private:
    struct Latch {  // value and limit of what tripped; limit 0 may be one
        bool is_set = false;
        std::int64_t value = 0;
        std::int64_t limit = 0;

        void archive(Archive& archive) noexcept { archive(is_set, value, limit); }
    };
    struct Execution {  // for R14
        std::int64_t ts_ns;
        std::uint8_t strategy;

        void archive(Archive& archive) noexcept { archive(ts_ns, strategy); }
    };
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
        std::array<Execution, kPastMax> executions{};
        std::uint64_t execution_count = 0;
        Latch repeat;
        Latch loss;
        Latch policy;

        // Not archived: instrument, limits (settings).
        void archive(Archive& archive) noexcept {
            archive(bucket, past, past_count, executions, execution_count, repeat, loss, policy);
        }
    };
    class Findings;

    [[nodiscard]] bool passes(const NewOrder&, const GateContext&, Verdict&) noexcept;
    void check_permission(const NewOrder&, const GateContext&, const Desk&, Findings&) noexcept;
    void check_value(const NewOrder&, const GateContext&, const Desk&, Findings&) noexcept;
    void check_position(const NewOrder&, const GateContext&, const Desk&, Findings&) noexcept;
    void check_rate(const NewOrder&, const GateContext&, Desk&, Findings&) noexcept;
    void check_duplicate(const NewOrder&, const GateContext&, Desk&, Findings&) noexcept;
    void check_account(const NewOrder&, const GateContext&, const Desk&, Findings&) noexcept;
    void check_latches(const Desk&, Findings&) const noexcept;
    void check_self_match(const NewOrder&, const GateContext&, Findings&) const noexcept;
    void check_parent(const NewOrder&, const GateContext&, Findings&) const noexcept;
    void check_surroundings(const NewOrder&, const GateContext&, const Desk&,
                            Findings&) const noexcept;
    [[nodiscard]] Failure open_account(std::span<const Instrument> instruments,
                                       std::span<const Limits> limits,
                                       const GateSettings& settings);

    std::vector<Desk> desks_;
    AccountLimits account_{};
    GateSettings settings_;
    AccountValue values_;
    LossWatch losses_;
    Latch account_loss_;
    bool watches_loss_ = false;
    TokenBucket account_bucket_;
    TokenBucket cancel_bucket_;
    std::uint32_t last_epoch_ = 0;
    std::uint64_t last_counter_ = 0;
};

}  // namespace gm
