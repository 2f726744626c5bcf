"""Tapes of bars cut by time, and batches of markets over their parts.

Validation and test are warmed up by the bars before them, as an engine is that starts in the middle
of a market: what is watched then is past for the slice as well. Nothing is decided or rewarded on
those bars, and the learner never plays them.
"""

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm._native.features import strategic_batch
from gm.config.instruments import InstrumentConfig
from gm.config.settings import Settings
from gm.errors import BadArgument
from gm.features import STRATEGIC_COLUMNS, closed_bars, local_offsets_ns
from gm.models.manifest import Split as ManifestSplit, TimeRange
from gm.training.environment import MarketBatch
from gm.training.split import EMBARGO_BARS, PURGE_BARS, Split

WARMUP_BARS_MAX = 1_000  # mmd_score ranks among its own past: more of it changes little
_MINUTE_NS = 60 * 10**9

Part = Literal["train", "validation", "test"]
Rows = NDArray[np.void]


class Walk(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Markets whose one episode is all of a slice."""

    batch: MarketBatch
    decisions: int


class Tapes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Bars of one instrument, one array a file, each with its split.

    ``played``: settings under which the markets trade; ``threads``: that step them.
    """

    bars: tuple[Rows, ...]
    splits: tuple[Split, ...]
    instrument: InstrumentConfig
    played: Settings
    threads: int = 1
    bar_minutes: Literal[30] = 30

    @property
    def max_hold_bars(self) -> int:
        """``policy.max_hold_bars`` of the settings."""
        return self.played.policy.max_hold_bars

    def batch(self, part: Part, *, size: int, seed: int, episode_bars: int) -> MarketBatch:
        """Markets whose episodes begin anywhere in one part of all tapes."""
        warmup = self._warmup(part, range(len(self.bars)))
        slices = [self._slice(part, tape, warmup) for tape in range(len(self.bars))]
        return self._batch(slices, self.played, warmup, size, seed, episode_bars)

    def walk(self, tape: int, *, size: int, seed: int, max_hold_bars: int | None = None) -> Walk:
        """Markets whose one episode is the test part of one tape."""
        warmup = self._warmup("test", (tape,))
        slices = [self._slice("test", tape, warmup)]
        played = self.played
        if max_hold_bars is not None:
            policy = msgspec.structs.replace(played.policy, max_hold_bars=max_hold_bars)
            played = msgspec.structs.replace(played, policy=policy)
        probe = self._batch(slices, played, warmup, 1, seed, 1)
        probe.close()
        decisions = probe.starts  # an episode of all of them begins at the first
        batch = self._batch(slices, played, warmup, size, seed, decisions)
        if batch.starts != 1:
            raise BadArgument(f"a walk must begin at one place: {batch.starts}")
        return Walk(batch=batch, decisions=decisions)

    def rows(self, part: Part) -> NDArray[np.float32]:
        """Newest rows of the ready matrices of one part of all tapes: float32 (n, 13)."""
        found = [np.empty((0, len(STRATEGIC_COLUMNS)), np.float32)]
        for tape in range(len(self.bars)):
            warmup = self._warmup(part, (tape,))
            bars = self._slice(part, tape, warmup)
            offsets = local_offsets_ns(bars["start_ts_ns"], self.instrument)
            matrices, _, ready = strategic_batch(closed_bars(bars), offsets)
            ready[:warmup] = False
            found.append(matrices[ready, -1])
        return np.concatenate(found)

    def manifest_splits(self) -> tuple[ManifestSplit, ...]:
        """The splits in moments."""
        return tuple(
            ManifestSplit(
                train=self._range(split.train),
                validation=self._range(split.validation),
                test=self._range(split.test),
                bar_minutes=self.bar_minutes,
                purge_bars=PURGE_BARS,
                embargo_bars=EMBARGO_BARS,
            )
            for split in self.splits
        )

    def test_range(self) -> tuple[int, int]:
        """First moment of the test parts and the one behind the last."""
        ranges = [self._range(split.test) for split in self.splits]
        return min(r.start_ts_ns for r in ranges), max(r.end_ts_ns for r in ranges)

    def _range(self, rows: Rows) -> TimeRange:
        starts = rows["start_ts_ns"]
        end = int(starts[-1]) + self.bar_minutes * _MINUTE_NS
        return TimeRange(start_ts_ns=int(starts[0]), end_ts_ns=end)

    def _first(self, part: Part, tape: int) -> int:
        """Where a part begins in its tape."""
        start = getattr(self.splits[tape], part)["start_ts_ns"][0]
        return int(np.searchsorted(self.bars[tape]["start_ts_ns"], start))

    def _warmup(self, part: Part, tapes: Any) -> int:  # noqa: ANN401
        firsts = [self._first(part, tape) for tape in tapes]
        return min(*firsts, WARMUP_BARS_MAX) if part != "train" else 0

    def _slice(self, part: Part, tape: int, warmup: int) -> Rows:
        first, count = self._first(part, tape), len(getattr(self.splits[tape], part))
        return self.bars[tape][first - warmup : first + count]

    def _batch(
        self,
        slices: list[Rows],
        played: Settings,
        warmup_bars: int,
        size: int,
        seed: int,
        episode_bars: int,
    ) -> MarketBatch:
        return MarketBatch(
            played,
            slices,
            instrument=self.instrument.symbol,
            size=size,
            seed=seed,
            episode_bars=episode_bars,
            # The first decision is on the bar behind them.
            warmup_bars=warmup_bars + 1 if warmup_bars else 0,
            threads=min(self.threads, size),
        )
