"""A venue on a thread, and an engine that speaks its protocol and may die at any point."""

import contextlib
import hashlib
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from gm import layout
from gm._native.runtime import libzmq_path
from gm._native.venue_server import VenueServer
from gm.layout import OrderState, OrderType, RecordType, Side, Source

TAPE_ID = hashlib.sha256(b"tape").digest()
START_NS = 1_640_995_200_000_000_000
BAR_NS = 60_000_000_000
WAIT_MS = 5_000
FRAME = np.dtype([("header", layout.RECORD_HEADER), ("payload", "64u1")])
DIES = ("unread", "consumed", "ordered", "done")


class Died(Exception):
    """The engine was killed here."""


def make_tape(bars: int = 10) -> np.ndarray:
    tape = np.zeros(bars, layout.TAPE_ROW)
    rows = np.zeros(bars, layout.BAR_CLOSE)
    rows["start_ts_ns"] = START_NS + np.arange(bars) * BAR_NS
    rows["duration_s"] = 60
    rows["open_ticks"] = rows["close_ticks"] = 1000 + np.arange(bars)
    rows["high_ticks"] = rows["open_ticks"] + 5
    rows["low_ticks"] = rows["open_ticks"] - 5
    rows["volume_lots"] = 10
    tape["payload"] = rows.view("u1").reshape(bars, 64)
    tape["type"] = RecordType.BAR_CLOSE
    return tape


def make_instrument() -> np.ndarray:
    row = np.zeros(1, layout.INSTRUMENT)
    row["symbol"] = b"TEST"
    row["tick_size_e9"] = 10**9
    row["order_tick_ticks"] = 1
    row["tick_value_micros"] = 100
    row["band_ppm"] = 200_000
    row["band_ticks_min"] = 1
    return row


def make_settings(**values: int) -> np.ndarray:
    row = np.zeros(1, layout.VENUE_SETTINGS)
    row["seed"] = 3
    row["orders_max"] = 4096
    row["partial_fill_ppm"] = 400_000
    row["reject_ppm"] = 100_000
    row["commission_micros_per_lot"] = 2
    for name, value in values.items():
        row[name] = value
    return row


class Running:
    """A venue on its own thread, and where it listens."""

    def __init__(self, folder: Path, bars: int, speed_permille: int, **settings: int) -> None:
        self.context = zmq.Context()
        name = uuid.uuid4().hex[:8]
        self.feed = f"ipc://{folder}/{name}f"
        self.orders = f"ipc://{folder}/{name}o"
        self.server = VenueServer(make_settings(**settings), make_instrument(), make_tape(bars))
        self.server.bind(
            libzmq_path(),
            self.context.underlying,
            self.feed,
            self.orders,
            TAPE_ID,
            speed_permille=speed_permille,
            linger_ns=30_000_000,
        )
        self.finished: bool | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        self.finished = self.server.run()

    def join(self) -> None:
        self.thread.join(WAIT_MS / 1000)
        assert not self.thread.is_alive()

    def close(self) -> None:
        self.server.stop()
        self.join()
        self.context.destroy(linger=0)


@contextlib.contextmanager
def venue(
    folder: Path, bars: int = 10, speed_permille: int = 0, **settings: int
) -> Iterator[Running]:
    running = Running(folder, bars, speed_permille, **settings)
    try:
        yield running
    finally:
        running.close()


class Engine:
    """What an engine does on the wire. `journal` outlives it, like the journal ring."""

    def __init__(
        self, running: Running, journal: "Journal", die_at: int = -1, die: str = ""
    ) -> None:
        self.journal = journal
        self.die_at, self.die = die_at, die
        self.steps = 0
        self.crowded = 0
        self.trades = True
        self.orders_sent = 0
        self.connection = 1
        journal.epoch += 1
        self.counter = 0
        self.feed = running.context.socket(zmq.SUB)
        self.feed.linger = 0
        self.feed.subscribe(b"")
        self.feed.connect(running.feed)
        self.orders = running.context.socket(zmq.DEALER)
        self.orders.linger = 0
        self.orders.connect(running.orders)

    def close(self) -> None:
        self.feed.close()
        self.orders.close()

    def send(self, kind: RecordType, dtype: Any, **values: Any) -> None:
        frame = np.zeros(1, FRAME)
        header = frame["header"]
        header["magic"], header["schema"], header["count"] = layout.MAGIC, layout.SCHEMA, 1
        header["type"], header["source"] = kind, Source.ENGINE
        header["epoch"], header["first_sequence"] = self.journal.epoch, 1
        frame["payload"] = pack(dtype, **values)
        self.orders.send(frame.tobytes())

    def hello(self, tape_id: bytes | None = None, **values: Any) -> Any:
        fields = {
            "epoch": self.journal.epoch,
            "connection": self.connection,
            "last_feed_sequence": self.journal.feed,
            "last_reply_sequence": len(self.journal.replies),
        }
        known = bytes(32) if self.journal.epoch == 1 else TAPE_ID
        fields["tape_id"] = np.frombuffer(tape_id or known, "u1")
        self.send(RecordType.HELLO, layout.HELLO, **(fields | values))
        frame = self.receive(self.orders)
        assert frame["header"]["type"] == RecordType.WELCOME
        return payload(frame, layout.WELCOME)

    def receive(self, socket: zmq.Socket[bytes]) -> Any:
        assert socket.poll(WAIT_MS), "the venue is silent"
        return np.frombuffer(socket.recv(), FRAME)[0]

    def done(self) -> None:
        self.send(
            RecordType.DONE,
            layout.DONE,
            feed_sequence=self.journal.feed,
            reply_sequence=len(self.journal.replies),
            orders_sent=self.orders_sent,
        )

    def order(self, lots: int = 3, **values: Any) -> None:
        self.counter += 1
        ident = (1, self.journal.epoch, self.counter)
        self.journal.orders[ident] = OrderState.UNKNOWN
        if self.die == "consumed" and self.steps == self.die_at:
            raise Died
        fields = {"side": Side.BUY, "type": OrderType.MARKET, "connection": self.connection}
        fields |= {"quantity_lots": lots, "valid_until_ns": 2**62} | values
        self.send(RecordType.NEW_ORDER, layout.NEW_ORDER, id=ident, **fields)
        self.orders_sent += 1

    def query(self, ident: tuple[int, int, int]) -> None:
        self.send(RecordType.QUERY_ORDER, layout.QUERY_ORDER, id=ident, connection=self.connection)
        self.orders_sent += 1

    def recover(self) -> None:
        welcome = self.hello()
        assert welcome["refused"] == 0
        while len(self.journal.replies) < welcome["last_reply_sequence"]:
            self.step(self.orders)
        unknown, asked_at = self.journal.open_orders(), len(self.journal.replies)
        for ident in unknown:
            self.query(ident)
        # Answers are the last of the replies; a late rejection may come between.
        while not self.journal.has_answers(unknown, asked_at):
            self.step(self.orders)
        self.send(
            RecordType.READY,
            layout.READY,
            last_feed_sequence=self.journal.feed,
            last_reply_sequence=len(self.journal.replies),
        )

    def step(self, socket: zmq.Socket[bytes]) -> None:
        frame = self.receive(socket)
        self.steps += 1
        is_here = self.steps == self.die_at
        if is_here and self.die == "unread":
            raise Died
        if self.journal.take(frame):
            self.trade(frame)
        if is_here and self.die in ("consumed", "ordered"):
            raise Died
        self.done()
        if is_here:
            raise Died

    def trade(self, frame: Any) -> None:
        if frame["header"]["type"] != RecordType.BAR_CLOSE or not self.trades:
            return
        sequence = int(frame["header"]["first_sequence"])
        side = Side.BUY if sequence % 3 else Side.SELL
        self.order(lots=1 + sequence % 5, side=side)
        if sequence % 4 == 0:
            price = int(payload(frame, layout.BAR_CLOSE)["close_ticks"]) - 2
            self.order(lots=2, type=OrderType.LIMIT, price_ticks=price)

    def run(self) -> None:
        self.recover()
        self.step_until(lambda: self.journal.ended)

    def step_until(self, is_enough: Callable[[], bool]) -> None:
        poller = zmq.Poller()
        poller.register(self.feed, zmq.POLLIN)
        poller.register(self.orders, zmq.POLLIN)
        while not is_enough():
            ready = poller.poll(WAIT_MS)
            assert ready, "the venue is silent"
            # A frame left over from an older connection may stand beside the open step.
            self.crowded += len(ready) > 1
            self.step(ready[0][0])


class Journal:
    """What engines remember from one life to the next."""

    def __init__(self) -> None:
        self.epoch = 0
        self.feed = 0
        self.ended = False
        self.replies: list[Any] = []
        self.orders: dict[tuple[int, int, int], int] = {}
        self.fills: Counter[tuple[int, int, int]] = Counter()
        self.executions: list[int] = []
        self.position = 0
        self.stream: list[tuple[str, int]] = []

    def open_orders(self) -> list[tuple[int, int, int]]:
        alive = (OrderState.UNKNOWN, OrderState.LIVE, OrderState.PARTIAL)
        return [ident for ident, state in self.orders.items() if state in alive]

    def has_answers(self, asked: list[tuple[int, int, int]], after: int) -> bool:
        answers = {
            tuple(payload(reply, layout.ORDER_STATE_REPORT)["id"].item())
            for reply in self.replies[after:]
            if reply["header"]["type"] == RecordType.ORDER_STATE
        }
        return set(asked) <= answers

    def take(self, frame: Any) -> bool:
        """Consume a frame; False when it was consumed before."""
        kind = RecordType(int(frame["header"]["type"]))
        sequence = int(frame["header"]["first_sequence"])
        if frame["header"]["source"] == Source.VENUE_FEED:
            if sequence <= self.feed:
                return False
            assert sequence == self.feed + 1
            self.feed = sequence
            self.ended = kind == RecordType.END
            self.stream.append((kind.name, sequence))
            return True
        if sequence <= len(self.replies):
            return False
        assert sequence == len(self.replies) + 1
        self.replies.append(frame)
        self.stream.append((kind.name, sequence))
        self._apply(kind, frame)
        return False

    def _apply(self, kind: RecordType, frame: Any) -> None:
        ident = tuple(payload(frame, layout.ORDER_ENDED)["id"].item())
        assert ident in self.orders
        if kind == RecordType.FILL:
            fill = payload(frame, layout.FILL)
            self.executions.append(int(fill["execution_id"]))
            self.fills[ident] += int(fill["quantity_lots"])
            sign = 1 if fill["side"] == Side.BUY else -1
            self.position += sign * int(fill["quantity_lots"])
            done = fill["leaves_lots"] == 0
            self.orders[ident] = OrderState.FILLED if done else OrderState.PARTIAL
        elif kind == RecordType.ORDER_STATE:
            report = payload(frame, layout.ORDER_STATE_REPORT)
            assert report["filled_lots"] == self.fills[ident]
            self.orders[ident] = int(report["state"])
        else:
            self.orders[ident] = {
                RecordType.ACK: OrderState.LIVE,
                RecordType.REJECT: OrderState.REJECTED,
                RecordType.EXPIRED: OrderState.EXPIRED,
                RecordType.CANCELLED: OrderState.CANCELLED,
            }[kind]


def pack(dtype: Any, **values: Any) -> np.ndarray:
    row = np.zeros(1, dtype)
    for name, value in values.items():
        row[name] = value
    return row.view("u1").reshape(1, 64)


def payload(frame: Any, dtype: Any) -> Any:
    return np.ascontiguousarray(frame["payload"]).view(dtype)[0]


def live(running: Running, journal: Journal, die_at: int = -1, die: str = "") -> Engine:
    """One life of an engine, from HELLO to END or death."""
    engine = Engine(running, journal, die_at, die)
    try:
        with contextlib.suppress(Died):
            engine.run()
    finally:
        engine.close()
    return engine


def check_books(running: Running, journal: Journal) -> None:
    ledger = {tuple(o["id"].item()): o for o in running.server.orders()}
    graves = {tuple(t.item()) for t in running.server.tombstones()}
    executions = running.server.executions()
    totals = running.server.totals()[0]
    assert len(ledger) == len(running.server.orders())
    assert not ledger.keys() & graves
    assert journal.executions == list(executions["execution_id"])
    assert journal.position == totals["position_lots"]
    for ident, state in journal.orders.items():
        if state == OrderState.ABSENT:
            assert ident in graves
        else:
            assert state == ledger[ident]["state"]
            assert journal.fills[ident] == ledger[ident]["filled_lots"]
    assert set(ledger) | graves == set(journal.orders)
    assert not journal.open_orders()
    assert running.server.counters()["order_gaps"] == 0
