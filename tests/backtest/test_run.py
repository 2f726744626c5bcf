"""Promise: a backtest says what of its market was refused, and that nothing is left is an error."""

import json
import re
from pathlib import Path

import pytest

import gm
from gm.errors import BadArgument, DataGap

from .. import runs
from ..runs import CONFIG

SYMBOL = "BTC-PERP"
HEADER = "time,open,high,low,close,volume\n"
REFUSED = "2020-01-02T00:30Z,x,8,6,7,1\n2020-01-02T01:00Z,9,8,6,7,1\n"


def test_refused_rows_are_said_with_their_reasons(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(f"{HEADER}2020-01-02T00:00Z,7,8,6,7,1\n{REFUSED}")
    stats = gm.backtest(CONFIG, file, SYMBOL).stats()
    assert stats.quarantined == {"contradiction": 1, "malformed": 1}
    arguments = ("backtest", file, "--instrument", SYMBOL, "--config", CONFIG)
    code, printed, _ = runs.gm(*arguments)
    assert code == 0
    assert "contradiction 1, malformed 1" in printed
    assert re.search(r"win rate +no trades", printed)
    code, printed, _ = runs.gm(*arguments, "--json")
    assert json.loads(printed)["quarantined"] == stats.quarantined


def test_a_file_of_which_no_row_is_let_in_is_a_data_gap(tmp_path: Path) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(f"{HEADER}{REFUSED}")
    with pytest.raises(DataGap, match=r"none of the 2 rows .* contradiction 1, malformed 1"):
        gm.backtest(CONFIG, file, SYMBOL)
    for text in (f"{HEADER}{REFUSED}", "abc", HEADER):
        file.write_text(text)
        code, printed, complaint = runs.gm(
            "backtest", file, "--instrument", SYMBOL, "--config", CONFIG
        )
        assert (code, printed) == (5, ""), complaint


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(BadArgument, match=rf"seed must be 0 to 2\^64 - 1: {seed}"):
        gm.backtest(CONFIG, tmp_path / "absent.csv", SYMBOL, seed=seed)
