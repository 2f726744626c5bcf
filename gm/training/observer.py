"""The best observer: what past returns tell of the planted signal, and what that is worth.

The clairvoyant of gm.training.optimum sees s; agents see what prices did. Between them stands one
who knows every parameter of the market and sees returns: its belief is the Kalman filter's,

    p_t = E(s_t | returns up to t)     p_t = a (p_(t-1) + g (r_t / v - k p_(t-1)))

with the gain g of the steady state. Its innovations are white, so p is an AR(1) with the
persistence of s and deviation d < 1, and a return is k p_t and noise: to the observer the market is
a planted one too, with a weaker signal k d that can be seen. The dynamic program of that market is
the observer's optimum, exactly; no policy that sees returns only earns more.
"""

import math

import msgspec
import numpy as np

from gm.errors import BadArgument
from gm.training.planted import Floats, PlantedSettings, check_settings


class Observer(msgspec.Struct, frozen=True, kw_only=True):
    """A planted market as its best observer has it.

    ``seen``: the market whose signal is the belief. ``deviation`` of the belief, that of s being 1:
    also the correlation of the two. ``gain`` of the filter.
    """

    market: PlantedSettings
    seen: PlantedSettings
    deviation: float
    gain: float


def best_observer(settings: PlantedSettings) -> Observer:
    """Solve for the steady state of the filter.

    Parameters
    ----------
    settings : PlantedSettings
        Without a signal the belief is 0 for ever.

    Returns
    -------
    Observer

    Raises
    ------
    BadArgument
        If a setting is out of range.

    Source
    ------
    Anderson, Moore, Optimal Filtering, 1979, §4.4; the scalar Riccati equation solved by hand.
    """
    check_settings(settings)
    signal = settings.drift_share**2
    noise, fresh = 1.0 - signal, 1.0 - settings.persistence**2
    # Variance x of s that is left: signal x^2 + fresh (1 - 2 signal) x - fresh noise = 0, by the
    # form of its root that stands for no signal too.
    half = 0.5 * fresh * (1.0 - 2.0 * signal)
    left = fresh * noise / (half + math.sqrt(half**2 + signal * fresh * noise))
    deviation = math.sqrt(max(0.0, 1.0 - left))
    share = settings.drift_share * deviation
    return Observer(
        market=settings,
        seen=msgspec.structs.replace(settings, signal_to_noise=share / math.sqrt(1.0 - share**2)),
        deviation=deviation,
        gain=settings.drift_share * left / (signal * left + noise),
    )


def beliefs(observer: Observer, moves: Floats) -> Floats:
    """Filter returns.

    Parameters
    ----------
    observer : Observer
    moves : float64, shape (n, bars)
        Log returns of n markets, open to close.

    Returns
    -------
    float64, shape (n, bars)
        The belief at each close over its deviation: what the optimum of ``observer.seen`` is asked
        with. It begins with nothing known; 0 where there is no signal.

    Raises
    ------
    BadArgument
        If moves is not of two dimensions.

    Source
    ------
    As the module's.
    """
    if moves.ndim != 2:
        raise BadArgument(f"moves must be (markets, bars): shape {moves.shape}")
    found = np.zeros(moves.shape)
    if observer.deviation == 0.0:
        return found
    market, belief = observer.market, np.zeros(len(moves))
    for bar in range(moves.shape[1]):
        surprise = moves[:, bar] / market.volatility - market.drift_share * belief
        belief = market.persistence * (belief + observer.gain * surprise)
        found[:, bar] = belief / observer.deviation
    return found
