// Implements gm/features/schema.hpp.
#include "gm/features/schema.hpp"

#include <span>

namespace gm {

namespace {

constexpr std::string_view kSchemaHead = "grandmodel features 2\n";
constexpr std::string_view kStrategicHead =
    "strategic 48 rows 13 columns float32, 30 minutes, oldest row first\n";
constexpr std::string_view kTacticalHead =
    "tactical 60 rows 7 columns float32, 5 minutes, oldest row first\n";

void add(Sha256& sha, std::string_view text) noexcept {
    sha.update(text.data(), text.size());
}

void add(Sha256& sha, std::string_view head, std::span<const ColumnSchema> columns) noexcept {
    add(sha, head);
    for (const ColumnSchema& column : columns) {
        add(sha, column.name);
        add(sha, "\t");
        add(sha, column.value);
        add(sha, "\n");
    }
}

}  // namespace

Sha256Digest feature_schema_sha256() noexcept {
    Sha256 sha;
    add(sha, kSchemaHead);
    add(sha, kStrategicHead, kStrategicSchema);
    add(sha, kTacticalHead, kTacticalSchema);
    return sha.finish();
}

}  // namespace gm
