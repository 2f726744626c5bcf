// Promise: where two levels decide, the strategic one says which side and leaves what it opposes,
// the tactical one of the same model times entries in that direction while it stands, and the
// journal says all of it; prepared or not, copied or derived again, to the same bytes.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "engine/two_levels.hpp"

using namespace gm;
using namespace gm::test;

namespace {

constexpr std::int64_t kWarmHalfHours = 260;
constexpr std::int64_t kHalfHours = 420;

std::int64_t side_of(const NewOrder& order) {
    return order.side == Side::kBuy ? 1 : -1;
}

std::int64_t direction_of(const Decision& decision) {
    return decision.acts != 0 ? 1 - static_cast<std::int64_t>(decision.action) : 0;
}

// A slow second opinion: everything about a tactical decision but the networks, from the journal.
struct Opinion {
    std::map<std::int64_t, Decision> strategic;  // by end of its bar
    std::vector<Synergy> synergies;

    std::int64_t standing(std::int64_t end_ns) const {
        std::int64_t found = 0;
        for (const auto& [made_ns, decision] : strategic) {
            if (made_ns > end_ns) break;
            found = end_ns - made_ns < kHalfHourNs ? direction_of(decision) : 0;
        }
        return found;
    }
    int synergy_type(std::int64_t end_ns) const {
        int found = 0;
        for (const Synergy& synergy : synergies) {
            if (synergy.ts_ns > end_ns) break;
            found = end_ns - synergy.ts_ns <= 24 * kFiveMinutesNs ? synergy.type : 0;
        }
        return found;
    }
};

void check_against_opinion(const std::vector<Slot>& written, int& stood, int& fell) {
    Opinion opinion;
    std::int64_t before = 0;
    for (const Slot& slot : written) {
        if (slot.type() == RecordType::kDecision) {
            const auto decision = slot.as<Decision>();
            opinion.strategic[decision.bar_start_ts_ns + kHalfHourNs] = decision;
        }
        if (slot.type() == RecordType::kSynergy) opinion.synergies.push_back(slot.as<Synergy>());
        if (slot.type() != RecordType::kTacticalDecision) continue;
        const auto found = slot.as<TacticalDecision>();
        const std::int64_t end_ns = found.bar_start_ts_ns + kFiveMinutesNs;
        REQUIRE(found.standing == opinion.standing(end_ns));
        REQUIRE(found.synergy_type == opinion.synergy_type(end_ns));
        double long_score = 0.0;
        double short_score = 0.0;
        const double* weights = kSpecWeights[found.synergy_type];
        const Action votes[] = {found.fvg, found.momentum};
        for (int a = 0; a < 2; ++a) {
            const double confidence = static_cast<double>(
                *std::max_element(found.agent_probability[a], found.agent_probability[a] + 3));
            if (votes[a] == Action::kLong) long_score += weights[a] * confidence;
            if (votes[a] == Action::kShort) short_score += weights[a] * confidence;
        }
        const int direction = (long_score > short_score) - (long_score < short_score);
        double score = std::max(long_score, short_score);
        if (found.entry != EntryVote::kWait) {
            score += weights[2] * static_cast<double>(*std::max_element(
                                      found.agent_probability[2], found.agent_probability[2] + 3));
        }
        if (direction == 0) score = 0.0;
        REQUIRE(found.direction == direction);
        REQUIRE(std::abs(static_cast<double>(found.score) - score) < 1e-6);
        if (std::abs(score - 0.65) > 1e-6) {
            const bool enters = score >= 0.65 && direction != 0 && direction == found.standing &&
                                found.entry != EntryVote::kWait;
            REQUIRE(found.enters == enters);
        }
        stood += found.standing != 0;
        fell += before != 0 && found.standing == 0;
        before = found.standing;
    }
}

// Every order and why it may exist.
void check_orders(const TwoLevelRig& rig, OrderType type) {
    std::map<std::int64_t, TacticalDecision> timed;
    for (const TacticalDecision& one : rig.timed()) timed[one.bar_start_ts_ns] = one;
    for (const NewOrder& order : rig.intents()) {
        if (order.reason != OrderReason::kEntry) {
            CHECK(order.type == OrderType::kMarket);
            continue;
        }
        REQUIRE(timed.count(order.decision_bar_start_ts_ns) == 1);
        const TacticalDecision& why = timed[order.decision_bar_start_ts_ns];
        CHECK(why.enters == 1);
        CHECK(why.direction == side_of(order));
        CHECK(order.type == type);
    }
}

}  // namespace

TEST_CASE("standing directions, scores and entries are those of a slow second opinion") {
    TwoLevelRig rig(two_level_settings(kSaysAggressive));
    rig.half_hours(kHalfHours);
    int stood = 0;
    int fell = 0;
    check_against_opinion(rig.written, stood, fell);
    CHECK(stood > 300);
    CHECK(fell >= 2);
    CHECK(rig.engine->totals().tactical_decisions == rig.timed().size());
    check_orders(rig, OrderType::kMarket);
    std::map<OrderReason, int> reasons;
    for (const NewOrder& order : rig.intents()) ++reasons[order.reason];
    CHECK(reasons[OrderReason::kEntry] > 3);
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("on a common boundary the strategic decision comes first, and its direction counts") {
    TwoLevelRig rig(two_level_settings(kSaysAggressive));
    rig.half_hours(kHalfHours);
    std::optional<Decision> strategic;
    std::uint64_t made_by = 0;
    int common = 0;
    int turned = 0;
    std::int64_t before = 0;
    for (const Slot& slot : rig.written) {
        if (slot.type() == RecordType::kDecision) {
            strategic = slot.as<Decision>();
            made_by = slot.trailer.input_sequence;
        }
        if (slot.type() == RecordType::kShadowDecision) FAIL("no shadow was asked for");
        if (slot.type() != RecordType::kTacticalDecision || !strategic) continue;
        const auto found = slot.as<TacticalDecision>();
        const bool is_common = slot.trailer.input_sequence == made_by;
        CHECK(is_common == ((found.bar_start_ts_ns + kFiveMinutesNs) % kHalfHourNs == 0));
        if (is_common) CHECK(found.standing == direction_of(*strategic));
        common += is_common;
        turned += is_common && found.standing != before;
        before = found.standing;
    }
    CHECK(common > 150);
    CHECK(turned >= 4);
}

TEST_CASE("wait vetoes every entry, and nothing is ever ordered") {
    TwoLevelRig rig(two_level_settings(kSaysWait));
    rig.half_hours(kHalfHours);
    CHECK(rig.timed().size() > 1000);
    for (const TacticalDecision& one : rig.timed()) CHECK(one.enters == 0);
    CHECK(rig.intents().empty());
}

TEST_CASE("timid votes reach no threshold: a score of a half and an even entry is no entry") {
    // 200 became 0.2: confidences near a third, far under 0.65 in sum.
    TwoLevelRig rig(two_level_settings({0.0F, 0.1F, 0.0F}, 0.2F));
    rig.half_hours(kHalfHours);
    for (const TacticalDecision& one : rig.timed()) CHECK(one.enters == 0);
    CHECK(rig.intents().empty());
}

TEST_CASE("execute enters by a limit at the close, which is taken back at the next one") {
    TwoLevelRig rig(two_level_settings(kSaysExecute));
    rig.lets_limits_fill = false;
    rig.half_hours(kHalfHours);
    check_orders(rig, OrderType::kLimit);
    const auto orders = rig.intents();
    REQUIRE(orders.size() > 10);
    std::map<std::int64_t, BarClose> bars;
    for (const BarClose& bar : rig.records<BarClose>(RecordType::kBarClose)) {
        bars[bar.start_ts_ns] = bar;
    }
    int again = 0;
    for (std::size_t i = 0; i < orders.size(); ++i) {
        CHECK(orders[i].price_ticks == bars[orders[i].decision_bar_start_ts_ns].close_ticks);
        const std::int64_t apart_ns =
            i == 0 ? 0
                   : orders[i].decision_bar_start_ts_ns - orders[i - 1].decision_bar_start_ts_ns;
        again += apart_ns == kFiveMinutesNs;
    }
    // Taken back and placed anew at the next close, in the steps behind that close.
    CHECK(again > 5);
    CHECK(rig.cancels >= orders.size() - 1);
    CHECK(rig.desk().position.lots == 0);
    CHECK(rig.engine->totals().bad_transitions == 0);
    CHECK(rig.engine->open_orders() <= 1);
}

TEST_CASE("limits that are met make the position; what strategic opposes is left at market") {
    TwoLevelRig rig(two_level_settings(kSaysExecute));
    std::int64_t position = 0;
    int exits = 0;
    for (int i = 0; i < 6 * kHalfHours; ++i) {
        rig.five();
        position = rig.desk().position.lots;
        CHECK(std::abs(position) <= 1000);
    }
    std::map<std::int64_t, Decision> strategic;
    for (const Decision& one : rig.records<Decision>(RecordType::kDecision)) {
        strategic[one.bar_start_ts_ns] = one;
    }
    for (const NewOrder& order : rig.intents()) {
        if (order.reason != OrderReason::kDecision) continue;
        ++exits;
        REQUIRE(strategic.count(order.decision_bar_start_ts_ns) == 1);
        CHECK(direction_of(strategic[order.decision_bar_start_ts_ns]) == side_of(order));
        CHECK(order.quantity_lots == 1000);  // leaves, does not turn
    }
    CHECK(exits >= 2);
    check_orders(rig, OrderType::kLimit);
}

TEST_CASE("an exit that a resting limit stands before follows as soon as that is taken back") {
    Settings settings = two_level_settings(kSaysExecute);
    settings.onnx = {momentum_network(5'000.0F)};  // acts always: no half hour between the sides
    for (const std::size_t agent : {kFvgAgent, kMomentumAgent}) {
        settings.tactical.onnx[agent] = tactical_network(0.0F, {5.0F, 0.0F, 0.0F});  // ever long
    }
    TwoLevelRig rig(settings);
    rig.partial_lots = 1;  // so that one rests as long as long stands
    rig.half_hours(kHalfHours);
    int exits = 0;
    int behind_a_cancel = 0;
    std::uint64_t cancelled_at = 0;
    for (const Slot& slot : rig.written) {
        if (slot.type() == RecordType::kCancelled) cancelled_at = slot.trailer.input_sequence;
        if (slot.type() != RecordType::kIntent) continue;
        const auto order = slot.as<NewOrder>();
        if (order.reason != OrderReason::kDecision) continue;
        ++exits;
        behind_a_cancel += slot.trailer.input_sequence == cancelled_at;
        // At the moment of the close that decided it, be it in a later step.
        CHECK(slot.header.receive_ts_ns == order.decision_bar_start_ts_ns + kHalfHourNs);
    }
    CHECK(exits >= 1);
    CHECK(behind_a_cancel == exits);
    CHECK(rig.engine->totals().bad_transitions == 0);
}

TEST_CASE("a position is left after max_hold_bars even if both sides want it on that close") {
    Settings settings = two_level_settings(kSaysAggressive);
    settings.header.max_hold_bars = 2;
    TwoLevelRig rig(settings);
    rig.half_hours(kHalfHours);
    int by_age = 0;
    for (const NewOrder& order : rig.intents()) by_age += order.reason == OrderReason::kMaxHold;
    CHECK(by_age > 5);
    // Never longer: an entry or a turn, then at most two closed half hours and the fill.
    std::int64_t held = 0;
    std::int64_t before = 0;
    for (const Slot& slot : rig.written) {
        if (slot.type() != RecordType::kPosition) continue;
        const auto update = slot.as<PositionUpdate>();
        const bool goes_on = (update.position_lots > 0) == (before > 0) && before != 0;
        held = update.position_lots == 0 ? 0 : goes_on ? held + 1 : 1;
        before = update.position_lots;
        CHECK(held <= 4);
    }
}

TEST_CASE("prepared in any number of parts, or never: the same bytes") {
    std::vector<Slot> first;
    for (const std::uint64_t seed : {0U, 1U, 2U}) {
        TwoLevelRig rig(two_level_settings(kSaysExecute));
        std::mt19937_64 random(seed);
        for (std::int64_t i = 0; i < 6 * 300; ++i) {
            rig.five();
            const std::uint64_t parts = seed == 0 ? 0 : random() % (seed * 60);
            for (std::uint64_t part = 0; part < parts; ++part) {
                if (!rig.engine->prepare_part()) break;
            }
        }
        REQUIRE(rig.intents().size() > 3);
        if (first.empty()) {
            first = rig.written;
            continue;
        }
        REQUIRE(first.size() == rig.written.size());
        CHECK(std::memcmp(first.data(), rig.written.data(), first.size() * sizeof(Slot)) == 0);
    }
}

TEST_CASE("a copy made while something stands goes on as the original does") {
    TwoLevelRig rig(two_level_settings(kSaysAggressive));
    rig.half_hours(kWarmHalfHours);
    std::int64_t bars = 0;
    while (rig.timed().back().standing == 0 && bars++ < 600) rig.five();
    REQUIRE(rig.timed().back().standing != 0);
    (void)rig.engine->prepare_part();
    TwoLevelRig twin(two_level_settings(kSaysAggressive));
    *twin.engine = *rig.engine;
    twin.feed_sequence = rig.feed_sequence;
    twin.reply_sequence = rig.reply_sequence;
    twin.executions = rig.executions;
    twin.count = rig.count;
    twin.bars = rig.bars;
    twin.pending = rig.pending;
    const std::size_t from = rig.written.size();
    const std::size_t twin_from = twin.written.size();
    for (int i = 0; i < 200; ++i) {
        rig.five();
        twin.five();
    }
    REQUIRE(rig.written.size() - from == twin.written.size() - twin_from);
    for (std::size_t i = from; i < rig.written.size(); ++i) {
        const Slot& ours = rig.written[i];
        const Slot& theirs = twin.written[twin_from + i - from];
        REQUIRE(std::memcmp(&ours.header, &theirs.header, sizeof ours.header) == 0);
        REQUIRE(std::memcmp(ours.payload, theirs.payload, sizeof ours.payload) == 0);
    }
}

TEST_CASE("bars of 30 minutes alone: directions stand, nothing is timed, and the reason is told") {
    Rig rig(two_level_settings(kSaysAggressive));
    rig.connect();
    for (int i = 0; i < 400; ++i) rig.wave_bar();
    CHECK(rig.records<Decision>(RecordType::kDecision).size() > 100);
    CHECK(rig.records<TacticalDecision>(RecordType::kTacticalDecision).empty());
    CHECK(rig.records<NewOrder>(RecordType::kIntent).empty());
    CHECK(rig.engine->not_ready_reason(0) == NotReadyReason::kWarmingUp);
    CHECK(rig.engine->bars_needed(0) == 10);  // 60 of 5 minutes
}

TEST_CASE("profile two_level without a team is refused, by the engine too") {
    Settings settings = make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kTwoLevel);
    Engine engine;
    CHECK(engine.open(settings).text == "profile 2 (two_level) without tactical agents");
}
