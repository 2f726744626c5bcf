// One open file of the journal: positioned reads and writes that are whole or a Failure.
//
// Plain reads and writes, not a mapping: a full disk, a bad sector or a file cut short under us
// comes back as an error and never as SIGBUS. Journal thread, or cold code.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "gm/base/status.hpp"

namespace gm {

enum class FileOperation : std::uint8_t { kWrite, kSync, kRename, kReserve, kRemove };

// What is about to be done to a file.
struct FileAccess {
    FileOperation operation;
    std::string_view path;
    std::string_view new_path;  // rename
    std::uint64_t offset;       // write
    std::span<const std::byte> bytes;
};

// Lets a test stand between the journal and its files: `allow` answers how many bytes of a write
// still happen, 0 or 1 for the other operations. What does not happen fails with `error`. Null in
// production.
struct FileHook {
    void* context = nullptr;
    std::size_t (*allow)(void* context, const FileAccess& access) = nullptr;
    int error = ECANCELED;
};

class JournalFile {
 public:
    JournalFile() = default;
    ~JournalFile() { close(); }
    JournalFile(JournalFile&& other) noexcept;
    JournalFile& operator=(JournalFile&& other) noexcept;
    JournalFile(const JournalFile&) = delete;
    JournalFile& operator=(const JournalFile&) = delete;

    Failure open_to_read(const std::string& path);
    Failure open_to_write(const std::string& path, FileHook hook);  // must exist
    Failure create(const std::string& path, FileHook hook);         // empty, mode 0600
    void close() noexcept;

    // Reserves the bytes on the disk, so that a full disk is found here and not by a later write.
    Failure allocate(std::uint64_t bytes);
    Failure write_at(std::uint64_t offset, std::span<const std::byte> bytes);
    // Zeros are handed to the disk at once, so that no later sync has to wait for all of them.
    Failure write_zeros(std::uint64_t offset, std::uint64_t bytes);
    // Reads up to out.size() bytes; `got` is less only at the end of the file.
    Failure read_at(std::uint64_t offset, std::span<std::byte> out, std::size_t& got) const;
    Failure sync();
    Failure size(std::uint64_t& bytes) const;
    Failure rename_to(const std::string& path);  // and makes the new name durable

    [[nodiscard]] bool is_open() const noexcept { return descriptor_ >= 0; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
    Failure open_as(const std::string& path, int flags, FileHook hook);
    [[nodiscard]] std::size_t allowed(const FileAccess& access, std::size_t wanted) const;
    [[nodiscard]] bool is_allowed(FileOperation operation, std::string_view new_path = {}) const;
    [[nodiscard]] Failure failed(const char* action, int error) const;

    int descriptor_ = -1;
    std::string path_;
    FileHook hook_;
};

// The folder and its parents, mode 0700 where they are made.
Failure make_folder(const std::string& path);
[[nodiscard]] bool exists(const std::string& path);
// "cannot <action> <path>: <reason>" for a failed system call.
[[nodiscard]] Failure system_failure(const char* action, const std::string& path, int error);
// A new or renamed file is found after a loss of power only once its folder is on the disk, too.
[[nodiscard]] Failure sync_folder_of(const std::string& path);
// A file that is gone after a loss of power, too.
[[nodiscard]] Failure remove_durably(const std::string& path, FileHook hook);

}  // namespace gm
