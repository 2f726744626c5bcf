"""What happens to the engine once a minute, drawn by a seed. Each ends before the next begins."""

import contextlib
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator

import zmq

from gm._native.runtime import find_endpoints
from tests.runs import Place, Process

KINDS = ("kill", "pause", "venue_pause", "slow_reader", "locked_database")
PAUSE_S = (0.5, 3.0)
SLOW_S = (5.0, 10.0)


def draw(seed: int, count: int) -> list[str]:
    """So many kinds: each round has every one of them once, in an order of its own."""
    dice = random.Random(seed)
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += dice.sample(KINDS, len(KINDS))
    return kinds[:count]


class Faults:
    """Strikes engine and venue of one place.

    Parameters
    ----------
    here : Place
    venue, engine : Process
        ``engine`` is replaced by a kill.
    restart : callable
        Starts the next engine.
    seed : int
        Of how long each lasts.
    """

    def __init__(
        self,
        here: Place,
        venue: Process,
        engine: Process,
        restart: Callable[[], Process],
        seed: int,
    ) -> None:
        self._here, self._venue, self._restart = here, venue, restart
        self._dice = random.Random(seed)
        self.engine = engine

    def strike(self, kind: str, wait: Callable[[float], None]) -> None:
        """Let one fault happen; `wait` passes the time that it lasts."""
        if kind == "kill":
            self.engine.kill()
            self.engine = self._restart()
        elif kind == "pause":
            self._stop(self.engine, wait)
        elif kind == "venue_pause":
            self._stop(self._venue, wait)
        elif kind == "slow_reader":
            with _deaf_subscriber(self._here):
                wait(self._dice.uniform(*SLOW_S))
        else:
            with _locked_database(self._here):
                wait(self._dice.uniform(*SLOW_S))

    def _stop(self, process: Process, wait: Callable[[float], None]) -> None:
        process.send(signal.SIGSTOP)
        try:
            wait(self._dice.uniform(*PAUSE_S))
        finally:
            process.send(signal.SIGCONT)


@contextlib.contextmanager
def _deaf_subscriber(here: Place) -> Iterator[None]:
    """A subscriber of the drop copy that never reads."""
    with zmq.Context() as context, context.socket(zmq.SUB) as reader:
        reader.setsockopt(zmq.RCVHWM, 1)
        reader.setsockopt(zmq.LINGER, 0)
        reader.subscribe(b"")
        reader.connect(find_endpoints(str(here.run_dir))["dropcopy"])
        yield


@contextlib.contextmanager
def _locked_database(here: Place) -> Iterator[None]:
    """Nobody else writes to it meanwhile: the recorder falls behind, and retention waits."""
    database = sqlite3.connect(here.run_dir / "gm.db", isolation_level=None, timeout=5)
    with contextlib.closing(database):
        until = time.monotonic() + 5
        while True:  # bounded by `until`: a lock is free between two of the recorder's batches
            try:
                database.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
        yield
        database.execute("ROLLBACK")
