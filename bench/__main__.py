"""Every benchmark once, one after another; `make bench`, and with --smoke `make bench-smoke`.

    python -m bench [--smoke]

Ends with the table of bench/table.py. Exit 1 when one of them failed or a peer did not agree.
"""

import argparse
import subprocess
import sys
import time

from bench.rig import ROOT, build_native

PYTHON = ("row", "policy", "engine", "zmq")
TIME_LIMIT_S = 600


def commands(*, smoke: bool) -> dict[str, list[str]]:
    more = ["--smoke"] if smoke else []
    found = {f"bench_{n}": [sys.executable, "-m", f"bench.bench_{n}", *more] for n in PYTHON}
    ring = [str(build_native("bench_ring")), "1" if smoke else "9"]
    return {"bench_ring": ring, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="briefly: shows that they run")
    smoke = parser.parse_args().smoke
    failed = []
    for name, command in commands(smoke=smoke).items():
        start = time.monotonic()
        print(f"== {name}", flush=True)
        done = subprocess.run(command, cwd=ROOT, timeout=TIME_LIMIT_S, check=False)
        print(f"   {time.monotonic() - start:.0f} s", flush=True)
        if done.returncode:
            failed.append(name)
    if not smoke:
        subprocess.run([sys.executable, "-m", "bench.table"], cwd=ROOT, check=False)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
