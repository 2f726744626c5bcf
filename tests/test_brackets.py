"""Promise: a position trades with the stop and the target that its settings ask for, never both;
in a backtest, in a run, and through kills.
"""

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import gm
from gm import layout
from gm.config.settings import load_settings
from gm.layout import OrderReason, OrderState, RecordType, Side

from .kills import campaign, check_everything, draw_kills
from .runs import Tape, payloads, place, records, trade
from .tapes import write_config, write_trends

SYMBOL = "BTC-PERP"
TYPES = ["market", "limit", "stop"]
BRACKET = {"stop_atr": 2.0, "target_atr": 3.0, "trailing_stop": True}
BARS, KILLS = 3_000, 5
STARTUP_S = 0.8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("brackets")


@pytest.fixture(scope="module")
def tape(folder: Path) -> Tape:
    """Slow trends, so that a range of three bars is often gone through."""
    return Tape(write_trends(folder / "bars.csv", BARS, drift=0.002), SYMBOL, 3)


def config(path: Path, types: list[str] | None = None, **bracket: object) -> Path:
    desk = {
        "types": types or TYPES, "bracket": BRACKET | bracket, "collar_percent": 5,
        "order_notional_max": 18_000, "orders_burst_max": 1_000, "duplicates_max": 64,
    }  # fmt: skip
    return write_config(path, trading={SYMBOL: desk}, venue={"partial_fill_ppm": 500_000})


@pytest.fixture(scope="module")
def settings(folder: Path) -> Path:
    return config(folder / "gm.yaml")


def reasons(orders: np.ndarray, state: OrderState = OrderState.FILLED) -> Counter[OrderReason]:
    return Counter(OrderReason(order["reason"]) for order in orders if order["state"] == state)


def test_legs_trade_the_position_and_never_both(tape: Tape, settings: Path) -> None:
    run = gm.backtest(settings, tape.bars, SYMBOL, seed=3)
    orders = {tuple(order["id"].item()): order for order in run.orders}
    filled = reasons(run.orders)
    assert filled[OrderReason.STOP] > 5
    assert filled[OrderReason.TARGET] > 5
    target = load_settings(settings).trading[SYMBOL].target_lots
    position = 0
    for fill in run.fills:
        before = position
        position += int(fill["quantity_lots"]) * (1 if fill["side"] == Side.BUY else -1)
        assert abs(position) <= target
        reason = OrderReason(orders[tuple(fill["order_id"].item())]["reason"])
        if reason in (OrderReason.STOP, OrderReason.TARGET):
            assert abs(position) < abs(before)
            # In lockstep the other leg is always gone in time.
            assert position == 0 or (before > 0) == (position > 0)


def test_a_stop_trails_and_never_loosens(tmp_path: Path, tape: Tape, settings: Path) -> None:
    result = trade(tmp_path / "run", tape, config=settings)
    slots = records(result.run_dir)
    intents = payloads(slots, RecordType.INTENT, layout.NEW_ORDER)
    stops = {
        tuple(order["id"].item()): (int(order["price_ticks"]), Side(order["side"]))
        for order in intents
        if order["reason"] == OrderReason.STOP
    }
    moves = 0
    for asked in payloads(slots, RecordType.REPLACE_ORDER, layout.REPLACE_ORDER):
        ident = tuple(asked["id"].item())
        if ident not in stops:
            continue
        price, side = stops[ident]
        tighter = int(asked["price_ticks"]) - price
        assert tighter >= 0 if side == Side.SELL else tighter <= 0
        moves += tighter != 0
        stops[ident] = (int(asked["price_ticks"]), side)
    assert moves > 20


@pytest.mark.parametrize("driver", ["inline", "threaded"])
def test_the_books_agree_through_kills(
    tmp_path: Path, tape: Tape, settings: Path, driver: str
) -> None:
    plan = draw_kills(random.Random(7), KILLS, 2 * BARS, STARTUP_S)
    with place(tmp_path / "run", tape, settings) as here:
        result, _ = campaign(here, plan, driver)
    check_everything(result)
    filled = Counter(row["reason"] for row in result.ledger["orders"] if row["state"] == "filled")
    assert filled["stop"] > 0
    assert filled["target"] > 0
    updates = payloads(records(result.run_dir), RecordType.ORDER_UPDATE, layout.ORDER_UPDATE)
    assert not (updates["state"] == OrderState.ORPHAN).any()


def test_a_leg_of_a_type_that_is_not_allowed_is_a_configuration_error(
    tmp_path: Path, tape: Tape
) -> None:
    bad = config(tmp_path / "a.yaml", types=["market", "limit"])
    with pytest.raises(gm.errors.ConfigError, match=r"trading.BTC-PERP.bracket.stop_atr: needs"):
        gm.backtest(bad, tape.bars, SYMBOL)
    bad = config(tmp_path / "b.yaml", stop_atr=0)
    with pytest.raises(gm.errors.ConfigError, match=r"bracket.trailing_stop: needs a stop"):
        gm.backtest(bad, tape.bars, SYMBOL)
