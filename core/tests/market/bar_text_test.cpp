// Promise: lines become rows exactly or are refused with a reason, however the text is cut into
// chunks, and a line of any length costs no more than 64 KiB.
#include "gm/market/bar_text.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "gm/wire/payload.hpp"
#include "market/fixtures.hpp"

using namespace gm;
using namespace gm::test;
using Reason = QuarantineReason;

namespace {

constexpr BarColumns kSix{6, 0, 1, 2, 3, 4, 5, ','};

std::vector<BarTextRow> read(std::string_view text, const BarColumns& columns = kSix,
                             std::size_t chunk = 1'000'000) {
    BarText reader;
    REQUIRE(reader.open(columns, instrument(), 2).is_ok());
    for (std::size_t i = 0; i < text.size(); i += chunk) reader.feed(text.substr(i, chunk));
    reader.finish();
    return reader.rows();
}
Reason reason_of(const std::string& values) {
    const auto rows = read("2024-01-01 00:00," + values + "\n");
    REQUIRE(rows.size() == 1);
    return rows[0].reason;
}

}  // namespace

TEST_CASE("a good line becomes ticks and lots") {
    const auto rows = read("2024-01-01 00:00:00,100.25,101,99.50,100.75,12.5\r\n");
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].day_first_ns == kMonday);
    CHECK(rows[0].offset_ns == kNoTime);
    CHECK(rows[0].open_ticks == 401);
    CHECK(rows[0].high_ticks == 404);
    CHECK(rows[0].low_ticks == 398);
    CHECK(rows[0].close_ticks == 403);
    CHECK(rows[0].volume_lots == 12);  // half to even
    CHECK(rows[0].line == 2);
    CHECK(rows[0].flags == 0);
    CHECK(rows[0].reason == Reason::kNone);
}

TEST_CASE("each fault of the text has its reason, the worst of a line wins") {
    CHECK(reason_of("100,101,99,100,5") == Reason::kNone);
    CHECK(reason_of("100,101,99,100.1,5") == Reason::kOffGrid);
    CHECK(reason_of("inf,101,99,100,5") == Reason::kNotFinite);
    CHECK(reason_of("100,-Infinity,99,100,5") == Reason::kNotFinite);
    CHECK(reason_of("100,101,NaN,100,5") == Reason::kNotFinite);
    CHECK(reason_of("100,101,,100,5") == Reason::kNotFinite);
    CHECK(reason_of("100,101,99,100,") == Reason::kNotFinite);
    CHECK(reason_of("100,101,99,100,inf") == Reason::kNotFinite);
    CHECK(reason_of("100,1e300,99,100,5") == Reason::kOverflow);
    CHECK(reason_of("100,101,99,100,1e30") == Reason::kOverflow);
    CHECK(reason_of("100,abc,99,100,5") == Reason::kMalformed);
    CHECK(reason_of("100,0x10,99,100,5") == Reason::kMalformed);
    CHECK(reason_of("100,1 0,99,100,5") == Reason::kMalformed);
    CHECK(reason_of("100,101,99,100") == Reason::kMalformed);
    CHECK(reason_of("100,101,99,100,5,6") == Reason::kMalformed);
    CHECK(reason_of("100,101,99,100,5,") == Reason::kNone);  // a delimiter at the end of the line
    CHECK(reason_of("100.1,inf,x,100,5") == Reason::kMalformed);
    CHECK(reason_of("100.1,inf,99,1e300,5") == Reason::kNotFinite);
    CHECK(reason_of("100.1,101,99,1e300,5") == Reason::kOffGrid);
    CHECK(reason_of("\"100\", 101 ,99,100,5") == Reason::kNone);
    CHECK(reason_of("1e2,1.01E+2,99,100.0000,5") == Reason::kNone);
}

TEST_CASE("a negative volume stays negative, for the engine to refuse") {
    const auto rows =
        read("2024-01-01,1,1,1,1,-3\n2024-01-02,1,1,1,1,-0.2\n2024-01-03,1,1,1,1,-0\n");
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].volume_lots == -3);
    CHECK(rows[1].volume_lots == -1);
    CHECK(rows[2].volume_lots == 0);
}

TEST_CASE("a refused row keeps its time and line, and no prices") {
    const auto rows = read("\n2024-01-01,100,101,99,100.1,5\n\r\nx,1,1,1,1,1\n2024-01-01,1,1");
    REQUIRE(rows.size() == 3);
    CHECK(rows[0].day_first_ns == kMonday);
    CHECK(rows[0].open_ticks == 0);
    CHECK(rows[0].line == 3);
    CHECK(rows[1].reason == Reason::kMalformed);
    CHECK(rows[1].day_first_ns == kNoTime);
    CHECK(rows[1].line == 5);
    CHECK(rows[2].reason == Reason::kMalformed);  // half a row at the end
    CHECK(rows[2].line == 6);
}

TEST_CASE("without a volume column the volume is zero and flagged") {
    const auto rows = read("2024-01-01;1;2;3;4\n", {5, 0, 1, 2, 3, 4, BarColumns::kAbsent, ';'});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].volume_lots == 0);
    CHECK(rows[0].flags == kBarNoVolume);
}

TEST_CASE("a line over 64 KiB is refused without being kept") {
    const std::string good = "2024-01-01 00:00,100,101,99,100,5";
    const std::string full = good + std::string(BarText::kLineBytesMax - good.size(), ' ');
    const std::string text = full + "\n" + full + " \n" + std::string(3'000'000, 'x') + "\n" + good;
    for (const std::size_t chunk : {std::size_t{1'000}, std::size_t{65'536}, text.size()}) {
        const auto rows = read(text, kSix, chunk);
        REQUIRE(rows.size() == 4);
        CHECK(rows[0].reason == Reason::kNone);
        CHECK(rows[1].reason == Reason::kLineTooLong);
        CHECK(rows[2].reason == Reason::kLineTooLong);
        CHECK(rows[3].reason == Reason::kNone);
        CHECK(rows[3].line == 5);
    }
    CHECK(read(std::string(100'000, 'x')).at(0).reason == Reason::kLineTooLong);
}

TEST_CASE("bytes of any kind, cut anywhere, give the same rows") {
    std::mt19937_64 random(3);
    const std::string alphabet = "0123456789.,-+eE:/ \r\n\nTZinfa\"\x00\xff";
    for (int round = 0; round < 300; ++round) {
        std::string text;
        for (int i = 0; i < 400; ++i) {
            text += random() % 20 == 0 ? std::string("2024-01-01 00:00,1,2,0.5,1,7\n")
                                       : std::string(1, alphabet[random() % alphabet.size()]);
        }
        const auto whole = read(text);
        const auto pieces = read(text, kSix, 1 + random() % 9);
        REQUIRE(whole.size() == pieces.size());
        for (std::size_t i = 0; i < whole.size(); ++i) {
            REQUIRE(std::memcmp(&whole[i], &pieces[i], sizeof whole[i]) == 0);
        }
    }
}

TEST_CASE("columns that a line does not have are refused") {
    BarText reader;
    CHECK(reader.open({5, 0, 1, 2, 3, 4, 5, ','}, instrument(), 1).status == Status::kBadArgument);
    CHECK(reader.open({6, 0, BarColumns::kAbsent, 2, 3, 4, 5, ','}, instrument(), 1).status ==
          Status::kBadArgument);
    CHECK(reader.open({}, instrument(), 1).status == Status::kBadArgument);
    CHECK(reader.open({2'000, 0, 1, 2, 3, 4, 5, ','}, instrument(), 1).status ==
          Status::kBadArgument);
    CHECK(reader.open(kSix, Instrument{}, 1).status == Status::kBadInstrument);
}
