// Promise: a break of R19 that is real is ended by an acceptance of exactly the books that were
// shown: ours become the venue's, what no fill explains is kept under its own name, and nothing
// else clears it.
#include "gm/engine/books.hpp"

#include "engine/life.hpp"

using namespace gm;
using gm::test::Life;
using gm::test::make_settings;

namespace {

using enum RecordType;

constexpr std::int64_t kTickValue = 100;  // of make_settings()

struct Broken : Life {
    explicit Broken(const Settings& settings = make_settings()) : Life(settings) {}

    // The venue's report, with a difference of the caller's.
    template <typename Change>
    void report(Change change, RecordType type = kPositionReport) {
        PositionReport books_now = books();
        change(books_now);
        if (type == kPositionReport) return reply(type, books_now);
        io(type, books_now);
    }
    [[nodiscard]] Sha256Digest shown() const { return engine->recovery().break_sha256; }
    void accept(const Sha256Digest& digest) {
        BooksAccepted accepted{};
        std::memcpy(accepted.break_sha256, digest.data(), digest.size());
        accepted.signatures_sha256[0] = 1;
        io(kBooksAccepted, accepted);
    }
    // A position of ours, and the price that it was paid at.
    NewOrder open_position() {
        const NewOrder order = wait_for_order();
        fill(order, 41'000, order.quantity_lots, 0);
        return order;
    }
    [[nodiscard]] std::int64_t equity(std::int64_t price) const {
        std::int64_t equity = 0;
        REQUIRE(equity_micros(desk().position, price, kTickValue, equity) == Status::kOk);
        return equity;
    }
};

void add_cash(PositionReport& report, std::int64_t micros) {
    const Int128 cash =
        Int128{report.cash_micros_high} * (Int128{1} << 64) + report.cash_micros_low + micros;
    report.cash_micros_low = static_cast<std::uint64_t>(cash);
    report.cash_micros_high = static_cast<std::int64_t>(cash >> 64);
}

Int128 adjusted_of(const BooksAdjusted& record) {
    return Int128{record.adjusted_micros_high} * (Int128{1} << 64) + record.adjusted_micros_low;
}

}  // namespace

TEST_CASE("an accepted break in a recovery makes the venue's books ours, and READY follows") {
    Broken life;
    life.begin(1);
    life.report([](PositionReport& said) {
        said.position_lots = 3;
        add_cash(said, -3 * 40'000 * kTickValue);
        said.commission_micros = 15;
    });
    REQUIRE(life.engine->awaited() == Awaited::kReconBreak);
    REQUIRE(life.shown() != Sha256Digest{});
    life.accept(life.shown());
    CHECK(life.desk().position.lots == 3);
    CHECK(life.desk().position.commission_micros == 15);
    CHECK(life.desk().target_lots == 3);
    CHECK(life.engine->orders().exposure(0).position_lots == 3);
    CHECK(life.engine->awaited() == Awaited::kIds);
    CHECK(life.shown() == Sha256Digest{});
    CHECK(life.broken() == ReconField::kNone);
    life.reserve(kIdBlock, 1);
    CHECK(life.engine->state() == EngineState::kReady);
    CHECK(life.engine->account_level() == KillLevel::kHalted);  // that is for gm clear
    const auto records = life.records<BooksAdjusted>(kBooksAdjusted);
    REQUIRE(records.size() == 1);
    CHECK(records[0].position_lots == 3);
    CHECK(records[0].commission_micros == 15);
    CHECK(adjusted_of(records[0]) == 0);  // no price was seen: the lots cost what the cash says
    CHECK(life.desk().position.cost == Int128{3} * 40'000);
    const auto positions = life.records<PositionUpdate>(kPosition);
    CHECK(positions.back().position_lots == 3);
    // And what the venue says now is what we say.
    life.report([](PositionReport&) {});
    CHECK(life.engine->awaited() == Awaited::kNothing);
}

TEST_CASE("only the very books that were shown can be accepted") {
    Broken life;
    life.begin(1);
    life.accept({});  // nothing is shown
    life.report([](PositionReport& said) { said.position_lots = 1; });
    const Sha256Digest first = life.shown();
    Sha256Digest forged = first;
    forged[31] ^= 1;
    life.accept(forged);
    life.accept({});
    CHECK(life.desk().position.lots == 0);
    life.report([](PositionReport& said) { said.position_lots = 2; });
    CHECK(life.shown() != first);
    life.accept(first);  // of books that have moved since
    CHECK(life.desk().position.lots == 0);
    CHECK(life.engine->awaited() == Awaited::kReconBreak);
    CHECK(life.records<BooksAdjusted>(kBooksAdjusted).empty());
    life.report([](PositionReport& said) { said.position_lots = 1; });
    CHECK(life.shown() == first);  // the same books, whatever came between
    life.accept(first);
    CHECK(life.desk().position.lots == 1);
    CHECK(life.engine->awaited() == Awaited::kIds);
    life.accept(first);  // it is over
    CHECK(life.records<BooksAdjusted>(kBooksAdjusted).size() == 1);
}

TEST_CASE("a fill that came after the books were shown voids what was signed") {
    Broken life;
    life.become_ready();
    const NewOrder order = life.wait_for_order();
    life.report([](PositionReport& said) { add_cash(said, 1'000); });
    const Sha256Digest shown = life.shown();
    REQUIRE(shown != Sha256Digest{});
    life.fill(order, 41'000, order.quantity_lots, 0);
    life.accept(shown);
    CHECK(life.desk().position.adjusted_micros == 0);
    CHECK(life.engine->awaited() == Awaited::kReconBreak);
}

TEST_CASE("money that no fill explains is adjusted, neither realised nor held, and is a loss") {
    Broken life;
    life.become_ready();
    (void)life.open_position();
    const Position before = life.desk().position;
    const std::int64_t equity = life.equity(41'500);
    life.report([](PositionReport& said) {
        add_cash(said, -7'000'000);
        said.commission_micros += 300;
    });
    REQUIRE(life.broken() == ReconField::kCash);
    life.accept(life.shown());
    const Position& after = life.desk().position;
    CHECK(after.adjusted_micros == -7'000'000);
    CHECK(after.realised_micros == before.realised_micros);
    CHECK(after.cost == before.cost);
    CHECK(after.lots == before.lots);
    CHECK(life.equity(41'500) == equity - 7'000'000 - 300);
    CHECK(life.engine->awaited() == Awaited::kNothing);
    CHECK(life.engine->state() == EngineState::kReady);
    // The books agree now, and another break adds to it.
    life.report([](PositionReport&) {});
    CHECK(life.broken() == ReconField::kNone);
    life.report([](PositionReport& said) { add_cash(said, -1'000'000); });
    life.accept(life.shown());
    CHECK(life.desk().position.adjusted_micros == -8'000'000);
    const auto records = life.records<BooksAdjusted>(kBooksAdjusted);
    REQUIRE(records.size() == 2);
    CHECK(adjusted_of(records[0]) + adjusted_of(records[1]) == -8'000'000);
}

TEST_CASE("an adjusted loss counts for R15") {
    Settings settings = make_settings();
    settings.limits[0].loss_micros_max = 5'000'000'000;
    settings.header.loss_confirmations = 2;
    Broken life(settings);
    life.become_ready();
    for (int i = 0; i < 5; ++i) life.wave_bar();
    life.report([](PositionReport& said) { add_cash(said, -6'000'000'000); });
    life.accept(life.shown());
    CHECK(life.records<RiskTrip>(kRiskTrip).empty());
    for (int i = 0; i < 5; ++i) life.wave_bar();
    REQUIRE_FALSE(life.records<RiskTrip>(kRiskTrip).empty());
    CHECK(life.records<RiskTrip>(kRiskTrip)[0].code == static_cast<std::uint8_t>(GateCode::kLoss));
}

TEST_CASE("lots that are gone leave at average cost, and new ones come in at the last price") {
    Broken life;
    life.become_ready();
    (void)life.open_position();
    const Position before = life.desk().position;
    const std::int64_t price = life.desk().market.last_good_price_ticks();
    const std::int64_t sign = before.lots > 0 ? 1 : -1;
    // Half of it was closed at the venue, ten ticks a lot better than it was paid.
    const std::int64_t gone = before.lots / 2;
    life.report([&](PositionReport& said) {
        said.position_lots -= gone;
        add_cash(said, gone * (41'000 + sign * 10) * kTickValue);
    });
    life.accept(life.shown());
    CHECK(life.desk().position.lots == before.lots - gone);
    CHECK(life.desk().position.cost == before.cost - before.cost * gone / before.lots);
    CHECK(life.desk().position.adjusted_micros == sign * gone * 10 * kTickValue);

    // And it was turned: what is new is held at the last price, whatever the cash says.
    const std::int64_t turned = -5 * sign;
    life.report([&](PositionReport& said) { said.position_lots = turned; });
    life.accept(life.shown());
    CHECK(life.desk().position.lots == turned);
    CHECK(life.desk().position.cost == Int128{turned} * price);
    CHECK(life.desk().held_bars == 0);
    CHECK(life.desk().target_lots == turned);
    CHECK(life.engine->awaited() == Awaited::kNothing);
}

TEST_CASE("an order that only one side holds and an instrument of nobody cannot be accepted") {
    Broken life;
    life.begin(1);
    life.report([](PositionReport& said) {
        said.position_lots = 1;
        said.open_orders = 1;
    });
    CHECK(life.broken() == ReconField::kPosition);
    CHECK(life.shown() == Sha256Digest{});
    CHECK(life.engine->books_row(0).venues_open_orders == 1);
    life.accept(life.shown());
    CHECK(life.desk().position.lots == 0);

    Broken other;
    other.begin(1);
    other.report([](PositionReport& said) {
        said.position_lots = 1;
        said.is_last = 0;
    });
    other.report([](PositionReport& said) { said.instrument = 9; });
    CHECK(other.engine->awaited() == Awaited::kReconBreak);
    CHECK(other.shown() == Sha256Digest{});
    CHECK(other.desk().position.lots == 0);
}

TEST_CASE(
    "an order that a break was shown with does not go away with what the venue says unasked") {
    Broken life;
    life.become_ready();
    life.begin(2, true);
    const auto one_more = [](PositionReport& said) {
        said.position_lots += 1;
        said.open_orders += 1;
    };
    life.report(one_more);
    REQUIRE(life.engine->awaited() == Awaited::kReconBreak);
    REQUIRE(life.engine->books_row(0).venues_open_orders == 1);
    CHECK(life.shown() == Sha256Digest{});
    life.report(one_more, kPositionCheck);
    CHECK(life.engine->books_row(0).venues_open_orders == 1);
    CHECK(life.shown() == Sha256Digest{});
}

TEST_CASE("while it trades, open orders are on their way and are no part of the books") {
    Settings settings = make_settings();
    settings.header.recon_break_after_ns = 1;
    Broken life(settings);
    life.become_ready();
    const auto off_by_one = [](PositionReport& said) {
        said.position_lots += 1;
        said.open_orders += 1;
    };
    life.report(off_by_one, kPositionCheck);
    PositionReport later = life.books();
    off_by_one(later);
    life.step(make_slot(kPositionCheck, Source::kIo, 0, life.engine->now_ns() + 2, later));
    REQUIRE(life.engine->awaited() == Awaited::kReconBreak);
    CHECK(life.engine->books_row(0).venues_open_orders == 0);
    life.accept(life.shown());
    CHECK(life.desk().position.lots == 1);
    CHECK(life.engine->awaited() == Awaited::kNothing);
}

TEST_CASE("after a late fill there is nothing to accept until the venue has reported") {
    Broken life;
    life.become_ready();
    const NewOrder order = life.wait_for_order();
    life.ack(order);
    life.reply(kCancelled, OrderEnded{order.id, 0, 0, {}});
    life.fill(order, 41'000, 300, 0);
    REQUIRE(life.engine->awaited() == Awaited::kReconBreak);
    CHECK(life.shown() == Sha256Digest{});
    const Position before = life.desk().position;
    life.accept(life.shown());
    CHECK(life.desk().position.lots == before.lots);
    life.report([](PositionReport& said) { said.position_lots = 0; });
    CHECK(life.shown() != Sha256Digest{});
    life.accept(life.shown());
    CHECK(life.desk().position.lots == 0);
    CHECK(life.engine->awaited() == Awaited::kNothing);
}

TEST_CASE("a break that was shown can be accepted in the next life, too") {
    Broken life;
    life.begin(1);
    life.report([](PositionReport& said) { said.position_lots = 3; });
    const Sha256Digest shown = life.shown();
    life.begin(2, true);
    CHECK(life.shown() == shown);
    life.accept(shown);
    CHECK(life.desk().position.lots == 3);
    life.report([](PositionReport& said) {  // books() has no lots at a price yet: say it whole
        said.position_lots = 3;
        said.cash_micros_low = 0;
        said.cash_micros_high = 0;
    });
    CHECK(life.engine->awaited() == Awaited::kIds);
}

TEST_CASE("a snapshot keeps what may be accepted and what was adjusted") {
    Broken life;
    life.become_ready();
    (void)life.open_position();
    life.report([](PositionReport& said) { add_cash(said, -1'000); });
    life.accept(life.shown());
    life.report([](PositionReport& said) { add_cash(said, -5'000); });
    std::vector<std::uint8_t> bytes(life.engine->snapshot_size());
    bytes.resize(life.engine->save(bytes));
    Engine copy;
    REQUIRE(copy.open(make_settings()).is_ok());
    REQUIRE(copy.restore(bytes, [](const auto&, const auto&, auto&) { return ok(); }).is_ok());
    CHECK(copy.recovery().break_sha256 == life.shown());
    CHECK(copy.desks()[0].position.adjusted_micros == -1'000);
    CHECK(copy.books_row(0).differs());
    CHECK(copy.books_row(0).venues == life.engine->books_row(0).venues);
}

TEST_CASE("the digest is over rows of eighty bytes, as gm.kill.books packs them") {
    Sha256 hash;
    BooksRow row;
    row.ours = {-1, -2, 3};
    row.venues = {4, Int128{5} << 64, 6};
    row.open_orders = 7;
    row.venues_open_orders = 8;
    hash_row(hash, 9, row);
    const Sha256Digest digest = hash.finish();
    // tests/kill/test_books.py has the same one.
    static constexpr std::uint8_t kHead[] = {0x79, 0x9e, 0x18, 0xf6};
    CHECK(std::memcmp(digest.data(), kHead, sizeof kHead) == 0);
}
