"""The supervisor of one engine: start the core, follow its journal, answer metrics, stop cleanly.

One Python thread that wakes every few milliseconds and never touches the engine's path: it reads
the status page and the segment files. Everything that trades runs in native threads.
"""

import contextlib
import math
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType, MappingProxyType
from typing import Any, Literal

import msgspec
import structlog
import zmq
from msgspec.structs import asdict
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from gm._native.runtime import Core, libzmq_path
from gm.config.run_dir import (
    DATABASE_FILE,
    JOURNAL_FOLDER,
    KERNELS_FILE,
    STATUS_FILE,
    Prepared,
    write_whole,
)
from gm.config.settings import Settings, restart_policy_of
from gm.errors import JournalForeign, StoreFailed
from gm.kernels import hung_kernels
from gm.kill import kill_state
from gm.metrics.collector import EngineCollector
from gm.metrics.kill import KillCollector
from gm.metrics.models import ModelCollector
from gm.metrics.server import MetricsServer
from gm.models.signature import Person
from gm.store.follower import Follower
from gm.store.journal_tail import JournalTail
from gm.store.summary import Summary, read_until, summarise
from gm.supervisor.books_watch import BooksWatch
from gm.supervisor.bundles import Following
from gm.supervisor.kill_watch import KillWatch
from gm.supervisor.notify import Notifier
from gm.supervisor.registry_follower import RegistryFollower

FREE_CORES_FOR_THREADS = 4
# The page's heartbeat is written every 100 ms: ten of them missing is a hang.
HEARTBEAT_AGE_NS_MAX = 1_000_000_000
METRICS_AFTER_S = 1.0
# systemd is told this many times within its limit.
WATCHDOG_BEATS = 4

Status = dict[str, Any]
log = structlog.get_logger("gm")


class Service:
    """One run of the engine in this process.

    Parameters
    ----------
    prepared : Prepared
        The run directory.
    settings : Settings
        The checked configuration.
    driver : str
        "auto", "inline" or "threaded".
    context : zmq.Context
        Made before any thread is pinned; outlives the service.
    read_warmup : callable
        Gives the bars of files as rows of ``layout.BAR_CLOSE``; called only if they are needed.
    following : Following, optional
        The registry that says which models shadow and decide. Default: none.
    people : mapping of str to Person
        Who may sign for a fall of the kill switch. Default: nobody.
    """

    def __init__(
        self,
        prepared: Prepared,
        settings: Settings,
        driver: str,
        context: "zmq.Context[Any]",
        read_warmup: Callable[[], NDArray[Any]],
        following: Following | None = None,
        people: Mapping[str, Person] = MappingProxyType({}),
    ) -> None:
        self._prepared = prepared
        self._settings = settings
        self._read_warmup = read_warmup
        self._notifier = Notifier()
        self._stop = threading.Event()
        self._metrics: MetricsServer | None = None
        self._started_s = 0.0
        self._is_announced = False
        self._is_stopping = False
        self._store_failure = ""
        self._watch = Watch()
        engine = settings.engine
        self._core = Core(
            prepared.block,
            str(prepared.run_dir),
            libzmq_path(),
            context.underlying,
            driver=choose_driver(driver),
            idle_spin_us=engine.idle_spin_us,
            journal_segment_bytes=engine.segment_mib << 20,
            kernel_library=str(prepared.run_dir / KERNELS_FILE),
            hung_kernels=hung_kernels(prepared.run_dir),
            kernel_budget_us=settings.kernels.budget_us,
            kernel_hang_ms=settings.kernels.hang_ms,
            policy_budget_us=settings.models.budget_us,
            crash_loop_starts=engine.crash_loop_starts,
            crash_loop_window_s=engine.crash_loop_window_s,
            halts_after_unclean=restart_policy_of(settings) == "halted",
            reduces_because=prepared.reduces_because,
            kills_on_signal=True,
        )
        self._kill = KillWatch(
            self._core,
            prepared.run_dir,
            people,
            engine.installation,
            lowest="reducing" if prepared.reduces_because else "active",
        )
        self._books = BooksWatch(self._core, prepared.run_dir, people, engine.installation)
        self._models = RegistryFollower(
            self._core,
            prepared.run_dir,
            following or Following(profile=settings.policy.profile),
            self._core.report()["replay"]["records"],
        )
        self._journal = prepared.run_dir / JOURNAL_FOLDER
        self._follower = Follower(
            self._journal,
            prepared.run_dir / DATABASE_FILE,
            prepared.manifest.instruments,
            settings.store.batch_records_max,
        )

    @property
    def metrics_port(self) -> int | None:
        """Where /metrics answers, once it does."""
        return self._metrics.port if self._metrics else None

    def run(self) -> Summary:
        """Trade until the tape ends or somebody stops it.

        Returns
        -------
        Summary
            Counted from the journal after the last record was synced.

        Raises
        ------
        GmError
            What the core failed with.
        """
        report = self._core.report()
        log.info(
            "recovered",
            epoch=report["epoch"],
            records=report["replay"]["records"],
            drained=report["drained"],
            torn_bytes=report["torn_bytes"],
            snapshot_sequence=report["snapshot_sequence"],
            snapshots_skipped=report["snapshots_skipped"],
            settings_sha256=self._prepared.manifest.settings_sha256,
        )
        if self._prepared.reduces_because:
            log.warning(
                "limits",
                orders="only those that reduce a position",
                because=self._prepared.reduces_because,
                do="close the positions, then begin another --run-dir",
            )
        try:
            self._open_store(report["replay"]["records"])
            self._metrics = self._bind_metrics()
            self._warm_up(report)
            self._started_s = time.monotonic()
            self._core.start()
            while not self._core.wait(self._settings.store.poll_ms / 1000):
                if self._is_tape_over():
                    break
                self._attend()
        finally:
            self._finish()
        if self._store_failure:
            raise StoreFailed(
                f"{self._store_failure}; the journal has it all, the next start catches up"
            )
        return self._summary()

    def stop(self) -> None:
        """Ask for a clean stop: no new orders, cancel what rests, drain, sync. Any thread."""
        self._stop.set()

    def state(self) -> Status:
        """What /health and /ready answer."""
        status = self._core.status()
        io, engine = status["io"], status["engine"]
        healthy = io["phase"] != "failed" and _is_fresh(status)
        return {
            "healthy": healthy,
            "ready": healthy and io["phase"] == "ready",
            "phase": io["phase"],
            "awaits": engine["awaits"],
            "epoch": engine["epoch"],
            "failure": status["failure"],
        }

    def _attend(self) -> None:
        """What is due between two waits. Nothing in it may take long."""
        if self._stop.is_set() and not self._is_stopping:
            self._is_stopping = True
            self._core.request_stop()
            self._notifier.send("STOPPING=1")
        now_s = time.monotonic()
        is_ready = self._core.phase == "ready"
        # Nothing else runs beside a recovery: it is what an outage waits for.
        if (
            self._metrics is not None
            and not self._metrics.is_started
            and (is_ready or now_s - self._started_s > METRICS_AFTER_S)
        ):
            self._metrics.start()
            log.info("metrics", url=f"http://{self._metrics.address}/metrics")
        if is_ready and not self._is_announced:
            self._is_announced = True
            self._notifier.send("READY=1")
            log.info("ready", seconds=round(now_s - self._started_s, 3))
        status = self._core.status()
        # What is not on the disk yet may be lost with the power; the database must not outlive it.
        self._note_store(self._follower.follow(status["journal"]["synced"], now_s))
        if not self._is_stopping:
            self._kill.attend(now_s)
            self._books.attend(status, now_s)
            self._models.attend(status, now_s)
        if self._watch.is_due(status, now_s, self._notifier.watchdog_s):
            self._notifier.send("WATCHDOG=1")

    def _warm_up(self, report: Status) -> None:
        """Say what each instrument needs, and read the files for it, if any are named."""
        if not report["needs_backfill"]:
            return
        bars = self._read_warmup()
        self._core.add_backfill_files(bars)
        symbols = self._prepared.manifest.instruments
        log.info(
            "warming up",
            bars_needed_30m=dict(zip(symbols, report["bars_needed"], strict=True)),
            file_bars=len(bars),
        )

    def _is_tape_over(self) -> bool:
        """In lockstep END is the end; running free, a venue may begin again."""
        return self._core.phase == "ended" and bool(self._core.status()["io"]["is_lockstep"])

    def _bind_metrics(self) -> MetricsServer:
        """Take the port before anything trades: that it is not free is a configuration error."""
        registry = CollectorRegistry()
        registry.register(EngineCollector(self._core.status, lambda: self._follower.last_sequence))
        budget_us = self._settings.models.budget_us
        registry.register(
            ModelCollector(self._core.status, lambda: self._models.reading, budget_us)
        )
        run_dir, symbols = self._prepared.run_dir, self._prepared.manifest.instruments
        registry.register(KillCollector(lambda: asdict(kill_state(run_dir, symbols))))
        section = self._settings.metrics
        return MetricsServer(section.host, section.port, registry, self.state)

    def _open_store(self, records: int) -> None:
        """Refuse a database that knows more than the journal: it is another journal's."""
        try:
            self._follower.open()
        except (sqlite3.Error, OSError) as error:
            self._note_store(f"{self._prepared.run_dir / DATABASE_FILE}: {error}")
            return
        if self._follower.last_sequence > records:
            raise JournalForeign(
                f"{self._prepared.run_dir / DATABASE_FILE} holds {self._follower.last_sequence} "
                f"records, the journal {records}: move the file away, it is made again"
            )

    def _note_store(self, failure: str) -> None:
        """Say once that the database fails and once that it is back; the engine trades on."""
        if failure != self._store_failure:
            if failure:
                log.error("database", failure=failure)
            else:
                log.info("database", recovered=True)
        self._store_failure = failure

    def _finish(self) -> None:
        """Stop the core first, then let the database catch up; close all, whatever fails."""
        with contextlib.ExitStack() as closing:
            closing.callback(self._close_store)
            if self._metrics is not None:
                closing.callback(self._metrics.close)
            self._core.close()
            last = self._core.status()  # its stage times are whole only now
            closing.callback(self._models.finish, last)
            write_whole(self._prepared.run_dir / STATUS_FILE, msgspec.json.encode(last))
            try:
                self._follower.finish(self._core.status()["journal"]["drained"])
                self._store_failure = ""
            except (sqlite3.Error, OSError) as error:
                self._note_store(f"{self._prepared.run_dir / DATABASE_FILE}: {error}")

    def _close_store(self) -> None:
        try:
            self._follower.close()
        except sqlite3.Error as error:  # its rows are in the write-ahead log
            log.warning("database", failure=str(error))

    def _summary(self) -> Summary:
        tail = JournalTail(self._journal)
        batches = read_until(
            tail, self._follower.last_sequence, self._settings.store.batch_records_max
        )
        manifest = self._prepared.manifest
        summary = summarise(batches, manifest.instruments, manifest.kernels)
        tail.close()
        return summary


class Watch:
    """Judges whether the engine lives: it consumed what io pushed, or moved since it was asked."""

    def __init__(self) -> None:
        self._consumed = -1
        self._beat_s = -math.inf

    def is_due(self, status: Status, now_s: float, limit_s: float) -> bool:
        """Say whether systemd shall hear WATCHDOG=1 now.

        Parameters
        ----------
        status : dict
            The status page.
        now_s : float
            Monotonic time.
        limit_s : float
            Silence after which systemd kills the process; 0: it does not watch.
        """
        if limit_s <= 0 or now_s - self._beat_s < limit_s / WATCHDOG_BEATS:
            return False
        consumed = status["engine"]["inputs_consumed"]
        moves = consumed != self._consumed or consumed >= status["io"]["inputs_pushed"]
        self._consumed = consumed
        if not (moves and _is_fresh(status)):
            return False
        self._beat_s = now_s
        return True


def _is_fresh(status: Status) -> bool:
    age_ns = time.time_ns() - int(status["io"]["heartbeat_wall_ns"])
    return age_ns < HEARTBEAT_AGE_NS_MAX


def choose_driver(name: str) -> Literal["inline", "threaded"]:
    """Resolve "auto": inline below four free cores, threaded from there on."""
    if name == "auto":
        is_roomy = len(os.sched_getaffinity(0)) >= FREE_CORES_FOR_THREADS
        return "threaded" if is_roomy else "inline"
    return "threaded" if name == "threaded" else "inline"


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Let SIGTERM and SIGINT end the run cleanly; a second one ends it at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def configure_log(as_json: bool) -> None:
    """Send the log to stderr: lines for people on a terminal, JSON otherwise."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json or not sys.stderr.isatty()
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
