// An engine that is told what another was told before, and must say the same.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gm/engine/engine.hpp"

namespace gm::test {

using ManyModels = std::vector<std::shared_ptr<Model>>;

struct Listener {
    explicit Listener(const Settings& settings, const ManyModels& known) : models(known) {
        REQUIRE(journal.open_anonymous(1U << 16).is_ok());
        REQUIRE(orders.open(4096).is_ok());
        out = std::make_unique<Outputs>(journal, orders, nullptr);
        REQUIRE(engine->open(settings).is_ok());
    }
    // What it writes about the input, itself included, is the next of `written`.
    bool step(const std::vector<Slot>& written, std::size_t& at) {
        const Slot input = written[at];
        if (input.type() == RecordType::kModelCommand) offer(input.as<ModelCommand>());
        engine->step(input, *out);
        bool is_same = !journal.front().empty();
        for (auto made = journal.front(); !made.empty(); made = journal.front()) {
            if (on_made) on_made(made);
            for (const Slot& slot : made) {
                is_same = is_same && at < written.size() &&
                          std::memcmp(&slot, &written[at], kCompared) == 0;
                ++at;
            }
            journal.pop(made.size());
        }
        while (orders.front() != nullptr) orders.pop();
        return is_same;
    }
    void offer(const ModelCommand& command) {
        if (command.action != ModelAction::kShadow) return;
        (void)engine->models().collect();
        REQUIRE(engine->models().offer(models.at(command.sha256[0] - 1U)));
    }
    std::vector<std::uint8_t> save() {
        std::vector<std::uint8_t> bytes(engine->snapshot_size(), 0xa5);
        const std::size_t size = engine->save(bytes);
        REQUIRE(size > 0);
        bytes.resize(size);
        return bytes;
    }
    Failure restore(std::span<const std::uint8_t> bytes) {
        return engine->restore(
            bytes, [&](const Sha256Digest& sha256, const Sha256Digest& block, ModelPointer& found) {
                CHECK(block[0] == sha256[0]);
                found = models.at(sha256[0] - 1U);
                return ok();
            });
    }

    static constexpr std::size_t kCompared = offsetof(Slot, trailer) + 8;  // input sequence
    ManyModels models;
    std::function<void(std::span<const Slot>)> on_made;
    JournalRing journal;
    SpscRing<Slot> orders;
    std::unique_ptr<Outputs> out;
    std::unique_ptr<Engine> engine = std::make_unique<Engine>();
};

}  // namespace gm::test
