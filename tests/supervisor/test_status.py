"""Promise: `gm status` says how far the kill switch was pulled, and what should never come."""

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gm._native.kill import latch_without_engine
from gm.cli.printing import print_status
from gm.config.run_dir import MANIFEST_FILE, SETTINGS_FILE, RunManifest
from gm.layout import KillLevel
from gm.supervisor import status as status_module
from gm.supervisor.status import engine_status


def page(kill_levels: list[int]) -> dict[str, Any]:
    """What an engine leaves, as far as it is printed."""
    row = {"position_lots": 0, "round_trips": 0, "is_ready": 1, "not_ready_reason": 0}
    row |= {"bars_30m": 0, "quarantined": 0, "bars_needed": 0}
    return {
        "io": {"pid": os.getpid(), "phase": "trading", "backfilled_venue_bars": 2_600,
               "backfilled_file_bars": 7},
        "engine": {"epoch": 1, "inputs_consumed": 5, "open_orders": 0, "reader_refusals": 0,
                   "kernels": [{"name": "up", "calls": 7, "status": 1}],
                   "bad_transitions": 1_234, "late_fills": 5_678, "orphans": 9_012,
                   "recovered": 3_456, "awaits": "the venue's books"},
        "journal": {"drained": 1, "synced": 1},
        "retention": {"segments": 3, "bytes": 2_500_000_000, "first_sequence": 1_001,
                      "compacted_segments": 7, "held_by": "recorder", "failure": ""},
        "memory": "", "failure": "",
        "instruments": [
            row | {"symbol": f"I{i}", "kill_level": level} for i, level in enumerate(kill_levels)
        ],
    }  # fmt: skip


def test_kill_levels_have_names_and_impossible_messages_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = [*map(int, KillLevel), 9]
    monkeypatch.setattr(status_module, "read_status", lambda _run_dir: page(levels))
    found = engine_status(Path("unused"))
    names = ["active", "reducing", "halted", "killed", "unknown"]
    assert [row["kill"] for row in found["instruments"]] == names
    print_status(found, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert any(
        all(part in line for part in ("impossible messages", "1,234", "5,678", "9,012", "3,456"))
        for line in lines
    )
    assert any("awaits" in line and "the venue's books" in line for line in lines)
    for number, name in enumerate(names):
        (line,) = (line for line in lines if f"I{number} " in line)
        assert name in line


def test_an_instrument_that_warms_up_says_how_many_bars_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cold = page([0])
    cold["instruments"][0] |= {"is_ready": 0, "not_ready_reason": 1, "bars_needed": 1_077}
    monkeypatch.setattr(status_module, "read_status", lambda _run_dir: cold)
    print_status(engine_status(Path("unused")), as_json=False)
    printed = capsys.readouterr().out
    assert "warming up, 1,077 bars of 30 minutes to go" in printed
    assert "2,600 bars of the venue, 7 of files" in printed


def test_how_much_market_data_is_kept_is_said_and_what_keeps_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = page([0])
    monkeypatch.setattr(status_module, "read_status", lambda _run_dir: kept)
    print_status(engine_status(Path("unused")), as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert "3 segments of 2.50 GB, from record 1,001 on; 7 compacted" in printed
    assert "the oldest waits for: recorder" in printed
    kept["retention"] |= {"segments": 0}
    print_status(engine_status(Path("unused")), as_json=False)
    assert "all of it is kept" in capsys.readouterr().out


def test_a_latch_is_shown_with_id_cause_author_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status_module, "read_status", lambda _run_dir: page([0]))
    print_status(engine_status(tmp_path), as_json=False)
    assert "kill switch" in capsys.readouterr().out
    (tmp_path / "run").mkdir()
    latch_without_engine(str(tmp_path / "run"), str(tmp_path / "words"), 0, KillLevel.HALTED, 7)
    found = engine_status(tmp_path / "run")
    assert found["kill_switch"]["instruments"] == {"I0": "halted"}
    print_status(found, as_json=False)
    (line,) = (row for row in capsys.readouterr().out.splitlines() if "kill switch" in row)
    for part in ("halted", "I0 halted", "account active", found["kill_switch"]["latch_id"],
                 "ordered", " UTC"):  # fmt: skip
        assert part in line, part
    (tmp_path / "run" / "latch.a").write_bytes(b"?")
    print_status(engine_status(tmp_path / "run"), as_json=False)
    assert "killed: latch.a is unreadable" in capsys.readouterr().out


def test_the_signed_limits_of_a_run_are_shown_or_that_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status_module, "read_status", lambda _run_dir: page([0]))
    print_status(engine_status(tmp_path), as_json=False)
    assert "unsigned: paper trading" in capsys.readouterr().out
    made = RunManifest(
        config_sha256="", settings_sha256=hashlib.sha256(b"block").hexdigest(), instruments=("I0",),
        tick_sizes=("1",), multipliers=("1",), currencies=("USD",), bundle="", bundle_label="",
        bundle_sha256="", agents=(), limits_sequence=4, limits_sha256="ab" * 32,
        limits_expire_s=1_800_000_000,
    )  # fmt: skip
    (tmp_path / SETTINGS_FILE).write_bytes(b"block")
    (tmp_path / MANIFEST_FILE).write_bytes(msgspec.json.encode(made))
    found = engine_status(tmp_path)
    assert found["limits"] == {
        "sequence": 4,
        "sha256": "ab" * 32,
        "expires_s": 1_800_000_000,
    }
    print_status(found, as_json=False)
    assert f"set 4, {'ab' * 32}, until 2027-01-15" in capsys.readouterr().out
