"""What a run earned, told with its costs and with how little one run says."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.layout import POSITION_UPDATE, RecordType

DAY_NS = 86_400_000_000_000
DAYS_A_YEAR = 365
# Below so many days a ratio of mean and deviation says nothing at all.
DAYS_MIN = 20
RESAMPLES = 2_000
INTERVAL = (2.5, 97.5)
_SEED = 20_220_131  # of the bootstrap: equal runs give equal figures

EQUITY = np.dtype(
    [
        ("ts_ns", "i8"),
        ("position_lots", "i8"),
        ("realised_micros", "i8"),
        ("unrealised_micros", "i8"),
        ("commission_micros", "i8"),
        ("equity_micros", "i8"),
        ("round_trips", "i8"),
    ]
)

Rows = NDArray[np.void]
Numbers = NDArray[np.float64]


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one run of one instrument. Money in micro-units of ``currency``, costs paid.

    A trade goes from flat to flat, or to the other side. ``sharpe`` is that of the daily changes of
    equity (calendar days, times the root of 365), with its 95 % interval; None below 20 days.
    ``quarantined`` counts the refused rows of the market by their reason; ``kernels_quarantined``
    names the kernels that are not called any more. ``note`` says what all of it proves.
    """

    note: str
    instrument: str
    currency: str
    first_ts_ns: int
    last_ts_ns: int
    quarantined: dict[str, int]
    kernels_quarantined: dict[str, dict[str, str]]
    decisions: int
    orders: int
    refusals: dict[str, int]
    fills: int
    trades: int
    win_rate: float | None
    net_micros: int
    realised_micros: int
    unrealised_micros: int
    commission_micros: int
    position_lots: int
    max_drawdown_micros: int
    days: int
    sharpe: float | None
    sharpe_low: float | None
    sharpe_high: float | None
    order_stream_sha256: str


def equity_rows(records: Rows) -> Rows:
    """Equity after each fill and each closed 30-minute bar: rows of ``EQUITY``.

    Parameters
    ----------
    records : ndarray of layout.SLOT, shape (n,)
        In journal order, of one instrument.

    Returns
    -------
    ndarray of EQUITY, shape (m,)
        ``equity_micros`` = realised + unrealised at the last good price - commission, from 0.
    """
    chosen = records[records["header"]["type"] == RecordType.POSITION]
    positions = np.ascontiguousarray(chosen["payload"]).view(POSITION_UPDATE).reshape(-1)
    rows = np.zeros(len(positions), EQUITY)
    rows["ts_ns"] = chosen["header"]["receive_ts_ns"]
    for name in EQUITY.names or ():
        if name in (POSITION_UPDATE.names or ()):
            rows[name] = positions[name]
    rows["equity_micros"] = (
        rows["realised_micros"] + rows["unrealised_micros"] - rows["commission_micros"]
    )
    return rows


def trade_results(equity: Rows) -> NDArray[np.int64]:
    """Net result of each finished trade in micro-units, shape (trades,).

    A fill that turns the position pays its whole commission with the trade that it ends.
    """
    trips = equity["round_trips"]
    ends = np.flatnonzero(np.diff(trips, prepend=0) > 0)
    net = equity["realised_micros"] - equity["commission_micros"]
    results: NDArray[np.int64] = np.diff(net[ends], prepend=0)
    return results


def max_drawdown(equity: Rows) -> int:
    """Deepest fall of equity below its peak so far, the start included; never positive."""
    if not len(equity):
        return 0
    value = equity["equity_micros"]
    return int(np.min(value - np.maximum.accumulate(np.maximum(value, 0))))


def daily_changes(equity: Rows) -> Numbers:
    """Change of equity over each UTC day from the first to the last, in micro-units."""
    if not len(equity):
        return np.zeros(0)
    day = equity["ts_ns"] // DAY_NS
    days = np.arange(day[0], day[-1] + 1)
    last = np.searchsorted(day, days, side="right") - 1
    return np.diff(equity["equity_micros"][last].astype(np.float64), prepend=0.0)


def sharpe_with_interval(changes: Numbers) -> tuple[float, float, float] | None:
    """Sharpe ratio a year and its 95 % interval; None where the days are too few or all alike.

    Parameters
    ----------
    changes : ndarray, shape (days,)
        Daily changes of equity; any unit.

    Returns
    -------
    tuple of three floats or None
        Ratio, lower and upper bound.

    Source
    ------
    Sharpe 1994, "The Sharpe Ratio"; interval: Politis, Romano 1992, "A circular block-resampling
    procedure for stationary data", blocks of the cube root of the number of days.
    """
    count = len(changes)
    if count < DAYS_MIN or not changes.std():
        return None
    block = max(1, round(count ** (1 / 3)))
    random = np.random.Generator(np.random.PCG64(_SEED))
    starts = random.integers(0, count, (RESAMPLES, math.ceil(count / block)))
    at = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :count] % count
    samples = changes[at]
    deviation = samples.std(axis=1, ddof=1)
    ratios = np.divide(
        samples.mean(axis=1), deviation, out=np.zeros(RESAMPLES), where=deviation > 0
    )
    year = math.sqrt(DAYS_A_YEAR)
    low, high = np.percentile(ratios, INTERVAL) * year
    return float(changes.mean() / changes.std(ddof=1) * year), float(low), float(high)


def describe_evidence(source_note: str, interval: tuple[float, float, float] | None) -> str:
    """The sentence that every figure is read under (SPEC §7)."""
    if source_note:
        return source_note
    if interval is None:
        return f"Fewer than {DAYS_MIN} days with a result: no evidence of profit."
    if interval[1] <= 0.0:
        return "The interval of the Sharpe ratio holds 0: no evidence of profit."
    return (
        "One path, one choice of settings: evidence needs walk-forward, baselines and data that "
        "nobody has looked at."
    )
