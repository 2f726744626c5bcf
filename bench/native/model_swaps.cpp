// Models swapped under load: the native half of bench_swaps.py.
//
//   model_swaps SETTINGS MODEL SWAPS MESSAGES ROUNDS
//
// SETTINGS is a settings.bin of one instrument, MODEL a model block with the same columns. An
// engine gets MESSAGES trades, 50,000 a second by the clock and a minute apart by their stamps, so
// that every 30th closes a 30-minute bar and is decided on. In every other round another thread
// loads MODEL again and again, offers it as a shadow and promotes it, SWAPS times. Latency of a
// message: from the moment it was due to the end of its step, swaps between them included. The
// journal is read as it is written: each bar must have one decision, of the model that was live.
// Printed as JSON: of each round latency percentiles in ns, decisions, swaps, faults.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/engine/engine.hpp"
#include "gm/engine/lockstep.hpp"
#include "gm/journal/journal_ring.hpp"
#include "probe.hpp"
#include "settings_file.hpp"
#include "synthetic_trades.hpp"

namespace {

constexpr std::int64_t kMessageNs = 20'000;        // 50,000 a second
constexpr std::int64_t kStampNs = 60'000'000'000;  // a minute
constexpr std::int64_t kBarNs = 30 * kStampNs;
constexpr std::size_t kWarmMessages = 30 * 1'200;

// A command on its way from the thread that loads models to the one that steps.
struct Mailbox {
    std::atomic<bool> is_full{false};
    gm::ModelCommand command{};

    void put(const gm::ModelCommand& next) {
        command = next;
        is_full.store(true, std::memory_order_release);
    }
    void wait_until_taken() const {
        while (is_full.load(std::memory_order_acquire)) std::this_thread::yield();
    }
};

class Bench {
 public:
    Bench(const gm::Settings& settings, std::vector<gm::TapeRow> tape) : tape_(std::move(tape)) {
        failure = engine_->open(settings);
        if (failure.is_ok()) failure = journal_.open_anonymous(4 * gm::Engine::kStepRecordsMax);
        if (failure.is_ok()) failure = orders_.open(4096);
        if (!failure.is_ok()) return;
        outputs_ = std::make_unique<gm::Outputs>(journal_, orders_, nullptr);
        gm::Epoch epoch{};
        epoch.epoch = 1;
        io(gm::RecordType::kEpoch, epoch);
        gm::SessionEvent event{};
        event.connection = 1;
        io(gm::RecordType::kConnected, event);
        for (std::size_t i = 0; i < kWarmMessages; ++i) {
            feed();
            engine_->prepare();
            drain();
        }
    }

    // Paced; ns of each message.
    std::vector<double> run(std::size_t messages, const gm::TickScale& scale) {
        std::vector<double> ns;
        ns.reserve(messages);
        const auto step_ticks =
            static_cast<std::uint64_t>(static_cast<double>(kMessageNs) / scale.ns_per_tick());
        std::uint64_t due = gm::ticks() + step_ticks;
        for (std::size_t i = 0; i < messages; ++i, due += step_ticks) {
            while (gm::ticks() < due) {  // bounded by the clock
                if (mailbox.is_full.load(std::memory_order_acquire)) {
                    io(gm::RecordType::kModelCommand, mailbox.command);
                    mailbox.is_full.store(false, std::memory_order_release);
                }
                (void)engine_->prepare_part();
                drain();
            }
            feed();
            ns.push_back(scale.to_ns(gm::ticks() - due));
        }
        drain();
        return ns;
    }

    [[nodiscard]] gm::Models& models() { return engine_->models(); }

    gm::Failure failure;
    Mailbox mailbox;
    std::uint64_t decisions = 0;
    std::uint64_t swaps = 0;
    std::uint64_t faults = 0;  // a bar without its decision, or a decision of another model

 private:
    template <typename P>
    void io(gm::RecordType type, const P& payload) {
        gm::step_io(*engine_, gm::make_slot(type, gm::Source::kIo, 0, engine_->now_ns(), payload),
                    io_sequence_, *outputs_);
    }
    void feed() {
        const gm::TapeRow& row = tape_[next_];
        gm::Trade trade{};
        std::memcpy(&trade, row.payload, sizeof trade);
        engine_->step(gm::make_slot(gm::RecordType::kTrade, gm::Source::kVenueFeed, ++next_,
                                    row.ts_ns, trade),
                      *outputs_);
    }
    void drain() {
        while (orders_.front() != nullptr) orders_.pop();
        for (auto made = journal_.front(); !made.empty(); made = journal_.front()) {
            for (const gm::Slot& slot : made) look_at(slot);
            journal_.pop(made.size());
        }
    }
    void look_at(const gm::Slot& slot) {
        if (slot.type() == gm::RecordType::kModelUpdate) {
            const auto update = slot.as<gm::ModelUpdate>();
            live_ = update.live;
            swaps += update.stage == gm::ModelStage::kLive ? 1 : 0;
            faults += update.stage == gm::ModelStage::kRefused ? 1 : 0;
        }
        if (slot.type() != gm::RecordType::kDecision) return;
        const auto decision = slot.as<gm::Decision>();
        const bool is_next = last_bar_ == 0 || decision.bar_start_ts_ns == last_bar_ + kBarNs;
        faults += is_next && decision.model == live_ ? 0 : 1;
        last_bar_ = decision.bar_start_ts_ns;
        ++decisions;
    }

    std::unique_ptr<gm::Engine> engine_ = std::make_unique<gm::Engine>();
    gm::JournalRing journal_;
    gm::SpscRing<gm::Slot> orders_;
    std::unique_ptr<gm::Outputs> outputs_;
    std::vector<gm::TapeRow> tape_;
    std::size_t next_ = 0;
    std::uint64_t io_sequence_ = 0;
    std::uint32_t live_ = 0;
    std::int64_t last_bar_ = 0;
};

// The cold side: loads, offers, orders in, promotes.
void swap_models(Bench& bench, const std::vector<std::uint8_t>& block, std::uint32_t swaps,
                 std::int64_t every_ns) {
    const std::int64_t begin_ns = gm::monotonic_ns();
    for (std::uint32_t number = 1; number <= swaps; ++number) {
        while (gm::monotonic_ns() < begin_ns + number * every_ns) std::this_thread::yield();
        const auto model = std::make_shared<gm::Model>();
        if (!gm::load_model(block, *model).is_ok()) return;
        gm::ModelCommand command{};
        std::memcpy(command.sha256, model->sha256.data(), sizeof command.sha256);
        command.model = number;
        command.action = gm::ModelAction::kShadow;
        (void)bench.models().collect();
        if (!bench.models().offer(model)) return;
        bench.mailbox.put(command);
        bench.mailbox.wait_until_taken();
        command.action = gm::ModelAction::kPromote;
        bench.mailbox.put(command);
        bench.mailbox.wait_until_taken();
    }
}

double percentile(std::vector<double>& ns, double share) {
    const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(ns.size() - 1));
    std::nth_element(ns.begin(), ns.begin() + at, ns.end());
    return ns[static_cast<std::size_t>(at)];
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) return 2;
    const auto swaps = static_cast<std::uint32_t>(std::strtoul(argv[3], nullptr, 10));
    const std::size_t messages = std::strtoull(argv[4], nullptr, 10);
    const long rounds = std::strtol(argv[5], nullptr, 10);
    gm::Settings settings;
    std::vector<std::uint8_t> block;
    gm::Failure failure = bench::load_settings_file(argv[1], settings);
    if (failure.is_ok()) failure = gm::read_file(argv[2], block);
    const std::vector<gm::TapeRow> tape =
        bench::synthetic_trades(kWarmMessages + messages, kStampNs);
    const gm::TickScale scale = gm::TickScale::calibrate();
    const auto every_ns = static_cast<std::int64_t>(messages) * kMessageNs / (swaps + 1);
    bench::pin_thread(0);
    std::printf("[");
    for (long round = 0; round < 2 * rounds && failure.is_ok(); ++round) {
        Bench bench(settings, tape);
        failure = bench.failure;
        if (!failure.is_ok()) break;
        std::thread swapper;
        if (round % 2 == 1) {
            swapper = std::thread([&] {
                bench::pin_thread(1);
                swap_models(bench, block, swaps, every_ns);
            });
        }
        std::vector<double> ns = bench.run(messages, scale);
        if (swapper.joinable()) swapper.join();
        std::printf(
            "%s{\"swaps\": %llu, \"decisions\": %llu, \"faults\": %llu, \"p50_ns\": %.1f, "
            "\"p99_ns\": %.1f, \"p999_ns\": %.1f}",
            round == 0 ? "" : ", ", static_cast<unsigned long long>(bench.swaps),
            static_cast<unsigned long long>(bench.decisions),
            static_cast<unsigned long long>(bench.faults), percentile(ns, 0.5),
            percentile(ns, 0.99), percentile(ns, 0.999));
    }
    std::printf("]\n");
    if (failure.is_ok()) return 0;
    std::fprintf(stderr, "%s\n", failure.text.c_str());
    return 1;
}
