// A network in memory under the table of libzmq's functions that engine and venue call.
//
// It keeps what they rely on: a DEALER sends only while it is connected (IMMEDIATE) and queues at
// most 64 messages; a ROUTER knows whom it cannot reach; a SUB that connects is reported to its
// XPUB; a lost link is reported to the monitor and to nobody else; what was handed over before a
// close may still arrive. Messages of a link arrive in their order unless a fault says otherwise,
// each behind a delay of its own. One thread; the context is the network itself.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gm/runtime/socket.hpp"
#include "gm/runtime/zmq_table.hpp"
#include "gm/simulation/event_queue.hpp"
#include "gm/simulation/faults.hpp"

namespace gm {

template <typename Network>
struct MemoryTable;

enum class Party : std::uint8_t { kEngine = 0, kVenue = 1 };
// What travels where.
enum class Lane : std::uint8_t { kFeed = 0, kReply = 1, kOrder = 2 };

class SimulatedNetwork {
 public:
    // What the world wants to know. All of them get `context`.
    struct Hooks {
        void* context = nullptr;
        void (*wake)(void* context, Party party) = nullptr;  // something can be read or written
        // A frame leaves the engine for the venue; called before anything can happen to it.
        void (*sent)(void* context, std::span<const std::uint8_t> frame) = nullptr;
        // A frame of the feed or a reply reached the engine's socket.
        void (*arrived)(void* context, Lane lane, std::span<const std::uint8_t> frame) = nullptr;
        // The engine's process calls, and may die here; or it takes an event of the feed, and
        // somebody else does something before it can send what follows.
        void (*operation)(void* context, bool takes_feed) = nullptr;
    };

    SimulatedNetwork(EventQueue& events, Random& random, Faults& faults, const Hooks& hooks);
    ~SimulatedNetwork();
    SimulatedNetwork(const SimulatedNetwork&) = delete;
    SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;

    [[nodiscard]] static ZmqTable table() noexcept;
    [[nodiscard]] static std::string feed_endpoint() { return "sim://feed"; }

    // Whose calls come now. A mute process is dead and does not know it: what it sends is nowhere.
    void act_as(Party party) noexcept { party_ = party; }
    void mute(bool is_mute) noexcept { is_mute_ = is_mute; }
    // What the last zmq_poll of the acting party would have waited for at most; 0 without one.
    [[nodiscard]] long take_timeout_ms() noexcept;

    void on_event(const Event& event);
    // Nothing arrives for so long; links whose heartbeats do not come are lost.
    void partition(std::int64_t duration_ns);
    void disconnect();  // the order session, at once
    void set_delay_max(std::int64_t delay_ns) noexcept { delay_ns_max_ = delay_ns; }

 private:
    struct Link;
    struct Node;
    struct Message {
        std::vector<std::uint8_t> body;
        std::uint32_t link = 0;
        bool is_to_server = false;
    };

    friend struct MemoryTable<SimulatedNetwork>;
    Node* make(SocketKind kind);
    int close(Node& node);
    int attach(Node& node, const std::string& endpoint, bool is_bound);
    [[nodiscard]] int option(const Node& node, int option) const noexcept;
    int send(Node& node, const void* data, std::size_t size, bool has_more);
    int send_body(Node& node, std::span<const std::uint8_t> body);
    int receive(Node& node, void* data, std::size_t room);
    [[nodiscard]] short events_of(const Node& node) const noexcept;
    int poll(ZmqPollItem* items, int count, long timeout_ms) noexcept;
    [[nodiscard]] Node* find_bound(const std::string& endpoint) noexcept;
    [[nodiscard]] Link* link_of(std::uint32_t id) noexcept;
    void try_to_connect(Link& link);
    void lose(Link& link, bool tells_client);
    void tell_subscription(Link& link, bool is_there);
    void post(Link& link, bool is_to_server, std::span<const std::uint8_t> body);
    void post_once(Link& link, bool is_to_server, std::span<const std::uint8_t> body,
                   std::int64_t due_ns);
    void deliver(std::uint32_t index);
    [[nodiscard]] static Lane lane_of(const Link& link, bool is_to_server) noexcept;
    [[nodiscard]] static bool may_fail(std::span<const std::uint8_t> body) noexcept;

    EventQueue& events_;
    Random& random_;
    Faults& faults_;
    Hooks hooks_;
    Party party_ = Party::kEngine;
    bool is_mute_ = false;
    long timeout_ms_[2] = {};
    std::int64_t delay_ns_max_ = 2'000'000;
    std::int64_t partition_until_ns_ = 0;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<std::unique_ptr<Link>> links_;  // by id - 1
    std::deque<Message> messages_;
    std::vector<std::uint32_t> free_messages_;
};

}  // namespace gm
