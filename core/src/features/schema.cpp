// Implements gm/features/schema.hpp.
#include "gm/features/schema.hpp"

namespace gm {

namespace {

constexpr std::string_view kSchemaHead =
    "grandmodel features 1\n"
    "strategic 48 rows 13 columns float32, 30 minutes, oldest row first\n";

void add(Sha256& sha, std::string_view text) noexcept {
    sha.update(text.data(), text.size());
}

}  // namespace

Sha256Digest feature_schema_sha256() noexcept {
    Sha256 sha;
    add(sha, kSchemaHead);
    for (const ColumnSchema& column : kStrategicSchema) {
        add(sha, column.name);
        add(sha, "\t");
        add(sha, column.is_built ? column.value : std::string_view("not built"));
        add(sha, "\n");
    }
    return sha.finish();
}

}  // namespace gm
