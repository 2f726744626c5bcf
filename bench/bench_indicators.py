"""G7: three basic indicators per update in the native loop, beside NautilusTrader's best.

Sketch: EMA 20, RSI 14 and ATR 14 are some 25 floating-point operations and one division a bar, in
chains of 7 cycles: 2-3 ns. NautilusTrader pays a call from Python for each update, 17-70 ns.
Conditions: one core, blocks in turns (ABAB), the peer in an environment of its own (`make
bench-peers`), its Cython and its Rust implementation both timed, the faster one counts. RSI and
ATR are verified against TA-Lib, EMA against its recursion, before anything is timed. Beside it,
without a ratio: talipp per update and TA-Lib per value of a batch.

    python -m bench.bench_indicators [--json] [--smoke]
"""

import ctypes
import tempfile
from pathlib import Path

import numpy as np
import talib

from bench import rig
from bench.peers.process import Peer, is_installed

UPDATES, ROUNDS, ROUNDS_SMOKE, BLOCKS = 200_000, 9, 1, 5
FLOOR = 50.0
PEER = ("nautilus", "nautilus_indicators")
BAR = np.dtype([(name, "<f8") for name in ("high", "low", "close")])
VALUES = np.dtype([(name, "<f8") for name in ("ema", "rsi", "atr")])


def table(count: int) -> np.ndarray:
    bars = rig.bars(count)
    made = np.zeros(count, BAR)
    for name in BAR.names:
        made[name] = bars[f"{name}_ticks"]
    return made


class Native:
    def __init__(self) -> None:
        library = ctypes.CDLL(str(rig.build_native("indicators_library")))
        self.function = library.bench_indicators
        self.function.restype = ctypes.c_double
        self.function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]

    def run(self, bars: np.ndarray) -> tuple[float, np.ndarray]:
        values = np.zeros(len(bars), VALUES)
        took_ns = self.function(bars.ctypes.data, len(bars), values.ctypes.data)
        return took_ns / len(bars), values


def verify(bars: np.ndarray, values: np.ndarray) -> None:
    close = np.ascontiguousarray(bars["close"])
    np.testing.assert_allclose(values["rsi"][14:], talib.RSI(close, 14)[14:], rtol=1e-9)
    ema = close[0]
    for i in range(1, 1000):
        ema += 2.0 / 21.0 * (close[i] - ema)
        np.testing.assert_allclose(values["ema"][i], ema, rtol=1e-12)
    # TA-Lib seeds its ATR a bar later: the difference fades by 13/14 a bar.
    high, low = (np.ascontiguousarray(bars[name]) for name in ("high", "low"))
    np.testing.assert_allclose(values["atr"][400:], talib.ATR(high, low, close, 14)[400:], 1e-9)


def measure(rounds: int) -> dict[str, object]:
    core = max(rig.available_cores())
    native, bars = Native(), table(UPDATES)
    verify(bars, native.run(bars)[1])
    if not is_installed("nautilus"):
        return {"not_measured": "NautilusTrader is not installed: make bench-peers"}
    ours, theirs = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Peer(*PEER, core) as peer,
    ):
        path = Path(folder) / "bars.npy"
        np.save(path, bars)
        peer.ask("load", path=str(path))
        for _ in range(rounds):
            theirs.append(peer.ask("nautilus"))
            ours.append(float(np.median([native.run(bars)[0] for _ in range(BLOCKS)])))
        beside = {"talib_batch_ns": peer.ask("batch"), "talipp_ns": peer.ask("talipp")}
    sums = [sum(found[name] for name in VALUES.names) for found in theirs]
    return {
        "floor": FLOOR,
        "score_p50": rig.spread([whole / own for whole, own in zip(sums, ours, strict=True)]),
        "native_ns": rig.spread(ours),
        "nautilus_ns": {
            key: float(np.median([found[key] for found in theirs])) for key in theirs[0]
        },
        **beside,
    }


def main() -> None:
    title = __doc__.splitlines()[0]
    options = rig.options(title)
    rig.pin()
    rounds = ROUNDS_SMOKE if options.smoke else ROUNDS
    rig.publish(title, measure(rounds), as_json=options.json)


if __name__ == "__main__":
    main()
