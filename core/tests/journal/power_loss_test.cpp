// Promise: whatever the disk kept of what was not synced, a start succeeds, has every record whose
// sync was completed, and none that was not written or that an earlier start has given up.
#include "journal/power_loss.hpp"

#include <cstdlib>

#include "gm/journal/anchor.hpp"
#include "gm/journal/drain.hpp"
#include "gm/journal/verify.hpp"

using namespace gm;
using namespace gm::testing;

namespace {

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A record that tells which life wrote it.
Slot record_of(std::uint64_t sequence, std::uint64_t life) {
    Slot slot = make_record(sequence);
    auto trade = slot.as<Trade>();
    trade.quantity_lots = static_cast<std::int64_t>(life);
    std::memcpy(slot.payload, &trade, sizeof trade);
    slot.trailer.crc32c = slot_crc(slot);
    return slot;
}

struct Counts {
    std::uint64_t images = 0;
    std::uint64_t lossy = 0;    // not what the page cache held
    std::uint64_t torn = 0;     // something was cut
    std::uint64_t holes = 0;    // ... with whole records behind the place
    std::uint64_t records = 0;  // read back
    std::uint64_t lost = 0;     // unsynced ones, as is allowed
};

// One journal through several losses of power. Answers what is wrong, or nothing.
class History {
 public:
    History(std::uint64_t seed, const std::string& run_directory, Counts& counts)
        : random_(seed), disk_(seed + 1), run_(run_directory), counts_(counts) {}

    std::string run() {
        const std::uint64_t lives = 1 + random_() % 6;
        for (std::uint64_t life = 1; life <= lives; ++life) {
            disk_.fail_at(random_() % (random_() % 2 == 0 ? 12 : 150));  // often during the start
            live(life);
            if (!failure_.empty()) return failure_;
            counts_.lossy += disk_.restart(run_) ? 1 : 0;
            check_image();
            if (!failure_.empty()) return failure_;
        }
        return "";
    }

 private:
    // What a process does from its start to the loss of power.
    void live(std::uint64_t life) {
        SegmentWriter writer;
        JournalRing ring;  // lay in memory: it is lost each time
        DrainReport report;
        disk_.watch(&writer);
        SegmentSettings settings = small_settings(run_);
        settings.hook = disk_.hook();
        require_ok(ring.open_anonymous(64));
        Failure failure = writer.open(settings);
        if (failure.is_ok() && writer.last_sequence() != written_.size()) {
            failure_ = "the writer goes on after record " + std::to_string(writer.last_sequence());
        }
        if (failure.is_ok()) failure = drain_ring_into_segments(ring, writer, report);
        if (failure.is_ok()) {
            trade(ring, writer, life);
        } else if (!disk_.is_dark()) {
            failure_ = "the start fails: " + failure.text;
        }
        disk_.watch(nullptr);
    }

    void trade(JournalRing& ring, SegmentWriter& writer, std::uint64_t life) {
        JournalDrain drain(ring, writer, 10);
        std::int64_t now_ns = 0;
        const std::uint64_t turns = random_() % 60;
        for (std::uint64_t turn = 0; turn < turns && !drain.has_failed(); ++turn) {
            for (std::uint64_t left = random_() % 20; left > 0 && ring.has_room(1); --left) {
                Slot slot = record_of(ring.next_sequence(), life);
                written_.push_back(slot);
                ring.append(slot);
            }
            now_ns += static_cast<std::int64_t>(random_() % 5);
            drain.turn(now_ns);
            // As a full block does, of which these segments have no room for one.
            if (!drain.has_failed() && random_() % 4 == 0) (void)writer.seal_block();
        }
        if (!drain.has_failed() && random_() % 4 == 0) drain.finish();
        if (drain.has_failed() && !disk_.is_dark()) failure_ = drain.failure().text;
    }

    void check_image() {
        counts_.images += 1;
        JournalReader reader;
        Failure failure = reader.open(journal_folder(run_));
        if (!failure.is_ok()) {
            failure_ = failure.text;
            return;
        }
        std::uint64_t count = 0;
        for (Slot slot; reader.next(slot); ++count) {
            if (count >= written_.size()) {
                failure_ = "record " + std::to_string(count + 1) + " was never written";
                return;
            }
            if (std::memcmp(&slot, &written_[count], sizeof slot) != 0) {
                failure_ = "record " + std::to_string(count + 1) + " is not the one written";
                return;
            }
        }
        if (!reader.failure().is_ok()) {
            failure_ = "reading: " + reader.failure().text;
        } else if (count < disk_.synced_sequence()) {
            failure_ = "ends with record " + std::to_string(count) + ", synced were " +
                       std::to_string(disk_.synced_sequence());
        }
        if (!failure_.empty()) return;
        check_report(count);
        counts_.records += count;
        counts_.lost += written_.size() - count;
        written_.resize(count);
    }

    void check_report(std::uint64_t count) {
        if (!exists(anchor_path(run_))) return;  // lost its power before it had begun
        JournalReport report;
        require_ok(verify_journal(run_, report));
        counts_.torn += report.end.torn_bytes > 0 ? 1 : 0;
        counts_.holes += has_hole(report.end) ? 1 : 0;
        if (report.fault_count != 0) failure_ = "verify: " + report.faults[0].text;
        if (report.end.last_sequence != count) {
            failure_ = "verify counts to record " + std::to_string(report.end.last_sequence);
        }
    }

    // Whole records behind the end: what was written later had reached the disk, but not all of
    // what was written before it.
    static bool has_hole(const JournalEnd& end) {
        if (end.torn_bytes == 0) return false;
        const auto bytes = read_bytes(end.segment_path);
        for (std::size_t at = end.slot * sizeof(Slot); at < bytes.size(); at += sizeof(Slot)) {
            Slot slot;
            std::memcpy(static_cast<void*>(&slot), &bytes[at], sizeof slot);
            if (is_whole(slot)) return true;
        }
        return false;
    }

    std::mt19937_64 random_;
    PowerLossDisk disk_;
    std::string run_;
    Counts& counts_;
    std::vector<Slot> written_;  // what the journal may hold, in order
    std::string failure_;
};

}  // namespace

// GM_JOURNAL_IMAGES=1000000 in the campaign; GM_JOURNAL_SEED begins with the seed of a failure.
TEST_CASE("every image of a disk that lost its power starts, without loss of what was synced") {
    const std::uint64_t images = number_from_environment("GM_JOURNAL_IMAGES", 2000);
    Counts counts;
    TemporaryFolder folder;
    std::uint64_t seed = number_from_environment("GM_JOURNAL_SEED", 1);
    for (; counts.images < images; ++seed) {
        const std::string run = folder / "run";
        std::filesystem::remove_all(run);
        const std::string failure = History(seed, run, counts).run();
        INFO("GM_JOURNAL_SEED=" << seed);
        REQUIRE(failure == "");
    }
    MESSAGE(counts.images << " images, " << counts.lossy << " unlike the page cache, "
                          << counts.torn << " torn, " << counts.holes
                          << " with whole records behind missing ones; " << counts.records
                          << " records read back, " << counts.lost << " unsynced ones gone");
    CHECK(counts.lossy > images / 2);
    CHECK(counts.torn > images / 10);
    CHECK(counts.holes > images / 20);
}

namespace {

// What the disk has of the ring's mapping: each sector as it was at some moment.
void tear_ring(const std::string& path, const std::vector<std::vector<std::uint8_t>>& moments,
               std::mt19937_64& random) {
    constexpr std::size_t kSector = 512;
    std::vector<std::uint8_t> image = moments[random() % moments.size()];
    const std::size_t spread = 1 + random() % moments.size();  // of the last so many moments
    for (std::size_t at = 0; random() % 4 > 0 && at < image.size(); at += kSector) {
        const auto& moment = moments[moments.size() - 1 - random() % spread];
        std::memcpy(&image[at], &moment[at], std::min(kSector, image.size() - at));
    }
    write_bytes(path, image);
}

struct Start {
    Failure failure;
    std::uint64_t records = 0;
};

Start start_with_ring(const std::string& run, const std::string& ring_path) {
    JournalRing ring;
    SegmentWriter writer;
    DrainReport report;
    Start start;
    require_ok(writer.open(small_settings(run)));
    start.failure = ring.open(ring_path, 64);
    if (start.failure.is_ok()) start.failure = drain_ring_into_segments(ring, writer, report);
    if (start.failure.is_ok()) start.failure = writer.close();
    start.records = writer.last_sequence();
    CHECK((!start.failure.is_ok() || ring.next_sequence() == start.records + 1));
    return start;
}

}  // namespace

// Where $RUN is no tmpfs, the ring is a file that nobody syncs.
TEST_CASE("a ring that a loss of power left in any state gives what was written, or is refused") {
    std::uint64_t refused = 0;
    std::uint64_t drained = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        TemporaryFolder folder;
        const std::string run = folder / "run";
        const std::string path = folder / "ring";
        std::mt19937_64 random(seed);
        PowerLossDisk disk(seed);
        std::vector<std::vector<std::uint8_t>> moments;
        {
            SegmentWriter writer;
            JournalRing ring;
            DrainReport report;
            SegmentSettings settings = small_settings(run);
            settings.hook = disk.hook();
            disk.fail_at(1000);
            disk.watch(&writer);
            require_ok(ring.open(path, 64));
            require_ok(writer.open(settings));
            require_ok(drain_ring_into_segments(ring, writer, report));
            JournalDrain drain(ring, writer, 10);
            for (std::int64_t turn = 1 + static_cast<std::int64_t>(random() % 40); turn > 0;
                 --turn) {
                for (std::uint64_t left = random() % 8; left > 0 && ring.has_room(1); --left) {
                    Slot slot = make_record(ring.next_sequence());
                    ring.append(slot);
                }
                moments.push_back(read_bytes(path));
                if (random() % 3 > 0) drain.turn(100 - turn);
                moments.push_back(read_bytes(path));
            }
            disk.watch(nullptr);
        }
        disk.restart(run);
        tear_ring(path, moments, random);
        const std::uint64_t before = count_records(run);
        Start start = start_with_ring(run, path);
        if (!start.failure.is_ok()) {
            CHECK(start.failure.text.find(path) != std::string::npos);
            refused += 1;
            std::filesystem::remove(path);
            start = start_with_ring(run, path);
        }
        require_ok(start.failure);
        drained += start.records - before;
        CHECK(start.records >= disk.synced_sequence());
        CHECK(count_records(run) == start.records);
    }
    MESSAGE(refused << " of 300 rings refused, " << drained << " records came out of the others");
    CHECK(refused > 10);
    CHECK(drained > 100);
}
