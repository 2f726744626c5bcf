// Implements gm/indicators/volume_profile.hpp.
#include "gm/indicators/volume_profile.hpp"

#include <bit>
#include <cstddef>
#include <cstring>
#include <limits>

#include "gm/indicators/lane_sum.hpp"

namespace gm {

namespace {

constexpr double kValueArea = 0.7;
constexpr double kWithin = 1e-9;  // of the total: what sums of shares may be short by
constexpr double kLowVolume = 0.3;
constexpr std::int32_t kNoEdge = 1 << 30;

std::int64_t least(std::int64_t a, std::int64_t b) noexcept {
    return a < b ? a : b;
}

std::int64_t most(std::int64_t a, std::int64_t b) noexcept {
    return a > b ? a : b;
}

// Place of the first of the largest volumes.
std::int32_t first_largest(const double* volume) noexcept {
    DoublePair most{0.0, 0.0};
    for (std::int32_t i = 0; i < VolumeRuns::kEdges; i += 2) {
        const auto pair = load_number<DoublePair>(volume + i);
        most = pair > most ? pair : most;
    }
    const double largest = most[0] > most[1] ? most[0] : most[1];
    std::int32_t place = 0;
    while (volume[place] < largest) ++place;
    return place;
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

DoublePair VolumeRuns::bins_of_pair(std::int32_t i) const noexcept {
    using Pair = std::int32_t __attribute__((vector_size(8)));
    Pair from;
    Pair to;
    std::memcpy(&from, edge + i, sizeof from);
    std::memcpy(&to, edge + i + 1, sizeof to);
    return __builtin_convertvector(to - from, DoublePair);
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
    runs_.clear();
    known_total_ = 0.0;
    if (count_ < kProfileBars - 1) return;
    const auto known = [this](std::int32_t i) -> const Bar& {
        return bars_[(next_ + 1 + i) % kProfileBars];
    };
    known_grid_ = {known(0).low_ticks, known(0).high_ticks, 1};
    for (std::int32_t i = 0; i < kProfileBars - 1; ++i) known_grid_ = known_grid_.with(known(i));
    for (std::int32_t i = 0; i < kProfileBars - 1; ++i) {
        known_total_ += known(i).volume_lots;
        add(known(i), known_grid_, runs_);
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
    const std::int32_t poc = first_largest(runs_.volume);
    poc_volume_ = runs_.volume[poc];
    find_value_area(poc);
    find_nodes();
}

// The rest of POC's run, then whole runs while they do not reach 70 %, then bins of the one that
// does.
void VolumeProfile::find_value_area(std::int32_t poc) noexcept {
    // A run, and one at either end that is never taken.
    struct Run {
        // The bits of a bin's volume: in the order of the numbers, as none is negative.
        std::int64_t volume;
        double whole;  // all bins together
    };
    constexpr std::int32_t kEnds = 2;
    Run with_ends[VolumeRuns::kEdges + 2 * kEnds];
    Run* const run_at = with_ends + kEnds;
    for (std::int32_t i = 0; i < VolumeRuns::kEdges; i += 2) {
        const auto of_bin = load_number<DoublePair>(runs_.volume + i);
        const DoublePair of_run = runs_.bins_of_pair(i) * of_bin;
        run_at[i] = {std::bit_cast<std::int64_t>(of_bin[0]), of_run[0]};
        run_at[i + 1] = {std::bit_cast<std::int64_t>(of_bin[1]), of_run[1]};
    }
    const std::int32_t runs = runs_.count();
    const Run end{-1, std::numeric_limits<double>::infinity()};
    run_at[-2] = run_at[-1] = run_at[runs] = run_at[runs + 1] = end;

    const std::int32_t* edge = runs_.edge;
    const double wanted = kValueArea * total_ - kWithin * total_;
    double inside = poc_volume_;
    const std::int32_t rest = edge[poc + 1] - edge[poc] - 1;
    const double all_rest = rest * poc_volume_;
    std::int32_t lowest = edge[poc];
    std::int32_t highest = edge[poc];
    if (inside + all_rest < wanted) {
        inside += all_rest;
        std::int64_t up = poc + 1;  // run above the area
        std::int64_t down = poc - 1;
        std::int64_t above = run_at[up].volume;
        std::int64_t below = run_at[down].volume;
        // No jump within, which side has more is a coin toss; and what may come next is loaded
        // before it is known.
        for (;;) {
            const std::int64_t next_above = run_at[up + 1].volume;
            const std::int64_t next_below = run_at[down - 1].volume;
            const std::int64_t falls = (above - below) >> 63;  // all bits or none
            const std::int64_t run = up ^ ((up ^ down) & falls);
            if (!(inside + run_at[run].whole < wanted)) break;
            inside += run_at[run].whole;
            up += 1 + falls;
            down += falls;
            above = next_above ^ ((next_above ^ above) & falls);
            below ^= (below ^ next_below) & falls;
        }
        highest = edge[up] - 1;
        lowest = edge[down + 1];
        const bool is_up = above >= below;
        const std::int64_t run = is_up ? up : down;
        if (inside < wanted && run >= 0 && run < runs) {
            const std::int32_t taken =
                bins_for(wanted - inside, runs_.volume[run], edge[run + 1] - edge[run]);
            highest += is_up ? taken : 0;
            lowest -= is_up ? 0 : taken;
        }
    } else if (inside < wanted) {
        highest += bins_for(wanted - inside, poc_volume_, rest);
    }
    const std::int32_t span = highest - lowest;
    // In bins: their width cancels. POC lies between both, so the quotient is in [-1, 1].
    skew_ = span == 0 ? 0.0 : static_cast<double>(highest + lowest - 2 * edge[poc]) / span;
}

// A bin has less volume than the one under it only where a run begins. No jumps: each condition is
// a coin toss.
void VolumeProfile::find_nodes() noexcept {
    const std::int32_t runs = runs_.count();
    const double* volume = runs_.volume;
    const double low = kLowVolume * poc_volume_;
    BitPair bit{1U << 1U, 1U << 2U};
    BitPair is_node{};  // by run
    for (std::int32_t i = 1; i < VolumeRuns::kEdges - 1; i += 2) {
        const auto under = load_number<DoublePair>(volume + i - 1);
        const auto here = load_number<DoublePair>(volume + i);
        const auto over = load_number<DoublePair>(volume + i + 1);
        const auto is_low =
            (here < under) & (here < low) & ((here <= over) | (runs_.bins_of_pair(i) > 1.0));
        is_node |= reinterpret_cast<BitPair>(is_low) & bit;
        bit <<= 2;
    }
    // The last bin is none.
    const std::int32_t end = runs - (runs_.edge[runs] - runs_.edge[runs - 1] == 1 ? 1 : 0);
    std::uint64_t left = (is_node[0] | is_node[1]) & ((std::uint64_t{1} << end) - 1);
    for (node_count_ = 0; left != 0; left &= left - 1) {
        const std::int32_t run = std::countr_zero(left);
        nodes_[node_count_] = {grid_.low_ticks + runs_.edge[run] * grid_.width_ticks, volume[run]};
        ++node_count_;
    }
}

VolumeNode VolumeProfile::nearest_node(std::int64_t price_ticks) const noexcept {
    std::int64_t nearest_ticks = std::numeric_limits<std::int64_t>::max();
    Node nearest{};
    for (std::int32_t i = 0; i < node_count_; ++i) {
        const std::int64_t above = nodes_[i].price_ticks - price_ticks;
        const std::int64_t ticks = above < 0 ? -above : above;
        const bool is_nearer = ticks < nearest_ticks;
        nearest.price_ticks = is_nearer ? nodes_[i].price_ticks : nearest.price_ticks;
        nearest.volume_lots = is_nearer ? nodes_[i].volume_lots : nearest.volume_lots;
        nearest_ticks = is_nearer ? ticks : nearest_ticks;
    }
    if (node_count_ == 0) return {0, 0.0};
    return {nearest.price_ticks, 1.0 - nearest.volume_lots / poc_volume_};
}

}  // namespace gm
