// Lines of a CSV file: see the header for what is promised.
#include "gm/market/bar_text.hpp"

#include <algorithm>

#include "gm/base/units.hpp"
#include "gm/wire/payload.hpp"

namespace gm {
namespace {

[[nodiscard]] std::string_view trim(std::string_view text) noexcept {
    constexpr std::string_view kBlank = " \t\r";
    const std::size_t first = text.find_first_not_of(kBlank);
    if (first == std::string_view::npos) return {};
    text = text.substr(first, text.find_last_not_of(kBlank) - first + 1);
    const bool is_quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
    return is_quoted ? text.substr(1, text.size() - 2) : text;
}

// A row has one reason: what cannot be read at all goes first.
[[nodiscard]] QuarantineReason reason_of(Status status) noexcept {
    switch (status) {
        case Status::kOk: return QuarantineReason::kNone;
        case Status::kNotANumber: return QuarantineReason::kNotFinite;
        case Status::kOffGrid: return QuarantineReason::kOffGrid;
        case Status::kOverflow: return QuarantineReason::kOverflow;
        default: return QuarantineReason::kMalformed;
    }
}
[[nodiscard]] int rank_of(QuarantineReason reason) noexcept {
    switch (reason) {
        case QuarantineReason::kMalformed: return 4;
        case QuarantineReason::kNotFinite: return 3;
        case QuarantineReason::kOffGrid: return 2;
        case QuarantineReason::kOverflow: return 1;
        default: return 0;
    }
}

[[nodiscard]] Status read_volume(std::string_view text, std::int64_t lot_e9,
                                 std::int64_t& out) noexcept {
    Decimal volume;
    if (const Status status = parse_decimal(text, volume); status != Status::kOk) return status;
    const Status status = to_units_rounded(volume, lot_e9, out);
    // A negative volume under half a lot must not be rounded into a good one.
    if (status == Status::kOk && out == 0 && volume.is_negative && volume.coefficient != 0) {
        out = -1;
    }
    return status;
}

[[nodiscard]] Status read_price(std::string_view text, std::int64_t tick_e9,
                                std::int64_t& out) noexcept {
    Decimal price;
    if (const Status status = parse_decimal(text, price); status != Status::kOk) return status;
    return to_units(price, tick_e9, out);
}

}  // namespace

Failure BarText::open(const BarColumns& columns, const Instrument& instrument,
                      std::uint64_t first_line) {
    if (columns.count == 0 || columns.count > kColumnsMax) {
        return fail(Status::kBadArgument, "a line must have 1 to " + std::to_string(kColumnsMax) +
                                              " columns: " + std::to_string(columns.count));
    }
    for (const std::uint32_t column :
         {columns.time, columns.open, columns.high, columns.low, columns.close, columns.volume}) {
        if (column >= columns.count &&
            !(column == BarColumns::kAbsent && column == columns.volume)) {
            return fail(Status::kBadArgument, "no column " + std::to_string(column) +
                                                  " in a line of " + std::to_string(columns.count));
        }
    }
    if (instrument.tick_size_e9 <= 0 || instrument.volume_lot_e9 <= 0) {
        return fail(Status::kBadInstrument, "tick_size_e9 and volume_lot_e9 must be positive");
    }
    columns_ = columns;
    tick_size_e9_ = instrument.tick_size_e9;
    volume_lot_e9_ = instrument.volume_lot_e9;
    line_number_ = first_line;
    pending_.clear();
    is_over_long_ = false;
    rows_.clear();
    return ok();
}

void BarText::feed(std::string_view chunk) {
    while (!chunk.empty()) {  // once for each line that ends in the chunk
        const std::size_t end = chunk.find('\n');
        if (end == std::string_view::npos) return keep(chunk);
        if (pending_.empty() && !is_over_long_ && end <= kLineBytesMax) {
            end_line(chunk.substr(0, end));
        } else {
            keep(chunk.substr(0, end));
            end_line(pending_);
        }
        chunk.remove_prefix(end + 1);
    }
}

void BarText::finish() {
    if (!pending_.empty() || is_over_long_) end_line(pending_);
}

void BarText::keep(std::string_view piece) {
    if (pending_.size() + piece.size() > kLineBytesMax) is_over_long_ = true;
    if (is_over_long_) {
        pending_.clear();
    } else {
        pending_.append(piece);
    }
}

void BarText::end_line(std::string_view line) {
    BarTextRow row{};
    row.day_first_ns = row.month_first_ns = row.offset_ns = kNoTime;
    row.line = line_number_++;
    if (is_over_long_) {
        row.reason = QuarantineReason::kLineTooLong;
        rows_.push_back(row);
    } else if (!trim(line).empty()) {
        read_line(line, row);
        rows_.push_back(row);
    }
    pending_.clear();
    is_over_long_ = false;
}

void BarText::read_line(std::string_view line, BarTextRow& row) {
    fields_.clear();
    for (std::size_t start = 0; start <= line.size();) {  // kLineBytesMax bounds it
        const std::size_t end = std::min(line.find(columns_.delimiter, start), line.size());
        fields_.push_back(trim(line.substr(start, end - start)));
        start = end + 1;
    }
    // Some programs end each line with a delimiter.
    if (fields_.size() == columns_.count + std::size_t{1} && fields_.back().empty()) {
        fields_.pop_back();
    }
    CivilTime time;
    if (fields_.size() != columns_.count || !parse_civil_time(fields_[columns_.time], time)) {
        row.reason = QuarantineReason::kMalformed;
        return;
    }
    row.day_first_ns = time.day_first_ns;
    row.month_first_ns = time.month_first_ns;
    row.offset_ns = time.offset_ns;
    row.reason = read_numbers(row);
    if (row.reason != QuarantineReason::kNone) {
        row.open_ticks = row.high_ticks = row.low_ticks = row.close_ticks = row.volume_lots = 0;
    }
}

QuarantineReason BarText::read_numbers(BarTextRow& row) const noexcept {
    QuarantineReason worst = QuarantineReason::kNone;
    const auto take = [&](Status status) {
        const QuarantineReason reason = reason_of(status);
        if (rank_of(reason) > rank_of(worst)) worst = reason;
    };
    take(read_price(fields_[columns_.open], tick_size_e9_, row.open_ticks));
    take(read_price(fields_[columns_.high], tick_size_e9_, row.high_ticks));
    take(read_price(fields_[columns_.low], tick_size_e9_, row.low_ticks));
    take(read_price(fields_[columns_.close], tick_size_e9_, row.close_ticks));
    if (columns_.volume == BarColumns::kAbsent) {
        row.flags |= kBarNoVolume;
    } else {
        take(read_volume(fields_[columns_.volume], volume_lot_e9_, row.volume_lots));
    }
    return worst;
}

}  // namespace gm
