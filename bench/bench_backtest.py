"""G15: a backtest with orders and risk beside NautilusTrader, data only beside hftbacktest.

Sketch: of a trade or a level 80 bytes of tape are read, 128 of the journal written, and venue,
check and bars looked at in between: 25-35 ns. A closed 5-minute bar adds its tactical row, the rule
over a window of 200 closes, decision and position, 0.3 us; one of 30 minutes its strategic row
without profile and MMD, which a rule does not read, 2 us; an order 1-2 us. NautilusTrader pays for
objects and handlers at each tick, and more with each bar and order. The floor with orders is of a
day when NautilusTrader took 49,000 ticks a second; here it takes 60,000 with a trade a minute and
250,000 with one a second, so that 300 times would be 55 and 13 ns a tick.
Conditions: one core, peers in environments of their own (`make bench-peers`), blocks in turns.
With orders: the cross of two exponential means on 5-minute bars made from trades, reversing by
market order; on our side a user kernel (bench/ema_cross.py), the gate, risk and the matcher, on
theirs the Strategy of bench/peers/nautilus_backtest.py; once with a trade a second, once with one a
minute. Both trade from bar 200 on, when nothing is left of how the means began. Data only: changes
of levels and trades, 1 ms apart, no orders; hftbacktest with its fastest depth and latency 0.
Reading and set-up are not timed. Verified in every round: as many orders as the peer, each of the
same side, none refused; the same best bid and ask at the end, and nothing quarantined.

    python -m bench.bench_backtest [--json] [--smoke]
"""

import contextlib
import ctypes
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np

from bench import rig
from bench.ema_cross import WINDOW
from bench.peers.process import Peer, is_installed
from gm import layout
from gm.config.instruments import instrument as find_instrument
from gm.config.settings import KernelsSection, Settings, load_settings
from gm.layout import BookResetReason, RecordType
from gm.supervisor.preparation import build_run, run_kernels
from gm.venue.serving import venue_settings

SYMBOL = "BTCUSDT"
SPACINGS_S = {"second": 1, "minute": 60}
TRADES, TRADES_SMOKE = 300_000, 100_000
EVENTS, EVENTS_SMOKE = 2_000_000, 200_000
ROUNDS, ROUNDS_SMOKE, BLOCKS = 7, 1, 3
FLOOR_ORDERS, FLOOR_DATA = 300.0, 1.2
TARGET_LOTS = 10
FIRST_TICKS = 400_000
EVENT_NS = 1_000_000
SIDES_MAX = 100_000
MARKET = np.dtype(
    [(name, "<i8") for name in ("ts_ns", "price_ticks", "quantity_lots")]
    + [(name, "u1") for name in ("is_trade", "is_buy")]
)
PLAYED = np.dtype(
    [("seconds", "<f8")]
    + [(n, "<u8") for n in ("orders", "filled", "decisions", "refusals", "quarantined", "bars_5m")]
    + [(name, "<i8") for name in ("bid_ticks", "ask_ticks")]
)


def trades(count: int, spacing_s: int, seed: int = 7) -> np.ndarray:
    """A walk that returns to where it began; no trade falls on the edge of a bar."""
    random = np.random.default_rng(seed)
    made = np.zeros(count, MARKET)
    made["ts_ns"] = rig.FIRST_START_NS + (2 * np.arange(count) + 1) * (spacing_s * 500_000_000)
    steps = random.normal(0.0, 20.0 * np.sqrt(spacing_s), count)
    walk, level = np.zeros(count), 0.0
    for i, step in enumerate(steps.tolist()):
        level = 0.99995 * level + step
        walk[i] = level
    made["price_ticks"] = FIRST_TICKS + np.rint(walk).astype(np.int64)
    made["quantity_lots"], made["is_trade"] = random.integers(1, 100, count), 1
    return made


def depth(count: int, seed: int = 8) -> np.ndarray:
    """A book of 40 prices around a walk: never crossed, whole behind every event.

    7 of 10 events change a price behind the best, 2 are trades, 1 moves the best prices a tick:
    two events, the level that goes and the one that comes.
    """
    random = np.random.default_rng(seed)
    kinds, sizes = random.random(count), random.integers(1, 1000, count).tolist()
    away, coins = random.integers(1, 20, count).tolist(), random.integers(0, 2, count).tolist()
    rows = [(FIRST_TICKS - 1 - i, 500, 0, 1) for i in range(20)]
    rows += [(FIRST_TICKS + i, 500, 0, 0) for i in range(20)]
    ask = FIRST_TICKS
    for kind, size, distance, coin in zip(kinds.tolist(), sizes, away, coins, strict=True):
        if len(rows) >= count:
            break
        best = ask - 1 if coin else ask
        if kind < 0.7:
            left = 0 if size < 100 else size
            rows.append((best - distance if coin else best + distance, left, 0, coin))
        elif kind < 0.9:
            rows.append((best, size, 1, 1 - coin))
        else:
            rows += [(best, 0, 0, coin), (best, size, 0, 1 - coin)]
            ask += -1 if coin else 1
            # Both best prices always hold something.
            rows.append((ask - 1 if coin else ask, size, 0, coin))
    found = np.array(rows[:count], np.int64)
    made = np.zeros(count, MARKET)
    made["ts_ns"] = rig.FIRST_START_NS + EVENT_NS * np.arange(1, count + 1)
    for i, name in enumerate(("price_ticks", "quantity_lots", "is_trade", "is_buy")):
        made[name] = found[:, i]
    return made


def tape_of(market: np.ndarray) -> np.ndarray:
    """The same events as a tape; a book begins with the word that its levels follow."""
    levels, dealt = np.zeros(len(market), layout.BOOK_LEVEL), np.zeros(len(market), layout.TRADE)
    for rows in (levels, dealt):
        rows["price_ticks"], rows["quantity_lots"] = market["price_ticks"], market["quantity_lots"]
        rows["side"] = 1 - market["is_buy"]
    is_trade = market["is_trade"] != 0
    levels["is_last"] = 1
    if not is_trade.all():
        levels["is_last"][:39] = 0
    tape = np.zeros(len(market), layout.TAPE_ROW)
    payloads = [rows.view(np.uint8).reshape(-1, layout.PAYLOAD_SIZE) for rows in (dealt, levels)]
    tape["payload"] = np.where(is_trade[:, None], *payloads)
    tape["type"] = np.where(is_trade, RecordType.TRADE, RecordType.BOOK_LEVEL)
    tape["ts_ns"] = market["ts_ns"]
    if is_trade.all():
        return tape
    reset = np.zeros(1, layout.BOOK_RESET)
    reset["reason"] = BookResetReason.SNAPSHOT
    first = np.zeros(1, layout.TAPE_ROW)
    first["payload"], first["type"] = reset.view(np.uint8), RecordType.BOOK_RESET
    first["ts_ns"] = market["ts_ns"][0]
    return np.concatenate((first, tape))


def settings(has_rule: bool) -> tuple[Path, Settings]:
    """Shipped limits, but of a desk that trades once a minute and is always in the market."""
    config = rig.ROOT / "configs" / "development.yaml"
    tree = load_settings(config)
    replace = msgspec.structs.replace
    limits = replace(
        tree.trading[SYMBOL], target_lots=TARGET_LOTS, order_quantity_lots_max=2 * TARGET_LOTS,
        position_lots_max=TARGET_LOTS, reference_age_ms_max=600_000,
    )  # fmt: skip
    profile = "rule" if has_rule else "strategic_only"
    return config, replace(
        tree,
        engine=replace(tree.engine, order_valid_for_ms=600_000, order_timeout_ms=600_000),
        policy=replace(tree.policy, profile=profile, max_hold_bars=0),
        kernels=KernelsSection(path=str(rig.ROOT / "bench" / "ema_cross.py") if has_rule else ""),
        trading={SYMBOL: limits},
        venue=replace(tree.venue, partial_fill_ppm=0, reject_ppm=0, latency_us=0),
    )


class Native:
    """Our side, in this process: one call a run."""

    def __init__(self, *, has_rule: bool) -> None:
        config, tree = settings(has_rule)
        self.block = build_run(config, tree, (SYMBOL,))[0]
        instrument = find_instrument(SYMBOL, config.parent / tree.instruments_file)
        self.venue = venue_settings(tree.venue, instrument, 1)
        library = run_kernels(config, tree)
        self.kernels = b"" if library is None else str(library.path).encode()
        self.function = ctypes.CDLL(str(rig.build_native("session_library"))).bench_session
        self.function.restype = ctypes.c_bool
        pointer, size, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
        self.function.argtypes = [
            text, size, pointer, pointer, size, text, pointer, pointer, size, text, size,
        ]  # fmt: skip

    def run(self, tape: np.ndarray) -> tuple[np.void, list[int]]:
        """What was played, and the sides of its orders."""
        played, sides = np.zeros(1, PLAYED), np.zeros(SIDES_MAX, np.uint8)
        error = ctypes.create_string_buffer(512)
        if not self.function(
            self.block, len(self.block), self.venue.ctypes.data, tape.ctypes.data, len(tape),
            self.kernels, played.ctypes.data, sides.ctypes.data, len(sides), error, len(error),
        ):  # fmt: skip
            sys.exit(f"the session failed: {error.value.decode()}")
        return played[0], sides[: int(played["orders"][0])].tolist()

    def per_second(self, tape: np.ndarray) -> float:
        return float(np.median([len(tape) / self.run(tape)[0]["seconds"] for _ in range(BLOCKS)]))


def same(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        sys.exit(f"{what}: {str(ours)[:200]} here, {str(theirs)[:200]} there: not a comparison")


def verify_orders(name: str, played: np.void, sides: list[int], peer: dict) -> None:
    same(f"{name}: refusals and quarantined trades", (played["refusals"], played["quarantined"]),
         (0, 0))  # fmt: skip
    same(f"{name}: orders", len(sides), peer["orders"])
    same(f"{name}: sides of orders", sides, peer["sides"])
    # What the last bar decides, no trade may be left to fill.
    same(f"{name}: filled", len(sides) - int(played["filled"]) <= 1, True)
    same(f"{name}: any orders at all", len(sides) > 1, True)


def measure_orders(folder: Path, core: int, rounds: int, count: int) -> dict[str, object]:
    native = Native(has_rule=True)
    result: dict[str, object] = {}
    with contextlib.ExitStack() as stack:
        for name, spacing_s in SPACINGS_S.items():
            market = trades(count, spacing_s)
            tape = tape_of(market)
            played, sides = native.run(tape)
            result |= {
                f"orders_{name}": len(sides),
                f"bars_{name}": int(played["bars_5m"]),
            }
            if not is_installed("nautilus"):
                same(f"{name}: refusals", int(played["refusals"]), 0)
                result[f"native_{name}_per_s"] = rig.spread([native.per_second(tape)])
                continue
            peer = stack.enter_context(Peer("nautilus", "nautilus_backtest", core))
            np.save(folder / f"{name}.npy", market)
            peer.ask("load", path=str(folder / f"{name}.npy"))
            ours, theirs = [], []
            for _ in range(rounds):
                found = peer.ask("run", first_bar=WINDOW)
                verify_orders(name, played, sides, found)
                theirs.append(found["ticks_per_s"])
                ours.append(native.per_second(tape))
            result |= {
                f"score_{name}": rig.spread([a / b for a, b in zip(ours, theirs, strict=True)]),
                f"native_{name}_per_s": rig.spread(ours),
                f"nautilus_{name}_per_s": rig.spread(theirs),
                f"nautilus_{name}_data_only_per_s": peer.ask("run", first_bar=0)["ticks_per_s"],
            }
    return result


def measure_data(folder: Path, core: int, rounds: int, count: int) -> dict[str, object]:
    native, market = Native(has_rule=False), depth(count)
    tape = tape_of(market)
    played = native.run(tape)[0]
    same("quarantined events", int(played["quarantined"]), 0)
    if not is_installed("hftbacktest"):
        return {"events": count, "native_data_per_s": rig.spread([native.per_second(tape)])}
    np.save(folder / "depth.npy", market)
    ours, theirs = [], []
    with Peer("hftbacktest", "hftbacktest_data", core) as peer:
        peer.ask("load", path=str(folder / "depth.npy"))
        peer.ask("run")  # compiles
        for _ in range(rounds):
            found = [peer.ask("run") for _ in range(BLOCKS)]
            for names in ("best_bid_ticks", "bid_ticks"), ("best_ask_ticks", "ask_ticks"):
                same(names[1], int(played[names[1]]), found[0][names[0]])
            theirs.append(float(np.median([run["events_per_s"] for run in found])))
            ours.append(native.per_second(tape))
    return {
        "events": count,
        "best": f"{played['bid_ticks']} {played['ask_ticks']}",
        "score_data": rig.spread([a / b for a, b in zip(ours, theirs, strict=True)]),
        "native_data_per_s": rig.spread(ours),
        "hftbacktest_data_per_s": rig.spread(theirs),
    }


def measure(*, smoke: bool) -> dict[str, object]:
    core, rounds = max(rig.available_cores()), ROUNDS_SMOKE if smoke else ROUNDS
    missing = [name for name in ("nautilus", "hftbacktest") if not is_installed(name)]
    result: dict[str, object] = {"floor_orders": FLOOR_ORDERS, "floor_data": FLOOR_DATA}
    if missing:
        result["not_measured"] = f"beside {', '.join(missing)}: not installed: make bench-peers"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result |= measure_data(folder, core, rounds, EVENTS_SMOKE if smoke else EVENTS)
        result |= measure_orders(folder, core, rounds, TRADES_SMOKE if smoke else TRADES)
    return result


def main() -> None:
    title = __doc__.splitlines()[0]
    options = rig.options(title)
    rig.pin()
    rig.publish(title, measure(smoke=options.smoke), as_json=options.json)


if __name__ == "__main__":
    main()
