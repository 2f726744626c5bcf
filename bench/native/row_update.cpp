// The native half of bench/bench_row.py: times the strategic row on request, one block at a time.
//
// row_update BARS: the file holds records of {ClosedBar, local offset ns}. Requests are lines on
// standard input, answers are doubles on standard output; FIRST = 0 starts afresh.
//   bars FIRST COUNT GAP_NS   one record a bar, after a wait of GAP_NS: ns of update(), ns of
//                             prepare(), ns of an empty measurement (the probe), longest ns that
//                             the processor was away in the wait, the 13 values
//   run FIRST COUNT           one number: ns a bar, back to back, with all preparation
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/features/strategic.hpp"
#include "probe.hpp"

namespace {

struct Input {
    gm::ClosedBar bar;
    std::int64_t local_offset_ns;
};

struct Sample {
    double update_ns;
    double prepare_ns;
    double probe_ns;
    double pause_ns;
    double row[gm::kStrategicColumns];
};

std::vector<Input> read_inputs(const char* path) {
    std::vector<Input> inputs;
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return inputs;
    Input input;
    while (std::fread(&input, sizeof input, 1, file) == 1) inputs.push_back(input);
    std::fclose(file);
    return inputs;
}

Sample time_one(gm::StrategicFeatures& features, const Input& input, double gap_ns,
                const gm::TickScale& scale) {
    const std::uint64_t prepare_from = bench::ticks_in_order();
    features.prepare();
    const std::uint64_t prepare_to = bench::ticks_in_order();
    const double pause_ns = bench::null_spin(scale, gap_ns).longest_ns;
    const std::uint64_t probe_from = bench::ticks_in_order();
    const std::uint64_t from = bench::ticks_in_order();
    features.update(input.bar, input.local_offset_ns);
    const std::uint64_t to = bench::ticks_in_order();
    Sample sample{scale.to_ns(to - from),
                  scale.to_ns(prepare_to - prepare_from),
                  scale.to_ns(from - probe_from),
                  pause_ns,
                  {}};
    std::copy_n(features.row_f64(), gm::kStrategicColumns, sample.row);
    return sample;
}

std::vector<double> time_run(gm::StrategicFeatures& features, const Input* inputs,
                             std::size_t count, const gm::TickScale& scale) {
    const std::uint64_t from = bench::ticks_in_order();
    for (std::size_t i = 0; i < count; ++i) {
        features.update(inputs[i].bar, inputs[i].local_offset_ns);
    }
    const std::uint64_t to = bench::ticks_in_order();
    return {scale.to_ns(to - from) / static_cast<double>(count)};
}

template <typename Value>
void answer(const std::vector<Value>& values) {
    std::fwrite(values.data(), sizeof(Value), values.size(), stdout);
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    const std::vector<Input> inputs = read_inputs(argv[1]);
    const gm::TickScale scale = gm::TickScale::calibrate();
    const auto features = std::make_unique<gm::StrategicFeatures>();
    char line[96];
    while (std::fgets(line, sizeof line, stdin) != nullptr) {
        const bool is_run = std::strncmp(line, "run ", 4) == 0;
        char* rest = line + (is_run ? 4 : 5);
        const std::size_t first = std::strtoull(rest, &rest, 10);
        const std::size_t count = std::strtoull(rest, &rest, 10);
        const double gap_ns = std::strtod(rest, nullptr);
        if (first + count > inputs.size()) return 1;
        if (first == 0) features->open();
        if (is_run) {
            answer(time_run(*features, inputs.data() + first, count, scale));
            continue;
        }
        std::vector<Sample> samples;
        samples.reserve(count);
        for (std::size_t i = first; i < first + count; ++i) {
            samples.push_back(time_one(*features, inputs[i], gap_ns, scale));
        }
        answer(samples);
    }
    return 0;
}
