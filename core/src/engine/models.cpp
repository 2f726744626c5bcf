#include "gm/engine/models.hpp"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "block_reader.hpp"

namespace gm {
namespace {

std::vector<AgentOptions> options_of(const std::vector<AgentSettings>& rows,
                                     const std::vector<std::vector<std::uint8_t>>& onnx) {
    std::vector<AgentOptions> agents;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        AgentOptions& agent = agents.emplace_back();
        agent.name.assign(rows[i].name, ::strnlen(rows[i].name, sizeof rows[i].name));
        agent.weight = rows[i].weight;
        agent.temperature = rows[i].temperature;
        agent.column_mask = rows[i].column_mask;
        agent.context_count = rows[i].context_count;
        agent.tail = rows[i].tail;
        agent.onnx = onnx[i];
    }
    return agents;
}

struct Networks {
    std::vector<AgentSettings> agents;
    std::vector<std::vector<std::uint8_t>> onnx;
    TacticalPart tactical;
};

Failure load_networks(const Networks& from, double threshold, Model& out) {
    out.column_mask = 0;
    for (const AgentSettings& row : from.agents) out.column_mask |= row.column_mask;
    Failure failure = out.ensemble.load(options_of(from.agents, from.onnx), threshold);
    if (!failure.is_ok()) return failure;
    TacticalRules rules;
    rules.threshold = from.tactical.settings.threshold;
    static_assert(sizeof rules.weights == sizeof from.tactical.settings.weights);
    std::memcpy(rules.weights, from.tactical.settings.weights, sizeof rules.weights);
    return out.team.load(options_of(from.tactical.agents, from.tactical.onnx), rules);
}

Failure check_header(const ModelHeader& header) {
    if (header.magic != kModelMagic || header.schema != kSchema) {
        return fail(Status::kBadSettings, "not a model block of schema " + std::to_string(kSchema) +
                                              ": schema " + std::to_string(header.schema));
    }
    if (header.agent_count == 0 || header.agent_count > kAgentsMax) {
        return fail(Status::kBadSettings,
                    "agents of a model must be 1 to 3: " + std::to_string(header.agent_count));
    }
    const Sha256Digest schema = feature_schema_sha256();
    if (std::memcmp(header.feature_schema_sha256, schema.data(), schema.size()) != 0) {
        return fail(Status::kBadSettings, "the model was made for another feature schema");
    }
    for (std::uint32_t c = 0; c < kStrategicColumns; ++c) {
        const bool has_range = (header.guard_columns >> c & 1U) != 0;
        if (has_range && !(header.guard_low[c] <= header.guard_high[c])) {
            return fail(Status::kBadSettings, "guard of column " + std::to_string(c) +
                                                  ": the range ends before it begins");
        }
    }
    return ok();
}

}  // namespace

Failure load_model(const Settings& settings, Model& out) {
    std::memcpy(out.sha256.data(), settings.header.bundle_sha256, out.sha256.size());
    return load_networks({settings.agents, settings.onnx, settings.tactical},
                         settings.header.threshold, out);
}

Failure read_model(std::span<const std::uint8_t> block, ModelBlock& out) {
    out = {};
    BlockReader reader(block, "model");
    Failure failure = reader.read_one("header", out.header);
    if (failure.is_ok()) failure = check_header(out.header);
    if (failure.is_ok()) failure = reader.read("agents", out.header.agent_count, out.agents);
    if (failure.is_ok()) {
        failure = read_tactical(reader, out.header.tactical_agent_count, out.tactical);
    }
    if (failure.is_ok()) failure = read_onnx_files(reader, out.agents, out.onnx);
    if (failure.is_ok()) {
        failure = read_onnx_files(reader, out.tactical.agents, out.tactical.onnx);
    }
    if (failure.is_ok()) failure = reader.expect_end();
    return failure;
}

Failure load_model(std::span<const std::uint8_t> block, Model& out) {
    ModelBlock parts;
    if (Failure failure = read_model(block, parts); !failure.is_ok()) return failure;
    const ModelHeader& header = parts.header;
    std::memcpy(out.guard.low, header.guard_low, sizeof out.guard.low);
    std::memcpy(out.guard.high, header.guard_high, sizeof out.guard.high);
    out.guard.columns = header.guard_columns;
    out.guard.columns_max = header.guard_columns_max;
    out.guard.rows_max = header.guard_rows_max;
    std::memcpy(out.sha256.data(), header.bundle_sha256, out.sha256.size());
    out.block_sha256 = sha256(block.data(), block.size());
    Failure failure =
        load_networks({parts.agents, parts.onnx, parts.tactical}, header.threshold, out);
    out.column_mask |= header.guard_columns;  // a column that nobody computes has no range
    return failure;
}

std::string model_path(const std::string& run_directory, const Sha256Digest& sha256) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string name;
    for (const std::uint8_t byte : sha256) {
        name += kDigits[byte >> 4];
        name += kDigits[byte & 15];
    }
    return run_directory + "/models/" + name + ".bin";
}

Models::~Models() {
    delete offered_.load(std::memory_order_acquire);
    delete returned_.load(std::memory_order_acquire);
}

Models::Models(const Models& other) {
    *this = other;
}

Models& Models::operator=(const Models& other) {
    if (this == &other) return *this;
    places_ = other.places_;
    live_ = other.live_;
    before_ = other.before_;
    shadow_ = other.shadow_;
    last_number_ = other.last_number_;
    columns_ = other.columns_;
    needs_team_ = other.needs_team_;
    delete offered_.exchange(nullptr, std::memory_order_acq_rel);
    delete returned_.exchange(nullptr, std::memory_order_acq_rel);
    return *this;
}

void Models::open(ModelPointer first, std::uint32_t columns, bool needs_team) {
    places_ = {};
    places_[0].model = std::move(first);
    live_ = 0;
    before_ = shadow_ = kNoPlace;
    last_number_ = 0;
    columns_ = columns;
    needs_team_ = needs_team;
}

bool Models::offer(ModelPointer model) {
    // At most one carrier comes back for each that goes in, so an empty place now is an empty place
    // when the command comes.
    if (returned_.load(std::memory_order_acquire) != nullptr ||
        offered_.load(std::memory_order_acquire) != nullptr) {
        return false;
    }
    // Release: pairs with take_shadow(). The engine sees the model whole.
    offered_.store(new Carrier{std::move(model)}, std::memory_order_release);
    return true;
}

bool Models::collect() noexcept {
    const std::unique_ptr<Carrier> carrier(returned_.exchange(nullptr, std::memory_order_acquire));
    return carrier != nullptr;
}

std::size_t Models::free_place() const noexcept {
    for (std::size_t place = 0; place < kModelPlaces; ++place) {
        if (place != live_ && place != before_) return place;  // the shadow's, if there is one
    }
    return kNoPlace;  // unreachable: three places, two of them taken
}

void Models::add(Changes& out, std::size_t place, ModelStage stage, ModelCause cause,
                 std::int64_t value) const noexcept {
    ModelUpdate& update = out.updates[out.count++];
    std::memcpy(update.sha256, places_[place].model->sha256.data(), sizeof update.sha256);
    update.model = places_[place].number;
    update.stage = stage;
    update.cause = cause;
    update.live = live_number();
    update.value = value;
}

void Models::refuse(Changes& out, const ModelCommand& command, ModelCause cause) const noexcept {
    ModelUpdate& update = out.updates[out.count++];
    std::memcpy(update.sha256, command.sha256, sizeof update.sha256);
    update.model = command.model;
    update.stage = ModelStage::kRefused;
    update.cause = cause;
    update.live = live_number();
    update.value = command.value;
}

void Models::take_shadow(const ModelCommand& command, Changes& out) noexcept {
    // Acquire: pairs with offer(). What was offered goes with this command, taken or refused.
    Carrier* const carrier = offered_.exchange(nullptr, std::memory_order_acquire);
    const bool is_next = command.model == last_number_ + 1 && command.model <= UINT16_MAX;
    const bool is_it =
        carrier != nullptr &&
        std::memcmp(carrier->model->sha256.data(), command.sha256, sizeof command.sha256) == 0 &&
        (carrier->model->column_mask & ~columns_) == 0 &&
        (!needs_team_ || carrier->model->team.is_loaded());
    if (!is_next || !is_it) {
        if (carrier != nullptr) returned_.store(carrier, std::memory_order_release);
        return refuse(out, command, is_next ? ModelCause::kNotLoaded : ModelCause::kNoSuchModel);
    }
    last_number_ = command.model;
    if (shadow_ != kNoPlace) add(out, shadow_, ModelStage::kRetired, ModelCause::kOrdered, 0);
    shadow_ = free_place();
    Place& place = places_[shadow_];
    place.model.swap(carrier->model);
    returned_.store(carrier, std::memory_order_release);  // pairs with collect()
    place.number = static_cast<std::uint16_t>(command.model);
    out.taken_place = shadow_;
    add(out, shadow_, ModelStage::kShadow, ModelCause::kOrdered, 0);
}

void Models::promote() noexcept {
    before_ = live_;
    live_ = shadow_;
    shadow_ = kNoPlace;
}

bool Models::roll_back(ModelCause cause, std::int64_t value, Changes& out) noexcept {
    if (before_ == kNoPlace) return false;
    const std::size_t failed = live_;
    live_ = before_;
    before_ = kNoPlace;
    add(out, failed, ModelStage::kRetired, cause, value);
    add(out, live_, ModelStage::kLive, cause, value);
    return true;
}

void Models::take(const ModelCommand& command, Changes& out) noexcept {
    const bool is_of_shadow = shadow_ != kNoPlace && command.model == shadow_number();
    const bool is_of_live = command.model == live_number();
    switch (command.action) {
        case ModelAction::kShadow: return take_shadow(command, out);
        case ModelAction::kPromote:
            if (!is_of_shadow) break;
            promote();
            add(out, before_, ModelStage::kRetired, ModelCause::kOrdered, 0);
            add(out, live_, ModelStage::kLive, ModelCause::kOrdered, 0);
            return;
        case ModelAction::kRetire:
            if (!is_of_shadow) break;
            add(out, shadow_, ModelStage::kRetired, ModelCause::kOrdered, 0);
            shadow_ = kNoPlace;
            return;
        case ModelAction::kRollBack:
            if (!is_of_live || !roll_back(ModelCause::kOrdered, 0, out)) break;
            return;
        case ModelAction::kLate:
            if (!is_of_live || !roll_back(ModelCause::kLate, command.value, out)) break;
            return;
        default: break;
    }
    refuse(out, command, ModelCause::kNoSuchModel);
}

}  // namespace gm
