"""Promise: `gm explain` shows an order as a table, as data and as a page that stands alone, and
each way to fail has its exit code.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import gm
from gm.explain import Explanation, explain
from gm.explain.attribution import Attribution
from gm.explain.facts import DecisionFacts
from gm.explain.page import heat_maps
from gm.explain.shares import input_shares, sums_by_age

from ..runs import gm as run_gm
from ..tapes import write_config, write_trends

SYMBOL = "BTC-PERP"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    bars = write_trends(folder / "bars.csv", 500)
    config = write_config(folder / "gm.yaml", policy={"max_hold_bars": 3})
    gm.backtest(config, bars, SYMBOL, seed=3, run_dir=folder / "run")
    return folder / "run"


def test_ages_and_inputs_are_sums_of_the_cells() -> None:
    assert sums_by_age(np.arange(48.0)) == (
        47.0,
        46.0 + 45 + 44,
        sum(range(36, 44)),
        sum(range(24, 36)),
        sum(range(24)),
    )
    matrix, context = np.zeros((2, 48, 16)), np.zeros((2, 6))
    matrix[0, 47, 0], matrix[1, 47, 0], matrix[1, 0, 1] = 0.25, -0.5, 0.125
    context[0, 5] = 0.75
    found = explanation(matrix, context)
    first, second, third, *_ = input_shares(found)
    assert (first.name, first.total) == ("context: weekday_sixth", 0.75)
    assert (second.name, second.total, second.by_age[0]) == ("mlmi_value", -0.25, -0.25)
    assert (third.name, third.total, third.by_age[4]) == ("mlmi_signal", 0.125, 0.125)
    picture = heat_maps(found)
    assert picture.count("<image") == 2 * 13
    assert "mlmi_value, newest bar: -0.25000" in picture
    assert "\u22120.2500 to +0.2500" in picture


def explanation(matrix: np.ndarray, context: np.ndarray) -> Explanation:
    return Explanation(
        cause="decision",
        text="",
        decision=DecisionFacts(
            journal_sequence=1, bar_start_ts_ns=0, action="long", acts=True, is_shadow=False,
            probability=(0.7, 0.2, 0.1), confidence=0.7, uncertainty=0.5, threshold=0.55,
            size_lots=1,
        ),
        columns=gm.STRATEGIC_COLUMNS,
        seen=(True,) * 13,
        context_names=("a", "b", "c", "d", "e", "weekday_sixth"),
        matrix=np.zeros((48, 13), np.float32),
        context=np.zeros(6, np.float32),
        attribution=Attribution(
            value=0.7, baseline=0.3, matrix=matrix, context=context, steps=64,
            completeness_error=0.0, bound=1e-3,
        ),
    )  # fmt: skip


def test_the_terminal_shows_agents_inputs_and_what_was_compared(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    code, printed, complaint = run_gm("explain", "1", "--run-dir", run, "--html", page)
    assert code == 0, complaint
    assert "gate: passed" in printed
    assert "made again: equal, bit for bit" in printed
    for word in ("mlmi", "nwrqk", "regime", "ensemble", "residual", "completeness error"):
        assert word in printed
    assert "NOT REACHED" not in printed
    text = page.read_text()
    assert f"Why order {explain(run, '1').order.order_id}" in text  # type: ignore[union-attr]
    assert text.count("<image") == 2 * 13
    assert not re.search(r"(src|href)=\"(?!data:)", text)  # fetches nothing


def test_json_holds_the_same_and_an_exit_is_no_error(run: Path, tmp_path: Path) -> None:
    code, printed, _ = run_gm("explain", "last", "--run-dir", run, "--json", "--steps", "8")
    assert code == 0
    tree = json.loads(printed)
    assert tree["cause"] in ("decision", "max_hold")
    exits = [n for n in range(1, 9) if explain(run, str(n)).cause == "max_hold"]
    code, printed, _ = run_gm("explain", str(exits[0]), "--run-dir", run)
    assert (code, "max_hold_bars = 3" in printed) == (0, True)
    code, _, complaint = run_gm(
        "explain", str(exits[0]), "--run-dir", run, "--html", tmp_path / "no.html"
    )
    assert (code, "none decided here: No decision caused" in complaint) == (2, True)
    assert not (tmp_path / "no.html").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("9-9-9",), 1, "9-9-9: no such order in"),
        (("x",), 2, "ORDER must be an id such as 1-1-7"),
        (("1", "--steps", "0"), 2, "--steps"),
        (("1", "--shadow"), 5, "no shadow model decided"),
    ],
)
def test_each_way_to_fail_has_its_exit_code(
    run: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    found, printed, complaint = run_gm("explain", *arguments, "--run-dir", run)
    assert (found, printed) == (code, "")
    assert said in complaint


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    code, _, complaint = run_gm("explain", "1", "--run-dir", tmp_path)
    assert (code, "not the directory of a run (--run-dir)" in complaint) == (3, True)
