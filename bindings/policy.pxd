"""What bindings/policy.pyx sees of the core."""

from libc.stdint cimport uint8_t, uint32_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from status cimport Failure


cdef extern from "<span>" nogil:
    cdef cppclass OnnxBytes "std::span<const std::uint8_t>":
        OnnxBytes() noexcept
        OnnxBytes(const uint8_t* data, size_t count) noexcept
    cdef cppclass InputShape "std::span<const std::uint32_t>":
        const uint32_t& operator[](size_t index) noexcept
        size_t size() noexcept


cdef extern from "gm/policy/network.hpp" namespace "gm" nogil:
    cdef enum class InstructionSet(uint32_t):
        kScalar

    cdef enum class Tail(uint32_t):
        kFloat32
        kBfloat16

    InstructionSet widest_instruction_set() noexcept

    cdef cppclass NetworkShape:
        NetworkShape() noexcept

    cdef cppclass CoreNetwork "gm::Network":
        CoreNetwork() noexcept
        Failure load(OnnxBytes onnx, const NetworkShape& shape, InstructionSet instructions,
                     Tail tail)
        void run_batch(const float* input, size_t samples, float* logits) noexcept
        uint32_t inputs() noexcept
        uint32_t outputs() noexcept
        InputShape input_shape() noexcept


cdef extern from "gm/policy/ensemble.hpp" namespace "gm" nogil:
    cdef cppclass AgentOptions:
        string name
        double weight
        double temperature
        uint32_t column_mask
        uint32_t context_count
        Tail tail
        OnnxBytes onnx

    cdef cppclass PolicyContext:
        pass

    cdef cppclass EnsembleState:
        pass

    cdef cppclass DecisionValues:
        float[3][3] agent_probability
        float[3] probability
        double confidence
        double uncertainty
        uint8_t action
        cbool acts
        uint8_t agents

    cdef cppclass AgentSpan "std::span<const gm::AgentOptions>":
        AgentSpan(const AgentOptions* data, size_t count) noexcept

    cdef cppclass CoreEnsemble "gm::Ensemble":
        CoreEnsemble() noexcept
        Failure load(AgentSpan agents, double threshold)
        void prepare(const float* known, EnsembleState& state) noexcept
        void decide(const float* matrix, const PolicyContext& context, EnsembleState& state,
                    DecisionValues& out) noexcept
        size_t agent_count() noexcept
