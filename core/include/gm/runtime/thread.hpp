// A native thread with a name and, where asked for, a core of its own.
//
// Signals stay with the main thread. A thread that cannot be had is a Failure, not an exception.
#pragma once

#include <pthread.h>

#include <functional>
#include <string>

#include "gm/base/status.hpp"

namespace gm {

class Thread {
 public:
    Thread() = default;
    ~Thread() { join(); }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;

    // cpu -1: wherever the kernel likes. A core that is refused is a Failure.
    Failure start(const std::string& name, int cpu, std::function<void()> body);
    void join() noexcept;  // returns at once when it never ran
    [[nodiscard]] bool is_running() const noexcept { return is_started_; }

 private:
    static void* run(void* self) noexcept;

    std::function<void()> body_;
    pthread_t handle_{};
    bool is_started_ = false;
};

}  // namespace gm
