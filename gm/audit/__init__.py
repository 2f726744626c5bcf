"""`gm features`: what agents see, whether it peeks at the future, whether it is always the same.

The checks take bars and know nothing of files; this file reads one and runs what was asked for.
"""

from pathlib import Path

import msgspec
import numpy as np

from gm.audit.describe import ColumnReport as ColumnReport, Description, describe
from gm.audit.lookahead import LookaheadReport, check_lookahead
from gm.audit.parity import ParityReport, check_parity, random_cuts
from gm.audit.views import VIEWS, Difference as Difference, View as View
from gm.errors import DataGap
from gm.readers import aggregate_bars, read_bars
from gm.report.matrix import Seen, write_matrix_page


class AuditOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `gm features` was asked for. ``at_ts_ns``: the bar whose matrix is drawn large."""

    path: Path
    instrument: str
    view: str
    day_first: bool | None = None
    timezone: str | None = None
    bar_minutes: int | None = None
    checks_lookahead: bool = False
    checks_parity: bool = False
    plot: Path | None = None
    at_ts_ns: int | None = None
    points: int = 50
    seed: int = 1


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; None where it was not asked for."""

    file: str
    rows_refused: int
    description: Description
    lookahead: LookaheadReport | None
    parity: ParityReport | None
    plot: str | None

    @property
    def is_clean(self) -> bool:
        """Whether no check found anything."""
        return all(found is None or found.is_clean for found in (self.lookahead, self.parity))


def audit_features(options: AuditOptions) -> AuditReport:
    """Read a file of bars, make the bars of a matrix from it, describe and check the matrix.

    Parameters
    ----------
    options : AuditOptions
        The file and what to do.

    Returns
    -------
    AuditReport
        The description is always there.

    Raises
    ------
    DataGap
        If no matrix becomes ready: there is nothing to describe.
    BadTape, BadArgument, UnknownInstrument, OSError
        As ``gm.read_bars`` and ``gm.aggregate_bars``.

    Source
    ------
    Ours.
    """
    view = VIEWS[options.view]
    read = read_bars(
        options.path, options.instrument, options.timezone, options.bar_minutes, options.day_first
    )
    bars = aggregate_bars(read.bars, options.instrument, view.minutes, read.bar_minutes)
    matrices, ready = view.batch(bars, options.instrument)
    if not ready.any():
        raise DataGap(
            f"{options.path}: {len(bars)} bars of {view.minutes} minutes, and none of them has a "
            f"ready {view.name} matrix"
        )
    description = describe(view, bars, options.instrument, matrices[:, -1], ready)
    lookahead = parity = plot = None
    if options.checks_lookahead:
        lookahead = check_lookahead(
            view, bars, options.instrument, moments=options.points, seed=options.seed
        )
    if options.checks_parity:
        cuts = random_cuts(len(bars), options.points, options.seed)
        parity = check_parity(view, bars, options.instrument, cuts)
    if options.plot is not None:
        seen = Seen(
            view=view.name,
            columns=view.columns,
            instrument=options.instrument,
            bars=bars,
            rows=matrices[:, -1],
            ready=ready,
            matrix_rows=view.rows,
            at=_bar_at(bars["start_ts_ns"], ready, options.at_ts_ns),
        )
        plot = write_matrix_page(options.plot, seen)
    return AuditReport(
        file=str(options.path),
        rows_refused=len(read.quarantine),
        description=description,
        lookahead=lookahead,
        parity=parity,
        plot=None if plot is None else str(plot),
    )


def _bar_at(
    starts: np.ndarray[tuple[int], np.dtype[np.int64]],
    ready: np.ndarray[tuple[int], np.dtype[np.bool_]],
    at_ts_ns: int | None,
) -> int:
    """Last ready bar that does not start after a moment."""
    fits = ready if at_ts_ns is None else ready & (starts <= at_ts_ns)
    where = np.flatnonzero(fits)
    if not len(where):
        raise DataGap(
            f"no matrix is ready by {np.datetime64(at_ts_ns or 0, 'ns').astype('M8[m]')}; the first"
            f" is that of {np.datetime64(int(starts[ready][0]), 'ns').astype('M8[m]')}"
        )
    return int(where[-1])
