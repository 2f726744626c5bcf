"""Promise (P12): a journal replays to the same bytes whatever built the engine and whatever vector
instructions it finds.

`make same-bytes` asks it of GCC and Clang at -O0 and -O3, each scalar, with AVX2 and AVX-512, over
ten journals. `make test` asks it of the one build that is there, over some of them.
"""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

import gm
from gm.models import BASELINE_PATH, MAPPO_BTC_PATH, load_bundle, write_bundle
from gm.scaffold import INSTRUMENT as DESK_INSTRUMENT, write_desk

from .kills import Kill, campaign
from .models.make import six_networks, timing_onnx
from .runs import CONFIG, ROOT, Tape, place, records
from .tapes import trending_prices, write_bars, write_config, write_trades, write_trends

SYMBOL, SEED = "BTC-PERP", 3
BARS = 700
# Folders with a harness for each instruction set, colon between them.
BUILDS = os.environ.get("GM_SAME_BYTES_BUILDS", str(ROOT / "build" / "core")).split(":")
IS_CAMPAIGN = "GM_SAME_BYTES_BUILDS" in os.environ
HARNESSES = ("gm-core-harness-scalar", "gm-core-harness-avx2", "gm-core-harness")
REPLAY_S = 580.0  # of a build without optimisation

Recorder = Callable[[Path], Path]


def baseline(folder: Path) -> Path:
    """The ensemble on half hours, with fills in parts and rejects."""
    config = write_config(
        folder / "gm.yaml", venue={"partial_fill_ppm": 300_000, "reject_ppm": 20_000}
    )
    return backtest(folder, config, write_trends(folder / "bars.csv", BARS))


def trained(folder: Path) -> Path:
    """The shipped networks that were trained: three layers, many roots and exponentials."""
    config = write_config(folder / "gm.yaml", policy={"bundle": str(MAPPO_BTC_PATH)})
    return backtest(folder, config, write_trends(folder / "bars.csv", BARS, seed=2))


def narrow(folder: Path) -> Path:
    """Weights of 16 bits behind the first layer."""
    base = load_bundle(BASELINE_PATH)
    manifest = msgspec.structs.replace(base.manifest, tail="bf16")
    write_bundle(folder / "bundle", manifest, base.onnx)
    config = write_config(folder / "gm.yaml", policy={"bundle": str(folder / "bundle")})
    return backtest(folder, config, write_trends(folder / "bars.csv", BARS, seed=3))


def two_levels(folder: Path) -> Path:
    """Six networks, synergies, entries by limit."""
    six_networks(folder / "six", make_onnx=timing_onnx)
    config = write_config(
        folder / "gm.yaml",
        policy={"profile": "two_level", "bundle": str(folder / "six")},
        trading={SYMBOL: {"types": ["market", "limit"]}},
    )
    borders = trending_prices(BARS // 2, 30_000.0)
    prices = np.interp(np.arange(3 * BARS + 1) / 6, np.arange(BARS // 2 + 1), borders)
    return backtest(folder, config, write_bars(folder / "bars.csv", prices, minutes=5))


def brackets(folder: Path) -> Path:
    """Stops that trail an ATR, targets, replaces."""
    desk = {
        "types": ["market", "limit", "stop"], "collar_percent": 5, "order_notional_max": 18_000,
        "bracket": {"stop_atr": 2.0, "target_atr": 3.0, "trailing_stop": True},
        "orders_burst_max": 1_000, "duplicates_max": 64,
    }  # fmt: skip
    config = write_config(folder / "gm.yaml", trading={SYMBOL: desk})
    return backtest(folder, config, write_trends(folder / "bars.csv", BARS, drift=0.002))


def exits(folder: Path) -> Path:
    """Positions that are left because of their age."""
    config = write_config(folder / "gm.yaml", policy={"max_hold_bars": 5})
    return backtest(folder, config, write_trends(folder / "bars.csv", BARS, seed=4))


def single_trades(folder: Path) -> Path:
    """Bars that the engine closes itself."""
    return backtest(folder, CONFIG, write_trades(folder / "trades.csv", 6 * BARS))


def refusals(folder: Path) -> Path:
    """Rows that the reader and the engine do not believe."""
    path = write_trends(folder / "bars.csv", BARS, seed=5)
    lines = path.read_text().splitlines()
    for at in range(200, BARS, 40):
        stamp, opened, high, low, close, volume = lines[at].split(",")
        bad = (f"{stamp},{opened},{low},{high},{close},{volume}", f"{stamp},x", lines[at - 1],
               f"{stamp},{opened},{int(high) * 9},{low},{close},{volume}")  # fmt: skip
        lines[at] = bad[at // 40 % len(bad)]
    path.write_text("\n".join(lines) + "\n")
    return backtest(folder, CONFIG, path)


def rule(folder: Path) -> Path:
    """A user's kernels; what they said is in the journal."""
    write_desk(folder / "desk")
    bars, config = folder / "desk" / "session.csv", folder / "desk" / "gm.yaml"
    return backtest(folder, config, bars, DESK_INSTRUMENT)


def deaths(folder: Path) -> Path:
    """Two processes, of which the engine is killed now and then."""
    tape = Tape(write_trends(folder / "bars.csv", BARS), SYMBOL, SEED)
    plan = [Kill(at_feed=2 * BARS * part // 5) for part in range(1, 5)]
    with place(folder / "run", tape) as here:
        return campaign(here, plan, "inline")[0].run_dir


OFTEN: tuple[Recorder, ...] = (trained, two_levels, brackets)
ALL: tuple[Recorder, ...] = (
    *OFTEN, baseline, narrow, exits, single_trades, refusals, rule, deaths,
)  # fmt: skip


def backtest(folder: Path, config: Path, bars: Path, symbol: str = SYMBOL) -> Path:
    run = gm.backtest(config, bars, symbol, seed=SEED, run_dir=folder / "run")
    assert run.run_dir is not None
    return run.run_dir


@pytest.fixture(
    scope="module", params=ALL if IS_CAMPAIGN else OFTEN, ids=lambda made: made.__name__
)
def journal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory."""
    name = request.param.__name__
    return request.param(tmp_path_factory.mktemp(name))


@pytest.mark.parametrize("program", HARNESSES)
@pytest.mark.parametrize("build", BUILDS, ids=lambda folder: Path(folder).name)
def test_a_journal_replays_to_the_same_bytes(
    journal: Path, build: str, program: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [Path(build) / program, "--run-dir", journal, "--replay", tmp_path / "again"],
        capture_output=True, text=True, timeout=REPLAY_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["outputs"] > BARS
    assert records(tmp_path / "again")[: report["records"]].tobytes() == records(journal).tobytes()
