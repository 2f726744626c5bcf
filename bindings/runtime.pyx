# distutils: language = c++
# cython: boundscheck=False, wraparound=False, embedsignature=True
"""The running engine and what it shows of itself: core, endpoints, status page, replay."""

import os

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.string cimport string
from libcpp.utility cimport move
from libcpp.vector cimport vector

from gm.layout import BAR_CLOSE

from rows cimport rows_of

include "status.pxi"

DRIVERS = ("inline", "threaded")


def libzmq_path() -> str:
    """Path of the libzmq that pyzmq has brought into this process.

    Raises
    ------
    gm.errors.ZmqMissing
        If pyzmq was built with libzmq inside it; the text names the fix.
    """
    import zmq  # loads the library  # no-cython-lint

    cdef string path
    check_failure(find_loaded_zmq(path))
    return path.decode()


def find_endpoints(str run_dir, *, bint make=False) -> dict:
    """Where the processes of a run directory meet: paths and ipc:// addresses by name.

    Parameters
    ----------
    run_dir : str
        The value of ``--run-dir``. RUNTIME_DIRECTORY of the environment is taken into account.
    make : bool
        Make both directories, the runtime directory with mode 0700.

    Raises
    ------
    gm.errors.CoreError
        If a socket path is over 107 bytes, or a directory cannot be had or is not private.
    """
    cdef CoreEndpoints found = endpoints_of(run_dir)
    if make:
        check_failure(make_directories(found))
    return endpoints_dict(found)


def read_status(str run_dir) -> dict:
    """What the engine of a run directory shows on its status page; it may be dead.

    Raises
    ------
    gm.errors.CoreError
        If there is no page, or it is of another build.
    """
    cdef CoreEndpoints found = endpoints_of(run_dir)
    cdef unique_ptr[StatusPage] page = make_unique[StatusPage]()
    check_failure(page.get().open(found.status_path))
    cdef StatusReading reading
    cdef bint is_whole = page.get().read(reading)
    return reading_dict(reading, is_whole)


def check_kernel_object(bytes file) -> None:
    """Refuse an ELF object, linked or not, that needs more than arithmetic and memory functions.

    Raises
    ------
    gm.errors.BadSettings
        The text ends with the name of the symbol, or says what is damaged.
    """
    check_failure(check_object(Block(<const uint8_t*><const char*>file, len(file))))


def replay(str run_dir, str output_dir) -> dict:
    """Replay a run's journal into another directory and compare both byte for byte.

    Raises
    ------
    gm.errors.CoreError
        If a record differs (its journal sequence is named), or the journal cannot be read.
    """
    cdef string source = run_dir.encode()
    cdef string target = output_dir.encode()
    cdef ReplayReport report
    cdef Failure failure
    with nogil:
        failure = replay_run(source, target, report)
    check_failure(failure)
    return replay_dict(report)


cdef class Core:
    """The engine with its threads. The constructor recovers what the run directory holds.

    Parameters
    ----------
    settings : bytes
        The settings block (gm/config). A journal written under another one is refused.
    run_dir : str
    library : str
        ``libzmq_path()``.
    context : int
        ``zmq.Context().underlying``; must outlive this object.
    driver : "inline" or "threaded"
    idle_spin_us : int, us
        How long an idle engine thread spins before it sleeps.
    io_cpu, engine_cpu, journal_cpu : int
        Cores to pin the threads to; -1: none.
    journal_segment_bytes : int
    stop_within_ms : int, ms
        How long a stop waits for cancels to be answered.
    kernel_library : str
        Shared object of the user kernels that the settings name.
    hung_kernels : bytes
        SHA-256 of kernels that are not called, 32 bytes each: they hung in a former life.
    kernel_budget_us, kernel_hang_ms : int
        A call that takes longer is over its budget; one that does not end ends the process.
    policy_budget_us : int, us
        A live model that takes longer three times in a row gives way to the one before it; 0: none.
    crash_loop_starts, crash_loop_window_s : int
        So many unclean starts within the window start HALTED; 0: off.
    halts_after_unclean : bool
        Every unclean start does: restart_policy halted.
    retention_bytes, retention_age_s : int
        Market data stays for so many bytes of segments, and so long; 0: no limit. What
        ``set_recorded`` was not told of stays in any case.
    reduces_because : str
        Not empty: the account begins REDUCING, and the latch keeps this reason.
    kills_on_signal : bool
        SIGUSR1 means KILLED until ``close``, whatever this process does when it comes.

    Raises
    ------
    gm.errors.CoreError
        If the run directory is in use, its journal is corrupt, foreign, or does not replay.
    """

    cdef unique_ptr[ZmqTable] zmq
    cdef unique_ptr[RunningCore] core

    def __cinit__(
        self,
        bytes settings,
        str run_dir,
        str library,
        uintptr_t context,
        *,
        str driver="inline",
        int64_t idle_spin_us=50,
        int io_cpu=-1,
        int engine_cpu=-1,
        int journal_cpu=-1,
        uint64_t journal_segment_bytes=256 << 20,
        int64_t stop_within_ms=2000,
        str kernel_library="",
        bytes hung_kernels=b"",
        int64_t kernel_budget_us=200,
        int64_t kernel_hang_ms=1000,
        int64_t policy_budget_us=0,
        uint32_t crash_loop_starts=0,
        int64_t crash_loop_window_s=60,
        bint halts_after_unclean=False,
        uint64_t retention_bytes=0,
        int64_t retention_age_s=0,
        str reduces_because="",
        bint kills_on_signal=False,
    ):
        if driver not in DRIVERS:
            raise ValueError(f"driver must be one of {', '.join(DRIVERS)}: {driver}")
        cdef CoreSettings core_settings
        core_settings.run_dir = run_dir.encode()
        core_settings.runtime_directory = os.environ.get("RUNTIME_DIRECTORY", "").encode()
        core_settings.driver = Driver.kThreaded if driver == "threaded" else Driver.kInline
        core_settings.idle_spin_ns = idle_spin_us * 1000
        core_settings.io_cpu = io_cpu
        core_settings.engine_cpu = engine_cpu
        core_settings.journal_cpu = journal_cpu
        core_settings.journal_segment_bytes = journal_segment_bytes
        core_settings.stop_within_ns = stop_within_ms * 1_000_000
        core_settings.kernel_library = kernel_library.encode()
        core_settings.hung_kernels = hung_kernels
        core_settings.kernel_budget_ns = kernel_budget_us * 1000
        core_settings.kernel_hang_ns = kernel_hang_ms * 1_000_000
        core_settings.policy_budget_ns = policy_budget_us * 1000
        core_settings.crash_loop_starts = crash_loop_starts
        core_settings.crash_loop_window_ns = crash_loop_window_s * 1_000_000_000
        core_settings.halts_after_unclean = halts_after_unclean
        core_settings.retention.bytes_max = retention_bytes
        core_settings.retention.age_ns_max = retention_age_s * 1_000_000_000
        core_settings.retention.waits_for_reader = True
        core_settings.reduces_because = reduces_because.encode()
        core_settings.kills_on_signal = kills_on_signal
        self.zmq = make_unique[ZmqTable]()
        self.core = make_unique[RunningCore]()
        check_failure(resolve_zmq(library.encode(), ZmqLibrary.kAlreadyLoaded, self.zmq.get()[0]))
        cdef const uint8_t* data = <const uint8_t*><const char*>settings
        cdef size_t size = len(settings)
        cdef Failure failure
        with nogil:
            failure = self.core.get().open(Block(data, size), core_settings, self.zmq.get()[0],
                                           <void*>context)
        check_failure(failure)

    def add_backfill_files(self, bars) -> None:
        """Hand over bars of files, for what the recovered journal and the venue do not have.

        Before ``start``; of use only if the report says ``needs_backfill``.

        Parameters
        ----------
        bars : ndarray of gm.layout.BAR_CLOSE, shape (n,)
            In order of time for each instrument. Copied.
        """
        cdef const uint8_t[::1] source = rows_of(bars, BAR_CLOSE)
        cdef vector[BarClose] rows
        rows.resize(len(bars))
        if len(bars):
            memcpy(rows.data(), &source[0], source.shape[0])
        self.core.get().add_backfill_files(move(rows))

    def start(self) -> None:
        """Start the threads: connect, reconcile, trade."""
        check_failure(self.core.get().start())

    def shadow_model(self, bytes block) -> None:
        """Order a model in as a shadow: it decides beside the live one and never trades.

        The block is kept in the run directory, so that the journal can be derived again. Whether
        the engine took it is on the status page.

        Parameters
        ----------
        block : bytes
            Of ``gm.config.block.write_model``.

        Raises
        ------
        gm.errors.CoreError
            If it is no model of this build, or the command before this one is not taken yet.
        """
        cdef const uint8_t* data = <const uint8_t*><const char*>block
        cdef size_t size = len(block)
        cdef Failure failure
        with nogil:
            failure = self.core.get().shadow_model(Block(data, size))
        check_failure(failure)

    def command_model(self, int action, int model) -> None:
        """Say what shall become of a model: an action of ``gm.layout.ModelAction``, its number."""
        check_failure(self.core.get().command_model(<ModelAction><uint32_t>action, model))

    def clear_kill(
        self, bytes latch_id, uint64_t sequence, int level, bytes signatures_sha256
    ) -> None:
        """Let the kill switch fall by one step, once the reconciliation is fresh.

        Parameters
        ----------
        latch_id : bytes
            16 of them.
        sequence : int
            Of the latch record that was signed for.
        level : int
            A ``gm.layout.KillLevel``: what it falls to.
        signatures_sha256 : bytes
            32 of them, kept in journal and latch. The signatures were checked by the caller.

        Raises
        ------
        gm.errors.BadArgument
            If another latch stands, or the level is not the next one down.
        """
        if len(latch_id) != 16 or len(signatures_sha256) != 32:
            raise ValueError(
                f"a latch id has 16 bytes, a digest 32: {len(latch_id)}, {len(signatures_sha256)}")
        cdef ClearOrder order
        memcpy(order.latch_id.data(), <const char*>latch_id, 16)
        memcpy(order.signatures_sha256.data(), <const char*>signatures_sha256, 32)
        order.sequence = sequence
        order.level = <KillLevel><uint8_t>level
        check_failure(self.core.get().clear_kill(order))

    def accept_books(self, bytes break_sha256, bytes signatures_sha256) -> None:
        """Make the venue's books ours, if they are still those of the break that was signed for.

        Parameters
        ----------
        break_sha256 : bytes
            32 of them: of the books as they were shown (gm.kill.books).
        signatures_sha256 : bytes
            32 of them, kept in the journal. The signatures were checked by the caller.

        Raises
        ------
        gm.errors.BadArgument
            If the acceptance before this one is not taken yet.
        """
        if len(break_sha256) != 32 or len(signatures_sha256) != 32:
            raise ValueError(
                f"a digest has 32 bytes: {len(break_sha256)}, {len(signatures_sha256)}")
        cdef BooksAccepted accepted
        memcpy(accepted.break_sha256, <const char*>break_sha256, 32)
        memcpy(accepted.signatures_sha256, <const char*>signatures_sha256, 32)
        check_failure(self.core.get().accept_books(accepted))

    @property
    def is_kill_falling(self) -> bool:
        """A clear was taken and is not through yet."""
        return self.core.get().is_kill_falling()

    def set_recorded(self, uint64_t sequence) -> None:
        """Say up to where the recorder has the journal: what it lacks is not let go."""
        self.core.get().set_recorded(sequence)

    def request_stop(self) -> None:
        """No new orders, cancel what rests, drain, sync. From any thread or a signal handler."""
        self.core.get().request_stop()

    def wait(self, double timeout_s) -> bool:
        """Wait until the core has stopped or failed; False after the timeout.

        Raises
        ------
        gm.errors.CoreError
            What the core failed with.
        """
        cdef bint is_over
        cdef int64_t timeout_ns = <int64_t>(timeout_s * 1e9)
        with nogil:
            is_over = self.core.get().wait(timeout_ns)
        if is_over:
            check_failure(self.core.get().failure())
        return is_over

    def close(self) -> None:
        """Stop if need be and join the threads: the journal is synced, the lock is free."""
        with nogil:
            self.core.get().close()

    def __dealloc__(self):
        if self.core:
            with nogil:
                self.core.get().close()

    @property
    def phase(self) -> str:
        """starting, replaying, connecting, reconciling, ready, stopping, ended, stopped, failed."""
        return describe_phase(self.core.get().phase()).decode()

    @property
    def endpoints(self) -> dict:
        """As find_endpoints()."""
        return endpoints_dict(self.core.get().endpoints())

    def status(self) -> dict:
        """As read_status()."""
        cdef StatusReading reading
        cdef bint is_whole = self.core.get().read_status(reading)
        return reading_dict(reading, is_whole)

    def report(self) -> dict:
        """What this start found and did."""
        cdef const StartReport* report = &self.core.get().report()
        return {
            "epoch": report.epoch,
            "replay": replay_dict(report.replay),
            "drained": report.drain.drained,
            "duplicates": report.drain.duplicates,
            "ring_was_new": report.drain.ring_was_new,
            "snapshot_sequence": report.snapshot.sequence,
            "snapshots_skipped": [
                report.snapshot.skipped[i].decode()
                for i in range(report.snapshot.skipped.size())
            ],
            "torn_bytes": report.torn_bytes,
            "bars_needed": [report.bars_needed[i] for i in range(report.bars_needed.size())],
            "needs_backfill": report.needs_backfill,
            "replay_ns": report.replay_ns,
            "open_ns": report.open_ns,
        }


cdef CoreEndpoints endpoints_of(str run_dir) except *:
    cdef CoreEndpoints found
    check_failure(find_core_endpoints(
        run_dir.encode(), os.environ.get("RUNTIME_DIRECTORY", "").encode(), found))
    return found


cdef dict endpoints_dict(const CoreEndpoints& found):
    return {
        "run_dir": found.run_dir.decode(),
        "runtime_dir": found.runtime_dir.decode(),
        "feed": found.feed.decode(),
        "orders": found.orders.decode(),
        "commands": found.commands.decode(),
        "dropcopy": found.dropcopy.decode(),
        "control": found.control.decode(),
        "ring_path": found.ring_path.decode(),
        "status_path": found.status_path.decode(),
        "kill_path": found.kill_path.decode(),
        "settings_path": found.settings_path.decode(),
    }


cdef dict replay_dict(const ReplayReport& report):
    return {
        "after": report.after,
        "records": report.records,
        "inputs": report.inputs,
        "outputs": report.outputs,
        "epoch": report.epoch,
        "last_ts_ns": report.last_ts_ns,
        "has_ended": report.has_ended,
        "is_clean": report.is_clean,
        "is_complete": report.missing.empty(),
    }


cdef str hex_of(const uint8_t* digest):
    """64 digits. A struct that becomes a dict gives arrays of bytes as texts that end at a 0."""
    return (<const char*>digest)[:32].hex()


cdef dict reading_dict(const StatusReading& reading, bint is_whole):
    cdef size_t i
    io = dict(reading.io)
    io["phase"] = describe_phase(reading.io.phase).decode()
    io["tape_id"] = hex_of(&reading.io.tape_id[0])
    io["frame_faults"] = {
        describe_fault(<FrameFault><uint8_t>i).decode(): reading.io.frame_faults[i]
        for i in range(1, kFrameFaults)
    }
    engine = dict(reading.engine)
    engine["awaits"] = describe_awaited(<Awaited><uint8_t>engine.pop("awaited")).decode()
    engine["has_recon_break"] = reading.engine.awaited == <uint64_t>Awaited.kReconBreak
    engine["live_sha256"] = hex_of(&reading.engine.live_sha256[0])
    engine["shadow_sha256"] = hex_of(&reading.engine.shadow_sha256[0])
    engine["break_sha256"] = hex_of(&reading.engine.break_sha256[0])
    engine["before_sha256"] = hex_of(&reading.engine.before_sha256[0])
    engine["kernels"] = [
        row | {"name": row["name"].decode()} for row in engine["kernels"] if row["name"]
    ]
    retention = dict(reading.retention)
    retention["held_by"] = describe_hold(reading.retention.held_by).decode()
    retention["failure"] = retention["failure"].decode("utf-8", "replace")
    instruments = [dict(reading.instruments[i]) for i in range(reading.instruments.size())]
    for row in instruments:
        row["symbol"] = row["symbol"].decode()
        for name in ("cash_micros", "venues_cash_micros", "adjusted_micros"):
            row[name] = (row.pop(name + "_high") << 64) + row.pop(name + "_low")
    return {
        "is_whole": is_whole,
        "io": io,
        "engine": engine,
        "journal": dict(reading.journal),
        "retention": retention,
        "stages": {
            stage_name(i).decode(): dict(reading.stages.stages[i]) for i in range(kStagesShown)
        },
        "instruments": instruments,
        "memory": reading.memory.decode("utf-8", "replace"),
        "failure": reading.failure.decode("utf-8", "replace"),
    }
