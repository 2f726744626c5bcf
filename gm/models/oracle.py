"""onnxruntime as the second opinion: imported only when it is asked, one thread, errors named."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gm.errors import UnsupportedNetwork

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]
_ERROR_LEVEL = 3


def open_session(onnx: bytes) -> "InferenceSession":
    """Load an ONNX file in onnxruntime.

    Parameters
    ----------
    onnx : bytes
        The file.

    Returns
    -------
    onnxruntime.InferenceSession
        One thread, CPU.

    Raises
    ------
    UnsupportedNetwork
        If onnxruntime refuses the file too.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERROR_LEVEL
    refusals = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except refusals as error:
        raise UnsupportedNetwork(f"onnxruntime refuses it: {error}") from error


def oracle(onnx: bytes) -> tuple[tuple[int, ...], Run]:
    """Load a network of one input and one output in onnxruntime.

    Parameters
    ----------
    onnx : bytes
        The file.

    Returns
    -------
    tuple
        Shape of one sample, and a function from samples, float32 (n, *shape), to logits,
        float32 (n, k). A graph with a fixed batch of 1 is run sample by sample.

    Raises
    ------
    UnsupportedNetwork
        If onnxruntime refuses the file, or it has not one float32 input of known size and one
        output.
    """
    session = open_session(onnx)
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = tuple(inputs[0].shape) if inputs else ()
    sizes = shape[1:] if len(shape) > 1 else shape
    if len(inputs) != 1 or len(outputs) != 1 or inputs[0].type != "tensor(float)" or not sizes:
        raise UnsupportedNetwork("wants one float32 input with a shape, and one output")
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise UnsupportedNetwork(f"input of free size: {shape}")
    name = inputs[0].name

    def run(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(shape) == 1:
            logits = [session.run(None, {name: sample})[0] for sample in samples]
        elif isinstance(shape[0], int):
            logits = [session.run(None, {name: sample[None]})[0] for sample in samples]
        else:
            logits = [session.run(None, {name: samples})[0]]
        return np.concatenate([np.reshape(part, (-1, np.shape(part)[-1])) for part in logits])

    return sizes, run
