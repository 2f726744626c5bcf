// Promise: whatever one does to a journal that was ended, the check says so and where, and no start
// trades on it. What no check of the files can see is here too, as a test each.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "journal/tampered_journal.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

constexpr std::uint64_t kRecords = 3000;  // seven segments
constexpr std::uint64_t kAnyRecord = ~std::uint64_t{0};

std::uint64_t places_of_a_kind() {
    const char* text = std::getenv("GM_JOURNAL_PLACES");
    return text == nullptr ? 10 : std::strtoull(text, nullptr, 10);
}

// Where the first fault has to be. Block 0: the segment alone; no segment: the anchor.
struct Expected {
    std::string segment;
    std::uint64_t block = 0;
    std::uint64_t record = 0;  // 0: the chain tells, and knows the block
};
const Expected kAnchorTells{};

struct Tampering {
    TamperedJournal& journal;
    std::mt19937_64& random;

    std::size_t below(std::size_t limit) const { return random() % limit; }
    SlotPlace any_place() const { return journal.places()[below(journal.places().size())]; }
    SlotPlace any_record() const {
        SlotPlace place = any_place();
        while (place.is_chain) place = any_place();
        return place;
    }
    bool is_last(const SlotPlace& place) const {
        const SlotPlace& last = journal.places().back();
        return place.segment == last.segment && place.slot == last.slot;
    }
    Expected at(const SlotPlace& place, std::uint64_t record) const {
        if (place.is_chain && is_last(place)) return kAnchorTells;
        return {journal.name_of(place.segment), place.block, record};
    }
    Expected at(const SlotPlace& place) const { return at(place, place.record); }
    Expected at_segment(std::size_t segment) const { return {journal.name_of(segment), 0, 0}; }
    static void flip(Slot& slot, std::size_t bit) {
        std::uint8_t bytes[sizeof slot];
        std::memcpy(bytes, &slot, sizeof slot);
        bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
        std::memcpy(static_cast<void*>(&slot), bytes, sizeof slot);
    }
};

using Edit = Expected (*)(const Tampering&);

Expected flip_bit(const Tampering& with) {
    const std::size_t bit = with.below(8 * sizeof(Slot));
    const std::size_t place = with.below(with.journal.places().size() + 50);
    if (place < with.journal.places().size()) {
        with.flip(with.journal.at(with.journal.places()[place]), bit);
        return with.at(with.journal.places()[place]);
    }
    const std::size_t segment = with.below(with.journal.segment_count());
    with.flip(with.journal.segments[segment][0], bit);
    return with.at_segment(segment);
}

// The one slot at the end of a full segment in which no block could begin.
Expected flip_padding(const Tampering& with) {
    const std::vector<std::size_t> padded = with.journal.padded_segments();
    const std::size_t segment = padded[with.below(padded.size())];
    with.flip(with.journal.segments[segment].back(), with.below(8 * sizeof(Slot)));
    const auto next = std::ranges::find(with.journal.places(), segment + 1, &SlotPlace::segment);
    return {with.journal.name_of(segment), next->block, 1};
}

// With a right checksum: bytes before the record's journal sequence.
Expected edit_behind_checksum(const Tampering& with) {
    const SlotPlace place = with.any_record();
    Slot& slot = with.journal.at(place);
    constexpr std::size_t kBytes =
        offsetof(Slot, trailer) + offsetof(SlotTrailer, journal_sequence);
    with.flip(slot, 8 * (8 + with.below(kBytes - 8)));  // behind magic, schema and type
    slot.trailer.crc32c = slot_crc(slot);
    return is_committed(slot) ? with.at(place, 0) : with.at(place);
}

Expected renumber(const Tampering& with) {
    const SlotPlace place = with.any_record();
    Slot& slot = with.journal.at(place);
    slot.trailer.journal_sequence ^= 1ULL << with.below(40);
    slot.trailer.commit = commit_word(slot.trailer.journal_sequence);
    slot.trailer.crc32c = slot_crc(slot);
    return with.at(place);
}

// All but the mark of the sync, of which there is a test below.
Expected edit_chain_record(const Tampering& with) {
    SlotPlace place = with.any_place();
    while (!place.is_chain) place = with.any_place();
    Slot& slot = with.journal.at(place);
    constexpr std::size_t kMark =
        offsetof(Slot, payload) + offsetof(BlockDigest, synced_journal_sequence);
    constexpr std::size_t kTrailer = offsetof(Slot, trailer);
    std::size_t byte = 8 + with.below(kTrailer + 8 - 16);
    if (byte >= kMark) byte += 8;
    with.flip(slot, 8 * byte + with.below(8));
    slot.trailer.crc32c = slot_crc(slot);
    if (!is_committed(slot)) return with.at(place);
    return {with.journal.name_of(place.segment), place.block, 0};
}

// All but the flag of the marks.
Expected edit_header(const Tampering& with) {
    const std::size_t segment = with.below(with.journal.segment_count());
    SegmentHeader header = with.journal.header(segment);
    constexpr std::size_t kFlagBit = 8 * offsetof(SegmentHeader, has_synced_marks);
    std::size_t bit = with.below(8 * offsetof(SegmentHeader, crc32c) - 1);
    if (bit >= kFlagBit) bit += 1;
    auto* bytes = reinterpret_cast<std::uint8_t*>(&header);
    bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    with.journal.set_header(segment, header);
    const bool is_of_chain = bit / 8 >= offsetof(SegmentHeader, first_block) &&
                             bit / 8 < offsetof(SegmentHeader, has_synced_marks);
    const bool is_of_journal = bit / 8 >= offsetof(SegmentHeader, journal_id) &&
                               bit / 8 < offsetof(SegmentHeader, first_sequence);
    if (is_of_journal && header.journal_id != 0 && segment == 0) return with.at_segment(1);
    if (!is_of_chain) return with.at_segment(segment);
    const auto first = std::ranges::find(with.journal.places(), segment, &SlotPlace::segment);
    return {with.journal.name_of(segment), first->block, 0};
}

Expected delete_record(const Tampering& with) {
    const SlotPlace place = with.any_place();
    std::vector<Slot>& slots = with.journal.segments[place.segment];
    slots.erase(slots.begin() + static_cast<std::ptrdiff_t>(place.slot));
    slots.push_back(Slot{});
    const bool is_last_record = with.journal.slots_of(place.block) == place.record + 1;
    return with.at(place, is_last_record || place.is_chain ? kAnyRecord : place.record);
}

Expected delete_block(const Tampering& with) {
    const std::uint64_t block = 1 + with.below(with.journal.block_count());
    const SlotPlace first = with.journal.places()[with.journal.first_of(block)];
    const std::size_t count = with.journal.slots_of(block);
    std::vector<Slot>& slots = with.journal.segments[first.segment];
    const auto begin = slots.begin() + static_cast<std::ptrdiff_t>(first.slot);
    slots.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
    slots.resize(TamperedJournal::kSegmentSlots);
    return block == with.journal.block_count() ? kAnchorTells : with.at(first);
}

Expected delete_segment(const Tampering& with) {
    const std::size_t segment = with.below(with.journal.segment_count());
    with.journal.segments[segment].clear();
    return segment + 1 == with.journal.segment_count() ? kAnchorTells
                                                       : with.at_segment(segment + 1);
}

Expected swap_records(const Tampering& with) {
    const std::vector<SlotPlace>& places = with.journal.places();
    std::size_t first = with.below(places.size());
    std::size_t second = with.below(places.size());
    while (second == first) second = with.below(places.size());
    if (second < first) std::swap(first, second);
    std::swap(with.journal.at(places[first]), with.journal.at(places[second]));
    const bool are_records = !places[first].is_chain && !places[second].is_chain;
    return with.at(places[first], are_records ? places[first].record : kAnyRecord);
}

Expected swap_blocks(const Tampering& with) {
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    SlotPlace a;
    SlotPlace b;
    do {  // of one segment, or of one size
        first = 1 + with.below(with.journal.block_count());
        second = 1 + with.below(with.journal.block_count());
        if (second < first) std::swap(first, second);
        a = with.journal.places()[with.journal.first_of(first)];
        b = with.journal.places()[with.journal.first_of(second)];
    } while (first == second || (a.segment != b.segment &&
                                 with.journal.slots_of(first) != with.journal.slots_of(second)));
    const auto place_of = [&](const SlotPlace& place) {
        return with.journal.segments[place.segment].begin() +
               static_cast<std::ptrdiff_t>(place.slot);
    };
    const auto slots_first = static_cast<std::ptrdiff_t>(with.journal.slots_of(first));
    const auto slots_second = static_cast<std::ptrdiff_t>(with.journal.slots_of(second));
    if (a.segment != b.segment) {
        std::swap_ranges(place_of(a), place_of(a) + slots_first, place_of(b));
    } else {
        std::vector<Slot> moved(place_of(b), place_of(b) + slots_second);
        moved.insert(moved.end(), place_of(a) + slots_first, place_of(b));
        moved.insert(moved.end(), place_of(a), place_of(a) + slots_first);
        std::ranges::copy(moved, place_of(a));
    }
    return with.at(a);
}

// Whole files, or what is in them behind headers that fit their names.
Expected swap_segments(const Tampering& with) {
    std::size_t first = with.below(with.journal.segment_count());
    std::size_t second = with.below(with.journal.segment_count());
    while (second == first) second = with.below(with.journal.segment_count());
    if (second < first) std::swap(first, second);
    std::swap(with.journal.segments[first], with.journal.segments[second]);
    if (with.below(2) == 0) return with.at_segment(first);
    std::swap(with.journal.segments[first][0], with.journal.segments[second][0]);
    return with.at(*std::ranges::find(with.journal.places(), first, &SlotPlace::segment));
}

Expected truncate_file(const Tampering& with) {
    const std::size_t segment = with.below(with.journal.segment_count());
    with.journal.file_bytes[segment] = with.below(TamperedJournal::kSegmentBytes);
    return with.at_segment(segment);
}

// From a byte on nothing but zeros, and no later segments.
Expected zero_tail(const Tampering& with) {
    const std::size_t at = with.below(with.journal.places().size());
    const SlotPlace place = with.journal.places()[at];
    const Slot cut = with.journal.at(place);
    with.journal.zero_from(at);
    std::memcpy(static_cast<void*>(&with.journal.at(place)), &cut, with.below(sizeof(Slot)));
    return kAnchorTells;
}

Expected delete_last_segments(const Tampering& with) {
    const std::size_t kept = with.below(with.journal.segment_count());  // none: the folder is empty
    for (std::size_t i = kept; i < with.journal.segment_count(); ++i) {
        with.journal.segments[i].clear();
    }
    return kAnchorTells;
}

// An attacker who knows the format: the block's own chain record fits what he made of the block.
Expected rewrite_block(const Tampering& with) {
    const SlotPlace place = with.any_record();
    Slot& slot = with.journal.at(place);
    slot.payload[with.below(64)] ^= 1;
    slot.trailer.crc32c = slot_crc(slot);
    with.journal.rechain(place.block, place.block);
    if (place.block == with.journal.block_count()) return kAnchorTells;
    const SlotPlace next = with.journal.places()[with.journal.first_of(place.block + 1)];
    return with.at(next, 0);
}

// ... and every chain record and header behind it too.
Expected rewrite_to_the_end(const Tampering& with) {
    const SlotPlace place = with.any_record();
    Slot& slot = with.journal.at(place);
    slot.payload[with.below(64)] ^= 1;
    slot.trailer.crc32c = slot_crc(slot);
    with.journal.rechain(place.block, with.journal.block_count());
    return kAnchorTells;
}

// ... or he says that nothing was synced, so that a hole looks like the work of a power loss.
Expected lower_marks(const Tampering& with) {
    for (const SlotPlace& place : with.journal.places()) {
        if (!place.is_chain) continue;
        auto payload = with.journal.at(place).as<BlockDigest>();
        payload.synced_journal_sequence = 0;
        with.journal.at(place) = make_chain_record(payload);
    }
    const SlotPlace place = with.any_place();
    with.journal.at(place) = Slot{};
    return with.at(place);
}

struct Kind {
    const char* name;
    Edit edit;
};
constexpr Kind kKinds[] = {{"one flipped bit", flip_bit},
                           {"one flipped bit of the padding", flip_padding},
                           {"edit with a right checksum", edit_behind_checksum},
                           {"another number with a right checksum", renumber},
                           {"chain record edited, right checksum", edit_chain_record},
                           {"segment header edited, right checksum", edit_header},
                           {"record deleted", delete_record},
                           {"block deleted", delete_block},
                           {"segment deleted", delete_segment},
                           {"records swapped", swap_records},
                           {"blocks swapped", swap_blocks},
                           {"segments swapped", swap_segments},
                           {"file cut at any byte", truncate_file},
                           {"zeros from any byte to the end", zero_tail},
                           {"last segments deleted", delete_last_segments},
                           {"block and its chain record rewritten", rewrite_block},
                           {"rewritten to the end", rewrite_to_the_end},
                           {"hole, and marks that say unsynced", lower_marks}};

std::string misplaced(const JournalFault& fault, const Expected& expected) {
    const std::string place = " instead of " + expected.segment + ", block " +
                              std::to_string(expected.block) + ", record " +
                              std::to_string(expected.record);
    if (expected.segment.empty()) return fault.kind == FaultKind::kAnchor ? "" : fault.text + place;
    const bool is_there = fault.segment == expected.segment && fault.block == expected.block &&
                          (expected.record == kAnyRecord || fault.record == expected.record);
    return is_there ? "" : fault.text + place;
}

}  // namespace

TEST_CASE("what is done to a journal is found, in its place, and no start trades on it") {
    const std::uint64_t rounds = places_of_a_kind();
    TamperedJournal journal(1, kRecords, 0);
    REQUIRE(journal.segment_count() == 7);
    REQUIRE_FALSE(journal.padded_segments().empty());
    REQUIRE(journal.verify().fault_count == 0);
    REQUIRE(journal.start().records == journal.records());
    std::mt19937_64 random(2);
    const Tampering with{journal, random};
    for (const Kind& kind : kKinds) {
        INFO(std::string(kind.name));
        for (std::uint64_t round = 0; round < rounds; ++round) {
            CAPTURE(round);
            const Expected expected = kind.edit(with);
            const JournalReport report = journal.verify();
            REQUIRE(report.fault_count >= 1);
            REQUIRE(misplaced(report.faults[0], expected) == "");
            REQUIRE_FALSE(journal.start().failure.is_ok());
            journal.restore();
        }
        if (rounds >= 100)
            std::printf("%-40s %llu times: found, in its place, start refused\n", kind.name,
                        static_cast<unsigned long long>(rounds));
    }
}

TEST_CASE("of a journal that was killed, a start gives up what no sync covered, and only that") {
    TamperedJournal journal(1, kRecords, 40);
    REQUIRE(journal.verify().fault_count == 0);
    REQUIRE(journal.start().records == journal.records());
    std::mt19937_64 random(3);
    const Tampering with{journal, random};
    std::uint64_t cut = 0;
    for (std::uint64_t round = 0; round < 10 * places_of_a_kind(); ++round) {
        CAPTURE(round);
        // Half of them in the last hundredth, which no sync covered.
        const std::size_t count = journal.places().size();
        const std::size_t at = round % 2 == 0 ? with.below(count) : count - 1 - with.below(42);
        const SlotPlace place = journal.places()[at];
        const std::uint64_t sequence = journal.sequence_of(place);
        const bool is_zeroed = with.below(2) == 0;
        if (is_zeroed) {
            journal.zero_from(at);
        } else {
            with.flip(journal.at(place), with.below(8 * sizeof(Slot)));
        }
        const JournalReport report = journal.verify();
        const StartResult start = journal.start();
        if (sequence <= journal.anchored()) {
            REQUIRE(report.fault_count >= 1);
            REQUIRE(misplaced(report.faults[0], is_zeroed ? kAnchorTells : with.at(place)) == "");
            REQUIRE_FALSE(start.failure.is_ok());
        } else {
            REQUIRE(report.fault_count == 0);
            REQUIRE(start.failure.text == "");
            REQUIRE(start.is_true);
            REQUIRE(start.records == (place.is_chain ? sequence : sequence - 1));
            cut += 1;
        }
        journal.restore();
    }
    CHECK(cut > 3 * places_of_a_kind());
}

TEST_CASE("lowering the marks of syncs alone changes nothing, raising one is found") {
    TamperedJournal journal(1, kRecords, 0);
    const std::size_t last_chain = journal.places().size() - 1;
    const SlotPlace place = journal.places()[last_chain];
    auto payload = journal.at(place).as<BlockDigest>();
    SUBCASE("lowered") {
        payload.synced_journal_sequence = 0;
        journal.at(place) = make_chain_record(payload);
        SegmentHeader header = journal.header(place.segment);
        header.has_synced_marks = 0;
        journal.set_header(place.segment, header);
        CHECK(journal.verify().fault_count == 0);
        CHECK(journal.start().records == journal.records());
    }
    SUBCASE("raised") {
        payload.synced_journal_sequence = payload.first_journal_sequence;
        journal.at(place) = make_chain_record(payload);
        REQUIRE(journal.verify().fault_count == 1);
        CHECK(journal.verify().faults[0].block == place.block);
        CHECK_FALSE(journal.start().failure.is_ok());
    }
}

// Who can write the journal can change what lies behind the anchor, and who can write the anchor
// too can put back a whole earlier state. Against both helps only an anchor in other hands.
TEST_CASE("what no check of the files can see") {
    TamperedJournal journal(1, kRecords, 40);
    const std::size_t behind = journal.behind_block_of(journal.anchored());
    StartResult start;
    SUBCASE("a record of the open block, with a right checksum") {
        Slot& slot = journal.at(journal.places().back());
        slot.payload[0] ^= 1;
        slot.trailer.crc32c = slot_crc(slot);
        CHECK(journal.verify().fault_count == 0);
        start = journal.start();
        CHECK(start.records == journal.records());
        CHECK_FALSE(start.is_true);
    }
    SUBCASE("a block behind the anchor, with its chain record") {
        Slot& slot = journal.at(journal.places()[behind]);
        slot.payload[0] ^= 1;
        slot.trailer.crc32c = slot_crc(slot);
        CHECK(journal.verify().fault_count == 1);  // until the chain record fits
        const std::uint64_t block = journal.places()[behind].block;
        journal.rechain(block, block);
        CHECK(journal.verify().fault_count == 0);
        start = journal.start();
        CHECK_FALSE(start.is_true);
    }
    SUBCASE("everything behind the anchor gone") {
        journal.zero_from(behind);
        CHECK(journal.verify().fault_count == 0);
        start = journal.start();
        CHECK(start.records == journal.anchored());
        CHECK(start.is_true);
    }
    SUBCASE("an earlier state, with its anchor") {
        const std::size_t cut = journal.behind_block_of(journal.put_back_anchor());
        journal.zero_from(cut);
        CHECK(journal.verify().fault_count == 0);
        start = journal.start();
        CHECK(start.records < journal.anchored());
        CHECK(start.is_true);
    }
    CHECK(start.failure.is_ok());
}
