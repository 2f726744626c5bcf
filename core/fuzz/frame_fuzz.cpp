// Frames from a socket: any bytes are a frame or a fault, and each record of a frame is a frame.
#include <array>
#include <string_view>

#include "gm/runtime/frame.hpp"
#include "input.hpp"

namespace {

using namespace gm;
using gm::fuzz::hold;

void check_records(const Frame& frame, FrameRole role) {
    for (std::size_t i = 0; i < frame.header.count; ++i) {  // at most kFrameRecordsMax
        const Slot slot = frame.slot(i, 7);
        hold(slot.header.count == 1 && slot.header.receive_ts_ns == 7, "a slot is one record");
        std::array<std::uint8_t, kOneRecordFrameSize> bytes;
        Frame again;
        const FrameFault fault = decode_frame(encode_frame(slot, bytes), role, again);
        hold(fault == FrameFault::kNone, "what was encoded decodes");
        hold(std::memcmp(again.payloads, frame.payloads + i * kPayloadSize, kPayloadSize) == 0,
             "a payload survives the way");
        hold(!is_numbered(frame.type()) || again.last_sequence() == frame.header.first_sequence + i,
             "payloads are numbered from the first on");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    for (const FrameRole role : {FrameRole::kFeed, FrameRole::kFromVenue, FrameRole::kToVenue}) {
        Frame frame;
        const FrameFault fault = decode_frame({data, size}, role, frame);
        hold(std::string_view(describe(fault)) != "unknown", "a fault has a name");
        if (fault == FrameFault::kNone) check_records(frame, role);
    }
    return 0;
}
