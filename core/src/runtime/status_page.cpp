#include "gm/runtime/status_page.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <iterator>

#include "gm/journal/journal_file.hpp"

namespace gm {
namespace {

constexpr std::size_t kInstrumentsMax = 4096;
constexpr int kPausesMax = 100;  // of a millisecond, before a reader gives up

// A writer that lost its core in the middle of a write comes back; one that died there does not.
template <typename Value>
bool read_patiently(const Seqlock<Value>& lock, Value& out) {
    constexpr timespec kPause{0, 1'000'000};
    for (int i = 0; i < kPausesMax; ++i) {
        if (lock.read(out)) return true;
        nanosleep(&kPause, nullptr);
    }
    return false;
}

}  // namespace

const char* describe(Phase phase) noexcept {
    switch (phase) {
        case Phase::kStarting: return "starting";
        case Phase::kReplaying: return "replaying";
        case Phase::kConnecting: return "connecting";
        case Phase::kReconciling: return "reconciling";
        case Phase::kReady: return "ready";
        case Phase::kStopping: return "stopping";
        case Phase::kEnded: return "ended";
        case Phase::kStopped: return "stopped";
        case Phase::kFailed: return "failed";
        case Phase::kBackfilling: return "backfilling";
    }
    return "unknown";
}

const char* describe(RetentionHold hold) noexcept {
    switch (hold) {
        case RetentionHold::kNothing: return "nothing";
        case RetentionHold::kRecorder: return "recorder";
        case RetentionHold::kSnapshots: return "snapshots";
        case RetentionHold::kFailure: return "failure";
    }
    return "unknown";
}

const char* stage_name(std::size_t stage) noexcept {
    constexpr const char* kNames[] = {"decode",   "step",   "encode", "market",
                                      "features", "policy", "order"};
    static_assert(std::size(kNames) == kStagesShown);
    return stage < kStagesShown ? kNames[stage] : "unknown";
}

Failure StatusPage::create(const std::string& path, std::size_t instruments) {
    close();
    if (instruments > kInstrumentsMax) {
        return fail(Status::kBadArgument,
                    "instruments of a status page: " + std::to_string(instruments) + ", at most " +
                        std::to_string(kInstrumentsMax));
    }
    // A new file under the old name: a reader never sees this page half made.
    const std::string draft = path + ".new";
    const int file = ::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return system_failure("open", draft, errno);
    const std::size_t size = size_for(instruments);
    // Reserved, not sparse: a full tmpfs is an error here and not SIGBUS later.
    const int reserve_error = posix_fallocate(file, 0, static_cast<off_t>(size));
    void* mapping = reserve_error == 0
                        ? mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                        : MAP_FAILED;
    const int map_error = errno;
    ::close(file);
    if (reserve_error != 0) return system_failure("reserve", draft, reserve_error);
    if (mapping == MAP_FAILED) return system_failure("map", draft, map_error);
    header_ = static_cast<Header*>(mapping);  // all zero: every seqlock is empty and readable
    size_ = size;
    header_->magic = kStatusMagic;
    header_->schema = kStatusSchema;
    header_->instruments = instruments;
    header_->size = size;
    if (rename(draft.c_str(), path.c_str()) != 0) {
        const int error = errno;
        close();
        return system_failure("rename", draft, error);
    }
    return ok();
}

Failure StatusPage::open(const std::string& path) {
    close();
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return system_failure("open", path, errno);
    struct stat found{};
    const bool is_sized =
        fstat(file, &found) == 0 && static_cast<std::size_t>(found.st_size) >= sizeof(Header);
    const std::size_t size = is_sized ? static_cast<std::size_t>(found.st_size) : 0;
    void* mapping = is_sized ? mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    ::close(file);
    if (mapping == MAP_FAILED) {
        return fail(Status::kSchemaMismatch,
                    path + " is not a status page: " + std::to_string(size) + " bytes");
    }
    header_ = static_cast<Header*>(mapping);
    size_ = size;
    const bool is_ours = header_->magic == kStatusMagic && header_->schema == kStatusSchema &&
                         header_->instruments <= kInstrumentsMax &&
                         size_for(header_->instruments) == size;
    if (!is_ours) {
        close();
        return fail(Status::kSchemaMismatch,
                    path + " is not a status page of schema " + std::to_string(kStatusSchema));
    }
    return ok();
}

void StatusPage::close() noexcept {
    if (header_ == nullptr) return;
    munmap(header_, size_);
    header_ = nullptr;
    size_ = 0;
}

void StatusPage::write_instrument(std::size_t at, const InstrumentStatus& status) noexcept {
    if (at < header_->instruments) locks()[at].write(status);
}

StatusPage::Text StatusPage::text_of(const std::string& text) noexcept {
    Text out{};
    std::memcpy(out.bytes, text.data(), std::min(text.size(), sizeof out.bytes - 1));
    return out;
}

void StatusPage::write_memory(const std::string& text) noexcept {
    header_->memory.write(text_of(text));
}

void StatusPage::write_failure(const std::string& text) noexcept {
    header_->failure.write(text_of(text));
}

void StatusPage::write_journal_failure(const std::string& text) noexcept {
    header_->journal_failure.write(text_of(text));
}

bool StatusPage::read(StatusReading& out) const {
    Text memory{};
    Text failure{};
    Text journal_failure{};
    bool is_whole =
        read_patiently(header_->io, out.io) && read_patiently(header_->engine, out.engine) &&
        read_patiently(header_->journal, out.journal) &&
        read_patiently(header_->stages, out.stages) && read_patiently(header_->memory, memory) &&
        read_patiently(header_->failure, failure) &&
        read_patiently(header_->retention, out.retention) &&
        read_patiently(header_->journal_failure, journal_failure);
    for (Text* text : {&memory, &failure, &journal_failure}) text->bytes[kTextSize - 1] = 0;
    out.memory = memory.bytes;
    out.failure = failure.bytes;
    if (journal_failure.bytes[0] != 0) {
        if (!out.failure.empty()) out.failure += "; ";
        out.failure += journal_failure.bytes;
    }
    out.instruments.assign(header_->instruments, InstrumentStatus{});
    for (std::size_t i = 0; i < out.instruments.size() && is_whole; ++i) {
        is_whole = read_patiently(locks()[i], out.instruments[i]);
    }
    return is_whole;
}

}  // namespace gm
