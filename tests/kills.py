"""Killing the engine again and again while the venue lives on, and what must be true afterwards.

Promises P1 and P2 of SAFETY, checked from outside: the venue's ledger, the journal's records and
the database are read on their own and held against each other.
"""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from gm import layout
from gm._native.runtime import libzmq_path
from gm.layout import OrderState, RecordType, Side
from gm.replay import replay
from gm.store.verify import verify_journal

from .independent_pnl import recompute_run
from .runs import POLL_S, ROOT, Place, Process, Result, finish, payloads, records

HARNESS = ROOT / "build" / "core" / "gm-core-harness"
TERMINAL = {
    OrderState.FILLED, OrderState.CANCELLED, OrderState.EXPIRED, OrderState.REJECTED,
    OrderState.NEVER, OrderState.DENIED,
}  # fmt: skip

# How far a life may get that was to be killed while it starts.
START_FEED_MAX = 200

Id = tuple[int, int, int]


class Kill(NamedTuple):
    """When a life ends: so many seconds after exec, or behind a feed sequence."""

    after_s: float = 0.0
    at_feed: int = 0


def draw_kills(
    random_: random.Random, kills: int, feed_events: int, startup_s: float
) -> list[Kill]:
    """Kills over the whole tape in time order, and one of four while the process starts."""
    starting = [Kill(after_s=random_.uniform(0, startup_s)) for _ in range(kills // 4)]
    # The last twentieth is left, so that every kill of the plan hits a living engine.
    places = sorted(
        random_.randrange(1, feed_events * 19 // 20) for _ in range(kills - len(starting))
    )
    plan = [Kill(after_s=random_.uniform(0, 0.004), at_feed=place) for place in places]
    for kill in starting:
        plan.insert(random_.randrange(len(plan)), kill)
    return plan


def live_and_die(here: Place, engine: Process, kill: Kill) -> str:
    """Wait for the moment, kill -9. The phase that the engine was in."""
    phase = "exec"
    begin = reached(here)
    if kill.at_feed:
        engine.wait_for(lambda: fed(here, engine) >= kill.at_feed)
    until = time.monotonic() + kill.after_s
    while time.monotonic() < until:  # a sleep is too coarse for a step of 40 microseconds
        # A kill that was meant for the start must not let a fast machine trade to the end.
        if not kill.at_feed:
            time.sleep(POLL_S)
            if fed(here, engine) > begin + START_FEED_MAX:
                break
    status = here.status()
    if status is not None and status["io"]["pid"] == engine.pid:
        phase = str(status["io"]["phase"])
    engine.kill()
    return phase


def fed(here: Place, engine: Process) -> int:
    """The last feed sequence of this life, 0 until it has one."""
    status = here.status()
    if status is None or status["io"]["pid"] != engine.pid:
        return 0
    return int(status["engine"]["last_feed_sequence"])


def campaign(here: Place, plan: list[Kill], driver: str) -> tuple[Result, Counter[str]]:
    """Trade a tape to its END through the kills of a plan."""
    venue = here.venue()
    phases: Counter[str] = Counter()
    for kill in plan:
        engine = here.engine("--driver", driver)
        assert venue.is_running, f"END came before {kill}: {venue.errors()[-3000:]}"
        phases[live_and_die(here, engine, kill)] += 1
    engine = here.engine("--driver", driver)
    return finish(here, engine, venue), phases


FROM_SNAPSHOT = "goes on from the snapshot of record"


def harness(
    here: Place, driver: str, die_after_inputs: int, snapshot_every_us: int = 60_000_000
) -> Process:
    """The engine without Python, which dies like kill -9 at an exact input."""
    return here.start(
        *harness_command(here, driver, snapshot_every_us),
        "--die-after-inputs", str(die_after_inputs),
    )  # fmt: skip


def harness_command(
    here: Place,
    driver: str,
    snapshot_every_us: int,
    segment_bytes: int = 16 << 20,
    program: Path = HARNESS,
) -> list[str | Path]:
    """How the engine without Python is started on a run directory."""
    assert program.exists(), f"{program} is missing: make test-core"
    return [
        program, "--run-dir", here.run_dir, "--libzmq", libzmq_path(), "--driver", driver,
        "--segment-bytes", str(segment_bytes), "--snapshot-every-us", str(snapshot_every_us),
    ]  # fmt: skip


def check_everything(result: Result) -> None:
    """All that must be true of a run that has reached END, however often it died."""
    slots = records(result.run_dir)
    ledger = {tuple(row["id"]): row for row in result.ledger["orders"]}
    replaces = payloads(slots, RecordType.REPLACE_ORDER, layout.REPLACE_ORDER)["replace_id"]
    tombstones = {tuple(row) for row in result.ledger["tombstones"]}
    assert len(tombstones) == len(result.ledger["tombstones"])
    graves = tombstones - set(replaces.tolist())
    check_ids(result, ledger, graves)
    check_orders(slots, ledger, graves)
    check_fills(result, slots)
    check_database(result, ledger)
    check_money(result)
    check_files(result.run_dir)


def check_ids(result: Result, ledger: dict[Id, Any], graves: set[Id]) -> None:
    """At most once: no id was seen twice by the venue, and what it buried it never took."""
    assert len(ledger) == len(result.ledger["orders"])
    assert not ledger.keys() & graves
    assert result.ledger["totals"]["repeated_ids"] == 0
    assert result.ledger["ended"] is True


def check_orders(slots: Any, ledger: dict[Id, Any], graves: set[Id]) -> None:
    """Each order of the journal is the ledger's, or was never there; and the other way round."""
    intents = payloads(slots, RecordType.INTENT, layout.NEW_ORDER)
    states: dict[Id, Any] = {}
    for update in payloads(slots, RecordType.ORDER_UPDATE, layout.ORDER_UPDATE):
        ident = tuple(update["id"].item())
        assert ident not in states or OrderState(states[ident]["state"]) not in TERMINAL, ident
        states[ident] = update
    idents = [tuple(intent["id"].item()) for intent in intents]
    assert len(set(idents)) == len(idents)
    for ident, intent in zip(idents, intents, strict=True):
        last = states[ident]
        state = OrderState(last["state"])
        assert state in TERMINAL, (ident, state)
        if ident not in ledger:
            assert state == OrderState.NEVER, (ident, state)
            assert ident in graves, ident
            assert last["tombstoned"] == 1, ident
            assert last["filled_lots"] == 0, ident
            continue
        row = ledger[ident]
        assert row["state"] == state.name.lower(), (ident, row, state)
        assert row["filled_lots"] == last["filled_lots"], (ident, row)
        assert row["quantity_lots"] == last["quantity_lots"], (ident, row)
        assert row["side"] == Side(intent["side"]).name.lower(), (ident, row)
    assert ledger.keys() | graves == set(idents)


def check_fills(result: Result, slots: Any) -> None:
    """Nothing lost, nothing doubled: the ledger's executions, in journal and database once each."""
    expected = {
        row["execution_id"]: (
            tuple(row["order_id"]), row["side"], row["price_ticks"], row["quantity_lots"],
            row["commission_micros"],
        )
        for row in result.ledger["executions"]
    }  # fmt: skip
    assert len(expected) == len(result.ledger["executions"])
    fills = payloads(slots, RecordType.FILL, layout.FILL)
    journal = {
        int(fill["execution_id"]): (
            tuple(fill["id"].item()), Side(fill["side"]).name.lower(), int(fill["price_ticks"]),
            int(fill["quantity_lots"]), int(fill["commission_micros"]),
        )
        for fill in fills
    }  # fmt: skip
    assert len(journal) == len(fills)
    assert journal == expected
    database = {
        row["execution_id"]: (
            tuple(map(int, row["order_id"].split("-"))), row["side"], row["price_ticks"],
            row["quantity_lots"], row["commission_micros"],
        )
        for row in result.table("fills")
    }  # fmt: skip
    assert database == expected


def check_database(result: Result, ledger: dict[Id, Any]) -> None:
    """The tables say what journal and ledger say."""
    rows = {tuple(map(int, row["order_id"].split("-"))): row for row in result.table("orders")}
    assert len(rows) == result.engine["orders"]
    for ident, row in ledger.items():
        assert rows[ident]["state"] == row["state"], (ident, row)
        assert rows[ident]["filled_lots"] == row["filled_lots"], (ident, row)
    assert {row["state"] for ident, row in rows.items() if ident not in ledger} <= {"never"}
    assert len(result.table("decisions")) == result.engine["decisions"]


def check_money(result: Result) -> None:
    """Position, and profit to the last micro-unit, from the ledger and from the fills."""
    totals = result.ledger["totals"]
    signed = {"buy": 1, "sell": -1}
    position = sum(signed[f["side"]] * f["quantity_lots"] for f in result.ledger["executions"])
    assert position == totals["position_lots"]
    books = recompute_run(result.run_dir)
    assert sum(book.position_lots for book in books.values()) == position
    for name in ("realised_micros", "unrealised_micros", "commission_micros", "round_trips"):
        recomputed = sum(getattr(book, name) for book in books.values())
        assert recomputed == result.engine[name], name
    assert result.engine["position_lots"] == position
    assert result.engine["commission_micros"] == totals["commission_micros"]
    if result.table("positions"):
        assert result.table("positions")[-1]["position_lots"] == position


def check_files(run_dir: Path) -> None:
    """The journal is sound, and every output follows from its inputs again."""
    assert verify_journal(run_dir).faults == ()
    assert replay(run_dir).has_ended


def native_campaign(
    here: Place, random_: random.Random, driver: str, lives: int, feed_last: int
) -> tuple[Result, Counter[str]]:
    """Many short lives of the native harness, then one of `gm run` to END.

    No further life begins behind `feed_last`: the venue would not outlive it.

    Half of the lives die at an exact input, between the journal and the send of its orders; the
    other half by kill -9 at any microsecond from exec on. Two thirds of them make snapshots, at
    every idle moment or every 2 ms; the next goes on from the newest, whoever comes.
    """
    venue = here.venue()
    first = here.engine("--driver", driver)  # makes settings.bin
    first.wait_for(lambda: fed(here, first) > 0)
    first.kill()
    deaths: Counter[str] = Counter()
    restored = 0
    for _ in range(lives):
        if reached(here) > feed_last:
            break
        inputs = random_.randint(2, 24) if random_.random() < 0.5 else 0
        life = harness(here, driver, inputs, random_.choice((0, 1, 2_000)))
        if inputs == 0:
            time.sleep(random_.uniform(0, 0.06))
            life.kill()
        deaths[f"exit {life.finish()}"] += 1
        restored += FROM_SNAPSHOT in life.errors()
        # 137: at its input; -9: by us. Anything else is an engine that could not come back.
        assert set(deaths) <= {"exit 137", "exit -9"}, f"{deaths} {life.errors()}"
    assert restored > lives // 8, f"{restored} of {deaths.total()} lives went on from a snapshot"
    engine = here.engine("--driver", driver)
    return finish(here, engine, venue), deaths


def reached(here: Place) -> int:
    """The last feed sequence of any life."""
    status = here.status()
    return 0 if status is None else int(status["engine"]["last_feed_sequence"])
