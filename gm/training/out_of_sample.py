"""What a bundle earns on the slice that its training never saw, beside what it must beat.

Each player walks the whole test slice once, in the engine, gate and venue of a backtest, after all
costs; what bars before the slice do to the features is watched, not traded. Some markets with other
luck at the venue are averaged. Intervals resample blocks as long as a position is held, because
bars of one path depend on each other; they know nothing of other months.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm._native.policy import Ensemble
from gm.errors import BadArgument
from gm.features import STRATEGIC_COLUMNS
from gm.models import BASELINE_PATH, Bundle, agent_rows, load_bundle
from gm.models.drift import ROWS_MIN
from gm.training.baselines import buy_and_hold, fit_random_entry, momentum, random_entry, votes
from gm.training.drift import fit_guard, strange_run
from gm.training.optimum import HOLD
from gm.training.run_folder import pretty
from gm.training.statistics import LEVEL, RESAMPLES
from gm.training.tapes import Tapes

MARKETS = 8  # venues with other luck
RANDOM_MARKETS = 64  # luck of random entry, too
BLOCK_BARS = 46  # as long as a position is held: policy.max_hold_bars
BLOCKS_MIN = 5  # fewer independent stretches than that are no sample
BASELINE, HOLDING, MOMENTUM, RANDOM = "baseline", "buy and hold", "momentum", "random entry"
_SEED = 1_000_003
_BOOTSTRAP_SEED = 20_220_131  # equal paths give equal intervals

Floats = NDArray[np.float64]
Decide = Callable[[Any], NDArray[np.int64]]


class Sum(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A net result in currency and its 95 % interval; no interval where the path is too short."""

    net: float
    low: float | None
    high: float | None


class Player(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to trade the slice.

    ``result``: its own. ``ahead``: the bundle's minus this one's, bar by bar on the same path;
    None for the bundle. ``time_in_market``: share of bars with a position. ``turns``: changes of
    the position's side, a market. ``drawdown``: deepest fall of the mean path, not above 0.
    """

    name: str
    result: Sum
    ahead: Sum | None
    time_in_market: float
    turns: float
    drawdown: float


class OutOfSample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The report. ``verdict`` says in words what it proves and what it cannot."""

    bundle: str
    instrument: str
    currency: str
    first_ts_ns: int
    last_ts_ns: int
    days: float
    bars: int
    players: tuple[Player, ...]
    verdict: str


class _Walk(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    changes: Floats  # (bars,): of equity, mean over markets
    positions: Floats  # (markets, bars): after each decision


def examine(tapes: Tapes, bundle: Bundle) -> OutOfSample:
    """Walk the test slices with a bundle and with its rivals.

    Parameters
    ----------
    tapes : Tapes
        All its tapes are walked, one after the other.
    bundle : Bundle
        Its own networks, temperatures and threshold decide, as in the engine.

    Returns
    -------
    OutOfSample
        Players: the bundle, baseline, buy and hold, momentum, and random entry fitted to how often
        and how long the bundle trades; without the last if the bundle never traded.

    Raises
    ------
    GmError
        As the training environment.

    Source
    ------
    SPEC §7, baselines. Ours.
    """
    ours = _walk(tapes, _decides(bundle))
    rivals = {
        BASELINE: _walk(tapes, _decides(load_bundle(BASELINE_PATH))),
        HOLDING: _walk(tapes, lambda seen: buy_and_hold(seen.matrix), max_hold_bars=0),
        MOMENTUM: _walk(tapes, lambda seen: momentum(seen.matrix)),
    }
    if np.any(ours.positions != 0):
        chances = fit_random_entry(ours.positions, tapes.max_hold_bars)
        dice = np.random.Generator(np.random.PCG64(_SEED))
        rivals[RANDOM] = _walk(
            tapes,
            lambda seen: random_entry(chances, seen.position, dice),
            size=RANDOM_MARKETS,
        )
    name = bundle.manifest.name
    players = (
        _player(name, ours, None),
        *(_player(rival, walk, ours) for rival, walk in rivals.items()),
    )
    bars = len(ours.changes)
    first_ts_ns, last_ts_ns = tapes.test_range()
    days = round(bars * tapes.bar_minutes / 1440, 2)
    return OutOfSample(
        bundle=name,
        instrument=tapes.instrument.symbol,
        currency=tapes.instrument.currency,
        first_ts_ns=first_ts_ns,
        last_ts_ns=last_ts_ns,
        days=days,
        bars=bars,
        players=players,
        verdict=verdict(players, tapes.instrument.currency, days) + _of_guard(tapes),
    )


def path_sum(changes: Floats, block: int = BLOCK_BARS) -> Sum:
    """Sum of the changes of one path, with the interval that resampled blocks give.

    Parameters
    ----------
    changes : float64, shape (bars,)
    block : int
        Bars that depend on each other.

    Returns
    -------
    Sum
        Without interval if the path holds fewer than five blocks.

    Source
    ------
    Politis, Romano, "A circular block-resampling procedure for stationary data", 1992.
    """
    count = len(changes)
    net = float(changes.sum())
    if count < BLOCKS_MIN * block:
        return Sum(net=net, low=None, high=None)
    random = np.random.Generator(np.random.PCG64(_BOOTSTRAP_SEED))
    blocks = -(-count // block)
    starts = random.integers(0, count, (RESAMPLES, blocks))
    running = np.concatenate([[0.0], np.cumsum(np.concatenate([changes, changes[:block]]))])
    lengths = np.full(blocks, block)
    lengths[-1] = count - block * (blocks - 1)  # as many bars as the path has
    sums = (running[starts + lengths] - running[starts]).sum(axis=1)
    low, high = np.quantile(sums, [0.5 - 0.5 * LEVEL, 0.5 + 0.5 * LEVEL])
    return Sum(net=net, low=float(low), high=float(high))


def verdict(players: tuple[Player, ...], currency: str, days: float) -> str:
    """Say in words what the figures say, and no more."""
    ours, rivals = players[0], players[1:]
    low, high = ours.result.low, ours.result.high
    said = [f"{ours.name} {_result(ours.result.net, currency)} in {days:g} days out of sample"]
    if ours.turns == 0:
        said.append("it never traded")
    elif low is None or high is None:
        said.append("too few bars for an interval")
    elif low > 0.0:
        said.append("a profit, on this path")
    elif high < 0.0:
        said.append("a loss, on this path")
    else:
        said.append("neither profit nor loss is shown: the 95 % interval holds 0")
    for rival in rivals:
        if rival.ahead is None or rival.ahead.low is None or rival.ahead.high is None:
            continue
        if rival.ahead.low > 0.0:
            said.append(f"ahead of {rival.name}")
        elif rival.ahead.high < 0.0:
            said.append(f"behind {rival.name}")
        else:
            said.append(f"not told apart from {rival.name}")
    return "; ".join(said) + ". One path of one market: no evidence about any other month."


def _of_guard(tapes: Tapes) -> str:
    """Whether an engine would have borne with the bundle for as long as the walk is."""
    rows = tapes.rows("train")
    if len(rows) < ROWS_MIN:
        return ""
    guard = fit_guard(rows, STRATEGIC_COLUMNS)
    longest = strange_run(guard, tapes.rows("test"))
    if longest <= guard.rows_max:
        return ""
    return (
        f" Up to {longest} rows in a row lie outside what it was trained on, and its guard bears "
        f"{guard.rows_max}: an engine with another model behind this one would have gone back to "
        "it, which this walk leaves out."
    )


def metrics_of(report: OutOfSample) -> dict[str, float]:
    """The figures as a manifest keeps them, by names like ``out_of_sample.baseline.net``."""
    found = {}
    for i, player in enumerate(report.players):
        parts = {"": player.result, "bundle_ahead_": player.ahead}
        who = "bundle" if i == 0 else player.name.replace(" ", "_")
        for prefix, part in parts.items():
            values = {} if part is None else msgspec.structs.asdict(part)
            for key, value in values.items():
                if value is not None:
                    found[f"out_of_sample.{who}.{prefix}{key}"] = value
    return found


def examined_as(raw: bytes, name: str) -> bytes:
    """The JSON of a report, with the bundle under another name."""
    report = msgspec.json.decode(raw, type=OutOfSample)
    ours = msgspec.structs.replace(report.players[0], name=name)
    text = report.verdict.replace(report.bundle, name, 1)
    players = (ours, *report.players[1:])
    return pretty(msgspec.structs.replace(report, bundle=name, players=players, verdict=text))


def _result(net: float, currency: str) -> str:
    return f"{'made' if net >= 0 else 'lost'} {abs(net):,.2f} {currency}"


def _decides(bundle: Bundle) -> Decide:
    """All agents of the environment vote what the bundle's ensemble decides to do."""
    ensemble = Ensemble(*agent_rows(bundle), bundle.manifest.threshold)

    def decide(seen: Any) -> NDArray[np.int64]:  # noqa: ANN401
        # What is shown does not depend on what was traded: the first market's is everybody's.
        found = ensemble.decide(seen.matrix[0], seen.context[0])
        action = found["action"] if found["acts"] else HOLD
        return votes(np.full(len(seen.matrix), action))

    return decide


def _walk(
    tapes: Tapes, decide: Decide, *, size: int | None = None, max_hold_bars: int | None = None
) -> _Walk:
    size = size or MARKETS
    changes, positions = [], []
    for tape in range(len(tapes.splits)):
        market = tapes.walk(tape, size=size, seed=_SEED, max_hold_bars=max_hold_bars)
        seen = market.batch.reset(_SEED)
        equity = np.zeros((market.decisions + 1, size))
        held = np.zeros((size, market.decisions))
        for bar in range(market.decisions):
            step = market.batch.step(decide(seen))
            seen = step.observation
            equity[bar + 1] = step.equity
            held[:, bar] = step.last_observation.position
        if not np.all(step.truncated | step.terminated):
            raise BadArgument(f"a walk of {market.decisions} decisions did not reach its end")
        market.batch.close()
        changes.append(np.diff(equity.mean(axis=1)))
        positions.append(held)
    return _Walk(changes=np.concatenate(changes), positions=np.concatenate(positions, axis=1))


def _player(name: str, walk: _Walk, ours: _Walk | None) -> Player:
    signs = np.sign(walk.positions)
    path = np.concatenate([[0.0], np.cumsum(walk.changes)])
    return Player(
        name=name,
        result=path_sum(walk.changes),
        ahead=None if ours is None else path_sum(ours.changes - walk.changes),
        time_in_market=float(np.mean(signs != 0)),
        turns=float(np.count_nonzero(np.diff(signs, prepend=0.0, axis=1)) / len(signs)),
        drawdown=float(np.min(path - np.maximum.accumulate(path))),
    )
