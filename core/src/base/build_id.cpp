#include "gm/base/build_id.hpp"

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace gm {
namespace {

struct Search {
    const std::uint8_t* code;  // in the module that is looked for
    Sha256Digest found;
};

// The notes of one segment: header, name and contents, each padded to 4 bytes.
bool find_build_id(const std::uint8_t* notes, std::size_t size, Sha256Digest& out) noexcept {
    constexpr std::size_t kPad = 3;
    for (std::size_t at = 0; at + sizeof(ElfW(Nhdr)) <= size;) {  // bounded: each note moves on
        ElfW(Nhdr) note;
        std::memcpy(&note, notes + at, sizeof note);
        const std::size_t name = at + sizeof note;
        const std::size_t contents = name + ((note.n_namesz + kPad) & ~kPad);
        const std::size_t end = contents + ((note.n_descsz + kPad) & ~kPad);
        if (end > size) return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            std::memcmp(notes + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0) {
            out = sha256(notes + contents, note.n_descsz);
            return true;
        }
        at = end;
    }
    return false;
}

int look_at(dl_phdr_info* module, std::size_t, void* context) noexcept {
    auto& search = *static_cast<Search*>(context);
    const auto headers = std::span(module->dlpi_phdr, module->dlpi_phnum);
    const auto code = reinterpret_cast<std::uintptr_t>(search.code);
    bool is_ours = false;
    for (const auto& header : headers) {
        const std::uintptr_t begin = module->dlpi_addr + header.p_vaddr;
        is_ours = is_ours || (header.p_type == PT_LOAD && code - begin < header.p_memsz);
    }
    if (!is_ours) return 0;
    for (const auto& header : headers) {
        if (header.p_type != PT_NOTE) continue;
        const std::uintptr_t begin = module->dlpi_addr + header.p_vaddr;
        const std::uint8_t* const notes = search.code + static_cast<std::ptrdiff_t>(begin - code);
        if (find_build_id(notes, header.p_memsz, search.found)) return 1;
    }
    return 1;
}

}  // namespace

Sha256Digest build_sha256() noexcept {
    Search search{reinterpret_cast<const std::uint8_t*>(&look_at), {}};
    (void)dl_iterate_phdr(&look_at, &search);
    return search.found;
}

}  // namespace gm
