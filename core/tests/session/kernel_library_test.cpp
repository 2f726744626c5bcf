// Promise: only an ELF object that needs nothing but arithmetic is taken for kernels, whatever its
// bytes say. A library that is really loaded: tests/kernels.
#include "gm/session/kernel_library.hpp"

#include <doctest/doctest.h>

#include <elf.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

using namespace gm;

namespace {

using Bytes = std::vector<std::uint8_t>;

template <typename Row>
void put(Bytes& bytes, const Row& row) {
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&row);
    bytes.insert(bytes.end(), raw, raw + sizeof row);
}

// Header, one symbol table (null symbol, then one undefined symbol of each name), its names.
Bytes object_that_needs(const std::vector<std::string>& names) {
    Bytes strings(1, 0);
    Bytes symbols;
    put(symbols, Elf64_Sym{});
    for (const std::string& name : names) {
        Elf64_Sym symbol{};
        symbol.st_name = static_cast<Elf64_Word>(strings.size());
        put(symbols, symbol);
        strings.insert(strings.end(), name.begin(), name.end());
        strings.push_back(0);
    }
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_REL;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 2;
    header.e_shoff = sizeof header;
    Elf64_Shdr table{};
    table.sh_type = SHT_SYMTAB;
    table.sh_offset = sizeof header + 2 * sizeof(Elf64_Shdr);
    table.sh_size = symbols.size();
    table.sh_link = 1;
    Elf64_Shdr text{};
    text.sh_type = SHT_STRTAB;
    text.sh_offset = table.sh_offset + symbols.size();
    text.sh_size = strings.size();
    Bytes file;
    put(file, header);
    put(file, table);
    put(file, text);
    file.insert(file.end(), symbols.begin(), symbols.end());
    file.insert(file.end(), strings.begin(), strings.end());
    return file;
}

}  // namespace

TEST_CASE("arithmetic and memory functions may be needed") {
    CHECK(check_kernel_object(object_that_needs({})).is_ok());
    const Failure failure = check_kernel_object(
        object_that_needs({"exp", "expf", "erf", "erff", "atan2", "memcpy", "memset"}));
    CHECK_MESSAGE(failure.is_ok(), failure.text);
}

TEST_CASE("anything else is refused by its name") {
    for (const char* name : {"PyGILState_Ensure", "NRT_MemInfo_alloc_aligned", "numba_gil_ensure",
                             "malloc", "write", "system", "f", "expff", "Exp", "__svml_exp4"}) {
        const Failure failure = check_kernel_object(object_that_needs({"exp", name}));
        CHECK(failure.status == Status::kBadSettings);
        CHECK(failure.text == std::string("kernel library: needs ") + name);
    }
}

TEST_CASE("an object cut or changed at any byte is judged without reading beyond it") {
    const Bytes whole = object_that_needs({"exp", "sin"});
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK_FALSE(check_kernel_object(cut).is_ok());
    }
    for (std::size_t at = 0; at < whole.size(); ++at) {
        for (const std::uint8_t value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
            Bytes changed = whole;
            changed[at] = value;
            (void)check_kernel_object(changed);  // the sanitizers judge
        }
    }
}

TEST_CASE("what is no object at all is refused") {
    CHECK_FALSE(check_kernel_object({}).is_ok());
    const Bytes text(1000, 'x');
    CHECK(check_kernel_object(text).text == "kernel library: not a 64-bit ELF object");
    Bytes without = object_that_needs({});
    without[sizeof(Elf64_Ehdr) + offsetof(Elf64_Shdr, sh_type)] = SHT_PROGBITS;
    CHECK(check_kernel_object(without).text == "kernel library: has no symbol table");
}

TEST_CASE("a file that is not there, or not the settings' own, is not loaded") {
    KernelSettings row{};
    std::strcpy(row.name, "rule");
    KernelLibrary library;
    CHECK(library.open("/nowhere/kernels.so", std::span(&row, 1)).status ==
          Status::kSystemCallFailed);
    const std::string path = "kernel_library_test." + std::to_string(::getpid()) + ".so";
    std::FILE* file = std::fopen(path.c_str(), "wb");
    REQUIRE(file != nullptr);
    std::fputs("not a library", file);
    std::fclose(file);
    const Failure failure = library.open(path, std::span(&row, 1));
    CHECK(failure.text.find("not the file that the settings were made with") != std::string::npos);
    CHECK(library.functions().empty());
    std::remove(path.c_str());
}
