"""What bindings/market.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from status cimport Failure


cdef extern from "gm/market/instrument.hpp" namespace "gm" nogil:
    cdef cppclass Instrument:
        Instrument() noexcept
    cdef cppclass SessionInterval:
        pass
    cdef cppclass OffsetChange:
        pass


cdef extern from "gm/market/quarantine.hpp" namespace "gm" nogil:
    cdef enum class QuarantineReason(uint32_t):
        kNone

    const size_t kQuarantineReasons
    const char* name_of(QuarantineReason reason) noexcept
    void check_file_stamps(StampsIn ts_ns, ReasonsOut reasons) noexcept


cdef extern from "gm/wire/payload.hpp" namespace "gm" nogil:
    cdef enum class Side(uint8_t):
        kBuy
        kSell
    cdef cppclass BookLevel:
        BookLevel() noexcept
        Side side
    cdef enum class BookResetReason(uint32_t):
        kSnapshot
        kGap
    cdef cppclass BookReset:
        BookReset() noexcept
        BookResetReason reason

cdef extern from "gm/wire/record.hpp" namespace "gm" nogil:
    cdef enum class RecordType(uint16_t):
        kBookLevel
        kBookReset


cdef extern from "gm/market/book.hpp" namespace "gm" nogil:
    cdef cppclass PriceLevel:
        int64_t price_ticks
        int64_t quantity_lots

    cdef enum class BookState(uint8_t):
        kSilent

    cdef cppclass Book:
        Book() noexcept
        void open(size_t levels_max)
        void reset(BookResetReason reason) noexcept
        cbool apply(const BookLevel& level) noexcept
        BookState state() noexcept
        LevelsOut levels(Side side) noexcept

    const size_t kLevelsMax "gm::Book::kLevelsMax"


cdef extern from "gm/market/calendar.hpp" namespace "gm" nogil:
    cdef cppclass Calendar:
        Calendar() noexcept
        Failure open(SessionsIn sessions, OffsetsIn offsets)


cdef extern from "gm/market/bar_text.hpp" namespace "gm" nogil:
    cdef cppclass BarColumns:
        BarColumns() noexcept
        uint32_t count
        uint32_t time
        uint32_t open
        uint32_t high
        uint32_t low
        uint32_t close
        uint32_t volume
        char delimiter

    cdef cppclass BarTextRow:
        int64_t day_first_ns
        int64_t month_first_ns
        int64_t offset_ns
        int64_t open_ticks
        int64_t high_ticks
        int64_t low_ticks
        int64_t close_ticks
        int64_t volume_lots
        uint64_t line
        uint32_t flags
        QuarantineReason reason

    cdef cppclass BarText:
        BarText() noexcept
        Failure open(const BarColumns& columns, const Instrument& instrument, uint64_t first_line)
        void feed(string_view chunk)
        void finish()
        const vector[BarTextRow]& rows() noexcept

    const uint32_t kColumnAbsent "gm::BarColumns::kAbsent"
    const size_t kLineBytesMax "gm::BarText::kLineBytesMax"


cdef extern from "gm/market/bar_table.hpp" namespace "gm" nogil:
    cdef cppclass BarRow:
        int64_t start_ts_ns
        int64_t open_ticks
        int64_t high_ticks
        int64_t low_ticks
        int64_t close_ticks
        int64_t volume_lots
        uint32_t flags
        uint32_t reserved

    Failure check_bars(BarsOut bars, ReasonsOut reasons, const Instrument& instrument,
                       const Calendar& calendar, uint32_t duration_s)
    Failure aggregate_bars(BarsIn bars, const Calendar& calendar, int64_t bar_ns,
                           uint32_t minutes, vector[BarRow]& out)


cdef extern from "<span>" nogil:
    cdef cppclass LevelsOut "std::span<const gm::PriceLevel>":
        const PriceLevel* data() noexcept
        size_t size() noexcept
    cdef cppclass StampsIn "std::span<const std::int64_t>":
        StampsIn(const int64_t* data, size_t count) noexcept
    cdef cppclass ReasonsOut "std::span<gm::QuarantineReason>":
        ReasonsOut(QuarantineReason* data, size_t count) noexcept
    cdef cppclass SessionsIn "std::span<const gm::SessionInterval>":
        SessionsIn(const SessionInterval* data, size_t count) noexcept
    cdef cppclass OffsetsIn "std::span<const gm::OffsetChange>":
        OffsetsIn(const OffsetChange* data, size_t count) noexcept
    cdef cppclass BarsOut "std::span<gm::BarRow>":
        BarsOut(BarRow* data, size_t count) noexcept
    cdef cppclass BarsIn "std::span<const gm::BarRow>":
        BarsIn(const BarRow* data, size_t count) noexcept
