// A list of records holds what came, in its order, in one piece, however often it grew.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>

#include "gm/session/record_list.hpp"

namespace gm::test {
namespace {

Slot numbered(std::uint64_t number) {
    Slot slot{};
    slot.header.first_sequence = number;
    slot.trailer.journal_sequence = ~number;
    return slot;
}

void fill(RecordList& list, std::size_t count) {
    for (std::uint64_t i = 0; i < count; ++i) list.push_back(numbered(i));
}

bool holds(const RecordList& list, std::size_t count) {
    const auto records = list.records();
    if (records.size() != count) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
        const bool is_same = records[i].header.first_sequence == i &&
                             records[i].trailer.journal_sequence == ~i &&
                             records[i].header.magic == 0;
        if (!is_same) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("an empty list shows nothing") {
    const RecordList list;
    CHECK(list.records().empty());
}

TEST_CASE("records stay as they came, below a large page and far above it") {
    for (const std::size_t count : {1, 512, 513, 16'384, 100'000}) {
        RecordList list;
        fill(list, count);
        CHECK(holds(list, count));
    }
}

TEST_CASE("a list that was cleared begins anew in the same memory") {
    RecordList list;
    fill(list, 40'000);
    const Slot* const first = list.records().data();
    list.clear();
    CHECK(list.records().empty());
    fill(list, 40'000);
    CHECK(holds(list, 40'000));
    CHECK(list.records().data() == first);
}

}  // namespace gm::test
