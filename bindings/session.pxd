"""What bindings/session.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string

from status cimport Failure
from venue cimport TapeSpan, Venue, VenueSettings


cdef extern from "gm/wire/record.hpp" namespace "gm" nogil:
    cdef cppclass Slot:
        pass


cdef extern from "gm/engine/settings.hpp" namespace "gm" nogil:
    cdef cppclass Settings:
        Settings()

    cdef cppclass Block "std::span<const std::uint8_t>":
        Block(const uint8_t* data, size_t size) noexcept

    Failure load_settings(Block block, Settings& out)


cdef extern from "gm/session/kernel_host.hpp" namespace "gm" nogil:
    cdef cppclass KernelHost:
        pass

    cdef cppclass KernelWatch:
        KernelWatch(const KernelHost& host, int64_t hang_ns)
        int look_row() noexcept


cdef extern from "gm/session/session.hpp" namespace "gm" nogil:
    cdef cppclass TapeId "std::array<std::uint8_t, 32>":
        uint8_t* data() noexcept

    cdef cppclass SlotsSpan "std::span<const gm::Slot>":
        const Slot* data() noexcept
        size_t size() noexcept

    cdef cppclass SessionOptions:
        SessionOptions()
        TapeId tape_id
        string run_directory
        uint64_t segment_bytes
        string kernel_library
        int64_t kernel_budget_ns
        cbool keeps_records

    cdef cppclass CoreSession "gm::Session":
        CoreSession()
        Failure open(const Settings& settings, const VenueSettings& venue, TapeSpan tape,
                     const SessionOptions& options)
        Failure run(uint64_t events_max)
        cbool is_over() noexcept
        const Venue& venue() noexcept
        const KernelHost& kernels() noexcept
        SlotsSpan records() noexcept
        uint64_t journal_records() noexcept
