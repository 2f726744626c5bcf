// Probabilities of a few logits.
#pragma once

#include <cstddef>

#include "gm/base/elementary.hpp"

namespace gm {

// softmax((x - max x) / temperature), summed in order. x is finite.
inline void softmax(const double* x, std::size_t count, double temperature, double* out) noexcept {
    double largest = x[0];
    for (std::size_t i = 1; i < count; ++i) {  // at most kActions or kAgentsMax
        largest = x[i] > largest ? x[i] : largest;
    }
    double sum = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = elementary::exp((x[i] - largest) / temperature);
        sum += out[i];
    }
    for (std::size_t i = 0; i < count; ++i) {
        out[i] /= sum;
    }
}

}  // namespace gm
