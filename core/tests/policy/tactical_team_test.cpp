// Promise: votes are counted as SPEC §5 says, by hand and against a slow count of its own, and what
// was prepared, be it half of it, changes no bit.
#include "gm/policy/tactical_team.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "policy/conv_bytes.hpp"

namespace gm {

using namespace test;

namespace {

TacticalRules spec_rules() {
    return {
        0.65,
        {{1.0 / 3, 1.0 / 3, 1.0 / 3}, {.5, .3, .2}, {.4, .4, .2}, {.3, .5, .2}, {.35, .35, .3}}};
}

constexpr double kRest = 1e-3;  // what the other two actions have less than half of

// An agent that gives `confidence` to `vote` and halves of the rest to the others.
void say(TacticalValues& values, std::size_t agent, std::size_t vote, double confidence) {
    for (double& one : values.agent_probability[agent]) one = (1.0 - confidence) / 2.0;
    values.agent_probability[agent][vote] = confidence;
    values.agents |= static_cast<std::uint8_t>(1U << agent);
}

struct Said {
    std::size_t vote;
    double confidence;
};
TacticalValues count_of(const Said& fvg, const Said& momentum, const Said& entry,
                        std::uint8_t type = 0) {
    TacticalValues values{};
    const Said all[] = {fvg, momentum, entry};
    for (std::size_t a = 0; a < 3; ++a) {
        if (all[a].confidence > 0.0) say(values, a, all[a].vote, all[a].confidence);
    }
    count_votes(spec_rules(), type, values);
    return values;
}

constexpr std::size_t kLong = 0;
constexpr std::size_t kNeutral = 1;
constexpr std::size_t kShort = 2;
constexpr std::size_t kWait = 0;
constexpr std::size_t kExecute = 1;
constexpr std::size_t kAggressive = 2;
constexpr Said kOut{0, 0.0};

}  // namespace

TEST_CASE("scores worked by hand, one for each row of weights") {
    const Said fvg{kLong, 0.9};
    const Said momentum{kLong, 0.8};
    const Said entry{kExecute, 0.7};
    const double expected[] = {(0.9 + 0.8 + 0.7) / 3, 0.45 + 0.24 + 0.14, 0.36 + 0.32 + 0.14,
                               0.27 + 0.40 + 0.14, 0.315 + 0.28 + 0.21};
    for (std::uint8_t type = 0; type < kSynergyTypes; ++type) {
        const TacticalValues found = count_of(fvg, momentum, entry, type);
        CHECK(std::abs(found.score - expected[type]) < 1e-12);
        CHECK(found.direction == 1);
        CHECK(found.entry == EntryVote::kExecute);
        CHECK(found.allows);
    }
    // Momentum says the opposite: 0.45 + 0.14 under type 1, 0.40 + 0.14 under type 3.
    const TacticalValues split = count_of(fvg, {kShort, 0.8}, entry, 1);
    CHECK(split.direction == 1);
    CHECK(std::abs(split.score - 0.59) < 1e-12);
    CHECK_FALSE(split.allows);
    const TacticalValues other = count_of(fvg, {kShort, 0.8}, entry, 3);
    CHECK(other.direction == -1);
    CHECK(std::abs(other.score - 0.54) < 1e-12);
    // One direction alone, exactly at the threshold and one step under it.
    CHECK(count_of({kShort, 0.95}, {kNeutral, 0.9}, {kAggressive, 0.875}, 1).score == 0.65);
    CHECK(count_of({kShort, 0.95}, {kNeutral, 0.9}, {kAggressive, 0.875}, 1).allows);
    CHECK_FALSE(count_of({kShort, 0.95}, {kNeutral, 0.9}, {kAggressive, 0.874}, 1).allows);
}

TEST_CASE("wait vetoes, and so does a tie of entry; a tie of the others is no direction") {
    const Said sure{kLong, 0.99};
    const TacticalValues vetoed = count_of(sure, sure, {kWait, 0.5});
    CHECK(vetoed.entry == EntryVote::kWait);
    CHECK(vetoed.direction == 1);
    CHECK(std::abs(vetoed.score - 0.66) < 1e-12);  // entry adds nothing, and two would suffice
    CHECK_FALSE(vetoed.allows);
    TacticalValues tied{};
    say(tied, 0, kLong, 0.99);
    say(tied, 1, kLong, 0.99);
    say(tied, 2, kWait, 0.02);  // 0.49 for each of the others
    count_votes(spec_rules(), 0, tied);
    CHECK(tied.entry == EntryVote::kWait);
    const TacticalValues apart = count_of({kLong, 0.9}, {kShort, 0.9}, {kExecute, 0.9});
    CHECK(apart.direction == 0);
    CHECK(apart.score == 0.0);
    CHECK_FALSE(apart.allows);
    // Entry speaks for no direction by itself.
    const TacticalValues neutral = count_of({kNeutral, 0.9}, {kNeutral, 0.9}, {kExecute, 1.0});
    CHECK(neutral.direction == 0);
    CHECK_FALSE(neutral.allows);
    TacticalValues half{};  // long and neutral alike
    say(half, 0, kShort, kRest);
    say(half, 1, kLong, 0.9);
    say(half, 2, kExecute, 0.9);
    count_votes(spec_rules(), 0, half);
    CHECK(half.votes[0] == Action::kNeutral);
    CHECK(half.votes[1] == Action::kLong);
}

TEST_CASE(
    "an agent that is out leaves its weight to the others; one alone, or none that may veto, "
    "allows nothing") {
    const Said sure{kShort, 0.8};
    const TacticalValues without_fvg = count_of(kOut, sure, {kExecute, 0.7}, 1);
    CHECK(without_fvg.direction == -1);
    CHECK(std::abs(without_fvg.score - (0.3 * 0.8 + 0.2 * 0.7) / 0.5) < 1e-12);
    CHECK(without_fvg.allows);
    const TacticalValues without_entry = count_of(sure, {kShort, 0.99}, kOut, 1);
    CHECK(without_entry.score > 0.65);
    CHECK(without_entry.entry == EntryVote::kWait);
    CHECK_FALSE(without_entry.allows);
    CHECK_FALSE(count_of(kOut, {kShort, 0.99}, kOut).allows);
    CHECK_FALSE(count_of(kOut, kOut, {kExecute, 0.99}).allows);
    CHECK_FALSE(count_of(kOut, kOut, kOut).allows);
}

TEST_CASE("a hundred thousand random votes are counted as a slow count counts them") {
    std::mt19937_64 random(5);
    std::uniform_real_distribution<double> share(0.0, 1.0);
    const TacticalRules rules = spec_rules();
    int allowed = 0;
    for (int turn = 0; turn < 100'000; ++turn) {
        TacticalValues values{};
        values.agents = static_cast<std::uint8_t>(random() % 10 == 0 ? random() % 8 : 7);
        for (std::size_t a = 0; a < 3; ++a) {
            double sum = 0.0;
            for (double& one : values.agent_probability[a]) sum += one = std::pow(share(random), 4);
            for (double& one : values.agent_probability[a]) one /= sum;
            if ((values.agents >> a & 1) == 0) {
                for (double& one : values.agent_probability[a]) one = 0.0;
            }
        }
        const auto type = static_cast<std::uint8_t>(random() % 5);
        // Slow: the score of each direction by itself, over the agents that took part.
        double total = 0.0;
        int speakers = 0;
        for (int a = 0; a < 3; ++a) {
            if ((values.agents & 1 << a) == 0) continue;
            total += rules.weights[type][a];
            ++speakers;
        }
        const auto vote_of = [&](int a) {
            const double* p = values.agent_probability[a];
            return p[0] > p[1] && p[0] > p[2] ? 0 : p[1] > p[0] && p[1] > p[2] ? 1 : 2;
        };
        const bool has_entry = (values.agents & 4) != 0;
        const bool waits = !has_entry || vote_of(2) == 0;
        double scores[2] = {};  // long, short
        bool is_voted[2] = {};
        for (int side = 0; side < 2; ++side) {
            for (int a = 0; a < 2; ++a) {
                if ((values.agents & 1 << a) == 0 || vote_of(a) != 2 * side) continue;
                is_voted[side] = true;
                scores[side] += rules.weights[type][a] * values.agent_probability[a][2 * side];
            }
            if (!waits)
                scores[side] += rules.weights[type][2] * values.agent_probability[2][vote_of(2)];
        }
        int side = -1;
        if (is_voted[0] && (!is_voted[1] || scores[0] > scores[1])) side = 0;
        if (is_voted[1] && (!is_voted[0] || scores[1] > scores[0])) side = 1;
        count_votes(rules, type, values);
        REQUIRE(values.direction == (side < 0 ? 0 : side == 0 ? 1 : -1));
        const double score = side < 0 ? 0.0 : scores[side] / total;
        REQUIRE(std::abs(values.score - score) < 1e-12);
        if (std::abs(score - rules.threshold) < 1e-9) continue;
        REQUIRE(values.allows == (side >= 0 && !waits && speakers >= 2 && score >= 0.65));
        allowed += values.allows;
    }
    CHECK(allowed > 5'000);
}

namespace {

struct Team {
    explicit Team(double temperature = 1.0) {
        std::vector<AgentOptions> agents;
        for (std::uint32_t a = 0; a < 3; ++a) {
            files.push_back(conv_model({.seed = 11 + a}));
            agents.push_back({std::string(kTeamNames[a]), 0.0, temperature, 127, 0, Tail::kFloat32,
                              files.back()});
        }
        for (std::size_t a = 0; a < 3; ++a) agents[a].onnx = files[a];
        const Failure failure = team.load(agents, spec_rules());
        REQUIRE_MESSAGE(failure.is_ok(), failure.text);
        for (std::size_t a = 0; a < 3; ++a) {
            REQUIRE(networks[a].load(files[a], {60, 7, 0}).is_ok());
        }
    }
    std::vector<Bytes> files;
    TacticalTeam team;
    Network networks[3];
};

bool are_same(const TacticalValues& left, const TacticalValues& right) {
    return std::memcmp(left.agent_probability, right.agent_probability,
                       sizeof left.agent_probability) == 0 &&
           left.score == right.score && left.direction == right.direction &&
           left.agents == right.agents && left.allows == right.allows;
}

}  // namespace

TEST_CASE("decisions are those of full networks, whatever part was prepared, also on equal rows") {
    Team made;
    const auto lazy = std::make_unique<TacticalState>();
    const auto eager = std::make_unique<TacticalState>();
    const auto scratch = std::make_unique<PrepareScratch>();
    std::mt19937_64 random(9);
    std::uniform_real_distribution<float> number(-1.0F, 1.0F);
    std::vector<float> rows;
    const int windows = 400;
    for (int i = 0; i < (60 + windows) * 7; ++i) {
        // Stretches of equal rows: the same oldest and newest row, another window.
        const bool repeats = i >= 7 && i / 7 % 50 < 20;
        rows.push_back(repeats ? rows[static_cast<std::size_t>(i) - 7] : number(random));
    }
    REQUIRE(made.team.prepare_pieces() > 3 * 8);
    for (int window = 0; window < windows; ++window) {
        const float* const matrix = rows.data() + window * 7;
        const TacticalRows now{matrix, window + 60};
        TacticalValues first{};
        TacticalValues second{};
        made.team.decide(now, 0, *lazy, first);
        made.team.decide(now, 0, *eager, second);
        REQUIRE(are_same(first, second));
        for (std::size_t a = 0; a < 3; ++a) {
            float logits[3];
            made.networks[a].run_full(matrix, logits);
            double sum = 0.0;
            for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
            for (std::size_t k = 0; k < 3; ++k) {
                const double p = std::exp(static_cast<double>(logits[k])) / sum;
                REQUIRE(std::abs(first.agent_probability[a][k] - p) < 1e-12);
            }
        }
        const std::size_t all = made.team.prepare_pieces();
        const std::size_t pieces = random() % 3 == 0 ? all : random() % (all + 1);
        for (std::size_t piece = 0; piece < pieces; ++piece) {
            made.team.prepare_piece(piece, now, *scratch, *eager);
        }
    }
}

TEST_CASE("three errors in a row and an agent is out; the others decide on") {
    Team made;
    const auto state = std::make_unique<TacticalState>();
    std::vector<float> rows(61 * 7, 0.25F);
    TacticalValues values{};
    std::vector<float> bad(rows);
    for (std::size_t i = 0; i < bad.size(); ++i) bad[i] = 3e38F;  // sums that are no numbers
    for (int turn = 0; turn < 3; ++turn) {
        made.team.decide({bad.data(), 60 + turn}, 0, *state, values);
        CHECK(values.agents == 0);
        CHECK_FALSE(values.allows);
    }
    made.team.decide({rows.data(), 63}, 0, *state, values);
    CHECK(values.agents == 0);
    *state = {};
    made.team.decide({bad.data(), 60}, 0, *state, values);
    made.team.decide({bad.data(), 61}, 0, *state, values);
    made.team.decide({rows.data(), 62}, 0, *state, values);
    CHECK(values.agents == 7);
    made.team.decide({bad.data(), 63}, 0, *state, values);
    made.team.decide({rows.data(), 64}, 0, *state, values);
    CHECK(values.agents == 7);
}

TEST_CASE("what is no team is refused with agent, value and limit") {
    const Bytes file = conv_model({});
    const AgentOptions good{"fvg", 0.0, 1.0, 127, 0, Tail::kFloat32, file};
    TacticalTeam team;
    const auto refused = [&](auto&& change) {
        std::vector<AgentOptions> agents(3, good);
        for (std::size_t a = 0; a < 3; ++a) agents[a].name = kTeamNames[a];
        TacticalRules rules = spec_rules();
        change(agents, rules);
        return team.load(agents, rules).text;
    };
    CHECK(refused([](auto&, auto&) {}).empty());
    CHECK(team.is_loaded());
    CHECK(refused([](auto& a, auto&) { a.pop_back(); }).find(": 2 of them") != std::string::npos);
    CHECK_FALSE(team.is_loaded());
    CHECK(refused([](auto& a, auto&) { a[1].column_mask = 128; }).find("0 to 6: 128") !=
          std::string::npos);
    CHECK(refused([](auto& a, auto&) { a[1].column_mask = 63; }).find("agent momentum") !=
          std::string::npos);
    CHECK(refused([](auto& a, auto&) {
              a[1].name = "entry";
          }).find("must be momentum at place 1") != std::string::npos);
    CHECK(refused([](auto& a, auto&) { a[0].context_count = 6; }).find("context must be 0: 6") !=
          std::string::npos);
    CHECK(refused([](auto& a, auto&) { a[2].temperature = 0.0; }).find("temperature") !=
          std::string::npos);
    CHECK(refused([](auto&, auto& r) { r.threshold = 1.5; }).find("threshold") !=
          std::string::npos);
    CHECK(refused([](auto&, auto& r) { r.weights[2][0] = 0.5; }).find("type 2") !=
          std::string::npos);
    CHECK(refused([](auto&, auto& r) { r.weights[1][0] = std::nan(""); }).find("type 1") !=
          std::string::npos);
    CHECK(team.load({}, spec_rules()).is_ok());
    CHECK_FALSE(team.is_loaded());
}

}  // namespace gm
