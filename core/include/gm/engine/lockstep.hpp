// What every driver of an engine in lockstep does between records, written once: live, backtest.
//
// In lockstep time moves with the records alone, so a deadline that lies before the next record
// fires first, at its own time. Inputs that io makes get their numbers here, where the order in
// which the engine consumes them is known.
#pragma once

#include <cstdint>

#include "gm/engine/engine.hpp"
#include "gm/engine/outputs.hpp"
#include "gm/wire/payload.hpp"
#include "gm/wire/record.hpp"

namespace gm {

inline constexpr int kTimersMax = 64;  // before one record; the rest waits for the next

// step(const Slot&) hands a TIMER to the engine; false: the driver must do something else first.
template <typename Step>
void fire_deadlines(const Engine& engine, std::int64_t before_ns, Step step) noexcept {
    for (int i = 0; i < kTimersMax; ++i) {
        const std::int64_t deadline_ns = engine.next_deadline_ns();
        if (deadline_ns >= before_ns) return;
        Timer timer{};
        timer.deadline_ns = deadline_ns;
        if (!step(make_slot(RecordType::kTimer, Source::kIo, 0, deadline_ns, timer))) return;
        if (engine.next_deadline_ns() <= deadline_ns) return;  // it cannot be served
    }
}

// A TIMER with nothing due is not journalled and takes no number.
inline void step_io(Engine& engine, const Slot& input, std::uint64_t& io_sequence,
                    Outputs& out) noexcept {
    Slot numbered = input;
    numbered.header.first_sequence = io_sequence + 1;
    numbered.header.epoch = engine.epoch();
    const std::uint64_t before = engine.last_input_sequence();
    engine.step(numbered, out);
    io_sequence += engine.last_input_sequence() - before;
}

}  // namespace gm
