// What may never happen, looked at after every event of a simulated world (SAFETY, promises).
//
// The truth is the venue's ledger, the frames that left the engine, the journal as it was written
// record by record, and what the world itself did: a halt needs a fault that allows it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "gm/runtime/core.hpp"
#include "gm/simulation/adversary.hpp"
#include "gm/simulation/faults.hpp"
#include "gm/simulation/kill_account.hpp"
#include "gm/simulation/limit_account.hpp"
#include "gm/simulation/network.hpp"
#include "gm/venue/venue.hpp"

namespace gm {

// What the code promises beyond the rest; a later release sets these.
struct Promises {
    // What a link held back is as old as it says, not as its arrival.
    bool ages_by_event_time = false;
};

class Judge {
 public:
    Judge(const Settings& settings, const Venue& venue, const Faults& faults,
          const Promises& promises);

    // Null once the venue has none any more.
    void watch(const Adversary* adversary) noexcept { adversary_ = adversary; }

    // ---- the engine's life
    void on_start(Core& core, const KillWords& words);
    // Records that must be there at the start; without power the kill words are lost, too.
    void on_death(std::uint64_t survives, bool has_power) noexcept;
    // People, who wait for no turn of the engine.
    [[nodiscard]] KillAccount& kills() noexcept { return kills_; }
    // Takes the records of the journal up to `last`, folds them into the hash.
    void read_journal(std::uint64_t last);
    void on_sent(std::span<const std::uint8_t> frame);
    void on_arrived(Lane lane, std::span<const std::uint8_t> frame);

    // ---- after events
    void look_at_engine();
    void look_at_venue();
    // Faults are over: empty when all is well, else what is not, yet.
    [[nodiscard]] std::string unsettled() const;

    [[nodiscard]] bool is_violated() const noexcept { return !violation_.empty(); }
    [[nodiscard]] const std::string& violation() const noexcept { return violation_; }
    void violate(const std::string& what);
    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
    void on_time(std::int64_t now_ns) noexcept { now_ns_ = now_ns; }
    void fold(std::uint64_t word) noexcept { hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15; }
    [[nodiscard]] std::uint64_t records_read() const noexcept { return records_read_; }
    [[nodiscard]] std::uint64_t unknowns_resolved() const noexcept { return unknowns_resolved_; }
    [[nodiscard]] bool is_halted() const noexcept;
    [[nodiscard]] const LimitAccount& limits() const noexcept { return limits_; }

 private:
    [[nodiscard]] static std::uint64_t key_of(const OrderId& id) noexcept {
        return std::uint64_t{id.epoch} << 32U | id.counter;
    }
    [[nodiscard]] static std::string name_of(const OrderId& id) {
        return "order " + std::to_string(id.epoch) + "/" + std::to_string(id.counter);
    }
    void fold_record(const Slot& record) noexcept;
    void take_record(const Slot& record);
    void take_update(const OrderUpdate& update);
    void check_order(const NewOrder& order);
    void check_age(const NewOrder& order);
    void check_level(std::uint32_t instrument, bool is_reducing, const OrderId& id);
    void check_halt(const KillState& state);
    [[nodiscard]] bool is_allowed(KillCause cause) const noexcept;
    [[nodiscard]] bool is_position_doubtful() const noexcept;
    void check_reserved(std::int64_t open_buy_lots, std::int64_t open_sell_lots);
    void check_mass_cancel();
    void follow_open_orders();

    const Settings& settings_;
    const Venue& venue_;
    const Faults& faults_;
    Promises promises_;
    KillAccount kills_;
    LimitAccount limits_;
    bool is_policy_invalid_ = false;  // the rule of this world answers what is no answer
    bool has_impossible_ = false;     // the engine halted on what an adversary said
    const Adversary* adversary_ = nullptr;
    Core* core_ = nullptr;  // null while the process is dead
    const KillWords* words_ = nullptr;

    std::unordered_map<std::uint64_t, std::uint64_t> intents_;  // key: journal sequence
    std::unordered_set<std::uint64_t> adopted_;
    std::unordered_set<std::uint64_t> sent_;
    std::unordered_set<std::uint64_t> unknown_;
    std::unordered_set<std::uint64_t> resting_;  // of this life, and no cancel was sent
    std::uint64_t unknowns_resolved_ = 0;
    std::uint64_t records_read_ = 0;
    std::uint64_t must_survive_ = 0;
    Slot last_input_{};
    Hello hello_{};
    std::uint64_t feed_arrived_ = 0;  // without a hole
    std::int64_t now_ns_ = 0;         // simulated
    std::int64_t market_ts_ns_ = 0;   // of the newest event that arrived
    std::int64_t market_arrived_ns_ = 0;
    std::int64_t killed_since_ns_ = INT64_MAX;  // and orders rest
    std::vector<std::uint32_t> open_rows_;
    std::size_t rows_seen_ = 0;
    std::uint64_t hash_ = 1;
    std::string violation_;
};

}  // namespace gm
