"""`make model` fails for each reason that it should: its verdicts on what Spin prints."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "core/tests/model/check.py"
spec = importlib.util.spec_from_file_location("model_check", PATH)
assert spec is not None
assert spec.loader is not None
check = importlib.util.module_from_spec(spec)
sys.modules["model_check"] = check
spec.loader.exec_module(check)

HOLDS = """\
(Spin Version 6.5.2 -- 6 December 2019)
Full statespace search for:
State-vector 212 byte, depth reached 66, errors: 0
   797559 states, stored
3.780347e+06 transitions (= stored+matched)
"""
ENDED = HOLDS.replace("errors: 0", "errors: 1").replace(
    "Full", "Warning: Search not completed\nFull"
)
BROKEN = "pan:1: assertion violated ((venue[id]==40)||at_most_once) (at depth 48)\n" + ENDED
STUCK = "pan:1: invalid end state (at depth 9)\n" + ENDED
RIGHT = check.base("")
WRONG = check.wrong("RESEND_ON_RESTART", "at_most_once")
BITS = RIGHT._replace(bits=30)
BIT_STATE = HOLDS.replace("Full", "Bit") + "hash factor: 210.5 (best if > 100.)\n"


def verdict(search: object, output: str) -> str:
    return str(check.fault(search, check.read(output)))


def test_the_numbers_of_a_search_are_read() -> None:
    assert check.read(HOLDS) == (0, 797559, 3780347, "", "")
    assert check.read(BROKEN).refuted == "at_most_once"
    assert check.read(STUCK).refuted == "invalid end state"


@pytest.mark.parametrize(("search", "output"), [(RIGHT, HOLDS), (WRONG, BROKEN), (BITS, BIT_STATE)])
def test_what_must_be_is_no_fault(search: object, output: str) -> None:
    assert verdict(search, output) == ""


@pytest.mark.parametrize(
    ("search", "output", "complaint"),
    [
        (RIGHT, BROKEN, "a right version has an error"),
        (RIGHT, STUCK, "a right version has an error"),
        (RIGHT, HOLDS + "error: max search depth too small\n", "no proof"),
        (RIGHT, "pan: reached -DMEMLIM bound\nWarning: Search not completed\n" + HOLDS, "no proof"),
        (RIGHT, BIT_STATE, "no proof"),
        (BITS, BIT_STATE + "error: max search depth too small\n", "no proof"),
        (WRONG, HOLDS, "not refuted, must break at_most_once"),
        (WRONG, BROKEN.replace("at_most_once", "journalled"), "must break at_most_once"),
        (WRONG, STUCK, "must break at_most_once"),
    ],
)
def test_what_must_not_be_is_a_fault(search: object, output: str, complaint: str) -> None:
    assert verdict(search, output) == complaint


def test_a_search_that_died_is_an_error() -> None:
    with pytest.raises(ValueError, match="the search printed no"):
        check.read("pan: out of memory\n")


def test_every_wrong_version_of_the_model_is_searched() -> None:
    model = PATH.with_name("order.pml").read_text()
    names = model.split("mtype = {", 1)[1].split("RIGHT,", 1)[1]
    versions = names.split("}", 1)[0].replace(",", " ").split()
    assert sorted(versions) == sorted(s.wrong for s in check.CI if s.refutes)
