"""What bindings/explain.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from policy cimport DecisionValues, PolicyContext
from status cimport Failure


cdef extern from "gm/policy/onnx_reader.hpp" namespace "gm" nogil:
    cdef cppclass Bytes "std::span<const std::uint8_t>":
        Bytes(const uint8_t* data, size_t size) noexcept

    cdef enum class OperatorKind(uint32_t):
        kDense
        kRelu
        kTanh
        kLayerNorm
        kSoftmax

    cdef cppclass NetworkOperator:
        OperatorKind kind
        uint32_t inputs
        uint32_t outputs
        vector[float] weights
        vector[float] bias
        float epsilon

    cdef cppclass ConvLayer:
        uint32_t inputs
        uint32_t outputs
        uint32_t taps
        vector[float] weights
        vector[float] bias
        cbool has_relu

    cdef cppclass NetworkGraph:
        NetworkGraph()
        uint32_t inputs
        uint32_t outputs
        vector[ConvLayer] convs
        uint32_t columns
        uint32_t pool
        vector[NetworkOperator] operators

    Failure read_onnx(Bytes file, NetworkGraph& out) nogil


cdef extern from "gm/wire/record.hpp" namespace "gm" nogil:
    cdef cppclass Slot:
        pass


cdef extern from "gm/policy/ensemble.hpp" namespace "gm" nogil:
    cdef cppclass EnsembleVotes:
        float[3][3] logits
        double[3] shares


cdef extern from "gm/engine/settings.hpp" namespace "gm" nogil:
    cdef cppclass AgentSettings:
        pass


cdef extern from "gm/base/sha256.hpp" namespace "gm" nogil:
    cdef cppclass Sha256Digest:
        const uint8_t* data() noexcept
        size_t size() noexcept


cdef extern from "gm/runtime/rebuild.hpp" namespace "gm" nogil:
    cdef cppclass RebuiltDecision:
        RebuiltDecision()
        Slot journalled
        Slot made
        cbool is_equal
        float* matrix
        float* kernels
        PolicyContext context
        DecisionValues values
        EnsembleVotes votes
        double threshold
        Sha256Digest model_sha256
        vector[AgentSettings] agents
        vector[vector[uint8_t]] onnx
        int64_t size_lots

    Failure core_rebuild "gm::rebuild_decision"(const string& run_dir, uint64_t sequence,
                                                RebuiltDecision& out)
