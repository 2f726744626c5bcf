// Mapping, touching, locking and reading back: all system calls of the core's memory are here.
#include "gm/base/memory_region.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

namespace gm {
namespace {

constexpr std::size_t kSmallPage = 4096;  // touched at this stride; larger ones are multiples
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSizeMax = std::size_t{1} << 36;  // 64 GiB: more is a mistake

constexpr std::size_t round_up(std::size_t size, std::size_t unit) {
    return (size + unit - 1) / unit * unit;
}

// A reservation with an inaccessible page on each side and memory to use between.
struct Mapping {
    void* reserved = nullptr;
    std::size_t reserved_size = 0;
    std::byte* usable = nullptr;
    std::size_t usable_size = 0;
    PageSource source = PageSource::kNone;
    int pool_errno = 0;
};

// Address space only: guard, `size` bytes aligned to `alignment`, guard. Null on failure.
Mapping reserve(std::size_t size, std::size_t alignment) {
    const auto guard = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t total = size + alignment + 2 * guard;
    void* start =
        mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return {};
    const auto address = reinterpret_cast<std::uintptr_t>(start) + guard;
    const std::size_t skipped = round_up(address, alignment) - address;
    Mapping mapping;
    mapping.reserved = start;
    mapping.reserved_size = total;
    mapping.usable = static_cast<std::byte*>(start) + guard + skipped;
    mapping.usable_size = size;
    return mapping;
}

// Pages from the kernel's pool, mapped over the reservation. False when the pool gives none.
bool take_from_pool(Mapping& mapping) {
#if defined(MAP_HUGETLB)
    // 21 = log2 of 2 MiB, so that a machine whose default huge page is larger gives these too.
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | (21 << 26);
    if (mmap(mapping.usable, mapping.usable_size, PROT_READ | PROT_WRITE, flags, -1, 0) !=
        MAP_FAILED) {
        mapping.source = PageSource::kPool;
        return true;
    }
    mapping.pool_errno = errno;
    // A failed MAP_FIXED may have unmapped what was there: put the reservation back.
    void* again = mmap(mapping.usable, mapping.usable_size, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    static_cast<void>(again);  // on failure the next step fails and says so
#else
    mapping.pool_errno = ENOSYS;
#endif
    return false;
}

bool take_ordinary(Mapping& mapping, bool is_huge_wanted) {
    if (mprotect(mapping.usable, mapping.usable_size, PROT_READ | PROT_WRITE) != 0) return false;
    mapping.source = PageSource::kSmall;
#if defined(MADV_HUGEPAGE)
    if (is_huge_wanted && madvise(mapping.usable, mapping.usable_size, MADV_HUGEPAGE) == 0) {
        mapping.source = PageSource::kTransparent;
    }
#endif
    return true;
}

// One write a page: afterwards no access faults for want of memory.
void touch(std::byte* start, std::size_t size) {
    for (std::size_t offset = 0; offset < size; offset += kSmallPage) {
        *static_cast<volatile std::byte*>(start + offset) = std::byte{0};
    }
}

std::string read_smaps() {
    std::string text;
    const int file = ::open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
    if (file < 0) return text;
    char buffer[16384];
    for (ssize_t got = 0; (got = ::read(file, buffer, sizeof buffer)) > 0;) {  // to end of file
        text.append(buffer, static_cast<std::size_t>(got));
    }
    ::close(file);
    return text;
}

// "AnonHugePages:      8192 kB" -> 8 MiB for the key "AnonHugePages:"; nothing else matches.
bool take_size(std::string_view line, std::string_view key, std::size_t& bytes) {
    if (!line.starts_with(key)) return false;
    line.remove_prefix(std::min(line.find_first_of("0123456789"), line.size()));
    std::size_t kibibytes = 0;
    std::from_chars(line.data(), line.data() + line.size(), kibibytes);
    bytes = kibibytes * 1024;
    return true;
}

// "7f00-7f80 rw-p …": the first line of a mapping. Field lines begin with a capital letter.
bool take_range(std::string_view line, std::uintptr_t& first, std::uintptr_t& last) {
    const char* start = line.data();
    const char* end = start + line.size();
    const auto [dash, first_error] = std::from_chars(start, end, first, 16);
    if (first_error != std::errc{} || dash == end || *dash != '-') return false;
    return std::from_chars(dash + 1, end, last, 16).ec == std::errc{};
}

// Adds up what smaps says about the mappings that lie in the region.
void read_back(const std::byte* start, ObtainedMemory& obtained) {
    const auto region_first = reinterpret_cast<std::uintptr_t>(start);
    const std::uintptr_t region_last = region_first + obtained.bytes;
    const std::string text = read_smaps();
    std::string_view rest = text;
    bool is_ours = false;
    while (!rest.empty()) {  // one line a round
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        std::uintptr_t first = 0;
        std::uintptr_t last = 0;
        if (take_range(line, first, last)) {
            is_ours = first >= region_first && last <= region_last;
            continue;
        }
        std::size_t bytes = 0;
        if (!is_ours) continue;
        if (take_size(line, "KernelPageSize:", bytes)) obtained.page_bytes = bytes;
        if (take_size(line, "AnonHugePages:", bytes) ||
            take_size(line, "Private_Hugetlb:", bytes)) {
            obtained.huge_bytes += bytes;
        }
    }
}

std::string mebibytes(std::size_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
    return text;
}

}  // namespace

std::string ObtainedMemory::text() const {
    if (source == PageSource::kNone) return "no memory";
    std::string result = mebibytes(bytes);
    switch (source) {
        case PageSource::kPool: result += ", all on 2 MiB pages of the pool"; break;
        case PageSource::kTransparent:
            result += ", " + mebibytes(huge_bytes) + " on transparent huge pages";
            break;
        default: result += ", on " + std::to_string(page_bytes / 1024) + " KiB pages"; break;
    }
    if (pool_errno != 0) {
        result += std::string(" (pool of huge pages: ") + std::strerror(pool_errno) + ")";
    }
    if (is_locked) return result + ", locked";
    return result + ", not locked: " + std::strerror(lock_errno) + " (raise LimitMEMLOCK)";
}

MemoryRegion::~MemoryRegion() {
    close();
}

MemoryRegion::MemoryRegion(MemoryRegion&& other) noexcept {
    *this = std::move(other);
}

MemoryRegion& MemoryRegion::operator=(MemoryRegion&& other) noexcept {
    if (this == &other) return *this;
    close();
    start_ = std::exchange(other.start_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapping_ = std::exchange(other.mapping_, nullptr);
    mapping_size_ = std::exchange(other.mapping_size_, 0);
    obtained_ = std::exchange(other.obtained_, {});
    return *this;
}

Failure MemoryRegion::open(std::size_t size) {
    close();
    if (size == 0 || size > kSizeMax) {
        return fail(Status::kBadArgument, "memory region must be 1 to " + std::to_string(kSizeMax) +
                                              " bytes: " + std::to_string(size));
    }
    const bool is_huge_wanted = size >= kHugePageRegionMin;
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t unit = is_huge_wanted ? std::max(kHugePage, page) : page;
    Mapping mapping = reserve(round_up(size, unit), unit);
    if (mapping.reserved == nullptr) {
        return fail(Status::kOutOfMemory,
                    "cannot reserve " + std::to_string(size) + " bytes: " + std::strerror(errno));
    }
    const bool is_from_pool = is_huge_wanted && take_from_pool(mapping);
    if (!is_from_pool && !take_ordinary(mapping, is_huge_wanted)) {
        const int error = errno;
        munmap(mapping.reserved, mapping.reserved_size);
        return fail(Status::kOutOfMemory,
                    "cannot map " + std::to_string(size) + " bytes: " + std::strerror(error));
    }
    start_ = mapping.usable;
    size_ = size;
    mapping_ = mapping.reserved;
    mapping_size_ = mapping.reserved_size;
    obtained_.bytes = mapping.usable_size;
    obtained_.source = mapping.source;
    obtained_.pool_errno = mapping.pool_errno;
    obtained_.page_bytes = page;
    touch(start_, mapping.usable_size);
    obtained_.is_locked = mlock(start_, mapping.usable_size) == 0;
    obtained_.lock_errno = obtained_.is_locked ? 0 : errno;
    return ok();
}

ObtainedMemory MemoryRegion::obtained() const {
    ObtainedMemory found = obtained_;
    if (is_open()) read_back(start_, found);
    return found;
}

void MemoryRegion::close() noexcept {
    if (mapping_ != nullptr) munmap(mapping_, mapping_size_);
    start_ = nullptr;
    size_ = 0;
    mapping_ = nullptr;
    mapping_size_ = 0;
    obtained_ = {};
}

}  // namespace gm
