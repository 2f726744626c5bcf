"""G17: markets to train in beside NumPy's, and MAPPO beside plain torch and Stable-Baselines3.

Sketch, environment: an observation is 2.5 kB that anybody copies, 0.1 to 0.2 us from beyond the
second cache. NumPy pays some 45 calls of 1 us for its 64 markets together, with the copies 1 us a
step and no engine. An engine's step is an OPEN, a CLOSE and a rule's answer, an order's decision,
gate, ledger and fill, each a record that is judged and written, and the row's cheaper columns,
which an engine updates in any case: 2 to 4 us, half of it for the row. So the floor of 20 is out of
reach once features lie ready for both, also for a copy and nothing else (`best_possible_score`).
From bars, where each makes its own features, a row of 13 columns costs NumPy's reference 300 us,
the core 7.
Sketch, learner: three actors and a critic have 466 k weights. A step goes through them once in the
rollout and in each of 4 epochs three times less the first layer's input: 9.7 MFLOP, 80 us at the
117 GFLOP/s of a Zen 4 core, so 12 k environment steps/s. What bounds it, measured beside: `peak`,
the best product of 1,024-square matrices (five sixths of those 117), and `products`, the update's
own products alone, which plain torch is in for two thirds of its time. The rest is LayerNorm, ReLU
and the biases, forward and back, then the rollout's small calls; index copies, Adam and one loss an
agent are what ours saves.
Conditions: one process and core, blocks in turns (ABAB), torch on one thread; Stable-Baselines3 in
an environment of its own (`make bench-peers`) on the same core, one actor of 203 k weights on the
joint observation where we have three, no LayerNorm.
Verified: both environments give the same equity and observations over episodes of random votes,
rewards to 1e-6; both MAPPOs the same losses of a first update from equal seeds, to 1e-3 (Adam's
rounding differs; seen: 1e-7).

    python -m bench.bench_training [--json] [--smoke]
"""

import sys
import sysconfig
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench import rig, training_task as task
from bench.peers import numpy_environment as peer
from bench.peers.process import Peer, is_installed
from gm.config.instruments import instrument as find_instrument
from gm.features import local_offsets_ns, strategic_matrices
from gm.training import reference
from gm.training.environment import MarketBatch, RewardSettings

ROUNDS, ROUNDS_SMOKE = 7, 1
STEPS, STEPS_SMOKE = 1_000, 50  # of all markets, a block
PASS_BARS, PASS_BARS_SMOKE = 3_000, 2_000
VERIFIED_STEPS = 2 * task.EPISODE_BARS + 10
ROLLOUT, ROLLOUT_SMOKE = 128, 16
EPOCHS, MINIBATCHES = 4, 4
FLOOR_ENVIRONMENT, FLOOR_MAPPO = 20.0, 1.35
REWARD_LIMIT, LOSS_LIMIT = 1e-6, 1e-3
PEAK_SIDE = 1_024

Result = dict[str, Any]


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def in_turns(rounds: int, **blocks: Callable[[], float]) -> dict[str, list[float]]:
    """What each block says, round for round."""
    found: dict[str, list[float]] = {name: [] for name in blocks}
    for _ in range(rounds):
        for name, block in blocks.items():
            found[name].append(block())
    return found


def ratios(ours: list[float], theirs: list[float]) -> dict[str, float]:
    return rig.spread([a / b for a, b in zip(ours, theirs, strict=True)])


# ---- markets


def terms() -> peer.Terms:
    """What settings and instrument say, as the peer wants it."""
    tree = task.settings()
    row = find_instrument(task.SYMBOL, Path(tree.instruments_file)).to_row()[0]
    return peer.Terms(
        lots=tree.trading[task.SYMBOL].target_lots,
        tick_value_micros=int(row["tick_value_micros"]),
        slippage_ticks=tree.venue.slippage_ticks,
        commission_ppm=int(tree.venue.commission_bps[task.SYMBOL] * 100),
        hold_bars_max=tree.policy.max_hold_bars,
        drawdown_weight=RewardSettings().drawdown_weight,
        episode_bars=task.EPISODE_BARS,
    )


def market_of(tapes: list[np.ndarray], rows: list[np.ndarray]) -> peer.Market:
    """Tapes one after another, with their rows of 13 columns."""
    bars = np.concatenate(tapes)
    atr = []
    for tape in tapes:
        high, low, close = (tape[f"{n}_ticks"].astype(np.float64) for n in ("high", "low", "close"))
        atr.append(reference.average_true_range(high, low, close))
    prices = (bars["open_ticks"].copy(), bars["close_ticks"].copy())
    return peer.Market(bars["start_ts_ns"], *prices, np.concatenate(rows), np.concatenate(atr))


def starts_of(ready: list[np.ndarray]) -> np.ndarray:
    """Bars at which an episode may begin, counted over all tapes."""
    first = np.cumsum([0, *(len(each) for each in ready[:-1])])
    found = [np.flatnonzero(each)[: -task.EPISODE_BARS] for each in ready]
    return np.concatenate([bars + at for bars, at in zip(found, first, strict=True)])


def drawing(starts: np.ndarray) -> Callable[[int], np.ndarray]:
    random = np.random.default_rng(task.SEED)
    return lambda count: starts[random.integers(0, len(starts), count)]


class Told:
    """Says where the other environment's episodes have begun, by what they show."""

    def __init__(self, matrices: np.ndarray, ready: np.ndarray) -> None:
        self.known = {matrices[bar].tobytes(): int(bar) for bar in np.flatnonzero(ready)}
        self.next = np.zeros(0, np.int64)

    def tell(self, matrices: np.ndarray) -> None:
        self.next = np.array([self.known[matrix.tobytes()] for matrix in matrices], np.int64)

    def __call__(self, count: int) -> np.ndarray:
        assert count == len(self.next)
        return self.next


def verify(ours: MarketBatch, theirs: peer.NumpyEnvironment, told: Told) -> None:
    """Same votes, same answers, over episodes that end and begin anew."""
    told.tell(ours.reset(task.SEED).matrix)
    theirs.reset()
    trades = 0
    for votes in task.drawn_actions(VERIFIED_STEPS):
        a = ours.step(votes)
        ended = a.terminated | a.truncated
        told.tell(a.observation.matrix[ended])
        b = theirs.step(votes)
        np.testing.assert_array_equal(b.equity, a.equity)
        np.testing.assert_array_equal(b.truncated, a.truncated)
        np.testing.assert_allclose(b.reward, a.reward, REWARD_LIMIT, REWARD_LIMIT)
        for name in ("observation", "last_observation"):
            for part in ("matrix", "context", "position"):
                seen = getattr(getattr(a, name), part)
                np.testing.assert_array_equal(getattr(getattr(b, name), part), seen)
        trades += int(np.count_nonzero(a.last_observation.position))
    if trades < VERIFIED_STEPS * task.MARKETS // 4:
        sys.exit(f"a position was held in {trades} market steps only: nothing was verified")


def stepping(environment: Any, votes: np.ndarray) -> Callable[[], float]:
    def block() -> float:
        took = seconds(lambda: [environment.step(each) for each in votes])
        return votes.shape[0] * votes.shape[1] / took

    return block


def measure_environment(rounds: int, steps: int) -> Result:
    """Both with rows that lie ready: what a step costs."""
    tapes = task.tapes()
    found = [strategic_matrices(tape, task.SYMBOL) for tape in tapes]
    matrices, ready = (np.concatenate([each[i] for each in found]) for i in (0, 1))
    market = market_of(tapes, [each[0][:, -1] for each in found])
    ours, told = task.batch(bars=tapes), Told(matrices, ready)
    verify(ours, peer.NumpyEnvironment(market, terms(), task.MARKETS, told), told)
    draw = drawing(starts_of([each[1] for each in found]))
    theirs = peer.NumpyEnvironment(market, terms(), task.MARKETS, draw)
    theirs.reset()
    votes, places = task.drawn_actions(steps), [draw(task.MARKETS) for _ in range(steps)]

    def copying() -> float:  # observations alone, as either must
        took = seconds(lambda: [theirs.windows[at] for at in places])
        return steps * task.MARKETS / took

    rates = in_turns(
        rounds, ours=stepping(ours, votes), theirs=stepping(theirs, votes), copies=copying
    )
    ours.close()
    return {
        "score_environment": ratios(rates["ours"], rates["theirs"]),
        "environment_steps_per_s": rig.spread(rates["ours"]),
        "numpy_environment_steps_per_s": rig.spread(rates["theirs"]),
        "observation_copies_per_s": rig.spread(rates["copies"]),
        "best_possible_score": ratios(rates["copies"], rates["theirs"]),
    }


def measure_pass(rounds: int, bars: int) -> Result:
    """Both from bars: make the features of a tape, then step through as many decisions."""
    tape, tree, rules = task.tapes(1, bars), task.settings(), terms()
    votes = task.drawn_actions(bars // task.MARKETS)

    def ours() -> None:
        batch = task.batch(bars=tape, tree=tree)
        batch.reset()
        for each in votes:
            batch.step(each)
        batch.close()

    def theirs() -> None:
        offsets = local_offsets_ns(tape[0]["start_ts_ns"], task.SYMBOL)
        matrices, ready = reference.strategic_matrices(tape[0], offsets)
        market = market_of(tape, [matrices[:, -1]])
        draw = drawing(starts_of([ready]))
        environment = peer.NumpyEnvironment(market, rules, task.MARKETS, draw)
        environment.reset()
        for each in votes:
            environment.step(each)

    count = votes.shape[0] * votes.shape[1]
    rates = in_turns(
        rounds, ours=lambda: count / seconds(ours), theirs=lambda: count / seconds(theirs)
    )
    return {
        "score_pass": ratios(rates["ours"], rates["theirs"]),
        "pass_steps_per_s": rig.spread(rates["ours"]),
        "numpy_pass_steps_per_s": rig.spread(rates["theirs"]),
    }


# ---- the learner


def learner_settings(rollout: int) -> Any:
    from gm.training.settings import MappoSettings

    return MappoSettings(
        markets=task.MARKETS, rollout=rollout, epochs=EPOCHS, minibatches=MINIBATCHES,
        steps=1_000 * rollout * task.MARKETS, seed=1,
    )  # fmt: skip


def widths_of_networks() -> list[tuple[int, ...]]:
    from gm.training.networks import HIDDEN, STRATEGIC

    inputs = [len(each.columns) * STRATEGIC.rows + STRATEGIC.context for each in STRATEGIC.agents]
    actors = [(width, *HIDDEN, 3) for width in inputs]
    return [*actors, (STRATEGIC.joint_inputs, *HIDDEN, 1)]


def flop_of_step() -> float:
    """Of one market's decision: once forward in the rollout; forward and back in each epoch."""
    layers = [[a * b for a, b in pairwise(widths)] for widths in widths_of_networks()]
    weights, first = sum(map(sum, layers)), sum(each[0] for each in layers)
    return 2.0 * (weights + EPOCHS * (3 * weights - first))


class Products:
    """The matrix products of an update, and nothing else."""

    def __init__(self, rollout: int) -> None:
        self.rollout, self.rows = rollout, rollout * task.MARKETS // MINIBATCHES
        self.layers = []
        for widths in widths_of_networks():
            for i, (inputs, outputs) in enumerate(pairwise(widths)):
                self.layers.append(self.tensors(inputs, outputs, is_first=i == 0))

    def tensors(self, inputs: int, outputs: int, *, is_first: bool) -> tuple[Any, ...]:
        import torch

        x, y = torch.randn(self.rows, inputs), torch.randn(self.rows, outputs)
        weight = torch.randn(outputs, inputs)
        return x, y, weight, torch.empty_like(weight), None if is_first else torch.empty_like(x)

    def run(self) -> None:
        import torch

        for x, y, weight, _, _ in self.layers:
            rows = task.MARKETS
            for _ in range(self.rollout):
                torch.mm(x[:rows], weight.T, out=y[:rows])
        for _ in range(EPOCHS * MINIBATCHES):
            for x, y, weight, weight_gradient, x_gradient in self.layers:
                torch.mm(x, weight.T, out=y)
                torch.mm(y.T, x, out=weight_gradient)
                if x_gradient is not None:
                    torch.mm(y, weight, out=x_gradient)


def peak_flop_per_s() -> float:
    import torch

    a, b = torch.randn(2, PEAK_SIDE, PEAK_SIDE)
    out = torch.empty_like(a)
    best = min(seconds(lambda: torch.mm(a, b, out=out)) for _ in range(4))
    return 2.0 * PEAK_SIDE**3 / best


def verify_losses(ours: list[float], theirs: list[float]) -> float:
    """Largest relative difference of the losses of an update from equal seeds."""
    differences = np.abs(np.subtract(ours, theirs)) / np.maximum(np.abs(theirs), 1.0)
    worst = float(differences.max())
    if len(ours) != EPOCHS * MINIBATCHES or not worst <= LOSS_LIMIT:
        sys.exit(f"losses of equal seeds differ by {worst:.3g}, limit {LOSS_LIMIT}")
    return worst


def stable_baselines(rollout: int) -> Peer | None:
    """Warm, as ours is."""
    if not is_installed("sb3"):
        return None
    found = Peer("sb3", "sb3_ppo", max(rig.available_cores()))
    found.ask("load", packages=sysconfig.get_paths()["purelib"], rollout=rollout)
    found.ask("update")
    return found


def measure_learner(rounds: int, rollout: int) -> Result:
    if find_spec("torch") is None:
        return {"mappo_not_measured": "torch is not installed: .ci/setup train"}
    import torch

    from bench.peers.plain_mappo import PlainMappo
    from gm.training.mappo import Trainer

    torch.set_num_threads(1)
    tapes = task.tapes()
    ours = Trainer(learner_settings(rollout), task.batch(bars=tapes))
    plain = PlainMappo(learner_settings(rollout), task.batch(bars=tapes))
    ours.update()
    worst = verify_losses(ours.losses, plain.update())
    products, sb3 = Products(rollout), stable_baselines(rollout)
    steps = rollout * task.MARKETS
    blocks = {
        "ours": lambda: steps / seconds(ours.update),
        "plain": lambda: steps / seconds(plain.update),
        "products": lambda: steps / seconds(products.run),
        "peak": lambda: peak_flop_per_s() / flop_of_step(),
    }
    if sb3 is not None:
        blocks["sb3"] = lambda: sb3.ask("update")["steps_per_s"]
    rates = in_turns(rounds, **blocks)
    result = {
        "score_mappo": ratios(rates["ours"], rates["plain"]),
        "best_possible_score_mappo": ratios(rates["peak"], rates["plain"]),
        "mappo_of_peak": ratios(rates["ours"], rates["peak"]),
        "mappo_of_products": ratios(rates["ours"], rates["products"]),
        "mappo_steps_per_s": rig.spread(rates["ours"]),
        "plain_mappo_steps_per_s": rig.spread(rates["plain"]),
        "products_steps_per_s": rig.spread(rates["products"]),
        "peak_steps_per_s": rig.spread(rates["peak"]),
        "mflop_per_step": flop_of_step() / 1e6,
        "loss_worst_difference": worst,
    }
    if sb3 is None:
        return result | {"sb3_not_measured": "Stable-Baselines3 is not installed: make bench-peers"}
    sb3.__exit__(None, None, None)
    return result | {
        "score_sb3": ratios(rates["ours"], rates["sb3"]),
        "sb3_steps_per_s": rig.spread(rates["sb3"]),
    }


def measure(*, smoke: bool) -> Result:
    rounds = ROUNDS_SMOKE if smoke else ROUNDS
    return {
        "floor_environment": FLOOR_ENVIRONMENT,
        "floor_mappo": FLOOR_MAPPO,
        **measure_environment(rounds, STEPS_SMOKE if smoke else STEPS),
        **measure_pass(rounds, PASS_BARS_SMOKE if smoke else PASS_BARS),
        **measure_learner(rounds, ROLLOUT_SMOKE if smoke else ROLLOUT),
    }


def main() -> None:
    title = __doc__.splitlines()[0]
    options = rig.options(title)
    rig.pin()
    rig.publish(title, measure(smoke=options.smoke), as_json=options.json)


if __name__ == "__main__":
    main()
