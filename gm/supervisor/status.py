"""What an engine is doing, read from its status page without asking it."""

import os
from pathlib import Path
from typing import Any

import msgspec

from gm._native.runtime import read_status
from gm.config.run_dir import read_run
from gm.errors import ConfigError
from gm.features import STRATEGIC_COLUMNS
from gm.kill import kill_state
from gm.layout import KillLevel


def engine_status(run_dir: Path) -> dict[str, Any]:
    """Read the status page of a run directory's engine.

    Parameters
    ----------
    run_dir : Path
        As given to `gm run`.

    Returns
    -------
    dict
        The page's parts, ``limits`` (sequence, SHA-256 and expiry of the signed set; 0: paper),
        ``is_alive`` (its process exists), ``columns`` (names), ``kill_switch`` (what the latch
        holds, as `gm.kill.KillState`) and, for each instrument, ``kill``: active, reducing, halted
        or killed.

    Raises
    ------
    CoreError
        If no engine of this build has left a page.

    Source
    ------
    Ours.
    """
    status = read_status(str(run_dir))
    status["is_alive"] = _exists(int(status["io"]["pid"]))
    status["columns"] = list(STRATEGIC_COLUMNS)
    symbols = [row["symbol"] for row in status["instruments"]]
    status["limits"] = _limits(run_dir)
    status["kill_switch"] = msgspec.structs.asdict(kill_state(run_dir, symbols))
    for row in status["instruments"]:
        row["kill"] = _KILL_LEVELS.get(int(row["kill_level"]), "unknown")
        row["not_ready"] = _REASONS.get(int(row["not_ready_reason"]), "unknown")
        if row["bars_needed"] > 0:
            row["not_ready"] += f", {row['bars_needed']:,} bars of 30 minutes to go"
    return status


def _limits(run_dir: Path) -> dict[str, Any]:
    """Of the set that the run was begun with; None of a run without settings of ours."""
    try:
        made = read_run(run_dir).manifest
    except ConfigError:
        return {"sequence": None, "sha256": "", "expires_s": 0}
    return {
        "sequence": made.limits_sequence,
        "sha256": made.limits_sha256,
        "expires_s": made.limits_expire_s,
    }


_KILL_LEVELS = {level.value: level.name.lower() for level in KillLevel}
_REASONS = {0: "", 1: "warming up", 2: "price not positive", 3: "out of session"}


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid > 0
