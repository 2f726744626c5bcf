"""P5, beside it: `gm run` from exec until READY=1, with the development configuration.

Sketch: Python starts in 20 ms and imports for 250 (numpy, msgspec and YAML, zmq, structlog,
prometheus_client, the native modules); bundle, settings, calendars and signatures are read and
checked for 100; the core opens in 50 and the venue answers in 10. The golden check runs onnxruntime
only in the first start of a bundle: then its SHA-256 and the versions are remembered.
Conditions: a `gm venue` on this machine that plays in real time, a fresh run directory and an empty
cache in the first start, the same ones in all later starts; each ends by SIGTERM. CPU time is that
of the process and its threads until READY. There is no peer.

    python -m bench.bench_gm_run [--json] [--smoke]
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import rig

ROUNDS, ROUNDS_SMOKE = 20, 2
READY_S_MAX = 1.5
WAIT_S = 60.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "gm", *map(str, words)]


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def one_start(run_dir: Path, notices: socket.socket, environment: dict[str, str]) -> list[float]:
    """Seconds until READY, and seconds of CPU time."""
    begin_s = time.monotonic()
    process = subprocess.Popen(
        command("run", "--instrument", rig.SYMBOL, "--run-dir", run_dir),
        cwd=rig.ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        while b"READY=1" not in notices.recv(4096):
            pass
        found = [time.monotonic() - begin_s, cpu_s(process.pid)]
    except TimeoutError as error:
        raise SystemExit(f"no READY=1 within {WAIT_S:.0f} s") from error
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=WAIT_S)
    if process.returncode != 0:
        raise SystemExit(said.decode())
    return found


def measure(rounds: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="gm-bench-") as folder:
        base, run_dir = Path(folder), Path(folder) / "run"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            notices.bind(str(base / "notify"))
            notices.settimeout(WAIT_S)
            environment = os.environ | {"XDG_CACHE_HOME": str(base / "cache")}
            venue = subprocess.Popen(
                command(
                    *("venue", "--instrument", rig.SYMBOL, "--run-dir", run_dir),
                    *("--synthetic-bars", 2000, "--speed", 1),
                ),
                cwd=rig.ROOT,
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            try:
                with_socket = environment | {"NOTIFY_SOCKET": str(base / "notify")}
                first = one_start(run_dir, notices, with_socket)
                later = np.array([one_start(run_dir, notices, with_socket) for _ in range(rounds)])
            finally:
                venue.terminate()
                venue.wait(WAIT_S)
    return {
        "rounds": rounds,
        "first": {"ready_s": first[0], "cpu_s": first[1]},
        "ready_s": rig.percentiles(later[:, 0]),
        "cpu_s": rig.percentiles(later[:, 1]),
    }


def main() -> None:
    options = rig.options(__doc__.splitlines()[0])
    found = measure(ROUNDS_SMOKE if options.smoke else ROUNDS)
    if options.json:
        print(json.dumps(found))
        return
    print(rig.describe_machine())
    ready, cpu, first = found["ready_s"], found["cpu_s"], found["first"]
    assert isinstance(ready, dict)
    assert isinstance(cpu, dict)
    assert isinstance(first, dict)
    print(f"  gm run, exec to READY: target {READY_S_MAX} s")
    print(f"  first start of a bundle: {first['ready_s']:.2f} s, CPU {first['cpu_s']:.2f} s")
    print(
        f"  later starts: p50 {ready['p50']:.2f} s, p99 {ready['p99']:.2f}; "
        f"CPU p50 {cpu['p50']:.2f} s, p99 {cpu['p99']:.2f}"
    )


if __name__ == "__main__":
    main()
