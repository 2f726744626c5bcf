// Implements gm/features/readiness.hpp.
#include "gm/features/readiness.hpp"

namespace gm {

const char* describe(NotReadyReason reason) noexcept {
    switch (reason) {
        case NotReadyReason::kNone: return "ready";
        case NotReadyReason::kWarmingUp: return "warming_up";
        case NotReadyReason::kPriceNotPositive: return "price_not_positive";
        case NotReadyReason::kOutOfSession: return "out_of_session";
    }
    return "unknown";
}

}  // namespace gm
