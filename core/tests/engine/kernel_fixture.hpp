// Kernels that are written in the test, and their answers.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <functional>

#include "engine/rig.hpp"
#include "gm/engine/kernels.hpp"

namespace gm::test {

inline KernelSettings kernel_row(const char* name, KernelKind kind, std::uint32_t warmup,
                                 std::uint32_t minutes = 30) {
    KernelSettings row{};
    std::strcpy(row.name, name);
    row.sha256[0] = static_cast<std::uint8_t>(name[0]);
    row.kind = kind;
    row.minutes = minutes;
    row.warmup = warmup;
    row.low = kind == KernelKind::kRule ? -1.0 : -1e6;
    row.high = kind == KernelKind::kRule ? 1.0 : 1e6;
    row.input_count = 1;
    row.inputs[0] = KernelField::kClose;
    return row;
}

// Answers of a kernel that is written in the test.
using Answer = std::function<KernelResult(const KernelCall&, KernelResult)>;

inline void serve(Rig& rig, const Answer& answer) {
    KernelCall call{};
    while (rig.engine->next_kernel_call(call)) {
        KernelResult result{};
        result.bar_start_ts_ns = call.bar_start_ts_ns;
        result.instrument = call.instrument;
        result.kernel = call.kernel;
        result.minutes = call.minutes;
        rig.step(make_slot(RecordType::kKernelResult, Source::kKernel,
                           rig.engine->last_kernel_sequence() + 1, rig.engine->now_ns(),
                           answer(call, result)));
    }
}

inline ClosedBar closed(std::int64_t start_ts_ns, std::int64_t close, std::uint32_t minutes) {
    return {start_ts_ns, close, close, close, close, 7, minutes, 0};
}

// The only call left, taken from Kernels alone.
inline KernelResult answer_to(const Kernels& kernels, double value) {
    KernelCall call{};
    REQUIRE(kernels.next_call(call));
    KernelResult result{};
    result.bar_start_ts_ns = call.bar_start_ts_ns;
    result.instrument = call.instrument;
    result.kernel = call.kernel;
    result.value = value;
    return result;
}

}  // namespace gm::test
