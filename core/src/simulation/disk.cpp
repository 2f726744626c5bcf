#include "gm/simulation/disk.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

namespace gm {
namespace {

constexpr std::uint64_t kSector = 512;

// One file, opened for as long as it is read or put back.
class RawFile {
 public:
    explicit RawFile(const std::string& path) : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {}
    ~RawFile() {
        if (file_ >= 0) ::close(file_);
    }
    RawFile(const RawFile&) = delete;
    RawFile& operator=(const RawFile&) = delete;

    // What lies beyond the end reads as zeros.
    void read(std::uint64_t offset, std::vector<std::uint8_t>& out) const {
        if (file_ >= 0) {
            (void)!::pread(file_, out.data(), out.size(), static_cast<off_t>(offset));
        }
    }
    void write(std::uint64_t offset, const std::uint8_t* data, std::size_t size) const {
        if (file_ >= 0) (void)!::pwrite(file_, data, size, static_cast<off_t>(offset));
    }

 private:
    int file_;
};

}  // namespace

std::size_t SimulatedDisk::allow(void* context, const FileAccess& access) {
    return static_cast<SimulatedDisk*>(context)->take(access);
}

std::size_t SimulatedDisk::take(const FileAccess& access) {
    if (operation_ != nullptr) operation_(context_);
    if (stands_still_) return 0;
    const std::size_t whole = std::max<std::size_t>(access.bytes.size(), 1);
    switch (access.operation) {
        case FileOperation::kReserve:
            if (faults_.strikes(WorldFault::kNoSpace, random_)) return 0;
            settle(access.path);
            return 1;
        case FileOperation::kRename:
            for (Write& write : unsynced_) {
                if (write.path == access.path) write.path = std::string(access.new_path);
            }
            return 1;
        case FileOperation::kSync:
            if (faults_.strikes(WorldFault::kSyncError, random_)) return 0;
            settle(access.path);
            return 1;
        case FileOperation::kRemove: settle(access.path); return 1;
        case FileOperation::kWrite: break;
    }
    std::size_t size = access.bytes.size();
    if (faults_.strikes(WorldFault::kNoSpace, random_)) size = 0;
    if (faults_.strikes(WorldFault::kShortWrite, random_)) {
        size = static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(whole)));
    }
    if (size > 0 && faults_.has(WorldFault::kPowerLoss)) remember(access, size);
    return size;
}

void SimulatedDisk::remember(const FileAccess& access, std::size_t size) {
    Write write{std::string(access.path), access.offset, std::vector<std::uint8_t>(size, 0), {}};
    RawFile(write.path).read(access.offset, write.before);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(access.bytes.data());
    write.after.assign(bytes, bytes + size);
    unsynced_.push_back(std::move(write));
}

void SimulatedDisk::settle(std::string_view path) {
    std::erase_if(unsynced_, [&](const Write& write) { return write.path == path; });
}

void SimulatedDisk::lose_power() {
    for (auto write = unsynced_.rbegin(); write != unsynced_.rend(); ++write) {
        RawFile(write->path).write(write->offset, write->before.data(), write->before.size());
    }
    // Each sector stops taking writes somewhere, on its own.
    const std::int64_t keeps_ppm = random_.below(1'000'001);
    std::map<std::pair<std::string, std::uint64_t>, bool> has_stopped;
    for (const Write& write : unsynced_) {
        const RawFile file(write.path);
        const std::uint64_t end = write.offset + write.after.size();
        for (std::uint64_t at = write.offset; at < end;) {
            const std::uint64_t next = std::min(end, (at / kSector + 1) * kSector);
            bool& stopped = has_stopped[{write.path, at / kSector}];
            stopped = stopped || !random_.hits(keeps_ppm);
            if (!stopped) file.write(at, write.after.data() + (at - write.offset), next - at);
            at = next;
        }
    }
    unsynced_.clear();
}

}  // namespace gm
