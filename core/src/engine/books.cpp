// Two people accept the venue's books: our own become what the venue says, and the journal keeps
// the difference under its own name; see books.hpp.
#include "gm/engine/books.hpp"

#include <cstring>

#include "gm/engine/engine.hpp"

namespace gm {
namespace {

// Two records each, and brackets that follow READY have their own room (kStepRecordsMax). The rest
// still differs with the next report, and is shown and signed for then.
constexpr std::uint32_t kAcceptedMax = kOpenOrdersMax / 2;

struct HashedBooks {
    std::int64_t position_lots;
    std::uint64_t cash_micros_low;
    std::int64_t cash_micros_high;
    std::int64_t commission_micros;
};
struct HashedRow {
    std::uint32_t instrument;
    std::uint32_t open_orders;
    std::uint32_t venues_open_orders;
    std::uint32_t zero;
    HashedBooks ours;
    HashedBooks venues;
};
static_assert(sizeof(HashedRow) == 80);

HashedBooks hashed(const Books& books) noexcept {
    return {books.position_lots, static_cast<std::uint64_t>(books.cash_micros),
            static_cast<std::int64_t>(books.cash_micros >> 64), books.commission_micros};
}

}  // namespace

void hash_row(Sha256& hash, std::uint32_t instrument, const BooksRow& row) noexcept {
    const HashedRow bytes{instrument, row.open_orders,  row.venues_open_orders,
                          0,          hashed(row.ours), hashed(row.venues)};
    hash.update(&bytes, sizeof bytes);
}

BooksRow Engine::books_row(std::uint32_t at) const noexcept {
    const Desk& desk = desks_[at];
    const PositionReport& said = desk.venues;
    BooksRow row;
    row.is_known = books_of(desk.position, settings_.instruments[at].tick_value_micros, row.ours) ==
                   Status::kOk;
    row.venues = {said.position_lots,
                  Int128{said.cash_micros_high} * (Int128{1} << 64) + said.cash_micros_low,
                  said.commission_micros};
    if (recovery_.counts_open_orders) {
        row.open_orders = orders_.open_orders(at);
        row.venues_open_orders = said.open_orders;
    }
    return row;
}

// Zero where there is nothing to accept: a position at the venue in an instrument that is not ours,
// a late fill that no report has followed yet, or an order that only one side holds, which no
// number in our books can bring about or end.
Sha256Digest Engine::break_digest() const noexcept {
    if (!recovery_.has_break || recovery_.has_foreign) return {};
    Sha256 hash;
    bool differs = false;
    for (std::uint32_t at = 0; at < desks_.size(); ++at) {
        const BooksRow row = books_row(at);
        if (!row.is_known || row.open_orders != row.venues_open_orders) return {};
        if (!row.differs()) continue;
        differs = true;
        hash_row(hash, at, row);
    }
    return differs ? hash.finish() : Sha256Digest{};
}

// For exactly what they saw, be it that a fill came since, or another report.
void Engine::on_books_accepted(const BooksAccepted& accepted, Outputs& out) noexcept {
    const Sha256Digest& shown = recovery_.break_sha256;
    if (shown == Sha256Digest{} || shown != break_digest() ||
        std::memcmp(shown.data(), accepted.break_sha256, shown.size()) != 0) {
        return;
    }
    std::uint32_t taken = 0;
    for (std::uint32_t at = 0; at < desks_.size() && taken < kAcceptedMax; ++at) {
        if (!books_row(at).differs()) continue;
        ++taken;
        take_books(at, out);
    }
    recovery_.break_sha256 = break_digest();
    if (recovery_.break_sha256 != Sha256Digest{}) return;
    end_break(out);
    become_ready_if_known(out);
    for (std::uint32_t at = 0; at < desks_.size(); ++at) tend_bracket(at, out);
}

void Engine::take_books(std::uint32_t at, Outputs& out) noexcept {
    Desk& desk = desks_[at];
    const BooksRow row = books_row(at);
    const Position before = desk.position;
    const std::int64_t price = price_of_new_lots(at, row);
    if (adopt_books(desk.position, row.venues, price,
                    settings_.instruments[at].tick_value_micros) != Status::kOk) {
        return halt(at, KillCause::kArithmetic, out);
    }
    const Int128 cash = row.venues.cash_micros - row.ours.cash_micros;
    const Int128 adjusted = desk.position.adjusted_micros - before.adjusted_micros;
    BooksAdjusted record{};
    record.position_lots = desk.position.lots - before.lots;
    record.cash_micros_low = static_cast<std::uint64_t>(cash);
    record.cash_micros_high = static_cast<std::int64_t>(cash >> 64);
    record.commission_micros = desk.position.commission_micros - before.commission_micros;
    record.adjusted_micros_low = static_cast<std::uint64_t>(adjusted);
    record.adjusted_micros_high = static_cast<std::int64_t>(adjusted >> 64);
    record.instrument = at;
    out.write(stamp_, RecordType::kBooksAdjusted, record);
    if (desk.position.lots != before.lots) {
        note_position(at, before.lots, price);
        desk.target_lots = desk.position.lots;  // nobody decided to trade back what was accepted
        desk.has_wish = false;
    }
    write_position(at, out);
}

// The last good price; where none was ever seen, what the venue's cash says that they cost.
std::int64_t Engine::price_of_new_lots(std::uint32_t at, const BooksRow& row) const noexcept {
    const Market& market = desks_[at].market;
    if (market.last_good_ts_ns() != kNoTime) return market.last_good_price_ticks();
    const Int128 lots = Int128{row.venues.position_lots} - row.ours.position_lots;
    const Int128 paid = row.ours.cash_micros - row.venues.cash_micros;
    std::int64_t price = 0;
    if (lots == 0) return 0;
    const Int128 each = paid / lots / settings_.instruments[at].tick_value_micros;
    return narrow_overflows(each, price) ? 0 : price;
}

}  // namespace gm
