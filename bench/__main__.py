"""Every benchmark, one after another; `make bench`, and with --smoke `make bench-smoke`.

    python -m bench [--smoke] [--runs N] [NAME ...]

A floor is reached when the median of three separate runs reaches it: --runs 3. Results are kept in
var/bench; the end is the table of bench/table.py. Exit 1 when one failed or a peer did not agree.
"""

import argparse
import json
import os
import subprocess
import sys
import time

from bench import table
from bench.rig import ROOT, build_native, save

NAMES = (
    "ring", "indicators", "row", "batch", "policy", "engine", "decision", "swaps", "zmq", "replay",
    "restart", "backtest", "training",
)  # fmt: skip
CAMPAIGNS = ("planted",)  # up to an hour: only their smoke is run from here
TIME_LIMIT_S = 900


def command(name: str, *, smoke: bool) -> list[str]:
    if name == "ring":
        return [str(build_native("bench_ring")), "--json", "7"]
    return [sys.executable, "-m", f"bench.bench_{name}", "--json", *(["--smoke"] if smoke else [])]


def run(name: str, *, smoke: bool) -> bool:
    """Run one, keep its result; False when it failed or measured nothing."""
    start, load = time.monotonic(), os.getloadavg()[0]
    try:
        done = subprocess.run(
            command(name, smoke=smoke), cwd=ROOT, timeout=TIME_LIMIT_S, check=False,
            stdout=subprocess.PIPE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        print(f"{name:8s} FAILED: longer than {TIME_LIMIT_S} s", flush=True)
        return False
    took = f"{time.monotonic() - start:4.0f} s, load {load:.1f}"
    if done.returncode:
        print(f"{name:8s} FAILED: exit {done.returncode}, {took}", flush=True)
        return False
    if not smoke:
        save(name, json.loads(done.stdout))
    print(f"{name:8s} ok, {took}", flush=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=", ".join(NAMES))
    parser.add_argument("--smoke", action="store_true", help="briefly: shows that they run")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    known = (*NAMES, *CAMPAIGNS) if options.smoke else NAMES
    names = options.names or known
    unknown = set(names) - set(known)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    passed = [run(name, smoke=options.smoke) for _ in range(options.runs) for name in names]
    if not options.smoke:
        table.main()
    sys.exit(0 if all(passed) else 1)


if __name__ == "__main__":
    main()
