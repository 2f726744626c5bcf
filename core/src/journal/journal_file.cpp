// System calls of the journal, each turned into a sentence when it fails.
#include "gm/journal/journal_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace gm {

namespace {

constexpr std::size_t kZeroBytes = 64U << 10;

}  // namespace

Failure system_failure(const char* action, const std::string& path, int error) {
    return fail(Status::kSystemCallFailed, std::string("cannot ") + action + " " + path + ": " +
                                               std::generic_category().message(error));
}

Failure sync_folder_of(const std::string& path) {
    const std::string parent = std::filesystem::path(path).parent_path().string();
    const std::string folder = parent.empty() ? "." : parent;
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return system_failure("open", folder, errno);
    const int error = ::fsync(descriptor) == 0 ? 0 : errno;
    ::close(descriptor);
    return error == 0 ? ok() : system_failure("sync", folder, error);
}

Failure remove_durably(const std::string& path, FileHook hook) {
    const FileAccess access{FileOperation::kRemove, path, {}, 0, {}};
    const bool is_allowed = hook.allow == nullptr || hook.allow(hook.context, access) != 0;
    if (!is_allowed) return system_failure("remove", path, hook.error);
    if (::unlink(path.c_str()) != 0) return system_failure("remove", path, errno);
    return sync_folder_of(path);
}

Failure make_folder(const std::string& path) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return ok();
    std::filesystem::create_directories(path, error);
    if (error) return system_failure("make the folder", path, error.value());
    std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
    if (error) return system_failure("set the mode of", path, error.value());
    return ok();
}

bool exists(const std::string& path) {
    std::error_code error;
    return std::filesystem::exists(path, error);
}

JournalFile::JournalFile(JournalFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      hook_(other.hook_) {}

JournalFile& JournalFile::operator=(JournalFile&& other) noexcept {
    if (this != &other) {
        close();
        descriptor_ = std::exchange(other.descriptor_, -1);
        path_ = std::move(other.path_);
        hook_ = other.hook_;
    }
    return *this;
}

Failure JournalFile::failed(const char* action, int error) const {
    return system_failure(action, path_, error);
}

std::size_t JournalFile::allowed(const FileAccess& access, std::size_t wanted) const {
    return hook_.allow == nullptr ? wanted : hook_.allow(hook_.context, access);
}

bool JournalFile::is_allowed(FileOperation operation, std::string_view new_path) const {
    return allowed({operation, path_, new_path, 0, {}}, 1) != 0;
}

Failure JournalFile::open_as(const std::string& path, int flags, FileHook hook) {
    close();
    path_ = path;
    hook_ = hook;
    descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (descriptor_ < 0) return failed("open", errno);
    return ok();
}

Failure JournalFile::open_to_read(const std::string& path) {
    return open_as(path, O_RDONLY | O_NONBLOCK, FileHook{});  // a pipe must not hang us
}

Failure JournalFile::open_to_write(const std::string& path, FileHook hook) {
    return open_as(path, O_RDWR, hook);
}

Failure JournalFile::create(const std::string& path, FileHook hook) {
    return open_as(path, O_RDWR | O_CREAT | O_TRUNC, hook);
}

void JournalFile::close() noexcept {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

Failure JournalFile::allocate(std::uint64_t bytes) {
    const int error = is_allowed(FileOperation::kReserve)
                          ? ::posix_fallocate(descriptor_, 0, static_cast<off_t>(bytes))
                          : hook_.error;
    if (error != 0) {
        return failed(("reserve " + std::to_string(bytes) + " bytes for").c_str(), error);
    }
    return ok();
}

Failure JournalFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::size_t wanted = bytes.size();
    const std::size_t total = allowed({FileOperation::kWrite, path_, {}, offset, bytes}, wanted);
    std::size_t done = 0;
    while (done < total) {  // bounded: each pass writes at least a byte, or returns
        const ssize_t wrote = ::pwrite(descriptor_, bytes.data() + done, total - done,
                                       static_cast<off_t>(offset + done));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return failed("write", wrote < 0 ? errno : ENOSPC);
        done += static_cast<std::size_t>(wrote);
    }
    return total == wanted ? ok() : failed("write", hook_.error);
}

Failure JournalFile::write_zeros(std::uint64_t offset, std::uint64_t bytes) {
    static constexpr std::array<std::byte, kZeroBytes> kZeros{};
    for (std::uint64_t done = 0; done < bytes;) {
        const std::size_t count = std::min<std::uint64_t>(kZeroBytes, bytes - done);
        Failure failure = write_at(offset + done, std::span(kZeros).first(count));
        if (!failure.is_ok()) return failure;
        done += count;
    }
    // A hint: what it could not start, the next sync does.
    (void)::sync_file_range(descriptor_, static_cast<off64_t>(offset), static_cast<off64_t>(bytes),
                            SYNC_FILE_RANGE_WRITE);
    return ok();
}

Failure JournalFile::read_at(std::uint64_t offset, std::span<std::byte> out,
                             std::size_t& got) const {
    got = 0;
    while (got < out.size()) {  // bounded: each pass reads at least a byte, or returns
        const ssize_t count = ::pread(descriptor_, out.data() + got, out.size() - got,
                                      static_cast<off_t>(offset + got));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed("read", errno);
        if (count == 0) return ok();
        got += static_cast<std::size_t>(count);
    }
    return ok();
}

Failure JournalFile::sync() {
    if (!is_allowed(FileOperation::kSync)) return failed("sync", hook_.error);
    if (::fdatasync(descriptor_) != 0) return failed("sync", errno);
    return ok();
}

Failure JournalFile::size(std::uint64_t& bytes) const {
    struct stat status{};
    if (::fstat(descriptor_, &status) != 0) return failed("measure", errno);
    if (!S_ISREG(status.st_mode)) return failed("use as a regular file", EINVAL);
    bytes = static_cast<std::uint64_t>(status.st_size);
    return ok();
}

Failure JournalFile::rename_to(const std::string& path) {
    if (!is_allowed(FileOperation::kRename, path)) return failed("rename", hook_.error);
    if (::rename(path_.c_str(), path.c_str()) != 0) return failed("rename", errno);
    path_ = path;
    return sync_folder_of(path);
}

}  // namespace gm
