#include "gm/engine/outputs.hpp"

namespace gm {

[[gnu::noinline]] void Outputs::send(Stamp& stamp, RiskToken token) noexcept {
#ifdef GM_MUTANT_P1  // in the other order: a kill between the two leaves an order that nobody knows
    ++stamp.output_sequence;
    push(make(stamp, RecordType::kNewOrder, token.message()));
    --stamp.output_sequence;
    write(stamp, RecordType::kIntent, token.message());
#else
    write(stamp, RecordType::kIntent, token.message());
    push(make(stamp, RecordType::kNewOrder, token.message()));
#endif
}

[[gnu::noinline]] void Outputs::send(Stamp& stamp, ReplaceToken token) noexcept {
    announce(stamp, RecordType::kReplaceOrder, token.message());
}

}  // namespace gm
