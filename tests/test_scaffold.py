"""Promise: `gm init` makes a folder in which the three commands of its page end in a report."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gm
from gm.errors import UsageError
from gm.report import SYNTHETIC_NOTE
from gm.scaffold import INSTRUMENT, write_desk


def test_the_three_commands_of_the_page_end_in_a_report(tmp_path: Path) -> None:
    desk = tmp_path / "my-desk"
    done = subprocess.run(
        [sys.executable, "-m", "gm", "init", desk], capture_output=True, text=True, check=True,
        timeout=60,
    )  # fmt: skip
    assert "README.md" in done.stdout
    page = (desk / "README.md").read_text()
    commands = re.findall(r"^    gm (.*)$", page, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "gm", *command.split()], cwd=desk, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"gm {command}: {done.stderr[-2000:]}"
    report = (desk / "report.html").read_text()
    assert report.startswith("<!doctype html>") or "<html" in report
    assert len(report) > 10_000
    assert f'<body><div class="note">{SYNTHETIC_NOTE}</div>' in report
    # The rule decided, not the networks of the bundle: they have no votes to show.
    assert "<h1>GrandModel: BTC-PERP, rule breakout</h1>" in report
    assert "<h2>Decisions</h2>" in report
    assert "nwrqk" not in report
    assert done.stdout == "report.html\n"
    assert json.loads((desk / "var/run/venue_ledger.json").read_text())["synthetic"] is True
    stats = gm.backtest(desk / "gm.yaml", desk / "session.csv", INSTRUMENT).stats()
    assert stats.note == SYNTHETIC_NOTE


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="is not an empty folder"):
        write_desk(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="is not an empty folder"):
        write_desk(tmp_path / "mine.txt")
    (tmp_path / "empty").mkdir()
    write_desk(tmp_path / "empty")
    assert (tmp_path / "empty" / "gm.yaml").is_file()


def test_the_desk_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_desk(tmp_path / name)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()
