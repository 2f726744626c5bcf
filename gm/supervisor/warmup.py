"""Bar files that warm an engine up: read when it starts without what it needs, and only then."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gm.config.instruments import load_instruments
from gm.config.settings import Settings, WarmupFile
from gm.errors import ConfigError, GmError
from gm.layout import BAR_CLOSE, BAR_SYNTHETIC
from gm.readers import read_bars

BAR_MINUTES_MAX = 30


def read_warmup(config: Path, settings: Settings, symbols: tuple[str, ...]) -> NDArray[Any]:
    """Read the files that ``warmup:`` names for the instruments of a run.

    Parameters
    ----------
    config : Path
        The settings file: the paths are relative to it.
    settings : Settings
        The checked tree.
    symbols : tuple of str
        In the order of their numbers on the wire.

    Returns
    -------
    ndarray of layout.BAR_CLOSE, shape (n,)
        The good bars of each file in order of time; none for an instrument without a file. What
        filled a hole between trades was no bar of the market and is left out: the engine fills.

    Raises
    ------
    ConfigError
        If a file is missing, is no file of bars, or leaves open how it is to be read; or its bars
        are longer than 30 minutes.

    Source
    ------
    SPEC §3.
    """
    table = load_instruments(config.parent / settings.instruments_file)
    parts = [np.empty(0, BAR_CLOSE)]
    for number, symbol in enumerate(symbols):
        if symbol not in settings.warmup:
            continue
        entry = settings.warmup[symbol]
        file = entry if isinstance(entry, WarmupFile) else WarmupFile(path=entry)
        path = config.parent / file.path
        key = f"{config}: warmup.{symbol}"
        try:
            result = read_bars(path, table[symbol], file.timezone, file.bar_minutes, file.day_first)
        except OSError as error:
            raise ConfigError(f"{key}: {path}: {error.strerror}") from error
        except GmError as error:
            raise ConfigError(f"{key}: {path}: {str(error).removeprefix(f'{path}: ')}") from error
        if result.bar_minutes > BAR_MINUTES_MAX:
            raise ConfigError(
                f"{key}: {path}: bars of {result.bar_minutes} minutes; features are of bars of "
                f"{BAR_MINUTES_MAX} at most"
            )
        bars = result.bars[result.bars["flags"] & BAR_SYNTHETIC == 0]
        rows = np.zeros(len(bars), BAR_CLOSE)
        for name in bars.dtype.names or ():
            rows[name] = bars[name]
        rows["duration_s"] = result.bar_minutes * 60
        rows["instrument"] = number
        parts.append(rows)
    return np.concatenate(parts)
