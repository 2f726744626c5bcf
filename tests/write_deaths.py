"""The engine killed at each of its persistent writes in turn: `die_at_write` counts and kills.

A life starts, trades, and at its write number TERM_AT is asked to stop; so from the first write to
the last each belongs to a start, to trading or to a stop. Life by life the write at which it dies
moves on, before the call happens and as it returns, until a life has not so many. What a life left
is what the next one finds; at END the books are held against each other.
"""

import random
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .kill_rounds import Figures, Kills, Round
from .kills import HARNESS, harness_command, reached
from .runs import ROOT, Place, runtime_folder

DIE_AT_WRITE = ROOT / "build" / "core" / "die_at_write"
# Which takes records from the ring before they are on the disk.
BROKEN_HARNESS = ROOT / "build" / "core" / "gm-core-harness-mutant-P2"
# So small that segments are begun and finished within a few lives.
SEGMENT_BYTES = 1 << 20
# A life of so many writes before its stop; its start takes some of them.
TERM_AT = 160
KILLED_EXIT = 137


class Death(NamedTuple):
    """At which write, counted from 1, and whether before or after it happened."""

    at: int
    when: str


def all_deaths(first: int = 1, step: int = 1) -> list[Death]:
    """Every `step`-th write, far more than a life has, each with both kinds of death."""
    return [
        Death(at, when) for at in range(first, 100 * TERM_AT, step) for when in ("before", "after")
    ]


def dying(deaths: list[Death], program: Path = HARNESS) -> Kills:
    """Die the deaths in order and take them off the list, until a life survives or the tape ends.

    A life that survives ends the list: there are no later writes.
    """

    def kills(here: Place, random_: random.Random, this: Round) -> Figures:
        writes: Counter[str] = Counter()
        counts: Counter[str] = Counter()
        begin, begin_feed, done = time.monotonic(), reached(here), 0
        until = begin + this.kills_for_s
        while deaths and done < this.kills_max and time.monotonic() < until:
            death = deaths.pop(0)
            life = here.start(
                DIE_AT_WRITE, str(death.at), death.when, str(TERM_AT), here.run_dir,
                runtime_folder(here.run_dir),
                *harness_command(here, this.driver, random_.choice((1, 20_000)), SEGMENT_BYTES,
                                 program),
            )  # fmt: skip
            code = life.finish()
            found = life.printed().splitlines()[-1] if life.printed() else ""
            assert code in (0, KILLED_EXIT), f"{death}: exit {code} {found} {life.errors()}"
            done += 1
            if code == 0:
                counts["lives that had fewer writes"] += 1
                if death.when == "after":
                    deaths.clear()
                continue
            writes[what_of(found)] += 1
        counts["writes died at"] = writes.total()
        return Figures(counts, writes, time.monotonic() - begin, reached(here) - begin_feed)

    return kills


def what_of(found: str) -> str:
    """`pwrite segment-*.gmj` of a line that names call and path."""
    call, path = found.split(" ", 1)
    name = "".join("#" if letter.isdigit() else letter for letter in Path(path).name)
    while "##" in name:
        name = name.replace("##", "#")
    return f"{call} {name}"
