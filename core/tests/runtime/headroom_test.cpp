// Promise: the engine hears once that room is short, once that it is back, and refuses new orders
// in between; a replay says the same.
#include "gm/runtime/headroom.hpp"

#include <doctest/doctest.h>

#include "journal/journal_fixture.hpp"
#include "runtime/running.hpp"

using namespace gm;
using namespace gm::test;
using gm::testing::TemporaryFolder;

TEST_CASE("a floor is crossed once each way, with a quarter of it between") {
    HeadroomWatch watch;
    Headroom told{};
    CHECK(!watch.judge({kRingFloorPpm, kRingFloorPpm, kDiskFloorPpm}, told));
    REQUIRE(watch.judge({kWholePpm, kWholePpm, kDiskFloorPpm - 1}, told));
    CHECK(told.under == room_bit(Room::kDisk));
    CHECK(told.free_ppm == 99'999);
    CHECK(told.floor_ppm == 100'000);
    watch.told(told);
    CHECK(!watch.judge({kWholePpm, kWholePpm, 124'999}, told));  // hovers
    REQUIRE(watch.judge({kRingFloorPpm - 1, kWholePpm, 124'999}, told));
    CHECK(told.under == (room_bit(Room::kDisk) | room_bit(Room::kOrderRing)));
    CHECK(told.floor_ppm == 250'000);  // of the first of them
    watch.told(told);
    REQUIRE(watch.judge({kWholePpm, kWholePpm, 125'000}, told));
    CHECK(told.under == 0);
    watch.told(told);
    CHECK(!watch.judge({}, told));
    REQUIRE(watch.judge({kWholePpm, 0, kWholePpm}, told));
    CHECK(told.under == room_bit(Room::kJournalRing));
}

TEST_CASE("shares of a ring and of a disk, and doubt is no room") {
    CHECK(ring_free_ppm(64, 0, 0) == kWholePpm);
    CHECK(ring_free_ppm(64, 100, 52) == 250'000);
    CHECK(ring_free_ppm(64, 164, 100) == 0);
    CHECK(ring_free_ppm(0, 0, 0) == 0);
    CHECK(disk_free_ppm("/no/such/folder") == 0);
    const std::int64_t here = disk_free_ppm("/");
    CHECK(here > 0);
    CHECK(here <= kWholePpm);
}

TEST_CASE("R18: under the disk's floor nothing new is sent, and the journal says why") {
    const TemporaryFolder folder;
    MemoryNetwork network;
    RunningVenue venue(network, folder.path(), wave_tape());
    RunningCore running;
    running.disk_floor_ppm = kWholePpm + 1;  // no disk is that empty
    running.start(network, folder.path());
    running.wait_for_end();
    running.stop();
    const auto engine = running.status().engine;
    CHECK(engine.orders == 0);
    CHECK(engine.decisions > 0);
    CHECK(engine.refusals[static_cast<std::size_t>(GateCode::kBackpressure)] > 0);
    std::size_t told = 0;
    for (const Slot& slot : read_journal(folder.path())) {
        if (slot.type() != RecordType::kHeadroom) continue;
        ++told;
        CHECK(slot.as<Headroom>().under == room_bit(Room::kDisk));
    }
    CHECK(told == 1);
    ReplayReport report;
    const Failure replayed = replay_run(folder.path(), folder / "copy", report);
    CHECK_MESSAGE(replayed.is_ok(), replayed.text);
}
