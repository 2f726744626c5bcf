// Where the processes of one run meet: the runtime directory ($RUN) and the five sockets in it.
//
// $RUN is RUNTIME_DIRECTORY when systemd sets it, else /dev/shm/gm-<uid>-<12 hex digits of the
// SHA-256 of the run directory's absolute path>: on tmpfs, mode 0700, found again from --run-dir
// alone by every process. The one implementation: Python asks here through the binding.
#pragma once

#include <string>

#include "gm/base/status.hpp"

namespace gm {

// sockaddr_un: 108 bytes with the zero at the end.
inline constexpr std::size_t kSocketPathSizeMax = 107;

struct Endpoints {
    std::string run_dir;      // absolute; holds journal/, settings.bin, gm.db: survives a reboot
    std::string runtime_dir;  // $RUN; survives the process, not a reboot
    std::string feed;         // ipc:// addresses
    std::string orders;
    std::string commands;
    std::string dropcopy;
    std::string control;
    std::string ring_path;      // journal ring, a mapping
    std::string status_path;    // status page, a mapping
    std::string kill_path;      // kill words, a mapping
    std::string settings_path;  // settings.bin
};

// Cold. Computes the paths; touches no file. `runtime_directory` is the value of RUNTIME_DIRECTORY
// (its first entry counts), empty when it is not set. A socket path over 107 bytes is refused with
// its length.
Failure find_endpoints(const std::string& run_dir, const std::string& runtime_directory,
                       Endpoints& out);

// Cold. Makes the run directory and $RUN (mode 0700) when they are not there. A $RUN that is a
// link, belongs to somebody else or is open to others is refused.
Failure make_directories(const Endpoints& endpoints);

// The path of an ipc:// address.
[[nodiscard]] std::string socket_path(const std::string& endpoint);

}  // namespace gm
