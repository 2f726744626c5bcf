// Arithmetic of axes. Every loop is over axes, at most kOnnxRankMax, or over a sample's elements.
#include "gm/policy/onnx_view.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "gm/policy/onnx_reader.hpp"

namespace gm {

namespace {

std::vector<std::uint32_t> strides_in_order(const std::vector<std::uint32_t>& sizes) {
    std::vector<std::uint32_t> strides(sizes.size(), 1);
    for (std::size_t axis = sizes.size(); axis-- > 1;) {
        strides[axis - 1] = strides[axis] * sizes[axis];
    }
    return strides;
}

// Axes of the file, of a rank that counts the batch, as ascending axes without it. Empty: refused.
std::vector<std::size_t> sample_axes(std::span<const std::int64_t> axes, std::size_t rank) {
    std::vector<std::size_t> out;
    for (const std::int64_t axis : axes) {
        const std::int64_t counted = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
        if (counted < 1 || counted >= static_cast<std::int64_t>(rank)) {
            return {};
        }
        out.push_back(static_cast<std::size_t>(counted - 1));
    }
    std::sort(out.begin(), out.end());
    const bool is_twice = std::adjacent_find(out.begin(), out.end()) != out.end();
    return is_twice ? std::vector<std::size_t>{} : out;
}

}  // namespace

OnnxView::OnnxView(std::vector<std::uint32_t> sizes)
    : sizes_(std::move(sizes)), strides_(strides_in_order(sizes_)) {}

std::uint32_t OnnxView::count() const {
    std::uint32_t product = 1;
    for (const std::uint32_t size : sizes_) {
        product *= size;
    }
    return product;
}

bool OnnxView::is_in_order() const {
    if (!order_.empty()) {
        return false;
    }
    std::uint32_t expected = 1;
    for (std::size_t axis = sizes_.size(); axis-- > 0;) {
        if (sizes_[axis] != 1 && strides_[axis] != expected) {
            return false;
        }
        expected *= sizes_[axis];
    }
    return true;
}

std::uint32_t OnnxView::place_of(std::uint32_t index) const {
    if (!order_.empty()) {
        return order_[index];
    }
    std::uint32_t place = 0;
    for (std::size_t axis = sizes_.size(); axis-- > 0;) {
        place += index % sizes_[axis] * strides_[axis];
        index /= sizes_[axis];
    }
    return place;
}

bool OnnxView::has_channels_inside() const {
    const std::size_t last = sizes_.size() - 1;
    return sizes_.size() >= 2 && order_.empty() && (strides_[0] == 1 || sizes_[0] == 1) &&
           (strides_[last] == sizes_[0] || sizes_[last] == 1);
}

bool OnnxView::transpose(std::span<const std::int64_t> axes) {
    const std::size_t rank = sizes_.size() + 1;
    if (axes.size() != rank || axes[0] != 0 || !order_.empty()) {
        return false;
    }
    if (sample_axes(axes.subspan(1), rank).size() + 1 != rank) {
        return false;
    }
    OnnxView turned = *this;
    for (std::size_t axis = 0; axis + 1 < rank; ++axis) {
        const std::int64_t from = axes[axis + 1];
        if (from < 0) {
            return false;
        }
        turned.sizes_[axis] = sizes_[static_cast<std::size_t>(from) - 1];
        turned.strides_[axis] = strides_[static_cast<std::size_t>(from) - 1];
    }
    *this = std::move(turned);
    return true;
}

bool OnnxView::unsqueeze(std::span<const std::int64_t> axes) {
    const std::size_t rank = sizes_.size() + 1 + axes.size();
    const std::vector<std::size_t> places = sample_axes(axes, rank);
    if (places.empty() || rank > kOnnxRankMax || !order_.empty()) {
        return false;
    }
    for (const std::size_t place : places) {  // ascending: earlier ones shift the later ones
        sizes_.insert(sizes_.begin() + static_cast<std::ptrdiff_t>(place), 1);
        strides_.insert(strides_.begin() + static_cast<std::ptrdiff_t>(place), 1);
    }
    return true;
}

bool OnnxView::squeeze(std::span<const std::int64_t> axes) {
    const std::vector<std::size_t> places = sample_axes(axes, sizes_.size() + 1);
    if (places.empty() || places.size() >= sizes_.size()) {
        return false;
    }
    for (std::size_t i = places.size(); i-- > 0;) {
        if (sizes_[places[i]] != 1) {
            return false;
        }
        sizes_.erase(sizes_.begin() + static_cast<std::ptrdiff_t>(places[i]));
        strides_.erase(strides_.begin() + static_cast<std::ptrdiff_t>(places[i]));
    }
    return true;
}

void OnnxView::flatten() {
    const std::uint32_t total = count();
    if (!is_in_order() && order_.empty()) {
        std::vector<std::uint32_t> order(total);
        for (std::uint32_t i = 0; i < total; ++i) {
            order[i] = place_of(i);
        }
        order_ = std::move(order);
    }
    sizes_ = {total};
    strides_ = {1};
}

bool OnnxView::reshape(std::span<const std::int64_t> target, bool allows_zero) {
    if (target.size() < 2 || target.size() > kOnnxRankMax) {
        return false;
    }
    const bool is_batch_open = target[0] == -1;
    if (!is_batch_open && target[0] != 1 && (target[0] != 0 || allows_zero)) {
        return false;
    }
    const std::uint32_t total = count();
    std::vector<std::uint32_t> sizes;
    std::size_t open = target.size();
    std::uint64_t known = 1;
    for (std::size_t axis = 1; axis < target.size(); ++axis) {
        std::int64_t size = target[axis];
        if (size == 0 && !allows_zero && axis <= sizes_.size()) {
            size = sizes_[axis - 1];
        }
        if (size == -1 && !is_batch_open && open == target.size()) {
            open = axis;
            size = 1;
        }
        if (size < 1 || size > static_cast<std::int64_t>(total)) {
            return false;
        }
        known *= static_cast<std::uint64_t>(size);
        if (known > total) {
            return false;
        }
        sizes.push_back(static_cast<std::uint32_t>(size));
    }
    if (open < target.size() && total % known == 0) {
        sizes[open - 1] = static_cast<std::uint32_t>(total / known);
        known = total;
    }
    if (known != total) {
        return false;
    }
    if (sizes.size() == 1) {
        flatten();
        return true;
    }
    if (!is_in_order()) {
        return false;
    }
    *this = OnnxView(std::move(sizes));
    return true;
}

}  // namespace gm
