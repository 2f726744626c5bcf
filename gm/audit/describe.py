"""What the columns of a matrix look like on given bars, so that a dead one is seen."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from gm.audit.views import View

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


class ColumnReport(msgspec.Struct, frozen=True, kw_only=True):
    """One column over all ready bars.

    ``zeros`` is the share of exact zeros, ``commonest`` that of the commonest value; ``quantiles``
    those of QUANTILES; ``lag_1`` the autocorrelation of neighbouring bars, 0 for a constant.
    """

    name: str
    zeros: float
    commonest: float
    minimum: float
    quantiles: tuple[float, ...]
    maximum: float
    deviation: float
    lag_1: float

    @property
    def is_degenerate(self) -> bool:
        """Whether nothing can be learned from it: one value on 99 of 100 bars, or hardly moving."""
        return self.commonest > 0.99 or self.deviation < 0.01


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A matrix over a stretch of bars; times are bar starts in ns UTC, 0 if none was ready."""

    view: str
    instrument: str
    bars: int
    synthetic: int
    ready: int
    first_ready_bar: int
    first_ready_ts_ns: int
    last_ready_ts_ns: int
    columns: tuple[ColumnReport, ...]


def describe(
    view: View,
    bars: NDArray[np.void],
    instrument: str,
    rows: NDArray[np.float32],
    ready: NDArray[np.bool_],
) -> Description:
    """Describe the newest rows of a matrix at the bars where it was ready.

    Parameters
    ----------
    view : View
        Which matrix.
    bars : structured, shape (n,)
        Its bars.
    instrument : str
        Their symbol.
    rows : float32, shape (n, columns)
        The newest row after each bar.
    ready : bool, shape (n,)
        Whether the matrix was ready.

    Returns
    -------
    Description
        ``first_ready_bar`` counts from 1; without a ready bar it is 0 and there are no columns.

    Source
    ------
    Ours.
    """
    where = np.flatnonzero(ready)
    starts = bars["start_ts_ns"][where]
    seen = rows[where].astype(np.float64)
    return Description(
        view=view.name,
        instrument=instrument,
        bars=len(bars),
        synthetic=int((bars["flags"] & 1).sum()),
        ready=len(where),
        first_ready_bar=int(where[0]) + 1 if len(where) else 0,
        first_ready_ts_ns=int(starts[0]) if len(where) else 0,
        last_ready_ts_ns=int(starts[-1]) if len(where) else 0,
        columns=tuple(
            column_report(name, seen[:, index])
            for index, name in enumerate(view.columns)
            if len(where)
        ),
    )


def column_report(name: str, values: NDArray[np.float64]) -> ColumnReport:
    """Describe one column of at least one value."""
    _, counts = np.unique(values, return_counts=True)
    return ColumnReport(
        name=name,
        zeros=float(np.mean(values == 0)),
        commonest=float(counts.max() / len(values)),
        minimum=float(values.min()),
        quantiles=tuple(float(q) for q in np.quantile(values, QUANTILES)),
        maximum=float(values.max()),
        deviation=float(values.std()),
        lag_1=_lag_1(values),
    )


def _lag_1(values: NDArray[np.float64]) -> float:
    centred = values - values.mean()
    power = float(np.sum(centred**2))
    return float(np.sum(centred[1:] * centred[:-1]) / power) if power > 0 else 0.0
