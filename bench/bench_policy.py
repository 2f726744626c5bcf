"""G1, G3, G5, G6: networks of SPEC 5 to logits, float32 and bfloat16 tail, beside onnxruntime.

Sketch of G1: prepared, the 624-256-128-64-7 network has 13 x 256 + 256 x 128 + 128 x 64 + 64 x 16
MAC left, 45 k of 201 k; from L2 at 64 bytes a cycle 2.8 k cycles, half of that when half of the
neurons are inactive and their rows are not read. The peer reads all of its 805 kB: 11 us.
Sketch of G5: a moved window moves the convolution, so that 2 columns of the first, 3 of the second
and the last bin of the pool are left, and its 64 x 256 slice of the first matrix: 70 k of 704 k.
G3 holds a full recompute against a plain read of as many bytes as there are weights. Convolutions
are bound by arithmetic instead: 25 kB of weights for 409 k multiply-adds. So their sketch is the
read and, after it, their multiply-adds at the rate that registers alone allow, measured in the same
run (of inputs that come from a ReLU only the active ones): full_to_sketch. G6 holds a batch of 1024
against the peer's; samples/s stand beside the 12,604 of older documents, which said neither batch
nor network. A bfloat16 tail has no floor; on real matrices its decisions are held to float32's.
Conditions: one process, one core, blocks in turns (ABAB), fenced cycle counter around every single
call; before each new row the known rows are prepared and one run for nobody warms the caches, as
the engine does in its wait. The peer gets its own memory for input and output, one thread, all
optimisations, and the same file: of the tactical network its Mul and Transposes too. Verified in
each round: same bits by new row, full recompute and batch, with either tail; logits within 2e-5 of
the peer's (the biased networks sum around 3, not 0).

    [GM_DATA=FOLDER] python -m bench.bench_policy [--json] [--smoke] [--agreement [--bundle FOLDER]]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.build import build_native

ROUNDS, ROUNDS_SMOKE, BLOCK = 9, 1, 4000
TIMES = {  # name of the program -> ours
    "native": "new_row_ns",
    "native_bf16": "new_row_bf16_ns",
    "full": "full_recompute_ns",
    "full_bf16": "full_recompute_bf16_ns",
    "peer": "onnxruntime_c_api_ns",
    "read": "read_ns",
    "probe": "probe_ns",
}
RATIOS = (
    "ratio_p50", "ratio_p50_bf16", "ratio_p99", "ratio_p50_full_recompute", "full_to_read",
    "full_to_sketch", "ratio_batch", "ratio_batch_bf16", "ratio_batch_64",
)  # fmt: skip
SAMPLES = {  # of one sample alone, and of batches
    "1": ("full", "full_bf16", "peer"),
    "64": ("batch_64", "batch_64_bf16", "peer_batch_64"),
    "1024": ("batch_1024", "batch_1024_bf16", "peer_batch_1024"),
}
SAMPLES_OLD = 12_604  # a second, of older documents
DIFFERENCE_MAX = 2e-5
ACTIVE_BIAS = 3.0  # three deviations over the edge of ReLU: all but one in a thousand active
# Convolved, inputs are 3 and not 0 on average: sums of smaller weights stay over the edge.
ACTIVE_SCALE = 0.1


class Case(NamedTuple):
    widths: tuple[int, ...]  # of the matrices
    rows: int
    row_width: int
    context: int  # with context LayerNorm too
    is_active: bool  # all neurons, else half of them
    floor: float | None  # of onnxruntime / new row
    channels: tuple[int, ...] = ()


TACTICAL = (7, 32, 64)
BINS, TAPS = 15, 3
CASES = {
    "624-256-128-64-7, half of the neurons active": Case(
        (624, 256, 128, 64, 7), 48, 13, 0, False, 6.0
    ),
    "624-256-128-64-7, all active": Case((624, 256, 128, 64, 7), 48, 13, 0, True, None),
    "SPEC strategic 198, half active": Case((198, 256, 128, 64, 3), 48, 4, 6, False, 6.5),
    "SPEC strategic 198, all active": Case((198, 256, 128, 64, 3), 48, 4, 6, True, 4.0),
    "SPEC tactical, half active": Case((960, 256, 128, 3), 60, 7, 0, False, 18.0, TACTICAL),
    "SPEC tactical, all active": Case((960, 256, 128, 3), 60, 7, 0, True, 13.0, TACTICAL),
}
READ_MAX = 1.10  # G3: full recompute / plain read of the weights
BATCH_MIN = 0.97  # G6: onnxruntime / core, batch of 1024


def network(case: Case, seed: int = 7) -> tuple[bytes, int]:
    """A network as an exporter writes it, He-initialised, and the bytes of its weights.

    [Mul, Transpose, (Conv, Relu) a layer, AveragePool, Transpose, Flatten] -
    (Gemm (transB), Relu, [LayerNormalization]) a layer.
    """
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(seed)
    nodes, tensors, current = [], [], "observation"

    def add(operator: str, arrays: list[np.ndarray], **attributes: int | list[int]) -> None:
        nonlocal current
        out = f"t{len(nodes)}"
        names = [f"{out}_{i}" for i in range(len(arrays))]
        tensors.extend(numpy_helper.from_array(a, n) for a, n in zip(arrays, names, strict=True))
        nodes.append(helper.make_node(operator, [current, *names], [out], **attributes))
        current = out

    def layer(*shape: int, is_hidden: bool) -> list[np.ndarray]:
        deviation = np.sqrt(2.0 / np.prod(shape[1:]))
        if case.is_active and case.channels:
            deviation *= ACTIVE_SCALE
        weights = random.normal(0, deviation, shape).astype(np.float32)
        bias = ACTIVE_BIAS if case.is_active and is_hidden else 0.0
        return [weights, np.full(shape[0], bias, np.float32)]

    shape = [case.widths[0]]
    if case.channels:
        shape = [case.rows, case.row_width]
        add("Mul", [random.normal(1, 0.2, case.row_width).astype(np.float32)])
        add("Transpose", [], perm=[0, 2, 1])
        for inputs, outputs in pairwise(case.channels):
            add("Conv", layer(outputs, inputs, TAPS, is_hidden=True), pads=[1, 1])
            add("Relu", [])
        width = case.rows // BINS
        add("AveragePool", [], kernel_shape=[width], strides=[width])
        add("Transpose", [], perm=[0, 2, 1])
        add("Flatten", [], axis=1)
    for i, (inputs, outputs) in enumerate(pairwise(case.widths)):
        is_hidden = i + 2 < len(case.widths)
        add("Gemm", layer(outputs, inputs, is_hidden=is_hidden), transB=1)
        if is_hidden:
            add("Relu", [])
        if is_hidden and case.context:
            add("LayerNormalization", [np.ones(outputs, np.float32), np.zeros(outputs, np.float32)])
    nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", case.widths[-1]])],
        tensors,
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    return model.SerializeToString(), sum(len(tensor.raw_data) for tensor in tensors)


def conv_multiply_adds(case: Case) -> float:
    """Of all columns; of inputs that come from a ReLU half, unless all neurons are active."""
    half = TAPS // 2
    taps = case.rows * TAPS - half * (half + 1)  # fewer at the edges
    total = 0.0
    for i, (inputs, outputs) in enumerate(pairwise(case.channels)):
        total += taps * inputs * outputs * (0.5 if i > 0 and not case.is_active else 1.0)
    return total


def library() -> Path:
    """The library inside onnxruntime's wheel."""
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "capi").glob("libonnxruntime.so*"))


def measure(program: Path, name: str, rounds: int) -> dict[str, object]:
    case = CASES[name]
    onnx, weight_bytes = network(case)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(onnx)
        file.flush()
        arguments = [
            library(), file.name, case.rows, case.row_width, case.context, rounds, BLOCK,
            weight_bytes,
        ]  # fmt: skip
        lines = subprocess.run(
            [program, *map(str, arguments)], check=True, stdout=subprocess.PIPE
        ).stdout.splitlines()[1:]
    found = [json.loads(line) for line in lines]
    worst = max(line["worst_difference"] for line in found)
    if not worst <= DIFFERENCE_MAX or not all(line["is_same"] for line in found):
        sys.exit(f"{name}: logits differ by {worst:.3g}, or new row and full are not the same bits")

    def spread(ratios: list[float]) -> dict[str, float]:
        return {"median": float(np.median(ratios)), "min": min(ratios), "max": max(ratios)}

    def ratio(index: int, key: str = "native", peer: str = "peer") -> dict[str, float]:
        return spread([line[peer][index] / line[key][index] for line in found])

    multiply_adds = conv_multiply_adds(case)
    sketch = [
        line["full"][0] / (line["read"][0] + multiply_adds / line["fma_per_ns"])
        for line in found
        if line["fma_per_ns"] > 0
    ]

    def ns(key: str) -> dict[str, float]:
        p50, p99 = np.median([line[key] for line in found], axis=0)
        return {"p50": float(p50), "p99": float(p99)}

    return {
        "rounds": len(found),
        "floor": case.floor,
        "ratio_p50": ratio(0),
        "ratio_p50_bf16": ratio(0, "native_bf16"),
        "ratio_p99": ratio(1),
        "ratio_p50_full_recompute": ratio(0, "full"),
        "full_to_read": ratio(0, "read", "full"),
        "full_to_sketch": spread(sketch or [float("nan")]),
        "ratio_batch": ratio(0, "batch_1024", "peer_batch_1024"),
        "ratio_batch_bf16": ratio(0, "batch_1024_bf16", "peer_batch_1024"),
        "ratio_batch_64": ratio(0, "batch_64", "peer_batch_64"),
        "samples_per_s": {
            batch: [1e9 / ns(key)["p50"] for key in keys] for batch, keys in SAMPLES.items()
        },
        "multiply_adds_per_ns": float(np.median([line["fma_per_ns"] for line in found])),
        **{ours: ns(key) for key, ours in TIMES.items()},
        "worst_difference": worst,
        "worst_difference_bf16": max(line["worst_difference_bf16"] for line in found),
    }


def print_case(case: str, result: dict[str, Any]) -> None:
    print(f"{case}, {result['rounds']} rounds of {BLOCK}, floor {result['floor'] or 'none'}")
    for name in TIMES.values():
        print(f"  {name:26s} " + "  ".join(f"{k} {v:9.0f}" for k, v in result[name].items()))
    for name in RATIOS:
        print(f"  {name:26s} " + "  ".join(f"{k} {v:6.2f}" for k, v in result[name].items()))
    print(f"  samples/s, float32, bfloat16 tail, onnxruntime (older documents: {SAMPLES_OLD:,})")
    for batch, figures in result["samples_per_s"].items():
        print(f"  batch {batch:>20s} " + "  ".join(f"{figure:13,.0f}" for figure in figures))
    print(f"  floors: full_to_read at most {READ_MAX}, ratio_batch at least {BATCH_MIN}")
    print(
        f"  worst difference {result['worst_difference']:.2g} (limit {DIFFERENCE_MAX}), "
        f"bfloat16 tail to float32 {result['worst_difference_bf16']:.2g}"
    )


def print_agreement(found: Mapping[str, Mapping[str, float]]) -> None:
    for name, figures in found.items():
        print(f"bfloat16 tail beside float32, {name}")
        for key, value in figures.items():
            print(f"  {key:26s} {value:12.6g}")


def measure_agreement(bundle: Path | None) -> Mapping[str, dict[str, float]]:
    from bench.tail_agreement import agreement

    return agreement(Path(os.environ["GM_DATA"]), bundle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="one round: shows that it runs")
    parser.add_argument("--agreement", action="store_true", help="real matrices alone: no times")
    parser.add_argument("--bundle", type=Path, help="its networks on real matrices")
    options = parser.parse_args()
    if options.agreement:
        print_agreement(measure_agreement(options.bundle))
        return
    program = build_native("network_new_row")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the child inherits it
    rounds = ROUNDS_SMOKE if options.smoke else ROUNDS
    results: dict[str, Any] = {case: measure(program, case, rounds) for case in CASES}
    if not options.json:
        for case, result in results.items():
            print_case(case, result)
    if "GM_DATA" in os.environ:
        results["real matrices"] = measure_agreement(options.bundle)
    if options.json:
        print(json.dumps(results))
    elif "real matrices" in results:
        print_agreement(results["real matrices"])
    else:
        print("bfloat16 tail on real matrices: not measured, GM_DATA names no folder")


if __name__ == "__main__":
    main()
