// One engine a run directory: an advisory lock that dies with its process.
//
// Taken before ring, segments or anchor are touched; without it two engines would write one
// journal. The file is never removed: removing it would let two processes lock two files.
#pragma once

#include <string>

#include "gm/base/status.hpp"

namespace gm {

class RunLock {
 public:
    RunLock() = default;
    ~RunLock() { release(); }
    RunLock(const RunLock&) = delete;
    RunLock& operator=(const RunLock&) = delete;

    // Locks `<run_directory>/engine.lock`. kJournalLocked names the process that holds it.
    Failure acquire(const std::string& run_directory);
    void release() noexcept;
    [[nodiscard]] bool is_held() const noexcept { return descriptor_ >= 0; }

 private:
    int descriptor_ = -1;
};

}  // namespace gm
