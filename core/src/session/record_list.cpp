#include "gm/session/record_list.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

namespace gm {
namespace {

constexpr std::size_t kFirstBytes = std::size_t{64} * 1024;
constexpr std::size_t kHugeBytes = std::size_t{2} * 1024 * 1024;

// Address space of which nothing can be used yet, aligned for large pages where it holds one.
std::byte* reserve(std::size_t bytes) noexcept {
    const std::size_t more = bytes >= kHugeBytes ? kHugeBytes : 0;
    void* const found = ::mmap(nullptr, bytes + more, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) return nullptr;
    std::byte* const first = static_cast<std::byte*>(found);
    if (more == 0) return first;
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(found) & (kHugeBytes - 1);
    if (before > 0) ::munmap(first, before);
    if (before < more) ::munmap(first + before + bytes, more - before);
    return first + before;
}

}  // namespace

RecordList::~RecordList() {
    if (slots_ != nullptr) ::munmap(slots_, capacity_ * sizeof(Slot));
}

void RecordList::grow() noexcept {
    const std::size_t old_bytes = capacity_ * sizeof(Slot);
    const std::size_t bytes = old_bytes == 0 ? kFirstBytes : 2 * old_bytes;
    std::byte* const place = reserve(bytes);
    void* moved = MAP_FAILED;
    if (place != nullptr && old_bytes == 0) {
        moved = ::mmap(place, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    } else if (place != nullptr) {
        moved = ::mremap(slots_, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    }
    if (moved == MAP_FAILED) std::abort();
    if (bytes >= kHugeBytes) (void)::madvise(moved, bytes, MADV_HUGEPAGE);  // small ones serve too
    slots_ = static_cast<Slot*>(moved);
    capacity_ = bytes / sizeof(Slot);
}

}  // namespace gm
