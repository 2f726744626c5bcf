"""`gm simulate`: arguments, and what is printed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators

from gm.cli.options import Config, Json, config_path

if TYPE_CHECKING:
    from gm.simulation.play import Totals

Policy = Literal["all", "own", "random", "maximum", "alternating", "invalid", "flood"]
COUNT = validators.Number(gte=1, lte=100_000_000)


def simulate(
    *,
    seeds: Annotated[int, Parameter(validator=COUNT, help="Worlds to play.")] = 100,
    first: Annotated[int, Parameter(help="Seed of the first world.")] = 1,
    seed: Annotated[int | None, Parameter(help="Play this one world again.")] = None,
    events: Annotated[
        int, Parameter(validator=COUNT, help="Of each world, until faults end.")
    ] = 10_000,
    policy: Annotated[
        Policy, Parameter(help="Who decides: the configuration's own policy, or rules at worst.")
    ] = "all",
    instrument: Annotated[str, Parameter(help="Symbol of the configuration.")] = "BTC-PERP",
    processes: Annotated[int | None, Parameter(validator=COUNT, help="Default: all cores.")] = None,
    trace: Annotated[
        bool,
        Parameter(negative="", help="With --seed, and only then: the last events in any case."),
    ] = False,
    config: Config = None,
    json: Json = False,
) -> int:
    """Run the engine in simulated worlds of seeded faults; name each seed that breaks a promise.

    Example: gm simulate --seeds 1000
    """
    from gm.cli.printing import print_struct
    from gm.config.settings import load_settings
    from gm.errors import UsageError
    from gm.simulation import POLICIES, Campaign, play
    from gm.supervisor.preparation import build_run

    if trace and seed is None:
        raise UsageError("--trace: of which world? --seed names the one")
    begin = first if seed is None else seed
    if not 0 <= begin < 2**63:
        raise UsageError(f"--first and --seed must be 0 to 2^63 - 1: {begin}")
    path = config_path(config)
    block, _ = build_run(path, load_settings(path), (instrument,))
    campaign = Campaign(
        block=block,
        policies=POLICIES if policy == "all" else (policy,),
        first=begin,
        seeds=seeds if seed is None else 1,
        events=events,
        processes=processes or os.cpu_count() or 1,
        traces=trace,
    )
    shows = not json and sys.stderr.isatty()
    totals = play(campaign, _show if shows else None)
    if json:
        print_struct(totals, as_json=True)
    else:
        _print(totals)
    return 1 if totals.violations or totals.is_interrupted else 0


def _show(totals: Totals) -> None:
    print(f"\r{totals.worlds} worlds, {len(totals.violations)} violations", end="", file=sys.stderr)


def _print(totals: Totals) -> None:
    print(f"{'fault':<26}{'injected':>12}{'worlds':>10}")
    for name, (count, worlds) in totals.faults.items():
        print(f"{name:<26}{count:>12}{worlds:>10}")
    met = ", ".join(f"R{code:02} in {worlds}" for code, worlds in sorted(totals.codes.items()))
    print(f"\nrefused or tripped, by world: {met or 'nothing'}")
    print(
        f"\n{totals.worlds} worlds, {totals.events} events, {totals.starts} starts "
        f"({totals.snapshot_starts} from a snapshot, {totals.failed_starts} refused by their "
        f"disk), {totals.orders} orders, "
        f"{totals.fills} fills, {totals.unknowns_resolved} unknown orders resolved, "
        f"{totals.halted} halted at the end, {totals.replayed} replayed, "
        f"{totals.seconds:.1f} s"
    )
    for world in totals.violations:
        print(
            f"\nseed {world.seed} (policy {world.policy}) event {world.events}: {world.violation}"
        )
        print(world.trace, end="")
    if totals.violations:
        print("\nviolated by seeds:", *(world.seed for world in totals.violations))
    if totals.is_interrupted:
        print("\ninterrupted")
