// Promise: the region is mapped, zero, resident and guarded, and its report is what smaps says.
#include "gm/base/memory_region.hpp"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

using gm::MemoryRegion;
using gm::PageSource;

namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20;

// The sanitizers' run-time replaces mlock by one that does nothing and succeeds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kIsMlockReplaced = true;
#else
constexpr bool kIsMlockReplaced = false;
#endif

bool is_zero(std::span<const std::byte> bytes) {
    return std::all_of(bytes.begin(), bytes.end(),
                       [](std::byte byte) { return byte == std::byte{0}; });
}

// Whether a read of one byte works, asked of the kernel: write() answers EFAULT, no signal.
bool is_readable(const std::byte* address) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const bool is_good = write(ends[1], address, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return is_good;
}

bool are_all_resident(const MemoryRegion& region) {
    std::vector<unsigned char> pages(region.obtained().bytes / 4096);
    if (mincore(region.bytes().data(), region.obtained().bytes, pages.data()) != 0) return false;
    return std::all_of(pages.begin(), pages.end(), [](auto page) { return (page & 1) != 0; });
}

}  // namespace

TEST_CASE("a region has the size asked for, is zero and aligned") {
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{65535},
                                   std::size_t{65536}, 2 * kMebibyte, 8 * kMebibyte + 128}) {
        CAPTURE(size);
        MemoryRegion region;
        REQUIRE(region.open(size).is_ok());
        CHECK(region.bytes().size() == size);
        CHECK(is_zero(region.bytes()));
        const auto address = reinterpret_cast<std::uintptr_t>(region.bytes().data());
        CHECK(address % (size >= gm::kHugePageRegionMin ? 2 * kMebibyte : 4096) == 0);
        CHECK(region.obtained().bytes >= size);
        std::memset(region.bytes().data(), 0xa5, size);
    }
}

TEST_CASE("every page is resident before the first use") {
    MemoryRegion region;
    REQUIRE(region.open(4 * kMebibyte).is_ok());
    CHECK(are_all_resident(region));
}

TEST_CASE(
    "without the right to lock, every page is resident all the same and the report says why") {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {  // rights are given up here and nowhere else
        const rlimit none = {0, 0};
        bool is_good = setrlimit(RLIMIT_MEMLOCK, &none) == 0;
        if (geteuid() == 0) is_good = is_good && setuid(65534) == 0;
        MemoryRegion region;
        is_good = is_good && region.open(4 * kMebibyte).is_ok() && are_all_resident(region);
        const gm::ObtainedMemory& obtained = region.obtained();
        const bool is_refused = !obtained.is_locked && obtained.lock_errno != 0 &&
                                obtained.text().find("not locked: ") != std::string::npos;
        is_good = is_good && (is_refused || kIsMlockReplaced);
        _exit(is_good ? 0 : 1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(status == 0);
}

TEST_CASE("the report is consistent and reads well") {
    MemoryRegion region;
    CHECK(region.obtained().text() == "no memory");
    REQUIRE(region.open(8 * kMebibyte).is_ok());
    const gm::ObtainedMemory& obtained = region.obtained();
    MESSAGE(obtained.text());
    CHECK(obtained.bytes == 8 * kMebibyte);
    CHECK(obtained.huge_bytes <= obtained.bytes);
    CHECK(obtained.huge_bytes % (2 * kMebibyte) == 0);
    CHECK(obtained.is_locked == (obtained.lock_errno == 0));
    CHECK((obtained.source == PageSource::kPool) == (obtained.pool_errno == 0));
    if (obtained.source == PageSource::kPool) CHECK(obtained.huge_bytes == obtained.bytes);
    CHECK(obtained.text().starts_with("8.0 MiB, "));
    CHECK(obtained.text().find("locked") != std::string::npos);
}

TEST_CASE("neighbouring regions do not count each other's pages") {
    std::vector<MemoryRegion> regions(4);
    for (MemoryRegion& region : regions) {
        REQUIRE(region.open(2 * kMebibyte).is_ok());
        CHECK(region.obtained().huge_bytes <= 2 * kMebibyte);
    }
}

TEST_CASE("the bytes just outside are not accessible") {
    MemoryRegion region;
    for (const std::size_t size : {std::size_t{4096}, 2 * kMebibyte}) {
        REQUIRE(region.open(size).is_ok());
        const std::byte* first = region.bytes().data();
        CHECK(is_readable(first));
        CHECK(is_readable(first + region.obtained().bytes - 1));
        CHECK_FALSE(is_readable(first - 1));
        CHECK_FALSE(is_readable(first + region.obtained().bytes));
    }
}

TEST_CASE("moving hands the memory over and closing gives it back") {
    MemoryRegion region;
    REQUIRE(region.open(4096).is_ok());
    std::byte* first = region.bytes().data();
    *first = std::byte{7};
    MemoryRegion moved(std::move(region));
    CHECK_FALSE(region.is_open());  // NOLINT(bugprone-use-after-move): the promise under test
    CHECK(region.bytes().empty());
    CHECK(moved.bytes().data() == first);
    CHECK(*first == std::byte{7});
    MemoryRegion other;
    REQUIRE(other.open(8192).is_ok());
    other = std::move(moved);
    CHECK(other.bytes().size() == 4096);
    other.close();
    CHECK_FALSE(other.is_open());
    CHECK_FALSE(is_readable(first));
}

TEST_CASE("sizes that make no sense are refused with their value") {
    MemoryRegion region;
    CHECK(region.open(0).status == gm::Status::kBadArgument);
    const gm::Failure failure = region.open(SIZE_MAX);
    CHECK(failure.status == gm::Status::kBadArgument);
    CHECK(failure.text.find(std::to_string(SIZE_MAX)) != std::string::npos);
    CHECK_FALSE(region.is_open());
}
