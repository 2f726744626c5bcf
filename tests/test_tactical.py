"""The tactical matrix equals the slow reference, bar by bar and in batches; synergies do too."""

from decimal import Decimal

import msgspec
import numpy as np
import pytest

import gm
from gm import features
from gm._native import features as native
from gm.config.settings import SynergySection
from gm.readers import BAR
from gm.training import reference

FIVE_MINUTES_NS = 300_000_000_000


def walk(count: int, seed: int, price: int = 60_000) -> np.ndarray:
    """Random 5-minute bars with jumps, so that gaps come and go, and some still ones."""
    random = np.random.default_rng(seed)
    step = random.normal(0.0, 0.001, count) * np.where(random.random(count) < 0.1, 6, 1)
    step[random.random(count) < 0.05] = 0.0
    close = np.maximum(1, np.rint(price * np.exp(np.cumsum(step)))).astype(np.int64)
    bars = np.zeros(count, BAR)
    bars["start_ts_ns"] = 1_600_000_200_000_000_000 + FIVE_MINUTES_NS * np.arange(count)
    bars["close_ticks"] = close
    bars["open_ticks"] = np.concatenate(([price], close[:-1]))
    wick = random.integers(0, 1 + price // 4000, (2, count))
    bars["high_ticks"] = np.maximum(bars["open_ticks"], close) + wick[0]
    bars["low_ticks"] = np.maximum(1, np.minimum(bars["open_ticks"], close) - wick[1])
    bars["volume_lots"] = random.integers(0, 300, count)
    for at in np.flatnonzero(random.random(count) < 0.02)[1:]:
        still = bars[at]
        for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
            still[name] = bars["close_ticks"][at - 1]
        still["volume_lots"], still["flags"] = 0, reference.SYNTHETIC
    bars["flags"][random.random(count) < 0.01] |= reference.OUT_OF_SESSION
    return bars


def assert_equal_to_reference(bars: np.ndarray) -> None:
    inside = (bars["flags"] & reference.OUT_OF_SESSION) == 0
    matrices, rows, ready = native.tactical_batch(features.closed_bars(bars, 5))
    expected_rows = reference.tactical_columns(bars[inside]).values
    for column in (0, 1, 4):
        np.testing.assert_array_equal(rows[inside][:, column], expected_rows[:, column])
    limit = 1e-9 * np.maximum(1.0, np.abs(expected_rows))
    assert np.all(np.abs(rows[inside] - expected_rows) <= limit)
    expected, expected_ready = reference.tactical_matrices(bars)
    np.testing.assert_array_equal(ready, expected_ready)
    assert np.all(np.abs(matrices - expected) <= np.spacing(np.abs(expected)) + 1e-9)
    assert np.isfinite(matrices).all()


@pytest.mark.parametrize("seed", range(6))
def test_native_equals_reference_on_synthetic_bars(seed: int) -> None:
    bars = walk(1500, seed, price=[60_000, 4_000, 2_000_000][seed % 3])
    assert_equal_to_reference(bars)
    signals = gm.tactical_matrices(bars, "NQ")[0][:, -1, 4]
    assert (signals == 1).any()
    assert (signals == -1).any()


def test_native_equals_reference_through_prices_that_are_not_positive() -> None:
    bars = walk(600, 99, price=4_000)
    for at in (120, 300, 301, 450):
        bars["low_ticks"][at] = -5
        bars["close_ticks"][at] = -5 if at == 301 else bars["close_ticks"][at]
    assert_equal_to_reference(bars)


def test_streaming_and_interrupted_streaming_give_the_bytes_of_the_batch() -> None:
    bars = walk(200, 7)
    values, ready = gm.tactical_matrices(bars, "NQ")
    stream, resumed = gm.TacticalFeatures("NQ"), gm.TacticalFeatures("NQ")
    for i, bar in enumerate(bars):
        resumed.restore(stream.snapshot())
        stream, resumed = resumed, stream
        stream.update(bar)
        assert stream.matrix.tobytes() == values[i].tobytes()
        assert stream.ready == ready[i]


def test_ready_from_bar_73_and_not_before() -> None:
    bars = walk(100, 8)
    bars["flags"] = 0
    values, ready = gm.tactical_matrices(bars, "NQ")
    assert values.shape == (100, 60, 7)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(ready, np.arange(100) >= 72)


def test_a_strategic_snapshot_is_refused() -> None:
    with pytest.raises(gm.errors.BadArgument):
        gm.TacticalFeatures("NQ").restore(gm.StrategicFeatures("NQ").snapshot())


@pytest.mark.parametrize("minutes", [1, 30])
def test_bars_of_another_size_are_refused(minutes: int) -> None:
    bars = walk(50, 12)
    bars["start_ts_ns"] = minutes * 60 * 10**9 * np.arange(len(bars))
    with pytest.raises(gm.errors.BadArgument, match="5 minutes"):
        gm.tactical_matrices(bars, "NQ")


def test_no_bars_give_no_matrices() -> None:
    values, ready = gm.tactical_matrices(walk(0, 15), "NQ")
    assert values.shape == (0, 60, 7)
    assert ready.shape == (0,)


def test_an_unknown_instrument_is_refused() -> None:
    with pytest.raises(gm.errors.UnknownInstrument):
        gm.TacticalFeatures("NOPE")
    with pytest.raises(gm.errors.UnknownInstrument):
        gm.tactical_matrices(walk(10, 16), "NOPE")


def test_columns_are_those_of_the_schema() -> None:
    assert gm.TACTICAL_COLUMNS == tuple(name for name, _ in native.tactical_schema())
    assert len(gm.TACTICAL_COLUMNS) == reference.TACTICAL_COLUMNS


def test_synergies_are_those_of_the_reference() -> None:
    found = 0
    for seed in range(2):
        five = walk(6_000, 20 + seed)
        thirty = gm.aggregate_bars(five, "BTC-PERP", minutes=30)
        five = gm.aggregate_bars(five, "BTC-PERP", minutes=5)
        offsets = features.local_offsets_ns(thirty["start_ts_ns"], "BTC-PERP")
        signals = [
            *reference.strategic_signals(thirty, reference.strategic_columns(thirty, offsets)),
            *reference.tactical_signals(five, reference.tactical_columns(five)),
        ]
        expected = reference.find_synergies(signals)
        synergies, expired = native.synergy_batch(
            features.closed_bars(five, 5), features.closed_bars(thirty, 30), 10.0, 0.02, 24, 5
        )
        assert synergies.tobytes() == gm.synergies(five, thirty, "BTC-PERP").tobytes()
        assert expired == expected.expired
        for row, synergy in zip(synergies, expected.synergies, strict=True):
            assert (row["ts_ns"], row["type"]) == (synergy.ts_ns, synergy.sequence)
            assert row["direction"] == synergy.direction
            assert row["confidence"] == pytest.approx(synergy.confidence, abs=1e-6)
        found += len(synergies)
    assert found > 5


def test_rules_of_synergies_are_those_of_the_configuration() -> None:
    five = gm.aggregate_bars(walk(6_000, 30), "BTC-PERP", minutes=5)
    thirty = gm.aggregate_bars(five, "BTC-PERP", minutes=30)
    usual = gm.synergies(five, thirty, "BTC-PERP")
    loose = SynergySection(
        mlmi_min=Decimal(0), slope_min=Decimal(0), window_bars=96, cooldown_bars=0
    )
    strict = SynergySection(mlmi_min=Decimal(50))
    assert len(gm.synergies(five, thirty, "BTC-PERP", strict)) < len(usual)
    assert len(usual) < len(gm.synergies(five, thirty, "BTC-PERP", loose))


def test_no_bars_make_no_synergy_and_mixed_sizes_are_refused() -> None:
    five = gm.aggregate_bars(walk(600, 31), "BTC-PERP", minutes=5)
    thirty = gm.aggregate_bars(five, "BTC-PERP", minutes=30)
    assert len(gm.synergies(five[:0], thirty[:0], "BTC-PERP")) == 0
    with pytest.raises(gm.errors.BadArgument, match="5 minutes"):
        gm.synergies(thirty, five, "BTC-PERP")
    with pytest.raises(gm.errors.UnknownInstrument):
        gm.synergies(five, thirty, "NOPE")


def test_the_widest_window_of_the_configuration_is_that_of_the_core() -> None:
    bars = features.closed_bars(walk(0, 32), 5)
    [allowed] = [
        field.type.__metadata__[0].le
        for field in msgspec.structs.fields(SynergySection)
        if field.name == "window_bars"
    ]
    assert allowed == native.SYNERGY_WINDOW_BARS_MAX
    with pytest.raises(ValueError, match="at most 96"):
        native.synergy_batch(bars, bars, 10.0, 0.02, allowed + 1, 5)
