"""Peer: the strategic row as a careful Python programmer streams it with NumPy.

Preallocated history, views instead of copies, one logarithm and two-pass sums by `dot`, scalars by
`math`. The same seven columns, float32 matrix and double accumulators as the engine; no part is
prepared before the bar, because nothing in this style of program would do it.
"""

import math

import numpy as np

ROWS, COLUMNS = 48, 13
DAY_NS = 86_400_000_000_000
TWO_PI = 2.0 * math.pi


class NumpyRow:
    """Streaming row update over at most ``capacity`` bars, prices positive."""

    def __init__(self, capacity: int) -> None:
        age = np.arange(199, -1, -1)
        self.kernel = (1.0 + age**2 / 1024.0) ** -8.0  # oldest first
        self.kernel_sums = np.cumsum(self.kernel[::-1])
        self.close = np.zeros(capacity)
        self.ha_close = np.zeros(capacity)
        self.log_return = np.zeros(capacity)
        self.log_sigma = np.zeros(capacity)
        self.matrix = np.zeros((ROWS, COLUMNS), np.float32)
        self.row = np.zeros(COLUMNS)
        self.bars = self.sigmas = 0
        self.atr = self.estimate = 0.0

    def update(self, bar: tuple[int, ...], local_offset_ns: int) -> None:
        """Take one closed bar (start_ts_ns, open, high, low, close, …)."""
        start_ts_ns, open_, high, low, close = bar[:5]
        t, row = self.bars, self.row
        self.bars += 1
        row[:] = 0.0
        self.close[t] = close
        self.ha_close[t] = (open_ + high + low + close) / 4.0
        self.write_kernel(t, high, low, close)
        angle = TWO_PI * (((start_ts_ns + local_offset_ns) % DAY_NS) / DAY_NS)
        row[6] = math.sin(angle)
        row[7] = math.cos(angle)
        if t:
            self.log_return[t] = math.log(close / self.close[t - 1])
        if t >= 30:
            self.write_returns(t, close)
        self.matrix[:-1] = self.matrix[1:]
        self.matrix[-1] = row

    def write_kernel(self, t: int, high: float, low: float, close: float) -> None:
        """ATR 14 and NW-RQK: columns 2 and 3."""
        before = self.close[t - 1] if t else close
        true_range = max(high - low, abs(high - before), abs(low - before)) if t else high - low
        if t < 14:
            self.atr += true_range / 14.0
        else:
            self.atr = (self.atr * 13.0 + true_range) / 14.0
        if t < 25:
            return
        count = min(t + 1, 200)
        newest = self.ha_close[t + 1 - count : t + 1]
        estimate = self.kernel[200 - count :].dot(newest) / self.kernel_sums[count - 1]
        if self.atr > 0.0:
            self.row[2] = max(-5.0, min(5.0, (estimate - close) / self.atr)) / 5.0
            if t > 25:
                change = (estimate - self.estimate) / self.atr
                self.row[3] = max(-0.5, min(0.5, change)) / 0.5
        self.estimate = estimate

    def write_returns(self, t: int, close: float) -> None:
        """σ30, momentum and the volatility score: columns 8, 9 and 11."""
        window = self.log_return[t - 29 : t + 1]
        deviations = window - window.sum() / 30.0
        sigma = math.sqrt(deviations.dot(deviations) / 29.0)
        if sigma < 1e-12:
            return
        self.row[8] = math.tanh(math.log(close / self.close[t - 20]) / (sigma * math.sqrt(20.0)))
        if t >= 50:
            move = math.log(close / self.close[t - 50])
            self.row[9] = math.tanh(move / (sigma * math.sqrt(50.0)))
        n = self.sigmas
        self.log_sigma[n] = math.log(sigma)
        self.sigmas += 1
        count = min(n + 1, 500)
        if count < 100:
            return
        history = self.log_sigma[n + 1 - count : n + 1]
        mean = history.sum() / count
        deviations = history - mean
        deviation = math.sqrt(deviations.dot(deviations) / count)
        if deviation >= 1e-12:
            self.row[11] = math.tanh((self.log_sigma[n] - mean) / deviation)
