"""Promise: free-running, the venue keeps the pace of the clock and tells a returning engine what it
missed.
"""

from collections import Counter
from pathlib import Path

import zmq

from gm import layout
from gm.layout import RecordType

from .peer import WAIT_MS, Engine, Journal, venue


def test_free_running_paces_by_the_clock_and_sends_heartbeats(tmp_path: Path) -> None:
    # Ten minutes of tape at 1000 x: 0.6 s.
    with venue(tmp_path, speed_permille=1_000_000) as running:
        journal = Journal()
        engine = Engine(running, journal)
        welcome = engine.hello()
        assert welcome["lockstep"] == 0
        engine.send(RecordType.READY, layout.READY)
        kinds = Counter()
        poller = zmq.Poller()
        poller.register(engine.feed, zmq.POLLIN)
        poller.register(engine.orders, zmq.POLLIN)
        while not journal.ended:
            for socket, _ in poller.poll(WAIT_MS):
                frame = engine.receive(socket)
                kinds[RecordType(int(frame["header"]["type"])).name] += 1
                is_heartbeat = frame["header"]["type"] == RecordType.HEARTBEAT
                if not is_heartbeat and journal.take(frame) and journal.feed == 4:
                    engine.order()
        running.join()
        engine.close()
        assert kinds["BAR_OPEN"] == kinds["BAR_CLOSE"] == 10
        assert kinds["HEARTBEAT"] >= 2
        assert kinds["ACK"] + kinds["REJECT"] == 1
        assert running.finished


def test_free_running_sends_a_returning_engine_what_it_missed(tmp_path: Path) -> None:
    with venue(tmp_path, speed_permille=2_000_000) as running:
        journal = Journal()
        engine = Engine(running, journal)
        engine.hello()
        engine.send(RecordType.READY, layout.READY)
        journal.take(engine.receive(engine.feed))
        engine.close()
        second = Engine(running, journal)
        second.hello()
        second.send(RecordType.READY, layout.READY, last_feed_sequence=journal.feed)
        while not journal.ended:
            frame = second.receive(second.feed)
            if frame["header"]["type"] != RecordType.HEARTBEAT:
                journal.take(frame)
        second.close()
        running.join()
        assert journal.feed == 21
