"""The baseline: three policies with written-down weights, honest to trade and to beat.

Nothing in it is learned. With m the mean of columns 8 and 9, x = column 3 - column 2 and
v = column 11, all of the newest row: mlmi answers (3m, 0, -3m), nwrqk (3x, 0, -3x), and regime
(0, 4 relu(1000 v - 800) - 4 relu(1000 v - 801), 0), which votes for standing aside when
volatility is high. The built files ship in gm/models/baseline; this module makes them again.
"""

import math
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gm._native.features import feature_schema_digest
from gm.models.bundle import ACTIONS, CONTEXT, ROWS, Agent, Bundle, Golden, Manifest, write_bundle
from gm.models.golden import native_logits

BASELINE_PATH = Path(__file__).with_name("baseline")
_OPSET = 17
_IR_VERSION = 8
_SEED = 82  # five golden inputs of regime lie above its ramp, none near it
_NEWEST = ROWS - 1

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def build_baseline(folder: Path) -> Bundle:
    """Write the baseline bundle.

    Needs the onnx package (extra ``train`` or the test group).

    Parameters
    ----------
    folder : path
        Created if missing.

    Returns
    -------
    Bundle
        As read back. The bytes are the same on every machine.

    Source
    ------
    Ours.
    """
    columns = {"mlmi": (0, 1, 8, 9), "nwrqk": (2, 3, 4, 5), "regime": (10, 11, 12)}
    weights = {"mlmi": math.log(0.45), "nwrqk": math.log(0.45), "regime": math.log(0.10)}
    layers = {"mlmi": _mlmi(), "nwrqk": _nwrqk(), "regime": _regime()}
    onnx = {name: dense_onnx(name, layers[name]) for name in columns}
    manifest = Manifest(
        format=1,
        name="baseline",
        label="baseline",
        created_by="gm models build-baseline",
        feature_schema_sha256=feature_schema_digest().hex(),
        actions=("long", "neutral", "short"),
        threshold=0.55,
        agents=tuple(
            Agent(
                name=name,
                file=f"{name}.onnx",
                sha256=sha256(onnx[name]).hexdigest(),
                columns=columns[name],
                context=6,
                weight=weights[name],
                temperature=1.0,
            )
            for name in columns
        ),
        golden=Golden(
            seed=_SEED,
            logits={
                name: [[float(logit) for logit in row] for row in native_logits(_SEED, name, file)]
                for name, file in onnx.items()
            },
        ),
    )
    return write_bundle(folder, manifest, list(onnx.values()))


def dense_onnx(name: str, layers: list[Layer]) -> bytes:
    """Write Gemm, Relu, Gemm, ... as an ONNX file.

    Parameters
    ----------
    name : str
        Of the graph.
    layers : list of (weights, bias)
        float32 (inputs, outputs) and (outputs,).

    Returns
    -------
    bytes
        Free batch, opset 17; equal arguments give equal bytes.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors, current = [], [], "observation"
    for i, (weights, bias) in enumerate(layers):
        if i > 0:
            nodes.append(helper.make_node("Relu", [current], [f"active_{i}"]))
            current = f"active_{i}"
        out = "logits" if i + 1 == len(layers) else f"hidden_{i}"
        nodes.append(helper.make_node("Gemm", [current, f"weights_{i}", f"bias_{i}"], [out]))
        tensors.append(numpy_helper.from_array(weights, f"weights_{i}"))
        tensors.append(numpy_helper.from_array(bias, f"bias_{i}"))
        current = out
    shapes = {"observation": len(layers[0][0]), "logits": len(layers[-1][1])}
    values = {
        key: helper.make_tensor_value_info(key, TensorProto.FLOAT, ["batch", size])
        for key, size in shapes.items()
    }
    graph = helper.make_graph(nodes, name, [values["observation"]], [values["logits"]], tensors)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        producer_name="grandmodel",
        ir_version=_IR_VERSION,
    )
    onnx.checker.check_model(model)
    raw: bytes = model.SerializeToString(deterministic=True)
    return raw


def _zeros(inputs: int, outputs: int = len(ACTIONS)) -> Layer:
    return np.zeros((inputs, outputs), np.float32), np.zeros(outputs, np.float32)


def _mlmi() -> list[Layer]:
    weights, bias = _zeros(ROWS * 4 + CONTEXT)
    for column in (2, 3):  # momentum_20 and momentum_50 among columns 0, 1, 8, 9: inputs 190, 191
        weights[_NEWEST * 4 + column] = (1.5, 0.0, -1.5)
    return [(weights, bias)]


def _nwrqk() -> list[Layer]:
    weights, bias = _zeros(ROWS * 4 + CONTEXT)
    weights[_NEWEST * 4 + 0] = (-3.0, 0.0, 3.0)  # nwrqk_value: input 188
    weights[_NEWEST * 4 + 1] = (3.0, 0.0, -3.0)  # nwrqk_slope: input 189
    return [(weights, bias)]


def _regime() -> list[Layer]:
    weights, bias = _zeros(ROWS * 3 + CONTEXT, 2)
    weights[_NEWEST * 3 + 1] = (1000.0, 1000.0)  # volatility_30: input 142
    bias[:] = (-800.0, -801.0)
    last, last_bias = _zeros(2)
    last[:, 1] = (4.0, -4.0)
    return [(weights, bias), (last, last_bias)]
