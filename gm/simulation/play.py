"""Worlds by the thousand, on all cores, and what came of them."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

import msgspec

from gm._native.simulation import fault_names, play_world
from gm.simulation.rules import with_rule

PIECE = 16  # worlds that a process plays before it reports
REPLAYED_EVERY = 16
SUMS = (
    "events",
    "starts",
    "snapshot_starts",
    "failed_starts",
    "orders",
    "fills",
    "unknowns_resolved",
)


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one seed; ``violation`` is empty if no promise was broken.

    ``codes`` counts refusals and trips by the number of the gate's code.
    """

    seed: int
    policy: str
    events: int
    hash: int
    faults: tuple[int, ...]
    codes: tuple[int, ...]
    starts: int
    snapshot_starts: int
    failed_starts: int
    orders: int
    fills: int
    unknowns_resolved: int
    records: int
    is_halted: bool
    is_replayed: bool
    violation: str
    trace: str
    failure: str


class Totals(msgspec.Struct, kw_only=True):
    """Sums over worlds; ``faults`` by name: how many, and in how many worlds.

    ``codes``: in how many worlds a code of the gate refused or tripped, by its number.
    """

    worlds: int = 0
    events: int = 0
    starts: int = 0
    snapshot_starts: int = 0
    failed_starts: int = 0
    orders: int = 0
    fills: int = 0
    unknowns_resolved: int = 0
    halted: int = 0
    replayed: int = 0
    seconds: float = 0.0
    is_interrupted: bool = False
    faults: dict[str, tuple[int, int]] = {}
    codes: dict[int, int] = {}
    violations: list[World] = []


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """Which worlds to play: ``seeds`` of them from ``first`` on, each with ``events`` events."""

    block: bytes
    policies: tuple[str, ...]
    first: int
    seeds: int
    events: int
    processes: int
    traces: bool = False


def play(campaign: Campaign, progress: Callable[[Totals], None] | None = None) -> Totals:
    """Play a campaign. A keyboard interrupt ends it with what is known by then.

    Parameters
    ----------
    campaign : Campaign
        The policy of a seed is the one at its remainder.
    progress : callable, optional
        Gets the totals after each piece.

    Returns
    -------
    Totals
        With every world that broke a promise.

    Raises
    ------
    gm.errors.CoreError
        If the settings are refused, or a world could not be played at all.

    Source
    ------
    Ours.
    """
    totals = Totals()
    begin = time.monotonic()
    blocks = {policy: with_rule(campaign.block, policy) for policy in campaign.policies}
    names = fault_names()
    try:
        for worlds in _pieces(campaign, blocks):
            for world in worlds:
                _add(totals, names, world)
            totals.seconds = time.monotonic() - begin
            if progress is not None:
                progress(totals)
    except KeyboardInterrupt:
        totals.is_interrupted = True
    totals.seconds = time.monotonic() - begin
    return totals


def _pieces(campaign: Campaign, blocks: dict[str, bytes]) -> Iterator[list[World]]:
    end = campaign.first + campaign.seeds
    starts = iter(range(campaign.first, end, PIECE))
    if campaign.processes == 1 or campaign.seeds <= PIECE:
        for begin in starts:
            yield _play_piece(campaign, blocks, begin, min(begin + PIECE, end))
        return
    pool = ProcessPoolExecutor(campaign.processes, mp_context=get_context("spawn"))
    try:
        open_: set[Future[list[World]]] = set()
        while True:
            while len(open_) < 2 * campaign.processes and (start := next(starts, None)) is not None:
                stop = min(start + PIECE, end)
                open_.add(pool.submit(_play_piece, campaign, blocks, start, stop))
            if not open_:
                return
            done, open_ = wait(open_, return_when=FIRST_COMPLETED)
            for piece in done:
                yield piece.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _play_piece(campaign: Campaign, blocks: dict[str, bytes], first: int, end: int) -> list[World]:
    directory = Path("/dev/shm") / f"gm-simulation-{os.getuid()}-{os.getpid()}"
    try:
        return [_play_one(campaign, blocks, seed, directory) for seed in range(first, end)]
    except KeyboardInterrupt:
        return []  # the parent has got it, too
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _play_one(campaign: Campaign, blocks: dict[str, bytes], seed: int, directory: Path) -> World:
    policy = campaign.policies[seed % len(campaign.policies)]
    found = play_world(
        blocks[policy],
        seed,
        campaign.events,
        str(directory),
        replays=seed % REPLAYED_EVERY == 0,
        traces=campaign.traces,
    )
    return msgspec.convert({**found, "policy": policy}, World)


def _add(totals: Totals, names: tuple[str, ...], world: World) -> None:
    totals.worlds += 1
    totals.halted += world.is_halted
    totals.replayed += world.is_replayed
    for key in SUMS:
        setattr(totals, key, getattr(totals, key) + getattr(world, key))
    for code, count in enumerate(world.codes):
        if count > 0:
            totals.codes[code] = totals.codes.get(code, 0) + 1
    for name, count in zip(names[1:], world.faults[1:], strict=True):
        before = totals.faults.get(name, (0, 0))
        totals.faults[name] = (before[0] + count, before[1] + (count > 0))
    if world.violation:
        totals.violations.append(world)
