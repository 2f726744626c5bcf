"""The proof that training works: agents against what is known to be there to be found.

A signal is planted in bars, agents are trained on some of them, and an exam is held on others
(gm.training.exam). Three more sit it: the clairvoyant, who sees the signal; the best observer, who
sees past returns and knows every parameter of the market; and chance. All trade through the same
engine, gate and venue at the same costs.

``train_and_sit`` is one seed of one algorithm and needs nothing but its argument, so that processes
may share the work. ``judge`` makes of several seeds what can be said of all.
"""

import time
from collections.abc import Sequence

import msgspec
import numpy as np
import torch

from gm.errors import BadArgument
from gm.training.environment import MarketBatch
from gm.training.exam import (
    SYMBOL,
    WARMUP_BARS,
    Exam,
    Integers,
    Moment,
    Player,
    Sat,
    cost_of,
    exam_ground,
)
from gm.training.mappo import Trainer, parameter_hash
from gm.training.markets import Unplayable
from gm.training.observer import best_observer
from gm.training.optimum import HOLD_BARS_MAX, episode_reward, solve_optimum
from gm.training.planted import Floats, PlantedSettings, planted_market
from gm.training.settings import MappoSettings
from gm.training.split import EPISODE_BARS
from gm.training.statistics import Interval, difference_interval, mean_interval

SHARE_MIN = 0.70  # of the clairvoyant optimum
_EXAM_SEED = (1 << 40) + 1_000_000  # of the first market; training's are below
_MARKETS_A_SEED = 1 << 20
_POINTS = 81  # of the grid of s: within a thousandth of the default's optimum, sooner
_CURVE = ("reward_mean", "entropy", "explained_variance", "kl")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained on which markets, and how it is examined. ``name`` of the contestant."""

    name: str
    planted: PlantedSettings
    training: MappoSettings
    tapes: int = 64  # to train on
    tape_bars: int = 4_000
    episodes: int = 200
    episode_bars: int = EPISODE_BARS


class Trained(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one seed of one contestant learned. ``seconds`` are those of the updates alone."""

    name: str
    seed: int
    sat: Sat
    parameters_sha256: str
    steps: int
    seconds: float
    curve: list[dict[str, float]]


class Reference(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How one that needs no training did; ``program``: what dynamic programming says it earns."""

    sat: Sat
    program: float


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What seeds together say. Profit is a bar, in deviations of a bar."""

    profit: dict[str, Interval]  # of each contestant
    lead: dict[str, Interval]  # mappo's profit less that of each other
    over_share_min: Interval  # mappo's profit less 0.70 of the clairvoyant's
    shares: list[float]  # of the clairvoyant's profit, one a seed of mappo; none of nothing


def train_and_sit(proof: Proof, exam: Exam | None = None) -> Trained:
    """Train one seed on one thread, and hold the exam.

    Parameters
    ----------
    proof : Proof
        ``random`` learns nothing and only sits.
    exam : Exam, optional
        Of this proof, where the caller holds it already: as ``make_exam``.

    Returns
    -------
    Trained

    Raises
    ------
    BadArgument
        As MarketBatch and Exam.
    TrainingDiverged
        If a loss is not finite.

    Source
    ------
    SPEC §5, Learning and Planted signal.
    """
    torch.set_num_threads(1)
    settings = proof.training
    curve, seconds, steps = [], 0.0, 0
    if settings.algorithm == "random":
        trainer = Trainer(settings, Unplayable(settings.markets))
    else:
        trainer = Trainer(settings, _training_markets(proof))
        started = time.monotonic()
        while not trainer.done:
            steps += settings.markets * settings.rollout
            metrics = trainer.update()
            curve.append({"steps": steps, **{name: metrics[name] for name in _CURVE}})
        seconds = time.monotonic() - started
    sat = (exam or make_exam(proof)).sit(_agents(trainer))
    return Trained(
        name=proof.name, seed=settings.seed, sat=sat,
        parameters_sha256=parameter_hash(trainer), steps=steps, seconds=seconds, curve=curve,
    )  # fmt: skip


def make_exam(proof: Proof) -> Exam:
    """Make the episodes that no training of this proof has seen, the same for every seed."""
    return Exam(
        exam_ground(),
        proof.planted,
        seed=_EXAM_SEED,
        episodes=proof.episodes,
        bars=proof.episode_bars,
    )


def sit_references(proof: Proof, exam: Exam | None = None) -> dict[str, Reference]:
    """Hold the exam with those who need no training.

    Parameters
    ----------
    proof : Proof
    exam : Exam, optional
        As for ``train_and_sit``.

    Returns
    -------
    dict
        ``clairvoyant`` and ``observer``.

    Raises
    ------
    BadArgument
        As Exam and solve_optimum.

    Source
    ------
    SPEC §5, Planted signal.
    """
    exam, bars = exam or make_exam(proof), proof.episode_bars
    cost = cost_of(exam_ground(), proof.planted)
    observer = best_observer(proof.planted)
    best = solve_optimum(proof.planted, cost, HOLD_BARS_MAX, _POINTS)
    seen = solve_optimum(observer.seen, cost, HOLD_BARS_MAX, _POINTS)
    return {
        name: Reference(sat=exam.sit(player), program=episode_reward(optimum, bars) / bars)
        for name, player, optimum in (
            ("clairvoyant", exam.clairvoyant(best), best),
            ("observer", exam.observer(observer, seen), seen),
        )
    }


def judge(runs: Sequence[Trained], clairvoyant: Floats) -> Judgement:
    """Compare contestants over seeds and episodes.

    Parameters
    ----------
    runs : sequence of Trained
        Of at least two seeds, the same for every contestant; one is called mappo.
    clairvoyant : float64, shape (episodes,)
        Profit of the same episodes.

    Returns
    -------
    Judgement
        Intervals of 95 %: seeds and episodes are drawn again, episodes once for all seeds.

    Raises
    ------
    BadArgument
        If seeds differ between contestants or are fewer than two.

    Source
    ------
    gm.training.statistics.
    """
    tables, seeds = {}, {}
    for name in sorted({run.name for run in runs}):
        found = sorted((run for run in runs if run.name == name), key=lambda run: run.seed)
        tables[name] = np.stack([run.sat.profit for run in found])
        seeds[name] = [run.seed for run in found]
    if "mappo" not in seeds or any(each != seeds["mappo"] for each in seeds.values()):
        raise BadArgument(f"every contestant must have run the seeds of mappo: {seeds}")

    best = float(clairvoyant.mean())
    return Judgement(
        profit={name: mean_interval(each, episodes="shared") for name, each in tables.items()},
        lead={
            name: difference_interval(tables["mappo"], each, episodes="shared", is_paired=True)
            for name, each in tables.items()
            if name != "mappo"
        },
        over_share_min=mean_interval(tables["mappo"] - SHARE_MIN * clairvoyant, episodes="shared"),
        shares=[float(row.mean()) / best for row in tables["mappo"]] if best > 0.0 else [],
    )


def _training_markets(proof: Proof) -> MarketBatch:
    settings = proof.training
    first, seed_max = settings.seed * _MARKETS_A_SEED, _EXAM_SEED // _MARKETS_A_SEED - 1
    if proof.tapes > _MARKETS_A_SEED or settings.seed > seed_max:
        raise BadArgument(
            f"seed and tapes must leave the exam's markets alone: {settings.seed}, {proof.tapes}; "
            f"at most {seed_max}, {_MARKETS_A_SEED}"
        )
    tapes = [
        planted_market(proof.planted, first + i, proof.tape_bars).bars for i in range(proof.tapes)
    ]
    return MarketBatch(
        exam_ground(), tapes, instrument=SYMBOL, size=settings.markets, seed=settings.seed,
        episode_bars=proof.episode_bars, warmup_bars=WARMUP_BARS,
    )  # fmt: skip


def _agents(trainer: Trainer) -> Player:
    """Their likeliest actions; chance draws."""

    def player(moment: Moment) -> Integers:
        return trainer.act(moment.observation, is_greedy=True)

    return player
