// The one list of ways a core function can fail, and how a cold function explains itself.
//
// Hot functions answer with a Status alone. Cold ones (open, load) answer with a Failure, whose
// text holds the value, the limit and the key. gm/errors.py mirrors the numbers; a test holds the
// two together. Numbers are never reused.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace gm {

enum class Status : std::int32_t {
    kOk = 0,
    // base 1-19
    kBadArgument = 1,
    kOutOfMemory = 2,
    kSystemCallFailed = 3,
    kNotANumber = 4,
    kOffGrid = 5,
    kOverflow = 6,
    // wire, ring 20-39
    kRingFull = 20,
    kBadCapacity = 21,
    kBadFrame = 22,
    kSchemaMismatch = 23,
    // journal 40-59
    kJournalCorrupt = 40,
    kJournalForeign = 41,
    kJournalLocked = 42,
    kJournalFull = 43,
    kReplayDiverged = 44,
    // market 60-89
    kUnknownInstrument = 60,
    kBadInstrument = 61,
    kBadCalendar = 62,
    // policy 90-119
    kBadNetwork = 90,
    kUnsupportedNetwork = 91,
    // risk, orders 120-149
    kBadLimits = 120,
    kBadTransition = 121,
    kUnknownOrder = 122,
    // engine, venue 150-189
    kBadSettings = 150,
    kBadTape = 170,
    // runtime 190-219
    kZmqMissing = 190,
    kZmqFailed = 191,
    kVenueRefused = 192,
    kTimedOut = 193,
    kAlreadyRunning = 194,
};

// Text for people. Cold: called once, when an error is raised or logged.
[[nodiscard]] const char* describe(Status status) noexcept;

// The answer of a cold function: kOk, or a status and a sentence with value, limit and key.
struct [[nodiscard]] Failure {
    Status status = Status::kOk;
    std::string text;

    [[nodiscard]] bool is_ok() const noexcept { return status == Status::kOk; }
};

[[nodiscard]] inline Failure ok() {
    return {};
}
[[nodiscard]] inline Failure fail(Status status, std::string text) {
    return {status, std::move(text)};
}

}  // namespace gm
