#include "gm/simulation/network.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "gm/runtime/memory_table.hpp"

namespace gm {
namespace {

// Numbers of zmq.h.
constexpr int kReceiveMore = 13;
constexpr int kEvents = 15;
constexpr std::uint16_t kDisconnected = 0x0200;
constexpr std::size_t kHighWater = 64;        // of a DEALER
constexpr std::size_t kFeedHighWater = 1000;  // of an XPUB
constexpr std::size_t kIdentitySize = 5;
constexpr std::int64_t kMs = 1'000'000;
constexpr std::int64_t kHeartbeatLossNs = 600 * kMs;
constexpr std::int64_t kLatencyNsMin = 20'000;

RecordType type_of(std::span<const std::uint8_t> body) noexcept {
    RecordHeader header;
    if (body.size() < sizeof header) return RecordType::kNone;
    std::memcpy(&header, body.data(), sizeof header);
    return static_cast<RecordType>(header.type);
}

}  // namespace

struct SimulatedNetwork::Node {
    struct Part {
        std::vector<std::uint8_t> body;
        std::uint32_t link = 0;
    };
    SimulatedNetwork* network = nullptr;
    SocketKind kind = SocketKind::kPair;
    Party party = Party::kEngine;
    std::string endpoint;
    std::string monitored_at;
    bool is_open = true;
    bool is_bound = false;
    bool has_identity_out = false;  // of the message being read
    std::uint32_t link = 0;         // of a client
    std::uint32_t writing_to = 0;   // ROUTER: whose identity was written
    std::deque<Part> inbox;
};

struct SimulatedNetwork::Link {
    std::uint32_t id = 0;
    Node* client = nullptr;
    Node* server = nullptr;
    std::uint64_t version = 0;  // grows with each connection and each loss
    bool is_up = false;
    std::int64_t deliver_until_ns = INT64_MAX;  // a closed client's last words
    std::int64_t last_due_ns[2] = {};           // to client, to server
    std::size_t in_flight[2] = {};
};

SimulatedNetwork::SimulatedNetwork(EventQueue& events, Random& random, Faults& faults,
                                   const Hooks& hooks)
    : events_(events), random_(random), faults_(faults), hooks_(hooks) {}

SimulatedNetwork::~SimulatedNetwork() = default;

ZmqTable SimulatedNetwork::table() noexcept {
    return MemoryTable<SimulatedNetwork>::make();
}

int SimulatedNetwork::option(const Node& node, int option) const noexcept {
    if (option == kReceiveMore) return node.has_identity_out ? 1 : 0;
    return option == kEvents ? events_of(node) : -1;
}

long SimulatedNetwork::take_timeout_ms() noexcept {
    return std::exchange(timeout_ms_[static_cast<std::size_t>(party_)], 0);
}

SimulatedNetwork::Node* SimulatedNetwork::make(SocketKind kind) {
    for (auto& node : nodes_) {
        if (node->is_open || node->network == nullptr) continue;
        *node = Node{};
        node->network = this;
        node->kind = kind;
        node->party = party_;
        return node.get();
    }
    nodes_.push_back(std::make_unique<Node>());
    nodes_.back()->network = this;
    nodes_.back()->kind = kind;
    nodes_.back()->party = party_;
    return nodes_.back().get();
}

SimulatedNetwork::Node* SimulatedNetwork::find_bound(const std::string& endpoint) noexcept {
    for (auto& node : nodes_) {
        if (node->is_open && node->is_bound && node->endpoint == endpoint) return node.get();
    }
    return nullptr;
}

SimulatedNetwork::Link* SimulatedNetwork::link_of(std::uint32_t id) noexcept {
    return id == 0 ? nullptr : links_[id - 1].get();
}

// ---- links

int SimulatedNetwork::attach(Node& node, const std::string& endpoint, bool is_bound) {
    node.endpoint = endpoint;
    node.is_bound = is_bound;
    if (is_bound && endpoint.starts_with("ipc://")) {  // leaves a file, whose mode is set
        const int file = ::open(endpoint.c_str() + 6, O_CREAT | O_CLOEXEC | O_WRONLY, 0600);
        if (file >= 0) ::close(file);
    }
    if (is_bound || node.kind == SocketKind::kPair) return 0;
    links_.push_back(std::make_unique<Link>());
    Link& link = *links_.back();
    link.id = static_cast<std::uint32_t>(links_.size());
    link.client = &node;
    node.link = link.id;
    events_.plan(events_.now_ns() + random_.between(kLatencyNsMin, 2 * kMs), EventKind::kLinkUp,
                 link.id, link.version);
    return 0;
}

void SimulatedNetwork::try_to_connect(Link& link) {
    if (link.client == nullptr || link.is_up) return;
    Node* server = find_bound(link.client->endpoint);
    if (server == nullptr || events_.now_ns() < partition_until_ns_) {
        events_.plan(events_.now_ns() + random_.between(5 * kMs, 100 * kMs), EventKind::kLinkUp,
                     link.id, link.version);
        return;
    }
    ++link.version;
    link.server = server;
    link.is_up = true;
    link.last_due_ns[0] = link.last_due_ns[1] = 0;
    link.in_flight[0] = link.in_flight[1] = 0;
    if (server->kind == SocketKind::kXpub) tell_subscription(link, true);
    hooks_.wake(hooks_.context, link.client->party);
}

void SimulatedNetwork::tell_subscription(Link& link, bool is_there) {
    link.server->inbox.push_back({{static_cast<std::uint8_t>(is_there ? 1 : 0)}, link.id});
    hooks_.wake(hooks_.context, link.server->party);
}

// Both ends, but for a client that has closed it itself.
void SimulatedNetwork::lose(Link& link, bool tells_client) {
    if (!link.is_up) return;
    link.is_up = false;
    ++link.version;
    if (link.server != nullptr && link.server->is_open && link.server->kind == SocketKind::kXpub) {
        tell_subscription(link, false);
    }
    if (!tells_client || link.client == nullptr) return;
    for (auto& node : nodes_) {
        const bool is_monitor = node->is_open && node->kind == SocketKind::kPair &&
                                node->endpoint == link.client->monitored_at &&
                                !node->endpoint.empty();
        if (!is_monitor) continue;
        std::vector<std::uint8_t> event(6, 0);
        std::memcpy(event.data(), &kDisconnected, sizeof kDisconnected);
        node->inbox.push_back({event, 0});
    }
    hooks_.wake(hooks_.context, link.client->party);
    events_.plan(events_.now_ns() + random_.between(5 * kMs, 100 * kMs), EventKind::kLinkUp,
                 link.id, link.version);
}

int SimulatedNetwork::close(Node& node) {
    node.is_open = false;
    node.inbox.clear();
    for (auto& link : links_) {
        if (link->client == &node) {
            link->deliver_until_ns = events_.now_ns() + random_.below(3 * kMs);
            lose(*link, false);
            link->client = nullptr;
        } else if (link->server == &node) {
            lose(*link, true);
            link->server = nullptr;
        }
    }
    return 0;
}

void SimulatedNetwork::partition(std::int64_t duration_ns) {
    partition_until_ns_ = std::max(partition_until_ns_, events_.now_ns() + duration_ns);
    if (duration_ns <= kHeartbeatLossNs) return;
    for (auto& link : links_) {
        if (!link->is_up) continue;
        events_.plan(events_.now_ns() + kHeartbeatLossNs, EventKind::kLinkLost, link->id,
                     link->version);
    }
}

void SimulatedNetwork::disconnect() {
    for (auto& link : links_) {
        if (link->is_up && link->client->kind == SocketKind::kDealer) lose(*link, true);
    }
}

void SimulatedNetwork::on_event(const Event& event) {
    if (event.kind == EventKind::kDeliver) return deliver(event.subject);
    Link* link = link_of(event.subject);
    if (link == nullptr || link->version != event.version) return;
    if (event.kind == EventKind::kLinkUp) try_to_connect(*link);
    if (event.kind == EventKind::kLinkLost) lose(*link, true);
}

// ---- messages

Lane SimulatedNetwork::lane_of(const Link& link, bool is_to_server) noexcept {
    if (is_to_server) return Lane::kOrder;
    return link.server->kind == SocketKind::kXpub ? Lane::kFeed : Lane::kReply;
}

// A transport that loses, repeats or swaps messages of one connection does not exist; a gateway
// that does so with what it relays does. What opens a connection comes through, or there is none.
bool SimulatedNetwork::may_fail(std::span<const std::uint8_t> body) noexcept {
    switch (type_of(body)) {
        case RecordType::kHello:
        case RecordType::kWelcome:
        case RecordType::kReady:
        case RecordType::kDone: return false;
        default: return true;
    }
}

void SimulatedNetwork::post(Link& link, bool is_to_server, std::span<const std::uint8_t> body) {
    if (is_mute_ && party_ == Party::kEngine) return;
    constexpr WorldFault kLost[] = {WorldFault::kLostFeed, WorldFault::kLostReply,
                                    WorldFault::kLostOrder};
    constexpr WorldFault kRepeated[] = {WorldFault::kRepeatedFeed, WorldFault::kRepeatedReply,
                                        WorldFault::kRepeatedOrder};
    constexpr WorldFault kReordered[] = {WorldFault::kReorderedFeed, WorldFault::kReorderedReply,
                                         WorldFault::kReorderedOrder};
    const auto lane = static_cast<std::size_t>(lane_of(link, is_to_server));
    std::int64_t delay_ns = random_.between(kLatencyNsMin, delay_ns_max_);
    if (faults_.strikes(WorldFault::kSlowMessage, random_)) delay_ns += random_.below(800 * kMs);
    std::int64_t& last_due_ns = link.last_due_ns[is_to_server ? 1 : 0];
    std::int64_t due_ns =
        std::max({events_.now_ns() + delay_ns, last_due_ns,
                  partition_until_ns_ > events_.now_ns() ? partition_until_ns_ + delay_ns : 0});
    const bool fails = may_fail(body);
    if (fails && faults_.strikes(kLost[lane], random_)) return;
    if (fails && faults_.strikes(kReordered[lane], random_)) {
        due_ns += random_.below(20 * kMs);  // and those behind it do not wait
    } else {
        last_due_ns = due_ns;
    }
    post_once(link, is_to_server, body, due_ns);
    if (fails && faults_.strikes(kRepeated[lane], random_)) {
        post_once(link, is_to_server, body, due_ns + random_.below(50 * kMs));
    }
}

void SimulatedNetwork::post_once(Link& link, bool is_to_server, std::span<const std::uint8_t> body,
                                 std::int64_t due_ns) {
    if (free_messages_.empty()) {
        free_messages_.push_back(static_cast<std::uint32_t>(messages_.size()));
        messages_.emplace_back();
    }
    const std::uint32_t index = free_messages_.back();
    free_messages_.pop_back();
    Message& message = messages_[index];
    message.body.assign(body.begin(), body.end());
    message.link = link.id;
    message.is_to_server = is_to_server;
    ++link.in_flight[is_to_server ? 1 : 0];
    events_.plan(due_ns, EventKind::kDeliver, index, link.version);
}

void SimulatedNetwork::deliver(std::uint32_t index) {
    Message& message = messages_[index];
    free_messages_.push_back(index);
    Link& link = *links_[message.link - 1];
    const bool is_to_server = message.is_to_server;
    std::size_t& in_flight = link.in_flight[is_to_server ? 1 : 0];
    in_flight -= in_flight > 0 ? 1 : 0;
    const bool has_last_words =
        link.client == nullptr && is_to_server && events_.now_ns() <= link.deliver_until_ns;
    Node* to = is_to_server ? link.server : link.client;
    if ((!link.is_up && !has_last_words) || to == nullptr || !to->is_open) return;
    if (!is_to_server) {
        hooks_.arrived(hooks_.context, lane_of(link, false), message.body);
    }
    to->inbox.push_back({message.body, link.id});
    hooks_.wake(hooks_.context, to->party);
}

int SimulatedNetwork::send(Node& node, const void* data, std::size_t size, bool has_more) {
    const std::span part{static_cast<const std::uint8_t*>(data), size};
    if (node.party == Party::kEngine) hooks_.operation(hooks_.context, false);
    if (node.kind != SocketKind::kRouter) return send_body(node, part);
    if (!has_more) {
        Link* link = link_of(std::exchange(node.writing_to, 0));
        if (link != nullptr && link->is_up) post(*link, false, part);
        return static_cast<int>(part.size());
    }
    std::uint32_t id = 0;
    if (part.size() == kIdentitySize) std::memcpy(&id, part.data() + 1, sizeof id);
    Link* link = id <= links_.size() ? link_of(id) : nullptr;
    const bool is_there = link != nullptr && link->is_up && link->server == &node;
    if (!is_there) return MemoryTable<SimulatedNetwork>::failed(EHOSTUNREACH);
    node.writing_to = id;
    return static_cast<int>(part.size());
}

int SimulatedNetwork::send_body(Node& node, std::span<const std::uint8_t> body) {
    const auto size = static_cast<int>(body.size());
    if (node.kind == SocketKind::kDealer) {
        Link* link = link_of(node.link);
        if (link == nullptr || !link->is_up || link->in_flight[1] >= kHighWater) {
            return MemoryTable<SimulatedNetwork>::failed(EAGAIN);
        }
        if (!is_mute_) hooks_.sent(hooks_.context, body);
        post(*link, true, body);
    } else if (node.kind == SocketKind::kXpub) {
        for (auto& link : links_) {
            if (link->server != &node || !link->is_up) continue;
            if (link->in_flight[0] < kFeedHighWater) post(*link, false, body);
        }
    }
    return size;
}

int SimulatedNetwork::receive(Node& node, void* data, std::size_t room) {
    const std::span out{static_cast<std::uint8_t*>(data), room};
    const bool is_feed = node.kind == SocketKind::kSub && !node.inbox.empty() &&
                         type_of(node.inbox.front().body) != RecordType::kBarOpen;
    if (node.party == Party::kEngine) hooks_.operation(hooks_.context, is_feed);
    if (node.inbox.empty()) return MemoryTable<SimulatedNetwork>::failed(EAGAIN);
    Node::Part& part = node.inbox.front();
    if (node.kind == SocketKind::kRouter && !node.has_identity_out) {
        std::uint8_t identity[kIdentitySize] = {};
        std::memcpy(identity + 1, &part.link, sizeof part.link);
        std::memcpy(out.data(), identity, std::min(out.size(), kIdentitySize));
        node.has_identity_out = true;
        return static_cast<int>(kIdentitySize);
    }
    node.has_identity_out = false;
    const std::size_t size = part.body.size();
    std::memcpy(out.data(), part.body.data(), std::min(size, out.size()));
    node.inbox.pop_front();
    return static_cast<int>(size);
}

short SimulatedNetwork::events_of(const Node& node) const noexcept {
    const Link* link = node.link == 0 ? nullptr : links_[node.link - 1].get();
    const int in = node.inbox.empty() ? 0 : kZmqPollIn;
    const int out = link != nullptr && link->is_up ? kZmqPollOut : 0;
    return static_cast<short>(in | out);
}

int SimulatedNetwork::poll(ZmqPollItem* items, int count, long timeout_ms) noexcept {
    timeout_ms_[static_cast<std::size_t>(party_)] = timeout_ms;
    int ready = 0;
    for (int i = 0; i < count; ++i) {
        ZmqPollItem& item = items[i];
        item.revents = 0;
        if (item.socket == nullptr) continue;
        item.revents = static_cast<short>(
            events_of(MemoryTable<SimulatedNetwork>::at(item.socket)) & item.events);
        ready += item.revents != 0 ? 1 : 0;
    }
    if (ready > 0) timeout_ms_[static_cast<std::size_t>(party_)] = 0;
    return ready;
}

}  // namespace gm
