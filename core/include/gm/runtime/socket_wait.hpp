// Waits for sockets by their descriptors, so that waking up costs one system call and no more.
//
// zmq_poll asks every socket for its events after it wakes: two system calls a socket between a
// message and whoever reads it. Here the question comes before the sleep, where there is time. A
// descriptor only says "look": it may wake for nothing, and what was signalled must be read to the
// end before the next wait, as every wake-up of io does. Source: zeromq.org, zmq_getsockopt(3),
// ZMQ_FD and ZMQ_EVENTS.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "gm/runtime/zmq_table.hpp"

namespace gm {

inline constexpr std::size_t kWaitItemsMax = 16;

// As poll_sockets(): waits at most timeout_ms until an item is ready or might be, sets revents,
// returns how many; 0 after a signal; -1 when the context was terminated.
[[nodiscard]] int wait_for_sockets(const ZmqTable& zmq, std::span<ZmqPollItem> items,
                                   long timeout_ms) noexcept;

}  // namespace gm
