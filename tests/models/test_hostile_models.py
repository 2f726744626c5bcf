"""Promise: a hostile model file is refused with its reason, before any other runtime sees it."""

import numpy as np
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

import gm.models.network
from gm._native import policy
from gm.errors import BadNetwork, UnsupportedNetwork
from gm.models import Network

FORBIDDEN = {}  # nobody may run it
UNKNOWN = {}  # outside the native set


def forbidden(reason):
    def keep(make):
        FORBIDDEN[make.__name__] = (make, reason)
        return make

    return keep


def unknown(reason):
    def keep(make):
        UNKNOWN[make.__name__] = (make, reason)
        return make

    return keep


def conv_model() -> ModelProto:
    """X (n, 6, 2) -> Transpose -> Conv -> Relu -> AveragePool -> Flatten -> Gemm -> y (n, 3)."""
    one = np.ones
    tensors = {"k": one((4, 2, 3)), "c": one(4), "w": one((12, 3)), "b": one(3)}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Conv", ["t", "k", "c"], ["h"], pads=[1, 1], kernel_shape=[3]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[2], strides=[2]),
        helper.make_node("Flatten", ["p"], ["f"], axis=1),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


TRANSPOSE, CONV, RELU, POOL, FLATTEN, GEMM = range(6)


def tensor(model, name):
    return next(t for t in model.graph.initializer if t.name == name)


def set_ints(model, node, name, values):
    attributes = model.graph.node[node].attribute
    kept = [a for a in attributes if a.name != name]
    del attributes[:]
    attributes.extend([*kept, helper.make_attribute(name, values)])


def insert(model, node):
    """Between Flatten and Gemm."""
    node.input[0] = "f"
    node.output[0] = "inserted"
    model.graph.node[GEMM].input[0] = "inserted"
    model.graph.node.insert(GEMM, node)


@forbidden('external data of tensor "w"')
def external_data(model):
    weights = tensor(model, "w")
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    entry = weights.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


@forbidden('external data of tensor "w"')
def external_data_that_says_it_is_inside(model):
    entry = tensor(model, "w").external_data.add()
    entry.key, entry.value = "location", "../../secret"


@forbidden('external data of tensor "late"')
def external_data_after_an_unknown_operator(model):
    insert(model, helper.make_node("Sigmoid", ["f"], ["s"]))
    late = model.graph.initializer.add(name="late", data_type=TensorProto.FLOAT, dims=[1])
    late.data_location = TensorProto.EXTERNAL


@forbidden('external data of tensor ""')
def external_data_of_a_constant(model):
    value = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("Constant", [], ["v"], value=value))


@forbidden('_branch" holds a graph')
def an_if(model):
    body = helper.make_graph([], "g", [], [])
    insert(model, helper.make_node("If", ["f"], ["z"], then_branch=body, else_branch=body))


@forbidden('"body" holds a graph')
def a_loop(model):
    body = helper.make_graph([], "g", [], [])
    insert(model, helper.make_node("Loop", ["f"], ["z"], body=body))


@forbidden('"body" holds a graph')
def a_scan(model):
    body = helper.make_graph([], "g", [], [])
    insert(model, helper.make_node("Scan", ["f"], ["z"], body=body, num_scan_inputs=1))


@forbidden('"If" is not on the list')
def an_if_without_its_branches(model):
    insert(model, helper.make_node("If", ["f"], ["z"]))


@forbidden('"body" holds a graph')
def a_list_of_graphs_in_a_known_operator(model):
    attribute = AttributeProto(name="body", type=AttributeProto.GRAPHS)
    attribute.graphs.add()
    model.graph.node[RELU].attribute.append(attribute)


@forbidden("local functions")
def a_function(model):
    relu = helper.make_node("Relu", ["a"], ["b"])
    opset = helper.make_opsetid("", 20)
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [relu], [opset]))


@forbidden("refers to a function's")
def an_attribute_of_a_function_that_is_not_there(model):
    attribute = model.graph.node[FLATTEN].attribute[0]
    attribute.ref_attr_name = "axis"


@forbidden("training graphs")
def a_training_graph(model):
    model.training_info.add()


@forbidden('of domain "com.evil"')
def an_operator_of_another_domain(model):
    model.graph.node[RELU].domain = "com.evil"
    model.opset_import.append(helper.make_opsetid("com.evil", 1))


@forbidden('"StringNormalizer" is not on the list')
def an_operator_on_strings(model):
    insert(model, helper.make_node("StringNormalizer", ["f"], ["z"]))


@forbidden('"RandomNormalLike" is not on the list')
def an_operator_of_chance(model):
    insert(model, helper.make_node("RandomNormalLike", ["f"], ["z"]))


@forbidden("sparse initializers")
def a_sparse_weight(model):
    model.graph.sparse_initializer.add()


@forbidden("quantisation annotations")
def a_quantisation(model):
    model.graph.quantization_annotation.add()


@forbidden("sparse tensor")
def a_sparse_constant(model):
    attribute = AttributeProto(name="sparse_value", type=AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.dims.append(1)
    model.graph.node.append(helper.make_node("Constant", [], ["v"]))
    model.graph.node[-1].attribute.append(attribute)


@forbidden("at most 16777216")
def an_oversized_file(model):
    model.doc_string = "x" * (1 << 24)


@forbidden("more than 256 nodes")
def too_many_nodes(model):
    model.graph.node.extend(helper.make_node("Identity", ["y"], [f"i{i}"]) for i in range(256))


@forbidden("more than 1024 tensors")
def too_many_tensors(model):
    one = np.ones(1, np.float32)
    model.graph.initializer.extend(numpy_helper.from_array(one, f"t{i}") for i in range(1024))


@forbidden('tensor "k" is not finite')
def a_weight_that_is_no_number(model):
    weights = np.ones((4, 2, 3), np.float32)
    weights[3, 1, 2] = np.nan
    tensor(model, "k").raw_data = weights.tobytes()


@forbidden('tensor "b" is not finite')
def an_infinite_bias_as_a_list_of_floats(model):
    bias = tensor(model, "b")
    bias.ClearField("raw_data")
    bias.float_data.extend([0.0, float("inf"), 0.0])


@forbidden("element type 11")
def weights_in_double(model):
    tensor(model, "w").CopyFrom(numpy_helper.from_array(np.ones((12, 3)), "w"))


@forbidden("element type 8")
def weights_that_are_strings(model):
    text = tensor(model, "w")
    text.ClearField("raw_data")
    text.data_type = TensorProto.STRING
    text.string_data.extend([b"1"] * 36)


@forbidden("raw_data does not fill its shape")
def a_shape_larger_than_its_data(model):
    tensor(model, "w").dims[0] = 13


@forbidden("more values than bytes")
def dimensions_whose_product_overflows(model):
    del tensor(model, "w").dims[:]
    tensor(model, "w").dims.extend([1 << 23, 1 << 23, 1 << 23, 1 << 23])


@unknown("axis 0 of 18446744073709551604")
def a_dimension_below_zero(model):
    tensor(model, "w").dims[0] = -12


@forbidden("two tensors")
def two_tensors_of_one_name(model):
    model.graph.initializer.append(tensor(model, "w"))


@forbidden('two values named "h"')
def two_nodes_that_write_one_value(model):
    model.graph.node[RELU].output[0] = "h"


@forbidden("dimension 0")
def an_input_of_size_zero(model):
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 0


@unknown("not one chain")
def a_cycle(model):
    model.graph.node[CONV].input[0] = "r"


@unknown("not one chain")
def a_value_that_nobody_writes(model):
    model.graph.node[GEMM].input[0] = "nowhere"


@unknown("one output is not the chain's end")
def no_output(model):
    del model.graph.output[:]


@unknown("one output is not the chain's end")
def an_output_that_nobody_writes(model):
    model.graph.output[0].name = "nowhere"


@unknown("wants inputs and outputs")
def a_node_without_outputs(model):
    del model.graph.node[RELU].output[:]


@unknown('operator "Conv": wants an odd kernel')
def huge_pads(model):
    set_ints(model, CONV, "pads", [1 << 62, 1 << 62])


@unknown('operator "Conv": wants an odd kernel')
def pads_below_zero(model):
    set_ints(model, CONV, "pads", [-1, -1])


@unknown('operator "Conv": wants an odd kernel')
def a_kernel_of_size_zero(model):
    kernel = tensor(model, "k")
    kernel.dims[2] = 0
    kernel.raw_data = b""


@unknown('operator "Conv": wants an odd kernel')
def a_kernel_that_differs_from_its_weights(model):
    set_ints(model, CONV, "kernel_shape", [5])


@unknown('operator "Conv": wants an odd kernel')
def a_stride_of_zero(model):
    set_ints(model, CONV, "strides", [0])


@unknown("2 to 4 channels, must be from 3")
def channels_that_do_not_fit(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 3


@unknown("wants a kernel that divides 6 columns")
def a_pool_of_width_zero(model):
    set_ints(model, POOL, "kernel_shape", [0])
    set_ints(model, POOL, "strides", [0])


@unknown("wants a kernel that divides 6 columns")
def a_pool_wider_than_its_columns(model):
    set_ints(model, POOL, "kernel_shape", [1 << 40])
    set_ints(model, POOL, "strides", [1 << 40])


@unknown('operator "Transpose"')
def a_permutation_that_names_an_axis_twice(model):
    set_ints(model, TRANSPOSE, "perm", [0, 1, 1])


@unknown('operator "Transpose"')
def a_permutation_of_an_axis_that_is_not_there(model):
    set_ints(model, TRANSPOSE, "perm", [0, 2, 1 << 40])


@unknown("more than 8 integers")
def a_permutation_without_end(model):
    set_ints(model, TRANSPOSE, "perm", list(range(1000)))


@unknown("over 16384")
def an_input_whose_size_overflows(model):
    for dim in model.graph.input[0].type.tensor_type.shape.dim:
        dim.dim_value = 16384


@unknown('operator "Reshape"')
def a_reshape_whose_sizes_overflow(model):
    sizes = np.array([-1, 1 << 62, 4], np.int64)
    model.graph.initializer.append(numpy_helper.from_array(sizes, "sizes"))
    insert(model, helper.make_node("Reshape", ["f", "sizes"], ["z"]))


@unknown('operator "Unsqueeze"')
def axes_without_end(model):
    axes = np.arange(1, 200, dtype=np.int64)
    model.graph.initializer.append(numpy_helper.from_array(axes, "axes"))
    insert(model, helper.make_node("Unsqueeze", ["f", "axes"], ["z"]))


def damaged(make):
    model = conv_model()
    make(model)
    return model.SerializeToString()


def test_the_model_that_is_damaged_below_is_good():
    network = Network.from_bytes(conv_model().SerializeToString())
    assert network.native
    assert len(FORBIDDEN) + len(UNKNOWN) >= 30


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_forbidden_model_reaches_no_runtime(case, monkeypatch):
    make, reason = FORBIDDEN[case]
    monkeypatch.setattr(gm.models.network, "oracle", lambda _: pytest.fail("onnxruntime was asked"))
    with pytest.raises(BadNetwork) as refused:
        Network.from_bytes(damaged(make))
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("case", UNKNOWN)
def test_a_model_outside_the_native_set_is_refused_by_the_core(case):
    make, reason = UNKNOWN[case]
    with pytest.raises(UnsupportedNetwork) as refused:
        policy.Network(damaged(make))
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300
