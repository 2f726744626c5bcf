"""What bindings/journal.pyx sees of the core."""

from libc.stdint cimport uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from status cimport Failure


cdef extern from "<span>" namespace "std" nogil:
    cdef cppclass ConstBytes "std::span<const std::byte>":
        ConstBytes(const byte* data, size_t size) noexcept

    cdef cppclass Bytes "std::span<std::byte>":
        Bytes(byte* data, size_t size) noexcept


cdef extern from "<cstddef>" namespace "std" nogil:
    cdef cppclass byte:
        pass


cdef extern from "gm/base/sha256.hpp" namespace "gm" nogil:
    cdef cppclass Sha256Digest:
        const uint8_t* data() noexcept
        size_t size() noexcept


cdef extern from "gm/journal/segment_format.hpp" namespace "gm" nogil:
    size_t count_in_order(ConstBytes slots, uint64_t next_sequence) noexcept


cdef extern from "gm/journal/block_walker.hpp" namespace "gm" nogil:
    cdef enum class FaultKind(uint8_t):
        pass

    const char* name_of(FaultKind kind) noexcept

    cdef cppclass JournalFault:
        FaultKind kind
        string segment
        uint64_t block
        uint64_t record
        uint64_t count
        uint64_t offset
        string text

    cdef cppclass JournalEnd:
        uint64_t journal_id
        uint64_t segments
        uint64_t last_sequence
        uint64_t blocks
        Sha256Digest digest
        uint64_t records
        uint64_t open_slots
        uint64_t torn_bytes


cdef extern from "gm/journal/compacted.hpp" namespace "gm" nogil:
    cdef cppclass CompactedEnd:
        uint64_t segments
        uint64_t records
        uint64_t last_sequence


cdef extern from "gm/journal/verify.hpp" namespace "gm" nogil:
    cdef cppclass JournalReport:
        JournalReport()
        JournalEnd end
        CompactedEnd compacted
        uint64_t anchored_sequence
        uint64_t fault_count
        vector[JournalFault] faults

    Failure verify_journal(const string& path, JournalReport& report) noexcept


cdef extern from "gm/journal/compaction.hpp" namespace "gm" nogil:
    cdef cppclass Compaction:
        Compaction()
        string run_directory

    cdef cppclass CompactionReport:
        CompactionReport()
        cbool is_done

    Failure compact_oldest "gm::compact_oldest"(
        const Compaction& compaction, CompactionReport& report) noexcept


cdef extern from "gm/journal/journal_reader.hpp" namespace "gm" nogil:
    cdef cppclass CoreReader "gm::JournalReader":
        CoreReader()
        Failure open_all(const string& folder, cbool checks_chain) noexcept
        Failure open_compacted(const string& folder) noexcept
        const CompactedEnd& compacted_end() noexcept
        size_t read(Bytes out) noexcept
        const Failure& failure() noexcept


cdef extern from "gm/journal/segments.hpp" namespace "gm" nogil:
    cdef cppclass SegmentSettings:
        SegmentSettings()
        string run_directory
        uint64_t segment_bytes
        uint64_t journal_id

    cdef cppclass SegmentWriter:
        SegmentWriter()
        Failure open(const SegmentSettings& settings) noexcept
        Failure append_bytes(ConstBytes records) noexcept
        Failure seal_block() noexcept
        Failure sync() noexcept
        Failure close() noexcept
        uint64_t last_sequence() noexcept
