"""Bundles for tests: six small networks, and a folder that a test may break."""

import json
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np

from gm.features import STRATEGIC_COLUMNS as COLUMNS
from gm.models import BASELINE_PATH, Golden, load_bundle, write_bundle
from gm.models.baseline_bundle import dense_onnx
from gm.models.drift import ColumnBins, Guard, TrainingSlice
from gm.models.golden import native_logits
from gm.models.manifest import (
    Calibration,
    DataFile,
    Manifest,
    Normaliser,
    Split,
    Tactical,
    TacticalAgent,
    TimeRange,
    Training,
)

HOUR_NS = 3600 * 10**9
WEIGHTS = (
    (0.5, 0.25, 0.25), (0.5, 0.3, 0.2), (0.4, 0.4, 0.2), (0.3, 0.5, 0.2), (0.35, 0.35, 0.3),
)  # fmt: skip
REPORT = b"<title>out of sample</title>"


def training(names):
    """Training parts without a fault: 30-minute bars, ten hours between the ranges."""
    return Training(
        created_ts_ns=1_700_000_000 * 10**9,
        code_version="0.1.0",
        seed=7,
        data=(DataFile(name="btc.csv", sha256="a" * 64, instrument="BTC-PERP", bars=1000),),
        splits=(
            Split(
                train=TimeRange(start_ts_ns=0, end_ts_ns=100 * HOUR_NS),
                validation=TimeRange(start_ts_ns=110 * HOUR_NS, end_ts_ns=150 * HOUR_NS),
                test=TimeRange(start_ts_ns=160 * HOUR_NS, end_ts_ns=200 * HOUR_NS),
                bar_minutes=30,
                purge_bars=12,
                embargo_bars=8,
            ),
        ),
        metrics={"sharpe": -0.25},
        configuration={"updates": 100, "clip": 0.2, "layers": [256, 128, 64]},
        normaliser=Normaliser(columns=("x", "y"), mean=(0.0, 0.1), scale=(1.0, 2.0)),
        calibration=Calibration(
            method="temperature by log loss",
            samples=500,
            log_loss_before=dict.fromkeys(names, 1.1),
            log_loss_after=dict.fromkeys(names, 1.0),
        ),
        parameters_sha256="b" * 64,
        guard=guard(),
        training_slice=training_slice(),
    )


def guard(low: float = -2.0, high: float = 2.0, rows_max: int = 3) -> Guard:
    """One range for all strategic columns; features lie within [-1, 1]."""
    count = len(COLUMNS)
    return Guard(
        names=COLUMNS,
        low=(low,) * count,
        high=(high,) * count,
        mean=(0.0,) * count,
        deviation=(1.0,) * count,
        precision=tuple(tuple(float(i == j) for j in range(count)) for i in range(count)),
        distance_max=50.0,
        shrinkage=0.1,
        columns_max=0,
        rows_max=rows_max,
    )


def training_slice() -> TrainingSlice:
    """Half of the rows of each column below 0, half above."""
    bins = (ColumnBins(name=name, edges=(0.0,), shares=(0.5, 0.5)) for name in COLUMNS)
    return TrainingSlice(rows=1000, columns=tuple(bins))


def tactical_onnx(name: str) -> bytes:
    """Dense on 60x7, a few weights that differ by name."""
    weights = np.zeros((420, 3), np.float32)
    weights[413:] = np.frombuffer(sha256(name.encode()).digest()[:21], np.uint8).reshape(7, 3) / 255
    return dense_onnx(name, [(weights, np.zeros(3, np.float32))])


def timing_onnx(name: str) -> bytes:
    """Dense on 60x7: the price of the last five bars for two, for entry the volume of the last."""
    weights, bias = np.zeros((420, 3), np.float32), np.zeros(3, np.float32)
    if name == "entry":
        weights[-1], bias[:] = (0.0, -4.0, 4.0), (-3.0, 2.0, 2.0)
    else:
        weights[-2] = (12.0, 0.0, -12.0)
    return dense_onnx(name, [(weights, bias)])


def six_networks(folder: Path, name: str = "six", make_onnx=tactical_onnx, **changes):
    """Write a bundle of all six agents with its training and a report."""
    base = load_bundle(BASELINE_PATH)
    files = {agent: make_onnx(agent) for agent in ("fvg", "momentum", "entry")}
    seed = base.manifest.golden.seed
    logits = dict(base.manifest.golden.logits) | {
        agent: native_logits(seed, agent, file).astype(float).tolist()
        for agent, file in files.items()
    }
    tactical = Tactical(
        threshold=0.65,
        weights=WEIGHTS,
        agents=tuple(
            TacticalAgent(
                name=agent,
                file=f"{agent}.onnx",
                sha256=sha256(file).hexdigest(),
                columns=tuple(range(7)),
                temperature=1.0,
            )
            for agent, file in files.items()
        ),
    )
    manifest = msgspec.structs.replace(
        base.manifest,
        name=name,
        tactical=tactical,
        golden=Golden(seed=seed, logits=logits),
        training=training(logits),
        documents={"report.html": sha256(REPORT).hexdigest()},
        **changes,
    )
    return write_bundle(folder, manifest, [*base.onnx, *files.values()], {"report.html": REPORT})


def named(folder: Path, name: str, threshold: float = 0.55, **parts):
    """Write the baseline under another name: small, sound, of a hash of its own."""
    base = load_bundle(BASELINE_PATH)
    manifest: Manifest = msgspec.structs.replace(
        base.manifest, name=name, threshold=threshold, **parts
    )
    return write_bundle(folder, manifest, base.onnx)


def guarded(folder: Path, name: str, fence: Guard):
    """The baseline with a guard, as training would have left it."""
    agents = [agent.name for agent in load_bundle(BASELINE_PATH).manifest.agents]
    trained = msgspec.structs.replace(training(agents), guard=fence)
    return named(folder, name, training=trained)


def edit(folder: Path, change):
    """Let ``change`` alter the tree of manifest.json."""
    path = folder / "manifest.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def swap_network(folder: Path, agent: int, onnx: bytes):
    """Put another network under an agent of the ensemble, with its right hash."""

    def change(tree):
        tree["agents"][agent]["sha256"] = sha256(onnx).hexdigest()
        (folder / tree["agents"][agent]["file"]).write_bytes(onnx)

    edit(folder, change)
