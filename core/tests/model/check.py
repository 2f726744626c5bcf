"""Check the order protocol with Spin: right versions must hold, wrong ones must be refuted.

``make model`` runs the searches of CI, ``make model-campaign`` the large ones, one row each. A
search fails when a right version has an error, when a wrong one has none or breaks another promise
than it should, and when it found no error and was not exhaustive. A bitstate search never is: its
row says so, with the hash factor. What was built, and trails of errors, are in ``build/model``.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
MODEL = Path(__file__).with_name("order.pml")
WORK = ROOT / "build/model"
DEPTH_MAX, MEMORY_MIB_MAX = 100_000, 6000
SECONDS_MAX = {False: 300, True: 4 * 3600}  # of a search; True: of the campaign


class Search(NamedTuple):
    """One version of the model within bounds; see the head of order.pml."""

    name: str
    orders: int
    life: int = 0
    crashes: int = 1
    losses: int = 1
    room: int = 4
    session_fence: int = 0
    wrong: str = "RIGHT"
    refutes: str = ""  # the promise that a wrong version breaks
    bits: int = 0  # of a bitstate search, log2; 0 is an exhaustive one

    def defines(self) -> list[str]:
        """Arguments that spin hands to the preprocessor."""
        keys = ("orders", "life", "crashes", "losses", "room", "session_fence", "wrong")
        return [f"-D{key.upper()}={getattr(self, key)}" for key in keys]


class Outcome(NamedTuple):
    """What one search found."""

    errors: int
    states: float
    transitions: float
    refuted: str  # a promise, or what else is wrong; empty without an error
    incomplete: str  # why it is no proof; empty for an exhaustive search


def base(name: str, orders: int = 2) -> Search:
    """Return a search of the base protocol."""
    return Search(f"base, {orders} orders{name}", orders)


def life(name: str, orders: int = 1, room: int = 3) -> Search:
    """Return a search of the protocol with cancel, replace and partial fill."""
    return Search(f"life, {orders} order{'s' * (orders > 1)}{name}", orders, life=1, room=room)


def wrong(version: str, refutes: str, within: Search | None = None) -> Search:
    """Return a version that must be refuted, within the bounds of the base protocol or others."""
    name = f"wrong: {version.lower().replace('_', ' ')}"
    return (within or base(""))._replace(name=name, wrong=version, refutes=refutes)


CI = (
    base(""),
    base(", fence at HELLO")._replace(session_fence=1),
    life(", crash")._replace(losses=0),
    life(", loss")._replace(crashes=0),
    life(", crash and loss, short queues", room=2),
    life(", crash, fence at HELLO")._replace(losses=0, session_fence=1),
    wrong("SEND_BEFORE_JOURNAL", "journalled"),
    wrong("RESEND_ON_RESTART", "at_most_once"),
    wrong("TIMEOUT_IS_REJECT", "dead_is_dead"),
    wrong("FENCE_WITHOUT_TOMBSTONE", "dead_is_dead"),
    wrong("KILL_BEFORE_SEND", "kill_is_last"),
    wrong("KILL_IN_MEMORY", "kill_survives"),
    wrong("FLUSH_ON_RECONNECT", "kill_is_last"),
    wrong("VALIDITY_IGNORED", "valid_in_time"),
    # Not of SAFETY: they break the promises that the eight leave whole.
    wrong("NO_QUERY", "idle_is_settled"),
    wrong("NEW_SIZE_RESERVED", "exposure_reserved", life("")),
    wrong("REPLACE_WITHOUT_TOMBSTONE", "exposure_reserved", life("")),
    wrong("REPEATED_FILL_BOOKED", "sizes_add_up", life("")),
)
CAMPAIGN = (
    base("", orders=3),
    base(", fence at HELLO", orders=3)._replace(session_fence=1),
    life(", crash and loss"),
    life(", crash and loss, fence at HELLO")._replace(session_fence=1),
    life("", orders=2)._replace(crashes=0, losses=0),
    life(", crash", orders=2)._replace(losses=0, bits=34),
    life(", loss", orders=2)._replace(crashes=0, bits=34),
)


def build(search: Search, folder: Path) -> None:
    """Make the search's program."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(MODEL, folder)
    exact = ["-DCOLLAPSE", "-DSEPQS"] if search in CAMPAIGN else []
    storage = ["-DBITSTATE"] if search.bits else exact
    level = "-O0" if search.refutes else "-O2"  # most time of a wrong one is the compiler's
    limits = ["-DVECTORSZ=1024", f"-DMEMLIM={MEMORY_MIB_MAX}"]
    compile_pan = ["gcc", "-w", level, "-DSAFETY", *storage, *limits, "-o", "pan", "pan.c"]
    for command in (["spin", "-a", *search.defines(), MODEL.name], compile_pan):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"{search.name}: {' '.join(command)}:\n{done.stdout}{done.stderr}")


def read(output: str) -> Outcome:
    """Read what a search has printed; ValueError if it did not come to its closing lines."""

    def number(pattern: str) -> float:
        match = re.search(pattern, output)
        if match is None:
            raise ValueError(f"the search printed no {pattern!r}:\n{output}")
        return float(match[1])

    promise = re.search(r"assertion violated .*\|\|(\w+)\) \(at depth", output)
    error = re.search(r"pan:1: (.*) \(at depth", output)
    refuted = promise[1] if promise else error[1] if error else ""
    # "Search not completed" follows every error; alone it is a limit or a signal.
    found = ["search too deep"] if "max search depth too small" in output else []
    if not refuted and "Search not completed" in output:
        found.append("search not completed")
    if factor := re.search(r"hash factor: ([\d.e+]+)", output):
        found.append(f"bitstate, hash factor {factor[1]}")
    elif "Full statespace search" not in output:
        found.append("no full search")
    return Outcome(
        int(number(r"errors: (\d+)")),
        number(r"([\d.e+]+) states, stored"),
        number(r"([\d.e+]+) transitions"),
        refuted,
        ", ".join(found),
    )


def fault(search: Search, outcome: Outcome) -> str:
    """Return why the outcome is not what the search must come to; empty if it is."""
    if search.refutes:
        if outcome.errors == 0:
            return f"not refuted, must break {search.refutes}"
        return "" if outcome.refuted == search.refutes else f"must break {search.refutes}"
    if outcome.errors:
        return "a right version has an error"
    is_said = search.bits > 0 and outcome.incomplete.startswith("bitstate")
    return "" if is_said or not outcome.incomplete else "no proof"


def run(search: Search, seconds_max: int) -> bool:
    """Build and run a search, print its row; False if it fails."""
    folder = WORK / re.sub(r"\W+", "-", search.name)
    started = time.monotonic()
    build(search, folder)
    command = ["./pan", f"-m{DEPTH_MAX}", "-n", *([f"-w{search.bits}"] if search.bits else [])]
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, timeout=seconds_max)
        outcome = read(done.stdout.decode())
    except (subprocess.TimeoutExpired, ValueError) as error:
        print(f"{search.name:44} FAILED: {error}", flush=True)
        return False
    complaint = fault(search, outcome)
    notes = [outcome.refuted, "" if search.refutes else outcome.incomplete]
    notes.append(f"FAILED: {complaint}; see {folder.relative_to(ROOT)}" if complaint else "")
    print(
        f"{search.name:44} {outcome.errors:6} {outcome.states:12,.0f} {outcome.transitions:14,.0f}"
        f" {time.monotonic() - started:7.1f}  {', '.join(note for note in notes if note)}",
        flush=True,
    )
    return not complaint


def main() -> int:
    """Run all searches, or the large ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaign", action="store_true", help="the large searches, for hours")
    parser.add_argument("words", nargs="*", help="of names; default: all")
    arguments = parser.parse_args()
    searches = CAMPAIGN if arguments.campaign else CI
    chosen = [s for s in searches if all(word in s.name for word in arguments.words)]
    if not chosen:
        parser.error(f"no search is named {' '.join(arguments.words)}")
    print(f"{'search':44} {'errors':>6} {'states':>12} {'transitions':>14} {'seconds':>7}  refuted")
    failed = sum(not run(search, SECONDS_MAX[arguments.campaign]) for search in chosen)
    print(f"{len(chosen) - failed} as they must be, {failed} not")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
