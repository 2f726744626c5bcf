#include "gm/session/kernel_library.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include "gm/base/sha256.hpp"

namespace gm {
namespace {

constexpr std::size_t kFileSizeMax = 64U << 20;

// Of libm, in double and, with an f behind the name, in float.
constexpr auto kMath = std::to_array<std::string_view>(
    {"acos",  "acosh",     "asin",  "asinh",     "atan",   "atan2", "atanh", "cbrt",
     "ceil",  "copysign",  "cos",   "cosh",      "erf",    "erfc",  "exp",   "exp10",
     "exp2",  "expm1",     "fabs",  "floor",     "fma",    "fmax",  "fmin",  "fmod",
     "frexp", "hypot",     "ldexp", "lgamma",    "log",    "log10", "log1p", "log2",
     "modf",  "nearbyint", "pow",   "remainder", "rint",   "round", "sin",   "sincos",
     "sinh",  "sqrt",      "tan",   "tanh",      "tgamma", "trunc"});
constexpr auto kMemory = std::to_array<std::string_view>({"memcmp", "memcpy", "memmove", "memset"});

bool is_allowed(std::string_view name) noexcept {
    if (std::ranges::find(kMemory, name) != kMemory.end()) return true;
    if (std::ranges::find(kMath, name) != kMath.end()) return true;
    if (!name.ends_with('f')) return false;
    return std::ranges::find(kMath, name.substr(0, name.size() - 1)) != kMath.end();
}

Failure refuse(const std::string& why) {
    return fail(Status::kBadSettings, "kernel library: " + why);
}

// Reads structs out of a file, never beyond its end.
class Elf {
 public:
    explicit Elf(std::span<const std::uint8_t> file) : file_(file) {}

    template <typename Row>
    [[nodiscard]] bool read(std::uint64_t offset, Row& out) const noexcept {
        if (offset > file_.size() || file_.size() - offset < sizeof(Row)) return false;
        std::memcpy(&out, file_.data() + offset, sizeof(Row));
        return true;
    }
    // The text that begins `at` bytes into a string section; false: it does not end there.
    [[nodiscard]] bool read_name(const Elf64_Shdr& strings, std::uint64_t at,
                                 std::string_view& out) const noexcept {
        if (strings.sh_offset > file_.size() ||
            strings.sh_size > file_.size() - strings.sh_offset || at >= strings.sh_size) {
            return false;
        }
        const char* begin = reinterpret_cast<const char*>(file_.data() + strings.sh_offset + at);
        const std::size_t left = strings.sh_size - at;
        const std::size_t length = ::strnlen(begin, left);
        out = {begin, length};
        return length < left;
    }

 private:
    std::span<const std::uint8_t> file_;
};

// Every undefined symbol of one table must be one that a kernel may need.
Failure check_symbols(const Elf& elf, const Elf64_Shdr& symbols, const Elf64_Shdr& strings) {
    if (symbols.sh_size / sizeof(Elf64_Sym) > kFileSizeMax / sizeof(Elf64_Sym)) {
        return refuse("damaged symbol table");
    }
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= symbols.sh_size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        std::string_view name;
        if (!elf.read(symbols.sh_offset + at, symbol)) return refuse("damaged symbol table");
        if (symbol.st_shndx != SHN_UNDEF || symbol.st_name == 0) continue;
        if (!elf.read_name(strings, symbol.st_name, name)) return refuse("damaged symbol table");
        if (!is_allowed(name)) return refuse("needs " + std::string(name));
    }
    return ok();
}

Failure read_descriptor(int file, std::vector<std::uint8_t>& out) {
    struct stat found{};
    if (fstat(file, &found) != 0 || found.st_size < 0 ||
        static_cast<std::size_t>(found.st_size) > kFileSizeMax) {
        return refuse("its file must have at most " + std::to_string(kFileSizeMax) + " bytes");
    }
    out.resize(static_cast<std::size_t>(found.st_size));
    std::size_t at = 0;
    while (at < out.size()) {  // bounded: each read takes something or fails
        const ssize_t got = ::read(file, out.data() + at, out.size() - at);
        if (got <= 0) return refuse("cannot be read whole");
        at += static_cast<std::size_t>(got);
    }
    return ok();
}

Failure check_hash(std::span<const std::uint8_t> file, std::span<const KernelSettings> kernels) {
    const Sha256Digest found = sha256(file.data(), file.size());
    for (const KernelSettings& kernel : kernels) {
        if (!std::ranges::equal(found, kernel.library_sha256)) {
            return refuse("not the file that the settings were made with");
        }
    }
    return ok();
}

}  // namespace

Failure check_kernel_object(std::span<const std::uint8_t> file) {
    const Elf elf(file);
    Elf64_Ehdr header;
    const bool is_elf = elf.read(0, header) && std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
                        header.e_ident[EI_CLASS] == ELFCLASS64 &&
                        header.e_ident[EI_DATA] == ELFDATA2LSB &&
                        header.e_shentsize == sizeof(Elf64_Shdr);
    if (!is_elf) return refuse("not a 64-bit ELF object");
    // The table that the dynamic linker would look at, or a compiler's before linking.
    const std::uint32_t wanted = header.e_type == ET_DYN ? SHT_DYNSYM : SHT_SYMTAB;
    bool is_found = false;
    for (std::uint64_t i = 0; i < header.e_shnum; ++i) {  // at most 65,535
        Elf64_Shdr section;
        Elf64_Shdr strings;
        if (header.e_shoff > file.size() ||
            !elf.read(header.e_shoff + i * sizeof(Elf64_Shdr), section)) {
            return refuse("damaged section table");
        }
        if (section.sh_type != wanted) continue;
        if (!elf.read(header.e_shoff + section.sh_link * sizeof(Elf64_Shdr), strings)) {
            return refuse("damaged section table");
        }
        is_found = true;
        if (Failure failure = check_symbols(elf, section, strings); !failure.is_ok()) {
            return failure;
        }
    }
    return is_found ? ok() : refuse("has no symbol table");
}

Failure KernelLibrary::open(const std::string& path, std::span<const KernelSettings> kernels) {
    close();
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return fail(Status::kSystemCallFailed,
                    "open " + path + ": " + std::generic_category().message(errno));
    }
    std::vector<std::uint8_t> bytes;
    Failure failure = read_descriptor(file, bytes);
    if (failure.is_ok()) failure = check_hash(bytes, kernels);
    if (failure.is_ok()) failure = check_kernel_object(bytes);
    if (failure.is_ok()) {
        handle_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (handle_ == nullptr) failure = refuse(::dlerror());
    }
    ::close(file);
    for (std::size_t i = 0; failure.is_ok() && i < kernels.size(); ++i) {
        failure = find_kernel(kernels[i]);
    }
    if (failure.is_ok()) return failure;
    close();
    return fail(failure.status, path + ": " + failure.text);
}

// By name, and by the hash that lies beside it: the dynamic linker gives what it has loaded under a
// path before, and that may be an older file.
Failure KernelLibrary::find_kernel(const KernelSettings& kernel) {
    const std::string name = kernel.name;
    void* const function = ::dlsym(handle_, ("gm_kernel_" + name).c_str());
    const void* const hash = ::dlsym(handle_, ("gm_sha256_" + name).c_str());
    if (function == nullptr || hash == nullptr) return refuse("has no kernel " + name);
    if (std::memcmp(hash, kernel.sha256, sizeof kernel.sha256) != 0) {
        return refuse("has another kernel " + name + " than the settings name by its hash");
    }
    functions_.push_back(reinterpret_cast<KernelFunction>(function));
    return ok();
}

void KernelLibrary::close() noexcept {
    functions_.clear();
    if (handle_ != nullptr) ::dlclose(handle_);
    handle_ = nullptr;
}

}  // namespace gm
