# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""The kill switch from outside an engine: its words, which any process may raise, and its latch."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.string cimport string

from gm.layout import KillLevel as Level

include "status.pxi"


cdef class KillWords:
    """The words of a run, mapped.

    Parameters
    ----------
    path : str
        ``kill_path`` of ``gm._native.runtime.find_endpoints``; made if it is not there.

    Raises
    ------
    gm.errors.CoreError
        If the file cannot be had, or is of another build.
    """

    cdef unique_ptr[CoreKillWords] words

    def __cinit__(self, str path):
        self.words = make_unique[CoreKillWords]()
        check_failure(self.words.get().open(path.encode()))

    def raise_level(
        self, uint32_t instrument, int level, str author, str reason
    ) -> tuple[int, int]:
        """Raise a word, and wake the engine.

        Parameters
        ----------
        instrument : int
            0xffffffff: the account.
        level : int
            A ``gm.layout.KillLevel``. A word that is higher stays.
        author, reason : str
            Cut to 39 and 95 bytes of UTF-8.

        Returns
        -------
        generation : int
            To wait for in ``confirmed``.
        stored_ns : int
            CLOCK_MONOTONIC just before the store.
        """
        Level(level)
        check_failure(self.words.get().write_text(author.encode(), reason.encode()))
        cdef size_t word = kill_word_of(instrument)
        cdef int64_t stored_ns = monotonic_ns()
        cdef uint64_t generation = self.words.get().raise_word(
            word, <KillLevel><uint8_t>level, KillCause.kOrdered)
        return generation, stored_ns

    def level(self, uint32_t instrument) -> int:
        """The level of one word, as it stands."""
        return <uint8_t>self.words.get().word(kill_word_of(instrument)).level

    def confirmed(self, uint32_t instrument) -> int:
        """The generation of a word that an engine has obeyed, journalled and latched."""
        return self.words.get().confirmed(kill_word_of(instrument))


def latch_without_engine(
    str run_dir, str words_path, uint32_t instrument, int level, uint32_t installation
) -> None:
    """Raise a word and latch it, under the lock that a running engine holds.

    Raises
    ------
    gm.errors.JournalLocked
        If an engine runs.
    gm.errors.CoreError
        If the latch cannot be written.
    """
    Level(level)
    cdef string folder = run_dir.encode()
    cdef string path = words_path.encode()
    cdef Failure failure
    cdef KillLevel raised = <KillLevel><uint8_t>level
    with nogil:
        failure = raise_without_engine(folder, path, instrument, raised, installation)
    check_failure(failure)


def read_latch(str run_dir) -> dict:
    """What the latch of a run directory says, whether an engine runs or not.

    Returns
    -------
    dict
        ``level`` (the highest), ``words`` (number of each word that is raised: its level; 0 is the
        account, 1 + i instrument i), ``latch_id`` (hex, "" when nothing is latched), ``sequence``,
        ``cause``, ``author``, ``reason``, ``raised_wall_ns``, ``written_wall_ns``,
        ``installation``, ``signatures_sha256``, ``doubt`` ("" unless the copies leave some),
        ``is_in_step`` (both copies hold this: else one is damaged, or being written).
    """
    cdef LatchReading reading
    cdef string folder = run_dir.encode()
    check_failure(read_core_latch(folder, reading))
    cdef KillRecord* record = &reading.record
    cdef size_t at
    latch_id = (<const char*>record.latch_id.data())[:16]
    return {
        "level": <uint8_t>record.level(),
        "words": {
            at: <uint8_t>record.level_of(at)
            for at in range(kKillWords) if <uint8_t>record.level_of(at) > 0
        },
        "latch_id": latch_id.hex() if any(latch_id) else "",
        "sequence": record.sequence,
        "cause": describe_cause(record.cause).decode(),
        "author": (<const char*>record.text.author)[:40].split(b"\0")[0].decode("utf-8", "replace"),
        "reason": (<const char*>record.text.reason)[:96].split(b"\0")[0].decode("utf-8", "replace"),
        "raised_wall_ns": record.raised_wall_ns,
        "written_wall_ns": record.written_wall_ns,
        "installation": record.installation,
        "signatures_sha256": (<const char*>record.signatures_sha256.data())[:32].hex(),
        "doubt": reading.doubt.decode(),
        "is_in_step": reading.is_in_step or not reading.is_there,
    }
