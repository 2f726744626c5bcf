"""Every command explains itself with an example, and every end has its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gm import layout
from gm.cli import NOT_BUILT, app
from gm.config.instruments import instrument
from gm.venue.serving import VenueOptions, _tape

ROOT = Path(__file__).parents[1]
COMMANDS = ["demo", "run", "venue", "status", "report", "replay", "backtest", "verify", "config"]
COMMANDS += ["train", "export", "explain", "kill", "clear", "simulate"]


def gm(*arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gm", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS), ["config", "check"]])
def test_help_has_an_example(command: list[str]) -> None:
    found = gm(*command, "--help")
    assert found.returncode == 0
    assert f"Example: gm {' '.join(command)}".rstrip() in found.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["no-such-command"], 2, "no-such-command"),
        (["run"], 2, "--instrument"),
        (["venue", "--instrument", "BTC-PERP"], 2, "exactly one"),
        (["demo", "--bars", "0"], 2, "--bars"),
        (["demo", "--out", "/dev/null"], 1, "/dev/null"),
        (["venue", "--instrument", "NQ", "--synthetic-bars", "0"], 2, "--synthetic-bars"),
        (["venue", "--instrument", "NQ", "--synthetic-bars", "9", "--seed", "-1"], 2, "--seed"),
        (["run", "--instrument", "NQ", "--run-dir", "/dev/null"], 3, "--run-dir"),
        (["status", "--run-dir", "{}"], 1, "status"),
        (["verify", "--run-dir", "{}"], 1, "run"),
        (["replay", "--run-dir", "{}"], 3, "--run-dir"),
        (["config", "check", "--config", "nothing.yaml"], 3, "nothing.yaml"),
        (["run", "--instrument", "XYZ", "--run-dir", "{}"], 3, "XYZ"),
        (
            ["run", "--instrument", "NQ", "--instrument", "ES", "--run-dir", "{}"],
            3,
            "NQ, ES: gm venue plays one instrument a run",
        ),
        (["run", "--instrument", "NQ", "--profile", "full", "--run-dir", "{}"], 3, "full"),
        (["report", "--run-dir", "{}"], 3, "--run-dir"),
        (["venue", "--instrument", "NQ", "--bars", "nothing.csv", "--run-dir", "{}"], 5, "nothing"),
    ],
)
def test_a_refusal_has_its_exit_code_and_its_reason(
    arguments: list[str], code: int, says: str, tmp_path: Path
) -> None:
    found = gm(*(part.replace("{}", str(tmp_path / "run")) for part in arguments))
    assert found.returncode == code
    assert says in found.stdout + found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("order", "day"), [("day-first", "2022-02-01"), ("month-first", "2022-01-02")]
)
def test_the_options_of_the_venue_reach_the_reader(
    order: str, day: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars = tmp_path / "bars.csv"
    bars.write_text("timestamp,open,high,low,close,volume\n1/2/2022 02:00,100,101,99,100,1\n")
    served: list[VenueOptions] = []
    monkeypatch.setattr("gm.venue.run_venue", lambda options: served.append(options) or 0)
    app(
        f"venue --bars {bars} --instrument BTC-PERP --date-order {order} "
        "--timezone Europe/Athens --bar-minutes 5",
        result_action="return_value",
    )
    row = _tape(served[0], instrument("BTC-PERP")).rows[:1]
    bar = row["payload"].copy().view(layout.BAR_CLOSE)[0, 0]
    assert bar["start_ts_ns"] == np.datetime64(f"{day}T00:00", "ns").astype(np.int64)
    assert bar["duration_s"] == 300


def test_a_command_that_is_not_built_says_so() -> None:
    assert not set(NOT_BUILT) & set(COMMANDS)
    found = gm("doctor")
    assert found.returncode == 2
    assert "not built yet" in found.stderr


def test_the_shipped_settings_are_shown_and_sound_from_anywhere(tmp_path: Path) -> None:
    shown = json.loads(gm("config", "show", "--json", cwd=tmp_path).stdout)
    assert shown["trading"]["BTC-PERP"]["order_quantity_lots_max"] == 2000
    assert len(shown["sha256"]) == 64
    for name in ("development", "staging", "production"):
        assert gm("config", "check", "--config", f"configs/{name}.yaml").returncode == 0
