"""P5: a restart until READY, by records since the snapshot and since record 1.

Sketch: each record is read twice (the writer's walk of the last segment, and the replay), 25 ns a
copy and 10 a CRC32C, hashed once (40 ns by two blocks, less by sixteen) and stepped (50-70 ns): a
million is 35 ms of walk and 100 ms of replay on two threads. What is there before: 20 ms in which
ticks are measured while the journal is opened, a ring file of 8 MiB, a sync of the epoch.
Conditions: one process, engine and venue over sockets on this machine, lockstep; the run directory
in memory (tmpfs), so no disk; no decision among the records. Ready when the venue has answered.
There is no peer. CPU time is that of all threads, and the same on a machine that others use.

    python -m bench.bench_restart [--json] [--smoke]
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from bench import rig
from gm._native.runtime import libzmq_path
from gm.config.settings import load_settings
from gm.supervisor.preparation import build_run

RECORDS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
RECORDS_SMOKE = (1_000,)
ROUNDS, ROUNDS_SMOKE = 100, 3
READY_MS_P99_MAX = 250.0  # of a million since the snapshot
LIMITED = 1_000_000


def measure(records: int, rounds: int, *, has_snapshot: bool) -> dict[str, object]:
    program = rig.build_native("restart")
    config = rig.ROOT / "configs" / "development.yaml"
    block, _ = build_run(config, load_settings(config), (rig.SYMBOL,))
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="gm-bench-") as folder:
        settings = Path(folder) / "settings.bin"
        settings.write_bytes(block)
        command = [program, settings, f"{folder}/run", libzmq_path(), str(records), str(rounds)]
        if has_snapshot:
            command.append("snapshot")
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    assert all((turn["snapshot"] > 0) == has_snapshot for turn in found)
    assert all(turn["records"] >= records for turn in found)
    out: dict[str, object] = {"records": records, "has_snapshot": has_snapshot, "rounds": rounds}
    for key in ("ready", "cpu", "open", "replay"):
        out[f"{key}_ms"] = rig.percentiles(np.array([turn[f"{key}_ns"] for turn in found]) / 1e6)
    return out


def main() -> None:
    options = rig.options(__doc__.splitlines()[0])
    rounds = ROUNDS_SMOKE if options.smoke else ROUNDS
    rows = [
        measure(records, rounds, has_snapshot=has_snapshot)
        for records in (RECORDS_SMOKE if options.smoke else RECORDS)
        for has_snapshot in (False, True)
    ]
    if options.json:
        print(json.dumps({"rows": rows}))
        return
    print(rig.describe_machine())
    print(f"  {LIMITED:,} records behind a snapshot: p99 <= {READY_MS_P99_MAX:.0f} ms until READY")
    for row in rows:
        ready, cpu, replay = row["ready_ms"], row["cpu_ms"], row["replay_ms"]
        assert isinstance(ready, dict)
        assert isinstance(cpu, dict)
        assert isinstance(replay, dict)
        since = "a snapshot" if row["has_snapshot"] else "record 1"
        print(
            f"  {row['records']:>10,} since {since:10s}: READY p50 {ready['p50']:7.1f} ms, "
            f"p99 {ready['p99']:7.1f}; replay p50 {replay['p50']:7.1f}; CPU p50 {cpu['p50']:7.1f}"
        )


if __name__ == "__main__":
    main()
