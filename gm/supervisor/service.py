"""The supervisor of one engine: start the core, follow its journal, answer metrics, stop cleanly.

One Python thread that wakes every few milliseconds and never touches the engine's path: it reads
the status page and the segment files. Everything that trades runs in native threads.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import msgspec
import structlog
import zmq
from prometheus_client import CollectorRegistry

from gm._native.runtime import Core, libzmq_path
from gm.config.run_dir import DATABASE_FILE, JOURNAL_FOLDER, STATUS_FILE, Prepared
from gm.config.settings import Settings
from gm.metrics.collector import EngineCollector
from gm.metrics.server import MetricsServer
from gm.store.journal_tail import JournalTail
from gm.store.recorder import Recorder
from gm.store.summary import Summary, read_until, summarise
from gm.supervisor.notify import Notifier

FREE_CORES_FOR_THREADS = 4
# The page's heartbeat is written every 100 ms: ten of them missing is a hang.
HEARTBEAT_AGE_NS_MAX = 1_000_000_000
METRICS_AFTER_S = 1.0

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
    """

    def __init__(
        self, prepared: Prepared, settings: Settings, driver: str, context: "zmq.Context[Any]"
    ) -> None:
        self._prepared = prepared
        self._settings = settings
        self._notifier = Notifier()
        self._stop = threading.Event()
        self._metrics: MetricsServer | None = None
        self._watched_inputs = -1
        engine = settings.engine
        self._core = Core(
            prepared.block,
            str(prepared.run_dir),
            libzmq_path(),
            context.underlying,
            driver=choose_driver(driver),
            idle_spin_us=engine.idle_spin_us,
            journal_segment_bytes=engine.segment_mib << 20,
        )
        symbols = prepared.manifest.instruments
        self._recorder = Recorder(prepared.run_dir / DATABASE_FILE, symbols)
        self._journal = prepared.run_dir / JOURNAL_FOLDER
        self._tail = JournalTail(self._journal, self._recorder.cursor)

    @property
    def metrics_port(self) -> int | None:
        """Where /metrics answers, once it does."""
        return self._metrics.port if self._metrics else None

    def run(self, on_tick: Callable[[Status], None] | None = None) -> Summary:
        """Trade until the tape ends or somebody stops it.

        Parameters
        ----------
        on_tick : callable, optional
            Gets the status a few times a second: a live panel.

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
            settings_sha256=self._prepared.manifest.settings_sha256,
        )
        started = time.monotonic()
        is_announced = False
        self._core.start()
        try:
            while not self._core.wait(self._settings.store.poll_ms / 1000):
                if self._is_tape_over():
                    break
                if self._stop.is_set():
                    self._core.request_stop()
                    self._notifier.send("STOPPING=1")
                is_ready = self._core.phase == "ready"
                if self._metrics is None and (
                    is_ready or time.monotonic() - started > METRICS_AFTER_S
                ):
                    self._serve_metrics()
                if is_ready and not is_announced:
                    is_announced = True
                    self._notifier.send("READY=1")
                    log.info("ready", seconds=round(time.monotonic() - started, 3))
                self._record()
                self._feed_watchdog()
                if on_tick is not None:
                    on_tick(self._core.status())
        finally:
            self._finish()
        return self._summary()

    def stop(self) -> None:
        """Ask for a clean stop: no new orders, cancel what rests, drain, sync. Any thread."""
        self._stop.set()

    def state(self) -> Status:
        """What /health and /ready answer."""
        status = self._core.status()
        io, engine = status["io"], status["engine"]
        age_ns = time.time_ns() - io["heartbeat_wall_ns"]
        return {
            "healthy": io["phase"] != "failed" and age_ns < HEARTBEAT_AGE_NS_MAX,
            "ready": io["phase"] == "ready",
            "phase": io["phase"],
            "epoch": engine["epoch"],
            "failure": status["failure"],
        }

    def _is_tape_over(self) -> bool:
        """In lockstep END is the end; running free, a venue may begin again."""
        return self._core.phase == "ended" and bool(self._core.status()["io"]["is_lockstep"])

    def _serve_metrics(self) -> None:
        registry = CollectorRegistry()
        registry.register(EngineCollector(self._core.status, lambda: self._tail.last_sequence))
        section = self._settings.metrics
        self._metrics = MetricsServer(section.host, section.port, registry, self.state)
        log.info("metrics", url=f"http://{section.host}:{self._metrics.port}/metrics")

    def _record(self) -> None:
        """Bring the database to where the segments were a moment ago."""
        drained = self._core.status()["journal"]["drained"]
        for slots in read_until(self._tail, drained, self._settings.store.batch_records_max):
            self._recorder.write(slots)

    def _feed_watchdog(self) -> None:
        """Tell systemd that the engine lives: it consumed what io pushed, or moved since."""
        if not self._notifier.watchdog_s:
            return
        status = self._core.status()
        consumed = status["engine"]["inputs_consumed"]
        moves = consumed != self._watched_inputs or consumed >= status["io"]["inputs_pushed"]
        age_ns = time.time_ns() - status["io"]["heartbeat_wall_ns"]
        self._watched_inputs = consumed
        if moves and age_ns < HEARTBEAT_AGE_NS_MAX:
            self._notifier.send("WATCHDOG=1")

    def _finish(self) -> None:
        last = self._core.status()
        self._core.close()
        self._record()
        (self._prepared.run_dir / STATUS_FILE).write_bytes(
            msgspec.json.encode(last, enc_hook=lambda value: bytes(value).hex())
        )
        if self._metrics is not None:
            self._metrics.close()
        self._recorder.close()

    def _summary(self) -> Summary:
        tail = JournalTail(self._journal)
        batches = read_until(
            tail, self._tail.last_sequence, self._settings.store.batch_records_max
        )
        summary = summarise(batches, self._prepared.manifest.instruments)
        tail.close()
        return summary


def choose_driver(name: str) -> str:
    """Resolve "auto": inline below four free cores, threaded above."""
    if name != "auto":
        return name
    return "threaded" if len(os.sched_getaffinity(0)) >= FREE_CORES_FOR_THREADS else "inline"


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
