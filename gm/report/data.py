"""What a report shows, gathered from a run directory: database, journal and last status."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm import layout
from gm.config.run_dir import DATABASE_FILE
from gm.errors import DataGap
from gm.layout import RecordType

MICROS = 1_000_000
NS_PER_DAY = 86_400_000_000_000
# More points than this tell a person nothing.
POINTS_MAX = 1500
BANDS_MAX = 360
CANDLES_MAX = 420

Slots = NDArray[np.void]
Row = tuple[Any, ...]


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Tactical decisions: those to show, how many there are, and how many of them for an entry."""

    shown: list[Row] = []
    count: int = 0
    entering: int = 0


class InstrumentData(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument of a run. Prices in ticks, money in currency units."""

    symbol: str
    first_ts_ns: int
    last_ts_ns: int
    equity_ts_ns: list[int]
    equity: list[float]
    drawdown: list[float]
    candles: list[tuple[int, float, float, float, float]]
    trades: list[tuple[int, float, bool, str]]
    fill_count: int
    decisions: list[Row]
    shares: list[tuple[int, tuple[float, float, float]]]
    decision_count: int
    acting_count: int
    timing: Timing
    order_states: list[tuple[str, int]]
    refusals: list[tuple[str, int]]
    quarantine: list[tuple[str, str, int]]
    realised: float
    unrealised: float
    commission: float
    round_trips: int
    position_lots: int


class Candles:
    """Collects CLOSE records of one instrument and merges neighbours until they fit a screen."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.void]] = []

    def add(self, bars: NDArray[np.void]) -> None:
        """Take in CLOSE payloads in time order."""
        if len(bars):
            self._parts.append(bars)

    def span(self) -> tuple[int, int]:
        """Start of the first and of the last bar; zeros without bars."""
        if not self._parts:
            return 0, 0
        starts = [part["start_ts_ns"] for part in self._parts]
        return int(min(map(np.min, starts))), int(max(map(np.max, starts)))

    def merged(self, tick_size: float) -> list[tuple[int, float, float, float, float]]:
        """Give at most CANDLES_MAX candles of equal width: (start, open, high, low, close)."""
        if not self._parts:
            return []
        bars = np.concatenate(self._parts)
        bars = bars[np.argsort(bars["start_ts_ns"], kind="stable")]
        span = int(bars["start_ts_ns"][-1] - bars["start_ts_ns"][0]) + 1
        half_hour = 1_800_000_000_000
        width = max(half_hour, -(-span // CANDLES_MAX // half_hour) * half_hour)
        bucket = bars["start_ts_ns"] // width
        first = np.flatnonzero(np.r_[True, bucket[1:] != bucket[:-1]])
        last = np.r_[first[1:], len(bars)] - 1
        high = np.maximum.reduceat(bars["high_ticks"], first) * tick_size
        low = np.minimum.reduceat(bars["low_ticks"], first) * tick_size
        starts = (bucket[first] * width).tolist()
        opens = (bars["open_ticks"][first] * tick_size).tolist()
        closes = (bars["close_ticks"][last] * tick_size).tolist()
        return list(zip(starts, opens, high.tolist(), low.tolist(), closes, strict=True))


def good_closes(slots: Slots, refused: set[tuple[int, int]]) -> NDArray[np.void]:
    """CLOSE payloads of a batch, less those that the engine refused.

    ``refused`` holds (instrument, bar start).
    """
    chosen = slots["header"]["type"] == RecordType.BAR_CLOSE
    bars = np.ascontiguousarray(slots["payload"][chosen]).view(layout.BAR_CLOSE).reshape(-1)
    if not refused or not len(bars):
        return bars
    keys = zip(bars["instrument"].tolist(), bars["start_ts_ns"].tolist(), strict=True)
    return bars[[key not in refused for key in keys]]


def gather(
    database: sqlite3.Connection, symbol: str, tick_size: float, candles: Candles
) -> InstrumentData:
    """Read one instrument's figures.

    Parameters
    ----------
    database : sqlite3.Connection
        ``gm.db`` of the run.
    symbol : str
        The instrument.
    tick_size : float
        For drawing only.
    candles : Candles
        Filled from the journal.

    Returns
    -------
    InstrumentData
        Series thinned to what a screen shows; totals exact.

    Source
    ------
    Ours.
    """
    times, equity = _equity(database, symbol)
    peak = np.maximum.accumulate(equity) if len(equity) else equity
    keep = _thin(len(times))
    last = _last_position(database, symbol)
    shares = database.execute(
        "SELECT bar_start_ts_ns, probability_long, probability_neutral, probability_short "
        "FROM decisions WHERE instrument = ? ORDER BY journal_sequence",
        (symbol,),
    ).fetchall()
    first_ts_ns, last_ts_ns = candles.span()
    return InstrumentData(
        symbol=symbol,
        first_ts_ns=first_ts_ns,
        last_ts_ns=last_ts_ns,
        equity_ts_ns=times[keep].tolist(),
        equity=equity[keep].tolist(),
        drawdown=(equity - peak)[keep].tolist(),
        candles=candles.merged(tick_size),
        trades=_trades(database, symbol, tick_size),
        fill_count=_one(database, "SELECT count(*) FROM fills WHERE instrument = ?", symbol),
        decisions=database.execute(
            "SELECT bar_start_ts_ns, action, acts, probability_long, probability_neutral, "
            "probability_short, agent_probabilities FROM decisions WHERE instrument = ? "
            "ORDER BY acts DESC, journal_sequence DESC LIMIT 40",
            (symbol,),
        ).fetchall(),
        shares=_averaged(shares),
        decision_count=len(shares),
        acting_count=_one(database, "SELECT sum(acts) FROM decisions WHERE instrument = ?", symbol),
        timing=_timing(database, symbol),
        order_states=_counts(database, "orders", "state", symbol),
        refusals=_counts(database, "refusals", "code", symbol),
        quarantine=database.execute(
            "SELECT refused_by, reason, count(*) FROM quarantine WHERE instrument = ? "
            "GROUP BY refused_by, reason ORDER BY 3 DESC",
            (symbol,),
        ).fetchall(),
        realised=last[0] / MICROS,
        unrealised=last[1] / MICROS,
        commission=last[2] / MICROS,
        round_trips=last[3],
        position_lots=last[4],
    )


def read_database(run_dir: Path) -> sqlite3.Connection:
    """Open the run's database for reading only, as it is at this moment; the caller closes it."""
    path = run_dir / DATABASE_FILE
    if not path.exists():
        raise DataGap(
            f"{path}: no database; `gm run` with the same arguments makes it again from the journal"
        )
    database = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    database.execute("BEGIN")  # one moment for all that is read
    return database


def refused_bars(database: sqlite3.Connection, symbols: Iterable[str]) -> set[tuple[int, int]]:
    """Give (instrument number, bar start) of each bar that the engine refused."""
    number = {symbol: at for at, symbol in enumerate(symbols)}
    rows = database.execute(
        "SELECT instrument, bar_start_ts_ns FROM quarantine WHERE refused_by = 'engine'"
    )
    return {(number[symbol], start) for symbol, start in rows if symbol in number}


def _timing(database: sqlite3.Connection, symbol: str) -> Timing:
    if not database.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'tactical_decisions'"
    ).fetchone():
        return Timing()  # written before there was such a table
    shown = database.execute(
        "SELECT bar_start_ts_ns, direction, enters, standing, score, fvg, momentum, entry, "
        "synergy_type, agent_probabilities FROM tactical_decisions WHERE instrument = ? "
        "ORDER BY enters DESC, journal_sequence DESC LIMIT 40",
        (symbol,),
    ).fetchall()
    of_symbol = "FROM tactical_decisions WHERE instrument = ?"
    return Timing(
        shown=shown,
        count=_one(database, f"SELECT count(*) {of_symbol}", symbol),
        entering=_one(database, f"SELECT sum(enters) {of_symbol}", symbol),
    )


def _equity(
    database: sqlite3.Connection, symbol: str
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rows = database.execute(
        "SELECT ts_ns, realised_micros + unrealised_micros - commission_micros FROM positions "
        "WHERE instrument = ? ORDER BY journal_sequence",
        (symbol,),
    ).fetchall()
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1] / MICROS


def _last_position(database: sqlite3.Connection, symbol: str) -> tuple[int, int, int, int, int]:
    return database.execute(
        "SELECT realised_micros, unrealised_micros, commission_micros, round_trips, position_lots "
        "FROM positions WHERE instrument = ? ORDER BY journal_sequence DESC LIMIT 1",
        (symbol,),
    ).fetchone() or (0, 0, 0, 0, 0)


def _trades(
    database: sqlite3.Connection, symbol: str, tick_size: float
) -> list[tuple[int, float, bool, str]]:
    rows = database.execute(
        "SELECT f.ts_ns, f.price_ticks, f.side, f.quantity_lots, o.reason FROM fills f "
        "LEFT JOIN orders o USING (order_id) WHERE f.instrument = ? ORDER BY f.journal_sequence",
        (symbol,),
    ).fetchall()
    return [
        (
            ts,
            price * tick_size,
            side == "buy",
            f"{side} {lots:,} lots at {price:,} ticks ({reason})",
        )
        for ts, price, side, lots, reason in (rows[i] for i in _thin(len(rows)))
    ]


def _counts(
    database: sqlite3.Connection, table: str, column: str, symbol: str
) -> list[tuple[str, int]]:
    return database.execute(
        f"SELECT {column}, count(*) FROM {table} WHERE instrument = ? "
        f"GROUP BY {column} ORDER BY {column}",
        (symbol,),
    ).fetchall()


def _one(database: sqlite3.Connection, query: str, symbol: str) -> int:
    (value,) = database.execute(query, (symbol,)).fetchone()
    return int(value or 0)


def _averaged(shares: list[Row]) -> list[tuple[int, tuple[float, float, float]]]:
    """Means of neighbouring decisions, at most BANDS_MAX: single ones in thousands are noise."""
    if not shares:
        return []
    first = np.unique(np.linspace(0, len(shares), BANDS_MAX, endpoint=False).astype(np.int64))
    table = np.array([row[1:] for row in shares], dtype=np.float64)
    counts = np.diff(np.r_[first, len(shares)])
    means = np.add.reduceat(table, first, axis=0) / counts[:, None]
    return [
        (shares[at][0], (mean[0], mean[1], mean[2]))
        for at, mean in zip(first.tolist(), means.tolist(), strict=True)
    ]


def _thin(count: int) -> NDArray[np.int64]:
    if count <= POINTS_MAX:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, POINTS_MAX).astype(np.int64))
