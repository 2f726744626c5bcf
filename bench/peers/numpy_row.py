"""Peer: the strategic row as a careful Python programmer streams it with NumPy.

Preallocated history, views instead of copies, running sums where they exist (MMD slides between
refits), one logarithm and two-pass sums by `dot`, scalars by `math`. All 13 columns, float32 matrix
and double accumulators as the engine; no part is prepared before the bar, because nothing in this
style of program would do it.
"""

import math

import numpy as np

ROWS, COLUMNS = 48, 13
DAY_NS = 86_400_000_000_000
TWO_PI = 2.0 * math.pi
STORE, REFERENCE, TEST, REFIT, RANKS = 2000, 500, 100, 46, 2000
WINDOW = REFERENCE + TEST
SIGMAS_MIN, SAMPLES_MIN = 100, 20  # a row is warm with


class NumpyRow:
    """Streaming row update over at most ``capacity`` bars, real, prices positive."""

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
        self.bars = self.sigmas = self.warm_rows = 0
        self.atr = self.estimate = 0.0
        self.mlmi = Mlmi(capacity)
        self.profile = Profile(capacity)
        self.mmd = Mmd(capacity)

    def update(self, bar: tuple[int, ...], local_offset_ns: int) -> None:
        """Take one closed bar (start_ts_ns, open, high, low, close, volume, …)."""
        start_ts_ns, open_, high, low, close, volume = bar[:6]
        t, row = self.bars, self.row
        self.bars += 1
        row[:] = 0.0
        self.close[t] = close
        self.ha_close[t] = (open_ + high + low + close) / 4.0
        self.write_kernel(t, high, low, close)
        row[0], row[1] = self.mlmi.update(self.ha_close, t)
        self.profile.write(row, t, bar, self.atr if t >= 13 else 0.0)
        angle = TWO_PI * (((start_ts_ns + local_offset_ns) % DAY_NS) / DAY_NS)
        row[6] = math.sin(angle)
        row[7] = math.cos(angle)
        if t:
            before = self.close[t - 1]
            self.log_return[t] = math.log(close / before)
            row[10] = self.mmd.update(self.log_return[t], (high - low) / before, volume)
        else:
            self.mmd.seed(volume)
        if t >= 30:
            self.write_returns(t, close)
        self.matrix[:-1] = self.matrix[1:]
        self.matrix[-1] = row
        if self.sigmas >= SIGMAS_MIN and self.mlmi.count >= SAMPLES_MIN:
            self.warm_rows += 1

    @property
    def is_ready(self) -> bool:
        """Whether every row of the matrix has had its bars."""
        return self.warm_rows >= ROWS

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
        if count < SIGMAS_MIN:
            return
        history = self.log_sigma[n + 1 - count : n + 1]
        mean = history.sum() / count
        deviations = history - mean
        deviation = math.sqrt(deviations.dot(deviations) / count)
        if deviation >= 1e-12:
            self.row[11] = math.tanh((self.log_sigma[n] - mean) / deviation)


class Rsi:
    """Wilder's RSI, one value at a time; None until it exists."""

    def __init__(self, bars: int) -> None:
        self.bars, self.count = bars, 0
        self.gain = self.loss = 0.0

    def update(self, change: float) -> float | None:
        gain, loss, n = max(change, 0.0), max(-change, 0.0), self.bars
        self.count += 1
        if self.count <= n:
            self.gain += gain / n
            self.loss += loss / n
            if self.count < n:
                return None
        else:
            self.gain = (self.gain * (n - 1) + gain) / n
            self.loss = (self.loss * (n - 1) + loss) / n
        both = self.gain + self.loss
        return 100.0 * self.gain / both if both > 0.0 else 50.0


class Mlmi:
    """Columns 0 and 1."""

    def __init__(self, capacity: int) -> None:
        self.weights = {n: np.arange(1.0, n + 1) for n in (5, 20)}
        self.rsi = (Rsi(20), Rsi(5))
        self.history = np.zeros((2, capacity))
        self.counts = [0, 0]
        self.samples = np.zeros((3, capacity))  # p1, p2, label
        self.count = self.sign = 0
        self.pending: tuple[float, float, float] | None = None

    def update(self, x: np.ndarray, t: int) -> tuple[float, int]:
        if t == 0:
            return 0.0, 0
        for i, rsi in enumerate(self.rsi):
            value = rsi.update(x[t] - x[t - 1])
            if value is not None:
                self.history[i, self.counts[i]] = value
                self.counts[i] += 1
        if t < 19:
            return 0.0, 0
        fast, slow = self.weights[5].dot(x[t - 4 : t + 1]), self.weights[20].dot(x[t - 19 : t + 1])
        sign = int(np.sign(14.0 * fast - slow))
        cross = sign if sign != 0 and self.sign != 0 and sign != self.sign else 0
        self.sign = sign or self.sign
        if min(self.counts) < 20:
            return 0.0, 0
        p1, p2 = (
            self.weights[20].dot(self.history[i, n - 20 : n]) / 210.0
            for i, n in enumerate(self.counts)
        )
        if cross:
            if self.pending is not None:
                label = np.sign(x[t] - self.pending[2])
                self.samples[:, self.count] = (self.pending[0], self.pending[1], label)
                self.count += 1
            self.pending = (p1, p2, x[t])
        lean = self.vote(p1, p2)
        return lean, cross if cross * lean > 0 else 0

    def vote(self, p1: float, p2: float) -> float:
        n = min(self.count, STORE)
        if n < SAMPLES_MIN:
            return 0.0
        first, second, labels = self.samples[:, self.count - n : self.count]
        across = (first - p1) / max(first.std(), 1e-12)
        along = (second - p2) / max(second.std(), 1e-12)
        distance = across * across + along * along
        k = min(5, math.isqrt(n))
        limit = np.partition(distance, k - 1)[k - 1]
        near = np.flatnonzero(distance <= limit)
        if len(near) > k:  # ties: the most recent
            near = near[np.lexsort((-near, distance[near]))][:k]
        return float(labels[near].sum()) / k


class Profile:
    """Columns 4, 5 and 12."""

    def __init__(self, capacity: int) -> None:
        self.bars = np.zeros((capacity, 3), np.int64)  # low, high, volume

    def write(self, row: np.ndarray, t: int, bar: tuple[int, ...], atr: float) -> None:
        self.bars[t] = bar[3], bar[2], bar[5]
        if t < 19:
            return
        last = self.bars[t - 19 : t + 1]
        bottom, top = int(last[:, 0].min()), int(last[:, 1].max())
        width = max(1, -(-(top - bottom) // 2048))
        bins = np.zeros((top - bottom) // width + 1)
        for low, high, volume in last.tolist():
            first, end = (low - bottom) // width, (high - bottom) // width + 1
            bins[first:end] += volume / (end - first)
        poc = int(bins.argmax())
        below, above = self.value_area(bins, poc)
        if above > below:
            row[12] = (above + below - 2 * poc) / (above - below)
        inner = bins[1:-1]
        is_node = (inner < bins[:-2]) & (inner <= bins[2:]) & (inner < 0.3 * bins[poc])
        nodes = np.flatnonzero(is_node) + 1
        if len(nodes):
            away = np.abs(bottom + nodes * width - bar[4])
            node = int(nodes[away.argmin()])
            row[5] = 1.0 - bins[node] / bins[poc]
            if atr > 0.0:
                row[4] = max(-5.0, min(5.0, (bottom + node * width - bar[4]) / atr)) / 5.0

    @staticmethod
    def value_area(bins: np.ndarray, poc: int) -> tuple[int, int]:
        heights, total = bins.tolist(), float(bins.sum())
        below = above = poc
        inside, wanted, last = heights[poc], 0.7 * total - 1e-9 * total, len(heights) - 1
        while inside < wanted and (above < last or below > 0):
            if above < last and (below == 0 or heights[above + 1] >= heights[below - 1]):
                above += 1
                inside += heights[above]
            else:
                below -= 1
                inside += heights[below]
        return below, above


class Mmd:
    """Column 10."""

    def __init__(self, capacity: int) -> None:
        self.rows = np.zeros((capacity, 4))
        self.places = np.zeros((capacity, 4))
        self.squares = np.zeros(capacity)  # of m
        self.count = self.measured = self.fitted = 0
        self.usual = 0.0

    def seed(self, volume: float) -> None:
        self.usual = float(volume)

    def update(self, log_return: float, spread: float, volume: float) -> float:
        self.usual += 2.0 / 21.0 * (volume - self.usual)
        n = self.count
        activity = math.log((volume + 1.0) / (self.usual + 1.0))
        self.rows[n] = log_return, abs(log_return), spread, activity
        self.count = n = n + 1
        if n < WINDOW:
            return 0.0
        if (n - WINDOW) % REFIT == 0:
            self.fit(n)
        else:
            self.slide(n)
        squared = self.inner / REFERENCE**2 + self.outer / TEST**2
        squared = max(squared - 2.0 * self.across / (REFERENCE * TEST), 0.0)
        self.squares[self.measured] = squared
        self.measured += 1
        count = min(self.measured, RANKS)
        if count < 200:
            return 0.0
        apart = self.squares[self.measured - count : self.measured] - squared
        smaller, equal = np.count_nonzero(apart < -1e-13), np.count_nonzero(np.abs(apart) <= 1e-13)
        return 2.0 * (smaller + 0.5 * equal) / count - 1.0

    def fit(self, n: int) -> None:
        start, test = n - WINDOW, n - TEST
        reference = self.rows[start:test]
        self.mean, deviation = reference.mean(axis=0), np.maximum(reference.std(axis=0), 1e-12)
        fifth = ((reference - self.mean) / deviation)[::5]
        apart = fifth[:, None, :] - fifth[None, :, :]
        distance = np.sqrt(np.einsum("ijk,ijk->ij", apart, apart))
        sigma = max(float(np.median(distance[np.triu_indices(len(fifth), 1)])), 1e-12)
        self.scale = 1.0 / (deviation * sigma * math.sqrt(2.0))  # the kernel is exp(−distance²)
        self.places[start:n] = (self.rows[start:n] - self.mean) * self.scale
        points = self.places[start:n]
        total = np.zeros((WINDOW, WINDOW))
        for column in points.T:
            total += (column[:, None] - column[None, :]) ** 2
        kernel = np.exp(-total)
        self.inner = float(kernel[:REFERENCE, :REFERENCE].sum())
        self.across = float(kernel[:REFERENCE, REFERENCE:].sum())
        self.outer = float(kernel[REFERENCE:, REFERENCE:].sum())

    def slide(self, n: int) -> None:
        self.places[n - 1] = (self.rows[n - 1] - self.mean) * self.scale
        start, test = n - WINDOW, n - TEST  # of the new window
        leaves, joins, newest = start - 1, test - 1, n - 1
        joins_inner = self.kernels(joins, start, joins)
        joins_outer = self.kernels(joins, test, newest)
        self.inner += 2.0 * (joins_inner - self.kernels(leaves, start, joins))
        self.across += joins_outer - joins_inner - self.kernels(leaves, joins, newest)
        self.across += self.kernels(newest, start, test)
        self.outer += 2.0 * (self.kernels(newest, test, newest) - joins_outer)

    def kernels(self, row: int, start: int, end: int) -> float:
        apart = self.places[start:end] - self.places[row]
        return float(np.exp(-np.einsum("ij,ij->i", apart, apart)).sum())
