"""Promise: a matrix that knows one later bar is found, and one that does not is left alone."""

import importlib.machinery
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gm.audit.lookahead import check_lookahead, poisoned
from gm.audit.views import VIEWS, Bars, Matrices, View
from gm.readers import BAR

ROOT = Path(__file__).resolve().parents[2]
SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]
LEAK = ROOT / "build/core/leak" / f"features{SUFFIX}"
# `gm` whose features are the module at argv[1].
GM_WITH_OTHER_FEATURES = """
import importlib.util, sys
import gm._native
spec = importlib.util.spec_from_file_location("gm._native.features", sys.argv.pop(1))
gm._native.features = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gm._native.features)
from gm.cli import main
main()
"""


def walk(count: int, minutes: int, seed: int = 3) -> Bars:
    """Random bars with volumes of their own, of one size, from a Monday in 2024 on."""
    random = np.random.default_rng(seed)
    bars = np.zeros(count, BAR)
    close = 40_000 + np.cumsum(random.integers(-60, 61, count))
    bars["start_ts_ns"] = 1_704_700_800 * 10**9 + np.arange(count) * minutes * 60 * 10**9
    bars["close_ticks"] = close
    bars["open_ticks"] = np.r_[40_000, close[:-1]]
    bars["high_ticks"] = np.maximum(bars["open_ticks"], close) + random.integers(0, 30, count)
    bars["low_ticks"] = np.minimum(bars["open_ticks"], close) - random.integers(0, 30, count)
    bars["volume_lots"] = random.integers(1, 5000, count)
    return bars


def write_csv(path: Path, bars: Bars) -> Path:
    stamps = bars["start_ts_ns"].astype("M8[ns]").astype("M8[s]").astype(str)
    lines = ["timestamp_utc,open,high,low,close,volume"]
    names = ("open_ticks", "high_ticks", "low_ticks", "close_ticks", "volume_lots")
    for stamp, bar in zip(stamps, bars, strict=True):
        lines.append(",".join([stamp.replace("T", " "), *(str(bar[name]) for name in names)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def leaking(view: View, shift: int, column: int) -> View:
    """A view whose column shows the value of a later bar, in the newest row alone."""

    def batch(bars: Bars, instrument: str) -> Matrices:
        matrices, ready = view.batch(bars, instrument)
        matrices = matrices.copy()
        matrices[:-shift, -1, column] = matrices[shift:, -1, column]
        return matrices, ready

    return View(
        name=view.name, minutes=view.minutes, rows=view.rows, columns=view.columns, batch=batch,
        stream=view.stream,
    )  # fmt: skip


@pytest.mark.parametrize("name", VIEWS)
def test_our_matrices_know_nothing_of_the_future(name: str) -> None:
    view = VIEWS[name]
    found = check_lookahead(view, walk(1000, view.minutes), "BTC-PERP", moments=60)
    assert found.is_clean
    assert found.moments == 60


def test_every_moment_of_a_file_can_be_tried() -> None:
    view = VIEWS["tactical"]
    found = check_lookahead(view, walk(150, view.minutes), "BTC-PERP", moments=1000)
    assert (found.is_clean, found.moments) == (True, 150)


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("shift", [1, 3])
def test_a_column_of_a_later_bar_is_named(name: str, shift: int) -> None:
    view = VIEWS[name]
    column = view.columns.index("nwrqk_value" if name == "strategic" else "volume_ratio")
    found = check_lookahead(leaking(view, shift, column), walk(400, view.minutes), "BTC-PERP")
    assert not found.is_clean
    assert found.difference is not None
    assert found.difference.column == view.columns[column]
    assert found.difference.row == view.rows - 1


def test_readiness_of_the_future_is_a_leak_too() -> None:
    view = VIEWS["tactical"]

    def batch(bars: Bars, instrument: str) -> Matrices:
        matrices, ready = view.batch(bars, instrument)
        return matrices, ready & (len(bars) > 150)

    other = View(
        name=view.name, minutes=view.minutes, rows=view.rows, columns=view.columns, batch=batch,
        stream=view.stream,
    )  # fmt: skip
    found = check_lookahead(other, walk(200, view.minutes), "BTC-PERP", moments=200)
    assert found.difference is not None
    assert found.difference.column == "ready"


def test_poison_leaves_the_past_alone_and_is_made_of_valid_bars() -> None:
    bars = walk(300, 30)
    before = bars.copy()
    random = np.random.default_rng(4)
    for first in (1, 2, 7, 150, 299):
        other = poisoned(bars, first, 30, random)
        np.testing.assert_array_equal(bars, before)
        np.testing.assert_array_equal(other[:first], bars[:first])
        tail = other[first:]
        assert len(tail) >= 1
        assert (tail["close_ticks"] != bars["close_ticks"][first : len(other)]).any()
        assert (np.diff(other["start_ts_ns"]) > 0).all()
        assert (tail["high_ticks"] >= np.maximum(tail["open_ticks"], tail["close_ticks"])).all()
        assert (tail["low_ticks"] <= np.minimum(tail["open_ticks"], tail["close_ticks"])).all()
    assert len(poisoned(bars, 300, 30, random)) == 300


@pytest.mark.parametrize("name", VIEWS)
def test_a_core_with_a_planted_leak_of_one_bar_is_caught(name: str, tmp_path: Path) -> None:
    """The mutant of core/include/gm/features/batch_bar.hpp, through the command."""
    assert LEAK.exists(), f"{LEAK} is missing: make core"
    view = VIEWS[name]
    file = write_csv(tmp_path / "bars.csv", walk(1200, view.minutes))
    arguments = ["features", str(file), "--instrument", "BTC-PERP", "--check-lookahead", "--json"]
    if name == "tactical":
        arguments.append("--tactical")
    done = subprocess.run(
        [sys.executable, "-c", GM_WITH_OTHER_FEATURES, str(LEAK), *arguments],
        capture_output=True, text=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    difference = json.loads(done.stdout)["lookahead"]["difference"]
    assert difference["row"] == view.rows - 1
    # Only columns of volume can tell: it is the volume that leaks.
    assert difference["column"] in {
        "lvn_distance", "lvn_strength", "mmd_score", "volume_profile_skew", "volume_ratio"
    }  # fmt: skip
