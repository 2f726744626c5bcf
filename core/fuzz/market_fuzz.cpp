// The market of one instrument under any records in any order: what it lets through is a bar.
//
// Input: one byte for the calendar, then events. Times and prices are steps from the last ones,
// so that most events are near to good ones, or any 64 bits.
#include <array>
#include <vector>

#include "gm/market/market.hpp"
#include "input.hpp"

namespace {

using namespace gm;
using gm::fuzz::hold;
using gm::fuzz::Input;

constexpr std::int64_t kHourNs = 60 * kMinuteNs;
constexpr std::int64_t kMonday = 1'704'067'200'000'000'000;  // 2024-01-01
// Buckets of five sessions at most lie between two events.
constexpr int kClosedMax = 5 * (24 * 12 + 24 * 2);

class Script {
 public:
    explicit Script(std::span<const std::uint8_t> bytes) : input_(bytes) {}

    [[nodiscard]] bool is_over() const { return input_.is_empty(); }
    [[nodiscard]] std::uint8_t byte() { return input_.byte(); }

    std::int64_t time() {
        constexpr std::array<std::int64_t, 7> kUnits = {
            1, 1'000'000'000, kMinuteNs, 5 * kMinuteNs, 30 * kMinuteNs, kHourNs, 24 * kHourNs};
        const std::uint8_t how = byte();
        if (how == 0xff) return input_.take<std::int64_t>();
        const std::int64_t steps = input_.take<std::int8_t>();
        time_ += steps * kUnits[how % kUnits.size()];
        return time_;
    }
    std::int64_t price() {
        const std::uint8_t how = byte();
        if (how == 0xff) return input_.take<std::int64_t>();
        price_ += static_cast<std::int8_t>(how);
        return price_;
    }
    std::int64_t lots() { return byte() == 0xff ? input_.take<std::int64_t>() : 10; }
    // Mostly like a feed: engine time is a little behind the event.
    std::int64_t clock() {
        const std::uint8_t how = byte();
        if (how < 128) return kNoClock;
        return how == 0xff ? input_.take<std::int64_t>() : time_ + how * std::int64_t{1'000'000};
    }
    std::uint32_t flags() { return byte() % 8; }
    std::uint32_t seconds() {
        constexpr std::array<std::uint32_t, 5> kSizes = {60, 300, 1'800, 3'600, 0};
        const std::uint8_t how = byte();
        return how == 0xff ? input_.take<std::uint32_t>() : kSizes[how % kSizes.size()];
    }

 private:
    Input input_;
    std::int64_t time_ = kMonday;
    std::int64_t price_ = 10'000;
};

std::vector<SessionInterval> sessions_of(std::uint8_t form) {
    const std::int64_t hours = form % 2 == 0 ? 17 : 24;
    std::vector<SessionInterval> table;
    for (std::int64_t day = 0; day < 5; ++day) {
        const std::int64_t open = kMonday + day * 24 * kHourNs;
        // An odd bell, or none at all between two days.
        table.push_back({open, open + hours * kHourNs - (form % 4 == 2 ? 7 : 0), day});
    }
    return table;
}

Market open_market(std::uint8_t form) {
    Instrument row{};
    std::memcpy(row.symbol, "TEST", 5);
    row.tick_size_e9 = row.volume_lot_e9 = row.order_lot_e9 = 1'000'000'000;
    row.order_tick_ticks = 1;
    row.tick_value_micros = 10'000;
    row.price_floor_ticks = (form & 8) != 0 ? -10'000 : 0;
    row.band_ppm = 200'000;
    row.band_ticks_min = 100;
    const std::array<OffsetChange, 2> offsets = {OffsetChange{0, -5 * kHourNs},
                                                 OffsetChange{kMonday + 26 * kHourNs, 0}};
    Market market;
    hold(market.open(row, sessions_of(form), offsets, 3).is_ok(), "a plain market opens");
    return market;
}

std::vector<Market> open_markets() {
    std::vector<Market> markets;
    for (std::uint8_t form = 0; form < 16; ++form) markets.push_back(open_market(form));
    return markets;
}

// What stands in closed bars so far.
struct Seen {
    std::array<std::int64_t, 2> last_start_ns = {INT64_MIN, INT64_MIN};

    void check(const ClosedBar& bar) {
        const std::int64_t size_ns = bar.minutes * kMinuteNs;
        hold(bar.minutes == 5 || bar.minutes == 30, "a closed bar has 5 or 30 minutes");
        hold(bar.start_ts_ns % size_ns == 0, "a closed bar starts on its grid");
        hold(bar.low_ticks <= std::min(bar.open_ticks, bar.close_ticks) &&
                 bar.high_ticks >= std::max(bar.open_ticks, bar.close_ticks),
             "the range of a closed bar holds its open and close");
        hold(bar.volume_lots >= 0, "a closed bar has no negative volume");
        std::int64_t& last = last_start_ns[bar.minutes == 5 ? 0 : 1];
        hold(last < bar.start_ts_ns, "closed bars of one size ascend");
        last = bar.start_ts_ns;
    }
};

QuarantineReason play_bar(Market& market, Script& script, bool is_open) {
    BarClose bar{};
    bar.start_ts_ns = script.time();
    bar.duration_s = script.seconds();
    bar.open_ticks = script.price();
    bar.flags = script.flags();
    if (is_open) {
        BarOpen open{};
        open.start_ts_ns = bar.start_ts_ns;
        open.duration_ns = std::int64_t{bar.duration_s} * 1'000'000'000;
        open.open_ticks = bar.open_ticks;
        open.flags = bar.flags;
        return market.on_open(open, script.clock());
    }
    bar.high_ticks = script.price();
    bar.low_ticks = script.price();
    bar.close_ticks = script.price();
    bar.volume_lots = script.lots();
    if ((bar.flags & 4) != 0) {  // most bars are without contradiction
        bar.high_ticks = std::max({bar.open_ticks, bar.high_ticks, bar.close_ticks});
        bar.low_ticks = std::min({bar.open_ticks, bar.low_ticks, bar.close_ticks});
    }
    const QuarantineReason reason = market.on_close(bar, script.clock());
    if (reason == QuarantineReason::kNone) {
        (void)market.is_last_but_one_bar_of_session(bar.start_ts_ns,
                                                    std::int64_t{bar.duration_s} * 1'000'000'000);
    }
    return reason;
}

QuarantineReason play_book(Market& market, Script& script, std::uint8_t what) {
    if (what == 0) {
        Quote quote{};
        quote.bid_ticks = script.price();
        quote.bid_lots = script.lots();
        quote.ask_ticks = script.price();
        quote.ask_lots = script.lots();
        return market.on_quote(quote, script.time(), script.clock());
    }
    if (what == 1) {
        BookReset reset{};
        reset.reason = static_cast<BookResetReason>(script.byte() % 3);
        market.on_book_reset(reset);
        return QuarantineReason::kNone;
    }
    BookLevel level{};
    const std::uint8_t form = script.byte();
    level.side = static_cast<Side>(form % 4);  // any two bits: it is what the wire says
    level.is_last = (form >> 2) & 1;
    level.price_ticks = script.price();
    level.quantity_lots = (form & 8) != 0 ? 0 : script.lots();
    return market.on_book_level(level, script.time(), script.clock());
}

// A bar from before the feed moves the reference of the jump band, and no price.
QuarantineReason play_backfill(Market& market, Script& script) {
    const std::int64_t price = market.last_good_price_ticks();
    const std::int64_t time = market.last_good_ts_ns();
    BarClose bar{};
    bar.start_ts_ns = script.time();
    bar.duration_s = script.seconds();
    bar.open_ticks = bar.high_ticks = bar.low_ticks = bar.close_ticks = script.price();
    bar.volume_lots = script.lots();
    const QuarantineReason reason = market.on_backfill(bar, script.time());
    hold(market.last_good_price_ticks() == price && market.last_good_ts_ns() == time,
         "a bar from before the feed is no price");
    return reason;
}

QuarantineReason play_event(Market& market, Script& script) {
    const std::uint8_t what = script.byte() % 12;
    switch (what) {
        case 0: return play_bar(market, script, true);
        case 1:
        case 2: return play_bar(market, script, false);
        case 3: {
            Trade trade{};
            trade.price_ticks = script.price();
            trade.quantity_lots = script.lots();
            return market.on_trade(trade, script.time(), script.clock());
        }
        case 4: {
            const auto reason = static_cast<QuarantineReason>(script.byte() % 20);
            market.on_reader_refusal(reason);
            return QuarantineReason::kMalformed;
        }
        case 5: market.on_time(script.time()); return QuarantineReason::kMalformed;
        case 10: return play_backfill(market, script);
        case 11:  // the engine does so with the stamp of a good bar
            if (market.last_good_ts_ns() != kNoTime) {
                market.forget_bars_before(market.last_good_ts_ns());
            }
            return QuarantineReason::kMalformed;
        default: return play_book(market, script, what % 3);
    }
}

// What every user of a market may rely on between two events.
void check(const Market& market) {
    const Quote& top = market.top();
    const bool is_two_sided = top.bid_lots > 0 && top.ask_lots > 0;
    hold(!is_two_sided || top.bid_ticks < top.ask_ticks, "believed best prices are a spread");
    hold(market.book().state() != BookState::kGapped || market.is_book_doubtful(),
         "a gapped book is doubtful");
    hold(!market.entries_allowed() || !market.is_quarantined(), "no entry in quarantine");
    if (market.reference_ts_ns() != kNoTime) {
        hold(market.reference_ticks() > -10'000, "a reference is above the floor");
    }
    (void)market.next_deadline_ns();
    (void)market.local_offset_ns(market.last_good_ts_ns());
    (void)market.is_open_longer_than(kHourNs, market.last_good_ts_ns(), kMonday + 50 * kHourNs);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script script({data, size});
    // Room for a book costs more to make than to copy.
    static const std::vector<Market> opened = open_markets();
    static Market market;
    market = opened[script.byte() % opened.size()];
    Seen seen;
    while (!script.is_over()) {  // each event takes bytes
        const std::int64_t price = market.last_good_price_ticks();
        const std::uint64_t accepted = market.counts()[0];
        if (play_event(market, script) != QuarantineReason::kNone) {
            hold(market.last_good_price_ticks() == price, "a refused record leaves the price");
            hold(market.counts()[0] == accepted, "a refused record is not counted as good");
        }
        ClosedBar bar;
        int closed = 0;
        while (market.next_closed(bar)) {
            seen.check(bar);
            hold(++closed <= kClosedMax, "one event closes a bounded number of bars");
        }
        check(market);
    }
    return 0;
}
