// Our books and the venue's of one instrument, side by side, and the digest of a break.
//
// What people are shown, what they sign for and what the engine holds an acceptance against is one
// thing: a SHA-256 over the rows of the instruments that differ, in the order of their numbers.
// gm/kill/books.py computes it again from the rows that it shows.
#pragma once

#include <cstdint>

#include "gm/base/sha256.hpp"
#include "gm/orders/portfolio.hpp"

namespace gm {

struct BooksRow {
    Books ours;
    Books venues;
    std::uint32_t open_orders = 0;  // both 0 where they do not count: an answer may be on its way
    std::uint32_t venues_open_orders = 0;
    bool is_known = true;  // false: ours do not fit into 128 bits

    [[nodiscard]] bool differs() const noexcept {
        return !is_known || ours != venues || open_orders != venues_open_orders;
    }
};

// Adds one row to a digest: 80 bytes, little-endian.
void hash_row(Sha256& hash, std::uint32_t instrument, const BooksRow& row) noexcept;

}  // namespace gm
