"""Markets to train in: the engine, features, gate and venue of a backtest, many at once.

A market stops at each decision and shows what the agents see; their actions become the decision,
as the answer of a user's rule does in a backtest. So an episode is, fill for fill, the backtest of
the same bars with the same decisions; what bars do before an episode is watched, not traded.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm._native import training as native
from gm._native.session import Session
from gm.backtest.run import Origin, Run
from gm.config.instruments import InstrumentConfig, configs_folder, instrument as find_instrument
from gm.config.run_dir import RunManifest
from gm.config.settings import Settings, load_settings
from gm.errors import BadArgument, ConfigError
from gm.features import STRATEGIC_MINUTES, check_spacing
from gm.readers import BAR
from gm.supervisor.preparation import build_run
from gm.venue.serving import venue_settings
from gm.venue.tape import Tape, bars_tape

EPISODE_BARS = 512
THREADS_MAX = 64
_SYNTHETIC = 1  # flag of a bar that was on no feed
_RULE = "training"  # how the core names the rule that the actions answer for

Rows = NDArray[np.void]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the agents of n markets see when a decision waits.

    ``matrix`` (n, 48, 13) is the strategic matrix, oldest row first; ``context`` (n, 6) in the
    order of SPEC §5; ``position`` (n,) the signed position as a share of ``position_lots_max``.
    """

    matrix: Floats
    context: Floats
    position: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What the actions of n markets led to.

    ``reward`` (n,) float32; ``terminated`` and ``truncated`` (n,) bool. Where one of them is true
    the episode has ended: ``observation`` is the first of the next episode, ``last_observation``
    that of the end; elsewhere both are equal. ``equity`` (n,) float64 is net profit since the
    episode began in the instrument's currency, after commission and slippage, open positions at
    the last good price; ``episode_return`` (n,) float64 the sum of its rewards. Both are of the
    episode that has just ended, where one has. The arrays are the caller's.
    """

    observation: Observation
    reward: Floats
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    last_observation: Observation
    equity: NDArray[np.float64]
    episode_return: NDArray[np.float64]


class RewardSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a step earns. Written down in core/include/gm/session/reward.hpp.

    The change of equity is counted in units of risk: what one ATR14 at the episode's first
    decision is worth on ``target_lots``, fixed for the episode, so that returns are profits.
    """

    drawdown_weight: float = 0.1  # of each unit by which the drawdown grows
    synergy_factor: float = 0.0  # of standing with the synergy; a trainer lowers it to 0
    ruin: float = 0.0  # an episode terminates when so many units are lost; 0: never


class Ground(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a configuration makes of one instrument: read once, for as many batches as one likes."""

    row: InstrumentConfig
    block: bytes
    manifest: RunManifest
    settings: Settings


def read_ground(config: str | PathLike[str] | Settings, instrument: str) -> Ground:
    """Read and check what the markets of a configuration share.

    Parameters
    ----------
    config, instrument
        As MarketBatch takes them.

    Returns
    -------
    Ground

    Raises
    ------
    ConfigError, UnknownInstrument
        As MarketBatch.

    Source
    ------
    Ours.
    """
    settings, path = _settings(config)
    if settings.kernels.path or settings.policy.profile != "strategic_only":
        raise ConfigError(
            "training wants policy.profile strategic_only and no kernels.path: "
            f"{settings.policy.profile}, {settings.kernels.path or 'none'}"
        )
    row = find_instrument(instrument, path.parent / settings.instruments_file)
    block, manifest = build_run(path, settings, (row.symbol,))
    return Ground(row=row, block=block, manifest=manifest, settings=settings)


class Recording(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A finished episode as a backtest leaves it.

    ``run`` has orders, fills, equity, figures and report; its records begin where the episode's
    session was copied, at or before the bar ``first_bar_start_ts_ns`` of its first decision. An
    ordinary run over ``bars`` with ``venue_seed`` and the same decisions makes the same fills.
    """

    run: Run
    bars: Rows
    venue_seed: int
    first_bar_start_ts_ns: int


class MarketBatch:
    """Markets that are stepped together, each to its next decision.

    Parameters
    ----------
    config : path, Settings or Ground
        As ``gm.backtest`` takes it; ``policy.bundle`` gives the agents' names and weights and the
        threshold, not their networks.
    tapes : sequence of structured arrays, shape (bars,)
        Rows of ``gm.read_bars``, 30 minutes, each at least long enough for one episode or unused.
    instrument : str
        Symbol of all tapes.
    size : int
        Markets, 1 to 65,536.
    seed : int
        0 to 2^64 - 1. Draws tape and place of every episode, and its venue's luck; the same seed
        and actions give the same bytes, however many threads.
    episode_bars : int
        Decisions of an episode.
    reward : RewardSettings
    warmup_bars : int
        Closed bars before an episode, at least. In any case the matrix is ready; the column
        ``mmd_score`` says something from 800 bars on.
    threads : int
        That step the markets, 1 to 64.
    record : bool
        Keep the last finished episode of market 0: ``recorded``.

    Raises
    ------
    BadArgument
        If a number is out of range, bars are not 30 minutes, or no tape holds an episode.
    ConfigError
        If the configuration is refused, or names user kernels.
    UnknownInstrument
        If there is no such instrument.

    Source
    ------
    Ours; SPEC §5, "Learning".
    """

    def __init__(
        self,
        config: str | PathLike[str] | Settings | Ground,
        tapes: Sequence[Rows],
        *,
        instrument: str,
        size: int,
        seed: int,
        episode_bars: int = EPISODE_BARS,
        reward: RewardSettings | None = None,
        warmup_bars: int = 0,
        threads: int = 1,
        record: bool = False,
    ) -> None:
        _check_range("seed", seed, 0, 2**64 - 1)
        _check_range("size", size, 1, 65_536)
        _check_range("episode_bars", episode_bars, 1, 1_000_000)
        _check_range("warmup_bars", warmup_bars, 0, 2**32)
        _check_range("threads", threads, 1, THREADS_MAX)
        ground = config if isinstance(config, Ground) else read_ground(config, instrument)
        if instrument != ground.row.symbol:
            raise BadArgument(f"instrument must be the ground's {ground.row.symbol}: {instrument}")
        row, self._manifest = ground.row, ground.manifest
        terms = reward or RewardSettings()
        self._bars = [_real_bars(bars) for bars in tapes]
        self._tapes = [bars_tape(bars, STRATEGIC_MINUTES, row, seed) for bars in self._bars]
        self._core = native.MarketBatch(
            ground.block,
            venue_settings(ground.settings.venue, row, seed),
            [tape.rows for tape in self._tapes],
            size=size,
            seed=seed,
            episode_bars=episode_bars,
            warmup_bars=warmup_bars,
            drawdown_weight=terms.drawdown_weight,
            synergy_factor=terms.synergy_factor,
            ruin=terms.ruin,
            keeps_record=record,
        )
        self.agents = self._manifest.agents
        self.size = size
        bounds = np.linspace(0, size, min(threads, size) + 1).astype(int).tolist()
        self._ranges = [(a, b - a) for a, b in pairwise(bounds)]
        self._pool = ThreadPoolExecutor(len(self._ranges) - 1) if len(self._ranges) > 1 else None

    @property
    def starts(self) -> int:
        """Places at which an episode may begin, over all tapes."""
        return self._core.starts

    def reset(self, seed: int | None = None) -> Observation:
        """Begin a new episode in every market.

        Parameters
        ----------
        seed : int, optional
            Begins the draws anew, 0 to 2^64 - 1. Default: the next episodes of the old draws.

        Returns
        -------
        Observation
        """
        if seed is not None:
            _check_range("seed", seed, 0, 2**64 - 1)
        out = native.Output(self.size)
        self._core.reset(out, seed)
        return Observation(out.matrix, out.context, out.position)

    def step(self, actions: NDArray[np.int64]) -> Step:
        """Step all markets to their next decision; one that ended begins its next episode.

        Parameters
        ----------
        actions : int64, shape (n, agents)
            0 long, 1 neutral, 2 short: votes of certain agents, mixed as the ensemble mixes
            probabilities.

        Returns
        -------
        Step

        Raises
        ------
        BadArgument
            If an action is none of these; nothing has moved then in its range of markets.
        ValueError
            If the shape is another, or ``reset`` was not called.
        CoreError
            If an engine or a venue failed: the batch is over.
        """
        votes = np.ascontiguousarray(actions, np.int64)
        out = native.Output(self.size)
        rest: list[Future[None]] = []
        if self._pool is not None:
            rest = [
                self._pool.submit(self._core.step, votes, out, first, count)
                for first, count in self._ranges[1:]
            ]
        try:
            self._core.step(votes, out, *self._ranges[0])
        finally:
            failures = [future.exception() for future in rest]
        for failure in failures:
            if failure is not None:
                raise failure
        return _step(out)

    def set_synergy_factor(self, factor: float) -> None:
        """Change the weight of the synergy term, at least 0, from the next step on."""
        if not 0 <= factor < np.inf:
            raise BadArgument(f"synergy_factor must be finite and at least 0: {factor}")
        self._core.set_synergy_factor(factor)

    def recorded(self) -> Recording:
        """Give the last finished episode of market 0.

        Raises
        ------
        BadArgument
            If ``record`` was not asked for, or no episode has finished.
        """
        kept = self._core.record()
        if kept is None:
            raise BadArgument("no episode is recorded: record=True, and one that has finished")
        tape, rows = self._tapes[kept["tape"]], kept["rows_played"]
        manifest = msgspec.structs.replace(self._manifest, kernels=(_RULE,), rule=_RULE)
        played = Tape(rows=tape.rows[:rows], tape_id=tape.tape_id)
        session = cast(Session, _Played(kept))  # a Run asks it for no more
        return Recording(
            run=Run(session, manifest, played, Origin(is_synthetic=None)),
            bars=self._bars[kept["tape"]][:rows],
            venue_seed=kept["venue_seed"],
            first_bar_start_ts_ns=kept["first_bar_start_ts_ns"],
        )

    def close(self) -> None:
        """End the threads. Nothing may be stepped afterwards."""
        if self._pool is not None:
            self._pool.shutdown()


class _Played:
    """What a ``Run`` asks of a session that is over."""

    def __init__(self, kept: "native.EpisodeRecord") -> None:
        self._kept = kept
        self.journal_records = len(kept["records"])

    def records(self) -> Rows:
        return self._kept["records"].copy()

    def orders(self) -> Rows:
        return self._kept["orders"].copy()

    def executions(self) -> Rows:
        return self._kept["executions"].copy()


def _step(out: native.Output) -> Step:
    observation = Observation(out.matrix, out.context, out.position)
    last = observation
    ended = out.terminated | out.truncated
    if ended.any():
        last = Observation(out.matrix.copy(), out.context.copy(), out.position.copy())
        last.matrix[ended] = out.last_matrix[ended]
        last.context[ended] = out.last_context[ended]
        last.position[ended] = out.last_position[ended]
    return Step(
        observation=observation,
        reward=out.reward,
        terminated=out.terminated,
        truncated=out.truncated,
        last_observation=last,
        equity=out.equity,
        episode_return=out.episode_return,
    )


def _settings(config: str | PathLike[str] | Settings) -> tuple[Settings, Path]:
    if isinstance(config, Settings):
        return config, configs_folder() / "settings"
    return load_settings(Path(config)), Path(config)


def _real_bars(bars: Rows) -> Rows:
    check_spacing(bars["start_ts_ns"], STRATEGIC_MINUTES)
    rows = np.zeros(len(bars), BAR)
    for name in BAR.names or ():
        rows[name] = bars[name]
    real: Rows = rows[rows["flags"] & _SYNTHETIC == 0]
    return real


def _check_range(key: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadArgument(f"{key} must lie in [{least:,}, {most:,}]: {value}")
