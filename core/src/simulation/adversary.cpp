#include "gm/simulation/adversary.hpp"

namespace gm {
namespace {

constexpr std::int64_t kMs = 1'000'000;
constexpr std::uint32_t kForeignEpoch = 0x00ffffff;  // no life of ours gets there

}  // namespace

bool Adversary::take(void* context, const Slot& reply) {
    auto& self = *static_cast<Adversary*>(context);
    switch (reply.type()) {
        case RecordType::kAck: return self.take_ack(reply);
        case RecordType::kFill: return self.take_fill(reply);
        case RecordType::kReject:
            if (reply.as<Reject>().reason == RejectReason::kRandom) {
                self.faults_.count(WorldFault::kVenueReject);
            }
            return true;
        default: return true;
    }
}

bool Adversary::take_ack(const Slot& reply) {
    const auto ack = reply.as<Ack>();
    if (faults_.strikes(WorldFault::kUnknownOrder, random_)) say_unknown(reply);
    if (faults_.strikes(WorldFault::kUnaskedCancel, random_)) {
        say_later(Slot{}, 300 * kMs, ack.id, false);
    }
    if (faults_.strikes(WorldFault::kLostAck, random_)) return false;
    if (!faults_.strikes(WorldFault::kLateAck, random_)) return true;
    say_later(reply, 500 * kMs, OrderId{}, false);
    return false;
}

bool Adversary::take_fill(const Slot& reply) {
    const auto fill = reply.as<Fill>();
    if (faults_.strikes(WorldFault::kLostFill, random_)) {
        ++lost_fills_;
        return false;
    }
    if (fill.leaves_lots > 0 && faults_.strikes(WorldFault::kFillAfterCancel, random_)) {
        say_later(reply, 50 * kMs, fill.id, true);
        return false;
    }
    if (faults_.strikes(WorldFault::kLateFill, random_)) {
        say_later(reply, 500 * kMs, OrderId{}, true);
        return false;
    }
    if (faults_.strikes(WorldFault::kRepeatedFill, random_)) {
        say_later(reply, 500 * kMs, OrderId{}, false);
    }
    return true;
}

// An order that neither of us knows, and that cannot trade.
void Adversary::say_unknown(const Slot& reply) {
    Slot strange = reply;
    auto ack = reply.as<Ack>();
    ack.id.epoch = kForeignEpoch;
    ack.id.counter = static_cast<std::uint64_t>(random_.between(1, 1'000'000));
    OrderEnded ended{};
    ended.id = ack.id;
    ended.instrument = ack.instrument;
    constexpr RecordType kTypes[] = {RecordType::kAck, RecordType::kCancelled,
                                     RecordType::kExpired};
    const RecordType type = kTypes[random_.below(3)];
    strange.header.type = static_cast<std::uint16_t>(type);
    if (type == RecordType::kAck) {
        std::memcpy(strange.payload, &ack, sizeof ack);
    } else {
        std::memcpy(strange.payload, &ended, sizeof ended);
    }
    say_later(strange, 100 * kMs, OrderId{}, false);
}

void Adversary::say_later(const Slot& reply, std::int64_t within_ns, const OrderId& cancel,
                          bool is_fill) {
    held_.push_back({reply, cancel, is_fill, false});
    held_fills_ += is_fill ? 1 : 0;
    events_.plan(events_.now_ns() + random_.between(1, within_ns), EventKind::kHeldReply,
                 static_cast<std::uint32_t>(held_.size() - 1));
}

void Adversary::on_event(const Event& event) {
    Held& held = held_[event.subject];
    if (held.is_said) return;
    held.is_said = true;
    held_fills_ -= held.is_fill ? 1 : 0;
    const Slot reply = held.reply;
    if (held.cancel.counter != 0) (void)venue_.cancel_unasked(held.cancel);
    if (reply.header.magic == kMagic) venue_.say(reply);
}

}  // namespace gm
