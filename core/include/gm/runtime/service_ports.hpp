// The engine's own three sockets: control, trader port, drop copy.
//
// Control answers "status" and "stop" with one line of JSON, the trader port answers everything
// with a refusal until it exists, the drop copy publishes each output of the engine as a frame of
// one record. A peer that reads slowly loses messages and sees by the sequence which. io thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "gm/base/status.hpp"
#include "gm/ring/spsc_ring.hpp"
#include "gm/runtime/endpoints.hpp"
#include "gm/runtime/frame.hpp"
#include "gm/runtime/socket.hpp"

namespace gm {

enum class ControlRequest : std::uint8_t { kNone = 0, kStatus = 1, kStop = 2, kUnknown = 3 };

class ServicePorts {
 public:
    // Cold. Binds; control gets mode 0600.
    Failure open(const ZmqTable& zmq, void* context, const Endpoints& endpoints);
    void close() noexcept;

    // The next request, or kNone. Each is answered with answer_control() before the next.
    [[nodiscard]] ControlRequest receive_control() noexcept;
    void answer_control(const std::string& json) noexcept;
    // Answers at most `most` messages of traders; how many there were.
    std::size_t refuse_commands(std::size_t most) noexcept;
    // Publishes at most `most` outputs; how many there were.
    std::size_t publish(SpscRing<Slot>& drop_copy, std::size_t most) noexcept;

    static constexpr std::size_t kPollItems = 2;
    [[nodiscard]] std::array<ZmqPollItem, kPollItems> poll_items() const noexcept {
        return {control_.poll_item(), commands_.poll_item()};
    }

 private:
    Socket control_;
    Socket commands_;
    Socket drop_copy_;
    Peer control_peer_;
    Peer command_peer_;
    std::array<std::uint8_t, 256> request_{};  // a longer one is unknown anyway
};

}  // namespace gm
