"""A market with a signal that is known: an AR(1) drift, as strong against the noise as one says.

At the close of bar t a hidden s_t is the drift of bar t + 1:

    s_t = a s_(t-1) + sqrt(1 - a^2) n_t          a = persistence, n_t normal: s_t has deviation 1
    r_(t+1) = v (k s_t + sqrt(1 - k^2) e_(t+1))  log return, open to close; v = volatility

with k = h / sqrt(1 + h^2), h = signal_to_noise. So h is the deviation of drift over that of noise,
returns have the same deviation v whatever h is, and h = 0 is a random walk. A bar opens where the
last one closed. Whoever sees s knows all that can be known; the features see past returns only,
and a drift that lasts shows in momentum and regression.
"""

import math
from itertools import accumulate
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.calendars import session_table
from gm.config.instruments import InstrumentConfig, instrument as find_instrument
from gm.errors import BadArgument
from gm.readers import BAR

BARS_MAX = 1_000_000
BAR_NS = 30 * 60 * 1_000_000_000
START_NS = 1_704_067_200_000_000_000  # 2024-01-01
LOWEST_PRICE_TICKS = 2_000  # below, whole ticks would be coarse against the returns
HIGHEST_PRICE_TICKS = 1 << 40
_STEPS = 24  # price moves inside a bar
_VOLUME_SPREAD = 0.3  # deviation of ln volume that no price move explains

Rows = NDArray[np.void]
Floats = NDArray[np.float64]


class PlantedSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How strong the signal is, and the market around it.

    ``volatility`` is the deviation of a bar's log return, ``volume_lots`` a typical bar's volume.
    """

    signal_to_noise: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1.5
    persistence: Annotated[float, msgspec.Meta(ge=0, le=0.999)] = 0.95
    volatility: Annotated[float, msgspec.Meta(gt=0, le=0.01)] = 0.001
    first_price_ticks: Annotated[int, msgspec.Meta(ge=10_000, le=1 << 32)] = 40_000
    volume_lots: Annotated[int, msgspec.Meta(ge=100, le=1 << 40)] = 500_000

    @property
    def drift_share(self) -> float:
        """k: deviation of the drift over that of the return."""
        return self.signal_to_noise / math.sqrt(1.0 + self.signal_to_noise**2)


class PlantedMarket(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Bars, and what was planted in them.

    ``bars``: gm.readers.BAR, shape (n,). ``signal``: float64 (n,), s_t of each bar's close: it
    drives the bar after it.
    """

    bars: Rows
    signal: Floats


def planted_market(
    settings: PlantedSettings, seed: int, bars: int, instrument: str | InstrumentConfig = "BTC-PERP"
) -> PlantedMarket:
    """Make 30-minute bars with the signal planted.

    Parameters
    ----------
    settings : PlantedSettings
    seed : int
        At least 0. Equal seeds give equal bars on one machine, and the same noise whatever the
        settings are; NumPy's exp may differ by a rounding on another.
    bars : int
        1 to 1,000,000.
    instrument : str or InstrumentConfig
        Its sessions say which bars exist; the signal stands still while it is closed.

    Returns
    -------
    PlantedMarket
        From 2024-01-01 on, every bar inside a session.

    Raises
    ------
    BadArgument
        If a setting, seed or bars is out of range, or the price wanders below 2,000 ticks or above
        2^40: take fewer bars, less volatility or another first price.
    UnknownInstrument
        If no such instrument is configured.

    Source
    ------
    SPEC §5, Planted signal. Ours.
    """
    check_settings(settings)
    if seed < 0 or not 1 <= bars <= BARS_MAX:
        raise BadArgument(f"seed must be at least 0 and bars 1 to {BARS_MAX:,}: {seed}, {bars}")
    config = find_instrument(instrument) if isinstance(instrument, str) else instrument
    random = np.random.Generator(np.random.PCG64(seed))
    signal = _signal(random, settings.persistence, bars)
    path = _path(random, settings, signal[:-1])
    market = np.zeros(bars, BAR)
    market["start_ts_ns"] = _starts(config, bars)
    market["open_ticks"] = path[:, 0]
    market["high_ticks"] = path.max(axis=1)
    market["low_ticks"] = path.min(axis=1)
    market["close_ticks"] = path[:, -1]
    market["volume_lots"] = _volume(random, settings, path)
    return PlantedMarket(bars=market, signal=signal[1:])


def check_settings(settings: PlantedSettings) -> None:
    """Refuse settings that were not read from a file and are out of range.

    Raises
    ------
    BadArgument
        Names key, value and what is allowed.
    """
    try:
        msgspec.convert(msgspec.to_builtins(settings), PlantedSettings)
    except msgspec.ValidationError as error:
        raise BadArgument(f"planted signal: {error}: {settings}") from error


def _signal(random: np.random.Generator, persistence: float, bars: int) -> Floats:
    """Signal before the first bar and at each close, (bars + 1,): stationary from the start."""
    shocks = random.standard_normal(bars + 1)
    shocks[1:] *= math.sqrt(1.0 - persistence**2)
    return np.array(list(accumulate(shocks.tolist(), lambda s, shock: persistence * s + shock)))


def _path(random: np.random.Generator, settings: PlantedSettings, drift: Floats) -> Floats:
    """Prices in whole ticks: the open and the price after each step, shape (bars, 1 + steps)."""
    share = settings.drift_share
    noise = random.standard_normal((len(drift), _STEPS)) * math.sqrt((1.0 - share**2) / _STEPS)
    moves = settings.volatility * (noise + (share / _STEPS) * drift[:, None])
    inside = np.cumsum(moves, axis=1)
    opens = np.concatenate([[0.0], np.cumsum(inside[:, -1])[:-1]])
    logs = opens[:, None] + np.concatenate([np.zeros((len(drift), 1)), inside], axis=1)
    edge = math.log(HIGHEST_PRICE_TICKS / settings.first_price_ticks)
    prices: Floats = np.rint(settings.first_price_ticks * np.exp(np.minimum(logs, edge)))
    lowest, highest = prices.min(), prices.max()
    if lowest < LOWEST_PRICE_TICKS or highest >= HIGHEST_PRICE_TICKS:
        raise BadArgument(
            f"the price wanders to {lowest:.0f} .. {highest:.0f} ticks in {len(drift)} bars, "
            f"allowed are {LOWEST_PRICE_TICKS} .. 2^40: fewer bars, less volatility "
            f"({settings.volatility}) or another first_price_ticks ({settings.first_price_ticks})"
        )
    return prices


def _volume(
    random: np.random.Generator, settings: PlantedSettings, path: Floats
) -> NDArray[np.int64]:
    """More where the price travels more, shape (bars,), at least one lot."""
    travelled = np.abs(np.diff(path, axis=1)).sum(axis=1) / path[:, 0]
    usual = settings.volatility * math.sqrt(_STEPS * 2.0 / math.pi)
    spread = np.exp(_VOLUME_SPREAD * random.standard_normal(len(path)))
    lots = settings.volume_lots * spread * (0.25 + 0.75 * travelled / usual)
    whole: NDArray[np.int64] = np.maximum(np.rint(lots), 1.0).astype(np.int64)
    return whole


def _starts(instrument: InstrumentConfig, bars: int) -> NDArray[np.int64]:
    """Starts of the first bars that lie whole inside a session."""
    span = bars
    while True:
        span = span * 2 + 2 * 24 * 7
        starts = START_NS + np.arange(span, dtype=np.int64) * BAR_NS
        sessions = session_table(instrument, START_NS, int(starts[-1]) + BAR_NS)
        at = np.searchsorted(sessions["open_ts_ns"], starts, side="right") - 1
        is_inside = (at >= 0) & (starts + BAR_NS <= sessions["close_ts_ns"][at])
        if np.count_nonzero(is_inside) >= bars:
            return starts[is_inside][:bars]
