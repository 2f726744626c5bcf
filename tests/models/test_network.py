"""Promise: a network answers as onnxruntime does, natively where its operators allow."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import TensorProto, helper, numpy_helper

from gm._native import policy
from gm.errors import BadArgument, BadNetwork, UnsupportedNetwork
from gm.models import Network
from gm.models.oracle import oracle


def build(nodes, tensors, shape, outputs):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def rounded(weights):
    """To bfloat16, nearest and ties to even, by way of the bits."""
    bits = weights.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


def random_dense(rng, widths, style, norm):
    """A network as exporters write it: Gemm with transB 0 or 1, or MatMul and Add."""
    nodes, tensors, current = [], {}, "x"

    def add(operator, inputs, **attributes):
        nonlocal current
        out = f"t{len(nodes)}"
        nodes.append(helper.make_node(operator, [current, *inputs], [out], **attributes))
        current = out

    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        weights = rng.normal(0, 1 / np.sqrt(inputs), (inputs, outputs)).astype(np.float32)
        tensors[f"b{i}"] = rng.normal(0, 0.3, outputs).astype(np.float32)
        tensors[f"w{i}"] = weights.T.copy() if style == "transposed" else weights
        if style == "matmul":
            add("MatMul", [f"w{i}"])
            add("Add", [f"b{i}"])
        else:
            add("Gemm", [f"w{i}", f"b{i}"], transB=int(style == "transposed"))
        if i + 2 < len(widths):
            operators = {"none": ["Relu"], "after": ["Relu", "Norm"], "before": ["Norm", "Relu"]}
            for operator in operators[norm]:
                if operator == "Relu":
                    add("Relu", [])
                    continue
                tensors[f"g{i}"] = rng.normal(1, 0.2, outputs).astype(np.float32)
                tensors[f"o{i}"] = rng.normal(0, 0.2, outputs).astype(np.float32)
                add("LayerNormalization", [f"g{i}", f"o{i}"], axis=-1, epsilon=1e-5)
    nodes[-1].output[0] = "y"
    return build(nodes, tensors, [widths[0]], widths[-1])


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    hidden=st.lists(st.integers(1, 300), max_size=3),
    style=st.sampled_from(["plain", "transposed", "matmul"]),
    norm=st.sampled_from(["none", "after", "before"]),
)
def test_a_random_dense_network_agrees_with_onnxruntime(seed, hidden, style, norm):
    rng = np.random.default_rng(seed)
    widths = [int(rng.integers(1, 200)), *hidden, int(rng.integers(3, 9))]
    if norm != "none":
        widths = [width if i == 0 else max(width, 8) for i, width in enumerate(widths)]
    file = random_dense(rng, widths, style, norm)
    network = Network.from_bytes(file)
    assert network.native
    samples = rng.normal(size=(20, widths[0])).astype(np.float32)
    _, run = oracle(file)
    np.testing.assert_allclose(network.run(samples), run(samples), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("instructions", range(policy.WIDEST + 1))
@pytest.mark.parametrize("norm", ["none", "after", "before"])
@pytest.mark.parametrize("tail", [0, 1])
def test_every_instruction_set_gives_the_same_bits(instructions, norm, tail):
    rng = np.random.default_rng(3)
    file = random_dense(rng, [198, 256, 128, 64, 3], "transposed", norm)
    samples = rng.normal(size=(100, 198)).astype(np.float32)
    expected = policy.Network(file, tail=tail).run(samples)
    found = policy.Network(file, instructions, tail).run(samples)
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("norm", ["none", "after", "before"])
def test_a_bfloat16_tail_is_onnxruntime_on_rounded_weights(norm):
    rng = np.random.default_rng(5)
    file = random_dense(rng, [198, 256, 128, 64, 3], "transposed", norm)
    samples = rng.normal(size=(100, 198)).astype(np.float32)
    model = onnx.load_from_string(file)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    values = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    scale = values["g0"] if norm == "after" else np.float32(1)  # in the matrix when that is rounded
    weights = rounded(values["w1"] * scale) / scale
    bias = values["b1"].copy()
    if norm == "after":  # what the norm adds meets the weights as they were
        bias += (values["w1"] - weights) @ values["o0"]
    for name, changed in (("w1", weights), ("b1", bias)):  # the others are small: not rounded
        tensors[name].CopyFrom(numpy_helper.from_array(changed.astype(np.float32), name))
    narrow = policy.Network(file, tail=1).run(samples)
    _, run = oracle(model.SerializeToString())
    np.testing.assert_allclose(narrow, run(samples), rtol=1e-4, atol=2e-5)
    assert np.abs(narrow - policy.Network(file).run(samples)).max() > 1e-4


def test_a_tail_that_is_none_is_refused():
    file = random_dense(np.random.default_rng(5), [3, 4, 3], "plain", "none")
    with pytest.raises(BadArgument, match=r"tail must be 0 \(float32\) or 1 \(bfloat16\): 2"):
        policy.Network(file, tail=2)


def test_a_matrix_input_is_flattened_row_by_row():
    rng = np.random.default_rng(4)
    weights = rng.normal(size=(624, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"], axis=1),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    network = Network.from_bytes(build(nodes, {"w": weights}, [48, 13], 3))
    assert network.native
    assert network.input_shape == (48, 13)
    sample = rng.normal(size=(48, 13)).astype(np.float32)
    logits = network.run(sample)
    assert logits.shape == (3,)
    np.testing.assert_allclose(logits, sample.reshape(-1) @ weights, rtol=1e-4, atol=1e-4)
    assert network.run(np.stack([sample, sample])).shape == (2, 3)
    with pytest.raises(ValueError, match="expected"):
        network.run(sample[:47])


def test_a_graph_outside_the_native_set_runs_in_onnxruntime(tmp_path):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Sigmoid", ["h"], ["y"]),
    ]
    path = tmp_path / "agent.onnx"
    path.write_bytes(build(nodes, {"w": np.eye(3, dtype=np.float32)}, [3], 3))
    network = Network.load(path)
    assert not network.native
    assert network.input_shape == (3,)
    np.testing.assert_allclose(network.run([0.0, 0.0, 0.0]), [0.5] * 3, rtol=1e-6)


def test_bytes_that_are_no_model_are_refused(tmp_path):
    path = tmp_path / "agent.onnx"
    path.write_bytes(b"not an ONNX file")
    with pytest.raises(BadNetwork):
        Network.load(path)
    with pytest.raises(FileNotFoundError):
        Network.load(tmp_path / "missing.onnx")


def test_a_weight_that_is_not_finite_is_refused():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    weights = np.array([[np.inf, 0, 0]], np.float32)
    with pytest.raises(BadNetwork, match="not finite"):
        Network.from_bytes(build(nodes, {"w": weights}, [1], 3))


def test_what_neither_can_run_is_refused_with_both_reasons():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    file = build(nodes, {"w": np.eye(3, dtype=np.float32)}, ["width"], 3)
    with pytest.raises(UnsupportedNetwork, match=r"free size.*free size"):
        Network.from_bytes(file)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_files_never_break_the_native_reader(data):
    good = bytearray(random_dense(np.random.default_rng(1), [5, 4, 3], "plain", "after"))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    try:
        network = policy.Network(bytes(good[:cut]))
    except (BadNetwork, UnsupportedNetwork):
        return
    network.run(np.zeros((1, int(np.prod(network.input_shape))), np.float32))
