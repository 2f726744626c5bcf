"""Hands two signatures for the venue's books to the core: the only way for them to become ours."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog

from gm.errors import BadArgument
from gm.kill import Acceptance, acceptance_of, shown_books
from gm.kill.signatures import find_pair, forget
from gm.models.signature import Person

LOOK_EVERY_S = 0.2

log = structlog.get_logger("gm")


class Accepting(Protocol):
    """What is asked of the core."""

    def accept_books(self, break_sha256: bytes, signatures_sha256: bytes) -> None:
        """Make the venue's books ours, if they are still those that were signed for."""


class BooksWatch:
    """One engine, one run directory. The supervisor thread's.

    Parameters
    ----------
    core : Accepting
    run_dir : Path
    people : mapping of str to Person
        Who may sign. Nobody: nothing is ever accepted.
    installation : int
        Of the settings.
    """

    def __init__(
        self, core: Accepting, run_dir: Path, people: Mapping[str, Person], installation: int
    ) -> None:
        self._core = core
        self._run_dir = run_dir
        self._people = people
        self._installation = installation
        self._look_s = 0.0
        self._shown_sha256 = ""
        self._told: dict[str, str] = {}
        self._handed: Acceptance | None = None
        self._handed_s = 0

    def attend(self, status: Mapping[str, Any], now_s: float) -> None:
        """Say what differs, once, and look at what was signed; a few times a second.

        Parameters
        ----------
        status : mapping
            The status page.
        now_s : float
            Monotonic time.
        """
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_EVERY_S
        shown = shown_books(status)
        if self._handed is not None:
            # Taken or refused: either way these signatures have had their turn.
            log.warning(
                "books",
                accepted=self._handed.books_sha256,
                still_differ=bool(status["engine"]["has_recon_break"]),
            )
            forget(self._run_dir, self._handed)
            self._handed = None
            return
        if not status["engine"]["has_recon_break"]:
            self._shown_sha256 = ""
            return
        if shown.fault:
            return
        if shown.sha256 != self._shown_sha256:
            self._shown_sha256 = shown.sha256
            log.error(
                "books", differ=[one.symbol for one in shown.differences], sha256=shown.sha256,
                do="gm accept-books",
            )  # fmt: skip
        acceptance = acceptance_of(status, shown, self._installation)
        self._judge(msgspec.structs.replace(acceptance, after_s=self._handed_s))

    def _judge(self, acceptance: Acceptance) -> None:
        pair = find_pair(self._run_dir, acceptance, self._people)
        for name, fault in pair.faults.items():
            if self._told.get(name) != fault:
                log.warning("accept", signature=name, refused=fault)
        self._told = pair.faults
        if not pair.is_enough:
            return
        try:
            self._core.accept_books(bytes.fromhex(acceptance.books_sha256), pair.sha256)
        except BadArgument as error:  # the one before it is not taken yet
            log.warning("accept", refused=str(error))
            return
        self._handed = acceptance
        self._handed_s = int(time.time())
        log.warning(
            "accept", books=acceptance.books_sha256, signatures=pair.sha256.hex(),
            people=sorted(found.person for found in pair.good),
        )  # fmt: skip
