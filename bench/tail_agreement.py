"""How often a bfloat16 tail decides otherwise than float32, on the matrices of real bars.

Networks: SPEC 5's shapes, seeded, three teams of three strategic agents and three tactical ones;
logits centred on each file's matrices and scaled to a deviation of 3, so that no action is favoured
and the margins are as small as they get. Or those of a bundle. Bars: five years of NQ in 30 minutes
and a month of BTC. Context: no synergy.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import gm
from bench.bench_policy import CASES, Case, network
from gm import features
from gm._native.policy import Network
from gm.config.instruments import instrument
from gm.models import Bundle, load_bundle

SPREAD = 3.0  # deviation of logits
THRESHOLD = 0.65
TEAMS = 3
STRATEGIC = {"mlmi": (0, 1, 8, 9), "nwrqk": (2, 3, 4, 5), "regime": (10, 11, 12)}
FILES = (("NQ", "nq_30m_eth.csv"), ("BTC-PERP", "btc_perp_1m_202201.csv"))
_DAY_NS = 86_400 * 10**9
Floats = np.ndarray[Any, np.dtype[np.float32]]


class Seat(NamedTuple):
    """An agent of a team: its file, its inputs, and its part in the vote."""

    onnx: bytes
    inputs: Floats
    temperature: float = 1.0
    weight: float = 0.0  # before softmax


def matrices_of(folder: Path, symbol: str, file: str) -> tuple[Floats, Floats]:
    """Ready strategic matrices of a file, (n, 48, 13), and their contexts, (n, 6)."""
    bars = gm.read_bars(folder / file, symbol).bars
    if symbol != "NQ":
        bars = gm.aggregate_bars(bars, symbol, features.STRATEGIC_MINUTES)
    matrices, ready = features.strategic_matrices(bars, symbol)
    start = bars["start_ts_ns"]
    local = start + features.local_offsets_ns(start, instrument(symbol))
    newest = matrices[:, -1]
    context = np.zeros((len(bars), 6), np.float32)
    context[:, 2:5] = newest[:, [11, 6, 7]]
    context[:, 5] = (local // _DAY_NS + 3) % 7 / 6.0  # day 0 was a Thursday
    return matrices[ready], context[ready]


def tactical_matrices_of(folder: Path) -> Floats:
    """Ready tactical matrices of the month of BTC, (n, 60, 7)."""
    symbol, file = FILES[1]
    bars = gm.read_bars(folder / file, symbol).bars
    bars = gm.aggregate_bars(bars, symbol, features.TACTICAL_MINUTES)
    matrices, ready = features.tactical_matrices(bars, symbol)
    return matrices[ready]


def spread(onnx: bytes, inputs: Floats) -> bytes:
    """Centre the logits of a network on its inputs, and give them a deviation of SPREAD."""
    import onnx as format_

    logits = Network(onnx).run(inputs)
    model = format_.load_from_string(onnx)
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    names = model.graph.node[-1].input[1:3]
    weights, bias = (format_.numpy_helper.to_array(tensors[name]) for name in names)
    scale = SPREAD / logits.std(axis=0)
    changed = (weights * scale[:, None], (bias - np.median(logits, axis=0)) * scale)
    for name, values in zip(names, changed, strict=True):
        tensors[name].CopyFrom(format_.numpy_helper.from_array(values.astype(np.float32), name))
    raw: bytes = model.SerializeToString()
    return raw


def probabilities(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Softmax over the last axis, in double."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def vote(team: Sequence[Seat], logits: Floats) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mix the agents' (agents, n, 3) as SPEC 5 says."""
    weights = probabilities(np.array([seat.weight for seat in team]))
    scaled = logits / np.array([seat.temperature for seat in team])[:, None, None]
    return np.asarray((probabilities(scaled) * weights[:, None, None]).sum(0))


def compare(teams: Sequence[Sequence[Seat]], threshold: float = THRESHOLD) -> dict[str, float]:
    """Hold both tails against each other."""
    agents, decisions, crossings, moved, worst = [], [], [], [], 0.0
    for team in teams:
        exact = np.stack([Network(seat.onnx).run(seat.inputs) for seat in team])
        narrow = np.stack([Network(seat.onnx, tail=1).run(seat.inputs) for seat in team])
        agents += [float(same) for same in (exact.argmax(2) == narrow.argmax(2)).mean(1)]
        worst = max(worst, float(np.abs(exact - narrow).max()))
        before, after = (vote(team, logits) for logits in (exact, narrow))
        decisions.append(float((before.argmax(1) == after.argmax(1)).mean()))
        confidence = np.stack([before.max(1), after.max(1)])
        reached = confidence >= threshold
        crossings.append(float((reached[0] != reached[1]).mean()))
        moved.append(np.abs(confidence[0] - confidence[1]))
    every = np.concatenate(moved)
    return {
        "matrices": len(every) / len(teams),
        "agent_argmax_agreement": float(np.mean(agents)),
        "agent_argmax_agreement_min": min(agents),
        "decision_agreement": float(np.mean(decisions)),
        "threshold_crossings": float(np.mean(crossings)),
        "confidence_moved_p99": float(np.quantile(every, 0.99)),
        "confidence_moved_max": float(every.max()),
        "logit_moved_max": worst,
    }


def strategic_inputs(matrices: Floats, context: Floats, columns: Sequence[int]) -> Floats:
    """An agent's input: its columns of each row, oldest first, then the context if it has one."""
    rows = matrices[:, :, list(columns)].reshape(len(matrices), -1)
    return np.ascontiguousarray(np.concatenate([rows, context], 1))


def seeded_team(seed: int, matrices: Floats, context: Floats) -> Iterator[Seat]:
    """Three strategic agents of SPEC 5."""
    for i, columns in enumerate(STRATEGIC.values()):
        inputs = strategic_inputs(matrices, context, columns)
        case = Case((inputs.shape[1], 256, 128, 64, 3), 48, len(columns), 6, False, None)
        yield Seat(spread(network(case, seed + i)[0], inputs), inputs)


def bundle_team(bundle: Bundle, matrices: Floats, context: Floats) -> Iterator[Seat]:
    """Give the strategic agents of a bundle."""
    for agent, onnx in zip(bundle.manifest.agents, bundle.onnx, strict=False):  # then tactical
        inputs = strategic_inputs(matrices, context[:, : agent.context], agent.columns)
        yield Seat(onnx, inputs, agent.temperature, agent.weight)


def agreement(folder: Path, bundle: Path | None = None) -> Mapping[str, dict[str, float]]:
    """Compare on every file; of a bundle its strategic team, else the seeded ones."""
    found = {}
    for symbol, file in FILES:
        matrices, context = matrices_of(folder, symbol, file)
        name = f"strategic on {symbol}"
        if bundle is None:
            teams = [list(seeded_team(10 * i, matrices, context)) for i in range(TEAMS)]
            found[name] = compare(teams)
        else:
            loaded = load_bundle(bundle)
            team = list(bundle_team(loaded, matrices, context))
            found[name] = compare([team], loaded.manifest.threshold)
    if bundle is None:
        rows = tactical_matrices_of(folder)
        inputs = np.ascontiguousarray(rows.reshape(len(rows), -1))
        case = CASES["SPEC tactical, half active"]
        team = [Seat(spread(network(case, seed)[0], inputs), inputs) for seed in range(TEAMS)]
        found["tactical on BTC-PERP"] = compare([team])
    return found
