// The bars that warm an engine up before the live feed, from where they can be had.
//
// The venue is asked first, for the newest bars that fill the longest memory of a column; what it
// does not have, files of bars give, which end before the venue's first bar begins. All of it goes
// to the engine oldest first. A connection that breaks in between begins again behind the bars that
// the engine has. io thread only; no clock, no socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "gm/runtime/frame.hpp"
#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm {

// MMD ranks a bar among 2,000 values, the first of which needs 600 rows: no other column but the
// MLMI store remembers longer.
inline constexpr std::uint32_t kBackfillMinutes = (600 + 2000) * 30;

struct BackfillSettings {
    bool is_needed = false;                 // Engine::needs_backfill() behind recovery
    std::vector<std::int64_t> after_ts_ns;  // by instrument: the end of the last bar it took
};

class Backfill {
 public:
    // Cold.
    void open(const BackfillSettings& settings);
    // Cold, before the first connection. In order of time for each instrument.
    void add_files(std::vector<BarClose> bars) { files_ = std::move(bars); }

    // Bars would be of use: nothing came live yet.
    [[nodiscard]] bool is_needed() const noexcept { return is_needed_; }
    // Between begin() and the kBackfillEnd that next() gives, or cancel().
    [[nodiscard]] bool is_running() const noexcept { return stage_ != Stage::kIdle; }
    // A connection on which the engine joins. before_ts_ns: the venue's time.
    void begin(std::uint32_t connection, std::int64_t before_ts_ns);
    void cancel() noexcept;
    // The live feed has begun: never again.
    void forget() noexcept;

    // What to ask the venue now. False: nothing, or an answer is waited for.
    [[nodiscard]] bool next_request(FeedReplay& out) noexcept;
    // A frame that the session found to be kReplayed. False: more bars than fit into the one page
    // that was asked for; such a venue is to be left before it fills the memory.
    [[nodiscard]] bool take(const Frame& frame);
    // The next input for the engine: each bar, then kBackfillEnd. False: there is none now.
    [[nodiscard]] bool next(std::int64_t engine_ts_ns, Slot& out) noexcept;

    // Handed to the engine in this life.
    [[nodiscard]] std::uint64_t venue_bars() const noexcept { return venue_bars_; }
    [[nodiscard]] std::uint64_t file_bars() const noexcept { return file_bars_; }

 private:
    enum class Stage : std::uint8_t { kIdle, kAsk, kAnswer, kHandOver };
    struct Found {
        BarClose bar;
        bool is_of_file;
    };

    void take_end(const ReplayEnd& end);
    void finish_instrument();

    std::vector<BarClose> files_;
    std::vector<std::int64_t> after_ts_ns_;
    std::vector<BarClose> asked_;  // the venue's of the instrument that is being asked for
    std::vector<Found> found_;     // to hand over: all of instrument 0, then of 1, ...
    std::size_t next_ = 0;         // of them
    std::size_t page_bars_ = 0;    // that came since the last request
    std::uint64_t request_ = 0;
    std::uint64_t cursor_ = 0;
    std::uint64_t venue_bars_ = 0;
    std::uint64_t file_bars_ = 0;
    std::int64_t before_ts_ns_ = 0;
    std::uint32_t connection_ = 0;
    std::uint32_t instrument_ = 0;  // that is being asked for
    Stage stage_ = Stage::kIdle;
    bool is_needed_ = false;
};

}  // namespace gm
