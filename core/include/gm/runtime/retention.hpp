// How much of the journal is kept, and the thread that lets the rest go.
//
// Market data stays for so many bytes of segments and so long; orders and decisions stay for ever,
// in compacted segments (gm/journal/compacted.hpp). The oldest segment goes when a limit says so,
// and only if no start needs it: two snapshots at least that a start would use stand behind it,
// and the recorder has read past it. The segment that is written never goes. One segment at a
// time, by a thread of its own that waits after each block: neither the engine nor io nor the
// journal thread does any of it. What fails is said on the status page and tried again; it costs
// room on the disk and nothing else.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "gm/base/status.hpp"
#include "gm/engine/settings.hpp"
#include "gm/journal/journal_file.hpp"
#include "gm/runtime/snapshots.hpp"
#include "gm/runtime/status_page.hpp"
#include "gm/runtime/thread.hpp"

namespace gm {

struct RetentionSettings {
    std::uint64_t bytes_max = 0;    // of segments; 0: no limit
    std::int64_t age_ns_max = 0;    // since a segment was last written to; 0: no limit
    bool waits_for_reader = false;  // for set_read(), else nobody reads

    [[nodiscard]] bool is_on() const noexcept { return bytes_max != 0 || age_ns_max != 0; }
};

struct RetentionPlace {
    std::string run_dir;
    FileHook hook;  // tests only
};

class Retention {
 public:
    Retention() = default;
    ~Retention() { stop(); }
    Retention(const Retention&) = delete;
    Retention& operator=(const Retention&) = delete;

    // Cold. The engine's settings and the page must outlive this object.
    void open(RetentionPlace place, const RetentionSettings& settings, const Settings& engine,
              StatusPage& page);
    Failure start();  // nothing to do where nothing is limited
    void stop() noexcept;
    // Any thread: the recorder has all up to here.
    void set_read(std::uint64_t sequence) noexcept {
        read_sequence_.store(sequence, std::memory_order_relaxed);
    }

    // One look, and at most one segment. Not beside a started thread. True: a segment went.
    bool turn(std::int64_t wall_ns);
    [[nodiscard]] const RetentionStatus& status() const noexcept { return status_; }
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

 private:
    void run();
    bool look(std::int64_t wall_ns);
    bool let_go();
    [[nodiscard]] bool may_go_on() noexcept;
    void sleep(std::int64_t duration_ns) noexcept;

    RetentionPlace place_;
    RetentionSettings settings_;
    const Settings* engine_ = nullptr;
    StatusPage* page_ = nullptr;
    RetentionStatus status_{};
    std::string failure_;
    bool is_threaded_ = false;
    std::atomic<std::uint64_t> read_sequence_{0};
    std::atomic<bool> must_stop_{false};
    Thread thread_;
};

}  // namespace gm
