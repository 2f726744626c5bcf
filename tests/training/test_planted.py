"""Promise: the market is valid and holds exactly the signal that was asked for; features see it."""

import msgspec
import numpy as np
import pytest

import gm
from gm.calendars import session_table
from gm.config.instruments import instrument
from gm.errors import BadArgument
from gm.training.planted import PlantedMarket, PlantedSettings, planted_market

SYMBOL = "BTC-PERP"
NOTHING = PlantedSettings(signal_to_noise=0.0)
BARS = 8_000


def log_returns(market: PlantedMarket) -> np.ndarray:
    return np.log(market.bars["close_ticks"] / market.bars["open_ticks"])


@pytest.fixture(scope="module")
def market() -> PlantedMarket:
    return planted_market(PlantedSettings(), 1, BARS)


@pytest.fixture(scope="module")
def empty() -> PlantedMarket:
    return planted_market(NOTHING, 1, BARS)


def test_bars_are_whole_and_follow_each_other(market: PlantedMarket) -> None:
    bars = market.bars
    assert (np.diff(bars["start_ts_ns"]) == 30 * 60 * 10**9).all()
    assert (bars["open_ticks"][1:] == bars["close_ticks"][:-1]).all()
    assert (bars["high_ticks"] >= np.maximum(bars["open_ticks"], bars["close_ticks"])).all()
    assert (bars["low_ticks"] <= np.minimum(bars["open_ticks"], bars["close_ticks"])).all()
    assert bars["low_ticks"].min() > 0
    assert bars["volume_lots"].min() > 0
    assert bars["flags"].any() == np.False_
    assert bars["open_ticks"][0] == PlantedSettings().first_price_ticks


def test_the_reader_refuses_none_of_them(market: PlantedMarket, tmp_path) -> None:
    bars, lines = market.bars[:600], ["timestamp_utc,open,high,low,close,volume"]
    lot = float(instrument(SYMBOL).volume_lot)
    for bar in bars:
        stamp = str(np.datetime64(int(bar["start_ts_ns"]) // 10**9, "s")).replace("T", " ")
        prices = ",".join(str(bar[f"{name}_ticks"]) for name in ("open", "high", "low", "close"))
        lines.append(f"{stamp},{prices},{bar['volume_lots'] * lot:.4f}")
    (tmp_path / "bars.csv").write_text("\n".join(lines) + "\n")
    read = gm.read_bars(tmp_path / "bars.csv", SYMBOL)
    assert not read.quarantine
    assert read.bars.tobytes() == bars.tobytes()


def test_an_exchange_with_closures_gets_no_bar_inside_them() -> None:
    bars = planted_market(PlantedSettings(), 3, 500, "NQ").bars
    starts = bars["start_ts_ns"]
    sessions = session_table("NQ", int(starts[0]), int(starts[-1]) + 1)
    at = np.searchsorted(sessions["open_ts_ns"], starts, side="right") - 1
    assert (starts + 30 * 60 * 10**9 <= sessions["close_ts_ns"][at]).all()
    assert len(np.unique(np.diff(starts))) > 1


def test_the_signal_is_what_was_asked_for() -> None:
    settings = PlantedSettings(signal_to_noise=0.8, persistence=0.9)
    markets = [planted_market(settings, seed, 20_000) for seed in range(3)]
    signal = np.stack([market.signal for market in markets])
    moves = np.stack([log_returns(market) for market in markets])
    assert signal.std() == pytest.approx(1.0, abs=0.03)
    assert np.corrcoef(signal[:, 1:].ravel(), signal[:, :-1].ravel())[0, 1] == pytest.approx(
        0.9, abs=0.01
    )
    assert moves.std() == pytest.approx(settings.volatility, rel=0.02)
    # The drift of bar t + 1 is s_t times k, and what is left is white noise of the right size.
    slope = np.polyfit(signal[:, :-1].ravel(), moves[:, 1:].ravel(), 1)[0] / settings.volatility
    assert slope == pytest.approx(0.8 / np.sqrt(1.64), abs=0.015)
    noise = moves[:, 1:] / settings.volatility - slope * signal[:, :-1]
    assert noise.std() == pytest.approx(1 / np.sqrt(1.64), rel=0.015)
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.015
    assert abs(np.corrcoef(noise.ravel(), signal[:, 1:].ravel())[0, 1]) < 0.015


def test_without_a_signal_returns_are_white(empty: PlantedMarket) -> None:
    moves = log_returns(empty)
    assert moves.std() == pytest.approx(NOTHING.volatility, rel=0.03)
    assert abs(np.corrcoef(empty.signal[:-1], moves[1:])[0, 1]) < 3.5 / np.sqrt(BARS)
    for lag in (1, 2, 20):
        assert abs(np.corrcoef(moves[:-lag], moves[lag:])[0, 1]) < 3.5 / np.sqrt(BARS)


def test_seeds_decide(market: PlantedMarket) -> None:
    again = planted_market(PlantedSettings(), 1, BARS)
    assert again.bars.tobytes() == market.bars.tobytes()
    assert again.signal.tobytes() == market.signal.tobytes()
    assert planted_market(PlantedSettings(), 2, BARS).bars.tobytes() != market.bars.tobytes()


def seen(settings: PlantedSettings, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    """Newest rows of ready matrices, and the return of the bar after each."""
    rows, moves = [], []
    for seed in seeds:
        market = planted_market(settings, seed, BARS)
        matrices, ready = gm.strategic_matrices(market.bars, SYMBOL)
        at = np.flatnonzero(ready[:-1])
        assert len(at) > BARS - 1_500  # MLMI has its twenty crosses in time
        rows.append(matrices[at, -1].astype(np.float64))
        moves.append(log_returns(market)[at + 1])
    return np.concatenate(rows), np.concatenate(moves)


def out_of_sample(settings: PlantedSettings) -> tuple[float, int]:
    """Correlation of a ridge regression on the 13 columns with returns that it has not seen."""
    rows, moves = seen(settings, range(2))
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    rows = (rows - mean) / deviation
    weights = np.linalg.solve(rows.T @ rows + 10.0 * np.eye(13), rows.T @ moves)
    new_rows, new_moves = seen(settings, range(2, 4))
    predicted = (new_rows - mean) / deviation @ weights
    return float(np.corrcoef(predicted, new_moves)[0, 1]), len(new_moves)


def test_the_columns_of_the_matrix_see_the_signal() -> None:
    found, _ = out_of_sample(PlantedSettings())
    # s itself correlates 0.83 with the next return, the best filter of past returns about 0.70.
    assert 0.60 < found < 0.83


def test_the_columns_see_nothing_where_nothing_is() -> None:
    found, rows = out_of_sample(NOTHING)
    assert abs(found) < 3.5 / np.sqrt(rows)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (PlantedSettings(persistence=1.0), "persistence"),
        (PlantedSettings(signal_to_noise=-0.1), "signal_to_noise"),
        (PlantedSettings(volatility=float("nan")), "volatility"),
        (PlantedSettings(volatility=0.0), "volatility"),
        (PlantedSettings(first_price_ticks=9_999), "first_price_ticks"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: PlantedSettings, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        planted_market(settings, 1, 10)


def test_a_price_that_would_be_coarse_or_endless_is_refused() -> None:
    wild = msgspec.structs.replace(PlantedSettings(), volatility=0.01)
    with pytest.raises(BadArgument, match=r"wanders to .* ticks in 60000 bars, allowed are 2000"):
        planted_market(wild, 1, 60_000)


@pytest.mark.parametrize(("seed", "bars"), [(-1, 10), (0, 0), (0, 1_000_001)])
def test_seed_and_length_have_their_range(seed: int, bars: int) -> None:
    with pytest.raises(BadArgument, match=f"{seed}, {bars}"):
        planted_market(PlantedSettings(), seed, bars)
