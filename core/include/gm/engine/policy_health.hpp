// R20: what is wrong with the outputs of a policy about one instrument, and how often in a row.
//
// An output counts as a failure when too few agents spoke for it to act, when it is no action, or
// when it came late: kPolicyFailuresMax of them in a row and only a person lets the instrument
// trade again. One agent of an ensemble that fails beside enough others fails that output's order,
// and is no failure of the policy (SPEC §5: after three errors in a row the agent is out).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "gm/base/archive.hpp"
#include "gm/policy/agent.hpp"

namespace gm {

inline constexpr std::uint32_t kPolicyFailuresMax = 3;

// Bit i: agent i has not made its three errors in a row.
[[nodiscard]] inline unsigned asked_agents(const std::uint8_t* errors_in_row,
                                           std::size_t agents) noexcept {
    unsigned mask = 0;
    for (std::size_t a = 0; a < agents; ++a) {  // at most kAgentsMax
        if (errors_in_row[a] < kAgentErrorsMax) mask |= 1U << a;
    }
    return mask;
}

class PolicyHealth {
 public:
    // A new output. `spoke` and `asked` are masks of agents. True: that was one failure too many.
    [[nodiscard]] bool on_output(unsigned spoke, unsigned asked, std::size_t agents,
                                 bool is_action) noexcept {
        if (!has_failed_) failures_ = 0;  // the one before was in time, too
        has_failed_ = false;
        const auto quorum = agents < 2 ? 1 : 2;
        const bool has_quorum = is_action && agents > 0 && std::popcount(spoke) >= quorum;
        is_invalid_ = !has_quorum || spoke != asked;
        return !has_quorum && fail();
    }

    // The last output took too long. What may still follow from it is refused.
    [[nodiscard]] bool on_late() noexcept {
        if (has_failed_) return false;
        is_invalid_ = true;
        return fail();
    }

    // A person has cleared it, or another model speaks.
    void forget() noexcept { *this = PolicyHealth{}; }

    [[nodiscard]] bool is_invalid() const noexcept { return is_invalid_; }
    [[nodiscard]] std::uint32_t failures() const noexcept { return failures_; }

    void archive(Archive& archive) noexcept { archive(failures_, has_failed_, is_invalid_); }

 private:
    [[nodiscard]] bool fail() noexcept {
        has_failed_ = true;
        if (failures_ < kPolicyFailuresMax) ++failures_;
        return failures_ == kPolicyFailuresMax;
    }

    std::uint32_t failures_ = 0;  // in a row
    bool has_failed_ = false;     // the last output
    bool is_invalid_ = false;
};

}  // namespace gm
