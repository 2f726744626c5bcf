// CSV files from their bytes to larger bars: text in any pieces, stamps, checks and buckets.
//
// Input: five bytes of options, then the text. In one form of it kFiller stands for many digits, so
// that lines that are too long fit into a short input; only in one, because they are slow.
#include <array>
#include <string>
#include <vector>

#include "gm/market/bar_builder.hpp"
#include "gm/market/bar_table.hpp"
#include "gm/market/bar_text.hpp"
#include "gm/market/quarantine.hpp"
#include "input.hpp"

namespace {

using namespace gm;
using gm::fuzz::hold;
using gm::fuzz::Input;

constexpr std::uint8_t kFormOfLongLines = 0xe0;
constexpr char kFiller = '\x01';
constexpr std::size_t kFillerBytes = 22'000;  // three of them are a line that is too long
constexpr int kFillersMax = 3;

constexpr std::int64_t kHourNs = 60 * kMinuteNs;
constexpr std::int64_t kMonday = 1'704'067'200'000'000'000;  // 2024-01-01
constexpr std::array<std::uint32_t, 4> kBarSeconds = {60, 300, 1'800, 86'400};
constexpr std::array<std::uint32_t, 3> kBucketMinutes = {5, 30, 60};

struct Options {
    BarColumns columns;
    Instrument instrument{};
    std::size_t chunk_bytes = 0;
    std::uint32_t bar_seconds = 0;
    std::uint32_t bucket_minutes = 0;
    bool is_month_first = false;
    bool has_long_lines = false;
};

Options take_options(Input& input) {
    Options options;
    const std::uint8_t form = input.byte();
    const bool is_trades = (form & 1) != 0;
    options.columns =
        is_trades ? BarColumns{3, 0, 1, 1, 1, 1, 2, ','} : BarColumns{6, 0, 1, 2, 3, 4, 5, ','};
    if ((form & 2) != 0) options.columns.volume = BarColumns::kAbsent;
    options.columns.delimiter = ",;\t "[(form >> 2) & 3];
    options.is_month_first = (form & 16) != 0;
    options.has_long_lines = form == kFormOfLongLines;
    options.chunk_bytes = 1 + input.byte();
    options.bar_seconds = kBarSeconds[input.byte() % kBarSeconds.size()];
    if (is_trades) options.bar_seconds = 0;
    options.bucket_minutes = kBucketMinutes[input.byte() % kBucketMinutes.size()];
    const std::uint8_t size = input.byte();
    options.instrument.tick_size_e9 = (size & 1) != 0 ? 250'000'000 : 10'000;
    options.instrument.volume_lot_e9 = (size & 2) != 0 ? 1'000'000'000 : 1'000'000;
    options.instrument.price_floor_ticks = (size & 4) != 0 ? -400 : 0;
    options.instrument.band_ppm = 200'000;
    options.instrument.band_ticks_min = 100;
    return options;
}

std::string expand(std::string_view text) {
    std::string whole;
    whole.reserve(text.size() + kFillersMax * kFillerBytes);
    int fillers = 0;
    for (const char letter : text) {
        if (letter == kFiller && fillers++ < kFillersMax) {
            whole.append(kFillerBytes, '1');
        } else {
            whole += letter;
        }
    }
    return whole;
}

std::vector<BarTextRow> read(const Options& options, std::string_view text, std::size_t chunk) {
    BarText reader;
    const Failure failure = reader.open(options.columns, options.instrument, 2);
    hold(failure.is_ok(), "columns of a known header are read");
    for (; text.size() > chunk; text.remove_prefix(chunk)) reader.feed(text.substr(0, chunk));
    reader.feed(text);
    reader.finish();
    return reader.rows();
}

bool is_same(const std::vector<BarTextRow>& a, const std::vector<BarTextRow>& b) {
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(BarTextRow)) == 0);
}

Calendar week() {
    std::vector<SessionInterval> sessions;
    for (std::int64_t day = 0; day < 5; ++day) {
        const std::int64_t open = kMonday + day * 24 * kHourNs;
        sessions.push_back({open, open + 17 * kHourNs, day});
    }
    const std::array<OffsetChange, 1> offsets = {OffsetChange{0, -5 * kHourNs}};
    Calendar calendar;
    hold(calendar.open(sessions, offsets).is_ok(), "a plain week is a calendar");
    return calendar;
}

void check_good(const BarRow& bar) {
    hold(bar.low_ticks <= std::min(bar.open_ticks, bar.close_ticks) &&
             bar.high_ticks >= std::max(bar.open_ticks, bar.close_ticks),
         "the range of a good bar holds its open and close");
    hold(bar.volume_lots >= 0, "a good bar has no negative volume");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input({data, size});
    const Options options = take_options(input);
    const std::string_view given = input.text();
    const std::string text = options.has_long_lines ? expand(given) : std::string(given);
    const std::vector<BarTextRow> rows = read(options, text, text.size() + 1);
    // A long text in pieces of a byte would be most of the time.
    const std::size_t chunk = text.size() > 8'192 ? 4'099 : options.chunk_bytes;
    hold(is_same(rows, read(options, text, chunk)), "rows do not depend on the pieces");

    std::vector<std::int64_t> stamps;
    std::vector<QuarantineReason> reasons;
    std::vector<BarRow> bars;
    for (const BarTextRow& row : rows) {
        const std::int64_t local = options.is_month_first ? row.month_first_ns : row.day_first_ns;
        const std::int64_t offset = row.offset_ns == kNoTime ? 0 : row.offset_ns;
        stamps.push_back(local == kNoTime ? kNoTime : local - offset);
        const bool has_no_time = row.reason == QuarantineReason::kNone && local == kNoTime;
        reasons.push_back(has_no_time ? QuarantineReason::kMalformed : row.reason);
        hold(name_of(row.reason) != std::string_view("unknown"), "a reason has a name");
        bars.push_back({stamps.back(), row.open_ticks, row.high_ticks, row.low_ticks,
                        row.close_ticks, row.volume_lots, row.flags, 0});
    }
    check_file_stamps(stamps, reasons);
    const Calendar calendar = week();
    hold(check_bars(bars, reasons, options.instrument, calendar, options.bar_seconds).is_ok(),
         "rows can be judged");
    // Rows as they came need not ascend: then the larger bars are refused as a whole.
    std::vector<BarRow> joined;
    constexpr std::int64_t kAnyBarNs = kMinuteNs;
    (void)aggregate_bars(bars, calendar, kAnyBarNs, options.bucket_minutes, joined);
    joined.clear();
    std::vector<BarRow> good;
    for (std::size_t i = 0; i < bars.size(); ++i) {
        if (reasons[i] != QuarantineReason::kNone) continue;
        check_good(bars[i]);
        good.push_back(bars[i]);
    }
    const std::int64_t bar_ns = std::int64_t{options.bar_seconds} * 1'000'000'000;
    const bool fits = bar_ns <= options.bucket_minutes * kMinuteNs;
    const Failure failure = aggregate_bars(good, calendar, bar_ns, options.bucket_minutes, joined);
    hold(failure.is_ok() == fits, "good bars make larger ones");
    for (std::size_t i = 0; i < joined.size(); ++i) {
        check_good(joined[i]);
        hold(i == 0 || joined[i - 1].start_ts_ns < joined[i].start_ts_ns, "starts ascend");
    }
    return 0;
}
