// Sums of Gaussian kernels between one point and a run of points of four coordinates, in two parts.
//
// Coordinates are scaled so that the kernel is 2^-d, d the squared distance. Sums run in 16 lanes,
// by the place in the run, then a halving tree; every instruction set does the same fused
// operations in the same order and gives the same bits. A kernel is right to 1e-15, for d beyond
// 1,000 it is some 1e-301.
#pragma once

#include <cstdint>

#include "gm/base/instruction_set.hpp"

namespace gm {

inline constexpr std::int32_t kGaussianCoordinates = 4;
inline constexpr std::int32_t kGaussianBlock = 16;

// Points by coordinate: coordinate c of point i is at first[c * stride + i]. Whole blocks of 16 are
// read: behind the last point there is room for 15 doubles, of any finite value.
struct GaussianPoints {
    const double* first;
    std::int32_t stride;
    std::int32_t count;
};

// Over points [0, split) and over [split, count).
struct GaussianSums {
    double head;
    double tail;
};

using GaussianSumsFunction = GaussianSums (*)(const GaussianPoints& points, std::int32_t split,
                                              const double* point);

// By the widest instruction set of this machine.
[[nodiscard]] GaussianSums gaussian_sums(const GaussianPoints& points, std::int32_t split,
                                         const double* point) noexcept;

[[nodiscard]] inline double gaussian_sum(const GaussianPoints& points,
                                         const double* point) noexcept {
    return gaussian_sums(points, points.count, point).head;
}

// By one instruction set; null where the build or the machine does not have it.
[[nodiscard]] GaussianSumsFunction find_gaussian_sums(InstructionSet set) noexcept;

// In files of their own; null where not built.
[[nodiscard]] GaussianSumsFunction avx2_gaussian_sums() noexcept;
[[nodiscard]] GaussianSumsFunction avx512_gaussian_sums() noexcept;

}  // namespace gm
