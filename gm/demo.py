"""`gm demo`: venue, engine and recorder as real processes on a seeded synthetic session.

Nothing here is special to the demo but the tape: the two processes are `gm venue` and `gm run`, and
the panel reads the status page as `gm status` does.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from gm._native.runtime import find_endpoints, read_status
from gm.errors import CoreError, GmError
from gm.report import SYNTHETIC_NOTE, write_report

INSTRUMENT = "BTC-PERP"
BAR_EVENTS = 2  # OPEN and CLOSE
REFRESH_S = 0.2
LIMIT_S = 300.0

Status = dict[str, Any]


class DemoFailed(GmError):
    """One of the demo's processes ended badly; its last words are in the text."""


def run_demo(*, seed: int, bars: int, out: Path, config: Path, as_json: bool) -> int:
    """Trade a synthetic session and leave a report.

    Parameters
    ----------
    seed : int
        Of the session and of the venue's dice; equal seeds give equal order streams.
    bars : int
        Five-minute bars of the session.
    out : Path
        Gets ``report.html`` and the run directory ``run``, both made anew.
    config : Path
        Settings file.
    as_json : bool
        Print the summary as one JSON line and nothing else.

    Returns
    -------
    int
        0.

    Raises
    ------
    DemoFailed
        If a process fails, another demo runs in ``out``, or the session takes longer than five
        minutes.

    Source
    ------
    Ours.
    """
    # Where a service manager started us: its directory and socket are those of another engine.
    for name in ("RUNTIME_DIRECTORY", "NOTIFY_SOCKET"):
        os.environ.pop(name, None)
    out.mkdir(parents=True, exist_ok=True)
    with _only_demo_in(out):
        summary, report = _trade(Console(stderr=as_json), seed, bars, out, config)
    if as_json:
        print(json.dumps(summary | {"report": str(report)}))
    else:
        _print_result(Console(), summary, report)
    return 0


def _trade(
    console: Console, seed: int, bars: int, out: Path, config: Path
) -> tuple[dict[str, Any], Path]:
    run_dir = out / "run"
    # A journal and its ring belong together: both go.
    shutil.rmtree(find_endpoints(str(run_dir))["runtime_dir"], ignore_errors=True)
    shutil.rmtree(run_dir, ignore_errors=True)
    run_dir.mkdir(mode=0o700)
    common = ["--instrument", INSTRUMENT, "--run-dir", str(run_dir), "--config", str(config)]
    venue = [*common, "--synthetic-bars", str(bars), "--seed", str(seed), "--json"]
    with (
        _process("venue", venue, run_dir) as exchange,
        _process("run", [*common, "--json"], run_dir) as engine,
    ):
        _watch(console, run_dir, exchange, engine, bars)
        summary = json.loads(_answer("run", engine, run_dir))
        _answer("venue", exchange, run_dir)
    return summary, write_report(run_dir, out / "report.html")


@contextlib.contextmanager
def _only_demo_in(out: Path) -> Iterator[None]:
    """A second demo would delete the first one's journal under it."""
    with (out / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoFailed(f"another demo runs in {out}: name another --out") from error
        yield


@contextlib.contextmanager
def _process(name: str, arguments: list[str], run_dir: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start `gm NAME` with its log in the run directory; it never outlives the demo."""
    with (run_dir / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gm", name, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _answer(name: str, process: "subprocess.Popen[str]", run_dir: Path) -> str:
    try:
        text, _ = process.communicate(timeout=30)
    except subprocess.TimeoutExpired as error:
        raise DemoFailed(f"gm {name} does not end") from error
    if process.returncode != 0:
        log = (run_dir / f"{name}.log").read_text().strip().splitlines()
        raise DemoFailed(f"gm {name} ended with {process.returncode}: {' '.join(log[-3:])}")
    return text


def _watch(
    console: Console,
    run_dir: Path,
    exchange: "subprocess.Popen[str]",
    engine: "subprocess.Popen[str]",
    bars: int,
) -> None:
    """Show the status page until the engine's process is over."""
    deadline = time.monotonic() + LIMIT_S
    console.print(SYNTHETIC_NOTE)
    live = console.is_terminal
    shown = Live(console=console, refresh_per_second=8) if live else contextlib.nullcontext()
    next_line = 0.0
    with shown as panel:
        while engine.poll() is None:
            if exchange.poll():  # the engine would wait for it for ever
                _answer("venue", exchange, run_dir)
            if time.monotonic() > deadline:
                raise DemoFailed(f"the session takes longer than {LIMIT_S:.0f} s")
            with contextlib.suppress(CoreError):  # no page yet
                status = read_status(str(run_dir))
                done = min(status["engine"]["last_feed_sequence"] / (BAR_EVENTS * bars), 1.0)
                if isinstance(panel, Live):
                    panel.update(_panel(status, done))
                elif done >= next_line:
                    console.print(_line(status, done))
                    next_line = done + 0.2
            time.sleep(REFRESH_S)
        if isinstance(panel, Live):
            with contextlib.suppress(CoreError):
                panel.update(_panel(read_status(str(run_dir)), 1.0))


def _panel(status: Status, done: float) -> Panel:
    totals, desk = status["engine"], status["instruments"][0]
    table = Table.grid(padding=(0, 3))
    policy = status["stages"]["policy"]
    for left, right in (
        (("phase", status["io"]["phase"]), ("30-minute bars", f"{desk['bars_30m']:,}")),
        (("decisions", f"{totals['decisions']:,}"), ("orders", f"{totals['orders']:,}")),
        (("fills", f"{totals['fills']:,}"), ("round trips", f"{desk['round_trips']:,}")),
        (
            ("position", f"{desk['position_lots']:,} lots"),
            ("realised", f"{desk['realised_micros'] / 1e6:+,.2f} USD"),
        ),
        (
            ("gate refusals", f"{sum(totals['refusals']):,}"),
            ("policy p50", f"{policy['p50_ns']:,} ns" if policy["count"] else ""),
        ),
    ):
        table.add_row(f"[dim]{left[0]}", left[1], f"[dim]{right[0]}", right[1])
    bar = ProgressBar(total=1.0, completed=done, width=60)
    return Panel(Group(table, "", bar), title=desk["symbol"])


def _line(status: Status, done: float) -> str:
    totals, desk = status["engine"], status["instruments"][0]
    return (
        f"{done:4.0%} of the session: {totals['decisions']:,} decisions, {totals['orders']:,} "
        f"orders, {totals['fills']:,} fills, position {desk['position_lots']:,} lots"
    )


def _print_result(console: Console, summary: dict[str, Any], report: Path) -> None:
    micros = 1_000_000
    net = (
        summary["realised_micros"] + summary["unrealised_micros"] - summary["commission_micros"]
    ) / micros
    refusals = ", ".join(f"{code} {count:,}" for code, count in summary["refusals"].items())
    table = Table(title=SYNTHETIC_NOTE, show_header=False)
    for name, value in (
        ("decisions", f"{summary['decisions']:,}"),
        ("orders", f"{summary['orders']:,}"),
        ("fills", f"{summary['fills']:,} ({summary['partial_fills']:,} partial)"),
        ("round trips", f"{summary['round_trips']:,}"),
        ("refused by the gate", refusals or "none"),
        ("rejected by the venue", f"{summary['venue_rejects']:,}"),
        ("net result", f"{net:+,.2f} USD"),
        ("report", str(report)),
    ):
        table.add_row(name, value)
    console.print(table)
    console.print(f"order stream {summary['order_stream_sha256']}", soft_wrap=True)
