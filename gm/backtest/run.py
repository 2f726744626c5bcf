"""A finished backtest: its orders, fills, equity, figures and report."""

import contextlib
import tempfile
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm._native.session import Session
from gm.backtest.stats import (
    Stats,
    daily_changes,
    describe_evidence,
    equity_rows,
    max_drawdown,
    sharpe_with_interval,
    trade_results,
)
from gm.config.run_dir import DATABASE_FILE, RunManifest
from gm.errors import DataGap
from gm.layout import QuarantineReason, RecordType
from gm.report import SYNTHETIC_NOTE, UNKNOWN_NOTE, ReportSource, write_page, write_report
from gm.report.data import Candles, read_database, refused_bars
from gm.store.recorder import Recorder
from gm.store.summary import Summary, summarise
from gm.venue.tape import Tape

Rows = NDArray[np.void]
_OF_A_BOOK = (QuarantineReason.CROSSED_BOOK, QuarantineReason.LOCKED_BOOK)


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bars came from. ``is_synthetic`` None: nobody said."""

    is_synthetic: bool | None
    run_dir: Path | None = None

    @property
    def note(self) -> str:
        """The first line of a report; empty for data that are real."""
        if self.is_synthetic is None:
            return UNKNOWN_NOTE
        return SYNTHETIC_NOTE if self.is_synthetic else ""


class Run:
    """What a backtest did. Made by ``gm.backtest``; its arrays are copies that the caller owns."""

    def __init__(self, session: Session, manifest: RunManifest, tape: Tape, origin: Origin) -> None:
        self._session = session
        self._manifest = manifest
        self._tape = tape
        self._origin = origin

    @property
    def orders(self) -> Rows:
        """Every order that reached the venue: rows of ``gm.layout.LEDGER_ORDER``."""
        return self._session.orders()

    @property
    def fills(self) -> Rows:
        """Every execution: rows of ``gm.layout.EXECUTION``; prices in ticks, money in micros."""
        return self._session.executions()

    @cached_property
    def equity(self) -> Rows:
        """After each fill and each closed 30-minute bar: rows of ``gm.backtest.EQUITY``."""
        return equity_rows(self.records)

    @cached_property
    def records(self) -> Rows:
        """The journal without the feed's data: rows of ``gm.layout.SLOT``."""
        return self._session.records()

    @cached_property
    def summary(self) -> Summary:
        """Totals as ``gm run --json`` prints them."""
        manifest = self._manifest
        return summarise([self.records], manifest.instruments, manifest.kernels)

    def check_market(self) -> None:
        """Refuse a run in which no bar and no trade was let in: its zeros are no result.

        Raises
        ------
        DataGap
            Names the reasons and how many rows each refused.
        """
        kinds = self._tape.rows["type"]
        bars = np.isin(kinds, (RecordType.BAR_CLOSE, RecordType.TRADE))
        by_engine = self.records["header"]["type"] == RecordType.BAR_QUARANTINED
        refused = np.ascontiguousarray(self.records["payload"][by_engine])
        # One for each bar and trade, and one each time that the book turned bad.
        reasons = refused.view(layout.BAR_QUARANTINED)["reason"]
        if np.count_nonzero(bars) > np.count_nonzero(~np.isin(reasons, _OF_A_BOOK)):
            return
        counts = ", ".join(f"{why} {count:,}" for why, count in self.summary.quarantined.items())
        raise DataGap(
            f"{self._manifest.instruments[0]}: none of the {len(kinds):,} rows gives a bar or a "
            f"trade; refused: {counts or 'none'}"
        )

    @property
    def order_stream_hash(self) -> str:
        """SHA-256 over the orders that passed the gate; equal to that of a lockstep run."""
        return self.summary.order_stream_sha256

    @property
    def run_dir(self) -> Path | None:
        """Where the journal is, if one was kept."""
        return self._origin.run_dir

    def stats(self) -> Stats:
        """Figures of the run, under a sentence that says what they prove.

        Returns
        -------
        Stats

        Source
        ------
        SPEC §7.
        """
        equity, summary = self.equity, self.summary
        results = trade_results(equity)
        changes = daily_changes(equity)
        sharpe = sharpe_with_interval(changes)
        ratio, low, high = sharpe or (None, None, None)
        return Stats(
            note=describe_evidence(self._origin.note, sharpe),
            instrument=self._manifest.instruments[0],
            currency=self._manifest.currencies[0],
            first_ts_ns=int(equity["ts_ns"][0]) if len(equity) else 0,
            last_ts_ns=int(equity["ts_ns"][-1]) if len(equity) else 0,
            quarantined=summary.quarantined,
            kernels_quarantined=summary.kernels_quarantined,
            decisions=summary.decisions,
            orders=summary.orders,
            refusals=summary.refusals,
            fills=summary.fills,
            trades=len(results),
            win_rate=float(np.mean(results > 0)) if len(results) else None,
            net_micros=int(equity["equity_micros"][-1]) if len(equity) else 0,
            realised_micros=summary.realised_micros,
            unrealised_micros=summary.unrealised_micros,
            commission_micros=summary.commission_micros,
            position_lots=summary.position_lots,
            max_drawdown_micros=max_drawdown(equity),
            days=len(changes),
            sharpe=ratio,
            sharpe_low=low,
            sharpe_high=high,
            order_stream_sha256=summary.order_stream_sha256,
        )

    def report(self, path: str | Path) -> Path:
        """Write the page that ``gm report`` writes, whether a journal was kept or not.

        Parameters
        ----------
        path : path
            The HTML file; it holds everything and fetches nothing.

        Returns
        -------
        Path
            ``path``.
        """
        if self.run_dir is not None:
            return write_report(self.run_dir, Path(path))
        with tempfile.TemporaryDirectory(prefix="gm-backtest-") as folder:
            recorder = Recorder(Path(folder) / DATABASE_FILE, self._manifest.instruments)
            recorder.write(self.records)
            recorder.close()
            with contextlib.closing(read_database(Path(folder))) as database:
                source = ReportSource(
                    manifest=self._manifest,
                    database=database,
                    candles=[self._candles(refused_bars(database, self._manifest.instruments))],
                    summary=self.summary,
                    journal_records=self._session.journal_records,
                    note=self._origin.note,
                    stages=[],
                )
                return write_page(source, Path(path))

    def _candles(self, refused: set[tuple[int, int]]) -> Candles:
        rows = self._tape.rows[self._tape.rows["type"] == RecordType.BAR_CLOSE]
        bars = np.ascontiguousarray(rows["payload"]).view(layout.BAR_CLOSE).reshape(-1)
        if refused:
            starts = [start for _, start in refused]
            bars = bars[~np.isin(bars["start_ts_ns"], starts)]
        candles = Candles()
        candles.add(bars)
        return candles
