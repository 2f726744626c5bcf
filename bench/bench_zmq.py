"""E2: CLOSE frame to NEW_ORDER frame over ZeroMQ ipc, less a raw libzmq echo, beside Python.

Sketch: an ipc round trip on two cores costs some 40-80 us whatever answers; what an engine adds is
its step, its socket reads and the caches that went cold while it slept. The core adds its 3-6 us
step and some system calls of libzmq; the Python engine adds its 55-80 us.
Conditions: bench-side venue on one core, whoever answers on the other, each in a process of its
own; turns of 80 bars (echo, core, Python). The venue speaks the lockstep protocol
to the whole core of `gm run` (inline driver, journal and drop copy as always), sends each CLOSE
200 us after the last DONE, and fills every order at that close. Timed: sending the CLOSE until
NEW_ORDER is read, for closes that cause one; the echo carries frames of the same size over the
same kinds of sockets. Score: (Python - echo) / (core - echo), of medians, a round. Both engines'
orders are compared, all of them.

    python -m bench.bench_zmq [--json] [--smoke]
"""

import gc
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np
import zmq

from bench import rig
from bench.peers.python_engine import Close, Fill, Order
from bench.zmq_servers import STOP
from gm import layout
from gm._native.runtime import find_endpoints
from gm.layout import RecordType, Source

GAP_NS = 200_000
WARM_BARS, ROUNDS, ROUNDS_SMOKE, BLOCK, BLOCK_SMOKE = 400, 11, 1, 1600, 160
TURN = 80  # bars: short turns, so that whatever else runs on the machine meets all three
FLOOR = 25.0
WAIT_MS = 120_000  # a server makes its networks first
FRAME = np.dtype([("header", layout.RECORD_HEADER), ("payload", "u1", (64,))])
ORDER_FIELDS = tuple(name for name in Order.__struct_fields__ if name != "connection")
NS = 1_000_000_000


class Venue:
    """Binds both sockets of one server and speaks with it, bar by bar."""

    kind: ClassVar[str] = ""

    def __init__(self, context: zmq.Context, folder: str, capacity: int) -> None:
        run_dir = f"{folder}/{self.kind}"
        Path(run_dir).mkdir()
        endpoints = find_endpoints(run_dir, make=True)
        self.feed, self.orders = context.socket(zmq.XPUB), context.socket(zmq.ROUTER)
        for socket, endpoint in ((self.feed, "feed"), (self.orders, "orders")):
            socket.linger, socket.rcvtimeo = 0, WAIT_MS
            socket.bind(endpoints[endpoint])
        command = [sys.executable, "-m", "bench.zmq_servers", self.kind, run_dir]
        self.server = subprocess.Popen(
            [*command, str(max(rig.available_cores())), str(capacity)],
            stdin=subprocess.PIPE,
            cwd=rig.ROOT,
        )
        self.identity, self.found = b"", []
        self.feed.recv()  # the subscription
        self.meet()

    def meet(self) -> None:
        """Whatever comes before the first bar."""
        time.sleep(0.3)

    def run(self, bars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ns of each bar until the first answer, and whether that was an order."""
        times, has_order = np.zeros(len(bars)), np.zeros(len(bars), bool)
        messages = [self.message(bar) for bar in bars]
        closes = bars["close_ticks"].tolist()
        clock, send, receive = time.perf_counter_ns, self.feed.send, self.orders.recv_multipart
        for i, message in enumerate(messages):
            rig.wait_ns(GAP_NS)
            start = clock()
            send(message)
            answer = receive()
            times[i] = clock() - start
            has_order[i] = self.complete(answer, closes[i])
        return times, has_order

    def message(self, bar: np.void) -> bytes:
        raise NotImplementedError

    def complete(self, answer: list[bytes], close: int) -> bool:
        """Take what else belongs to the step; True if the answer was an order."""
        raise NotImplementedError

    def close(self) -> None:
        assert self.server.stdin is not None
        self.feed.send(STOP)
        self.server.stdin.close()
        self.server.wait(timeout=20)
        self.feed.close()
        self.orders.close()


class NativeVenue(Venue):
    """The lockstep protocol of ARCHITECTURE, as much of it as one engine needs."""

    kind = "native"

    def meet(self) -> None:
        self.sequence = self.replies = 0
        self.expect(RecordType.HELLO)
        welcome = np.zeros(1, layout.WELCOME)
        welcome["lockstep"], welcome["tape_id"] = 1, 7
        digest = hashlib.sha256(rig.SYMBOL.encode()).digest()
        welcome["symbol_hash"] = int.from_bytes(digest[:8], "little")
        self.reply(RecordType.WELCOME, welcome, 0)
        self.expect(RecordType.QUERY_ACCOUNT)
        books = np.zeros(1, layout.POSITION_REPORT)  # nothing was ever traded
        books["is_last"] = 1
        self.replies = 1
        self.reply(RecordType.POSITION_REPORT, books, self.replies)
        self.expect(RecordType.READY)
        self.expect(RecordType.DONE)

    def frame(self, kind: RecordType, source: Source, sequence: int, payload, ts_ns: int) -> bytes:
        frame = np.zeros(1, FRAME)
        header = frame["header"]
        header["magic"], header["schema"], header["count"] = layout.MAGIC, layout.SCHEMA, 1
        header["type"], header["source"], header["epoch"] = kind, source, 1
        header["first_sequence"], header["source_ts_ns"] = sequence, ts_ns
        header["receive_ts_ns"] = ts_ns  # the venue's time, which a lockstep engine goes by
        frame["payload"] = payload.view("u1")
        return frame.tobytes()

    def message(self, bar: np.void) -> bytes:
        self.sequence += 1
        end_ns = int(bar["start_ts_ns"]) + int(bar["duration_s"]) * NS
        payload = np.array([bar], layout.BAR_CLOSE)
        return self.frame(RecordType.BAR_CLOSE, Source.VENUE_FEED, self.sequence, payload, end_ns)

    def reply(self, kind: RecordType, payload: np.ndarray, sequence: int) -> None:
        frame = self.frame(kind, Source.VENUE_ORDERS, sequence, payload, 0)
        self.orders.send_multipart([self.identity, frame])

    def expect(self, kind: RecordType) -> None:
        self.identity, raw = self.orders.recv_multipart()
        found = int.from_bytes(raw[6:8], "little")
        if found != kind:
            sys.exit(f"the engine sent {found}, expected {kind!r}")

    def complete(self, answer: list[bytes], close: int) -> bool:
        raw = answer[1]
        if int.from_bytes(raw[6:8], "little") != RecordType.NEW_ORDER:
            return False
        self.expect(RecordType.DONE)
        order = np.frombuffer(raw[40:], layout.NEW_ORDER)[0]
        values = {"epoch": order["id"]["epoch"], "counter": order["id"]["counter"]}
        for name in ORDER_FIELDS[2:]:
            values[name] = order[name]
        self.found.append(tuple(int(values[name]) for name in ORDER_FIELDS))
        self.replies += 1
        fill = np.zeros(1, layout.FILL)
        fill["id"], fill["execution_id"], fill["price_ticks"] = order["id"], self.replies, close
        fill["quantity_lots"], fill["side"] = order["quantity_lots"], order["side"]
        self.reply(RecordType.FILL, fill, self.replies)
        self.expect(RecordType.DONE)
        return True


class PythonVenue(Venue):
    """The same with msgpack."""

    kind = "python"

    def meet(self) -> None:
        super().meet()
        self.sequence = 0
        self.encode = msgspec.msgpack.Encoder().encode
        self.decode = msgspec.msgpack.Decoder(Order).decode

    def message(self, bar: np.void) -> bytes:
        self.sequence += 1
        start, *prices, duration_s = [int(value) for value in bar.item()[:7]]
        return self.encode(Close(self.sequence, start + duration_s * NS, start, *prices,
                                 duration_s, 0))  # fmt: skip

    def complete(self, answer: list[bytes], close: int) -> bool:
        self.identity, raw = answer
        if raw == b"done":
            return False
        self.orders.recv_multipart()
        order = self.decode(raw)
        self.found.append(tuple(getattr(order, name) for name in ORDER_FIELDS))
        fill = Fill(len(self.found), order.counter, close, order.quantity_lots, order.side)
        self.orders.send_multipart([self.identity, self.encode(fill)])
        self.orders.recv_multipart()
        return True


class EchoVenue(NativeVenue):
    """Frames of the core's size that come back as they are."""

    kind = "echo"

    def meet(self) -> None:
        self.sequence = self.replies = 0
        time.sleep(0.3)

    def complete(self, answer: list[bytes], close: int) -> bool:
        return False


def measure(library, rounds_wanted: int, block: int) -> dict[str, object]:
    bars = rig.bars(WARM_BARS + rounds_wanted * block)
    context = zmq.Context()  # before any thread is pinned
    with tempfile.TemporaryDirectory() as folder:
        venues = [
            kind(context, folder, len(bars)) for kind in (EchoVenue, NativeVenue, PythonVenue)
        ]
        os.sched_setaffinity(0, {min(rig.available_cores())})
        for venue in venues:
            venue.run(bars[:WARM_BARS])
        gc.collect()
        gc.disable()
        rounds, probes = [], []
        for first in range(WARM_BARS, len(bars), block):
            parts = np.split(bars[first : first + block], block // TURN)
            blocks = [[venue.run(part) for venue in venues] for part in parts]
            rounds.append([tuple(map(np.concatenate, zip(*side, strict=True)))
                           for side in zip(*blocks, strict=True)])  # fmt: skip
            probes.append(rig.probe(library))
        gc.enable()
        for venue in venues:
            venue.close()
    ours, theirs = venues[1].found, venues[2].found
    if ours != theirs:
        pairs = zip(ours, theirs, strict=False)
        at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(ours), len(theirs)))
        sys.exit(
            f"orders differ from {at} on: {ours[at : at + 1]} and {theirs[at : at + 1]} of "
            f"{len(ours)} and {len(theirs)}"
        )
    context.term()
    return summarise(rounds, probes) | {"orders": len(ours)}


def summarise(rounds: list, probes: list[dict[str, float]]) -> dict[str, object]:
    added: dict[str, list[float]] = {"native": [], "python": [], "score": [], "all": []}
    for (echo, _), (native, native_orders), (python, python_orders) in rounds:
        floor = np.median(echo)
        ours = float(np.median(native[native_orders]) - floor)
        theirs = float(np.median(python[python_orders]) - floor)
        added["native"].append(ours)
        added["python"].append(theirs)
        added["score"].append(theirs / ours)
        added["all"].append(float((np.median(python) - floor) / (np.median(native) - floor)))

    def all_of(side: int, only_orders: bool) -> dict[str, float]:
        chosen = [r[side][0][r[side][1]] if only_orders else r[side][0] for r in rounds]
        return rig.percentiles(np.concatenate(chosen))

    return {
        "floor": FLOOR,
        "rounds": len(rounds),
        "closes_per_round": len(rounds[0][0][0]),
        "score_p50": rig.spread(added["score"]),
        "score_p50_all_closes": rig.spread(added["all"]),
        "native_added_ns": rig.spread(added["native"]),
        "python_added_ns": rig.spread(added["python"]),
        "echo_ns": all_of(0, only_orders=False),
        "native_ns": all_of(1, only_orders=True),
        "native_all_closes_ns": all_of(1, only_orders=False),
        "python_ns": all_of(2, only_orders=True),
    } | rig.noise(probes)


def main() -> None:
    title = __doc__.splitlines()[0]
    options = rig.options(title)
    library = rig.load_library()
    rounds, block = (ROUNDS_SMOKE, BLOCK_SMOKE) if options.smoke else (ROUNDS, BLOCK)
    rig.publish(title, measure(library, rounds, block), as_json=options.json)


if __name__ == "__main__":
    main()
