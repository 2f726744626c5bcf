// Lives that are reconciled, for the tests of recovery and of the venue's books.
#pragma once

#include <vector>

#include "engine/rig.hpp"

namespace gm::test {

// A rig whose lives are reconciled, and a venue that is told what to answer.
struct Life : Rig {
    explicit Life(const Settings& settings = make_settings()) : Rig(settings) {}

    void begin(std::uint32_t number, bool is_clean = false) {
        Epoch epoch{};
        epoch.epoch = number;
        epoch.clean = is_clean ? 1 : 0;
        epoch.is_reconciled = 1;
        io(RecordType::kEpoch, epoch);
        SessionEvent event{};
        event.connection = 1;
        io(RecordType::kConnected, event);
    }
    // Messages to the venue and to io since the last call, orders and levels aside.
    std::vector<RecordType> said() {
        for (const NewOrder& order : take_orders()) sent_orders.push_back(order);
        std::vector<RecordType> types;
        for (const Slot& slot : messages) {
            if (slot.type() != RecordType::kKillState) types.push_back(slot.type());
        }
        last = messages;
        messages.clear();
        return types;
    }
    PositionReport books() const {
        PositionReport report{};
        const Position& position = desk().position;
        const Int128 cash =
            position.realised_micros + position.adjusted_micros - position.cost * 100;
        report.position_lots = position.lots;
        report.cash_micros_low = static_cast<std::uint64_t>(cash);
        report.cash_micros_high = static_cast<std::int64_t>(cash >> 64);
        report.commission_micros = position.commission_micros;
        report.last_reply_sequence = reply_sequence;
        report.open_orders = static_cast<std::uint32_t>(engine->open_orders());
        report.is_last = 1;
        return report;
    }
    void agree() { reply(RecordType::kPositionReport, books()); }
    void reserve(std::uint64_t last_counter, std::uint32_t epoch) {
        IdsReserved reserved{};
        reserved.last_counter = last_counter;
        reserved.epoch = epoch;
        io(RecordType::kIdsReserved, reserved);
    }
    void become_ready(std::uint32_t number = 1, bool is_clean = true) {
        begin(number, is_clean);
        agree();
        reserve(kIdBlock, number);
        REQUIRE(engine->state() == EngineState::kReady);
        (void)said();
    }
    NewOrder wait_for_order() {
        is_manual = true;
        for (int i = 0; i < 1000; ++i) {
            wave_bar();
            const auto orders = take_orders();
            if (!orders.empty()) return orders.front();
        }
        FAIL("no order in 1,000 bars");
        return {};
    }
    ReconField broken() const {
        const auto breaks = records<ReconBreak>(RecordType::kReconBreak);
        return breaks.empty() ? ReconField::kNone : breaks.back().field;
    }

    std::vector<NewOrder> sent_orders;
    std::vector<Slot> last;
};

}  // namespace gm::test
