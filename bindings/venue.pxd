"""What bindings of the venue see of it: tape, ledger and the venue itself."""

from libc.stdint cimport uint64_t

from status cimport Failure


cdef extern from "gm/market/instrument.hpp" namespace "gm" nogil:
    cdef cppclass Instrument:
        pass


cdef extern from "gm/venue/tape.hpp" namespace "gm" nogil:
    cdef cppclass TapeRow:
        pass


cdef extern from "gm/venue/ledger.hpp" namespace "gm" nogil:
    cdef cppclass OrderId:
        pass

    cdef cppclass LedgerOrder:
        pass

    cdef cppclass Execution:
        pass

    cdef cppclass LedgerTotals:
        pass

    cdef cppclass OrdersSpan "std::span<const gm::LedgerOrder>":
        const LedgerOrder* data() noexcept
        size_t size() noexcept

    cdef cppclass ExecutionsSpan "std::span<const gm::Execution>":
        const Execution* data() noexcept
        size_t size() noexcept

    cdef cppclass IdsSpan "std::span<const gm::OrderId>":
        const OrderId* data() noexcept
        size_t size() noexcept

    cdef cppclass BuriedRange:
        pass

    cdef cppclass RangesSpan "std::span<const gm::BuriedRange>":
        const BuriedRange* data() noexcept
        size_t size() noexcept

    cdef cppclass Ledger:
        OrdersSpan orders() noexcept
        ExecutionsSpan executions() noexcept
        IdsSpan tombstones() noexcept
        RangesSpan buried_ranges() noexcept
        const LedgerTotals& totals() noexcept


cdef extern from "gm/venue/venue.hpp" namespace "gm" nogil:
    cdef cppclass VenueSettings:
        pass

    cdef cppclass TapeSpan "std::span<const gm::TapeRow>":
        TapeSpan(const TapeRow* data, size_t count) noexcept

    cdef cppclass Venue:
        Venue() noexcept
        Failure open(const VenueSettings& settings, const Instrument& instrument, TapeSpan tape)
        const Ledger& ledger() noexcept
        uint64_t last_feed_sequence() noexcept
        uint64_t last_reply_sequence() noexcept
        uint64_t refused_rows() noexcept
        size_t rows_played() noexcept
