// The disk below the journal's files, which may fail, and what is left on it when the power goes.
//
// The files themselves are real, in memory (tmpfs). What was written since the last sync of a file
// is remembered with what it replaced; of each sector any of these states may be the one that
// survives a loss of power. A sector is never torn. Latch and settings are written and synced
// outside the journal: they survive.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gm/journal/journal_file.hpp"
#include "gm/simulation/faults.hpp"

namespace gm {

class SimulatedDisk {
 public:
    SimulatedDisk(Random& random, Faults& faults) : random_(random), faults_(faults) {}

    [[nodiscard]] FileHook hook() noexcept { return {this, &SimulatedDisk::allow}; }
    // Called at each operation: the process may die here.
    void watch(void* context, void (*operation)(void* context)) noexcept {
        context_ = context;
        operation_ = operation;
    }
    // A dead process writes nothing more.
    void stand_still(bool stands) noexcept { stands_still_ = stands; }
    // Puts one of the possible states on the disk. Nobody has its files open.
    void lose_power();

 private:
    struct Write {
        std::string path;
        std::uint64_t offset;
        std::vector<std::uint8_t> before;
        std::vector<std::uint8_t> after;
    };

    static std::size_t allow(void* context, const FileAccess& access);
    std::size_t take(const FileAccess& access);
    void remember(const FileAccess& access, std::size_t size);
    void settle(std::string_view path);

    Random& random_;
    Faults& faults_;
    void* context_ = nullptr;
    void (*operation_)(void* context) = nullptr;
    bool stands_still_ = false;
    std::vector<Write> unsynced_;
};

}  // namespace gm
