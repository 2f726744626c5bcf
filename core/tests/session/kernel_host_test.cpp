// Promise: a kernel is called with its windows and judged; what it did too slowly, raised or hangs
// in is known, and never by a clock inside the engine.
#include "gm/session/kernel_host.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <ctime>
#include <thread>
#include <vector>

#include "engine/rig.hpp"

using namespace gm;
using gm::test::make_settings;
using gm::test::Rig;

namespace {

constexpr std::int64_t kBudgetNs = 5'000'000;

void sleep_ms(long duration) {
    const timespec pause{0, duration * 1'000'000};
    nanosleep(&pause, nullptr);
}

std::int32_t rises(const double* const* windows, double* value) {
    *value = windows[0][1] > windows[0][0] ? 1.0 : -1.0;
    return 0;
}
std::int32_t is_nan(const double* const*, double* value) {
    *value = std::nan("");
    return 0;
}
std::int32_t raises(const double* const*, double* value) {
    *value = 1.0;
    return 1;
}
std::int32_t is_slow(const double* const*, double* value) {
    sleep_ms(20);
    *value = 1.0;
    return 0;
}
std::atomic<bool> may_return{false};
std::int32_t hangs(const double* const*, double* value) {
    while (!may_return.load()) sleep_ms(1);
    *value = 0.0;
    return 0;
}

Settings rule_settings() {
    Settings settings = make_settings();
    settings.header.profile = static_cast<std::uint32_t>(Profile::kRule);
    KernelSettings row{};
    std::strcpy(row.name, "rule");
    row.kind = KernelKind::kRule;
    row.minutes = 30;
    row.warmup = 2;
    row.low = -1.0;
    row.high = 1.0;
    row.policy = KernelPolicy::kSkip;
    row.input_count = 1;
    row.inputs[0] = KernelField::kClose;
    settings.kernels = {row};
    return settings;
}

struct Host {
    explicit Host(KernelFunction function) : rig(rule_settings()) {
        host.open(settings.kernels, std::span(&function, 1), kBudgetNs);
        rig.connect();
    }
    void bar(std::int64_t close) {
        rig.bar(40'000, close);
        host.serve(*rig.engine, [this](const Slot& answer) { rig.step(answer); });
    }
    std::vector<KernelResult> results() const {
        return rig.records<KernelResult>(RecordType::kKernelResult);
    }

    Settings settings = rule_settings();
    Rig rig;
    KernelHost host;
};

}  // namespace

TEST_CASE("every call that a step leaves is made and answered before the next input") {
    Host host(rises);
    host.bar(40'000);
    CHECK(host.results().empty());  // not before two bars
    host.bar(40'010);
    host.bar(40'005);
    const auto results = host.results();
    REQUIRE(results.size() == 2);
    CHECK(results[0].value == 1.0);
    CHECK(results[1].value == -1.0);
    CHECK(results[1].bar_start_ts_ns - results[0].bar_start_ts_ns == gm::test::kHalfHourNs);
    CHECK(host.rig.engine->last_kernel_sequence() == 2);
    CHECK(host.host.heartbeat() == 0);
}

TEST_CASE("no number and an exception are said with a value of 0, once") {
    for (const auto& [function, status] :
         {std::pair<KernelFunction, KernelStatus>{is_nan, KernelStatus::kNotFinite},
          {raises, KernelStatus::kFailed}}) {
        Host host(function);
        for (int i = 0; i < 5; ++i) host.bar(40'000 + i);
        const auto results = host.results();
        REQUIRE(results.size() == 1);
        CHECK(results[0].status == status);
        CHECK(results[0].value == 0.0);
    }
}

TEST_CASE("a call over its budget is said with its value, and the third in a row is the last") {
    Host host(is_slow);
    for (int i = 0; i < 6; ++i) host.bar(40'000 + i);
    const auto results = host.results();
    REQUIRE(results.size() == 3);
    for (const KernelResult& result : results) {
        CHECK(result.status == KernelStatus::kOverBudget);
        CHECK(result.value == 1.0);
    }
    CHECK(host.rig.engine->kernels().status(0) == KernelStatus::kOverBudget);
}

TEST_CASE("a kernel that hung in a former life is not called") {
    Host host(hangs);  // it would not come back
    host.host.mark_hung(0);
    host.bar(40'000);
    host.bar(40'000);
    REQUIRE(host.results().size() == 1);
    CHECK(host.results()[0].status == KernelStatus::kHung);
    CHECK(host.rig.engine->kernels().status(0) == KernelStatus::kHung);
}

TEST_CASE("a driver that takes no step is not asked for ever") {
    Host host(rises);
    host.bar(40'000);
    host.rig.bar(40'000, 40'010);
    int offered = 0;
    host.host.serve(*host.rig.engine, [&](const Slot&) { ++offered; });
    CHECK(offered == 1);
}

TEST_CASE("a watch finds the call that does not end, and only with its second look") {
    Host host(hangs);
    KernelWatch watch(host.host, 50'000'000);
    CHECK(watch.look() == std::nullopt);
    host.bar(40'000);
    may_return.store(false);
    std::thread caller([&] { host.bar(40'000); });
    while (host.host.heartbeat() == 0) sleep_ms(1);
    CHECK(watch.look() == std::nullopt);  // young
    sleep_ms(100);
    CHECK(watch.look() == std::nullopt);  // old, for the first time
    sleep_ms(5);
    CHECK(watch.look() == std::optional<std::size_t>(0));
    may_return.store(true);
    caller.join();
    CHECK(watch.look() == std::nullopt);
    CHECK(watch.look_row() == -1);
}
