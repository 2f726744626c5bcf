// Engine and venue on one simulated clock, in one thread: backtest, training, simulation.
//
// The steps are those of a lockstep run over ZeroMQ, in its order: a feed event, the orders that
// it causes, the venue's replies one by one with the orders that each causes, the next feed event.
// So orders, fills and every record are those of two processes on the same tape, byte for byte; a
// replay of the journal is the third way to the same bytes. No chance but the venue's dice, no
// thread, and no clock but the one that holds user kernels to their budget: a kernel near it may be
// over it in one run and not in the next; the journal says which, and a replay says it again.
// Sessions that share nothing may run side by side.
//
// Where something outside decides (training), the session stops at each decision until it has its
// answer. The answer enters as that of a user's rule does, so the records are those of a backtest
// in which a rule said the same.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "gm/base/status.hpp"
#include "gm/engine/engine.hpp"
#include "gm/engine/outputs.hpp"
#include "gm/journal/journal_ring.hpp"
#include "gm/journal/run_lock.hpp"
#include "gm/journal/segments.hpp"
#include "gm/ring/spsc_ring.hpp"
#include "gm/session/kernel_host.hpp"
#include "gm/session/kernel_library.hpp"
#include "gm/session/record_list.hpp"
#include "gm/venue/venue.hpp"

namespace gm {

struct SessionOptions {
    std::array<std::uint8_t, 32> tape_id{};  // in the journal: another tape is another run
    // Keeps a journal there as `gm run` does, for replay, report and verify; empty: none.
    std::string run_directory;
    std::uint64_t segment_bytes = kSegmentBytesDefault;
    std::string kernel_library;  // where the settings name user kernels
    std::int64_t kernel_budget_ns = 200'000;
    bool keeps_records = true;  // records(): off where only totals and ledger are asked for
    // The rule of the settings is no kernel: run() stops where it is asked, answer() goes on.
    bool is_answered_outside = false;
    std::uint32_t columns_shown = 0;  // of the matrix, for whoever answers: see Engine::open
};

// Where a session stands while a decision waits: all of it but its journal.
struct SessionMark {
    Engine engine;
    Venue venue;
    SessionEvent connection{};
    Slot waiting{};
    std::uint64_t io_sequence = 0;
    std::int64_t now_ns = 0;
    bool has_waiting = false;
};

class Session {
 public:
    Session() = default;
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // Cold. The engine has recovered from nothing and is connected. The tape must outlive the
    // session. kBadArgument: the run directory holds a journal.
    Failure open(const Settings& settings, const VenueSettings& venue,
                 std::span<const TapeRow> tape, const SessionOptions& options);

    // Plays up to `events_max` feed events with all that they cause. After the last one the run is
    // over, its journal synced. A failure is final.
    Failure run(std::uint64_t events_max);

    // A decision about the newest bar waits for an answer.
    [[nodiscard]] bool is_asked() const noexcept { return is_asked_; }
    // Of the rule: -1, 0 or 1. What hung on it happens now; the next feed event needs run().
    // kBadArgument: nothing was asked.
    Failure answer(int direction);
    // Only while a decision waits: a copy that restore() goes on from, in this session or in
    // another that was opened with the same settings. records() begin anew there; orders to come
    // meet the luck of `seed`. Allocates nothing where tape and ledger are not larger than before.
    Failure save(SessionMark& out) const;
    Failure restore(const SessionMark& mark, std::uint64_t seed);

    [[nodiscard]] bool is_over() const noexcept { return is_over_; }
    [[nodiscard]] const Engine& engine() const noexcept { return *engine_; }
    [[nodiscard]] const Venue& venue() const noexcept { return venue_; }
    // For a thread that watches run(): see KernelWatch.
    [[nodiscard]] const KernelHost& kernels() const noexcept { return kernels_; }
    // The journal so far without the feed's data: inputs of io and venue, decisions, orders,
    // positions, refusals. Grows with what the run does, not with what it reads.
    [[nodiscard]] std::span<const Slot> records() const noexcept { return records_.records(); }
    // All records of the journal, kept or not.
    [[nodiscard]] std::uint64_t journal_records() const noexcept { return ring_.drained(); }

 private:
    Failure open_kernels(const Settings& settings, const SessionOptions& options);
    Failure open_journal(const SessionOptions& options);
    template <typename P>
    void step_io(RecordType type, const P& payload) noexcept;
    void step(const Slot& input) noexcept;
    inline void serve_kernels() noexcept;
    void call_kernels() noexcept;
    void ask_outside() noexcept;
    void step_answer(int direction) noexcept;
    inline void step_venue(Slot& input) noexcept;
    void step_behind_timers(const Slot& input) noexcept;
    inline void hand_over_orders() noexcept;
    void take_orders() noexcept;
    void reserve_ids(const IdsWanted& wanted) noexcept;
    [[nodiscard]] inline bool play_event() noexcept;
    void play_replies() noexcept;
    inline void make_room() noexcept;
    inline void keep_records(std::uint64_t first_sequence);
    void keep_records_from(std::uint64_t first_sequence);
    void drain();
    void end_if_over();
    Failure finish();

    std::unique_ptr<Engine> engine_;
    Venue venue_;
    KernelLibrary library_;
    KernelHost kernels_;
    JournalRing ring_;
    SpscRing<Slot> orders_;
    std::optional<Outputs> outputs_;
    RunLock lock_;
    SegmentWriter segments_;
    bool has_segments_ = false;
    bool keeps_records_ = true;
    bool is_answered_outside_ = false;
    bool is_asked_ = false;
    bool is_over_ = false;
    bool has_waiting_ = false;
    Slot waiting_{};  // the input before which a timer has asked
    RecordList records_;
    SessionEvent connection_{};
    std::uint64_t io_sequence_ = 0;
    std::int64_t now_ns_ = 0;  // simulated: the latest stamp that the venue has given
    Failure failure_;
};

}  // namespace gm
