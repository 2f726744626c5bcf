#include "gm/runtime/zmq_table.hpp"

#include <dlfcn.h>

#include <cstring>
#include <fstream>
#include <string_view>

namespace gm {
namespace {

constexpr int kNeededMajor = 4;
constexpr int kNeededMinor = 3;
constexpr int kNeededPatch = 4;

// Takes one symbol into its place in the table; remembers the first that is missing.
template <typename Function>
void resolve(void* library, const char* name, Function& out, const char*& missing) {
    static_assert(sizeof(Function) == sizeof(void*));
    void* symbol = dlsym(library, name);
    std::memcpy(&out, &symbol, sizeof out);
    if (symbol == nullptr && missing == nullptr) missing = name;
}

std::string version_text(int major, int minor, int patch) {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

bool is_old(const ZmqTable& table) {
    if (table.version_major != kNeededMajor) return table.version_major < kNeededMajor;
    if (table.version_minor != kNeededMinor) return table.version_minor < kNeededMinor;
    return table.version_patch < kNeededPatch;
}

}  // namespace

Failure resolve_zmq(const std::string& path, ZmqLibrary library, ZmqTable& out) {
    const int no_load = library == ZmqLibrary::kAlreadyLoaded ? RTLD_NOLOAD : 0;
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | no_load);
    if (handle == nullptr) {
        const char* why = dlerror();  // NOLINT(concurrency-mt-unsafe): thread-local in glibc
        return fail(Status::kZmqMissing,
                    "libzmq_path is not " +
                        std::string(no_load != 0 ? "loaded in this process" : "loadable") + ": " +
                        path + (why != nullptr ? std::string(" (") + why + ")" : std::string()));
    }
    const char* missing = nullptr;
    void (*version)(int*, int*, int*) = nullptr;
    ZmqTable table;
    resolve(handle, "zmq_version", version, missing);
    resolve(handle, "zmq_ctx_new", table.ctx_new, missing);
    resolve(handle, "zmq_ctx_term", table.ctx_term, missing);
    resolve(handle, "zmq_ctx_shutdown", table.ctx_shutdown, missing);
    resolve(handle, "zmq_socket", table.socket, missing);
    resolve(handle, "zmq_close", table.close, missing);
    resolve(handle, "zmq_setsockopt", table.setsockopt, missing);
    resolve(handle, "zmq_getsockopt", table.getsockopt, missing);
    resolve(handle, "zmq_bind", table.bind, missing);
    resolve(handle, "zmq_connect", table.connect, missing);
    resolve(handle, "zmq_send", table.send, missing);
    resolve(handle, "zmq_recv", table.recv, missing);
    resolve(handle, "zmq_poll", table.poll, missing);
    resolve(handle, "zmq_socket_monitor", table.socket_monitor, missing);
    resolve(handle, "zmq_errno", table.error_number, missing);
    resolve(handle, "zmq_strerror", table.strerror, missing);
    if (missing != nullptr) {
        return fail(Status::kZmqMissing,
                    path + " has no function " + missing + ": it is not libzmq, or a static build");
    }
    version(&table.version_major, &table.version_minor, &table.version_patch);
    if (is_old(table)) {
        return fail(
            Status::kZmqMissing,
            path + " is libzmq " +
                version_text(table.version_major, table.version_minor, table.version_patch) +
                ", needed: " + version_text(kNeededMajor, kNeededMinor, kNeededPatch) +
                " or newer");
    }
    out = table;
    return ok();
}

Failure find_loaded_zmq(std::string& path) {
    std::ifstream maps("/proc/self/maps");
    std::string line;
    while (std::getline(maps, line)) {  // bounded by the process's mappings
        const std::size_t begin = line.find('/');
        if (begin == std::string::npos) continue;
        const std::string_view file = std::string_view(line).substr(begin);
        const std::string_view name = file.substr(file.rfind('/') + 1);
        if (!name.starts_with("libzmq") || name.find(".so") == std::string_view::npos) continue;
        path = std::string(file);
        return ok();
    }
    return fail(Status::kZmqMissing,
                "no libzmq is loaded: import zmq first; if pyzmq was built with libzmq inside it, "
                "take the wheel: pip install --force-reinstall --only-binary :all: pyzmq");
}

Failure zmq_failure(const ZmqTable& zmq, const std::string& what) {
    return fail(Status::kZmqFailed, what + ": " + zmq.strerror(zmq.error_number()));
}

}  // namespace gm
