"""Whether a long run stood still: memory, descriptors, latency and disk, from samples alone.

Memory: one slope for all lives, each with a level of its own, from means of BLOCK_S seconds, whose
noise is close enough to independent for the interval. What is young or disturbed does not count.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tests.soak.samples import Sample

SETTLED_S = 20.0  # a life's first seconds: it reads, warms up, and fills its pools
BLOCK_S = 5.0
# What 64 KiB arenas and a page cache of a database move by, an hour; a leak of 16 bytes a second
# is less, one byte of each message is 50 times as much.
RSS_SLOPE_BYTES_PER_HOUR = 4 << 20
DESCRIPTORS_SLACK = 1  # the next segment is open while the second half of one fills
P99_RATIO = 1.25
DISK_SLACK = 1.05
BOOTSTRAPS = 2_000


class Slope(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes an hour with the 95 % interval."""

    per_hour: float
    low: float
    high: float
    blocks: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One question and its answer."""

    name: str
    is_met: bool
    text: str


def settled(samples: Sequence[Sample]) -> list[Sample]:
    """Those that count: of a life past its first seconds, and of no fault."""
    return [s for s in samples if s.age_s >= SETTLED_S and not s.is_disturbed]


def rss_slope(samples: Sequence[Sample]) -> Slope:
    """Fit it. Infinite interval where there are too few blocks to tell."""
    blocks: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        blocks.setdefault((sample.life, int(sample.at_s / BLOCK_S)), []).append(sample)
    lives = np.array([life for life, _ in blocks])
    at_h = np.array([np.mean([s.at_s for s in block]) for block in blocks.values()]) / 3_600
    rss = np.array([np.mean([s.rss_bytes for s in block]) for block in blocks.values()])
    free = len(blocks) - len(set(lives.tolist())) - 1
    if free < 3:
        return Slope(per_hour=math.nan, low=-math.inf, high=math.inf, blocks=len(blocks))
    for life in set(lives.tolist()):
        is_of = lives == life
        at_h[is_of] -= at_h[is_of].mean()
        rss[is_of] -= rss[is_of].mean()
    spread = float((at_h**2).sum())
    slope = float((at_h * rss).sum() / spread)
    error = math.sqrt(float(((rss - slope * at_h) ** 2).sum()) / free / spread)
    return Slope(
        per_hour=slope, low=slope - 1.96 * error, high=slope + 1.96 * error, blocks=len(blocks)
    )


def judge_memory(samples: Sequence[Sample]) -> Verdict:
    """Slope 0 within its noise, or too small to matter."""
    slope = rss_slope(settled(samples))
    is_flat = math.isfinite(slope.low) and slope.low <= RSS_SLOPE_BYTES_PER_HOUR
    mib = 1 << 20
    return Verdict(
        name="memory",
        is_met=is_flat,
        text=f"{slope.per_hour / mib:+.2f} MiB an hour, 95 % from {slope.low / mib:+.2f} to "
        f"{slope.high / mib:+.2f}, of {slope.blocks} blocks",
    )


def judge_counts(samples: Sequence[Sample], name: str, slack: int) -> Verdict:
    """The most of the last third is not over that of the first, by more than the slack."""
    counts = [getattr(sample, name) for sample in settled(samples)]
    third = len(counts) // 3
    if third == 0:
        return Verdict(name=name, is_met=False, text="too few samples")
    first, last = max(counts[:third]), max(counts[-third:])
    return Verdict(
        name=name, is_met=last <= first + slack, text=f"{first} at most, then {last} at most"
    )


def p99_ns(octaves: Sequence[int]) -> float:
    """The 99th percentile, interpolated in the octave that holds it; NaN of none."""
    counts = np.asarray(octaves, float)
    total = counts.sum()
    if total == 0:
        return math.nan
    below = np.cumsum(counts)
    at = int(np.searchsorted(below, 0.99 * total))
    share = (0.99 * total - (below[at - 1] if at else 0.0)) / counts[at]
    return float(2.0 ** (at - 1 + share))


def _typical(times_ns: NDArray[np.float64]) -> float:
    """Geometric mean: octaves make steps of it, among which a median would jump."""
    return float(np.exp(np.mean(np.log(times_ns))))


def judge_latency(samples: Sequence[Sample], window_s: float) -> Verdict:
    """The p99 of a step, second by second, in the first and the last window: equal in noise."""
    calm = [s for s in settled(samples) if sum(s.octaves) > 0]
    if not calm:
        return Verdict(name="latency", is_met=False, text="too few samples")
    begin, end = calm[0].at_s, calm[-1].at_s
    first = np.array([p99_ns(s.octaves) for s in calm if s.at_s < begin + window_s])
    last = np.array([p99_ns(s.octaves) for s in calm if s.at_s > end - window_s])
    random = np.random.default_rng(1)
    ratios = [
        _typical(random.choice(last, len(last))) / _typical(random.choice(first, len(first)))
        for _ in range(BOOTSTRAPS)
    ]
    low, high = np.quantile(ratios, (0.025, 0.975))
    return Verdict(
        name="latency",
        is_met=bool(low <= P99_RATIO),
        text=f"p99 of a step {_typical(first) / 1e3:.1f} us in the first {window_s:.0f} s, "
        f"{_typical(last) / 1e3:.1f} us in the last; ratio 95 % from {low:.2f} to {high:.2f}",
    )


def judge_disk(samples: Sequence[Sample], limit_bytes: int) -> Verdict:
    """Segments stay below the limit and what is on its way."""
    most = max((sample.segment_bytes for sample in samples), default=0)
    went = max((sample.compacted_bytes for sample in samples), default=0)
    return Verdict(
        name="disk",
        is_met=0 < most <= limit_bytes * DISK_SLACK,
        text=f"{most / 1e9:.2f} GB of segments at most, limit {limit_bytes / 1e9:.2f}; "
        f"{went / 1e3:.0f} kB were kept of what went",
    )
