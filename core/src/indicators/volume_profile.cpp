// Implements gm/indicators/volume_profile.hpp.
#include "gm/indicators/volume_profile.hpp"

#include <cstddef>
#include <cstring>
#include <limits>

namespace gm {

namespace {

constexpr double kValueArea = 0.7;
constexpr double kWithin = 1e-9;  // of the total: what sums of shares may be short by
constexpr double kLowVolume = 0.3;
constexpr std::int32_t kNoEdge = std::numeric_limits<std::int32_t>::max();

std::int64_t least(std::int64_t a, std::int64_t b) noexcept {
    return a < b ? a : b;
}

std::int64_t most(std::int64_t a, std::int64_t b) noexcept {
    return a > b ? a : b;
}

// Bins to take from a run of `bins` to bring in `missing`, at least one.
std::int32_t bins_for(double missing, double volume, std::int32_t bins) noexcept {
    const double quotient = missing / volume;
    if (!(quotient < bins)) return bins;
    const auto whole = static_cast<std::int32_t>(quotient);
    return whole + (whole < quotient || whole == 0 ? 1 : 0);
}

}  // namespace

void VolumeRuns::clear() noexcept {
    edges = 0;
    for (std::int32_t& bin : edge) bin = kNoEdge;
    for (double& run : volume) run = 0.0;
}

void VolumeRuns::add(std::int32_t first, std::int32_t last, double added) noexcept {
    const std::int32_t begin = split(first);
    const std::int32_t end = split(last + 1);
    for (std::int32_t i = begin; i < end; ++i) volume[i] += added;
}

// Makes a run begin at `bin` and answers which.
std::int32_t VolumeRuns::split(std::int32_t bin) noexcept {
    std::int32_t place = 0;
    for (std::int32_t i = 0; i < kEdges; ++i) place += edge[i] < bin ? 1 : 0;  // of fixed length
    if (place < edges && edge[place] == bin) return place;
    const auto behind = static_cast<std::size_t>(edges - place);
    std::memmove(edge + place + 1, edge + place, behind * sizeof edge[0]);
    std::memmove(volume + place + 1, volume + place, behind * sizeof volume[0]);
    edge[place] = bin;
    volume[place] = place > 0 ? volume[place - 1] : 0.0;
    ++edges;
    return place;
}

VolumeProfile::Grid VolumeProfile::Grid::with(const Bar& bar) const noexcept {
    const std::int64_t low = least(low_ticks, bar.low_ticks);
    const std::int64_t high = most(high_ticks, bar.high_ticks);
    return {low, high, most(1, (high - low + kProfileBins - 1) / kProfileBins)};
}

void VolumeProfile::add(const Bar& bar, const Grid& grid, VolumeRuns& runs) noexcept {
    const std::int32_t first = grid.bin(bar.low_ticks);
    const std::int32_t last = grid.bin(bar.high_ticks);
    runs.add(first, last, bar.volume_lots / (last - first + 1));
}

// The next bar takes the place of the oldest once there are 20.
void VolumeProfile::prepare() noexcept {
    if (is_prepared_ != 0) return;
    is_prepared_ = 1;
    known_.clear();
    known_total_ = 0.0;
    if (count_ < kProfileBars - 1) return;
    const auto known = [this](std::int32_t i) -> const Bar& {
        return bars_[(next_ + 1 + i) % kProfileBars];
    };
    known_grid_ = {known(0).low_ticks, known(0).high_ticks, 1};
    for (std::int32_t i = 0; i < kProfileBars - 1; ++i) known_grid_ = known_grid_.with(known(i));
    for (std::int32_t i = 0; i < kProfileBars - 1; ++i) {
        known_total_ += known(i).volume_lots;
        add(known(i), known_grid_, known_);
    }
}

void VolumeProfile::update(std::int64_t high_ticks, std::int64_t low_ticks,
                           std::int64_t volume_lots) noexcept {
    const Bar bar{high_ticks, low_ticks, static_cast<double>(volume_lots)};
    bars_[next_] = bar;
    next_ = next_ + 1 == kProfileBars ? 0 : next_ + 1;
    if (count_ < kProfileBars) ++count_;
    is_prepared_ = 0;
    if (!is_warm()) return;
    total_ = known_total_ + bar.volume_lots;
    grid_ = known_grid_.with(bar);
    // Bins of one tick are the same whatever the lowest price: only their numbers begin elsewhere.
    const bool has_same_bins = grid_.width_ticks == known_grid_.width_ticks &&
                               (grid_.width_ticks == 1 || grid_.low_ticks == known_grid_.low_ticks);
    if (has_same_bins) {
        grid_.low_ticks = known_grid_.low_ticks;
        runs_ = known_;
        add(bar, grid_, runs_);
    } else {
        runs_.clear();
        for (std::int32_t i = 0; i < kProfileBars; ++i) {
            add(bars_[(next_ + i) % kProfileBars], grid_, runs_);
        }
    }
    measure();
}

void VolumeProfile::measure() noexcept {
    std::int32_t poc = 0;
    for (std::int32_t i = 1; i < runs_.count(); ++i) {
        if (runs_.volume[i] > runs_.volume[poc]) poc = i;
    }
    poc_volume_ = runs_.volume[poc];
    find_value_area(poc);
    find_nodes();
}

// Whole runs while they do not reach 70 %, then bins of the one that does.
void VolumeProfile::find_value_area(std::int32_t poc) noexcept {
    const std::int32_t* edge = runs_.edge;
    const double* volume = runs_.volume;
    const std::int32_t runs = runs_.count();
    const double wanted = kValueArea * total_ - kWithin * total_;
    double inside = volume[poc];
    std::int32_t lowest = edge[poc];  // bins of the area so far
    std::int32_t highest = edge[poc];
    std::int32_t up = poc + (edge[poc + 1] - edge[poc] == 1 ? 1 : 0);  // run of the bin above
    std::int32_t down = poc - 1;                                       // and of the bin below
    while (inside < wanted && (up < runs || down >= 0)) {              // a run a turn
        const bool must_fall = up == runs;
        const bool is_up = !must_fall && (down < 0 || volume[up] >= volume[down]);
        const std::int32_t run = is_up ? up : down;
        const std::int32_t bins = is_up ? edge[run + 1] - 1 - highest : lowest - edge[run];
        const double all = bins * volume[run];
        const std::int32_t taken =
            inside + all < wanted ? bins : bins_for(wanted - inside, volume[run], bins);
        inside += taken * volume[run];
        highest += is_up ? taken : 0;
        lowest -= is_up ? 0 : taken;
        up += is_up && taken == bins ? 1 : 0;
        down -= !is_up && taken == bins ? 1 : 0;
    }
    const std::int32_t span = highest - lowest;
    // In bins: their width cancels. POC lies between both, so the quotient is in [-1, 1].
    skew_ = span == 0 ? 0.0 : static_cast<double>(highest + lowest - 2 * edge[poc]) / span;
}

// A bin has less volume than the one under it only where a run begins. No jumps: each condition is
// a coin toss.
void VolumeProfile::find_nodes() noexcept {
    const std::int32_t* edge = runs_.edge;
    const double* volume = runs_.volume;
    const std::int32_t runs = runs_.count();
    const double low = kLowVolume * poc_volume_;
    node_count_ = 0;
    for (std::int32_t i = 1; i < runs; ++i) {
        // The last bin has 0 above it, but is none: only a run of more bins may be the last one.
        const double above = volume[i + (edge[i + 1] - edge[i] == 1 ? 1 : 0)];
        const bool is_interior = edge[i] + 1 != edge[runs];
        const bool is_node =
            is_interior & (volume[i] < volume[i - 1]) & (volume[i] <= above) & (volume[i] < low);
        nodes_[node_count_] = i;
        node_count_ += is_node ? 1 : 0;
    }
}

VolumeNode VolumeProfile::nearest_node(std::int64_t price_ticks) const noexcept {
    std::int64_t nearest_ticks = std::numeric_limits<std::int64_t>::max();
    std::int32_t nearest = -1;
    std::int64_t nearest_price = 0;
    for (std::int32_t i = 0; i < node_count_; ++i) {
        const std::int64_t price = grid_.low_ticks + runs_.edge[nodes_[i]] * grid_.width_ticks;
        const std::int64_t above = price - price_ticks;
        const std::int64_t ticks = above < 0 ? -above : above;
        const bool is_nearer = ticks < nearest_ticks;
        nearest = is_nearer ? nodes_[i] : nearest;
        nearest_price = is_nearer ? price : nearest_price;
        nearest_ticks = is_nearer ? ticks : nearest_ticks;
    }
    if (nearest < 0) return {0, 0.0};
    return {nearest_price, 1.0 - runs_.volume[nearest] / poc_volume_};
}

}  // namespace gm
