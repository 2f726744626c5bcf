// The shared object that holds user kernels, checked and loaded.
//
// It is a file that the dynamic linker maps, so a process that may not write executable memory
// (MemoryDenyWriteExecute) can load it. It may need nothing but functions of arithmetic and of
// memory: what would need the interpreter, an allocator or the system is refused by name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gm/base/status.hpp"
#include "gm/engine/settings.hpp"
#include "gm/session/kernel_host.hpp"

namespace gm {

// Cold. Refuses an ELF object (linked or not) that needs any other symbol: kBadSettings, and its
// text ends with the name. Reads nothing outside `file`, whatever that holds.
Failure check_kernel_object(std::span<const std::uint8_t> file);

class KernelLibrary {
 public:
    KernelLibrary() = default;
    ~KernelLibrary() { close(); }
    KernelLibrary(const KernelLibrary&) = delete;
    KernelLibrary& operator=(const KernelLibrary&) = delete;

    // Cold. The file must be the one that the settings name by its hash.
    Failure open(const std::string& path, std::span<const KernelSettings> kernels);
    void close() noexcept;
    // One a row of the settings.
    [[nodiscard]] std::span<const KernelFunction> functions() const noexcept { return functions_; }

 private:
    Failure find_kernel(const KernelSettings& kernel);

    void* handle_ = nullptr;
    std::vector<KernelFunction> functions_;
};

}  // namespace gm
