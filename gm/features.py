"""Both matrices in Python: whole tables at once, or bar by bar.

The arithmetic is the core's; here are instruments, time zones and refusals. Bars have the fields
of ``gm.read_bars``; times of day come from the exchange zone of the instrument.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gm import calendars, layout
from gm._native import features as native
from gm.config.instruments import InstrumentConfig, instrument as find_instrument
from gm.config.settings import SynergySection
from gm.errors import BadArgument

STRATEGIC_MINUTES = 30
TACTICAL_MINUTES = 5
_MINUTE_NS = 60 * 10**9
_DAY_NS = 86_400 * 10**9
_STREAM_NS = 3650 * _DAY_NS  # how far ahead a stream looks up its clock changes at a time
Bar = np.void | NDArray[np.void] | Mapping[str, Any]  # one row with the fields of gm.read_bars
STRATEGIC_COLUMNS: tuple[str, ...] = tuple(name for name, _ in native.strategic_schema())
TACTICAL_COLUMNS: tuple[str, ...] = tuple(name for name, _ in native.tactical_schema())


def feature_schema_hash() -> str:
    """SHA-256 of the feature schema in hex: names, order, parameters and normalisation.

    Returns
    -------
    str
        64 hex digits. Models, journals and database rows of another hash are refused.
    """
    return native.feature_schema_digest().hex()


def strategic_matrices(
    bars: NDArray[np.void], instrument: str | InstrumentConfig
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Strategic matrix after every bar.

    Parameters
    ----------
    bars : structured, shape (n,)
        Closed 30-minute bars of one instrument in time order, with the fields of ``gm.read_bars``.
    instrument : str or InstrumentConfig
        Symbol of configs/instruments.yaml; its exchange zone gives the time of day.

    Returns
    -------
    tuple
        float32 (n, 48, 13), oldest row first, never a NaN; bool (n,), ready. At an out-of-session
        bar the matrix is that of the bar before it, not ready.

    Raises
    ------
    gm.errors.BadArgument
        If the bars are not 30 minutes, or not in time order.
    gm.errors.UnknownInstrument
        If no such instrument is configured.

    Source
    ------
    SPEC §3. Ours.
    """
    config = find_instrument(instrument) if isinstance(instrument, str) else instrument
    check_spacing(bars["start_ts_ns"], STRATEGIC_MINUTES)
    offsets = local_offsets_ns(bars["start_ts_ns"], config)
    matrices, _, ready = native.strategic_batch(closed_bars(bars, STRATEGIC_MINUTES), offsets)
    return matrices, ready


def tactical_matrices(
    bars: NDArray[np.void], instrument: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Tactical matrix after every bar.

    Parameters
    ----------
    bars : structured, shape (n,)
        Closed 5-minute bars of one instrument in time order, with the fields of ``gm.read_bars``.
    instrument : str
        Symbol of configs/instruments.yaml.

    Returns
    -------
    tuple
        float32 (n, 60, 7), oldest row first, never a NaN; bool (n,), ready. At an out-of-session
        bar the matrix is that of the bar before it, not ready.

    Raises
    ------
    gm.errors.BadArgument
        If the bars are not 5 minutes, or not in time order.
    gm.errors.UnknownInstrument
        If no such instrument is configured.

    Source
    ------
    SPEC §3. Ours.
    """
    find_instrument(instrument)
    check_spacing(bars["start_ts_ns"], TACTICAL_MINUTES)
    matrices, _, ready = native.tactical_batch(closed_bars(bars, TACTICAL_MINUTES))
    return matrices, ready


def synergies(
    five_minute_bars: NDArray[np.void],
    thirty_minute_bars: NDArray[np.void],
    instrument: str,
    rules: SynergySection | None = None,
) -> NDArray[np.void]:
    """Every synergy that the bars of one instrument make, as an engine would report them.

    Parameters
    ----------
    five_minute_bars, thirty_minute_bars : structured, shape (n,) and (m,)
        Closed bars in time order, with the fields of ``gm.read_bars``; both from
        ``gm.aggregate_bars`` of the same rows.
    instrument : str
        Symbol of configs/instruments.yaml.
    rules : SynergySection, optional
        Thresholds, window and cooldown; those of SPEC §4 if left out.

    Returns
    -------
    structured, shape (k,)
        ``gm.layout.SYNERGY`` in time order: ``ts_ns`` (end of the bar that completed it), ``type``
        1 to 4, ``direction`` 1 or -1, ``confidence``, ``strength`` and ``age_s`` of the MLMI,
        NW-RQK and FVG signal, ``close_ticks``, ``volatility_30``, ``atr_ticks`` (30 minutes).

    Raises
    ------
    gm.errors.BadArgument
        If the bars are not 5 and 30 minutes, or not in time order.
    gm.errors.UnknownInstrument
        If no such instrument is configured.

    Source
    ------
    SPEC §4. Ours.
    """
    find_instrument(instrument)
    rules = rules or SynergySection()
    check_spacing(five_minute_bars["start_ts_ns"], TACTICAL_MINUTES)
    check_spacing(thirty_minute_bars["start_ts_ns"], STRATEGIC_MINUTES)
    found, _ = native.synergy_batch(
        closed_bars(five_minute_bars, TACTICAL_MINUTES),
        closed_bars(thirty_minute_bars, STRATEGIC_MINUTES),
        mlmi_min=float(rules.mlmi_min),
        slope_min=float(rules.slope_min),
        window_bars=rules.window_bars,
        cooldown_bars=rules.cooldown_bars,
    )
    return found


class _Features:
    """What both matrices of one instrument have in common."""

    _state: native.StrategicState | native.TacticalState

    @property
    def matrix(self) -> NDArray[np.float32]:
        """Shape (48, 13) or (60, 7), oldest row first: a copy."""
        return self._state.matrix

    @property
    def ready(self) -> bool:
        """Whether each row of the matrix was appended with every feature warm."""
        return self._state.is_ready

    @property
    def reason(self) -> str:
        """``ready``, ``warming_up``, ``price_not_positive`` or ``out_of_session``."""
        return self._state.reason

    def snapshot(self) -> bytes:
        """Whole state; equal bars give equal bytes."""
        return self._state.snapshot()

    def restore(self, snapshot: bytes) -> None:
        """Become the state of a snapshot.

        Raises
        ------
        gm.errors.SchemaMismatch
            If another feature schema made it.
        gm.errors.BadArgument
            If it is damaged. The state is untouched in both cases.
        """
        self._state.restore(snapshot)


class StrategicFeatures(_Features):
    """Strategic matrix of one instrument, one closed 30-minute bar after another.

    Parameters
    ----------
    instrument : str
        Symbol of configs/instruments.yaml.

    Raises
    ------
    gm.errors.UnknownInstrument
        If no such instrument is configured.
    """

    _state: native.StrategicState

    def __init__(self, instrument: str) -> None:
        self._instrument = find_instrument(instrument)
        self._state = native.StrategicState()
        self._offsets = np.zeros(0, layout.OFFSET_CHANGE)
        self._offsets_end_ns = 0

    def update(self, bar: Bar) -> None:
        """Append the row of one closed bar; an out-of-session bar only ends readiness."""
        closed = _closed_bar(bar, STRATEGIC_MINUTES)
        self._state.update(closed, self._local_offset_ns(int(closed["start_ts_ns"][0])))

    def _local_offset_ns(self, ts_ns: int) -> int:
        if not len(self._offsets) or not self._offsets["ts_ns"][0] <= ts_ns < self._offsets_end_ns:
            self._offsets_end_ns = ts_ns + _STREAM_NS
            self._offsets = calendars.offset_table(
                self._instrument, ts_ns - _DAY_NS, self._offsets_end_ns
            )
        return int(_offsets_at(self._offsets, np.array([ts_ns]))[0])


class TacticalFeatures(_Features):
    """Tactical matrix of one instrument, one closed 5-minute bar after another.

    Parameters
    ----------
    instrument : str
        Symbol of configs/instruments.yaml.

    Raises
    ------
    gm.errors.UnknownInstrument
        If no such instrument is configured.
    """

    _state: native.TacticalState

    def __init__(self, instrument: str) -> None:
        find_instrument(instrument)
        self._state = native.TacticalState()

    def update(self, bar: Bar) -> None:
        """Append the row of one closed bar; an out-of-session bar only ends readiness."""
        self._state.update(_closed_bar(bar, TACTICAL_MINUTES))


def _closed_bar(bar: Bar, minutes: int) -> NDArray[np.void]:
    closed = np.zeros(1, layout.CLOSED_BAR)
    _fill(closed, bar, minutes)
    return closed


def _fill(closed: NDArray[np.void], bars: Bar, minutes: int) -> None:
    for name in closed.dtype.names or ():
        closed[name] = minutes if name == "minutes" else bars[name]


def closed_bars(bars: NDArray[np.void], minutes: int = STRATEGIC_MINUTES) -> NDArray[np.void]:
    """Rows of ``gm.layout.CLOSED_BAR`` from rows with the fields of ``gm.read_bars``."""
    closed = np.zeros(len(bars), layout.CLOSED_BAR)
    _fill(closed, bars, minutes)
    return closed


def local_offsets_ns(
    start_ts_ns: NDArray[np.int64], instrument: InstrumentConfig | str
) -> NDArray[np.int64]:
    """Exchange-local time minus UTC at each moment, from the table that the core gets."""
    if not len(start_ts_ns):
        return np.zeros(0, np.int64)
    first, last = int(start_ts_ns.min()), int(start_ts_ns.max())
    return _offsets_at(calendars.offset_table(instrument, first, last + 1), start_ts_ns)


def _offsets_at(table: NDArray[np.void], ts_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    index = np.searchsorted(table["ts_ns"], ts_ns, side="right") - 1
    offsets: NDArray[np.int64] = table["offset_ns"][index]
    return offsets


def check_spacing(start_ts_ns: NDArray[np.int64], minutes: int) -> None:
    """Refuse bars whose commonest spacing is not ``minutes``, or that come closer than that."""
    steps = np.diff(start_ts_ns)
    if len(steps) == 0:
        return
    size_ns = minutes * _MINUTE_NS
    sizes, counts = np.unique(steps, return_counts=True)
    commonest, shortest = int(sizes[np.argmax(counts)]), int(sizes[0])
    if commonest != size_ns or shortest < size_ns:
        wrong = commonest if commonest != size_ns else shortest
        row = int(np.flatnonzero(steps == wrong)[0]) + 1
        raise BadArgument(
            f"bars must be {minutes} minutes and in time order: bar {row} starts "
            f"{wrong / 60e9:g} minutes after the one before it"
        )
