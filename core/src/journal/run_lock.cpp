// flock, and the holder's process id in the file for whoever is turned away.
#include "gm/journal/run_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "gm/journal/journal_file.hpp"

namespace gm {

namespace {

std::string holder_of(int descriptor) {
    std::array<char, 24> text{};
    const ssize_t count = ::pread(descriptor, text.data(), text.size() - 1, 0);
    if (count <= 0) return "another process";
    const std::string line(text.data(), static_cast<std::size_t>(count));
    return "process " + line.substr(0, line.find('\n'));
}

}  // namespace

Failure RunLock::acquire(const std::string& run_directory) {
    release();
    Failure failure = make_folder(run_directory);
    if (!failure.is_ok()) return failure;
    const std::string path = run_directory + "/engine.lock";
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return system_failure("open", path, errno);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        failure = error == EWOULDBLOCK
                      ? fail(Status::kJournalLocked, path + " is held by " + holder_of(descriptor))
                      : system_failure("lock", path, error);
        ::close(descriptor);
        return failure;
    }
    const std::string text = std::to_string(::getpid()) + "\n";
    const bool noted =
        ::ftruncate(descriptor, 0) == 0 &&
        ::pwrite(descriptor, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
    if (!noted) {
        failure = system_failure("write", path, errno);
        ::close(descriptor);
        return failure;
    }
    descriptor_ = descriptor;
    return ok();
}

void RunLock::release() noexcept {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

}  // namespace gm
