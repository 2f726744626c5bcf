// libzmq's table of functions over a network in memory: that of simulated worlds, and that of tests
// with threads.
//
// The network has nodes, each of which knows it (`network`) and where its monitor listens
// (`monitored_at`), and does the work: make, close, attach, option, send, receive and poll. It
// befriends the table. Its context is the network itself.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "gm/runtime/socket.hpp"
#include "gm/runtime/zmq_table.hpp"

namespace gm {

template <typename Network>
struct MemoryTable {
    static auto& at(void* socket) noexcept { return *static_cast<typename Network::Node*>(socket); }

    static int failed(int error) noexcept {
        errno = error;
        return -1;
    }

    [[nodiscard]] static ZmqTable make() noexcept {
        ZmqTable zmq;
        zmq.socket = [](void* context, int kind) -> void* {
            return static_cast<Network*>(context)->make(static_cast<SocketKind>(kind));
        };
        zmq.close = [](void* socket) { return at(socket).network->close(at(socket)); };
        zmq.setsockopt = [](void*, int, const void*, std::size_t) { return 0; };
        // An option that it does not have is below 0: no descriptor, so zmq_poll it is.
        zmq.getsockopt = [](void* socket, int option, void* value, std::size_t*) {
            const int found = at(socket).network->option(at(socket), option);
            if (found < 0) return failed(EINVAL);
            std::memcpy(value, &found, sizeof found);
            return 0;
        };
        zmq.bind = [](void* socket, const char* endpoint) {
            return at(socket).network->attach(at(socket), endpoint, true);
        };
        zmq.connect = [](void* socket, const char* endpoint) {
            return at(socket).network->attach(at(socket), endpoint, false);
        };
        zmq.socket_monitor = [](void* socket, const char* endpoint, int) {
            at(socket).monitored_at = endpoint;
            return 0;
        };
        zmq.send = [](void* socket, const void* data, std::size_t size, int flags) {
            constexpr int kSendMore = 2;
            const bool has_more = (flags & kSendMore) != 0;
            return at(socket).network->send(at(socket), data, size, has_more);
        };
        zmq.recv = [](void* socket, void* data, std::size_t size, int) {
            return at(socket).network->receive(at(socket), data, size);
        };
        zmq.poll = [](ZmqPollItem* items, int count, long timeout_ms) {
            for (int i = 0; i < count; ++i) {
                if (items[i].socket == nullptr) continue;
                return at(items[i].socket).network->poll(items, count, timeout_ms);
            }
            return 0;
        };
        zmq.error_number = [] { return errno; };
        zmq.strerror = [](int) { return "network in memory"; };
        return zmq;
    }
};

}  // namespace gm
