"""What `gm backtest` does: read a file, play it, print figures, leave a report."""

from pathlib import Path

import msgspec

from gm.backtest import play_tape
from gm.backtest.run import Origin
from gm.backtest.stats import Stats
from gm.config.instruments import InstrumentConfig, instrument as find_instrument
from gm.config.settings import load_settings
from gm.errors import BadArgument, UsageError
from gm.venue.serving import check_reading, in_options
from gm.venue.synthetic import says_synthetic
from gm.venue.tape import Tape, open_tape


class BacktestOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line of `gm backtest` says."""

    file: Path
    instrument: str
    config: Path
    seed: int = 1
    run_dir: Path | None = None
    report: Path | None = None
    day_first: bool | None = None
    timezone: str | None = None
    bar_minutes: int | None = None
    as_json: bool = False


def run_backtest(options: BacktestOptions) -> Stats:
    """Play a file from its first line to its last; write the report that is asked for.

    Parameters
    ----------
    options : BacktestOptions
        Checked by the command line.

    Returns
    -------
    Stats

    Raises
    ------
    UsageError
        If an option is out of range, or the file leaves open what an option answers.
    GmError
        As ``gm.backtest``.

    Source
    ------
    Ours.
    """
    if not 0 <= options.seed < 2**64:
        raise UsageError(f"--seed must be 0 to 2^64 - 1: {options.seed}")
    check_reading(options.timezone, options.bar_minutes)
    settings = load_settings(options.config)
    row = find_instrument(options.instrument, options.config.parent / settings.instruments_file)
    run = play_tape(
        settings,
        options.config,
        row,
        _tape(options, row),
        options.seed,
        Origin(is_synthetic=says_synthetic(options.file), run_dir=options.run_dir),
        progress=False if options.as_json else None,
    )
    if options.report is not None:
        run.report(options.report)
    return run.stats()


def _tape(options: BacktestOptions, instrument: InstrumentConfig) -> Tape:
    try:
        return open_tape(
            options.file,
            instrument,
            options.seed,
            day_first=options.day_first,
            timezone=options.timezone,
            bar_minutes=options.bar_minutes,
        )
    except BadArgument as error:
        raise UsageError(in_options(str(error), options.file)) from error
