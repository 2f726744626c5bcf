"""What bindings/simulation.pyx sees of the core."""

from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from status cimport Failure


cdef extern from "gm/simulation/faults.hpp" namespace "gm" nogil:
    cdef enum class WorldFault(uint8_t):
        kNone

    cdef size_t kWorldFaults
    const char* describe_fault "gm::describe"(WorldFault fault) noexcept


cdef extern from "gm/simulation/world.hpp" namespace "gm" nogil:
    cdef cppclass SimulationSettings:
        SimulationSettings()
        uint64_t seed
        uint64_t events
        string directory
        vector[uint8_t] settings_block
        cbool has_faults
        cbool traces
        cbool replays

    cdef cppclass FaultCounts "std::array<std::uint64_t, gm::kWorldFaults>":
        uint64_t& operator[](size_t at) noexcept

    cdef cppclass CodeCounts "std::array<std::uint64_t, gm::LimitAccount::kCodes>":
        uint64_t& operator[](size_t at) noexcept

    cdef size_t kCodes "gm::LimitAccount::kCodes"

    cdef cppclass SimulationReport:
        SimulationReport()
        uint64_t seed
        uint64_t events
        uint64_t hash
        FaultCounts faults
        CodeCounts codes
        uint64_t starts
        uint64_t snapshot_starts
        uint64_t failed_starts
        uint64_t orders
        uint64_t fills
        uint64_t unknowns_resolved
        uint64_t records
        cbool is_halted
        cbool is_replayed
        string violation
        string trace
        string failure

    Failure simulate(const SimulationSettings& settings, SimulationReport& report)
