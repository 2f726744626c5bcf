// Models are swapped in a running engine, on its threads: every bar keeps its one decision, the
// journal derives again, a restart goes on with the model that was live, a late one goes by itself.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/model_block.hpp"
#include "gm/runtime/core.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/running.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::read_journal;
using test::RunningCore;
using test::RunningVenue;
using test::wave_tape;

constexpr std::size_t kEndlessTape = 100'000;  // longer than any machine takes for the swaps
constexpr std::uint32_t kSwaps = 20;
constexpr std::uint64_t kDecisionsBehind = 100;

std::vector<std::uint8_t> block_of(std::uint32_t number) {
    ModelHeader header = test::model_header();
    header.guard_columns = 0;
    std::memcpy(header.bundle_sha256, &number, sizeof number);
    const Settings settings = test::make_settings(number % 2 == 0 ? 50.0F : -50.0F);
    return test::model_block(settings, header, settings.agents[0]);
}

void decide_some(RunningCore& running) {
    const std::uint64_t until = running.status().engine.decisions + kDecisionsBehind;
    REQUIRE(running.wait_until([&] { return running.status().engine.decisions >= until; }));
}

// All of them, and some decisions of the last one.
void swap_while_it_runs(RunningCore& running) {
    const auto engine = [&] { return running.status().engine; };
    for (std::uint32_t number = 1; number <= kSwaps; ++number) {
        REQUIRE(running.wait_until(
            [&] { return running.core->shadow_model(block_of(number)).is_ok(); }));
        REQUIRE(running.wait_until([&] { return engine().shadow_model == number; }));
        REQUIRE(running.wait_until([&] {  // the command before it may still be on its way
            return running.core->command_model(ModelAction::kPromote, number).is_ok();
        }));
        REQUIRE(running.wait_until([&] { return engine().live_model == number; }));
        const std::uint32_t before = number - 1;  // 0 is the settings', of another hash
        REQUIRE(engine().before_model == before);
        const bool is_before = std::memcmp(engine().before_sha256, &before, sizeof before) == 0;
        REQUIRE((before == 0 || is_before));
    }
    decide_some(running);
}

// Every decision is of the model that the updates before it made live; no bar has two.
void check_decisions(const std::vector<Slot>& records) {
    std::uint32_t live = 0;
    std::uint32_t shadow = 0;
    std::int64_t last_bar = 0;
    std::uint32_t seen_swaps = 0;
    std::size_t decisions = 0;
    for (const Slot& slot : records) {
        if (slot.type() == RecordType::kModelUpdate) {
            const auto update = slot.as<ModelUpdate>();
            REQUIRE(update.stage != ModelStage::kRefused);
            seen_swaps += update.stage == ModelStage::kLive ? 1 : 0;
            live = update.live;
            if (update.stage == ModelStage::kShadow) shadow = update.model;
        } else if (slot.type() == RecordType::kDecision) {
            const auto decision = slot.as<Decision>();
            REQUIRE(decision.model == live);
            if (decisions > 0) {
                REQUIRE(decision.bar_start_ts_ns == last_bar + test::kHalfHourNs);
            }
            last_bar = decision.bar_start_ts_ns;
            ++decisions;
        } else if (slot.type() == RecordType::kShadowDecision) {
            REQUIRE(slot.as<Decision>().model == shadow);
        }
    }
    CHECK(live == kSwaps);
    CHECK(seen_swaps == kSwaps);
    CHECK(decisions >= kDecisionsBehind);
}

void trade_and_swap(Driver driver) {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    EngineStatus ended{};
    {
        RunningVenue venue(network, folder.path(), wave_tape(kEndlessTape));
        RunningCore running;
        running.start(network, folder.path(), driver);
        swap_while_it_runs(running);
        REQUIRE(!running.core->has_ended());
        running.stop();
        ended = running.status().engine;
    }
    check_decisions(read_journal(folder.path()));
    ReplayReport report;
    const Failure replayed = [&] {
        std::filesystem::create_directories(folder / "copy");
        return replay_run(folder.path(), folder / "copy", report);
    }();
    CHECK_MESSAGE(replayed.is_ok(), replayed.text);

    RunningCore again;  // what it recovers says which model decides
    const Failure failure = again.open(network, folder.path(), driver);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    again.core->close();
    const StatusReading status = again.status();
    CHECK(status.engine.live_model == kSwaps);
    CHECK(status.engine.last_model == ended.last_model);
    CHECK(std::memcmp(status.engine.live_sha256, &kSwaps, sizeof kSwaps) == 0);
}

}  // namespace

TEST_CASE("models are swapped while an engine trades: inline") {
    trade_and_swap(Driver::kInline);
}

TEST_CASE("models are swapped while an engine trades: threaded") {
    trade_and_swap(Driver::kThreaded);
}

TEST_CASE("a model over its budget three times in a row gives way to the one before it") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    VenueServerSettings free_running;
    free_running.speed_permille = 900'000'000;  // a bar of 30 minutes in 2 ms
    RunningVenue venue(network, folder.path(), wave_tape(kEndlessTape), test::kTapeId,
                       free_running);
    RunningCore running;
    running.policy_budget_ns = 1;  // nothing is that fast
    running.start(network, folder.path());
    // The first model is late as well; it has no one behind it.
    REQUIRE(running.wait_until([&] { return running.status().engine.decisions > 10; }));
    REQUIRE(running.core->shadow_model(block_of(1)).is_ok());
    REQUIRE(running.wait_until([&] { return running.status().engine.shadow_model == 1; }));
    REQUIRE(running.core->command_model(ModelAction::kPromote, 1).is_ok());
    REQUIRE(running.wait_until([&] { return running.status().engine.roll_backs == 1; }));
    decide_some(running);
    running.stop();
    CHECK(running.status().engine.roll_backs == 1);
    CHECK(running.status().engine.live_model == 0);
    CHECK(running.status().engine.late_decisions > 10);  // both models, every time
    std::size_t late = 0;
    std::size_t of_one = 0;
    for (const Slot& slot : read_journal(folder.path())) {
        late += slot.type() == RecordType::kModelUpdate &&
                        slot.as<ModelUpdate>().cause == ModelCause::kLate &&
                        slot.as<ModelUpdate>().value > 1
                    ? 1
                    : 0;
        of_one += slot.type() == RecordType::kDecision && slot.as<Decision>().model == 1 ? 1 : 0;
    }
    CHECK(late == 2);                    // the model that went and the one that is back
    CHECK(of_one == kLateDecisionsMax);  // those of the model before it do not count
    ReplayReport report;
    const Failure replayed = replay_run(folder.path(), folder / "copy", report);
    CHECK_MESSAGE(replayed.is_ok(), replayed.text);
}

// Equal input gives equal bytes on a fast and on a slow machine.
TEST_CASE("in lockstep, where the venue waits for the answer, no decision is late") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(300));
    RunningCore running;
    running.policy_budget_ns = 1;
    running.start(network, folder.path());
    running.wait_for_end();
    running.stop();
    CHECK(running.status().engine.decisions > 10);
    CHECK(running.status().engine.late_decisions == 0);
    for (const Slot& slot : read_journal(folder.path())) {
        CHECK(slot.type() != RecordType::kPolicyLate);
    }
}

TEST_CASE("what is no model is refused before the engine hears of it") {
    const TemporaryFolder folder;
    test::MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape(50));
    RunningCore running;
    running.start(network, folder.path());
    std::vector<std::uint8_t> block = block_of(1);
    block[0] ^= 1;
    CHECK(running.core->shadow_model(block).status == Status::kBadSettings);
    CHECK_FALSE(std::filesystem::exists(folder / "models"));
    running.wait_for_end();
    running.stop();
}
