"""An exam of policies in planted markets: fresh episodes, the same for all that sit it.

Each episode is played on a tape of its own and begins where it must, so that whoever is allowed to
may know where on the tape it stands. Bars before are watched, not traded: as many as every column
needs. What a player earns is net profit a bar, after commission and slippage, in deviations of one
bar's return on the target position at the episode's first price: the unit of gm.training.optimum.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.config.instruments import InstrumentConfig, configs_folder
from gm.config.settings import load_settings
from gm.errors import BadArgument
from gm.features import strategic_matrices
from gm.training.baselines import votes
from gm.training.environment import Ground, MarketBatch, Observation, read_ground
from gm.training.export import write_vote_bundle
from gm.training.observer import Observer, beliefs
from gm.training.optimum import Optimum, cost_in_deviations, decide
from gm.training.planted import Floats, PlantedMarket, PlantedSettings, planted_market

SYMBOL = "BTC-PERP"
WARMUP_BARS = 800  # the slowest column, mmd_score, says something from here on
_READY_BARS = 1_200  # more, in which a matrix becomes ready: MLMI waits for twenty crosses
_FILTERED_BARS = 500  # before an episode: a filter has forgotten how it began
_NO_LIMIT = Decimal(1_000_000)  # of an order's notional, in currency: of prices 100 times the first
_NONE = Decimal(0)  # of an account: not limited

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What stands before n players' decision: ``bar`` since the episode began, from 0.

    ``position`` (n,): -1, 0, 1, held for ``held_bars`` (n,).
    """

    observation: Observation
    bar: int
    position: Integers
    held_bars: Integers


# To int64 actions, shape (n, agents).
Player = Callable[[Moment], Integers]


class Sat(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How a player did: ``profit`` (n,) a bar; share of bars with a position; turns of q a bar."""

    profit: Floats
    held: float
    turned: float


class Exam:
    """Episodes with their markets.

    Parameters
    ----------
    ground : Ground
        As ``exam_ground`` makes it.
    planted : PlantedSettings
    seed : int
        The episodes' markets have this seed and those that follow it: others than any training's.
    episodes, bars : int
        Episodes, and decisions of each; at least 1.

    Raises
    ------
    BadArgument
        If a number is out of range, or a market is not ready in time.
    """

    def __init__(
        self, ground: Ground, planted: PlantedSettings, *, seed: int, episodes: int, bars: int
    ) -> None:
        if episodes < 1 or bars < 1:
            raise BadArgument(f"episodes and bars must be at least 1: {episodes}, {bars}")
        self.bars = bars
        found = [_market(planted, ground.row, seed + number, bars) for number in range(episodes)]
        tapes = [market.bars for market in found]
        # A batch a tape, and one episode a tape: so it is known who stands where.
        self._batches = [
            MarketBatch(
                ground, [tape], instrument=SYMBOL, size=1, seed=0, episode_bars=bars,
                warmup_bars=WARMUP_BARS,
            )
            for tape in tapes
        ]  # fmt: skip
        if any(batch.starts != 1 for batch in self._batches):
            starts = [batch.starts for batch in self._batches]
            raise BadArgument(f"a tape must hold one episode: {starts}")
        # A tape ends with the bar after the last decision.
        self._signal = np.stack([market.signal[-bars - 1 : -1] for market in found])
        seen = [tape[-bars - 1 - _FILTERED_BARS : -1] for tape in tapes]
        self._moves = np.log([each["close_ticks"] / each["open_ticks"] for each in seen])
        first_ticks = np.array([float(tape["close_ticks"][-bars - 1]) for tape in tapes])
        tick_value = int(ground.row.to_row()["tick_value_micros"][0]) * 1e-6
        lots = ground.settings.trading[SYMBOL].target_lots
        self._unit = tick_value * lots * first_ticks * planted.volatility

    def sit(self, player: Player) -> Sat:
        """Play all episodes.

        Parameters
        ----------
        player : callable
            Decides for all at once, bar by bar.

        Returns
        -------
        Sat
        """
        count = len(self._batches)
        seen = _together([batch.reset(0) for batch in self._batches])
        position, held_bars = np.zeros((2, count), np.int64)
        held = turned = 0
        for bar in range(self.bars):
            actions = player(Moment(seen, bar, position, held_bars))
            steps = [batch.step(actions[i : i + 1]) for i, batch in enumerate(self._batches)]
            seen, before = _together([step.last_observation for step in steps]), position
            position = np.sign(seen.position).astype(np.int64)
            held_bars = np.where(position == 0, 0, np.where(position == before, held_bars + 1, 1))
            held += int(np.count_nonzero(position))
            turned += int(np.abs(position - before).sum())
            if {bool(step.truncated[0]) for step in steps} != {bar == self.bars - 1}:
                raise BadArgument(f"an episode of {self.bars} bars ended elsewhere: {bar}")
        equity = np.array([step.equity[0] for step in steps])
        decisions = count * self.bars
        return Sat(
            profit=equity / self._unit / self.bars,
            held=held / decisions,
            turned=turned / decisions,
        )

    def clairvoyant(self, optimum: Optimum) -> Player:
        """One who sees the signal of these markets and plays the optimum."""
        return self._knowing(optimum, self._signal)

    def observer(self, observer: Observer, optimum: Optimum) -> Player:
        """One who sees returns and plays the optimum of what they tell."""
        return self._knowing(optimum, beliefs(observer, self._moves)[:, -self.bars :])

    def _knowing(self, optimum: Optimum, signal: Floats) -> Player:
        policy = decide(optimum)
        agents = len(self._batches[0].agents)

        def player(moment: Moment) -> Integers:
            seen = signal[:, moment.bar]
            return votes(policy(seen, moment.position, moment.held_bars), agents)

        return player


def exam_ground() -> Ground:
    """Make what training and exam play on: what the optimum is computed for.

    Returns
    -------
    Ground
        configs/development.yaml with a venue that neither delays, rejects nor splits, and an order
        limit that prices do not grow out of. Commission and slippage as they are there. Two of
        three votes act.

    Raises
    ------
    ConfigError
        If the file is refused.

    Source
    ------
    SPEC §5, Planted signal.
    """
    replace = msgspec.structs.replace
    found = load_settings(configs_folder() / "development.yaml")
    with tempfile.TemporaryDirectory(prefix="gm-exam-") as folder:  # read once, then not needed
        votes_bundle = write_vote_bundle(Path(folder) / "votes")
        settings = replace(
            found,
            policy=replace(found.policy, bundle=str(votes_bundle.path)),
            trading={SYMBOL: replace(found.trading[SYMBOL], order_notional_max=_NO_LIMIT)},
            account=replace(
                found.account,
                gross_notional_max=_NONE,
                credit_max=_NONE,
                loss_max=_NONE,
                drawdown_max=_NONE,
            ),
            venue=replace(found.venue, latency_us=0, partial_fill_ppm=0, reject_ppm=0),
        )
        return read_ground(settings, SYMBOL)


def cost_of(ground: Ground, planted: PlantedSettings) -> float:
    """What turning one q costs there, in deviations of a bar at the first price."""
    venue = ground.settings.venue
    return cost_in_deviations(planted, float(venue.commission_bps[SYMBOL]), venue.slippage_ticks)


def _market(planted: PlantedSettings, row: InstrumentConfig, seed: int, bars: int) -> PlantedMarket:
    """Make a tape that ends with the bar after its only episode's last decision."""
    longest = planted_market(planted, seed, WARMUP_BARS + _READY_BARS + bars, row)
    _, ready = strategic_matrices(longest.bars, row)
    first = WARMUP_BARS - 1 + int(np.argmax(ready[WARMUP_BARS - 1 :]))
    end = first + bars + 1
    if not ready[first] or end > len(ready):
        raise BadArgument(
            f"market of seed {seed}: no matrix is ready by bar {len(ready) - bars - 1}: "
            f"persistence {planted.persistence} leaves too few crosses"
        )
    return PlantedMarket(bars=longest.bars[:end], signal=longest.signal[:end])


def _together(seen: list[Observation]) -> Observation:
    return Observation(
        np.concatenate([each.matrix for each in seen]),
        np.concatenate([each.context for each in seen]),
        np.concatenate([each.position for each in seen]),
    )
