// Memory that is there before it is used: mapped, on huge pages if the machine gives any, every
// page touched, locked if allowed. And a report of what was really obtained.
//
// Fallback chain (PERFORMANCE "Machine notes"): the kernel's pool of 2 MiB pages; memory aligned
// to 2 MiB with MADV_HUGEPAGE; 4 KiB pages. Anonymous and private to the process: what must
// outlive it (the journal ring) maps a named file of its own. An inaccessible page lies on each
// side, so that running off the end stops the program instead of another structure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "gm/base/status.hpp"

namespace gm {

enum class PageSource : std::uint8_t {
    kNone,         // nothing open
    kPool,         // MAP_HUGETLB
    kTransparent,  // MADV_HUGEPAGE accepted; huge_bytes says how much came of it
    kSmall,        // 4 KiB
};

// What the kernel gave, as /proc/self/smaps says while the region is open.
struct ObtainedMemory {
    std::size_t bytes = 0;       // mapped, a multiple of the page size
    std::size_t huge_bytes = 0;  // of these, on pages of 2 MiB
    std::size_t page_bytes = 0;  // of the mapping; transparent huge pages show up in huge_bytes
    PageSource source = PageSource::kNone;
    bool is_locked = false;
    int pool_errno = 0;  // why the pool gave nothing; 0 if it did or was not asked
    int lock_errno = 0;  // why mlock failed; 0 if it did not

    // One line for people: "8.0 MiB, 8.0 MiB on transparent huge pages, locked".
    [[nodiscard]] std::string text() const;
};

// Regions below this are not worth 2 MiB pages.
inline constexpr std::size_t kHugePageRegionMin = std::size_t{64} * 1024;

class MemoryRegion {
 public:
    MemoryRegion() noexcept = default;
    ~MemoryRegion();
    MemoryRegion(MemoryRegion&& other) noexcept;
    MemoryRegion& operator=(MemoryRegion&& other) noexcept;
    MemoryRegion(const MemoryRegion&) = delete;
    MemoryRegion& operator=(const MemoryRegion&) = delete;

    // Cold. At least `size` bytes, all zero, aligned to a page at least. A second open() gives
    // back the first memory. Pages smaller than hoped and a refused lock are no failure; see
    // obtained().
    Failure open(std::size_t size);
    void close() noexcept;

    // Exactly the size asked for; the rest of the last page is not ours to use.
    [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {start_, size_}; }
    [[nodiscard]] bool is_open() const noexcept { return start_ != nullptr; }
    // Cold: reads smaps, for which the kernel walks all pages of the process, some milliseconds.
    [[nodiscard]] ObtainedMemory obtained() const;

 private:
    std::byte* start_ = nullptr;
    std::size_t size_ = 0;
    void* mapping_ = nullptr;  // with the guard pages
    std::size_t mapping_size_ = 0;
    ObtainedMemory obtained_;  // but for what only smaps knows
};

}  // namespace gm
