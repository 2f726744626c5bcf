#include "gm/runtime/socket.hpp"

#include <cerrno>
#include <cstring>
#include <utility>

namespace gm {
namespace {

// Option and flag numbers of zmq.h.
enum ZmqOption : int {
    kSubscribe = 6,
    kReceiveMore = 13,
    kEvents = 15,
    kLinger = 17,
    kReconnectInterval = 18,
    kReconnectIntervalMax = 21,
    kMessageSizeMax = 22,
    kSendHighWater = 23,
    kReceiveHighWater = 24,
    kRouterMandatory = 33,
    kImmediate = 39,
    kHandshakeInterval = 66,
    kHeartbeatInterval = 75,
    kHeartbeatTimeout = 77,
};
constexpr int kDoNotWait = 1;
constexpr int kSendMore = 2;
constexpr int kPartsMax = 64;  // of a foreign message, read away; the rest comes as a new message

}  // namespace

SocketOptions order_session_options() noexcept {
    SocketOptions options;
    options.is_immediate = true;
    options.send_high_water = 64;
    options.heartbeat_interval_ms = 200;
    options.heartbeat_timeout_ms = 600;
    options.reconnect_interval_ms = 5;
    options.reconnect_interval_max_ms = 100;
    return options;
}

SocketOptions order_router_options() noexcept {
    SocketOptions options;
    options.is_router_mandatory = true;
    options.heartbeat_interval_ms = 200;
    options.heartbeat_timeout_ms = 600;
    return options;
}

SocketOptions feed_publisher_options() noexcept {
    SocketOptions options;
    // What a second at 50,000 messages/s brings and more: an engine that starts is told at once all
    // that happened while it was dead, and what does not fit would be a hole to it.
    options.send_high_water = 1 << 16;
    return options;
}

SocketOptions feed_subscriber_options() noexcept {
    SocketOptions options;
    options.subscribes_to_all = true;
    options.heartbeat_interval_ms = 200;
    options.heartbeat_timeout_ms = 600;
    options.reconnect_interval_ms = 5;
    options.reconnect_interval_max_ms = 100;
    return options;
}

SocketOptions drop_copy_publisher_options() noexcept {
    return SocketOptions{};
}

SocketOptions service_router_options() noexcept {
    SocketOptions options;
    options.is_router_mandatory = true;
    return options;
}

bool operator==(const Peer& left, const Peer& right) noexcept {
    return left.size == right.size &&
           std::memcmp(left.bytes.data(), right.bytes.data(), left.size) == 0;
}

Socket::Socket(Socket&& other) noexcept
    : zmq_(other.zmq_), socket_(std::exchange(other.socket_, nullptr)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
    if (this != &other) {
        close();
        zmq_ = other.zmq_;
        socket_ = std::exchange(other.socket_, nullptr);
    }
    return *this;
}

Failure Socket::open(const ZmqTable& zmq, void* context, SocketKind kind,
                     const SocketOptions& options) {
    close();
    zmq_ = &zmq;
    socket_ = zmq.socket(context, static_cast<int>(kind));
    if (socket_ == nullptr) return zmq_failure(zmq, "zmq_socket");

    struct Setting {
        int option;
        int value;
        bool is_set;
    };
    const Setting settings[] = {
        {kLinger, options.linger_ms, options.linger_ms >= 0},
        {kSendHighWater, options.send_high_water, options.send_high_water >= 0},
        {kReceiveHighWater, options.receive_high_water, options.receive_high_water >= 0},
        {kHandshakeInterval, options.handshake_interval_ms, options.handshake_interval_ms >= 0},
        {kHeartbeatInterval, options.heartbeat_interval_ms, options.heartbeat_interval_ms >= 0},
        {kHeartbeatTimeout, options.heartbeat_timeout_ms, options.heartbeat_timeout_ms >= 0},
        {kReconnectInterval, options.reconnect_interval_ms, options.reconnect_interval_ms >= 0},
        {kReconnectIntervalMax, options.reconnect_interval_max_ms,
         options.reconnect_interval_max_ms >= 0},
        {kImmediate, 1, options.is_immediate},
        {kRouterMandatory, 1, options.is_router_mandatory},
    };
    for (const Setting& setting : settings) {
        if (!setting.is_set) continue;
        if (zmq.setsockopt(socket_, setting.option, &setting.value, sizeof setting.value) != 0) {
            Failure failure = zmq_failure(zmq, "zmq_setsockopt " + std::to_string(setting.option) +
                                                   " to " + std::to_string(setting.value));
            close();
            return failure;
        }
    }
    const std::int64_t size_max = options.message_size_max;
    if (zmq.setsockopt(socket_, kMessageSizeMax, &size_max, sizeof size_max) != 0 ||
        (options.subscribes_to_all && zmq.setsockopt(socket_, kSubscribe, "", 0) != 0)) {
        Failure failure = zmq_failure(zmq, "zmq_setsockopt");
        close();
        return failure;
    }
    return ok();
}

Failure Socket::bind(const std::string& endpoint) {
    if (zmq_->bind(socket_, endpoint.c_str()) != 0) return zmq_failure(*zmq_, "bind " + endpoint);
    return ok();
}

Failure Socket::connect(const std::string& endpoint) {
    if (zmq_->connect(socket_, endpoint.c_str()) != 0) {
        return zmq_failure(*zmq_, "connect " + endpoint);
    }
    return ok();
}

Failure Socket::monitor(const std::string& endpoint, int events) {
    if (zmq_->socket_monitor(socket_, endpoint.c_str(), events) != 0) {
        return zmq_failure(*zmq_, "monitor " + endpoint);
    }
    return ok();
}

void Socket::close_after(int linger_ms) noexcept {
    if (socket_ == nullptr) return;
    (void)zmq_->setsockopt(socket_, kLinger, &linger_ms, sizeof linger_ms);
    close();
}

void Socket::close() noexcept {
    if (socket_ == nullptr) return;
    (void)zmq_->close(socket_);  // fails only for what is not a socket
    socket_ = nullptr;
}

IoResult Socket::result_of_error() const noexcept {
    switch (zmq_->error_number()) {
        case EAGAIN:
        case EINTR: return IoResult::kAgain;
        case EHOSTUNREACH: return IoResult::kUnreachable;
        default: return IoResult::kFailed;
    }
}

bool Socket::has_more() const noexcept {
    int more = 0;
    std::size_t size = sizeof more;
    return zmq_->getsockopt(socket_, kReceiveMore, &more, &size) == 0 && more != 0;
}

// A full queue is believed only the second time. While a socket merely sends and reads without
// waiting, libzmq looks for its peer's credits at most every 3 million cycles, so that a queue
// which is long empty can look full (measured: in one lockstep step of 300). Asking for
// events makes it look.
IoResult Socket::send_part(std::span<const std::uint8_t> part, int flags) noexcept {
    if (zmq_->send(socket_, part.data(), part.size(), flags | kDoNotWait) >= 0) {
        return IoResult::kDone;
    }
    const IoResult first = result_of_error();
    if (first != IoResult::kAgain) return first;
    int events = 0;
    std::size_t size = sizeof events;
    (void)zmq_->getsockopt(socket_, kEvents, &events, &size);
    const int sent = zmq_->send(socket_, part.data(), part.size(), flags | kDoNotWait);
    return sent >= 0 ? IoResult::kDone : result_of_error();
}

IoResult Socket::send(std::span<const std::uint8_t> body) noexcept {
    return send_part(body, 0);
}

IoResult Socket::send_to(const Peer& peer, std::span<const std::uint8_t> body) noexcept {
    const IoResult named = send_part({peer.bytes.data(), peer.size}, kSendMore);
    if (named != IoResult::kDone) return named;
    // The first part has reserved the peer's pipe: the second cannot find it full.
    return send_part(body, 0);
}

Received Socket::receive_body(std::span<std::uint8_t> body) noexcept {
    const int size = zmq_->recv(socket_, body.data(), body.size(), kDoNotWait);
    if (size < 0) return {result_of_error(), 0, false};
    Received received{IoResult::kDone, static_cast<std::size_t>(size),
                      static_cast<std::size_t>(size) <= body.size()};
    std::uint8_t rest[1];
    for (int part = 0; part < kPartsMax && has_more(); ++part) {
        received.is_whole = false;
        if (zmq_->recv(socket_, rest, sizeof rest, kDoNotWait) < 0) break;
    }
    return received;
}

Received Socket::receive(std::span<std::uint8_t> body) noexcept {
    return receive_body(body);
}

Received Socket::receive_from(Peer& peer, std::span<std::uint8_t> body) noexcept {
    const int size = zmq_->recv(socket_, peer.bytes.data(), peer.bytes.size(), kDoNotWait);
    if (size < 0) return {result_of_error(), 0, false};
    peer.size = static_cast<std::uint8_t>(size);  // libzmq: 1 to 255
    if (!has_more()) return {IoResult::kDone, 0, false};
    return receive_body(body);
}

int poll_sockets(const ZmqTable& zmq, std::span<ZmqPollItem> items, long timeout_ms) noexcept {
    const int ready = zmq.poll(items.data(), static_cast<int>(items.size()), timeout_ms);
    if (ready >= 0) return ready;
    return zmq.error_number() == EINTR ? 0 : -1;
}

}  // namespace gm
