"""`gm backtest` and `gm.backtest`: engine and venue over a tape on one simulated clock.

The steps are those of `gm venue` and `gm run` in lockstep, so orders and fills are theirs, in far
less time; with a run directory the journal is theirs too, and `gm replay`, `gm report` and
`gm verify` read it.
"""

import sys
import time
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from gm._native.session import Session
from gm.backtest.run import Origin, Run
from gm.backtest.stats import EQUITY, Stats
from gm.config.instruments import (
    InstrumentConfig,
    configs_folder,
    instrument as find_instrument,
)
from gm.config.run_dir import DATABASE_FILE, JOURNAL_FOLDER, RunManifest
from gm.config.settings import Settings, load_settings
from gm.errors import BadArgument, ConfigError
from gm.kernels.watch import ending_if_hung
from gm.readers import BAR, BarsResult
from gm.store.follower import Follower
from gm.supervisor.preparation import build_run, prepare_run, run_kernels
from gm.venue.ledger import write_ledger
from gm.venue.serving import venue_settings
from gm.venue.synthetic import says_synthetic
from gm.venue.tape import BAR_MINUTES_MAX, Tape, bars_tape, open_tape

__all__ = ["EQUITY", "Run", "Stats", "backtest", "play_tape"]

EVENTS_A_CALL = 200_000  # between two looks at signals and progress
QUIET_S = 0.5  # shorter runs show no bar
_MINUTE_NS = 60_000_000_000
_SEGMENT_STEP = 1 << 20
_RECORD_BYTES = 128

Rows = NDArray[np.void]


def backtest(
    config: str | PathLike[str] | Settings,
    bars: str | PathLike[str] | BarsResult | Rows,
    instrument: str | None = None,
    *,
    seed: int = 1,
    run_dir: str | PathLike[str] | None = None,
    progress: bool | None = None,
) -> Run:
    """Trade bars that are over with the engine, the gate and the venue of a live run.

    Parameters
    ----------
    config : path or Settings
        A settings file. Relative paths in a ``Settings`` are those of the shipped configs folder.
    bars : path, BarsResult or ndarray
        A file as ``gm venue --bars`` takes it, what ``gm.read_bars`` gave, or its ``bars``:
        structured (n,). Synthetic rows are left out: they were on no feed.
    instrument : str, optional
        Symbol. Default: the one that the configuration trades.
    seed : int
        Of the venue's dice: partial fills, rejects; 0 to 2^64 - 1.
    run_dir : path, optional
        A new folder that gets settings, journal, database and ledger. Default: none is kept.
    progress : bool, optional
        Show a progress bar on standard error. Default: if that is a terminal.

    Returns
    -------
    Run
        ``.stats()``, ``.orders``, ``.fills``, ``.equity``, ``.report(path)``,
        ``.order_stream_hash``.

    Raises
    ------
    BadArgument
        If the instrument or the size of the bars cannot be told, or the seed is out of range.
    ConfigError
        If the configuration is refused, or ``run_dir`` holds the journal of another run.
    DataGap
        If there is no such file, or no row of it was let in.
    GmError
        What the core failed with.

    Source
    ------
    Ours; ARCHITECTURE §4.
    """
    if not 0 <= seed < 2**64:
        raise BadArgument(f"seed must be 0 to 2^64 - 1: {seed}")
    settings, config_path = _settings(config)
    table = config_path.parent / settings.instruments_file
    row = find_instrument(instrument or _only_symbol(settings), table)
    tape, is_synthetic = _tape(bars, row, seed)
    where = Origin(is_synthetic=is_synthetic, run_dir=None if run_dir is None else Path(run_dir))
    return play_tape(settings, config_path, row, tape, seed, where, progress)


def play_tape(
    settings: Settings,
    config: Path,
    instrument: InstrumentConfig,
    tape: Tape,
    seed: int,
    origin: Origin,
    progress: bool | None = None,
) -> Run:
    """Play a tape to its end; ``backtest`` with everything read already."""
    symbols = (instrument.symbol,)
    venue = venue_settings(settings.venue, instrument, seed)
    kernels = _kernels(config, settings)
    if origin.run_dir is None:
        block, manifest = build_run(config, settings, symbols)
        session = Session(block, venue, tape.rows, tape_id=tape.tape_id, **kernels)
    else:
        if (origin.run_dir / JOURNAL_FOLDER).exists():
            raise ConfigError(f"{origin.run_dir}: holds a journal; give another --run-dir")
        prepared = prepare_run(origin.run_dir, config, settings, symbols)
        block, manifest = prepared.block, prepared.manifest
        session = Session(
            block,
            venue,
            tape.rows,
            tape_id=tape.tape_id,
            run_directory=str(origin.run_dir),
            segment_bytes=_segment_bytes(len(tape.rows), settings.engine.segment_mib << 20),
            **kernels,
        )
    with ending_if_hung(session, manifest.kernels):
        _play(session, len(tape.rows), progress)
    if origin.run_dir is not None:
        _file_away(session, manifest, tape, origin, settings.store.batch_records_max)
    run = Run(session, manifest, tape, origin)
    run.check_market()
    return run


def _kernels(config: Path, settings: Settings) -> dict[str, Any]:
    """What a session must know of user kernels; nothing where there are none."""
    library = run_kernels(config, settings)
    if library is None:
        return {}
    return {
        "kernel_library": str(library.path),
        "kernel_budget_us": settings.kernels.budget_us,
        "kernel_hang_ms": settings.kernels.hang_ms,
    }


def _play(session: Session, rows: int, progress: bool | None) -> None:
    """Run to the end; a signal is heard between two calls."""
    shown = sys.stderr.isatty() if progress is None else progress
    until_s = time.monotonic() + QUIET_S
    while time.monotonic() < until_s or not shown:
        if session.run(EVENTS_A_CALL):
            return
    columns = (BarColumn(), MofNCompleteColumn(), "rows", TimeRemainingColumn())
    with Progress(
        *columns, console=Console(stderr=True, force_terminal=True), transient=True
    ) as bar:
        task = bar.add_task("", total=rows, completed=session.rows_played)
        while not session.run(EVENTS_A_CALL):
            bar.update(task, completed=session.rows_played)


def _file_away(
    session: Session, manifest: RunManifest, tape: Tape, origin: Origin, batch: int
) -> None:
    """Leave what `gm run` and `gm venue` leave: database and ledger beside the journal."""
    folder = origin.run_dir
    assert folder is not None
    follower = Follower(
        folder / JOURNAL_FOLDER, folder / DATABASE_FILE, manifest.instruments, batch
    )
    follower.finish(session.journal_records)
    follower.close()
    write_ledger(
        session,
        folder,
        instrument=manifest.instruments[0],
        tape_id=tape.tape_id.hex(),
        ended=True,
        synthetic=origin.is_synthetic is not False,
    )


def _segment_bytes(rows: int, most: int) -> int:
    """Room for most of a journal in one file, without writing zeros that nobody needs."""
    steps = 1 + 3 * rows * _RECORD_BYTES // _SEGMENT_STEP
    return min(steps * _SEGMENT_STEP, most)


def _settings(config: str | PathLike[str] | Settings) -> tuple[Settings, Path]:
    if isinstance(config, Settings):
        return config, configs_folder() / "settings"
    path = Path(config)
    return load_settings(path), path


def _only_symbol(settings: Settings) -> str:
    symbols = tuple(settings.trading)
    if len(symbols) != 1:
        raise BadArgument(f"say instrument=, one of those under trading: {', '.join(symbols)}")
    return symbols[0]


def _tape(
    bars: str | PathLike[str] | BarsResult | Rows, instrument: InstrumentConfig, seed: int
) -> tuple[Tape, bool | None]:
    """Give the tape, and whether its data are synthetic, where that is known."""
    if isinstance(bars, BarsResult):
        return _array_tape(bars.bars, bars.bar_minutes, instrument, seed), None
    if isinstance(bars, np.ndarray):
        return _array_tape(bars, _bar_minutes(bars["start_ts_ns"]), instrument, seed), None
    return open_tape(Path(bars), instrument, seed), says_synthetic(Path(bars))


def _array_tape(bars: Rows, minutes: int, instrument: InstrumentConfig, seed: int) -> Tape:
    if not 1 <= minutes <= BAR_MINUTES_MAX:
        raise BadArgument(f"bars must be 1 to {BAR_MINUTES_MAX} minutes: {minutes}")
    rows = np.zeros(len(bars), BAR)
    for name in BAR.names or ():
        rows[name] = bars[name]
    return bars_tape(rows[rows["flags"] & 1 == 0], minutes, instrument, seed)


def _bar_minutes(start_ts_ns: NDArray[np.int64]) -> int:
    """The commonest distance of two bars."""
    if len(start_ts_ns) < 2:
        raise BadArgument(f"the size of the bars cannot be told from {len(start_ts_ns)} of them")
    sizes, counts = np.unique(np.diff(start_ts_ns), return_counts=True)
    size_ns = int(sizes[np.argmax(counts)])
    if size_ns % _MINUTE_NS:
        raise BadArgument(f"bars must be whole minutes: most are {size_ns} ns apart")
    return size_ns // _MINUTE_NS
