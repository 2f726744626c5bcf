#include "gm/runtime/socket_wait.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "gm/runtime/socket.hpp"

namespace gm {
namespace {

constexpr int kDescriptor = 14;  // ZMQ_FD
constexpr int kEvents = 15;      // ZMQ_EVENTS

// False: the socket cannot say, or its context was terminated. zmq_poll knows which.
bool ask(const ZmqTable& zmq, void* socket, int option, int& out) noexcept {
    std::size_t size = sizeof out;
    return zmq.getsockopt(socket, option, &out, &size) == 0;
}

}  // namespace

int wait_for_sockets(const ZmqTable& zmq, std::span<ZmqPollItem> items, long timeout_ms) noexcept {
    std::array<pollfd, kWaitItemsMax> files{};
    const std::size_t count = std::min(items.size(), kWaitItemsMax);
    int ready = 0;
    for (std::size_t i = 0; i < count; ++i) {
        ZmqPollItem& item = items[i];
        item.revents = 0;
        files[i] = {item.fd, POLLIN, 0};
        if (item.socket == nullptr) continue;  // a plain descriptor, or a closed socket: -1
        int events = 0;
        if (!ask(zmq, item.socket, kDescriptor, files[i].fd) ||
            !ask(zmq, item.socket, kEvents, events)) {
            return poll_sockets(zmq, items, timeout_ms);
        }
        item.revents = static_cast<short>(events & item.events);
        ready += item.revents != 0;
    }
    const int woken = ::poll(files.data(), count, ready > 0 ? 0 : static_cast<int>(timeout_ms));
    if (woken < 0) return errno == EINTR ? ready : -1;
    for (std::size_t i = 0; i < count; ++i) {
        if (files[i].revents == 0 || items[i].revents != 0) continue;
        items[i].revents = items[i].events;
        ++ready;
    }
    return ready;
}

}  // namespace gm
