"""The proof that training works: agents find a planted signal, and nothing where there is none.

Sketch: three actors and the joint critic are 0.47 million multiplications forward, so a decision
costs 6 million with four epochs, some 0.25 ms of one core; the market takes 7 us for it. Learning
is the cost, stepping is not.
Conditions: SPEC §5's networks, rewards and learning rates; one thread a process, two processes, so
that a seed's mappo and ippo are trained side by side. Each seed is trained on bars of its own and
sits the same exam as chance, the clairvoyant and the best observer of returns: fresh episodes of
256 bars. Then mappo again without a signal.
Verified: clairvoyant and observer earn in the exam what their dynamic programs say. That equal
seeds give equal parameters is a test (tests/training/test_mappo.py); the hashes are printed.

    python -m bench.bench_planted [--seeds 5] [--episodes 200] [--steps N] [--json] [--smoke]

Half an hour on two free cores. Kept in var/bench/planted.json with every seed's learning curve.
Exit 1 where a claim of issue 4 does not hold.
"""

import argparse
import importlib.util
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec
import numpy as np

from bench import rig
from gm.training.planted import PlantedSettings
from gm.training.settings import MappoSettings

PROCESSES = 2
FIRST_SEED = 101  # markets, settings and the text below were chosen on seeds 1 and 2, another exam
SEEDS, EPISODES = 5, 200
MINUTES_MAX = 10.0
ERRORS_MAX = 5.0  # standard errors between exam and dynamic program
# Turning one q costs 0.45 deviations of a bar: what is held already matters, as it does on markets.
SIGNAL = PlantedSettings(signal_to_noise=1.5, persistence=0.95, volatility=0.0005)
NOTHING = msgspec.structs.replace(SIGNAL, signal_to_noise=0.0)
# A decision can be undone at the next bar, and what a position is worth then the joint critic
# knows, for it sees the position: little is left for the tail of the advantage, which is noise.
# More minibatches than by default, for steps of Adam are what so few decisions are short of.
SETTINGS = MappoSettings(steps=400_000, minibatches=16, gae_lambda=0.2)
SMOKE_SETTINGS = msgspec.structs.replace(SETTINGS, steps=512, markets=8, rollout=32)
# Contestants, and in what their settings differ from those above. ippo differs by its critics only.
# ippo_own has the lambda that suited it best of 0.2, 0.5 and 0.8 (one seed of 123,000 decisions
# earned 63, 71 and 70 % of the clairvoyant; mappo 73 and 72 with 0.2 and 0.5): critics that do not
# see the position need more of what came of it. With 57,000 decisions ippo_own is ahead of mappo.
CONTESTANTS = {
    "mappo": {},
    "ippo": {"algorithm": "ippo"},
    "ippo_own": {"algorithm": "ippo", "gae_lambda": 0.5},
    "random": {"algorithm": "random"},
}
MARKETS = {"signal": (SIGNAL, tuple(CONTESTANTS)), "none": (NOTHING, ("mappo", "random"))}


def proofs(market: str, seeds: int, settings: MappoSettings, changes: dict) -> list:
    """Seed by seed, the contestants side by side."""
    from gm.training.proof import Proof

    planted, names = MARKETS[market]
    return [
        Proof(
            name=name,
            planted=planted,
            training=msgspec.structs.replace(settings, seed=seed, **CONTESTANTS[name]),
            **changes,
        )
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        for name in names
    ]


def verify(name: str, reference) -> None:
    """What it earned in the exam is what the dynamic program says."""
    profit = reference.sat.profit
    error = float(profit.std(ddof=1)) / np.sqrt(len(profit))
    away = abs(float(profit.mean()) - reference.program)
    if away > ERRORS_MAX * error + 1e-6:
        sys.exit(
            f"{name} earned {profit.mean():.4f} a bar, its program says {reference.program:.4f}: "
            f"{ERRORS_MAX:.0f} standard errors are {ERRORS_MAX * error:.4f}"
        )


def row(run) -> dict[str, object]:
    sat = run.sat
    return {
        "name": run.name, "seed": run.seed, "profit": float(sat.profit.mean()),
        "held": sat.held, "turned": sat.turned, "parameters_sha256": run.parameters_sha256,
        "steps": run.steps, "minutes": run.seconds / 60.0, "curve": run.curve,
    }  # fmt: skip


def measure_market(
    name: str, pool, seeds: int, settings: MappoSettings, changes: dict
) -> dict[str, object]:
    from gm.training import proof

    work = proofs(name, seeds, settings, changes)
    asked = pool.submit(proof.sit_references, work[0])
    runs = list(pool.map(proof.train_and_sit, work))
    references = asked.result()
    for key, reference in references.items():
        verify(f"{name}: {key}", reference)
    best = references["clairvoyant"].sat.profit
    judgement = proof.judge(runs, best)
    return msgspec.to_builtins(judgement) | {
        "planted": msgspec.to_builtins(MARKETS[name][0]),
        "references": {
            key: {"profit": float(each.sat.profit.mean()), "program": each.program,
                  "held": each.sat.held, "turned": each.sat.turned}
            for key, each in references.items()
        },
        "runs": [row(run) for run in runs],
    }  # fmt: skip


def claims(signal: dict, none: dict) -> dict[str, bool]:
    """What issue 4 asks for."""
    from gm.training import proof

    minutes = [run["minutes"] for run in signal["runs"]]
    return {
        "share": bool(np.mean(signal["shares"]) >= proof.SHARE_MIN),
        **{f"beats {name}": each["low"] > 0.0 for name, each in signal["lead"].items()},
        "nothing where nothing is": none["profit"]["mappo"]["low"] <= 0.0,
        "minutes a seed": max(minutes) <= MINUTES_MAX,
    }


def measure(options: argparse.Namespace) -> dict[str, object]:
    settings = SMOKE_SETTINGS if options.smoke else SETTINGS
    if options.steps:
        settings = msgspec.structs.replace(settings, steps=options.steps)
    changes: dict[str, object] = {"episodes": options.episodes}
    if options.smoke:
        changes |= {"tapes": 2, "tape_bars": 2_500, "episode_bars": 64}
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        found = {
            name: measure_market(name, pool, options.seeds, settings, changes) for name in MARKETS
        }
    signal, none = found["signal"], found["none"]
    shares = signal["shares"]
    return {
        "settings": msgspec.to_builtins(settings),
        "contestants": CONTESTANTS,
        "seeds": options.seeds,
        "episodes": options.episodes,
        "score_share": rig.spread(shares),
        "minutes_a_run": rig.spread(
            [run["minutes"] for run in signal["runs"] if run["name"] != "random"]
        ),
        "claims": claims(signal, none),
        **found,
    }


def interval(found: dict) -> str:
    return f"{found['estimate']:+.4f} | {found['low']:+.4f} to {found['high']:+.4f}"


def show(result: dict) -> None:
    """Markdown."""
    print(f"{rig.describe_machine()}\n")
    print(f"{result['seeds']} seeds, {result['episodes']} fresh episodes, "
          f"{result['settings']['steps']:,} decisions a training; profit a bar after costs in "
          "deviations of a bar, 95 % intervals\n")  # fmt: skip
    print("| Market | Who | Profit a bar | Interval |\n|---|---|---|---|")
    for name in MARKETS:
        market = result[name]
        for key, each in market["references"].items():
            print(f"| {name} | {key} | {each['profit']:+.4f} | program {each['program']:+.4f} |")
        for key, each in market["profit"].items():
            print(f"| {name} | {key} | {interval(each)} |")
        for key, each in market["lead"].items():
            print(f"| {name} | mappo less {key} | {interval(each)} |")
        if market["shares"]:
            print(f"| {name} | mappo less 0.7 clairvoyant | {interval(market['over_share_min'])} |")
    shares = ", ".join(f"{share:.1%}" for share in result["signal"]["shares"])
    print(f"\nShare of the clairvoyant, a seed: {shares}")
    print(f"Minutes a training, one core: {result['minutes_a_run']['median']:.1f}")
    for name in MARKETS:
        for run in result[name]["runs"]:
            print(f"  {name:7s} {run['name']:8s} seed {run['seed']}  {run['profit']:+.4f}  "
                  f"in the market {run['held']:.0%}, turns {run['turned']:.3f} a bar  "
                  f"{run['parameters_sha256'][:16]}")  # fmt: skip
    for claim, holds in result["claims"].items():
        print(f"{'holds ' if holds else 'FAILED'}  {claim}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--episodes", type=int)
    parser.add_argument("--steps", type=int, help="decisions a training")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="one short round: shows that it runs")
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print(json.dumps({"not measured": "torch is not installed: .ci/setup train"}))
        return
    options.seeds = options.seeds or (2 if options.smoke else SEEDS)
    options.episodes = options.episodes or (4 if options.smoke else EPISODES)
    result = measure(options)
    if options.json:
        print(json.dumps({"machine": rig.machine(), **result}))
    else:
        show(result)
        if not options.smoke:
            rig.save("planted", result)
    if not options.smoke and not all(result["claims"].values()):
        sys.exit("claims that do not hold: see above")


if __name__ == "__main__":
    main()
