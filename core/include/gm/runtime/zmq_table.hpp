// The libzmq functions that the core needs, resolved at run time into a table that is handed in.
//
// One libzmq in the process: under Python the table points into the library that pyzmq has already
// loaded, so that inproc works between both sides and no system package is needed. Prototypes and
// constants are declared here; they are libzmq's stable ABI since 4.0. No state of its own.
// Source: zeromq.org, libzmq 4.3 API reference (zmq.h).
#pragma once

#include <cstddef>
#include <string>

#include "gm/base/status.hpp"

namespace gm {

struct ZmqPollItem {  // zmq_pollitem_t
    void* socket;
    int fd;
    short events;
    short revents;
};

inline constexpr short kZmqPollIn = 1;
inline constexpr short kZmqPollOut = 2;

struct ZmqTable {
    void* (*ctx_new)() = nullptr;
    int (*ctx_term)(void* context) = nullptr;
    int (*ctx_shutdown)(void* context) = nullptr;
    void* (*socket)(void* context, int kind) = nullptr;
    int (*close)(void* socket) = nullptr;
    int (*setsockopt)(void* socket, int option, const void* value, std::size_t size) = nullptr;
    int (*getsockopt)(void* socket, int option, void* value, std::size_t* size) = nullptr;
    int (*bind)(void* socket, const char* endpoint) = nullptr;
    int (*connect)(void* socket, const char* endpoint) = nullptr;
    int (*send)(void* socket, const void* data, std::size_t size, int flags) = nullptr;
    int (*recv)(void* socket, void* data, std::size_t size, int flags) = nullptr;
    int (*poll)(ZmqPollItem* items, int count, long timeout_ms) = nullptr;
    int (*socket_monitor)(void* socket, const char* endpoint, int events) = nullptr;
    int (*error_number)() = nullptr;
    const char* (*strerror)(int error_number) = nullptr;
    int version_major = 0;
    int version_minor = 0;
    int version_patch = 0;
};

enum class ZmqLibrary : unsigned char {
    kAlreadyLoaded = 0,  // under Python: refuses a path that is not in the process yet
    kLoad = 1,           // the native harness: loads it
};

// Cold. Fills the table from the library at `path`. Refuses libzmq older than 4.3.4, naming the
// found and the needed version. The library stays loaded until the process ends.
Failure resolve_zmq(const std::string& path, ZmqLibrary library, ZmqTable& out);

// Cold. The path of the libzmq that this process has loaded, from its memory map. A pyzmq that was
// built with libzmq inside it has none: an error that names the fix.
Failure find_loaded_zmq(std::string& path);

// Cold. kZmqFailed with what libzmq says about the last error of this thread.
Failure zmq_failure(const ZmqTable& zmq, const std::string& what);

}  // namespace gm
