"""G1: newest row to logits, batch 1, exact float32, beside onnxruntime's C API.

Sketch: prepared, the 624-256-128-64-7 network has 13 x 256 + 256 x 128 + 128 x 64 + 64 x 16 MAC
left, 45 k of 201 k; from L2 at 64 bytes a cycle 2.8 k cycles, half of that when half of the neurons
are inactive and their rows are not read. The peer reads all of its 805 kB: 11 us.
Conditions: one process, one core, blocks in turns (ABAB), fenced cycle counter around every single
call; before each new row the known rows are prepared and one run for nobody warms the caches, as
the engine does in its wait. The peer gets its own memory for input and output, one thread, all
optimisations. Verified in each round: same bits as the full recompute, logits within 2e-5 of the
peer's (the biased networks sum around 3, not 0).

    python -m bench.bench_policy [--json] [--smoke]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.build import build_native

ROUNDS, ROUNDS_SMOKE, BLOCK = 9, 1, 4000
DIFFERENCE_MAX = 2e-5
ACTIVE_BIAS = 3.0  # three deviations over the edge of ReLU: all but one in a thousand active

# name: (widths, row width, context, all neurons active, floor of G1); with context LayerNorm too
CASES = {
    "624-256-128-64-7, half of the neurons active": ((624, 256, 128, 64, 7), 13, 0, False, 6.0),
    "624-256-128-64-7, all active": ((624, 256, 128, 64, 7), 13, 0, True, None),
    "SPEC strategic 198, half active": ((198, 256, 128, 64, 3), 4, 6, False, 6.5),
    "SPEC strategic 198, all active": ((198, 256, 128, 64, 3), 4, 6, True, 4.0),
}


def network(widths: tuple[int, ...], all_active: bool, has_norm: bool, seed: int = 7) -> bytes:
    """He-initialised Gemm (transB) - Relu - [LayerNormalization] - ... as an exporter writes it."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(seed)
    nodes, tensors, current = [], [], "observation"

    def add(operator: str, arrays: list[np.ndarray], **attributes: int) -> None:
        nonlocal current
        out = f"t{len(nodes)}"
        names = [f"{out}_{i}" for i in range(len(arrays))]
        tensors.extend(numpy_helper.from_array(a, n) for a, n in zip(arrays, names, strict=True))
        nodes.append(helper.make_node(operator, [current, *names], [out], **attributes))
        current = out

    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        is_hidden = i + 2 < len(widths)
        scale = np.sqrt(2.0 / inputs)
        weights = random.normal(0, scale, (outputs, inputs)).astype(np.float32)
        bias = np.full(outputs, ACTIVE_BIAS if all_active and is_hidden else 0.0, np.float32)
        add("Gemm", [weights, bias], transB=1)
        if is_hidden:
            add("Relu", [])
        if is_hidden and has_norm:
            add("LayerNormalization", [np.ones(outputs, np.float32), np.zeros(outputs, np.float32)])
    nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["n", widths[0]])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", widths[-1]])],
        tensors,
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def library() -> Path:
    """The library inside onnxruntime's wheel."""
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "capi").glob("libonnxruntime.so*"))


def measure(program: Path, case: str, rounds: int) -> dict[str, object]:
    widths, row_width, context, all_active, floor = CASES[case]
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        file.write(network(widths, all_active, has_norm=context > 0))
        file.flush()
        arguments = [library(), file.name, 48, row_width, context, rounds, BLOCK]
        lines = subprocess.run(
            [program, *map(str, arguments)], check=True, stdout=subprocess.PIPE
        ).stdout.splitlines()[1:]
    found = [json.loads(line) for line in lines]
    worst = max(line["worst_difference"] for line in found)
    if not worst <= DIFFERENCE_MAX or not all(line["is_same"] for line in found):
        sys.exit(f"{case}: logits differ by {worst:.3g}, or new row and full are not the same bits")

    def ratio(index: int, key: str = "native") -> dict[str, float]:
        ratios = [line["peer"][index] / line[key][index] for line in found]
        return {"median": float(np.median(ratios)), "min": min(ratios), "max": max(ratios)}

    def ns(key: str) -> dict[str, float]:
        p50, p99 = np.median([line[key] for line in found], axis=0)
        return {"p50": float(p50), "p99": float(p99)}

    return {
        "rounds": len(found),
        "floor": floor,
        "ratio_p50": ratio(0),
        "ratio_p99": ratio(1),
        "ratio_p50_full_recompute": ratio(0, "full"),
        "new_row_ns": ns("native"),
        "full_recompute_ns": ns("full"),
        "onnxruntime_c_api_ns": ns("peer"),
        "probe_ns": ns("probe"),
        "worst_difference": worst,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="one round: shows that it runs")
    options = parser.parse_args()
    program = build_native("network_new_row")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # the child inherits it
    rounds = ROUNDS_SMOKE if options.smoke else ROUNDS
    results = {case: measure(program, case, rounds) for case in CASES}
    if options.json:
        print(json.dumps(results))
        return
    for case, result in results.items():
        print(f"{case}, {rounds} rounds of {BLOCK}, floor {result['floor'] or 'none'}")
        for name in ("new_row_ns", "full_recompute_ns", "onnxruntime_c_api_ns", "probe_ns"):
            print(f"  {name:26s} " + "  ".join(f"{k} {v:9.0f}" for k, v in result[name].items()))
        for name in ("ratio_p50", "ratio_p99", "ratio_p50_full_recompute"):
            print(f"  {name:26s} " + "  ".join(f"{k} {v:6.2f}" for k, v in result[name].items()))
        print(f"  worst difference {result['worst_difference']:.2g} (limit {DIFFERENCE_MAX})")


if __name__ == "__main__":
    main()
