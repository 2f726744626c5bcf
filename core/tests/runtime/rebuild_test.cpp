// A decision is made again from the run directory with the matrix and logits that the engine had;
// what is no decision, lies behind the journal's end, or comes out otherwise is told apart.
#include "gm/runtime/rebuild.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/model_block.hpp"
#include "engine/rig.hpp"
#include "journal/journal_fixture.hpp"
#include "runtime/recorded_rig.hpp"
#include "runtime/settings_block.hpp"

namespace {

using namespace gm;
using gm::testing::TemporaryFolder;
using test::begin;
using test::write_file;
using test::write_journal;

// Index of the last record of a type.
std::size_t last_of(const std::vector<Slot>& records, RecordType type) {
    std::size_t found = records.size();
    for (std::size_t i = 0; i < records.size(); ++i) {
        if (records[i].type() == type) found = i;
    }
    REQUIRE(found < records.size());
    return found;
}

std::uint64_t sequence_of(const std::vector<Slot>& records, RecordType type) {
    return records[last_of(records, type)].trailer.journal_sequence;
}

std::vector<Slot> trade(const Settings& settings, float* matrix) {
    test::Rig rig(settings);
    begin(rig, settings);
    for (int i = 0; i < 400; ++i) rig.wave_bar();
    // The newest step decided on this matrix.
    std::memcpy(matrix, rig.desk().features.matrix(), kStrategicValues * sizeof(float));
    return rig.written;
}

Failure rebuild(const std::string& run_dir, std::uint64_t sequence, RebuiltDecision& out) {
    return rebuild_decision(run_dir, sequence, out);
}

}  // namespace

TEST_CASE("matrix, logits and probabilities are those that the engine decided on") {
    const Settings settings = test::loaded_settings();
    std::vector<float> matrix(kStrategicValues);
    const auto records = trade(settings, matrix.data());
    const TemporaryFolder folder;
    write_journal(folder.path(), records);
    write_file(folder / "settings.bin", test::settings_block(test::make_settings()));
    const std::uint64_t sequence = sequence_of(records, RecordType::kDecision);

    const auto found = std::make_unique<RebuiltDecision>();
    const Failure failure = rebuild(folder.path(), sequence, *found);
    REQUIRE_MESSAGE(failure.is_ok(), failure.text);
    REQUIRE(found->is_equal);
    CHECK(std::memcmp(found->matrix, matrix.data(), sizeof found->matrix) == 0);
    const auto decision = found->journalled.as<Decision>();
    for (std::size_t k = 0; k < kActions; ++k) {
        CHECK(found->values.probability[k] == decision.probability[k]);
        CHECK(found->values.agent_probability[0][k] == decision.agent_probability[0][k]);
    }
    CHECK(found->values.action == decision.action);
    // The rig's network: gain x (momentum_20 + momentum_50) of the newest row, 0, minus that.
    const float* newest = found->matrix + (kStrategicRows - 1) * kStrategicColumns;
    const float sum = newest[kMomentum20] + newest[kMomentum50];
    CHECK(found->votes.logits[0][0] == doctest::Approx(50.0F * sum));
    CHECK(found->votes.logits[0][1] == 0.0F);
    CHECK(found->votes.logits[0][2] == doctest::Approx(-50.0F * sum));
    CHECK(found->votes.shares[0] == 1.0);
    CHECK(found->votes.shares[1] == 0.0);
    CHECK(found->threshold == 0.55);
    CHECK(found->size_lots == 1000);
    CHECK(found->agents.size() == 1);
    CHECK(found->onnx == settings.onnx);
}

TEST_CASE("a decision that comes out otherwise is given beside the journal's") {
    const Settings settings = test::loaded_settings();
    std::vector<float> matrix(kStrategicValues);
    auto records = trade(settings, matrix.data());
    const std::size_t at = last_of(records, RecordType::kDecision);
    records[at].payload[offsetof(Decision, probability)] ^= 1;
    const TemporaryFolder folder;
    write_journal(folder.path(), records);
    write_file(folder / "settings.bin", test::settings_block(test::make_settings()));
    const std::uint64_t sequence = records[at].trailer.journal_sequence;
    const auto found = std::make_unique<RebuiltDecision>();
    REQUIRE(rebuild(folder.path(), sequence, *found).is_ok());
    CHECK_FALSE(found->is_equal);
    CHECK(found->agents.empty());
    CHECK(found->journalled.as<Decision>().probability[0] !=
          found->made.as<Decision>().probability[0]);
    CHECK(found->journalled.as<Decision>().action == found->made.as<Decision>().action);
}

TEST_CASE("what cannot be rebuilt says why") {
    const Settings settings = test::loaded_settings();
    std::vector<float> matrix(kStrategicValues);
    auto records = trade(settings, matrix.data());
    const TemporaryFolder folder;
    write_journal(folder.path(), records);
    const auto found = std::make_unique<RebuiltDecision>();
    const std::uint64_t decision = sequence_of(records, RecordType::kDecision);
    CHECK(rebuild(folder.path(), decision, *found).text.find("settings.bin") != std::string::npos);
    write_file(folder / "settings.bin", test::settings_block(test::make_settings()));

    Failure failure = rebuild(folder.path(), sequence_of(records, RecordType::kIntent), *found);
    CHECK(failure.status == Status::kBadArgument);
    CHECK(failure.text.find("is of type 71, not a decision") != std::string::npos);
    failure = rebuild(folder.path(), records.size() + 1, *found);
    CHECK(failure.status == Status::kBadArgument);
    CHECK(failure.text.find("the journal ends at record " + std::to_string(records.size())) == 0);

    // An output before the decision: the run cannot be derived up to there.
    const TemporaryFolder other;
    records[last_of(records, RecordType::kFill) + 1].payload[20] ^= 1;
    write_journal(other.path(), records);
    write_file(other / "settings.bin", test::settings_block(test::make_settings()));
    failure = rebuild(other.path(), decision, *found);
    CHECK(failure.status == Status::kReplayDiverged);
    CHECK(failure.text.find("journal record ") == 0);
}

TEST_CASE("a model that came while the engine ran is the one that is asked, and so is a shadow") {
    const Settings settings = test::loaded_settings();
    const Settings contrary = test::make_settings(-50.0F);
    ModelHeader header = test::model_header();
    header.bundle_sha256[0] = 7;
    header.guard_columns = 0;
    const auto block = test::model_block(contrary, header, contrary.agents[0]);
    test::Rig rig(settings);
    begin(rig, settings);
    for (int i = 0; i < 800; ++i) rig.wave_bar();
    ModelCommand command = test::make_shadow(rig, block);
    const Sha256Digest digest = test::digest_of(command);
    for (int i = 0; i < 5; ++i) rig.wave_bar();
    const std::uint64_t shadow = sequence_of(rig.written, RecordType::kShadowDecision);
    const std::uint64_t live = sequence_of(rig.written, RecordType::kDecision);
    command.action = ModelAction::kPromote;
    rig.io(RecordType::kModelCommand, command);
    for (int i = 0; i < 5; ++i) rig.wave_bar();

    const TemporaryFolder folder;
    write_journal(folder.path(), rig.written);
    write_file(folder / "settings.bin", test::settings_block(test::make_settings()));
    const std::string path = model_path(folder.path(), digest);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    write_file(path, block);
    const auto sum_of_logits = [&](std::uint64_t sequence, RebuiltDecision& out) {
        const Failure failure = rebuild(folder.path(), sequence, out);
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        REQUIRE(out.is_equal);
        const float* newest = out.matrix + (kStrategicRows - 1) * kStrategicColumns;
        return out.votes.logits[0][0] / (newest[kMomentum20] + newest[kMomentum50]);
    };
    const auto of_live = std::make_unique<RebuiltDecision>();
    const auto of_shadow = std::make_unique<RebuiltDecision>();
    const auto of_promoted = std::make_unique<RebuiltDecision>();
    CHECK(sum_of_logits(live, *of_live) == doctest::Approx(50.0F));
    CHECK(sum_of_logits(shadow, *of_shadow) == doctest::Approx(-50.0F));
    CHECK(sum_of_logits(sequence_of(rig.written, RecordType::kDecision), *of_promoted) ==
          doctest::Approx(-50.0F));
    CHECK(of_live->onnx == settings.onnx);
    CHECK(of_shadow->onnx == contrary.onnx);
    CHECK(of_promoted->onnx == contrary.onnx);
    CHECK(of_promoted->model_sha256 == digest);
}
