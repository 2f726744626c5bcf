// A journal as a run leaves it, kept in memory slot by slot; edits of it, and what a check and a
// start make of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "gm/base/crc32c.hpp"
#include "gm/base/sha256.hpp"
#include "gm/journal/anchor.hpp"
#include "gm/journal/drain.hpp"
#include "gm/journal/verify.hpp"
#include "journal/journal_fixture.hpp"

namespace gm::testing {

// Where a slot that holds something is, and whose it is.
struct SlotPlace {
    std::size_t segment = 0;
    std::size_t slot = 0;
    std::uint64_t block = 0;   // from 1
    std::uint64_t record = 0;  // from 1; the chain record is behind the last
    bool is_chain = false;
};

struct StartResult {
    Failure failure;  // why it refuses
    std::uint64_t records = 0;
    bool is_true = true;  // each record is the one that was written
};

class TamperedJournal {
 public:
    static constexpr std::uint64_t kSegmentBytes = 65536;
    static constexpr std::size_t kSegmentSlots = kSegmentBytes / sizeof(Slot);

    // Blocks of up to 60 records, some of them synced as they end. Ended in order, or killed with
    // `unsynced` records behind the last sync, the second half of them in an open block.
    TamperedJournal(std::uint64_t seed, std::uint64_t records, std::uint64_t unsynced) {
        std::mt19937_64 random(seed);
        SegmentWriter writer;
        require_ok(writer.open(small_settings(folder_.path(), kSegmentBytes)));
        const auto append = [&](std::uint64_t count) {
            require_ok(writer.append(make_records(writer.last_sequence() + 1, count)));
        };
        while (writer.last_sequence() < records) {
            append(1 + random() % 60);
            require_ok(random() % 2 == 0 ? writer.sync() : writer.seal_block());
            if (early_anchor_.empty() && writer.last_sequence() > records / 2) {
                require_ok(writer.sync());
                early_anchor_ = read_bytes(anchor_path(folder_.path()));
                early_sequence_ = writer.last_sequence();
            }
        }
        require_ok(writer.sync());
        anchored_ = writer.last_sequence();
        if (unsynced > 0) {
            append(unsynced / 2);
            require_ok(writer.seal_block());
            append(unsynced - unsynced / 2);
        } else {
            require_ok(writer.close());
        }
        records_ = writer.last_sequence();
        std::vector<SegmentFile> files;
        require_ok(list_segments(journal_folder(folder_.path()), files));
        for (const SegmentFile& file : files) {
            paths_.push_back(file.path);
            sound_.emplace_back(kSegmentSlots);
            const auto bytes = read_bytes(file.path);
            REQUIRE(bytes.size() == kSegmentBytes);
            std::memcpy(static_cast<void*>(sound_.back().data()), bytes.data(), bytes.size());
        }
        anchor_bytes_ = read_bytes(anchor_path(folder_.path()));
        find_places();
        restore();
    }

    // How far the anchor knows it, and how far it goes.
    [[nodiscard]] std::uint64_t anchored() const { return anchored_; }
    [[nodiscard]] std::uint64_t records() const { return records_; }
    [[nodiscard]] std::size_t segment_count() const { return sound_.size(); }
    [[nodiscard]] std::uint64_t block_count() const { return places_.back().block; }
    [[nodiscard]] const std::vector<SlotPlace>& places() const { return places_; }
    [[nodiscard]] std::string name_of(std::size_t segment) const {
        return std::filesystem::path(paths_[segment]).filename().string();
    }
    // Index into places() of the first record of a block.
    [[nodiscard]] std::size_t first_of(std::uint64_t block) const { return firsts_[block - 1]; }
    [[nodiscard]] std::size_t slots_of(std::uint64_t block) const {
        return (block == firsts_.size() ? places_.size() : firsts_[block]) - firsts_[block - 1];
    }

    // Segments with one slot left at their end, in which no block could begin.
    [[nodiscard]] std::vector<std::size_t> padded_segments() const {
        std::vector<std::size_t> padded;
        for (std::size_t i = 0; i + 1 < sound_.size(); ++i) {
            if (is_empty(sound_[i].back())) padded.push_back(i);
        }
        return padded;
    }
    // Index into places() of the slot behind the chain record of a record's block.
    [[nodiscard]] std::size_t behind_block_of(std::uint64_t sequence) const {
        std::size_t at = 0;
        while (sequence_of(places_[at]) < sequence || !places_[at].is_chain) ++at;
        return at + 1;
    }
    [[nodiscard]] std::uint64_t sequence_of(const SlotPlace& place) const {
        return sound_[place.segment][place.slot].trailer.journal_sequence;
    }
    // Puts back the anchor of when the journal was half as long; answers how long it was then.
    std::uint64_t put_back_anchor() {
        anchor_bytes_ = early_anchor_;
        return early_sequence_;
    }
    void zero_from(std::size_t place) {
        std::vector<Slot>& slots = segments[places_[place].segment];
        const auto first = static_cast<std::ptrdiff_t>(places_[place].slot);
        std::fill(slots.begin() + first, slots.end(), Slot{});
        for (std::size_t i = places_[place].segment + 1; i < segments.size(); ++i) {
            segments[i].clear();
        }
    }

    // What save() writes. A segment that is emptied is removed.
    std::vector<std::vector<Slot>> segments;
    std::vector<std::uint64_t> file_bytes;

    [[nodiscard]] Slot& at(const SlotPlace& place) { return segments[place.segment][place.slot]; }
    [[nodiscard]] SegmentHeader header(std::size_t segment) const {
        SegmentHeader header{};
        std::memcpy(static_cast<void*>(&header), segments[segment].data(), sizeof header);
        return header;
    }
    // With a right checksum.
    void set_header(std::size_t segment, SegmentHeader header) {
        header.crc32c = crc32c(&header, offsetof(SegmentHeader, crc32c));
        std::memcpy(static_cast<void*>(segments[segment].data()), &header, sizeof header);
    }
    void restore() {
        segments = sound_;
        file_bytes.assign(sound_.size(), kSegmentBytes);
    }

    // Makes the chain right from a block on, up to the chain record of `last`.
    void rechain(std::uint64_t block, std::uint64_t last) {
        for (; block <= last; ++block) {
            const SlotPlace first = places_[first_of(block)];
            const std::size_t count = slots_of(block) - 1;
            Slot& chain = segments[first.segment][first.slot + count];
            if (chain.type() != RecordType::kBlockDigest) return;  // the open block
            const Sha256Digest before = digest_before(block);
            if (first.slot == 1) {
                SegmentHeader changed = header(first.segment);
                std::memcpy(changed.previous_digest, before.data(), before.size());
                set_header(first.segment, changed);
            }
            Sha256 hash;
            hash.update(before.data(), before.size());
            hash.update(&segments[first.segment][first.slot], count * sizeof(Slot));
            auto payload = chain.as<BlockDigest>();
            const Sha256Digest digest = hash.finish();
            std::memcpy(payload.sha256, digest.data(), digest.size());
            chain = make_chain_record(payload);
        }
    }

    [[nodiscard]] JournalReport verify() const {
        save();
        JournalReport report;
        require_ok(verify_journal(folder_.path(), report));
        return report;
    }
    // What a start does: opens and recovers the segments, drains a ring that was lost, reads all.
    [[nodiscard]] StartResult start() const {
        save();
        StartResult result;
        SegmentWriter writer;
        JournalRing ring;
        DrainReport drained;
        JournalReader reader;
        require_ok(ring.open_anonymous(64));
        result.failure = writer.open(small_settings(folder_.path(), kSegmentBytes));
        if (result.failure.is_ok()) {
            result.failure = drain_ring_into_segments(ring, writer, drained);
        }
        if (result.failure.is_ok()) result.failure = reader.open(journal_folder(folder_.path()));
        for (Slot slot; result.failure.is_ok() && reader.next(slot);) {
            result.records += 1;
            Slot written = make_record(result.records);
            written.trailer.crc32c = slot_crc(written);
            result.is_true = result.is_true && std::memcmp(&slot, &written, sizeof slot) == 0;
        }
        if (result.failure.is_ok()) result.failure = reader.failure();
        return result;
    }

 private:
    void find_places() {
        std::uint64_t block = 1;
        std::uint64_t record = 1;
        for (std::size_t segment = 0; segment < sound_.size(); ++segment) {
            for (std::size_t slot = 1; slot < kSegmentSlots; ++slot) {
                if (is_empty(sound_[segment][slot])) break;
                const bool is_chain = sound_[segment][slot].type() == RecordType::kBlockDigest;
                if (record == 1) firsts_.push_back(places_.size());
                places_.push_back({segment, slot, block, record, is_chain});
                record = is_chain ? 1 : record + 1;
                block += is_chain ? 1 : 0;
            }
        }
    }

    [[nodiscard]] Sha256Digest digest_before(std::uint64_t block) const {
        Sha256Digest digest{};
        if (block == 1) return digest;
        const SlotPlace chain = places_[first_of(block) - 1];
        const auto payload = segments[chain.segment][chain.slot].as<BlockDigest>();
        std::memcpy(digest.data(), payload.sha256, digest.size());
        return digest;
    }

    void save() const {
        for (std::size_t i = 0; i < paths_.size(); ++i) {
            std::vector<std::uint8_t> bytes(kSegmentBytes, 0);
            std::memcpy(bytes.data(), segments[i].data(), segments[i].size() * sizeof(Slot));
            bytes.resize(file_bytes[i]);
            std::error_code error;
            if (segments[i].empty()) {
                std::filesystem::remove(paths_[i], error);
            } else {
                write_bytes(paths_[i], bytes);
            }
        }
        write_bytes(anchor_path(folder_.path()), anchor_bytes_);
    }

    TemporaryFolder folder_;
    std::vector<std::string> paths_;
    std::vector<std::vector<Slot>> sound_;
    std::vector<std::uint8_t> anchor_bytes_;
    std::vector<std::uint8_t> early_anchor_;
    std::uint64_t early_sequence_ = 0;
    std::vector<SlotPlace> places_;
    std::vector<std::size_t> firsts_;  // index into places_ of each block's first record
    std::uint64_t anchored_ = 0;
    std::uint64_t records_ = 0;
};

}  // namespace gm::testing
