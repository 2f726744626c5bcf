// The text of each status, one sentence part that reads well after "failed: ".
#include "gm/base/status.hpp"

namespace gm {

const char* describe(Status status) noexcept {
    switch (status) {
        case Status::kOk: return "ok";
        case Status::kBadArgument: return "an argument is malformed or out of range";
        case Status::kOutOfMemory: return "out of memory";
        case Status::kSystemCallFailed: return "a system call failed";
        case Status::kNotANumber: return "not a number";
        case Status::kOffGrid: return "off the tick or lot grid";
        case Status::kOverflow: return "arithmetic overflow";
        case Status::kRingFull: return "ring full";
        case Status::kBadCapacity: return "capacity is not a power of two in range";
        case Status::kBadFrame: return "malformed frame";
        case Status::kSchemaMismatch: return "schema mismatch";
        case Status::kJournalCorrupt: return "journal corrupt";
        case Status::kJournalForeign: return "journal belongs to another run";
        case Status::kJournalLocked: return "journal locked by another process";
        case Status::kJournalFull: return "journal full";
        case Status::kReplayDiverged: return "replay diverged from the journal";
        case Status::kUnknownInstrument: return "unknown instrument";
        case Status::kBadInstrument: return "bad instrument";
        case Status::kBadCalendar: return "bad session calendar";
        case Status::kBadNetwork: return "bad network file";
        case Status::kUnsupportedNetwork: return "network outside the native operator set";
        case Status::kBadLimits: return "bad risk limits";
        case Status::kBadTransition: return "order event not allowed in this state";
        case Status::kUnknownOrder: return "unknown order";
        case Status::kBadSettings: return "bad settings";
        case Status::kBadTape: return "bad tape";
        case Status::kZmqMissing: return "libzmq not found";
        case Status::kZmqFailed: return "libzmq call failed";
        case Status::kVenueRefused: return "venue refused the session";
        case Status::kTimedOut: return "timed out";
        case Status::kAlreadyRunning: return "already running";
    }
    return "unknown status";
}

}  // namespace gm
