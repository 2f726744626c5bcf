"""Run every fuzz target: ``python -m tests.fuzz --seconds 60``, or ``--executions 10000000``.

First each target runs its saved corpus (``tests/fuzz/corpus/<target>``); then it goes on from
there until its share of the time or its number of executions is used up. New inputs and findings
lie in ``build/fuzz/<target>``. Ends with a table, and with 1 if anything was found, or if the
saved corpus reaches less than 90 % of the lines of the decoders.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import coverage
from tests.fuzz.build import FUZZER, build
from tests.fuzz.targets import CORE, INPUT_BYTES_MAX, PYTHON

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"
WORK = ROOT / "build/fuzz"
INPUT_BYTES_DEFAULT = 512
# A whole input takes microseconds: one that takes this long hangs.
HANG_SECONDS = 10
RSS_MIB_MAX = 2048
# The sanitizers' memory of what was freed, small: the targets free a lot, and often.
ENVIRONMENT = {
    "ASAN_OPTIONS": "quarantine_size_mb=4:malloc_context_size=5:detect_leaks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


class Outcome(NamedTuple):
    target: str
    executions: int
    seconds: float
    findings: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--seconds", type=int, default=60, help="for all targets together")
    amount.add_argument("--executions", type=int, help="of each target")
    parser.add_argument("--save", action="store_true", help="make the saved corpus anew")
    parser.add_argument("targets", nargs="*", metavar="target", help="default: all")
    arguments = parser.parse_args()
    known = [*CORE, *PYTHON]
    if unknown := set(arguments.targets) - set(known):
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    targets = arguments.targets or known

    build("fuzz")
    if arguments.executions is None:
        limit = [f"-max_total_time={max(1, arguments.seconds // len(targets))}"]
    else:
        limit = [f"-runs={arguments.executions}"]
    outcomes = [fuzz(target, limit) for target in targets]
    if arguments.save:
        for target in targets:
            save(target)
    build("coverage")
    reached = coverage.measure(targets, CORPUS)
    print_table(outcomes, reached)
    is_covered = coverage.is_enough(reached)
    return 0 if is_covered and not any(outcome.findings for outcome in outcomes) else 1


def command(target: str) -> list[str]:
    if target in CORE:
        return [str(WORK / FUZZER / f"{target}_fuzz")]
    return [sys.executable, "-m", "tests.fuzz.python_target", target]


def options(target: str) -> list[str]:
    return [
        f"-max_len={INPUT_BYTES_MAX.get(target, INPUT_BYTES_DEFAULT)}",
        f"-timeout={HANG_SECONDS}",
        f"-rss_limit_mb={RSS_MIB_MAX}",
    ]


def run(arguments: Sequence[str], log: Path) -> str:
    with log.open("wb") as file:
        subprocess.run(
            arguments, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, check=False,
            env=os.environ | ENVIRONMENT,
        )  # fmt: skip
    return log.read_text(errors="replace")


def fuzz(target: str, limit: Sequence[str]) -> Outcome:
    """Run one target; its log is shown if something was found."""
    folder = WORK / target
    for name in ("grown", "found"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for old in (folder / "found").iterdir():
        old.unlink()
    started = time.monotonic()
    log = run(
        [
            *command(target), *options(target), *limit, "-print_final_stats=1",
            f"-artifact_prefix={folder}/found/", str(folder / "grown"), str(CORPUS / target),
        ],
        folder / "log",
    )  # fmt: skip
    seconds = time.monotonic() - started
    executions = re.search(r"stat::number_of_executed_units:\s*(\d+)", log)
    findings = len(list((folder / "found").iterdir()))
    if findings or executions is None:
        print(f"== {target}\n{log[-6000:]}", flush=True)
        findings = max(findings, 1)
    count = int(executions[1]) if executions else 0
    print(f"{target:10} {count:>12,} executions in {seconds:6.1f} s", flush=True)
    return Outcome(target, count, seconds, findings)


def save(target: str) -> None:
    """Keep of the saved and the new inputs as few as reach the same edges."""
    grown, kept, folder = WORK / target / "grown", WORK / target / "kept", CORPUS / target
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    if target in CORE:
        merge = ["-set_cover_merge=1", "-use_counters=0", str(kept), str(folder), str(grown)]
        run([*command(target), *options(target), *merge], WORK / target / "merge.log")
    else:
        printed = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.python_target", "--keep", target, folder, grown],
            check=True, capture_output=True, text=True, cwd=ROOT,
        ).stdout  # fmt: skip
        for path in map(Path, json.loads(printed)):
            content = path.read_bytes()
            (kept / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)
    shutil.rmtree(folder)
    kept.rename(folder)


def print_table(outcomes: Sequence[Outcome], reached: dict[str, coverage.Lines]) -> None:
    print(f"\n{'target':10} {'executions':>12} {'per second':>11} {'findings':>9}")
    for outcome in outcomes:
        rate = outcome.executions / max(outcome.seconds, 1e-3)
        print(f"{outcome.target:10} {outcome.executions:>12,} {rate:>11,.0f} {outcome.findings:>9}")
    print(f"\n{'lines that the saved corpus reaches':42} {'reached':>8} {'lines':>6} {'share':>7}")
    for file, lines in reached.items():
        print(f"{file:42} {lines.reached:>8} {lines.all:>6} {lines.share:>6.1f} %")


if __name__ == "__main__":
    sys.exit(main())
