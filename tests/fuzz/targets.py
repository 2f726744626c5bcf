"""What is fuzzed: every decoder of bytes that come from outside."""

# Target of the core (core/fuzz/<name>_fuzz.cpp) -> the decoders that it must cover.
CORE = {
    "frame": ("core/src/runtime/frame.cpp",),
    "bar_text": (
        "core/src/market/bar_text.cpp",
        "core/src/market/civil_time.cpp",
        "core/src/market/bar_table.cpp",
        "core/src/base/units.cpp",
    ),
    "market": (
        "core/src/market/market.cpp",
        "core/src/market/backfill.cpp",
        "core/src/market/calendar.cpp",
        "core/src/market/quarantine.cpp",
        "core/src/market/bar_builder.cpp",
    ),
    "book": ("core/src/market/book.cpp",),
    "journal": (
        "core/src/journal/block_walker.cpp",
        "core/src/journal/compacted.cpp",
        "core/src/journal/journal_reader.cpp",
        "core/src/journal/segment_format.cpp",
        "core/src/journal/verify.cpp",
    ),
    "settings": ("core/src/engine/settings.cpp",),
    "onnx": (
        "core/src/policy/onnx_conv.cpp",
        "core/src/policy/onnx_model.cpp",
        "core/src/policy/onnx_reader.cpp",
        "core/src/policy/onnx_tensor.cpp",
        "core/src/policy/onnx_validator.cpp",
        "core/src/policy/onnx_view.cpp",
        "core/src/policy/protobuf_reader.cpp",
    ),
}

# Target of Python (<name>_target.py here) -> the modules that it must cover.
PYTHON = {
    "csv": ("gm.readers.bars", "gm.readers.dates"),
    "ibm": ("gm.readers.ibm", "gm.readers.lines", "gm.readers.events"),
    "binance": ("gm.readers.binance", "gm.readers.clock", "gm.readers.events"),
    "dbn": ("gm.readers.dbn", "gm.readers.events"),
    "yaml": ("gm.config.strict_yaml",),
}

# Longest input, in bytes; where none is given, 512.
INPUT_BYTES_MAX = {"frame": 4096, "settings": 4096, "onnx": 2048}
