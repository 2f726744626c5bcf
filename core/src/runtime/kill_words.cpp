#include "gm/runtime/kill_words.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "gm/journal/journal_file.hpp"

namespace gm {
namespace {

constexpr mode_t kOwnerOnly = 0600;

// While one process looks at the size or writes a text, no other does.
class FileLock {
 public:
    explicit FileLock(int file) noexcept : file_(file) { (void)::flock(file_, LOCK_EX); }
    ~FileLock() { (void)::flock(file_, LOCK_UN); }
    FileLock(const FileLock&) = delete;
    FileLock& operator=(const FileLock&) = delete;

 private:
    int file_;
};

// A signal handler gets no argument of ours.
std::atomic<KillWords*> words_of_signal{nullptr};  // tidy: allow the one thing a handler can read

void on_signal(int) noexcept {
    const int error = errno;
    KillWords* words = words_of_signal.load(std::memory_order_acquire);
    if (words != nullptr) words->raise(0, KillLevel::kKilled, KillCause::kSignal);
    errno = error;
}

}  // namespace

const char* describe(KillLevel level) noexcept {
    switch (level) {
        case KillLevel::kActive: return "active";
        case KillLevel::kReducing: return "reducing";
        case KillLevel::kHalted: return "halted";
        case KillLevel::kKilled: return "killed";
    }
    return "unknown";
}

const char* describe(KillCause cause) noexcept {
    switch (cause) {
        case KillCause::kNone: return "none";
        case KillCause::kOrdered: return "ordered";
        case KillCause::kSignal: return "SIGUSR1";
        case KillCause::kBadTransition: return "a message that no state of its order allows";
        case KillCause::kArithmetic: return "a position that does not fit into 64 bits";
        case KillCause::kKernel: return "a user kernel was quarantined";
        case KillCause::kStopped: return "stopped with a reason";
        case KillCause::kCrashLoop: return "too many unclean starts in too little time";
        case KillCause::kRestart: return "an unclean stop under restart_policy halted";
        case KillCause::kLatchDoubt: return "the latch is unreadable or contradicts itself";
        case KillCause::kFormerLife: return "raised in a former life";
        case KillCause::kCleared: return "cleared by two people";
        case KillCause::kLimits: return "the signed limits of the run have expired or are replaced";
        case KillCause::kRepeatExecution: return "R14: too many executions in too little time";
        case KillCause::kLoss: return "R15: loss or drawdown over its limit";
        case KillCause::kReconBreak: return "R19: the venue's books are not ours";
        case KillCause::kPolicyInvalid: return "R20: invalid or late policy three times in a row";
    }
    return "unknown";
}

Failure KillWords::open(const std::string& path) {
    close();
    file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kOwnerOnly);
    if (file_ < 0) return system_failure("open", path, errno);
    Failure failure = map(path);
    if (failure.is_ok()) failure = open_pipe(path + ".wake");
    if (!failure.is_ok()) close();
    return failure;
}

Failure KillWords::map(const std::string& path) {
    const FileLock lock(file_);
    struct stat found{};
    if (fstat(file_, &found) != 0) return system_failure("stat", path, errno);
    const bool is_new = found.st_size == 0;
    // Reserved, not sparse: a full tmpfs is an error here and not SIGBUS in the send.
    const int reserve_error = is_new ? posix_fallocate(file_, 0, sizeof(Page)) : 0;
    if (reserve_error != 0) return system_failure("reserve", path, reserve_error);
    if (!is_new && found.st_size != static_cast<off_t>(sizeof(Page))) {
        return fail(Status::kSchemaMismatch, path + " has " + std::to_string(found.st_size) +
                                                 " bytes, kill words " +
                                                 std::to_string(sizeof(Page)));
    }
    void* mapping = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (mapping == MAP_FAILED) return system_failure("map", path, errno);
    page_ = static_cast<Page*>(mapping);                        // all zero: every word is active
    if (is_new || (page_->magic == 0 && page_->schema == 0)) {  // or its maker died right here
        page_->schema = kKillSchema;
        page_->magic = kKillMagic;
    }
    if (page_->magic == kKillMagic && page_->schema == kKillSchema) return ok();
    return fail(Status::kSchemaMismatch,
                path + " holds no kill words of schema " + std::to_string(kKillSchema));
}

Failure KillWords::open_pipe(const std::string& path) {
    if (mkfifo(path.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
        return system_failure("make the pipe", path, errno);
    }
    // Both ends: a writer needs no reader, and a reader sees no end when a writer goes.
    wake_ = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (wake_ < 0) return system_failure("open", path, errno);
    struct stat found{};
    if (fstat(wake_, &found) == 0 && S_ISFIFO(found.st_mode)) return ok();
    return fail(Status::kBadArgument, path + " is not a pipe");
}

void KillWords::close() noexcept {
    if (page_ != nullptr) munmap(page_, sizeof(Page));
    if (file_ >= 0) ::close(file_);
    if (wake_ >= 0) ::close(wake_);
    page_ = nullptr;
    file_ = wake_ = -1;
}

std::uint64_t KillWords::raise(std::size_t word, KillLevel level, KillCause cause) noexcept {
    std::atomic<std::uint64_t>& value = page_->words[word < kKillWords ? word : 0].value;
    std::uint64_t seen = value.load(std::memory_order_relaxed);
    KillWord next;
    do {  // bounded: each failure is somebody else's success, and people are few
        const KillWord before = unpack(seen);
        const bool is_higher = level > before.level;
        next = {before.generation + 1, is_higher ? level : before.level,
                is_higher ? cause : before.cause};
    } while (!value.compare_exchange_weak(seen, pack(next), std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    const char byte = 1;
    if (wake_ >= 0) (void)!::write(wake_, &byte, 1);  // a full pipe wakes as well
    return next.generation;
}

bool KillWords::lower(std::size_t word, const KillWord& expected, KillLevel level) noexcept {
    if (level >= expected.level) return false;
    std::uint64_t seen = pack(expected);
    const KillWord next{expected.generation + 1, level, KillCause::kCleared};
    return page_->words[word].value.compare_exchange_strong(
        seen, pack(next), std::memory_order_acq_rel, std::memory_order_relaxed);
}

Failure KillWords::write_text(const std::string& author, const std::string& reason) {
    KillText text{};
    std::memcpy(text.author, author.data(), std::min(author.size(), sizeof text.author - 1));
    std::memcpy(text.reason, reason.data(), std::min(reason.size(), sizeof text.reason - 1));
    const FileLock lock(file_);
    page_->text.write(text);
    return ok();
}

void KillWords::drain_wakes() const noexcept {
    char bytes[64];
    while (::read(wake_, bytes, sizeof bytes) == static_cast<ssize_t>(sizeof bytes)) {
        // Bounded by what a pipe holds.
    }
}

Failure raise_on_signal(KillWords* words) {
    words_of_signal.store(words, std::memory_order_release);
    if (words == nullptr) return ok();
    struct sigaction action{};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGUSR1, &action, nullptr) == 0) return ok();
    return system_failure("handle", "SIGUSR1", errno);
}

}  // namespace gm
