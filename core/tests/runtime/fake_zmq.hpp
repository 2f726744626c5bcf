// A libzmq of queues in memory, behind the same table: what the peer does is written in the test.
// Sockets are found by the endpoint that they connect or bind to.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "gm/runtime/zmq_table.hpp"

namespace gm::test {

using Bytes = std::vector<std::uint8_t>;

struct FakeSocket {
    int kind = 0;
    std::string endpoint;
    bool is_open = true;
    bool takes_messages = true;  // false: send answers EAGAIN
    std::deque<Bytes> to_receive;
    std::vector<Bytes> sent;
};

// One context: every socket ever made in it, in order.
struct FakeContext {
    std::vector<std::unique_ptr<FakeSocket>> sockets;
    bool takes_messages = true;  // of sockets that are opened from now on

    FakeSocket* last(const std::string& endpoint) const {
        FakeSocket* found = nullptr;
        for (const auto& socket : sockets) {
            if (socket->endpoint == endpoint) found = socket.get();
        }
        return found;
    }
};

inline FakeSocket& as_fake(void* socket) {
    return *static_cast<FakeSocket*>(socket);
}

inline ZmqTable fake_zmq_table() {
    ZmqTable zmq;
    zmq.socket = [](void* context, int kind) -> void* {
        auto& made = static_cast<FakeContext*>(context)->sockets;
        made.push_back(std::make_unique<FakeSocket>());
        made.back()->kind = kind;
        made.back()->takes_messages = static_cast<FakeContext*>(context)->takes_messages;
        return made.back().get();
    };
    zmq.close = [](void* socket) {
        as_fake(socket).is_open = false;
        return 0;
    };
    zmq.setsockopt = [](void*, int, const void*, std::size_t) { return 0; };
    zmq.getsockopt = [](void*, int, void* value, std::size_t*) {
        std::memset(value, 0, sizeof(int));  // only RCVMORE is ever asked
        return 0;
    };
    zmq.bind = zmq.connect = [](void* socket, const char* endpoint) {
        as_fake(socket).endpoint = endpoint;
        return 0;
    };
    zmq.socket_monitor = [](void*, const char*, int) { return 0; };
    zmq.send = [](void* socket, const void* data, std::size_t size, int) {
        if (!as_fake(socket).takes_messages) {
            errno = EAGAIN;
            return -1;
        }
        const auto* bytes = static_cast<const std::uint8_t*>(data);
        as_fake(socket).sent.emplace_back(bytes, bytes + size);
        return static_cast<int>(size);
    };
    zmq.recv = [](void* socket, void* data, std::size_t size, int) {
        auto& waiting = as_fake(socket).to_receive;
        if (waiting.empty()) {
            errno = EAGAIN;
            return -1;
        }
        const Bytes message = waiting.front();
        waiting.pop_front();
        std::memcpy(data, message.data(), message.size() < size ? message.size() : size);
        return static_cast<int>(message.size());
    };
    zmq.poll = [](ZmqPollItem*, int, long) { return 0; };
    zmq.error_number = [] { return errno; };
    zmq.strerror = [](int) { return "fake error"; };
    return zmq;
}

}  // namespace gm::test
