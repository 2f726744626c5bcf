"""Peer: a backtest of NautilusTrader over trades, with and without a strategy that trades.

Runs in the environment of requirements-nautilus.txt, asked by bench/peers/process.py. The strategy
goes with the cross of two moving averages on 5-minute bars that NautilusTrader itself makes from
the trades: long above, short below, reversing by market order, from the bar on that it is told.
Loading and set-up are not timed.
"""

import time
from typing import Any

import numpy as np
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import ExponentialMovingAverage
from nautilus_trader.model.currencies import USDT
from nautilus_trader.model.data import Bar, BarType, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, OmsType, OrderSide
from nautilus_trader.model.identifiers import TradeId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy
from process import answer

FAST, SLOW = 10, 20
QUANTITY = 0.01
INSTRUMENT = TestInstrumentProvider.btcusdt_perp_binance()
ticks: list[TradeTick] = []


class Cross(Strategy):
    def __init__(self, first_bar: int) -> None:
        super().__init__()
        self.bars_before = first_bar - 1
        self.fast = ExponentialMovingAverage(FAST)
        self.slow = ExponentialMovingAverage(SLOW)
        self.bars = BarType.from_str(f"{INSTRUMENT.id}-5-MINUTE-LAST-INTERNAL")
        self.side = 0

    def on_start(self) -> None:
        self.register_indicator_for_bars(self.bars, self.fast)
        self.register_indicator_for_bars(self.bars, self.slow)
        self.subscribe_bars(self.bars)

    def on_bar(self, _bar: Bar) -> None:
        if self.bars_before > 0:
            self.bars_before -= 1
            return
        wanted = 1 if self.fast.value >= self.slow.value else -1
        if wanted == self.side:
            return
        quantity = INSTRUMENT.make_qty(QUANTITY * abs(wanted - self.side))
        side = OrderSide.BUY if wanted > 0 else OrderSide.SELL
        self.submit_order(self.order_factory.market(INSTRUMENT.id, side, quantity))
        self.side = wanted


class Watch(Strategy):
    def on_start(self) -> None:
        self.subscribe_trade_ticks(INSTRUMENT.id)


def load(path: str) -> dict[str, int]:
    table = np.load(path)
    ticks[:] = [
        TradeTick(
            INSTRUMENT.id, Price(ticks_ * 0.1, 1), Quantity(QUANTITY, 3), AggressorSide.BUYER,
            TradeId(str(i)), ts_ns, ts_ns,
        )
        for i, (ts_ns, ticks_) in enumerate(table[["ts_ns", "price_ticks"]].tolist())
    ]  # fmt: skip
    return {"ticks": len(ticks)}


def run(*, first_bar: int) -> dict[str, Any]:
    """With orders from that bar on; 0: trades are looked at and no more."""
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(bypass_logging=True)))
    engine.add_venue(
        Venue("BINANCE"), OmsType.NETTING, AccountType.MARGIN, [Money(10_000_000, USDT)]
    )
    engine.add_instrument(INSTRUMENT)
    engine.add_data(ticks)
    engine.add_strategy(Cross(first_bar) if first_bar else Watch())
    begin = time.perf_counter()
    engine.run()
    took = time.perf_counter() - begin
    orders = engine.cache.orders()
    found = {
        "ticks_per_s": len(ticks) / took,
        "orders": len(orders),
        "filled": sum(order.is_closed for order in orders),
        "sides": [
            int(order.side == OrderSide.SELL)
            for order in sorted(orders, key=lambda order: order.ts_init)
        ],
    }
    engine.dispose()
    return found


if __name__ == "__main__":
    answer({"load": load, "run": run})
