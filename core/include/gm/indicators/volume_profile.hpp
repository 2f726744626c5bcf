// Volume profile of the last 20 bars handed in: POC, value area, low-volume nodes.
//
// Each bar's volume is spread evenly over the bins of [L, H]; a bin is ⌈range/2048⌉ ticks wide, at
// least one, from the lowest price on, and is named by its lowest tick. Bins that the same bars
// cover are one run, so a profile is at most 39 numbers however far prices moved; a run is summed
// bar by bar, oldest first. prepare() adds up the 19 known bars. POC = largest bin, ties lowest.
// Value area: from POC one bin at a time to the side with more volume, ties up, until 70 %. LVN =
// interior bin below the bin under it, not above the bin over it, and under 30 % of POC. SPEC §2.
#pragma once

#include <cstdint>

#include "gm/indicators/lane_sum.hpp"

namespace gm {

inline constexpr std::int32_t kProfileBars = 20;
inline constexpr std::int64_t kProfileBins = 2'048;  // and one more

// Volume by price: run i holds volume[i] in each of its bins, from edge[i] up to edge[i + 1].
struct VolumeRuns {
    static constexpr std::int32_t kEdges = 2 * kProfileBars;

    void clear() noexcept;
    // Adds `volume` to each bin from first to last.
    void add(std::int32_t first, std::int32_t last, double volume) noexcept;
    [[nodiscard]] std::int32_t count() const noexcept { return edges - 1; }
    // Bins of runs i and i + 1.
    [[nodiscard]] DoublePair bins_of_pair(std::int32_t i) const noexcept;

    std::int32_t edge[kEdges + 2];  // kNoEdge behind the last
    std::int32_t edges;
    std::int32_t padding;
    double volume[kEdges];  // 0 behind the last run

 private:
    std::int32_t split(std::int32_t bin) noexcept;
};

struct VolumeNode {
    std::int64_t price_ticks;
    double strength;  // 1 - V_LVN/V_POC, above 0.7
};

class VolumeProfile {
 public:
    // Everything about the next profile that the known bars decide; a second call does nothing.
    void prepare() noexcept;
    // A real bar; prepare() came before.
    void update(std::int64_t high_ticks, std::int64_t low_ticks, std::int64_t volume_lots) noexcept;

    // From the 20th bar on.
    [[nodiscard]] bool is_warm() const noexcept { return count_ == kProfileBars; }
    [[nodiscard]] std::int64_t bars_needed() const noexcept { return kProfileBars - count_; }
    // (VAH + VAL - 2·POC)/(VAH - VAL), in [-1, 1]; 0 if VAH = VAL.
    [[nodiscard]] double skew() const noexcept { return skew_; }
    // The low-volume node nearest to a price, ties lower; strength 0: there is none.
    [[nodiscard]] VolumeNode nearest_node(std::int64_t price_ticks) const noexcept;

 private:
    struct Bar {
        std::int64_t high_ticks;
        std::int64_t low_ticks;
        double volume_lots;
    };
    struct Node {
        std::int64_t price_ticks;
        double volume_lots;
    };
    // Where bins lie.
    struct Grid {
        std::int64_t low_ticks;   // lowest price of the bars
        std::int64_t high_ticks;  // highest
        std::int64_t width_ticks;

        [[nodiscard]] Grid with(const Bar& bar) const noexcept;
        // From -2,048 (a price below the known ones) to 4,096.
        [[nodiscard]] std::int32_t bin(std::int64_t price_ticks) const noexcept {
            const std::int64_t above = price_ticks - low_ticks;
            return static_cast<std::int32_t>(width_ticks == 1 ? above : above / width_ticks);
        }
    };

    static void add(const Bar& bar, const Grid& grid, VolumeRuns& runs) noexcept;
    void measure() noexcept;
    void find_value_area(std::int32_t poc) noexcept;
    void find_nodes() noexcept;

    Bar bars_[kProfileBars] = {};  // in a circle
    std::int32_t next_ = 0;        // where the next bar goes
    std::int32_t count_ = 0;       // at most kProfileBars
    double known_total_ = 0.0;     // volume of the known bars that stay
    Grid known_grid_{};

    double total_ = 0.0;
    Grid grid_{};
    VolumeRuns runs_{};  // after prepare() of the known bars alone
    double skew_ = 0.0;
    Node nodes_[VolumeRuns::kEdges] = {};  // ascending
    double poc_volume_ = 0.0;
    std::int32_t node_count_ = 0;
    std::int32_t is_prepared_ = 0;
};

}  // namespace gm
