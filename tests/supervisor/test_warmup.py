"""Promise: files of bars become rows for the core, or an error that names their key."""

from pathlib import Path

import numpy as np
import pytest

from gm.config import Settings, load_settings
from gm.errors import ConfigError
from gm.layout import BAR_CLOSE, BAR_SYNTHETIC
from gm.readers import read_bars
from gm.supervisor.warmup import read_warmup

from ..tapes import trending_prices, write_bars, write_config, write_trades

SYMBOLS = ("BTC-PERP", "NQ")


def settings_with(folder: Path, **files: str) -> tuple[Path, Settings]:
    named = {symbol.replace("_", "-"): path for symbol, path in files.items()}
    config = write_config(folder / "gm.yaml", warmup=named)
    return config, load_settings(config)


def test_the_good_bars_of_a_file_are_rows_of_its_instrument(tmp_path: Path) -> None:
    nq = write_bars(tmp_path / "nq.csv", trending_prices(40, 16_000.0), minutes=5)
    lines = nq.read_text().splitlines()
    lines[7] = lines[7].rsplit(",", 2)[0] + ",nan,5"
    nq.write_text("\n".join(lines) + "\n")
    btc = write_bars(tmp_path / "btc.csv", trending_prices(9, 30_000.0))
    config, settings = settings_with(tmp_path, BTC_PERP="btc.csv", NQ=str(nq))
    rows = read_warmup(config, settings, SYMBOLS)
    assert rows.dtype == BAR_CLOSE
    assert (rows["instrument"] == np.repeat([0, 1], [9, 39])).all()
    assert (rows["duration_s"] == np.repeat([1800, 300], [9, 39])).all()
    for number, (symbol, path) in enumerate(zip(SYMBOLS, (btc, nq), strict=True)):
        bars, mine = read_bars(path, symbol).bars, rows[rows["instrument"] == number]
        for name in bars.dtype.names:
            assert (mine[name] == bars[name]).all(), name
    # The number on the wire is that of this run.
    (number,) = set(read_warmup(config, settings, ("NQ",))["instrument"].tolist())
    assert number == 0


def test_what_a_file_leaves_open_is_answered_beside_its_path(tmp_path: Path) -> None:
    head = "timestamp,open,high,low,close,volume\n"
    (tmp_path / "open.csv").write_text(
        head + "1/2/2024 09:30,9,9,9,9,1\n1/3/2024 09:30,9,9,9,9,1\n"
    )
    answers = {"day_first": False, "timezone": "America/New_York", "bar_minutes": 30}
    config = write_config(tmp_path / "gm.yaml", warmup={"BTC-PERP": {"path": "open.csv"} | answers})
    rows = read_warmup(config, load_settings(config), SYMBOLS)
    expected = np.array(["2024-01-02T14:30", "2024-01-03T14:30"], "datetime64[ns]")
    assert rows["start_ts_ns"].tolist() == expected.astype(np.int64).tolist()
    assert rows["duration_s"].tolist() == [1800, 1800]


def test_a_hole_between_trades_is_not_a_bar_of_the_market(tmp_path: Path) -> None:
    (tmp_path / "trades.csv").write_text(
        "timestamp,price,size\n"
        + "".join(f"2024-01-08 {at}:00,30000,1\n" for at in ("00:01", "00:16", "00:21"))
    )
    entry = {"path": "trades.csv", "bar_minutes": 5, "timezone": "UTC"}
    config = write_config(tmp_path / "gm.yaml", warmup={"BTC-PERP": entry})
    read = read_bars(tmp_path / "trades.csv", "BTC-PERP", "UTC", 5).bars
    assert (read["flags"] & BAR_SYNTHETIC).tolist() == [0, 1, 1, 0]
    rows = read_warmup(config, load_settings(config), SYMBOLS)
    assert rows["start_ts_ns"].tolist() == read["start_ts_ns"][[0, 3]].tolist()
    assert not (rows["flags"] & BAR_SYNTHETIC).any()


def test_an_instrument_without_a_file_has_no_rows(tmp_path: Path) -> None:
    config, settings = settings_with(tmp_path, NQ="not read for another instrument.csv")
    assert len(read_warmup(config, settings, ("BTC-PERP",))) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("what is this\n1,2\n", "names no column for time"),
        ("timestamp,open,high,low,close,volume\n2024-01-08 00:00:00,1,1,1,1,1\n", "bar_minutes"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_its_key(
    tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "bars.csv").write_text(content)
    config, settings = settings_with(tmp_path, BTC_PERP="bars.csv")
    with pytest.raises(ConfigError, match=rf"warmup\.BTC-PERP: .*bars\.csv.*{said}"):
        read_warmup(config, settings, SYMBOLS)


def test_trades_and_bars_that_are_too_long_are_refused(tmp_path: Path) -> None:
    write_trades(tmp_path / "trades.csv", 30)
    config, settings = settings_with(tmp_path, BTC_PERP="trades.csv")
    with pytest.raises(ConfigError, match=r"warmup\.BTC-PERP: .*trades, not bars"):
        read_warmup(config, settings, SYMBOLS)
    write_bars(tmp_path / "hours.csv", trending_prices(30, 30_000.0), minutes=60)
    config, settings = settings_with(tmp_path, BTC_PERP="hours.csv")
    with pytest.raises(ConfigError, match=r"warmup\.BTC-PERP: .*bars of 60 minutes"):
        read_warmup(config, settings, SYMBOLS)
