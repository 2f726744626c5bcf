"""Prints a Markdown table of the last results in var/bench, for the README.

    python -m bench.table

Each row: median of the runs that were kept (at most ten, the newest last), least and most among
their rounds, and the floor of PERFORMANCE. What was not run is "not measured".
"""

import json
from typing import Any

import numpy as np

from bench.rig import NETWORK, RESULTS

Figures = dict[str, Any]
FULL = "624-256-128-64-7, all active"
STRATEGIC_HALF = "SPEC strategic 198, half active"
STRATEGIC_ALL = "SPEC strategic 198, all active"
TACTICAL_HALF = "SPEC tactical, half active"
TACTICAL_ALL = "SPEC tactical, all active"
HALF, HALF_ROUNDED, ALL = "half active", "half active, bf16 tail", "all active"
ROWS = (
    ("E1a CLOSE in ring to order in ring / Python engine", "engine", ("score_p50",), ">= 10"),
    (
        "E1b two closes, six networks, half active",
        "decision",
        (HALF, "score_p50"),
        ">= 27",
    ),
    ("E1b the same with a bf16 tail", "decision", (HALF_ROUNDED, "score_p50"), ">= 40"),
    ("E1b all active", "decision", (ALL, "score_p50"), ">= 17"),
    ("E1b p99 / p50, messages 20 us apart", "decision", (HALF, "p99_to_p50_20us"), "<= 1.5"),
    ("E1b the same, quiet closes", "decision", (HALF, "p99_to_p50_20us_quiet"), "<= 1.5"),
    (
        "E1b the same, the faster of two passes on each close",
        "decision",
        (HALF, "p99_to_p50_20us_of_two"),
        "<= 1.5",
    ),
    ("E1b share of quiet closes", "decision", (HALF, "p99_to_p50_20us_quiet_share"), "-"),
    ("E1b p99 / p50, 500 us apart", "decision", (HALF, "p99_to_p50_500us"), "-"),
    ("E1b sustained, all preparation included", "decision", (HALF, "score_sustained"), ">= 5"),
    ("E2 time added over the echo, Python engine / core", "zmq", ("score_p50",), ">= 25"),
    ("G1 three-layer net, new row / onnxruntime C API", "policy", (NETWORK, "ratio_p50"), ">= 6"),
    ("G1 strategic net, half active", "policy", (STRATEGIC_HALF, "ratio_p50"), ">= 6.5"),
    ("G1 strategic net, all active", "policy", (STRATEGIC_ALL, "ratio_p50"), ">= 4"),
    ("G3 three-layer net, full / read of its weights", "policy", (FULL, "full_to_read"), "<= 1.1"),
    ("G5 tactical net, half active", "policy", (TACTICAL_HALF, "ratio_p50"), ">= 18"),
    ("G5 tactical net, all active", "policy", (TACTICAL_ALL, "ratio_p50"), ">= 13"),
    ("G6 three-layer net, batch 1024", "policy", (FULL, "ratio_batch"), ">= 0.97"),
    ("E4 replay of a day of ticks, M ticks/s", "replay", ("mticks_per_s",), ">= 10"),
    ("G7 EMA, RSI, ATR per update / NautilusTrader", "indicators", ("score_p50",), ">= 50"),
    ("G9 row of 13 columns / NumPy streaming row", "row", ("ratio_p50",), ">= 200"),
    ("G9 row, p99 / p50 of quiet bars", "row", ("p99_to_p50_quiet",), "<= 2"),
    ("Strategic bar after 10^6 bars / after 10^4", "row", ("history_growth",), "<= 1.5"),
    ("G10 ring hop / ping-pong", "ring", ("hop_ns",), "<= 2.2"),
    ("G10 drained / naive pop", "ring", ("drained_over_naive_per_us",), ">= 5"),
    ("G15 orders, a trade a second / NautilusTrader", "backtest", ("score_second",), ">= 300"),
    ("G15 orders, a trade a minute / NautilusTrader", "backtest", ("score_minute",), ">= 300"),
    ("G15 data only / hftbacktest", "backtest", ("score_data",), ">= 1.2"),
    ("G17 MAPPO update / plain torch", "training", ("score_mappo",), ">= 1.35"),
    (
        "G17 the same, were it at the peak of a matrix product",
        "training",
        ("best_possible_score_mappo",),
        "-",
    ),
    ("MAPPO update / Stable-Baselines3 PPO", "training", ("score_sb3",), "-"),
    ("G17 environment, features ready / NumPy", "training", ("score_environment",), ">= 20"),
    (
        "G17 the same, were it the copy of its observations alone",
        "training",
        ("best_possible_score",),
        "-",
    ),
    ("Environment from bars, one pass / NumPy", "training", ("score_pass",), "-"),
    (
        "p99 of 50,000 messages/s, 100 swaps of models / none",
        "swaps",
        ("p99_with_over_without",),
        "-",
    ),
    (
        "Planted signal, profit of agents / of the clairvoyant",
        "planted",
        ("score_share",),
        ">= 0.7",
    ),
    ("Strategic matrices of a file / NumPy reference", "batch", ("score_strategic",), "-"),
    ("Tactical matrices of a file / NumPy reference", "batch", ("score_tactical",), "-"),
    ("Tactical bar, a call of 10^6 bars / of 10^4", "batch", ("tactical_growth",), "<= 1.5"),
)
TIMES = (
    ("CLOSE to order, core", "engine", "native_order_ns"),
    ("CLOSE to order, Python engine", "engine", "python_order_ns"),
    ("CLOSE of both sizes to order, six networks, core", "decision", HALF, "native_ns"),
    ("CLOSE of both sizes to order, six networks, Python", "decision", HALF, "python_ns"),
    (
        "message between, waiting for a part of the preparation",
        "decision",
        HALF,
        "message_between_ns",
    ),
    ("CLOSE frame to NEW_ORDER frame, raw echo", "zmq", "echo_ns"),
    ("CLOSE frame to NEW_ORDER frame, core", "zmq", "native_ns"),
    ("CLOSE frame to NEW_ORDER frame, Python engine", "zmq", "python_ns"),
    ("empty measurement", "engine", "probe_ns"),
)
RATES = (
    ("Strategic matrices of a file, core", "batch", "strategic_rows_per_s"),
    ("Strategic matrices of a file, NumPy reference", "batch", "strategic_reference_rows_per_s"),
    ("Tactical matrices of a file, core", "batch", "tactical_rows_per_s"),
    ("Tactical matrices of a file, NumPy reference", "batch", "tactical_reference_rows_per_s"),
    ("Backtest with orders, a trade a second", "backtest", "native_second_per_s"),
    ("NautilusTrader with orders, a trade a second", "backtest", "nautilus_second_per_s"),
    ("Backtest with orders, a trade a minute", "backtest", "native_minute_per_s"),
    ("NautilusTrader with orders, a trade a minute", "backtest", "nautilus_minute_per_s"),
    ("Backtest, data only", "backtest", "native_data_per_s"),
    ("hftbacktest, data only", "backtest", "hftbacktest_data_per_s"),
    ("MAPPO update, 64 markets x 128 steps", "training", "mappo_steps_per_s"),
    ("Plain torch, the same arithmetic", "training", "plain_mappo_steps_per_s"),
    ("Stable-Baselines3 PPO", "training", "sb3_steps_per_s"),
    ("MAPPO's matrix products alone", "training", "products_steps_per_s"),
    ("Training environment, 64 markets", "training", "environment_steps_per_s"),
    ("NumPy environment, 64 markets", "training", "numpy_environment_steps_per_s"),
    ("Training environment from bars, one pass", "training", "pass_steps_per_s"),
    ("NumPy environment from bars, one pass", "training", "numpy_pass_steps_per_s"),
)


def runs_of(name: str) -> list[Figures]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else []


def at(run: Figures, keys: tuple[str, ...]) -> Figures | None:
    """What a run says under these keys; None if its peer was missing."""
    found: Figures | None = run
    for key in keys:
        found = None if found is None else found.get(key)
    return found


def score_row(title: str, name: str, keys: tuple[str, ...], floor: str) -> str:
    found = [score for run in runs_of(name) if (score := at(run, keys)) is not None]
    if not found:
        return f"| {title} | not measured | | | {floor} |"
    medians = [score.get("median", score.get("ratio")) for score in found]
    least, most = min(score["min"] for score in found), max(score["max"] for score in found)
    span = f"{least:.2f} to {most:.2f}"
    return f"| {title} | {np.median(medians):.2f} | {span} | {len(found)} | {floor} |"


def time_row(title: str, name: str, *keys: str) -> str:
    found = [times for run in runs_of(name) if (times := at(run, keys)) is not None]
    if not found:
        return f"| {title} | not measured | | |"
    cells = (np.median([run[p] for run in found]) / 1e3 for p in ("p50", "p99", "p99.9"))
    return f"| {title} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |"


def rate_row(title: str, name: str, key: str) -> str:
    found = [run[key]["median"] for run in runs_of(name) if key in run]
    return f"| {title} | {np.median(found):,.0f} |" if found else f"| {title} | not measured |"


def main() -> None:
    machines = {run["machine"]["processor"] for row in ROWS for run in runs_of(row[1])}
    print(f"Measured on {', '.join(sorted(machines)) or 'nothing'}; ratios inside one run.\n")
    print("| What | Median | Rounds from, to | Runs | Floor |\n|---|---|---|---|---|")
    print("\n".join(score_row(*row) for row in ROWS))
    print("\n| Time in us | p50 | p99 | p99.9 |\n|---|---|---|---|")
    print("\n".join(time_row(*row) for row in TIMES))
    print("\n| Bars, trades, events or steps a second | Median |\n|---|---|")
    print("\n".join(rate_row(*row) for row in RATES))


if __name__ == "__main__":
    main()
