# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""Simulated worlds. Public side: gm.simulation."""

from libc.stdint cimport uint8_t, uint64_t

include "status.pxi"


def fault_names() -> tuple:
    """Names of what can go wrong, in the order of the counts."""
    return tuple([describe_fault(<WorldFault><uint8_t>at).decode() for at in range(kWorldFaults)])


def play_world(bytes settings, uint64_t seed, uint64_t events, str directory, *,
               bint has_faults=True, bint replays=False, bint traces=False) -> dict:
    """Play the world of one seed. Releases the GIL.

    Parameters
    ----------
    settings : bytes
        The settings block (gm.config.block); its kernels are rules of the core by their names.
    seed, events : int
        Faults end after so many events; the world a little later.
    directory : str
        On tmpfs; what lies in it is removed.
    has_faults, replays, traces : bool
        Replay the journal and compare it; tell the last events without a violation, too.

    Returns
    -------
    dict
        As SimulationReport in core/include/gm/simulation/world.hpp; `faults` and `codes` are tuples
        of counts.

    Raises
    ------
    gm.errors.CoreError
        If the settings are refused, or the world could not be played at all.
    """
    cdef SimulationSettings asked
    cdef SimulationReport report
    cdef Failure failure
    cdef const uint8_t* first = <const uint8_t*><const char*>settings
    asked.seed = seed
    asked.events = events
    asked.directory = directory.encode()
    asked.settings_block.assign(first, first + len(settings))
    asked.has_faults = has_faults
    asked.replays = replays
    asked.traces = traces
    with nogil:
        failure = simulate(asked, report)
    check_failure(failure)
    return {
        "seed": report.seed,
        "events": report.events,
        "hash": report.hash,
        "faults": tuple([report.faults[at] for at in range(kWorldFaults)]),
        "codes": tuple([report.codes[at] for at in range(kCodes)]),
        "starts": report.starts,
        "snapshot_starts": report.snapshot_starts,
        "failed_starts": report.failed_starts,
        "orders": report.orders,
        "fills": report.fills,
        "unknowns_resolved": report.unknowns_resolved,
        "records": report.records,
        "is_halted": report.is_halted,
        "is_replayed": report.is_replayed,
        "violation": report.violation.decode(),
        "trace": report.trace.decode(),
        "failure": report.failure.decode(errors="replace"),
    }
