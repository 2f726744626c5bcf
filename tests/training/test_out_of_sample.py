"""Promise: a bundle is walked once over bars that training never saw, beside its rivals, after
costs, and the report says no more than its intervals do.
"""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

import gm
from gm.config.instruments import instrument
from gm.config.settings import load_settings
from gm.models import BASELINE_PATH, load_bundle
from gm.training import out_of_sample
from gm.training.out_of_sample import (
    BLOCK_BARS,
    OutOfSample,
    Player,
    Sum,
    examine,
    examined_as,
    metrics_of,
    path_sum,
    verdict,
)
from gm.training.split import split_by_time
from gm.training.tapes import Tapes

from ..runs import CONFIG
from ..tapes import write_trends

SYMBOL = "BTC-PERP"
BARS = 1_000


@pytest.fixture(scope="module")
def tapes(tmp_path_factory: pytest.TempPathFactory) -> Tapes:
    path = write_trends(tmp_path_factory.mktemp("bars") / "bars.csv", BARS)
    bars = gm.read_bars(path, instrument=SYMBOL).bars
    settings = load_settings(CONFIG)
    table = (CONFIG.parent / settings.instruments_file).resolve()
    return Tapes(
        bars=(bars,),
        splits=(split_by_time(bars, validation=0.2, test=0.3),),
        instrument=instrument(SYMBOL, table),
        played=msgspec.structs.replace(settings, instruments_file=str(table)),
    )


@pytest.fixture(scope="module", autouse=True)
def little_luck() -> Iterator[None]:
    """Fewer venues: the walks are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(out_of_sample, "MARKETS", 2)
        patch.setattr(out_of_sample, "RANDOM_MARKETS", 4)
        yield


@pytest.fixture(scope="module")
def report(tapes: Tapes) -> OutOfSample:
    return examine(tapes, load_bundle(BASELINE_PATH))


def test_a_walk_decides_on_every_bar_of_the_test_slice_and_on_no_other(tapes) -> None:
    walk = tapes.walk(0, size=1, seed=1)
    test = tapes.splits[0].test
    # The last decision has no bar behind it on which its order could be filled.
    assert walk.decisions == len(test) - 1
    seen = walk.batch.reset(1)
    walk.batch.close()
    matrices, ready = gm.strategic_matrices(tapes.bars[0], SYMBOL)
    first = int(np.searchsorted(tapes.bars[0]["start_ts_ns"], test["start_ts_ns"][0]))
    assert ready[first]
    # What depends on all the past is the same from as far back as a slice is warmed up.
    np.testing.assert_allclose(seen.matrix[0, -1, :10], matrices[first, -1, :10], atol=1e-3)


def test_rows_of_a_part_are_those_of_its_own_bars(tapes) -> None:
    split = tapes.splits[0]
    assert len(tapes.rows("test")) == len(split.test)
    assert len(tapes.rows("validation")) == len(split.validation)
    assert 0 < len(tapes.rows("train")) < len(split.train)  # it warms up by itself


def test_the_bundle_against_itself_is_not_ahead(report) -> None:
    ours, baseline = report.players[0], report.players[1]
    assert (ours.name, baseline.name) == ("baseline", "baseline")
    assert ours.result == baseline.result
    assert baseline.ahead is not None
    assert baseline.ahead.net == 0


def test_every_rival_walks_the_same_bars(report, tapes) -> None:
    names = [player.name for player in report.players[1:]]
    assert names == ["baseline", "buy and hold", "momentum", "random entry"]
    assert report.bars == len(tapes.splits[0].test) - 1
    holding = report.players[2]
    assert holding.turns == 1
    assert holding.time_in_market > 0.99
    assert all(player.drawdown <= 0 for player in report.players)
    assert report.first_ts_ns == tapes.splits[0].test["start_ts_ns"][0]


def test_buy_and_hold_earns_the_move_of_the_slice_less_its_costs(report, tapes) -> None:
    test = tapes.splits[0].test
    move = float(test["close_ticks"][-1] - test["open_ticks"][1])
    lots = tapes.played.trading[SYMBOL].target_lots
    value = move * lots * float(tapes.instrument.multiplier_per_order_lot)
    assert report.players[2].result.net == pytest.approx(value, abs=0.02 * abs(value) + 30.0)


def test_equal_tapes_give_equal_reports(report, tapes) -> None:
    assert examine(tapes, load_bundle(BASELINE_PATH)) == report


def test_a_report_in_json_takes_another_name(report) -> None:
    found = msgspec.json.decode(examined_as(msgspec.json.encode(report), "other"), type=OutOfSample)
    assert (found.bundle, found.players[0].name) == ("other", "other")
    assert found.verdict.startswith("other ")
    assert found.players[1:] == report.players[1:]


def test_figures_have_names_that_a_manifest_takes(report) -> None:
    found = metrics_of(report)
    assert found["out_of_sample.bundle.net"] == report.players[0].result.net
    assert found["out_of_sample.buy_and_hold.net"] == report.players[2].result.net
    assert "out_of_sample.random_entry.bundle_ahead_low" in found
    assert all(np.isfinite(value) for value in found.values())


def test_a_sum_by_hand_and_an_interval_only_of_enough_blocks() -> None:
    changes = np.full(5 * BLOCK_BARS, 2.0)
    assert path_sum(changes) == Sum(net=460.0, low=460.0, high=460.0)
    assert path_sum(changes[:-1]) == Sum(net=458.0, low=None, high=None)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(3)
    held = 0
    for _ in range(100):
        found = path_sum(random.standard_normal(1_000))
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0 <= found.high
    assert 84 <= held <= 100  # twenty blocks: somewhat too narrow


def player(name: str, net: float, low: float | None, high: float | None, ahead: float = 0.0):
    part = Sum(net=net, low=low, high=high)
    behind = Sum(net=ahead, low=ahead - 1, high=ahead + 1) if name != "ours" else None
    return Player(name=name, result=part, ahead=behind, time_in_market=1.0, turns=3.0, drawdown=0.0)


@pytest.mark.parametrize(
    ("low", "high", "ahead", "says"),
    [
        (1.0, 9.0, 5.0, ("a profit, on this path", "ahead of rival")),
        (-9.0, -1.0, -5.0, ("a loss, on this path", "behind rival")),
        (-1.0, 1.0, 0.5, ("neither profit nor loss is shown", "not told apart from rival")),
        (None, None, 0.0, ("too few bars for an interval",)),
    ],
)
def test_the_verdict_says_what_the_intervals_say(low, high, ahead, says) -> None:
    ours = player("ours", -3.5, low, high)
    text = verdict((ours, player("rival", 0, 0, 0, ahead)), "USD", 6.81)
    assert text.startswith("ours lost 3.50 USD in 6.81 days out of sample; ")
    assert text.endswith("no evidence about any other month.")
    for part in says:
        assert part in text


def test_a_bundle_that_never_trades_has_no_random_twin(tapes) -> None:
    bundle = load_bundle(BASELINE_PATH)
    manifest = msgspec.structs.replace(bundle.manifest, threshold=1.0)
    found = examine(tapes, msgspec.structs.replace(bundle, manifest=manifest))
    assert [p.name for p in found.players[1:]] == ["baseline", "buy and hold", "momentum"]
    assert found.players[0].result.net == 0
    assert "it never traded" in found.verdict
