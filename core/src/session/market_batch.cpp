#include "gm/session/market_batch.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace gm {
namespace {

constexpr std::uint64_t kMarkEveryMin = 32;
constexpr double kMicros = 1e6;

enum Throw : std::uint64_t { kStart, kVenueSeed, kThrows };

Failure check(const Settings& settings, std::size_t tapes, const BatchOptions& options) {
    const auto in_range = [](const char* key, std::uint64_t value, std::uint64_t most) {
        if (value >= 1 && value <= most) return ok();
        return fail(Status::kBadArgument, std::string(key) + " must lie in [1, " +
                                              std::to_string(most) + "]: " + std::to_string(value));
    };
    Failure failure = in_range("size", options.size, MarketBatch::kSizeMax);
    if (failure.is_ok()) {
        failure = in_range("episode_bars", options.episode_bars, MarketBatch::kEpisodeBarsMax);
    }
    if (failure.is_ok() && tapes == 0) failure = fail(Status::kBadArgument, "there is no tape");
    if (!failure.is_ok()) return failure;
    const RewardSettings& reward = options.reward;
    for (const auto& [key, value] :
         {std::pair{"drawdown_weight", reward.drawdown_weight},
          std::pair{"synergy_factor", reward.synergy_factor}, std::pair{"ruin", reward.ruin}}) {
        if (std::isfinite(value) && value >= 0.0) continue;
        return fail(Status::kBadArgument,
                    std::string(key) + " must be finite and at least 0: " + std::to_string(value));
    }
    if (settings.instruments.size() != 1) {
        return fail(Status::kBadSettings, "training wants one instrument: " +
                                              std::to_string(settings.instruments.size()));
    }
    if (!settings.kernels.empty()) {
        return fail(Status::kBadSettings, "training wants settings without user kernels: " +
                                              std::to_string(settings.kernels.size()));
    }
    return ok();
}

// The votes enter as a rule of the newest bar does; networks are not asked.
Settings training_settings(const Settings& settings) {
    Settings out = settings;
    out.agents.clear();
    out.onnx.clear();
    out.header.agent_count = 0;
    out.tactical = {};
    out.header.tactical_agent_count = 0;
    out.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    out.header.kernel_count = 1;
    KernelSettings& rule = out.kernels.emplace_back();
    std::strcpy(rule.name, "training");
    rule.low = -1.0;
    rule.high = 1.0;
    rule.kind = KernelKind::kRule;
    rule.minutes = 30;
    rule.warmup = 1;
    rule.policy = KernelPolicy::kSkip;
    rule.input_count = 1;
    rule.inputs[0] = KernelField::kClose;
    return out;
}

// A bar makes two orders at most; the rest is room.
std::uint32_t orders_of(std::uint64_t episode_bars) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(4 * episode_bars + 64, Ledger::kOrdersMaxMax));
}

}  // namespace

ObservationRow BatchOutput::row(std::uint64_t market) const noexcept {
    return {matrix + market * kStrategicValues, context + market * kPolicyContext,
            position + market};
}

ObservationRow BatchOutput::last_row(std::uint64_t market) const noexcept {
    return {last_matrix + market * kStrategicValues, last_context + market * kPolicyContext,
            last_position + market};
}

Failure MarketBatch::open(const Settings& settings, const VenueSettings& venue,
                          std::span<const std::span<const TapeRow>> tapes,
                          const BatchOptions& options) {
    if (Failure failure = check(settings, tapes.size(), options); !failure.is_ok()) return failure;
    std::vector<double> weights;
    weights.reserve(settings.agents.size());
    for (const AgentSettings& agent : settings.agents) weights.push_back(agent.weight);
    Failure failure = votes_.open(weights, settings.header.threshold);
    if (!failure.is_ok()) return failure;
    reward_ = options.reward;
    dice_ = Dice(options.seed);
    keeps_record_ = options.keeps_record;
    const Settings ours = training_settings(settings);
    VenueSettings small = venue;
    small.orders_max = orders_of(options.episode_bars);
    failure = mark_tapes(ours, small, tapes, options);
    const auto longest = std::ranges::max(tapes, {}, [](const auto& rows) { return rows.size(); });
    for (std::uint64_t i = 0; failure.is_ok() && i < options.size; ++i) {
        markets_.push_back(std::make_unique<Episode>());
        failure = markets_.back()->open(ours, small, longest, options.episode_bars,
                                        keeps_record_ && i == 0);
    }
    episodes_.assign(options.size, 0);
    return failure;
}

Failure MarketBatch::mark_tapes(const Settings& settings, const VenueSettings& venue,
                                std::span<const std::span<const TapeRow>> tapes,
                                const BatchOptions& options) {
    std::uint64_t rows = 0;
    for (const auto& tape : tapes) rows += tape.size();
    const MarkedTape::Plan plan{options.warmup_bars, options.episode_bars,
                                std::max(rows / kMarksMax, kMarkEveryMin)};
    tapes_ = std::vector<MarkedTape>(tapes.size());
    std::uint64_t most = 0;
    for (std::size_t i = 0; i < tapes.size(); ++i) {
        Failure failure = tapes_[i].open(settings, venue, tapes[i], plan);
        if (!failure.is_ok()) {
            return fail(failure.status, "tape " + std::to_string(i) + ": " + failure.text);
        }
        starts_ += tapes_[i].starts();
        most = std::max(most, tapes_[i].decisions());
    }
    if (starts_ > 0) return ok();
    return fail(Status::kBadArgument, "episode_bars must be less than the decisions of a tape, " +
                                          std::to_string(most) +
                                          " at most: " + std::to_string(options.episode_bars));
}

// Every start of every tape is equally likely.
Failure MarketBatch::begin_episode(std::uint64_t market) {
    const std::uint64_t number = episodes_[market]++ * kThrows;
    auto at = static_cast<std::uint64_t>(
        dice_.one_of(market, number + kStart, static_cast<std::int64_t>(starts_)) - 1);
    std::size_t tape = 0;
    while (at >= tapes_[tape].starts()) at -= tapes_[tape++].starts();  // at < starts_
    return markets_[market]->begin(tapes_[tape], tape, at, dice_.bits(market, number + kVenueSeed));
}

Failure MarketBatch::reset(std::optional<std::uint64_t> seed, const BatchOutput& out) {
    if (seed) {
        dice_ = Dice(*seed);
        std::ranges::fill(episodes_, 0);
    }
    for (std::uint64_t i = 0; i < size(); ++i) {
        if (Failure failure = begin_episode(i); !failure.is_ok()) return failure;
        markets_[i]->observe(out.row(i));
    }
    return ok();
}

Failure MarketBatch::step(std::uint64_t first, std::uint64_t count, const std::int64_t* actions,
                          const BatchOutput& out) {
    if (first > size() || count > size() - first) {
        return fail(Status::kBadArgument, "markets " + std::to_string(first) + " to " +
                                              std::to_string(first + count) + " of " +
                                              std::to_string(size()));
    }
    for (std::uint64_t i = first * agents(); i < (first + count) * agents(); ++i) {
        if (actions[i] >= 0 && actions[i] < static_cast<std::int64_t>(kActions)) continue;
        return fail(Status::kBadArgument,
                    "action must be 0, 1 or 2: " + std::to_string(actions[i]) + " of market " +
                        std::to_string(i / agents()) + ", agent " + std::to_string(i % agents()));
    }
    for (std::uint64_t i = first; i < first + count; ++i) {
        Failure failure = step_market(i, actions + i * agents(), out);
        if (!failure.is_ok()) {
            return fail(failure.status, "market " + std::to_string(i) + ": " + failure.text);
        }
    }
    return ok();
}

Failure MarketBatch::step_market(std::uint64_t market, const std::int64_t* actions,
                                 const BatchOutput& out) {
    Episode& episode = *markets_[market];
    EpisodeStep done;
    Failure failure = episode.step(votes_.direction(actions), reward_, done);
    if (!failure.is_ok()) return failure;
    out.reward[market] = static_cast<float>(done.reward);
    out.terminated[market] = done.is_terminated;
    out.truncated[market] = done.is_truncated;
    out.equity[market] = done.equity_micros / kMicros;
    out.episode_return[market] = done.episode_return;
    if (done.is_terminated || done.is_truncated) {
        episode.observe(out.last_row(market));
        if (keeps_record_ && market == 0) record_ = episode.record();
        failure = begin_episode(market);
    }
    episode.observe(out.row(market));
    return failure;
}

}  // namespace gm
