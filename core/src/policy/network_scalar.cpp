// The kernel for every machine: 16 lanes as 16 floats, fused multiply-add by std::fma.
#include <bit>
#include <cmath>

#include "gm/policy/network_kernel.hpp"

namespace gm {

namespace {

struct Lanes {
    static constexpr int kBlocks = 1;
    static constexpr int kTileSums = 6;
    float lane[kLanes];

    static Lanes load(const float* from) {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = from[i];
        }
        return out;
    }
    void store(float* to) const {
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            to[i] = lane[i];
        }
    }
    static Lanes load_low(const Bfloat16Pair* from) {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = std::bit_cast<float>(from[i].bits << 16);
        }
        return out;
    }
    static Lanes load_high(const Bfloat16Pair* from) {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = std::bit_cast<float>(from[i].bits & 0xffff0000U);
        }
        return out;
    }
    static Lanes broadcast(float value) {
        Lanes out;
        for (float& lane : out.lane) {
            lane = value;
        }
        return out;
    }
    static Lanes fma(const Lanes& a, const Lanes& b, const Lanes& c) {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = std::fma(a.lane[i], b.lane[i], c.lane[i]);
        }
        return out;
    }
    static Lanes add(const Lanes& a, const Lanes& b) {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = a.lane[i] + b.lane[i];
        }
        return out;
    }
    static Lanes subtract(const Lanes& a, const Lanes& b) {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = a.lane[i] - b.lane[i];
        }
        return out;
    }
    static Lanes multiply(const Lanes& a, const Lanes& b) {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = a.lane[i] * b.lane[i];
        }
        return out;
    }
    // Not-a-number passes: a broken activation must reach the logits, where it is seen.
    [[nodiscard]] Lanes relu() const {
        Lanes out;
        for (std::uint32_t i = 0; i < kLanes; ++i) {
            out.lane[i] = lane[i] <= 0.0F ? 0.0F : lane[i];
        }
        return out;
    }
    [[nodiscard]] float sum() const {
        Lanes out = *this;
        for (std::uint32_t half = kLanes / 2; half > 0; half /= 2) {
            for (std::uint32_t i = 0; i < half; ++i) {
                out.lane[i] += out.lane[i + half];
            }
        }
        return out.lane[0];
    }
    static std::size_t collect(const float* x, std::uint32_t count, float* values,
                               std::uint32_t* rows) {
        std::size_t found = 0;
        for (std::uint32_t i = 0; i < count; ++i) {
            values[found] = x[i];
            rows[found] = i;
            found += x[i] <= 0.0F ? 0 : 1;
        }
        return found;
    }
};

constexpr NetworkKernel kKernel = network_kernel::kernel_of<Lanes>();

}  // namespace

const NetworkKernel* scalar_kernel() noexcept {
    return &kKernel;
}

}  // namespace gm
