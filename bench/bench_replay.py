"""E4: replay of a day of ticks, as recovery and `gm replay` do it.

Sketch: SHA-256 of sixteen blocks at once in AVX-512 is 1,620 instructions for 1 KiB, two a
cycle: 100 cycles a record, 40 ns at 2.4 GHz. (Two blocks by SHA instructions: 128 to 240 cycles,
by how often the unit takes one.) Copying the file 25 ns, CRC32C 10, handing over 10: one core
checks some 10 million a second. A step with bars takes 50-70 ns on another core meanwhile:
checking is the limit.
Conditions: two threads, nothing else; the journal in memory (tmpfs); 4.32 million trades, 50 a
second, so that nothing is decided; every record that the engine makes is compared with the journal.
There is no peer: the floor is a number of ticks a second. Memory must not grow while it runs.

    python -m bench.bench_replay [--json] [--smoke]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import rig
from gm.config.settings import load_settings
from gm.supervisor.preparation import build_run

TRADES, TRADES_SMOKE = 4_320_000, 200_000
ROUNDS, ROUNDS_SMOKE = 9, 1
FLOOR_MTICKS_PER_S = 10.0
GROWTH_KIB_MAX = 1024  # pages of stacks and of the allocator that are touched late


def measure(*, smoke: bool) -> dict[str, object]:
    program = rig.build_native("replay_day")
    config = rig.ROOT / "configs" / "development.yaml"
    block, _ = build_run(config, load_settings(config), (rig.SYMBOL,))
    trades, rounds = (TRADES_SMOKE, ROUNDS_SMOKE) if smoke else (TRADES, ROUNDS)
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="gm-bench-") as folder:
        settings = Path(folder) / "settings.bin"
        settings.write_bytes(block)
        command = [program, settings, f"{folder}/run", str(trades), str(rounds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    growth = [turn["growth_kib"] for turn in found]
    if max(growth) > GROWTH_KIB_MAX:
        sys.exit(f"memory grew by {max(growth)} KiB in one replay, allowed {GROWTH_KIB_MAX}")
    return {
        "rounds": rounds,
        "trades": trades,
        "records": found[0]["records"],
        "bars_5m": found[0]["bars_5m"],
        "bars_30m": found[0]["bars_30m"],
        "mticks_per_s": rig.spread([trades / turn["seconds"] / 1e6 for turn in found]),
        "growth_kib": max(growth),
    }


def main() -> None:
    options = rig.options(__doc__.splitlines()[0])
    result = measure(smoke=options.smoke)
    if options.json:
        print(json.dumps(result))
        return
    speed = result["mticks_per_s"]
    print(rig.describe_machine())
    print(f"replay of {result['trades']:,} trades, {result['rounds']} rounds, two threads")
    print(
        f"  {speed['median']:.2f} M ticks/s (min {speed['min']:.2f}, max {speed['max']:.2f}), "
        f"floor >= {FLOOR_MTICKS_PER_S:.0f}; memory grew by {result['growth_kib']} KiB"
    )


if __name__ == "__main__":
    main()
