#include "gm/session/votes.hpp"

#include <algorithm>
#include <string>

#include "gm/base/elementary.hpp"

namespace gm {
namespace {

// In the order of Ensemble, so that sums have its bits.
std::array<double, kAgentsMax> softmax(std::span<const double> weights) {
    const double largest = *std::ranges::max_element(weights);
    std::array<double, kAgentsMax> shares{};
    double sum = 0.0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        shares[i] = elementary::exp(weights[i] - largest);
        sum += shares[i];
    }
    for (double& share : shares) share /= sum;
    return shares;
}

std::int8_t decide(const std::array<double, kActions>& shares, double threshold) {
    const bool is_long = shares[0] > shares[1] && shares[0] > shares[2];
    const bool is_short = shares[2] > shares[1] && shares[2] > shares[0];
    if (is_long && shares[0] >= threshold) return 1;
    return is_short && shares[2] >= threshold ? -1 : 0;
}

}  // namespace

Failure Votes::open(std::span<const double> weights, double threshold) {
    if (weights.empty() || weights.size() > kAgentsMax) {
        return fail(Status::kBadArgument, "agents must be 1 to " + std::to_string(kAgentsMax) +
                                              ": " + std::to_string(weights.size()));
    }
    if (!(threshold > 0.0 && threshold <= 1.0)) {
        return fail(Status::kBadArgument,
                    "threshold must lie in (0, 1]: " + std::to_string(threshold));
    }
    agents_ = weights.size();
    const auto of_agent = softmax(weights);
    for (std::size_t place = 0; place < kCombinationsMax; ++place) {
        std::array<double, kActions> shares{};
        std::size_t rest = place;
        for (std::size_t i = 0; i < agents_; ++i, rest /= kActions) {
            shares[rest % kActions] += of_agent[i];
        }
        directions_[place] = decide(shares, threshold);
    }
    return ok();
}

}  // namespace gm
