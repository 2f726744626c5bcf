"""The two matrices: every column put in its place, rows stacked, readiness told."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.training.reference.discrepancy import discrepancy_score
from gm.training.reference.gaps import GapColumns, fair_value_gaps
from gm.training.reference.mlmi import SAMPLES_MIN, momentum_index
from gm.training.reference.profile import profile_columns
from gm.training.reference.regression import kernel_regression, turns
from gm.training.reference.smoothing import (
    Floats,
    Integers,
    average_true_range,
    clip,
    exponential_mean,
    heiken_ashi,
    run_lengths,
)
from gm.training.reference.volatility import (
    log_return_deviation,
    rolling_score,
    unbroken_momentum,
)

ROWS, COLUMNS = 48, 13
TACTICAL_ROWS, TACTICAL_COLUMNS = 60, 7
DAY_NS = 86_400_000_000_000
SYNTHETIC, NO_VOLUME, OUT_OF_SESSION = 1, 2, 4
POSITIVE_BARS = 51  # momentum 50 needs 51 closes
TACTICAL_POSITIVE_BARS = 6
PROFILE_BARS = 20
GAP_BARS = 12  # a candle, the middle one, and ten bodies before that
ATR_BARS = 14


class Strategic(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Rows of the strategic matrix before the cast, and what synergies are made of.

    ``values`` (n, 13), ``warm`` (n,): all but MMD has had its bars; ``slope``: ŷ − ŷ₋₁ in ATR14,
    not clipped, 0 while unknown.
    """

    values: Floats
    warm: NDArray[np.bool_]
    mlmi_value: Floats
    mlmi_signal: Integers
    turn: Integers
    slope: Floats


class Tactical(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Rows of the tactical matrix before the cast (n, 7), whether warm (n,), and the gaps."""

    values: Floats
    warm: NDArray[np.bool_]
    gaps: GapColumns


def hour_circle(start_ts_ns: Integers, local_offset_ns: Integers) -> tuple[Floats, Floats]:
    """Sine and cosine of the exchange-local time of day of the bar start (SPEC §3, 6 and 7).

    Parameters
    ----------
    start_ts_ns, local_offset_ns : shape (n,), ns
        Bar start in UTC; exchange-local time minus UTC at that moment.

    Returns
    -------
    tuple of shape (n,)
        On a circle of 24 hours: midnight is (0, 1), six in the morning (1, 0).
    """
    angle = 2.0 * np.pi * ((start_ts_ns + local_offset_ns) % DAY_NS) / DAY_NS
    return np.sin(angle), np.cos(angle)


def strategic_columns(bars: NDArray[np.void], local_offset_ns: Integers) -> Strategic:
    """Every strategic column, for bars that all lie in a session.

    Parameters
    ----------
    bars : structured, shape (n,)
        Closed 30-minute bars with the fields of ``gm.read_bars``.
    local_offset_ns : shape (n,), ns
        Exchange-local time minus UTC at each bar's start.

    Returns
    -------
    Strategic
        One row a bar.

    Source
    ------
    SPEC §3, the strategic matrix; §1 for synthetic bars and prices that are not positive.
    """
    open_, high, low, close = _prices(bars)
    is_synthetic = (bars["flags"] & SYNTHETIC) != 0
    usable = np.where(low > 0, close, np.nan)  # a price <= 0 has no logarithm
    ha_close = heiken_ashi(open_, high, low, close)[1]
    atr = average_true_range(high, low, close)
    reach = np.where(atr > 0, atr, np.nan)  # no price has moved: no distance to measure by
    mlmi = momentum_index(ha_close, is_synthetic)
    estimate = kernel_regression(ha_close)
    slope = (np.diff(estimate, prepend=np.nan) / reach).astype(np.float64)
    profile = profile_columns(bars, is_synthetic)
    sigma = log_return_deviation(usable)
    moving = np.where(sigma > 0, sigma, np.nan)  # σ30 = 0: momentum 0, no entry in the history
    score, scores = rolling_score(np.log(moving))
    volume = bars["volume_lots"].astype(np.float64)

    values = np.zeros((len(bars), COLUMNS))
    values[:, 0] = (mlmi.value - 50.0) / 50.0
    values[:, 1] = mlmi.signal
    values[:, 2] = clip((estimate - close) / reach, 5.0) / 5.0
    values[:, 3] = clip(slope, 0.5) / 0.5
    values[:, 4] = clip(profile.node_distance / reach, 5.0) / 5.0
    values[:, 5] = profile.node_strength
    values[:, 6], values[:, 7] = hour_circle(bars["start_ts_ns"], local_offset_ns)
    values[:, 8] = np.tanh(unbroken_momentum(usable, 20) / (moving * np.sqrt(20.0)))
    values[:, 9] = np.tanh(unbroken_momentum(usable, 50) / (moving * np.sqrt(50.0)))
    values[:, 10] = discrepancy_score(high, low, close, volume, ~is_synthetic & (low > 0))
    values[:, 11] = np.tanh(score)
    values[:, 12] = profile.skew

    # Of the other waits, the 27 bars of the slope and the 31 of σ30 end before the 51.
    warm = (
        (mlmi.samples >= SAMPLES_MIN)
        & (np.cumsum(~is_synthetic) >= PROFILE_BARS)
        & (run_lengths(low > 0) >= POSITIVE_BARS)
        & (scores >= 100)
    )
    return Strategic(
        values=_known(values),
        warm=warm,
        mlmi_value=mlmi.value,
        mlmi_signal=mlmi.signal,
        turn=turns(estimate),
        slope=_known(slope),
    )


def tactical_columns(bars: NDArray[np.void]) -> Tactical:
    """Every tactical column, for bars that all lie in a session.

    Parameters
    ----------
    bars : structured, shape (n,)
        Closed 5-minute bars with the fields of ``gm.read_bars``.

    Returns
    -------
    Tactical
        One row a bar.

    Source
    ------
    SPEC §3, the tactical matrix. That momentum begins again after a price that is not positive,
    and that the mean volume takes in synthetic bars, is ours.
    """
    open_, high, low, close = _prices(bars)
    is_synthetic = (bars["flags"] & SYNTHETIC) != 0
    usable = np.where(low > 0, close, np.nan)
    positive = run_lengths(low > 0)
    before = np.full(len(bars), np.nan)  # C₋₅, where no price between was bad
    before[5:] = np.where(positive[5:] > 5, usable[:-5], np.nan)
    gaps = fair_value_gaps(
        open_, high, low, close, average_true_range(high, low, close), is_synthetic
    )
    volume = bars["volume_lots"].astype(np.float64)
    usual = exponential_mean(volume, 20)
    ratio = volume / np.where(usual > 0, usual, np.nan)

    values = np.zeros((len(bars), TACTICAL_COLUMNS))
    values[:, 0] = gaps.bullish
    values[:, 1] = gaps.bearish
    values[:, 2] = clip(100.0 * (gaps.level - usable) / usable, 2.0) / 2.0
    values[:, 3] = np.exp(-0.1 * gaps.age)
    values[:, 4] = gaps.signal
    values[:, 5] = np.tanh(100.0 * (usable / before - 1.0) / 5.0)
    values[:, 6] = np.tanh(np.log(np.maximum(ratio, 1e-6)))

    index = np.arange(len(bars))
    warm = (
        (index >= ATR_BARS - 1)
        & (np.cumsum(~is_synthetic) >= GAP_BARS)
        & (positive >= TACTICAL_POSITIVE_BARS)
    )
    return Tactical(values=_known(values), warm=warm, gaps=gaps)


def strategic_rows(
    bars: NDArray[np.void], local_offset_ns: Integers
) -> tuple[Floats, NDArray[np.bool_]]:
    """Values (n, 13) and warmth (n,) of ``strategic_columns``."""
    columns = strategic_columns(bars, local_offset_ns)
    return columns.values, columns.warm


def stack_rows(
    values: Floats, warm: NDArray[np.bool_], inside: NDArray[np.bool_], rows: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Stack the last ``rows`` rows at every bar, as the core does while it streams.

    Parameters
    ----------
    values, warm : shape (m, columns), (m,)
        Of the bars inside sessions.
    inside : shape (n,), m of them true
        Bars outside repeat the matrix before them and are never ready.
    rows : count
        48 or 60.

    Returns
    -------
    tuple
        float32 (n, rows, columns), oldest row first, and bool (n,): ready.

    Source
    ------
    SPEC §3: ready when each of the rows was appended with every feature warm.
    """
    padded = np.concatenate((np.zeros((rows, values.shape[1])), values))
    ready_inside = run_lengths(warm) >= rows
    matrices = np.zeros((len(inside), rows, values.shape[1]), np.float32)
    ready = np.zeros(len(inside), np.bool_)
    seen = 0  # in-session bars so far
    for i, is_inside in enumerate(inside):
        seen += int(is_inside)
        matrices[i] = padded[seen : seen + rows]
        ready[i] = bool(is_inside) and bool(ready_inside[seen - 1])
    return matrices, ready


def strategic_matrices(
    bars: NDArray[np.void], local_offset_ns: Integers
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Matrices (n, 48, 13) and readiness (n,) at every 30-minute bar, in a session or not."""
    inside = (bars["flags"] & OUT_OF_SESSION) == 0
    columns = strategic_columns(bars[inside], local_offset_ns[inside])
    return stack_rows(columns.values, columns.warm, inside, ROWS)


def tactical_matrices(bars: NDArray[np.void]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Matrices (n, 60, 7) and readiness (n,) at every 5-minute bar, in a session or not."""
    inside = (bars["flags"] & OUT_OF_SESSION) == 0
    columns = tactical_columns(bars[inside])
    return stack_rows(columns.values, columns.warm, inside, TACTICAL_ROWS)


def _prices(bars: NDArray[np.void]) -> tuple[Floats, Floats, Floats, Floats]:
    open_, high, low, close = (
        bars[name].astype(np.float64)
        for name in ("open_ticks", "high_ticks", "low_ticks", "close_ticks")
    )
    return open_, high, low, close


def _known(values: Floats) -> Floats:
    return np.where(np.isnan(values), 0.0, values)
