"""Promise P7 on the cases that real data lacks: each row is taken or refused for its reason."""

import subprocess
import sys

import numpy as np
import pytest

from gm.readers import read_bars

from .hostile import CASES, read


@pytest.mark.parametrize("name", CASES)
def test_each_row_is_taken_or_refused_for_its_reason(name: str, tmp_path) -> None:
    case = CASES[name]
    assert read(case, tmp_path) == (case.accepted, case.refused)


def test_the_hour_that_comes_twice_is_two_hours(tmp_path) -> None:
    path = tmp_path / "twice.csv"
    path.write_bytes(CASES["hour_twice"].content())
    starts = read_bars(path, "BTC-PERP", timezone="America/New_York").bars["start_ts_ns"]
    assert np.unique(np.diff(starts)).tolist() == [30 * 60 * 10**9]


def test_prices_below_zero_are_prices(tmp_path) -> None:
    path = tmp_path / "crude.csv"
    path.write_bytes(CASES["negative_crude"].content())
    assert read_bars(path, "CL", timezone="UTC").bars["close_ticks"].min() == -3_763


# 100 MB that were held would be seen: the process before it reads is about as large.
READ_A_LONG_LINE = """
import resource, sys, tempfile, pathlib
from tests.hostile import CASES, read
case = CASES["line_of_100_mb"]
folder = pathlib.Path(sys.argv[1])
content = (folder / "content").read_bytes()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(read(case._replace(content=lambda: content), folder))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_line_of_100_mb_is_refused_and_never_held(tmp_path) -> None:
    (tmp_path / "content").write_bytes(CASES["line_of_100_mb"].content())
    printed = subprocess.run(
        [sys.executable, "-c", READ_A_LONG_LINE, str(tmp_path)],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert printed[0] == "(4, {'line_too_long': 1})"
    assert int(printed[1]) < 32 * 1024, "KiB that reading cost"
