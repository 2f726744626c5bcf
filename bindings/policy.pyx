# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""Networks and ensembles of the core. Public: gm.Network and gm.models."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t
from libc.string cimport memcpy
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.vector cimport vector

from policy cimport (
    AgentOptions,
    AgentSpan,
    CoreEnsemble,
    CoreNetwork,
    DecisionValues,
    EnsembleState,
    InstructionSet,
    NetworkShape,
    OnnxBytes,
    PolicyContext,
    Tail,
    widest_instruction_set,
)

import numpy as np

include "status.pxi"

# 0 scalar, 1 AVX2, 2 AVX-512: what networks on this machine run with if nothing is said.
WIDEST = <int>widest_instruction_set()


cdef class Network:
    """A dense or convolutional network of an ONNX file, run by the core's own kernels.

    Parameters
    ----------
    onnx : bytes
        The file. It is not kept.
    instructions : int, optional
        0 scalar, 1 AVX2, 2 AVX-512; all give the same bits. The widest of the machine if -1.
    tail : int, optional
        Weights of large matrices but the first layer's: 0 float32, 1 rounded to bfloat16.

    Raises
    ------
    gm.errors.UnsupportedNetwork
        If the graph is outside the native operator set.
    gm.errors.BadNetwork
        If the bytes are no ONNX model, or a weight is not finite.
    gm.errors.BadArgument
        If the machine has not those instructions, or there is no such tail.
    """

    # By pointer: Python aligns to 16 bytes, the core may ask for more.
    cdef unique_ptr[CoreNetwork] core
    cdef readonly tuple input_shape

    def __cinit__(self, bytes onnx, int instructions=-1, unsigned int tail=0):
        cdef size_t i
        self.core = make_unique[CoreNetwork]()
        check_failure(
            self.core.get().load(
                onnx_bytes(onnx),
                NetworkShape(),
                <InstructionSet><unsigned int>(WIDEST if instructions < 0 else instructions),
                <Tail>tail,
            )
        )
        shape = self.core.get().input_shape()
        self.input_shape = tuple(shape[i] for i in range(shape.size()))

    @property
    def outputs(self) -> int:
        """Logits a sample."""
        return self.core.get().outputs()

    def run(self, samples):
        """Logits of each sample.

        Parameters
        ----------
        samples : ndarray of float32, shape (n, product of input_shape), C-contiguous

        Returns
        -------
        ndarray of float32, shape (n, outputs)
            A new array, owned by the caller.

        Raises
        ------
        TypeError, ValueError
            If dtype or shape is not as above.
        """
        if samples.dtype != np.float32:
            raise TypeError(f"expected float32, got {samples.dtype}")
        cdef const float[:, ::1] given = samples
        cdef size_t count = given.shape[0]
        if <size_t>given.shape[1] != self.core.get().inputs():
            raise ValueError(f"expected {self.core.get().inputs()} inputs, got {given.shape[1]}")
        logits = np.empty((count, self.outputs), np.float32)
        cdef float[:, ::1] out = logits
        if count:
            with nogil:
                self.core.get().run_batch(&given[0, 0], count, &out[0, 0])
        return logits


cdef class Ensemble:
    """The agents of a bundle and the state of one instrument.

    Parameters
    ----------
    agents : ndarray of gm.layout.AGENT_SETTINGS, shape (n,)
    onnx : sequence of bytes
        One file an agent, in the same order. Not kept.
    threshold : float
        A decision acts at this confidence or above.

    Raises
    ------
    gm.errors.BadNetwork, gm.errors.UnsupportedNetwork, gm.errors.BadArgument
        With the agent's name.
    """

    cdef unique_ptr[CoreEnsemble] core
    cdef unique_ptr[EnsembleState] state

    def __cinit__(self, agents, onnx, double threshold):
        cdef vector[AgentOptions] options
        cdef AgentOptions one
        for agent, file in zip(agents, onnx, strict=True):
            one.name = <bytes>agent["name"]
            one.weight = agent["weight"]
            one.temperature = agent["temperature"]
            one.column_mask = agent["column_mask"]
            one.context_count = agent["context_count"]
            one.tail = <Tail><unsigned int>agent["tail"]
            one.onnx = onnx_bytes(file)
            options.push_back(one)
        self.core = make_unique[CoreEnsemble]()
        self.state = make_unique[EnsembleState]()
        check_failure(self.core.get().load(AgentSpan(options.data(), options.size()), threshold))

    def prepare(self, known) -> None:
        """Take in the rows that will stand before the newest: float32 (47, 13), oldest first."""
        cdef const float[:, ::1] rows = rows_of(known, 47)
        self.core.get().prepare(&rows[0, 0], self.state.get()[0])

    def decide(self, matrix, context) -> dict:
        """Decide on one matrix.

        Parameters
        ----------
        matrix : ndarray of float32, shape (48, 13), oldest row first
        context : ndarray of float32, shape (6,)
            Synergy confidence and direction, volatility_30, hour_sin, hour_cos, weekday / 6.

        Returns
        -------
        dict
            agent_probability (agents, 3), probability (3,), confidence, uncertainty, action
            (0 long, 1 neutral, 2 short), acts, agents (bit i: agent i took part).
        """
        cdef const float[:, ::1] rows = rows_of(matrix, 48)
        cdef const float[::1] values = np.ascontiguousarray(context, np.float32)
        if values.shape[0] * sizeof(float) != sizeof(PolicyContext):
            raise ValueError(f"expected 6 context values, got {values.shape[0]}")
        cdef PolicyContext given
        memcpy(&given, &values[0], sizeof(PolicyContext))
        cdef DecisionValues out
        self.core.get().decide(&rows[0, 0], given, self.state.get()[0], out)
        return {
            "agent_probability": np.array(out.agent_probability)[: self.core.get().agent_count()],
            "probability": np.array(out.probability),
            "confidence": out.confidence,
            "uncertainty": out.uncertainty,
            "action": <int>out.action,
            "acts": <bint>out.acts,
            "agents": <int>out.agents,
        }


cdef OnnxBytes onnx_bytes(bytes onnx) noexcept:
    return OnnxBytes(<const uint8_t*>PyBytes_AS_STRING(onnx), len(onnx))


cdef rows_of(rows, size_t count):
    """Rows of the strategic matrix, or an exception before C++ can misread them."""
    if rows.dtype != np.float32 or rows.shape != (count, 13):
        raise ValueError(f"expected float32 ({count}, 13), got {rows.dtype} {rows.shape}")
    return np.ascontiguousarray(rows)
