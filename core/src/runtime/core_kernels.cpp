// The core's user kernels: loaded at start, watched by the journal thread.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "gm/base/sha256.hpp"
#include "gm/runtime/core.hpp"
#include "gm/runtime/durable_file.hpp"
#include "gm/runtime/quarantine_file.hpp"
#include "gm/runtime/replay.hpp"

namespace gm {
namespace {

constexpr const char* kQuarantinedFile = "kernels-quarantined.json";

}  // namespace

Failure Core::open_kernels() {
    const auto& kernels = engine_settings_.kernels;
    if (kernels.empty()) return ok();
    if (settings_.stepped != nullptr) {
        const auto& functions = settings_.stepped->kernels;
        if (functions.size() != kernels.size()) {
            return fail(Status::kBadSettings,
                        "kernels of the settings: " + std::to_string(kernels.size()) +
                            ", functions: " + std::to_string(functions.size()));
        }
        kernel_host_.open(kernels, functions, kNoKernelBudgetNs);
        return ok();
    }
    if (Failure failure = kernel_library_.open(settings_.kernel_library, kernels);
        !failure.is_ok()) {
        return failure;
    }
    kernel_host_.open(kernels, kernel_library_.functions(), settings_.kernel_budget_ns);
    const std::string_view hung = settings_.hung_kernels;
    for (std::size_t at = 0; at + sizeof(Sha256Digest) <= hung.size(); at += sizeof(Sha256Digest)) {
        for (std::size_t i = 0; i < kernels.size(); ++i) {  // at most kKernelsMax
            const auto* const hash = reinterpret_cast<const char*>(kernels[i].sha256);
            if (hung.substr(at, sizeof(Sha256Digest)) ==
                std::string_view(hash, sizeof(Sha256Digest))) {
                kernel_host_.mark_hung(i);
            }
        }
    }
    kernel_watch_.emplace(kernel_host_, settings_.kernel_hang_ns);
    return ok();
}

// Journal thread. A kernel that hangs holds the engine for ever, so the process ends here; the next
// one finds in the file which kernel it must not call.
void Core::watch_kernels() {
    if (!kernel_watch_) return;
    const std::optional<std::size_t> found = kernel_watch_->look();
    if (!found) return;
    const auto& kernels = engine_settings_.kernels;
    const std::string path = endpoints_.run_dir + "/" + kQuarantinedFile;
    std::vector<std::uint8_t> known;
    (void)read_file(path, known);  // there is none before the first kernel hangs
    const std::string_view before{reinterpret_cast<const char*>(known.data()), known.size()};
    const std::string text = with_quarantined(before, kernels[*found].sha256, kernels[*found].name);
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    const Failure written = write_durably(path, {bytes, text.size()});
    std::fprintf(
        stderr, "gm: kernel %s has run for over %lld ms: quarantined in %s%s, killing %d\n",
        kernels[*found].name, static_cast<long long>(settings_.kernel_hang_ns / 1'000'000),
        path.c_str(), written.is_ok() ? "" : (" (" + written.text + ")").c_str(), getpid());
    ::kill(getpid(), SIGKILL);
}

}  // namespace gm
