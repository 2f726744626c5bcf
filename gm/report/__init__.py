"""`gm report`: one page that shows a person what a run did."""

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from gm.config.run_dir import (
    JOURNAL_FOLDER,
    LEDGER_FILE,
    STATUS_FILE,
    Prepared,
    RunManifest,
    read_run,
)
from gm.report.data import Candles, InstrumentData, gather, good_closes, read_database, refused_bars
from gm.report.page import page
from gm.store.journal_tail import JournalTail
from gm.store.summary import Summary, read_until, summarise

SYNTHETIC_NOTE = "Synthetic data: no evidence of profit."
UNKNOWN_NOTE = "No venue ledger: the data may be synthetic. No evidence of profit."
_BATCH = 65_536


def write_report(run_dir: Path, path: Path) -> Path:
    """Write the report of a run directory.

    Parameters
    ----------
    run_dir : Path
        A finished or a running run.
    path : Path
        The HTML file; it holds everything and fetches nothing.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ConfigError
        If the directory is not that of a run.
    DataGap
        If it has no database yet.
    JournalCorrupt
        If the journal is.

    Source
    ------
    Ours.
    """
    prepared = read_run(run_dir)
    symbols = prepared.manifest.instruments
    candles = [Candles() for _ in symbols]
    with contextlib.closing(read_database(run_dir)) as database:
        (recorded,) = database.execute("SELECT journal_sequence FROM cursor").fetchone()
        _collect_candles(prepared, recorded, refused_bars(database, symbols), candles)
        with contextlib.closing(JournalTail(run_dir / JOURNAL_FOLDER)) as tail:
            batches = read_until(tail, recorded, _BATCH)
            summary = summarise(batches, symbols, prepared.manifest.kernels)
        source = ReportSource(
            manifest=prepared.manifest,
            database=database,
            candles=candles,
            summary=summary,
            journal_records=recorded,
            note=_note(run_dir),
            stages=_stages(run_dir),
        )
        return write_page(source, path)


class ReportSource(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All that a report is made of. ``candles``: one an instrument, as the manifest has them."""

    manifest: RunManifest
    database: sqlite3.Connection
    candles: list[Candles]
    summary: Summary
    journal_records: int
    note: str
    stages: list[dict[str, Any]]


def write_page(source: ReportSource, path: Path) -> Path:
    """Write the page of a run whose figures are at hand, wherever they came from."""
    manifest = source.manifest
    instruments = [
        gather(source.database, symbol, float(tick), candles)
        for symbol, tick, candles in zip(
            manifest.instruments, manifest.tick_sizes, source.candles, strict=True
        )
    ]
    policy = f"rule {manifest.rule}" if manifest.rule else f"policy {manifest.bundle_label}"
    text = page(
        note=source.note,
        title=f"GrandModel: {', '.join(manifest.instruments)}, {policy}",
        facts=[
            ("from", _day(instruments, first=True)),
            ("to", _day(instruments, first=False)),
            ("order stream", source.summary.order_stream_sha256[:16]),
            ("settings", manifest.settings_sha256[:16]),
            ("bundle", manifest.bundle_sha256[:16]),
            ("journal records", f"{source.journal_records:,}"),
        ],
        instruments=instruments,
        currencies=manifest.currencies,
        agents=() if manifest.rule else manifest.agents,
        stages=source.stages,
        kernels=source.summary.kernels_quarantined,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _collect_candles(
    prepared: Prepared, recorded: int, refused: set[tuple[int, int]], candles: list[Candles]
) -> None:
    with contextlib.closing(JournalTail(prepared.run_dir / JOURNAL_FOLDER)) as tail:
        for slots in read_until(tail, recorded, _BATCH):
            bars = good_closes(slots, refused)
            for number, collected in enumerate(candles):
                collected.add(bars[bars["instrument"] == number])


def _note(run_dir: Path) -> str:
    """The first line. What is not known to be real is not passed off as real."""
    try:
        ledger = msgspec.json.decode((run_dir / LEDGER_FILE).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError):
        return UNKNOWN_NOTE  # another machine's venue, or one that still runs
    return SYNTHETIC_NOTE if ledger.get("synthetic", True) else ""


def _stages(run_dir: Path) -> list[dict[str, Any]]:
    try:
        status = msgspec.json.decode((run_dir / STATUS_FILE).read_bytes())
    except (OSError, msgspec.MsgspecError):
        return []  # the run goes on, or was killed: its status page died with it
    return [
        {
            "name": name,
            "buckets": [(2**octave, count) for octave, count in enumerate(stage["octaves"])],
            **{key: stage[key] for key in ("count", "p50_ns", "p99_ns", "max_ns")},
        }
        for name, stage in status["stages"].items()
    ]


def _day(instruments: list[InstrumentData], *, first: bool) -> str:
    stamps = [
        data.first_ts_ns if first else data.last_ts_ns for data in instruments if data.candles
    ]
    if not stamps:
        return "no bars"
    at = min(stamps) if first else max(stamps)
    return datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%d")
