// A journal of which single bytes are changed, and what a walk over it must find.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/journal/anchor.hpp"
#include "gm/journal/verify.hpp"
#include "journal/journal_fixture.hpp"

namespace gm::testing {

// A place of a block in a journal's files.
struct BlockPlace {
    std::size_t segment;
    std::size_t slot;   // first record
    std::size_t count;  // records; the chain record is behind them
};
struct ExpectedFault {
    FaultKind kind;
    std::uint64_t block;
    bool operator==(const ExpectedFault&) const = default;
};

// A journal whose slots are edited in memory: read once, written back where they changed.
class EditedJournal {
 public:
    EditedJournal(const std::string& run_directory, std::uint64_t segment_bytes,
                  const std::vector<std::uint64_t>& block_records)
        : run_directory_(run_directory) {
        SegmentWriter writer;
        require_ok(writer.open(small_settings(run_directory, segment_bytes)));
        for (const std::uint64_t count : block_records) {
            require_ok(writer.append(make_records(writer.last_sequence() + 1, count)));
            require_ok(writer.seal_block());
        }
        require_ok(writer.close());
        std::vector<SegmentFile> files;
        require_ok(list_segments(journal_folder(run_directory), files));
        for (const SegmentFile& file : files) {
            paths_.push_back(file.path);
            sound_.push_back(slots_of(read_bytes(file.path)));
            std::size_t first = 1;
            for (std::size_t at = 1; at < sound_.back().size(); ++at) {
                if (sound_.back()[at].type() != RecordType::kBlockDigest) continue;
                blocks_.push_back({paths_.size() - 1, first, at - first});
                first = at + 1;
            }
        }
        slots_ = sound_;
    }

    [[nodiscard]] const std::vector<BlockPlace>& blocks() const { return blocks_; }
    [[nodiscard]] Slot& record(std::size_t block, std::size_t index) {
        return slots_[blocks_[block].segment][blocks_[block].slot + index];
    }
    [[nodiscard]] Slot& chain_record(std::size_t block) {
        return record(block, blocks_[block].count);
    }
    void restore() { slots_ = sound_; }
    void save() const {
        for (std::size_t i = 0; i < paths_.size(); ++i) {
            std::vector<std::uint8_t> bytes(slots_[i].size() * sizeof(Slot));
            std::memcpy(bytes.data(), slots_[i].data(), bytes.size());
            write_bytes(paths_[i], bytes);
        }
    }

    [[nodiscard]] std::vector<ExpectedFault> faults_of_walk() const {
        JournalReport report;
        require_ok(verify_journal(run_directory_, report));
        std::vector<ExpectedFault> found;
        for (const JournalFault& fault : report.faults) found.push_back({fault.kind, fault.block});
        return found;
    }
    // Each block on its own: records that are not whole; else the digest before it, as the chain
    // record or the header before it claims it, and its records, against its own chain record.
    [[nodiscard]] std::vector<ExpectedFault> faults_of_model() const {
        std::vector<ExpectedFault> expected;
        Sha256Digest claimed{};
        for (std::size_t i = 0; i < blocks_.size(); ++i) {
            const std::vector<Slot>& slots = slots_[blocks_[i].segment];
            if (i == 0 || blocks_[i - 1].segment != blocks_[i].segment) {
                SegmentHeader header{};
                std::memcpy(static_cast<void*>(&header), &slots[0], sizeof header);
                if (std::memcmp(header.previous_digest, claimed.data(), claimed.size()) != 0) {
                    expected.push_back({FaultKind::kChain, i + 1});
                }
                std::memcpy(claimed.data(), header.previous_digest, claimed.size());
            }
            const Slot* const first = &slots[blocks_[i].slot];
            const std::size_t count = blocks_[i].count;
            const auto claim = first[count].as<BlockDigest>();
            Sha256 hash;
            hash.update(claimed.data(), claimed.size());
            for (std::size_t at = 0; at < count; ++at) hash.update(first + at, sizeof(Slot));
            std::memcpy(claimed.data(), claim.sha256, claimed.size());
            const bool is_sound = hash.finish() == claimed;
            if (!std::all_of(first, first + count, [](const Slot& s) { return is_whole(s); })) {
                expected.push_back({FaultKind::kRecord, i + 1});
            } else if (!is_sound) {
                expected.push_back({FaultKind::kChain, i + 1});
            }
        }
        AnchorRecord anchor{};
        require_ok(JournalAnchor::read(anchor_path(run_directory_), anchor));
        if (std::memcmp(anchor.head_digest, claimed.data(), claimed.size()) != 0) {
            expected.push_back({FaultKind::kAnchor, 0});
        }
        return expected;
    }

 private:
    static std::vector<Slot> slots_of(const std::vector<std::uint8_t>& bytes) {
        std::vector<Slot> slots(bytes.size() / sizeof(Slot));
        std::memcpy(static_cast<void*>(slots.data()), bytes.data(), bytes.size());
        return slots;
    }

    std::string run_directory_;
    std::vector<std::string> paths_;
    std::vector<BlockPlace> blocks_;
    std::vector<std::vector<Slot>> sound_;
    std::vector<std::vector<Slot>> slots_;
};

// Only the chain can tell.
inline void edit_behind_checksum(Slot& slot, std::size_t byte) {
    slot.payload[byte] ^= 0x10;
    slot.trailer.crc32c = slot_crc(slot);
}

}  // namespace gm::testing
