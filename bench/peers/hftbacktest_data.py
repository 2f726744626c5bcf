"""Peer: hftbacktest over depth and trade events, without orders.

Runs in the environment of requirements-hftbacktest.txt, asked by bench/peers/process.py. The depth
is its fastest, ROIVectorMarketDepthBacktest; a compiled loop steps a minute at a time. Compiling
and loading are not timed.
"""

import time

import numpy as np
from hftbacktest import BacktestAsset, ROIVectorMarketDepthBacktest
from hftbacktest.types import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    event_dtype,
)
from numba import njit
from process import answer

MINUTE_NS = 60_000_000_000
TICK, LOT = 0.1, 0.001
kept: list[np.ndarray] = []


@njit
def drain(backtest) -> int:
    minutes = 0
    while backtest.elapse(MINUTE_NS) == 0:
        minutes += 1
    return minutes


def load(path: str) -> dict[str, int]:
    table = np.load(path)
    events = np.zeros(len(table), event_dtype)
    events["px"] = table["price_ticks"] * TICK
    events["qty"] = table["quantity_lots"] * LOT
    events["exch_ts"] = events["local_ts"] = table["ts_ns"]
    kind = np.where(table["is_trade"] != 0, TRADE_EVENT, DEPTH_EVENT)
    side = np.where(table["is_buy"] != 0, BUY_EVENT, SELL_EVENT)
    events["ev"] = EXCH_EVENT | LOCAL_EVENT | kind | side
    kept[:] = [events]
    return {"events": len(events)}


def run() -> dict[str, float]:
    events = kept[0]
    asset = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0, 0)
        .tick_size(TICK)
        .lot_size(LOT)
        .roi_lb(0.0)
        .roi_ub(events["px"].max() + 1000.0)
        .last_trades_capacity(0)
    )
    backtest = ROIVectorMarketDepthBacktest([asset])
    begin = time.perf_counter()
    minutes = drain(backtest)
    took = time.perf_counter() - begin
    depth = backtest.depth(0)
    found = {
        "events_per_s": len(events) / took,
        "minutes": minutes,
        "best_bid_ticks": round(depth.best_bid / TICK),
        "best_ask_ticks": round(depth.best_ask / TICK),
    }
    backtest.close()
    return found


if __name__ == "__main__":
    answer({"load": load, "run": run})
