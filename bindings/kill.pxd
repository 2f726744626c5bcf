"""What bindings/kill.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string

from status cimport Failure


cdef extern from "gm/base/clock.hpp" namespace "gm" nogil:
    int64_t monotonic_ns() noexcept


cdef extern from "gm/wire/payload.hpp" namespace "gm" nogil:
    cdef enum class KillLevel(uint8_t):
        kActive

    cdef enum class KillCause(uint8_t):
        kOrdered


cdef extern from "gm/runtime/kill_words.hpp" namespace "gm" nogil:
    cdef struct KillText:
        char author[40]
        char reason[96]

    cdef struct KillWord:
        uint64_t generation
        KillLevel level
        KillCause cause

    size_t kill_word_of(uint32_t instrument) noexcept
    const char* describe_level "gm::describe"(KillLevel level) noexcept
    const char* describe_cause "gm::describe"(KillCause cause) noexcept

    cdef cppclass CoreKillWords "gm::KillWords":
        CoreKillWords()
        Failure open(const string& path)
        uint64_t raise_word "raise"(size_t word, KillLevel level, KillCause cause) noexcept
        KillWord word(size_t at) noexcept
        uint64_t confirmed(size_t word) noexcept
        Failure write_text(const string& author, const string& reason)


cdef extern from "<array>" nogil:
    cdef cppclass LatchId "std::array<std::uint8_t, 16>":
        uint8_t* data() noexcept

    cdef cppclass Digest "std::array<std::uint8_t, 32>":
        uint8_t* data() noexcept


cdef extern from "gm/runtime/kill_latch.hpp" namespace "gm" nogil:
    const size_t kKillWords

    cdef cppclass KillRecord:
        uint64_t sequence
        LatchId latch_id
        int64_t raised_wall_ns
        int64_t written_wall_ns
        uint32_t installation
        KillCause cause
        KillText text
        Digest signatures_sha256
        KillLevel level_of(size_t word) noexcept
        KillLevel level() noexcept

    cdef cppclass LatchReading:
        LatchReading()
        KillRecord record
        string doubt
        cbool is_there
        cbool is_in_step

    Failure read_core_latch "gm::read_latch"(const string& run_dir, LatchReading& out)


cdef extern from "gm/runtime/kill_switch.hpp" namespace "gm" nogil:
    Failure raise_without_engine(
        const string& run_dir, const string& words_path, uint32_t instrument, KillLevel level,
        uint32_t installation)
