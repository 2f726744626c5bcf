// Implements gm/indicators/volume_profile.hpp.
#include "gm/indicators/volume_profile.hpp"

namespace gm {

namespace {

constexpr double kValueArea = 0.7;
constexpr double kWithin = 1e-9;  // of the total: what sums of shares may be short by
constexpr double kLowVolume = 0.3;

std::int64_t least(std::int64_t a, std::int64_t b) noexcept {
    return a < b ? a : b;
}

std::int64_t most(std::int64_t a, std::int64_t b) noexcept {
    return a > b ? a : b;
}

// Bins to take from a run of `bins` to bring in `missing`, at least one.
std::int64_t bins_for(double missing, double volume, std::int64_t bins) noexcept {
    if (volume * static_cast<double>(bins) <= missing) return bins;
    const double quotient = missing / volume;
    const auto whole = static_cast<std::int64_t>(quotient);
    const std::int64_t taken = whole + (static_cast<double>(whole) < quotient ? 1 : 0);
    return most(1, least(taken, bins));
}

}  // namespace

void VolumeRuns::add(std::int64_t first, std::int64_t last, double added) noexcept {
    const std::int32_t begin = split(first);
    const std::int32_t end = split(last + 1);
    for (std::int32_t i = begin; i < end; ++i) volume[i] += added;
}

// Makes a run begin at `bin` and answers which.
std::int32_t VolumeRuns::split(std::int64_t bin) noexcept {
    std::int32_t place = 0;
    for (std::int32_t i = 0; i < edges; ++i) place += edge[i] < bin ? 1 : 0;
    if (place < edges && edge[place] == bin) return place;
    for (std::int32_t i = edges; i > place; --i) {
        edge[i] = edge[i - 1];
        volume[i] = volume[i - 1];
    }
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
    const std::int64_t first = grid.bin(bar.low_ticks);
    const std::int64_t last = grid.bin(bar.high_ticks);
    runs.add(first, last, bar.volume_lots / static_cast<double>(last - first + 1));
}

// The next bar takes the place of the oldest once there are 20.
void VolumeProfile::prepare() noexcept {
    if (is_prepared_ != 0) return;
    is_prepared_ = 1;
    known_.edges = 0;
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
        runs_.edges = 0;
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
    find_value_area(poc);
    find_nodes(poc);
}

void VolumeProfile::find_value_area(std::int32_t poc) noexcept {
    const std::int64_t* edge = runs_.edge;
    const double* volume = runs_.volume;
    const double wanted = kValueArea * total_ - kWithin * total_;
    double inside = volume[poc];
    std::int64_t lowest = edge[poc];  // bins of the area so far
    std::int64_t highest = edge[poc];
    std::int32_t up = poc + (edge[poc + 1] - edge[poc] == 1 ? 1 : 0);  // run of the bin above
    std::int32_t down = poc - 1;                                       // and of the bin below
    while (inside < wanted) {  // each turn takes a bin or more
        const bool can_rise = up < runs_.count();
        const bool can_fall = down >= 0;
        if (!can_rise && !can_fall) break;
        if (can_rise && (!can_fall || volume[up] >= volume[down])) {
            const std::int64_t bins = edge[up + 1] - 1 - highest;
            const std::int64_t taken = bins_for(wanted - inside, volume[up], bins);
            inside += static_cast<double>(taken) * volume[up];
            highest += taken;
            if (taken == bins) ++up;
        } else {
            const std::int64_t bins = lowest - edge[down];
            const std::int64_t taken = bins_for(wanted - inside, volume[down], bins);
            inside += static_cast<double>(taken) * volume[down];
            lowest -= taken;
            if (taken == bins) --down;
        }
    }
    const std::int64_t span = highest - lowest;
    // In bins: their width cancels. POC lies between both, so the quotient is in [-1, 1].
    skew_ = span == 0
                ? 0.0
                : static_cast<double>(highest + lowest - 2 * edge[poc]) / static_cast<double>(span);
}

// A bin has less volume than the one under it only where a run begins.
void VolumeProfile::find_nodes(std::int32_t poc) noexcept {
    const std::int64_t* edge = runs_.edge;
    const double* volume = runs_.volume;
    node_count_ = 0;
    for (std::int32_t i = 1; i < runs_.count(); ++i) {
        const bool is_last_bin = edge[i] + 1 == edge[runs_.count()];
        const double above = edge[i] + 1 == edge[i + 1] ? volume[i + 1] : volume[i];
        if (is_last_bin || !(volume[i] < volume[i - 1]) || !(volume[i] <= above)) continue;
        if (!(volume[i] < kLowVolume * volume[poc])) continue;
        nodes_[node_count_] = {grid_.low_ticks + edge[i] * grid_.width_ticks,
                               1.0 - volume[i] / volume[poc]};
        ++node_count_;
    }
}

const VolumeNode* VolumeProfile::nearest_node(std::int64_t price_ticks) const noexcept {
    const VolumeNode* nearest = nullptr;
    std::int64_t nearest_ticks = 0;
    for (std::int32_t i = 0; i < node_count_; ++i) {
        const std::int64_t above = nodes_[i].price_ticks - price_ticks;
        const std::int64_t ticks = above < 0 ? -above : above;
        if (nearest != nullptr && ticks >= nearest_ticks) continue;
        nearest = &nodes_[i];
        nearest_ticks = ticks;
    }
    return nearest;
}

}  // namespace gm
