"""Promise: batch, stream and interrupted stream are told apart when they differ, and do not."""

import numpy as np
import pytest

from gm.audit.lookahead import check_lookahead
from gm.audit.parity import check_parity, random_cuts
from gm.audit.views import VIEWS, Bars, Matrices, View
from gm.errors import BadArgument

from .test_lookahead import walk


@pytest.mark.parametrize("name", VIEWS)
def test_batch_stream_and_a_stream_cut_at_fifty_points_are_equal(name: str) -> None:
    view = VIEWS[name]
    bars = walk(900, view.minutes, seed=8)
    bars["flags"][[300, 301, 640]] = 1  # synthetic
    bars["flags"][400] = 4  # out of session
    found = check_parity(view, bars, "BTC-PERP", random_cuts(len(bars)))
    assert found.is_clean
    assert (found.bars, found.cuts) == (900, 50)
    assert found.snapshot_bytes > 0


@pytest.mark.parametrize("name", VIEWS)
def test_a_bit_that_a_batch_has_otherwise_is_named(name: str) -> None:
    view = VIEWS[name]

    def batch(bars: Bars, instrument: str) -> Matrices:
        matrices, ready = view.batch(bars, instrument)
        value = matrices[77, view.rows - 3, 2]
        matrices[77, view.rows - 3, 2] = np.nextafter(value, np.float32(2))
        return matrices, ready

    other = View(
        name=name, minutes=view.minutes, rows=view.rows, columns=view.columns, batch=batch,
        stream=view.stream,
    )  # fmt: skip
    found = check_parity(other, walk(120, view.minutes), "BTC-PERP", ())
    assert found.difference is not None
    assert (found.difference.bar, found.difference.row) == (77, view.rows - 3)
    assert found.difference.column == view.columns[2]
    assert found.difference.what == "streaming"


def test_a_snapshot_that_forgets_is_found() -> None:
    view = VIEWS["tactical"]

    class Forgetful(type(view.stream("BTC-PERP"))):  # type: ignore[misc]
        def restore(self, snapshot: bytes) -> None:
            pass

    other = View(
        name=view.name, minutes=view.minutes, rows=view.rows, columns=view.columns,
        batch=view.batch, stream=Forgetful,
    )  # fmt: skip
    bars = walk(120, view.minutes)
    assert check_parity(other, bars, "BTC-PERP", ()).is_clean
    found = check_parity(other, bars, "BTC-PERP", (100,))
    assert found.difference is not None
    assert (found.difference.bar, found.difference.what) == (100, "streaming with cuts")


def test_cuts_are_drawn_from_the_seed() -> None:
    assert random_cuts(1000) == random_cuts(1000)
    assert random_cuts(1000, seed=1) != random_cuts(1000, seed=2)
    assert random_cuts(10, cuts=50) == list(range(10))


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    said = rf"seed must be 0 to 2\^64 - 1: {seed}"
    with pytest.raises(BadArgument, match=said):
        random_cuts(10, seed=seed)
    with pytest.raises(BadArgument, match=said):
        check_lookahead(VIEWS["tactical"], walk(10, 5), "BTC-PERP", seed=seed)
