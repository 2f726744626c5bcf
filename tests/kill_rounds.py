"""Thousands of kill -9 at random instants while the venue sends tens of thousands of messages/s.

In rounds, so that the files of one stay small and a failure names its round: one venue that waits
for nobody, one journal, some hundred lives of the engine without Python, and at END the books of
venue, journal and database against each other (`kills.check_everything`). The figures of a round
say whether it was worth its time: what was traded, in which phase the engine was, and at how many
orders a kill struck before the venue had them, or before its answer was known.
"""

import json
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gm import layout
from gm.layout import EngineState, OrderState, RecordType

from .kills import FROM_SNAPSHOT, TERMINAL, Id, check_everything, fed, harness, reached
from .runs import POLL_S, Place, Process, Result, Tape, place, records
from .tapes import write_config, write_trades

# 20 s of tape between two trades, a million times faster than time: 50,000 messages/s, a bar of
# half an hour each 1.8 ms, and an order in every second one.
TRADE_EVERY_S = 20
RATE = 50_000
# A life trades up to so long; with the start it is a tenth of a second on a machine of its own.
TRADING_S_MAX = 0.06
# No life begins behind this part of the tape, by the clock of the venue, who waits for nobody: the
# last one has to see END.
LAST_START = 0.9
FIRST_START_S = 0.05  # how long a start takes, until some were seen
READY_WITHIN_S = 60.0
END_WITHIN_S = 600.0  # of a tape that a busy machine plays more slowly
# Stamps are the tape's: what an operator gives an order in ms is given in days here.
DAY_MS = 86_400_000
PATIENCE = {
    "order_valid_for_ms": 7 * DAY_MS,
    "order_timeout_ms": 2 * DAY_MS,
    "recon_break_after_ms": 7 * DAY_MS,
}
OFTEN = {"orders_per_second_max": 1_000, "orders_burst_max": 1_000}


class Round(NamedTuple):
    """What makes one round again, but for the instants of its kills."""

    number: int
    driver: str
    seed: int
    messages: int
    kills_max: int
    rate: int = RATE

    @property
    def kills_for_s(self) -> float:
        """How long after the first message the last life may begin."""
        return LAST_START * self.messages / self.rate


Kills = Callable[[Place, random.Random, Round], "Figures"]


class Figures(NamedTuple):
    """What one round, or all of them, saw."""

    counts: Counter[str]
    phases: Counter[str]
    seconds: float
    messages: int

    def plus(self, other: "Figures") -> "Figures":
        """Both together."""
        return Figures(
            self.counts + other.counts,
            self.phases + other.phases,
            self.seconds + other.seconds,
            self.messages + other.messages,
        )

    def text(self) -> str:
        """One line for people."""
        kills = self.phases.total()
        rate = self.messages / self.seconds if self.seconds else 0.0
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(self.counts.items()))
        return (
            f"{kills:,} kills in {self.seconds:.0f} s ({1e3 * self.seconds / max(kills, 1):.0f} ms "
            f"each), {self.messages:,} messages ({rate:,.0f}/s); {counts}; killed while "
            f"{dict(sorted(self.phases.items()))}"
        )


NOTHING = Figures(Counter(), Counter(), 0.0, 0)


def play_round(folder: Path, this: Round, kills: Kills | None = None) -> Figures:
    """Kill the engine up to `kills_max` times over one tape, and check all that it left."""
    random_ = random.Random(this.seed)
    trades = write_trades(
        folder / "ticks.csv", this.messages, TRADE_EVERY_S, this.seed, drift=2, noise=2
    )
    config = write_config(
        folder / "often.yaml", engine=PATIENCE, policy={"max_hold_bars": 1}, account=OFTEN,
        trading={"BTC-PERP": OFTEN | {"duplicates_max": 64, "duplicate_window_ms": 1}},
    )  # fmt: skip
    with place(folder / "run", Tape(trades, "BTC-PERP", this.seed % 2**32), config) as here:
        venue = here.venue("--speed", str(this.rate * TRADE_EVERY_S))
        first = here.engine("--driver", this.driver)  # makes settings.bin; the feed begins
        first.wait_for(lambda: fed(here, first) > 0)
        first.kill()
        figures = (kills or kill_again_and_again)(here, random_, this)
        result = trade_to_the_end(here, venue, this.driver)
        check_everything(result)
    return figures._replace(counts=figures.counts + fates(result))


def kill_again_and_again(here: Place, random_: random.Random, this: Round) -> Figures:
    """A quarter of the lives end while they start, the others at any instant of their trading."""
    counts: Counter[str] = Counter()
    phases: Counter[str] = Counter()
    starts = [FIRST_START_S]
    begin, begin_feed = time.monotonic(), reached(here)
    until = begin + this.kills_for_s
    while phases.total() < this.kills_max and time.monotonic() < until:
        life = harness(here, this.driver, 0, random_.choice((1, 2_000, 20_000)))
        born = time.monotonic()
        if random_.random() < 0.25:
            time.sleep(random_.uniform(0, statistics.median(starts[-100:])))
        else:
            life.wait_for(lambda life=life: has_begun(here, life), READY_WITHIN_S)
            starts.append(time.monotonic() - born)
            time.sleep(random_.uniform(0, TRADING_S_MAX))
        life.kill()
        assert life.finish() == -signal.SIGKILL, life.errors()
        phases[phase_of(here, life)] += 1
        counts["lives from a snapshot"] += FROM_SNAPSHOT in life.errors()
    return Figures(counts, phases, time.monotonic() - begin, reached(here) - begin_feed)


def phase_of(here: Place, life: Process) -> str:
    """What the status page says of a life; `exec` before it wrote a word."""
    status = here.status()
    is_its_own = status is not None and status["io"]["pid"] == life.pid
    return str(status["io"]["phase"]) if status is not None and is_its_own else "exec"


def has_begun(here: Place, life: Process) -> bool:
    return phase_of(here, life) in ("ready", "ended")


def trade_to_the_end(here: Place, venue: Process, driver: str) -> Result:
    """One life to END, without Python because it starts in time; then `gm run` fills the tables."""
    life = harness(here, driver, 0)
    assert venue.finish(END_WITHIN_S) == 0, venue.errors()[-3000:]
    life.wait_for(lambda: has_ended(here, life))
    life.send(signal.SIGTERM)
    assert life.finish() == 0, life.errors()
    recorder = here.engine("--driver", driver)
    assert recorder.finish(END_WITHIN_S) == 0, recorder.errors()[-3000:]
    return Result(here.run_dir, json.loads(recorder.printed()), json.loads(venue.printed()))


def has_ended(here: Place, engine: Process) -> bool:
    status = here.status()
    if status is None or status["io"]["pid"] != engine.pid:
        return False
    if bool(status["engine"]["state"] == EngineState.ENDED.value):
        return True
    time.sleep(20 * POLL_S)
    return False


def fates(result: Result) -> Counter[str]:
    """What became of the orders, and what of each was known when the engine was killed."""
    slots = records(result.run_dir)
    kinds = (RecordType.EPOCH, RecordType.INTENT, RecordType.ORDER_UPDATE)
    slots = slots[np.isin(slots["header"]["type"], kinds)]
    at_venue = {tuple(row["id"]) for row in result.ledger["orders"]}
    counts: Counter[str] = Counter()
    open_: dict[Id, OrderState] = {}
    unknown: set[Id] = set()
    for kind, payload in zip(slots["header"]["type"].tolist(), slots["payload"], strict=True):
        if kind == RecordType.EPOCH:
            counts.update(known_of(ident, state, at_venue) for ident, state in open_.items())
        elif kind == RecordType.INTENT:
            open_[ident_of(payload, layout.NEW_ORDER)] = OrderState.INTENT
        else:
            update(payload, open_, unknown, counts)
    counts["orders"] = len(at_venue)
    counts["fills"] = len(result.ledger["executions"])
    counts["tombstones"] = len(result.ledger["tombstones"])
    return counts


def known_of(ident: Id, state: OrderState, at_venue: set[Id]) -> str:
    if state != OrderState.INTENT:
        return f"killed with {state.name.lower()} order"
    return "killed after send" if ident in at_venue else "killed between intent and venue"


def update(
    payload: Any, open_: dict[Id, OrderState], unknown: set[Id], counts: Counter[str]
) -> None:
    state = OrderState(int(payload.view(layout.ORDER_UPDATE)[0]["state"]))
    ident = ident_of(payload, layout.ORDER_UPDATE)
    if state == OrderState.UNKNOWN:
        unknown.add(ident)
    elif ident in unknown:
        unknown.discard(ident)
        counts[f"unknown, then {state.name.lower()}"] += 1
    open_[ident] = state
    if state in TERMINAL:
        del open_[ident]


def ident_of(payload: Any, dtype: Any) -> Id:
    ident: Id = tuple(payload.view(dtype)[0]["id"].item())
    return ident
