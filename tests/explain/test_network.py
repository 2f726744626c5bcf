"""Promise: the networks in NumPy give the core's logits, and their gradients are those of finite
differences.
"""

import numpy as np
import pytest

from gm._native.explain import read_network
from gm._native.policy import Network as NativeNetwork
from gm.errors import BadNetwork, UnsupportedNetwork
from gm.explain.network import Layer, Network, forward, gradient, load_network
from gm.models import BASELINE_PATH, load_bundle

RANDOM = np.random.default_rng(3)
WIDTHS = (256, 128, 64)


def model(nodes: list, tensors: dict[str, np.ndarray], inputs: list[int]) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
        for name, shape in (("x", inputs), ("logits", [3]))
    ]
    initialisers = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], initialisers)
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def strategic_onnx(inputs: int = 198) -> bytes:
    """Linear, ReLU, LayerNorm, 256-128-64, as SPEC 5 has it, with weights of a usual size."""
    from onnx import helper

    nodes, tensors, current, width = [], {}, "x", inputs
    for i, outputs in enumerate((*WIDTHS, 3)):
        scale = np.sqrt(2 / width)
        tensors[f"w{i}"] = (scale * RANDOM.standard_normal((outputs, width))).astype(np.float32)
        tensors[f"b{i}"] = (0.1 * RANDOM.standard_normal(outputs)).astype(np.float32)
        is_last = i == len(WIDTHS)
        out = "logits" if is_last else f"h{i}"
        nodes.append(helper.make_node("Gemm", [current, f"w{i}", f"b{i}"], [out], transB=1))
        if not is_last:
            tensors[f"g{i}"] = (1 + 0.1 * RANDOM.standard_normal(outputs)).astype(np.float32)
            tensors[f"o{i}"] = (0.1 * RANDOM.standard_normal(outputs)).astype(np.float32)
            nodes.append(helper.make_node("Relu", [out], [f"r{i}"]))
            nodes.append(
                helper.make_node(
                    "LayerNormalization", [f"r{i}", f"g{i}", f"o{i}"], [f"n{i}"], epsilon=1e-5
                )
            )
            current = f"n{i}"
        width = outputs
    return model(nodes, tensors, [inputs])


def tactical_onnx() -> bytes:
    """Channel weights, two convolutions, an average pool to 15 bins, a dense layer."""
    from onnx import helper

    def weights(*shape: int) -> np.ndarray:
        return (RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    tensors = {
        "channels": weights(7), "k1": weights(32, 7, 3), "c1": weights(32),
        "k2": weights(64, 32, 3), "c2": weights(64), "w": weights(3, 960), "b": weights(3),
    }  # fmt: skip
    pad = {"pads": [1, 1], "kernel_shape": [3]}
    nodes = [
        helper.make_node("Mul", ["x", "channels"], ["scaled"]),
        helper.make_node("Transpose", ["scaled"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["turned", "k1", "c1"], ["y1"], **pad),
        helper.make_node("Relu", ["y1"], ["r1"]),
        helper.make_node("Conv", ["r1", "k2", "c2"], ["y2"], **pad),
        helper.make_node("Relu", ["y2"], ["r2"]),
        helper.make_node("AveragePool", ["r2"], ["p"], kernel_shape=[4], strides=[4]),
        helper.make_node("Transpose", ["p"], ["bins"], perm=[0, 2, 1]),
        helper.make_node("Flatten", ["bins"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], transB=1),
    ]
    return model(nodes, tensors, [60, 7])


NETWORKS = {"strategic": strategic_onnx, "tactical": tactical_onnx}


@pytest.mark.parametrize("name", NETWORKS)
def test_logits_are_those_of_the_core(name: str) -> None:
    onnx = NETWORKS[name]()
    network = load_network(onnx)
    samples = RANDOM.uniform(-1, 1, (50, network.inputs)).astype(np.float32)
    ours = forward(network, samples.astype(np.float64))[-1]
    core = NativeNetwork(onnx).run(samples)
    assert np.abs(core).max() > 0.1
    assert np.abs(ours - core).max() < 1e-5


def test_the_shipped_networks_are_those_of_the_core_within_their_rounding() -> None:
    for onnx in load_bundle(BASELINE_PATH).onnx:
        network = load_network(onnx)
        samples = RANDOM.uniform(-0.7, 0.7, (50, network.inputs)).astype(np.float32)
        ours = forward(network, samples.astype(np.float64))[-1]
        assert np.abs(ours - NativeNetwork(onnx).run(samples)).max() < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    network = load_network(NETWORKS[name]())
    sample = RANDOM.uniform(-1, 1, network.inputs)
    seed = RANDOM.standard_normal((1, 3))
    found = gradient(network, forward(network, sample[None]), seed)[0]
    step = 1e-6
    points = sample + step * np.concatenate([np.eye(network.inputs), -np.eye(network.inputs)])
    values = forward(network, points)[-1] @ seed[0]
    expected = (values[: network.inputs] - values[network.inputs :]) / (2 * step)
    assert np.abs(found).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_tanh_and_a_norm_before_it_worked_by_hand() -> None:
    layers = (
        Layer(kind="layer_norm", weights=np.array([2.0, 1.0]), bias=np.array([0.5, 0.0])),
        Layer(kind="tanh"),
        Layer(kind="dense", weights=np.array([[1.0], [3.0]]), bias=np.array([0.25])),
    )
    network = Network(inputs=2, outputs=1, layers=layers)
    values = forward(network, np.array([[4.0, 2.0]]))  # mean 3, deviation 1: 1 and -1
    assert values[-1][0, 0] == pytest.approx(np.tanh(2.5) + 3 * np.tanh(-1.0) + 0.25)
    # With two inputs and no epsilon the normalised values are always 1 and -1: no slope.
    np.testing.assert_allclose(gradient(network, values, np.ones((1, 1))), 0.0, atol=1e-12)


def test_what_ends_with_a_softmax_or_is_no_network_is_refused() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"]),
        helper.make_node("Softmax", ["h"], ["logits"], axis=-1),
    ]
    onnx = model(nodes, {"w": np.ones((2, 3), np.float32)}, [2])
    with pytest.raises(UnsupportedNetwork, match="ends with a softmax"):
        load_network(onnx)
    with pytest.raises(BadNetwork):
        read_network(b"no network")
