// G7: EMA 20, RSI 14 and ATR 14 of each bar, one after another, in one loop over a table.
#include <cstddef>

#include "gm/base/clock.hpp"
#include "gm/indicators/atr.hpp"
#include "gm/indicators/ema.hpp"
#include "gm/indicators/rsi.hpp"

namespace {

struct Bar {
    double high, low, close;
};

struct Values {
    double ema, rsi, atr;
};

}  // namespace

// Nanoseconds for the whole table. `out` gets the values of every bar: nothing is left out.
extern "C" double bench_indicators(const Bar* bars, std::size_t count, Values* out) {
    gm::Ema<20> ema{};
    gm::Rsi<14> rsi{};
    gm::Atr atr{};
    const std::int64_t begin_ns = gm::monotonic_ns();
    for (std::size_t i = 0; i < count; ++i) {
        const Bar bar = bars[i];
        ema.update(bar.close);
        rsi.update(bar.close);
        atr.update(bar.high, bar.low, bar.close);
        out[i] = {ema.value(), rsi.value(), atr.value()};
    }
    return static_cast<double>(gm::monotonic_ns() - begin_ns);
}
