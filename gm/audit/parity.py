"""Is a matrix the same however it came about? In one call, bar by bar, or cut and resumed."""

from collections.abc import Iterable

import msgspec
import numpy as np

from gm.audit.views import Bars, Difference, View, check_seed, first_difference


class ParityReport(msgspec.Struct, frozen=True, kw_only=True):
    """How many bars were compared, where the stream was cut, and the first difference."""

    view: str
    bars: int
    cuts: int
    snapshot_bytes: int
    difference: Difference | None

    @property
    def is_clean(self) -> bool:
        """Whether all three were equal, byte for byte, at every bar."""
        return self.difference is None


def random_cuts(count: int, cuts: int = 50, seed: int = 1) -> list[int]:
    """Bars before which a stream is cut, ascending; ``BadArgument`` if the seed is not 64 bits."""
    check_seed(seed)
    random = np.random.default_rng(seed)
    return sorted(random.choice(count, min(cuts, count), replace=False).tolist())


def check_parity(view: View, bars: Bars, instrument: str, cuts: Iterable[int]) -> ParityReport:
    """Compare batch, stream, and a stream that goes on from a snapshot at each cut.

    Parameters
    ----------
    view : View
        Which matrix.
    bars : structured, shape (n,)
        With the fields of ``gm.read_bars``, of the view's size.
    instrument : str
        Symbol of configs/instruments.yaml.
    cuts : iterable of int
        Before each of these bars the state is written, and read by a stream of other bars.

    Returns
    -------
    ParityReport
        The first difference in time, if there is one. The snapshots at the end are compared too.

    Raises
    ------
    BadArgument, UnknownInstrument
        As the view's batch function.

    Source
    ------
    Ours.
    """
    at = frozenset(cuts)
    matrices, ready = view.batch(bars, instrument)
    straight, resumed, spare = (view.stream(instrument) for _ in range(3))
    difference = None
    for bar in range(len(bars)):
        if bar in at:
            spare.restore(resumed.snapshot())
            resumed, spare = spare, resumed  # the other one stays behind, and must forget all
        straight.update(bars[bar])
        resumed.update(bars[bar])
        expected = matrices[bar].tobytes()
        for what, stream in (("streaming", straight), ("streaming with cuts", resumed)):
            found = stream.matrix
            if found.tobytes() != expected or stream.ready != ready[bar]:
                difference = first_difference(
                    view, bars, bar, what, (matrices[bar], bool(ready[bar])),
                    (found, stream.ready),
                )  # fmt: skip
                break
        if difference is not None:
            break
    if difference is None and len(bars) and straight.snapshot() != resumed.snapshot():
        difference = Difference(
            bar=len(bars) - 1, bar_start_ts_ns=int(bars["start_ts_ns"][-1]),
            what="streaming with cuts", column="snapshot", row=-1, expected=0.0, found=0.0,
        )  # fmt: skip
    return ParityReport(
        view=view.name,
        bars=len(bars),
        cuts=len(at),
        snapshot_bytes=len(straight.snapshot()),
        difference=difference,
    )
