// Every Status as a sentence. A switch without default, so that -Wswitch names a forgotten one.
#include "gm/base/status.hpp"

namespace gm {

const char* describe(Status status) noexcept {
    switch (status) {
        case Status::kOk: return "no failure";
        case Status::kBadArgument: return "an argument is outside its range";
        case Status::kOutOfMemory: return "memory could not be obtained";
        case Status::kSystemCallFailed: return "a system call failed";
        case Status::kNotANumber: return "the text is not a finite decimal number";
        case Status::kOffGrid: return "the value is not a whole number of units";
        case Status::kOverflow: return "the value does not fit into 64 bits";
        case Status::kRingFull: return "the ring has no free slot";
        case Status::kBadCapacity: return "a ring capacity must be a power of two, at least 2";
        case Status::kBadFrame: return "the frame has a wrong size, magic or count";
        case Status::kSchemaMismatch: return "the peer speaks another schema version";
        case Status::kJournalCorrupt: return "the journal is damaged before its end";
        case Status::kJournalForeign: return "the journal belongs to another run";
        case Status::kJournalLocked: return "another process holds the journal";
        case Status::kJournalFull: return "the journal has no room";
        case Status::kReplayDiverged: return "the replay gave other bytes than the journal";
        case Status::kUnknownInstrument: return "no such instrument is configured";
        case Status::kBadInstrument: return "an instrument's row contradicts itself";
        case Status::kBadCalendar: return "the session table is not ascending";
        case Status::kBadNetwork: return "the ONNX file is damaged or not allowed";
        case Status::kUnsupportedNetwork: return "the network is outside the native operator set";
        case Status::kBadLimits: return "a risk limit is missing or contradictory";
        case Status::kBadTransition: return "an order cannot go from its state to that one";
        case Status::kUnknownOrder: return "no such order is known";
        case Status::kBadSettings: return "the settings block is damaged or contradictory";
        case Status::kBadTape: return "the tape of the venue is damaged or empty";
        case Status::kZmqMissing: return "pyzmq's libzmq was not found in this process";
        case Status::kZmqFailed: return "a ZeroMQ call failed";
        case Status::kVenueRefused: return "the venue refused the connection";
        case Status::kTimedOut: return "no answer came in time";
        case Status::kAlreadyRunning: return "another engine runs in this run directory";
    }
    return "unknown status";
}

}  // namespace gm
