// Implements gm/indicators/mlmi.hpp.
#include "gm/indicators/mlmi.hpp"

#include <cstddef>

#include "gm/base/touch.hpp"

namespace gm {

namespace {

std::int32_t sign_of(double x) noexcept {
    return (x > 0.0 ? 1 : 0) - (x < 0.0 ? 1 : 0);
}

}  // namespace

void Mlmi::prepare() noexcept {
    fast_.prepare();
    slow_.prepare();
    slow_momentum_.prepare();
    fast_momentum_.prepare();
    // The guess: nothing moves, then both RSI stay what they are.
    samples_.prepare({slow_momentum_.value_with(slow_rsi_.value()),
                      fast_momentum_.value_with(fast_rsi_.value())});
}

void Mlmi::touch() const noexcept {
    gm::touch(this, offsetof(Mlmi, samples_));
    samples_.touch();
    gm::touch(&lean_, sizeof *this - offsetof(Mlmi, lean_));
}

void Mlmi::update(double heiken_ashi_close, bool is_synthetic) noexcept {
    fast_.update(heiken_ashi_close);
    slow_.update(heiken_ashi_close);
    slow_rsi_.update(heiken_ashi_close);
    fast_rsi_.update(heiken_ashi_close);
    if (slow_rsi_.is_warm()) slow_momentum_.update(slow_rsi_.value());
    if (fast_rsi_.is_warm()) fast_momentum_.update(fast_rsi_.value());
    const PlanePoint here{slow_momentum_.value(), fast_momentum_.value()};
    const bool has_point = slow_momentum_.is_warm() && fast_momentum_.is_warm();
    const std::int32_t change = take_cross();
    const std::int32_t cross = has_point && !is_synthetic ? change : 0;
    if (cross != 0 && samples_.awaits_label()) {
        samples_.label(sign_of(heiken_ashi_close - close_at_cross_));
    }
    lean_ = is_warm() ? samples_.vote(here) : 0.0;
    signal_ = cross * lean_ > 0.0 ? cross : 0;
    if (cross != 0) {
        samples_.offer(here);
        close_at_cross_ = heiken_ashi_close;
    }
}

std::int32_t Mlmi::take_cross() noexcept {
    if (!slow_.is_warm()) return 0;
    // Both over the same divisor: whole quarters of ticks, so that a level pair is exactly 0.
    const double fast = fast_.weighted_sum() * (slow_.kWeightSum / fast_.kWeightSum);
    const std::int32_t sign = sign_of(fast - slow_.weighted_sum());
    if (sign == 0) return 0;
    const bool is_cross = sign_ != 0 && sign != sign_;
    sign_ = sign;
    return is_cross ? sign : 0;
}

std::int64_t Mlmi::bars_needed() const noexcept {
    const std::int64_t samples = kMlmiSamplesMin - samples_.count();
    return samples <= 0 ? 0 : samples + (samples_.awaits_label() ? 0 : 1);
}

}  // namespace gm
