"""Promise: SPEC's tactical networks run natively, whichever way an exporter writes them down."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import TensorProto, helper, numpy_helper

from gm._native import policy
from gm.models import Network
from gm.models.oracle import oracle

STYLES = ("legacy", "dynamo", "dynamo_adaptive", "channel_major")


class Writer:
    """Nodes and tensors of one chain, in the order in which they are added."""

    def __init__(self, rng):
        self.rng = rng
        self.nodes = []
        self.tensors = {}
        self.current = "x"

    def add(self, operator, *arrays, **attributes):
        out = f"{operator}_{len(self.nodes)}"
        names = [f"{out}.{i}" for i in range(len(arrays))]
        self.tensors.update(zip(names, arrays, strict=True))
        self.nodes.append(helper.make_node(operator, [self.current, *names], [out], **attributes))
        self.current = out

    def random(self, *shape, fan_in):
        return self.rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)

    def file(self, shape, outputs, opset=20):
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
            [helper.make_tensor_value_info(self.current, TensorProto.FLOAT, ["n", outputs])],
            [numpy_helper.from_array(array, name) for name, array in self.tensors.items()],
        )
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def tactical(rng, style, columns=60, channels=(7, 32, 64), pool=4, widths=(256, 128, 3), taps=3):
    """As torch 2.13 writes ``Conv1d, ReLU, Conv1d, ReLU, pool, Linear, ...`` (styles above)."""
    writer = Writer(rng)
    writer.add("Mul", rng.normal(1, 0.3, channels[0]).astype(np.float32))
    writer.add("Transpose", perm=[0, 2, 1])
    is_new = style.startswith("dynamo")
    extra = {"auto_pad": "NOTSET"} if is_new else {}
    for inputs, outputs in pairwise(channels):
        writer.add(
            "Conv",
            writer.random(outputs, inputs, taps, fan_in=inputs * taps),
            writer.random(outputs, fan_in=50),
            kernel_shape=[taps], pads=[taps // 2] * 2, strides=[1], dilations=[1], group=1, **extra,
        )  # fmt: skip
        writer.add("Relu")
    if style == "dynamo_adaptive":  # AdaptiveAvgPool1d: a pool of two axes
        axes = np.array([-2])
        writer.add("Unsqueeze", axes)
        writer.add(
            "AveragePool",
            kernel_shape=[1, pool], strides=[1, pool], pads=[0] * 4, ceil_mode=0,
            count_include_pad=1, auto_pad="NOTSET",
        )  # fmt: skip
        writer.add("Squeeze", axes)
    else:
        writer.add("AveragePool", kernel_shape=[pool], strides=[pool])
    if style != "channel_major":
        writer.add("Transpose", perm=[0, 2, 1])
    inputs = columns // pool * channels[-1]
    if is_new:
        writer.add("Reshape", np.array([-1, inputs]), allowzero=1)
    else:
        writer.add("Flatten", axis=1)
    for i, outputs in enumerate(widths):
        weights = writer.random(outputs, inputs, fan_in=inputs)
        writer.add("Gemm", weights, writer.random(outputs, fan_in=50), transB=1)
        if i + 1 < len(widths):
            writer.add("Relu")
        inputs = outputs
    return writer.file([columns, channels[0]], widths[-1])


def check_against_onnxruntime(file, samples):
    network = Network.from_bytes(file)
    assert network.native
    _, run = oracle(file)
    expected = run(samples)
    limit = 1e-5 * np.maximum(1.0, np.abs(expected))
    assert (np.abs(network.run(samples) - expected) <= limit).all()
    return network


@pytest.mark.parametrize("style", STYLES)
def test_the_tactical_network_agrees_with_onnxruntime(style, tmp_path):
    rng = np.random.default_rng(7)
    path = tmp_path / "tactical.onnx"
    path.write_bytes(tactical(rng, style))
    samples = rng.uniform(-1, 1, (200, 60, 7)).astype(np.float32)
    check_against_onnxruntime(path.read_bytes(), samples)
    network = Network.load(path)
    assert network.native
    assert network.input_shape == (60, 7)
    assert network.run(samples[0]).shape == (3,)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    style=st.sampled_from(STYLES),
    bins=st.integers(1, 9),
    pool=st.integers(1, 5),
    channels=st.lists(st.integers(1, 40), min_size=2, max_size=4),
    taps=st.sampled_from([1, 3, 5, 7]),
)
def test_a_random_convolution_agrees_with_onnxruntime(seed, style, bins, pool, channels, taps):
    rng = np.random.default_rng(seed)
    columns = bins * pool
    file = tactical(rng, style, columns, tuple(channels), pool, (20, 3), taps)
    samples = rng.uniform(-1, 1, (10, columns, channels[0])).astype(np.float32)
    check_against_onnxruntime(file, samples)


@pytest.mark.parametrize("instructions", range(policy.WIDEST + 1))
def test_every_instruction_set_gives_the_same_bits(instructions):
    rng = np.random.default_rng(8)
    file = tactical(rng, "legacy")
    samples = rng.uniform(-1, 1, (20, 420)).astype(np.float32)
    expected = policy.Network(file).run(samples)
    assert policy.Network(file, instructions).run(samples).tobytes() == expected.tobytes()


def test_a_softmax_at_the_end_agrees_with_onnxruntime():
    rng = np.random.default_rng(9)
    writer = Writer(rng)
    writer.add("MatMul", writer.random(20, 5, fan_in=2))
    writer.add("Softmax", axis=-1)
    samples = rng.normal(size=(50, 20)).astype(np.float32)
    network = check_against_onnxruntime(writer.file([20], 5), samples)
    np.testing.assert_allclose(network.run(samples).sum(axis=1), 1.0, rtol=1e-6)


def test_channel_weights_on_either_side_and_shape_are_one():
    rng = np.random.default_rng(10)
    samples = rng.uniform(-1, 1, (10, 6, 4)).astype(np.float32)
    row = rng.normal(size=4).astype(np.float32)
    found = []
    for shape, turned in (((4,), False), ((1, 1, 4), False), ((4, 1), True)):
        writer = Writer(np.random.default_rng(11))
        if turned:
            writer.add("Transpose", perm=[0, 2, 1])
            writer.add("Mul", row.reshape(shape))
        else:
            writer.add("Mul", row.reshape(shape))
            node = writer.nodes[-1]
            node.input[0], node.input[1] = node.input[1], node.input[0]
            writer.add("Transpose", perm=[0, 2, 1])
        writer.add("Conv", writer.random(5, 4, 3, fan_in=12), pads=[1, 1])
        writer.add("Flatten")
        writer.add("MatMul", writer.random(30, 3, fan_in=30))
        file = writer.file([6, 4], 3)
        found.append(check_against_onnxruntime(file, samples).run(samples))
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_unsqueeze_and_squeeze_of_old_opsets_take_axes_as_attributes():
    rng = np.random.default_rng(12)
    writer = Writer(rng)
    writer.add("Unsqueeze", axes=[1, 3])
    writer.add("Squeeze", axes=[1, -2])
    writer.add("Transpose", perm=[0, 2, 1])
    writer.add("Reshape", np.array([0, -1]))
    writer.add("MatMul", writer.random(24, 3, fan_in=24))
    samples = rng.uniform(-1, 1, (10, 6, 4)).astype(np.float32)
    check_against_onnxruntime(writer.file([6, 4], 3, opset=11), samples)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("Conv", {"pads": [1, 1], "strides": [2]}),
        ("Conv", {"pads": [2, 2], "dilations": [2]}),
        ("Conv", {}),
        ("Conv", {"auto_pad": "SAME_UPPER"}),
    ],
)
def test_a_convolution_of_another_kind_runs_in_onnxruntime(operator, attributes):
    writer = Writer(np.random.default_rng(13))
    writer.add("Transpose", perm=[0, 2, 1])
    writer.add(operator, writer.random(5, 4, 3, fan_in=12), **attributes)
    writer.add("GlobalAveragePool")
    writer.add("Flatten")
    network = Network.from_bytes(writer.file([6, 4], 5))
    assert not network.native
    assert network.run(np.zeros((6, 4), np.float32)).shape == (5,)
