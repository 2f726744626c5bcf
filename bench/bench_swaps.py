"""Models swapped in a running engine: no decision lost or mixed, and what a swap adds to p99.

Sketch: a swap is a command record and two indices, some 200 ns; a shadow is prepared and asked
beside the live model, which doubles what a bar costs while it stands. Loading is on another core,
which shares the last cache and the memory. After each bar the known rows of the next matrix are
prepared, some 100 us in parts of a few: a message that comes meanwhile waits for one part.
Conditions: 50,000 trades a second by the clock, every 30th closes a 30-minute bar; three seeded
624-256-128-64-7 networks; 100 swaps in three seconds, each loads, shadows and promotes a model.
Rounds with and without swaps in turns; the ratio is of the p99 of all messages of a round.

    python -m bench.bench_swaps [--json] [--smoke]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import rig
from gm.config.block import build_model

SWAPS, SWAPS_SMOKE = 100, 5
MESSAGES, MESSAGES_SMOKE = 150_000, 15_000
ROUNDS, ROUNDS_SMOKE = 7, 1


def measure(*, smoke: bool) -> dict[str, object]:
    program = rig.build_native("model_swaps")
    swaps, messages, rounds = (
        (SWAPS_SMOKE, MESSAGES_SMOKE, ROUNDS_SMOKE) if smoke else (SWAPS, MESSAGES, ROUNDS)
    )
    networks = rig.networks()
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
        settings, model = Path(folder) / "settings.bin", Path(folder) / "model.bin"
        settings.write_bytes(rig.settings(networks)[0])
        model.write_bytes(build_model(rig.agents(networks)))
        command = [program, settings, model, str(swaps), str(messages), str(rounds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    without, swapped = found[0::2], found[1::2]
    bad = [turn for turn in found if turn["faults"]]
    if bad or any(turn["swaps"] != swaps for turn in swapped):
        sys.exit(f"decisions lost or mixed, or swaps that were not made: {bad or swapped}")
    if len({turn["decisions"] for turn in found}) != 1:
        sys.exit(f"rounds with and without swaps decided differently often: {found}")
    return {
        "rounds": rounds,
        "swaps": swaps,
        "messages": messages,
        "decisions": found[0]["decisions"],
        "p99_with_over_without": rig.spread(
            [a["p99_ns"] / b["p99_ns"] for a, b in zip(swapped, without, strict=True)]
        ),
        **{
            f"{key}_{name}": rig.spread([turn[key] for turn in turns])
            for key in ("p50_ns", "p99_ns", "p999_ns")
            for name, turns in (("without", without), ("with", swapped))
        },
    }


def main() -> None:
    options = rig.options(__doc__.splitlines()[0])
    result = measure(smoke=options.smoke)
    if options.json:
        print(json.dumps(result))
        return
    print(rig.describe_machine())
    print(
        f"{result['swaps']} swaps among {result['messages']:,} messages, "
        f"{result['decisions']:,} decisions, none lost or mixed"
    )
    for name in ("without", "with"):
        row = [result[f"{key}_{name}"]["median"] for key in ("p50_ns", "p99_ns", "p999_ns")]
        print(f"  {name:8s} p50 {row[0]:,.0f}  p99 {row[1]:,.0f}  p99.9 {row[2]:,.0f} ns")
    ratio = result["p99_with_over_without"]
    print(f"  p99 with / without {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})")


if __name__ == "__main__":
    main()
