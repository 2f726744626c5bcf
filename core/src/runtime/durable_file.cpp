#include "gm/runtime/durable_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "gm/journal/journal_file.hpp"

namespace gm {
Failure write_durably(const std::string& path, std::span<const std::uint8_t> bytes) {
    const std::string draft = path + ".new";
    const int file = ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return system_failure("open", draft, errno);
    std::size_t at = 0;
    while (at < bytes.size()) {  // bounded: each write takes something or fails
        const ssize_t written = ::write(file, bytes.data() + at, bytes.size() - at);
        if (written <= 0) break;
        at += static_cast<std::size_t>(written);
    }
    const bool is_written = at == bytes.size() && fsync(file) == 0;
    const int error = errno;
    ::close(file);
    if (!is_written) return system_failure("write", draft, error);
    if (rename(draft.c_str(), path.c_str()) != 0) return system_failure("rename", draft, errno);
    return sync_folder_of(path);
}

}  // namespace gm
