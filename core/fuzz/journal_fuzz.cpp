// Segment files after any damage: a reader gives whole records in order, the check finds the same
// fault that a reader stops at, and a writer that recovers goes on behind what is whole.
//
// Input: one byte of options, then edits of a good journal in three segments, undone afterwards; by
// its options of one whose first segment was compacted. Checksums can be made good again, so that
// damage gets past them.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "gm/base/crc32c.hpp"
#include "gm/journal/compacted.hpp"
#include "gm/journal/compaction.hpp"
#include "gm/journal/journal_reader.hpp"
#include "gm/journal/segment_format.hpp"
#include "gm/journal/segments.hpp"
#include "gm/journal/verify.hpp"
#include "input.hpp"

namespace {

using namespace gm;
using gm::fuzz::hold;
using gm::fuzz::Input;

constexpr std::uint64_t kSegmentBytes = kSegmentBytesMin;
constexpr std::uint64_t kRecords = 150;      // fill two segments and half of a third
constexpr std::uint64_t kBlockRecords = 17;  // so that a segment ends with each kind of last slot
constexpr std::uint64_t kCompactedRecords = 210;  // a segment more: that one goes
constexpr std::uint64_t kKeptEvery = 3;           // of its records
constexpr int kEditsMax = 24;
// Options.
constexpr std::uint8_t kRecovers = 7;  // of the low three bits; it writes, and so it is slow
constexpr std::uint8_t kCompacted = 0xC0;

Slot make_record(std::uint64_t sequence) {
    Trade trade{};
    trade.price_ticks = static_cast<std::int64_t>(1'000 + sequence % 97);
    trade.quantity_lots = 1;
    Slot slot = make_slot(RecordType::kTrade, Source::kVenueFeed, sequence,
                          static_cast<std::int64_t>(sequence), trade);
    slot.trailer = {sequence, sequence, 0, commit_word(sequence)};
    return slot;
}

// No market data: compaction keeps it.
Slot make_kept(std::uint64_t sequence) {
    Ack ack{};
    ack.id = {7, 1, 1};
    Slot slot = make_slot(RecordType::kAck, Source::kVenueOrders, sequence, 0, ack);
    slot.trailer = {sequence, sequence, 0, commit_word(sequence)};
    slot.trailer.crc32c = slot_crc(slot);
    return slot;
}

struct File {
    std::string path;
    std::vector<std::byte> bytes;
    bool is_there = true;
};

using Files = std::vector<File>;

void write_file(const File& file) {
    if (!file.is_there) {
        ::unlink(file.path.c_str());
        return;
    }
    const int descriptor = ::open(file.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    hold(descriptor >= 0, "the test can write its files");
    const auto size = static_cast<ssize_t>(file.bytes.size());
    hold(::write(descriptor, file.bytes.data(), file.bytes.size()) == size, "... to their end");
    ::close(descriptor);
}

File read_file(const std::string& path) {
    File file{path, std::vector<std::byte>(std::filesystem::file_size(path))};
    const int descriptor = ::open(path.c_str(), O_RDONLY);
    const auto size = static_cast<ssize_t>(file.bytes.size());
    hold(::read(descriptor, file.bytes.data(), file.bytes.size()) == size, "the test can read");
    ::close(descriptor);
    return file;
}

// A run directory of this process, in memory, with a journal whose bytes are known.
class Workplace {
 public:
    explicit Workplace(bool is_compacted) {
        std::array<char, 32> path = {"/dev/shm/gm-fuzz-XXXXXX"};
        hold(::mkdtemp(path.data()) != nullptr, "the test can make a folder");
        run_directory_ = path.data();
        SegmentWriter writer;
        hold(writer.open({run_directory_, kSegmentBytes, 7, {}}).is_ok(), "a journal begins");
        const std::uint64_t records = is_compacted ? kCompactedRecords : kRecords;
        for (std::uint64_t sequence = 1; sequence <= records; ++sequence) {
            const bool is_kept = is_compacted && sequence % kKeptEvery == 0;
            const Slot record = is_kept ? make_kept(sequence) : make_record(sequence);
            hold(writer.append(std::span(&record, 1)).is_ok(), "a record is written");
            const bool ends_block = sequence % kBlockRecords == 0;
            hold(!ends_block || writer.seal_block().is_ok(), "a block is sealed");
        }
        hold(writer.sync().is_ok(), "a journal is synced");
        if (is_compacted) compact();
        std::vector<SegmentFile> segments;
        hold(list_segments(journal_folder(run_directory_), segments).is_ok(), "it has segments");
        hold(segments.size() == 3, "it has three segments");
        for (const SegmentFile& segment : segments) files_.push_back(read_file(segment.path));
        files_.push_back(read_file(anchor_path(run_directory_)));
        if (!is_compacted) return;
        std::vector<SegmentFile> compacted;
        const std::uint64_t first = segments[0].first_sequence;
        hold(list_compacted(journal_folder(run_directory_), first, compacted).is_ok(), "it lists");
        hold(compacted.size() == 1, "one was compacted");
        files_.push_back(read_file(compacted[0].path));
        files_.push_back(read_file(compacted_anchor_path(run_directory_)));
    }
    ~Workplace() {
        std::error_code error;
        std::filesystem::remove_all(run_directory_, error);
    }
    Workplace(const Workplace&) = delete;
    Workplace& operator=(const Workplace&) = delete;

    [[nodiscard]] const std::string& run_directory() const { return run_directory_; }
    // Segments, then the anchor, then what was compacted and its anchor.
    [[nodiscard]] const Files& files() const { return files_; }

    void put(const Files& files) const {
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (is_good(files, i)) continue;
            ::unlink(files_[i].path.c_str());
            write_file(files[i]);
        }
    }
    // As it was before put(), also after a recovery that wrote.
    void restore(const Files& files, bool was_written) const {
        bool is_mixed = was_written;
        for (std::size_t i = 0; i < files.size(); ++i) is_mixed |= files[i].path != files_[i].path;
        if (is_mixed) empty_folder();
        for (std::size_t i = 0; i < files.size(); ++i) {
            if (is_mixed || !is_good(files, i)) write_file(files_[i]);
        }
    }

 private:
    void compact() const {
        CompactionReport report;
        hold(compact_oldest({run_directory_, {}, {}}, report).is_ok(), "a segment is compacted");
        hold(report.is_done && report.records_kept != 0, "... and some of it is kept");
    }
    [[nodiscard]] bool is_good(const Files& files, std::size_t i) const {
        const std::vector<std::byte>& bytes = files[i].bytes;
        return files[i].is_there && files[i].path == files_[i].path &&
               bytes.size() == files_[i].bytes.size() &&
               std::memcmp(bytes.data(), files_[i].bytes.data(), bytes.size()) == 0;
    }
    void empty_folder() const {
        for (const auto& entry :
             std::filesystem::directory_iterator(journal_folder(run_directory_))) {
            std::filesystem::remove(entry.path());
        }
    }

    std::string run_directory_;
    Files files_;
};

// Makes the checksum of one slot good again: of a record, or of the header in slot 0.
void sign(std::byte* bytes, std::size_t index) {
    if (index == 0) {
        SegmentHeader header;
        std::memcpy(&header, bytes, sizeof header);
        header.crc32c = crc32c(&header, offsetof(SegmentHeader, crc32c));
        std::memcpy(bytes, &header, sizeof header);
        return;
    }
    Slot slot;
    std::memcpy(static_cast<void*>(&slot), bytes, sizeof slot);
    slot.trailer.crc32c = slot_crc(slot);
    slot.trailer.commit = commit_word(slot.trailer.journal_sequence);
    std::memcpy(bytes, &slot, sizeof slot);
}

void edit(Files& files, Input& input) {
    const std::uint8_t what = input.byte();
    File& file = files[(what >> 4) % files.size()];
    const std::size_t index = input.byte();
    const std::size_t slots = file.bytes.size() / sizeof(Slot);
    if (slots == 0) return;
    std::byte* const slot = file.bytes.data() + index % slots * sizeof(Slot);
    switch (what & 15) {
        case 0:
        case 1: {  // some bytes of one slot
            const std::size_t at = input.byte() % (sizeof(Slot) - 7);
            const auto value = input.take<std::uint64_t>();
            std::memcpy(slot + at, &value, sizeof value);
            if ((what & 1) != 0) sign(slot, index % slots);
            return;
        }
        case 2: {  // one byte, checksum good
            slot[input.byte() % sizeof(Slot)] ^= std::byte{input.byte()};
            sign(slot, index % slots);
            return;
        }
        case 3: std::memset(slot, 0, sizeof(Slot)); return;
        case 4: {  // a slot of any segment in the place of this one
            const File& other = files[input.byte() % files.size()];
            const std::size_t from = input.byte();
            const std::size_t count = other.bytes.size() / sizeof(Slot);
            if (count == 0) return;
            std::memmove(slot, other.bytes.data() + from % count * sizeof(Slot), sizeof(Slot));
            return;
        }
        case 5: file.bytes.resize(index * sizeof(Slot) / 2); return;
        case 6: file.bytes.resize(file.bytes.size() + index); return;
        case 7: file.is_there = false; return;
        case 8: {  // another name
            const auto sequence = input.take<std::uint64_t>();
            const std::filesystem::path folder = std::filesystem::path(files[0].path).parent_path();
            file.path = (folder / segment_name(sequence)).string();
            return;
        }
        case 9: {  // zeros from here to the end: a tail that never reached the disk
            std::fill(file.bytes.begin() + (slot - file.bytes.data()), file.bytes.end(),
                      std::byte{0});
            return;
        }
        case 10: slot[input.byte() % sizeof(Slot)] ^= std::byte{1}; return;
        default: return;
    }
}

// The records that a reader gives, each of which must follow the one before it; of what was
// compacted, with others left out between them.
bool read_all(const std::string& run_directory, bool has_compacted, std::uint64_t& records) {
    JournalReader reader;
    if (!reader.open_all(journal_folder(run_directory)).is_ok()) return false;
    Slot slot;
    std::uint64_t last = 0;
    while (reader.next(slot)) {  // bounded by the slots of the journal
        hold(is_whole(slot), "a reader gives whole records");
        hold(slot.type() != RecordType::kBlockDigest, "a reader keeps chain records to itself");
        const std::uint64_t sequence = slot.trailer.journal_sequence;
        const CompactedEnd& compacted = reader.compacted_end();
        const bool is_behind =
            !has_compacted || (compacted.segments != 0 && last > compacted.last_sequence);
        hold(records == 0 || (is_behind ? sequence == last + 1 : sequence > last),
             "records follow another");
        last = slot.trailer.journal_sequence;
        records += 1;
    }
    return reader.failure().is_ok();
}

ChainPlace place_of(const JournalEnd& end) {
    ChainPlace place{};
    place.segment_first_sequence = end.segment_first_sequence;
    place.slot = end.slot;
    place.last_sequence = end.last_sequence;
    place.blocks = end.blocks;
    std::memcpy(place.digest, end.digest.data(), sizeof place.digest);
    return place;
}

// Blocks to the end or to a fault, and the places between them.
std::uint64_t walk(const WalkSettings& settings, std::uint64_t watched,
                   std::vector<ChainPlace>* places) {
    BlockWalker walker;
    if (!walker.open(settings).is_ok()) return 0;
    walker.watch_block(watched);
    std::uint64_t blocks = 0;
    while (walker.next() == BlockWalker::Step::kBlock) {  // bounded by the slots of the journal
        ++blocks;
        hold(!walker.records().empty(), "a block has records");
        if (places != nullptr && walker.end().open_slots == 0) {
            places->push_back(place_of(walker.end()));
        }
    }
    (void)walker.watched_digest();
    hold(walker.failure().is_ok(), "files that are there can be read");
    return blocks;
}

// Whoever begins between two blocks finds the blocks behind it, and at a place that is none
// nothing.
void walk_from_places(const std::string& run_directory) {
    WalkSettings settings{.folder = journal_folder(run_directory)};
    std::vector<ChainPlace> places;
    const std::uint64_t blocks = walk(settings, 0, &places);
    for (std::size_t i = 0; i < places.size(); ++i) {
        settings.from = places[i];
        settings.tail_slots_max = i;
        // One more where a shorter search takes for an open end what is a fault to the whole walk.
        hold(walk(settings, places[i].blocks, nullptr) <= blocks - i, "no block twice");
        settings.from->digest[0] ^= 1;
        hold(walk(settings, 0, nullptr) == 0, "no place of another chain");
    }
}

void recover(const std::string& run_directory) {
    SegmentWriter writer;
    if (!writer.open({run_directory, kSegmentBytes, 7, {}}).is_ok()) return;
    const std::uint64_t next = writer.last_sequence() + 1;
    const Slot record = make_record(next);
    if (!writer.append(std::span(&record, 1)).is_ok()) return;
    hold(writer.last_sequence() == next, "a record takes the next number");
    (void)writer.close();
}

void check(const std::string& run_directory, bool has_compacted) {
    std::uint64_t records = 0;
    const bool is_read = read_all(run_directory, has_compacted, records);
    JournalReport report;
    const bool is_checked = verify_journal(run_directory, report).is_ok();
    std::uint64_t faults = 0;
    for (const JournalFault& fault : report.faults) {
        hold(!fault.text.empty(), "a fault says where it is");
        hold(name_of(fault.kind) != std::string_view("unknown"), "a fault has a kind");
        faults += fault.kind == FaultKind::kAnchor ? 0 : 1;
    }
    hold(!is_checked || is_read == (faults == 0), "a reader stops where the check finds a fault");
    JournalReader reader;
    std::array<std::byte, 7 * sizeof(Slot)> some;
    std::uint64_t copied = 0;
    if (reader.open_all(journal_folder(run_directory), false).is_ok()) {
        for (std::size_t got = reader.read(some); got > 0; got = reader.read(some)) copied += got;
    }
    hold(copied >= records, "without the chain no record less is read");
    const std::uint64_t counted = report.end.records + report.compacted.records;
    hold(!is_checked || !is_read || records == counted, "both count the same records");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Workplace whole(false);
    static const Workplace with_compacted(true);
    Input input({data, size});
    const std::uint8_t options = input.byte();
    const bool recovers = (options & kRecovers) == kRecovers;
    const bool is_compacted = (options & ~kRecovers) == kCompacted;
    const Workplace& workplace = is_compacted ? with_compacted : whole;
    Files files = workplace.files();
    for (int i = 0; i < kEditsMax && !input.is_empty(); ++i) edit(files, input);
    workplace.put(files);
    const std::span<const std::byte> first = files[0].bytes;
    (void)count_in_order(first.subspan(std::min(sizeof(SegmentHeader), first.size())), 1);
    check(workplace.run_directory(), is_compacted);
    walk_from_places(workplace.run_directory());
    if (recovers) recover(workplace.run_directory());
    workplace.restore(files, recovers);
    return 0;
}
