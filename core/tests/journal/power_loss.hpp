// A disk below the journal's files that can lose its power.
//
// What is written lies in the page cache. Of each 512-byte sector any state that it had since the
// last completed sync of its file may be the one on the disk, whatever its neighbours did; a sync
// makes the present state the only one. A sector is never torn. A name is on the disk once the
// rename returned; of one that was interrupted either may be.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gm/journal/journal_file.hpp"
#include "gm/journal/segments.hpp"
#include "journal/journal_fixture.hpp"

namespace gm::testing {

class PowerLossDisk {
 public:
    explicit PowerLossDisk(std::uint64_t seed) : random_(seed) {}

    // The power goes at operation `operation` from now on, counted from 0.
    void fail_at(std::uint64_t operation) { left_ = operation; }
    // Whose records a sync makes safe. Null: nobody's.
    void watch(const SegmentWriter* writer) { writer_ = writer; }
    [[nodiscard]] FileHook hook() { return {this, &PowerLossDisk::allow}; }

    [[nodiscard]] bool is_dark() const { return is_dark_; }
    // Records that some sync of a segment has covered.
    [[nodiscard]] std::uint64_t synced_sequence() const { return synced_sequence_; }

    // Puts one of the possible states of the disk into the run directory, and goes on from it.
    // Answers whether that is not what the page cache held.
    bool restart(const std::string& run_directory) {
        bool is_lossy = false;
        std::error_code error;
        std::filesystem::create_directories(journal_folder(run_directory), error);
        for (const std::string& folder : {run_directory, journal_folder(run_directory)}) {
            for (const auto& entry : std::filesystem::directory_iterator(folder)) {
                if (entry.is_regular_file() && !files_.contains(entry.path().string())) {
                    std::filesystem::remove(entry.path(), error);
                }
            }
        }
        for (auto& [path, file] : files_) {
            std::vector<std::uint8_t> image = file.synced;
            image.resize(file.cached.size(), 0);
            const std::uint64_t keeps = random_() % 101;  // percent of the sectors: all, none
            for (const auto& [at, versions] : file.unsynced) {
                if (random_() % 100 >= keeps) continue;
                const Sector& sector = versions[random_() % versions.size()];
                const std::size_t count = std::min(kSector, image.size() - at);
                std::memcpy(&image[at], sector.data(), count);
            }
            is_lossy = is_lossy || image != file.cached;
            write_bytes(path, image);
            file.synced = image;
            file.cached = std::move(image);
            file.unsynced.clear();
        }
        is_dark_ = false;
        return is_lossy;
    }

 private:
    static constexpr std::size_t kSector = 512;
    using Sector = std::array<std::uint8_t, kSector>;

    struct File {
        std::vector<std::uint8_t> synced;
        std::vector<std::uint8_t> cached;
        std::map<std::size_t, std::vector<Sector>> unsynced;  // by offset: states since the sync
    };

    static std::size_t allow(void* context, const FileAccess& access) {
        auto& self = *static_cast<PowerLossDisk*>(context);
        if (self.is_dark_) return 0;
        self.is_dark_ = self.left_ == 0;
        if (!self.is_dark_) self.left_ -= 1;
        return self.take(access);
    }

    // The operation at which the power goes is under way: a write has reached the page cache, a
    // sync has not ended, a rename has either happened or not.
    std::size_t take(const FileAccess& access) {
        File& file = files_[std::string(access.path)];
        switch (access.operation) {
            case FileOperation::kWrite: write(file, access); break;
            case FileOperation::kSync:
                if (is_dark_) return 0;
                file.synced = file.cached;
                file.unsynced.clear();
                if (writer_ != nullptr && access.path.find("/segment-") != std::string::npos) {
                    synced_sequence_ = writer_->last_sequence();
                }
                break;
            case FileOperation::kRename:
                if (is_dark_ && random_() % 2 == 0) return 0;
                rename(access);
                break;
            case FileOperation::kRemove:
                if (is_dark_ && random_() % 2 == 0) return 0;
                files_.erase(std::string(access.path));
                break;
            case FileOperation::kReserve: file = {}; break;  // of a file that was just emptied
        }
        return is_dark_ ? 0 : std::max<std::size_t>(access.bytes.size(), 1);
    }

    static void write(File& file, const FileAccess& access) {
        const std::size_t end = access.offset + access.bytes.size();
        if (file.cached.size() < end) file.cached.resize(end, 0);
        std::memcpy(&file.cached[access.offset], access.bytes.data(), access.bytes.size());
        for (std::size_t at = access.offset / kSector * kSector; at < end; at += kSector) {
            Sector sector{};
            const std::size_t count = std::min(kSector, file.cached.size() - at);
            std::memcpy(sector.data(), &file.cached[at], count);
            file.unsynced[at].push_back(sector);
        }
    }

    void rename(const FileAccess& access) {
        const auto node = files_.extract(std::string(access.path));
        files_[std::string(access.new_path)] = node.mapped();
    }

    std::mt19937_64 random_;
    std::map<std::string, File> files_;
    std::uint64_t left_ = 0;
    bool is_dark_ = false;
    const SegmentWriter* writer_ = nullptr;
    std::uint64_t synced_sequence_ = 0;
};

}  // namespace gm::testing
