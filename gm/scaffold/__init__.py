"""`gm init`: a folder in which three commands end in a report."""

import csv
from importlib import resources
from pathlib import Path

from gm.config.instruments import InstrumentConfig, configs_folder, instrument as find_instrument
from gm.errors import UsageError
from gm.venue.synthetic import COLUMN, synthetic_session

INSTRUMENT = "BTC-PERP"
BARS = 2_880  # of 5 minutes: ten days
SEED = 6
_NS_PER_S = 1_000_000_000


def write_desk(folder: Path) -> str:
    """Make a desk: configuration, instruments, two kernels, a sample session, a page to read.

    Parameters
    ----------
    folder : Path
        Made with its parents; if it exists, it must be empty.

    Returns
    -------
    str
        What to do next.

    Raises
    ------
    UsageError
        If the folder is not empty, or is a file.

    Source
    ------
    Ours.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not an empty folder: name another")
    folder.mkdir(parents=True, exist_ok=True)
    for template in sorted(
        resources.files("gm.scaffold").joinpath("desk").iterdir(), key=lambda file: file.name
    ):
        folder.joinpath(template.name.removesuffix(".in")).write_bytes(template.read_bytes())
    table = configs_folder() / "instruments.yaml"
    folder.joinpath("instruments.yaml").write_bytes(table.read_bytes())
    _write_session(folder / "session.csv", find_instrument(INSTRUMENT))
    return f"cd {folder}, and read README.md: three commands end in a report"


def _write_session(path: Path, instrument: InstrumentConfig) -> None:
    bars = synthetic_session(instrument, SEED, BARS)
    tick, lot = instrument.tick_size, instrument.volume_lot
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("Timestamp", "Open", "High", "Low", "Close", "Volume", COLUMN))
        for bar in bars:
            start = bar["start_ts_ns"].astype("datetime64[ns]").astype("datetime64[s]")
            prices = [int(bar[f"{name}_ticks"]) * tick for name in ("open", "high", "low", "close")]
            writer.writerow((f"{start}Z", *prices, int(bar["volume_lots"]) * lot, 1))
