"""`gm features` answers on a terminal, as JSON, with a page and with exit codes."""

import json
from pathlib import Path

import pytest

from .audit.test_lookahead import walk, write_csv
from .runs import gm
from .tapes import write_trades


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("bars") / "bars.csv", walk(1500, 5))


def test_without_more_it_describes(file: Path) -> None:
    code, printed, _ = gm("features", file, "--instrument", "BTC-PERP", "--tactical")
    assert code == 0
    assert "1,499 bars" in printed or "1,500 bars" in printed
    assert "price_momentum_5" in printed
    assert "lag 1" in printed


def test_checks_plot_and_json_go_together(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    code, printed, complaint = gm(
        "features", file, "--instrument", "BTC-PERP", "--tactical", "--check-lookahead",
        "--check-parity", "--points", "5", "--plot", page, "--at", "2024-01-10T12:00", "--json",
    )  # fmt: skip
    assert code == 0, complaint
    report = json.loads(printed)
    assert report["lookahead"]["difference"] is None
    assert report["lookahead"]["moments"] == 5
    assert report["parity"]["difference"] is None
    assert report["parity"]["cuts"] == 5
    assert report["plot"] == str(page)
    assert len(report["description"]["columns"]) == 7
    assert "The matrix at 2024-01-10 12:00" in page.read_text()


def test_bars_that_never_get_ready_are_a_data_gap(tmp_path: Path) -> None:
    few = write_csv(tmp_path / "few.csv", walk(50, 5))
    code, _, complaint = gm("features", few, "--instrument", "BTC-PERP")
    assert code == 5
    assert "ready strategic matrix" in complaint


def test_a_moment_that_cannot_be_read_or_comes_too_early_is_refused(
    file: Path, tmp_path: Path
) -> None:
    arguments = (
        "features",
        file,
        "--instrument",
        "BTC-PERP",
        "--tactical",
        "--plot",
        tmp_path / "x",
    )
    code, _, complaint = gm(*arguments, "--at", "noon")
    assert (code, "--at" in complaint) == (2, True)
    code, _, complaint = gm(*arguments, "--at", "2024-01-08T01:00")
    assert (code, "no matrix is ready" in complaint) == (5, True)


def test_half_hours_give_no_tactical_matrix(tmp_path: Path) -> None:
    file = write_csv(tmp_path / "half.csv", walk(300, 30))
    code, _, complaint = gm("features", file, "--instrument", "BTC-PERP", "--tactical")
    assert code == 2
    assert complaint == f"gm: {file}: bars of 30 minutes do not fit into 5 minutes\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--timezone", "Mars"), "--timezone must be an IANA zone, e.g. UTC: 'Mars'"),
        (("--at", "2024-01-10T12:00"), "--at names the matrix that --plot FILE draws"),
        (("--seed", "-1"), "--seed must be 0 to 2^64 - 1: -1"),
        (("--bar-minutes", "0"), "--bar-minutes must be within [1, 1440]: 0"),
    ],
)
def test_options_that_cannot_be_are_refused_in_their_own_words(
    file: Path, options: tuple[str, str], said: str
) -> None:
    code, printed, complaint = gm("features", file, "--instrument", "BTC-PERP", *options)
    assert (code, printed) == (2, "")
    assert said in complaint


def test_trades_want_the_option_by_its_name(tmp_path: Path) -> None:
    trades = write_trades(tmp_path / "trades.csv", 50)
    code, _, complaint = gm("features", trades, "--instrument", "BTC-PERP")
    assert code == 2
    assert "say --bar-minutes to make bars of them" in complaint


def test_a_file_that_is_not_there_is_a_data_gap_and_a_page_that_cannot_be_is_not(
    file: Path, tmp_path: Path
) -> None:
    absent = tmp_path / "absent.csv"
    code, _, complaint = gm("features", absent, "--instrument", "BTC-PERP")
    assert (code, complaint) == (5, f"gm: {absent}: No such file or directory\n")
    arguments = ("features", file, "--instrument", "BTC-PERP", "--tactical")
    code, _, complaint = gm(*arguments, "--plot", tmp_path)
    assert (code, "Traceback" in complaint) == (1, False)
