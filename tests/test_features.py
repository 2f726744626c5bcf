"""Native features equal the slow reference, bar by bar and in batches, and refuse what is not."""

import hashlib

import numpy as np
import pytest

import gm
from gm import features
from gm._native import features as native
from gm.readers import BAR
from gm.training import reference

HALF_HOUR_NS = 1_800_000_000_000


def walk(count: int, seed: int, price: int = 60_000) -> np.ndarray:
    """Random bars of changing volatility, with flat stretches, in the dtype of gm.read_bars."""
    random = np.random.default_rng(seed)
    step = random.normal(0.0, np.exp(random.normal(-6.5, 0.7, count)))
    step[random.random(count) < 0.1] = 0.0
    close = np.maximum(1, np.rint(price * np.exp(np.cumsum(step)))).astype(np.int64)
    bars = np.zeros(count, BAR)
    bars["start_ts_ns"] = 1_600_000_200_000_000_000 + HALF_HOUR_NS * np.arange(count)
    bars["close_ticks"] = close
    bars["open_ticks"] = np.concatenate(([price], close[:-1]))
    wick = random.integers(0, 25, (2, count)) * (step != 0)
    bars["high_ticks"] = np.maximum(bars["open_ticks"], close) + wick[0]
    bars["low_ticks"] = np.maximum(1, np.minimum(bars["open_ticks"], close) - wick[1])
    bars["volume_lots"] = 10
    return bars


def assert_equal_to_reference(bars: np.ndarray, instrument: str) -> None:
    offsets = features.local_offsets_ns(bars["start_ts_ns"], instrument)
    inside = (bars["flags"] & reference.OUT_OF_SESSION) == 0
    closed = features.closed_bars(bars)
    matrices, rows, ready = native.strategic_batch(closed, offsets)
    columns = reference.strategic_columns(bars[inside], offsets[inside])
    limit = 1e-9 * np.maximum(1.0, np.abs(columns.values))
    assert np.all(np.abs(rows[inside] - columns.values) <= limit)
    expected, expected_ready = reference.stack_rows(
        columns.values, columns.warm, inside, reference.ROWS
    )
    np.testing.assert_array_equal(ready, expected_ready)
    # One ulp of the cast, on top of what the doubles may differ by.
    assert np.all(np.abs(matrices - expected) <= np.spacing(np.abs(expected)) + 1e-9)
    assert np.all(matrices[:, -1][inside] == rows[inside].astype(np.float32))
    assert np.isfinite(matrices).all()


@pytest.mark.parametrize("seed", range(8))
def test_native_equals_reference_on_synthetic_bars(seed: int) -> None:
    bars = walk(1500, seed, price=[60_000, 300, 12, 2_000_000][seed % 4])
    random = np.random.default_rng(seed)
    bars["flags"][random.random(len(bars)) < 0.02] = reference.OUT_OF_SESSION
    assert_equal_to_reference(bars, "NQ")


@pytest.mark.parametrize("share", [0.02, 0.3])
def test_native_equals_reference_with_synthetic_bars(share: float) -> None:
    bars = walk(1500, 31)
    for at in np.flatnonzero(np.random.default_rng(31).random(len(bars)) < share):
        for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks"):
            bars[name][at] = bars["close_ticks"][max(at - 1, 0)]
        bars["volume_lots"][at] = 0
        bars["flags"][at] = reference.SYNTHETIC
    assert_equal_to_reference(bars, "NQ")


def test_native_equals_reference_through_prices_that_are_not_positive() -> None:
    bars = walk(900, 99, price=400)
    for at in (120, 400, 401, 640):
        bars["low_ticks"][at] = 0
        bars["close_ticks"][at] = -5 if at == 401 else bars["close_ticks"][at]
        bars["low_ticks"][at] = min(0, bars["close_ticks"][at])
    assert_equal_to_reference(bars, "CL")


def test_native_equals_reference_when_the_market_stands_still() -> None:
    bars = walk(800, 5)
    bars[300:420] = bars[300]
    for name in ("open_ticks", "high_ticks", "low_ticks"):
        bars[name][300:420] = bars["close_ticks"][300]
    bars["start_ts_ns"] = bars["start_ts_ns"][0] + HALF_HOUR_NS * np.arange(len(bars))
    assert_equal_to_reference(bars, "NQ")


def test_native_equals_reference_across_a_change_of_the_clocks() -> None:
    bars = walk(600, 6)
    november = np.datetime64("2024-11-01T00:00", "ns").astype(np.int64)
    bars["start_ts_ns"] = november + HALF_HOUR_NS * np.arange(len(bars))
    offsets = features.local_offsets_ns(bars["start_ts_ns"], "NQ")
    assert set(offsets // 3_600_000_000_000) == {-4, -5}
    assert_equal_to_reference(bars, "NQ")


def test_streaming_gives_the_bytes_of_the_batch() -> None:
    bars = walk(400, 7)
    bars["flags"][250] = reference.OUT_OF_SESSION
    values, ready = gm.strategic_matrices(bars, "NQ")
    stream = gm.StrategicFeatures("NQ")
    for i, bar in enumerate(bars):
        stream.update(bar)
        assert stream.matrix.tobytes() == values[i].tobytes()
        assert stream.ready == ready[i]
    assert stream.reason == "ready"


def test_ready_once_each_of_48_rows_had_twenty_samples_and_never_before_bar_177() -> None:
    bars = walk(900, 8)
    values, ready = gm.strategic_matrices(bars, "NQ")
    assert values.shape == (900, 48, 13)
    assert values.dtype == np.float32
    prices = (bars[f"{name}_ticks"].astype(float) for name in ("open", "high", "low", "close"))
    ha_close = reference.heiken_ashi(*prices)[1]
    samples = reference.momentum_index(ha_close, np.zeros(900, bool)).samples
    first = int(np.argmax(samples >= 20)) + 47
    assert first >= 176
    np.testing.assert_array_equal(ready, np.arange(900) >= first)


def test_an_out_of_session_bar_shows_the_matrix_before_it_and_is_not_ready() -> None:
    bars = walk(900, 10)
    bars["flags"][880] = reference.OUT_OF_SESSION
    values, ready = gm.strategic_matrices(bars, "NQ")
    assert values[880].tobytes() == values[879].tobytes()
    assert not ready[880]
    assert ready[879]
    assert ready[881]


def test_a_snapshot_goes_on_with_the_same_bytes() -> None:
    bars = walk(260, 11)
    straight, resumed = gm.StrategicFeatures("NQ"), gm.StrategicFeatures("NQ")
    for bar in bars[:200]:
        straight.update(bar)
    resumed.restore(straight.snapshot())
    for bar in bars[200:]:
        straight.update(bar)
        resumed.update(bar)
    assert resumed.matrix.tobytes() == straight.matrix.tobytes()
    assert resumed.snapshot() == straight.snapshot()


def test_a_snapshot_of_another_instrument_or_schema_is_refused() -> None:
    stream = gm.StrategicFeatures("NQ")
    with pytest.raises(gm.errors.CoreError):
        stream.restore(b"")
    damaged = bytearray(stream.snapshot())
    damaged[-1] ^= 1
    with pytest.raises(gm.errors.CoreError):
        stream.restore(bytes(damaged))


@pytest.mark.parametrize("minutes", [1, 5, 60])
def test_bars_of_another_size_are_refused(minutes: int) -> None:
    bars = walk(50, 12)
    bars["start_ts_ns"] = minutes * 60 * 10**9 * np.arange(len(bars))
    with pytest.raises(ValueError, match="30 minutes"):
        gm.strategic_matrices(bars, "NQ")


def test_bars_out_of_order_are_refused() -> None:
    bars = walk(50, 13)
    bars[[10, 11]] = bars[[11, 10]]
    with pytest.raises(ValueError, match="30 minutes"):
        gm.strategic_matrices(bars, "NQ")


def test_nights_and_weekends_between_bars_are_welcome() -> None:
    bars = walk(100, 14)
    bars["start_ts_ns"][50:] += 49 * 3600 * 10**9
    values, _ = gm.strategic_matrices(bars, "NQ")
    assert len(values) == 100


def test_no_bars_give_no_matrices() -> None:
    values, ready = gm.strategic_matrices(walk(0, 15), "NQ")
    assert values.shape == (0, 48, 13)
    assert ready.shape == (0,)


def test_an_unknown_instrument_is_refused() -> None:
    with pytest.raises(gm.errors.UnknownInstrument):
        gm.StrategicFeatures("NOPE")


def test_schema_hash_is_the_sha_256_of_the_schema() -> None:
    text = "grandmodel features 2\n"
    text += "strategic 48 rows 13 columns float32, 30 minutes, oldest row first\n"
    text += "".join(f"{name}\t{value}\n" for name, value in native.strategic_schema())
    text += "tactical 60 rows 7 columns float32, 5 minutes, oldest row first\n"
    text += "".join(f"{name}\t{value}\n" for name, value in native.tactical_schema())
    assert gm.feature_schema_hash() == hashlib.sha256(text.encode()).hexdigest()
    assert gm.STRATEGIC_COLUMNS == tuple(name for name, _ in native.strategic_schema())


def test_schema_hash_of_this_build() -> None:
    """Changes only with the schema: then older models, journals and rows are refused."""
    assert gm.feature_schema_hash().startswith("fe56a04ddfad2864")
