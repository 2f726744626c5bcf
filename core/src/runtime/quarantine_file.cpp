#include "gm/runtime/quarantine_file.hpp"

namespace gm {
namespace {

std::string to_hex(std::span<const std::uint8_t> bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += kDigits[byte >> 4];
        text += kDigits[byte & 15];
    }
    return text;
}

}  // namespace

std::string with_quarantined(std::string_view file, std::span<const std::uint8_t> sha256,
                             std::string_view name) {
    const std::string hash = to_hex(sha256);
    const bool is_empty = file.find('}') == std::string_view::npos;
    if (!is_empty && file.find(hash) != std::string_view::npos) return std::string(file);
    std::string text = "[";
    if (!is_empty) text = std::string(file.substr(0, file.rfind('}') + 1)) + ",\n ";
    text += R"({"sha256":")" + hash + R"(","name":")" + std::string(name) + R"(","reason":"hung"})";
    return text + "]\n";
}

}  // namespace gm
