"""Promise: over real sockets the lockstep venue tells an engine everything exactly once, in order,
however often the engine dies and wherever in a step it dies.
"""

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from gm import layout
from gm._native.runtime import libzmq_path
from gm._native.venue_server import VenueServer
from gm.errors import OutOfMemory
from gm.layout import OrderState, RecordType, RejectReason

from .peer import (
    DIES,
    FRAME,
    TAPE_ID,
    Engine,
    Journal,
    Running,
    check_books,
    live,
    make_instrument,
    make_settings,
    make_tape,
    payload,
    venue,
)


def test_an_undisturbed_session_goes_event_then_replies_to_the_end(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        journal = Journal()
        assert live(running, journal).crowded == 0
        running.join()
        assert running.finished
        check_books(running, journal)
        kinds = [kind for kind, _ in journal.stream]
        assert kinds[:2] == ["BAR_OPEN", "BAR_CLOSE"]
        assert kinds[-1] == "END"
        assert kinds.count("BAR_OPEN") == kinds.count("BAR_CLOSE") == 10
        assert running.server.counters()["repeated_feed_frames"] == 0


def test_two_sessions_are_the_same_bytes(tmp_path: Path) -> None:
    streams = []
    for _ in range(2):
        with venue(tmp_path) as running:
            journal = Journal()
            live(running, journal)
            running.join()
            streams.append(b"".join(reply.tobytes() for reply in journal.replies))
    assert streams[0] == streams[1]


@pytest.mark.parametrize("die", DIES)
def test_death_at_any_step_loses_and_doubles_nothing(tmp_path: Path, die: str) -> None:
    with venue(tmp_path) as running:
        journal = Journal()
        live(running, journal)
        steps = len(journal.stream)
        running.join()
    for die_at in range(1, steps, 4):
        with venue(tmp_path) as running:
            journal = Journal()
            live(running, journal, die_at, die)
            if not journal.ended or die != "done":
                live(running, journal)
            running.join()
            assert running.finished
            check_books(running, journal)


def test_death_again_and_again_also_in_recovery(tmp_path: Path) -> None:
    with venue(tmp_path, bars=30) as running:
        journal = Journal()
        for life in range(60):
            live(running, journal, 1 + life % 7, DIES[life % 4])
            if journal.ended:
                break
        live(running, journal)
        running.join()
        assert running.finished
        check_books(running, journal)
        assert running.server.counters()["sessions"] > 20


def test_an_engine_killed_at_the_end_may_come_back(tmp_path: Path) -> None:
    with venue(tmp_path, bars=1) as running:
        journal = Journal()
        engine = Engine(running, journal)
        engine.trades = False
        engine.recover()
        engine.step_until(lambda: journal.feed == 2)
        while not journal.ended:
            journal.take(engine.receive(engine.feed))
        engine.close()  # END consumed, its DONE never sent
        assert running.thread.is_alive()
        live(running, journal)
        running.join()
        assert running.finished


def refused(running: Running, journal: Journal, **values: Any) -> int:
    engine = Engine(running, journal)
    try:
        return int(engine.hello(**values)["refused"])
    finally:
        engine.close()


def test_older_engines_foreign_tapes_and_doubles_are_refused(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        first = Engine(running, Journal())
        first.journal.epoch = 5
        first.recover()
        assert refused(running, Journal(), epoch=4) == RejectReason.OLD_EPOCH
        assert refused(running, Journal(), epoch=5) == RejectReason.OLD_CONNECTION
        assert refused(running, Journal(), epoch=0) == RejectReason.MALFORMED
        assert refused(running, Journal(), connection=0) == RejectReason.MALFORMED
        other = hashlib.sha256(b"other").digest()
        assert refused(running, Journal(), epoch=6, tape_id=other) == RejectReason.FOREIGN_TAPE
        # Of another run of this venue: WELCOME's numbers say it, and no session begins.
        assert refused(running, Journal(), epoch=6, last_feed_sequence=9) == 0
        first.step(first.feed)  # nobody took its place
        first.close()
        assert running.server.counters()["refused_sessions"] == 6


def test_orders_of_a_replaced_engine_are_refused_and_its_ids_stay_taken(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        journal = Journal()
        first = Engine(running, journal)
        first.recover()
        second = Engine(running, journal)
        second.recover()
        second.trades = False
        journal.epoch = 1
        first.order()  # the socket is still open: it was slow, not dead
        journal.epoch = 2
        second.step_until(lambda: journal.orders[1, 1, 1] == OrderState.REJECTED)
        row = running.server.orders()[0]
        assert row["reject_reason"] == RejectReason.OLD_EPOCH
        assert running.server.counters()["foreign_messages"] == 1
        first.close()
        second.close()


def test_a_buried_id_never_comes_to_life(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        journal = Journal()
        engine = Engine(running, journal)
        engine.trades = False
        engine.recover()
        journal.orders[1, 1, 1] = OrderState.UNKNOWN
        engine.query((1, 1, 1))
        engine.step_until(lambda: journal.orders[1, 1, 1] == OrderState.ABSENT)
        engine.order()
        engine.step_until(lambda: journal.orders[1, 1, 1] == OrderState.REJECTED)
        assert payload(journal.replies[-1], layout.REJECT)["reason"] == RejectReason.TOMBSTONED
        engine.close()
        assert len(running.server.orders()) == 0


def test_the_order_session_can_be_opened_anew_by_a_living_engine(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        journal = Journal()
        engine = Engine(running, journal)
        engine.recover()
        engine.step(engine.feed)
        engine.orders.close()
        engine.orders = running.context.socket(zmq.DEALER)
        engine.orders.linger = 0
        engine.orders.connect(running.orders)
        engine.connection, engine.orders_sent = 2, 0
        engine.run()
        engine.close()
        running.join()
        check_books(running, journal)


def test_a_frame_that_the_subscriber_missed_is_published_again(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        journal = Journal()
        engine = Engine(running, journal)
        engine.recover()
        first = engine.receive(engine.feed)
        second = engine.receive(engine.feed)
        assert first.tobytes() == second.tobytes()
        journal.take(first)
        engine.done()
        engine.done()  # for the repeated one
        assert running.server.counters()["repeated_feed_frames"] >= 1
        engine.step_until(lambda: journal.ended)
        engine.close()
        running.join()
        check_books(running, journal)


def test_rubbish_is_counted_and_the_session_goes_on(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        stranger = running.context.socket(zmq.DEALER)
        stranger.linger = 0
        stranger.connect(running.orders)
        random = np.random.default_rng(1)
        for size in (0, 1, 39, 40, 103, 104, 105, 40_000):
            stranger.send(random.bytes(size))
        good = np.zeros(1, FRAME)
        header = good["header"]
        header["magic"], header["schema"], header["source"] = layout.MAGIC, layout.SCHEMA, 4
        header["first_sequence"] = 1
        for kind in range(200):
            header["type"], header["count"] = kind, 1
            stranger.send(good.tobytes())
        header["count"] = 7
        stranger.send(good.tobytes())
        stranger.send_multipart([b"a", b"b", b"c"])
        journal = Journal()
        live(running, journal)
        stranger.close()
        running.join()
        check_books(running, journal)
        counters = running.server.counters()
        assert counters["bad_frames"] > 190
        assert counters["sessions"] == 1


def test_a_done_that_promises_too_much_moves_nothing(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        journal = Journal()
        engine = Engine(running, journal)
        engine.recover()
        frame = engine.receive(engine.feed)
        far = 2**63
        engine.send(RecordType.DONE, layout.DONE, feed_sequence=far, reply_sequence=far)
        assert frame["header"]["first_sequence"] == 1
        while engine.receive(engine.feed)["header"]["first_sequence"] == 1:
            pass
        journal.feed = 2
        engine.done()
        live_on = Engine(running, journal)
        live_on.run()
        live_on.close()
        engine.close()
        running.join()


def test_stop_ends_a_venue_that_waits_for_an_engine(tmp_path: Path) -> None:
    with venue(tmp_path) as running:
        running.server.stop()
        running.join()
        assert running.finished is False


def test_a_full_ledger_ends_the_venue_with_its_size(tmp_path: Path) -> None:
    running = Running(tmp_path, 10, 0, orders_max=1)
    caught: list[BaseException] = []
    running.server.stop()
    running.join()
    server = VenueServer(make_settings(orders_max=1), make_instrument(), make_tape())
    endpoints = (running.feed + "2", running.orders + "2")
    server.bind(libzmq_path(), running.context.underlying, *endpoints, TAPE_ID)
    running.feed, running.orders = endpoints

    def run() -> None:
        try:
            server.run()
        except OutOfMemory as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    engine = Engine(running, Journal())
    engine.recover()
    engine.order()
    engine.order()
    thread.join(5)
    engine.close()
    running.context.destroy(linger=0)
    assert "orders_max 1" in str(caught[0])
