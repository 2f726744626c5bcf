"""Venue and engine as two real processes in one run directory, and all that they left there.

Every process is ended by its id when a `with` block is left, however it is left, and every wait has
an end. Nothing here looks into the engine: output, files, database and ledger only.
"""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gm import layout
from gm._native.journal import JournalReader
from gm._native.runtime import find_endpoints, read_status
from gm.errors import GmError
from gm.layout import RecordType

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "development.yaml"
GM = (sys.executable, "-m", "gm")
# Far more than any of these runs takes alone; a machine may be busy.
WAIT_S = 120.0
POLL_S = 0.0005


class Tape(NamedTuple):
    """What a venue is told to replay."""

    bars: Path
    instrument: str
    seed: int


class Process:
    """One process whose output goes to files. Ended by `kill` or by itself."""

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.command = [str(part) for part in command]
        self._out = log.with_name(f"{log.name}.out")
        self._err = log.with_name(f"{log.name}.err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._popen = subprocess.Popen(
                self.command, stdout=out, stderr=err, cwd=ROOT,
                env=os.environ | (environment or {}),
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def finish(self, timeout_s: float = WAIT_S) -> int:
        """Wait for the process to end by itself; its exit code."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.command} ran on:\n{self.errors()[-3000:]}") from None

    def kill(self) -> None:
        """Kill -9, and reap."""
        self._popen.kill()
        self._popen.wait()

    def send(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def printed(self) -> str:
        return self._out.read_text()

    def errors(self) -> str:
        return self._err.read_text()

    def log(self) -> list[dict[str, Any]]:
        """Lines of the structured log."""
        lines = (line for line in self.errors().splitlines() if line.startswith("{"))
        return [json.loads(line) for line in lines]

    def wait_for(self, is_so: Callable[[], Any], timeout_s: float = WAIT_S) -> None:
        """Look often until something is so; fails when the process ends first."""
        until = time.monotonic() + timeout_s
        while not is_so():
            assert self.is_running, f"{self.command} ended:\n{self.errors()[-3000:]}"
            assert time.monotonic() < until, f"{self.command} did not get there in {timeout_s} s"
            time.sleep(POLL_S)


class Place:
    """A run directory and the processes on it."""

    def __init__(self, run_dir: Path, tape: Tape, config: Path = CONFIG) -> None:
        self.run_dir = run_dir
        self.tape = tape
        self.config = config
        self.processes: list[Process] = []

    def start(self, *command: str | Path, environment: dict[str, str] | None = None) -> Process:
        """Start any command; its output lies beside the run directory."""
        log = self.run_dir.with_name(f"{self.run_dir.name}.{len(self.processes)}")
        log.parent.mkdir(parents=True, exist_ok=True)
        process = Process(command, log, environment)
        self.processes.append(process)
        return process

    def venue(self, *arguments: str, tape: Tape | None = None) -> Process:
        bars, instrument, seed = tape or self.tape
        return self.start(
            *GM, "venue", "--bars", bars, "--instrument", instrument, "--seed", str(seed),
            "--run-dir", self.run_dir, "--config", self.config, "--json", *arguments,
        )  # fmt: skip

    def engine(
        self,
        *arguments: str,
        instrument: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> Process:
        return self.start(
            *GM, "run", "--instrument", instrument or self.tape.instrument,
            "--run-dir", self.run_dir, "--config", self.config, "--json", *arguments,
            environment=environment,
        )  # fmt: skip

    def status(self) -> dict[str, Any] | None:
        """The engine's status page; None before there is one."""
        try:
            return read_status(str(self.run_dir))
        except GmError:
            return None

    def clear(self) -> None:
        for process in self.processes:
            process.kill()
        # Sockets, ring and status page, in memory: not under the run directory.
        shutil.rmtree(runtime_folder(self.run_dir), ignore_errors=True)


class Result:
    """What a run left: printed totals, ledger, journal and database."""

    def __init__(self, run_dir: Path, engine: dict[str, Any], venue: dict[str, Any]) -> None:
        self.run_dir = run_dir
        self.engine = engine
        self.venue = venue
        self.ledger: dict[str, Any] = json.loads((run_dir / "venue_ledger.json").read_text())

    def table(self, name: str) -> list[dict[str, Any]]:
        return table(self.run_dir, name)

    def column(self, name: str, column: str) -> list[Any]:
        return [row[column] for row in self.table(name)]


@contextlib.contextmanager
def place(run_dir: Path, tape: Tape, config: Path = CONFIG) -> Iterator[Place]:
    """A run directory whose processes end with the block."""
    found = Place(run_dir, tape, config)
    try:
        yield found
    finally:
        found.clear()


def trade(run_dir: Path, tape: Tape, *arguments: str, config: Path = CONFIG) -> Result:
    """One undisturbed run from the first bar to END."""
    with place(run_dir, tape, config) as here:
        venue = here.venue()
        engine = here.engine(*arguments)
        return finish(here, engine, venue)


def finish(here: Place, engine: Process, venue: Process) -> Result:
    """Wait until both have ended well."""
    assert engine.finish() == 0, engine.errors()[-3000:]
    assert venue.finish() == 0, venue.errors()[-3000:]
    return Result(here.run_dir, json.loads(engine.printed()), json.loads(venue.printed()))


def gm(*arguments: str | Path) -> tuple[int, str, str]:
    """Run one `gm` command: exit code, what it printed, what it complained of."""
    done = subprocess.run(
        [*GM, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=WAIT_S,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def table(run_dir: Path, name: str) -> list[dict[str, Any]]:
    """A table of the run's database, in its own order."""
    with contextlib.closing(sqlite3.connect(run_dir / "gm.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT * FROM {name} ORDER BY 1")]


def records(run_dir: Path) -> np.ndarray:
    """Every record of a journal, in order."""
    reader = JournalReader(str(run_dir / "journal"))
    parts = []
    while len(slots := reader.read(65_536)) > 0:
        parts.append(slots)
    return np.concatenate(parts) if parts else np.empty(0, layout.SLOT)


def payloads(slots: np.ndarray, kind: RecordType, dtype: Any) -> np.ndarray:
    """The payloads of one type among records."""
    chosen = np.ascontiguousarray(slots["payload"][slots["header"]["type"] == kind])
    return chosen.view(dtype).reshape(-1)


def runtime_folder(run_dir: Path) -> Path:
    """Where the sockets of a run directory are."""
    return Path(find_endpoints(str(run_dir))["feed"].removeprefix("ipc://")).parent


def real_file(name: str) -> Path:
    """A file of GM_DATA. Its absence is a failure."""
    assert "GM_DATA" in os.environ, "GM_DATA names no folder of real files: make test-data"
    path = Path(os.environ["GM_DATA"]) / name
    assert path.exists(), f"{path} is missing"
    return path.resolve()
