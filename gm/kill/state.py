"""How the kill switch of a run stands: what its latch holds, whether an engine runs or not."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from gm._native.kill import read_latch
from gm.config.run_dir import MANIFEST_FILE, RunManifest
from gm.errors import ConfigError, UsageError
from gm.layout import KillLevel

WHOLE_ACCOUNT = 0xFFFFFFFF
TRIES = 20
PAUSE_S = 0.005  # a sync of the disk takes some


class KillState(msgspec.Struct, frozen=True, kw_only=True):
    """The latch in words. ``level``: the highest of all; ``account``: of every instrument."""

    level: str
    latch_id: str
    account: str
    instruments: dict[str, str]
    cause: str
    author: str
    reason: str
    raised_wall_ns: int
    sequence: int
    installation: int
    doubt: str


def kill_state(run_dir: Path, symbols: Sequence[str]) -> KillState:
    """Read the latch of a run directory.

    Parameters
    ----------
    run_dir : Path
    symbols : sequence of str
        Of the run, in the order of their numbers.

    Returns
    -------
    KillState
        A latch that leaves doubt reads as KILLED: that is how an engine starts from it.

    Raises
    ------
    CoreError
        If the folder cannot be read.
    """
    latch = _settled_latch(run_dir)
    words: dict[int, int] = latch["words"]
    return KillState(
        level=name_of(latch["level"]),
        latch_id=latch["latch_id"],
        account=name_of(words.get(0, 0)),
        instruments={
            symbol: name_of(words[1 + i]) for i, symbol in enumerate(symbols) if 1 + i in words
        },
        cause=latch["cause"],
        author=latch["author"],
        reason=latch["reason"],
        raised_wall_ns=latch["raised_wall_ns"],
        sequence=latch["sequence"],
        installation=latch["installation"],
        doubt=latch["doubt"],
    )


def _settled_latch(run_dir: Path) -> dict[str, Any]:
    """Read again what an engine may be writing just now: between the copies both are true."""
    latch = read_latch(str(run_dir))
    for _ in range(TRIES):
        if latch["is_in_step"]:
            break
        time.sleep(PAUSE_S)
        latch = read_latch(str(run_dir))
    return latch


def name_of(level: int) -> str:
    """Name a level as people write it."""
    return KillLevel(level).name.lower()


def level_of(name: str) -> KillLevel:
    """Turn a name into a level, UsageError if there is none."""
    try:
        return KillLevel[name.upper()]
    except KeyError:
        names = ", ".join(level.name.lower() for level in KillLevel)
        raise UsageError(f"--level {name!r} is none of {names}") from None


def manifest_of(run_dir: Path) -> RunManifest:
    """Read run.json of a directory, ConfigError if it is not that of a run."""
    path = run_dir / MANIFEST_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunManifest)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{run_dir}: not the directory of a run (--run-dir): {error}") from error
