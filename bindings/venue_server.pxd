"""What bindings/venue_server.pyx sees of the core."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.vector cimport vector

from status cimport Failure
from venue cimport Venue


cdef extern from "gm/runtime/zmq_table.hpp" namespace "gm" nogil:
    cdef enum class ZmqLibrary(uint8_t):
        kAlreadyLoaded
        kLoad

    cdef cppclass ZmqTable:
        ZmqTable() noexcept

    Failure resolve_zmq(const string& path, ZmqLibrary library, ZmqTable& out)


cdef extern from "gm/runtime/venue_server.hpp" namespace "gm" nogil:
    cdef cppclass TapeId "std::array<std::uint8_t, 32>":
        uint8_t* data() noexcept

    cdef cppclass VenueServerSettings:
        VenueServerSettings() noexcept
        string feed_endpoint
        string orders_endpoint
        TapeId tape_id
        int64_t speed_permille
        uint64_t history_rows
        int64_t resend_after_ns
        int64_t heartbeat_ns
        int64_t linger_ns

    cdef cppclass VenueServerCounters:
        uint64_t feed_frames
        uint64_t repeated_feed_frames
        uint64_t reply_frames
        uint64_t repeated_reply_frames
        uint64_t sessions
        uint64_t refused_sessions
        uint64_t lost_sessions
        uint64_t foreign_messages
        uint64_t order_gaps
        uint64_t replayed_bars
        uint64_t* frame_faults

    const size_t kFrameFaults

    cdef cppclass Server "gm::VenueServer":
        Server() noexcept
        Failure open(const ZmqTable& zmq, void* context, const VenueServerSettings& settings,
                     Venue& venue)
        Failure run()
        void stop() noexcept
        cbool is_finished() noexcept
        const VenueServerCounters& counters() noexcept
        const vector[int64_t]& arrivals_ns() noexcept
