#include "gm/runtime/endpoints.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "gm/base/sha256.hpp"

namespace gm {
namespace {

constexpr std::size_t kNameBytes = 6;  // of the digest: 12 hexadecimal digits
constexpr mode_t kOwnerOnly = 0700;

std::string first_hex_digits(const Sha256Digest& digest) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (std::size_t i = 0; i < kNameBytes; ++i) {
        text += kDigits[digest[i] >> 4];
        text += kDigits[digest[i] & 15];
    }
    return text;
}

// Absolute and without "." and "..", as os.path.abspath: the same name for every process, whether
// the directory exists yet or not.
Failure absolute_path(const std::string& path, std::string& out) {
    std::error_code error;
    std::filesystem::path absolute = std::filesystem::absolute(path, error);
    if (path.empty() || error) {
        return fail(Status::kBadArgument,
                    "run_dir is not a path: '" + path + "'" +
                        (error ? " (" + error.message() + ")" : std::string()));
    }
    std::string text = absolute.lexically_normal().string();
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    out = text;
    return ok();
}

Failure system_failure(const std::string& what, const std::string& path) {
    return fail(Status::kSystemCallFailed,
                what + " " + path + ": " + std::generic_category().message(errno));
}

Failure check_private(const std::string& path) {
    struct stat found{};
    if (lstat(path.c_str(), &found) != 0) return system_failure("lstat", path);
    if (!S_ISDIR(found.st_mode)) {
        return fail(Status::kBadArgument, "runtime directory is not a directory: " + path);
    }
    if (found.st_uid != geteuid()) {
        return fail(Status::kBadArgument, "runtime directory belongs to uid " +
                                              std::to_string(found.st_uid) + ", not to " +
                                              std::to_string(geteuid()) + ": " + path);
    }
    if ((found.st_mode & 077) != 0) {
        return fail(Status::kBadArgument,
                    "runtime directory is open to others (mode must be "
                    "0700): " +
                        path);
    }
    return ok();
}

}  // namespace

std::string socket_path(const std::string& endpoint) {
    constexpr std::string_view kScheme = "ipc://";
    return endpoint.starts_with(kScheme) ? endpoint.substr(kScheme.size()) : std::string();
}

Failure find_endpoints(const std::string& run_dir, const std::string& runtime_directory,
                       Endpoints& out) {
    Endpoints found;
    if (Failure failure = absolute_path(run_dir, found.run_dir); !failure.is_ok()) return failure;
    found.runtime_dir = runtime_directory.substr(0, runtime_directory.find(':'));
    if (found.runtime_dir.empty()) {
        found.runtime_dir = "/dev/shm/gm-" + std::to_string(getuid()) + "-" +
                            first_hex_digits(sha256(found.run_dir.data(), found.run_dir.size()));
    } else if (Failure failure = absolute_path(found.runtime_dir, found.runtime_dir);
               !failure.is_ok()) {
        return failure;
    }
    const std::string base = found.runtime_dir + "/";
    found.feed = "ipc://" + base + "feed";
    found.orders = "ipc://" + base + "orders";
    found.commands = "ipc://" + base + "commands";
    found.dropcopy = "ipc://" + base + "dropcopy";
    found.control = "ipc://" + base + "control";
    for (const std::string* endpoint :
         {&found.feed, &found.orders, &found.commands, &found.dropcopy, &found.control}) {
        const std::string path = socket_path(*endpoint);
        if (path.size() > kSocketPathSizeMax) {
            return fail(Status::kBadArgument, "socket path has " + std::to_string(path.size()) +
                                                  " bytes, at most " +
                                                  std::to_string(kSocketPathSizeMax) + ": " + path);
        }
    }
    found.ring_path = base + "journal.ring";
    found.status_path = base + "status";
    found.kill_path = base + "kill";
    found.settings_path = found.run_dir + "/settings.bin";
    out = found;
    return ok();
}

Failure make_directories(const Endpoints& endpoints) {
    std::error_code error;
    std::filesystem::create_directories(endpoints.run_dir, error);
    if (error) {
        return fail(Status::kSystemCallFailed,
                    "cannot make run_dir " + endpoints.run_dir + ": " + error.message());
    }
    if (mkdir(endpoints.runtime_dir.c_str(), kOwnerOnly) != 0 && errno != EEXIST) {
        return system_failure("mkdir", endpoints.runtime_dir);
    }
    return check_private(endpoints.runtime_dir);
}

}  // namespace gm
