// A ZeroMQ socket that closes itself, with options that have names and calls that never block.
//
// Messages are one part (on a ROUTER: the peer's identity before it); whatever else arrives is
// read away and reported as not whole. One thread uses a socket. The option sets below are the
// rules of the five endpoints, for both of their ends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "gm/base/status.hpp"
#include "gm/runtime/zmq_table.hpp"
#include "gm/wire/record.hpp"

namespace gm {

// The largest message that is one of ours: header and 512 payloads. MAXMSGSIZE (64 KiB) is above.
inline constexpr std::size_t kFrameSizeMax = sizeof(RecordHeader) + kFrameRecordsMax * kPayloadSize;

enum class SocketKind : int { kPair = 0, kSub = 2, kDealer = 5, kRouter = 6, kXpub = 9 };

// -1: leave libzmq's default.
struct SocketOptions {
    int send_high_water = -1;
    int receive_high_water = -1;
    int linger_ms = 0;
    std::int64_t message_size_max = 64 * 1024;
    int handshake_interval_ms = 2000;
    int heartbeat_interval_ms = -1;
    int heartbeat_timeout_ms = -1;
    int reconnect_interval_ms = -1;
    int reconnect_interval_max_ms = -1;
    bool is_immediate = false;         // queue only to peers that are connected
    bool is_router_mandatory = false;  // an absent peer is an answer, not a dropped message
    bool subscribes_to_all = false;
    bool never_drops = false;  // XPUB: a full queue of a subscriber is kAgain, not a lost message
};

// Order session. A DEALER queues while its peer is away and would deliver stale orders after a
// reconnect: IMMEDIATE, 64 messages at most, no linger, 200/600 ms heartbeats.
[[nodiscard]] SocketOptions order_session_options() noexcept;  // engine, DEALER
[[nodiscard]] SocketOptions order_router_options() noexcept;   // venue, ROUTER
// Feed. In lockstep the venue publishes the open frame again when its DONE is 100 ms away: a
// subscriber that connected a moment ago may have missed it. The engine answers a repeated frame
// with DONE without stepping. Running free, what a subscriber has no room for waits at the venue:
// an engine that was away would else lose frames, connect anew and be sent it all again, for ever.
[[nodiscard]] SocketOptions feed_publisher_options() noexcept;       // venue, XPUB
[[nodiscard]] SocketOptions feed_subscriber_options() noexcept;      // engine, SUB
[[nodiscard]] SocketOptions drop_copy_publisher_options() noexcept;  // engine, XPUB
[[nodiscard]] SocketOptions service_router_options() noexcept;       // commands, control: ROUTER

enum class IoResult : std::uint8_t {
    kDone = 0,
    kAgain = 1,        // nothing to read, or the queue is full
    kUnreachable = 2,  // ROUTER_MANDATORY: no such peer
    kFailed = 3,       // the context was terminated, or the socket is broken
};

// Identity of a peer of a ROUTER; libzmq's are 5 bytes, a chosen one is up to 255.
struct Peer {
    std::array<std::uint8_t, 255> bytes;
    std::uint8_t size = 0;

    friend bool operator==(const Peer& left, const Peer& right) noexcept;
};

struct Received {
    IoResult result = IoResult::kAgain;
    std::size_t size = 0;   // of the body
    bool is_whole = false;  // one body part, and it fitted
};

class Socket {
 public:
    Socket() = default;
    ~Socket() { close(); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    Socket(Socket&& other) noexcept;
    Socket& operator=(Socket&& other) noexcept;

    // Cold. The table must outlive the socket.
    Failure open(const ZmqTable& zmq, void* context, SocketKind kind, const SocketOptions& options);
    Failure bind(const std::string& endpoint);
    Failure connect(const std::string& endpoint);
    // Events of the connection come to a PAIR that connects to `endpoint` (inproc).
    Failure monitor(const std::string& endpoint, int events);
    void close() noexcept;                     // drops what is queued (linger 0)
    void close_after(int linger_ms) noexcept;  // what is queued may still leave

    [[nodiscard]] bool is_open() const noexcept { return socket_ != nullptr; }
    // A closed socket is never ready: poll() skips negative descriptors.
    [[nodiscard]] ZmqPollItem poll_item(short events = kZmqPollIn) const noexcept {
        return {socket_, -1, events, 0};
    }

    // One-part messages. Never block.
    [[nodiscard]] IoResult send(std::span<const std::uint8_t> body) noexcept;
    [[nodiscard]] Received receive(std::span<std::uint8_t> body) noexcept;
    // The same on a ROUTER.
    [[nodiscard]] IoResult send_to(const Peer& peer, std::span<const std::uint8_t> body) noexcept;
    [[nodiscard]] Received receive_from(Peer& peer, std::span<std::uint8_t> body) noexcept;

 private:
    [[nodiscard]] IoResult result_of_error() const noexcept;
    [[nodiscard]] bool has_more() const noexcept;
    [[nodiscard]] Received receive_body(std::span<std::uint8_t> body) noexcept;
    [[nodiscard]] IoResult send_part(std::span<const std::uint8_t> part, int flags) noexcept;

    const ZmqTable* zmq_ = nullptr;
    void* socket_ = nullptr;
};

// Waits until one of the items is ready, at most timeout_ms (-1: for ever). A signal ends the wait.
// Returns how many are ready; -1 when the context was terminated.
[[nodiscard]] int poll_sockets(const ZmqTable& zmq, std::span<ZmqPollItem> items,
                               long timeout_ms) noexcept;

}  // namespace gm
