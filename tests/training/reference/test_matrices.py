"""Columns stand where SPEC §3 puts them, and readiness comes when it says."""

import numpy as np

from gm.training import reference

HOUR_NS = 3_600_000_000_000


def test_hours_stand_on_a_circle() -> None:
    start = np.array([0, 6, 12, 23]) * HOUR_NS
    sine, cosine = reference.hour_circle(start, np.array([0, 0, 6, 7]) * HOUR_NS)
    np.testing.assert_allclose(sine, [0, 1, -1, 1], atol=1e-15)
    np.testing.assert_allclose(cosine, [1, 0, 0, 0], atol=1e-15)
