// Lines of a CSV file become rows in ticks and lots, or a reason why not.
//
// Prices by exact decimal parsing, off the grid refused; volume rounded half to even to the lot.
// Text comes in chunks of any size; a line longer than kLineBytesMax is refused without being
// kept. What a row means in time is not decided here: the zone, and which of day and month comes
// first, are known of the file as a whole. Cold: rows are allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/market/civil_time.hpp"
#include "gm/market/instrument.hpp"
#include "gm/market/quarantine.hpp"

namespace gm {

// Where things stand in a line. Trades: the four prices name one column.
struct BarColumns {
    static constexpr std::uint32_t kAbsent = UINT32_MAX;

    std::uint32_t count = 0;  // fields of a line
    std::uint32_t time = 0;
    std::uint32_t open = 0;
    std::uint32_t high = 0;
    std::uint32_t low = 0;
    std::uint32_t close = 0;
    std::uint32_t volume = kAbsent;
    char delimiter = ',';
};

// Crosses the Python boundary: gm/readers.py repeats it.
struct BarTextRow {
    std::int64_t day_first_ns;  // CivilTime
    std::int64_t month_first_ns;
    std::int64_t offset_ns;
    std::int64_t open_ticks;  // prices and volume are zero where reason is not
    std::int64_t high_ticks;
    std::int64_t low_ticks;
    std::int64_t close_ticks;
    std::int64_t volume_lots;
    std::uint64_t line;  // from 1
    std::uint32_t flags;
    QuarantineReason reason;
};
static_assert(sizeof(BarTextRow) == 80 && offsetof(BarTextRow, line) == 64);

class BarText {
 public:
    static constexpr std::size_t kLineBytesMax = 65'536;
    static constexpr std::uint32_t kColumnsMax = 1'024;

    // first_line: number of the first line that feed() will see. kBadArgument: a column that the
    // line does not have, more than kColumnsMax, or an instrument without sizes.
    Failure open(const BarColumns& columns, const Instrument& instrument, std::uint64_t first_line);

    // Appends the rows of all lines that end in the chunk.
    void feed(std::string_view chunk);
    // The file is over: what stands after the last line feed is a line.
    void finish();

    [[nodiscard]] const std::vector<BarTextRow>& rows() const noexcept { return rows_; }

 private:
    void keep(std::string_view piece);
    void end_line(std::string_view line);
    void read_line(std::string_view line, BarTextRow& row);
    [[nodiscard]] QuarantineReason read_numbers(BarTextRow& row) const noexcept;

    BarColumns columns_;
    std::int64_t tick_size_e9_ = 0;
    std::int64_t volume_lot_e9_ = 0;
    std::uint64_t line_number_ = 1;
    std::string pending_;                   // the start of a line whose end has not come yet
    bool is_over_long_ = false;             // the pending line is skipped to its end
    std::vector<std::string_view> fields_;  // of the line being read; no longer
    std::vector<BarTextRow> rows_;
};

}  // namespace gm
