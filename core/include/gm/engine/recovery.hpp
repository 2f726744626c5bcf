// How far a recovery has come, which ids may be used, and whether the venue's books are ours.
//
// In this order, each when the one before it is over: the fate of every open order and of the ids
// that a loss of power may have taken from the journal; the venue's own books; ids for the orders
// to come; READY. Only a life that was READY has ids, so there is one such range at most.
#pragma once

#include <cstdint>

#include "gm/base/archive.hpp"
#include "gm/base/sha256.hpp"
#include "gm/wire/payload.hpp"

namespace gm {

// What READY waits for, or, with kReconBreak, what holds new risk back.
enum class Awaited : std::uint8_t {
    kNothing = 0,
    kConnection = 1,
    kBackfill = 2,
    kOrders = 3,      // the fate of open ones
    kRange = 4,       // of ids that the journal may have lost
    kAccount = 5,     // the venue's position, cash and open orders
    kIds = 6,         // reserved on the disk
    kReconBreak = 7,  // the venue's books are not ours: R19
};
[[nodiscard]] const char* describe(Awaited awaited) noexcept;

inline constexpr std::int64_t kReconBreakAfterNs = 5'000'000'000;  // unless the settings say

struct Recovery {
    OrderId lost{};                // the first id that the journal may have lost; counter 0: none
    std::uint64_t lost_until = 0;  // the last of them
    bool has_lost = false;         // this life asked about some
    std::uint64_t ids_wanted = 0;  // up to here; where a loss of power can have got to
    std::uint64_t ids_reserved = 0;
    std::int64_t differs_since_ns = INT64_MAX;  // the venue's position from ours
    bool is_reconciled = false;  // Epoch says so; false: ids without end and READY at once
    bool is_range_asked = false;
    bool is_account_asked = false;
    bool is_account_known = false;  // in this connection
    bool differs = false;           // the report that is under way, in an instrument before
    bool has_break = false;
    bool has_foreign = false;         // that report names an instrument that is not ours
    bool counts_open_orders = false;  // in the last whole report of the venue's books
    Sha256Digest break_sha256{};      // what may be accepted; zero: nothing (gm/engine/books.hpp)

    [[nodiscard]] bool is_lost(const OrderId& id) const noexcept {
        return lost.counter != 0 && is_in_range(id, lost, lost_until);
    }
    [[nodiscard]] bool has_id(std::uint64_t counter) const noexcept {
        return !is_reconciled || counter <= ids_reserved;
    }
    void forget_questions() noexcept {
        is_range_asked = is_account_asked = is_account_known = differs = has_foreign = false;
    }
    void archive(Archive& archive) noexcept {
        archive(lost, lost_until, has_lost, ids_wanted, ids_reserved, differs_since_ns,
                is_reconciled, is_range_asked, is_account_asked, is_account_known, differs,
                has_break, has_foreign, counts_open_orders, break_sha256);
    }
};

}  // namespace gm
