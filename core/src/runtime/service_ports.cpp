#include "gm/runtime/service_ports.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <string_view>
#include <system_error>

namespace gm {
namespace {

constexpr int kSubscriptionsMax = 64;  // read away at one wake-up
constexpr std::string_view kNoTrading =
    R"({"ok":false,"error":"the trader port takes no orders yet"})";

std::span<const std::uint8_t> bytes_of(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Failure ServicePorts::open(const ZmqTable& zmq, void* context, const Endpoints& endpoints) {
    struct Port {
        Socket& socket;
        SocketKind kind;
        SocketOptions options;
        const std::string& endpoint;
    };
    const Port ports[] = {
        {control_, SocketKind::kRouter, service_router_options(), endpoints.control},
        {commands_, SocketKind::kRouter, service_router_options(), endpoints.commands},
        {drop_copy_, SocketKind::kXpub, drop_copy_publisher_options(), endpoints.dropcopy},
    };
    for (const Port& port : ports) {
        Failure failure = port.socket.open(zmq, context, port.kind, port.options);
        if (failure.is_ok()) failure = port.socket.bind(port.endpoint);
        if (!failure.is_ok()) return failure;
    }
    const std::string path = socket_path(endpoints.control);
    if (chmod(path.c_str(), 0600) != 0) {
        return fail(Status::kSystemCallFailed,
                    "chmod 0600 " + path + ": " + std::generic_category().message(errno));
    }
    return ok();
}

void ServicePorts::close() noexcept {
    control_.close_after(100);  // the answer to "stop" may still be on its way
    commands_.close();
    drop_copy_.close_after(100);
}

ControlRequest ServicePorts::receive_control() noexcept {
    const Received received = control_.receive_from(control_peer_, request_);
    if (received.result != IoResult::kDone) return ControlRequest::kNone;
    if (!received.is_whole) return ControlRequest::kUnknown;
    const std::string_view text(reinterpret_cast<const char*>(request_.data()), received.size);
    if (text == "status") return ControlRequest::kStatus;
    if (text == "stop") return ControlRequest::kStop;
    return ControlRequest::kUnknown;
}

void ServicePorts::answer_control(const std::string& json) noexcept {
    (void)control_.send_to(control_peer_, bytes_of(json));  // who asked may be gone by now
}

std::size_t ServicePorts::refuse_commands(std::size_t most) noexcept {
    std::size_t count = 0;
    for (; count < most; ++count) {
        const Received received = commands_.receive_from(command_peer_, request_);
        if (received.result != IoResult::kDone) break;
        (void)commands_.send_to(command_peer_, bytes_of(kNoTrading));
    }
    return count;
}

std::size_t ServicePorts::publish(SpscRing<Slot>& drop_copy, std::size_t most) noexcept {
    std::size_t count = 0;
    std::array<std::uint8_t, kOneRecordFrameSize> bytes;
    for (; count < most; ++count) {
        const Slot* slot = drop_copy.front();
        if (slot == nullptr) break;
        (void)drop_copy_.send(encode_frame(*slot, bytes));  // XPUB drops, per subscriber
        drop_copy.pop();
    }
    // Subscriptions come as messages; nobody needs them.
    std::uint8_t subscription[1];
    for (int i = 0; i < kSubscriptionsMax && count > 0; ++i) {
        if (drop_copy_.receive(subscription).result != IoResult::kDone) break;
    }
    return count;
}

}  // namespace gm
