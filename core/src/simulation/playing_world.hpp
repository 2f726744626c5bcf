// The parts of a world that is being played, and the turns between them.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gm/runtime/kill_words.hpp"
#include "gm/simulation/world.hpp"

namespace gm {

// What happened last, told only if somebody asks.
struct TraceLine {
    std::uint64_t event = 0;
    std::int64_t ts_ns = 0;
    const char* what = "";
    std::uint64_t first = 0;
    std::uint64_t second = 0;
};

class PlayingWorld {
 public:
    explicit PlayingWorld(const SimulationSettings& settings);
    ~PlayingWorld();
    PlayingWorld(const PlayingWorld&) = delete;
    PlayingWorld& operator=(const PlayingWorld&) = delete;

    Failure open();
    Failure play(SimulationReport& report);

 private:
    static constexpr std::int64_t kFaultEveryNs = 50'000'000;
    static constexpr std::int64_t kSettleEveryNs = 100'000'000;
    static constexpr std::int64_t kSettleWithinNs = 60'000'000'000;
    static constexpr std::int64_t kDiskFreePpm = 900'000;
    static constexpr std::uint64_t kSettleEventsMax = 200'000;
    static constexpr std::uint64_t kRingSlots = 4096;
    static constexpr std::uint64_t kFailedStartsMax = 30;  // in a row
    static constexpr std::size_t kTraceLines = 64;

    // ---- the world (world.cpp)
    Failure open_venue();
    Failure open_server();
    void take(const Event& event);
    void turn_venue();
    void plan_venue(std::int64_t due_ns);
    void on_arrived(Lane lane, std::span<const std::uint8_t> frame);
    void on_sent(std::span<const std::uint8_t> frame);
    void draw_fault();
    void settle();
    bool settle_if_well();
    void fill_disk();
    void note(const char* what, std::uint64_t first = 0, std::uint64_t second = 0) noexcept;
    [[nodiscard]] std::string trace() const;
    void write_report(SimulationReport& report);
    Failure replay(SimulationReport& report);

    // ---- the engine's process (process.cpp)
    void start_engine();
    void turn_io();
    void turn_engine();
    void turn_journal();
    void after_engine_turn(bool has_work = true);
    void plan_io(std::int64_t due_ns);
    void plan_start(std::int64_t within_ns);
    void on_core_over();
    void kill_process(bool has_power);
    void damage_snapshot();
    void keep_files();
    void put_files_back();
    void die_in_turn();  // some operations from now
    // The engine calls network or disk: does it die here, is the kill switch raised?
    void meet_operation(bool takes_feed);
    void meet_write();
    void end_dead_turn();
    void lose_power();
    void raise_kill();
    void clear_kill();
    void close_core();
    [[nodiscard]] std::int64_t engine_wall() const noexcept {
        return wall_base_ns_ + events_.now_ns() + wall_step_ns_;
    }

    const SimulationSettings& settings_;
    std::vector<std::uint8_t> block_;  // with the limits of this world
    Settings loaded_;
    Random random_;
    Faults faults_;
    EventQueue events_;
    SimulatedNetwork network_;
    SimulatedDisk disk_;
    ZmqTable zmq_ = SimulatedNetwork::table();
    std::vector<TapeRow> tape_;
    Venue venue_;
    VenueServerSettings server_settings_;
    std::optional<VenueServer> server_;
    std::optional<Adversary> adversary_;
    std::optional<Judge> judge_;
    SteppedParts stepped_;
    CoreSettings core_settings_;
    Endpoints endpoints_;
    std::unique_ptr<Core> core_;
    KillWords words_;

    std::int64_t disk_free_ppm_ = kDiskFreePpm;
    std::int64_t disk_full_until_ns_ = 0;
    std::uint64_t torn_snapshot_ = 0;  // by its sequence; 0: none
    std::int64_t wall_base_ns_ = 0;
    std::int64_t wall_step_ns_ = 0;
    std::uint64_t io_version_ = 0;
    std::int64_t io_due_ns_ = INT64_MAX;
    std::uint64_t venue_version_ = 0;
    std::int64_t venue_due_ns_ = INT64_MAX;
    bool is_journal_planned_ = false;
    bool is_step_planned_ = false;
    std::int64_t takes_until_kill_ = -1;   // -1: nobody raises it
    std::int64_t writes_until_kill_ = -1;  // of the journal
    std::int64_t operations_left_ = -1;    // until the process dies in a turn; -1: it does not
    bool is_dead_in_turn_ = false;
    std::uint64_t published_at_death_ = 0;
    struct KeptFile {
        std::string path;
        std::vector<std::uint8_t> bytes;
        bool is_there = false;
    };
    std::array<KeptFile, 4> files_at_death_;  // that outlive the process
    std::int64_t settle_from_ns_ = INT64_MAX;
    std::int64_t settle_by_ns_ = 0;
    bool is_settled_ = false;
    std::uint64_t played_ = 0;
    std::uint64_t starts_ = 0;
    std::uint64_t snapshot_starts_ = 0;
    std::uint64_t failed_starts_ = 0;
    std::uint64_t failed_in_a_row_ = 0;
    std::string failure_text_;
    std::string unsettled_;
    std::array<TraceLine, kTraceLines> trace_{};
    std::uint64_t traced_ = 0;
};

}  // namespace gm
