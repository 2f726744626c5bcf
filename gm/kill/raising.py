"""`gm kill`: store the word that every send reads, then wait until it is obeyed and latched."""

import getpass
import time
from pathlib import Path

import msgspec

from gm._native.kill import KillWords, latch_without_engine
from gm._native.runtime import find_endpoints
from gm.errors import JournalLocked, RiskStop, UsageError
from gm.kill.state import WHOLE_ACCOUNT, kill_state, level_of, manifest_of

CONFIRM_S = 10.0
LOOK_S = 0.0005
# An engine that is about to end confirms no more, and gives its lock back: looked at as often.
LOCK_EVERY_S = 0.2


class KillOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm kill` says. ``instrument`` None: the account."""

    run_dir: Path
    level: str
    reason: str
    instrument: str | None = None
    author: str | None = None
    confirm_s: float = CONFIRM_S


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. ``confirmed_by``: the engine, or this command where none runs."""

    level: str
    instrument: str
    latch_id: str
    author: str
    reason: str
    confirmed_by: str
    stored_monotonic_ns: int
    confirmed_ms: float


def kill(options: KillOptions) -> Raised:
    """Raise the kill switch of a run; it falls again by two signatures alone (`gm clear`).

    Parameters
    ----------
    options : KillOptions

    Returns
    -------
    Raised
        Once the level is in the journal and in both copies of the latch; with no engine running,
        in the latch, from which the next start takes it.

    Raises
    ------
    UsageError
        An unknown level or instrument, or no reason.
    ConfigError
        The directory is not that of a run.
    RiskStop
        The word is stored, so no order leaves; but nobody has confirmed in time that the rest
        followed.

    Source
    ------
    Ours; SAFETY, kill switch.
    """
    level = level_of(options.level)
    if level == 0:
        raise UsageError("--level active: a level falls by two signatures alone: gm clear")
    if not options.reason.strip():
        raise UsageError("--reason: say why, in a few words")
    manifest = manifest_of(options.run_dir)
    instrument = WHOLE_ACCOUNT
    if options.instrument is not None:
        if options.instrument not in manifest.instruments:
            known = ", ".join(manifest.instruments)
            raise UsageError(f"--instrument {options.instrument} is not of this run: {known}")
        instrument = manifest.instruments.index(options.instrument)
    author = options.author or getpass.getuser()
    path = find_endpoints(str(options.run_dir), make=True)["kill_path"]
    words = KillWords(path)
    generation, stored_ns = words.raise_level(instrument, level, author, options.reason)
    by = _confirm(options, path, words, instrument, generation, level)
    state = kill_state(options.run_dir, manifest.instruments)
    return Raised(
        level=state.level,
        instrument=options.instrument or "all",
        latch_id=state.latch_id,
        author=author,
        reason=options.reason,
        confirmed_by=by,
        stored_monotonic_ns=stored_ns,
        confirmed_ms=round((time.monotonic_ns() - stored_ns) / 1e6, 3),
    )


def _confirm(
    options: KillOptions, path: str, words: KillWords, instrument: int, generation: int, level: int
) -> str:
    """Wait for the engine, or latch without one. The word is stored already."""
    begin = time.monotonic()
    lock_s = begin
    while True:
        if words.confirmed(instrument) >= generation:
            return "engine"
        now = time.monotonic()
        if now >= lock_s:
            lock_s = now + LOCK_EVERY_S
            installation = 0  # the latch keeps the one that it has
            try:
                latch_without_engine(str(options.run_dir), path, instrument, level, installation)
            except JournalLocked:
                pass
            else:
                return "latch"
        if now - begin > options.confirm_s:
            raise RiskStop(
                f"the word is stored and no order leaves any more, but the engine of "
                f"{options.run_dir} did not confirm within {options.confirm_s:g} s: look at "
                "gm status and its log"
            )
        time.sleep(LOOK_S)
