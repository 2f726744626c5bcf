// A libzmq in memory that carries messages between threads: DEALER and ROUTER, XPUB and SUB, with
// identities, subscriptions, and connections that a test can cut. So the whole runtime runs under
// the sanitizers, which do not see into libzmq.
#pragma once

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gm/runtime/memory_table.hpp"
#include "gm/runtime/socket.hpp"
#include "gm/runtime/zmq_table.hpp"

namespace gm::test {

class MemoryNetwork {
 public:
    using Message = std::vector<std::string>;  // parts

    struct Node {
        MemoryNetwork* network = nullptr;
        SocketKind kind = SocketKind::kPair;
        std::uint32_t id = 0;
        std::string endpoint;
        std::string monitored_at;
        bool is_bound = false;
        bool is_open = true;
        bool is_cut = false;
        std::deque<Message> inbox;
        std::deque<std::string> reading;  // parts of the message that is being read
        Message writing;
    };

    // What a venue sends to an engine, before that has it. Set before there are threads.
    std::function<void(std::string& frame)> tamper;

    // Ends every DEALER's connection to `endpoint`, as a venue or a kernel might.
    void cut(const std::string& endpoint) {
        const std::lock_guard lock(mutex_);
        for (auto& node : nodes_) {
            if (node->endpoint != endpoint || node->is_bound || !node->is_open) continue;
            node->is_cut = true;
            for (auto& other : nodes_) {
                if (other->kind == SocketKind::kPair && other->endpoint == node->monitored_at) {
                    other->inbox.push_back({std::string("\x00\x02\x00\x00\x00\x00", 6)});
                }
            }
        }
        changed_.notify_all();
    }

    static ZmqTable table() { return MemoryTable<MemoryNetwork>::make(); }

 private:
    friend struct MemoryTable<MemoryNetwork>;
    using Table = MemoryTable<MemoryNetwork>;

    // ZMQ_FD: there is none; else RCVMORE is asked.
    static int option(const Node& node, int option) {
        constexpr int kDescriptor = 14;
        if (option == kDescriptor) return -1;
        return node.reading.empty() ? 0 : 1;
    }

    Node* make(SocketKind kind) {
        const std::lock_guard lock(mutex_);
        nodes_.push_back(std::make_unique<Node>());
        nodes_.back()->network = this;
        nodes_.back()->kind = kind;
        nodes_.back()->id = static_cast<std::uint32_t>(nodes_.size());
        return nodes_.back().get();
    }

    Node* find_bound(const std::string& endpoint) {
        for (auto& node : nodes_) {
            if (node->is_bound && node->is_open && node->endpoint == endpoint) return node.get();
        }
        return nullptr;
    }

    std::size_t subscribers(const std::string& endpoint) const {
        return static_cast<std::size_t>(std::ranges::count_if(nodes_, [&](const auto& node) {
            return node->kind == SocketKind::kSub && node->is_open && node->endpoint == endpoint;
        }));
    }

    int attach(Node& node, const char* endpoint, bool is_bound) {
        const std::lock_guard lock(mutex_);
        node.endpoint = endpoint;
        node.is_bound = is_bound;
        if (is_bound) std::ofstream(node.endpoint.substr(6));  // as ipc:// leaves a file
        Node* publisher = find_bound(node.endpoint);
        const bool is_first =
            is_bound ? subscribers(node.endpoint) > 0
                     : node.kind == SocketKind::kSub && subscribers(node.endpoint) == 1;
        if (is_first && publisher != nullptr && publisher->kind == SocketKind::kXpub) {
            publisher->inbox.push_back({std::string("\x01", 1)});
        }
        changed_.notify_all();
        return 0;
    }

    int close(Node& node) {
        const std::lock_guard lock(mutex_);
        node.is_open = false;
        if (node.kind == SocketKind::kSub && subscribers(node.endpoint) == 0) {
            Node* publisher = find_bound(node.endpoint);
            if (publisher != nullptr) publisher->inbox.push_back({std::string("\x00", 1)});
        }
        changed_.notify_all();
        return 0;
    }

    int send(Node& node, const void* data, std::size_t length, bool has_more) {
        const std::string part(static_cast<const char*>(data), length);
        const std::lock_guard lock(mutex_);
        const auto size = static_cast<int>(part.size());
        if (node.kind == SocketKind::kRouter && has_more) {
            if (find_peer(node, part) == nullptr) return Table::failed(EHOSTUNREACH);
            node.writing = {part};
            return size;
        }
        if (node.kind == SocketKind::kRouter) {
            Node* peer = node.writing.empty() ? nullptr : find_peer(node, node.writing[0]);
            node.writing.clear();
            if (peer != nullptr) peer->inbox.push_back({part});
            if (peer != nullptr && tamper) tamper(peer->inbox.back()[0]);
        } else if (node.kind == SocketKind::kDealer) {
            Node* router = find_bound(node.endpoint);
            if (router == nullptr || node.is_cut) return Table::failed(EAGAIN);
            router->inbox.push_back({identity(node), part});
        } else if (node.kind == SocketKind::kXpub) {
            for (auto& other : nodes_) {
                if (other->kind == SocketKind::kSub && other->is_open &&
                    other->endpoint == node.endpoint) {
                    other->inbox.push_back({part});
                }
            }
        }
        changed_.notify_all();
        return size;
    }

    static std::string identity(const Node& node) {
        return std::string(reinterpret_cast<const char*>(&node.id), sizeof node.id);
    }
    Node* find_peer(const Node& router, const std::string& name) {
        for (auto& node : nodes_) {
            if (node->kind == SocketKind::kDealer && node->is_open && !node->is_cut &&
                node->endpoint == router.endpoint && identity(*node) == name) {
                return node.get();
            }
        }
        return nullptr;
    }

    int receive(Node& node, void* data, std::size_t size) {
        const std::lock_guard lock(mutex_);
        if (node.reading.empty()) {
            if (node.inbox.empty()) return Table::failed(EAGAIN);
            node.reading.assign(node.inbox.front().begin(), node.inbox.front().end());
            node.inbox.pop_front();
        }
        const std::string part = node.reading.front();
        node.reading.pop_front();
        std::memcpy(data, part.data(), std::min(part.size(), size));
        return static_cast<int>(part.size());
    }

    static int ready(ZmqPollItem* items, int count) {
        int found = 0;
        for (int i = 0; i < count; ++i) {
            ZmqPollItem& item = items[i];
            item.revents = 0;
            if (item.socket == nullptr) {
                pollfd file{item.fd, POLLIN, 0};
                if (item.fd >= 0 && ::poll(&file, 1, 0) > 0) item.revents = kZmqPollIn;
            } else if ((item.events & kZmqPollIn) != 0 && !Table::at(item.socket).inbox.empty()) {
                item.revents = kZmqPollIn;
            }
            found += item.revents != 0;
        }
        return found;
    }

    int poll(ZmqPollItem* items, int count, long timeout_ms) {
        std::unique_lock lock(mutex_);
        // Descriptors and sockets that wait to send are looked at once in a while.
        for (long waited_ms = 0;; ++waited_ms) {
            const int found = ready(items, count);
            if (found > 0 || waited_ms >= timeout_ms) return found;
            changed_.wait_for(lock, std::chrono::milliseconds(1));
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace gm::test
