"""`gm demo` trades the same orders twice, says that its data are synthetic, and leaves one page."""

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
BARS = 4_000  # the 20 samples of MLMI take some 470 of the 30-minute bars that they make
NOTE = "Synthetic data: no evidence of profit."


def demo(out: Path, *more: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gm", "demo", "--bars", str(BARS), "--out", str(out), *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, json.loads(demo(out, "--json"))


def test_two_demos_send_the_same_orders_and_another_seed_others(
    session: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    _, first = session
    text = demo(tmp_path)
    assert text.startswith(NOTE)
    assert f"order stream {first['order_stream_sha256']}" in text
    other = json.loads(demo(tmp_path, "--json", "--seed", "5"))
    assert other["order_stream_sha256"] != first["order_stream_sha256"]
    assert first["fills"] > 0


def test_the_page_says_first_that_it_is_synthetic_and_fetches_nothing(
    session: tuple[Path, dict[str, Any]],
) -> None:
    out, summary = session
    page = (out / "report.html").read_text(encoding="utf-8")
    body = page.split("<body>", 1)[1]
    assert body.startswith(f'<div class="note">{NOTE}</div>')
    assert not re.search(r"<script|<link|<img|https?://|url\(|@import", page)
    assert summary["order_stream_sha256"][:16] in page
    for part in ("Equity and drawdown", "Trades on candles", "Decisions and votes",
                 "orders by last state", "Latency by stage"):  # fmt: skip
        assert part in page
    assert "gate refusals" in page or "The gate refused nothing" in page
    for stage in ("decode", "step", "policy", "order"):
        assert f"latency of {stage}" in page
    assert page.count("NaN") == page.count("nan") == 0


def start(out: Path, *more: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gm", "demo", "--bars", "50", "--out", str(out), *more],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_second_demo_does_not_delete_the_journal_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (tmp_path / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = start(tmp_path)
    assert second.returncode == 1
    assert "another demo runs in" in second.stderr
    assert (tmp_path / "run").exists()


def test_the_runtime_directory_of_a_service_is_left_alone(tmp_path: Path) -> None:
    service = tmp_path / "service"
    service.mkdir(mode=0o700)
    (service / "ring").write_text("of a running engine")
    assert start(tmp_path / "out", RUNTIME_DIRECTORY=str(service)).returncode == 0
    assert [path.name for path in service.iterdir()] == ["ring"]


def test_a_venue_that_dies_ends_the_demo_at_once_with_its_words(tmp_path: Path) -> None:
    for name in ("development.yaml", "instruments.yaml"):
        (tmp_path / name).write_text((ROOT / "configs" / name).read_text())
    config = tmp_path / "development.yaml"
    text = config.read_text()
    assert "BTC-PERP: 2," in text
    config.write_text(text.replace("BTC-PERP: 2,", "BTC-PERP: 0.0000001,"))  # too fine for it
    failed = start(tmp_path / "out", "--config", str(config))
    assert failed.returncode == 1
    assert "gm venue ended with 3" in failed.stderr
    assert "venue.commission_bps.BTC-PERP" in failed.stderr
