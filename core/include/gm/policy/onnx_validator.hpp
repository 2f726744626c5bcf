// What no ONNX file may hold, whoever runs it: checked over the whole file before anybody reads it.
//
// A file may leave the native set and run in onnxruntime; these checks are for that runtime too:
// nothing outside the file (external data), nothing that is code of its own (functions, subgraphs
// of If, Loop and Scan, operators of other domains), no operator that is not plain arithmetic on
// tensors, only float32 (finite), int32, int64 and bool tensors, and sizes within the bounds of
// onnx_reader.hpp. Nothing recurses: what would nest is refused where it begins.
// Source: SAFETY (threats); onnx/onnx.proto (field numbers).
#pragma once

#include <cstdint>
#include <span>

#include "gm/base/status.hpp"

namespace gm {

// Cold. kBadNetwork with the reason.
Failure validate_onnx(std::span<const std::uint8_t> file);

}  // namespace gm
