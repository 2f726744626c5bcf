// The native half of bench/bench_row.py: times the strategic row on request, one block at a time.
//
// row_update BARS GAP_NS: BARS holds records of {ClosedBar, local offset ns}. For every line
// "FIRST COUNT" on standard input it feeds that block of bars to one StrategicFeatures, spinning
// GAP_NS before each bar, and answers on standard output with COUNT records of 16 doubles: ns of
// update(), ns of prepare(), ns of an empty measurement (the probe), the 13 values. FIRST = 0
// starts afresh.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "gm/base/clock.hpp"
#include "gm/features/strategic.hpp"

namespace {

struct Input {
    gm::ClosedBar bar;
    std::int64_t local_offset_ns;
};

struct Sample {
    double update_ns;
    double prepare_ns;
    double probe_ns;
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

Sample time_one(gm::StrategicFeatures& features, const Input& input, std::int64_t gap_ns,
                const gm::TickScale& scale) {
    const std::uint64_t prepare_from = gm::ticks();
    features.prepare();
    const std::uint64_t prepare_to = gm::ticks();
    const std::int64_t until_ns = gm::monotonic_ns() + gap_ns;
    while (gm::monotonic_ns() < until_ns) {
    }
    const std::uint64_t probe_from = gm::ticks();
    const std::uint64_t from = gm::ticks();
    features.update(input.bar, input.local_offset_ns);
    const std::uint64_t to = gm::ticks();
    Sample sample{scale.to_ns(to - from),
                  scale.to_ns(prepare_to - prepare_from),
                  scale.to_ns(from - probe_from),
                  {}};
    for (std::size_t i = 0; i < gm::kStrategicColumns; ++i) sample.row[i] = features.row_f64()[i];
    return sample;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) return 2;
    const std::vector<Input> inputs = read_inputs(argv[1]);
    const std::int64_t gap_ns = std::strtoll(argv[2], nullptr, 10);
    const gm::TickScale scale = gm::TickScale::calibrate();
    gm::StrategicFeatures features;
    std::vector<Sample> samples;
    char line[64];
    while (std::fgets(line, sizeof line, stdin) != nullptr) {
        char* rest = line;
        const std::size_t first = std::strtoull(line, &rest, 10);
        const std::size_t count = std::strtoull(rest, nullptr, 10);
        if (first + count > inputs.size()) return 1;
        if (first == 0) features.open();
        samples.clear();
        samples.reserve(count);
        for (std::size_t i = first; i < first + count; ++i) {
            samples.push_back(time_one(features, inputs[i], gap_ns, scale));
        }
        std::fwrite(samples.data(), sizeof(Sample), samples.size(), stdout);
        std::fflush(stdout);
    }
    return 0;
}
