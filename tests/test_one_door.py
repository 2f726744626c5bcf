"""Promise P4 in the linked programs: who calls the gate, and who opens the order ring.

The compiler already refuses a token that the gate did not make (core/tests/risk/gate_test.cpp).
What it cannot see is a second call; the machine code of what is shipped and tested can.
"""

import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from gm._native import runtime

from .kills import HARNESS

PROGRAMS = (HARNESS, Path(runtime.__file__))

# The function, and the only one that may mention it.
DOORS = {
    "gm::Gate::check(": "gm::Engine::send_order(",
    "gm::Outputs::send(gm::Stamp&, gm::PassedToken<gm::NewOrder>)": "gm::Engine::send_order(",
    "gm::Gate::check_replace(": "gm::Engine::replace(",
    "gm::Outputs::send(gm::Stamp&, gm::PassedToken<gm::ReplaceOrder>)": "gm::Engine::replace(",
}

FUNCTION = re.compile(r"^[0-9a-f]+ <(?P<name>.+)>:$")
MENTION = re.compile(r"<(?P<name>[^+]+?)(@plt)?>$")  # with an offset it is a jump within


def mentions(listing: str) -> dict[str, set[str]]:
    """For each function: those whose code calls it, jumps to it or takes its address."""
    found: dict[str, set[str]] = defaultdict(set)
    inside = ""
    for line in listing.splitlines():
        if function := FUNCTION.match(line):
            inside = function["name"].removesuffix("@plt").split(" [clone")[0]
        elif (mention := MENTION.search(line)) and mention["name"] != inside:
            found[mention["name"].split(" [clone")[0]].add(inside)
    return found


def callers(listing: str, door: str) -> set[str]:
    return {
        inside
        for name, insides in mentions(listing).items()
        if name.startswith(door)
        for inside in insides
    }


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name.split(".")[0])
def test_one_function_asks_the_gate_and_the_same_opens_the_order_ring(program: Path) -> None:
    listing = subprocess.run(
        ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", program],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for door, only in DOORS.items():
        found = callers(listing, door)
        assert len(found) == 1, (door, found)
        assert next(iter(found)).startswith(only), (door, found)


def test_a_second_caller_is_seen_however_it_comes() -> None:
    door = "gm::Outputs::send(gm::Stamp&, gm::PassedToken<gm::NewOrder>)"
    listing = f"""
0000000000001000 <gm::Engine::send_order(gm::NewOrder&)>:
    1000:\tcall   2000 <{door}>
    1005:\tje     1010 <gm::Engine::send_order(gm::NewOrder&)+0x10>
"""
    assert len(callers(listing, door)) == 1
    for instruction in (f"call   2000 <{door}>", f"jmp    2000 <{door}>",
                        f"lea    0x10(%rip),%rax        # 2000 <{door}>",
                        f"call   1f00 <{door}@plt>"):  # fmt: skip
        second = f"0000000000003000 <gm::Engine::hurry()>:\n    3000:\t{instruction}\n"
        assert callers(listing + second, door) == {
            "gm::Engine::send_order(gm::NewOrder&)", "gm::Engine::hurry()",
        }  # fmt: skip
