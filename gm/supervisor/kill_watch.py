"""Hands two signatures to the core: the only way in which the kill switch of an engine falls."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import structlog

from gm.errors import BadArgument
from gm.kill.clearing import next_fall
from gm.kill.signatures import Fall, find_pair, forget
from gm.kill.state import kill_state, level_of
from gm.models.signature import Person

LOOK_EVERY_S = 0.2

log = structlog.get_logger("gm")


class Clearing(Protocol):
    """What is asked of the core."""

    @property
    def is_kill_falling(self) -> bool:
        """A clear was taken and is not through yet."""

    def clear_kill(
        self, latch_id: bytes, sequence: int, level: int, signatures_sha256: bytes
    ) -> None:
        """Let the kill switch fall by one step, once the reconciliation is fresh."""


class KillWatch:
    """One engine, one run directory. The supervisor thread's.

    Parameters
    ----------
    core : Clearing
    run_dir : Path
    people : mapping of str to Person
        Who may sign. Nobody: nothing is ever cleared.
    installation : int
        Of the settings.
    lowest : str
        The level that it may fall to: a run whose limits do not stand any more is never active.
    """

    def __init__(
        self,
        core: Clearing,
        run_dir: Path,
        people: Mapping[str, Person],
        installation: int,
        lowest: str = "active",
    ) -> None:
        self._core = core
        self._run_dir = run_dir
        self._people = people
        self._installation = installation
        self._lowest = level_of(lowest)
        self._look_s = 0.0
        self._told: dict[str, str] = {}
        self._level = ""
        self._falling: Fall | None = None

    def attend(self, now_s: float) -> None:
        """Look at the latch and at what was signed; a few times a second.

        Parameters
        ----------
        now_s : float
            Monotonic time.
        """
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_EVERY_S
        state = kill_state(self._run_dir, ())
        if state.level != self._level:
            if self._level or state.level != "active":
                log.warning(
                    "kill switch", level=state.level, latch=state.latch_id, cause=state.cause,
                    author=state.author, reason=state.reason,
                )  # fmt: skip
            self._level = state.level
        if self._falling is not None:
            if self._core.is_kill_falling:
                return
            # Done, or a raise has come between: either way the signatures are for a former record.
            forget(self._run_dir, self._falling)
            self._falling = None
        if state.latch_id and not state.doubt:
            self._judge(next_fall(self._run_dir, self._installation))

    def _judge(self, fall: Fall) -> None:
        pair = find_pair(self._run_dir, fall, self._people)
        faults = dict(pair.faults)
        is_too_low = level_of(fall.level) < self._lowest
        if is_too_low:
            for found in pair.good:
                faults[f"{found.person}.json"] = (
                    f"to {fall.level}: the limits of this run do not stand any more"
                )
        for name, fault in faults.items():
            if self._told.get(name) != fault:
                log.warning("clear", signature=name, refused=fault)
        self._told = faults
        if not pair.is_enough or is_too_low:
            return
        try:
            self._core.clear_kill(
                bytes.fromhex(fall.latch_id), fall.sequence, level_of(fall.level), pair.sha256
            )
        except BadArgument as error:  # a raise is being latched: the next look sees its record
            log.warning("clear", refused=str(error))
            return
        self._falling = fall
        log.warning(
            "clear", level=fall.level, latch=fall.latch_id, signatures=pair.sha256.hex(),
            people=sorted(found.person for found in pair.good),
        )  # fmt: skip
