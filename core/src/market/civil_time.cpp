// Time stamps in bar files: see the header for the forms that are read.
#include "gm/market/civil_time.hpp"

#include <array>
#include <cstddef>

namespace gm {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::int64_t kDaySeconds = 86'400;
constexpr std::int64_t kYearMin = 1824;
constexpr std::int64_t kYearMax = 2115;
constexpr std::int64_t kOffsetSecondsMax =
    std::int64_t{18} * 3600;  // no zone was ever further from UTC

// What is left to read.
struct Cursor {
    std::string_view text;

    [[nodiscard]] bool is_at_end() const noexcept { return text.empty(); }
    [[nodiscard]] bool take(char c) noexcept {
        if (text.empty() || text.front() != c) return false;
        text.remove_prefix(1);
        return true;
    }
    // Reads min to max digits; -1 if there are fewer, or one more follows.
    [[nodiscard]] std::int64_t take_digits(std::size_t min, std::size_t max) noexcept {
        std::int64_t value = 0;
        std::size_t count = 0;
        while (count < text.size() && text[count] >= '0' && text[count] <= '9') {
            if (++count > max) return -1;
            value = value * 10 + (text[count - 1] - '0');
        }
        if (count < min) return -1;
        text.remove_prefix(count);
        return value;
    }
};

[[nodiscard]] bool is_leap(std::int64_t year) noexcept {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// Source: Hinnant 2013, "chrono-Compatible Low-Level Date Algorithms", days_from_civil.
[[nodiscard]] std::int64_t days_since_1970(std::int64_t year, std::int64_t month,
                                           std::int64_t day) noexcept {
    const std::int64_t y = month <= 2 ? year - 1 : year;
    const std::int64_t era = y / 400;
    const std::int64_t year_of_era = y - era * 400;
    const std::int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const std::int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146'097 + day_of_era - 719'468;
}

// Midnight of a day in seconds, kNoTime if there is no such day.
[[nodiscard]] std::int64_t midnight(std::int64_t year, std::int64_t month,
                                    std::int64_t day) noexcept {
    constexpr std::array<std::int64_t, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < kYearMin || year > kYearMax || month < 1 || month > 12 || day < 1) return kNoTime;
    const bool is_leap_day = month == 2 && day == 29 && is_leap(year);
    if (day > kDays[static_cast<std::size_t>(month - 1)] && !is_leap_day) return kNoTime;
    return days_since_1970(year, month, day) * kDaySeconds;
}

struct Midnights {
    std::int64_t day_first = kNoTime;
    std::int64_t month_first = kNoTime;
};

[[nodiscard]] bool take_date(Cursor& cursor, Midnights& out) noexcept {
    const std::size_t separator = cursor.text.find_first_of("-/.");
    if (separator == std::string_view::npos) return false;
    const char mark = cursor.text[separator];
    if (separator == 4) {
        const std::int64_t year = cursor.take_digits(4, 4);
        if (year < 0 || !cursor.take(mark)) return false;
        const std::int64_t month = cursor.take_digits(1, 2);
        if (month < 0 || !cursor.take(mark)) return false;
        const std::int64_t day = cursor.take_digits(1, 2);
        out.day_first = out.month_first = midnight(year, month, day);
    } else {
        const std::int64_t first = cursor.take_digits(1, 2);
        if (first < 0 || !cursor.take(mark)) return false;
        const std::int64_t second = cursor.take_digits(1, 2);
        if (second < 0 || !cursor.take(mark)) return false;
        const std::int64_t year = cursor.take_digits(4, 4);
        out.day_first = midnight(year, second, first);
        out.month_first = midnight(year, first, second);
    }
    return out.day_first != kNoTime || out.month_first != kNoTime;
}

// Up to nine digits count; what follows them must be zeros.
[[nodiscard]] bool take_fraction(Cursor& cursor, std::int64_t& out_ns) noexcept {
    std::int64_t unit_ns = kSecondNs / 10;
    std::size_t count = 0;
    for (; count < cursor.text.size(); ++count) {
        const char c = cursor.text[count];
        if (c < '0' || c > '9') break;
        if (unit_ns == 0 && c != '0') return false;
        out_ns += (c - '0') * unit_ns;
        unit_ns /= 10;
    }
    cursor.text.remove_prefix(count);
    return count > 0;
}

[[nodiscard]] bool take_time_of_day(Cursor& cursor, std::int64_t& out_ns) noexcept {
    const std::int64_t hour = cursor.take_digits(1, 2);
    if (hour < 0 || hour > 23 || !cursor.take(':')) return false;
    const std::int64_t minute = cursor.take_digits(2, 2);
    if (minute < 0 || minute > 59) return false;
    std::int64_t second = 0;
    std::int64_t fraction_ns = 0;
    if (cursor.take(':')) {
        second = cursor.take_digits(2, 2);
        if (second < 0 || second > 59) return false;
        if (cursor.take('.') && !take_fraction(cursor, fraction_ns)) return false;
    }
    out_ns = ((hour * 60 + minute) * 60 + second) * kSecondNs + fraction_ns;
    return true;
}

// Z, UTC, GMT, +HH, +HHMM or +HH:MM, all that is left of the text.
[[nodiscard]] bool take_offset(Cursor& cursor, std::int64_t& out_ns) noexcept {
    const std::string_view text = cursor.text;
    if (text == "Z" || text == "z" || text == "UTC" || text == "GMT") {
        out_ns = 0;
        return true;
    }
    const bool is_west = cursor.take('-');
    if (!is_west && !cursor.take('+')) return false;
    const std::size_t digits = cursor.text.size();
    const bool is_hour_only = digits == 2;
    const bool is_compact = digits == 4;
    std::int64_t hour = cursor.take_digits(2, is_compact ? 4 : 2);
    std::int64_t minute = 0;
    if (is_compact) {
        minute = hour % 100;
        hour /= 100;
    } else if (!is_hour_only) {
        if (hour < 0 || !cursor.take(':')) return false;
        minute = cursor.take_digits(2, 2);
    }
    const std::int64_t seconds = hour * 3600 + minute * 60;
    if (hour < 0 || minute < 0 || minute > 59 || seconds > kOffsetSecondsMax) return false;
    out_ns = (is_west ? -seconds : seconds) * kSecondNs;
    return cursor.is_at_end();
}

}  // namespace

bool parse_civil_time(std::string_view text, CivilTime& out) noexcept {
    Cursor cursor{text};
    Midnights days;
    if (!take_date(cursor, days)) return false;
    std::int64_t time_of_day_ns = 0;
    CivilTime time;
    if (!cursor.is_at_end()) {
        if (!cursor.take(' ') && !cursor.take('T') && !cursor.take('t')) return false;
        if (!take_time_of_day(cursor, time_of_day_ns)) return false;
        (void)cursor.take(' ');
        if (!cursor.is_at_end() && !take_offset(cursor, time.offset_ns)) return false;
    }
    const auto stamp = [&](std::int64_t seconds) {
        return seconds == kNoTime ? kNoTime : seconds * kSecondNs + time_of_day_ns;
    };
    time.day_first_ns = stamp(days.day_first);
    time.month_first_ns = stamp(days.month_first);
    out = time;
    return true;
}

}  // namespace gm
