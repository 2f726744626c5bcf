// The payloads about the kill switch; like those of payload.hpp, which brings them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gm {

// SAFETY, kill switch. Only orders that lower the worst case pass kReducing; none pass above it.
enum class KillLevel : std::uint8_t { kActive = 0, kReducing = 1, kHalted = 2, kKilled = 3 };

// Why a level changed.
enum class KillCause : std::uint8_t {
    kNone = 0,
    kOrdered = 1,        // gm kill, by a person or a watchdog
    kSignal = 2,         // SIGUSR1
    kBadTransition = 3,  // a message that no state of its order allows
    kArithmetic = 4,     // a position or its value does not fit into 64 bits
    kKernel = 5,         // a user kernel that must halt was quarantined
    kStopped = 6,        // a kStop with a reason
    kCrashLoop = 7,      // too many unclean starts in too little time
    kRestart = 8,        // an unclean stop, and restart_policy says halted
    kLatchDoubt = 9,     // the latch of a former life is unreadable or contradicts itself
    kFormerLife = 10,    // latched, or raised and not yet latched, before this start
    kCleared = 11,       // two people have signed: the only cause that lowers a level
    kLimits = 12,        // the signed limits of the run have expired, or others stand
    // The engine, with the number of the gate's code:
    kRepeatExecution = 14,
    kLoss = 15,
    kReconBreak = 19,  // the venue's books are not ours
    kPolicyInvalid = 20,
};

inline constexpr std::uint32_t kWholeAccount = UINT32_MAX;  // an instrument number: all of them

// Input: raises a level; kCleared alone lowers one, to what it says.
struct Kill {
    std::uint8_t latch_id[16];  // kCleared: which latch; else zero
    std::uint64_t generation;   // of the kill word: which of its changes this is about
    std::uint32_t instrument;   // or kWholeAccount
    KillLevel level;
    KillCause cause;
    std::uint8_t reserved[2];
    std::uint8_t signatures_sha256[32];  // kCleared: of the two signatures; else zero
};

// Output: the level of an instrument or of the account, after a kKill or by the engine itself.
struct KillState {
    std::uint64_t generation;   // of the kKill; 0: the engine raised it
    std::uint64_t open_orders;  // that this level does not let rest: kKilled cancels them
    std::uint32_t instrument;
    KillLevel level;
    KillLevel previous;
    KillCause cause;
    std::uint8_t reserved[41];
};

static_assert(sizeof(Kill) == 64 && offsetof(Kill, signatures_sha256) == 32);
static_assert(sizeof(KillState) == 64 && offsetof(KillState, level) == 20);

}  // namespace gm
