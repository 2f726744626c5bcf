// Collects failures in the order in which they are found; the first one decides.
#pragma once

#include <cstdint>

#include "gm/risk/gate.hpp"

namespace gm {

class Gate::Findings {
 public:
    explicit Findings(Verdict& verdict) noexcept : verdict_(verdict) {}

    void fail(GateCode code, std::int64_t value, std::int64_t limit) noexcept {
        verdict_.mask |= 1U << (static_cast<unsigned>(code) - 1U);
        if (verdict_.code != GateCode::kNone) return;
        verdict_.code = code;
        verdict_.value = value;
        verdict_.limit = limit;
    }
    void fail_if(bool failed, GateCode code, std::int64_t value, std::int64_t limit) noexcept {
        if (failed) fail(code, value, limit);
    }

 private:
    Verdict& verdict_;
};

}  // namespace gm
