// How a graph looks at a sample that lies still in memory: sizes and strides, outermost axis first.
//
// Transpose, Unsqueeze, Squeeze, Flatten and Reshape move nothing: they change the view. The batch
// axis is not part of it. A flattened view whose elements are not in the order of memory keeps that
// order; the next matrix is read by it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gm {

class OnnxView {
 public:
    // Elements in the order of memory. The product of sizes fits 32 bits.
    explicit OnnxView(std::vector<std::uint32_t> sizes = {});

    // False where the axes do not fit the view, or where elements would have to move.
    // axes: as in the file, batch axis included.
    [[nodiscard]] bool transpose(std::span<const std::int64_t> axes);
    [[nodiscard]] bool unsqueeze(std::span<const std::int64_t> axes);
    [[nodiscard]] bool squeeze(std::span<const std::int64_t> axes);
    // target: batch axis first; one -1 stands for the rest, 0 for the old size where allowed.
    [[nodiscard]] bool reshape(std::span<const std::int64_t> target, bool allows_zero);
    void flatten();

    [[nodiscard]] std::span<const std::uint32_t> sizes() const { return sizes_; }
    [[nodiscard]] std::span<const std::uint32_t> strides() const { return strides_; }
    [[nodiscard]] std::uint32_t count() const;
    [[nodiscard]] std::uint32_t width() const { return sizes_.back(); }
    [[nodiscard]] bool is_flat() const { return sizes_.size() == 1; }
    // Elements stand in memory as they do here.
    [[nodiscard]] bool is_in_order() const;
    // Where in memory element `index` of the view stands, counted along the last axis first.
    [[nodiscard]] std::uint32_t place_of(std::uint32_t index) const;
    // Channels (axis 0) lie side by side in memory, columns (the last axis) one after another.
    [[nodiscard]] bool has_channels_inside() const;

 private:
    std::vector<std::uint32_t> sizes_;
    std::vector<std::uint32_t> strides_;
    std::vector<std::uint32_t> order_;  // of a flat view that is not in order
};

}  // namespace gm
