// The limits of the gate held against books of the judge's own: fills and prices as the engine was
// told them, orders as it wrote them down. R05, R10 to R15 and R18.
//
// An order that it wrote down must be within what these books allow; what trips for good must trip
// in the step in which these books say so, and in no other. The books know no more than the journal
// does, and reserve no more than it says, so what they hold against an order is certain.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "gm/base/checked.hpp"
#include "gm/engine/settings.hpp"
#include "gm/orders/order_table.hpp"
#include "gm/risk/exposure.hpp"
#include "gm/risk/gate.hpp"
#include "gm/wire/record.hpp"

namespace gm {

class LimitAccount {
 public:
    static constexpr std::size_t kCodes = 32;

    explicit LimitAccount(const Settings& settings) : settings_(settings) { books_ = Books{}; }

    // A record of the journal, in its order. What is wrong; empty: nothing.
    [[nodiscard]] std::string take(const Slot& record);
    // A loss of power took what lay behind this record.
    void forget_behind(std::uint64_t sequence);
    // How often a code refused or tripped.
    [[nodiscard]] const std::array<std::uint64_t, kCodes>& codes() const noexcept { return codes_; }

 private:
    struct Open {
        Side side = Side::kBuy;
        std::int64_t lots = 0;
    };
    struct Bucket {
        std::int64_t last_ns = INT64_MIN;
        Int128 used = 0;  // tokens x 1e9 that are not refilled yet
    };
    struct Attempt {
        std::int64_t ts_ns;
        std::int64_t price_ticks;
        std::int64_t quantity_lots;
        Side side;
        std::uint8_t strategy;
    };
    // What a loss is looked for in: equity at each price that was accepted.
    struct Loss {
        std::vector<std::int64_t> equities;
        Int128 base = 0;
        Int128 peak = 0;
        bool has_tripped = false;
    };
    struct Expected {
        GateCode code;
        bool is_of_account;
    };
    struct Books {
        std::int64_t now_ns = 0;
        std::uint64_t last_feed = 0;
        std::uint64_t last_reply = 0;
        std::int64_t price_ticks = 0;  // accepted last; 0: none yet
        std::int64_t pending_ticks = 0;
        bool has_pending = false;
        Exposure exposure;
        Int128 cash_micros = 0;
        std::int64_t commission_micros = 0;
        std::unordered_map<std::uint64_t, Open> open;
        std::unordered_map<std::uint64_t, std::uint8_t> strategies;
        std::unordered_set<std::uint64_t> executions;
        std::vector<std::pair<std::int64_t, std::uint8_t>> executed;  // for R14
        std::vector<Attempt> attempts;
        Bucket bucket;
        Bucket account_bucket;
        Loss loss;
        Loss account_loss;
        std::vector<Expected> expected;  // trips of this step
        bool has_repeated = false;
        bool is_doubtful = false;  // something impossible happened: the books may differ
        bool is_under_floor = false;
    };

    [[nodiscard]] std::string step(const Slot& record);
    [[nodiscard]] std::string end_step();
    void begin_step(const Slot& input);
    void begin_reply(const Slot& input);
    void book(const Fill& fill, std::int64_t traded_ns);
    void accept_price();
    void watch(Loss& loss, std::int64_t loss_max, std::int64_t drawdown_max, bool is_of_account);
    [[nodiscard]] std::string take_output(const Slot& record);
    [[nodiscard]] std::string take_trip(const RiskTrip& trip);
    [[nodiscard]] std::string take_intent(const NewOrder& order);
    [[nodiscard]] std::string check_value(const NewOrder& order) const;
    [[nodiscard]] std::string check_rate(const NewOrder& order);
    void take_state(const KillState& state);
    void drop(std::uint64_t key);
    [[nodiscard]] static bool take_token(Bucket& bucket, std::int64_t now_ns,
                                         std::int64_t per_second, std::int64_t burst);
    [[nodiscard]] static std::uint64_t key_of(const OrderId& id) noexcept {
        return std::uint64_t{id.epoch} << 32U | id.counter;
    }

    const Settings& settings_;
    Books books_;
    std::vector<Slot> records_;  // that the books were made of
    std::array<std::uint64_t, kCodes> codes_{};
};

}  // namespace gm
