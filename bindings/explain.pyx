# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""A decision made again from the journal, and networks taken apart. Public side: gm.explain."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.string cimport string
from libcpp.vector cimport vector

import numpy as np

from gm.layout import AGENT_SETTINGS, SLOT

from rows cimport copied

include "status.pxi"

KINDS = ("dense", "relu", "tanh", "layer_norm", "softmax")


def rebuild_decision(str run_dir, uint64_t sequence) -> dict:
    """Replay a run up to one decision and give everything that went into it.

    Parameters
    ----------
    run_dir : str
    sequence : int
        Journal sequence of a decision or shadow decision.

    Returns
    -------
    dict
        journalled and made, rows of gm.layout.SLOT of shape (1,), and is_equal. If they are:
        matrix float32 (48, 13) and kernels (48, 3), oldest row first; context float32 (6,);
        agent_probability (3, 3) and probability (3,) float32, logits float32 (3, 3), shares
        float64 (3,); confidence, uncertainty, threshold; action, acts, agents; model_sha256;
        agent_rows of gm.layout.AGENT_SETTINGS and onnx, one file an agent; size_lots. New arrays,
        owned by the caller.

    Raises
    ------
    gm.errors.BadArgument
        If the record is no decision, or the journal ends before it.
    gm.errors.ReplayDiverged
        If the journal cannot be derived again up to there: names the record.
    gm.errors.CoreError
        If a file of the directory cannot be read.
    """
    cdef unique_ptr[RebuiltDecision] found = make_unique[RebuiltDecision]()
    cdef string where = run_dir.encode()
    cdef Failure failure
    with nogil:
        failure = core_rebuild(where, sequence, found.get()[0])
    check_failure(failure)
    cdef RebuiltDecision* out = found.get()
    return {
        "journalled": copied(<const uint8_t*>&out.journalled, 1, SLOT),
        "made": copied(<const uint8_t*>&out.made, 1, SLOT),
        "is_equal": out.is_equal,
        "matrix": floats(out.matrix, 48 * 13).reshape(48, 13),
        "kernels": floats(out.kernels, 48 * 3).reshape(48, 3),
        "context": floats(<const float*>&out.context, sizeof(PolicyContext) // sizeof(float)),
        "agent_probability": np.array(out.values.agent_probability, np.float32),
        "probability": np.array(out.values.probability, np.float32),
        "confidence": out.values.confidence,
        "uncertainty": out.values.uncertainty,
        "action": <int>out.values.action,
        "acts": <bint>out.values.acts,
        "agents": <int>out.values.agents,
        "logits": np.array(out.votes.logits, np.float32),
        "shares": np.array(out.votes.shares, np.float64),
        "threshold": out.threshold,
        "model_sha256": out.model_sha256.data()[:out.model_sha256.size()].hex(),
        "agent_rows": agent_rows(out.agents),
        "onnx": tuple(copy_of(out.onnx[i]) for i in range(out.onnx.size())),
        "size_lots": out.size_lots,
    }


def read_network(bytes onnx) -> dict:
    """Take a network apart as the core's own kernels see it.

    Parameters
    ----------
    onnx : bytes
        The file.

    Returns
    -------
    dict
        inputs and outputs, values a sample. convs: dicts of weights float32 (taps, inputs,
        outputs), bias (outputs,) and has_relu, over `columns` columns of channels side by side;
        pool, columns a bin after them. operators: dicts of kind (of KINDS), weights float32, dense
        (inputs, outputs), layer_norm (width,), bias and epsilon.

    Raises
    ------
    gm.errors.UnsupportedNetwork, gm.errors.BadNetwork
        What the core refuses, and why.
    """
    cdef NetworkGraph graph
    cdef size_t i
    cdef Failure failure
    cdef const uint8_t* first = <const uint8_t*>PyBytes_AS_STRING(onnx)
    cdef size_t size = len(onnx)
    with nogil:
        failure = read_onnx(Bytes(first, size), graph)
    check_failure(failure)
    return {
        "inputs": graph.inputs,
        "outputs": graph.outputs,
        "columns": graph.columns,
        "pool": graph.pool,
        "convs": tuple(conv_fields(graph.convs[i]) for i in range(graph.convs.size())),
        "operators": tuple(
            operator_fields(graph.operators[i]) for i in range(graph.operators.size())
        ),
    }


cdef conv_fields(const ConvLayer& conv):
    weights = floats(conv.weights.data(), conv.weights.size())
    return {
        "weights": weights.reshape(conv.taps, conv.inputs, conv.outputs),
        "bias": floats(conv.bias.data(), conv.bias.size()),
        "has_relu": <bint>conv.has_relu,
    }


cdef operator_fields(const NetworkOperator& layer):
    weights = floats(layer.weights.data(), layer.weights.size())
    if layer.kind == OperatorKind.kDense:
        weights = weights.reshape(layer.inputs, layer.outputs)
    return {
        "kind": KINDS[<int>layer.kind],
        "weights": weights,
        "bias": floats(layer.bias.data(), layer.bias.size()),
        "epsilon": layer.epsilon,
    }


cdef bytes copy_of(const vector[uint8_t]& file):
    return PyBytes_FromStringAndSize(<const char*>file.data(), <Py_ssize_t>file.size())


cdef agent_rows(const vector[AgentSettings]& agents):
    return copied(<const uint8_t*>agents.data(), agents.size(), AGENT_SETTINGS)


cdef floats(const float* first, size_t count):
    """Copy floats out of the core."""
    out = np.empty(count, np.float32)
    cdef float[::1] target = out
    if count:
        memcpy(&target[0], first, count * sizeof(float))
    return out
