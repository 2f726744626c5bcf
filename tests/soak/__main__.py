"""``python -m tests.soak --minutes 60 --rate 50000 --gb 10``: the long run, and a report.

A venue paced at `rate` messages a second, an engine whose journal has `gb` of room, and a fault
every `fault-every` seconds, drawn by the seed. Ends with a table and 1 if anything did not hold.
Everything lies in build/soak; what was there is removed.
"""

import argparse
import contextlib
import json
import shutil
import signal
import sys
import time
from pathlib import Path

import msgspec

from tests.runs import ROOT, Place, Process, Tape, place
from tests.soak import faults, judge
from tests.soak.books import check_books, check_journal
from tests.soak.samples import Sampler
from tests.soak.tape import HISTORY_ROWS, SPEED, live_rows, write_tape
from tests.soak.venue import INSTRUMENT
from tests.tapes import write_config

WORK = ROOT / "build" / "soak"
SAMPLE_S = 1.0
START_S, END_S = 120.0, 300.0
# After a fault the engine catches up.
CALM_AFTER_S = 10.0
GB = 1_000_000_000


class Run:
    """One soak on one place."""

    def __init__(self, here: Place, options: argparse.Namespace) -> None:
        self._here, self._options = here, options
        self.sampler = Sampler(here.run_dir)
        self.struck: list[tuple[float, str]] = []
        self._venue = here.start(
            sys.executable, "-m", "tests.soak.venue", "--run-dir", here.run_dir,
            "--config", here.config, "--tape", WORK / "tape.bin", "--seed", str(options.seed),
        )  # fmt: skip
        self._engine = self._start()
        self._calm_at_s = 0.0
        self._is_struck = False

    def _start(self) -> Process:
        return self._here.engine()

    def play(self) -> dict[str, object]:
        """From the first message to the end of the tape; what the engine printed."""
        self._engine.wait_for(self._is_fed, START_S)
        begin_s = time.monotonic()
        options = self._options
        until_s = begin_s + options.minutes * 60
        kinds = faults.draw(options.seed, int(options.minutes * 60 / options.fault_every))
        striker = faults.Faults(
            self._here, self._venue, self._engine, self._start, options.seed + 1
        )
        for number, kind in enumerate(kinds, 1):
            at_s = begin_s + number * options.fault_every
            if at_s > until_s - options.fault_every / 2:
                break
            self._watch(at_s - time.monotonic())
            self.struck.append((at_s - begin_s, kind))
            print(f"{at_s - begin_s:6.0f} s  {kind}", flush=True)
            self._is_struck = True
            striker.strike(kind, self._watch)
            self._engine = striker.engine
            self._is_struck = False
            self._calm_at_s = time.monotonic() + CALM_AFTER_S
        while self._venue.is_running and time.monotonic() < until_s + END_S:
            self._watch(SAMPLE_S)
        assert self._venue.finish() == 0, self._venue.errors()[-3000:]
        self._engine.send(signal.SIGTERM)
        assert self._engine.finish(END_S) == 0, self._engine.errors()[-3000:]
        return dict(json.loads(self._engine.printed()))

    def _is_fed(self) -> bool:
        status = self._here.status()
        return status is not None and status["engine"]["last_feed_sequence"] > HISTORY_ROWS

    def _watch(self, duration_s: float) -> None:
        """Pass the time and look once a second."""
        until_s = time.monotonic() + duration_s
        while (now_s := time.monotonic()) < until_s:
            is_disturbed = self._is_struck or now_s < self._calm_at_s
            self.sampler.take(self._engine.pid, is_disturbed=is_disturbed)
            time.sleep(max(0.0, min(SAMPLE_S, until_s - now_s)))
            assert self._engine.is_running or self._is_struck, self._engine.errors()[-3000:]


def verdicts(
    run: Run, options: argparse.Namespace, engine: dict[str, object]
) -> list[judge.Verdict]:
    """All that is judged, the books last."""
    samples = run.sampler.samples
    window_s = min(600.0, options.minutes * 60 / 4)
    found = [
        judge.judge_memory(samples),
        judge.judge_counts(samples, "descriptors", judge.DESCRIPTORS_SLACK),
        judge.judge_counts(samples, "threads", 0),
        judge.judge_latency(samples, window_s),
        judge.judge_disk(samples, options.gb * GB),
    ]
    for name, check in (
        ("books", lambda: check_books(run_dir(), engine)),
        ("journal", lambda: check_journal(run_dir())),
    ):
        try:
            found.append(judge.Verdict(name=name, is_met=True, text=json.dumps(check())))
        except AssertionError as error:
            found.append(judge.Verdict(name=name, is_met=False, text=str(error)[:400]))
    return found


def run_dir() -> Path:
    """Where the engine runs."""
    return WORK / "run"


def main() -> int:
    """Play, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=int, default=50_000)
    parser.add_argument("--gb", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault-every", type=float, default=60, help="seconds")
    options = parser.parse_args()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    write_tape(WORK / "tape.bin", options.minutes, options.rate, options.seed)
    # Every time of the engine is the tape's.
    config = write_config(
        WORK / "soak.yaml",
        engine={
            "segment_mib": 64,
            "order_timeout_ms": 2_000 * SPEED,
            "order_valid_for_ms": 5_000 * SPEED,
            "recon_break_after_ms": 5_000 * SPEED,
        },
        journal={"retention_gb": options.gb, "retention_days": 7},
        trading={INSTRUMENT: {"reference_age_ms_max": 60_000 * SPEED}},
    )
    with contextlib.ExitStack() as closing:
        here = closing.enter_context(
            place(run_dir(), Tape(WORK / "tape.bin", INSTRUMENT, options.seed), config)
        )
        run = Run(here, options)
        engine = run.play()
    (WORK / "samples.json").write_bytes(msgspec.json.encode(run.sampler.samples))
    found = verdicts(run, options, engine)
    samples = run.sampler.samples
    took_s = samples[-1].at_s - samples[0].at_s
    print(
        f"{live_rows(options.minutes, options.rate):,} messages, {options.minutes:g} minutes that "
        f"took {took_s / 60:.1f}, {len(run.struck)} faults, {run.sampler.life} lives, "
        f"{len(samples)} samples, {sum(s.is_disturbed for s in samples)} of them disturbed"
    )
    for verdict in found:
        print(f"{'holds' if verdict.is_met else 'FAILS':6} {verdict.name:12} {verdict.text}")
    return 0 if all(verdict.is_met for verdict in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
